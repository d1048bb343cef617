//! `mod_brotli.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
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
    row("BrotliFilterNote", Places::SERVER, Shape::Take12, accept, "Set a note to report on compression ratio").refused(),
    row("BrotliCompressionQuality", Places::SERVER, Shape::Take1, accept, "Compression quality between 0 and 11 (higher quality means slower compression)").refused(),
    row("BrotliCompressionWindow", Places::SERVER, Shape::Take1, accept, "Sliding window size between 10 and 24 (larger windows can improve compression, but require more memory)").refused(),
    row("BrotliCompressionMaxInputBlock", Places::SERVER, Shape::Take1, accept, "Maximum input block size between 16 and 24 (larger block sizes require more memory)").refused(),
    row("BrotliAlterETag", Places::SERVER, Shape::Take1, accept, "Set how mod_brotli should modify ETag response headers: 'AddSuffix' (default), 'NoChange', 'Remove'").refused(),
];
