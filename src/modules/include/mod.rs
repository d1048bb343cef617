//! `mod_include.c`: documents that are filled in on their way out (server side includes).

use std::os::unix::fs::PermissionsExt as _;

use crate::config::core::{CoreDir, options};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, inner_or_outer, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::{check, filter, slot};
use crate::pipe::validators::set_last_modified;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::{BodyFilter, Exchange, Planned, Start};

mod elements;
mod legacy;
mod run;
mod scan;
mod text;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "include_module",
        file: "mod_include.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// `XBitHack`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum XBit {
    Off,
    On,
    Full,
}

/// Values per directory.
#[derive(Clone, Default)]
struct IncludeDir {
    error: Option<Vec<u8>>,
    time: Option<Vec<u8>>,
    undefined: Option<Vec<u8>>,
    x_bit: Option<XBit>,
    last_modified: Option<bool>,
    etag: Option<bool>,
    /// SSILegacyExprParser.
    legacy: Option<bool>,
}

impl Conf for IncludeDir {
    const SLOT: usize = slot::INCLUDE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; error, time, undefined, x_bit, last_modified, etag, legacy)
    }
}

/// Values per server.
#[derive(Clone, Default)]
struct Tags {
    start: Option<Vec<u8>>,
    end: Option<Vec<u8>>,
}

impl Conf for Tags {
    const SLOT: usize = slot::INCLUDE;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; start, end)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("XBitHack", Places::OPTIONS, Shape::Take1, x_bit, "Off, On, or Full"),
    row("SSIErrorMsg", Places::ALL, Shape::Take1, |c, a| set(&mut c.dir_conf::<IncludeDir>().error, a), "a string"),
    row("SSITimeFormat", Places::ALL, Shape::Take1, |c, a| set(&mut c.dir_conf::<IncludeDir>().time, a), "a strftime(3) formatted string"),
    row("SSIStartTag", Places::SERVER, Shape::Take1, |c, a| tag(a, "SSIStartTag").and_then(|()| set(&mut c.server_conf::<Tags>().start, a)), "SSI Start String Tag"),
    row("SSIEndTag", Places::SERVER, Shape::Take1, |c, a| tag(a, "SSIEndTag").and_then(|()| set(&mut c.server_conf::<Tags>().end, a)), "SSI End String Tag"),
    row("SSIUndefinedEcho", Places::ALL, Shape::Take1, |c, a| set(&mut c.dir_conf::<IncludeDir>().undefined, a), "String to be displayed if an echoed variable is undefined"),
    row("SSILegacyExprParser", Places::LIMIT, Shape::Flag, |c, a| flag(&mut c.dir_conf::<IncludeDir>().legacy, a), "Whether to use the legacy expression parser compatible with <= 2.2.x. Limited to 'on' or 'off'"),
    row("SSILastModified", Places::LIMIT, Shape::Flag, |c, a| flag(&mut c.dir_conf::<IncludeDir>().last_modified, a), "Whether to set the last modified header or respect an existing header. Limited to 'on' or 'off'"),
    row("SSIEtag", Places::LIMIT, Shape::Flag, |c, a| flag(&mut c.dir_conf::<IncludeDir>().etag, a), "Whether to allow the generation of ETags within the server. Existing ETags will be preserved. Limited to 'on' or 'off'"),
];

/// The hooks.
const HOOKS: &[Hook] = &[
    Hook { phase: Phase::Fixups, order: 10, wants: |_, _| true, run: Run::Now(choose) },
    Hook { phase: Phase::InsertFilter, order: 20, wants: |_, _| true, run: Run::Now(renew) },
];

type Done = Result<(), String>;

/// A tag of server side includes is one word.
fn tag(args: &Args<'_>, name: &str) -> Done {
    if args.word(0).iter().any(u8::is_ascii_whitespace) {
        return Err(format!("{name} may not contain any whitespaces"));
    }
    Ok(())
}

fn set(own: &mut Option<Vec<u8>>, args: &Args<'_>) -> Done {
    *own = Some(args.word(0).to_vec());
    Ok(())
}

fn flag(own: &mut Option<bool>, args: &Args<'_>) -> Done {
    *own = Some(args.on());
    Ok(())
}

fn x_bit(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::one_of(args, &["on", "off", "full"], "XBitHack must be set to Off, On, or Full")?;
    cmd.dir_conf::<IncludeDir>().x_bit = Some(match args.word(0).to_ascii_lowercase().as_slice() {
        b"on" => XBit::On,
        b"full" => XBit::Full,
        _ => XBit::Off,
    });
    Ok(())
}

/// Documents that are filled in because of their handler, or because they may be executed.
fn choose(ex: &mut Exchange) -> Outcome {
    if ex.handler == b"server-parsed" {
        if ex.content_type.is_empty() {
            ex.content_type.extend_from_slice(b"text/html");
        }
        ex.handler = b"default-handler".to_vec();
    } else {
        let hack = ex.dir::<IncludeDir>().and_then(|dir| dir.x_bit).is_some_and(|bit| bit != XBit::Off);
        let executable = || ex.finfo.as_ref().is_some_and(|info| info.permissions().mode() & 0o100 != 0);
        if !hack || !ex.content_type.starts_with(b"text/html") || !executable() {
            return Outcome::Declined;
        }
    }
    filter::plan_names(ex, b"INCLUDES");
    Outcome::Declined
}

/// `INCLUDES`.
pub fn start(ex: &mut Exchange, _: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    let set = ex.dir::<CoreDir>().map(|dir| dir.options).unwrap_or_default();
    if !set.has(options::INCLUDES) {
        let text = "AH01374: mod_include: Options +Includes (or IncludesNoExec) wasn't set, INCLUDES filter removed:";
        logs::error!(ex, Level::Warn, "include", "{} {}", text, Bytes(&ex.uri));
        untag(ex);
        return None;
    }
    fields(ex);
    Some(Box::new(run::Includes::new(ex, !set.has(options::INCLUDES_EXEC))))
}

fn untag(ex: &mut Exchange) {
    if ex.dir::<IncludeDir>().and_then(|dir| dir.etag) != Some(true) {
        ex.headers_out.unset(b"ETag");
        ex.notes.set(b"no-etag", b"");
    }
}

/// A document that is filled in is another one each time, whatever the client has of it.
fn renew(ex: &mut Exchange) -> Outcome {
    let own = |filter: &Planned| std::ptr::fn_addr_eq(filter.start, start as Start);
    if ex.planned.iter().any(own) {
        let full = ex.dir::<IncludeDir>().and_then(|dir| dir.x_bit) == Some(XBit::Full);
        let group = ex.finfo.as_ref().is_some_and(|info| info.permissions().mode() & 0o010 != 0);
        ex.response.renewed = !(full && group);
    }
    Outcome::Declined
}

/// What a filled-in document may not say of the file that it was made from.
fn fields(ex: &mut Exchange) {
    let chain = ex.chain.clone();
    let conf = chain.dir.get::<IncludeDir>();
    ex.headers_out.unset(b"Content-Length");
    untag(ex);
    let info = ex.finfo.take();
    let group = info.as_ref().is_some_and(|info| info.permissions().mode() & 0o010 != 0);
    let full = conf.and_then(|conf| conf.x_bit) == Some(XBit::Full) && group;
    let keeps = conf.and_then(|conf| conf.last_modified) == Some(true);
    match &info {
        Some(info) if full || (keeps && !ex.headers_out.contains(b"Last-Modified")) => set_last_modified(ex, info),
        _ if keeps => {}
        _ => {
            ex.headers_out.unset(b"Last-Modified");
        }
    }
    ex.finfo = info;
}
