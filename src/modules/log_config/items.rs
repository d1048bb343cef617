//! What the items of a format print: one row an item.

use std::borrow::Cow;

use crate::base::clock::{push_clf_time, push_strftime};
use crate::logs::text::{push_hex, push_i64, push_log_item, push_u64};
use crate::pipe::names;
use crate::web::{Exchange, Snapshot, Table};

/// The request a line is made of, as one item sees it.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// The request.
    pub(super) ex: &'a Exchange,
    /// The request before internal redirects, where this item asks for it.
    pub(super) original: Option<&'a Snapshot>,
    /// Microseconds from the request's start to its end.
    pub(super) elapsed: i64,
}

/// Appends a value; `None` = there is none, a hyphen stands for it. The text is what stood in braces.
pub(super) type Render = fn(&Line<'_>, &[u8], &mut Vec<u8>) -> Option<()>;

/// One item.
pub(super) struct Item {
    /// Its letter, or `^` and two.
    pub(super) name: &'static str,
    /// Without `<` or `>` it is about the request before internal redirects.
    pub(super) original: bool,
    /// The function for what stands in braces.
    pub(super) pick: fn(&[u8]) -> Render,
}

/// The row of an item about the final request that reads its argument itself, if at all.
const fn row(name: &'static str, pick: fn(&[u8]) -> Render) -> Item {
    Item { name, original: false, pick }
}

/// The row of an item about the first request.
const fn first(name: &'static str, pick: fn(&[u8]) -> Render) -> Item {
    Item { name, original: true, pick }
}

/// The items.
#[rustfmt::skip]
pub(super) static ITEMS: &[Item] = &[
    row("a", |arg| if arg == b"c" { peer } else { client }),
    row("A", |_| |line, _, out| { out.extend_from_slice(&line.ex.conn.local_ip); Some(()) }),
    row("b", |_| |line, _, out| put(out, Some(line.bytes_sent()).filter(|bytes| *bytes > 0))),
    row("B", |_| |line, _, out| put(out, Some(line.bytes_sent()))),
    row("C", |_| cookie),
    first("D", |_| |line, _, out| signed(out, line.elapsed)),
    row("e", |_| |line, name, out| field(out, line.original.map_or(&line.ex.env, |old| &old.env), name)),
    row("f", |_| |line, _, out| text(out, line.original.map_or(&line.ex.filename, |old| &old.filename))),
    row("h", |arg| if arg == b"c" { peer_host } else { client_host }),
    row("H", |_| |line, _, out| text(out, &line.ex.protocol)),
    row("i", |_| |line, name, out| field(out, line.headers_in(), name)),
    row("I", |_| |line, _, out| put(out, Some(line.ex.io_counts.0))),
    row("k", |_| |line, _, out| put(out, Some(u64::from(line.kept_before())))),
    row("l", |_| |line, _, out| escaped(out, line.ex.conn.ident.get().map(|name| &**name))),
    first("L", |arg| if arg == b"c" { conn_log_id } else { log_id }),
    row("m", |_| |line, _, out| text(out, line.original.map_or(&line.ex.method, |old| &old.method))),
    row("n", |_| |line, name, out| field(out, line.original.map_or(&line.ex.notes, |old| &old.notes), name)),
    row("o", response_field),
    row("O", |_| |line, _, out| put(out, Some(line.ex.io_counts.1))),
    row("p", port),
    row("P", process),
    row("q", |_| query),
    first("r", |_| request_line),
    first("R", |_| |line, _, out| text(out, line.original.map_or(&line.ex.handler, |old| &old.handler))),
    first("s", |_| |line, _, out| put(out, Some(u64::from(line.status())).filter(|status| *status > 0))),
    row("S", |_| |line, _, out| put(out, Some(line.ex.io_counts.0 + line.ex.io_counts.1))),
    row("t", time),
    first("T", duration),
    row("u", |_| user),
    first("U", |_| |line, _, out| text(out, line.original.map_or(&line.ex.uri, |old| &old.uri))),
    row("v", |_| |line, _, out| escaped(out, line.ex.server().rec.name.as_deref())),
    row("V", |_| |line, _, out| escaped(out, Some(names::server_name(line.ex)))),
    row("X", |_| |line, _, out| { out.push(line.connection_state()); Some(()) }),
    // mod_ssl's.
    row("x", |_| |line, name, out| tls(line, name, out)),
    row("c", |_| |line, name, out| tls(line, tls_name(name)?, out)),
    row("^FB", |_| first_byte),
    row("^ti", |_| |line, name, out| field(out, &line.ex.trailers_in, name)),
    row("^to", |_| |line, name, out| field(out, &line.ex.trailers_out, name)),
];

impl<'a> Line<'a> {
    fn headers_in(&self) -> &'a Table {
        self.original.map_or(&self.ex.headers_in, |old| &old.headers_in)
    }

    /// The head as it was sent, if one was.
    fn sent_fields(&self) -> Option<&'a Table> {
        (self.ex.head_sent && !self.ex.assbackwards).then_some(&self.ex.response.fields)
    }

    fn status(&self) -> u16 {
        self.original.map_or(self.ex.status, |old| old.status)
    }

    /// What left before an internal redirect is nothing.
    fn bytes_sent(&self) -> u64 {
        self.original.map_or(self.ex.bytes_sent, |_| 0)
    }

    /// Requests served on this connection before: httpd counts a request only once it decides to keep the connection,
    /// and prints one less. The last one that MaxKeepAliveRequests lets pass counts.
    fn kept_before(&self) -> u32 {
        let before = self.ex.conn.keepalives.get();
        let last = before > 0 && before == self.max_keep_alive();
        if self.ex.close && !last { before.saturating_sub(1) } else { before }
    }

    fn max_keep_alive(&self) -> u32 {
        self.ex.server().rec.max_keep_alive.unwrap_or(100)
    }

    fn connection_state(&self) -> u8 {
        let max = self.max_keep_alive();
        if self.ex.conn.aborted.get() {
            b'X'
        } else if !self.ex.close && (max == 0 || max > self.ex.conn.keepalives.get().saturating_add(1)) {
            b'+'
        } else {
            b'-'
        }
    }
}

#[inline]
fn put(out: &mut Vec<u8>, number: Option<u64>) -> Option<()> {
    number.map(|number| push_u64(out, number))
}

fn signed(out: &mut Vec<u8>, number: i64) -> Option<()> {
    push_i64(out, number);
    Some(())
}

#[inline]
fn escaped(out: &mut Vec<u8>, value: Option<&[u8]>) -> Option<()> {
    value.map(|value| push_log_item(out, value))
}

/// A text that is absent when it is empty.
#[inline]
fn text(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    escaped(out, Some(value).filter(|value| !value.is_empty()))
}

#[inline]
fn field(out: &mut Vec<u8>, table: &Table, name: &[u8]) -> Option<()> {
    escaped(out, table.get(name))
}

/// The argument itself, in place of a value: what httpd prints for a word it does not know.
fn unknown(_: &Line<'_>, arg: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(arg);
    Some(())
}

fn client(line: &Line<'_>, _: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(if line.ex.client_ip.is_empty() { &line.ex.conn.peer_ip } else { &line.ex.client_ip });
    Some(())
}

fn peer(line: &Line<'_>, _: &[u8], out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(&line.ex.conn.peer_ip);
    Some(())
}

fn client_host(line: &Line<'_>, arg: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match line.ex.client_name() {
        Some(name) => escaped(out, Some(&name)),
        None => client(line, arg, out),
    }
}

fn peer_host(line: &Line<'_>, arg: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match line.ex.conn.host.name() {
        Some(name) => escaped(out, Some(&name)),
        None => peer(line, arg, out),
    }
}

fn log_id(line: &Line<'_>, _: &[u8], out: &mut Vec<u8>) -> Option<()> {
    line.ex.log_id.get().map(|id| out.extend_from_slice(id.text()))
}

fn conn_log_id(line: &Line<'_>, _: &[u8], out: &mut Vec<u8>) -> Option<()> {
    line.ex.conn.log_id.get().map(|id| out.extend_from_slice(id.text()))
}

/// The user; an empty name is shown as such.
fn user(line: &Line<'_>, _: &[u8], out: &mut Vec<u8>) -> Option<()> {
    match line.original.map_or(&line.ex.user, |old| &old.user).as_deref() {
        Some(b"") => out.extend_from_slice(b"\"\""),
        user => return escaped(out, user),
    }
    Some(())
}

fn query(line: &Line<'_>, _: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if let Some(args) = line.original.map_or(&line.ex.args, |old| &old.args) {
        out.push(b'?');
        push_log_item(out, args);
    }
    Some(())
}

/// The request line as received, but for a password in an absolute target.
fn request_line(line: &Line<'_>, _: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let whole = line.original.map_or(&line.ex.the_request, |old| &old.the_request);
    // Nothing came in time; an empty line is something else.
    if whole.is_empty() && line.ex.status == 408 {
        return None;
    }
    match without_password(whole) {
        Some(safe) => push_log_item(out, &safe),
        None => push_log_item(out, whole),
    }
    Some(())
}

/// The request line with eight `X` for the password of `scheme://user:password@host`; `None` if there is none.
fn without_password(line: &[u8]) -> Option<Cow<'_, [u8]>> {
    // Only an absolute target has an authority, and nearly no target is absolute.
    let method = memchr::memchr(b' ', line)?;
    if line.get(method + 1) == Some(&b'/') {
        return None;
    }
    let scheme = memchr::memmem::find(line, b"://")?;
    let start = scheme + 3;
    let authority = line.get(start..)?;
    let end = authority.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b' ')).unwrap_or(authority.len());
    let authority = authority.get(..end)?;
    let at = memchr::memrchr(b'@', authority)?;
    let (credentials, host) = authority.split_at(at);
    let colon = memchr::memchr(b':', credentials)?;
    let name = line.get(method + 1..scheme)?;
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)) {
        return None;
    }
    let mut out = line.get(..start + colon + 1)?.to_vec();
    out.extend_from_slice(b"XXXXXXXX");
    // The port that the scheme has anyway is not printed again.
    let port: &[u8] = match name.to_ascii_lowercase().as_slice() {
        b"http" => b":80",
        b"https" => b":443",
        b"ftp" => b":21",
        _ => b"",
    };
    out.extend_from_slice(host.strip_suffix(port).unwrap_or(host));
    out.extend_from_slice(line.get(start + end..)?);
    Some(Cow::Owned(out))
}

/// A cookie by its name in any case: the first one that has a value.
fn cookie(line: &Line<'_>, name: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let cookies = line.headers_in().get(b"cookie")?;
    escaped(out, cookies.split(|&byte| byte == b';').find_map(|pair| cookie_value(pair, name)))
}

fn cookie_value<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let skip = pair.iter().position(|&byte| byte != b'=')?;
    let pair = pair.get(skip..)?;
    let equals = memchr::memchr(b'=', pair)?;
    let (found, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
    let same = trimmed(found).eq_ignore_ascii_case(name);
    (same && !value.is_empty()).then(|| trimmed(value))
}

/// Without blanks and tabs in front and white space behind.
fn trimmed(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    let end = text.iter().rposition(|byte| !byte.is_ascii_whitespace() && *byte != 0x0b).map_or(0, |at| at + 1);
    text.get(..end).unwrap_or_default()
}

fn response_field(name: &[u8]) -> Render {
    match name.to_ascii_lowercase().as_slice() {
        b"content-type" => content_type,
        b"set-cookie" => set_cookie,
        // Those are the server's, not the response's, once the head is sent.
        b"date" | b"server" => |line, name, out| match line.sent_fields() {
            Some(_) => None,
            None => escaped(out, out_field(line, name)),
        },
        _ => |line, name, out| escaped(out, out_field(line, name)),
    }
}

/// The field as sent; as set where no head was sent.
fn out_field<'a>(line: &Line<'a>, name: &[u8]) -> Option<&'a [u8]> {
    let ex = line.ex;
    match line.sent_fields() {
        Some(fields) => fields.get(name),
        None => ex.err_headers_out.get(name).or_else(|| ex.headers_out.get(name)),
    }
}

/// The type without its parameters.
fn content_type(line: &Line<'_>, name: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let full = match line.ex.content_type.as_slice() {
        full if !full.is_empty() && line.sent_fields().is_none() => Some(full),
        _ => out_field(line, name),
    };
    escaped(out, full.map(|full| trimmed(full.split(|byte| *byte == b';').next().unwrap_or_default())))
}

/// All values, joined.
fn set_cookie(line: &Line<'_>, name: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let ex = line.ex;
    let nothing = Table::default();
    let (first, second) = match line.sent_fields() {
        Some(fields) => (fields, &nothing),
        None => (&ex.err_headers_out, &ex.headers_out),
    };
    let mut any = None;
    for value in first.get_all(name).chain(second.get_all(name)) {
        if any.replace(()).is_some() {
            out.extend_from_slice(b", ");
        }
        push_log_item(out, value);
    }
    any
}

fn port(arg: &[u8]) -> Render {
    match arg.to_ascii_lowercase().as_slice() {
        b"" | b"canonical" => |line, _, out| {
            let port = line.ex.server().rec.port.filter(|port| *port != 0);
            put(out, Some(u64::from(port.unwrap_or_else(|| names::default_port(line.ex)))))
        },
        b"remote" => |line, _, out| put(out, Some(u64::from(line.ex.client_port))),
        b"local" => |line, _, out| put(out, Some(u64::from(line.ex.conn.local.port()))),
        _ => unknown,
    }
}

fn process(arg: &[u8]) -> Render {
    match arg.to_ascii_lowercase().as_slice() {
        b"" | b"pid" => |_, _, out| put(out, Some(u64::from(std::process::id()))),
        b"tid" => |_, _, out| put(out, Some(thread_id())),
        b"hextid" => |_, _, out| {
            push_hex(out, thread_id());
            Some(())
        },
        _ => unknown,
    }
}

fn thread_id() -> u64 {
    nix::sys::pthread::pthread_self() as u64
}

fn duration(arg: &[u8]) -> Render {
    match arg.to_ascii_lowercase().as_slice() {
        b"" | b"s" => |line, _, out| signed(out, line.elapsed / 1_000_000),
        b"ms" => |line, _, out| signed(out, line.elapsed / 1000),
        b"us" => |line, _, out| signed(out, line.elapsed),
        _ => unknown,
    }
}

/// A variable of TLS.
fn tls(line: &Line<'_>, name: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut value = Vec::new();
    crate::pipe::ssl_var(line.ex, name, &mut value).then_some(())?;
    escaped(out, Some(&value))
}

/// What the words of `%{…}c` stand for.
fn tls_name(word: &[u8]) -> Option<&'static [u8]> {
    match word {
        b"version" => Some(b"SSL_PROTOCOL"),
        b"cipher" => Some(b"SSL_CIPHER"),
        b"subjectdn" => Some(b"SSL_CLIENT_S_DN"),
        b"issuerdn" => Some(b"SSL_CLIENT_I_DN"),
        _ => None,
    }
}

fn first_byte(line: &Line<'_>, _: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let ex = line.ex;
    ex.tracks_first_byte.then_some(())?;
    let waited = ex.first_byte?.saturating_duration_since(ex.started);
    put(out, Some(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX)))
}

/// When a request began (`begin:`, or nothing) or ended (`end:`), and in which form.
fn time(arg: &[u8]) -> Render {
    let (end, form) = moment(arg);
    match (form, end) {
        (b"", false) => |line, _, out| clf(out, line.ex.started_micros),
        (b"", true) => |line, _, out| clf(out, line.ended()),
        (b"sec", false) => |line, _, out| signed(out, line.ex.started_micros.div_euclid(1_000_000)),
        (b"sec", true) => |line, _, out| signed(out, line.ended().div_euclid(1_000_000)),
        (b"msec", false) => |line, _, out| signed(out, line.ex.started_micros.div_euclid(1000)),
        (b"msec", true) => |line, _, out| signed(out, line.ended().div_euclid(1000)),
        (b"usec", false) => |line, _, out| signed(out, line.ex.started_micros),
        (b"usec", true) => |line, _, out| signed(out, line.ended()),
        (b"msec_frac", false) => |line, _, out| fraction(out, line.ex.started_micros, 3),
        (b"msec_frac", true) => |line, _, out| fraction(out, line.ended(), 3),
        (b"usec_frac", false) => |line, _, out| fraction(out, line.ex.started_micros, 6),
        (b"usec_frac", true) => |line, _, out| fraction(out, line.ended(), 6),
        (_, end) => {
            let calendar: Render = match end {
                false => |line, arg, out| strftime(out, arg, line.ex.started_micros),
                true => |line, arg, out| strftime(out, arg, line.ended()),
            };
            calendar
        }
    }
}

impl Line<'_> {
    fn ended(&self) -> i64 {
        self.ex.started_micros.saturating_add(self.elapsed)
    }
}

/// Whether `arg` is about the end, and what follows `begin:` or `end:`.
fn moment(arg: &[u8]) -> (bool, &[u8]) {
    for (word, end) in [(&b"begin"[..], false), (b"end", true)] {
        match arg.strip_prefix(word) {
            Some(b"") => return (end, b""),
            Some([b':', form @ ..]) => return (end, form),
            _ => {}
        }
    }
    (false, arg)
}

fn clf(out: &mut Vec<u8>, wall: i64) -> Option<()> {
    push_clf_time(out, wall);
    Some(())
}

fn strftime(out: &mut Vec<u8>, arg: &[u8], wall: i64) -> Option<()> {
    push_strftime(out, moment(arg).1, wall);
    Some(())
}

/// The part of a second, in `digits` digits.
fn fraction(out: &mut Vec<u8>, wall: i64, digits: u32) -> Option<()> {
    let micros = wall.rem_euclid(1_000_000);
    for at in (6 - digits..6).rev() {
        out.push(b'0' + u8::try_from(micros / 10i64.pow(at) % 10).unwrap_or(0));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_as_httpd_finds_them() {
        let find = |cookies: &'static str, name: &str| {
            let value =
                cookies.as_bytes().split(|byte| *byte == b';').find_map(|pair| cookie_value(pair, name.as_bytes()));
            value.map(|value| String::from_utf8(value.to_vec()).expect("ASCII"))
        };
        assert_eq!(find("b=1; A = x y ; a=2", "a").as_deref(), Some("x y"));
        assert_eq!(find("=a=5; a=;a=7", "a").as_deref(), Some("5"));
        assert_eq!(find("a=;a=7=8", "a").as_deref(), Some("7=8"));
        assert_eq!(find("ab=1; a", "a"), None);
    }

    #[test]
    fn passwords_do_not_reach_the_log() {
        let safe = |line: &'static str| {
            without_password(line.as_bytes()).map(|line| String::from_utf8_lossy(&line).into_owned())
        };
        assert_eq!(
            safe("GET http://u:pw@q:80/x?a=b#f HTTP/1.1").as_deref(),
            Some("GET http://u:XXXXXXXX@q/x?a=b#f HTTP/1.1")
        );
        assert_eq!(safe("GET http://q/x?u=http://a:b@c HTTP/1.1"), None);
        assert_eq!(safe("GET /x?u=http://a:b@c HTTP/1.1"), None);
        assert_eq!(safe("GET http://u@q/ HTTP/1.1"), None);
    }

    #[test]
    fn moments_and_fractions() {
        assert_eq!(moment(b"end:sec"), (true, &b"sec"[..]));
        assert_eq!(moment(b"begin"), (false, &b""[..]));
        assert_eq!(moment(b"beginx:sec"), (false, &b"beginx:sec"[..]));
        assert_eq!(moment(b"end:%S"), (true, &b"%S"[..]));
        let mut out = Vec::new();
        fraction(&mut out, 1_795_630_023_041_805, 6);
        fraction(&mut out, 1_795_630_023_041_805, 3);
        assert_eq!(out, b"041805041");
    }

    #[test]
    fn rows_are_unique() {
        for (at, row) in ITEMS.iter().enumerate() {
            assert!(ITEMS[..at].iter().all(|other| other.name != row.name), "{}", row.name);
        }
    }
}
