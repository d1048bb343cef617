//! `mod_watchdog.c`: what httpd does from time to time in a thread of its own has a timer of its own here, so that
//! there is no interval to set.

use crate::base::clock::{Unit, parse_interval};
use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "watchdog_module",
        file: "mod_watchdog.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("WatchdogInterval", Places::SERVER, Shape::Take1, interval, "Watchdog interval in seconds").moot(),
];

fn interval(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let time = parse_interval(args.word(0), Unit::Second);
    let time = time.map_err(|_| "Unparse-able WatchdogInterval setting".to_owned())?;
    if time.as_millis() < 100 {
        return Err("Invalid WatchdogInterval: minimal value 100ms".to_owned());
    }
    Ok(())
}
