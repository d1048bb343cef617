//! `mod_xml2enc.c`: finds out which charset a response is in and makes UTF-8 of it, for filters that read markup.
//!
//! A charset that the parser of mod_proxy_html knows is left to it, as httpd leaves it to libxml2: only the content
//! type says UTF-8 then.

use std::future::Future;
use std::pin::Pin;

use crate::codec::charset::{Charset, Conversion, Stop};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::web::{BodyFilter, Exchange, ProxyKind, Table};

mod sniff;

pub use sniff::Sniffed;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "xml2enc_module",
        file: "mod_xml2enc.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
struct EncodingDir {
    default: Option<(Vec<u8>, Charset)>,
    starts: Vec<Vec<u8>>,
}

impl Conf for EncodingDir {
    const SLOT: usize = slot::XML2ENC + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        let starts = if add.starts.is_empty() { &base.starts } else { &add.starts };
        Self { default: add.default.clone().or_else(|| base.default.clone()), starts: starts.clone() }
    }
}

/// Other names of charsets, for the whole process.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases(Vec<(Vec<u8>, Charset)>);

impl Conf for Aliases {
    const SLOT: usize = slot::XML2ENC + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("xml2EncDefault", Places::ALL, Shape::Take1, default, "Usage: xml2EncDefault charset"),
    row("xml2EncAlias", Places::SERVER, Shape::Iterate2, alias, "EncodingAlias charset alias [more aliases]"),
    row("xml2StartParse", Places::ALL, Shape::Iterate, start_parse, "Ignore anything in front of the first of these elements"),
];

type Done = Result<(), String>;

/// Charsets that libxml2 knows, by the names that it has for them.
#[rustfmt::skip]
const KNOWN: &[(&str, &[&str])] = &[
    ("utf-8", &["utf8"]),
    ("utf-16le", &["utf-16", "utf16", "ucs-2", "ucs2", "iso-10646-ucs-2"]),
    ("utf-32le", &["ucs-4", "ucs4", "iso-10646-ucs-4"]),
    ("iso-8859-1", &["iso-latin-1", "iso latin 1"]),
    ("iso-8859-2", &["iso-latin-2", "iso latin 2"]),
    ("iso-8859-3", &[]),
    ("iso-8859-4", &[]),
    ("iso-8859-5", &[]),
    ("iso-8859-6", &[]),
    ("iso-8859-7", &[]),
    ("iso-8859-8", &[]),
    ("iso-8859-9", &[]),
    ("iso-2022-jp", &[]),
    ("shift_jis", &[]),
    ("euc-jp", &[]),
];

impl Aliases {
    /// The charset of this name, if libxml2 knows it.
    fn find(&self, name: &[u8]) -> Option<Charset> {
        if let Some((_, charset)) = self.0.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name)) {
            return Some(*charset);
        }
        let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
        let own = |known: &str| is(known) && !matches!(known, "utf-16le" | "utf-32le");
        let row = KNOWN.iter().find(|(first, others)| own(first) || others.iter().any(|other| is(other)))?;
        Charset::find(row.0.as_bytes())
    }
}

fn default(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let known = cmd.globals.conf.get_mut::<Aliases>().find(args.word(0));
    let charset = known.ok_or_else(|| "Invalid or unsupported default charset".to_owned())?;
    cmd.dir_conf::<EncodingDir>().default = Some((args.word(0).to_vec(), charset));
    Ok(())
}

fn alias(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    let aliases = cmd.globals.conf.get_mut::<Aliases>();
    // One of a charset that is not known is no error, and none.
    if let Some(charset) = aliases.find(args.word(0)) {
        aliases.0.retain(|(alias, _)| !alias.eq_ignore_ascii_case(args.word(1)));
        aliases.0.push((args.word(1).to_vec(), charset));
    }
    Ok(())
}

fn start_parse(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<EncodingDir>().starts.push(args.word(0).to_vec());
    Ok(())
}

/// Only with this much of a body, or all of it, is looked what it is in.
const ENOUGH: usize = 4096;

/// `xml2enc`.
pub fn start(ex: &mut Exchange, _: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    begin(ex, true)
}

/// The same in front of `proxy-html`, which `ProxyHTMLEnable` asks for.
pub fn start_checks(ex: &mut Exchange, _: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    begin(ex, false)
}

fn begin(ex: &mut Exchange, skips: bool) -> Option<Box<dyn BodyFilter>> {
    let kind = ex.content_type.to_ascii_lowercase();
    if kind.is_empty() || !(kind.starts_with(b"text/") || memchr::memmem::find(&kind, b"xml").is_some()) {
        return None;
    }
    ex.headers_out.unset(b"Content-Length");
    if ex.header_only && ex.proxyreq != ProxyKind::None {
        // Nothing comes that could tell.
        sniff::look(ex, &mut Vec::new(), skips);
        return None;
    }
    Some(Box::new(Encoded {
        held: Vec::new(),
        conversion: None,
        skips,
        looked: false,
        ended: false,
        of: logs::OfBody::new(ex),
    }))
}

struct Encoded {
    /// What was not looked at yet; later the beginning of a character.
    held: Vec<u8>,
    conversion: Option<Conversion>,
    /// What is in front of certain elements is left out.
    skips: bool,
    looked: bool,
    ended: bool,
    of: logs::OfBody,
}

impl Encoded {
    fn pass(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let Some(conversion) = &mut self.conversion else { return out.extend_from_slice(input) };
        self.held.extend_from_slice(input);
        convert(conversion, &mut self.held, &self.of, out);
        if self.ended {
            self.held.clear();
        }
    }
}

/// Converts what is held; the beginning of a character stays. Bytes that are no character are left out.
fn convert(conversion: &mut Conversion, held: &mut Vec<u8>, of: &logs::OfBody, out: &mut Vec<u8>) {
    let mut at = 0;
    loop {
        let (taken, stop) = conversion.run(held.get(at..).unwrap_or_default(), out);
        at += taken;
        match stop {
            Stop::All | Stop::Short => break,
            Stop::Bad => {
                logs::error!(of, Level::Error, "xml2enc", "AH01444: Skipping invalid byte(s) in input stream!");
                at += 1;
            }
        }
    }
    held.drain(..at.min(held.len()));
}

impl BodyFilter for Encoded {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        match self.looked {
            true => self.pass(input, out),
            false => self.held.extend_from_slice(input),
        }
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn end(&mut self, _: &mut Vec<u8>, _: &mut Table) {
        self.ended = true;
    }

    fn holds_back(&self) -> bool {
        !self.looked
    }

    fn waits(&self) -> bool {
        !self.looked && (self.ended || self.held.len() >= ENOUGH)
    }

    fn work<'a>(&'a mut self, ex: &'a mut Exchange, out: &'a mut Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            self.looked = true;
            let mut held = std::mem::take(&mut self.held);
            self.conversion = sniff::look(ex, &mut held, self.skips);
            self.pass(&held, out);
        })
    }
}

/// Text of `proxy-html` on its way to another charset than UTF-8.
pub struct Output {
    conversion: Conversion,
    held: Vec<u8>,
    of: logs::OfBody,
}

impl Output {
    /// To the charset of this name.
    pub fn new(ex: &Exchange, name: &[u8]) -> Option<Self> {
        let charset = Charset::find(name);
        if charset.is_none() {
            let text = "AH01427: xml2enc: Charset";
            logs::error!(ex, Level::Error, "xml2enc", logs::Errno(22) => "{} {} not supported.", text, Bytes(name));
        }
        let conversion = Conversion::new(Charset::UTF8, charset?);
        Some(Self { conversion, held: Vec::new(), of: logs::OfBody::new(ex) })
    }

    /// Converts what was written to `out` from `from` on.
    pub fn convert(&mut self, from: usize, out: &mut Vec<u8>) {
        let text = out.split_off(from.min(out.len()));
        self.held.extend_from_slice(&text);
        convert(&mut self.conversion, &mut self.held, &self.of, out);
    }
}
