//! `mod_proxy_ftp.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_ftp_module",
        file: "mod_proxy_ftp.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyFtpListOnWildcard", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Whether wildcard characters in a path cause mod_proxy_ftp to list the files instead of trying to get them. Defaults to on.").missing(),
    row("ProxyFtpEscapeWildcards", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Whether the proxy should escape wildcards in paths before sending them to the FTP server.  Defaults to on, but most FTP servers will need it turned off if you need to manage paths that contain wildcard characters.").missing(),
    row("ProxyFtpDirCharset", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "Define the character set for proxied FTP listings").missing(),
];
