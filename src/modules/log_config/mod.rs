//! `mod_log_config.c`: access logs.

mod format;
mod items;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::{Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, Position, PostConfig, Shape, latin1, row};
use crate::expr::Expr;
use crate::logs::{self, Level, Role, Target, Targets};
use crate::modules::core::logs::see_folder;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run, holds};
use crate::web::Exchange;

pub use format::Format;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "log_config_module",
        file: "mod_log_config.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: prepare,
    },
    hooks: HOOKS,
};

/// Access logs of a server: as set, and `run` as run.
#[derive(Clone, Default)]
pub struct LogConfig {
    /// `LogFormat FORMAT`: for logs that name none. A nickname is looked up in the end.
    default: Option<Vec<u8>>,
    /// `LogFormat FORMAT NAME`, the last one of a name counts.
    formats: Arc<Vec<(Vec<u8>, Vec<u8>)>>,
    logs: Arc<Vec<CustomLog>>,
    /// Those of the main server.
    outer: Arc<Vec<CustomLog>>,
    run: Arc<[Running]>,
}

impl Conf for LogConfig {
    const SLOT: usize = slot::LOG_CONFIG;

    fn merge(base: &Self, add: &Self) -> Self {
        let formats = match add.formats.is_empty() {
            true => base.formats.clone(),
            false => Arc::new(base.formats.iter().chain(add.formats.iter()).cloned().collect()),
        };
        Self {
            default: add.default.clone().or_else(|| base.default.clone()),
            formats,
            logs: add.logs.clone(),
            outer: base.logs.clone(),
            run: Arc::default(),
        }
    }
}

/// Values of the process.
#[derive(Clone, Default)]
pub struct LogProcess {
    /// `BufferedLogs`.
    buffered: Option<bool>,
}

impl Conf for LogProcess {
    const SLOT: usize = slot::LOG_CONFIG + 2;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { buffered: add.buffered.or(base.buffered) }
    }
}

/// One access log as set.
#[derive(Clone)]
struct CustomLog {
    /// File or `|program`, as written.
    target: Vec<u8>,
    /// Format or nickname; the default format without one.
    format: Option<Vec<u8>>,
    gate: Gate,
    /// `GlobalLog`: virtual hosts with logs of their own write it too.
    global: bool,
    at: Position,
}

/// Which requests a log gets.
#[derive(Clone, Default)]
enum Gate {
    #[default]
    All,
    /// `env=NAME`.
    Set(Vec<u8>),
    /// `env=!NAME`.
    Unset(Vec<u8>),
    /// `expr=…`.
    Holds(Arc<Expr>),
}

/// One access log as run.
struct Running {
    sink: usize,
    format: Arc<Format>,
    gate: Gate,
    /// Lines may wait for others.
    buffered: bool,
}

/// The format of logs that name none, and the nickname `CLF`.
const CLF: &[u8] = b"%h %l %u %t \"%r\" %>s %b";

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CustomLog", Places::SERVER, Shape::Take23, custom_log, "a file name, a custom log format string or format name, and an optional \"env=\" or \"expr=\" clause (see docs)"),
    row("GlobalLog", Places::SERVER, Shape::Take23, global_log, "Same as CustomLog, but forces virtualhosts to inherit the log"),
    row("TransferLog", Places::SERVER, Shape::Take1, transfer_log, "the filename of the access log"),
    row("LogFormat", Places::SERVER, Shape::Take12, log_format, "a log format string (see docs) and an optional format name"),
    row("BufferedLogs", Places::SERVER, Shape::Flag, buffered_logs, "Enable Buffered Logging (experimental)"),
];

/// Its parts in the phases.
const HOOKS: &[Hook] = &[Hook {
    phase: Phase::Log,
    order: 0,
    wants: |server, _| server.get::<LogConfig>().is_some_and(|conf| !conf.run.is_empty()),
    run: Run::Now(log),
}];

/// `LogFormat`.
fn log_format(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let format = args.word(0).to_vec();
    check(cmd, &format)?;
    let conf = cmd.server_conf::<LogConfig>();
    match args.opt(1) {
        Some(name) => Arc::make_mut(&mut conf.formats).push((name.to_vec(), format)),
        None => conf.default = Some(format),
    }
    Ok(())
}

/// Whether the format is one; two letters are mod_ssl's.
fn check(cmd: &Cmd<'_>, format: &[u8]) -> Result<(), String> {
    let format = Format::parse(format)?;
    match format.letter_of_tls().filter(|_| !cmd.globals.modules.contains(&"ssl_module")) {
        Some(letter) => Err(format!("Unrecognized LogFormat directive %{letter}")),
        None => Ok(()),
    }
}

/// `CustomLog`.
fn custom_log(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    add_log(cmd, args, false)
}

/// `GlobalLog`.
fn global_log(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    add_log(cmd, args, true)
}

/// `TransferLog`.
fn transfer_log(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    add_log(cmd, args, false)
}

fn add_log(cmd: &mut Cmd<'_>, args: &Args<'_>, global: bool) -> Result<(), String> {
    let gate = args.words.get(2).map_or(Ok(Gate::All), |clause| gate(cmd, clause))?;
    let format = args.opt(1).map(<[u8]>::to_vec);
    if let Some(format) = &format {
        check(cmd, format)?;
    }
    let log = CustomLog { target: args.word(0).to_vec(), format, gate, global, at: cmd.at.clone() };
    Arc::make_mut(&mut cmd.server_conf::<LogConfig>().logs).push(log);
    Ok(())
}

/// Reads `env=NAME`, `env=!NAME` or `expr=CONDITION`.
fn gate(cmd: &Cmd<'_>, clause: &[u8]) -> Result<Gate, String> {
    let behind = |word: &[u8]| {
        let (head, tail) = clause.split_at_checked(word.len())?;
        head.eq_ignore_ascii_case(word).then_some(tail)
    };
    if let Some(name) = behind(b"env=") {
        return match name {
            b"" | b"!" => Err("missing environment variable name".to_owned()),
            [b'!', name @ ..] => Ok(Gate::Unset(name.to_vec())),
            name => Ok(Gate::Set(name.to_vec())),
        };
    }
    match behind(b"expr=") {
        None => Err("error in condition clause".to_owned()),
        Some(b"") => Err("missing condition".to_owned()),
        Some(text) => Ok(Gate::Holds(cmd.condition(text)?)),
    }
}

/// `BufferedLogs`.
fn buffered_logs(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    cmd.globals.conf.get_mut::<LogProcess>().buffered = Some(args.on());
    Ok(())
}

/// Checks the folders of log files, compiles formats and registers targets.
fn prepare(pc: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let root = pc.globals.server_root.clone();
    // httpd links each virtual host in front of those before it, and walks that list.
    let order: Vec<usize> = std::iter::once(0).chain((1..pc.servers.len()).rev()).collect();
    for server in order.iter().filter_map(|at| pc.servers.get(*at)) {
        let logs = server.get::<LogConfig>().into_iter().flat_map(|conf| conf.logs.iter());
        for log in logs.filter(|log| log.target.first() != Some(&b'|')) {
            let path = crate::config::merge_path(&root, &log.target);
            if let Err((dir, errno)) = see_folder(&path, pc.globals.reloading) {
                let (log, at) = (latin1(&log.target), &log.at);
                let text = format!(
                    "{errno}: AH02297: Cannot access directory '{dir}' for log file '{log}' defined at {}:{}\n",
                    at.file, at.line
                );
                return Err(Fatal { text, quiet: false });
            }
        }
    }
    let buffered = pc.globals.conf.get::<LogProcess>().and_then(|conf| conf.buffered).unwrap_or(false);
    let mut compiled = Compiled::default();
    // Formats of the main server's logs: a virtual host that writes them and gives a nickname another meaning gives
    // it for all, the first one in the file for good.
    let mut shared: Vec<Option<Arc<Format>>> = Vec::new();
    for server in order.iter().filter_map(|at| pc.servers.get(*at)) {
        let Some(conf) = server.get::<LogConfig>() else { continue };
        if server.index == 0 {
            shared = conf.logs.iter().map(|log| conf.format_of(log, &mut compiled)).collect();
        } else if conf.logs.is_empty() {
            for (log, shared) in conf.outer.iter().zip(&mut shared) {
                if let Some(format) = conf.renamed(log, &mut compiled) {
                    *shared = Some(format);
                }
            }
        }
    }
    let main_logs = pc.servers.first().and_then(|main| main.get::<LogConfig>()).map(|conf| conf.logs.clone());
    let mut same: HashMap<Vec<u8>, Arc<[Running]>> = HashMap::new();
    for at in order {
        let Some(server) = pc.servers.get_mut(at) else { continue };
        let Some(conf) = server.get::<LogConfig>() else { continue };
        let default = conf.default_format(&mut compiled);
        let inherits = conf.logs.is_empty();
        // Virtual hosts without any directive of ours have the main server's values: these logs are its own.
        let is_main = main_logs.as_ref().is_some_and(|logs| Arc::ptr_eq(logs, &conf.logs));
        let own = conf.logs.iter().enumerate().map(|(at, log)| match shared.get(at).filter(|_| is_main) {
            Some(format) => (log, format.clone()),
            None => (log, conf.format_of(log, &mut compiled)),
        });
        let outer = conf.outer.iter().zip(&shared).filter(|(log, _)| inherits || log.global);
        let mut key = Vec::new();
        let mut run = Vec::new();
        let mut add = |log: &CustomLog, format: Option<Arc<Format>>, targets: &mut Targets| {
            let sink = targets.want(Target::access(&log.target, &root), Role::Access);
            let format = format.unwrap_or_else(|| default.clone());
            key.extend_from_slice(&(Arc::as_ptr(&format).addr()).to_ne_bytes());
            key.extend_from_slice(&sink.to_ne_bytes());
            key.extend_from_slice(format!("{}:{};", log.at.file, log.at.line).as_bytes());
            run.push(Running { sink, format, gate: log.gate.clone(), buffered });
        };
        let targets = pc.globals.conf.get_mut::<Targets>();
        for (log, format) in own {
            add(log, format, targets);
        }
        for (log, format) in outer {
            add(log, format.clone(), targets);
        }
        let run = same.entry(key).or_insert_with(|| run.into()).clone();
        server.conf.get_mut::<LogConfig>().run = run;
    }
    Ok(())
}

/// Formats by their text.
#[derive(Default)]
struct Compiled(HashMap<Vec<u8>, Arc<Format>>);

impl Compiled {
    fn get(&mut self, text: &[u8]) -> Arc<Format> {
        if let Some(format) = self.0.get(text) {
            return format.clone();
        }
        // Texts were checked when they were set.
        let format = Arc::new(Format::parse(text).unwrap_or_default());
        self.0.insert(text.to_vec(), format.clone());
        format
    }
}

impl LogConfig {
    /// The text behind a nickname.
    fn nickname(&self, name: &[u8]) -> Option<&[u8]> {
        let named = self.formats.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name));
        match named {
            Some((_, text)) => Some(text),
            None => name.eq_ignore_ascii_case(b"CLF").then_some(CLF),
        }
    }

    fn default_format(&self, compiled: &mut Compiled) -> Arc<Format> {
        let text = self.default.as_deref().unwrap_or(CLF);
        compiled.get(self.nickname(text).unwrap_or(text))
    }

    /// The format of a log, if it names one.
    fn format_of(&self, log: &CustomLog, compiled: &mut Compiled) -> Option<Arc<Format>> {
        let text = log.format.as_deref()?;
        Some(compiled.get(self.nickname(text).unwrap_or(text)))
    }

    /// The format of a log that names a nickname.
    fn renamed(&self, log: &CustomLog, compiled: &mut Compiled) -> Option<Arc<Format>> {
        self.nickname(log.format.as_deref()?).map(|text| compiled.get(text))
    }
}

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes the request to the server's logs. Runs when the response is complete; declines never.
fn log(ex: &mut Exchange) -> Outcome {
    let live = ex.live.clone();
    let server = live.generation.servers.get(ex.server);
    let Some(conf) = server.and_then(|server| server.get::<LogConfig>()) else { return Outcome::Ok };
    let refused = refused(&conf.run, ex);
    let ex = &*ex;
    let elapsed = i64::try_from(ex.started.elapsed().as_micros()).unwrap_or(i64::MAX);
    for (at, log) in conf.run.iter().enumerate() {
        if refused.contains(&at) {
            continue;
        }
        let Some(sink) = ex.live.sinks.get(log.sink) else { continue };
        LINE.with_borrow_mut(|line| {
            line.clear();
            log.format.push(ex, elapsed, line);
            if log.buffered {
                sink.hold(line);
            } else {
                sink.line(line);
            }
            // One giant request must not cost its memory for ever.
            line.shrink_to(KEPT);
        });
    }
    Outcome::Ok
}

/// The logs whose condition does not hold. As in httpd it is the request before internal redirects that counts.
fn refused(logs: &[Running], ex: &mut Exchange) -> SmallVec<[usize; 4]> {
    let gated = || logs.iter().enumerate().filter(|(_, log)| !matches!(log.gate, Gate::All));
    if gated().next().is_none() {
        return SmallVec::new();
    }
    let mut original = ex.original.take();
    let mut swap = |ex: &mut Exchange| {
        if let Some(old) = original.as_deref_mut() {
            std::mem::swap(&mut ex.the_request, &mut old.the_request);
            std::mem::swap(&mut ex.method, &mut old.method);
            std::mem::swap(&mut ex.uri, &mut old.uri);
            std::mem::swap(&mut ex.args, &mut old.args);
            std::mem::swap(&mut ex.status, &mut old.status);
            std::mem::swap(&mut ex.filename, &mut old.filename);
            std::mem::swap(&mut ex.handler, &mut old.handler);
            std::mem::swap(&mut ex.user, &mut old.user);
            std::mem::swap(&mut ex.headers_in, &mut old.headers_in);
            std::mem::swap(&mut ex.env, &mut old.env);
            std::mem::swap(&mut ex.notes, &mut old.notes);
        }
    };
    swap(ex);
    let out = gated().filter(|(_, log)| !log.passes(ex)).map(|(at, _)| at).collect();
    swap(ex);
    ex.original = original;
    out
}

/// Room for a line that a thread keeps.
const KEPT: usize = 16 * 1024;

impl Running {
    fn passes(&self, ex: &Exchange) -> bool {
        match &self.gate {
            Gate::All => true,
            Gate::Set(name) => ex.env.contains(name),
            Gate::Unset(name) => !ex.env.contains(name),
            Gate::Holds(condition) => match holds(ex, condition) {
                Ok(holds) => holds,
                Err(error) => {
                    let text = "AH00644: Error evaluating log condition";
                    logs::error!(ex, Level::Warn, "log_config", "{text}: {error}");
                    false
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Mutex;

    use super::*;
    use crate::config::{Globals, Server, Slots};
    use crate::web::{LineSink, Live, testing};

    #[derive(Default)]
    struct Kept(Mutex<Vec<u8>>);

    impl LineSink for Kept {
        fn line(&self, line: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(line);
        }
    }

    fn printed(format: &str, change: impl FnOnce(&mut Exchange)) -> String {
        let mut ex = testing::exchange(&testing::live(vec![Server::default()], &[]), "GET / HTTP/1.1\nHost: x");
        ex.uri = b"/".to_vec();
        // 2026-11-22 07:08:46.075946 UTC
        ex.started_micros = 1_795_331_326_075_946;
        change(&mut ex);
        let mut out = Vec::new();
        Format::parse(format.as_bytes()).unwrap().push(&ex, 1_234_567, &mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_with_nothing_is_full_of_hyphens() {
        let items =
            "%h %l %u %f %b %B %R %L %{c}L %{a}C %{a}e %{a}i %{a}n %{a}o %{a}^ti %{a}^to %^FB %q|%s %X %k %p %U";
        let want = "127.0.0.1 - - - - 0 - - - - - - - - - - - |200 + 0 80 /";
        assert_eq!(printed(items, |_| {}), want);
    }

    #[test]
    fn values_are_escaped_and_times_in_their_forms() {
        let change = |ex: &mut Exchange| {
            ex.headers_in.add(b"X", b"a\"\\\x01\xe9\t");
            ex.user = Some(Vec::new());
            ex.content_type = b"text/html; charset=x".to_vec();
            ex.headers_out.add(b"Set-Cookie", b"a=1");
            ex.err_headers_out.add(b"Set-Cookie", b"b=2");
            ex.args = Some(b"x\xff".to_vec());
            ex.close = true;
        };
        let items =
            r#"%{x}i %u %{content-type}o %{Set-Cookie}o %q %X|%D %T %{ms}T %{us}T %{m}T|%{msec_frac}t %{end:sec}t"#;
        let want = r#"a\"\\\x01\xe9\t "" text/html b=2, a=1 ?x\xff -|1234567 1 1234 1234567 m|075 1795331327"#;
        assert_eq!(printed(items, change), want);
    }

    #[test]
    fn modifiers_choose_the_request_and_the_status() {
        let change = |ex: &mut Exchange| {
            let mut old = crate::web::Snapshot { status: 200, ..Default::default() };
            old.headers_in.add(b"X", b"old");
            ex.original = Some(Box::new(old));
            ex.headers_in.add(b"X", b"new");
            ex.status = 404;
        };
        let items = "%s %>s %{X}i %<{X}i %404,500{X}i %!404{X}i %!!404{X}i %200{X}i %B %<b";
        assert_eq!(printed(items, change), "200 404 new old new - new - 0 -");
    }

    fn config(logs: &[(&str, Option<&str>, bool)], formats: &[(&str, &str)]) -> LogConfig {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let log = |(target, format, global): &(&str, Option<&str>, bool)| CustomLog {
            target: bytes(target),
            format: format.map(bytes),
            gate: Gate::All,
            global: *global,
            at: Position::default(),
        };
        LogConfig {
            formats: Arc::new(formats.iter().map(|(name, text)| (bytes(name), bytes(text))).collect()),
            logs: Arc::new(logs.iter().map(log).collect()),
            ..LogConfig::default()
        }
    }

    /// What each server writes to which target, as measured with httpd.
    #[test]
    fn virtual_hosts_inherit_and_rename() {
        let main = config(
            &[("/tmp/1", Some("one"), false), ("/tmp/2", Some("two"), false), ("/tmp/g", Some("two"), true)],
            &[("one", "main-one"), ("two", "main-two")],
        );
        let a = config(&[], &[("one", "a-one")]);
        let b = config(
            &[("/tmp/b", Some("one"), false), ("/tmp/1", Some("two"), false), ("/tmp/t", None, false)],
            &[("one", "b-one"), ("TWO", "b-two")],
        );
        let mut d = config(&[], &[]);
        d.default = Some(b"d".to_vec());
        let mut servers = Vec::new();
        for (index, conf) in [main.clone(), a, b, d].into_iter().enumerate() {
            let mut own = Slots::default();
            *own.get_mut::<LogConfig>() = conf;
            let mut base = Slots::default();
            *base.get_mut::<LogConfig>() = main.clone();
            let conf = if index == 0 { own } else { Slots::merged(&base, &own) };
            servers.push(Server { index, conf, ..Server::default() });
        }
        let mut globals = Globals::default();
        let warnings = &mut Vec::new();
        let pc = &mut PostConfig {
            servers: &mut servers,
            globals: &mut globals,
            previous: None,
            warnings,
            check_only: false,
            reloading: false,
        };
        prepare(pc).unwrap();
        let lines = |at: usize| -> Vec<String> {
            let sinks: Vec<Arc<Kept>> = (0..5).map(|_| Arc::default()).collect();
            let dynamic = sinks.iter().map(|sink| sink.clone() as Arc<dyn LineSink>).collect();
            let live = Rc::new(Live::new(testing::live(servers.clone(), &[]).generation.clone(), dynamic));
            let mut ex = testing::exchange(&live, "GET / HTTP/1.1");
            ex.server = at;
            assert_eq!(log(&mut ex), Outcome::Ok);
            let text = |sink: &Arc<Kept>| String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
            sinks.iter().map(text).collect()
        };
        // The sinks in order of first use: /tmp/1 /tmp/2 /tmp/g, then those of the last virtual host with its own.
        assert_eq!(lines(0), ["a-one\n", "main-two\n", "main-two\n", "", ""].map(str::to_owned)[..].to_vec());
        assert_eq!(lines(1), lines(0));
        assert_eq!(lines(3), lines(0));
        let b = lines(2);
        assert_eq!((&b[0][..], &b[1][..], &b[2][..], &b[3][..]), ("b-two\n", "", "main-two\n", "b-one\n"));
        assert!(b[4].starts_with("127.0.0.1 - - ["), "{}", b[4]);
    }
}
