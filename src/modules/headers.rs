//! `mod_headers.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "headers_module",
        file: "mod_headers.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Header", Places::FILEINFO, Shape::Raw, accept, "an optional condition, an action, header and value followed by optional env clause").missing(),
    row("RequestHeader", Places::FILEINFO, Shape::Raw, accept, "an action, header and value followed by optional env clause").missing(),
];
