//! `mod_echo.c`: connections that get back what they send; `server::echo` serves them.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "echo_module",
        file: "mod_echo.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per server.
#[derive(Clone, Default)]
struct EchoServer {
    on: bool,
}

impl Conf for EchoServer {
    const SLOT: usize = slot::ECHO;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProtocolEcho", Places::SERVER, Shape::Flag, protocol_echo, "Run an echo server on this host"),
];

fn protocol_echo(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.server_conf::<EchoServer>().on = args.on();
    Ok(())
}

/// Whether connections to this server get back what they send.
pub fn is_on(server: &Server) -> bool {
    server.get::<EchoServer>().is_some_and(|conf| conf.on)
}
