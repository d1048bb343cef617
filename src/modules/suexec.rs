//! `mod_suexec.c`: there is no program here that runs scripts as somebody else, and what httpd says without it is
//! said.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "suexec_module",
        file: "mod_suexec.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("SuexecUserGroup", Places::SERVER, Shape::Take2, user_group, "User and group for spawned processes"),
];

/// `SuexecUserGroup`: a script that would run as the server in place of the user would have the server's rights.
fn user_group(_: &mut Cmd<'_>, _: &Args<'_>) -> Result<(), String> {
    Err("SuexecUserGroup configured, but suEXEC is disabled: Missing suexec binary /usr/lib/apache2/suexec".to_owned())
}
