//! `mod_access_compat.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "access_compat_module",
        file: "mod_access_compat.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("order", Places::LIMIT, Shape::Take1, accept, "'allow,deny', 'deny,allow', or 'mutual-failure'").refused(),
    row("allow", Places::LIMIT, Shape::Iterate2, accept, "'from' followed by hostnames or IP-address wildcards").refused(),
    row("deny", Places::LIMIT, Shape::Iterate2, accept, "'from' followed by hostnames or IP-address wildcards").refused(),
    row("Satisfy", Places::AUTHCFG, Shape::Take1, accept, "access policy if both allow and require used ('all' or 'any')").refused(),
];
