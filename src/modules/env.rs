//! `mod_env.c`: variables of the request's environment from the configuration and the process.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, latin1, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "env_module",
        file: "mod_env.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Variables of a directory; names in any case are the same.
#[derive(Clone, Debug, Default)]
pub struct EnvDir {
    /// `SetEnv` and `PassEnv`.
    vars: Vec<(Vec<u8>, Vec<u8>)>,
    /// `UnsetEnv`: of outer scopes.
    unset: Vec<Vec<u8>>,
}

impl Conf for EnvDir {
    const SLOT: usize = slot::ENV + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        let mut merged = Self { vars: base.vars.clone(), unset: Vec::new() };
        for name in &add.unset {
            merged.remove(name);
        }
        for (name, value) in &add.vars {
            merged.set(name, value);
        }
        merged
    }
}

impl EnvDir {
    fn set(&mut self, name: &[u8], value: &[u8]) {
        match self.vars.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value.to_vec(),
            None => self.vars.push((name.to_vec(), value.to_vec())),
        }
    }

    fn remove(&mut self, name: &[u8]) {
        self.vars.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("PassEnv", Places::FILEINFO, Shape::Iterate, pass_env, "a list of environment variables to pass to CGI."),
    row("SetEnv", Places::FILEINFO, Shape::Take12, set_env, "an environment variable name and optional value to pass to CGI."),
    row("UnsetEnv", Places::FILEINFO, Shape::Iterate, unset_env, "a list of variables to remove from the CGI environment."),
];

/// Its parts in the phases.
const HOOKS: &[Hook] = &[Hook {
    phase: Phase::Fixups,
    order: 0,
    wants: |_, dir| dir.get::<EnvDir>().is_some_and(|dir| !dir.vars.is_empty()),
    run: Run::Now(set_vars),
}];

/// `PassEnv`, one name at a time.
fn pass_env(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let name = args.word(0);
    match std::env::var_os(OsStr::from_bytes(name)) {
        Some(value) => cmd.dir_conf::<EnvDir>().set(name, &value.into_vec()),
        None => cmd.warn("env", "warn", format!("AH01506: PassEnv variable {} was undefined", latin1(name))),
    }
    Ok(())
}

/// `SetEnv`.
fn set_env(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.word(0).contains(&b'=') {
        const SPURIOUS: &str =
            "AH10032: Spurious usage of '=' in an environment variable name. 'SetEnv A b' expected instead?";
        cmd.warn("env", "warn", SPURIOUS.replace("'SetEnv A b'", &expected(args.word(0))));
    }
    cmd.dir_conf::<EnvDir>().set(args.word(0), args.word(1));
    Ok(())
}

/// What was probably meant by `SetEnv name=value`.
fn expected(written: &[u8]) -> String {
    let at = memchr::memchr(b'=', written).unwrap_or(written.len());
    let value = written.get(at + 1..).unwrap_or_default();
    format!("'SetEnv {} {}'", latin1(&written[..at]), latin1(value))
}

/// `UnsetEnv`, one name at a time.
fn unset_env(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let conf = cmd.dir_conf::<EnvDir>();
    conf.remove(args.word(0));
    conf.unset.push(args.word(0).to_vec());
    Ok(())
}

/// Adds the variables, but those that something set before in this request.
fn set_vars(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    for (name, value) in chain.dir.get::<EnvDir>().into_iter().flat_map(|conf| &conf.vars) {
        ex.env.set_if_absent(name, value);
    }
    Outcome::Ok
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Server, Slots};
    use crate::web::testing;

    #[test]
    fn inner_scopes_add_replace_and_remove() {
        let mut base = EnvDir::default();
        base.set(b"A", b"1");
        base.set(b"B", b"1");
        base.set(b"a", b"2");
        let mut add = EnvDir::default();
        add.unset.push(b"b".to_vec());
        add.set(b"C", b"");
        let merged = EnvDir::merge(&base, &add);
        assert_eq!(merged.vars, [(b"A".to_vec(), b"2".to_vec()), (b"C".to_vec(), Vec::new())]);
        let mut dir = Slots::default();
        *dir.get_mut::<EnvDir>() = merged;
        let mut ex = testing::exchange(
            &testing::live(vec![Server { dir, ..Server::default() }], &[]),
            "GET / HTTP/1.1\nHost: x",
        );
        ex.env.set(b"A", b"earlier");
        assert_eq!(set_vars(&mut ex), Outcome::Ok);
        assert_eq!((ex.env.get(b"A"), ex.env.get(b"c")), (Some(&b"earlier"[..]), Some(&b""[..])));
    }

    #[test]
    fn a_spurious_equals_sign_is_explained() {
        assert_eq!(expected(b"A=b"), "'SetEnv A b'");
        assert_eq!(expected(b"A="), "'SetEnv A '");
    }
}
