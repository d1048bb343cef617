//! The page around a listing.

use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::entry::{self, is_html};
use super::list::List;
use super::order::Order;
use super::rules::{self, Rule, Subject};
use super::{IndexDir, option};
use crate::base::path::{EncodedSlashes, escape_html, escape_path, unescape_url};
use crate::config::core::{CoreDir, etag};
use crate::logs::{self, Bytes, Errno, Level};
use crate::pipe::validators::{etag_of, set_last_modified};
use crate::pipe::{self, Outcome};
use crate::web::{Exchange, Wire};

const HTML: &[u8] =
    b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n<html>\n <head>\n";
const XHTML: &[u8] = b"<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n<html xmlns=\"http://www.w3.org/1999/xhtml\">\n <head>\n";

/// Bytes of a page that httpd keeps to the end and so knows the length of.
const BUFFERED: usize = 8000;

/// Names that are looked at before other requests get their turn.
const TURN: usize = 32;

/// What the query asks for.
struct Query {
    opts: u32,
    key: u8,
    direction: u8,
    pattern: Option<Vec<u8>>,
    keep: Vec<u8>,
}

impl Query {
    fn new(conf: &IndexDir, args: Option<&[u8]>) -> Self {
        let mut query = Self {
            opts: conf.options.bits,
            key: conf.key.unwrap_or(b'N'),
            direction: conf.direction.unwrap_or(b'A'),
            pattern: None,
            keep: Vec::new(),
        };
        if query.opts & option::IGNORE_CLIENT != 0 {
            query.opts |= option::NO_SORTING;
            return query;
        }
        let (mut format, mut version, mut pattern) = (Vec::new(), Vec::new(), Vec::new());
        let mut rest = args.unwrap_or_default();
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| matches!(byte, b'&' | b';')).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match word {
                [b'C', b'=', key @ (b'N' | b'M' | b'S' | b'D')] => query.key = *key,
                [b'O', b'=', direction @ (b'A' | b'D')] => query.direction = *direction,
                [b'F', b'=', form @ b'0'..=b'2'] => {
                    query.opts = match form {
                        b'0' => query.opts & !(option::FANCY | option::TABLE),
                        b'1' => (query.opts | option::FANCY) & !option::TABLE,
                        _ => query.opts | option::FANCY | option::TABLE,
                    };
                    format = [b";F=", [*form].as_slice()].concat();
                }
                [b'V', b'=', on @ (b'0' | b'1')] => {
                    query.opts &= !option::VERSION_SORT;
                    query.opts |= if *on == b'1' { option::VERSION_SORT } else { 0 };
                    version = [b";V=", [*on].as_slice()].concat();
                }
                [b'P', b'=', text @ ..] => {
                    let mut plain = Vec::new();
                    let good = unescape_url(text, EncodedSlashes::Refuse, &mut plain).is_ok();
                    query.pattern = Some(plain).filter(|plain| good && !plain.is_empty());
                    if let Some(plain) = &query.pattern {
                        pattern = b";P=".to_vec();
                        escape_path(plain, &mut pattern);
                    }
                }
                // Whatever it is, nothing behind it counts.
                _ => break,
            }
            rest = after.get(1..).unwrap_or_default();
        }
        query.keep = [format, version, pattern].concat();
        query
    }
}

/// Sends the listing of the directory.
pub(super) async fn serve(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    let chain = ex.chain.clone();
    let default = IndexDir::default();
    let conf = chain.dir.get::<IndexDir>().unwrap_or(&default);
    let listed = fs::read_dir(Path::new(std::ffi::OsStr::from_bytes(&ex.filename)));
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            let (errno, name) = (Errno::from(&error), Bytes(&ex.filename));
            logs::error!(ex, Level::Error, "autoindex", errno => "AH01275: Can't open directory for index: {}", name);
            return Outcome::Status(403);
        }
    };
    set_fields(ex, conf);
    if ex.header_only {
        // A client that went away needs no end.
        let _ = pipe::finish(ex, wire).await;
        return Outcome::Done;
    }
    let query = Query::new(conf, ex.args.as_deref());
    let order = Order {
        key: query.key,
        direction: query.direction,
        version: query.opts & option::VERSION_SORT != 0,
        ignore_case: query.opts & option::IGNORE_CASE != 0,
    };
    let mut entries: Vec<entry::Entry> = entry::parent(ex, conf, query.opts).into_iter().collect();
    for (at, found) in listed.filter_map(Result::ok).enumerate() {
        let Ok(kind) = found.file_type() else { continue };
        let name = found.file_name();
        entries.extend(entry::of(ex, conf, query.opts, name.as_bytes(), kind, query.pattern.as_deref()).await);
        if at % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
    }
    entries.sort_by(|a, b| order.compare(a, b));

    let mut out = Vec::with_capacity(4096);
    // An included page goes out by itself, with what stands above it.
    let mut ends = Vec::new();
    if push_head(ex, conf, query.opts, &mut out).await {
        ends.push(out.len());
    }
    List { conf, opts: query.opts, order, keep: query.keep }.push(&entries, &mut out);
    ends.extend(push_tail(ex, conf, query.opts, &mut out).await);
    // A client that went away needs no end.
    let _ = if out.len() <= BUFFERED && ends.is_empty() {
        pipe::text(ex, wire, &out).await
    } else {
        send(ex, wire, &out, &ends).await
    };
    Outcome::Done
}

async fn send(ex: &mut Exchange, wire: &mut dyn Wire, out: &[u8], ends: &[usize]) -> io::Result<()> {
    let mut from = 0;
    for end in ends.iter().copied().chain([out.len()]) {
        pipe::data(ex, wire, out.get(from..end).unwrap_or_default()).await?;
        from = end;
    }
    pipe::finish(ex, wire).await
}

fn set_fields(ex: &mut Exchange, conf: &IndexDir) {
    let media = conf.media.as_deref().unwrap_or(b"text/html");
    let charset = conf.charset.as_deref().unwrap_or(b"ISO-8859-1");
    ex.content_type = match charset {
        b"" => media.to_vec(),
        charset => [media, b";charset=", charset].concat(),
    };
    if conf.options.bits & option::TRACK_MODIFIED != 0
        && let Some(info) = ex.finfo.clone()
    {
        set_last_modified(ex, &info);
        let bits = ex.dir::<CoreDir>().map(|dir| dir.etag).unwrap_or_default().effective();
        if bits & etag::NONE == 0 {
            ex.headers_out.set(b"ETag", &etag_of(&info, bits & etag::ALL, ex.started_micros));
        }
    }
}

fn push_preamble(conf: &IndexDir, opts: u32, title: &[u8], out: &mut Vec<u8>) {
    let xhtml = opts & option::XHTML != 0;
    out.extend_from_slice(if xhtml { XHTML } else { HTML });
    out.extend_from_slice(&[b"  <title>Index of ", title, b"</title>\n"].concat());
    if let Some(sheet) = &conf.style_sheet {
        let end: &[u8] = if xhtml { b" />\n" } else { b">\n" };
        let link = [b"  <link rel=\"stylesheet\" href=\"", sheet.as_slice(), b"\" type=\"text/css\"", end].concat();
        out.extend_from_slice(&link);
    }
    if let Some(insert) = &conf.head_insert {
        out.extend_from_slice(insert);
    }
    out.extend_from_slice(b" </head>\n <body>\n");
}

/// What stands above the listing; says whether a page was included.
async fn push_head(ex: &Exchange, conf: &IndexDir, opts: u32, out: &mut Vec<u8>) -> bool {
    let mut path = ex.uri.as_slice();
    while let Some(shorter) = path.strip_suffix(b"/") {
        path = shorter;
    }
    let mut title = Vec::new();
    // The root keeps its slash.
    escape_html(if path.is_empty() && !ex.uri.is_empty() { b"/" } else { path }, &mut title);
    match include(ex, &conf.headers, ex.args.as_deref()).await {
        Some(Included::Page(text)) => {
            if opts & option::NO_PREAMBLE == 0 {
                push_preamble(conf, opts, &title, out);
            }
            out.extend_from_slice(&text);
            true
        }
        Some(Included::Plain(text)) => {
            push_preamble(conf, opts, &title, out);
            push_plain(&text, out);
            false
        }
        None => {
            push_preamble(conf, opts, &title, out);
            let open: &[u8] = if conf.style_sheet.is_some() { b"  <h1 id=\"indextitle\">" } else { b"<h1>" };
            out.extend_from_slice(&[open, b"Index of ", &title, b"</h1>\n"].concat());
            false
        }
    }
}

/// What stands below the listing; says where a page that was included ends.
async fn push_tail(ex: &Exchange, conf: &IndexDir, opts: u32, out: &mut Vec<u8>) -> Option<usize> {
    let mut ends = true;
    let included = match include(ex, &conf.readmes, None).await {
        Some(Included::Page(text)) => {
            out.extend_from_slice(&text);
            ends = opts & option::NO_PREAMBLE == 0;
            Some(out.len())
        }
        Some(Included::Plain(text)) => {
            push_plain(&text, out);
            None
        }
        None => {
            pipe::push_signature(ex, b"", out);
            None
        }
    };
    if ends {
        out.extend_from_slice(b"</body></html>\n");
    }
    included
}

/// A file above or below the listing.
enum Included {
    /// HTML, as it is.
    Page(Vec<u8>),
    /// Other text.
    Plain(Vec<u8>),
}

/// Bytes of an included file; it is decoration.
const INCLUDED_MAX: u64 = 1 << 20;

async fn include(ex: &Exchange, rules: &[Rule], args: Option<&[u8]>) -> Option<Included> {
    let name = rules::find(rules, Subject::name(&ex.filename))?;
    let sub = match args {
        None => pipe::lookup(ex, name).await,
        Some(args) => pipe::lookup(ex, &[name, b"?", args].concat()).await,
    };
    if sub.status != 200 || !sub.finfo.as_ref().is_some_and(fs::Metadata::is_file) {
        return None;
    }
    let html = is_html(&sub);
    if !html && !sub.content_type.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"text/")) {
        return None;
    }
    let file = fs::File::open(Path::new(std::ffi::OsStr::from_bytes(&sub.filename))).ok()?;
    let mut text = Vec::new();
    file.take(INCLUDED_MAX).read_to_end(&mut text).ok()?;
    Some(if html { Included::Page(text) } else { Included::Plain(text) })
}

fn push_plain(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"<pre>\n");
    for byte in text {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            _ => out.push(*byte),
        }
    }
    out.extend_from_slice(b"</pre>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_sort_and_shape_until_the_first_unknown_word() {
        let conf = IndexDir::default();
        let query = Query::new(&conf, Some(b"C=M;O=D&F=2;V=1;P=*.t%20t"));
        assert_eq!((query.key, query.direction), (b'M', b'D'));
        assert_eq!(query.opts, option::FANCY | option::TABLE | option::VERSION_SORT);
        assert_eq!(query.pattern.as_deref(), Some(&b"*.t t"[..]));
        assert_eq!(query.keep, b";F=2;V=1;P=*.t%20t".to_vec());
        let query = Query::new(&conf, Some(b"x;C=M"));
        assert_eq!(query.key, b'N');
        let conf = IndexDir {
            options: super::super::Options { bits: option::IGNORE_CLIENT, add: 0, remove: 0 },
            ..IndexDir::default()
        };
        assert!(Query::new(&conf, Some(b"C=M")).opts & option::NO_SORTING != 0);
    }
}
