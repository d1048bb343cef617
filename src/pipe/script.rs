//! The head that a script (or a file sent as it is) puts in front of its body.

use super::conditions::meets_conditions;
use crate::base::clock::{parse_http_date, push_http_date};
use crate::logs::{self, Bytes, Level};
use crate::web::{Exchange, Table};

/// The longest line that is read as one.
const LINE_MAX: usize = 8191;

/// So much head is read, no more.
const HEAD_MAX: usize = 1 << 20;

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// More bytes are needed.
    More,
    /// It is complete; the body starts at this place of the bytes. With a status if that is the answer (304, 412).
    Done(usize, Option<u16>),
    /// The line that ends here is malformed: 500.
    Bad,
}

/// Reads such a head in pieces.
#[derive(Default)]
pub struct Reader {
    /// Fields that count once the head is complete.
    others: Table,
    cookies: Table,
    /// The script chose its status.
    status: bool,
    /// Bytes read before those at hand.
    read: usize,
    any: bool,
}

impl Reader {
    /// Takes all complete lines of `bytes` from `at` on, which it moves; entries of the log are `module`'s.
    pub fn read(&mut self, ex: &mut Exchange, module: &'static str, bytes: &[u8], at: &mut usize) -> Head {
        loop {
            let rest = bytes.get(*at..).unwrap_or_default();
            let end = memchr::memchr(b'\n', rest.get(..LINE_MAX).unwrap_or(rest));
            let (line, length) = match end {
                Some(end) => (rest.get(..end).unwrap_or_default(), end + 1),
                None if rest.len() >= LINE_MAX => (rest.get(..LINE_MAX).unwrap_or_default(), LINE_MAX),
                None => return Head::More,
            };
            *at += length;
            self.read += length;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                return Head::Done(*at, self.complete(ex));
            }
            self.any = true;
            if self.read > HEAD_MAX || !self.field(ex, module, line) {
                return Head::Bad;
            }
        }
    }

    /// The bytes have ended before the head did.
    pub fn ended(&self, ex: &Exchange, module: &'static str, rest: &[u8]) {
        let text = match self.any || !rest.is_empty() {
            true => "Premature end of script headers:",
            false => "End of script output before headers:",
        };
        logs::error!(ex, Level::Error, module, "{} {}", text, Bytes(&file_name(ex)));
    }

    fn complete(&mut self, ex: &mut Exchange) -> Option<u16> {
        let asked = !self.status && (ex.method == b"GET" || ex.method == b"HEAD");
        let status = if asked { meets_conditions(ex) } else { None };
        for (name, value) in self.others.iter() {
            ex.err_headers_out.merge(name, value);
        }
        ex.err_headers_out.extend(&self.cookies);
        status
    }

    fn field(&mut self, ex: &mut Exchange, module: &'static str, line: &[u8]) -> bool {
        let Some(colon) = memchr::memchr(b':', line) else { return false };
        let (field, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii_start();
        match field.to_ascii_lowercase().as_slice() {
            b"content-type" => {
                ex.content_type = value.trim_ascii_end().to_vec();
                let end = memchr::memchr(b';', &ex.content_type).unwrap_or(ex.content_type.len());
                if let Some(media) = ex.content_type.get_mut(..end) {
                    media.make_ascii_lowercase();
                }
            }
            b"status" => self.set_status(ex, module, value),
            b"location" | b"content-length" | b"content-range" | b"transfer-encoding" | b"etag" => {
                ex.headers_out.set(field, value);
            }
            b"last-modified" => match parse_http_date(value) {
                Some(when) => {
                    let mut date = Vec::with_capacity(29);
                    push_http_date(&mut date, when.saturating_mul(1_000_000).min(ex.started_micros));
                    ex.headers_out.set(b"Last-Modified", &date);
                }
                None => {
                    let text = "AH10247: Ignored invalid header value: Last-Modified:";
                    logs::error!(ex, Level::Info, module, "{} '{}'", text, Bytes(value));
                }
            },
            b"set-cookie" => self.cookies.add(field, value),
            _ => self.others.add(field, value),
        }
        true
    }

    fn set_status(&mut self, ex: &mut Exchange, module: &'static str, value: &[u8]) {
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = value.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if !(100..600).contains(&code) {
            let text = "Invalid status line from script";
            logs::error!(ex, Level::Error, module, "{} '{}': {}", text, Bytes(&file_name(ex)), shown(value));
        }
        self.status = true;
        ex.status = code;
        ex.status_line = value.to_vec();
    }
}

/// Logs a line that is no field.
pub fn malformed(ex: &Exchange, module: &'static str, line: &[u8]) {
    let (text, name) = ("malformed header from script", file_name(ex));
    logs::error!(ex, Level::Error, module, "{} '{}': Bad header: {}", text, Bytes(&name), shown(line));
}

/// The last part of the file's name.
fn file_name(ex: &Exchange) -> Vec<u8> {
    let start = memchr::memrchr(b'/', &ex.filename).map_or(0, |at| at + 1);
    ex.filename.get(start..).unwrap_or_default().to_vec()
}

/// The start of a line, as the log shows it.
fn shown(line: &[u8]) -> Bytes<'_> {
    Bytes(line.get(..30).unwrap_or(line))
}
