//! Messages with descriptors over a socket pair: between the steward, the server process, and whoever prepares a
//! configuration for them.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// The most descriptors of one message.
pub const MOST_FDS: usize = 64;

/// The longest message.
const LONGEST: usize = 1 << 20;

/// How long whoever has begun a message may pause.
const PAUSE: Duration = Duration::from_secs(5);

/// One message.
#[derive(Debug)]
pub struct Message {
    /// What it is.
    pub kind: u8,
    /// Its words.
    pub words: Vec<Vec<u8>>,
    /// Descriptors that came with it.
    pub fds: Vec<OwnedFd>,
}

impl Message {
    /// A word; empty when there is none.
    pub fn word(&self, at: usize) -> &[u8] {
        self.words.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    /// A word that is a number; 0 when it is none.
    pub fn number(&self, at: usize) -> i64 {
        std::str::from_utf8(self.word(at)).ok().and_then(|word| word.parse().ok()).unwrap_or(0)
    }
}

/// One end of a socket pair.
#[derive(Debug)]
pub struct Link {
    stream: UnixStream,
}

impl Link {
    /// Two ends.
    ///
    /// # Errors
    /// The system's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        Ok((Self::over(one)?, Self::over(other)?))
    }

    /// This end.
    ///
    /// # Errors
    /// The system's.
    pub fn over(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream })
    }

    /// The end that this process was started with as its standard input, which is nothing from here on.
    ///
    /// # Errors
    /// The system's; or it is no socket.
    pub fn from_stdin() -> io::Result<Self> {
        let end = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::net::sockopt::socket_type(&end)?;
        nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Self::over(UnixStream::from(end))
    }

    /// The same end once more, to learn from when there is something to receive.
    ///
    /// # Errors
    /// The system's.
    pub fn watched(&self) -> io::Result<tokio::net::UnixStream> {
        tokio::net::UnixStream::from_std(self.stream.try_clone()?)
    }

    /// The end as a child's standard input.
    pub fn into_fd(self) -> OwnedFd {
        self.stream.into()
    }

    /// Sends a message; waits for a reader that is behind, but not for ever.
    ///
    /// # Errors
    /// The system's; [`ErrorKind::TimedOut`] for a reader that does not read.
    pub fn send(&self, kind: u8, words: &[&[u8]], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut body = Vec::new();
        for word in words {
            body.extend_from_slice(&u32::try_from(word.len()).unwrap_or(u32::MAX).to_le_bytes());
            body.extend_from_slice(word);
        }
        if body.len() > LONGEST || fds.len() > MOST_FDS {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut head = [0; 8];
        head[0] = kind;
        head[4..].copy_from_slice(&u32::try_from(body.len()).unwrap_or(0).to_le_bytes());
        // Descriptors go with the head alone, so that a reader never takes two messages' together.
        self.write(&head, fds)?;
        self.write(&body, &[])
    }

    fn write(&self, mut bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut first = true;
        while !bytes.is_empty() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if first && !fds.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(fds));
            }
            match sendmsg(&self.stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
                Ok(n) => {
                    bytes = bytes.get(n..).unwrap_or_default();
                    first = false;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => self.wait(PollFlags::OUT, Some(PAUSE))?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next message, waited for without end; `None` when the other end is closed.
    ///
    /// # Errors
    /// The system's; [`ErrorKind::InvalidData`] for what is no message.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        loop {
            match self.receive_now() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::IN, None)?,
                received => return received,
            }
        }
    }

    /// The next message if it has begun to come.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if it has not; else as [`Link::receive`].
    pub fn receive_now(&self) -> io::Result<Option<Message>> {
        let (mut head, mut fds) = ([0; 8], Vec::new());
        let mut have = 0;
        while have < head.len() {
            let rest = head.get_mut(have..).unwrap_or_default();
            match self.read(rest, &mut fds) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => have += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock && have > 0 => {
                    self.wait(PollFlags::IN, Some(PAUSE))?;
                }
                Err(error) => return Err(error),
            }
        }
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if length > LONGEST {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut body = vec![0; length];
        let mut have = 0;
        while have < length {
            match self.read(body.get_mut(have..).unwrap_or_default(), &mut fds) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => have += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::IN, Some(PAUSE))?,
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Message { kind: head[0], words: words(&body)?, fds }))
    }

    fn read(&self, into: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            match recvmsg(&self.stream, &mut [IoSliceMut::new(into)], &mut control, flags) {
                Err(rustix::io::Errno::INTR) => {}
                received => break received?,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        Ok(received.bytes)
    }

    fn wait(&self, what: PollFlags, most: Option<Duration>) -> io::Result<()> {
        let most = most.map(|most| Timespec { tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 });
        loop {
            match poll(&mut [PollFd::new(&self.stream, what)], most.as_ref()) {
                Ok(0) => return Err(ErrorKind::TimedOut.into()),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn words(mut body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    while let Some((length, rest)) = body.split_first_chunk::<4>() {
        let (word, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(ErrorKind::InvalidData)?;
        words.push(word.to_vec());
        body = rest;
    }
    if body.is_empty() { Ok(words) } else { Err(ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn messages_come_one_by_one_with_their_own_descriptors() {
        let (one, other) = Link::pair().unwrap();
        assert_eq!(other.receive_now().unwrap_err().kind(), ErrorKind::WouldBlock);
        let (reader, mut writer) = io::pipe().unwrap();
        one.send(1, &[b"a", b""], &[]).unwrap();
        one.send(2, &[], &[reader.as_fd(), reader.as_fd()]).unwrap();
        one.send(3, &[b"-17"], &[reader.as_fd()]).unwrap();
        drop(reader);
        let first = other.receive().unwrap().unwrap();
        assert_eq!((first.kind, first.words.as_slice(), first.fds.len()), (1, &[b"a".to_vec(), Vec::new()][..], 0));
        let second = other.receive().unwrap().unwrap();
        assert_eq!((second.kind, second.fds.len()), (2, 2));
        let mut third = other.receive().unwrap().unwrap();
        assert_eq!((third.number(0), third.number(1), third.fds.len()), (-17, 0, 1));
        drop(second);
        writer.write_all(b"x").unwrap();
        drop(writer);
        let mut text = String::new();
        io::PipeReader::from(third.fds.remove(0)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        drop(one);
        assert!(other.receive().unwrap().is_none());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let (one, other) = Link::pair().unwrap();
        one.write(&[1, 0, 0, 0, 255, 255, 255, 255], &[]).unwrap();
        assert_eq!(other.receive().unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(words(&[1, 0, 0]).is_err() && words(&[2, 0, 0, 0, 1]).is_err());
        assert!(one.send(0, &[&vec![0; LONGEST]], &[]).is_err());
    }
}
