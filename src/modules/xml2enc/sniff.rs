//! Which charset a response is in: what its content type, its first bytes or a `meta` element say.

use std::ops::Range;

use super::{Aliases, EncodingDir};
use crate::codec::charset::{Charset, Conversion};
use crate::codec::html::metas;
use crate::logs::{self, Bytes, Level};
use crate::web::Exchange;

/// What was found out; in [`Exchange::ext`] for the filters behind.
#[derive(Clone, Debug, Default)]
pub struct Sniffed {
    /// What is passed on is in this charset.
    pub charset: Option<Charset>,
    /// The name of the charset of the body, as it was said.
    pub name: Vec<u8>,
    /// Where something was taken out of what is passed on: it comes in two pieces.
    pub cut: Option<usize>,
}

/// Where in a content type, or in what a `meta` element has of one, the charset's name is.
fn charset(text: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    while let Some(found) = text.get(at..)?.windows(8).position(|here| here.eq_ignore_ascii_case(b"charset=")) {
        at += found + 8;
        let name = text.get(at..)?;
        let part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
        let length = name.iter().take_while(part).count();
        if length > 0 {
            return Some(at..at + length);
        }
    }
    None
}

/// Where the first `meta` element is that tells of a content type.
fn meta_of_type(text: &[u8]) -> Option<Range<usize>> {
    metas(text).find(|range| {
        let tag = text.get(range.clone()).unwrap_or_default().to_ascii_lowercase();
        memchr::memmem::find_iter(&tag, b"http-equiv").any(|at| {
            let rest = tag.get(at + 10..).unwrap_or_default();
            let value = rest.iter().position(|byte| !b" \t\r\n='\"".contains(byte));
            value.and_then(|at| rest.get(at..)).is_some_and(|value| value.starts_with(b"content-type"))
        })
    })
}

/// Looks at the beginning of a body, takes out what is not true any more, and says what converts the rest.
pub(super) fn look(ex: &mut Exchange, body: &mut Vec<u8>, skips: bool) -> Option<Conversion> {
    let chain = ex.chain.clone();
    let conf = chain.dir.get::<EncodingDir>().cloned().unwrap_or_default();
    let live = ex.live.clone();
    let none = Aliases::default();
    let aliases = live.generation.globals.conf.get::<Aliases>().unwrap_or(&none);
    let mut sniffed = Sniffed::default();
    let mut conversion = None;
    if let Some(name) = of_type(&ex.content_type) {
        sniffed.charset = aliases.find(name);
        sniffed.name = name.to_vec();
        logs::error!(ex, Level::Info, "xml2enc", "AH01431: Got charset {} from HTTP headers", Bytes(name));
    } else if let Some((charset, name)) = of_bytes(body) {
        logs::error!(ex, Level::Info, "xml2enc", "AH01432: Got charset from XML rules.");
        (sniffed.charset, sniffed.name) = (Some(charset), name.as_bytes().to_vec());
    }
    if let Some(range) = meta_of_type(body) {
        sniffed.cut = Some(range.start);
        let meta: Vec<u8> = body.drain(range).collect();
        if let Some(range) = charset(&meta).filter(|_| sniffed.name.is_empty()) {
            let name = meta.get(range).unwrap_or_default();
            (sniffed.charset, sniffed.name) = (aliases.find(name), name.to_vec());
            if sniffed.charset.is_some() {
                logs::error!(ex, Level::Info, "xml2enc", "AH01433: Got charset {} from HTML META", Bytes(name));
            }
        }
    }
    if sniffed.charset.is_none() {
        if sniffed.name.is_empty() {
            sniffed.name = conf.default.as_ref().map_or_else(|| b"ISO-8859-1".to_vec(), |(name, _)| name.clone());
        }
        let name = Bytes(&sniffed.name);
        let text = "not supported by libxml2; trying apr_xlate";
        logs::error!(ex, Level::Debug, "xml2enc", "AH01434: Charset {name} {text}");
        match Charset::find(&sniffed.name) {
            Some(charset) => {
                conversion = Some(Conversion::new(charset, Charset::UTF8));
                sniffed.charset = Some(Charset::UTF8);
                sniffed.cut = None;
            }
            None => {
                let text = "not supported.  Consider aliasing it?";
                logs::error!(ex, Level::Error, "xml2enc", "AH01435: Charset {name} {text}");
                let text = "AH01436: No usable charset information; using configuration default";
                logs::error!(ex, Level::Warn, "xml2enc", "{}", text);
                sniffed.charset = Some(conf.default.as_ref().map_or(Charset::LATIN1, |(_, charset)| *charset));
            }
        }
    }
    match charset(&ex.content_type) {
        Some(range) => {
            ex.content_type.splice(range, *b"utf-8");
        }
        None => ex.content_type.extend_from_slice(b";charset=utf-8"),
    }
    if skips && !conf.starts.is_empty() {
        skip_to(ex, &conf.starts, body);
    }
    *ex.ext.get_mut::<Sniffed>() = sniffed;
    conversion
}

/// What a content type says.
fn of_type(kind: &[u8]) -> Option<&[u8]> {
    let at = kind.windows(8).position(|here| here.eq_ignore_ascii_case(b"charset="))?;
    let name = kind.get(at + 8..)?;
    let end = name.iter().position(|byte| b" ;".contains(byte)).unwrap_or(name.len());
    name.get(..end)
}

/// What the first bytes of a document say: a mark, or how its first characters look.
fn of_bytes(body: &[u8]) -> Option<(Charset, &'static str)> {
    let known = |name: &[u8], shown| Charset::find(name).map(|charset| (charset, shown));
    match body {
        [0, 0, 0, 0x3c, ..] => known(b"utf-32be", "ISO-10646-UCS-4"),
        [0x3c, 0, 0, 0, ..] => known(b"utf-32le", "ISO-10646-UCS-4"),
        [0x3c, 0x3f, 0x78, 0x6d, ..] | [0xef, 0xbb, 0xbf, ..] => Some((Charset::UTF8, "UTF-8")),
        [0x3c, 0, 0x3f, 0, ..] => known(b"utf-16le", "UTF-16"),
        [0, 0x3c, 0, 0x3f, ..] => known(b"utf-16be", "UTF-16"),
        [0xfe, 0xff, ..] => known(b"utf-16be", "UTF-16"),
        [0xff, 0xfe, ..] => known(b"utf-16le", "UTF-16"),
        _ => None,
    }
}

/// Leaves out what is in front of the first of these elements.
fn skip_to(ex: &Exchange, starts: &[Vec<u8>], body: &mut Vec<u8>) {
    let begins = |at: usize, name: &Vec<u8>| {
        body.get(at + 1..at + 1 + name.len()).is_some_and(|here| here.eq_ignore_ascii_case(name))
    };
    let found = memchr::memchr_iter(b'<', body)
        .find_map(|at| starts.iter().find(|name| begins(at, name)).map(|name| (at, name)));
    match found {
        Some((at, name)) => {
            logs::error!(ex, Level::Debug, "xml2enc", "AH01428: Skipped to first <{}> element", Bytes(name));
            body.drain(..at);
        }
        None => {
            let text = "AH01429: Failed to find start of recognised HTML!";
            logs::error!(ex, Level::Warn, "xml2enc", "{}", text);
        }
    }
}
