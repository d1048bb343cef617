//! `mod_log_config.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "log_config_module",
        file: "mod_log_config.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CustomLog", Places::SERVER, Shape::Take23, accept, "a file name, a custom log format string or format name, and an optional \"env=\" or \"expr=\" clause (see docs)").missing(),
    row("GlobalLog", Places::SERVER, Shape::Take23, accept, "Same as CustomLog, but forces virtualhosts to inherit the log").missing(),
    row("TransferLog", Places::SERVER, Shape::Take1, accept, "the filename of the access log").missing(),
    row("LogFormat", Places::SERVER, Shape::Take12, accept, "a log format string (see docs) and an optional format name").missing(),
    row("BufferedLogs", Places::SERVER, Shape::Flag, accept, "Enable Buffered Logging (experimental)").missing(),
];
