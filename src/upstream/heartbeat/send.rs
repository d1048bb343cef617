//! Says once a second how this server is.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

use crate::logs::{self, Errno, Level, OfServer};
use crate::web::Live;

/// How often.
const BEAT: Duration = Duration::from_secs(1);

/// A sender; it ends when this is dropped.
pub struct Sending(AbortHandle);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends to this address, on this thread's runtime. `figures` are how many more requests there is room for, and how
/// many are being served.
pub fn send(live: Live, to: SocketAddrV4, figures: impl Fn(&Live) -> (usize, usize) + 'static) -> Sending {
    let live = Rc::new(live);
    let task = async move {
        let mut beats = tokio::time::interval(BEAT);
        loop {
            beats.tick().await;
            let (ready, busy) = figures(&live);
            let message = format!("v=1&ready={ready}&busy={busy}");
            if let Err((text, error)) = say(to, message.as_bytes()).await {
                let main = OfServer(&live, 0);
                logs::error!(main, Level::Warn, "heartbeat", Errno::from(&error) => "{text}");
            }
        }
    };
    Sending(tokio::task::spawn_local(task).abort_handle())
}

async fn say(to: SocketAddrV4, message: &[u8]) -> Result<(), (&'static str, io::Error)> {
    // A new one each time, as the way there may change.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await;
    let socket = socket.map_err(|error| ("AH02097: Heartbeat: apr_socket_create failed", error))?;
    socket.set_multicast_loop_v4(true).map_err(|error| ("AH02098: Heartbeat: apr_mcast_loopback failed", error))?;
    socket.send_to(message, to).await.map_err(|error| ("AH02099: Heartbeat: apr_socket_sendto failed", error))?;
    Ok(())
}
