//! `mod_dialup.c`: files at the speed of a modem, a second's worth each second.
//!
//! Unlike httpd only what no other handler makes: the source of a script is never sent for its speed. Ranges are
//! answered, which httpd does for files that go out within the first second.

use std::time::Duration;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{self, Hook, Module, Phase, Run, Waiting};
use crate::web::{Exchange, Pace, Wire};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "dialup_module",
        file: "mod_dialup.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct DialupDir {
    /// Bytes a second; 0 is as fast as can be.
    speed: usize,
}

impl Conf for DialupDir {
    const SLOT: usize = slot::DIALUP + 1;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ModemStandard", Places::DIR, Shape::Take1, modem, "Modem Standard to.. simulate. Must be one of: 'V.21', 'V.26bis', 'V.32', 'V.34', or 'V.92'"),
];

/// The hooks: right in front of the handler of files.
const HOOKS: &[Hook] = &[Hook {
    phase: Phase::Handler,
    order: 19,
    wants: |_, dir| dir.get::<DialupDir>().is_some_and(|dir| dir.speed > 0),
    run: Run::Handle(slow_down),
}];

/// Standards and what they send, in bytes a second.
const STANDARDS: &[(&str, usize)] = &[("V.21", 12), ("V.26bis", 300), ("V.32", 1200), ("V.34", 3600), ("V.92", 7000)];

fn modem(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let names: Vec<&str> = STANDARDS.iter().map(|(name, _)| *name).collect();
    check::one_of(args, &names, "mod_dialup: Unknown Modem Standard specified.")?;
    let known = STANDARDS.iter().find(|(name, _)| args.word(0).eq_ignore_ascii_case(name.as_bytes()));
    cmd.dir_conf::<DialupDir>().speed = known.map_or(0, |(_, speed)| *speed);
    Ok(())
}

fn slow_down<'a>(ex: &'a mut Exchange, _: &'a mut dyn Wire) -> Waiting<'a> {
    let is_file = ex.finfo.as_ref().is_some_and(|info| !info.is_dir());
    if is_file && (ex.method == b"GET" || ex.method == b"HEAD") {
        let speed = ex.dir::<DialupDir>().map_or(0, |dir| dir.speed);
        ex.response.pace = (speed > 0).then_some(Pace { chunk: speed, burst: 0, every: Duration::from_secs(1) });
    }
    pipe::declined()
}
