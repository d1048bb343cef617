//! `mod_case_filter_in.c`: an example of an input filter, request bodies in capitals.

use std::task::{Context, Poll};

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::{BodyFault, Exchange, InputFilter, PlannedInput, Progress};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "case_filter_in_module",
        file: "mod_case_filter_in.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per server.
#[derive(Clone, Default)]
struct CaseFilterIn {
    on: bool,
}

impl Conf for CaseFilterIn {
    const SLOT: usize = slot::CASE_FILTER_IN;

    /// Each server speaks for itself.
    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CaseFilterIn", Places::SERVER, Shape::Flag, enable, "Run an input case filter on this host"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[Hook { phase: Phase::InsertFilter, order: 0, wants, run: Run::Now(insert) }];

fn enable(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.server_conf::<CaseFilterIn>().on = args.on();
    Ok(())
}

fn wants(server: &Server, _: &crate::config::Slots) -> bool {
    server.get::<CaseFilterIn>().is_some_and(|conf| conf.on)
}

fn insert(ex: &mut Exchange) -> Outcome {
    ex.plan_input(PlannedInput { rank: 10, which: 0, start, environment: false });
    Outcome::Declined
}

/// `CaseFilterIn`.
pub fn start(_: &mut Exchange, _: usize) -> Option<Box<dyn InputFilter>> {
    Some(Box::new(Capitals))
}

struct Capitals;

impl InputFilter for Capitals {
    fn poll(
        &mut self,
        _: &mut Context<'_>,
        input: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Progress, BodyFault>> {
        out.extend(input.iter().map(u8::to_ascii_uppercase));
        Poll::Ready(Ok(Progress { taken: input.len(), ended: last }))
    }
}
