//! `mod_allowmethods.c`.

use crate::config::core::CoreProcess;
use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "allowmethods_module",
        file: "mod_allowmethods.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AllowMethods", Places::DIR, Shape::Argv, methods, "only allow specific methods").refused(),
];

/// Methods that need no registration.
const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "PUT",
    "POST",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "VERSION-CONTROL",
    "CHECKOUT",
    "UNCHECKOUT",
    "CHECKIN",
    "UPDATE",
    "LABEL",
    "REPORT",
    "MKWORKSPACE",
    "MKACTIVITY",
    "BASELINE-CONTROL",
    "MERGE",
];

/// `AllowMethods`, one word at a time.
fn methods(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.text(0);
    let name = word.strip_prefix(['+', '-']).unwrap_or(&word);
    let registered = cmd
        .globals
        .conf
        .get::<CoreProcess>()
        .is_some_and(|process| process.methods.iter().any(|method| method == name.as_bytes()));
    if registered || METHODS.contains(&name) || name.eq_ignore_ascii_case("reset") {
        return Ok(());
    }
    Err(format!("AllowMethods: Invalid Method '{name}'"))
}
