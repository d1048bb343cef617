//! What expressions know by name: one row per variable, function and operator, and the trait
//! through which a request answers for them.

use std::net::IpAddr;

/// A variable that only the request can answer for.  The `HTTP_*` variables are not among them:
/// they are request headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Var {
    ApiVersion,
    AuthType,
    ConnLogId,
    ConnRemoteAddr,
    ContentType,
    ContextDocumentRoot,
    ContextPrefix,
    DocumentRoot,
    Handler,
    Http2,
    Https,
    Ipv6,
    IsSubreq,
    LastModified,
    PathInfo,
    QueryString,
    RemoteAddr,
    RemoteHost,
    RemoteIdent,
    RemotePort,
    RemoteUser,
    RequestFilename,
    RequestLogId,
    RequestMethod,
    RequestScheme,
    RequestStatus,
    RequestUri,
    ScriptGroup,
    ScriptUser,
    ServerAdmin,
    ServerName,
    ServerPort,
    ServerProtocol,
    ServerSoftware,
    TheRequest,
    Time,
    TimeDay,
    TimeHour,
    TimeMin,
    TimeMon,
    TimeSec,
    TimeWday,
    TimeYear,
}

/// Where the value of a variable comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Var(Var),
    /// The request header of this name; asking for it counts for `Vary`.
    Header(&'static [u8]),
}

/// Every variable, in alphabetical order.  Not known, as in httpd: `SERVER_ADDR`, `SCRIPT_NAME`,
/// `UNIQUE_ID`.
pub(super) const VARIABLES: &[(&str, Source)] = &[
    ("API_VERSION", Source::Var(Var::ApiVersion)),
    ("AUTH_TYPE", Source::Var(Var::AuthType)),
    ("CONN_LOG_ID", Source::Var(Var::ConnLogId)),
    ("CONN_REMOTE_ADDR", Source::Var(Var::ConnRemoteAddr)),
    ("CONTENT_TYPE", Source::Var(Var::ContentType)),
    ("CONTEXT_DOCUMENT_ROOT", Source::Var(Var::ContextDocumentRoot)),
    ("CONTEXT_PREFIX", Source::Var(Var::ContextPrefix)),
    ("DOCUMENT_ROOT", Source::Var(Var::DocumentRoot)),
    ("DOCUMENT_URI", Source::Var(Var::RequestUri)),
    ("HANDLER", Source::Var(Var::Handler)),
    ("HTTP2", Source::Var(Var::Http2)),
    ("HTTPS", Source::Var(Var::Https)),
    ("HTTP_ACCEPT", Source::Header(b"Accept")),
    ("HTTP_COOKIE", Source::Header(b"Cookie")),
    ("HTTP_FORWARDED", Source::Header(b"Forwarded")),
    ("HTTP_HOST", Source::Header(b"Host")),
    ("HTTP_PROXY_CONNECTION", Source::Header(b"Proxy-Connection")),
    ("HTTP_REFERER", Source::Header(b"Referer")),
    ("HTTP_USER_AGENT", Source::Header(b"User-Agent")),
    ("IPV6", Source::Var(Var::Ipv6)),
    ("IS_SUBREQ", Source::Var(Var::IsSubreq)),
    ("LAST_MODIFIED", Source::Var(Var::LastModified)),
    ("PATH_INFO", Source::Var(Var::PathInfo)),
    ("QUERY_STRING", Source::Var(Var::QueryString)),
    ("REMOTE_ADDR", Source::Var(Var::RemoteAddr)),
    ("REMOTE_HOST", Source::Var(Var::RemoteHost)),
    ("REMOTE_IDENT", Source::Var(Var::RemoteIdent)),
    ("REMOTE_PORT", Source::Var(Var::RemotePort)),
    ("REMOTE_USER", Source::Var(Var::RemoteUser)),
    ("REQUEST_FILENAME", Source::Var(Var::RequestFilename)),
    ("REQUEST_LOG_ID", Source::Var(Var::RequestLogId)),
    ("REQUEST_METHOD", Source::Var(Var::RequestMethod)),
    ("REQUEST_SCHEME", Source::Var(Var::RequestScheme)),
    ("REQUEST_STATUS", Source::Var(Var::RequestStatus)),
    ("REQUEST_URI", Source::Var(Var::RequestUri)),
    ("SCRIPT_FILENAME", Source::Var(Var::RequestFilename)),
    ("SCRIPT_GROUP", Source::Var(Var::ScriptGroup)),
    ("SCRIPT_USER", Source::Var(Var::ScriptUser)),
    ("SERVER_ADMIN", Source::Var(Var::ServerAdmin)),
    ("SERVER_NAME", Source::Var(Var::ServerName)),
    ("SERVER_PORT", Source::Var(Var::ServerPort)),
    ("SERVER_PROTOCOL", Source::Var(Var::ServerProtocol)),
    ("SERVER_SOFTWARE", Source::Var(Var::ServerSoftware)),
    ("THE_REQUEST", Source::Var(Var::TheRequest)),
    ("TIME", Source::Var(Var::Time)),
    ("TIME_DAY", Source::Var(Var::TimeDay)),
    ("TIME_HOUR", Source::Var(Var::TimeHour)),
    ("TIME_MIN", Source::Var(Var::TimeMin)),
    ("TIME_MON", Source::Var(Var::TimeMon)),
    ("TIME_SEC", Source::Var(Var::TimeSec)),
    ("TIME_WDAY", Source::Var(Var::TimeWday)),
    ("TIME_YEAR", Source::Var(Var::TimeYear)),
];

/// A function of one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Base64,
    Env,
    Escape,
    File,
    FileSize,
    Ldap,
    Md5,
    Note,
    OsEnv,
    Req,
    ReqEnv,
    ReqNoVary,
    Resp,
    Sha1,
    ToLower,
    ToUpper,
    Unbase64,
    Unescape,
    /// `%{SSL:name}` and the `SSL_*` variables; only where TLS is known.
    Ssl,
    Health,
}

/// Every function that is always known, in alphabetical order.
pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("base64", Function::Base64),
    ("env", Function::Env),
    ("escape", Function::Escape),
    ("file", Function::File),
    ("filesize", Function::FileSize),
    ("http", Function::Req),
    ("ldap", Function::Ldap),
    ("md5", Function::Md5),
    ("note", Function::Note),
    ("osenv", Function::OsEnv),
    ("req", Function::Req),
    ("req_novary", Function::ReqNoVary),
    ("reqenv", Function::ReqEnv),
    ("resp", Function::Resp),
    ("sha1", Function::Sha1),
    ("tolower", Function::ToLower),
    ("toupper", Function::ToUpper),
    ("unbase64", Function::Unbase64),
    ("unescape", Function::Unescape),
];

/// What `-x word` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    NotEmpty,
    Empty,
    Truth,
    ClientIn,
    File(FileTest),
    Lookup(Lookup),
}

/// Every unary operator, by its letter.
pub(super) const UNARY: &[(u8, Unary)] = &[
    (b'n', Unary::NotEmpty),
    (b'z', Unary::Empty),
    (b'T', Unary::Truth),
    (b'R', Unary::ClientIn),
    (b'd', Unary::File(FileTest::Directory)),
    (b'e', Unary::File(FileTest::Exists)),
    (b'f', Unary::File(FileTest::Regular)),
    (b's', Unary::File(FileTest::NotEmpty)),
    (b'L', Unary::File(FileTest::Symlink)),
    (b'h', Unary::File(FileTest::Symlink)),
    (b'x', Unary::File(FileTest::Executable)),
    (b'F', Unary::Lookup(Lookup::File)),
    (b'U', Unary::Lookup(Lookup::Uri)),
    (b'A', Unary::Lookup(Lookup::Uri)),
];

/// What `word -name word` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    IpMatch,
    StrMatch,
    StrCaseMatch,
    Fnmatch,
}

/// Every named binary operator.
pub(super) const BINARY: &[(&str, Binary)] = &[
    ("ipmatch", Binary::IpMatch),
    ("strmatch", Binary::StrMatch),
    ("strcmatch", Binary::StrCaseMatch),
    ("fnmatch", Binary::Fnmatch),
];

/// The source of a variable by its name, in any case.
pub fn variable(name: &[u8]) -> Option<Source> {
    find(VARIABLES, name)
}

/// Finds a row by its name, in any case.
pub(super) fn find<T: Copy>(rows: &[(&str, T)], name: &[u8]) -> Option<T> {
    rows.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, row)| *row)
}

/// A question about a file of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTest {
    /// `-d`
    Directory,
    /// `-e`
    Exists,
    /// `-f`
    Regular,
    /// `-s`: a regular file that is not empty.
    NotEmpty,
    /// `-L`, `-h`: the link itself, not what it points to.
    Symlink,
    /// `-x`: executable (a directory: searchable).
    Executable,
}

/// A question that a subrequest answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// `-F`: may the request have this file, and does it exist?
    File,
    /// `-U`, `-A`: may the request have this URL?
    Uri,
}

/// The evaluation failed.  What that means is the caller's: a section does not apply, while
/// mod_headers takes a failed condition for true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("Recursion limit reached")]
    Recursion,
    #[error("Cannot open file {}", .0.escape_ascii())]
    OpenFile(Vec<u8>),
    #[error("Cannot read from file {}", .0.escape_ascii())]
    ReadFile(Vec<u8>),
}

/// A request, as expressions see it.  A method that appends adds nothing when there is no value.
pub trait Vars {
    /// Appends the value of a variable.
    fn var(&self, var: Var, out: &mut Vec<u8>);
    /// Appends a request header; names in any case.
    fn request_header(&self, name: &[u8], out: &mut Vec<u8>);
    /// Appends a response header, those of every status included.
    fn response_header(&self, name: &[u8], out: &mut Vec<u8>);
    /// Appends a note; false when there is none.
    fn note(&self, name: &[u8], out: &mut Vec<u8>) -> bool;
    /// Appends a variable of the request's environment; false when it is not set.
    fn env(&self, name: &[u8], out: &mut Vec<u8>) -> bool;
    /// Appends a variable of the process's environment.
    fn os_env(&self, name: &[u8], out: &mut Vec<u8>);
    /// The client's address, for `-R`.
    fn client(&self) -> Option<IpAddr>;
    /// Answers a file test.
    fn file_is(&self, test: FileTest, path: &[u8]) -> bool;
    /// Answers a lookup.
    fn lookup(&self, lookup: Lookup, target: &[u8]) -> bool;
    /// Appends the contents of a file.
    fn read_file(&self, path: &[u8], out: &mut Vec<u8>) -> Result<(), EvalError>;
    /// The size of a regular file, 0 when there is none.
    fn file_size(&self, path: &[u8]) -> u64;
    /// Appends an `SSL_*` variable; asked only where [`super::Options::ssl`] is set.
    fn ssl(&self, name: &[u8], out: &mut Vec<u8>);
    /// Appends what `hc(..)` says of the answer to a health check; only such an answer has something to say.
    fn health(&self, _item: &[u8], _out: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_unique() {
        assert!(VARIABLES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(find(VARIABLES, b"http_host"), Some(Source::Header(b"Host")));
        assert_eq!(find(VARIABLES, b"SERVER_ADDR"), None);
        assert_eq!(find(FUNCTIONS, b"HTTP"), Some(Function::Req));
    }
}
