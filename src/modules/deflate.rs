//! `mod_deflate.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "deflate_module",
        file: "mod_deflate.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("DeflateFilterNote", Places::SERVER, Shape::Take12, note, "Set a note to report on compression ratio").refused(),
    row("DeflateWindowSize", Places::SERVER, Shape::Take1, |_, a| check::between(a, 1..=15, "DeflateWindowSize must be between 1 and 15"), "Set the Deflate window size (1-15)").refused(),
    row("DeflateBufferSize", Places::SERVER, Shape::Take1, |_, a| check::at_least(a, 1, "DeflateBufferSize should be positive"), "Set the Deflate Buffer Size").refused(),
    row("DeflateMemLevel", Places::SERVER, Shape::Take1, |_, a| check::between(a, 1..=9, "DeflateMemLevel must be between 1 and 9"), "Set the Deflate Memory Level (1-9)").refused(),
    row("DeflateCompressionLevel", Places::SERVER, Shape::Take1, |_, a| check::between(a, 1..=9, "Compression Level must be between 1 and 9"), "Set the Deflate Compression Level (1-9)").refused(),
    row("DeflateInflateLimitRequestBody", Places::ALL, Shape::Take1, |_, a| check::whole_between(a, 0..=i64::MAX, "DeflateInflateLimitRequestBody requires a non-negative integer."), "Set a limit on size of inflated input").refused(),
    row("DeflateInflateRatioLimit", Places::ALL, Shape::Take1, |_, a| check::at_least(a, 1, "DeflateInflateRatioLimit must be positive"), "Set the inflate ratio limit above which inflation is aborted (default: 200)").refused(),
    row("DeflateInflateRatioBurst", Places::ALL, Shape::Take1, |_, a| check::at_least(a, 1, "DeflateInflateRatioBurst must be positive"), "Set the maximum number of following inflate ratios above limit (default: 3)").refused(),
    row("DeflateAlterEtag", Places::SERVER, Shape::Take1, |_, a| check::one_of(a, &["NoChange", "AddSuffix", "Remove"], "DeflateAlterETAG accepts only 'NoChange', 'AddSuffix', and 'Remove'"), "Set how mod_deflate should modify ETAG response headers: 'AddSuffix' (default), 'NoChange' (2.2.x behavior), 'Remove'").refused(),
];

/// `DeflateFilterNote [type] note`.
fn note(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0);
    let known = [&b"ratio"[..], b"input", b"output"].iter().any(|known| known.eq_ignore_ascii_case(word));
    if args.opt(1).is_none() || known {
        return Ok(());
    }
    Err(format!("Unknown note type {}", args.text(0)))
}
