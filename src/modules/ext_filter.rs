//! `mod_ext_filter.c`.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, get_word, latin1, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "ext_filter_module",
        file: "mod_ext_filter.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ExtFilterOptions", Places::DIR, Shape::Iterate, options, "valid options: LogStderr, NoLogStderr").refused(),
    row("ExtFilterDefine", Places::SERVER, Shape::Raw, define, "Define an external filter").refused(),
];

/// Names that `ExtFilterDefine` gave.
#[derive(Clone, Debug, Default)]
struct Defined(Vec<Vec<u8>>);

impl Conf for Defined {
    const SLOT: usize = slot::EXT_FILTER + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// Whether `ExtFilterDefine` made a filter of this name.
pub(super) fn is_defined(cmd: &Cmd<'_>, name: &[u8]) -> bool {
    let defined = cmd.globals.conf.get::<Defined>();
    defined.is_some_and(|defined| defined.0.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// `ExtFilterOptions`, one word at a time.
fn options(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.text(0).to_ascii_lowercase();
    let known = ["logstderr", "nologstderr", "onfail=abort", "onfail=remove"];
    if known.contains(&word.as_str()) || word.starts_with("debuglevel=") {
        return Ok(());
    }
    Err(format!("Invalid ExtFilterOptions option: {}", args.text(0)))
}

/// `ExtFilterDefine name key=value ...`.
fn define(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (name, mut rest) = get_word(args.raw);
    if is_defined(cmd, &name) {
        return Err(format!("ExtFilter {} is already defined", latin1(&name)));
    }
    while !rest.is_empty() {
        let keys =
            ["preservescontentlength", "mode=", "ftype=", "enableenv=", "disableenv=", "intype=", "outtype=", "cmd="];
        let lower = rest.to_ascii_lowercase();
        let Some(key) = keys.iter().find(|key| lower.starts_with(key.as_bytes())) else {
            return Err(format!("Unexpected parameter: `{}'", latin1(rest)));
        };
        let value = rest.get(key.len()..).unwrap_or_default();
        let mode = get_word(value).0;
        if *key == "mode=" && mode != b"input" && mode != b"output" {
            return Err(format!("Invalid mode: `{}'", latin1(&mode)));
        }
        rest = if key.ends_with('=') { get_word(value).1 } else { value.trim_ascii_start() };
    }
    cmd.globals.conf.get_mut::<Defined>().0.push(name);
    Ok(())
}
