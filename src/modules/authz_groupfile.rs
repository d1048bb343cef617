//! `mod_authz_groupfile.c`: `Require group` out of a text file.

use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, Slots, row};
use crate::logs::{self, Errno, Level};
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

/// The groups of a user; the error is for the log.
fn groups_of(ex: &Exchange, dir: &Slots, user: &[u8]) -> Option<Vec<Vec<u8>>> {
    let Some(file) = dir.get::<GroupFile>().and_then(|conf| conf.file.as_deref()) else {
        logs::error!(ex, Level::Error, "authz_groupfile", "AH01664: No group file was specified in the configuration");
        return None;
    };
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(file));
    match std::fs::read(path) {
        Ok(text) => Some(groups_in(&text, user)),
        Err(error) => {
            logs::error!(
                ex,
                Level::Error,
                "authz_groupfile",
                Errno::from(&error) => "AH01665: Could not open group file: {}",
                logs::Bytes(file)
            );
            None
        }
    }
}

/// `group: user user`, one group a line; `#` starts a comment line.
fn groups_in(text: &[u8], user: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        let Some(colon) = memchr::memchr(b':', line).filter(|_| line.first() != Some(&b'#')) else { continue };
        let (group, members) = (line[..colon].trim_ascii(), &line[colon + 1..]);
        if members.split(u8::is_ascii_whitespace).any(|member| member == user) {
            found.push(group.to_vec());
        }
    }
    found
}

fn member(ex: &Exchange, dir: &Slots, wanted: impl Fn(&[u8]) -> bool) -> Verdict {
    let Some(user) = ex.user.as_deref() else { return Verdict::DeniedNoUser };
    let Some(groups) = groups_of(ex, dir, user) else { return Verdict::Denied };
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
    use super::groups_in;

    #[test]
    fn groups_are_found_by_member() {
        let text = b"# c: bob\ng1: bob al\n\ng2:al\n g3 :\tbob\nbroken bob\n";
        assert_eq!(groups_in(text, b"bob"), [b"g1".to_vec(), b"g3".to_vec()]);
        assert_eq!(groups_in(text, b"al"), [b"g1".to_vec(), b"g2".to_vec()]);
        assert!(groups_in(text, b"bo").is_empty());
    }
}
