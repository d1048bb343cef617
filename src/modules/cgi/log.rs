//! `ScriptLog`: what is wrong with scripts, with the requests that they got.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::ScriptLog;
use crate::base::clock::{Clock as _, SystemClock, push_strftime};
use crate::web::{Exchange, Table};

/// Bytes of a request's body that are kept for the log; `None` where there is none.
pub(super) fn kept(ex: &Exchange) -> Option<usize> {
    let conf = ex.server().get::<ScriptLog>().filter(|conf| conf.file.is_some())?;
    Some(conf.buffer.unwrap_or(1024))
}

/// A script that could not be run, or something that it said.
pub(super) fn error(ex: &Exchange, status: u16, text: &[u8]) {
    let Some(mut out) = begin(ex, status) else { return };
    out.extend_from_slice(b"%error\n");
    out.extend_from_slice(text);
    out.push(b'\n');
    write(ex, &out);
}

/// A script whose head is wrong: the request, and what it wrote.
pub(super) fn output(ex: &Exchange, status: u16, body: &[u8], line: &[u8], rest: &[u8]) {
    let Some(mut out) = begin(ex, status) else { return };
    out.extend_from_slice(b"%request\n");
    push_fields(&ex.headers_in, &mut out);
    if matches!(ex.method.as_slice(), b"POST" | b"PUT") && !body.is_empty() {
        out.push(b'\n');
        out.extend_from_slice(body);
        out.push(b'\n');
    }
    out.extend_from_slice(b"%response\n");
    push_fields(&ex.err_headers_out, &mut out);
    if !line.is_empty() {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    if !rest.is_empty() {
        out.extend_from_slice(b"%stdout\n");
        out.extend_from_slice(rest);
        out.push(b'\n');
    }
    write(ex, &out);
}

fn push_fields(fields: &Table, out: &mut Vec<u8>) {
    for (name, value) in fields.iter() {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.push(b'\n');
    }
}

/// The two lines that each entry starts with, if there is a log that has room.
fn begin(ex: &Exchange, status: u16) -> Option<Vec<u8>> {
    let conf = ex.server().get::<ScriptLog>()?;
    let file = conf.file.as_deref()?;
    let length = std::fs::metadata(std::ffi::OsStr::from_bytes(file)).map_or(0, |found| found.len());
    if length > conf.length.unwrap_or(10_385_760) {
        return None;
    }
    let mut out = b"%% [".to_vec();
    push_strftime(&mut out, b"%a %b %d %H:%M:%S %Y", SystemClock.wall());
    out.extend_from_slice(b"] ");
    out.extend_from_slice(&ex.method);
    out.push(b' ');
    out.extend_from_slice(&ex.uri);
    if let Some(args) = &ex.args {
        out.push(b'?');
        out.extend_from_slice(args);
    }
    out.push(b' ');
    out.extend_from_slice(&ex.protocol);
    out.extend_from_slice(format!("\n%% {status} ").as_bytes());
    out.extend_from_slice(&ex.filename);
    out.push(b'\n');
    Some(out)
}

fn write(ex: &Exchange, entry: &[u8]) {
    let Some(file) = ex.server().get::<ScriptLog>().and_then(|conf| conf.file.as_deref()) else { return };
    let path = Path::new(std::ffi::OsStr::from_bytes(file));
    // As in httpd, a log that cannot be written does not keep a request from its answer.
    if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
        let _ = file.write_all(entry);
    }
}
