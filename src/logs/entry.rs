//! One entry of the error log, and the line it becomes when there is no ErrorLogFormat.

use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use super::errno::Errno;
use super::format::Format;
use super::level::Level;
use super::text::{ByteWriter, push_error_item, push_u64};
use crate::base::clock::{ErrorTime, push_error_time};
use crate::config::{Conf, shared_slot};
use crate::web::{Conn, Exchange, Live};

/// httpd's limit of a line without its end, in bytes.
pub(super) const LINE_MAX: usize = 8190;

/// A server's error log: `ErrorLogFormat` as set, and where it goes as run.
#[derive(Clone, Debug, Default)]
pub struct ErrorLog {
    /// Index of the target in [`Live::sinks`]; set by [`super::Targets`] after the walk.
    pub sink: usize,
    /// `ErrorLogFormat FORMAT`.
    pub format: Option<Arc<Format>>,
    /// `ErrorLogFormat connection FORMAT`: lines written before the first entry of a connection.
    pub per_conn: Vec<Arc<Format>>,
    /// `ErrorLogFormat request FORMAT`: lines written before the first entry of a request.
    pub per_request: Vec<Arc<Format>>,
}

impl Conf for ErrorLog {
    const SLOT: usize = shared_slot::ERROR_LOG;

    fn merge(base: &Self, add: &Self) -> Self {
        let list =
            |add: &Vec<Arc<Format>>, base: &Vec<Arc<Format>>| if add.is_empty() { base.clone() } else { add.clone() };
        Self {
            sink: add.sink,
            format: add.format.clone().or_else(|| base.format.clone()),
            per_conn: list(&add.per_conn, &base.per_conn),
            per_request: list(&add.per_request, &base.per_request),
        }
    }
}

impl ErrorLog {
    /// The words of `ErrorLogFormat`: `FORMAT`, or `request|connection FORMAT`. The error is httpd's text.
    pub fn set_format(&mut self, first: &[u8], second: Option<&[u8]>) -> Result<(), String> {
        let Some(text) = second else {
            self.format = Some(Arc::new(Format::main(first)?));
            return Ok(());
        };
        let list = if first.eq_ignore_ascii_case(b"connection") {
            &mut self.per_conn
        } else if first.eq_ignore_ascii_case(b"request") {
            &mut self.per_request
        } else {
            return Err("ErrorLogFormat type must be one of request, connection".to_owned());
        };
        list.push(Arc::new(Format::once(text)?));
        Ok(())
    }
}

/// What an entry is about.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The generation; absent for the process.
    pub live: Option<&'a Live>,
    /// Index of the server.
    pub server: usize,
    /// The connection, if any.
    pub conn: Option<&'a Conn>,
    /// The request, if any.
    pub request: Option<&'a Exchange>,
    /// The backend that a connection leads to, if it is about one.
    pub remote: Option<SocketAddr>,
}

/// One entry.
pub struct Entry<'a> {
    /// Level.
    pub level: Level,
    /// httpd's short module name.
    pub module: &'static str,
    /// Status in front of the text.
    pub errno: Option<Errno>,
    /// Source file and line.
    pub at: (&'static str, u32),
    /// Text, its AH number first.
    pub text: fmt::Arguments<'a>,
    /// What it is about.
    pub subject: Subject<'a>,
    /// Microseconds since 1970.
    pub wall: i64,
}

impl Entry<'_> {
    /// Appends httpd's line, without its end; without time where the sink adds one (`dated`).
    pub fn push_default(&self, out: &mut Vec<u8>, dated: bool) {
        if !dated {
            out.push(b'[');
            push_error_time(out, self.wall, ErrorTime { micros: true, compact: false });
            out.extend_from_slice(b"] ");
        }
        out.push(b'[');
        out.extend_from_slice(self.module.as_bytes());
        out.push(b':');
        out.extend_from_slice(self.level.word().as_bytes());
        out.extend_from_slice(b"] [pid ");
        push_u64(out, u64::from(std::process::id()));
        out.extend_from_slice(b":tid ");
        push_u64(out, nix::unistd::gettid().as_raw().unsigned_abs().into());
        out.extend_from_slice(b"] ");
        if self.level >= Level::Debug {
            self.push_position(out);
            out.extend_from_slice(b": ");
        }
        if let Some(errno) = self.errno {
            errno.push(out);
            out.extend_from_slice(b": ");
        }
        if self.subject.conn.is_some() {
            // To httpd's log a stream of HTTP/2 is a connection to somebody.
            let streamed = self.subject.request.is_some_and(|request| request.proto_num == 2000);
            out.extend_from_slice(if streamed { b"[remote " } else { b"[client " });
            self.push_client(out);
            out.extend_from_slice(b"] ");
        }
        if let Some(remote) = self.subject.remote {
            out.extend_from_slice(format!("[remote {remote}] ").as_bytes());
        }
        self.push_text(out);
        if let Some(referer) = self.subject.request.and_then(|request| request.headers_in.get(b"referer")) {
            out.extend_from_slice(b", referer: ");
            push_error_item(out, referer);
        }
        out.truncate(LINE_MAX);
    }

    /// Appends the text, escaped.
    pub(super) fn push_text(&self, out: &mut Vec<u8>) {
        let start = out.len();
        // Cannot fail: the writer never does.
        let _ = ByteWriter(out).write_fmt(self.text);
        let raw = out[start..].iter().any(|&byte| !(32..=126).contains(&byte) || byte == b'\\');
        if raw {
            let text = out.split_off(start);
            push_error_item(out, &text);
        }
    }

    /// Appends `file(line)`.
    pub(super) fn push_position(&self, out: &mut Vec<u8>) {
        let (file, line) = self.at;
        out.extend_from_slice(file.rsplit('/').next().unwrap_or(file).as_bytes());
        out.push(b'(');
        push_u64(out, u64::from(line));
        out.push(b')');
    }

    /// Appends `ip:port` of the client as the request sees it.
    pub(super) fn push_client(&self, out: &mut Vec<u8>) {
        match (self.subject.request, self.subject.conn) {
            (Some(request), _) if !request.client_ip.is_empty() => {
                out.extend_from_slice(&request.client_ip);
                out.push(b':');
                push_u64(out, u64::from(request.client_port));
            }
            (_, Some(conn)) => {
                out.extend_from_slice(&conn.peer_ip);
                out.push(b':');
                push_u64(out, u64::from(conn.peer.port()));
            }
            _ => {}
        }
    }
}

/// The thread's number as httpd prints it.
pub(super) fn thread_id() -> u64 {
    nix::sys::pthread::pthread_self() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_where_httpd_cuts_them() {
        let subject = Subject { live: None, server: 0, conn: None, request: None, remote: None };
        let long = "x".repeat(10_000);
        let entry = Entry {
            level: Level::Error,
            module: "core",
            errno: None,
            at: ("src/x.rs", 1),
            text: format_args!("AH1: {long}"),
            subject,
            wall: 0,
        };
        for dated in [true, false] {
            let mut out = Vec::new();
            entry.push_default(&mut out, dated);
            assert_eq!(out.len(), 8190);
            assert_eq!(out.starts_with(b"[core:error] [pid "), dated);
        }
    }
}
