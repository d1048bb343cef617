//! What is said to servers that keep objects for others: memcached's text protocol and Redis's, as far as httpd's
//! shared object caches use them. Requests out, replies in.

use std::ops::Range;

/// The longest object that is taken, in bytes.
pub const OBJECT_MAX: usize = 16 << 20;

/// The longest line of a reply, in bytes.
const LINE_MAX: usize = 2048;

/// Whose protocol it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// memcached.
    Memcache,
    /// Redis.
    Redis,
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The object, by its place in what came.
    Found(Range<usize>),
    /// There is none of this key.
    Missing,
    /// It is done.
    Done,
    /// It is not done.
    Refused,
}

/// What came is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no reply of a cache")]
pub struct Bad;

impl Dialect {
    /// Asks for an object. Keys have no blanks and no control characters.
    pub fn push_get(self, key: &str, out: &mut Vec<u8>) {
        match self {
            Self::Memcache => out.extend_from_slice(format!("get {key}\r\n").as_bytes()),
            Self::Redis => push_command(&[b"GET", key.as_bytes()], out),
        }
    }

    /// Has an object kept for so many seconds.
    pub fn push_set(self, key: &str, object: &[u8], seconds: i64, out: &mut Vec<u8>) {
        match self {
            Self::Memcache => {
                out.extend_from_slice(format!("set {key} 0 {seconds} {}\r\n", object.len()).as_bytes());
                out.extend_from_slice(object);
                out.extend_from_slice(b"\r\n");
            }
            Self::Redis => {
                push_command(&[b"SETEX", key.as_bytes(), seconds.to_string().as_bytes(), object], out);
            }
        }
    }

    /// Has an object forgotten.
    pub fn push_delete(self, key: &str, out: &mut Vec<u8>) {
        match self {
            Self::Memcache => out.extend_from_slice(format!("delete {key}\r\n").as_bytes()),
            Self::Redis => push_command(&[b"DEL", key.as_bytes()], out),
        }
    }

    /// The reply to one request and how long it is; `None`: more must come.
    ///
    /// # Errors
    /// It is none, or longer than an object may be.
    pub fn reply(self, input: &[u8]) -> Result<Option<(Reply, usize)>, Bad> {
        let Some(end) = memchr::memmem::find(input.get(..LINE_MAX).unwrap_or(input), b"\r\n") else {
            return if input.len() < LINE_MAX { Ok(None) } else { Err(Bad) };
        };
        let (line, body) = (input.get(..end).unwrap_or_default(), end + 2);
        match self {
            Self::Memcache => memcache(line, body, input),
            Self::Redis => redis(line, body, input),
        }
    }
}

/// An array of texts.
fn push_command(words: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn length(digits: &[u8]) -> Result<usize, Bad> {
    let length: usize = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Bad)?;
    if length > OBJECT_MAX { Err(Bad) } else { Ok(length) }
}

/// An object of `length` bytes from `start` on, with `after` behind it.
fn object(input: &[u8], start: usize, length: usize, after: &[u8]) -> Result<Option<(Reply, usize)>, Bad> {
    let end = start + length;
    match input.get(end..end + after.len()) {
        None => Ok(None),
        Some(found) if found == after => Ok(Some((Reply::Found(start..end), end + after.len()))),
        Some(_) => Err(Bad),
    }
}

fn memcache(line: &[u8], body: usize, input: &[u8]) -> Result<Option<(Reply, usize)>, Bad> {
    let reply = match line {
        b"END" | b"NOT_FOUND" => Reply::Missing,
        b"STORED" | b"DELETED" => Reply::Done,
        b"NOT_STORED" | b"ERROR" | b"EXISTS" => Reply::Refused,
        _ if line.starts_with(b"SERVER_ERROR") || line.starts_with(b"CLIENT_ERROR") => Reply::Refused,
        _ => {
            let fields = line.strip_prefix(b"VALUE ").ok_or(Bad)?;
            let digits = fields.split(|byte| *byte == b' ').nth(2).ok_or(Bad)?;
            return object(input, body, length(digits)?, b"\r\nEND\r\n");
        }
    };
    Ok(Some((reply, body)))
}

fn redis(line: &[u8], body: usize, input: &[u8]) -> Result<Option<(Reply, usize)>, Bad> {
    let reply = match line {
        b"$-1" | b"_" | b":0" => Reply::Missing,
        [b'+' | b':', ..] => Reply::Done,
        [b'-', ..] => Reply::Refused,
        [b'$', digits @ ..] => return object(input, body, length(digits)?, b"\r\n"),
        _ => return Err(Bad),
    };
    Ok(Some((reply, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(dialect: Dialect, ask: impl Fn(Dialect, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        ask(dialect, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn requests_are_those_of_httpd() {
        let set = |dialect: Dialect, out: &mut Vec<u8>| dialect.push_set("a:61", b"xyz", 299, out);
        assert_eq!(said(Dialect::Memcache, set), "set a:61 0 299 3\r\nxyz\r\n");
        let redis = "*4\r\n$5\r\nSETEX\r\n$4\r\na:61\r\n$3\r\n299\r\n$3\r\nxyz\r\n";
        assert_eq!(said(Dialect::Redis, set), redis);
        assert_eq!(said(Dialect::Memcache, |dialect, out| dialect.push_get("k", out)), "get k\r\n");
        assert_eq!(
            said(Dialect::Redis, |dialect, out| dialect.push_delete("k", out)),
            "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n"
        );
    }

    #[test]
    fn replies_come_in_pieces() {
        for (dialect, whole, reply) in [
            (Dialect::Memcache, &b"VALUE k 0 3\r\na\r\n\r\nEND\r\n"[..], Reply::Found(13..16)),
            (Dialect::Redis, b"$3\r\na\r\n\r\n", Reply::Found(4..7)),
            (Dialect::Memcache, b"END\r\n", Reply::Missing),
            (Dialect::Redis, b"$-1\r\n", Reply::Missing),
            (Dialect::Redis, b"+OK\r\n", Reply::Done),
            (Dialect::Memcache, b"SERVER_ERROR out of memory\r\n", Reply::Refused),
        ] {
            for end in 0..whole.len() {
                assert_eq!(dialect.reply(&whole[..end]), Ok(None), "{end} of {whole:?}");
            }
            assert_eq!(dialect.reply(whole), Ok(Some((reply, whole.len()))));
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bad in [
            &b"HTTP/1.1 400\r\n"[..],
            b"VALUE k 0\r\n",
            b"VALUE k 0 x\r\n",
            b"VALUE k 0 99999999999\r\n",
            &[b'x'; 3000],
        ] {
            assert_eq!(Dialect::Memcache.reply(bad), Err(Bad));
        }
        assert_eq!(Dialect::Memcache.reply(b"VALUE k 0 1\r\nab\r\nEND\r\n"), Err(Bad));
        assert_eq!(Dialect::Redis.reply(b"$-2\r\n"), Err(Bad));
        assert_eq!(Dialect::Redis.reply(b"*1\r\n"), Err(Bad));
    }
}
