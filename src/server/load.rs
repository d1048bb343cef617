//! From files to a generation: read, walk, merge, check.

use std::os::unix::ffi::OsStrExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::cli::Invocation;
use super::host::Modules;
use super::{names, remark};
use crate::base::clock::{ErrorTime, push_error_time};
use crate::base::diag::Sources;
use crate::config::{Generation, Globals, PostConfig, Use, Walk, WalkFault, Warning, compile, latin1, merge_path};
use crate::lang::{Define, Fault, Node, Notice, Reader, escape_message};
use crate::logs::{Level, LogLevels, level_of};
use crate::modules::core::logs::error_log_file;

/// Where configuration is when nobody says.
pub const SERVER_ROOT: &str = "/etc/apache2";
/// The main file when nobody says.
pub const CONFIG_FILE: &str = "apache2.conf";

/// A configuration that was accepted.
pub struct Loaded {
    /// What is served.
    pub generation: Generation,
    /// Messages to print or log, in order.
    pub warnings: Vec<Warning>,
    /// How many of them came before anything was made ready to run.
    pub early: usize,
    /// Uses of directives that are not obeyed.
    pub uses: Vec<Use>,
    /// `DUMP_INCLUDES`.
    pub includes: String,
    /// The tree, for dumps.
    pub tree: Vec<Node>,
    /// `-D` and `Define` names with their values, for dumps.
    pub defines: Vec<Define>,
}

/// A configuration that was not accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What belongs on standard output.
    pub stdout: String,
    /// Messages that came before the error.
    pub warnings: Vec<Warning>,
    /// The error, httpd's bytes, line ends included. Characters up to U+00FF are bytes.
    pub text: String,
    /// The line with the wrong part marked and advice, for people at a terminal.
    pub remark: String,
    /// The main server's error log, when the configuration was whole and could not be made ready: httpd has its logs
    /// open by then, and says it there alone.
    pub log: Option<Vec<u8>>,
}

/// Loads the configuration; `previous` is the generation it will replace.
pub fn load(options: &Invocation, previous: Option<&Generation>) -> Result<Loaded, Box<Failure>> {
    let dumping = options.dumps() || options.question.is_some();
    let check_only = options.check || dumping;
    let mut modules = Modules::new();
    let (read, tree) = read(options, &mut modules, server_root(options))?;
    let mut warnings: Vec<Warning> = read.notices.into_iter().map(warning).collect();
    if modules.ids.contains(&"auth_digest_module") {
        let text = "mod_auth_digest.c(380): AH01757: generating secret for digest authentication".to_owned();
        warnings.push(Warning { module: "auth_digest", level: "debug", text, bare: false });
    }
    let fail = |warnings: Vec<Warning>, text: String, remark: String| {
        Box::new(Failure { stdout: read.includes.clone(), warnings, text, remark, log: None })
    };
    let mpms = modules.ids.iter().filter(|id| id.starts_with("mpm_")).count();
    if mpms != 1 {
        let count = if mpms == 0 { "No MPM" } else { "More than one MPM" };
        let text = format!("AH00534: {}: Configuration error: {count} loaded.\n", options.program);
        return Err(fail(warnings, text, String::new()));
    }

    let globals = Globals {
        program: options.program.clone(),
        server_root: read.server_root,
        system: super::host::system(),
        runtime_dir: read.runtime_dir,
        skip_docroot_check: options.skip_docroot,
        dumping,
        reloading: previous.is_some() || options.reloading,
        defines: read.defines.iter().map(|define| latin1(&define.name)).collect(),
        variables: read.defines.clone(),
        modules: modules.ids.clone(),
        ..Globals::default()
    };
    let start = globals.clone();
    let mut walk = Walk::new(&modules.rows, globals);
    let walked = walk.run(&tree);
    let (servers, mut globals, uses) = (walk.servers, walk.globals, walk.uses);
    warnings.append(&mut walk.warnings);
    if let Err(fault) = walked {
        let mut remark = remark::of_walk(&fault, &read.sources, &modules);
        // httpd stops at the first; whoever reads the remark wants to mend all of them.
        let mut again = Walk::new(&modules.rows, start);
        again.faults = Some(Vec::new());
        let _ = again.run(&tree);
        let others = again.faults.unwrap_or_default();
        let others: Vec<&WalkFault> = others.iter().filter(|other| other.at != fault.at).collect();
        remark.push_str(&remark::further(&others, &read.sources, &modules));
        return Err(fail(warnings, walk_error(&fault), remark));
    }

    let mut servers = compile(servers);
    names::fix(&mut servers, &options.program, &mut warnings);
    let early = warnings.len();
    for module in modules.loaded() {
        let mut checks = PostConfig {
            servers: &mut servers,
            globals: &mut globals,
            previous,
            warnings: &mut warnings,
            check_only,
            reloading: options.reloading,
        };
        if let Err(fatal) = (module.row.post_config)(&mut checks) {
            let mut text = fatal.text;
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            if !fatal.quiet && tells_errors(options) {
                text.push_str("AH00014: Configuration check failed\n");
            }
            // Reloads say it themselves.
            let late = !globals.reloading && text.ends_with("AH00016: Configuration Failed\n");
            let mut failure = fail(warnings, text, String::new());
            if options.is_defined(b"DUMP_VHOSTS") {
                // httpd has said so before it checks.
                failure.stdout.push_str(&super::vhosts::dump(&servers));
            }
            let main = servers.first().filter(|_| late);
            failure.log = main.and_then(|main| error_log_file(main, &globals.server_root));
            if failure.log.is_some() {
                let levels = main.and_then(|main| main.get::<LogLevels>());
                let notable = |warning: &Warning| Level::parse(warning.level.as_bytes()) <= Some(Level::Notice);
                failure.warnings.retain(|warning| warning.bare || notable(warning) || is_for_log(warning, levels));
            }
            return Err(failure);
        }
    }
    let serial = previous.map_or(1, |previous| previous.serial + 1);
    crate::pipe::install(crate::modules::ALL);
    let levels = servers.first().and_then(|main| main.get::<LogLevels>());
    let more = std::mem::take(&mut globals.said);
    globals.said = warnings.iter().filter(|warning| is_for_log(warning, levels)).cloned().collect();
    globals.said.extend(more);
    if globals.modules.contains(&"info_module") {
        globals.tree = tree.clone().into();
    }
    let generation = Generation::new(servers, globals, serial);
    let early = if check_only { warnings.len() } else { early };
    Ok(Loaded { generation, warnings, early, uses, includes: read.includes, tree, defines: read.defines })
}

/// The name of the MPM that the configuration loads, which is read for it, not walked; what reading said, and why it
/// ended.
pub fn mpm(options: &Invocation) -> (String, Result<Vec<Warning>, Box<Failure>>) {
    let mut modules = Modules::new();
    let read = read(options, &mut modules, server_root(options));
    let name = modules.ids.iter().find_map(|id| id.strip_prefix("mpm_")).and_then(|name| name.strip_suffix("_module"));
    (name.unwrap_or_default().to_owned(), read.map(|(read, _)| read.notices.into_iter().map(warning).collect()))
}

fn server_root(options: &Invocation) -> Vec<u8> {
    let root = options.server_root.clone().unwrap_or_else(|| SERVER_ROOT.as_bytes().to_vec());
    let mut root = merge_path(&working_directory(), &root);
    while root.len() > 1 && root.last() == Some(&b'/') {
        root.pop();
    }
    root
}

/// What is left of reading.
struct Reading {
    sources: Sources,
    defines: Vec<Define>,
    server_root: Vec<u8>,
    runtime_dir: Option<Vec<u8>>,
    notices: Vec<Notice>,
    includes: String,
}

/// Whether `-e` lets errors through.
fn tells_errors(options: &Invocation) -> bool {
    let level = options.startup_level.as_ref().and_then(|word| Level::parse(word.as_bytes()));
    level.is_none_or(|level| level >= Level::Error)
}

/// The text that messages call the `-C` and `-c` words.
const COMMAND_LINE: &str = "-c/-C directives";

fn read(options: &Invocation, modules: &mut Modules, root: Vec<u8>) -> Result<(Reading, Vec<Node>), Box<Failure>> {
    let file = options.file.clone().unwrap_or_else(|| CONFIG_FILE.as_bytes().to_vec());
    let mut reader = Reader::new(modules, root);
    for name in &options.defines {
        reader.define_word(name);
    }
    if options.is_defined(b"DUMP_INCLUDES") {
        reader.includes = Some("Included configuration files:\n".to_owned());
    }
    let mut tree = Vec::new();
    let mut all = || -> Result<(), Fault> {
        let words = |words: &[Vec<u8>]| words.join(&b'\n');
        if !options.before.is_empty() {
            tree.extend(reader.read_text(COMMAND_LINE, words(&options.before))?);
        }
        let file = merge_path(&reader.server_root, &file);
        tree.extend(reader.read_file(&file)?);
        if !options.after.is_empty() {
            tree.extend(reader.read_text(COMMAND_LINE, words(&options.after))?);
        }
        Ok(())
    };
    let result = all();
    let read = Reading {
        sources: reader.sources,
        defines: reader.defines,
        server_root: reader.server_root,
        runtime_dir: reader.runtime_dir,
        notices: reader.notices,
        includes: reader.includes.unwrap_or_default(),
    };
    match result {
        Ok(()) => Ok((read, tree)),
        Err(fault) => Err(Box::new(Failure {
            stdout: read.includes,
            warnings: read.notices.into_iter().map(warning).collect(),
            text: read_error(&fault, &options.program),
            remark: remark::of_read(&fault, &read.sources),
            log: None,
        })),
    }
}

/// httpd's buffer for one message: what is longer ends there.
const LONGEST_MESSAGE: usize = 8190;

fn cut(mut text: String) -> String {
    text.truncate(LONGEST_MESSAGE);
    text
}

fn read_error(fault: &Fault, program: &str) -> String {
    let message = match &fault.at {
        Some((file, _)) if &**file == COMMAND_LINE => {
            format!("Syntax error in -C/-c directive: {}", fault.message)
        }
        _ => fault.positioned(),
    };
    cut(format!("{program}: {}", escape_message(&message))) + "\n"
}

fn walk_error(fault: &WalkFault) -> String {
    if fault.bare {
        return format!("{}\n", fault.message);
    }
    let message = cut(escape_message(&fault.message));
    format!("AH00526: Syntax error on line {} of {}:\n{message}\n", fault.at.line, fault.at.file)
}

fn warning(notice: Notice) -> Warning {
    Warning { module: notice.module, level: notice.level, text: notice.text, bare: false }
}

fn working_directory() -> Vec<u8> {
    if let Some(known) = super::steward::started_in() {
        return known;
    }
    std::env::current_dir().map_or_else(|_| b"/".to_vec(), |dir| dir.as_os_str().as_bytes().to_vec())
}

/// Whether LogLevel lets a message of the configuration through.
pub fn is_for_log(warning: &Warning, levels: Option<&LogLevels>) -> bool {
    let level = Level::parse(warning.level.as_bytes()).unwrap_or(Level::Warn);
    !warning.bare && (level == Level::Notice || level <= level_of(levels, None, warning.module))
}

/// A warning as a line of standard error; empty if it is below the level asked for with `-e`.
pub fn warning_line(warning: &Warning, threshold: Level) -> String {
    let level = Level::parse(warning.level.as_bytes()).unwrap_or(Level::Warn);
    // Notices are for everybody.
    if level > threshold && level != Level::Notice {
        return String::new();
    }
    let text = escape_message(&warning.text);
    if warning.bare {
        return format!("{text}\n");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros());
    let mut time = Vec::new();
    push_error_time(&mut time, i64::try_from(now).unwrap_or(0), ErrorTime { micros: true, compact: false });
    let (time, pid, tid) = (latin1(&time), std::process::id(), nix::unistd::gettid());
    format!("[{time}] [{}:{}] [pid {pid}:tid {tid}] {text}\n", warning.module, warning.level)
}
