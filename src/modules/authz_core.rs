//! `mod_authz_core.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authz_core_module",
        file: "mod_authz_core.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("<AuthzProviderAlias", Places::SERVER, Shape::Raw, accept, "container for grouping an authorization provider's directives under a provider alias").refused(),
    row("Require", Places::AUTHCFG, Shape::Raw, accept, "specifies authorization directives which one must pass (or not) for a request to suceeed").refused(),
    row("<RequireAll", Places::AUTHCFG, Shape::Raw, accept, "container for grouping authorization directives of which none must fail and at least one must pass for a request to succeed").refused(),
    row("<RequireAny", Places::AUTHCFG, Shape::Raw, accept, "container for grouping authorization directives of which one must pass for a request to succeed").refused(),
    row("<RequireNone", Places::AUTHCFG, Shape::Raw, accept, "container for grouping authorization directives of which none must pass for a request to succeed").refused(),
    row("AuthMerging", Places::AUTHCFG, Shape::Take1, accept, "controls how a <Directory>, <Location>, or similar directive's authorization directives are combined with those of its predecessor").refused(),
    row("AuthzSendForbiddenOnFailure", Places::AUTHCFG, Shape::Flag, accept, "Controls if an authorization failure should result in a '403 FORBIDDEN' response instead of the HTTP-conforming '401 UNAUTHORIZED'").refused(),
];
