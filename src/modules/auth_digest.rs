//! `mod_auth_digest.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
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
    row("AuthDigestNonceLifetime", Places::AUTHCFG, Shape::Take1, accept, "Maximum lifetime of the server nonce (seconds)").refused(),
    row("AuthDigestNcCheck", Places::AUTHCFG, Shape::Flag, accept, "Whether or not to check the nonce-count sent by the client").refused(),
    row("AuthDigestAlgorithm", Places::AUTHCFG, Shape::Take1, |_, a| check::one_of(a, &["MD5"], "Unsupported algorithm in AuthDigestAlgorithm: \u{1}"), "The algorithm used for the hash calculation").refused(),
    row("AuthDigestDomain", Places::AUTHCFG, Shape::Iterate, accept, "A list of URI's which belong to the same protection space as the current URI").refused(),
    row("AuthDigestShmemSize", Places::SERVER, Shape::Take1, accept, "The amount of shared memory to allocate for keeping track of clients").refused(),
];
