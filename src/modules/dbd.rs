//! `mod_dbd.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "dbd_module",
        file: "mod_dbd.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("DBDriver", Places::SERVER, Shape::Take1, driver, "SQL Driver").refused(),
    row("DBDParams", Places::SERVER, Shape::Take1, accept, "SQL Driver Params").refused(),
    row("DBDPersist", Places::SERVER, Shape::Flag, accept, "Use persistent connection/pool").refused(),
    row("DBDPrepareSQL", Places::SERVER, Shape::Take12, accept, "SQL statement to prepare (or nothing, to override statement inherited from main server) and label").refused(),
    row("DBDInitSQL", Places::SERVER, Shape::Take1, accept, "SQL statement to be executed after connection is created").refused(),
    row("DBDMin", Places::SERVER, Shape::Take1, |_, a| check::whole_between(a, 0..=i64::MAX, "Argument must be numeric!"), "Minimum number of connections").refused(),
    row("DBDKeep", Places::SERVER, Shape::Take1, |_, a| check::whole_between(a, 0..=i64::MAX, "Argument must be numeric!"), "Maximum number of sustained connections").refused(),
    row("DBDMax", Places::SERVER, Shape::Take1, |_, a| check::whole_between(a, 0..=i64::MAX, "Argument must be numeric!"), "Maximum number of connections").refused(),
    row("DBDExptime", Places::SERVER, Shape::Take1, |_, a| check::whole_between(a, 0..=i64::MAX, "Argument must be numeric!"), "Keepalive time for idle connections").refused(),
];

/// Queries need mod_dbd.
pub(super) fn loaded(cmd: &mut Cmd<'_>, family: &str) -> Result<(), String> {
    if cmd.globals.modules.contains(&"dbd_module") {
        return Ok(());
    }
    Err(format!("You must load mod_dbd to enable {family} functions"))
}

/// `DBDriver name`: httpd knows those whose libraries are there, which one surely is.
fn driver(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.word(0) == b"sqlite3" {
        return Ok(());
    }
    Err(format!("Can't load driver file apr_dbd_{}.so", args.text(0)))
}
