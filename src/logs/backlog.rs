//! A pipe that lines go into, and the lines that wait for a reader which does not read as fast as they come: the input
//! of a log program, or a log file that is one by its kind (a FIFO, the standard output of a container).
//!
//! As long as there is room in the pipe a line goes there at once. When there is none, lines are kept in memory and a
//! thread of their own writes them; who wrote them goes on. When too many are kept, whoever brings more waits: nothing
//! is lost, and nothing grows without end. The error log is told once each time that happens.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::Process;
use super::level::Level;
use super::text::Bytes;

/// What one write to a pipe puts there in one piece (PIPE_BUF); a pipe that can be written to has that much room.
const ATOMIC: usize = 4096;

/// The most bytes of lines that wait.
const MOST: usize = 1 << 20;

/// How long the end of a process waits for lines that nobody reads.
const LAST: Duration = Duration::from_secs(5);

/// See the module's doc.
pub(super) struct Backlog {
    /// Who reads, for messages.
    reader: Reader,
    pipe: File,
    /// Lines longer than [`ATOMIC`] exclude all others; the kernel itself keeps shorter ones apart.
    long: RwLock<()>,
    /// There are lines that wait.
    behind: AtomicBool,
    waiting: Mutex<Waiting>,
    /// Told when fewer lines wait.
    moved: Condvar,
}

/// Who reads.
pub(super) enum Reader {
    /// A log program, by its command line.
    Program(Vec<u8>),
    /// Whoever has opened this file.
    Of(PathBuf),
    /// The disk on which this file is.
    Disk(PathBuf),
}

/// The lines that wait.
#[derive(Default)]
pub(super) struct Waiting {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// When the first of those came that wait for [`Backlog::take`].
    since: Option<Instant>,
    /// A thread writes them.
    writes: bool,
    /// It was said that there are too many, and there still are some.
    said: bool,
}

impl Backlog {
    pub(super) fn new(reader: Reader, pipe: File) -> Arc<Self> {
        Arc::new(Self::of(reader, pipe))
    }

    pub(super) fn of(reader: Reader, pipe: File) -> Self {
        Self {
            reader,
            pipe,
            long: RwLock::new(()),
            behind: AtomicBool::new(false),
            waiting: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    pub(super) fn pipe(&self) -> &File {
        &self.pipe
    }

    /// Writes a line, or keeps it.
    pub(super) fn line(self: &Arc<Self>, line: &[u8]) {
        if line.len() <= ATOMIC && !self.behind.load(Ordering::Acquire) && self.has_room() {
            return self.write(line);
        }
        self.keep(line);
    }

    fn has_room(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut [PollFd::from_borrowed_fd(self.pipe.as_fd(), PollFlags::OUT)], Some(&now)), Ok(1))
    }

    fn write(&self, line: &[u8]) {
        // Cannot fail but by a full pipe's reader going away, and who runs the program is one of its readers.
        if line.len() <= ATOMIC {
            let _apart = self.long.read().unwrap_or_else(PoisonError::into_inner);
            let _ = (&self.pipe).write_all(line);
        } else {
            let _alone = self.long.write().unwrap_or_else(PoisonError::into_inner);
            let _ = (&self.pipe).write_all(line);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a line wait; waits itself when there are too many.
    pub(super) fn add(&self, line: &[u8]) -> MutexGuard<'_, Waiting> {
        let mut waiting = self.lock();
        if waiting.bytes + line.len() > MOST && !waiting.lines.is_empty() {
            let first = !std::mem::replace(&mut waiting.said, true);
            drop(waiting);
            if first {
                self.say();
            }
            waiting = self.lock();
            while waiting.bytes + line.len() > MOST && !waiting.lines.is_empty() {
                waiting = self.moved.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
        }
        waiting.bytes += line.len();
        if waiting.lines.is_empty() {
            waiting.since = Some(Instant::now());
            self.moved.notify_all();
        }
        waiting.lines.push_back(line.into());
        waiting
    }

    fn keep(self: &Arc<Self>, line: &[u8]) {
        let mut waiting = self.add(line);
        self.behind.store(true, Ordering::Release);
        if !std::mem::replace(&mut waiting.writes, true) {
            let writer = self.clone();
            let started = thread::Builder::new().name("log backlog".to_owned()).spawn(move || writer.write_all());
            if started.is_err() {
                // Then here, whoever waits for it.
                drop(waiting);
                self.write_all();
            }
        }
    }

    /// Writes lines until none waits.
    fn write_all(&self) {
        let mut waiting = self.lock();
        while let Some(line) = waiting.lines.pop_front() {
            drop(waiting);
            self.write(&line);
            waiting = self.lock();
            waiting.bytes -= line.len();
            self.moved.notify_all();
        }
        waiting.writes = false;
        waiting.said = false;
        self.behind.store(false, Ordering::Release);
    }

    /// All lines that wait; they count until [`Backlog::wrote`] says that they are written.
    pub(super) fn take(&self) -> Vec<u8> {
        let lines = {
            let mut waiting = self.lock();
            waiting.since = None;
            std::mem::take(&mut waiting.lines)
        };
        Vec::from(lines).concat()
    }

    /// How long the first of them has waited.
    pub(super) fn waited(&self) -> Duration {
        self.lock().since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// So many bytes that were taken are written.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut waiting = self.lock();
        waiting.bytes -= bytes;
        waiting.said &= waiting.bytes > 0;
        self.moved.notify_all();
    }

    /// Waits for a line, for a while.
    pub(super) fn wait_for_line(&self, most: Duration) {
        let waiting = self.lock();
        if waiting.lines.is_empty() {
            drop(self.moved.wait_timeout(waiting, most));
        }
    }

    /// Waits for the lines that wait, for a while.
    pub(super) fn wait(&self) {
        let until = Instant::now() + LAST;
        let mut waiting = self.lock();
        while waiting.writes || waiting.bytes > 0 {
            let Some(rest) = until.checked_duration_since(Instant::now()) else { return };
            waiting = self.moved.wait_timeout(waiting, rest.min(LAST)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    #[cfg(test)]
    pub(super) fn is_full(&self) -> bool {
        self.lock().said
    }

    fn say(&self) {
        let main = super::process_log().and_then(|sink| sink.fd().map(rustix::fs::fstat));
        let own = rustix::fs::fstat(&self.pipe);
        if let (Some(Ok(main)), Ok(own)) = (main, own)
            && (main.st_dev, main.st_ino) == (own.st_dev, own.st_ino)
        {
            // It is the error log itself that does not move.
            return;
        }
        let takes = if let Reader::Disk(_) = &self.reader { "takes them" } else { "reads" };
        let (what, name) = match &self.reader {
            Reader::Program(command) => ("log program", command.as_slice()),
            Reader::Of(path) => ("the reader of log file", path.as_os_str().as_bytes()),
            Reader::Disk(path) => ("the disk of log file", path.as_os_str().as_bytes()),
        };
        super::error!(
            Process,
            Level::Warn,
            "core",
            "{what} '{}' {takes} more slowly than lines come: requests wait for it",
            Bytes(name)
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn lines_wait_in_order_and_none_is_lost() {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let backlog = Backlog::new(Reader::Program(b"x".to_vec()), OwnedFd::from(writer).into());
        // More than a pipe holds, less than may wait: nobody reads, and nobody waits.
        let lines: Vec<String> = (0..150).map(|at| format!("{at} {}\n", "x".repeat(4000 + at * 10))).collect();
        lines.iter().for_each(|line| backlog.line(line.as_bytes()));
        assert!(backlog.behind.load(Ordering::Relaxed) && backlog.lock().bytes > 100_000);
        // As much again as may wait: whoever brings it waits for the reader.
        let more = {
            let backlog = backlog.clone();
            thread::spawn(move || (0..200).for_each(|_| backlog.line(&[b'y'; 8000])))
        };
        let until = Instant::now() + Duration::from_secs(20);
        while !backlog.lock().said {
            assert!(Instant::now() < until);
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!more.is_finished() && backlog.lock().bytes <= MOST);
        let expected = lines.concat();
        let mut text = vec![0; expected.len() + 200 * 8000];
        reader.read_exact(&mut text).expect("all of it");
        assert!(text.starts_with(expected.as_bytes()) && text[expected.len()..].iter().all(|byte| *byte == b'y'));
        more.join().expect("it goes on");
        backlog.wait();
        assert!(!backlog.behind.load(Ordering::Relaxed) && !backlog.lock().said);
        backlog.line(b"at once\n");
        let mut last = [0; 8];
        reader.read_exact(&mut last).expect("a line");
        assert_eq!(&last, b"at once\n");
    }
}
