//! `mod_deflate.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
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
    row("DeflateFilterNote", Places::SERVER, Shape::Take12, accept, "Set a note to report on compression ratio").refused(),
    row("DeflateWindowSize", Places::SERVER, Shape::Take1, accept, "Set the Deflate window size (1-15)").refused(),
    row("DeflateBufferSize", Places::SERVER, Shape::Take1, accept, "Set the Deflate Buffer Size").refused(),
    row("DeflateMemLevel", Places::SERVER, Shape::Take1, accept, "Set the Deflate Memory Level (1-9)").refused(),
    row("DeflateCompressionLevel", Places::SERVER, Shape::Take1, accept, "Set the Deflate Compression Level (1-9)").refused(),
    row("DeflateInflateLimitRequestBody", Places::ALL, Shape::Take1, accept, "Set a limit on size of inflated input").refused(),
    row("DeflateInflateRatioLimit", Places::ALL, Shape::Take1, accept, "Set the inflate ratio limit above which inflation is aborted (default: 200)").refused(),
    row("DeflateInflateRatioBurst", Places::ALL, Shape::Take1, accept, "Set the maximum number of following inflate ratios above limit (default: 3)").refused(),
    row("DeflateAlterEtag", Places::SERVER, Shape::Take1, accept, "Set how mod_deflate should modify ETAG response headers: 'AddSuffix' (default), 'NoChange' (2.2.x behavior), 'Remove'").refused(),
];
