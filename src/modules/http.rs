//! `http_core.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "http_module",
        file: "http_core.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("KeepAliveTimeout", Places::SERVER, Shape::Take1, accept, "Keep-Alive timeout duration (sec)").missing(),
    row("MaxKeepAliveRequests", Places::SERVER, Shape::Take1, accept, "Maximum number of Keep-Alive requests per connection, or 0 for infinite").missing(),
    row("KeepAlive", Places::SERVER, Shape::Flag, accept, "Whether persistent connections should be On or Off").missing(),
];
