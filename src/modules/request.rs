//! `mod_request.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "request_module",
        file: "mod_request.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("KeptBodySize", Places::DIR, Shape::Take1, |_, a| check::whole_between(a, 0..=i64::MAX, "KeptBodySize must be a valid size in bytes, or zero."), "Maximum size of request bodies kept aside for use by filters").missing(),
];
