//! `mod_ext_filter.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "ext_filter_module",
        file: "mod_ext_filter.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ExtFilterOptions", Places::DIR, Shape::Iterate, accept, "valid options: LogStderr, NoLogStderr").refused(),
    row("ExtFilterDefine", Places::SERVER, Shape::Raw, accept, "Define an external filter").refused(),
];
