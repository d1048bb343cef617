//! What filters that compress have in common: who accepts a coding, and what the head then says.

use std::sync::Arc;

use crate::web::{Exchange, Table};

/// What becomes of `ETag`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum EtagChange {
    /// `-gzip` and the like is put in.
    #[default]
    AddSuffix,
    /// It stays.
    NoChange,
    /// It goes.
    Remove,
}

impl EtagChange {
    /// The word of a directive, in any case.
    pub(super) fn parse(word: &[u8]) -> Option<Self> {
        match word.to_ascii_lowercase().as_slice() {
            b"addsuffix" => Some(Self::AddSuffix),
            b"nochange" => Some(Self::NoChange),
            b"remove" => Some(Self::Remove),
            _ => None,
        }
    }
}

/// The codings that the response has already, joined; empty: none.
pub(super) fn encoding_of(ex: &Exchange) -> Vec<u8> {
    let mut all = Vec::new();
    let said = [ex.headers_out.get(b"Content-Encoding"), ex.err_headers_out.get(b"Content-Encoding")];
    let own = Some(ex.content_encoding.as_slice()).filter(|own| !own.is_empty());
    for part in said.into_iter().chain([own]).flatten() {
        if !all.is_empty() {
            all.push(b',');
        }
        all.extend_from_slice(part);
    }
    all
}

/// Whether any of these codings changes the bytes.
pub(super) fn is_encoded(encoding: &[u8]) -> bool {
    let mut tokens = encoding.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty());
    tokens.any(|token| !matches!(token, b"identity" | b"7bit" | b"8bit" | b"binary"))
}

/// Whether the client takes this coding, as httpd reads `Accept-Encoding`: by name, and not with `q=0`.
pub(super) fn accepts(ex: &Exchange, coding: &[u8]) -> bool {
    let Some(value) = ex.headers_in.get(b"Accept-Encoding") else { return false };
    let mut parts =
        value.split(|byte| *byte == b',').map(|part| part.split(|byte| *byte == b';').map(<[u8]>::trim_ascii));
    let found =
        parts.find_map(|mut words| words.next().filter(|name| name.eq_ignore_ascii_case(coding)).map(|_| words));
    let Some(mut words) = found else { return false };
    let q = words.next().unwrap_or_default();
    !(q.len() >= 3 && b"q=0.000".starts_with(q))
}

/// Makes the head say that the body has this coding.
pub(super) fn encode_fields(ex: &mut Exchange, coding: &[u8], before: &[u8], etag: EtagChange) {
    if before.is_empty() || before.eq_ignore_ascii_case(b"identity") {
        ex.headers_out.set(b"Content-Encoding", coding);
    } else {
        ex.headers_out.merge(b"Content-Encoding", coding);
    }
    if !ex.content_encoding.is_empty() {
        ex.content_encoding = ex.headers_out.get(b"Content-Encoding").unwrap_or_default().to_vec();
    }
    ex.headers_out.unset(b"Content-Length");
    ex.headers_out.unset(b"Content-MD5");
    alter_etag(ex, coding, etag);
}

/// Changes `ETag`: another representation must not look like this one.
pub(super) fn alter_etag(ex: &mut Exchange, suffix: &[u8], change: EtagChange) {
    match change {
        EtagChange::NoChange => {}
        EtagChange::Remove => {
            ex.headers_out.unset(b"ETag");
        }
        EtagChange::AddSuffix => {
            if let Some([tag @ .., b'"']) = ex.headers_out.get(b"ETag").filter(|tag| tag.len() > 2) {
                let tag = [tag, b"-", suffix, b"\""].concat();
                ex.headers_out.set(b"ETag", &tag);
            }
        }
    }
}

/// What is left of a list of codings behind a gzip coding that was put on last, if it was.
fn behind_gzip(value: &[u8]) -> Option<Vec<u8>> {
    let comma = memchr::memrchr(b',', value);
    let last = value.get(comma.map_or(0, |comma| comma + 1)..).unwrap_or_default().trim_ascii();
    let gzip = last.eq_ignore_ascii_case(b"gzip") || last.eq_ignore_ascii_case(b"x-gzip");
    gzip.then(|| value.get(..comma.unwrap_or(0)).unwrap_or_default().to_vec())
}

/// Whether these fields say that gzip was put on last.
pub(super) fn is_gzip_last(table: &Table) -> bool {
    table.get(b"Content-Encoding").and_then(behind_gzip).is_some()
}

/// Takes a gzip coding that was put on last off these fields; whether there was one.
pub(super) fn strip_gzip(table: &mut Table) -> bool {
    let Some(rest) = table.get(b"Content-Encoding").and_then(behind_gzip) else { return false };
    match rest.is_empty() {
        true => {
            table.unset(b"Content-Encoding");
        }
        false => table.set(b"Content-Encoding", &rest),
    }
    true
}

/// Takes a gzip coding that was put on last off the response's fields; whether there was one.
pub(super) fn take_gzip(ex: &mut Exchange) -> bool {
    if strip_gzip(&mut ex.headers_out) || strip_gzip(&mut ex.err_headers_out) {
        return true;
    }
    match behind_gzip(&ex.content_encoding) {
        Some(rest) if !ex.content_encoding.is_empty() => {
            ex.content_encoding = rest;
            true
        }
        _ => false,
    }
}

/// Notes what a compression came to: ratio in percent, input, output.
pub(super) fn note(notes: &mut Table, names: &[Option<Arc<[u8]>>; 3], input: u64, output: u64) {
    let ratio = (output * 100).checked_div(input).map_or_else(|| "-".to_owned(), |ratio| ratio.to_string());
    for (name, value) in names.iter().zip([ratio, input.to_string(), output.to_string()]) {
        if let Some(name) = name {
            notes.set(name, value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::testing;

    #[test]
    fn clients_say_what_they_take() {
        let live = testing::live(vec![crate::config::Server::default()], &[]);
        let mut ex = testing::exchange(&live, "GET / HTTP/1.1\r\n\r\n");
        for (value, want) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("gzip;q=0.001", true),
            ("x-gzip", false),
            ("*", false),
            ("br, gzip", true),
            ("", false),
        ] {
            ex.headers_in.set(b"Accept-Encoding", value.as_bytes());
            assert_eq!(accepts(&ex, b"gzip"), want, "{value}");
        }
        assert!(is_encoded(b"identity, br") && !is_encoded(b"identity,8bit") && !is_encoded(b""));
    }
}
