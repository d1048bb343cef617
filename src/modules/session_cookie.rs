//! `mod_session_cookie.c`: sessions that the client keeps, in a cookie.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, Slots, get_word, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::{check, slot};
use crate::pipe::Module;
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "session_cookie_module",
        file: "mod_session_cookie.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct CookieDir {
    /// SessionCookieName.
    first: Option<Named>,
    /// SessionCookieName2.
    second: Option<Named>,
    /// SessionCookieRemove.
    remove: Option<bool>,
}

/// A cookie's name and what is said with it.
#[derive(Clone)]
struct Named {
    name: Vec<u8>,
    attributes: Vec<u8>,
}

impl Conf for CookieDir {
    const SLOT: usize = slot::SESSION_COOKIE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        crate::inner_or_outer!(base, add; first, second, remove)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("SessionCookieName", Places::AUTHCFG.or(Places::SERVER), Shape::Raw, first, "The name of the RFC2109 cookie carrying the session"),
    row("SessionCookieName2", Places::AUTHCFG.or(Places::SERVER), Shape::Raw, second, "The name of the RFC2965 cookie carrying the session"),
    row("SessionCookieRemove", Places::AUTHCFG.or(Places::SERVER), Shape::Flag, remove, "Set to 'On' to remove the session cookie from the headers and hide the cookie from a backend server or process"),
];

/// What is said with a cookie when nobody says anything.
const ATTRIBUTES: &[u8] = b"HttpOnly;Secure;Version=1";

/// `SessionCookieName name attributes`.
fn named(cmd: &Cmd<'_>, args: &Args<'_>) -> Result<Named, String> {
    let (name, rest) = get_word(args.raw);
    // An empty word is a name, none is not.
    if !name.is_empty() || args.raw.is_empty() {
        check::field_name(cmd, &name)?;
    }
    Ok(Named { name, attributes: rest.trim_ascii().to_vec() })
}

fn first(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let named = named(cmd, args)?;
    cmd.dir_conf::<CookieDir>().first = Some(named);
    Ok(())
}

fn second(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let named = named(cmd, args)?;
    cmd.dir_conf::<CookieDir>().second = Some(named);
    Ok(())
}

fn remove(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<CookieDir>().remove = Some(args.on());
    Ok(())
}

/// The cookies that carry a session in these values, if any does.
pub(super) fn carrier(dir: &Slots) -> Option<CookieDir> {
    dir.get::<CookieDir>().filter(|conf| conf.first.is_some() || conf.second.is_some()).cloned()
}

impl CookieDir {
    /// Whether it is taken out of the request.
    pub(super) fn is_hidden(&self) -> bool {
        self.remove == Some(true)
    }

    /// The session that the request carries, as text; empty without one. A cookie that is there twice is none.
    pub(super) fn read(&self, ex: &mut Exchange) -> Vec<u8> {
        let Some(named) = self.first.as_ref().or(self.second.as_ref()) else { return Vec::new() };
        let front = [&*named.name, b"="].concat();
        let mut found = Vec::new();
        for field in ex.headers_in.get_all(b"Cookie") {
            let parts = field.split(|byte| matches!(byte, b';' | b',')).map(<[u8]>::trim_ascii);
            found.extend(parts.filter_map(|part| part.strip_prefix(&*front)).map(<[u8]>::to_vec));
        }
        if self.is_hidden() && !found.is_empty() {
            hide(ex, &front);
        }
        match found.as_slice() {
            [] => Vec::new(),
            [one] => one.clone(),
            _ => {
                let text = "AH00011: ap_cookie: client submitted cookie";
                let (name, uri) = (Bytes(&named.name), Bytes(&ex.uri));
                logs::error!(ex, Level::Error, "core", "{text} '{name}' more than once: {uri}");
                Vec::new()
            }
        }
    }

    /// Gives the client a session to carry for `seconds` (0: until it forgets), or takes it back.
    pub(super) fn write(&self, ex: &mut Exchange, text: &[u8], seconds: i64) {
        for (named, field) in [(&self.first, &b"Set-Cookie"[..]), (&self.second, b"Set-Cookie2")] {
            let Some(named) = named else { continue };
            let usual = if text.is_empty() { b"" } else { ATTRIBUTES };
            let attributes = if named.attributes.is_empty() { usual } else { &named.attributes };
            let age = match (text.is_empty(), seconds) {
                (true, _) => "Max-Age=0;".to_owned(),
                (false, 0) => String::new(),
                (false, seconds) => format!("Max-Age={seconds};"),
            };
            let value = [&*named.name, b"=", text, b";", age.as_bytes(), attributes].concat();
            let user = ex.user.clone().unwrap_or_else(|| b"(null)".to_vec());
            let (what, number) = if text.is_empty() { ("removed", "AH00009") } else { ("set", "AH00007") };
            let (user, shown) = (Bytes(&user), Bytes(&value));
            logs::error!(ex, Level::Debug, "core", "{number}: ap_cookie: user '{user}' {what} cookie: '{shown}'");
            ex.err_headers_out.add(field, &value);
            if text.is_empty() {
                // To take one back is said twice.
                ex.headers_out.add(field, &value);
            }
        }
    }
}

/// Takes a cookie out of the request, so that no backend sees it.
fn hide(ex: &mut Exchange, front: &[u8]) {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for field in ex.headers_in.get_all(b"Cookie") {
        let parts = field.split(|byte| *byte == b';').filter(|part| !part.trim_ascii().starts_with(front));
        let parts = parts.collect::<Vec<_>>().join(&b';');
        let parts = parts.trim_ascii();
        if !parts.is_empty() {
            kept.push(parts.to_vec());
        }
    }
    ex.headers_in.unset(b"Cookie");
    for field in kept {
        ex.headers_in.add(b"Cookie", &field);
    }
}
