//! `mod_setenvif.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "setenvif_module",
        file: "mod_setenvif.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("SetEnvIf", Places::FILEINFO, Shape::Raw, accept, "A header-name, regex and a list of variables.").missing(),
    row("SetEnvIfNoCase", Places::FILEINFO, Shape::Raw, accept, "a header-name, regex and a list of variables.").missing(),
    row("SetEnvIfExpr", Places::FILEINFO, Shape::Raw, accept, "an expression and a list of variables.").missing(),
    row("BrowserMatch", Places::FILEINFO, Shape::Raw, accept, "A browser regex and a list of variables.").missing(),
    row("BrowserMatchNoCase", Places::FILEINFO, Shape::Raw, accept, "A browser regex and a list of variables.").missing(),
];
