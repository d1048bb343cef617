//! The head that a script answers with (RFC 3875, section 6).

use crate::logs::{self, Bytes, Level};
use crate::pipe::conditions;
use crate::web::{Exchange, Table};

/// The longest line.
const LINE_MAX: usize = 8190;

/// What became of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// It is not all here yet.
    Partial,
    /// The exchange has it; so many bytes of input are used, and this is the status where the request's conditions
    /// decide it.
    Done(usize, Option<u16>),
    /// It is none; logged.
    Bad,
}

/// Takes the head at the front of `input` into the response. `ended` says that nothing more comes.
pub(super) fn read(ex: &mut Exchange, module: &'static str, input: &[u8], ended: bool) -> Read {
    let Some(len) = length(input) else {
        let line = input.len() - memchr::memrchr(b'\n', input).map_or(0, |end| end + 1);
        if !ended && line <= LINE_MAX {
            return Read::Partial;
        }
        return premature(ex, module, input);
    };
    let Some(head) = input.get(..len) else { return Read::Bad };
    if head.split(|byte| *byte == b'\n').any(|line| line.len() > LINE_MAX) {
        return premature(ex, module, input);
    }
    ex.headers_out.clear();
    ex.content_type.clear();
    ex.status = 200;
    ex.status_line.clear();
    let mut found = Head::default();
    for line in head.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if !found.line(ex, module, line) {
            return Read::Bad;
        }
    }
    let Head { status, merge, cookies } = found;
    for (name, value) in merge.iter() {
        ex.err_headers_out.merge(name, value);
    }
    cookies.iter().for_each(|(name, value)| ex.err_headers_out.add(name, value));
    let decided =
        if !status && matches!(&*ex.method, b"GET" | b"HEAD") { conditions::meets_conditions(ex) } else { None };
    Read::Done(len, decided)
}

/// Up to and with the empty line.
fn length(input: &[u8]) -> Option<usize> {
    let mut start = 0;
    loop {
        let end = start + memchr::memchr(b'\n', input.get(start..)?)?;
        if matches!(input.get(start..end), Some(b"" | b"\r")) {
            return Some(end + 1);
        }
        start = end + 1;
    }
}

/// The script's name as messages show it.
fn script(ex: &Exchange) -> Bytes<'_> {
    let at = memchr::memrchr(b'/', &ex.filename).map_or(0, |slash| slash + 1);
    Bytes(ex.filename.get(at..).unwrap_or_default())
}

fn premature(ex: &Exchange, module: &'static str, input: &[u8]) -> Read {
    let name = script(ex);
    let any = memchr::memchr(b'\n', input).is_some_and(|end| end < LINE_MAX);
    let text = if any { "Premature end of script headers" } else { "End of script output before headers" };
    logs::error!(ex, Level::Error, module, "{text}: {name}");
    Read::Bad
}

/// The fields on their way to where they belong.
#[derive(Default)]
struct Head {
    /// The script said a status.
    status: bool,
    merge: Table,
    cookies: Table,
}

impl Head {
    /// Takes a line; whether it is one.
    fn line(&mut self, ex: &mut Exchange, module: &'static str, line: &[u8]) -> bool {
        let Some(colon) = memchr::memchr(b':', line) else {
            // httpd has cut the line away by then.
            let name = script(ex);
            logs::error!(ex, Level::Error, module, "malformed header from script '{name}': Bad header: ");
            return false;
        };
        let (name, value) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
        let value = value.trim_ascii_start();
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        if is(b"Content-Type") {
            ex.content_type.clear();
            ex.content_type.extend_from_slice(value.trim_ascii_end());
        } else if is(b"Status") {
            self.status(ex, module, value);
        } else if is(b"Set-Cookie") {
            self.cookies.add(name, value);
        } else if [
            &b"Location"[..],
            b"Content-Length",
            b"Content-Range",
            b"Transfer-Encoding",
            b"ETag",
            b"Last-Modified",
        ]
        .iter()
        .any(|known| is(known))
        {
            ex.headers_out.set(name, value);
        } else {
            self.merge.add(name, value);
        }
        true
    }

    fn status(&mut self, ex: &mut Exchange, module: &'static str, value: &[u8]) {
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let code = std::str::from_utf8(value.get(..digits).unwrap_or_default()).ok();
        self.status = true;
        ex.status_line.clear();
        match code.and_then(|code| code.parse().ok()).filter(|code| (100..600).contains(code)) {
            Some(code) => {
                ex.status = code;
                if digits == 3 && value.len() > 4 {
                    ex.status_line.extend_from_slice(value);
                }
            }
            None => {
                let (name, start) = (script(ex), Bytes(value.get(..30).unwrap_or(value)));
                logs::error!(ex, Level::Error, module, "Invalid status line from script '{name}': {start}");
                ex.status = 500;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for (input, len) in [
            ("A: b\r\n\r\nx", Some(8)),
            ("A: b\n\nx", Some(6)),
            ("\n", Some(1)),
            ("A: b\r\n", None),
            ("A\r\n\r", None),
            ("", None),
        ] {
            assert_eq!(length(input.as_bytes()), len, "{input:?}");
        }
    }
}
