//! `mod_lua.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "lua_module",
        file: "mod_lua.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("LuaRoot", Places::ALL, Shape::Take1, accept, "Specify the base path for resolving relative paths for mod_lua directives").refused(),
    row("LuaPackagePath", Places::ALL, Shape::Take1, accept, "Add a directory to lua's package.path").refused(),
    row("LuaPackageCPath", Places::ALL, Shape::Take1, accept, "Add a directory to lua's package.cpath").refused(),
    row("LuaAuthzProvider", Places::SERVER.or(Places::READ), Shape::Take3, accept, "Provide an authorization provider").refused(),
    row("LuaHookPreTranslateName", Places::ALL, Shape::Take2, accept, "Provide a hook for the pre_translate name phase of request processing").refused(),
    row("<LuaHookPreTranslateName", Places::ALL.or(Places::READ), Shape::Raw, accept, "Provide a hook for the pre_translate name phase of request processing").refused(),
    row("LuaHookTranslateName", Places::ALL, Shape::Take23, third, "Provide a hook for the translate name phase of request processing").refused(),
    row("<LuaHookTranslateName", Places::ALL.or(Places::READ), Shape::Raw, accept, "Provide a hook for the translate name phase of request processing").refused(),
    row("LuaHookFixups", Places::ALL, Shape::Take2, accept, "Provide a hook for the fixups phase of request processing").refused(),
    row("<LuaHookFixups", Places::ALL.or(Places::READ), Shape::Raw, accept, "Provide a inline hook for the fixups phase of request processing").refused(),
    row("LuaHookMapToStorage", Places::ALL, Shape::Take2, accept, "Provide a hook for the map_to_storage phase of request processing").refused(),
    row("<LuaHookMapToStorage", Places::ALL.or(Places::READ), Shape::Raw, accept, "Provide a hook for the map_to_storage phase of request processing").refused(),
    row("LuaHookCheckUserID", Places::ALL, Shape::Take23, accept, "Provide a hook for the check_user_id phase of request processing").refused(),
    row("<LuaHookCheckUserID", Places::ALL.or(Places::READ), Shape::Raw, accept, "Provide a hook for the check_user_id phase of request processing").refused(),
    row("LuaHookTypeChecker", Places::ALL, Shape::Take2, accept, "Provide a hook for the type_checker phase of request processing").refused(),
    row("<LuaHookTypeChecker", Places::ALL.or(Places::READ), Shape::Raw, accept, "Provide a hook for the type_checker phase of request processing").refused(),
    row("LuaHookAccessChecker", Places::ALL, Shape::Take23, third, "Provide a hook for the access_checker phase of request processing").refused(),
    row("<LuaHookAccessChecker", Places::ALL.or(Places::READ), Shape::Raw, accept, "Provide a hook for the access_checker phase of request processing").refused(),
    row("LuaHookAuthChecker", Places::ALL, Shape::Take23, third, "Provide a hook for the auth_checker phase of request processing").refused(),
    row("<LuaHookAuthChecker", Places::ALL.or(Places::READ), Shape::Raw, accept, "Provide a hook for the auth_checker phase of request processing").refused(),
    row("LuaHookInsertFilter", Places::ALL, Shape::Take2, |_, _| Err("LuaHookInsertFilter not yet implemented".to_owned()), "Provide a hook for the insert_filter phase of request processing").refused(),
    row("LuaHookLog", Places::ALL, Shape::Take2, accept, "Provide a hook for the logging phase of request processing").refused(),
    row("LuaScope", Places::ALL, Shape::Take123, |_, a| check::one_of(a, &["once", "request", "conn", "thread", "server"], "Invalid value for LuaScope, '\u{1}', acceptable values are: 'once', 'request', 'conn', 'thread', 'server'"), "One of once, request, conn, server -- default is once").refused(),
    row("LuaInherit", Places::ALL, Shape::Take1, |_, a| check::one_of(a, &["none", "parent-first", "parent-last"], "LuaInherit type of '\u{1}' not recognized, valid options are 'none', 'parent-first', and 'parent-last'"), "Controls how Lua scripts in parent contexts are merged with the current  context: none|parent-last|parent-first (default: parent-first) ").refused(),
    row("LuaCodeCache", Places::ALL, Shape::Take1, |_, a| check::one_of(a, &["never", "stat", "forever"], "LuaCodeCache type of '\u{1}' not recognized, valid options are 'never', 'stat', and 'forever'"), "Controls the behavior of the in-memory code cache  context: stat|forever|never (default: stat) ").refused(),
    row("LuaQuickHandler", Places::ALL, Shape::Take2, accept, "Provide a hook for the quick handler of request processing").refused(),
    row("<LuaQuickHandler", Places::ALL.or(Places::READ), Shape::Raw, accept, "Provide a hook for the quick handler of request processing").refused(),
    row("Lua_____ByteCodeHack", Places::ALL, Shape::Raw, accept, "(internal) Byte code handler").refused(),
    row("LuaMapHandler", Places::ALL, Shape::Take23, |c, a| c.pattern(a.word(0), false).map(|_| ()).map_err(|_| "Invalid regex pattern!".to_owned()), "Maps a path to a lua handler").refused(),
    row("LuaOutputFilter", Places::ALL, Shape::Take3, accept, "Registers a Lua function as an output filter").refused(),
    row("LuaInputFilter", Places::ALL, Shape::Take3, accept, "Registers a Lua function as an input filter").refused(),
];

/// The last of three words says when.
fn third(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    match args.opt(2) {
        Some(word) if !word.eq_ignore_ascii_case(b"early") && !word.eq_ignore_ascii_case(b"late") => {
            Err("Third argument must be 'early' or 'late'".to_owned())
        }
        _ => Ok(()),
    }
}
