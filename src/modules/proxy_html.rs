//! `mod_proxy_html.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_html_module",
        file: "mod_proxy_html.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyHTMLEvents", Places::DIR.or(Places::SERVER), Shape::Iterate, accept, "Strings to be treated as scripting events").refused(),
    row("ProxyHTMLLinks", Places::DIR.or(Places::SERVER), Shape::Iterate2, accept, "Declare HTML Attributes").refused(),
    row("ProxyHTMLURLMap", Places::DIR.or(Places::SERVER), Shape::Raw, accept, "Map URL From To").refused(),
    row("ProxyHTMLDoctype", Places::DIR.or(Places::SERVER), Shape::Take12, accept, "(HTML|XHTML) [Legacy]").refused(),
    row("ProxyHTMLFixups", Places::DIR.or(Places::SERVER), Shape::Iterate, accept, "Options are lowercase, dospath").refused(),
    row("ProxyHTMLMeta", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Fix META http-equiv elements").refused(),
    row("ProxyHTMLInterp", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Support interpolation and conditions in URLMaps").refused(),
    row("ProxyHTMLExtended", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Map URLs in Javascript and CSS").refused(),
    row("ProxyHTMLStripComments", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Strip out comments").refused(),
    row("ProxyHTMLBufSize", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "Buffer size").refused(),
    row("ProxyHTMLCharsetOut", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "Usage: ProxyHTMLCharsetOut charset").refused(),
    row("ProxyHTMLEnable", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Enable proxy-html and xml2enc filters").refused(),
];
