//! `mod_charset_lite.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "charset_lite_module",
        file: "mod_charset_lite.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CharsetSourceEnc", Places::FILEINFO, Shape::Take1, accept, "source (html,cgi,ssi) file charset").missing(),
    row("CharsetDefault", Places::FILEINFO, Shape::Take1, accept, "name of default charset").missing(),
    row("CharsetOptions", Places::FILEINFO, Shape::Iterate, accept, "valid options: ImplicitAdd, NoImplicitAdd, TranslateAllMimeTypes, NoTranslateAllMimeTypes").missing(),
];
