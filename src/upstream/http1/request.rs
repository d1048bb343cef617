//! The request head that a backend gets: httpd's rules and order.

use smallvec::SmallVec;

use super::super::Attempt;
use super::super::spec::{Endpoint, Scheme, Via, WorkerSpec};
use crate::base::fold::same;
use crate::codec::http1::write::{push_decimal, push_request_line};
use crate::config::Server;
use crate::logs::{self, Bytes, Level};
use crate::pipe;
use crate::web::{Exchange, ProxyKind};

/// How the body that follows is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// Not at all.
    Nothing,
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// What the head says beyond the client's fields.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub(super) body: Announced,
    /// `Expect: 100-continue` goes along, the client's own or ours.
    pub(super) expect: bool,
    /// The connection will not be kept.
    pub(super) close: bool,
    /// `force-proxy-request-1.0`.
    pub(super) http10: bool,
    /// The protocol that the client asks for and the worker allows.
    pub(super) upgrade: Option<Vec<u8>>,
}

/// Fields named by Connection, which end here.
type Named<'a> = SmallVec<[&'a [u8]; 4]>;

/// The words of all Connection fields, whatever stands between them. Without `keep-alive`, which nearly all say: that
/// field ends here anyway.
pub(super) fn connection_tokens<'a>(values: impl Iterator<Item = &'a [u8]>) -> Named<'a> {
    let values = values.filter(|value| !same(value, b"keep-alive"));
    let words = values.flat_map(|value| value.split(|c| matches!(c, b',' | b';' | b' ' | b'\t')));
    words.filter(|word| !word.is_empty()).collect()
}

/// What becomes of a client's field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Drop,
    Expect,
    Authorization,
    Via,
    For,
    Host,
    Server,
}

/// Names are told apart by their length first.
fn fate(name: &[u8]) -> Fate {
    let (known, fate): (&[u8], _) = match name.len() {
        2 => (b"TE", Fate::Drop),
        3 => (b"Via", Fate::Via),
        4 => (b"Host", Fate::Drop),
        6 => (b"Expect", Fate::Expect),
        7 if matches!(name.first(), Some(b'U' | b'u')) => (b"Upgrade", Fate::Drop),
        7 => (b"Trailer", Fate::Drop),
        10 if matches!(name.first(), Some(b'C' | b'c')) => (b"Connection", Fate::Drop),
        10 => (b"Keep-Alive", Fate::Drop),
        14 => (b"Content-Length", Fate::Drop),
        15 => (b"X-Forwarded-For", Fate::For),
        16 if matches!(name.first(), Some(b'P' | b'p')) => (b"Proxy-Connection", Fate::Drop),
        16 => (b"X-Forwarded-Host", Fate::Host),
        17 => (b"Transfer-Encoding", Fate::Drop),
        18 => (b"X-Forwarded-Server", Fate::Server),
        19 => (b"Proxy-Authorization", Fate::Authorization),
        _ => return Fate::Pass,
    };
    if same(name, known) { fate } else { Fate::Pass }
}

/// Pushes the head as a backend of another protocol gets it: what is said of the connection is for nobody.
pub(in super::super) fn push_lines(ex: &Exchange, attempt: &Attempt<'_>, length: Option<u64>, out: &mut Vec<u8>) {
    let body = length.map_or(Announced::Nothing, Announced::Length);
    push_head(ex, attempt, &Manner { body, expect: false, close: false, http10: false, upgrade: None }, out);
}

/// Pushes the head.
pub(super) fn push_head(ex: &Exchange, attempt: &Attempt<'_>, manner: &Manner, out: &mut Vec<u8>) {
    let policy = attempt.policy;
    push_request_line(out, &ex.method, attempt.target, u8::from(!manner.http10));
    push_host(ex, attempt, out);

    let named = connection_tokens(ex.headers_in.get_all(b"Connection"));
    let ends_here = |name: &[u8]| named.iter().any(|token| same(token, name));
    let adding = policy.add_headers && ex.proxyreq == ProxyKind::Reverse;
    let via = matches!(policy.via, Via::On | Via::Full);
    let chained = || ex.user.is_none() || ex.env.contains(b"proxy-chain-auth");
    let mut credentials = attempt.worker.spec.beyond.as_ref().and_then(|beyond| beyond.credentials.as_deref());
    let (mut had_via, mut had_expect, mut had) = (false, false, [false; 3]);

    for (at, (name, value)) in ex.headers_in.iter().enumerate() {
        let fate = fate(name);
        let dropped = match fate {
            Fate::Drop => true,
            Fate::Expect => !manner.expect,
            Fate::Via => policy.via == Via::Block,
            Fate::Authorization => !chained(),
            _ => false,
        };
        if dropped || (!named.is_empty() && ends_here(name)) {
            continue;
        }
        let line = ex.headers_in.line(at).unwrap_or_default();
        if fate == Fate::Pass && !line.is_empty() {
            out.extend_from_slice(line);
            continue;
        }
        match line {
            [line @ .., _, _] => out.extend_from_slice(line),
            _ => {
                for part in [name, b": ", value] {
                    out.extend_from_slice(part);
                }
            }
        }
        match fate {
            Fate::Expect => had_expect = true,
            Fate::Authorization => credentials.take().into_iter().for_each(|own| push_more(out, own)),
            Fate::Via if via && !had_via => {
                had_via = true;
                out.extend_from_slice(b", ");
                push_via(ex, policy.via, out);
            }
            // Several are there only if RequestHeader added them: the first one goes on.
            Fate::For | Fate::Host | Fate::Server if adding && !had[Forwarded::of(fate) as usize] => {
                let which = Forwarded::of(fate);
                had[which as usize] = true;
                out.extend_from_slice(b", ");
                which.push(ex, out);
            }
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    if via && !had_via {
        out.extend_from_slice(b"Via: ");
        push_via(ex, policy.via, out);
        out.extend_from_slice(b"\r\n");
    }
    if manner.expect && !had_expect {
        out.extend_from_slice(b"Expect: 100-Continue\r\n");
    }
    if adding {
        for which in [Forwarded::For, Forwarded::Host, Forwarded::Server] {
            if had[which as usize] || (which == Forwarded::Host && !ex.headers_in.contains(b"Host")) {
                continue;
            }
            out.extend_from_slice(which.name());
            which.push(ex, out);
            out.extend_from_slice(b"\r\n");
        }
    }
    if let Some(own) = credentials {
        out.extend_from_slice(b"Proxy-Authorization: ");
        out.extend_from_slice(own);
        out.extend_from_slice(b"\r\n");
    }
    match manner.body {
        Announced::Nothing => {}
        Announced::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            push_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Announced::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    if let Some(upgrade) = &manner.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
        out.extend_from_slice(upgrade);
        out.extend_from_slice(b"\r\n");
    } else if !manner.http10 {
        let text: &[u8] = if manner.close { b"Connection: close\r\n" } else { b"Connection: Keep-Alive\r\n" };
        out.extend_from_slice(text);
    }
    out.extend_from_slice(b"\r\n");
}

fn push_more(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b", ");
    out.extend_from_slice(value);
}

fn server_name(server: &Server) -> &[u8] {
    server.rec.name.as_deref().unwrap_or(b"localhost")
}

fn push_host(ex: &Exchange, attempt: &Attempt<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Host: ");
    if attempt.policy.preserve_host {
        match ex.headers_in.get(b"Host") {
            Some(host) => out.extend_from_slice(host),
            None => {
                let name = server_name(ex.server());
                out.extend_from_slice(name);
                let (name, uri) = (Bytes(name), Bytes(&ex.uri));
                logs::error!(
                    ex,
                    Level::Warn,
                    "proxy",
                    "AH01092: no HTTP 0.9 request (with no host line) on incoming \
                    request and preserve host set forcing hostname to be {name} for uri {uri}"
                );
            }
        }
    } else {
        let spec = &attempt.worker.spec;
        let beyond = spec.beyond.as_ref().map(|beyond| (beyond.host.as_str(), beyond.port));
        let (host, port) = beyond.unwrap_or((&spec.host, spec.port));
        push_authority(spec, host, port, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// A host, with its port unless that is the scheme's.
fn push_authority(spec: &WorkerSpec, host: &str, port: u16, out: &mut Vec<u8>) {
    let brackets = host.contains(':');
    if brackets {
        out.push(b'[');
    }
    out.extend(host.bytes().map(|c| c.to_ascii_lowercase()));
    if brackets {
        out.push(b']');
    }
    let usual = match spec.scheme {
        Scheme::Https | Scheme::H2 => 443,
        // Asked for through a remote proxy.
        _ if spec.scheme_text == "ftp" => 21,
        _ => 80,
    };
    // Written out, httpd leaves 80 away whatever the scheme.
    if port != usual && port != 80 && !(port == 0 && matches!(spec.endpoint, Endpoint::Unix(_))) {
        out.push(b':');
        push_decimal(out, u64::from(port));
    }
}

/// `1.1 name:port`, with the version where all is told.
pub(in super::super) fn push_via(ex: &Exchange, via: Via, out: &mut Vec<u8>) {
    push_decimal(out, u64::from(ex.proto_num / 1000));
    out.push(b'.');
    push_decimal(out, u64::from(ex.proto_num % 1000));
    out.push(b' ');
    out.extend_from_slice(server_name(ex.server()));
    let port = pipe::names::server_port(ex);
    if port != pipe::names::default_port(ex) {
        out.push(b':');
        push_decimal(out, u64::from(port));
    }
    if via == Via::Full {
        out.extend_from_slice(b" (Apache/2.4.71)");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Forwarded {
    For,
    Host,
    Server,
}

impl Forwarded {
    fn of(fate: Fate) -> Self {
        match fate {
            Fate::For => Self::For,
            Fate::Host => Self::Host,
            _ => Self::Server,
        }
    }

    fn name(self) -> &'static [u8] {
        match self {
            Self::For => b"X-Forwarded-For: ",
            Self::Host => b"X-Forwarded-Host: ",
            Self::Server => b"X-Forwarded-Server: ",
        }
    }

    fn push(self, ex: &Exchange, out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::For => &ex.client_ip,
            Self::Host => ex.headers_in.get(b"Host").unwrap_or_default(),
            Self::Server => server_name(ex.server()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_names_fields() {
        let tokens = |values: &[&'static [u8]]| connection_tokens(values.iter().copied()).to_vec();
        assert_eq!(tokens(&[b"close, X-A ,", b",Foo"]), [&b"close"[..], b"X-A", b"Foo"]);
        assert_eq!(tokens(&[b"a b;c"]), [b"a", b"b", b"c"]);
        assert_eq!(tokens(&[b",,"]), [b""; 0]);
    }

    #[test]
    fn hop_by_hop_fields_are_known_in_any_case() {
        for name in [
            "te",
            "HOST",
            "upgrade",
            "Trailer",
            "connection",
            "keep-alive",
            "CONTENT-LENGTH",
            "proxy-connection",
            "transfer-encoding",
        ] {
            assert!(fate(name.as_bytes()) == Fate::Drop, "{name}");
        }
        for name in ["Tx", "Hosts", "Cookie2", "Proxy-Authenticate", "", "X-Forwarded-Foo", "Range"] {
            assert!(fate(name.as_bytes()) == Fate::Pass, "{name}");
        }
    }
}
