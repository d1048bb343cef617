//! `mod_socache_memcache.c`.

use crate::base::clock::{Unit, parse_interval};
use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "socache_memcache_module",
        file: "mod_socache_memcache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("MemcacheConnTTL", Places::SERVER, Shape::Take1, hour, "TTL used for the connection with the memcache server(s)").missing(),
];

/// A time up to one hour.
fn hour(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let name = cmd.directive.name;
    check::time(args, &format!("{name} has wrong format"))?;
    let time = parse_interval(args.word(0), Unit::Second).unwrap_or_default();
    if time.as_secs() > 3600 {
        return Err(format!("{name} can only be 0 or up to one hour."));
    }
    Ok(())
}
