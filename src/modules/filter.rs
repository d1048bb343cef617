//! `mod_filter.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "filter_module",
        file: "mod_filter.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("FilterDeclare", Places::OPTIONS, Shape::Take12, accept, "filter-name [filter-type]").refused(),
    row("FilterProvider", Places::OPTIONS, Shape::Take3, accept, "filter-name provider-name match-expression").refused(),
    row("FilterChain", Places::OPTIONS, Shape::Iterate, accept, "list of filter names with optional [+-=!@]").refused(),
    row("FilterTrace", Places::DIR.or(Places::SERVER), Shape::Take2, accept, "filter-name debug-level").refused(),
    row("AddOutputFilterByType", Places::FILEINFO, Shape::Argv, accept, "output filter name followed by one or more content-types").refused(),
    row("FilterProtocol", Places::OPTIONS, Shape::Take23, accept, "filter-name [provider-name] protocol-args").refused(),
];
