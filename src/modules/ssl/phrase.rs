//! `SSLPassPhraseDialog`: who is asked for the pass phrases of keys, before anything is served.

use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::build::Lines;
use crate::net::files;
use crate::net::phrase::{PhraseError, decrypt};

/// How often somebody may err.
const RETRIES: u32 = 5;

/// What a pass phrase may be long, and its line.
const PHRASE_MAX: u64 = 64 * 1024;

/// `SSLPassPhraseDialog`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Dialog {
    /// A person at the terminal.
    #[default]
    Builtin,
    /// A program, called for each key.
    Exec(PathBuf),
    /// A program that reads our questions and writes answers.
    Pipe(Vec<u8>),
}

/// Those whom a person would say it to.
enum Line {
    Terminal(Terminal),
    Program { child: Child, from: Box<dyn io::BufRead> },
}

/// Asks, for all keys of a start.
pub(super) struct Asker {
    dialog: Dialog,
    /// A running server reads its configuration again: nobody sits at the terminal.
    reloading: bool,
    /// What was answered: often one phrase is that of many keys.
    phrases: Vec<Vec<u8>>,
    line: Option<Line>,
}

/// Which key it is about.
pub(super) struct Key<'a> {
    /// `name:port`.
    pub(super) server: &'a str,
    /// The number of the certificate.
    pub(super) nth: usize,
    pub(super) path: &'a Path,
}

impl Asker {
    pub(super) fn new(dialog: Dialog, reloading: bool) -> Self {
        Self { dialog, reloading, phrases: Vec::new(), line: None }
    }

    /// What a key file with these bytes is without its pass phrase; else `notes` says why that is not known.
    pub(super) fn plain(&mut self, key: &Key<'_>, text: &[u8], notes: &mut Lines) -> Option<Vec<u8>> {
        let (server, nth, path) = (key.server, key.nth, key.path.display());
        if let Some(plain) = files::plain(key.path, text) {
            notes.push(("info", format!("AH02575: Reusing existing private key from {path} on restart")));
            return Some(plain);
        }
        notes.push(("info", format!("AH02576: Attempting to load encrypted (?) private key {server}:{nth}")));
        let found = self.known(text).or_else(|| self.ask(key, text, notes));
        if let Some(plain) = &found {
            files::remember_plain(key.path, text, plain);
        }
        found
    }

    fn known(&self, text: &[u8]) -> Option<Vec<u8>> {
        self.phrases.iter().find_map(|phrase| decrypt(text, phrase).ok())
    }

    fn ask(&mut self, key: &Key<'_>, text: &[u8], notes: &mut Lines) -> Option<Vec<u8>> {
        let (server, nth) = (key.server, key.nth);
        let mut left = if matches!(self.dialog, Dialog::Exec(_)) { 0 } else { RETRIES };
        loop {
            let answer = match self.dialog.clone() {
                Dialog::Exec(program) => exec(&program, key, notes),
                Dialog::Builtin | Dialog::Pipe(_) => self.talk(key, left == RETRIES, notes),
            };
            let phrase = match answer {
                Ok(Some(phrase)) => phrase,
                Ok(None) => {
                    self.tell("Apache:mod_ssl:Error: Private key not found.\n**Stopped\n");
                    let hint = "key introduced or changed before restart?";
                    notes.push(("error", format!("AH02578: Init: Unable to read pass phrase [Hint: {hint}]")));
                    return None;
                }
                Err(error) => {
                    notes.push(("error", format!("AH02578: Init: Unable to read pass phrase: {error}")));
                    return None;
                }
            };
            match decrypt(text, &phrase) {
                Ok(plain) => {
                    self.phrases.push(phrase);
                    return Some(plain);
                }
                Err(PhraseError::Wrong) if left > 0 => {
                    let more = if left == 1 { "1 more retry".to_owned() } else { format!("{left} more retries") };
                    self.tell(&format!("Apache:mod_ssl:Error: Pass phrase incorrect ({more} permitted).\n"));
                    left -= 1;
                }
                Err(error) => {
                    notes.push(("emerg", format!("AH02580: Init: Pass phrase incorrect for key {server}:{nth}")));
                    notes.push(("emerg", format!("SSL Library Error: {error}")));
                    return None;
                }
            }
        }
    }

    /// One question and its answer; `None`: there is none to come.
    fn talk(&mut self, key: &Key<'_>, first: bool, notes: &mut Lines) -> io::Result<Option<Vec<u8>>> {
        let begins = self.line.is_none();
        if begins {
            self.line = match &self.dialog {
                Dialog::Pipe(command) => {
                    let shown = String::from_utf8_lossy(command);
                    notes.push(("info", format!("AH01965: Init: Creating pass phrase dialog pipe child '{shown}'")));
                    Some(spawn(&shown)?)
                }
                _ if self.reloading => None,
                _ => Terminal::open().ok().map(Line::Terminal),
            };
        }
        notes.push(match self.dialog {
            Dialog::Pipe(_) => ("info", "AH01967: Init: Requesting pass phrase via piped dialog".to_owned()),
            _ => ("info", "AH01968: Init: Requesting pass phrase via builtin terminal dialog".to_owned()),
        });
        let mut words = String::new();
        if begins {
            words += "Apache/2.4.71 mod_ssl (Pass Phrase Dialog)\n\
                      Some of your private key files are encrypted for security reasons.\n\
                      In order to read them you have to provide the pass phrases.\n";
        }
        if first {
            words += &format!("\nPrivate key {}:{} ({})\n", key.server, key.nth, key.path.display());
        }
        words += "Enter pass phrase:";
        // Before the question, so that no quick answer is shown.
        let before = match &self.line {
            Some(Line::Terminal(terminal)) => Some(terminal.hush()?),
            _ => None,
        };
        self.tell(&words);
        let answer = match (&mut self.line, &before) {
            (Some(Line::Terminal(terminal)), Some(before)) => terminal.read(before),
            (Some(Line::Program { from, .. }), _) => read_line(from),
            _ => Ok(None),
        };
        if matches!(answer, Ok(Some(_))) {
            self.tell("\n");
        }
        answer
    }

    /// Says something to whoever is asked; who does not hear it will not answer.
    fn tell(&mut self, words: &str) {
        let _ = match &mut self.line {
            None => return,
            Some(Line::Terminal(terminal)) => terminal.0.write_all(words.as_bytes()),
            Some(Line::Program { child, .. }) => {
                child.stdin.as_mut().map_or(Ok(()), |to| to.write_all(words.as_bytes()))
            }
        };
    }

    /// All is known.
    pub(super) fn finish(&mut self) {
        if self.line.is_some() {
            self.tell("\nOK: Pass Phrase Dialog successful.\n");
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if let Some(Line::Program { mut child, from }) = self.line.take() {
            // The end of its input, and of its output, are its end.
            child.stdin = None;
            drop(from);
            let _ = child.wait();
        }
    }
}

/// The first line of what is written.
fn read_line(from: &mut dyn io::BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.take(PHRASE_MAX).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(line))
}

/// A program without what only our own processes are to know.
fn program(path: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(path);
    command.env_remove("TANDEM_ROLE").env_remove("TANDEM_STARTED_IN").stdout(Stdio::piped());
    command
}

fn exec(path: &Path, key: &Key<'_>, notes: &mut Lines) -> io::Result<Option<Vec<u8>>> {
    let shown = path.display();
    notes.push(("info", format!("AH01969: Init: Requesting pass phrase from dialog filter program ({shown})")));
    // The words of old: once a server had one key of each kind.
    let kind = match key.nth {
        0 => "RSA".to_owned(),
        1 => "DSA".to_owned(),
        2 => "ECC".to_owned(),
        n => n.to_string(),
    };
    let mut child = program(path).arg(key.server).arg(kind).stdin(Stdio::null()).spawn()?;
    let answer = child.stdout.take().map(|out| read_line(&mut BufReader::new(out)));
    child.wait()?;
    answer.unwrap_or(Ok(None))
}

fn spawn(command: &str) -> io::Result<Line> {
    let words = crate::config::get_words(command.as_bytes());
    let mut words = words.iter().map(|word| {
        use std::os::unix::ffi::OsStrExt as _;
        std::ffi::OsStr::from_bytes(word)
    });
    let path = words.next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = program(path).args(words).stdin(Stdio::piped()).spawn()?;
    let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok(Line::Program { child, from: Box::new(BufReader::new(out)) })
}

/// The terminal that the program was started at.
struct Terminal(std::fs::File);

impl Terminal {
    fn open() -> io::Result<Self> {
        std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").map(Self)
    }

    /// From now on nothing is shown that is typed; what was set before.
    fn hush(&self) -> io::Result<Termios> {
        let before = tcgetattr(&self.0)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&self.0, OptionalActions::Now, &quiet)?;
        Ok(before)
    }

    /// A line; then things are shown again.
    fn read(&mut self, before: &Termios) -> io::Result<Option<Vec<u8>>> {
        let line = read_line(&mut BufReader::new(&self.0));
        tcsetattr(&self.0, OptionalActions::Now, before)?;
        line
    }
}
