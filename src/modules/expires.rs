//! `mod_expires.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "expires_module",
        file: "mod_expires.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ExpiresActive", Places::INDEXES, Shape::Flag, accept, "Limited to 'on' or 'off'").missing(),
    row("ExpiresByType", Places::INDEXES, Shape::Take2, accept, "a MIME type followed by an expiry date code").missing(),
    row("ExpiresDefault", Places::INDEXES, Shape::Take1, accept, "an expiry date code").missing(),
];
