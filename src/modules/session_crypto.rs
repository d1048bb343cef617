//! `mod_session_crypto.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
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
    row("SessionCryptoPassphraseFile", Places::DIR.or(Places::SERVER), Shape::Take1, passphrase_file, "File containing passphrase(s) used to encrypt the session, one per line. First will be used for encryption, all phrases will be accepted for decryption").refused(),
    row("SessionCryptoCipher", Places::AUTHCFG.or(Places::SERVER), Shape::Take1, accept, "The underlying crypto cipher to use").refused(),
    row("SessionCryptoDriver", Places::SERVER, Shape::Raw, accept, "The underlying crypto library driver to use").refused(),
];

fn passphrase_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (path, shown) = check::rooted(cmd, args.word(0));
    match std::fs::File::open(path) {
        Ok(_) => Ok(()),
        Err(error) => {
            let why = error.to_string();
            let why = why.split(" (os error").next().unwrap_or_default();
            Err(format!("SessionCryptoPassphraseFile: Could not open file {shown}: {why}"))
        }
    }
}
