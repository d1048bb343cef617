//! `mod_brotli.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "brotli_module",
        file: "mod_brotli.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("BrotliFilterNote", Places::SERVER, Shape::Take12, note, "Set a note to report on compression ratio").refused(),
    row("BrotliCompressionQuality", Places::SERVER, Shape::Take1, |_, a| check::between(a, 0..=11, "BrotliCompressionQuality must be between 0 and 11"), "Compression quality between 0 and 11 (higher quality means slower compression)").refused(),
    row("BrotliCompressionWindow", Places::SERVER, Shape::Take1, |_, a| check::between(a, 10..=24, "BrotliCompressionWindow must be between 10 and 24"), "Sliding window size between 10 and 24 (larger windows can improve compression, but require more memory)").refused(),
    row("BrotliCompressionMaxInputBlock", Places::SERVER, Shape::Take1, |_, a| check::between(a, 16..=24, "BrotliCompressionMaxInputBlock must be between 16 and 24"), "Maximum input block size between 16 and 24 (larger block sizes require more memory)").refused(),
    row("BrotliAlterETag", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["AddSuffix", "NoChange", "Remove"], "BrotliAlterETag accepts only 'AddSuffix', 'NoChange' and 'Remove'"), "Set how mod_brotli should modify ETag response headers: 'AddSuffix' (default), 'NoChange', 'Remove'").refused(),
];

/// `BrotliFilterNote [type] note`.
fn note(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0);
    let known = [&b"ratio"[..], b"input", b"output"].iter().any(|known| known.eq_ignore_ascii_case(word));
    if args.opt(1).is_none() || known {
        return Ok(());
    }
    Err(format!("Unknown BrotliFilterNote type '{}'", args.text(0)))
}
