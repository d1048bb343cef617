//! `mod_vhost_alias.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "vhost_alias_module",
        file: "mod_vhost_alias.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("VirtualScriptAlias", Places::SERVER, Shape::Take1, accept, "how to create a ScriptAlias based on the host").missing(),
    row("VirtualDocumentRoot", Places::SERVER, Shape::Take1, accept, "how to create the DocumentRoot based on the host").missing(),
    row("VirtualScriptAliasIP", Places::SERVER, Shape::Take1, accept, "how to create a ScriptAlias based on the host").missing(),
    row("VirtualDocumentRootIP", Places::SERVER, Shape::Take1, accept, "how to create the DocumentRoot based on the host").missing(),
];
