//! The variants of a resource: as a type map lists them, or as the files of a directory show.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::accept::{self, Item};
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::mime;
use crate::pipe;
use crate::web::Exchange;

/// The type of a file that lists variants.
pub(super) const MAP_TYPE: &[u8] = b"application/x-type-map";

/// What a resource with a handler and no type counts as.
pub(super) const CGI_TYPE: &[u8] = b"application/x-httpd-cgi";

/// One variant, and what the request's fields make of it.
pub(super) struct Variant {
    /// Its name beside the resource.
    pub(super) name: Vec<u8>,
    /// Where it stands in the type map, if it does.
    pub(super) body: Option<(usize, usize)>,
    pub(super) media: Vec<u8>,
    pub(super) charset: Vec<u8>,
    pub(super) encoding: Option<Vec<u8>>,
    pub(super) languages: Vec<Vec<u8>>,
    pub(super) description: Vec<u8>,
    pub(super) level: f32,
    pub(super) level_matched: f32,
    /// Length, if it is known.
    pub(super) length: Option<u64>,
    /// Quality as given by the server's side (`qs`).
    pub(super) source: f32,
    /// What a request for it would be.
    pub(super) sub: Option<Box<Exchange>>,
    /// How well its type matched: 1 any type, 2 any subtype, 3 the type itself.
    pub(super) stars: u8,
    /// Nothing had to be guessed.
    pub(super) definite: bool,
    pub(super) media_quality: f32,
    pub(super) language_quality: f32,
    pub(super) charset_quality: f32,
    pub(super) encoding_quality: f32,
    /// Rank of its language in LanguagePriority.
    pub(super) priority: Option<usize>,
}

impl Default for Variant {
    fn default() -> Self {
        Self {
            name: Vec::new(),
            body: None,
            media: Vec::new(),
            charset: Vec::new(),
            encoding: None,
            languages: Vec::new(),
            description: Vec::new(),
            level: 0.0,
            level_matched: 0.0,
            length: None,
            source: 0.0,
            sub: None,
            stars: 0,
            definite: true,
            media_quality: 1.0,
            language_quality: 1.0,
            charset_quality: 1.0,
            encoding_quality: 1.0,
            priority: None,
        }
    }
}

impl Variant {
    fn set_type(&mut self, item: Item) {
        self.media = item.name;
        self.source = item.quality;
        self.level = item.level;
        self.charset = item.charset;
    }

    /// Its length; that of a file of the map is looked up once.
    pub(super) fn length(&mut self, dir: &[u8]) -> Option<u64> {
        if self.length.is_none() {
            self.length = match &self.sub {
                Some(sub) => sub.finfo.as_ref().map(std::fs::Metadata::len),
                None => {
                    let path = [dir, &self.name].concat();
                    std::fs::metadata(OsStr::from_bytes(&path)).ok().map(|found| found.len())
                }
            };
        }
        self.length
    }
}

/// The folder of the request's file, with its slash, and the name in it.
pub(super) fn split(file: &[u8]) -> (&[u8], &[u8]) {
    file.split_at(memchr::memrchr(b'/', file).map_or(0, |slash| slash + 1))
}

/// What the files beside a name that does not exist offer for it.
pub(super) enum Found {
    Variants(Vec<Variant>),
    /// One of them is a type map, which counts alone.
    Map(Box<Exchange>),
    /// The request ends with this status.
    Status(u16),
}

/// The files `NAME.*` of the folder.
pub(super) async fn files(ex: &Exchange) -> Found {
    let (dir, name) = split(&ex.filename);
    let entries = match std::fs::read_dir(Path::new(OsStr::from_bytes(dir))) {
        Ok(entries) => entries,
        Err(error) => {
            let errno = Errno::from(&error);
            logs::error!(ex, Level::Error, "negotiation", errno => "AH00686: cannot read directory for multi: {}", Bytes(dir));
            return Found::Status(403);
        }
    };
    let mut names: Vec<Vec<u8>> = Vec::new();
    for entry in entries.flatten() {
        let other = entry.file_name();
        let belongs = other.as_bytes().strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'.'));
        if belongs && entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
            names.push(other.as_bytes().to_vec());
        }
    }
    let any = !names.is_empty();
    // In an order of their own, so that the outcome does not depend on that of the folder.
    names.sort_unstable();
    let mut variants = Vec::new();
    for file in names {
        let mut sub = pipe::lookup_file(ex, &file).await;
        if !sub.finfo.as_ref().is_some_and(std::fs::Metadata::is_file) {
            continue;
        }
        if !sub.handler.is_empty() && sub.content_type.is_empty() {
            sub.content_type.extend_from_slice(CGI_TYPE);
        }
        let known = mime::unknown_parts(&sub).is_some_and(|unknown| in_order(name, &unknown));
        if !known || sub.status != 200 || sub.content_type.is_empty() {
            continue;
        }
        if sub.content_type == MAP_TYPE || sub.handler == b"type-map" {
            return Found::Map(Box::new(sub));
        }
        let mut variant = Variant {
            name: file,
            encoding: Some(sub.content_encoding.clone()).filter(|coding| !coding.is_empty()),
            languages: sub.content_languages.clone(),
            ..Variant::default()
        };
        variant.set_type(accept::item(&sub.content_type).0);
        variant.sub = Some(Box::new(sub));
        variants.push(variant);
    }
    if any && variants.is_empty() {
        let text = "AH00687: Negotiation: discovered file(s) matching request:";
        logs::error!(ex, Level::Error, "negotiation", "{} {} (None could be negotiated).", text, Bytes(&ex.filename));
        return Found::Status(404);
    }
    variants.sort_by(|a, b| b.source.total_cmp(&a.source));
    Found::Variants(variants)
}

/// Whether the parts of a name that mean nothing all stand in the requested name, in that order.
fn in_order(name: &[u8], unknown: &[&[u8]]) -> bool {
    let mut left = unknown.iter();
    let mut next = left.next();
    for part in name.split(|byte| *byte == b'.') {
        if next.is_some_and(|wanted| *wanted == part) {
            next = left.next();
        }
    }
    next.is_none()
}

/// The longest type map that is read.
const MAP_MAX: u64 = 1 << 20;

/// The longest body inside a type map.
const BODY_MAX: usize = 8191;

/// Reads the type map in the file of `map`, on behalf of `ex`; a status if that cannot be done. Gives the text too,
/// for bodies that stand in it.
pub(super) fn map(ex: &Exchange, map: &Exchange) -> Result<(Vec<Variant>, Vec<u8>), u16> {
    let text = match read(&map.filename) {
        Ok(text) => text,
        Err(error) => {
            let errno = Errno::from(&error);
            let name = Bytes(&map.filename);
            logs::error!(ex, Level::Error, "negotiation", errno => "AH00679: cannot access type map file: {}", name);
            return Err(403);
        }
    };
    let mut variants = Vec::new();
    let mut variant = Variant::default();
    let mut described = false;
    let mut at = 0;
    loop {
        let Some(line) = logical_line(&text, &mut at) else {
            if !variant.name.is_empty() && described {
                variants.push(variant);
            }
            return Ok((variants, text));
        };
        if line.trim_ascii().is_empty() {
            if !variant.name.is_empty() && described {
                variants.push(std::mem::take(&mut variant));
            }
            (variant, described) = (Variant::default(), false);
            continue;
        }
        let Some((field, value)) = field(ex, &map.filename, &line) else { return Err(500) };
        if field == b"uri" {
            variant.name = accept::token(value, false).0.to_vec();
            continue;
        }
        match set_field(ex, &map.filename, &mut variant, &field, value) {
            Some(describes) => described |= describes,
            // What came before stands.
            None => return Ok((variants, text)),
        }
        if field == b"body" {
            let tag = value.trim_ascii_end();
            let Some((start, end, next)) = body(&text, at, tag) else {
                let (tag, name) = (Bytes(tag), Bytes(&map.filename));
                let text = "AH00685: Syntax error in type map, no end tag";
                logs::error!(
                    ex,
                    Level::Error,
                    "negotiation",
                    "{} '{}' found in {} for Body: content.",
                    text,
                    tag,
                    name
                );
                return Ok((variants, Vec::new()));
            };
            at = next;
            variant.body = Some((start, end));
            variant.length = Some((end - start) as u64);
            variant.name = split(&map.filename).1.to_vec();
        }
    }
}

fn read(name: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    std::fs::File::open(OsStr::from_bytes(name))?.take(MAP_MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// A field of a variant's description; says whether it describes content, `None` if it cannot be read.
fn set_field(ex: &Exchange, map: &[u8], variant: &mut Variant, field: &[u8], value: &[u8]) -> Option<bool> {
    match field {
        b"content-type" => variant.set_type(accept::item(value).0),
        b"content-length" => {
            let text = value.trim_ascii();
            match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
                Some(length) => variant.length = Some(length),
                None => {
                    let (text, map) = (Bytes(text), Bytes(map));
                    let what = "AH00684: Parse error in type map, Content-Length:";
                    logs::error!(ex, Level::Error, "negotiation", "{} '{}' in {} is invalid.", what, text, map);
                    return None;
                }
            }
        }
        b"content-language" => {
            variant.languages = value
                .split(|byte| *byte == b',')
                .map(|language| accept::token(language, false).0.to_ascii_lowercase())
                .filter(|language| !language.is_empty())
                .collect();
        }
        b"content-encoding" => {
            variant.encoding = Some(accept::token(value, false).0.to_ascii_lowercase());
        }
        b"description" => {
            variant.description = value.trim_ascii_end().to_vec();
            return Some(false);
        }
        b"body" => {}
        _ => return Some(false),
    }
    Some(true)
}

/// Name in lower case and value of a line.
fn field<'a>(ex: &Exchange, map: &[u8], line: &'a [u8]) -> Option<(Vec<u8>, &'a [u8])> {
    let Some(colon) = memchr::memchr(b':', line) else {
        let map = Bytes(map);
        let text = "AH00681: Syntax error in type map, no ':' in";
        logs::error!(
            ex,
            Level::Error,
            "negotiation",
            "{} {} for header {}",
            text,
            map,
            Bytes(&line.to_ascii_lowercase())
        );
        return None;
    };
    let (name, value) = line.split_at(colon);
    let value = value.get(1..).unwrap_or_default().trim_ascii_start();
    let name = name.to_ascii_lowercase();
    if value.is_empty() {
        let text = "AH00682: Syntax error in type map --- no header body:";
        let line = [&name, line.get(colon..).unwrap_or_default()].concat();
        logs::error!(ex, Level::Error, "negotiation", "{} {} for {}", text, Bytes(map), Bytes(&line));
        return None;
    }
    Some((name, value))
}

/// The next line with its continuations, comments left out; an empty one is blank.
fn logical_line(text: &[u8], at: &mut usize) -> Option<Vec<u8>> {
    let mut line = loop {
        let line = next_line(text, at)?;
        if line.first() != Some(&b'#') {
            break line.to_vec();
        }
    };
    let is_body = line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"body:"));
    if line.trim_ascii().is_empty() || is_body {
        return Some(line);
    }
    loop {
        let mut ahead = *at;
        let Some(next) = next_line(text, &mut ahead) else { return Some(line) };
        match next.first() {
            Some(b'#') => *at = ahead,
            Some(byte) if byte.is_ascii_whitespace() && !next.trim_ascii().is_empty() => {
                line.extend_from_slice(next.trim_ascii_start());
                *at = ahead;
            }
            _ => return Some(line),
        }
    }
}

/// The next line, with its end.
fn next_line<'a>(text: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = text.get(*at..).filter(|rest| !rest.is_empty())?;
    let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
    *at += length;
    rest.get(..length)
}

/// The body that starts at `at`: its start, its end, and the line behind its tag.
fn body(text: &[u8], at: usize, tag: &[u8]) -> Option<(usize, usize, usize)> {
    let rest = text.get(at..)?;
    let rest = rest.get(..BODY_MAX).unwrap_or(rest);
    let end = memchr::memmem::find(rest, tag)?;
    let behind = end + tag.len();
    let line = rest.get(behind..).and_then(|rest| memchr::memchr(b'\n', rest)).map_or(rest.len(), |n| behind + n + 1);
    Some((at, at + end, at + line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_without_meaning_are_asked_for_in_order() {
        assert!(in_order(b"index.html", &[b"index"]));
        assert!(in_order(b"index.foo", &[b"index", b"foo"]));
        assert!(!in_order(b"index", &[b"index", b"foo"]));
        assert!(!in_order(b"foo.index", &[b"index", b"foo"]));
    }

    #[test]
    fn lines_go_on_and_comments_do_not_count() {
        let text = b"# c\nURI: a\n# d\nX: b\n  c\n\nBody:--t\n more\n";
        let mut at = 0;
        let mut lines = Vec::new();
        while let Some(line) = logical_line(text, &mut at) {
            lines.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(lines, ["URI: a\n", "X: b\nc\n", "\n", "Body:--t\n", " more\n"]);
    }
}
