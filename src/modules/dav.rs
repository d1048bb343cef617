//! `mod_dav.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "dav_module",
        file: "mod_dav.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("DAV", Places::DIR, Shape::Take1, provider, "specify the DAV provider for a directory or location").refused(),
    row("DAVBasePath", Places::DIR, Shape::Take1, accept, "specify the DAV repository base URL").refused(),
    row("DAVMinTimeout", Places::DIR.or(Places::SERVER), Shape::Take1, |_, a| check::at_least(a, 0, "DAVMinTimeout requires a non-negative integer."), "specify minimum allowed timeout").refused(),
    row("DAVDepthInfinity", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "allow Depth infinity PROPFIND requests").refused(),
    row("DAVLockDiscovery", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "allow lock discovery by PROPFIND requests").refused(),
];

/// `DAV on|off|provider`: the file system's is mod_dav_fs's.
fn provider(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.text(0);
    let name = if word.eq_ignore_ascii_case("on") { "filesystem".to_owned() } else { word.clone() };
    let known = name == "filesystem" && cmd.globals.modules.contains(&"dav_fs_module");
    if known || word.eq_ignore_ascii_case("off") { Ok(()) } else { Err(format!("Unknown DAV provider: {name}")) }
}
