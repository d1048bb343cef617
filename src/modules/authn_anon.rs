//! `mod_authn_anon.c`: users that need no password but may have to leave an address.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::logs::{self, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::pipe::authn::{Answer, Ask, Judge, Provider, Replying, Ways};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authn_anon_module",
        file: "mod_authn_anon.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone)]
pub struct AnonDir {
    users: Vec<Vec<u8>>,
    any_user: bool,
    no_user: bool,
    must_give: bool,
    verify: bool,
    log: bool,
}

impl Default for AnonDir {
    fn default() -> Self {
        Self { users: Vec::new(), any_user: false, no_user: false, must_give: true, verify: false, log: true }
    }
}

impl Conf for AnonDir {
    const SLOT: usize = slot::AUTHN_ANON + 1;

    /// As in httpd, the inner scope's values replace all of the outer one's.
    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("Anonymous", Places::AUTHCFG, Shape::Iterate, user, "a space-separated list of user IDs"),
    row("Anonymous_MustGiveEmail", Places::AUTHCFG, Shape::Flag, |c, a| set(c, a, |conf| &mut conf.must_give), "Limited to 'on' or 'off'"),
    row("Anonymous_NoUserId", Places::AUTHCFG, Shape::Flag, |c, a| set(c, a, |conf| &mut conf.no_user), "Limited to 'on' or 'off'"),
    row("Anonymous_VerifyEmail", Places::AUTHCFG, Shape::Flag, |c, a| set(c, a, |conf| &mut conf.verify), "Limited to 'on' or 'off'"),
    row("Anonymous_LogEmail", Places::AUTHCFG, Shape::Flag, |c, a| set(c, a, |conf| &mut conf.log), "Limited to 'on' or 'off'"),
];

fn user(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let conf = cmd.dir_conf::<AnonDir>();
    match args.word(0) {
        b"*" => conf.any_user = true,
        word => conf.users.push(word.to_vec()),
    }
    Ok(())
}

fn set(cmd: &mut Cmd<'_>, args: &Args<'_>, which: fn(&mut AnonDir) -> &mut bool) -> Result<(), String> {
    *which(cmd.dir_conf::<AnonDir>()) = args.on();
    Ok(())
}

/// Anybody who leaves an address.
pub const PROVIDER: Provider = Provider {
    name: "anon",
    module: "authn_anon_module",
    ask: Some(Ways {
        password: Judge::Looks(|ask, password| -> Replying<'_> {
            Box::pin(async move { check(ask, password).into() })
        }),
        hash: None,
    }),
    keep: None,
};

/// What becomes of the user with this password.
fn check(ask: Ask<'_>, password: &[u8]) -> Answer {
    let Some(conf) = ask.dir.get::<AnonDir>().filter(|conf| conf.any_user || !conf.users.is_empty()) else {
        return Answer::NotFound;
    };
    let user = ask.user;
    let known = conf.any_user
        || (user.is_empty() && conf.no_user)
        || conf.users.iter().any(|known| known.eq_ignore_ascii_case(user));
    if !known {
        return Answer::NotFound;
    }
    let given = !conf.must_give || !password.is_empty();
    let plausible = !conf.verify || (password.contains(&b'@') && password.contains(&b'.'));
    if !given || !plausible {
        return Answer::Denied;
    }
    if conf.log {
        let password = logs::Bytes(password);
        logs::error!(ask.ex, Level::Info, "authn_anon", "AH01672: Anonymous: Passwd <{}> Accepted", password);
    }
    Answer::Granted
}
