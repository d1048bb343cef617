//! `mod_usertrack.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "usertrack_module",
        file: "mod_usertrack.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CookieExpires", Places::FILEINFO, Shape::Take1, accept, "an expiry date code").missing(),
    row("CookieDomain", Places::FILEINFO, Shape::Take1, accept, "domain to which this cookie applies").missing(),
    row("CookieStyle", Places::FILEINFO, Shape::Take1, accept, "'Netscape', 'Cookie' (RFC2109), or 'Cookie2' (RFC2965)").missing(),
    row("CookieTracking", Places::FILEINFO, Shape::Flag, accept, "whether or not to enable cookies").missing(),
    row("CookieName", Places::FILEINFO, Shape::Take1, accept, "name of the tracking cookie").missing(),
    row("CookieSameSite", Places::FILEINFO, Shape::Take1, accept, "SameSite setting").missing(),
    row("CookieSecure", Places::FILEINFO, Shape::Flag, accept, "is cookie secure").missing(),
    row("CookieHttpOnly", Places::FILEINFO, Shape::Flag, accept, "is cookie http only").missing(),
];
