//! The handshake of a client connection: which server's it is, and how it ends.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::server::{Accepted, Acceptor};
use rustls::{Connection, HandshakeKind, PeerIncompatible, ProtocolVersion, ServerConnection};
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;

use super::threads::Thread;
use crate::config::Server;
use crate::logs::{self, Bytes, Errno, Level, OfConn, OfServer};
use crate::modules::ssl::{Run, SslServer, id_of, write_line};
use crate::net::ciphers;
use crate::net::secured::{Blocking, Secured};
use crate::net::{minutes, ocsp, reasons};
use crate::web::{Conn, Live, Peer, Secure};

/// How a handshake ended.
pub(super) enum Shaken {
    /// TLS is spoken.
    Done(Box<Secured<TcpStream>>),
    /// The client speaks HTTP.
    Plain(TcpStream),
    /// There is no session, and it has been said why.
    Failed(TcpStream),
}

/// An alert for bytes that rustls has no words for: unexpected_message.
const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 10];

/// The alert for a hello of a version before TLS 1.2; rustls would miss something else in it first.
const PROTOCOL_VERSION: [u8; 7] = [21, 3, 3, 0, 2, 2, 70];

/// The alert for a hello that no certificate of ours goes with; rustls would deny access.
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// Why there is no session.
enum Failure {
    /// The client's first bytes are those of a request.
    Http,
    Socket(io::Error),
    Protocol(rustls::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(inner) => Self::Protocol(inner.clone()),
            None => Self::Socket(error),
        }
    }
}

/// Remembers the first bytes that come.
struct Sniff<'a, R> {
    from: R,
    first: &'a mut First,
}

#[derive(Default)]
struct First {
    /// The header of a record, and of a hello with its version.
    bytes: [u8; 11],
    len: usize,
}

/// The length of the header of a record.
const HEADER: usize = 5;

impl First {
    /// What OpenSSL takes for the beginning of a request.
    fn is_http(&self) -> bool {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        [&b"GET "[..], b"POST ", b"HEAD ", b"PUT "].iter().any(|method| bytes.starts_with(method))
    }

    /// A record of a handshake, or an alert about one.
    fn is_tls(&self) -> bool {
        matches!(self.bytes, [20..=23, 3, ..])
    }

    /// A hello of a version before TLS 1.2.
    fn is_old_hello(&self) -> bool {
        self.len == self.bytes.len() && matches!(self.bytes, [22, 3, .., 3, 0..=2])
    }
}

impl<R: Read> Read for Sniff<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // The header of the first record alone, so that what is no record is known before more of it is read.
        let most = HEADER.checked_sub(self.first.len).filter(|rest| *rest > 0).unwrap_or(into.len()).min(into.len());
        let n = self.from.read(into.get_mut(..most).unwrap_or_default())?;
        let seen = into.get(..n).unwrap_or_default();
        for (to, byte) in self.first.bytes.iter_mut().skip(self.first.len).zip(seen) {
            *to = *byte;
        }
        self.first.len = (self.first.len + n).min(self.first.bytes.len());
        Ok(n)
    }
}

/// Shakes hands with a client, within Timeout.
pub(super) async fn shake_hands(thread: &Thread, mut tcp: TcpStream, conn: &Conn) -> Shaken {
    let fronts = thread.fronts();
    let live = fronts.live.clone();
    let default = conn.default_server.get();
    let server = |at: usize| live.generation.servers.get(at);
    let name = || server(default).map(id_of).unwrap_or_default();
    // Who answers in the end, once the client has said whom it wants.
    let meant = Cell::new(default);
    let closing = || server(meant.get()).map(id_of).unwrap_or_default();
    let timeout = fronts.of(default).handshake_timeout;
    logs::error!(
        OfConn(&live, conn),
        Level::Info,
        "ssl",
        "AH01964: Connection to child {} established (server {})",
        conn.id,
        name()
    );
    let shaken = tokio::time::timeout(timeout, async {
        let accepted = accept(&mut tcp).await?;
        let hello = accepted.client_hello();
        let sni: Option<Box<[u8]>> = hello.server_name().map(|name| name.to_ascii_lowercase().into_bytes().into());
        let names = live.generation.select.names(conn.local);
        let named = sni.as_deref().and_then(|sni| names.and_then(|names| names.find(sni)));
        meant.set(named.unwrap_or(default));
        // A host without TLS of its own is served under the default one's.
        let named_run = named.and_then(|at| fronts.of(at).tls.clone());
        let Some(run) = named_run.or_else(|| fronts.of(default).tls.clone()) else {
            return Err(Failure::Socket(io::ErrorKind::NotConnected.into()));
        };
        let config = run.for_offer(hello.alpn()).clone();
        let session = match accepted.into_connection(config) {
            Ok(session) => session,
            Err((error, _)) if reasons::is_nothing_shared(&error) => {
                send(&mut tcp, |to| {
                    to.extend_from_slice(&HANDSHAKE_FAILURE);
                    Ok(())
                })
                .await;
                return Err(Failure::Protocol(error));
            }
            Err((error, mut alert)) => {
                send(&mut tcp, |to| alert.write_all(to)).await;
                return Err(Failure::Protocol(error));
            }
        };
        Ok((session, sni, named, run))
    });
    let shaken = match shaken.await {
        Ok(shaken) => shaken,
        Err(_) => Err(Failure::Socket(io::ErrorKind::TimedOut.into())),
    };
    let (session, sni, named, run) = match shaken {
        Ok(parts) => parts,
        Err(failure) => return failed(&failure, tcp, &live, conn, [&name(), &closing()]),
    };
    let session = Connection::Server(session);
    let mut lines = Vec::new();
    let shaken = if run.clients.as_ref().is_some_and(|clients| clients.ocsp.is_some()) {
        let aside = tokio::time::timeout(timeout, ocsp::aside(&mut tcp, session, &mut lines)).await;
        match aside.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(session) => Ok(Box::new(Secured::new(tcp, session))),
            Err(error) => Err((error, tcp)),
        }
    } else {
        let mut secured = Box::new(Secured::new(tcp, session));
        let shaken = tokio::time::timeout(
            timeout,
            poll_fn(|cx| {
                if run.clients.is_none() {
                    return secured.poll_handshake(cx);
                }
                let (polled, said) = minutes::keep(|| secured.poll_handshake(cx));
                lines.extend(said);
                polled
            }),
        );
        match shaken.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(()) => Ok(secured),
            Err(error) => Err((error, secured.into_socket())),
        }
    };
    lines.iter().for_each(|line| {
        if line.of_client { write_line(OfConn(&live, conn), line) } else { write_line(OfServer(&live, default), line) }
    });
    let secured = match shaken {
        Ok(secured) => secured,
        Err((error, tcp)) => {
            report(&error.into(), &live, conn, [&name(), &closing()]);
            return Shaken::Failed(tcp);
        }
    };
    if let Connection::Server(session) = secured.session() {
        let setup = named.or(Some(default)).and_then(server).and_then(Server::get::<SslServer>);
        let setup = setup.and_then(|conf| conf.setup.clone());
        let secure = Secure { setup: setup.map(|setup| setup as _), ..seen(session, sni, &run) };
        // Nobody else sets it.
        let _ = conn.tls.set(Rc::new(secure));
    }
    Shaken::Done(secured)
}

/// Reads the client's hello.
async fn accept(tcp: &mut TcpStream) -> Result<Accepted, Failure> {
    let mut acceptor = Acceptor::default();
    let mut first = First::default();
    loop {
        poll_fn(|cx| poll_hello(&mut acceptor, &mut first, tcp, cx)).await?;
        if first.len >= HEADER && !first.is_tls() && first.is_http() {
            return Err(Failure::Http);
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(_)) | Err(_) if first.is_old_hello() => {
                send(tcp, |to| {
                    to.extend_from_slice(&PROTOCOL_VERSION);
                    Ok(())
                })
                .await;
                return Err(Failure::Protocol(PeerIncompatible::ServerDoesNotSupportTls12Or13.into()));
            }
            Ok(Some(accepted)) => return Ok(accepted),
            Err((error, mut alert)) => {
                // Who does not speak TLS does not understand an alert.
                if first.is_tls() {
                    send(tcp, |to| alert.write_all(to)).await;
                }
                return Err(Failure::Protocol(error));
            }
        }
    }
}

fn poll_hello(
    acceptor: &mut Acceptor,
    first: &mut First,
    tcp: &mut TcpStream,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Failure>> {
    let mut sniff = Sniff { from: Blocking { socket: tcp, cx }, first };
    match acceptor.read_tls(&mut sniff) {
        Ok(0) => Poll::Ready(Err(Failure::Socket(io::ErrorKind::UnexpectedEof.into()))),
        Ok(_) => Poll::Ready(Ok(())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        Err(error) => Poll::Ready(Err(error.into())),
    }
}

/// Sends an alert; who does not take it does not get it.
async fn send(tcp: &mut TcpStream, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
    let mut bytes = Vec::new();
    if write(&mut bytes).is_err() {
        return;
    }
    if bytes.is_empty() {
        bytes.extend_from_slice(&ALERT);
    }
    let mut sent = 0;
    let all = poll_fn(|cx| {
        while let Some(rest @ [_, ..]) = bytes.get(sent..) {
            match ready!(Pin::new(&mut *tcp).poll_write(cx, rest)) {
                Ok(n @ 1..) => sent += n,
                _ => break,
            }
        }
        Poll::Ready(())
    });
    let _ = tokio::time::timeout(Duration::from_secs(2), all).await;
}

fn failed(failure: &Failure, tcp: TcpStream, live: &Live, conn: &Conn, names: [&str; 2]) -> Shaken {
    report(failure, live, conn, names);
    if matches!(failure, Failure::Http) { Shaken::Plain(tcp) } else { Shaken::Failed(tcp) }
}

/// Says why there is no session, of the server that the connection came to and of the one it was for.
fn report(failure: &Failure, live: &Live, conn: &Conn, [name, meant]: [&str; 2]) {
    let (of, at) = (OfConn(live, conn), conn.default_server.get());
    match failure {
        Failure::Http => {
            logs::error!(
                of,
                Level::Info,
                "ssl",
                "AH01996: SSL handshake failed: HTTP spoken on HTTPS port; trying to send HTML error page"
            );
            logs::error!(OfServer(live, at), Level::Info, "ssl", "SSL Library Error: {}", reasons::HTTP_REQUEST);
            return;
        }
        Failure::Socket(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            logs::error!(of, Level::Info, "ssl", Errno::EOF => "AH02006: SSL handshake stopped: connection was closed");
        }
        // Of who says nothing, nothing is said.
        Failure::Socket(error) if error.kind() == io::ErrorKind::TimedOut => {}
        Failure::Socket(error) => {
            logs::error!(of, Level::Info, "ssl", Errno::from(error) => "AH02007: SSL handshake interrupted by system [Hint: Stop button pressed in browser?!]");
        }
        Failure::Protocol(error) => {
            logs::error!(of, Level::Info, "ssl", "AH02008: SSL library error 1 in handshake (server {})", name);
            let text = reasons::words(error);
            logs::error!(OfServer(live, at), Level::Info, "ssl", "SSL Library Error: {}", Bytes(text.as_bytes()));
        }
    }
    logs::error!(
        of,
        Level::Info,
        "ssl",
        "AH01998: Connection closed to child {} with abortive shutdown (server {})",
        conn.id,
        meant
    );
}

/// What the session came to.
fn seen(session: &ServerConnection, sni: Option<Box<[u8]>>, run: &Run) -> Secure {
    let (cipher, bits) = session.negotiated_cipher_suite().map(ciphers::name_of).unwrap_or_default();
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    // A session that begins with a ticket has no number in TLS 1.2.
    let ticketed = session.protocol_version() == Some(ProtocolVersion::TLSv1_2) && run.config.ticketer.enabled();
    let numbered = resumed || !ticketed;
    let number = session.export_keying_material([0; 32], b"EXPORTER-tandem-session", None).unwrap_or_default();
    let brought = session.peer_certificates().into_iter().flatten().map(|cert| cert.to_vec()).collect();
    let later = run.clients.as_ref().is_some_and(|clients| clients.later);
    let peer = Peer::new(brought, later);
    if let Some(clients) = run.clients.as_ref().filter(|_| !later && !peer.brought().is_empty()) {
        let depth = clients.trust.depth;
        // Where none but good ones pass, these are.
        peer.judged(depth, || if clients.generous { clients.fault(peer.brought(), depth) } else { None });
    }
    Secure {
        sni,
        protocol: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "",
        },
        cipher,
        bits,
        resumed,
        alpn: session.alpn_protocol().map(Box::from),
        peer,
        judge: run.clients.as_ref().map(|clients| Arc::clone(clients) as _),
        session: numbered.then_some(number),
        own: run.own.as_ref().map(Arc::clone),
        setup: None,
    }
}
