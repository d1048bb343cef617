//! `mod_actions.c`: scripts that answer for a type, a handler or a method.

use crate::base::path::escape_path;
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "actions_module",
        file: "mod_actions.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// `Action`.
#[derive(Clone)]
struct Action {
    /// Type or handler, in lower case.
    of: Vec<u8>,
    script: Vec<u8>,
    /// The file need not exist.
    is_virtual: bool,
}

/// Values per directory, inner ones first.
#[derive(Clone, Default)]
struct ActionsDir {
    actions: Vec<Action>,
    /// Method and script.
    scripts: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Conf for ActionsDir {
    const SLOT: usize = slot::ACTIONS + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self {
            actions: add.actions.iter().chain(&base.actions).cloned().collect(),
            scripts: add.scripts.iter().chain(&base.scripts).cloned().collect(),
        }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Action", Places::FILEINFO, Shape::Take23, action, "a media type followed by a script name"),
    row("Script", Places::DIR.or(Places::SERVER), Shape::Take2, script, "a method followed by a script name"),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: 10, wants, run: Run::Now(handle) }];

fn wants(_: &Server, dir: &Slots) -> bool {
    dir.get::<ActionsDir>().is_some()
}

fn action(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let is_virtual = match args.opt(2) {
        None => false,
        Some(word) if word.eq_ignore_ascii_case(b"virtual") => true,
        Some(_) => return Err(format!("unrecognized option '{}'", args.text(2))),
    };
    let action = Action { of: args.word(0).to_ascii_lowercase(), script: args.word(1).to_vec(), is_virtual };
    let actions = &mut cmd.dir_conf::<ActionsDir>().actions;
    actions.retain(|old| old.of != action.of);
    actions.push(action);
    Ok(())
}

fn script(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.word(0) == b"TRACE" {
        return Err("TRACE not allowed for Script".to_owned());
    }
    let scripts = &mut cmd.dir_conf::<ActionsDir>().scripts;
    scripts.retain(|(method, _)| method != args.word(0));
    scripts.push((args.word(0).to_vec(), args.word(1).to_vec()));
    Ok(())
}

/// Hands the request to a script; an action for its type or handler counts more than one for its method.
fn handle(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    let Some(conf) = chain.dir.get::<ActionsDir>() else { return Outcome::Declined };
    let method: &[u8] = if ex.method == b"HEAD" { b"GET" } else { &ex.method };
    // GET is for the script only with a query.
    let mut script = if method == b"GET" && ex.args.is_none() {
        None
    } else {
        conf.scripts.iter().find(|(known, _)| known == method).map(|(_, script)| script)
    };
    if script.is_some() && ex.redirects >= 2 {
        return Outcome::Declined;
    }
    if let Some(action) = conf.actions.iter().find(|action| action.of.eq_ignore_ascii_case(&ex.handler)) {
        if !action.is_virtual && ex.finfo.is_none() {
            logs::error!(ex, Level::Info, "actions", "AH00652: File does not exist: {}", Bytes(&ex.filename));
            return Outcome::Status(404);
        }
        script = Some(&action.script);
        ex.env.set(b"HANDLER", &ex.handler);
        if action.is_virtual {
            ex.notes.set(b"virtual_script", b"1");
        }
    }
    let Some(script) = script else { return Outcome::Declined };
    let mut target = script.clone();
    escape_path(&ex.uri, &mut target);
    if let Some(args) = &ex.args {
        target.push(b'?');
        target.extend_from_slice(args);
    }
    ex.internal_redirect = target;
    Outcome::Redirect
}
