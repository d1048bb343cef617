//! `mod_authn_file.c`: users and passwords in a text file, as htpasswd writes it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use base64::Engine as _;
use md5::{Digest as _, Md5};
use sha1::Sha1;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::logs::{self, Errno, Level};
use crate::modules::auth_basic::Answer;
use crate::modules::rows::nothing;
use crate::modules::{authn_core, slot};
use crate::pipe::Module;
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authn_file_module",
        file: "mod_authn_file.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct FileDir {
    /// AuthUserFile, absolute.
    file: Option<Vec<u8>>,
}

impl Conf for FileDir {
    const SLOT: usize = slot::AUTHN_FILE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { file: add.file.clone().or_else(|| base.file.clone()) }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive] =
    &[row("AuthUserFile", Places::AUTHCFG, Shape::Take1, user_file, "text file containing user IDs and passwords")];

fn user_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let file = cmd.rooted(args.word(0));
    cmd.dir_conf::<FileDir>().file = Some(file);
    Ok(())
}

/// Whether this is the password of the request's user. Reading the file and hashing happen off the thread that serves
/// requests: a good hash is slow on purpose.
///
/// With `digest` the file is one of htdigest: lines of user, realm and hash of the three.
pub async fn check(ex: &mut Exchange, password: &[u8], digest: bool) -> Answer {
    let Some(file) = ex.dir::<FileDir>().and_then(|conf| conf.file.clone()) else {
        logs::error!(ex, Level::Error, "authn_file", "AH01619: AuthUserFile not specified in the configuration");
        return Answer::Failed;
    };
    let (user, password) = (ex.user.clone().unwrap_or_default(), password.to_vec());
    let path = file.clone();
    let realm = authn_core::realm(ex).filter(|_| digest).map(<[u8]>::to_vec);
    let task = tokio::task::spawn_blocking(move || {
        let text = std::fs::read(Path::new(std::ffi::OsStr::from_bytes(&path)))?;
        Ok::<_, std::io::Error>(match &realm {
            Some(realm) => digest_of(&text, &user, realm).map(|hash| is_digest(&user, realm, &password, hash)),
            None => hash_of(&text, &user).map(|hash| is_password(&password, hash)),
        })
    });
    match task.await {
        Ok(Ok(Some(true))) => Answer::Granted,
        Ok(Ok(Some(false))) => Answer::Denied,
        Ok(Ok(None)) => Answer::NotFound,
        Ok(Err(error)) => {
            logs::error!(
                ex,
                Level::Error,
                "authn_file",
                Errno::from(&error) => "AH01620: Could not open password file: {}",
                logs::Bytes(&file)
            );
            Answer::Failed
        }
        Err(_) => Answer::Failed,
    }
}

/// The hash behind `user:`.
fn hash_of<'a>(text: &'a [u8], user: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if matches!(line.first(), None | Some(b'#')) {
            return None;
        }
        let mut words = line.splitn(3, |byte| *byte == b':');
        (words.next()? == user).then(|| words.next().unwrap_or_default().trim_ascii_end())
    })
}

/// The hash behind `user:realm:`.
fn digest_of<'a>(text: &'a [u8], user: &[u8], realm: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if matches!(line.first(), None | Some(b'#')) {
            return None;
        }
        let mut words = line.splitn(3, |byte| *byte == b':');
        (words.next()? == user && words.next()? == realm).then(|| words.next().unwrap_or_default())
    })
}

/// Whether `hash` is that of user, realm and password.
fn is_digest(user: &[u8], realm: &[u8], password: &[u8], hash: &[u8]) -> bool {
    let digest = Md5::digest([user, b":", realm, b":", password].concat());
    let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    same(text.as_bytes(), hash)
}

/// Whether `hash` was made of this password by any of htpasswd's ways: bcrypt, apr1, SHA-1, or crypt(3)'s.
pub fn is_password(password: &[u8], hash: &[u8]) -> bool {
    let computed = if let Some(rest) = hash.strip_prefix(b"$apr1$") {
        let salt = rest.split(|byte| *byte == b'$').next().unwrap_or_default();
        apr1(password, &salt[..salt.len().min(8)])
    } else if hash.starts_with(b"{SHA}") {
        let digest = Sha1::digest(password);
        [b"{SHA}".as_slice(), base64::engine::general_purpose::STANDARD.encode(digest).as_bytes()].concat()
    } else {
        let Ok(hash) = std::str::from_utf8(hash) else { return false };
        // An empty or locked entry (`*`, `!`) is no hash at all.
        return hash.len() >= 13 && pwhash::unix::verify(password, hash);
    };
    same(&computed, hash)
}

/// Comparison that takes the same time wherever the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// The MD5 scheme of htpasswd: a thousand rounds over password and salt, in an alphabet of its own.
fn apr1(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut inner = Md5::new();
    inner.update(password);
    inner.update(salt);
    inner.update(password);
    let inner = inner.finalize();

    let mut first = Md5::new();
    first.update(password);
    first.update(b"$apr1$");
    first.update(salt);
    for chunk in password.chunks(16) {
        first.update(&inner[..chunk.len()]);
    }
    let mut bits = password.len();
    while bits != 0 {
        first.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut digest = first.finalize();

    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round % 2 == 1 { password } else { &digest[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round % 2 == 1 { &digest[..] } else { password });
        digest = next.finalize();
    }

    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = [b"$apr1$", salt, b"$"].concat();
    let mut push = |mut value: u32, count: usize| {
        for _ in 0..count {
            out.push(ALPHABET[(value & 63) as usize]);
            value >>= 6;
        }
    };
    for (a, b, c) in [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)] {
        push(u32::from(digest[a]) << 16 | u32::from(digest[b]) << 8 | u32::from(digest[c]), 4);
    }
    push(u32::from(digest[11]), 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `htpasswd` with the password `pw`.
    const FILE: &[u8] = b"# users
bob:$apr1$ztA8DHsa$YZiHAei1NWXRQgu2DV3u40
al:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=
bc:$2y$05$4KmC2/MGyADd8rM1zEfRjeUzkAEZIreyfPZxHnainYx7uTyyHXYjS
s5:$6$RMeXT5tI0aJMMmEO$FmXSMOZPnQnItA7S/S1YPu6oxegFEeM48Xr3I1Y96.BlNSTp/Pbdu.l6woZ4UPfW5spmUzk1dclE.7TPGFUwa.
cr:rdX2asqMl9QJw
empty:
locked:*
";

    #[test]
    fn every_kind_of_hash_is_checked() {
        for user in ["bob", "al", "bc", "s5", "cr"] {
            let hash = hash_of(FILE, user.as_bytes()).unwrap();
            assert!(is_password(b"pw", hash), "{user}");
            assert!(!is_password(b"px", hash) && !is_password(b"", hash), "{user}");
        }
        for user in ["empty", "locked"] {
            let hash = hash_of(FILE, user.as_bytes()).unwrap();
            assert!(!is_password(b"", hash) && !is_password(b"*", hash), "{user}");
        }
        assert_eq!(hash_of(FILE, b"bo"), None);
        assert_eq!(hash_of(FILE, b"# users"), None);
    }
}
