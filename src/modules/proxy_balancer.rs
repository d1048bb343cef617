//! `mod_proxy_balancer.c`.

use crate::config::{Directive, ModuleRow};
use crate::modules::proxy::manager;
use crate::modules::rows::nothing;
use crate::pipe::{Hook, Module, Phase, Run};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_balancer_module",
        file: "mod_proxy_balancer.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[Hook { phase: Phase::Handler, order: 10, wants: |_, _| true, run: Run::Handle(manager::handler) }],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
];
