//! `prg:` maps: programs that answer one line with one line.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use tokio::sync::oneshot;

use crate::logs::{self, Level};
use crate::web::Exchange;

/// The longest answer.
const LINE_MAX: u64 = 64 << 10;

/// A program, which sees the questions of all threads one after the other. It has a thread of its own that talks to it:
/// while it does not answer, only those wait that have asked it.
pub(super) struct Program {
    life: Arc<Life>,
    /// Where questions go; there with the first one.
    questions: Mutex<Option<mpsc::Sender<Question>>>,
}

/// How it is started, and what ends it.
struct Life {
    words: Vec<Vec<u8>>,
    running: Mutex<Option<Child>>,
    over: AtomicBool,
}

struct Question {
    key: Vec<u8>,
    answer: oneshot::Sender<io::Result<Option<Vec<u8>>>>,
}

/// Both ends of a program that runs.
struct Talk {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// Asks a program; `None` when it has no answer.
pub(super) async fn ask(ex: &Exchange, program: &Program, key: &[u8]) -> Option<Vec<u8>> {
    if key.contains(&b'\n') {
        logs::error!(ex, Level::Error, "rewrite", "AH10428: a key with a line feed is not asked for in a prg: map");
        return None;
    }
    let answer = match program.question(key) {
        // Nobody is left to answer.
        Ok(answer) => answer.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())),
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) => answer,
        Err(error) => {
            logs::error!(
                ex,
                Level::Error,
                "rewrite",
                logs::Errno::from(&error) => "AH00654: external RewriteMap program does not answer"
            );
            None
        }
    }
}

impl Program {
    /// One that is started with these words when it is first asked.
    pub(super) fn new(words: Vec<Vec<u8>>) -> Self {
        let life = Life { words, running: Mutex::new(None), over: AtomicBool::new(false) };
        Self { life: Arc::new(life), questions: Mutex::new(None) }
    }

    fn question(&self, key: &[u8]) -> io::Result<oneshot::Receiver<io::Result<Option<Vec<u8>>>>> {
        let (sender, answer) = oneshot::channel();
        let question = Question { key: key.to_vec(), answer: sender };
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        let to = match questions.as_ref() {
            Some(to) => to,
            None => {
                let (to, from) = mpsc::channel();
                let life = self.life.clone();
                std::thread::Builder::new().name("rewrite-map".to_owned()).spawn(move || life.answer_all(&from))?;
                questions.insert(to)
            }
        };
        to.send(question).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(answer)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.life.over.store(true, Ordering::SeqCst);
        self.life.end();
    }
}

impl Life {
    fn answer_all(&self, questions: &mpsc::Receiver<Question>) {
        let mut talk = None;
        while let Ok(Question { key, answer }) = questions.recv() {
            // Whoever has gone away meanwhile wants no answer.
            if !answer.is_closed() {
                let _ = answer.send(self.answer(&mut talk, &key));
            }
        }
        self.end();
    }

    fn answer(&self, talk: &mut Option<Talk>, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let asked = match talk.as_mut() {
            Some(talk) => talk.exchange(key),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        let answer = match asked {
            Ok(answer) => answer,
            // Not started yet, or it died: once more with a new one.
            Err(_) => {
                *talk = None;
                self.end();
                talk.insert(self.start()?).exchange(key)?
            }
        };
        Ok(Some(answer).filter(|answer| answer != b"NULL"))
    }

    fn start(&self) -> io::Result<Talk> {
        let os = |word: &Vec<u8>| std::ffi::OsStr::from_bytes(word).to_owned();
        let mut words = self.words.iter().map(os);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let ends = child.stdin.take().zip(child.stdout.take());
        *self.running() = Some(child);
        if self.over.load(Ordering::SeqCst) {
            self.end();
        }
        let (to, from) = ends.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Talk { to, from: BufReader::new(from) })
    }

    fn running(&self) -> MutexGuard<'_, Option<Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        if let Some(mut child) = self.running().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Talk {
    fn exchange(&mut self, key: &[u8]) -> io::Result<Vec<u8>> {
        self.to.write_all(&[key, b"\n"].concat())?;
        let mut line = Vec::new();
        (&mut self.from).take(LINE_MAX).read_until(b'\n', &mut line)?;
        match line.pop() {
            Some(b'\n') => Ok(line),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new(["/bin/sh", "-c", script].iter().map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn a_program_is_asked_line_by_line_and_started_again() {
        let program = shell("while read k; do [ $k = die ] && exit; [ $k = no ] && echo NULL || echo \"<$k>\"; done");
        let ask = |key: &[u8]| program.question(key).unwrap().blocking_recv().unwrap();
        assert_eq!(ask(b"a").unwrap().as_deref(), Some(&b"<a>"[..]));
        assert_eq!(ask(b"no").unwrap(), None);
        assert!(ask(b"die").is_err());
        assert_eq!(ask(b"b").unwrap().as_deref(), Some(&b"<b>"[..]));
    }

    #[test]
    fn a_program_that_hangs_ends_with_its_map() {
        let program = shell("read k; exec sleep 600");
        let answer = program.question(b"a").unwrap();
        drop(program);
        assert!(answer.blocking_recv().unwrap().is_err());
    }
}
