//! TLS on a new connection to a backend, and what the log hears of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::stream::Stream;
use crate::codec::x509;
use crate::logs::{self, Bytes, Errno, Level, OfRemote};
use crate::net::client::{ClientSide, Refusal};
use crate::web::Live;

/// There is no TLS.
#[derive(Debug)]
pub(super) enum NoTls {
    /// It is not on.
    Off,
    /// The handshake failed.
    Refused,
}

/// Who wants it of whom.
pub(super) struct Wish<'a> {
    pub(super) live: &'a Live,
    /// Index of the server that asks.
    pub(super) server: usize,
    /// What messages call the protocol.
    pub(super) scheme: &'a str,
    /// The worker's host, for messages.
    pub(super) host: &'a str,
    /// Whom the backend is taken for, if that matters.
    pub(super) name: Option<&'a str>,
    /// What is to be spoken, if that has to be said.
    pub(super) protocol: Option<&'a [u8]>,
    pub(super) timeout: Duration,
}

/// Begins TLS over a socket that is connected.
pub(super) async fn secure(wish: &Wish<'_>, side: Option<&Arc<ClientSide>>, stream: Stream) -> Result<Stream, NoTls> {
    let remote = stream.peer();
    let from = OfRemote(wish.live, wish.server, remote);
    let Some(side) = side else {
        logs::error!(
            from,
            Level::Error,
            "core",
            "AH01961:  failed to enable ssl support [Hint: if using mod_ssl, see SSLProxyEngine]"
        );
        let (scheme, host, at) = (wish.scheme, wish.host, Address(remote));
        let server = OfRemote(wish.live, wish.server, None);
        logs::error!(
            server,
            Level::Error,
            "proxy",
            "AH00961: {scheme}: failed to enable ssl support for {at} ({host})"
        );
        return Err(NoTls::Off);
    };
    logs::error!(from, Level::Info, "ssl", "AH01964: Connection to child 0 established (server {})", side.owner());
    let shaken = tokio::time::timeout(wish.timeout, side.shake_hands(stream, wish.name, wish.protocol)).await;
    let (outcome, unanswered) = match shaken {
        Ok(shaken) => (shaken.outcome, shaken.unanswered),
        Err(_) => (Err(Refusal::Socket(io::ErrorKind::TimedOut.into())), false),
    };
    if unanswered {
        let id = side.owner();
        let server = OfRemote(wish.live, wish.server, None);
        logs::error!(
            server,
            Level::Warn,
            "ssl",
            "AH02268: Proxy client certificate callback: ({id}) downstream server wanted client certificate but none \
             are configured"
        );
    }
    match outcome {
        Ok(secured) => Ok(Stream::Tls(Box::new(secured))),
        Err(refusal) => {
            report(&refusal, wish, from, side.owner());
            Err(NoTls::Refused)
        }
    }
}

struct Address(Option<SocketAddr>);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(addr) => write!(f, "{addr}"),
            None => f.write_str("httpd-UDS:0"),
        }
    }
}

fn report(refusal: &Refusal, wish: &Wish<'_>, from: OfRemote<'_>, id: &str) {
    let plain = OfRemote(wish.live, wish.server, None);
    let library = |text: &str| {
        logs::error!(from, Level::Info, "ssl", "AH02003: SSL Proxy connect failed");
        logs::error!(plain, Level::Info, "ssl", "SSL Library Error: {text}");
    };
    match refusal {
        Refusal::Untrusted(number, words, cert) => {
            let shown = x509::described(cert);
            logs::error!(
                from,
                Level::Info,
                "ssl",
                "AH02276: Certificate Verification: Error ({number}): {words}{shown}"
            );
            library("error:0A000086:SSL routines::certificate verify failed");
        }
        Refusal::TooLong { has, most } => {
            let text = "AH02040: Certificate Verification: Certificate Chain too long";
            logs::error!(
                from,
                Level::Error,
                "ssl",
                "{text} (chain has {has} certificates, but maximum allowed are only {most})"
            );
            library("error:0A000086:SSL routines::certificate verify failed");
        }
        Refusal::Protocol(text) => library(text),
        Refusal::Socket(error) => {
            logs::error!(from, Level::Info, "ssl", Errno::from(error) => "AH02003: SSL Proxy connect failed");
        }
        Refusal::NotSpoken(protocol) => {
            let text = "AH10273: SSL Proxy: Peer did not select any of our ALPN protocols";
            logs::error!(from, Level::Info, "ssl", "{text} [{}].", Bytes(protocol));
        }
        Refusal::Expired => {
            logs::error!(from, Level::Info, "ssl", "AH02004: SSL Proxy: Peer certificate is expired");
        }
        Refusal::NotHost => {
            let name = wish.name.unwrap_or_default();
            logs::error!(
                from,
                Level::Info,
                "ssl",
                "AH02411: SSL Proxy: Peer certificate does not match for hostname {name}"
            );
        }
        Refusal::NotCommonName(common) => {
            let (name, common) = (wish.name.unwrap_or_default(), Bytes(common));
            logs::error!(
                from,
                Level::Info,
                "ssl",
                "AH02005: SSL Proxy: Peer certificate CN mismatch: Certificate CN: {common} Requested hostname: {name}"
            );
        }
    }
    logs::error!(
        from,
        Level::Info,
        "ssl",
        "AH01998: Connection closed to child 0 with abortive shutdown (server {id})"
    );
    logs::error!(from, Level::Info, "ssl", "AH01997: SSL handshake failed: sending 502");
}
