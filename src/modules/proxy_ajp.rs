//! `mod_proxy_ajp.c`: lets `ajp://` be spoken. It has no directives; the backend is `upstream::ajp`.

use crate::config::{Directive, ModuleRow};
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_ajp_module",
        file: "mod_proxy_ajp.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
];
