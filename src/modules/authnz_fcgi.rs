//! `mod_authnz_fcgi.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, get_word, get_words, latin1, row};
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authnz_fcgi_module",
        file: "mod_authnz_fcgi.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthnzFcgiDefineProvider", Places::SERVER, Shape::Argv, define, "Define a FastCGI authn and/or authz provider").refused(),
    row("AuthnzFcgiCheckAuthnProvider", Places::FILEINFO, Shape::Argv, check_provider, "Enable/disable a FastCGI authorizer to handle check_authn phase").refused(),
];

/// `AuthnzFcgiDefineProvider type name url`.
fn define(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let fail = |why: &str| Err(format!("AuthnzFcgiDefineProvider: {why}"));
    let words = get_words(args.raw);
    let Some(kind) = words.first().filter(|kind| !kind.is_empty()) else { return fail("No type given") };
    if !["authn", "authz", "authnz"].iter().any(|known| known.as_bytes().eq_ignore_ascii_case(kind)) {
        return fail(&format!("Invalid provider type {}", latin1(kind)));
    }
    if words.get(1).is_none_or(Vec::is_empty) {
        return fail("No provider name given");
    }
    if words.get(2).is_none_or(Vec::is_empty) {
        return fail("No backend-address given");
    }
    Ok(())
}

/// `AuthnzFcgiCheckAuthnProvider name|none option value ...`.
fn check_provider(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let fail = |why: String| Err(format!("AuthnzFcgiCheckAuthnProvider: {why}"));
    let (name, mut rest) = get_word(args.raw);
    if name.is_empty() {
        return fail("No provider given".to_owned());
    }
    while !rest.is_empty() {
        let (option, behind) = get_word(rest);
        let (value, behind) = get_word(behind);
        let shown = latin1(&option);
        if value.is_empty() {
            return fail(format!("{shown}needs an argument"));
        }
        let known = ["authoritative", "defaultuser", "requirebasicauth", "userexpr"];
        if !known.iter().any(|known| known.eq_ignore_ascii_case(&shown)) {
            return fail(format!("Unexpected option '{shown}'"));
        }
        rest = behind;
    }
    Ok(())
}
