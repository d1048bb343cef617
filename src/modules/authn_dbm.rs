//! `mod_authn_dbm.c`: users and hashes out of a table in a file.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::passwords::is_password;
use crate::modules::rows::nothing;
use crate::modules::{dbm, slot};
use crate::pipe::Module;
use crate::pipe::authn::{Answer, Ask, Judge, Provider, Reply, Replying, Ways};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authn_dbm_module",
        file: "mod_authn_dbm.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
struct DbmUsers {
    /// AuthDBMUserFile, absolute.
    file: Option<Vec<u8>>,
    /// AuthDBMType.
    kind: Option<Vec<u8>>,
}

impl Conf for DbmUsers {
    const SLOT: usize = slot::AUTHN_DBM + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self {
            file: add.file.clone().or_else(|| base.file.clone()),
            kind: add.kind.clone().or_else(|| base.kind.clone()),
        }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthDBMUserFile", Places::AUTHCFG, Shape::Take1, user_file, "dbm database file containing user IDs and passwords"),
    row("AuthDBMType", Places::AUTHCFG, Shape::Take1, user_type, "what type of DBM file the user file is"),
];

fn user_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let file = cmd.rooted(args.word(0));
    cmd.dir_conf::<DbmUsers>().file = Some(file);
    Ok(())
}

fn user_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<DbmUsers>().kind = Some(args.word(0).to_vec());
    Ok(())
}

/// Users in a table of htdbm.
pub const PROVIDER: Provider = Provider {
    name: "dbm",
    module: "authn_dbm_module",
    ask: Some(Ways { password: Judge::Looks(password), hash: Some(hash) }),
    keep: None,
};

/// Whether this is the password of the user.
fn password<'a>(ask: Ask<'a>, password: &'a [u8]) -> Replying<'a> {
    let password = password.to_vec();
    Box::pin(find(ask, ask.user.to_vec(), move |hash| {
        let answer = if is_password(&password, &hash) { Answer::Granted } else { Answer::Denied };
        Reply { answer, hash: Some(hash) }
    }))
}

/// The hash of user, realm and password, under `user:realm`.
fn hash(ask: Ask<'_>) -> Replying<'_> {
    let key = [ask.user, b":", ask.realm.unwrap_or_default()].concat();
    Box::pin(find(ask, key, |hash| Reply { answer: Answer::Granted, hash: Some(hash) }))
}

/// Asks about what stands under a key, up to a colon. Reading and hashing happen off the thread that serves requests:
/// a good hash is slow on purpose.
async fn find(ask: Ask<'_>, key: Vec<u8>, judge: impl FnOnce(Vec<u8>) -> Reply + Send + 'static) -> Reply {
    let conf = ask.dir.get::<DbmUsers>();
    let kind = conf.and_then(|conf| conf.kind.as_deref()).unwrap_or(b"default").to_vec();
    let file = conf.and_then(|conf| conf.file.clone());
    let (of, name) = (kind.clone(), file.clone());
    let task = tokio::task::spawn_blocking(move || {
        let name = name.ok_or_else(|| dbm::no_file(&of))?;
        let entry = dbm::find(&of, &name, &key)?;
        let hash = entry.map(|entry| entry.split(|byte| *byte == b':').next().unwrap_or_default().to_vec());
        Ok::<_, Errno>(hash.map(judge))
    });
    match task.await {
        Ok(Ok(Some(reply))) => reply,
        Ok(Ok(None)) => Answer::NotFound.into(),
        Ok(Err(errno)) => {
            let (kind, file) = (Bytes(&kind), Bytes(file.as_deref().unwrap_or(b"(null)")));
            let text = "AH10285: could not open dbm";
            logs::error!(ask.ex, Level::Error, "authn_dbm", errno => "{} (type {}) file: {}", text, kind, file);
            Answer::Failed.into()
        }
        Err(_) => Answer::Failed.into(),
    }
}
