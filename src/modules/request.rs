//! `mod_request.c`: bodies of requests that are kept for those that are made on their behalf.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, row};
use crate::logs::{self, Level};
use crate::modules::rows::nothing;
use crate::modules::{check, slot};
use crate::pipe::{Hook, Module, Outcome, Phase, Run, aside};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "request_module",
        file: "mod_request.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[Hook { phase: Phase::InsertFilter, order: 20, wants: keeps, run: Run::Now(insert) }],
};

/// Values per directory.
#[derive(Clone, Default)]
struct RequestDir {
    /// KeptBodySize in bytes.
    size: Option<u64>,
}

impl Conf for RequestDir {
    const SLOT: usize = slot::REQUEST + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        crate::inner_or_outer!(base, add; size)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("KeptBodySize", Places::DIR, Shape::Take1, size, "Maximum size of request bodies kept aside for use by filters"),
];

fn size(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    check::whole_between(args, 0..=i64::MAX, "KeptBodySize must be a valid size in bytes, or zero.")?;
    cmd.dir_conf::<RequestDir>().size = check::long(args.word(0)).and_then(|size| u64::try_from(size).ok());
    Ok(())
}

fn keeps(_: &Server, dir: &Slots) -> bool {
    dir.get::<RequestDir>().and_then(|conf| conf.size).is_some_and(|size| size > 0)
}

/// What is read of the body is kept. One that says that it is larger is told of here, and refused when it is read.
fn insert(ex: &mut Exchange) -> Outcome {
    let Some(limit) = ex.dir::<RequestDir>().and_then(|conf| conf.size) else { return Outcome::Declined };
    if ex.sub_depth > 0 {
        return Outcome::Declined;
    }
    let length = ex.headers_in.get(b"Content-Length").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    if let Some(length) = length.filter(|length: &u64| *length > limit) {
        let text = "is larger than the configured limit of";
        logs::error!(ex, Level::Error, "request", "AH01412: Requested content-length of {length} {text} {limit}");
    }
    aside::keep(ex, limit);
    Outcome::Declined
}
