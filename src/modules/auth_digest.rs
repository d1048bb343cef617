//! `mod_auth_digest.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "auth_digest_module",
        file: "mod_auth_digest.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthDigestProvider", Places::AUTHCFG, Shape::Iterate, |_, a| check::one_of(a, &["file", "dbm", "dbd", "anon", "ldap", "socache"], "Unknown Authn provider: \u{1}"), "specify the auth providers for a directory or location").refused(),
    row("AuthDigestQop", Places::AUTHCFG, Shape::Iterate, |_, a| check::one_of(a, &["auth"], "AuthDigestQop is deprecated: only 'auth' is supported"), "A list of quality-of-protection options").refused(),
    row("AuthDigestNonceLifetime", Places::AUTHCFG, Shape::Take1, lifetime, "Maximum lifetime of the server nonce (seconds)").refused(),
    row("AuthDigestNcCheck", Places::AUTHCFG, Shape::Flag, accept, "Whether or not to check the nonce-count sent by the client").refused(),
    row("AuthDigestAlgorithm", Places::AUTHCFG, Shape::Take1, |_, a| check::one_of(a, &["MD5"], "Unsupported algorithm in AuthDigestAlgorithm: \u{1}"), "The algorithm used for the hash calculation").refused(),
    row("AuthDigestDomain", Places::AUTHCFG, Shape::Iterate, accept, "A list of URI's which belong to the same protection space as the current URI").refused(),
    row("AuthDigestShmemSize", Places::SERVER, Shape::Take1, shmem, "The amount of shared memory to allocate for keeping track of clients").refused(),
];

fn lifetime(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.word(0).iter().any(u8::is_ascii_digit) {
        return Ok(());
    }
    Err(format!("Invalid time in AuthDigestNonceLifetime: {}", args.text(0)))
}

/// A size with a unit, at least that of one client.
fn shmem(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.text(0);
    let digits = word.trim_end_matches(['K', 'k', 'M', 'm']);
    let size = match (check::whole(digits.as_bytes()), word.len() - digits.len()) {
        (Some(size), 0) => size,
        (Some(size), 1) if word.ends_with(['K', 'k']) => size.saturating_mul(1 << 10),
        (Some(size), 1) => size.saturating_mul(1 << 20),
        _ => return Err(format!("Invalid size in AuthDigestShmemSize: {word}")),
    };
    if size < 88 {
        return Err(format!("size in AuthDigestShmemSize too small: {size} < 88"));
    }
    Ok(())
}
