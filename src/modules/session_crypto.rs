//! `mod_session_crypto.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "session_crypto_module",
        file: "mod_session_crypto.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("SessionCryptoPassphrase", Places::AUTHCFG.or(Places::SERVER), Shape::Iterate, accept, "The passphrase(s) used to encrypt the session. First will be used for encryption, all phrases will be accepted for decryption").refused(),
    row("SessionCryptoPassphraseFile", Places::DIR.or(Places::SERVER), Shape::Take1, accept, "File containing passphrase(s) used to encrypt the session, one per line. First will be used for encryption, all phrases will be accepted for decryption").refused(),
    row("SessionCryptoCipher", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "The underlying crypto cipher to use").refused(),
    row("SessionCryptoDriver", Places::SERVER, Shape::Raw, accept, "The underlying crypto library driver to use").refused(),
];
