//! `mod_logio.c`: bytes in and out. The counting is the connection's, the items are rows of `mod_log_config`.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "logio_module",
        file: "mod_logio.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values of a directory.
#[derive(Clone, Default)]
pub struct LogioDir {
    /// `LogIOTrackTTFB`.
    track_first_byte: Option<bool>,
}

impl Conf for LogioDir {
    const SLOT: usize = slot::LOGIO + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { track_first_byte: add.track_first_byte.or(base.track_first_byte) }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("LogIOTrackTTFB", Places::ALL, Shape::Flag, track_first_byte, "Set to 'ON' to enable tracking time to first byte"),
];

/// Its parts in the phases. Error pages do not pass the phase: there is no time of theirs.
const HOOKS: &[Hook] = &[Hook {
    phase: Phase::InsertFilter,
    order: 10,
    wants: |_, dir| dir.get::<LogioDir>().is_some_and(|dir| dir.track_first_byte == Some(true)),
    run: Run::Now(|ex| {
        ex.tracks_first_byte = true;
        Outcome::Ok
    }),
}];

/// `LogIOTrackTTFB`.
fn track_first_byte(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<LogioDir>().track_first_byte = Some(args.on());
    Ok(())
}
