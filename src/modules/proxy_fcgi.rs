//! `mod_proxy_fcgi.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_fcgi_module",
        file: "mod_proxy_fcgi.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyFCGIBackendType", Places::FILEINFO, Shape::Take1, accept, "Specify the type of FastCGI server: 'Generic', 'FPM'").missing(),
    row("ProxyFCGISetEnvIf", Places::FILEINFO, Shape::Take23, accept, "expr-condition env-name expr-value").missing(),
];
