//! Raw bytes both ways between a client and a backend, until both have ended or nothing moved for long enough.
//!
//! A tunnel that is quiet holds no buffer: what is read goes through memory of the thread and is copied only where the
//! other side does not take it at once.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::link::Link;
use crate::web::{Tunnel, Wire};

/// What one read takes at most.
const ROOM: usize = 32 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; ROOM].into_boxed_slice());
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides have said all they had to say.
    Closed,
    /// Reading or writing failed.
    Broken,
    /// Nothing moved.
    Idle,
}

/// One of the two ends.
trait Side {
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    fn write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;
    fn shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

struct Client<'a>(&'a mut dyn Tunnel);

impl Side for Client<'_> {
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buf)
    }

    fn write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, data)
    }

    fn shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

struct Backend<'a>(&'a mut Link);

impl Side for Backend<'_> {
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read_raw(cx, buf)
    }

    fn write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write_raw(cx, data)
    }

    fn shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

/// One direction.
#[derive(Default)]
struct Flow {
    /// Read, and not taken by the other side yet.
    pending: Vec<u8>,
    sent: usize,
    /// The source has ended.
    ended: bool,
    /// The other side knows.
    told: bool,
    /// Anything was ever sent.
    any: bool,
}

impl Flow {
    fn with(pending: Vec<u8>) -> Self {
        Self { pending, ..Self::default() }
    }

    /// Moves what can be moved; whether anything was.
    fn pump(&mut self, cx: &mut Context<'_>, from: &mut impl Side, to: &mut impl Side) -> io::Result<bool> {
        let mut moved = false;
        loop {
            while let Some(rest) = self.pending.get(self.sent..).filter(|rest| !rest.is_empty()) {
                match to.write(cx, rest) {
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(written) => {
                        self.sent += written?;
                        self.any = true;
                    }
                    Poll::Pending => return Ok(moved),
                }
                moved = true;
            }
            // Memory goes with what it held.
            (self.pending, self.sent) = (Vec::new(), 0);
            if self.ended {
                if !self.told {
                    // Whoever cannot be told has gone.
                    self.told = to.shutdown(cx).is_ready();
                    moved |= self.told;
                }
                return Ok(moved);
            }
            let read = SCRATCH.with_borrow_mut(|scratch| match from.read(cx, scratch) {
                Poll::Ready(Ok(n)) => {
                    let data = scratch.get(..n).unwrap_or_default();
                    let mut done = 0;
                    while done < n {
                        match to.write(cx, data.get(done..).unwrap_or_default()) {
                            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                            Poll::Ready(Ok(more)) => {
                                done += more;
                                self.any = true;
                            }
                            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                            Poll::Pending => {
                                self.pending.extend_from_slice(data.get(done..).unwrap_or_default());
                                break;
                            }
                        }
                    }
                    Poll::Ready(Ok(n))
                }
                other => other,
            });
            match read {
                Poll::Pending => return Ok(moved),
                Poll::Ready(n) => self.ended = n? == 0,
            }
            moved = true;
            if !self.pending.is_empty() {
                return Ok(moved);
            }
        }
    }
}

/// Carries bytes both ways; `greeting` and what the backend has sent already go first. Says how it ended and whether the
/// client was sent anything. `None`: the client's protocol cannot.
pub(super) async fn run(wire: &mut dyn Wire, link: &mut Link, greeting: &[u8], idle: Duration) -> Option<(End, bool)> {
    let mut client = Client(wire.tunnel()?);
    let ahead = [greeting, link.input()].concat();
    link.forget_lane();
    let mut backend = Backend(link);
    let (mut down, mut up) = (Flow::with(ahead), Flow::default());
    let idle = idle.min(Duration::from_secs(10 * 365 * 86_400));
    let mut last = Instant::now();
    let mut timer = Box::pin(sleep_until(last + idle));
    let end = poll_fn(|cx| {
        let moved = up.pump(cx, &mut client, &mut backend).and_then(|up| {
            let down = down.pump(cx, &mut backend, &mut client)?;
            Ok(up || down)
        });
        match moved {
            Err(_) => return Poll::Ready(End::Broken),
            Ok(_) if up.told && down.told => return Poll::Ready(End::Closed),
            Ok(true) => last = Instant::now(),
            Ok(false) => {}
        }
        while timer.as_mut().poll(cx).is_ready() {
            if last + idle <= timer.deadline() {
                return Poll::Ready(End::Idle);
            }
            timer.as_mut().reset(last + idle);
        }
        Poll::Pending
    });
    let end = end.await;
    Some((end, down.any))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// What it says, and how much it takes at once.
    #[derive(Default)]
    struct Script {
        says: VecDeque<Vec<u8>>,
        ends: bool,
        heard: Vec<u8>,
        takes: usize,
        told: bool,
    }

    impl Side for Script {
        fn read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            match self.says.pop_front() {
                Some(data) => {
                    buf[..data.len()].copy_from_slice(&data);
                    Poll::Ready(Ok(data.len()))
                }
                None if self.ends => Poll::Ready(Ok(0)),
                None => Poll::Pending,
            }
        }

        fn write(&mut self, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            let n = self.takes.min(data.len());
            if n == 0 {
                return Poll::Pending;
            }
            self.takes -= n;
            self.heard.extend_from_slice(&data[..n]);
            Poll::Ready(Ok(n))
        }

        fn shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.told = true;
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_is_not_taken_waits_and_nothing_more_is_read() {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut from = Script { says: [b"abcd".to_vec(), b"ef".to_vec()].into(), ends: true, ..Script::default() };
        let mut to = Script { takes: 3, ..Script::default() };
        let mut flow = Flow::with(b"x".to_vec());
        assert!(flow.pump(&mut cx, &mut from, &mut to).unwrap());
        assert_eq!((to.heard.as_slice(), from.says.len(), to.told), (&b"xab"[..], 1, false));
        assert!(!flow.pump(&mut cx, &mut from, &mut to).unwrap());
        to.takes = 100;
        assert!(flow.pump(&mut cx, &mut from, &mut to).unwrap());
        assert_eq!((to.heard.as_slice(), to.told), (&b"xabcdef"[..], true));
        assert!(!flow.pump(&mut cx, &mut from, &mut to).unwrap());
    }
}
