//! `mod_userdir.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "userdir_module",
        file: "mod_userdir.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("UserDir", Places::SERVER, Shape::Raw, |_, a| if a.raw.is_empty() { Err("UserDir requires an argument.".to_owned()) } else { Ok(()) }, "the public subdirectory in users' home directories, or 'disabled', or 'disabled username username...', or 'enabled username username...'").missing(),
];
