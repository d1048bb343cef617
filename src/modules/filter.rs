//! `mod_filter.c`.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, latin1, row};
use crate::modules::rows::{accept, nothing};
use crate::modules::slot;
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "filter_module",
        file: "mod_filter.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("FilterDeclare", Places::OPTIONS, Shape::Take12, declare, "filter-name [filter-type]").refused(),
    row("FilterProvider", Places::OPTIONS, Shape::Take3, provider, "filter-name provider-name match-expression").refused(),
    row("FilterChain", Places::OPTIONS, Shape::Iterate, accept, "list of filter names with optional [+-=!@]").refused(),
    row("FilterTrace", Places::DIR.or(Places::SERVER), Shape::Take2, trace, "filter-name debug-level").refused(),
    row("AddOutputFilterByType", Places::FILEINFO, Shape::Argv, by_type, "output filter name followed by one or more content-types").refused(),
    row("FilterProtocol", Places::OPTIONS, Shape::Take23, protocol, "filter-name [provider-name] protocol-args").refused(),
];

/// Smart filters declared so far.
#[derive(Clone, Debug, Default)]
struct Filters(Vec<Vec<u8>>);

impl Conf for Filters {
    const SLOT: usize = slot::FILTER + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// Output filters by the module that brings them.
const PROVIDERS: &[(&str, &str)] = &[
    ("CONTENT_LENGTH", "core_module"),
    ("BYTERANGE", "http_module"),
    ("CHUNK", "http_module"),
    ("HTTP_HEADER", "http_module"),
    ("INCLUDES", "include_module"),
    ("DEFLATE", "deflate_module"),
    ("INFLATE", "deflate_module"),
    ("BROTLI_COMPRESS", "brotli_module"),
    ("SUBSTITUTE", "substitute_module"),
    ("Sed", "sed_module"),
    ("BUFFER", "buffer_module"),
    ("RATE_LIMIT", "ratelimit_module"),
    ("proxy-html", "proxy_html_module"),
    ("xml2enc", "xml2enc_module"),
    ("XLATEOUT", "charset_lite_module"),
    ("CACHE", "cache_module"),
    ("CACHE_OUT", "cache_module"),
    ("CACHE_SAVE", "cache_module"),
    ("MOD_SESSION_OUT", "session_module"),
    ("REFLECTOR", "reflector_module"),
    ("DATA", "data_module"),
    ("CaseFilter", "case_filter_module"),
    ("MOD_EXPIRES", "expires_module"),
    ("FIXUP_HEADERS_OUT", "headers_module"),
];

fn known_provider(cmd: &Cmd<'_>, name: &[u8]) -> Result<(), String> {
    let known = PROVIDERS
        .iter()
        .any(|(known, id)| known.as_bytes().eq_ignore_ascii_case(name) && cmd.globals.modules.contains(id));
    // Filters that ExtFilterDefine made have names of their own.
    if known || crate::modules::ext_filter::is_defined(cmd, name) {
        return Ok(());
    }
    Err(format!("Unknown filter provider {}", latin1(name)))
}

fn filters<'a>(cmd: &'a mut Cmd<'_>) -> &'a mut Vec<Vec<u8>> {
    &mut cmd.globals.conf.get_mut::<Filters>().0
}

fn declare(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    filters(cmd).push(args.word(0).to_vec());
    Ok(())
}

/// `FilterProvider filter provider expression`.
fn provider(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    known_provider(cmd, args.word(1))?;
    cmd.condition(args.word(2)).map_err(|why| format!("Error parsing FilterProvider expression:{why}"))?;
    filters(cmd).push(args.word(0).to_vec());
    Ok(())
}

fn trace(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if filters(cmd).iter().any(|known| known == args.word(0)) {
        return Ok(());
    }
    Err(format!("Undeclared smart filter {}", args.text(0)))
}

/// `AddOutputFilterByType filter type ...`.
fn by_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.words.len() < 2 {
        return Err("AddOutputFilterByType requires at least two arguments".to_owned());
    }
    for name in args.word(0).split(|byte| *byte == b';') {
        known_provider(cmd, name)?;
    }
    Ok(())
}

fn protocol(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if filters(cmd).iter().any(|known| known == args.word(0)) {
        return Ok(());
    }
    Err("FilterProtocol: No such filter".to_owned())
}
