//! `mod_authz_owner.c`: `Require file-owner`, and the group of the file for `Require file-group`.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use crate::config::{Cmd, Directive, ModuleRow, Slots};
use crate::logs::{self, Level};
use crate::modules::rows::nothing;
use crate::pipe::Module;
use crate::pipe::authz::{Need, Verdict};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authz_owner_module",
        file: "mod_authz_owner.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
pub const DIRECTIVES: &[Directive] = &[];

struct FileOwner;

impl Need for FileOwner {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        let Some(user) = &ex.user else { return Verdict::DeniedNoUser };
        let uid = ex.finfo.as_ref().map(|file| nix::unistd::Uid::from_raw(file.uid()));
        let owner = uid.and_then(|uid| nix::unistd::User::from_uid(uid).ok().flatten());
        if owner.is_some_and(|owner| owner.name.as_bytes() == user) {
            return Verdict::Granted;
        }
        logs::error!(
            ex,
            Level::Debug,
            "authz_owner",
            "AH01637: Require file-owner: user '{}' does not own {}",
            logs::Bytes(user),
            logs::Bytes(&ex.filename)
        );
        Verdict::Denied
    }
}

/// `Require file-owner`.
pub fn file_owner(_: &Cmd<'_>, _: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(FileOwner))
}

/// The name of the group that owns the requested file.
pub fn file_group(ex: &Exchange) -> Option<String> {
    let gid = nix::unistd::Gid::from_raw(ex.finfo.as_ref()?.gid());
    Some(nix::unistd::Group::from_gid(gid).ok()??.name)
}
