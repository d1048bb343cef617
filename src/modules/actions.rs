//! `mod_actions.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "actions_module",
        file: "mod_actions.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Action", Places::FILEINFO, Shape::Take23, action, "a media type followed by a script name").missing(),
    row("Script", Places::DIR.or(Places::SERVER), Shape::Take2, accept, "a method followed by a script name").missing(),
];

/// `Action type script [virtual]`.
fn action(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    match args.opt(2) {
        Some(word) if !word.eq_ignore_ascii_case(b"virtual") => Err(format!("unrecognized option '{}'", args.text(2))),
        _ => Ok(()),
    }
}
