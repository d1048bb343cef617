//! Connections of `ProtocolEcho`: what the client sends goes back to it, until it has sent all.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::Poll;
use std::time::Duration;

use super::conn::{Place, Woken, idle};
use super::link::Link;

/// Bytes that are read at once.
const PIECE: usize = 8192;

/// Echoes to the end of the connection, or until nothing moves for `timeout`, or until the server ends.
pub(super) async fn serve(place: &Place, link: &mut Link, timeout: Duration) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        link.wait_for(timeout);
        match poll_fn(|cx| idle(link, place, cx)).await {
            Woken::Readable => {}
            Woken::Late | Woken::Drain => return Ok(()),
        }
        let read = poll_fn(|cx| match link.poll_read(cx, &mut buffer) {
            Poll::Pending => link.poll_timer(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            read => read,
        });
        let read = read.await?;
        if read == 0 {
            return Ok(());
        }
        let mut rest = buffer.get(..read).unwrap_or_default();
        while !rest.is_empty() {
            link.wait_for(timeout);
            let sent = poll_fn(|cx| match link.poll_write(cx, &[IoSlice::new(rest)]) {
                Poll::Pending => link.poll_timer(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
                sent => sent,
            });
            rest = rest.get(sent.await?..).unwrap_or_default();
        }
        poll_fn(|cx| link.poll_flush(cx)).await?;
    }
}
