//! `mod_authn_core.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authn_core_module",
        file: "mod_authn_core.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthType", Places::AUTHCFG, Shape::Take1, accept, "an HTTP authorization type (e.g., \"Basic\")").refused(),
    row("AuthName", Places::AUTHCFG, Shape::Take1, accept, "the authentication realm (e.g. \"Members Only\")").refused(),
    row("<AuthnProviderAlias", Places::SERVER, Shape::Raw, accept, "container for grouping an authentication provider's directives under a provider alias").refused(),
];
