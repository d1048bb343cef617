//! `mod_authz_dbm.c`: `Require dbm-group` out of a table in a file.

use std::sync::Arc;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, Slots, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::{dbm, slot};
use crate::pipe::Module;
use crate::pipe::authz::{Need, Text, Verdict};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authz_dbm_module",
        file: "mod_authz_dbm.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
struct DbmGroups {
    /// AuthDBMGroupFile, absolute.
    file: Option<Vec<u8>>,
    /// AuthzDBMType.
    kind: Option<Vec<u8>>,
}

impl Conf for DbmGroups {
    const SLOT: usize = slot::AUTHZ_DBM + 1;

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
    row("AuthDBMGroupFile", Places::AUTHCFG, Shape::Take1, group_file, "database file containing group names and member user IDs"),
    row("AuthzDBMType", Places::AUTHCFG, Shape::Take1, group_type, "what type of DBM file the group file is"),
];

fn group_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let file = cmd.rooted(args.word(0));
    cmd.dir_conf::<DbmGroups>().file = Some(file);
    Ok(())
}

fn group_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<DbmGroups>().kind = Some(args.word(0).to_vec());
    Ok(())
}

/// The numbers under which the log says that a user is not in the file, and not in a group.
struct Numbers(&'static str, &'static str);

/// Whether the user is in a group that is wanted.
fn member(ex: &Exchange, dir: &Slots, numbers: &Numbers, wanted: impl Fn(&[u8]) -> bool) -> Verdict {
    let Some(user) = ex.user.as_deref() else { return Verdict::DeniedNoUser };
    let conf = dir.get::<DbmGroups>();
    let Some(file) = conf.and_then(|conf| conf.file.as_deref()) else {
        logs::error!(ex, Level::Error, "authz_dbm", "AH01798: No group file was specified in the configuration");
        return Verdict::Denied;
    };
    let kind = conf.and_then(|conf| conf.kind.as_deref()).unwrap_or(b"default");
    let entry = match dbm::find(kind, file, user) {
        Ok(entry) => entry,
        Err(errno) => {
            let (kind, file) = (Bytes(kind), Bytes(file));
            let text = "AH01799: could not open dbm";
            logs::error!(ex, Level::Error, "authz_dbm", errno => "{} (type {}) group access file: {}", text, kind, file);
            return Verdict::Error;
        }
    };
    let (who, uri) = (Bytes(user), Bytes(&ex.uri));
    let Some(entry) = entry else {
        let (number, file) = (numbers.0, Bytes(file));
        let text = "failed, reason: user doesn't appear in DBM group file";
        logs::error!(
            ex,
            Level::Error,
            "authz_dbm",
            "{}: Authorization of user {} to access {} {} ({}).",
            number,
            who,
            uri,
            text,
            file
        );
        return Verdict::Denied;
    };
    if groups_in(&entry).any(wanted) {
        return Verdict::Granted;
    }
    let text = "failed, reason: user is not part of the 'require'ed group(s).";
    let number = numbers.1;
    logs::error!(ex, Level::Error, "authz_dbm", "{}: Authorization of user {} to access {} {}", number, who, uri, text);
    Verdict::Denied
}

/// The groups of an entry, `group,group`, which may stand behind a password and in front of more: `hash:groups:more`.
fn groups_in(entry: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut fields = entry.split(|byte| *byte == b':');
    let first = fields.next().unwrap_or_default();
    fields.next().unwrap_or(first).split(|byte| *byte == b',')
}

struct Group(Text);

impl Need for Group {
    fn check(&self, ex: &Exchange, dir: &Slots) -> Verdict {
        let names = self.0.words(ex);
        member(ex, dir, &Numbers("AH01800", "AH01801"), |group| names.iter().any(|name| name == group))
    }
}

/// `Require dbm-group`.
pub fn group(cmd: &Cmd<'_>, text: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(Group(Text::parse(cmd, text)?)))
}

struct FileGroup;

impl Need for FileGroup {
    fn check(&self, ex: &Exchange, dir: &Slots) -> Verdict {
        let owner = super::authz_owner::file_group(ex);
        member(ex, dir, &Numbers("AH01804", "AH01805"), |group| {
            owner.as_ref().is_some_and(|owner| group == owner.as_bytes())
        })
    }
}

/// `Require dbm-file-group`.
pub fn file_group(_: &Cmd<'_>, _: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(FileGroup))
}

#[cfg(test)]
mod tests {
    use super::groups_in;

    #[test]
    fn groups_may_stand_behind_a_password() {
        let groups = |entry: &'static str| -> Vec<&str> {
            groups_in(entry.as_bytes()).map(|group| std::str::from_utf8(group).unwrap()).collect()
        };
        assert_eq!(groups("a,b"), ["a", "b"]);
        assert_eq!(groups("hash:a,b:comment"), ["a", "b"]);
        assert_eq!(groups("c : x"), [" x"]);
        assert_eq!(groups(""), [""]);
    }
}
