//! `mod_alias.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "alias_module",
        file: "mod_alias.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Alias", Places::DIR.or(Places::SERVER), Shape::Take12, accept, "a fakename and a realname, or a realname in a Location").missing(),
    row("ScriptAlias", Places::DIR.or(Places::SERVER), Shape::Take12, accept, "a fakename and a realname, or a realname in a Location").missing(),
    row("Redirect", Places::FILEINFO, Shape::Take123, accept, "an optional status, then document to be redirected and destination URL").missing(),
    row("AliasMatch", Places::SERVER, Shape::Take2, accept, "a regular expression and a filename").missing(),
    row("ScriptAliasMatch", Places::SERVER, Shape::Take2, accept, "a regular expression and a filename").missing(),
    row("RedirectMatch", Places::FILEINFO, Shape::Take23, accept, "an optional status, then a regular expression and destination URL").missing(),
    row("RedirectTemp", Places::FILEINFO, Shape::Take2, accept, "a document to be redirected, then the destination URL").missing(),
    row("RedirectPermanent", Places::FILEINFO, Shape::Take2, accept, "a document to be redirected, then the destination URL").missing(),
    row("RedirectRelative", Places::FILEINFO, Shape::Flag, accept, "Set to ON to allow relative redirect targets to be issued as-is").missing(),
    row("AliasPreservePath", Places::FILEINFO, Shape::Flag, accept, "Set to ON to map the full path after the fakename to the realname.").missing(),
];
