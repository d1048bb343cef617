//! `mod_proxy_hcheck.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_hcheck_module",
        file: "mod_proxy_hcheck.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyHCTemplate", Places::FILEINFO, Shape::Raw, accept, "Health check template").missing(),
    row("ProxyHCExpr", Places::FILEINFO, Shape::Raw, accept, "Define a health check condition ruleset expression").missing(),
    row("ProxyHCTPsize", Places::SERVER, Shape::Take1, accept, "Set size of health check thread pool").missing(),
];
