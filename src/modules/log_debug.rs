//! `mod_log_debug.c`: messages of one's own in the error log, when a phase begins.

use std::sync::Arc;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Position, Shape, latin1, row};
use crate::expr::{Expr, Template};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run, expand, holds};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "log_debug_module",
        file: "mod_log_debug.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// `LogMessage` of a directory, outer ones first.
#[derive(Clone, Default)]
pub struct LogDebugDir(Vec<Arc<Message>>);

impl Conf for LogDebugDir {
    const SLOT: usize = slot::LOG_DEBUG + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self(base.0.iter().chain(&add.0).cloned().collect())
    }
}

struct Message {
    text: Arc<Template>,
    /// httpd's name of the hook; `None` = all of them.
    hook: Option<&'static str>,
    condition: Option<Arc<Expr>>,
    at: Position,
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("LogMessage", Places::DIR.or(Places::SERVER), Shape::Take123, log_message, "Log a debug message to the error log if this config block is used for  a request"),
];

const DEFAULT: &str = "log_transaction";

/// httpd's names of hooks with the phases where messages for them are written.
macro_rules! hooks {
    ($(($name:literal, $phase:ident, $order:literal)),* $(,)?) => {
        const NAMES: &[&str] = &[$($name),*];

        /// Its parts in the phases.
        const HOOKS: &[Hook] = &[$(Hook {
            phase: Phase::$phase,
            order: $order,
            wants: |_, dir| dir.get::<LogDebugDir>().is_some_and(|dir| dir.0.iter().any(|message| message.is_for($name))),
            run: Run::Now(|ex| write($name, ex)),
        }),*];
    };
}

hooks![
    ("log_transaction", Log, -10),
    // Between the reading of a request and everything else.
    ("quick_handler", PostRead, 100),
    ("handler", Handler, -100),
    ("pre_translate_name", PreTranslate, -100),
    ("translate_name", Translate, -100),
    ("map_to_storage", MapToStorage, -100),
    ("fixups", Fixups, -100),
    ("type_checker", TypeChecker, -100),
    ("check_access", Access, -101),
    ("check_access_ex", Access, -100),
    ("check_authn", Authn, -100),
    ("check_authz", Authz, -100),
    ("insert_filter", InsertFilter, -100),
];

impl Message {
    fn is_for(&self, hook: &str) -> bool {
        self.hook.is_none_or(|own| own == hook)
    }
}

/// `LogMessage TEXT [hook=NAME] [expr=CONDITION]`.
fn log_message(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let text = cmd
        .template(args.word(0))
        .map_err(|error| format!("Could not parse message expression '{}': {error}", args.text(0)))?;
    let mut message = Message { text, hook: Some(DEFAULT), condition: None, at: cmd.at.clone() };
    for word in args.words.iter().skip(1).filter(|word| !word.is_empty()) {
        let behind = |key: &[u8]| {
            let (head, tail) = word.split_at_checked(key.len())?;
            head.eq_ignore_ascii_case(key).then_some(tail)
        };
        if let Some(name) = behind(b"hook=") {
            let known = NAMES.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(name));
            message.hook = match known {
                Some(known) => Some(known),
                None if name.eq_ignore_ascii_case(b"all") => None,
                None => return Err(format!("Invalid hook name: {}", latin1(name))),
            };
        } else if let Some(text) = behind(b"expr=") {
            let condition = cmd.condition(text);
            let explain = |error| format!("Could not parse expression '{}': {error}", latin1(text));
            message.condition = Some(condition.map_err(explain)?);
        } else {
            return Err(format!("Invalid argument {}", latin1(word)));
        }
    }
    cmd.dir_conf::<LogDebugDir>().0.push(Arc::new(message));
    Ok(())
}

/// Writes the messages for a hook.
fn write(hook: &'static str, ex: &mut Exchange) -> Outcome {
    let ex = &*ex;
    for message in ex.dir::<LogDebugDir>().into_iter().flat_map(|dir| &dir.0).filter(|message| message.is_for(hook)) {
        match message.condition.as_ref().map_or(Ok(true), |condition| holds(ex, condition)) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                logs::error!(ex, Level::Warn, "log_debug", "AH00640: Can't evaluate condition: {error}");
                continue;
            }
        }
        let mut text = Vec::new();
        if let Err(error) = expand(ex, &message.text, &mut text) {
            logs::error!(ex, Level::Warn, "log_debug", "AH00641: Can't evaluate message expression: {error}");
            text = b"(null)".to_vec();
        }
        if logs::Source::enabled(ex, Level::Debug, "log_debug") {
            let Position { file, line } = &message.at;
            logs::error!(ex, Level::Info, "log_debug", "{} ({hook} hook, {file}:{line})", Bytes(&text));
        } else {
            logs::error!(ex, Level::Info, "log_debug", "{}", Bytes(&text));
        }
    }
    Outcome::Declined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hook_has_its_name() {
        assert_eq!(NAMES.len(), HOOKS.len());
        assert!(NAMES.contains(&DEFAULT));
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
    }
}
