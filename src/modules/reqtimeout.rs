//! `mod_reqtimeout.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "reqtimeout_module",
        file: "mod_reqtimeout.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("RequestReadTimeout", Places::SERVER, Shape::Raw, accept, "Set various timeout parameters for TLS handshake and/or reading request headers and body").refused(),
];
