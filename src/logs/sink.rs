//! Sinks: files and the system's log.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::backlog::{Backlog, Reader};
use super::disk::Disk;
use super::level::Level;
use super::text::push_u64;
use crate::base::clock::{Clock, SystemClock, push_strftime};
use crate::web::LineSink;

/// Lines that `BufferedLogs` holds back. Only those who ask for that share its lock.
#[derive(Default)]
pub(super) struct Held(Mutex<Vec<u8>>);

/// How much is held back: what a pipe takes in one piece.
const HELD_MAX: usize = 4096;

impl Held {
    pub(super) fn hold(&self, line: &[u8], write: impl Fn(&[u8])) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() + line.len() > HELD_MAX {
            if !text.is_empty() {
                write(&text);
            }
            text.clear();
        }
        if line.len() > HELD_MAX {
            write(line);
        } else {
            text.extend_from_slice(line);
        }
    }

    pub(super) fn flush(&self, write: impl Fn(&[u8])) {
        let text = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if !text.is_empty() {
            write(&text);
        }
    }
}

/// Appends to a file; the kernel keeps lines of all threads and processes apart.
pub(super) struct FileSink {
    kind: Kind,
    held: Held,
}

enum Kind {
    Plain(Arc<Disk>),
    /// Somebody reads it, or does not.
    Pipe(Arc<Backlog>),
}

impl FileSink {
    pub(super) fn new(path: &Path, file: File) -> Self {
        let is_pipe = file.metadata().is_ok_and(|data| data.file_type().is_fifo());
        let kind = match is_pipe {
            true => Kind::Pipe(Backlog::new(Reader::Of(path.to_owned()), file)),
            false => Kind::Plain(Disk::new(path, file)),
        };
        Self { kind, held: Held::default() }
    }
}

impl LineSink for FileSink {
    fn line(&self, line: &[u8]) {
        match &self.kind {
            Kind::Plain(disk) => disk.line(line),
            Kind::Pipe(pipe) => pipe.line(line),
        }
    }

    fn hold(&self, line: &[u8]) {
        self.held.hold(line, |text| self.line(text));
    }

    fn flush(&self) {
        self.held.flush(|text| self.line(text));
        match &self.kind {
            Kind::Plain(disk) => disk.wait(),
            Kind::Pipe(pipe) => pipe.wait(),
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Plain(disk) => super::target::lend(disk.file()),
            Kind::Pipe(pipe) => super::target::lend(pipe.pipe()),
        }
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        // What still waits is written by whoever writes it.
        self.held.flush(|text| self.line(text));
    }
}

/// Standard error.
pub(super) struct Nowhere;

impl LineSink for Nowhere {
    fn line(&self, line: &[u8]) {
        // Nowhere else to complain.
        let _ = io::stderr().write_all(line);
    }
}

const SOCKET: &str = "/dev/log";

const FACILITIES: [(&str, u8); 21] = [
    ("auth", 4),
    ("authpriv", 10),
    ("cron", 9),
    ("daemon", 3),
    ("ftp", 11),
    ("kern", 0),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
    ("lpr", 6),
    ("mail", 2),
    ("news", 7),
    ("security", 4),
    ("syslog", 5),
    ("user", 1),
    ("uucp", 8),
];

/// The system's log. A message that nobody takes is lost, as with httpd.
pub(super) struct Syslog {
    socket: UnixDatagram,
    facility: u8,
    tag: Vec<u8>,
}

impl Syslog {
    pub(super) fn new(facility: &[u8], tag: Vec<u8>) -> io::Result<Self> {
        let facility = match facility {
            b"" => 23,
            name => FACILITIES
                .iter()
                .find(|(known, _)| known.as_bytes() == name)
                .map(|(_, number)| *number)
                .ok_or(io::ErrorKind::InvalidInput)?,
        };
        let socket = UnixDatagram::unbound()?;
        // Rather lose a message than wait for whoever collects them.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, facility, tag })
    }

    fn message(&self, level: Level, line: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(line.len() + 64);
        out.push(b'<');
        push_u64(&mut out, u64::from(self.facility * 8 + (level as u8).min(Level::Debug as u8)));
        out.push(b'>');
        push_strftime(&mut out, b"%b %e %H:%M:%S ", SystemClock.wall());
        out.extend_from_slice(&self.tag);
        out.push(b'[');
        push_u64(&mut out, u64::from(std::process::id()));
        out.extend_from_slice(b"]: ");
        out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        out
    }
}

impl LineSink for Syslog {
    fn line(&self, line: &[u8]) {
        self.entry(Level::Error as u8, line);
    }

    fn entry(&self, level: u8, line: &[u8]) {
        let level = Level::from_number(level);
        let _ = self.socket.send_to(&self.message(level, line), SOCKET);
    }

    fn dates(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_lines_come_when_there_are_many_or_somebody_asks() {
        let (held, written) = (Held::default(), Mutex::new(Vec::new()));
        let write = |text: &[u8]| written.lock().unwrap().push(text.len());
        held.hold(b"one\n", write);
        held.hold(&[b'x'; HELD_MAX - 4], write);
        assert!(written.lock().unwrap().is_empty());
        held.hold(b"two\n", write);
        held.hold(&[b'x'; HELD_MAX + 1], write);
        assert_eq!(written.lock().unwrap()[..], [HELD_MAX, 4, HELD_MAX + 1]);
        held.hold(b"three\n", write);
        held.flush(write);
        held.flush(write);
        assert_eq!(written.lock().unwrap()[3..], [6]);
    }

    #[test]
    fn syslog_messages_are_those_of_the_c_library() {
        let sink = Syslog::new(b"daemon", b"tag".to_vec()).expect("a facility");
        let text = |level| String::from_utf8(sink.message(level, b"[core:x] text\n")).expect("ASCII");
        let notice = text(Level::Notice);
        assert!(notice.starts_with("<29>"), "{notice}");
        assert!(notice.ends_with(&format!(" tag[{}]: [core:x] text", std::process::id())), "{notice}");
        assert!(text(Level::Trace8).starts_with("<31>"));
        assert!(Syslog::new(b"LOCAL1", Vec::new()).is_err());
        assert_eq!(Syslog::new(b"", Vec::new()).map(|sink| sink.facility).ok(), Some(23));
    }
}
