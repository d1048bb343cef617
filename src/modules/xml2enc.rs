//! `mod_xml2enc.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "xml2enc_module",
        file: "mod_xml2enc.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("xml2EncDefault", Places::ALL, Shape::Take1, accept, "Usage: xml2EncDefault charset").refused(),
    row("xml2EncAlias", Places::SERVER, Shape::Iterate2, accept, "EncodingAlias charset alias [more aliases]").refused(),
    row("xml2StartParse", Places::ALL, Shape::Iterate, accept, "Ignore anything in front of the first of these elements").refused(),
];
