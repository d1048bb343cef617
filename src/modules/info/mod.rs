//! `mod_info.c`: pages about the configuration and the modules in use (`SetHandler server-info`).
//!
//! As httpd's, but for what has no meaning here: hooks outside of requests, which functions a module has for its
//! configuration, and versions of libraries.

mod page;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, Wire};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "info_module",
        file: "mod_info.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per server.
#[derive(Clone, Default)]
struct InfoServer {
    /// File of a module and a text about it, in HTML.
    more: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Conf for InfoServer {
    const SLOT: usize = slot::INFO;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { more: add.more.iter().chain(&base.more).cloned().collect() }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AddModuleInfo", Places::SERVER, Shape::Take2, add_module_info, "a module name and additional information on that module"),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(handler) }];

fn add_module_info(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let entry = (args.word(0).to_vec(), args.word(1).to_vec());
    cmd.server_conf::<InfoServer>().more.push(entry);
    Ok(())
}

fn handler<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if ex.handler == b"server-info" { Box::pin(answer(ex, wire)) } else { pipe::declined() }
}

async fn answer(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    pipe::allow(ex, &[b"GET"]);
    if ex.method != b"GET" && ex.method != b"HEAD" {
        return Outcome::Declined;
    }
    ex.content_type = b"text/html; charset=ISO-8859-1".to_vec();
    let text = page::made(ex);
    pipe::page(ex, wire, &text).await
}
