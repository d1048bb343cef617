//! Directives of the core that hold for a server or for the process.

use crate::base::clock::leading_integer;
use crate::base::fnmatch::is_wildcard;
use crate::base::pattern::Flags;
use crate::config::core::{CoreProcess, CoreServer, Mutex, Tokens, Trace};
use crate::config::{Args, Cmd, Place, Warning, latin1};
use crate::logs::{ErrorLog, Level, LogLevels, level_of};
use crate::net::files;

/// What an `apply` answers.
pub(super) type Done = Result<(), String>;

/// The leading integer as C's `atoi` reads it; too big saturates.
pub(crate) fn atoi(text: &[u8]) -> i64 {
    crate::modules::check::number(text)
}

/// `ServerName [scheme://]host[:port]`.
pub(super) fn server_name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    let arg = args.word(0);
    if is_wildcard(arg) {
        return Err(format!("Invalid ServerName \"{}\" use ServerAlias to set multiple server names.", args.text(0)));
    }
    let (scheme, rest) = match memchr::memmem::find(arg, b"://") {
        Some(at) => (Some(arg[..at].to_ascii_lowercase()), &arg[at + 3..]),
        None => (None, arg),
    };
    let (host, port) = match memchr::memchr(b':', rest) {
        Some(at) => {
            let port = u16::try_from(atoi(&rest[at + 1..])).ok().filter(|port| *port != 0).ok_or_else(|| {
                format!("The port number \"{}\" is outside the appropriate range (i.e., 1..65535).", args.text(0))
            })?;
            (&rest[..at], Some(port))
        }
        None => (rest, None),
    };
    let rec = &mut cmd.server.rec;
    if scheme.is_some() {
        rec.scheme = scheme;
    }
    rec.name = Some(host.to_vec());
    rec.port = port;
    Ok(())
}

/// The words of a raw argument text, as httpd cuts them.
pub(super) fn words(mut raw: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let (word, rest) = crate::config::get_word(raw);
        // An empty word in quotes is one.
        if raw.trim_ascii().is_empty() {
            return out;
        }
        out.push(word);
        raw = rest;
    }
}

/// `ServerAlias name ...`.
pub(super) fn server_alias(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if !cmd.is_virtual() {
        return Err("ServerAlias only used in <VirtualHost>".to_owned());
    }
    for name in words(args.raw) {
        let list = if is_wildcard(&name) { &mut cmd.server.rec.wild_aliases } else { &mut cmd.server.rec.aliases };
        list.push(name);
    }
    Ok(())
}

/// `ServerPath`.
pub(super) fn server_path(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server.rec.path = Some(args.word(0).to_vec());
    Ok(())
}

/// `ServerAdmin`.
pub(super) fn server_admin(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server.rec.admin = Some(args.word(0).to_vec());
    Ok(())
}

/// `DocumentRoot`; whether it exists is asked here for the main server and later for virtual hosts.
pub(super) fn document_root(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    let mut path = crate::config::merge_path(&cmd.globals.server_root, args.word(0));
    let written = path.clone();
    while path.len() > 1 && path.last() == Some(&b'/') {
        path.pop();
    }
    if !cmd.globals.skip_docroot_check && !is_directory(&path) {
        let shown = latin1(&written);
        if cmd.is_virtual() || cmd.globals.reloading {
            cmd.warnings.push(Warning {
                module: "core",
                level: "warn",
                text: format!("AH00112: Warning: DocumentRoot [{shown}] does not exist"),
                bare: true,
            });
        } else {
            return Err(format!("DocumentRoot '{shown}' is not a directory, or is not readable"));
        }
    }
    cmd.server_conf::<CoreServer>().document_root = Some(path);
    Ok(())
}

/// Whether there is a directory under this path.
pub(super) fn is_directory(path: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    files::look(std::ffi::OsStr::from_bytes(path)).is_ok_and(|found| found.kind == files::Kind::Folder)
}

/// `AccessFileName`.
pub(super) fn access_file_name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server_conf::<CoreServer>().access_file_names = Some(words(args.raw));
    Ok(())
}

/// `ErrorLog`.
pub(super) fn error_log(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server.rec.error_log = Some(args.word(0).to_vec());
    Ok(())
}

/// `ErrorLogFormat`.
pub(super) fn error_log_format(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server_conf::<ErrorLog>().set_format(args.word(0), args.opt(1))
}

/// `LogLevel`, one word at a time.
pub(super) fn log_level(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let word = args.word(0);
    let known = cmd.globals.modules.clone();
    let find = |name: &[u8]| known.iter().find_map(|id| crate::modules::log_name(id, name));
    if let Place::Section(_) | Place::Htaccess = cmd.place {
        return cmd.dir_conf::<LogLevels>().set(word, find);
    }
    cmd.server_conf::<LogLevels>().set(word, find)?;
    cmd.server.has_log_level = true;
    // Said under the levels that hold by now.
    if let Some(at) = memchr::memchr(b':', word)
        && level_of(cmd.server.get::<LogLevels>(), None, "core") >= Level::Trace3
    {
        let named = find(word.get(..at).unwrap_or_default());
        let file = crate::modules::ALL.iter().map(|module| &module.row);
        let file = file.filter(|row| row.id.strip_suffix("_module") == named).map(|row| row.file).next();
        let level = latin1(word.get(at + 1..).unwrap_or_default());
        let text = format!("core.c(3517): Setting LogLevel for module {} to {level}", file.unwrap_or_default());
        cmd.warn("core", "trace3", text);
    }
    Ok(())
}

/// `Timeout`, in seconds.
pub(super) fn timeout(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server.rec.timeout = Some(u32::try_from(atoi(args.word(0)).max(0)).unwrap_or(u32::MAX));
    Ok(())
}

fn limit(args: &Args<'_>, name: &str, tail: &str) -> Result<usize, String> {
    usize::try_from(atoi(args.word(0)))
        .map_err(|_| format!("{name} \"{}\" must be a non-negative integer{tail}", args.text(0)))
}

/// `LimitRequestLine`.
pub(super) fn limit_line(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server.rec.limit_line = Some(limit(args, cmd.directive.name, "")?);
    Ok(())
}

/// `LimitRequestFieldSize`.
pub(super) fn limit_field_size(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server.rec.limit_field_size = Some(limit(args, cmd.directive.name, "")?);
    Ok(())
}

/// `LimitRequestFields`.
pub(super) fn limit_fields(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server.rec.limit_fields = Some(limit(args, cmd.directive.name, " (0 = no limit)")?);
    Ok(())
}

/// `ServerTokens`.
pub(super) fn server_tokens(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    let word = args.word(0).to_ascii_lowercase();
    let tokens = match word.as_slice() {
        b"os" => Tokens::Os,
        b"min" | b"minimal" => Tokens::Min,
        b"major" => Tokens::Major,
        b"minor" => Tokens::Minor,
        b"prod" | b"productonly" => Tokens::Prod,
        b"full" => Tokens::Full,
        _ => {
            return Err(
                "ServerTokens takes 1 argument: 'Prod(uctOnly)', 'Major', 'Minor', 'Min(imal)', 'OS', or 'Full'".into(),
            );
        }
    };
    cmd.globals.conf.get_mut::<CoreProcess>().tokens = Some(tokens);
    Ok(())
}

/// `TraceEnable`.
pub(super) fn trace_enable(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let trace = match args.word(0).to_ascii_lowercase().as_slice() {
        b"on" => Trace::On,
        b"off" => Trace::Off,
        b"extended" => Trace::Extended,
        _ => return Err("TraceEnable must be one of 'on', 'off', or 'extended'".to_owned()),
    };
    cmd.server_conf::<CoreServer>().trace = Some(trace);
    Ok(())
}

/// `MergeTrailers`.
pub(super) fn merge_trailers(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.server_conf::<CoreServer>().merge_trailers = Some(args.on());
    Ok(())
}

/// `MergeSlashes`.
pub(super) fn merge_slashes(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server_conf::<CoreServer>().merge_slashes = Some(args.on());
    Ok(())
}

/// `StrictHostCheck`.
pub(super) fn strict_host_check(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server_conf::<CoreServer>().strict_host_check = Some(args.on());
    Ok(())
}

/// `Protocol`.
pub(super) fn protocol(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    cmd.server_conf::<CoreServer>().protocol = Some(args.word(0).to_ascii_lowercase());
    Ok(())
}

/// `Protocols`, one word at a time; a plain word starts the list anew, `+` adds, `-` takes away.
pub(super) fn protocols(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    let word = args.word(0).to_ascii_lowercase();
    let list = cmd.server_conf::<CoreServer>().protocols.get_or_insert_default();
    match word.split_first() {
        Some((b'-', name)) => list.retain(|old| old != name),
        Some((b'+', name)) if !list.iter().any(|old| old == name) => list.push(name.to_vec()),
        Some((b'+', _)) => {}
        _ if !list.contains(&word) => list.push(word),
        _ => {}
    }
    Ok(())
}

/// `ProtocolsHonorOrder`.
pub(super) fn protocols_honor_order(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.not_in_dir_context()?;
    let value = on_off(args).ok_or_else(|| "ProtocolsHonorOrder must be 'on' or 'off'".to_owned())?;
    cmd.server_conf::<CoreServer>().protocols_honor_order = Some(value);
    Ok(())
}

/// `on` or `off` in any case.
pub(super) fn on_off(args: &Args<'_>) -> Option<bool> {
    match args.word(0).to_ascii_lowercase().as_slice() {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

/// `HttpProtocolOptions`, one word at a time.
pub(super) fn http_protocol_options(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let word = args.word(0).to_ascii_lowercase();
    let conf = cmd.server_conf::<CoreServer>();
    let (field, value, pair) = match word.as_slice() {
        b"allow0.9" => (&mut conf.http09, true, ("Allow0.9", "Require1.0")),
        b"require1.0" => (&mut conf.http09, false, ("Allow0.9", "Require1.0")),
        b"strict" => (&mut conf.strict, true, ("Strict", "Unsafe")),
        b"unsafe" => (&mut conf.strict, false, ("Strict", "Unsafe")),
        b"registeredmethods" => (&mut conf.registered_methods, true, ("RegisteredMethods", "LenientMethods")),
        b"lenientmethods" => (&mut conf.registered_methods, false, ("RegisteredMethods", "LenientMethods")),
        _ => {
            return Err("HttpProtocolOptions accepts 'Unsafe' or 'Strict' (default), 'RegisteredMethods' or \
                        'LenientMethods' (default), and 'Require1.0' or 'Allow0.9' (default)"
                .to_owned());
        }
    };
    if field.is_some_and(|old| old != value) {
        return Err(format!("HttpProtocolOptions '{}' and '{}' are mutually exclusive", pair.0, pair.1));
    }
    *field = Some(value);
    Ok(())
}

/// `RegisterHttpMethod`, one word at a time.
pub(super) fn register_method(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    cmd.globals.conf.get_mut::<CoreProcess>().methods.push(args.word(0).to_vec());
    Ok(())
}

/// `LimitInternalRecursion`.
pub(super) fn limit_recursion(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let number = |word: &[u8]| {
        u32::try_from(atoi(word))
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| "The recursion limit must be greater than zero.".to_owned())
    };
    let first = number(args.word(0))?;
    let second = args.opt(1).map_or(Ok(first), number)?;
    if first < 4 {
        let text = "AH00119: Limiting internal redirects to very low numbers may cause normal requests to fail.";
        cmd.warn("core", "warn", text.to_owned());
    }
    if second < 4 && args.opt(1).is_some() {
        let text = "AH00120: Limiting the subrequest depth to a very low level may cause normal requests to fail.";
        cmd.warn("core", "warn", text.to_owned());
    }
    cmd.server_conf::<CoreServer>().recursion = Some((first, second));
    Ok(())
}

/// `FlushMaxThreshold`.
pub(super) fn flush_max_threshold(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (number, rest) = leading_integer(args.word(0));
    let number = number.filter(|_| rest.is_empty()).and_then(|number| usize::try_from(number).ok());
    let Some(number) = number else {
        return Err(format!("parameter must be a number between 0 and (4294967295U)): {}", args.text(0)));
    };
    cmd.server_conf::<CoreServer>().flush_max_threshold = Some(number);
    Ok(())
}

/// `FlushMaxPipelined`.
pub(super) fn flush_max_pipelined(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (number, rest) = leading_integer(args.word(0));
    let number = number.filter(|number| rest.is_empty() && (-1..=i64::from(i32::MAX)).contains(number));
    let Some(number) = number else {
        return Err(format!("parameter must be a number between -1 and (2147483647): {}", args.text(0)));
    };
    cmd.server_conf::<CoreServer>().flush_max_pipelined = Some(number);
    Ok(())
}

/// `AcceptFilter`.
pub(super) fn accept_filter(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    let pair = (args.word(0).to_vec(), args.word(1).to_vec());
    cmd.globals.conf.get_mut::<CoreProcess>().accept_filters.push(pair);
    Ok(())
}

/// `NameVirtualHost`: a warning.
pub(super) fn name_virtual_host(cmd: &mut Cmd<'_>, _: &Args<'_>) -> Done {
    let text = format!(
        "AH00548: NameVirtualHost has no effect and will be removed in the next release {}:{}",
        cmd.at.file, cmd.at.line
    );
    cmd.warnings.push(Warning { module: "core", level: "warn", text, bare: true });
    Ok(())
}

/// `Port`: an error.
pub(super) fn port(_: &mut Cmd<'_>, _: &Args<'_>) -> Done {
    Err("Port was replaced with Listen in Apache 2.0".to_owned())
}

/// `Error text`: always an error.
pub(super) fn error(_: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if args.raw.is_empty() {
        return Err("The Error directive was used with no message.".to_owned());
    }
    // The text is one word if that is all there is and it is quoted, the whole line otherwise.
    let quote = args.raw.first().filter(|byte| matches!(byte, b'"' | b'\''));
    let quoted = quote.is_some() && args.raw.len() > 1 && args.raw.last() == quote;
    let (word, rest) = crate::config::get_word(args.raw);
    Err(latin1(if quoted && rest.is_empty() { &word } else { args.raw }))
}

/// `PidFile`.
pub(super) fn pid_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    cmd.globals.conf.get_mut::<CoreProcess>().pid_file = Some(args.word(0).to_vec());
    Ok(())
}

/// `ScoreBoardFile`.
pub(super) fn scoreboard(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    cmd.globals.conf.get_mut::<CoreProcess>().scoreboard = Some(args.word(0).to_vec());
    Ok(())
}

/// `ExtendedStatus`.
pub(super) fn extended_status(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    cmd.globals.conf.get_mut::<CoreProcess>().extended_status = Some(args.on());
    Ok(())
}

/// `SeeRequestTail`.
pub(super) fn see_request_tail(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    cmd.globals.conf.get_mut::<CoreProcess>().see_request_tail = Some(args.on());
    Ok(())
}

/// `MaxConnectionsPerChild`.
pub(super) fn max_connections(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    cmd.globals.conf.get_mut::<CoreProcess>().max_connections_per_child = Some(atoi(args.word(0)));
    Ok(())
}

/// `CoreDumpDirectory`.
pub(super) fn core_dump_directory(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    let path = crate::config::merge_path(&cmd.globals.server_root, args.word(0));
    if !is_directory(&path) {
        return Err(format!("CoreDumpDirectory {} does not exist", latin1(&path)));
    }
    cmd.globals.conf.get_mut::<CoreProcess>().core_dump_dir = Some(path);
    Ok(())
}

/// `MaxMemFree`, in KiB.
pub(super) fn max_mem_free(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    if leading_integer(args.word(0)).0.is_none_or(|number| number < 0) {
        return Err(format!("Invalid MaxMemFree value: {}", args.text(0)));
    }
    Ok(())
}

/// `ThreadStackSize`, in bytes.
pub(super) fn thread_stack_size(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    if leading_integer(args.word(0)).0.is_none_or(|number| number < 0) {
        return Err(format!("Invalid ThreadStackSize value: {}", args.text(0)));
    }
    Ok(())
}

/// `RegexDefaultOptions`: `none`, or options of which one without a sign stands for all there are.
pub(super) fn regex_default_options(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    const NONE: Flags =
        Flags { icase: false, multiline: false, no_dotall: true, dollar_newline: true, extended: false };
    cmd.global_only()?;
    let mut flags = cmd.globals.conf.get_mut::<CoreProcess>().regex_flags;
    for word in words(args.raw) {
        if word.eq_ignore_ascii_case(b"none") {
            flags = NONE;
            continue;
        }
        let (on, name) = match word.split_first() {
            Some((b'+', name)) => (true, name),
            Some((b'-', name)) => (false, name),
            _ => {
                flags = NONE;
                (true, word.as_slice())
            }
        };
        match name.to_ascii_lowercase().as_slice() {
            b"icase" => flags.icase = on,
            b"dotall" => flags.no_dotall = !on,
            b"dollar_endonly" => flags.dollar_newline = !on,
            _ => return Err(format!("RegexDefaultOptions: option '{}' unknown", latin1(name))),
        }
    }
    cmd.globals.conf.get_mut::<CoreProcess>().regex_flags = flags;
    Ok(())
}

const MECHANISMS: &str = "(Mutex mechanisms are: 'none', 'default', 'flock:/path/to/file', 'fcntl:/path/to/file', \
                          'file:/path/to/file', 'pthread', 'sysvsem', 'posixsem', 'sem')";

/// Mutex types by the module that brings them.
pub const MUTEX_TYPES: &[(&str, &str)] = &[
    ("watchdog-callback", "watchdog_module"),
    ("authdigest-client", "auth_digest_module"),
    ("authn-socache", "authn_socache_module"),
    ("cache-socache", "cache_socache_module"),
    ("ldap-cache", "ldap_module"),
    ("lua-ivm-shm", "lua_module"),
    ("mpm-accept", "mpm_prefork_module"),
    ("proxy", "proxy_module"),
    ("proxy-balancer-shm", "proxy_balancer_module"),
    ("rewrite-map", "rewrite_module"),
    ("ssl-cache", "ssl_module"),
    ("ssl-stapling", "ssl_module"),
    ("ssl-stapling-refresh", "ssl_module"),
];

/// `Mutex mechanism [type ...] [OmitPID]`.
pub(super) fn mutex(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    let words = words(args.raw);
    let Some((first, rest)) = words.split_first().filter(|(first, _)| !first.is_empty()) else {
        return Err(format!("Mutex requires at least a mechanism argument {MECHANISMS}"));
    };
    let (name, file) = match memchr::memchr(b':', first) {
        Some(at) => (&first[..at], Some(&first[at + 1..])),
        None => (first.as_slice(), None),
    };
    let mechanism = match name.to_ascii_lowercase().as_slice() {
        b"none" => "none",
        b"default" => "default",
        b"file" | b"fcntl" => "fcntl",
        b"flock" => "flock",
        b"pthread" => "pthread",
        b"sysvsem" => "sysvsem",
        b"sem" | b"posixsem" => "posixsem",
        _ => return Err(format!("Invalid Mutex argument {} {MECHANISMS}", latin1(first))),
    };
    let dir = match file {
        Some(file) if mechanism != "none" => {
            let path = crate::config::merge_path(&cmd.globals.server_root, file);
            if !is_directory(&path) {
                return Err(format!("Invalid Mutex directory in argument {}", latin1(first)));
            }
            Some(path)
        }
        _ => None,
    };
    let mut kinds: Vec<Vec<u8>> = Vec::new();
    let mut omit_pid = false;
    for word in rest {
        if word.eq_ignore_ascii_case(b"omitpid") {
            omit_pid = true;
        } else {
            kinds.push(word.clone());
        }
    }
    if kinds.is_empty() {
        kinds.push(b"default".to_vec());
    }
    for kind in kinds {
        let known = kind.eq_ignore_ascii_case(b"default")
            || MUTEX_TYPES
                .iter()
                .any(|(name, id)| name.as_bytes().eq_ignore_ascii_case(&kind) && cmd.globals.modules.contains(id));
        if !known {
            return Err(format!("Mutex type {} is not valid", latin1(&kind)));
        }
        if mechanism == "none" {
            return Err(format!("None is not allowed for mutex type {}", latin1(&kind)));
        }
        let kind = kind.to_ascii_lowercase();
        let mutexes = &mut cmd.globals.conf.get_mut::<CoreProcess>().mutexes;
        mutexes.retain(|old| old.kind != kind);
        mutexes.push(Mutex { kind, mechanism, dir: dir.clone(), omit_pid });
    }
    Ok(())
}
