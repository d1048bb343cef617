//! Piped log programs: started with the server, restarted when they die.

use std::ffi::OsString;
use std::io::{self, PipeReader, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::backlog::{Backlog, Reader};
use super::process_log;
use super::sink::Held;
use super::text::push_error_item;
use crate::web::LineSink;

/// A program that reads lines. When nobody refers to it any more its input ends, and it with it.
pub(super) struct Program {
    input: Arc<Backlog>,
    /// Where this process runs it itself.
    shared: Option<Arc<Shared>>,
    held: Held,
}

/// What a program's watcher knows of it.
struct Shared {
    command: Vec<u8>,
    shell: bool,
    /// Our end of its input: what is in the pipe when the program dies is for its successor.
    input: PipeReader,
    /// No more restarts.
    ended: AtomicBool,
    /// It cannot be started: lines are lost, rather than that the pipe fills and requests wait.
    down: AtomicBool,
}

/// Pause between two starts of a program.
const PAUSE: Duration = Duration::from_secs(1);

impl Program {
    pub(super) fn start(command: &[u8], shell: bool) -> io::Result<Self> {
        let (input, pipe) = io::pipe()?;
        let shared = Arc::new(Shared {
            command: command.to_vec(),
            shell,
            input,
            ended: AtomicBool::new(false),
            down: AtomicBool::new(false),
        });
        let child = shared.spawn()?;
        let watched = shared.clone();
        thread::Builder::new().name("log program".to_owned()).spawn(move || watched.watch(child))?;
        Ok(Self {
            input: Backlog::new(Reader::Program(command.to_vec()), OwnedFd::from(pipe).into()),
            shared: Some(shared),
            held: Held::default(),
        })
    }

    /// The input of a program that another process runs.
    pub(super) fn over(command: &[u8], pipe: OwnedFd) -> Self {
        Self {
            input: Backlog::new(Reader::Program(command.to_vec()), pipe.into()),
            shared: None,
            held: Held::default(),
        }
    }
}

impl LineSink for Program {
    fn line(&self, line: &[u8]) {
        if self.shared.as_ref().is_some_and(|shared| shared.down.load(Ordering::Relaxed)) {
            return;
        }
        self.input.line(line);
    }

    fn hold(&self, line: &[u8]) {
        self.held.hold(line, |text| self.line(text));
    }

    fn flush(&self) {
        self.held.flush(|text| self.line(text));
        self.input.wait();
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        super::target::lend(self.input.pipe())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What still waits is written by whoever writes it.
        self.held.flush(|text| self.line(text));
        if let Some(shared) = &self.shared {
            shared.ended.store(true, Ordering::SeqCst);
        }
    }
}

impl Shared {
    fn spawn(&self) -> io::Result<Child> {
        let mut command = program(&self.command, self.shell)?;
        command.stdin(Stdio::from(self.input.try_clone()?)).spawn()
    }

    /// Waits for the program's end and starts it again, until its sink is gone.
    fn watch(&self, mut child: Child) {
        loop {
            let started = Instant::now();
            let _ = child.wait();
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            thread::sleep(PAUSE.saturating_sub(started.elapsed()));
            let mut said = false;
            child = loop {
                if self.ended.load(Ordering::SeqCst) {
                    return;
                }
                match self.spawn() {
                    Ok(child) => break child,
                    Err(error) => {
                        self.down.store(true, Ordering::Relaxed);
                        if !std::mem::replace(&mut said, true) {
                            self.say(&program_line(&self.command, Some(&error)));
                        }
                    }
                }
                thread::sleep(PAUSE);
            };
            self.down.store(false, Ordering::Relaxed);
            // Only now: this very program may be the error log, with a full pipe.
            self.say(&program_line(&self.command, None));
        }
    }

    /// Puts a line into the main error log.
    fn say(&self, line: &[u8]) {
        match process_log() {
            Some(sink) => sink.line(line),
            None => {
                // Nowhere else to complain.
                let _ = io::stderr().write_all(line);
            }
        }
    }
}

/// How a log program is started.
///
/// # Errors
/// httpd's for a command that is empty.
pub fn program(command: &[u8], shell: bool) -> io::Result<Command> {
    if shell {
        let mut program = Command::new("/bin/sh");
        program.arg("-c").arg(OsString::from_vec(command.to_vec()));
        return Ok(program);
    }
    let mut words = words(command).into_iter().map(OsString::from_vec);
    // What httpd says of an empty command.
    let mut program = Command::new(words.next().ok_or_else(|| io::Error::from_raw_os_error(14))?);
    program.args(words);
    Ok(program)
}

/// httpd's line about a log program that ended by itself or, with an error, cannot be started again; it has no time in
/// front.
pub fn program_line(command: &[u8], error: Option<&io::Error>) -> Vec<u8> {
    let before = match error {
        Some(_) => "AH00105: piped_log_maintenance: unable to respawn '",
        None => "AH00106: piped log program '",
    };
    let mut line = before.as_bytes().to_vec();
    push_error_item(&mut line, command);
    match error {
        Some(error) => line.extend_from_slice(format!("': {error}\n").as_bytes()),
        None => line.extend_from_slice(b"' failed unexpectedly\n"),
    }
    line
}

/// Cuts a command line at blanks; quotes of either kind keep blanks, a backslash keeps the byte behind it.
fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b'\\', _) => word.get_or_insert_default().extend(bytes.next()),
            (byte, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (b' ' | b'\t', None) => out.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    out.extend(word);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_cut_at_blanks_outside_quotes() {
        let cut = |text: &str| -> Vec<String> {
            words(text.as_bytes()).into_iter().map(|word| String::from_utf8(word).expect("ASCII")).collect()
        };
        assert_eq!(cut(r#" /bin/x  "a b" 'c "d' e\ f "g\"h" '' "#), ["/bin/x", "a b", "c \"d", "e f", "g\"h", ""]);
        assert_eq!(cut("open 'to the end"), ["open", "to the end"]);
        assert!(cut("  ").is_empty());
    }

    /// What [`Program`] writes to `sink`, and the file the program writes, once it has `lines` lines.
    fn read_when(path: &std::path::Path, lines: usize) -> String {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if text.lines().count() >= lines || Instant::now() > until {
                return text;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_program_that_dies_is_started_again_and_its_lines_are_not_lost() {
        let path = std::env::temp_dir().join(format!("log-program-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        // Takes one line and dies.
        let command = format!("read line; echo \"$line\" >>{}", path.display());
        let sink = Program::start(command.as_bytes(), true).expect("a shell");
        sink.line(b"one\n");
        assert_eq!(read_when(&path, 1), "one\n");
        sink.line(b"two\n");
        assert_eq!(read_when(&path, 2), "one\ntwo\n");
        let _ = std::fs::remove_file(&path);
    }

    #[test]
    fn the_programs_input_ends_with_its_sink() {
        let path = std::env::temp_dir().join(format!("log-program-end-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let command = format!("/bin/sh -c 'cat >{0}; echo end >>{0}'", path.display());
        let sink = Program::start(command.as_bytes(), false).expect("a shell");
        let long = vec![b'x'; 3 * 4096];
        sink.line(&[&long[..], b"\n"].concat());
        drop(sink);
        let text = read_when(&path, 2);
        assert_eq!(text.lines().last(), Some("end"));
        assert_eq!(text.len(), long.len() + "\nend\n".len());
        let _ = std::fs::remove_file(&path);
    }
}
