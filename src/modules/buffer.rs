//! `mod_buffer.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "buffer_module",
        file: "mod_buffer.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("BufferSize", Places::DIR, Shape::Take1, |_, a| check::at_least(a, 1, "BufferSize must be a size in bytes, and greater than zero"), "Maximum size of the buffer used by the buffer filter").missing(),
];
