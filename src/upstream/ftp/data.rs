//! The data connection: to where the server listens (EPSV, PASV), or from it to us (PORT).

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::control::{Control, Reply};
use super::{Failed, said};
use crate::logs::{self, Errno, Level, OfServer};
use crate::web::Exchange;

/// Bytes that are read at once.
pub(super) const CHUNK: usize = 16 * 1024;

/// A data connection, or one that the server will make.
pub(super) enum Data {
    Open(Stream),
    Awaited(TcpListener, IpAddr, Duration),
}

/// An open one.
pub(super) struct Stream {
    socket: TcpStream,
    timeout: Duration,
}

impl Data {
    /// The connection, once it is there. Only the server itself may make it.
    pub(super) async fn connected(self) -> io::Result<Stream> {
        let (listener, server, timeout) = match self {
            Self::Open(stream) => return Ok(stream),
            Self::Awaited(listener, server, timeout) => (listener, server, timeout),
        };
        let accepted = async {
            loop {
                let (socket, from) = listener.accept().await?;
                if from.ip().to_canonical() == server {
                    return Ok::<_, io::Error>(socket);
                }
            }
        };
        match tokio::time::timeout(timeout, accepted).await {
            Ok(socket) => Ok(Stream { socket: socket?, timeout }),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Stream {
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(into);
        Pin::new(&mut self.socket).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }

    pub(super) async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let timeout = self.timeout;
        match tokio::time::timeout(timeout, poll_fn(|cx| self.poll_read(cx, into))).await {
            Ok(read) => read,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Opens a data connection in the first way that the server understands.
pub(super) async fn open(ex: &Exchange, control: &mut Control, timeout: Duration) -> Result<Data, Failed> {
    let (Some(peer), Some(local)) = (control.link().peer(), control.link().local()) else {
        return Err(Failed::Answer(500));
    };
    let reply = control.command(&[b"EPSV"]).await?;
    match reply.code {
        229 => {
            if let Some(port) = extended_port(&reply.text) {
                let at = SocketAddr::new(peer.ip(), port);
                return connect(ex, at, timeout, "AH01043: EPSV").await;
            }
        }
        500..=502 => {}
        _ => return Err(said(502, &reply)),
    }
    let reply = control.command(&[b"PASV"]).await?;
    match reply.code {
        227 => {
            if let Some(at) = passive_address(&reply) {
                let server = OfServer(&ex.live, ex.server);
                logs::error!(server, Level::Debug, "proxy_ftp", "AH01044: PASV contacting host {at}");
                if at.ip() != peer.ip().to_canonical() {
                    // Whoever else is there is nobody the client may reach through us.
                    return Err(Failed::Page(403, "PASV address does not match FTP server".to_owned()));
                }
                return connect(ex, at, timeout, "AH01048: PASV").await;
            }
        }
        502 => {}
        _ => return Err(said(502, &reply)),
    }
    await_server(ex, control, peer, local, timeout).await
}

async fn connect(ex: &Exchange, at: SocketAddr, timeout: Duration, how: &str) -> Result<Data, Failed> {
    let connecting = async {
        let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_nodelay(true)?;
        socket.connect(at).await
    };
    let connected = tokio::time::timeout(timeout, connecting).await;
    match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(socket) => Ok(Data::Open(Stream { socket, timeout })),
        Err(error) => {
            let errno = Errno::from(&error);
            let server = OfServer(&ex.live, ex.server);
            logs::error!(server, Level::Error, "proxy_ftp", errno => "{how} attempt to connect to {at} failed - Firewall/NAT?");
            let how = how.split(": ").nth(1).unwrap_or_default();
            Err(Failed::Page(502, format!("{how} attempt to connect to {at} failed - firewall/NAT?")))
        }
    }
}

/// Listens, and tells the server where.
async fn await_server(
    ex: &Exchange,
    control: &mut Control,
    peer: SocketAddr,
    local: SocketAddr,
    timeout: Duration,
) -> Result<Data, Failed> {
    let IpAddr::V4(ip) = local.ip().to_canonical() else {
        let text = "Connect to IPV6 ftp server using EPRT not supported. Enable EPSV.";
        return Err(Failed::Page(501, text.to_owned()));
    };
    let listener = TcpListener::bind((ip, 0)).await;
    let bound = listener.and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
    let (port, listener) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            let errno = Errno::from(&error);
            logs::error!(ex, Level::Error, "proxy_ftp", errno => "AH01051: error binding to ftp data socket {ip}");
            return Err(Failed::Answer(500));
        }
    };
    let ([a, b, c, d], [high, low]) = (ip.octets(), port.to_be_bytes());
    let reply = control.command(&[format!("PORT {a},{b},{c},{d},{high},{low}").as_bytes()]).await?;
    match reply.code {
        200 => Ok(Data::Awaited(listener, peer.ip().to_canonical(), timeout)),
        _ => Err(said(502, &reply)),
    }
}

/// The server did not come.
pub(super) fn not_accepted(ex: &Exchange, error: &io::Error) -> Failed {
    let errno = Errno::from(error);
    logs::error!(ex, Level::Error, "proxy_ftp", errno => "AH01053: failed to accept data connection");
    Failed::Answer(502)
}

/// `(|||port|)`, with any byte in place of the bar.
fn extended_port(text: &[u8]) -> Option<u16> {
    let open = memchr::memchr(b'(', text)?;
    let [bar, second, third, rest @ ..] = text.get(open + 1..)? else { return None };
    if bar != second || bar != third {
        return None;
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let port: u16 = std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()?;
    (port != 0 && rest.get(digits..)?.starts_with(&[*bar, b')'])).then_some(port)
}

/// `h1,h2,h3,h4,p1,p2` behind the first word: behind `=`, or in brackets.
fn passive_address(reply: &Reply) -> Option<SocketAddr> {
    let space = memchr::memchr(b' ', &reply.text)?;
    let rest = reply.text.get(space + 1..)?;
    let list = match rest.strip_prefix(b"=") {
        Some(list) => list,
        None => rest.get(memchr::memchr(b'(', rest)? + 1..)?,
    };
    let end = list.iter().position(|byte| !byte.is_ascii_digit() && *byte != b',').unwrap_or(list.len());
    let mut numbers = std::str::from_utf8(list.get(..end)?).ok()?.split(',').map(|number| number.parse::<u8>().ok());
    let mut next = || numbers.next().flatten();
    let ip = [next()?, next()?, next()?, next()?];
    let port = u16::from_be_bytes([next()?, next()?]);
    Some(SocketAddr::new(IpAddr::from(ip), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_servers_write_them() {
        assert_eq!(extended_port(b"Entering Extended Passive Mode (|||6446|)"), Some(6446));
        assert_eq!(extended_port(b"x (!!!1!) y"), Some(1));
        for wrong in ["", "(|||6446)", "(||6446|)", "(|||0|)", "(|||65536|)", "(|||6446|", "(|||x|)", "("] {
            assert_eq!(extended_port(wrong.as_bytes()), None, "{wrong}");
        }
        let at = |text: &str| passive_address(&Reply { code: 227, text: text.as_bytes().to_vec() });
        let wanted = Some(SocketAddr::from(([127, 0, 0, 1], 4660)));
        assert_eq!(at("Entering Passive Mode (127,0,0,1,18,52)."), wanted);
        assert_eq!(at("Entering =127,0,0,1,18,52"), wanted);
        for wrong in ["", "Entering", "x (127,0,0,1,18)", "x (127,0,0,256,1,1)", "x (1,2,3,4,5,", "x y"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
