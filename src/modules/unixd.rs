//! `mod_unixd.c`: whom the server becomes when root started it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use nix::unistd::{Group, User};

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, latin1, row};
use crate::modules::slot;
use crate::net::files;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "unixd_module",
        file: "mod_unixd.c",
        builtin: true,
        directives: DIRECTIVES,
        post_config: crate::modules::rows::nothing,
    },
    hooks: &[],
};

/// A user or group: as written, and its number once looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Name or `#number`.
    pub name: Vec<u8>,
    /// The number.
    pub id: u32,
}

/// Values of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unixd {
    /// User.
    pub user: Option<Account>,
    /// Group.
    pub group: Option<Account>,
    /// The folder that is to be all there is.
    pub chroot: Option<PathBuf>,
}

impl Conf for Unixd {
    const SLOT: usize = slot::UNIXD + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("User", Places::SERVER, Shape::Take1, user, "Effective user id for this server"),
    row("Group", Places::SERVER, Shape::Take1, group, "Effective group id for this server"),
    row("ChrootDir", Places::SERVER, Shape::Take1, chroot, "The directory to chroot(2) into"),
    row("Suexec", Places::SERVER, Shape::Flag, suexec, "Enable or disable suEXEC support").moot(),
];

const ROOT: &str = "Error:\tApache has not been designed to serve pages while\n\trunning as root.  There are known race \
conditions that\n\twill allow any local user to read any file on the system.\n\tIf you still desire to serve pages as \
root then\n\tadd -DBIG_SECURITY_HOLE to the CFLAGS env variable\n\tand then rebuild the server.\n\tIt is strongly \
suggested that you instead modify the User\n\tdirective in your httpd.conf file to list a non-root\n\tuser.\n";

/// `User name|#number`; root is refused.
fn user(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let id = user_id(args.word(0));
    if id == Some(0) {
        return Err(ROOT.to_owned());
    }
    let id = known(cmd, id, "AH00543", "user", args.word(0))?;
    let account = Account { name: args.word(0).to_vec(), id };
    cmd.globals.conf.get_mut::<Unixd>().user = Some(account);
    Ok(())
}

/// `Group name|#number`.
fn group(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let id = known(cmd, group_id(args.word(0)), "AH00544", "group", args.word(0))?;
    let account = Account { name: args.word(0).to_vec(), id };
    cmd.globals.conf.get_mut::<Unixd>().group = Some(account);
    Ok(())
}

/// `ChrootDir`.
fn chroot(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let path = PathBuf::from(OsStr::from_bytes(&cmd.rooted(args.word(0))));
    if files::look(&path).is_ok_and(|found| found.kind == files::Kind::Folder) {
        cmd.globals.conf.get_mut::<Unixd>().chroot = Some(path);
        return Ok(());
    }
    Err("ChrootDir must be a valid directory".to_owned())
}

/// `Suexec`: there are no scripts here that could run as somebody else.
fn suexec(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    if args.on() {
        return Err("suEXEC isn't supported: Missing suexec binary /usr/lib/apache2/suexec".to_owned());
    }
    Ok(())
}

fn number(word: &[u8]) -> Option<u32> {
    let digits = word.strip_prefix(b"#")?;
    Some(crate::base::clock::leading_integer(digits).0.unwrap_or(0) as u32)
}

fn user_id(word: &[u8]) -> Option<u32> {
    number(word).or_else(|| Some(User::from_name(std::str::from_utf8(word).ok()?).ok()??.uid.as_raw()))
}

fn group_id(word: &[u8]) -> Option<u32> {
    number(word).or_else(|| Some(Group::from_name(std::str::from_utf8(word).ok()?).ok()??.gid.as_raw()))
}

/// The id of a name; a name that does not exist ends httpd at once, and says nothing of where it stands.
fn known(cmd: &mut Cmd<'_>, found: Option<u32>, number: &str, what: &str, name: &[u8]) -> Result<u32, String> {
    // From the folder that a process is confined to accounts may not be seen; by then it has its own.
    let found = found.or_else(|| files::given().then_some(u32::MAX));
    cmd.ends = found.is_none();
    found.ok_or_else(|| format!("{number}: {}: bad {what} name {}", cmd.globals.program, latin1(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_need_no_account() {
        assert_eq!(user_id(b"#99999"), Some(99999));
        assert_eq!(user_id(b"root"), Some(0));
        assert_eq!(group_id(b"no such group"), None);
    }
}
