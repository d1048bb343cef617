//! `mod_proxy_connect.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_connect_module",
        file: "mod_proxy_connect.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AllowCONNECT", Places::SERVER, Shape::Iterate, accept, "A list of ports or port ranges which CONNECT may connect to").missing(),
];
