//! `core.c`: servers, sections, names, limits, errors.

pub mod conf;
mod dir;
pub(crate) mod files;
pub(crate) mod logs;
pub(crate) mod names;
mod sections;
pub mod server;

pub use dir::{option_names, override_names};

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::accept;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "core_module",
        file: "core.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: logs::error_logs,
    },
    hooks: files::HOOKS,
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("<Directory", Places::SERVER, Shape::Raw, sections::directory, "Container for directives affecting resources located in the specified directories"),
    row("<Location", Places::SERVER, Shape::Raw, sections::location, "Container for directives affecting resources accessed through the specified URL paths"),
    row("<VirtualHost", Places::SERVER, Shape::Raw, sections::virtual_host, "Container to map directives to a particular virtual host, takes one or more host addresses"),
    row("<Files", Places::ALL, Shape::Raw, sections::files, "Container for directives affecting files matching specified patterns"),
    row("<Limit", Places::LIMIT.or(Places::AUTHCFG), Shape::Raw, sections::limit, "Container for authentication directives when accessed using specified HTTP methods"),
    row("<LimitExcept", Places::LIMIT.or(Places::AUTHCFG), Shape::Raw, sections::limit_except, "Container for authentication directives to be applied when any HTTP method other than those specified is used to access the resource"),
    row("<IfModule", Places::ALL.or(Places::READ), Shape::Raw, accept, "Container for directives based on existence of specified modules"),
    row("<IfDefine", Places::ALL.or(Places::READ), Shape::Raw, accept, "Container for directives based on existence of command line defines"),
    row("<IfFile", Places::ALL.or(Places::READ), Shape::Raw, accept, "Container for directives based on existence of files on disk"),
    row("<IfDirective", Places::ALL.or(Places::READ), Shape::Raw, accept, "Container for directives based on existence of named directive"),
    row("<IfSection", Places::ALL.or(Places::READ), Shape::Raw, accept, "Container for directives based on existence of named section"),
    row("<DirectoryMatch", Places::SERVER, Shape::Raw, sections::directory_match, "Container for directives affecting resources located in the specified directories"),
    row("<LocationMatch", Places::SERVER, Shape::Raw, sections::location_match, "Container for directives affecting resources accessed through the specified URL paths"),
    row("<FilesMatch", Places::ALL, Shape::Raw, sections::files_match, "Container for directives affecting files matching specified patterns"),
    row("AddDefaultCharset", Places::FILEINFO, Shape::Take1, dir::add_default_charset, "The name of the default charset to add to any Content-Type without one or 'Off' to disable"),
    row("AcceptPathInfo", Places::FILEINFO, Shape::Take1, dir::accept_path_info, "Set to on or off for PATH_INFO to be accepted by handlers, or default for the per-handler preference"),
    row("Define", Places::DIR.or(Places::SERVER).or(Places::READ), Shape::Take12, accept, "Define a variable, optionally to a value.  Same as passing -D to the command line."),
    row("UnDefine", Places::DIR.or(Places::SERVER).or(Places::READ), Shape::Take1, accept, "Undefine the existence of a variable. Undo a Define."),
    row("Error", Places::ALL, Shape::Raw, server::error, "Generate error message from within configuration"),
    row("<If", Places::ALL, Shape::Raw, sections::if_section, "Container for directives to be conditionally applied"),
    row("<ElseIf", Places::ALL, Shape::Raw, sections::else_if, "Container for directives to be conditionally applied"),
    row("<Else", Places::ALL, Shape::Raw, sections::else_section, "Container for directives to be conditionally applied"),
    row("AccessFileName", Places::SERVER, Shape::Raw, server::access_file_name, "Name(s) of per-directory config files (default: .htaccess)"),
    row("DocumentRoot", Places::SERVER, Shape::Take1, server::document_root, "Root directory of the document tree"),
    row("ErrorDocument", Places::FILEINFO, Shape::Take2, dir::error_document, "Change responses for HTTP errors"),
    row("AllowOverride", Places::DIR, Shape::Raw, dir::allow_override, "Controls what groups of directives can be configured by per-directory config files"),
    row("AllowOverrideList", Places::DIR, Shape::Argv, dir::allow_override_list, "Controls what individual directives can be configured by per-directory config files"),
    row("Options", Places::OPTIONS, Shape::Raw, dir::set_options, "Set a number of attributes for a given directory"),
    row("DefaultType", Places::FILEINFO, Shape::Take1, dir::default_type, "the default media type for otherwise untyped files (DEPRECATED)").moot(),
    row("FileETag", Places::FILEINFO, Shape::Raw, dir::file_etag, "Specify components used to construct a file's ETag"),
    row("EnableMMAP", Places::FILEINFO, Shape::Take1, dir::enable_mmap, "Controls whether memory-mapping may be used to read files").moot(),
    row("EnableSendfile", Places::FILEINFO, Shape::Take1, dir::enable_sendfile, "Controls whether sendfile may be used to transmit files").moot(),
    row("ReadBufferSize", Places::DIR.or(Places::SERVER), Shape::Take1, dir::read_buffer_size, "Size (in bytes) of the memory buffers used to read data").moot(),
    row("FlushMaxThreshold", Places::SERVER, Shape::Take1, server::flush_max_threshold, "Maximum threshold above which pending data are flushed to the network").moot(),
    row("FlushMaxPipelined", Places::SERVER, Shape::Take1, server::flush_max_pipelined, "Maximum number of pipelined responses (pending) above which they are flushed to the network").moot(),
    row("Protocol", Places::SERVER, Shape::Take1, server::protocol, "Set the Protocol for httpd to use.").moot(),
    row("AcceptFilter", Places::SERVER, Shape::Take2, server::accept_filter, "Set the Accept Filter to use for a protocol").moot(),
    row("Port", Places::SERVER, Shape::Take1, server::port, "Port was replaced with Listen in Apache 2.0"),
    row("HostnameLookups", Places::DIR.or(Places::SERVER), Shape::Take1, dir::hostname_lookups, "\"on\" to enable, \"off\" to disable reverse DNS lookups, or \"double\" to enable double-reverse DNS lookups"),
    row("ServerAdmin", Places::SERVER, Shape::Take1, server::server_admin, "The email address of the server administrator"),
    row("ServerName", Places::SERVER, Shape::Take1, server::server_name, "The hostname and port of the server"),
    row("ServerSignature", Places::ALL, Shape::Take1, dir::signature, "En-/disable server signature (on|off|email)"),
    row("ServerRoot", Places::SERVER.or(Places::READ), Shape::Take1, accept, "Common directory of server-related files (logs, confs, etc.)"),
    row("DefaultRuntimeDir", Places::SERVER.or(Places::READ), Shape::Take1, accept, "Common directory for run-time files (shared memory, locks, etc.)"),
    row("ErrorLog", Places::SERVER, Shape::Take1, server::error_log, "The filename of the error log"),
    row("ErrorLogFormat", Places::SERVER, Shape::Take12, server::error_log_format, "Format string for the ErrorLog"),
    row("ServerAlias", Places::SERVER, Shape::Raw, server::server_alias, "A name or names alternately used to access the server"),
    row("ServerPath", Places::SERVER, Shape::Take1, server::server_path, "The pathname the server can be reached at"),
    row("Timeout", Places::SERVER, Shape::Take1, server::timeout, "Timeout duration (sec)"),
    row("ContentDigest", Places::OPTIONS, Shape::Flag, dir::content_digest, "whether or not to send a Content-MD5 header with each request"),
    row("UseCanonicalName", Places::DIR.or(Places::SERVER), Shape::Take1, dir::use_canonical_name, "How to work out the ServerName : Port when constructing URLs"),
    row("UseCanonicalPhysicalPort", Places::DIR.or(Places::SERVER), Shape::Take1, dir::use_canonical_port, "Whether to use the physical Port when constructing URLs"),
    row("Include", Places::DIR.or(Places::SERVER).or(Places::READ), Shape::Take1, accept, "Name(s) of the config file(s) to be included; fails if the wildcard does not match at least one file"),
    row("IncludeOptional", Places::DIR.or(Places::SERVER).or(Places::READ), Shape::Take1, accept, "Name or pattern of the config file(s) to be included; ignored if the file does not exist or the pattern does not match any files"),
    row("LogLevel", Places::DIR.or(Places::SERVER), Shape::Iterate, server::log_level, "Level of verbosity in error logging"),
    row("NameVirtualHost", Places::SERVER, Shape::Take1, server::name_virtual_host, "A numeric IP address:port, or the name of a host").moot(),
    row("ServerTokens", Places::SERVER, Shape::Take1, server::server_tokens, "Determine tokens displayed in the Server: header - Min(imal), Major, Minor, Prod(uctOnly), OS, or Full"),
    row("LimitRequestLine", Places::SERVER, Shape::Take1, server::limit_line, "Limit on maximum size of an HTTP request line"),
    row("LimitRequestFieldsize", Places::SERVER, Shape::Take1, server::limit_field_size, "Limit on maximum size of an HTTP request header field"),
    row("LimitRequestFields", Places::SERVER, Shape::Take1, server::limit_fields, "Limit (0 = unlimited) on max number of header fields in a request message"),
    row("LimitRequestBody", Places::ALL, Shape::Take1, dir::limit_body, "Limit (in bytes) on maximum size of request message body"),
    row("LimitXMLRequestBody", Places::ALL, Shape::Take1, dir::limit_xml_body, "Limit (in bytes) on maximum size of an XML-based request body"),
    row("Mutex", Places::SERVER, Shape::Raw, server::mutex, "mutex (or \"default\") and mechanism").moot(),
    row("MaxRanges", Places::DIR.or(Places::SERVER), Shape::Take1, dir::max_ranges, "Maximum number of Ranges in a request before returning the entire resource, or 0 for unlimited"),
    row("MaxRangeOverlaps", Places::DIR.or(Places::SERVER), Shape::Take1, dir::max_overlaps, "Maximum number of overlaps in Ranges in a request before returning the entire resource, or 0 for unlimited"),
    row("MaxRangeReversals", Places::DIR.or(Places::SERVER), Shape::Take1, dir::max_reversals, "Maximum number of reversals in Ranges in a request before returning the entire resource, or 0 for unlimited"),
    row("RLimitCPU", Places::ALL, Shape::Take12, dir::rlimit, "Soft/hard limits for max CPU usage in seconds"),
    row("RLimitMEM", Places::ALL, Shape::Take12, dir::rlimit, "Soft/hard limits for max memory usage per process"),
    row("RLimitNPROC", Places::ALL, Shape::Take12, dir::rlimit, "soft/hard limits for max number of processes per uid"),
    row("RegexDefaultOptions", Places::SERVER, Shape::Raw, server::regex_default_options, "default options for regexes (prefixed by '+' to add, '-' to del)"),
    row("LimitInternalRecursion", Places::SERVER, Shape::Take12, server::limit_recursion, "maximum recursion depth of internal redirects and subrequests"),
    row("CGIPassAuth", Places::AUTHCFG, Shape::Flag, dir::cgi_pass_auth, "Controls whether HTTP authorization headers, normally hidden, will be passed to scripts"),
    row("CGIVar", Places::FILEINFO, Shape::Take2, dir::cgi_var, "Controls how some CGI variables are set"),
    row("QualifyRedirectURL", Places::FILEINFO, Shape::Flag, dir::qualify_redirect_url, "Controls whether the REDIRECT_URL environment variable is fully qualified"),
    row("StrictHostCheck", Places::SERVER, Shape::Flag, server::strict_host_check, "Controls whether a hostname match is required"),
    row("ForceType", Places::FILEINFO, Shape::Take1, dir::force_type, "a mime type that overrides other configured type"),
    row("SetHandler", Places::FILEINFO, Shape::Take1, dir::set_handler, "a handler name that overrides any other configured handler"),
    row("SetOutputFilter", Places::FILEINFO, Shape::Take1, dir::output_filter, "filter (or ; delimited list of filters) to be run on the request content"),
    row("SetInputFilter", Places::FILEINFO, Shape::Take1, dir::input_filter, "filter (or ; delimited list of filters) to be run on the request body"),
    row("AllowEncodedSlashes", Places::SERVER, Shape::Take1, dir::allow_encoded_slashes, "Allow URLs containing '/' encoded as '%2F'"),
    row("ScoreBoardFile", Places::SERVER, Shape::Take1, server::scoreboard, "A file for Apache to maintain runtime process management information").moot(),
    row("ExtendedStatus", Places::SERVER, Shape::Flag, server::extended_status, "\"On\" to track extended status information, \"Off\" to disable"),
    row("SeeRequestTail", Places::SERVER, Shape::Flag, server::see_request_tail, "For extended status, \"On\" to see the last 63 chars of the request line, \"Off\" (default) to see the first 63"),
    row("PidFile", Places::SERVER, Shape::Take1, server::pid_file, "A file for logging the server process ID"),
    row("MaxRequestsPerChild", Places::SERVER, Shape::Take1, server::max_connections, "Maximum number of connections a particular child serves before dying. (DEPRECATED, use MaxConnectionsPerChild)").moot(),
    row("MaxConnectionsPerChild", Places::SERVER, Shape::Take1, server::max_connections, "Maximum number of connections a particular child serves before dying.").moot(),
    row("CoreDumpDirectory", Places::SERVER, Shape::Take1, server::core_dump_directory, "The location of the directory Apache changes to before dumping core").moot(),
    row("MaxMemFree", Places::SERVER, Shape::Take1, server::max_mem_free, "Maximum number of 1k blocks a particular child's allocator may hold.").moot(),
    row("ThreadStackSize", Places::SERVER, Shape::Take1, server::thread_stack_size, "Size in bytes of stack used by threads handling client connections").moot(),
    row("TraceEnable", Places::SERVER, Shape::Take1, server::trace_enable, "'on' (default), 'off' or 'extended' to trace request body content"),
    row("MergeTrailers", Places::SERVER, Shape::Flag, server::merge_trailers, "merge request trailers into request headers or not"),
    row("Protocols", Places::SERVER, Shape::Iterate, server::protocols, "Controls which protocols are allowed"),
    row("ProtocolsHonorOrder", Places::SERVER, Shape::Take1, server::protocols_honor_order, "'off' (default) or 'on' to respect given order of protocols, by default the client specified order determines selection"),
    row("HttpProtocolOptions", Places::SERVER, Shape::Iterate, server::http_protocol_options, "'Allow0.9' or 'Require1.0' (default); 'RegisteredMethods' or 'LenientMethods' (default); 'Unsafe' or 'Strict' (default). Sets HTTP acceptance rules"),
    row("RegisterHttpMethod", Places::SERVER, Shape::Iterate, server::register_method, "Registers non-standard HTTP methods"),
    row("MergeSlashes", Places::SERVER, Shape::Flag, server::merge_slashes, "Controls whether consecutive slashes in the URI path are merged"),
];
