//! The listing of a folder as a page: each line as the server sends it, with a link around its name.

use std::sync::LazyLock;

use super::control::Reply;
use super::target::{has_wildcards, own_path, site, unescaped};
use crate::base::path::{escape_html, escape_path};
use crate::logs::{self, Bytes, Level, OfServer};
use crate::pipe::{self, names};
use crate::web::{Exchange, ProxyKind};

/// The longest line; the rest of a longer one is left out.
const LINE: usize = 8191;

/// What stands above the lines.
pub(super) struct Page(Vec<u8>);

/// A page in the making.
pub(super) struct Listing {
    page: Option<Page>,
    /// A line that has not ended.
    line: Vec<u8>,
}

fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    escape_html(text, &mut out);
    out
}

fn link(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    escape_path(text, &mut out);
    html(&out)
}

impl Page {
    /// Of the request; `folder` is where the server says it is, `readme` what it said to the login.
    pub(super) fn of(ex: &Exchange, folder: Option<&[u8]>, readme: &Reply) -> Self {
        let mut place = Vec::new();
        match ex.proxyreq {
            ProxyKind::Forward => place = site(ex),
            _ => names::push_url(ex, b"", &mut place),
        }
        Self(head(&place, &own_path(ex), folder, &readme.text))
    }
}

fn head(site: &[u8], path: &[u8], folder: Option<&[u8]>, readme: &[u8]) -> Vec<u8> {
    let base: &[u8] =
        if path.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"/%2f")) { b"/%2f" } else { b"" };
    let typed = memchr::memmem::find(path, b";type=").unwrap_or(path.len());
    let path = unescaped(path.get(..typed).unwrap_or_default());
    let mut path = path.as_slice();
    while path.get(1) == Some(&b'/') {
        path = path.get(1..).unwrap_or_default();
    }
    let last = memchr::memrchr(b'/', path).unwrap_or(path.len());
    let (path, wildcard) = match path.split_at(last) {
        (folder, name) if has_wildcards(name) => (folder, name.get(1..)),
        _ => (path, None),
    };
    let mut path = [path, b"/"].concat();
    while path.len() > 1 && path.ends_with(b"//") {
        path.pop();
    }
    let shown = html(&path);
    let mut out = Vec::new();
    let mut push = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    push(&[
        b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n",
        b"<html>\n <head>\n  <title>",
        site,
        base,
        &shown,
        b"</title>\n<base href=\"",
        site,
        base,
        &shown,
        b"\">\n </head>\n <body>\n  <h2>Directory of <a href=\"/\">",
        site,
        b"</a>/",
        if base.is_empty() { b"" } else { b"<a href=\"/%2f/\">%2f</a>/" },
    ]);
    let mut at = 1;
    while let Some(end) = path.get(at..).and_then(|rest| memchr::memchr(b'/', rest)).map(|end| at + end) {
        let (so_far, name) = (path.get(..end).unwrap_or_default(), path.get(at..end).unwrap_or_default());
        push(&[b"<a href=\"", base, &link(so_far), b"/\">", &html(name), b"</a>/"]);
        at = end + path.get(end..).unwrap_or_default().iter().take_while(|byte| **byte == b'/').count();
    }
    if let Some(wildcard) = wildcard {
        push(&[&html(wildcard)]);
    }
    match folder {
        Some(folder) if !path.starts_with(folder) => push(&[b"</h2>\n\n(", &html(folder), b")\n\n  <hr />\n\n<pre>"]),
        _ => push(&[b"</h2>\n\n  <hr />\n\n<pre>"]),
    }
    push(&[&html(readme), b"\n</pre>\n\n<hr />\n\n<pre>\n"]);
    out
}

impl Listing {
    pub(super) fn new(page: Page) -> Self {
        Self { page: Some(page), line: Vec::new() }
    }

    /// What stands above the lines.
    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(Page(head)) = self.page.take() {
            out.extend_from_slice(&head);
        }
    }

    /// Takes in some of a line, up to its end at most, with which the whole line comes out.
    pub(super) fn push(&mut self, ex: &Exchange, piece: &[u8], out: &mut Vec<u8>) {
        let room = LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(piece.get(..piece.len().min(room)).unwrap_or_default());
        if piece.ends_with(b"\n") {
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
            if !push_line(line, out) {
                let server = OfServer(&ex.live, ex.server);
                let line = Bytes(line);
                logs::error!(server, Level::Warn, "proxy_ftp", "AH01034: proxy_ftp: could not parse line {line}");
            }
            self.line.clear();
        }
    }

    /// What stands below the lines. A line that has not ended is none.
    pub(super) fn end(ex: &Exchange, out: &mut Vec<u8>) {
        out.extend_from_slice(b"</pre>\n\n  <hr />\n\n  ");
        pipe::push_signature(ex, b"", out);
        out.extend_from_slice(b"\n\n </body>\n</html>\n");
    }
}

/// One line; false if it is nothing.
fn push_line(line: &[u8], out: &mut Vec<u8>) -> bool {
    let mut push = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    let kind = line.first().copied().unwrap_or(0);
    if let Some(arrow) = memchr::memmem::find(line, b" -> ").filter(|_| kind == b'l') {
        let before = line.get(..arrow).unwrap_or_default();
        // As in httpd: from the start of the line where there is no blank.
        let (info, name) = match memchr::memrchr(b' ', before).filter(|space| *space > 0) {
            Some(space) => (before.get(..space).unwrap_or_default(), before.get(space + 1..).unwrap_or_default()),
            None => (before, before),
        };
        let leads = line.get(arrow + 1..).unwrap_or_default();
        push(&[&html(info), b" <a href=\"", &link(name), b"\">", &html(name), b" ", &html(leads), b"</a>\n"]);
        return true;
    }
    if matches!(kind, b'd' | b'-' | b'l') || kind.is_ascii_digit() {
        let mut line = line.to_vec();
        if kind.is_ascii_digit() {
            // Of DOS: `<DIR>`.
            for (from, to) in [(b'<', b'['), (b'>', b']')] {
                if let Some(byte) = line.iter_mut().find(|byte| **byte == from) {
                    *byte = to;
                }
            }
        }
        let Some(space) = memchr::memrchr(b' ', &line) else { return false };
        let (info, name) = (line.get(..space).unwrap_or_default(), line.get(space + 1..).unwrap_or_default());
        let slash: &[u8] = if kind == b'd' || name == b"." || name == b".." { b"/" } else { b"" };
        push(&[&html(info), b" <a href=\"", &link(name), slash, b"\">", &html(name), b"</a>\n"]);
        return true;
    }
    match sized(line) {
        Some(at) => {
            let (size, name) = line.split_at(at);
            push(&[&html(size), b"<a href=\"", &link(name), b"\">", &html(name), b"</a>\n"]);
        }
        None => push(&[&html(line), b"\n"]),
    }
    true
}

static SIZED: LazyLock<Option<regex::bytes::Regex>> =
    LazyLock::new(|| regex::bytes::Regex::new("(?-u)^ *[0-9]+ +([^ ]+)$").ok());

/// Where the name begins in a line that is a size and a name.
fn sized(line: &[u8]) -> Option<usize> {
    SIZED.as_ref()?.captures(line)?.get(1).map(|name| name.start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Option<String> {
        let mut out = Vec::new();
        push_line(text.as_bytes(), &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn lines_get_links() {
        let cases = [
            ("-rw-r--r-- 1 a 4 Nov 1 10:00 a&b", "-rw-r--r-- 1 a 4 Nov 1 10:00 <a href=\"a&amp;b\">a&amp;b</a>\n"),
            ("drwx 1 dir", "drwx 1 <a href=\"dir/\">dir</a>\n"),
            ("drwx 1 ..", "drwx 1 <a href=\"../\">..</a>\n"),
            ("lrwx 1 l -> /x/y", "lrwx 1 <a href=\"l\">l -&gt; /x/y</a>\n"),
            ("01-02-03 <DIR> x", "01-02-03 [DIR] <a href=\"x\">x</a>\n"),
            ("  12 name", "  12 <a href=\"name\">name</a>\n"),
            ("total <3>", "total &lt;3&gt;\n"),
            ("", "\n"),
        ];
        for (text, expected) in cases {
            assert_eq!(line(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(line("-broken"), None);
    }

    #[test]
    fn the_head_names_the_folders() {
        let text = |path: &str, folder: Option<&str>| {
            let out = head(b"ftp://h", path.as_bytes(), folder.map(str::as_bytes), b"hi");
            let text = String::from_utf8(out).unwrap();
            text[text.find("Directory of").unwrap()..].to_owned()
        };
        let end = "  <hr />\n\n<pre>hi\n</pre>\n\n<hr />\n\n<pre>\n";
        assert_eq!(
            text("/a/b%20c/*.c;type=d", None),
            format!(
                "Directory of <a href=\"/\">ftp://h</a>/<a href=\"/a/\">a</a>/<a href=\"/a/b%20c/\">b c</a>/*.c</h2>\n\n{end}"
            )
        );
        assert_eq!(
            text("/%2f/etc//", Some("/elsewhere")),
            format!(
                "Directory of <a href=\"/\">ftp://h</a>/<a href=\"/%2f/\">%2f</a>/<a href=\"/%2f/etc/\">etc</a>/</h2>\n\n\
                 (/elsewhere)\n\n{end}"
            )
        );
    }
}
