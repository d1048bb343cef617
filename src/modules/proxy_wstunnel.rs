//! `mod_proxy_wstunnel.c`: `ws://` and `wss://`, which mod_proxy_http handles unless it is told not to.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, inner_or_outer, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::web::Exchange;

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

/// Values per directory.
#[derive(Clone, Default)]
struct Tunnels {
    fallback: Option<bool>,
}

impl Conf for Tunnels {
    const SLOT: usize = slot::PROXY_WSTUNNEL + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; fallback)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyWebsocketFallbackToProxyHttp", Places::DIR.or(Places::SERVER), Shape::Flag, fallback, "whether to let mod_proxy_http handle the upgrade and tunneling, On by default"),
];

fn fallback(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<Tunnels>().fallback = Some(args.on());
    Ok(())
}

/// Whether this module itself serves `ws://` backends of the request, byte by byte.
pub(crate) fn is_raw(ex: &Exchange) -> bool {
    let loaded = &ex.live.generation.globals.modules;
    loaded.contains(&"proxy_wstunnel_module")
        && (ex.dir::<Tunnels>().is_some_and(|dir| dir.fallback == Some(false))
            || !loaded.contains(&"proxy_http_module"))
}
