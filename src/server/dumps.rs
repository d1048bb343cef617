//! Questions that are answered in place of serving.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::cli::Invocation;
use super::load::{CONFIG_FILE, Loaded, SERVER_ROOT, mpm};
use super::{Messages, vhosts};
use crate::config::core::{CoreProcess, CoreServer, Mutex};
use crate::config::{Directive, Generation, Places, Support, latin1, merge_path};
use crate::lang::Node;
use crate::modules;
use crate::modules::core::server::MUTEX_TYPES;
use crate::modules::unixd::{Account, Unixd};
use crate::net::daemon;

/// Where the process number is kept when nobody says.
pub const PID_FILE: &str = "/run/apache2.pid";
/// `DocumentRoot` when nobody says.
pub const DOCUMENT_ROOT: &str = "/var/www/html";
/// `DefaultRuntimeDir` when nobody says.
pub const RUNTIME_DIR: &str = "/var/run/apache2/";
/// `ErrorLog` when nobody says.
pub const ERROR_LOG: &str = "logs/error_log";

/// `-v`.
pub fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("Server version: Apache/2.4.71 (Tandem/{version})\nServer built:   {}\n", daemon::built())
}

/// `-l`.
pub fn builtin() -> String {
    let files = modules::ALL.iter().filter(|module| module.row.builtin).map(|module| module.row.file);
    files.fold("Compiled in modules:\n".to_owned(), |list, file| list + "  " + file + "\n")
}

/// `-V`: the configuration is read for the name of its MPM.
pub(crate) fn build(invocation: &Invocation, messages: &mut Messages) -> ExitCode {
    let (name, read) = mpm(invocation);
    let code = match read {
        Ok(warnings) => {
            messages.warnings(&warnings);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            messages.failure(&failure);
            ExitCode::FAILURE
        }
    };
    let mut out = version();
    out.push_str("Server's Module Magic Number: 20120211:142\n");
    let _ = writeln!(out, "Server loaded:  Tandem {}", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(out, "Compiled using: Tandem {}", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(out, "Architecture:   {}-bit", usize::BITS);
    let _ = writeln!(out, "Server MPM:     {name}");
    if !name.is_empty() {
        let threads = if name == "prefork" { "no" } else { "yes (fixed thread count)" };
        let _ = writeln!(out, "  threaded:     {threads}");
        out.push_str("    forked:     yes (variable process count)\n");
    }
    out.push_str("Server compiled with....\n");
    for (key, value) in [
        ("HTTPD_ROOT", SERVER_ROOT),
        ("SUEXEC_BIN", "/usr/lib/apache2/suexec"),
        ("DEFAULT_PIDLOG", PID_FILE),
        ("DEFAULT_ERRORLOG", ERROR_LOG),
        ("AP_TYPES_CONFIG_FILE", "mime.types"),
        ("SERVER_CONFIG_FILE", CONFIG_FILE),
    ] {
        let _ = writeln!(out, " -D {key}=\"{value}\"");
    }
    super::answer(&out);
    code
}

/// `-L`: the directives of the loaded modules.
pub fn directives(loaded: &Loaded) -> String {
    let mut out = String::new();
    let ids = &loaded.generation.globals.modules;
    for module in ids.iter().filter_map(|id| modules::ALL.iter().find(|module| module.row.id == *id)) {
        for row in module.row.directives {
            let places = places(row, !SERVER_ONLY.contains(&module.row.id));
            let _ = writeln!(out, "{} ({})\n\t{}\n\t{places}", row.name, module.row.file, row.usage);
        }
    }
    out
}

/// Modules that keep nothing for a directory, though their directives may stand in one.
const SERVER_ONLY: &[&str] = &["version_module", "macro_module", "proxy_express_module", "proxy_hcheck_module"];

fn places(row: &Directive, per_dir: bool) -> String {
    let in_files = row.places.any(Places::ALL);
    let (inside, outside) = (row.places.any(Places::DIR), row.places.any(Places::SERVER));
    let mut out = "Allowed in *.conf ".to_owned();
    let options = Places::OPTIONS.or(Places::FILEINFO).or(Places::INDEXES);
    let outside = outside || row.places.any(options);
    let inside = inside || in_files;
    out.push_str(match (inside, outside) {
        (true, true) => "anywhere",
        (true, false) => "only inside <Directory>, <Files>, <Location>, or <If>",
        _ => "only outside <Directory>, <Files>, <Location>, or <If>",
    });
    if !per_dir && row.places.any(Places::ALL.or(Places::DIR)) {
        out.push_str(" [no per-dir config]");
    }
    if !in_files {
        return out;
    }
    let all = row.places.0 & Places::ALL.0 == Places::ALL.0;
    let classes: Vec<&str> = [
        (Places::AUTHCFG, "AuthConfig"),
        (Places::LIMIT, "Limit"),
        (Places::OPTIONS, "Options"),
        (Places::FILEINFO, "FileInfo"),
        (Places::INDEXES, "Indexes"),
    ]
    .into_iter()
    .filter(|(class, _)| row.places.any(*class))
    .map(|(_, name)| name)
    .collect();
    out.push_str(" and in .htaccess\n\twhen AllowOverride ");
    if all {
        out.push_str("isn't None");
    } else {
        let _ = write!(out, "includes {}", classes.join(" or "));
    }
    out
}

/// The answer to `-D DUMP_SUPPORT`: what becomes of every directive. `grammar/directives.txt` is this text.
pub fn support() -> String {
    let mut out = "# tandem -D DUMP_SUPPORT: what becomes of every directive of httpd's modules.\n\
                   # obeyed: it works, but for what is said behind it. no effect: accepted, there is nothing here for it to set.\n\
                   # warned: checked, without effect yet. refused: checked by -t, the server does not start with it.\n"
        .to_owned();
    for module in modules::ALL {
        if module.row.directives.is_empty() && modules::words(module.row.id).is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{}", module.row.file);
        let mut rows: Vec<_> = module.row.directives.iter().collect();
        rows.sort_by_key(|row| row.name.trim_start_matches('<').to_ascii_lowercase());
        for row in rows {
            let name = if row.name.starts_with('<') { format!("{}>", row.name) } else { row.name.to_owned() };
            let status = match row.support {
                Support::Done => "obeyed",
                Support::Moot => "no effect",
                Support::Missing => "warned",
                Support::Refused => "refused",
            };
            let _ = match row.why {
                "" => writeln!(out, "  {name:<32} {status}"),
                why => writeln!(out, "  {name:<32} {status}: {why}"),
            };
        }
        for (name, obeyed) in modules::words(module.row.id) {
            let _ = writeln!(out, "  {name:<32} {}", if obeyed { "obeyed" } else { "refused" });
        }
    }
    out
}

/// The dumps that `-D DUMP_…` names, in httpd's order.
pub fn all(invocation: &Invocation, loaded: &Loaded) -> String {
    let mut out = String::new();
    let generation = &loaded.generation;
    if invocation.is_defined(b"DUMP_VHOSTS") {
        out.push_str(&vhosts::dump(&generation.servers));
    }
    let info = generation.globals.modules.contains(&"info_module");
    if invocation.is_defined(b"DUMP_CONFIG") && info && (invocation.check || invocation.dumps()) {
        let mut file = String::new();
        config(&mut out, &loaded.tree, 0, &mut file);
    }
    if invocation.is_defined(b"DUMP_RUN_CFG") {
        run_config(&mut out, loaded);
    }
    if invocation.is_defined(b"DUMP_MODULES") {
        out.push_str("Loaded Modules:\n");
        for id in &generation.globals.modules {
            let builtin = modules::ALL.iter().any(|module| module.row.id == *id && module.row.builtin);
            let _ = writeln!(out, " {id} ({})", if builtin { "static" } else { "shared" });
        }
    }
    out
}

fn config(out: &mut String, nodes: &[Node], depth: usize, file: &mut String) {
    let pad = "  ".repeat(depth);
    let enter = |out: &mut String, file: &mut String, node: &Node| {
        if *file != *node.file {
            let _ = writeln!(out, "# In file: {}", node.file);
            *file = node.file.to_string();
        }
    };
    for node in nodes {
        enter(out, file, node);
        let (name, args) = (latin1(&node.name), latin1(&node.args));
        let blank = if args.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{pad}#{:>4}:\n{pad}{name}{blank}{args}", node.line);
        // What is empty is not closed.
        if name.starts_with('<') && !node.children.is_empty() {
            config(out, &node.children, depth + 1, file);
            enter(out, file, node);
            let _ = writeln!(out, "{pad}</{}>", name.trim_start_matches('<'));
        }
    }
}

fn run_config(out: &mut String, loaded: &Loaded) {
    let Generation { servers, globals, .. } = &loaded.generation;
    let rooted = |path: &[u8]| latin1(&merge_path(&globals.server_root, path));
    let main = servers.first();
    let _ = writeln!(out, "ServerRoot: \"{}\"", latin1(&globals.server_root));
    let root = main.and_then(|main| main.get::<CoreServer>()).and_then(|core| core.document_root.as_deref());
    let root = root.map_or_else(|| DOCUMENT_ROOT.to_owned(), latin1);
    let _ = writeln!(out, "Main DocumentRoot: \"{root}\"");
    let log = main.and_then(|main| main.rec.error_log.as_deref()).unwrap_or(ERROR_LOG.as_bytes());
    let log = if log.starts_with(b"|") || log.starts_with(b"syslog") { latin1(log) } else { rooted(log) };
    let _ = writeln!(out, "Main ErrorLog: \"{log}\"");
    let process = globals.conf.get::<CoreProcess>();
    let mutexes = process.map_or(&[][..], |process| &process.mutexes);
    let known = MUTEX_TYPES.iter().filter(|(_, id)| globals.modules.contains(id)).map(|(name, _)| *name);
    for name in std::iter::once("default").chain(known) {
        match mutexes.iter().find(|mutex| mutex.kind == name.as_bytes()) {
            None if name != "default" => {
                let _ = writeln!(out, "Mutex {name}: using_defaults");
            }
            found => {
                let runtime = || globals.runtime_dir.as_deref().map_or_else(|| RUNTIME_DIR.to_owned(), latin1);
                // What is no file has no folder, but where all are alike.
                let is_file = |mutex: &Mutex| name == "default" || matches!(mutex.mechanism, "fcntl" | "flock");
                let dir = match found {
                    Some(mutex) if mutex.dir.is_none() && !is_file(mutex) => String::new(),
                    found => found.and_then(|mutex| mutex.dir.as_deref()).map_or_else(runtime, latin1),
                };
                let mechanism = found.map_or("default", |mutex| mutex.mechanism);
                let pid = if found.is_some_and(|mutex| mutex.omit_pid) { "[OmitPid]" } else { "" };
                let _ = writeln!(out, "Mutex {name}: dir=\"{dir}\" mechanism={mechanism} {pid}");
            }
        }
    }
    let pid = process.and_then(|process| process.pid_file.as_deref()).map_or_else(|| PID_FILE.to_owned(), rooted);
    let _ = writeln!(out, "PidFile: \"{pid}\"");
    for define in &loaded.defines {
        let _ = match &define.value {
            Some(value) => writeln!(out, "Define: {}={}", latin1(&define.name), latin1(value)),
            None => writeln!(out, "Define: {}", latin1(&define.name)),
        };
    }
    let unixd = globals.conf.get::<Unixd>().cloned().unwrap_or_default();
    for (kind, account) in [("User", unixd.user), ("Group", unixd.group)] {
        let nobody = Account { name: b"#-1".to_vec(), id: u32::MAX };
        let account = account.unwrap_or(nobody);
        let _ = writeln!(out, "{kind}: name=\"{}\" id={}", latin1(&account.name), account.id);
    }
}
