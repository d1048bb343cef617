//! `mod_proxy_html.c`: HTML of backends whose links are made to point at this server.

use std::sync::Arc;

use crate::config::{
    Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, PostConfig, Server, Shape, Slots, Warning, row,
};
use crate::modules::{slot, xml2enc};
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::{Exchange, Planned};

mod filter;
mod map;
mod meta;
mod rewrite;

pub use filter::start;

use map::Map;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_html_module",
        file: "mod_proxy_html.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct HtmlDir {
    maps: Vec<Arc<Map>>,
    doctype: Option<Arc<Doctype>>,
    /// How a tag of an element without content ends, where the document type says so.
    closes: Option<&'static [u8]>,
    fixups: Fixups,
    links: Option<Arc<Links>>,
    events: Option<Arc<[Vec<u8>]>>,
    charset_out: Option<Vec<u8>>,
    extended: bool,
    meta: bool,
    strip_comments: bool,
    interpolate: bool,
    enabled: bool,
}

/// `ProxyHTMLLinks`: elements and their attributes that are links.
type Links = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

/// `ProxyHTMLFixups`.
#[derive(Clone, Copy, Default)]
struct Fixups {
    lowercase: bool,
    dospath: bool,
    reset: bool,
}

/// What the document is to be.
struct Doctype {
    text: Vec<u8>,
    strictness: Strictness,
}

/// What is left out of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Strictness {
    #[default]
    None,
    /// What HTML 4 does not know.
    Legacy,
    /// What HTML 4 deprecates, as well.
    Strict,
}

impl Conf for HtmlDir {
    const SLOT: usize = slot::PROXY_HTML + 1;

    /// What is on outside stays on inside, unless that is reset.
    fn merge(base: &Self, add: &Self) -> Self {
        let maps = match (base.maps.is_empty(), add.maps.is_empty()) {
            // In another order than they were written in, as in httpd.
            (false, false) => base.maps.iter().chain(&add.maps).rev().cloned().collect(),
            (false, true) => base.maps.clone(),
            _ => add.maps.clone(),
        };
        let mut merged = Self {
            maps,
            doctype: add.doctype.clone().or_else(|| base.doctype.clone()),
            closes: add.closes.or(base.closes),
            links: add.links.clone().or_else(|| base.links.clone()),
            events: add.events.clone().or_else(|| base.events.clone()),
            charset_out: add.charset_out.clone().or_else(|| base.charset_out.clone()),
            ..add.clone()
        };
        if !add.fixups.reset {
            merged.fixups = Fixups {
                lowercase: base.fixups.lowercase | add.fixups.lowercase,
                dospath: base.fixups.dospath | add.fixups.dospath,
                reset: base.fixups.reset,
            };
            merged.extended |= base.extended;
            merged.meta |= base.meta;
            merged.strip_comments |= base.strip_comments;
            merged.interpolate |= base.interpolate;
            merged.enabled |= base.enabled;
        }
        merged
    }
}

/// Server level and sections.
const PLACES: Places = Places::DIR.or(Places::SERVER);

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ProxyHTMLEvents", PLACES, Shape::Iterate, events, "Strings to be treated as scripting events"),
    row("ProxyHTMLLinks", PLACES, Shape::Iterate2, links, "Declare HTML Attributes"),
    row("ProxyHTMLURLMap", PLACES, Shape::Raw, map::url_map, "Map URL From To"),
    row("ProxyHTMLDoctype", PLACES, Shape::Take12, doctype, "(HTML|XHTML) [Legacy]"),
    row("ProxyHTMLFixups", PLACES, Shape::Iterate, fixups, "Options are lowercase, dospath"),
    row("ProxyHTMLMeta", PLACES, Shape::Flag, |c, a| flag(c, a, |conf| &mut conf.meta), "Fix META http-equiv elements"),
    row("ProxyHTMLInterp", PLACES, Shape::Flag, |c, a| flag(c, a, |conf| &mut conf.interpolate), "Support interpolation and conditions in URLMaps"),
    row("ProxyHTMLExtended", PLACES, Shape::Flag, |c, a| flag(c, a, |conf| &mut conf.extended), "Map URLs in Javascript and CSS"),
    row("ProxyHTMLStripComments", PLACES, Shape::Flag, |c, a| flag(c, a, |conf| &mut conf.strip_comments), "Strip out comments"),
    row("ProxyHTMLBufSize", PLACES, Shape::Take1, buffer_size, "Buffer size").moot(),
    row("ProxyHTMLCharsetOut", PLACES, Shape::Take1, charset_out, "Usage: ProxyHTMLCharsetOut charset"),
    row("ProxyHTMLEnable", PLACES, Shape::Flag, |c, a| flag(c, a, |conf| &mut conf.enabled), "Enable proxy-html and xml2enc filters"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[Hook { phase: Phase::InsertFilter, order: 0, wants, run: Run::Now(insert) }];

type Done = Result<(), String>;

fn conf<'a>(cmd: &'a mut Cmd<'_>) -> &'a mut HtmlDir {
    cmd.dir_conf::<HtmlDir>()
}

fn flag(cmd: &mut Cmd<'_>, args: &Args<'_>, which: fn(&mut HtmlDir) -> &mut bool) -> Done {
    *which(conf(cmd)) = args.on();
    Ok(())
}

fn events(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let own = &mut conf(cmd).events;
    let names = own.iter().flat_map(|names| names.iter()).cloned().chain([args.word(0).to_vec()]);
    *own = Some(names.collect());
    Ok(())
}

fn links(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let links = Arc::make_mut(conf(cmd).links.get_or_insert_default());
    let name = args.word(1).to_vec();
    match links.iter_mut().find(|(element, _)| element == args.word(0)) {
        Some((_, names)) => names.push(name),
        None => links.push((args.word(0).to_vec(), vec![name])),
    }
    Ok(())
}

/// `ProxyHTMLDoctype`: a name of one of HTML's, or the text itself.
fn doctype(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let legacy = args.word(1).eq_ignore_ascii_case(b"legacy");
    let strictness = if legacy { Strictness::Legacy } else { Strictness::Strict };
    let (text, strictness, xml) = match (args.word(0).to_ascii_lowercase().as_slice(), legacy) {
        (b"html", false) => (&br#"<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01//EN">"#[..], strictness, false),
        (b"html", true) => (&br#"<!DOCTYPE html PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN">"#[..], strictness, false),
        (b"xhtml", false) => (
            &br#"<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">"#[..],
            strictness,
            true,
        ),
        (b"xhtml", true) => (
            &br#"<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">"#[..],
            strictness,
            true,
        ),
        (b"html5", _) => (&b"<!DOCTYPE html>"[..], Strictness::None, false),
        _ => (args.word(0), Strictness::None, args.word(1).first().is_some_and(|first| b"xX".contains(first))),
    };
    let mut text = text.to_vec();
    if text != args.word(0) {
        text.push(b'\n');
    }
    let conf = conf(cmd);
    conf.doctype = Some(Arc::new(Doctype { text, strictness }));
    conf.closes = xml.then_some(&b" />"[..]);
    Ok(())
}

/// `ProxyHTMLFixups`, one word at a time; what is not known is nothing.
fn fixups(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let own = &mut conf(cmd).fixups;
    match args.word(0).to_ascii_lowercase().as_slice() {
        b"lowercase" => own.lowercase = true,
        b"dospath" => own.dospath = true,
        b"reset" => own.reset = true,
        _ => {}
    }
    Ok(())
}

/// `ProxyHTMLBufSize`: memory here grows as it has to.
fn buffer_size(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let number = crate::modules::check::whole(args.word(0));
    number.map(|_| ()).ok_or_else(|| format!("Invalid value for directive {}, expected integer", cmd.directive.name))
}

fn charset_out(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    conf(cmd).charset_out = Some(args.word(0).to_vec());
    Ok(())
}

fn post_config(at: &mut PostConfig<'_>) -> Result<(), Fatal> {
    if !at.globals.modules.contains(&"xml2enc_module") {
        let text = "AH01425: I18n support in mod_proxy_html requires mod_xml2enc. Without it, non-ASCII characters in \
                    proxied pages are likely to display incorrectly.";
        at.warnings.push(Warning { module: "proxy_html", level: "notice", text: text.to_owned(), bare: false });
    }
    Ok(())
}

fn wants(_: &Server, dir: &Slots) -> bool {
    dir.get::<HtmlDir>().is_some_and(|conf| conf.enabled)
}

/// `ProxyHTMLEnable`.
fn insert(ex: &mut Exchange) -> Outcome {
    if is_encoding(ex) {
        ex.plan(Planned { rank: 10, which: 0, start: xml2enc::start_checks });
    }
    ex.plan(Planned { rank: 10, which: 0, start });
    Outcome::Declined
}

/// Whether mod_xml2enc is loaded.
fn is_encoding(ex: &Exchange) -> bool {
    ex.live.generation.globals.modules.contains(&"xml2enc_module")
}
