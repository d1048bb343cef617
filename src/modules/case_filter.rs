//! `mod_case_filter.c`: an example of a filter, response bodies in capitals.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::{BodyFilter, Exchange, Planned, Table};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "case_filter_module",
        file: "mod_case_filter.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per server.
#[derive(Clone, Default)]
struct CaseFilter {
    on: bool,
}

impl Conf for CaseFilter {
    const SLOT: usize = slot::CASE_FILTER;

    /// Each server speaks for itself.
    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CaseFilter", Places::SERVER, Shape::Flag, enable, "Run a case filter on this host"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[Hook { phase: Phase::InsertFilter, order: 0, wants, run: Run::Now(insert) }];

fn enable(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.server_conf::<CaseFilter>().on = args.on();
    Ok(())
}

fn wants(server: &Server, _: &crate::config::Slots) -> bool {
    server.get::<CaseFilter>().is_some_and(|conf| conf.on)
}

fn insert(ex: &mut Exchange) -> Outcome {
    ex.plan(Planned { rank: 10, which: 0, start });
    Outcome::Declined
}

/// `CaseFilter`.
pub fn start(_: &mut Exchange, _: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    Some(Box::new(Capitals))
}

struct Capitals;

impl BodyFilter for Capitals {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.extend(input.iter().map(u8::to_ascii_uppercase));
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn end(&mut self, _: &mut Vec<u8>, _: &mut Table) {}

    fn keeps_length(&self) -> bool {
        true
    }
}
