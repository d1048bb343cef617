//! `mod_env.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "env_module",
        file: "mod_env.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("PassEnv", Places::FILEINFO, Shape::Iterate, accept, "a list of environment variables to pass to CGI.").missing(),
    row("SetEnv", Places::FILEINFO, Shape::Take12, accept, "an environment variable name and optional value to pass to CGI.").missing(),
    row("UnsetEnv", Places::FILEINFO, Shape::Iterate, accept, "a list of variables to remove from the CGI environment.").missing(),
];
