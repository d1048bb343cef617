//! `http_core.c`: connections that are kept.

use crate::base::clock::{Unit, leading_integer, parse_interval};
use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "http_module",
        file: "http_core.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("KeepAliveTimeout", Places::SERVER, Shape::Take1, timeout, "Keep-Alive timeout duration (sec)"),
    row("MaxKeepAliveRequests", Places::SERVER, Shape::Take1, most, "Maximum number of Keep-Alive requests per connection, or 0 for infinite"),
    row("KeepAlive", Places::SERVER, Shape::Flag, keep_alive, "Whether persistent connections should be On or Off"),
];

/// `KeepAliveTimeout`, in seconds unless a unit is given.
fn timeout(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.not_in_dir_context()?;
    let time = parse_interval(args.word(0), Unit::Second);
    let time = time.map_err(|_| "KeepAliveTimeout has wrong format".to_owned())?;
    cmd.server.rec.keep_alive_timeout = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    Ok(())
}

/// `MaxKeepAliveRequests`.
fn most(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.not_in_dir_context()?;
    let number = leading_integer(args.word(0)).0.unwrap_or(0);
    cmd.server.rec.max_keep_alive = Some(u32::try_from(number.max(0)).unwrap_or(u32::MAX));
    Ok(())
}

/// `KeepAlive`.
fn keep_alive(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.not_in_dir_context()?;
    cmd.server.rec.keep_alive = Some(args.on());
    Ok(())
}
