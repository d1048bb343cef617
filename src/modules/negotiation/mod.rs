//! `mod_negotiation.c`: one of several variants of a resource, as the request's Accept fields want it (RFC 2295, 2296).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::base::path::{escape_html, escape_path, escape_path_segment};
use crate::config::core::{CoreDir, options};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, inner_or_outer, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::conditions::meets_conditions;
use crate::pipe::validators::set_list_validator;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, Wire};

mod accept;
mod choose;
mod variant;

use accept::Accepts;
use choose::Terms;
use variant::{Found, MAP_TYPE, Variant};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "negotiation_module",
        file: "mod_negotiation.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct Priorities {
    /// LanguagePriority.
    languages: Option<Vec<Vec<u8>>>,
    /// ForceLanguagePriority.
    force: Option<Force>,
}

/// `ForceLanguagePriority`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Force {
    none: bool,
    prefer: bool,
    fallback: bool,
}

impl Conf for Priorities {
    const SLOT: usize = slot::NEGOTIATION + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; languages, force)
    }
}

/// `CacheNegotiatedDocs`.
#[derive(Clone, Default)]
struct Cached(bool);

impl Conf for Cached {
    const SLOT: usize = slot::NEGOTIATION;

    // httpd keeps it on each server that sets it, and never merges it.
    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CacheNegotiatedDocs", Places::SERVER, Shape::Flag, cached, "Either 'on' or 'off' (default)"),
    row("LanguagePriority", Places::FILEINFO, Shape::Iterate, priority, "space-delimited list of MIME language abbreviations"),
    row("ForceLanguagePriority", Places::FILEINFO, Shape::Iterate, force, "Force LanguagePriority elections, either None, or Fallback and/or Prefer"),
];

/// The hooks.
const HOOKS: &[Hook] = &[
    Hook { phase: Phase::TypeChecker, order: -10, wants: has_views, run: Run::Wait(multi_views) },
    Hook { phase: Phase::Fixups, order: 0, wants: |_, _| true, run: Run::Now(name_encoding) },
    Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(type_map) },
];

type Done = Result<(), String>;

fn cached(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.server_conf::<Cached>().0 = args.on();
    Ok(())
}

fn priority(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let word = args.word(0).to_vec();
    cmd.dir_conf::<Priorities>().languages.get_or_insert_default().push(word);
    Ok(())
}

fn force(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let force = cmd.dir_conf::<Priorities>().force.get_or_insert_default();
    let none = |name: &str| Err(format!("Cannot combine ForceLanguagePriority options None and {name}"));
    match args.word(0).to_ascii_lowercase().as_slice() {
        b"none" if force.prefer || force.fallback => {
            return Err("Cannot combine ForceLanguagePriority options with None".to_owned());
        }
        b"none" => force.none = true,
        b"prefer" if force.none => return none("Prefer"),
        b"prefer" => force.prefer = true,
        b"fallback" if force.none => return none("Fallback"),
        b"fallback" => force.fallback = true,
        _ => return Err(format!("Invalid ForceLanguagePriority option {}", args.text(0))),
    }
    Ok(())
}

fn has_views(_: &Server, dir: &Slots) -> bool {
    dir.get::<CoreDir>().is_some_and(|dir| dir.options.has(options::MULTI_VIEWS))
}

/// A name that does not exist stands for the files that go on behind it with a dot.
fn multi_views(ex: &mut Exchange) -> Waiting<'_> {
    let mapped = ex.finfo.is_none() && ex.filename.first() == Some(&b'/');
    if !mapped || ex.proxyreq != crate::web::ProxyKind::None || ex.filename.last() == Some(&b'/') {
        return pipe::declined();
    }
    Box::pin(async move {
        let (mut variants, multi) = match variant::files(ex).await {
            Found::Status(status) => return Outcome::Status(status),
            Found::Variants(variants) => {
                let dir = variant::split(&ex.filename).0;
                let info = std::fs::metadata(OsStr::from_bytes(dir)).ok();
                set_list_validator(ex, info.as_ref());
                let count = variants.len();
                (variants, count)
            }
            Found::Map(sub) => match variant::map(ex, &sub) {
                Ok((variants, _)) => {
                    set_list_validator(ex, sub.finfo.as_ref());
                    (variants, 0)
                }
                Err(status) => return Outcome::Status(status),
            },
        };
        if variants.is_empty() {
            return Outcome::Declined;
        }
        let prefer_scripts =
            !matches!(ex.method.as_slice(), b"GET" | b"HEAD") || ex.args.is_some() || !ex.path_info.is_empty();
        let best = match negotiate(ex, &mut variants, multi, prefer_scripts).await {
            Ok(best) => best,
            Err(status) => return Outcome::Status(status),
        };
        let Some(mut chosen) = variants.into_iter().nth(best).and_then(|variant| variant.sub) else {
            return Outcome::Status(500);
        };
        if chosen.args.is_none() {
            chosen.args.clone_from(&ex.args);
        }
        chosen.path_info.clone_from(&ex.path_info);
        pipe::fast_redirect(ex, *chosen);
        Outcome::Ok
    })
}

/// What may be said of the way a resource is negotiated (`Negotiate`, RFC 2295 section 8.4).
#[derive(Clone, Copy)]
struct Manner {
    /// All variants are neighbours of the resource, and files of their own.
    transparent: bool,
    /// The client knows transparent negotiation.
    knows: bool,
    alternates: bool,
    may_choose: bool,
    remote: bool,
    strict: bool,
}

fn manner(ex: &Exchange, variants: &[Variant]) -> Manner {
    let mut manner =
        Manner { transparent: false, knows: false, alternates: false, may_choose: true, remote: false, strict: false };
    manner.transparent = matches!(ex.method.as_slice(), b"GET" | b"HEAD")
        && ex.path_info.is_empty()
        && variants.iter().all(|variant| !variant.name.contains(&b'/') && variant.body.is_none());
    let Some(field) = ex.headers_in.get(b"Negotiate").filter(|_| manner.transparent) else { return manner };
    let lynx = || ex.headers_in.get(b"User-Agent").is_some_and(|agent| agent.starts_with(b"Lynx"));
    if field == b"trans" && lynx() {
        return manner;
    }
    manner.may_choose = false;
    for word in field.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let word = word.to_ascii_lowercase();
        let known = matches!(word.as_slice(), b"trans" | b"vlist" | b"guess-small" | b"*");
        if !known && !word.first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        (manner.knows, manner.alternates) = (true, true);
        if word == b"1.0" {
            (manner.may_choose, manner.remote, manner.strict) = (true, true, true);
        } else if word == b"*" {
            (manner.may_choose, manner.strict) = (true, true);
        }
    }
    manner
}

/// Chooses a variant and says so in the response's fields; a status when none is sent.
async fn negotiate(ex: &mut Exchange, variants: &mut [Variant], multi: usize, scripts: bool) -> Result<usize, u16> {
    let mut manner = manner(ex, variants);
    let mut accepts = Accepts::of(ex);
    choose::complete(&mut accepts, scripts, manner.remote);
    let chain = ex.chain.clone();
    let none = Priorities::default();
    let dir = variant::split(&ex.filename).0.to_vec();
    let terms = Terms {
        accepts: &accepts,
        priorities: chain.dir.get::<Priorities>().unwrap_or(&none),
        may_choose: manner.may_choose,
        remote: manner.remote,
        strict: manner.strict,
        dir: &dir,
    };
    let (best, clear) = choose::best(&terms, variants, ex.env.get(b"prefer-language"));
    if ex.proto_num < 1001 && multi != 1 && !ex.server().get::<Cached>().is_some_and(|cached| cached.0) {
        ex.no_cache = true;
    }
    if !clear {
        manner.alternates = true;
        say(ex, variants, &dir, manner, b"list");
        let list = list(variants);
        ex.notes.set(b"variant-list", &list);
        if manner.transparent && manner.knows {
            return Err(300);
        }
        if best.is_none() {
            logs::error!(ex, Level::Error, "negotiation", "AH00690: no acceptable variant: {}", Bytes(&ex.filename));
            return Err(406);
        }
    }
    let Some(best) = best else { return Err(406) };
    choice(ex, variants, best, manner.transparent).await?;
    say(ex, variants, &dir, manner, b"choice");
    Ok(best)
}

/// The fields of a response that is the chosen variant.
async fn choice(ex: &mut Exchange, variants: &mut [Variant], best: usize, transparent: bool) -> Result<(), u16> {
    let Some(variant) = variants.get_mut(best) else { return Err(500) };
    if variant.sub.is_none() {
        let sub = pipe::lookup_file(ex, &variant.name).await;
        if sub.status != 200 && !sub.err_headers_out.contains(b"TCN") {
            return Err(sub.status);
        }
        variant.sub = Some(Box::new(sub));
    }
    let Some(sub) = variant.sub.as_mut() else { return Err(500) };
    // A variant that is negotiated itself.
    let map = sub.handler == b"type-map" || sub.content_type == MAP_TYPE;
    if transparent && (sub.err_headers_out.contains(b"TCN") || map) {
        return Err(506);
    }
    if let Some(vary) = sub.err_headers_out.get(b"Vary").map(<[u8]>::to_vec) {
        ex.err_headers_out.set(b"Variant-Vary", &vary);
        ex.err_headers_out.set(b"Vary", &vary);
        sub.err_headers_out.unset(b"Vary");
    }
    if transparent {
        let mut location = Vec::new();
        escape_path_segment(&variant.name, &mut location);
        ex.err_headers_out.set(b"Content-Location", &location);
    }
    Ok(())
}

/// Alternates, Vary and TCN.
fn say(ex: &mut Exchange, variants: &mut [Variant], dir: &[u8], manner: Manner, kind: &[u8]) {
    if manner.alternates && !variants.is_empty() {
        let mut all = Vec::new();
        for variant in variants.iter_mut() {
            if !all.is_empty() {
                all.extend_from_slice(b", ");
            }
            push_alternate(variant, dir, &mut all);
        }
        ex.err_headers_out.merge(b"Alternates", &all);
    }
    let differs =
        |of: fn(&Variant) -> Vec<u8>| variants.windows(2).any(|pair| matches!(pair, [a, b] if of(a) != of(b)));
    let mut vary: Vec<&[u8]> = Vec::new();
    if manner.transparent {
        vary.push(b"negotiate");
    }
    if differs(|variant| variant.media.clone()) {
        vary.push(b"accept");
    }
    if differs(|variant| variant.languages.join(&b","[..])) {
        vary.push(b"accept-language");
    }
    if differs(|variant| variant.charset.clone()) {
        vary.push(b"accept-charset");
    }
    if differs(|variant| variant.encoding.clone().unwrap_or_default()) {
        vary.push(b"accept-encoding");
    }
    if !vary.is_empty() {
        ex.err_headers_out.merge(b"Vary", &vary.join(&b", "[..]));
    }
    if manner.transparent {
        ex.err_headers_out.set(b"TCN", kind);
    }
}

fn push_alternate(variant: &mut Variant, dir: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"");
    escape_path_segment(&variant.name, out);
    out.extend_from_slice(b"\" ");
    let quality = format!("{:.3}", variant.source);
    let quality = quality.trim_end_matches('0').trim_end_matches('.');
    out.extend_from_slice(quality.as_bytes());
    let mut part = |name: &str, value: &[u8]| {
        if !value.is_empty() {
            out.extend_from_slice(format!(" {{{name} ").as_bytes());
            out.extend_from_slice(value);
            out.push(b'}');
        }
    };
    part("type", &variant.media);
    part("charset", &variant.charset);
    part("language", &variant.languages.join(&b","[..]));
    part("encoding", variant.encoding.as_deref().unwrap_or_default());
    // What a script prints is not as long as the script.
    let script = variant.sub.as_ref().is_some_and(|sub| !sub.handler.is_empty());
    if let Some(length) = variant.length(dir).filter(|_| !script) {
        part("length", length.to_string().as_bytes());
    }
    out.push(b'}');
}

/// The list of variants in the page of 300 and 406.
fn list(variants: &[Variant]) -> Vec<u8> {
    let mut out = b"Available variants:\n<ul>\n".to_vec();
    for variant in variants {
        out.extend_from_slice(b"<li><a href=\"");
        escape_path_segment(&variant.name, &mut out);
        out.extend_from_slice(b"\">");
        escape_html(&variant.name, &mut out);
        out.extend_from_slice(b"</a> ");
        out.extend_from_slice(&variant.description);
        let encoding = variant.encoding.as_deref().unwrap_or_default();
        for (name, value) in [
            (&b", type "[..], variant.media.as_slice()),
            (b", language ", &variant.languages.join(&b","[..])),
            (b", charset ", &variant.charset),
            (b", encoding ", encoding),
        ] {
            if !value.is_empty() {
                out.extend_from_slice(name);
                out.extend_from_slice(value);
            }
        }
        out.extend_from_slice(b"</li>\n");
    }
    out.extend_from_slice(b"</ul>\n");
    out
}

/// The coding is named as the client names it: with or without `x-`.
fn name_encoding(ex: &mut Exchange) -> Outcome {
    if ex.content_encoding.is_empty() {
        return Outcome::Declined;
    }
    let Some(accepted) = accept::items(&ex.headers_in, b"Accept-Encoding") else { return Outcome::Declined };
    let own = ex.content_encoding.strip_prefix(b"x-").unwrap_or(&ex.content_encoding);
    let plain = accepted.iter().position(|item| item.name == own);
    let named = plain.or_else(|| accepted.iter().rposition(|item| item.name.strip_prefix(b"x-") == Some(own)));
    match named.and_then(|at| accepted.into_iter().nth(at)) {
        Some(item) => {
            ex.content_encoding = item.name;
            Outcome::Ok
        }
        None => Outcome::Declined,
    }
}

/// A type map answers with the variant that is best.
fn type_map<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if ex.handler != MAP_TYPE && ex.handler != b"type-map" {
        return pipe::declined();
    }
    Box::pin(async move {
        let (mut variants, text) = match variant::map(ex, ex) {
            Ok(read) => read,
            Err(status) => return Outcome::Status(status),
        };
        let info = ex.finfo.take();
        set_list_validator(ex, info.as_ref());
        ex.finfo = info;
        let best = match negotiate(ex, &mut variants, 0, false).await {
            Ok(best) => best,
            Err(status) => return Outcome::Status(status),
        };
        let Some(variant) = variants.into_iter().nth(best) else { return Outcome::Status(500) };
        match variant.body {
            Some((start, end)) => {
                let body = text.get(start..end).unwrap_or_default();
                inside(ex, wire, variant, body).await
            }
            None => beside(ex, &variant.name),
        }
    })
}

/// The variant that is a file of its own: the request goes on there.
fn beside(ex: &mut Exchange, name: &[u8]) -> Outcome {
    if !ex.path_info.is_empty() && ex.uri.ends_with(&ex.path_info) {
        ex.uri.truncate(ex.uri.len() - ex.path_info.len());
    }
    let mut target = Vec::new();
    escape_path(variant::split(&ex.uri).0, &mut target);
    target.extend_from_slice(name);
    target.extend_from_slice(&ex.path_info);
    if let Some(args) = &ex.args {
        target.push(b'?');
        target.extend_from_slice(args);
    }
    ex.internal_redirect = target;
    Outcome::Redirect
}

/// The variant that stands in the map itself.
async fn inside(ex: &mut Exchange, wire: &mut dyn Wire, variant: Variant, body: &[u8]) -> Outcome {
    ex.allowed.clear();
    pipe::allow(ex, &[b"GET", b"OPTIONS", b"POST"]);
    if let Err(fault) = pipe::drain(wire).await {
        return pipe::body_fault(ex, fault);
    }
    if !matches!(ex.method.as_slice(), b"GET" | b"HEAD" | b"POST") {
        return Outcome::Status(405);
    }
    ex.headers_out.set(b"Accept-Ranges", b"bytes");
    ex.headers_out.set(b"Content-Length", body.len().to_string().as_bytes());
    if !variant.media.is_empty() {
        ex.content_type.clone_from(&variant.media);
        if !variant.charset.is_empty() {
            ex.content_type.extend_from_slice(b"; charset=");
            ex.content_type.extend_from_slice(&variant.charset);
        }
    }
    if !variant.languages.is_empty() {
        ex.content_languages = variant.languages;
    }
    if let Some(encoding) = variant.encoding.filter(|encoding| !encoding.is_empty()) {
        ex.content_encoding = encoding;
    }
    if let Some(status) = meets_conditions(ex) {
        return Outcome::Status(status);
    }
    // A client that went away needs no end.
    let _ = pipe::text(ex, wire, body).await;
    Outcome::Done
}
