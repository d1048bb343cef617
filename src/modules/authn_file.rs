//! `mod_authn_file.c`: users and passwords in a text file, as htpasswd writes it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::logs::{self, Errno, Level};
use crate::modules::passwords::is_password;
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::pipe::authn::{Answer, Ask, Judge, Provider, Reply, Replying, Ways};

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

/// Users in a file of htpasswd or htdigest.
pub const PROVIDER: Provider = Provider {
    name: "file",
    module: "authn_file_module",
    ask: Some(Ways { password: Judge::Looks(password), hash: Some(hash) }),
    keep: None,
};

/// Whether this is the password of the user.
fn password<'a>(ask: Ask<'a>, password: &'a [u8]) -> Replying<'a> {
    let password = password.to_vec();
    Box::pin(read(ask, move |text, user, _| {
        let Some(hash) = hash_of(text, user) else { return Answer::NotFound.into() };
        let answer = if is_password(&password, hash) { Answer::Granted } else { Answer::Denied };
        Reply { answer, hash: Some(hash.to_vec()) }
    }))
}

/// The hash of user, realm and password.
fn hash(ask: Ask<'_>) -> Replying<'_> {
    Box::pin(read(ask, |text, user, realm| match digest_of(text, user, realm) {
        Some(hash) => Reply { answer: Answer::Granted, hash: Some(hash.to_vec()) },
        None => Answer::NotFound.into(),
    }))
}

/// Reading the file and hashing happen off the thread that serves requests: a good hash is slow on purpose.
async fn read(ask: Ask<'_>, find: impl FnOnce(&[u8], &[u8], &[u8]) -> Reply + Send + 'static) -> Reply {
    let Some(file) = ask.dir.get::<FileDir>().and_then(|conf| conf.file.clone()) else {
        let number = if ask.realm.is_some() { "AH01621" } else { "AH01619" };
        let text = "AuthUserFile not specified in the configuration";
        logs::error!(ask.ex, Level::Error, "authn_file", "{number}: {text}");
        return Answer::Failed.into();
    };
    let (user, realm) = (ask.user.to_vec(), ask.realm.unwrap_or_default().to_vec());
    let path = file.clone();
    let task = tokio::task::spawn_blocking(move || {
        let text = std::fs::read(Path::new(std::ffi::OsStr::from_bytes(&path)))?;
        Ok::<_, std::io::Error>(find(&text, &user, &realm))
    });
    match task.await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => {
            logs::error!(
                ask.ex,
                Level::Error,
                "authn_file",
                Errno::from(&error) => "{}: Could not open password file: {}",
                if ask.realm.is_some() { "AH01622" } else { "AH01620" },
                logs::Bytes(&file)
            );
            Answer::Failed.into()
        }
        Err(_) => Answer::Failed.into(),
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
