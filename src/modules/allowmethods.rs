//! `mod_allowmethods.c`: which methods pass.

use crate::codec::http1::head::is_known_method;
use crate::config::core::CoreProcess;
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, inner_or_outer, latin1, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "allowmethods_module",
        file: "mod_allowmethods.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct Allowed {
    /// Empty is `reset`: all methods.
    methods: Option<Vec<Vec<u8>>>,
}

impl Conf for Allowed {
    const SLOT: usize = slot::ALLOWMETHODS + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; methods)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AllowMethods", Places::DIR, Shape::Argv, allow_methods, "only allow specific methods"),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Access, order: -20, wants, run: Run::Now(check) }];

fn wants(_: &Server, dir: &Slots) -> bool {
    dir.get::<Allowed>().and_then(|dir| dir.methods.as_ref()).is_some_and(|methods| !methods.is_empty())
}

fn allow_methods(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.words.is_empty() {
        return Err("AllowMethods: No method or 'reset' keyword given".to_owned());
    }
    if let [only] = args.words
        && only.eq_ignore_ascii_case(b"reset")
    {
        cmd.dir_conf::<Allowed>().methods = Some(Vec::new());
        return Ok(());
    }
    let mut methods: Vec<Vec<u8>> = Vec::new();
    for word in args.words {
        let more = cmd.globals.conf.get::<CoreProcess>();
        let registered = more.is_some_and(|core| core.methods.iter().any(|method| method == word));
        if !is_known_method(word) && !registered {
            return Err(format!("AllowMethods: Invalid Method '{}'", latin1(word)));
        }
        methods.push(word.to_vec());
    }
    cmd.dir_conf::<Allowed>().methods = Some(methods);
    Ok(())
}

/// First of all that control access.
fn check(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    let Some(methods) = chain.dir.get::<Allowed>().and_then(|dir| dir.methods.as_ref()) else {
        return Outcome::Declined;
    };
    // GET and HEAD are one method.
    let method: &[u8] = if ex.method == b"HEAD" { b"GET" } else { &ex.method };
    if methods.iter().any(|known| known == method || (method == b"GET" && known == b"HEAD")) {
        return Outcome::Declined;
    }
    let (method, file, uri) = (Bytes(&ex.method), Bytes(&ex.filename), Bytes(&ex.uri));
    let text = "AH01623: client method denied by server configuration:";
    if ex.filename.is_empty() {
        logs::error!(ex, Level::Error, "allowmethods", "{} '{}' to uri {}", text, method, uri);
    } else {
        logs::error!(ex, Level::Error, "allowmethods", "{} '{}' to {}", text, method, file);
    }
    Outcome::Status(405)
}
