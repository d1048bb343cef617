//! `mod_proxy_ftp.c`: what is asked for by HTTP is fetched by FTP.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, inner_or_outer, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::upstream::spec::FtpPolicy;
use crate::web::Exchange;

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

/// Values per directory.
#[derive(Clone, Default)]
struct Ftp {
    list_on_wildcard: Option<bool>,
    escape_wildcards: Option<bool>,
    charset: Option<Vec<u8>>,
}

impl Conf for Ftp {
    const SLOT: usize = slot::PROXY_FTP + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; list_on_wildcard, escape_wildcards, charset)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyFtpListOnWildcard", Places::DIR.or(Places::SERVER), Shape::Flag, list_on_wildcard, "Whether wildcard characters in a path cause mod_proxy_ftp to list the files instead of trying to get them. Defaults to on."),
    row("ProxyFtpEscapeWildcards", Places::DIR.or(Places::SERVER), Shape::Flag, escape_wildcards, "Whether the proxy should escape wildcards in paths before sending them to the FTP server.  Defaults to on, but most FTP servers will need it turned off if you need to manage paths that contain wildcard characters."),
    row("ProxyFtpDirCharset", Places::DIR.or(Places::SERVER), Shape::Take1, charset, "Define the character set for proxied FTP listings"),
];

fn list_on_wildcard(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<Ftp>().list_on_wildcard = Some(args.on());
    Ok(())
}

fn escape_wildcards(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<Ftp>().escape_wildcards = Some(args.on());
    Ok(())
}

fn charset(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<Ftp>().charset = Some(args.word(0).to_vec());
    Ok(())
}

/// What holds for the request.
pub(crate) fn policy(ex: &Exchange) -> FtpPolicy {
    let usual = FtpPolicy::default();
    let Some(dir) = ex.dir::<Ftp>() else { return usual };
    FtpPolicy {
        list_on_wildcard: dir.list_on_wildcard.unwrap_or(usual.list_on_wildcard),
        escape_wildcards: dir.escape_wildcards.unwrap_or(usual.escape_wildcards),
        charset: dir.charset.clone(),
    }
}
