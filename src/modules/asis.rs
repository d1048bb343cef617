//! `mod_asis.c`: files that bring their own fields.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::base::clock::{parse_http_date, push_http_date};
use crate::config::{Directive, ModuleRow};
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::rows::nothing;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, Table, Wire};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "asis_module",
        file: "mod_asis.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// The directives.
pub const DIRECTIVES: &[Directive] = &[];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(handle) }];

/// Bytes of such a file; they are small by nature.
const FILE_MAX: u64 = 16 << 20;

fn handle<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if ex.handler != b"send-as-is" && ex.handler != b"httpd/send-as-is" {
        return pipe::declined();
    }
    pipe::allow(ex, &[b"GET"]);
    if ex.method != b"GET" && ex.method != b"HEAD" {
        return pipe::declined();
    }
    Box::pin(async move {
        let text = match read(ex) {
            Ok(text) => text,
            Err(outcome) => return outcome,
        };
        let body = head(ex, &text);
        let local = ex.headers_out.get(b"Location").filter(|location| location.first() == Some(&b'/'));
        if let Some(location) = local.filter(|_| ex.status == 200 || (300..400).contains(&ex.status)) {
            ex.internal_redirect = location.to_vec();
            ex.status = 200;
            return Outcome::Redirect;
        }
        let body = if ex.header_only { b"" } else { text.get(body..).unwrap_or_default() };
        // A client that went away needs no end.
        let _ = pipe::text(ex, wire, body).await;
        Outcome::Done
    })
}

fn read(ex: &Exchange) -> Result<Vec<u8>, Outcome> {
    let name = Bytes(&ex.filename);
    if ex.finfo.is_none() {
        logs::error!(ex, Level::Info, "asis", "AH01233: File does not exist: {}", name);
        return Err(Outcome::Status(404));
    }
    let mut text = Vec::new();
    let file = File::open(Path::new(std::ffi::OsStr::from_bytes(&ex.filename)));
    match file.and_then(|file| file.take(FILE_MAX).read_to_end(&mut text)) {
        Ok(_) => Ok(text),
        Err(error) => {
            let errno = Errno::from(&error);
            logs::error!(ex, Level::Error, "asis", errno => "AH01234: file permissions deny server access: {}", name);
            Err(Outcome::Status(403))
        }
    }
}

/// Takes the fields at the start of the text; says where the body starts. What is wrong is logged and ends the file.
fn head(ex: &mut Exchange, text: &[u8]) -> usize {
    let mut at = 0;
    // These count only if the head is complete.
    let mut others = Table::default();
    let file =
        ex.filename.get(memchr::memrchr(b'/', &ex.filename).map_or(0, |at| at + 1)..).unwrap_or_default().to_vec();
    let name = Bytes(&file);
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else {
            if rest.is_empty() {
                logs::error!(ex, Level::Error, "asis", "End of script output before headers: {}", name);
            } else {
                logs::error!(ex, Level::Error, "asis", "malformed header from script '{}': Bad header: ", name);
            }
            return text.len();
        };
        at += end + 1;
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            ex.err_headers_out.extend(&others);
            return at;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            logs::error!(ex, Level::Error, "asis", "malformed header from script '{}': Bad header: ", name);
            return text.len();
        };
        let (field, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii_start();
        match field.to_ascii_lowercase().as_slice() {
            b"content-type" => ex.content_type = value.trim_ascii_end().to_vec(),
            b"status" => {
                let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
                let code = std::str::from_utf8(&value[..digits]).ok().and_then(|code| code.parse().ok()).unwrap_or(0);
                if !(100..600).contains(&code) {
                    logs::error!(
                        ex,
                        Level::Error,
                        "asis",
                        "Invalid status line from script '{}': {}",
                        name,
                        shown(value)
                    );
                }
                ex.status = code;
                ex.status_line = value.to_vec();
            }
            b"location" | b"content-length" | b"content-range" | b"transfer-encoding" | b"etag" => {
                ex.headers_out.set(field, value);
            }
            b"last-modified" => {
                if let Some(when) = parse_http_date(value) {
                    let mut date = Vec::with_capacity(29);
                    push_http_date(&mut date, when.saturating_mul(1_000_000).min(ex.started_micros));
                    ex.headers_out.set(b"Last-Modified", &date);
                }
            }
            b"set-cookie" => others.add(field, value),
            _ => others.merge(field, value),
        }
    }
}

/// The start of a line, as the log shows it.
fn shown(line: &[u8]) -> Bytes<'_> {
    Bytes(line.get(..30).unwrap_or(line))
}
