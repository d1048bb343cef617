//! `mod_autoindex.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "autoindex_module",
        file: "mod_autoindex.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AddIcon", Places::INDEXES, Shape::Iterate2, accept, "an icon URL followed by one or more filenames").missing(),
    row("AddIconByType", Places::INDEXES, Shape::Iterate2, accept, "an icon URL followed by one or more MIME types").missing(),
    row("AddIconByEncoding", Places::INDEXES, Shape::Iterate2, accept, "an icon URL followed by one or more content encodings").missing(),
    row("AddAlt", Places::INDEXES, Shape::Iterate2, accept, "alternate descriptive text followed by one or more filenames").missing(),
    row("AddAltByType", Places::INDEXES, Shape::Iterate2, accept, "alternate descriptive text followed by one or more MIME types").missing(),
    row("AddAltByEncoding", Places::INDEXES, Shape::Iterate2, accept, "alternate descriptive text followed by one or more content encodings").missing(),
    row("IndexOptions", Places::INDEXES, Shape::Argv, accept, "one or more index options [+|-][]").missing(),
    row("IndexOrderDefault", Places::INDEXES, Shape::Take2, accept, "{Ascending,Descending} {Name,Size,Description,Date}").missing(),
    row("IndexIgnore", Places::INDEXES, Shape::Iterate, accept, "one or more file extensions").missing(),
    row("IndexIgnoreReset", Places::INDEXES, Shape::Flag, accept, "Reset the inherited list of IndexIgnore filenames").missing(),
    row("AddDescription", Places::INDEXES, Shape::Iterate2, accept, "Descriptive text followed by one or more filenames").missing(),
    row("HeaderName", Places::INDEXES, Shape::Take1, accept, "a filename").missing(),
    row("ReadmeName", Places::INDEXES, Shape::Take1, accept, "a filename").missing(),
    row("FancyIndexing", Places::ALL, Shape::Raw, accept, "The FancyIndexing directive is no longer supported. Use IndexOptions FancyIndexing.").missing(),
    row("DefaultIcon", Places::INDEXES, Shape::Take1, accept, "an icon URL").missing(),
    row("IndexStyleSheet", Places::INDEXES, Shape::Take1, accept, "URL to style sheet").missing(),
    row("IndexHeadInsert", Places::INDEXES, Shape::Take1, accept, "String to insert in HTML HEAD section").missing(),
];
