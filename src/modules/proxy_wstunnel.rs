//! `mod_proxy_wstunnel.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_wstunnel_module",
        file: "mod_proxy_wstunnel.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyWebsocketFallbackToProxyHttp", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "whether to let mod_proxy_http handle the upgrade and tunneling, On by default").missing(),
];
