//! `mod_unixd.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "unixd_module",
        file: "mod_unixd.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("User", Places::SERVER, Shape::Take1, accept, "Effective user id for this server").missing(),
    row("Group", Places::SERVER, Shape::Take1, accept, "Effective group id for this server").missing(),
    row("ChrootDir", Places::SERVER, Shape::Take1, accept, "The directory to chroot(2) into").missing(),
    row("Suexec", Places::SERVER, Shape::Flag, accept, "Enable or disable suEXEC support").missing(),
];
