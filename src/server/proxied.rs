//! The PROXY header in front of a connection, where mod_remoteip asks for one.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use super::link::Link;
use crate::base::addr::ip_text;
use crate::codec::proxy_header::{LONGEST, ProxyHeaderError, parse_proxy_header};
use crate::logs::{self, Bytes, Errno, Level, OfConn};
use crate::web::{Conn, Live};

/// No header, or none that can be taken: the connection is over, without an answer.
pub(super) struct Refused;

/// Takes the header off the connection and remembers the client it names.
pub(super) async fn read_header(live: &Live, link: &mut Link, conn: &Conn) -> Result<(), Refused> {
    let of = OfConn(live, conn);
    let (ip, port) = (Bytes(&conn.local_ip), conn.local.port());
    logs::error!(
        of,
        Level::Debug,
        "remoteip",
        "AH03503: RemoteIPProxyProtocol: enabled on connection to {}:{}",
        ip,
        port
    );
    let mut buf = [0; LONGEST];
    let mut have = 0;
    let header = loop {
        let seen = match more(link, buf.get_mut(have..).unwrap_or_default(), false).await {
            Ok(0) => {
                let text = "AH10634: RemoteIPProxyProtocol: connection closed before a complete header was received";
                logs::error!(of, Level::Info, "remoteip", Errno::EOF => "{}", text);
                return Err(Refused);
            }
            Ok(seen) => seen,
            Err(_) => return Err(Refused),
        };
        let parsed = parse_proxy_header(buf.get(..have + seen).unwrap_or_default());
        let end = match &parsed {
            Ok(Some(header)) => header.len,
            Ok(None) => have + seen,
            Err(ProxyHeaderError::Missing) => return Err(Refused),
            Err(error) => {
                logs::error!(of, Level::Error, "remoteip", "{}", error);
                return Err(Refused);
            }
        };
        while have < end {
            match more(link, buf.get_mut(have..end).unwrap_or_default(), true).await {
                Ok(0) | Err(_) => return Err(Refused),
                Ok(taken) => have += taken,
            }
        }
        if let Ok(Some(header)) = parsed {
            break header;
        }
    };
    let (ip, port) = match header.client {
        Some(client) => (ip_text(client.ip()), client.port()),
        None => (conn.peer_ip.clone(), conn.peer.port()),
    };
    let text = "AH03511: RemoteIPProxyProtocol: received valid PROXY header:";
    logs::error!(of, Level::Debug, "remoteip", "{} {}:{}", text, Bytes(&ip), port);
    if buf.starts_with(b"PROXY UNKNOWN\r\n") && header.len == 15 {
        // httpd has read a line more by then, and gives up.
        let next = more(link, &mut buf, false).await.unwrap_or(0);
        let line = buf.get(..next).and_then(|text| memchr::memchr(b'\n', text)).map_or(next, |end| end + 1);
        logs::error!(
            of,
            Level::Error,
            "remoteip",
            "AH03513: RemoteIPProxyProtocol: internal error: have data left over;  need=15, rcvd={}, brigade-empty=1",
            15 + line
        );
        return Err(Refused);
    }
    let _ = conn.forwarded.set((ip, port));
    Ok(())
}

/// Some bytes, taken or only looked at; an error when the time is over.
async fn more(link: &mut Link, buf: &mut [u8], take: bool) -> io::Result<usize> {
    poll_fn(|cx| {
        let polled = if take { link.poll_read(cx, buf) } else { link.poll_peek(cx, buf) };
        match polled {
            Poll::Pending => link.poll_timer(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            ready => ready,
        }
    })
    .await
}
