//! `mod_dialup.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "dialup_module",
        file: "mod_dialup.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ModemStandard", Places::DIR, Shape::Take1, |_, a| check::one_of(a, &["V.21", "V.26bis", "V.32", "V.34", "V.92"], "mod_dialup: Unknown Modem Standard specified."), "Modem Standard to.. simulate. Must be one of: 'V.21', 'V.26bis', 'V.32', 'V.34', or 'V.92'").missing(),
];
