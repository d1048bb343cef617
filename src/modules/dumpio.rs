//! `mod_dumpio.c`: the bytes of connections in the error log; [`crate::logs::Dump`] writes them.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::logs::DumpIo;
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "dumpio_module",
        file: "mod_dumpio.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("DumpIOInput", Places::SERVER, Shape::Flag, input, "Enable I/O Dump on Input Data"),
    row("DumpIOOutput", Places::SERVER, Shape::Flag, output, "Enable I/O Dump on Output Data"),
];

fn input(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.server_conf::<DumpIo>().input = args.on();
    Ok(())
}

fn output(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.server_conf::<DumpIo>().output = args.on();
    Ok(())
}
