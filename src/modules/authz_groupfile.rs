//! `mod_authz_groupfile.c`: `Require group` out of a text file.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, Slots, row};
use crate::logs::{self, Level};
use crate::modules::kept::Kept;
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::pipe::authz::{Need, Text, Verdict};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authz_groupfile_module",
        file: "mod_authz_groupfile.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
pub struct GroupFile {
    /// AuthGroupFile, absolute.
    file: Option<Vec<u8>>,
}

impl Conf for GroupFile {
    const SLOT: usize = slot::AUTHZ_GROUPFILE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { file: add.file.clone().or_else(|| base.file.clone()) }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive] = &[row(
    "AuthGroupFile",
    Places::AUTHCFG,
    Shape::Take1,
    group_file,
    "text file containing group names and member user IDs",
)];

fn group_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let file = cmd.rooted(args.word(0));
    cmd.dir_conf::<GroupFile>().file = Some(file);
    Ok(())
}

/// A group file: the groups of each user, in the order of the file.
struct Groups(HashMap<Vec<u8>, Vec<Arc<[u8]>>, RandomState>);

/// The group file as this thread has it; the error is for the log.
fn groups_of(ex: &Exchange, dir: &Slots) -> Option<Rc<Groups>> {
    let Some(file) = dir.get::<GroupFile>().and_then(|conf| conf.file.as_deref()) else {
        logs::error!(ex, Level::Error, "authz_groupfile", "AH01664: No group file was specified in the configuration");
        return None;
    };
    match Kept::get(file, ex, |text| Ok(Groups::read(text))) {
        Ok(groups) => Some(groups),
        Err(errno) => {
            let text = "AH01665: Could not open group file:";
            logs::error!(ex, Level::Error, "authz_groupfile", errno => "{} {}", text, logs::Bytes(file));
            None
        }
    }
}

impl Groups {
    /// `group: user user`, one group a line; `#` starts a comment line.
    fn read(text: &[u8]) -> Self {
        let mut found = Self(HashMap::default());
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            let Some(colon) = memchr::memchr(b':', line).filter(|_| line.first() != Some(&b'#')) else { continue };
            let (group, members) = (line[..colon].trim_ascii(), &line[colon + 1..]);
            let group: Arc<[u8]> = group.into();
            for member in members.split(u8::is_ascii_whitespace).filter(|member| !member.is_empty()) {
                found.0.entry(member.to_vec()).or_default().push(group.clone());
            }
        }
        found
    }

    fn of(&self, user: &[u8]) -> &[Arc<[u8]>] {
        self.0.get(user).map_or(&[], Vec::as_slice)
    }
}

fn member(ex: &Exchange, dir: &Slots, wanted: impl Fn(&[u8]) -> bool) -> Verdict {
    let Some(user) = ex.user.as_deref() else { return Verdict::DeniedNoUser };
    let Some(groups) = groups_of(ex, dir) else { return Verdict::Denied };
    let groups = groups.of(user);
    if groups.is_empty() {
        logs::error!(
            ex,
            Level::Info,
            "authz_groupfile",
            "AH01666: Authorization of user {} to access {} failed, reason: user doesn't appear in group file ({}).",
            logs::Bytes(user),
            logs::Bytes(&ex.uri),
            logs::Bytes(dir.get::<GroupFile>().and_then(|conf| conf.file.as_deref()).unwrap_or_default())
        );
        return Verdict::Denied;
    }
    if groups.iter().any(|group| wanted(group)) {
        return Verdict::Granted;
    }
    logs::error!(
        ex,
        Level::Debug,
        "authz_groupfile",
        "AH01667: Authorization of user {} to access {} failed, reason: user is not part of the 'require'ed group(s).",
        logs::Bytes(user),
        logs::Bytes(&ex.uri)
    );
    Verdict::Denied
}

struct Group(Text);

impl Need for Group {
    fn check(&self, ex: &Exchange, dir: &Slots) -> Verdict {
        let names = self.0.words(ex);
        member(ex, dir, |group| names.iter().any(|name| name == group))
    }
}

/// `Require group`.
pub fn group(cmd: &Cmd<'_>, text: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(Group(Text::parse(cmd, text)?)))
}

struct FileGroup;

impl Need for FileGroup {
    fn check(&self, ex: &Exchange, dir: &Slots) -> Verdict {
        if ex.user.is_none() {
            return Verdict::DeniedNoUser;
        }
        let Some(owner) = super::authz_owner::file_group(ex) else { return Verdict::Denied };
        member(ex, dir, |group| group == owner.as_bytes())
    }
}

/// `Require file-group`.
pub fn file_group(_: &Cmd<'_>, _: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(FileGroup))
}

#[cfg(test)]
mod tests {
    use super::Groups;

    #[test]
    fn groups_are_found_by_member() {
        let text = b"# c: bob\ng1: bob al\n\ng2:al\n g3 :\tbob\nbroken bob\n";
        let groups = Groups::read(text);
        let of = |user: &str| -> Vec<&[u8]> { groups.of(user.as_bytes()).iter().map(|group| &**group).collect() };
        assert_eq!(of("bob"), [b"g1", b"g3"]);
        assert_eq!(of("al"), [b"g1", b"g2"]);
        assert!(of("bo").is_empty() && of("").is_empty());
    }
}
