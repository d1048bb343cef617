//! `mod_proxy_fcgi.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, latin1, row};
use crate::modules::rows::nothing;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_fcgi_module",
        file: "mod_proxy_fcgi.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyFCGIBackendType", Places::FILEINFO, Shape::Take1, backend_type, "Specify the type of FastCGI server: 'Generic', 'FPM'").missing(),
    row("ProxyFCGISetEnvIf", Places::FILEINFO, Shape::Take23, set_env_if, "expr-condition env-name expr-value").missing(),
];

/// `ProxyFCGIBackendType`.
fn backend_type(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if [&b"GENERIC"[..], b"FPM"].iter().any(|kind| kind.eq_ignore_ascii_case(args.word(0))) {
        return Ok(());
    }
    Err("ProxyFCGIBackendType requires one of the following arguments: 'GENERIC', 'FPM'".to_owned())
}

/// `ProxyFCGISetEnvIf condition name [value]`.
fn set_env_if(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let parse = |text: &[u8], why: String| format!("Could not parse expression \"{}\": {why}", latin1(text));
    cmd.condition(args.word(0)).map_err(|why| parse(args.word(0), why))?;
    let Some(value) = args.words.get(2) else { return Ok(()) };
    if args.word(1).first() == Some(&b'!') {
        return Err(format!(
            "Third argument (\"{}\") is not allowed when using ProxyFCGISetEnvIf's unset mode ({})",
            latin1(value),
            args.text(1)
        ));
    }
    cmd.template(value).map_err(|why| parse(value, why))?;
    Ok(())
}
