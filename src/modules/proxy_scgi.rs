//! `mod_proxy_scgi.c`: what an SCGI application may leave to us.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, inner_or_outer, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::upstream::spec::ScgiPolicy;
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_scgi_module",
        file: "mod_proxy_scgi.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory; the inner `None` is `Off`.
#[derive(Clone, Default)]
struct Scgi {
    sendfile: Option<Option<Vec<u8>>>,
    internal_redirect: Option<Option<Vec<u8>>>,
}

impl Conf for Scgi {
    const SLOT: usize = slot::PROXY_SCGI + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; sendfile, internal_redirect)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxySCGISendfile", Places::DIR.or(Places::SERVER), Shape::Take1, sendfile, "The name of the X-Sendfile pseudo response header or On or Off"),
    row("ProxySCGIInternalRedirect", Places::DIR.or(Places::SERVER), Shape::Take1, internal_redirect, "The name of the pseudo response header or On or Off"),
];

/// `On`, which means `usual`, `Off`, or the name of a field.
fn field(args: &Args<'_>, usual: &[u8]) -> Option<Vec<u8>> {
    match args.word(0) {
        word if word.eq_ignore_ascii_case(b"on") => Some(usual.to_vec()),
        word if word.eq_ignore_ascii_case(b"off") => None,
        word => Some(word.to_vec()),
    }
}

fn sendfile(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<Scgi>().sendfile = Some(field(args, b"X-Sendfile"));
    Ok(())
}

fn internal_redirect(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<Scgi>().internal_redirect = Some(field(args, b"Location"));
    Ok(())
}

/// What holds for the request.
pub(crate) fn policy(ex: &Exchange) -> ScgiPolicy {
    let mut policy = ScgiPolicy::default();
    if let Some(dir) = ex.dir::<Scgi>() {
        policy.sendfile = dir.sendfile.clone().flatten();
        if let Some(redirect) = &dir.internal_redirect {
            policy.internal_redirect.clone_from(redirect);
        }
    }
    policy
}
