//! `NoProxy`, `ProxyDomain`, `ProxyBlock`: hosts that are asked directly, by another name, or not at all.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs as _};
use std::sync::Arc;

use super::conf::ProxyServer;
use super::pass::Done;
use crate::config::{Args, Cmd, Warning, latin1};
use crate::logs::{self, Bytes, Level};
use crate::pipe::Outcome;
use crate::upstream::spec::Blocked;
use crate::web::{Exchange, ProxyKind};

/// Which requests do not go through a remote proxy: one word of `NoProxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Direct {
    /// `192.168.0.0/16`: the host is or resolves to such an address.
    Net { address: u32, mask: u32 },
    /// `.example.com`: hosts below it.
    Domain(Vec<u8>),
    /// A host that has an address.
    Host(Vec<u8>),
    /// Anything else: hosts with this in their name.
    Word(Vec<u8>),
}

/// `NoProxy`.
pub(super) fn no_proxy(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let word = args.word(0);
    if ProxyServer::of(cmd).direct.iter().any(|(known, _)| known.eq_ignore_ascii_case(word)) {
        return Ok(());
    }
    let mut remarks = Vec::new();
    let direct = Direct::read(word, &mut remarks);
    for text in remarks {
        cmd.warnings.push(Warning { module: "proxy", level: "warn", text, bare: true });
    }
    ProxyServer::of(cmd).direct.push((word.to_vec(), direct));
    Ok(())
}

/// A leading whole number in C's notation: `0x1f`, `017`, `12`.
fn c_integer(text: &[u8]) -> Option<(u64, &[u8])> {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => (16, rest),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let value = |byte: &u8| char::from(*byte).to_digit(radix);
    let len = digits.iter().take_while(|byte| value(byte).is_some()).count();
    let (number, rest) = digits.split_at(len);
    let number = number
        .iter()
        .filter_map(value)
        .fold(0u64, |sum, digit| sum.saturating_mul(u64::from(radix)).saturating_add(digit.into()));
    (len > 0).then_some((number, rest))
}

impl Direct {
    fn read(word: &[u8], remarks: &mut Vec<String>) -> Self {
        if let Some(net) = Self::net(word, remarks) {
            return net;
        }
        let is_name = word.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
        let lower = || {
            let end = word.iter().rposition(|byte| *byte != b'.').map_or(1, |at| at + 1);
            word.get(..end).unwrap_or(word).to_ascii_lowercase()
        };
        if is_name && word.first() == Some(&b'.') {
            return Self::Domain(lower());
        }
        if is_name && (latin1(word).as_str(), 0u16).to_socket_addrs().is_ok_and(|mut all| all.next().is_some()) {
            return Self::Host(lower());
        }
        Self::Word(word.to_vec())
    }

    /// A network, its last quads or its mask left out.
    fn net(word: &[u8], remarks: &mut Vec<String>) -> Option<Self> {
        let mut rest = word;
        let mut quads: Vec<u8> = Vec::new();
        while quads.len() < 4 && !rest.is_empty() && (quads.is_empty() || rest[0] != b'/') {
            let (number, behind) = c_integer(rest).filter(|_| rest[0].is_ascii_digit())?;
            quads.push(u8::try_from(number).ok()?);
            rest = behind.strip_prefix(b".").filter(|_| quads.len() < 4).unwrap_or(behind);
        }
        let mut all = [0; 4];
        all.iter_mut().zip(&quads).for_each(|(place, quad)| *place = *quad);
        let address = u32::from_be_bytes(all);
        let shown = Ipv4Addr::from(address);
        let bits = match rest {
            [b'/', digits @ ..] if digits.first().is_some_and(u8::is_ascii_digit) => {
                let (bits, behind) = c_integer(digits)?;
                rest = behind;
                u32::try_from(bits).ok().filter(|bits| *bits <= 32)?
            }
            _ => {
                let used = quads.iter().rposition(|quad| *quad != 0)? + 1;
                let bits = 8 * used as u32;
                if bits != 32 {
                    remarks
                        .push(format!("AH00900: Warning: NetMask not supplied with IP-Addr; guessing: {shown}/{bits}"));
                }
                bits
            }
        };
        if !rest.is_empty() {
            return None;
        }
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        if address & !mask != 0 {
            remarks.push(format!("AH00901: Warning: NetMask and IP-Addr disagree in {shown}/{bits}"));
            remarks.push(format!("AH00902:          Set to {}/{bits}", Ipv4Addr::from(address & mask)));
        }
        Some(Self::Net { address: address & mask, mask })
    }

    /// What the host's name alone decides; `None`: its addresses do.
    fn fits_name(&self, host: &[u8]) -> Option<bool> {
        let end = host.iter().rposition(|byte| *byte != b'.').map_or(0, |at| at + 1);
        let bare = host.get(..end).unwrap_or_default();
        Some(match self {
            Self::Net { address, mask } => match std::str::from_utf8(host).ok()?.parse::<Ipv4Addr>() {
                Ok(ip) => u32::from(ip) & mask == *address,
                Err(_) => return None,
            },
            Self::Domain(domain) => {
                bare.len() > domain.len()
                    && bare.get(bare.len() - domain.len()..).is_some_and(|end| end.eq_ignore_ascii_case(domain))
            }
            Self::Host(name) => bare.eq_ignore_ascii_case(name),
            Self::Word(word) => memchr::memmem::find(host, word).is_some(),
        })
    }
}

/// Whether the request's host is asked directly, whatever `ProxyRemote` says.
pub(super) async fn is_direct(ex: &Exchange, conf: &ProxyServer) -> bool {
    let host = ex.hostname.as_slice();
    if host.is_empty() || conf.direct.is_empty() {
        return false;
    }
    let mut nets = Vec::new();
    for (_, direct) in &conf.direct {
        match (direct.fits_name(host), direct) {
            (Some(true), _) => return true,
            (None, Direct::Net { address, mask }) => nets.push((*address, *mask)),
            _ => {}
        }
    }
    if nets.is_empty() {
        return false;
    }
    let name = latin1(host);
    let found = tokio::task::spawn_blocking(move || {
        (name.as_str(), 0u16).to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default()
    });
    let found = found.await.unwrap_or_default();
    found.iter().any(|found| match found.ip() {
        IpAddr::V4(ip) => nets.iter().any(|(address, mask)| u32::from(ip) & mask == *address),
        IpAddr::V6(_) => false,
    })
}

/// `ProxyBlock`.
pub(super) fn block(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let name = args.word(0);
    if ProxyServer::of(cmd).blocked.iter().any(|known| known.name.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    // What is no name of a host has no addresses, and blocks by its text.
    let found = (latin1(name).as_str(), 0u16).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let addresses = found.unwrap_or_default().iter().map(|found| found.ip()).collect();
    ProxyServer::of(cmd).blocked.push(Arc::new(Blocked { name: name.to_vec(), addresses }));
    Ok(())
}

/// `ProxyDomain`.
pub(super) fn domain(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let domain = args.word(0);
    if domain.first() != Some(&b'.') {
        return Err("ProxyDomain: domain name must start with a dot.".to_owned());
    }
    ProxyServer::of(cmd).domain = Some(domain.to_vec());
    Ok(())
}

/// Sends who asks for a host without a domain to the same host in the domain.
pub(super) fn needs_domain(ex: &mut Exchange, domain: &[u8]) -> Option<Outcome> {
    let authority = memchr::memrchr(b'@', &ex.target_authority).map_or(0, |at| at + 1);
    let (user, place) = ex.target_authority.split_at(authority);
    let (host, port) = place.split_at(memchr::memchr(b':', place).unwrap_or(place.len()));
    let has_domain = |host: &[u8]| host.iter().any(|byte| matches!(byte, b'.' | b':' | b'['));
    if ex.proxyreq == ProxyKind::None
        || !matches!(&*ex.method, b"GET" | b"HEAD")
        || host.is_empty()
        || has_domain(host)
        || host.eq_ignore_ascii_case(b"localhost")
    {
        return None;
    }
    let own = super::url::default_port(&latin1(&ex.target_scheme.to_ascii_lowercase())).to_string();
    let port = if port.get(1..) == Some(own.as_bytes()) { &b""[..] } else { port };
    let path = crate::pipe::target_path(ex).ok()?;
    let query = ex.unparsed_uri.iter().position(|byte| b"?#".contains(byte));
    let query = query.and_then(|at| ex.unparsed_uri.get(at..)).unwrap_or_default();
    let url = [&ex.target_scheme, &b"://"[..], user, host, domain, port, &path, query].concat();
    let from = ex.headers_in.get(b"Referer").map(|from| (" from ", from));
    let (word, from) = from.unwrap_or(("", b""));
    let (uri, to, from) = (Bytes(&ex.uri), Bytes(&url), Bytes(from));
    logs::error!(ex, Level::Info, "proxy", "AH01138: Domain missing: {uri} sent to {to}{word}{from}");
    ex.headers_out.set(b"Location", &url);
    Some(Outcome::Status(301))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(word: &str) -> (Direct, Vec<String>) {
        let mut remarks = Vec::new();
        (Direct::read(word.as_bytes(), &mut remarks), remarks)
    }

    fn net(address: [u8; 4], bits: u32) -> Direct {
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        Direct::Net { address: u32::from_be_bytes(address), mask }
    }

    #[test]
    fn networks_may_be_short() {
        assert_eq!(
            read("10.0"),
            (
                net([10, 0, 0, 0], 8),
                vec!["AH00900: Warning: NetMask not supplied with IP-Addr; guessing: 10.0.0.0/8".to_owned()]
            )
        );
        assert_eq!(read("10.1.2.3"), (net([10, 1, 2, 3], 32), vec![]));
        assert_eq!(
            read("10.1.0.0/8"),
            (
                net([10, 0, 0, 0], 8),
                vec![
                    "AH00901: Warning: NetMask and IP-Addr disagree in 10.1.0.0/8".to_owned(),
                    "AH00902:          Set to 10.0.0.0/8".to_owned()
                ]
            )
        );
        assert_eq!(read("0.0.0.0/0").0, net([0; 4], 0));
        assert_eq!(read("256.1").0, Direct::Word(b"256.1".to_vec()));
        assert_eq!(read("10/33").0, Direct::Word(b"10/33".to_vec()));
    }

    #[test]
    fn hosts_fit_by_domain_name_or_part() {
        let fits = |word: &str, host: &str| read(word).0.fits_name(host.as_bytes());
        assert_eq!(fits(".Corp.", "a.corp"), Some(true));
        assert_eq!(fits(".corp", "corp"), Some(false));
        assert_eq!(fits(".corp", "a.corp."), Some(true));
        assert_eq!(fits("localhost", "LOCALHOST."), Some(true));
        assert_eq!(fits("localhost", "xlocalhost"), Some(false));
        assert_eq!(fits("no_such", "a-no_such-b"), Some(true));
        assert_eq!(fits("127", "127.9.9.9"), Some(true));
        assert_eq!(fits("127", "128.0.0.1"), Some(false));
        assert_eq!(fits("127", "some.host"), None);
    }
}
