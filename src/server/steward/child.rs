//! The server's end of the link to the steward.

use std::collections::hash_map::Entry;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::super::reload::{Ask, Received};
use super::{say, tell};
use crate::net::files;
use crate::net::link::{Link, Message};
use crate::net::opener::{Granted, Grants};

/// What becomes of root in the server process.
pub(in super::super) struct Lowered {
    pub(in super::super) user: u32,
    pub(in super::super) group: u32,
    /// The folder that is to be all there is.
    pub(in super::super) folder: Option<PathBuf>,
}

/// How long this process may take to end after the steward has.
const LAST: Duration = Duration::from_millis(900);

/// The steward, as the server knows it.
pub(in super::super) struct Steward {
    link: Arc<Link>,
    /// What it has opened for us.
    pub(in super::super) granted: Arc<Granted>,
}

impl Steward {
    /// The steward that started this process, and what is to become of root's rights.
    pub(in super::super) fn meet() -> io::Result<(Self, Option<Lowered>)> {
        let steward = Self { link: Arc::new(Link::from_stdin()?), granted: Arc::default() };
        let mut grants = Grants::default();
        loop {
            let message = steward.link.receive()?.ok_or(io::ErrorKind::BrokenPipe)?;
            if message.kind == tell::GO {
                let id = |at| u32::try_from(message.number(at)).ok();
                // Without words nobody has anything to give up.
                let account = if (2..4).contains(&message.words.len()) { id(0).zip(id(1)) } else { None };
                if !message.words.is_empty() && account.is_none() {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                let folder = message.words.get(2).map(|folder| PathBuf::from(OsString::from_vec(folder.clone())));
                take_over(&steward.granted, &message, grants)?;
                let account = account.map(|(user, group)| Lowered { user, group, folder });
                return Ok((steward, account));
            }
            collect(&mut grants, message);
        }
    }

    /// Listens to the steward from a thread of its own; what it says comes as `asks`.
    pub(in super::super) fn listen(&self, asks: UnboundedSender<Ask>) -> io::Result<()> {
        let (link, granted) = (self.link.clone(), self.granted.clone());
        std::thread::Builder::new().name("steward".to_owned()).spawn(move || {
            let mut grants = Grants::default();
            while let Ok(Some(message)) = link.receive() {
                let ask = match message.kind {
                    tell::GO => match take_over(&granted, &message, std::mem::take(&mut grants)) {
                        Ok(()) => Ask::GoOver,
                        Err(_) => Ask::Rejected,
                    },
                    tell::SIGNAL => {
                        let removed = message.words.get(1).map(|path| PathBuf::from(OsString::from_vec(path.clone())));
                        match message.word(0) {
                            b"HUP" => Ask::Note(Received::Restart),
                            b"USR1" => Ask::Note(Received::Graceful),
                            b"WINCH" => Ask::Drain { removed },
                            _ => Ask::Terminate { removed },
                        }
                    }
                    tell::REJECTED => Ask::Rejected,
                    tell::PING => Ask::Ping,
                    tell::RETIRE => Ask::Retire,
                    _ => {
                        collect(&mut grants, message);
                        continue;
                    }
                };
                let _ = asks.send(ask);
            }
            // The steward is gone: nobody would restart us, and signals reach nobody.
            let _ = asks.send(Ask::Terminate { removed: None });
            std::thread::sleep(LAST);
            std::process::exit(1);
        })?;
        Ok(())
    }

    /// The configuration handed over last is served, or is not.
    pub(in super::super) fn tell(&self, serves: bool) {
        self.say(if serves { say::READY } else { say::FAILED });
    }

    /// Says that this process is there.
    pub(in super::super) fn pong(&self) {
        self.say(say::PONG);
    }

    fn say(&self, byte: u8) {
        // A steward that is gone is noticed elsewhere.
        let _ = rustix::net::send(&*self.link, &[byte], rustix::net::SendFlags::NOSIGNAL);
    }
}

/// Notes what a message brings.
fn collect(grants: &mut Grants, mut message: Message) {
    let word = |at: usize| message.word(at).to_vec();
    match message.kind {
        tell::LISTENER => {
            let Ok(addr) = String::from_utf8_lossy(message.word(0)).parse() else { return };
            let sockets = message.fds.drain(..).map(TcpListener::from);
            match grants.listeners.entry(addr) {
                Entry::Occupied(mut more) => more.get_mut().extend(sockets),
                Entry::Vacant(first) => {
                    first.insert(sockets.collect());
                }
            }
        }
        tell::FILE => {
            let path = PathBuf::from(OsString::from_vec(word(0)));
            grants.files.extend(message.fds.drain(..).map(|fd| (path.clone(), fd.into())));
        }
        tell::PROGRAM => {
            let key = (word(0), message.word(1) == b"1");
            grants.programs.extend(message.fds.drain(..).map(|fd| (key.clone(), fd)));
        }
        _ => {}
    }
}

fn take_over(granted: &Granted, message: &Message, grants: Grants) -> io::Result<()> {
    let packed = message.fds.first().ok_or(io::ErrorKind::InvalidData)?;
    files::give(packed.as_fd())?;
    granted.grant(grants);
    Ok(())
}
