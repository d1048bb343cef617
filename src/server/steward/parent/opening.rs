//! What the preparer asks for: opened, and kept.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use super::super::ask;
use super::super::hold::{Listening, Program};
use super::{State, Steward};
use crate::net::daemon;
use crate::net::link::Message;
use crate::net::opener::{InProcess, Opener, SocketOptions};

impl Steward {
    /// Answers the preparer: an error number, or 0.
    pub(super) fn answer(&self, errno: i32) {
        if let Some((_, link)) = &self.preparer {
            // A preparer that has gone asks nothing more.
            let _ = link.send(ask::ANSWER, &[errno.to_string().as_bytes()], &[]);
        }
    }

    /// The preparer asks.
    pub(super) fn asked(&mut self, mut message: Message) {
        if self.background && !self.detached {
            // The configuration has been read, pass phrases included; this process leads no group, so it cannot fail.
            let _ = nix::unistd::setsid();
            self.detached = true;
        }
        if message.kind == ask::COMMIT {
            self.next.packed = message.fds.pop().map(Rc::new);
            self.next.account = message.words;
            self.committed = true;
            if self.commit().is_err() {
                self.verdict(false);
            }
            return;
        }
        let done = match message.kind {
            ask::LISTEN => self.listen(&message),
            ask::FILE | ask::STATE => {
                let path = PathBuf::from(std::ffi::OsStr::from_bytes(message.word(0)));
                let open = match message.kind {
                    ask::STATE => InProcess.state_file(&path),
                    _ => InProcess.log_file(&path),
                };
                open.map(|file| self.next.files.push(Rc::new((path, file))))
            }
            ask::PROGRAM => self.program(message.word(0), message.word(1) == b"1"),
            ask::ERRORS => {
                self.next.errors = self.next.find_errors(&message);
                Ok(())
            }
            // Whoever stops this may have removed it already.
            ask::PID_FILE if self.state == State::Ending => Err(io::ErrorKind::Interrupted.into()),
            ask::PID_FILE => {
                let path = PathBuf::from(std::ffi::OsStr::from_bytes(message.word(0)));
                daemon::write_pid(&path).map(|()| self.pid_file = Some(path))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        };
        self.answer(done.map_or_else(|error| error.raw_os_error().unwrap_or(5), |()| 0));
    }

    fn listen(&mut self, message: &Message) -> io::Result<()> {
        let addr: SocketAddr =
            String::from_utf8_lossy(message.word(0)).parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        if let Some(open) = self.held.listeners.iter().find(|open| open.addr == addr) {
            self.next.listeners.push(open.clone());
            return Ok(());
        }
        let size = |at| usize::try_from(message.number(at)).unwrap_or(0);
        let options = SocketOptions {
            backlog: i32::try_from(message.number(1)).unwrap_or(511),
            send_buffer: size(2),
            receive_buffer: size(3),
            v6_only: message.number(4) != 0,
            defer_accept: u32::try_from(message.number(6)).unwrap_or(0),
        };
        let is_it = |socket: &TcpListener| socket.local_addr().is_ok_and(|given| given == addr);
        let sockets = match self.given.iter().position(is_it) {
            Some(at) => {
                let socket = self.given.remove(at);
                options.defer(&socket)?;
                vec![socket]
            }
            None => InProcess.listen(addr, &options, size(5))?,
        };
        self.next.listeners.push(Rc::new(Listening { addr, sockets }));
        Ok(())
    }

    fn program(&mut self, command: &[u8], shell: bool) -> io::Result<()> {
        let same = |known: &&Rc<Program>| known.command == command && known.shell == shell;
        let program = match self.held.programs.iter().find(same) {
            Some(running) => running.clone(),
            None => {
                // What it says belongs into the error log, the first thing that is opened.
                let errors = self.next.files.first().map(|file| file.1.as_fd());
                Rc::new(Program::start(command, shell, errors, self.background)?)
            }
        };
        self.next.programs.push(program);
        Ok(())
    }
}
