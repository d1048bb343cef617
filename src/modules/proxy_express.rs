//! `mod_proxy_express.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_express_module",
        file: "mod_proxy_express.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyExpressEnable", Places::FILEINFO, Shape::Flag, accept, "Enable the ProxyExpress functionality").refused(),
    row("ProxyExpressDBMFile", Places::FILEINFO, Shape::Take1, accept, "Location of ProxyExpressDBMFile file").missing(),
    row("ProxyExpressDBMType", Places::FILEINFO, Shape::Take1, accept, "Type of ProxyExpressDBMFile file").missing(),
];
