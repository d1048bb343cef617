//! `mod_authz_user.c`: `Require user` and `valid-user`.

use std::sync::Arc;

use crate::config::{Cmd, Directive, ModuleRow, Slots};
use crate::logs::{self, Level};
use crate::modules::rows::nothing;
use crate::pipe::Module;
use crate::pipe::authz::{Need, Text, Verdict};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authz_user_module",
        file: "mod_authz_user.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
pub const DIRECTIVES: &[Directive] = &[];

struct User(Text);

impl Need for User {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        let Some(user) = &ex.user else { return Verdict::DeniedNoUser };
        if self.0.words(ex).iter().any(|named| named == user) {
            return Verdict::Granted;
        }
        logs::error!(
            ex,
            Level::Debug,
            "authz_user",
            "AH01663: access to {} failed, reason: user '{}' does not meet 'require'ments for user to be allowed access",
            logs::Bytes(&ex.uri),
            logs::Bytes(user)
        );
        Verdict::Denied
    }
}

/// `Require user`.
pub fn user(cmd: &Cmd<'_>, text: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(User(Text::parse(cmd, text)?)))
}

struct ValidUser;

impl Need for ValidUser {
    fn check(&self, ex: &Exchange, _: &Slots) -> Verdict {
        if ex.user.is_some() { Verdict::Granted } else { Verdict::DeniedNoUser }
    }
}

/// `Require valid-user`.
pub fn valid_user(_: &Cmd<'_>, _: &[u8]) -> Result<Arc<dyn Need>, String> {
    Ok(Arc::new(ValidUser))
}
