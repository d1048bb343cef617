//! `mod_authn_anon.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authn_anon_module",
        file: "mod_authn_anon.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Anonymous", Places::AUTHCFG, Shape::Iterate, accept, "a space-separated list of user IDs").refused(),
    row("Anonymous_MustGiveEmail", Places::AUTHCFG, Shape::Flag, accept, "Limited to 'on' or 'off'").refused(),
    row("Anonymous_NoUserId", Places::AUTHCFG, Shape::Flag, accept, "Limited to 'on' or 'off'").refused(),
    row("Anonymous_VerifyEmail", Places::AUTHCFG, Shape::Flag, accept, "Limited to 'on' or 'off'").refused(),
    row("Anonymous_LogEmail", Places::AUTHCFG, Shape::Flag, accept, "Limited to 'on' or 'off'").refused(),
];
