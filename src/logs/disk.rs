//! A regular file that lines go into, and the lines that wait while its disk does not take them.
//!
//! There is no way to write to a file without perhaps waiting for its disk, and to give each line to another thread would
//! cost more than to write it. So whoever has a line writes it, but never two at once: who comes meanwhile leaves the
//! line with the one that writes, and goes on. A disk that hangs holds up one thread and not all of them. When a line
//! has waited for long, a thread of its own is the one that writes until the disk has been fast for a while. What waits is
//! bounded, as behind a pipe: nothing is lost, and nothing grows without end.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::backlog::{Backlog, Reader};

/// A line that has waited this long shows that the disk is slow now. Far above what a thread that has lost its processor
/// for a while waits.
const SLOW: Duration = Duration::from_millis(100);

/// For so long no write is slow before threads write themselves again.
const CALM: Duration = Duration::from_secs(1);

/// See the module's doc.
pub(super) struct Disk {
    lines: Backlog,
    /// Somebody writes.
    busy: AtomicBool,
    /// Lines were left with who writes.
    left: AtomicBool,
}

impl Disk {
    pub(super) fn new(path: &Path, file: File) -> Arc<Self> {
        let lines = Backlog::of(Reader::Disk(path.to_owned()), file);
        Arc::new(Self { lines, busy: AtomicBool::new(false), left: AtomicBool::new(false) })
    }

    pub(super) fn file(&self) -> &File {
        self.lines.pipe()
    }

    /// Writes a line, or leaves it with who does.
    pub(super) fn line(self: &Arc<Self>, line: &[u8]) {
        if !self.busy.swap(true, Ordering::SeqCst) {
            self.write(line);
            return self.leave();
        }
        drop(self.lines.add(line));
        self.left.store(true, Ordering::SeqCst);
        // Unless who wrote has gone without having seen it.
        if !self.busy.swap(true, Ordering::SeqCst) {
            self.leave();
        }
    }

    /// Waits for the lines that wait, for a while.
    pub(super) fn wait(&self) {
        self.lines.wait();
    }

    /// Who writes sees to what was left, and no longer is the one that writes.
    fn leave(self: &Arc<Self>) {
        loop {
            if self.left.swap(false, Ordering::SeqCst) {
                if self.lines.waited() >= SLOW && self.follow() {
                    return;
                }
                self.write_left();
                continue;
            }
            self.busy.store(false, Ordering::SeqCst);
            if !self.left.load(Ordering::SeqCst) || self.busy.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Has a thread be the one that writes; whether there is one.
    fn follow(self: &Arc<Self>) -> bool {
        let own = self.clone();
        let writes = move || {
            let mut calm = Instant::now() + CALM;
            while let Some(rest) = calm.checked_duration_since(Instant::now()) {
                if own.lines.waited() >= SLOW {
                    calm = Instant::now() + CALM;
                }
                own.write_left();
                own.lines.wait_for_line(rest);
            }
            own.leave();
        };
        thread::Builder::new().name("log backlog".to_owned()).spawn(writes).is_ok()
    }

    /// Writes what was left.
    fn write_left(&self) {
        let text = self.lines.take();
        self.write(&text);
        self.lines.wrote(text.len());
    }

    fn write(&self, text: &[u8]) {
        // A full disk must not stop the service.
        let _ = self.file().write_all(text);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read};
    use std::os::fd::OwnedFd;

    use super::*;

    /// A pipe in place of a file: it takes no more than it holds.
    fn stalled() -> (Arc<Disk>, PipeReader) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        (Disk::new(Path::new("x"), OwnedFd::from(writer).into()), reader)
    }

    fn until(mut done: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < end);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_disk_that_hangs_holds_up_one_thread() {
        let (disk, mut reader) = stalled();
        let hung = {
            let disk = disk.clone();
            // More than a pipe takes.
            thread::spawn(move || disk.line(&[b'a'; 100_000]))
        };
        until(|| disk.busy.load(Ordering::Relaxed));
        // These return, though nobody reads.
        (0..100).for_each(|at| disk.line(format!("line {at}\n").as_bytes()));
        assert!(!hung.is_finished() && disk.left.load(Ordering::Relaxed));
        thread::sleep(SLOW + Duration::from_millis(20));
        let expected: String = (0..100).map(|at| format!("line {at}\n")).collect();
        let mut text = vec![0; 100_000 + expected.len()];
        reader.read_exact(&mut text).expect("all of it");
        assert!(text[..100_000].iter().all(|byte| *byte == b'a') && text[100_000..] == *expected.as_bytes());
        hung.join().expect("it goes on");
        // It was slow: a thread writes now. This one does not wait for the disk, not even once.
        disk.line(&[b'b'; 100_000]);
        assert!(disk.busy.load(Ordering::Relaxed));
        let mut text = vec![0; 100_000];
        reader.read_exact(&mut text).expect("a line");
        disk.wait();
        // And no longer once the disk has been fast for a while.
        until(|| !disk.busy.load(Ordering::Relaxed));
        disk.line(b"at once\n");
        let mut last = [0; 8];
        reader.read_exact(&mut last).expect("a line");
        assert_eq!(&last, b"at once\n");
    }

    #[test]
    fn what_waits_for_a_disk_is_bounded_and_all_of_it_is_written() {
        let (disk, mut reader) = stalled();
        let writers: Vec<_> = (0..4u8)
            .map(|writer| {
                let disk = disk.clone();
                thread::spawn(move || (0..400).for_each(|_| disk.line(&[&[b'a' + writer; 1999], &b"\n"[..]].concat())))
            })
            .collect();
        until(|| disk.lines.is_full());
        // What may wait is more than one has, and less than two have.
        assert!(writers.iter().filter(|writer| writer.is_finished()).count() <= 1);
        let mut text = vec![0; 4 * 400 * 2000];
        reader.read_exact(&mut text).expect("all of it");
        for writer in 0..4u8 {
            let line = [&[b'a' + writer; 1999], &b"\n"[..]].concat();
            assert_eq!(text.chunks(2000).filter(|chunk| *chunk == line).count(), 400);
        }
        writers.into_iter().for_each(|writer| writer.join().expect("it goes on"));
    }

    #[test]
    fn threads_that_write_at_once_lose_nothing() {
        let path = std::env::temp_dir().join(format!("tandem-disk-{}", std::process::id()));
        let file = File::options().create(true).truncate(true).write(true).open(&path).expect("a file");
        let disk = Disk::new(&path, file);
        thread::scope(|scope| {
            for writer in 0..4 {
                let disk = &disk;
                scope.spawn(move || (0..5000).for_each(|at| disk.line(format!("{writer} {at}\n").as_bytes())));
            }
        });
        let text = std::fs::read_to_string(&path).expect("lines");
        std::fs::remove_file(&path).expect("it is ours");
        for writer in 0..4 {
            // Each one's in order.
            let mut own = text.lines().filter_map(|line| line.strip_prefix(&format!("{writer} ")));
            (0..5000).for_each(|at| assert_eq!(own.next(), Some(at.to_string().as_str())));
            assert_eq!(own.next(), None);
        }
        assert_eq!(text.lines().count(), 20_000);
    }
}
