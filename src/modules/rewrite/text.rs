//! Texts with `$1`, `%1`, `%{NAME}` and `${map:key|default}` in them, taken apart when the configuration is read.

use crate::config::Slots;
use crate::config::core::CoreDir;
use crate::expr::{Source, Vars as _, variable};
use crate::web::Exchange;

/// One piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// As it stands.
    Text(Vec<u8>),
    /// `$n`: group of the rule's pattern.
    Rule(u8),
    /// `%n`: group of the last condition that matched.
    Cond(u8),
    /// `%{NAME}`.
    Var(Var),
    /// `${map:key|default}`.
    Map { map: Vec<u8>, key: Vec<Self>, default: Vec<Self> },
}

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Var {
    /// One that expressions know, too.
    Common(crate::expr::Var),
    /// A request field; asking counts for Vary.
    Field(Vec<u8>),
    /// `ENV:`.
    Env(Vec<u8>),
    /// `SSL:`.
    Ssl(Vec<u8>),
    /// `REQUEST_FILENAME` and `SCRIPT_FILENAME`: the URL path as long as no file is known.
    Filename,
    /// `SERVER_ADDR`.
    ServerAddr,
    /// `API_VERSION`: here it has both of its parts.
    ApiVersion,
    /// `SCRIPT_USER` and `SCRIPT_GROUP`.
    Owner(crate::expr::Var),
    /// `LA-U:`: as it will be once the URL has been mapped.
    AheadUrl(Box<Self>),
    /// `LA-F:`: as it would be for the file.
    AheadFile(Box<Self>),
    /// Anything else is empty.
    Unknown,
}

impl Var {
    fn parse(name: &[u8]) -> Self {
        let after = |prefix: &str| {
            let (start, rest) = name.split_at_checked(prefix.len())?;
            start.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
        };
        if let Some(rest) = after("ENV:") {
            return Self::Env(rest.to_vec());
        }
        if let Some(rest) = after("HTTP:") {
            return Self::Field(rest.to_vec());
        }
        if let Some(rest) = after("SSL:") {
            return Self::Ssl(rest.to_vec());
        }
        // Looking ahead out of a look-ahead leads nowhere.
        let inner = |rest: &[u8]| match Self::parse(rest) {
            Self::AheadUrl(_) | Self::AheadFile(_) => Self::Unknown,
            var => var,
        };
        if let Some(rest) = after("LA-U:") {
            return Self::AheadUrl(Box::new(inner(rest)));
        }
        if let Some(rest) = after("LA-F:") {
            return Self::AheadFile(Box::new(inner(rest)));
        }
        match name {
            b"REQUEST_FILENAME" | b"SCRIPT_FILENAME" => return Self::Filename,
            b"SERVER_ADDR" => return Self::ServerAddr,
            b"API_VERSION" => return Self::ApiVersion,
            b"SCRIPT_USER" => return Self::Owner(crate::expr::Var::ScriptUser),
            b"SCRIPT_GROUP" => return Self::Owner(crate::expr::Var::ScriptGroup),
            // Names of expressions only.
            b"HANDLER" | b"CONTENT_TYPE" | b"REQUEST_STATUS" | b"LAST_MODIFIED" | b"HTTP2" | b"DOCUMENT_URI" => {
                return Self::Unknown;
            }
            _ => {}
        }
        if name.iter().any(u8::is_ascii_lowercase) {
            return Self::Unknown;
        }
        match variable(name) {
            Some(Source::Var(var)) => Self::Common(var),
            Some(Source::Header(field)) => Self::Field(field.to_vec()),
            None => Self::Unknown,
        }
    }

    /// The value of one that is kept as it stands, if it is there; the others are made when they are asked for.
    pub(super) fn kept<'a>(&self, ex: &'a Exchange) -> Option<&'a [u8]> {
        match self {
            Self::Common(crate::expr::Var::RequestUri) => Some(&ex.uri),
            Self::Common(crate::expr::Var::RequestMethod) => Some(&ex.method),
            Self::Common(crate::expr::Var::QueryString) => Some(ex.args.as_deref().unwrap_or_default()),
            Self::Common(crate::expr::Var::TheRequest) => Some(&ex.the_request),
            Self::Common(crate::expr::Var::RemoteAddr) => Some(&ex.client_ip),
            Self::Field(name) => Some(ex.headers_in.get(name).unwrap_or_default()),
            Self::Filename => Some(if ex.filename.is_empty() { &ex.uri } else { &ex.filename }),
            _ => None,
        }
    }

    /// Adds the name of a request field that is there.
    pub(super) fn note_vary(&self, ex: &Exchange, vary: &mut Vec<u8>) {
        if let Self::Field(name) = self
            && !name.eq_ignore_ascii_case(b"Host")
            && ex.headers_in.contains(name)
        {
            if !vary.is_empty() {
                vary.extend_from_slice(b", ");
            }
            vary.extend_from_slice(name);
        }
    }

    /// Appends the value; `vary` gets the name of a request field that was there.
    pub(super) fn push(&self, ex: &Exchange, vary: &mut Vec<u8>, out: &mut Vec<u8>) {
        match self {
            Self::Common(var) => ex.var(*var, out),
            Self::Field(name) => {
                out.extend_from_slice(ex.headers_in.get(name).unwrap_or_default());
                self.note_vary(ex, vary);
            }
            Self::Env(name) => out.extend_from_slice(ex.env.get(name).or_else(|| ex.notes.get(name)).unwrap_or(b"")),
            Self::Ssl(name) => {
                crate::pipe::ssl_var(ex, name, out);
            }
            Self::Unknown | Self::AheadUrl(_) | Self::AheadFile(_) => {}
            Self::Filename => {
                out.extend_from_slice(if ex.filename.is_empty() { &ex.uri } else { &ex.filename });
            }
            Self::ServerAddr => out.extend_from_slice(&ex.conn.local_ip),
            Self::ApiVersion => out.extend_from_slice(b"20120211:142"),
            Self::Owner(which) => {
                let before = out.len();
                ex.var(*which, out);
                if out.len() == before {
                    out.extend_from_slice(b"<unknown>");
                }
            }
        }
    }
}

/// Takes a text apart.
pub(super) fn compile(text: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        let special = match (*byte, after) {
            (b'\\', [literal, after @ ..]) => {
                plain.push(*literal);
                rest = after;
                continue;
            }
            (b'$' | b'%', [digit @ b'0'..=b'9', after @ ..]) => {
                rest = after;
                let group = digit - b'0';
                Some(if *byte == b'$' { Part::Rule(group) } else { Part::Cond(group) })
            }
            (b'$' | b'%', [b'{', inner @ ..]) => closing(inner).and_then(|end| {
                let whole = &inner[..end];
                let part = if *byte == b'%' { Part::Var(Var::parse(whole)) } else { map(whole)? };
                rest = &inner[end + 1..];
                Some(part)
            }),
            _ => None,
        };
        match special {
            Some(part) => {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(part);
            }
            None => {
                plain.push(*byte);
                rest = after;
            }
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    parts
}

/// Where the brace that is open ends.
fn closing(text: &[u8]) -> Option<usize> {
    let mut depth = 1;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if text.get(at + 1).is_some() => at += 1,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Without a colon it is no question to a map, and stands as it is.
fn map(inner: &[u8]) -> Option<Part> {
    let colon = memchr::memchr(b':', inner)?;
    let (name, rest) = (&inner[..colon], &inner[colon + 1..]);
    let (mut depth, mut bar) = (0, None);
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b'|' if depth == 0 => {
                bar = Some(at);
                break;
            }
            _ => {}
        }
    }
    let (key, default) = bar.map_or((rest, &b""[..]), |bar| (&rest[..bar], &rest[bar + 1..]));
    Some(Part::Map { map: name.to_vec(), key: compile(key), default: compile(default) })
}

/// Whether anything in it must be waited for: look-ahead, or one of `programs`.
pub(super) fn waits(parts: &[Part], programs: &dyn Fn(&[u8]) -> bool) -> bool {
    parts.iter().any(|part| match part {
        Part::Var(Var::AheadUrl(_) | Var::AheadFile(_)) => true,
        Part::Map { map, key, default } => programs(map) || waits(key, programs) || waits(default, programs),
        _ => false,
    })
}

/// Whether it begins with something that the client may have chosen, a slash in front or not.
pub(super) fn begins_variable(parts: &[Part]) -> bool {
    match parts {
        [Part::Text(text), next, ..] if text == b"/" => !matches!(next, Part::Text(_)),
        [first, ..] => !matches!(first, Part::Text(_)),
        [] => false,
    }
}

/// Whether DocumentRoot and the like may follow links here.
pub(super) fn follows_links(dir: &Slots) -> bool {
    use crate::config::core::options::{FOLLOW_SYM_LINKS, SYM_LINKS_IF_OWNER};
    let options = dir.get::<CoreDir>().map(|core| core.options).unwrap_or_default();
    options.bits & (FOLLOW_SYM_LINKS | SYM_LINKS_IF_OWNER) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn texts_are_taken_apart() {
        assert_eq!(compile(b"/z$1%2\\$1\\%1x"), [text("/z"), Part::Rule(1), Part::Cond(2), text("$1%1x")]);
        assert_eq!(compile(b"a$b%"), [text("a$b%")]);
        assert_eq!(compile(b"%{ENV:A}"), [Part::Var(Var::Env(b"A".to_vec()))]);
        assert_eq!(compile(b"%{http_host}%{NOPE}"), [Part::Var(Var::Unknown), Part::Var(Var::Unknown)]);
        assert_eq!(compile(b"%{HTTP_HOST}"), [Part::Var(Var::Field(b"Host".to_vec()))]);
        assert_eq!(
            compile(b"${m:%{ENV:A}|x$1}y"),
            [
                Part::Map {
                    map: b"m".to_vec(),
                    key: vec![Part::Var(Var::Env(b"A".to_vec()))],
                    default: vec![text("x"), Part::Rule(1)],
                },
                text("y"),
            ]
        );
        assert_eq!(compile(b"%{open"), [text("%{open")]);
    }
}
