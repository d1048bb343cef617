//! `mod_proxy_fcgi.c`: the variables that FastCGI applications get.

use std::sync::Arc;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, latin1, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::upstream::spec::{EnvRule, FcgiPolicy};
use crate::web::Exchange;

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

/// Values per directory.
#[derive(Clone, Default)]
struct Fcgi {
    generic: Option<bool>,
    set_env: Vec<Arc<EnvRule>>,
}

impl Conf for Fcgi {
    const SLOT: usize = slot::PROXY_FCGI + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self {
            generic: add.generic.or(base.generic),
            set_env: base.set_env.iter().chain(&add.set_env).cloned().collect(),
        }
    }
}

/// What holds for the request.
pub(crate) fn policy(ex: &Exchange) -> FcgiPolicy {
    let dir = ex.dir::<Fcgi>();
    FcgiPolicy {
        generic: dir.and_then(|dir| dir.generic).unwrap_or(false),
        set_env: dir.map(|dir| dir.set_env.clone()).unwrap_or_default(),
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyFCGIBackendType", Places::FILEINFO, Shape::Take1, backend_type, "Specify the type of FastCGI server: 'Generic', 'FPM'"),
    row("ProxyFCGISetEnvIf", Places::FILEINFO, Shape::Take23, set_env_if, "expr-condition env-name expr-value"),
];

/// `ProxyFCGIBackendType`.
fn backend_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let generic = args.word(0).eq_ignore_ascii_case(b"GENERIC");
    if generic || args.word(0).eq_ignore_ascii_case(b"FPM") {
        cmd.dir_conf::<Fcgi>().generic = Some(generic);
        return Ok(());
    }
    Err("ProxyFCGIBackendType requires one of the following arguments: 'GENERIC', 'FPM'".to_owned())
}

/// `ProxyFCGISetEnvIf condition name [value]`.
fn set_env_if(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let parse = |text: &[u8], why: String| format!("Could not parse expression \"{}\": {why}", latin1(text));
    let condition = cmd.condition(args.word(0)).map_err(|why| parse(args.word(0), why))?;
    let value = args.words.get(2);
    if let Some(value) = value
        && args.word(1).first() == Some(&b'!')
    {
        return Err(format!(
            "Third argument (\"{}\") is not allowed when using ProxyFCGISetEnvIf's unset mode ({})",
            latin1(value),
            args.text(1)
        ));
    }
    let value = value.map(|value| cmd.template(value).map_err(|why| parse(value, why))).transpose()?;
    let rule = EnvRule { condition, name: args.word(1).to_vec(), value };
    cmd.dir_conf::<Fcgi>().set_env.push(Arc::new(rule));
    Ok(())
}
