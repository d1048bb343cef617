//! What fields are given: text with `%` items, or an expression.

use std::sync::Arc;

use super::Work;
use crate::config::Cmd;
use crate::expr::Template;
use crate::logs::{self, Level};
use crate::pipe;
use crate::web::Exchange;

/// What a field is given.
pub(super) enum Value {
    /// `expr=…`.
    Template(Arc<Template>),
    /// Text with `%` items.
    Items(Vec<Item>),
}

/// A piece of a value.
pub(super) enum Item {
    Text(Vec<u8>),
    /// `%t`.
    Received,
    /// `%D`.
    Duration,
    /// `%l`.
    Load,
    /// `%i`.
    Idle,
    /// `%b`.
    Busy,
    /// `%{X}e`.
    Env(Vec<u8>),
    /// `%{X}s`.
    Ssl(Vec<u8>),
}

impl Value {
    /// As it is written.
    pub(super) fn read(cmd: &Cmd<'_>, text: &[u8]) -> Result<Self, String> {
        if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"expr=")) {
            let template = cmd.template(&text[5..]);
            return template.map(Self::Template).map_err(|why| format!("Can't parse value expression : {why}"));
        }
        let mut items = Vec::new();
        let mut rest = text;
        while let Some(at) = memchr::memchr(b'%', rest) {
            if at > 0 {
                items.push(Item::Text(rest[..at].to_vec()));
            }
            rest = &rest[at + 1..];
            let (item, used) = match rest {
                [] => (Item::Text(b"%".to_vec()), 0),
                [b'%', ..] => (Item::Text(b"%".to_vec()), 1),
                [b't', ..] => (Item::Received, 1),
                [b'D', ..] => (Item::Duration, 1),
                [b'l', ..] => (Item::Load, 1),
                [b'i', ..] => (Item::Idle, 1),
                [b'b', ..] => (Item::Busy, 1),
                [b'e', ..] => (Item::Env(Vec::new()), 1),
                [b's', ..] => (Item::Ssl(Vec::new()), 1),
                [b'{', inner @ ..] => {
                    let end = memchr::memchr(b'}', inner);
                    let kind = end.and_then(|end| inner.get(end + 1).copied());
                    let name = inner[..end.unwrap_or(0)].to_vec();
                    let used = end.unwrap_or(0) + 3;
                    match kind {
                        Some(b'e') => (Item::Env(name), used),
                        Some(b's') => (Item::Ssl(name), used),
                        // Which have no use for a name.
                        Some(b't') => (Item::Received, used),
                        Some(b'D') => (Item::Duration, used),
                        Some(b'l') => (Item::Load, used),
                        Some(b'i') => (Item::Idle, used),
                        Some(b'b') => (Item::Busy, used),
                        Some(other) => return Err(format!("Unrecognized header format %{}", char::from(other))),
                        None => return Err("Unrecognized header format %".to_owned()),
                    }
                }
                [other, ..] => return Err(format!("Unrecognized header format %{}", char::from(*other))),
            };
            items.push(item);
            rest = &rest[used..];
        }
        if !rest.is_empty() || items.is_empty() {
            items.push(Item::Text(rest.to_vec()));
        }
        Ok(Self::Items(items))
    }

    /// The value, if it is the same for all requests.
    pub(super) fn constant(&self) -> Option<Vec<u8>> {
        let Self::Items(items) = self else { return None };
        let mut out = Vec::new();
        for item in items {
            let Item::Text(text) = item else { return None };
            out.extend_from_slice(text);
        }
        Some(out)
    }

    /// The value for this request into `scratch.value`; empty when its expression cannot be evaluated.
    pub(super) fn push(&self, ex: &Exchange, scratch: &mut Work) {
        scratch.value.clear();
        let items = match self {
            Self::Items(items) => items,
            Self::Template(template) => {
                if let Err(error) = template.eval(ex, &mut scratch.expr, &mut scratch.value) {
                    logs::error!(ex, Level::Error, "headers", "AH02557: Can't evaluate value expression: {error}");
                    scratch.value.clear();
                }
                return;
            }
        };
        let out = &mut scratch.value;
        for item in items {
            match item {
                Item::Text(text) => out.extend_from_slice(text),
                Item::Received => {
                    out.extend_from_slice(b"t=");
                    logs::text::push_i64(out, ex.started_micros);
                }
                Item::Duration => {
                    out.extend_from_slice(b"D=");
                    let micros = ex.started.elapsed().as_micros();
                    logs::text::push_u64(out, u64::try_from(micros).unwrap_or(u64::MAX));
                }
                Item::Load => {
                    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
                    let mut words = text.split(' ').chain(std::iter::repeat("0.00"));
                    let mut next = || words.next().unwrap_or("0.00").to_owned();
                    out.extend_from_slice(format!("l={}/{}/{}", next(), next(), next()).as_bytes());
                }
                // A worker thread serves many connections: it is never what is short.
                Item::Idle => out.extend_from_slice(b"i=100"),
                Item::Busy => out.extend_from_slice(b"b=0"),
                Item::Env(name) => out.extend_from_slice(ex.env.get(name).unwrap_or(b"(null)")),
                Item::Ssl(name) => {
                    let from = out.len();
                    if pipe::ssl_var(ex, name, out) {
                        // A certificate has lines, a field has none.
                        out.iter_mut().skip(from).filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
                    } else {
                        out.extend_from_slice(b"(null)");
                    }
                }
            }
        }
    }
}
