//! Hears heartbeats, and keeps the file up to date where there is one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use super::record::{Monitor, PORT, Words};
use super::storage;
use crate::base::clock::{Clock, SystemClock};
use crate::logs::{self, Errno, Level, OfServer};
use crate::web::Live;

/// How often the file is written, and the silent are forgotten.
const UPDATE: Duration = Duration::from_secs(5);
/// More of a message is not read.
const LONGEST: usize = 1000;

/// A listener; it ends when this is dropped.
pub struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Hears what comes to this address, on this thread's runtime. Without a file it stays in memory.
pub fn listen(live: Live, at: SocketAddrV4, monitor: Arc<Monitor>, file: Option<PathBuf>) -> Listening {
    let live = Rc::new(live);
    let task = async move {
        let main = OfServer(&live, 0);
        match open(at) {
            Ok(socket) => {
                logs::error!(main, Level::Debug, "heartmonitor", "AH02091: _heartmonitor_ listener started.");
                hear(&live, &socket, &monitor, file).await;
            }
            Err((text, error)) => {
                let errno = Errno::from(&error);
                logs::error!(main, Level::Crit, "heartmonitor", errno => "{text}");
                let errno = Errno::from(&error);
                logs::error!(main, Level::Crit, "heartmonitor", errno => "AH02090: Unable to listen for connections!");
            }
        }
    };
    Listening(tokio::task::spawn_local(task).abort_handle())
}

type Failed = (&'static str, io::Error);

fn open(at: SocketAddrV4) -> Result<UdpSocket, Failed> {
    let failed = |text: &'static str| move |error: io::Error| (text, error);
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))
        .map_err(failed("AH02068: Failed to create listening socket."))?;
    socket.set_reuse_address(true).map_err(failed("AH02069: Failed to set APR_SO_REUSEADDR to 1 on socket."))?;
    socket.set_nonblocking(true).map_err(failed("AH02070: Failed to set APR_SO_NONBLOCK to 1 on socket."))?;
    socket.bind(&SocketAddr::V4(at).into()).map_err(failed("AH02071: Failed to bind on socket."))?;
    socket
        .join_multicast_v4(at.ip(), &Ipv4Addr::UNSPECIFIED)
        .map_err(failed("AH02072: Failed to join multicast group"))?;
    socket.set_multicast_loop_v4(true).map_err(failed("AH02073: Failed to accept localhost mulitcast on socket."))?;
    UdpSocket::from_std(socket.into()).map_err(failed("AH02068: Failed to create listening socket."))
}

async fn hear(live: &Live, socket: &UdpSocket, monitor: &Monitor, file: Option<PathBuf>) {
    let main = OfServer(live, 0);
    let mut message = [0; LONGEST];
    // The first time is now.
    let mut ticks = tokio::time::interval(UPDATE);
    loop {
        let heard = tokio::select! {
            heard = socket.recv_from(&mut message) => heard,
            _ = ticks.tick() => {
                let now = SystemClock.wall();
                monitor.forget(now);
                if let Some(Err(error)) = file.as_ref().map(|path| storage::write(path, &monitor.records(now))) {
                    let errno = Errno::from(error.errno());
                    logs::error!(main, Level::Error, "heartmonitor", errno => "{error}");
                }
                continue;
            }
        };
        match heard {
            Ok((len, from)) => {
                let text = message.get(..len).unwrap_or_default();
                match understand(text) {
                    Some(said) => {
                        let [_, ready, busy] = said;
                        logs::error!(main, Level::Debug, "heartmonitor", "AH02086: {from} busy={busy} ready={ready}");
                        monitor.hear(from.ip().to_canonical(), said, SystemClock.wall());
                    }
                    None => logs::error!(main, Level::Crit, "heartmonitor", "AH02087: malformed message from {from}"),
                }
            }
            Err(error) => {
                logs::error!(main, Level::Crit, "heartmonitor", Errno::from(&error) => "AH02089: recvfrom failed");
                // Whatever it is, it is not gone at once.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Port, ready and busy of a message.
fn understand(message: &[u8]) -> Option<[i32; 3]> {
    let text = message.split(|byte| *byte == 0).next().unwrap_or_default();
    let words = Words::parse(text);
    words.get("v")?;
    Some([words.number("port").unwrap_or(PORT), words.number("ready")?, words.number("busy")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_a_version_and_both_numbers() {
        assert_eq!(understand(b"v=1&ready=75&busy=0"), Some([80, 75, 0]));
        assert_eq!(understand(b"v&ready=1&busy=2&port=8080\0&busy=9"), Some([8080, 1, 2]));
        for wrong in [&b""[..], b"ready=1&busy=2", b"v=1&ready=1", b"v=1&busy=1", b"\xff\xfe"] {
            assert_eq!(understand(wrong), None);
        }
    }
}
