//! `mod_proxy_scgi.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_scgi_module",
        file: "mod_proxy_scgi.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxySCGISendfile", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The name of the X-Sendfile pseudo response header or On or Off").missing(),
    row("ProxySCGIInternalRedirect", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "The name of the pseudo response header or On or Off").missing(),
];
