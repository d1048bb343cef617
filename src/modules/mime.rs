//! `mod_mime.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "mime_module",
        file: "mod_mime.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AddCharset", Places::FILEINFO, Shape::Iterate2, accept, "a charset (e.g., iso-2022-jp), followed by one or more file extensions").missing(),
    row("AddEncoding", Places::FILEINFO, Shape::Iterate2, accept, "an encoding (e.g., gzip), followed by one or more file extensions").missing(),
    row("AddHandler", Places::FILEINFO, Shape::Iterate2, accept, "a handler name followed by one or more file extensions").missing(),
    row("AddInputFilter", Places::FILEINFO, Shape::Iterate2, accept, "input filter name (or ; delimited names) followed by one or more file extensions").missing(),
    row("AddLanguage", Places::FILEINFO, Shape::Iterate2, accept, "a language (e.g., fr), followed by one or more file extensions").missing(),
    row("AddOutputFilter", Places::FILEINFO, Shape::Iterate2, accept, "output filter name (or ; delimited names) followed by one or more file extensions").missing(),
    row("AddType", Places::FILEINFO, Shape::Iterate2, accept, "a mime type followed by one or more file extensions").missing(),
    row("DefaultLanguage", Places::FILEINFO, Shape::Take1, accept, "language to use for documents with no other language file extension").missing(),
    row("MultiviewsMatch", Places::FILEINFO, Shape::Iterate, accept, "NegotiatedOnly (default), Handlers and/or Filters, or Any").missing(),
    row("RemoveCharset", Places::FILEINFO, Shape::Iterate, accept, "one or more file extensions").missing(),
    row("RemoveEncoding", Places::FILEINFO, Shape::Iterate, accept, "one or more file extensions").missing(),
    row("RemoveHandler", Places::FILEINFO, Shape::Iterate, accept, "one or more file extensions").missing(),
    row("RemoveInputFilter", Places::FILEINFO, Shape::Iterate, accept, "one or more file extensions").missing(),
    row("RemoveLanguage", Places::FILEINFO, Shape::Iterate, accept, "one or more file extensions").missing(),
    row("RemoveOutputFilter", Places::FILEINFO, Shape::Iterate, accept, "one or more file extensions").missing(),
    row("RemoveType", Places::FILEINFO, Shape::Iterate, accept, "one or more file extensions").missing(),
    row("TypesConfig", Places::SERVER, Shape::Take1, accept, "the MIME types config file").missing(),
    row("ModMimeUsePathInfo", Places::DIR, Shape::Flag, accept, "Set to 'yes' to allow mod_mime to use path info for type checking").missing(),
];
