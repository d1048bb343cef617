//! `mod_userdir.c`: the pages of users, under `/~name`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, get_word, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run, names};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "userdir_module",
        file: "mod_userdir.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per server.
#[derive(Clone, Default)]
struct UserDirs {
    /// Places to look at, in order.
    places: Option<Vec<Vec<u8>>>,
    /// `disabled` or `enabled` for everybody.
    disabled: Option<bool>,
    disabled_users: Vec<Vec<u8>>,
    enabled_users: Vec<Vec<u8>>,
}

impl Conf for UserDirs {
    const SLOT: usize = slot::USERDIR;

    fn merge(base: &Self, add: &Self) -> Self {
        Self {
            places: add.places.clone().or_else(|| base.places.clone()),
            disabled: add.disabled.or(base.disabled),
            // Lists of users are the virtual host's own.
            disabled_users: add.disabled_users.clone(),
            enabled_users: add.enabled_users.clone(),
        }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("UserDir", Places::SERVER, Shape::Raw, user_dir, "the public subdirectory in users' home directories, or 'disabled', or 'disabled username username...', or 'enabled username username...'"),
];

/// The hooks. Behind mod_alias.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Translate, order: 1, wants, run: Run::Now(translate) }];

fn wants(server: &Server, _: &Slots) -> bool {
    server.get::<UserDirs>().is_some_and(|dirs| dirs.places.is_some())
}

fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        let (word, after) = get_word(rest);
        if word.is_empty() {
            return words;
        }
        words.push(word);
        rest = after;
    }
}

fn user_dir(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (keyword, rest) = get_word(args.raw);
    if keyword.is_empty() {
        return Err("UserDir requires an argument.".to_owned());
    }
    let conf = cmd.server_conf::<UserDirs>();
    let users = words(rest);
    match keyword.to_ascii_lowercase().as_slice() {
        b"disable" | b"disabled" if users.is_empty() => conf.disabled = Some(true),
        b"disable" | b"disabled" => conf.disabled_users.extend(users),
        b"enable" | b"enabled" if users.is_empty() => conf.disabled = Some(false),
        b"enable" | b"enabled" => conf.enabled_users.extend(users),
        _ => conf.places = Some(words(args.raw)),
    }
    Ok(())
}

/// Where one place puts a user's pages.
enum Place {
    File(Vec<u8>),
    Url(Vec<u8>),
    Nowhere,
}

fn place(pattern: &[u8], user: &[u8], home: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Place {
    let absolute = pattern.first() == Some(&b'/');
    let at_home = |below: &[u8]| match home(user) {
        Some(home) => Place::File([home.as_slice(), b"/", below].concat()),
        None => Place::Nowhere,
    };
    match memchr::memchr(b'*', pattern) {
        Some(star) => {
            let (before, after) = (&pattern[..star], &pattern[star + 1..]);
            if before.contains(&b':') {
                // What stands behind the star is lost, as in httpd.
                Place::Url([before, user].concat())
            } else if absolute || after.is_empty() {
                Place::File([before, user, after].concat())
            } else {
                at_home(after)
            }
        }
        None if absolute => Place::File([pattern, b"/", user].concat()),
        None => at_home(pattern),
    }
}

/// The home directory of a user of this system.
fn home(user: &[u8]) -> Option<Vec<u8>> {
    let name = std::str::from_utf8(user).ok()?;
    let found = nix::unistd::User::from_name(name).ok()??;
    Some(found.dir.as_os_str().as_bytes().to_vec())
}

/// Maps `/~user/rest`.
fn translate(ex: &mut Exchange) -> Outcome {
    let Some(rest) = ex.uri.strip_prefix(b"/~") else { return Outcome::Declined };
    let live = ex.live.clone();
    let conf = live.generation.servers.get(ex.server).and_then(Server::get::<UserDirs>);
    let Some(conf) = conf else { return Outcome::Declined };
    let Some(places) = &conf.places else { return Outcome::Declined };
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    let (user, rest) = rest.split_at(end);
    let is = |names: &[Vec<u8>]| names.iter().any(|name| name.eq_ignore_ascii_case(user));
    let dots = matches!(user, b"." | b"..");
    if user.is_empty() || dots || is(&conf.disabled_users) || (conf.disabled == Some(true) && !is(&conf.enabled_users))
    {
        return Outcome::Declined;
    }
    let (user, rest) = (user.to_vec(), rest.to_vec());
    for (at, pattern) in places.iter().enumerate() {
        match place(pattern, &user, home) {
            Place::Url(mut url) => {
                url.extend_from_slice(&rest);
                ex.headers_out.set(b"Location", &url);
                return Outcome::Status(302);
            }
            Place::File(file) => {
                let last = at + 1 == places.len();
                if !last && std::fs::metadata(OsStr::from_bytes(&file)).is_err() {
                    continue;
                }
                let prefix = ex.uri.get(..ex.uri.len() - rest.len()).unwrap_or_default().to_vec();
                ex.filename = [file.as_slice(), &rest].concat();
                names::set_context(ex, names::Context { prefix, root: file, document_root: None });
                return Outcome::Ok;
            }
            Place::Nowhere => {}
        }
    }
    Outcome::Declined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_users() {
        let at = |pattern: &str| {
            let home = |_: &[u8]| Some(b"/home/ann".to_vec());
            match place(pattern.as_bytes(), b"ann", home) {
                Place::File(file) => String::from_utf8(file).unwrap(),
                Place::Url(url) => format!("-> {}", String::from_utf8(url).unwrap()),
                Place::Nowhere => "-".to_owned(),
            }
        };
        assert_eq!(at("public_html"), "/home/ann/public_html");
        assert_eq!(at("/www"), "/www/ann");
        assert_eq!(at("/home/*/www"), "/home/ann/www");
        assert_eq!(at("http://x/*/y"), "-> http://x/ann");
        assert_eq!(at("http://x/~*"), "-> http://x/~ann");
        assert_eq!(at("http://x"), "/home/ann/http://x");
        assert_eq!(at("a*b"), "/home/ann/b");
    }
}
