//! Floor 7: the program.

mod advice;
pub mod cli;
mod conn;
pub mod dumps;
mod echo;
mod front;
mod host;
mod http1;
mod http2;
mod incoming;
mod link;
mod lint;
pub mod load;
mod names;
mod proxied;
mod rates;
mod reload;
mod remark;
mod route;
pub mod run;
mod socket;
mod steward;
mod threads;
mod tls;
mod vhosts;
mod wire;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;
use std::sync::Arc;

use crate::config::{Generation, Support, Use};
use crate::logs::{Level, LogLevels};
use cli::{Invocation, Question, Usage};
use load::{Failure, Loaded, is_for_log, load, warning_line};

/// The program: reads the command line and does what it says.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let invocation = match Invocation::parse(args) {
        Ok(invocation) => invocation,
        Err(Usage(text)) => {
            put(&mut std::io::stderr(), &text);
            return ExitCode::FAILURE;
        }
    };
    match steward::role() {
        steward::Role::User => {}
        steward::Role::Steward => return steward::background(),
        steward::Role::Successor => return steward::take_over(),
        steward::Role::Keeper => return steward::keep(),
        steward::Role::Preparer { again } => return steward::prepare(invocation, again),
        steward::Role::Server { parent, background } => return serve(parent, background, invocation),
    }
    let explains = invocation.defines.iter().any(|define| define.starts_with(b"ROUTE="));
    let dumps_support = invocation.is_defined(b"DUMP_SUPPORT");
    let asks = invocation.question.is_some() || invocation.check || invocation.dumps() || dumps_support || explains;
    if !asks && !invocation.one_process {
        let foreground = ["FOREGROUND", "NO_DETACH"].iter().any(|name| invocation.is_defined(name.as_bytes()));
        drop(invocation);
        return steward::start(foreground);
    }
    let Some(mut messages) = Messages::open(&invocation) else { return ExitCode::FAILURE };
    match invocation.question {
        Some(Question::Version) => return answer(&dumps::version()),
        Some(Question::Builtin) => return answer(&dumps::builtin()),
        Some(Question::Build) => return dumps::build(&invocation, &mut messages),
        Some(Question::Directives) | None => {}
    }
    if dumps_support {
        return answer(&dumps::support());
    }
    if !asks {
        let Some(generation) = accepted(&invocation, &mut messages) else { return ExitCode::FAILURE };
        let signal = invocation.signal.unwrap_or_default();
        let command_line = command_line(&invocation);
        let reload = Arc::new(move |previous: &Generation| reload(&invocation, previous));
        return run::run(run::Options { command_line, reload }, signal, generation);
    }
    let loaded = match load(&invocation, None) {
        Ok(loaded) => loaded,
        Err(failure) => {
            messages.failure(&failure);
            return ExitCode::FAILURE;
        }
    };
    put(&mut std::io::stdout(), &loaded.includes);
    messages.loaded(&loaded);
    if invocation.question == Some(Question::Directives) {
        return answer(&dumps::directives(&loaded));
    }
    let dumped = dumps::all(&invocation, &loaded);
    put(&mut std::io::stdout(), &dumped);
    if invocation.is_defined(b"LINT") {
        messages.put(&lint::report(&loaded.tree));
    }
    if let Some(question) = invocation.defines.iter().find_map(|define| define.strip_prefix(b"ROUTE=")) {
        return match route::explain(question, loaded.generation) {
            Ok(text) => answer(&text),
            Err(text) => {
                messages.put(&text);
                ExitCode::FAILURE
            }
        };
    }
    if !invocation.dumps() {
        messages.put("Syntax OK\n");
    }
    ExitCode::SUCCESS
}

/// The configuration, if it can be served; says what is wrong with it.
fn accepted(invocation: &Invocation, messages: &mut Messages) -> Option<Arc<Generation>> {
    let loaded = match load(invocation, None) {
        Ok(loaded) => loaded,
        Err(failure) => {
            messages.failure(&failure);
            return None;
        }
    };
    put(&mut std::io::stdout(), &loaded.includes);
    messages.loaded(&loaded);
    if invocation.is_defined(b"LINT") && !invocation.reloading {
        messages.put(&lint::report(&loaded.tree));
    }
    if loaded.uses.iter().any(|found| found.support == Support::Refused) {
        let what = if invocation.reloading { "not accepted" } else { "not started" };
        messages.put(&format!("{}: {what}: see above\n", invocation.program));
        return None;
    }
    Some(Arc::new(loaded.generation))
}

/// The server process: the preparer has said all there is to say of the configuration.
fn serve(parent: i32, background: bool, mut invocation: Invocation) -> ExitCode {
    invocation.reloading = true;
    let command_line = command_line(&invocation);
    let invocation = Arc::new(invocation);
    let read = |invocation: &Invocation, previous: Option<&Generation>| match load(invocation, previous) {
        Ok(loaded) => Some(Arc::new(loaded.generation)),
        Err(failure) => {
            Messages::open(invocation)?.failure(&failure);
            None
        }
    };
    let first = invocation.clone();
    let reload = Arc::new(move |previous: &Generation| read(&invocation, Some(previous)));
    match run::serve_for(parent, background, run::Options { command_line, reload }, move || read(&first, None)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(run::Failed) => ExitCode::FAILURE,
    }
}

/// Reads the configuration again; says itself what is wrong with it.
fn reload(invocation: &Invocation, previous: &Generation) -> Option<Arc<Generation>> {
    let mut messages = Messages::open(invocation)?;
    match load(invocation, Some(previous)) {
        Ok(loaded) => {
            messages.loaded(&loaded);
            let refused = loaded.uses.iter().any(|found| found.support == Support::Refused);
            (!refused).then(|| Arc::new(loaded.generation))
        }
        Err(failure) => {
            messages.failure(&failure);
            None
        }
    }
}

/// The words as the log shows them: options apart from their values, and without `-k`.
fn command_line(invocation: &Invocation) -> String {
    let mut out = String::new();
    let is_signal = |word: Option<&Vec<u8>>| word.is_some_and(|word| word == b"-k");
    for (at, word) in invocation.words.iter().enumerate() {
        let of_signal = at.checked_sub(1).is_some_and(|before| is_signal(invocation.words.get(before)));
        if at > 0 && (word.starts_with(b"-k") || of_signal) {
            continue;
        }
        let word = String::from_utf8_lossy(word);
        if at > 0 {
            out.push(' ');
        }
        match word.char_indices().nth(2).filter(|_| at > 0 && word.starts_with('-')) {
            Some((value, _)) => out.extend([&word[..value], " ", &word[value..]]),
            None => out.push_str(&word),
        }
    }
    out
}

fn answer(text: &str) -> ExitCode {
    put(&mut std::io::stdout(), text);
    ExitCode::SUCCESS
}

/// Writes text whose characters up to U+00FF are bytes.
fn put(to: &mut dyn Write, text: &str) {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
    // Nobody is left to tell when standard error itself is gone.
    let _ = to.write_all(&bytes).and_then(|()| to.flush());
}

/// Where startup messages go: standard error, or the file of `-E`.
pub(crate) struct Messages {
    to: Box<dyn Write>,
    threshold: Level,
    remarks: bool,
}

impl Messages {
    fn open(invocation: &Invocation) -> Option<Self> {
        let threshold = invocation.startup_level.as_ref().and_then(|word| Level::parse(word.as_bytes()));
        let mut messages = Self {
            to: Box::new(std::io::stderr()),
            threshold: threshold.unwrap_or(Level::Notice),
            remarks: std::io::stderr().is_terminal() || invocation.is_defined(b"EXPLAIN"),
        };
        if let Some(name) = &invocation.startup_log {
            use std::os::unix::ffi::OsStrExt as _;
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name));
            match std::fs::OpenOptions::new().append(true).create(true).open(path) {
                Ok(file) => messages.to = Box::new(file),
                Err(error) => {
                    let code = error.raw_os_error().unwrap_or(0);
                    let why = error.to_string();
                    let why = why.split(" (os error").next().unwrap_or_default();
                    let shown = crate::config::latin1(name);
                    messages.put(&format!(
                        "({code}){why}: AH00086: {}: could not open error log file {shown}.\n",
                        invocation.program
                    ));
                }
            }
        }
        Some(messages)
    }

    pub(crate) fn put(&mut self, text: &str) {
        put(&mut *self.to, text);
    }

    pub(crate) fn failure(&mut self, failure: &Failure) {
        put(&mut std::io::stdout(), &failure.stdout);
        // People at a terminal need not look for it.
        if !self.write_log(failure) || self.remarks {
            self.warnings(&failure.warnings);
            self.put(&failure.text);
        }
        if self.remarks {
            self.put(&failure.remark);
        }
    }

    /// Says a failure in the error log that it belongs into; whether that is so, and could be done.
    fn write_log(&mut self, failure: &Failure) -> bool {
        use std::os::unix::ffi::OsStrExt as _;
        let Some(path) = &failure.log else { return false };
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(std::ffi::OsStr::from_bytes(path));
        let Ok(mut log) = opened else { return false };
        let (early, late): (Vec<_>, Vec<_>) = failure.warnings.iter().cloned().partition(|warning| warning.bare);
        if !self.remarks {
            self.warnings(&early);
        }
        let lines = late.iter().map(|warning| warning_line(warning, Level::Trace8));
        put(&mut log, &(lines.collect::<String>() + &failure.text));
        true
    }

    fn loaded(&mut self, loaded: &Loaded) {
        let levels = loaded.generation.servers.first().and_then(|main| main.get::<LogLevels>());
        // What is found while everything is made ready is for the log, which is open by then in httpd; an MPM has said
        // before what it cannot do.
        let shown = if self.remarks { loaded.warnings.len() } else { loaded.early };
        let told = loaded.warnings.iter().enumerate().filter(|(at, warning)| *at < shown || warning.bare);
        for (_, warning) in told {
            // LogLevel holds from where it stands; modules are loaded before, and without it `-e` decides.
            let asked = levels.is_some() && warning.module != "so" && is_for_log(warning, levels);
            let line = warning_line(warning, if asked { Level::Trace8 } else { self.threshold });
            self.put(&line);
        }
        self.uses(&loaded.uses);
    }

    fn warnings(&mut self, warnings: &[crate::config::Warning]) {
        for warning in warnings {
            let line = warning_line(warning, self.threshold);
            self.put(&line);
        }
    }

    /// Names what is not obeyed.
    fn uses(&mut self, uses: &[Use]) {
        let list = |support: Support, why: &str| {
            let mut named: Vec<(String, String, usize)> = Vec::new();
            for found in uses.iter().filter(|found| found.support == support && found.row.why == why) {
                let words = found.words.as_deref().map(|words| format!(" {words}")).unwrap_or_default();
                let name = format!("{}{words}", found.row.name);
                match named.iter_mut().find(|(known, _, _)| *known == name) {
                    Some((_, _, more)) => *more += 1,
                    None => named.push((name, format!("{}:{}", found.at.file, found.at.line), 0)),
                }
            }
            let shown = named.into_iter().map(|(name, at, more)| match more {
                0 => format!("{name} ({at})"),
                more => format!("{name} ({at} and {more} more)"),
            });
            shown.collect::<Vec<_>>().join(", ")
        };
        let mut reasons = vec![""];
        reasons.extend(uses.iter().map(|found| found.row.why));
        reasons.sort_unstable();
        reasons.dedup();
        for why in reasons {
            let because = if why.is_empty() { "not built in yet" } else { why };
            let missing = list(Support::Missing, why);
            if !missing.is_empty() {
                self.put(&format!("tandem: warning: {because}, without effect: {missing}\n"));
            }
            let refused = list(Support::Refused, why);
            if !refused.is_empty() {
                self.put(&format!("tandem: warning: {because}, and the server does not start with it: {refused}\n"));
            }
        }
    }
}
