//! `ErrorLogFormat`: the text compiled to items, and how they make a line.
//!
//! An item without a value takes the whole blank-delimited field it stands in with it, unless it is written `%-x`
//! (a hyphen then) or `%+x` (no line at all then).

use std::sync::OnceLock;

use super::entry::{Entry, LINE_MAX, thread_id};
use super::error::push_process_name;
use super::text::{push_error_item, push_u64};
use crate::base::clock::{ErrorTime, push_error_time};
use crate::web::{Exchange, LogId};

/// A compiled `ErrorLogFormat`.
#[derive(Clone, Debug, Default)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
struct Piece {
    /// A field begins here.
    separator: bool,
    /// `%+x`.
    required: bool,
    /// `%-x`.
    hyphen: bool,
    /// `%7x`: only for entries of this level or finer.
    min_level: u32,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Text(Vec<u8>),
    Message,
    Item(&'static Item, Option<Vec<u8>>),
}

/// Pushes a value; `arg` is what stood in braces. Nothing pushed = no value.
type Render = fn(&Entry<'_>, arg: Option<&[u8]>, &mut Vec<u8>);

#[derive(Debug)]
struct Item {
    letter: u8,
    render: Render,
}

/// The items; `M` is the message and has no row.
#[rustfmt::skip]
static ITEMS: &[Item] = &[
    Item { letter: b'a', render: client },
    Item { letter: b'A', render: local },
    Item { letter: b'e', render: env },
    Item { letter: b'E', render: |entry, _, out| if let Some(errno) = entry.errno { errno.push(out) } },
    Item { letter: b'F', render: |entry, _, out| entry.push_position(out) },
    Item { letter: b'i', render: header },
    Item { letter: b'k', render: |entry, _, out| if let Some(conn) = entry.subject.conn { push_u64(out, u64::from(conn.keepalives.get())) } },
    Item { letter: b'l', render: |entry, _, out| out.extend_from_slice(entry.level.word().as_bytes()) },
    Item { letter: b'L', render: log_id },
    Item { letter: b'm', render: |entry, _, out| out.extend_from_slice(entry.module.as_bytes()) },
    Item { letter: b'n', render: note },
    Item { letter: b'P', render: |_, _, out| push_u64(out, u64::from(std::process::id())) },
    Item { letter: b't', render: time },
    Item { letter: b'T', render: thread },
    Item { letter: b'v', render: server },
    Item { letter: b'V', render: canonical },
];

impl Format {
    /// Compiles the main format, which must hold `%M`. The error is httpd's text.
    pub fn main(text: &[u8]) -> Result<Self, String> {
        let format = Self::parse(text)?;
        if format.pieces.iter().any(|piece| piece.required) {
            return Err("The '+' flag cannot be used in the main error log format".to_owned());
        }
        match format.has_message() {
            true => Ok(format),
            false => Err("main ErrorLogFormat must contain message format string '%M'".to_owned()),
        }
    }

    /// Compiles a format for the first entry of a request or a connection.
    pub fn once(text: &[u8]) -> Result<Self, String> {
        let format = Self::parse(text)?;
        match format.has_message() {
            true => Err("%M cannot be used in once-per-request or once-per-connection formats".to_owned()),
            false => Ok(format),
        }
    }

    fn has_message(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece.what, What::Message))
    }

    fn parse(mut text: &[u8]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        while !text.is_empty() {
            let (piece, rest) = piece(text)?;
            pieces.push(piece);
            text = rest;
        }
        Ok(Self { pieces })
    }

    /// Appends the entry's line, without its end; nothing when a required item has no value.
    pub fn push(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let mut field = out.len();
        let mut skipping = false;
        for piece in &self.pieces {
            if piece.separator && !std::mem::take(&mut skipping) {
                field = out.len();
            }
            if let What::Message = piece.what {
                entry.push_text(out);
            } else if skipping {
            } else if (entry.level as u32) < piece.min_level {
                out.truncate(field);
                skipping = true;
            } else {
                let before = out.len();
                match &piece.what {
                    What::Text(text) => out.extend_from_slice(text),
                    What::Item(item, arg) => (item.render)(entry, arg.as_deref(), out),
                    What::Message => {}
                }
                if out.len() > before {
                } else if piece.required {
                    return out.clear();
                } else if piece.hyphen {
                    out.push(b'-');
                } else {
                    out.truncate(field);
                    skipping = true;
                }
            }
        }
        out.truncate(LINE_MAX);
    }
}

/// One piece off the front of `text`, which is not empty.
fn piece(text: &[u8]) -> Result<(Piece, &[u8]), String> {
    let mut piece =
        Piece { separator: false, required: false, hyphen: false, min_level: 0, what: What::Text(Vec::new()) };
    let mut rest = text;
    // `% ` begins a field without printing a blank.
    while let Some(behind) = rest.strip_prefix(b"% ") {
        piece.separator = true;
        rest = behind;
    }
    let Some(mut item) = rest.strip_prefix(b"%") else {
        piece.separator |= rest.first() == Some(&b' ');
        let (text, rest) = literal(rest);
        piece.what = What::Text(text);
        return Ok((piece, rest));
    };
    if let Some(rest) = item.strip_prefix(b"%") {
        piece.what = What::Text(b"%".to_vec());
        return Ok((piece, rest));
    }
    let mut arg = None;
    while let Some((&letter, mut behind)) = item.split_first() {
        match letter {
            b'{' => {
                let end = memchr::memchr(b'}', behind).unwrap_or(behind.len());
                arg = Some(behind[..end].to_vec());
                behind = behind.get(end + 1..).unwrap_or_default();
            }
            b'+' => piece.required = true,
            b'-' => piece.hyphen = true,
            b'0'..=b'9' => {
                let end = item.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(item.len());
                let digits = item[..end].iter().map(|digit| u32::from(digit - b'0'));
                piece.min_level = digits.fold(0, |sum, digit| sum.saturating_mul(10).saturating_add(digit));
                behind = &item[end..];
            }
            b'M' => {
                piece.what = What::Message;
                return Ok((piece, behind));
            }
            _ => {
                let found = ITEMS.iter().find(|row| row.letter == letter);
                let row =
                    found.ok_or_else(|| format!("Unrecognized error log format directive %{}", char::from(letter)))?;
                piece.what = What::Item(row, arg);
                return Ok((piece, behind));
            }
        }
        item = behind;
    }
    Err("Ran off end of error log format parsing args to some directive".to_owned())
}

/// Text up to the next item, or to a blank behind something else than blanks.
fn literal(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut out = Vec::new();
    let mut at = 0;
    let mut leading = true;
    while let Some(&byte) = text.get(at) {
        if byte == b'%' || (byte == b' ' && !leading) {
            break;
        }
        leading &= byte == b' ';
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let known = match text.get(at) {
            Some(b'\\') => b'\\',
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            _ => {
                out.push(b'\\');
                continue;
            }
        };
        out.push(known);
        at += 1;
    }
    (out, &text[at..])
}

fn client(entry: &Entry<'_>, arg: Option<&[u8]>, out: &mut Vec<u8>) {
    match (arg, entry.subject.conn) {
        (Some(b"c"), Some(conn)) => {
            out.extend_from_slice(&conn.peer_ip);
            out.push(b':');
            push_u64(out, u64::from(conn.peer.port()));
        }
        _ => entry.push_client(out),
    }
}

fn local(entry: &Entry<'_>, _: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(conn) = entry.subject.conn {
        out.extend_from_slice(&conn.local_ip);
        out.push(b':');
        push_u64(out, u64::from(conn.local.port()));
    }
}

fn env(entry: &Entry<'_>, arg: Option<&[u8]>, out: &mut Vec<u8>) {
    push_error_item(out, entry.subject.request.zip(arg).and_then(|(ex, name)| ex.env.get(name)).unwrap_or_default());
}

fn note(entry: &Entry<'_>, arg: Option<&[u8]>, out: &mut Vec<u8>) {
    push_error_item(out, entry.subject.request.zip(arg).and_then(|(ex, name)| ex.notes.get(name)).unwrap_or_default());
}

fn header(entry: &Entry<'_>, arg: Option<&[u8]>, out: &mut Vec<u8>) {
    let value = entry.subject.request.zip(arg).and_then(|(ex, name)| ex.headers_in.get(name));
    push_error_item(out, value.unwrap_or_default());
}

fn log_id(entry: &Entry<'_>, arg: Option<&[u8]>, out: &mut Vec<u8>) {
    let of_conn = entry.subject.conn.and_then(|conn| conn.log_id.get());
    let of_request = entry.subject.request.and_then(|ex| ex.log_id.get());
    let id = match arg {
        Some(b"c") => of_conn,
        Some(b"C") => of_conn.filter(|_| entry.subject.request.is_none()),
        _ => of_request,
    };
    out.extend_from_slice(id.map(LogId::text).unwrap_or_default());
}

fn time(entry: &Entry<'_>, arg: Option<&[u8]>, out: &mut Vec<u8>) {
    let has = |letter| arg.is_some_and(|arg| arg.contains(&letter));
    push_error_time(out, entry.wall, ErrorTime { micros: has(b'u'), compact: has(b'c') });
}

fn thread(_: &Entry<'_>, arg: Option<&[u8]>, out: &mut Vec<u8>) {
    match arg {
        Some(b"g") => push_u64(out, nix::unistd::gettid().as_raw().unsigned_abs().into()),
        _ => push_u64(out, thread_id()),
    }
}

fn server(entry: &Entry<'_>, _: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(live) = entry.subject.live else { return push_process_name(out) };
    let server = live.generation.servers.get(entry.subject.server);
    out.extend_from_slice(server.and_then(|server| server.rec.name.as_deref()).unwrap_or_default());
}

/// How `%V` finds the name that UseCanonicalName asks for; see [`set_canonical`].
static CANONICAL: OnceLock<fn(&Exchange) -> &[u8]> = OnceLock::new();

/// Tells this floor how the name of the server in a request is found, which only a floor above knows.
pub fn set_canonical(find: fn(&Exchange) -> &[u8]) {
    let _ = CANONICAL.set(find);
}

fn canonical(entry: &Entry<'_>, _: Option<&[u8]>, out: &mut Vec<u8>) {
    if let (Some(ex), Some(find)) = (entry.subject.request, CANONICAL.get()) {
        push_error_item(out, find(ex));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Level;
    use crate::logs::entry::Subject;

    fn line(format: &str, level: Level) -> String {
        let format = Format::parse(format.as_bytes()).expect("a valid format");
        let subject = Subject { live: None, server: 0, conn: None, request: None, remote: None };
        let mut out = Vec::new();
        // 2026-11-22 08:10:10.000005 UTC
        let wall = 1_795_335_010_000_005;
        format.push(
            &Entry {
                level,
                module: "core",
                errno: None,
                at: ("src/server/run.rs", 7),
                text: format_args!("AH1: a\nb"),
                subject,
                wall,
            },
            &mut out,
        );
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn fields_without_a_value_go_away_as_recorded() {
        // errorlog-groups, errorlog-groups2
        assert_eq!(
            line("<%m> [a %{Nope}i] {b %{Nope}i} c-%{Nope}i-c d% %{Nope}i% e [%{Referer}i] %M|end", Level::Warn),
            "<core> [a {b de AH1: a\\nb|end"
        );
        assert_eq!(line("%M [x %{Nope}i y] [z %{Referer}i w] tail", Level::Warn), "AH1: a\\nb [x y] [z w] tail");
        assert_eq!(line("[F%F] [E%-E] [%m:%l] %M% end", Level::Info), "[Frun.rs(7)] [E-] [core:info] AH1: a\\nbend");
        assert_eq!(line("%7l %M", Level::Info), " AH1: a\\nb");
        assert_eq!(line("%7l %M", Level::Debug), "debug AH1: a\\nb");
        assert_eq!(line("%+E %M", Level::Debug), "");
        assert_eq!(line("100%% \\t\\\\\\q %M", Level::Debug), "100% \t\\\\q AH1: a\\nb");
    }

    #[test]
    fn refusals_are_httpds() {
        let error = |text: &str| Format::main(text.as_bytes()).unwrap_err();
        assert_eq!(error("%l"), "main ErrorLogFormat must contain message format string '%M'");
        assert_eq!(error("%+l %M"), "The '+' flag cannot be used in the main error log format");
        assert_eq!(error("%M %q"), "Unrecognized error log format directive %q");
        assert_eq!(error("%M %{x"), "Ran off end of error log format parsing args to some directive");
        assert!(Format::once(b"%M").unwrap_err().starts_with("%M cannot be used in once-per-request or"));
    }
}
