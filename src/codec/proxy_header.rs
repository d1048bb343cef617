//! The PROXY protocol's header, versions 1 and 2: who a load balancer in front of us says the client is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a header of version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What a header of version 1 begins with.
const WORD: &[u8; 6] = b"PROXY ";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// The longest addresses behind it: two paths of Unix sockets.
const LONGEST_REST: usize = 216;
/// httpd reads this much first, which is the shortest line there is, and has room for 108 bytes in all.
const SHORTEST_LINE: usize = 15;
const LONGEST_AFTER: usize = 108 - SHORTEST_LINE;

/// No header is longer.
pub const LONGEST: usize = FIXED + LONGEST_REST;

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Its bytes.
    pub len: usize,
    /// The client; `None` when the balancer speaks for itself or does not know.
    pub client: Option<SocketAddr>,
}

/// What is wrong with a header; the texts are httpd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The bytes are the beginning of something else.
    #[error("no header")]
    Missing,
    #[error("AH10185: RemoteIPProxyProtocol header too long, got {0} expected {LONGEST_AFTER}")]
    LineTooLong(usize),
    #[error("AH03497: RemoteIPProxyProtocol: no {0} found in header '{1}'")]
    NoWord(&'static str, String),
    #[error("AH03499: RemoteIPProxyProtocol: unknown family '{0}' in header '{1}'")]
    Family(String, String),
    #[error("AH03500: RemoteIPProxyProtocol: invalid client-address '{0}' found in header '{1}'")]
    Address(String, String),
    #[error("AH03501: RemoteIPProxyProtocol: error parsing port '{0}' in header '{1}'")]
    Port(String, String),
    #[error(
        "AH03502: RemoteIPProxyProtocol: error converting family '{0}', host '{1}', and port '{2}' to sockaddr; header was '{3}'"
    )]
    Host(u8, String, u16, String),
    #[error("AH10186: RemoteIPProxyProtocol protocol header length too long")]
    TooLong,
    #[error("AH10597: RemoteIPProxyProtocol: address length {0} too short for TCPv4")]
    ShortV4(usize),
    #[error("AH10598: RemoteIPProxyProtocol: address length {0} too short for TCPv6")]
    ShortV6(usize),
    #[error("AH10183: RemoteIPProxyProtocol: unsupported protocol {0:02x}")]
    Protocol(u8),
    #[error("AH03507: RemoteIPProxyProtocol: unsupported command {0:02x}")]
    Command(u8),
}

use ProxyHeaderError as Error;

/// Reads a header from the beginning of `bytes`; `None`: it goes on, and all of them belong to it.
pub fn parse_proxy_header(bytes: &[u8]) -> Result<Option<ProxyHeader>, Error> {
    if begins(bytes, SIGNATURE) {
        binary(bytes)
    } else if begins(bytes, WORD) {
        line(bytes)
    } else {
        Err(Error::Missing)
    }
}

/// Whether `bytes` are the beginning of this, as far as they go, or it is theirs.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    let both = bytes.len().min(with.len());
    bytes.get(..both) == with.get(..both)
}

fn binary(bytes: &[u8]) -> Result<Option<ProxyHeader>, Error> {
    let Some((&[.., command, family, high, low], rest)) = bytes.split_first_chunk::<FIXED>() else {
        return match bytes.get(SIGNATURE.len()) {
            Some(version) if version >> 4 != 2 => Err(Error::Missing),
            _ => Ok(None),
        };
    };
    if command >> 4 != 2 {
        return Err(Error::Missing);
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_REST {
        return Err(Error::TooLong);
    }
    let Some(rest) = rest.get(..length) else { return Ok(None) };
    let client = match command & 0x0f {
        0 => None,
        1 => Some(match family {
            0x11 => {
                let Some((ip, _, port)) = addresses::<4>(rest) else { return Err(Error::ShortV4(length)) };
                SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), port)
            }
            0x21 => {
                let Some((ip, _, port)) = addresses::<16>(rest) else { return Err(Error::ShortV6(length)) };
                SocketAddr::new(IpAddr::V6(Ipv6Addr::from(ip)), port)
            }
            other => return Err(Error::Protocol(other)),
        }),
        _ => return Err(Error::Command(command)),
    };
    Ok(Some(ProxyHeader { len: FIXED + length, client }))
}

/// Source, destination and the source's port; the destination's has to be there.
fn addresses<const N: usize>(rest: &[u8]) -> Option<([u8; N], [u8; N], u16)> {
    let (from, rest) = rest.split_first_chunk::<N>()?;
    let (to, rest) = rest.split_first_chunk::<N>()?;
    let (ports, _) = rest.split_first_chunk::<4>()?;
    Some((*from, *to, u16::from_be_bytes([ports[0], ports[1]])))
}

fn line(bytes: &[u8]) -> Result<Option<ProxyHeader>, Error> {
    let end = memchr::memmem::find(bytes, b"\r\n");
    let len = end.map_or(bytes.len(), |end| end + 2);
    if len > SHORTEST_LINE + LONGEST_AFTER {
        return Err(Error::LineTooLong(len - SHORTEST_LINE));
    }
    let Some(text) = end.and_then(|end| bytes.get(..end)) else { return Ok(None) };
    let shown = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let mut words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).skip(1);
    let mut word = |what| words.next().ok_or_else(|| Error::NoWord(what, shown(text)));
    let family = word("family")?;
    let v6 = match family {
        b"TCP4" => false,
        b"TCP6" => true,
        b"UNKNOWN" => return Ok(Some(ProxyHeader { len, client: None })),
        other => return Err(Error::Family(shown(other), shown(text))),
    };
    let host = word("client-address")?;
    let valid = |byte: &u8| match v6 {
        true => byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'),
        false => byte.is_ascii_digit() || *byte == b'.',
    };
    if !host.iter().all(valid) {
        return Err(Error::Address(shown(host), shown(text)));
    }
    word("destination-address")?;
    let digits = word("client-port")?;
    // More than fits wraps, as in httpd.
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return Err(Error::Port(shown(digits), shown(text)));
    }
    let port =
        digits.iter().take(count).fold(0u16, |port, digit| port.wrapping_mul(10).wrapping_add((digit - b'0').into()));
    let ip = std::str::from_utf8(host).ok().and_then(|host| match v6 {
        true => host.parse().map(IpAddr::V6).ok(),
        false => host.parse().map(IpAddr::V4).ok(),
    });
    match ip {
        Some(ip) => Ok(Some(ProxyHeader { len, client: Some(SocketAddr::new(ip, port)) })),
        None => Err(Error::Host(if v6 { 10 } else { 2 }, shown(host), port, shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<(usize, String)>, String> {
        match parse_proxy_header(bytes) {
            Ok(Some(header)) => {
                Ok(Some((header.len, header.client.map_or_else(|| "-".into(), |addr| addr.to_string()))))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    #[test]
    fn lines_as_httpd_takes_them() {
        let client = |line: &str| read(line.as_bytes()).unwrap().map(|(_, client)| client);
        assert_eq!(client("PROXY TCP4 1.2.3.4 5.6.7.8 11 22\r\nGET"), Some("1.2.3.4:11".into()));
        assert_eq!(client("PROXY TCP4  1.2.3.4 foo 11\r\n"), Some("1.2.3.4:11".into()));
        assert_eq!(client("PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n"), Some("1.2.3.4:34463".into()));
        assert_eq!(client("PROXY TCP6 ::1 ::2 11 22\r\n"), Some("[::1]:11".into()));
        assert_eq!(client("PROXY UNKNOWN abc\r\n"), Some("-".into()));
        assert_eq!(client("PROXY TCP4 1.2.3.4 5.6.7.8 11 22\n"), None);
        assert_eq!(client(""), None);
        let error = |line: &str| read(line.as_bytes()).unwrap_err();
        assert_eq!(error("GET /"), "no header");
        assert!(error("PROXY FOO 1 2 3\r\n").ends_with("unknown family 'FOO' in header 'PROXY FOO 1 2 3'"));
        assert!(
            error("PROXY TCP4 bad 1 2 3\r\n").contains("AH03500: RemoteIPProxyProtocol: invalid client-address 'bad'")
        );
        assert!(error("PROXY TCP6 1.2.3.4 1 2 3\r\n").contains("family '10', host '1.2.3.4', and port '2'"));
        assert!(error("PROXY TCP4 1.2.3.4 1\r\n").contains("no client-port found"));
        assert!(error("PROXY TCP4 1.2.3.4 1 x\r\n").contains("error parsing port 'x'"));
        let long = format!("PROXY TCP4 1.2.3.4 {} 11 22\r\n", "5".repeat(100));
        assert_eq!(error(&long), "AH10185: RemoteIPProxyProtocol header too long, got 112 expected 93");
    }

    #[test]
    fn binary_headers_as_httpd_takes_them() {
        let four = [1, 2, 3, 4, 5, 6, 7, 8, 0, 80, 0, 81];
        assert_eq!(read(&v2(0x21, 0x11, &four)), Ok(Some((28, "1.2.3.4:80".into()))));
        assert_eq!(read(&v2(0x21, 0x11, &[&four[..], b"tlv"].concat())), Ok(Some((31, "1.2.3.4:80".into()))));
        assert_eq!(read(&v2(0x20, 0x00, &[])), Ok(Some((16, "-".into()))));
        let six = [&[0x20, 1][..], &[0; 30], &[0, 80, 0, 81]].concat();
        assert_eq!(read(&v2(0x21, 0x21, &six)), Ok(Some((52, "[2001::]:80".into()))));
        let error = |bytes: &[u8]| read(bytes).unwrap_err();
        assert_eq!(error(&v2(0x21, 0x11, &four[..4])), Error::ShortV4(4).to_string());
        assert_eq!(error(&v2(0x31, 0x11, &four)), "no header");
        assert_eq!(error(&v2(0x22, 0x11, &four)), "AH03507: RemoteIPProxyProtocol: unsupported command 22");
        assert_eq!(error(&v2(0x21, 0x00, &[])), "AH10183: RemoteIPProxyProtocol: unsupported protocol 00");
        assert_eq!(error(&v2(0x21, 0x11, &[0; 217])), Error::TooLong.to_string());
    }

    proptest::proptest! {
        /// Whatever comes: no panic, and what is decided of a piece is decided of the whole.
        #[test]
        fn pieces_agree_with_the_whole(
            head in proptest::sample::select(vec![&b"PROXY TCP4 "[..], b"PROXY TCP6 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0", b""]),
            rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
            cut in 0usize..60,
        ) {
            let bytes = [head, &rest].concat();
            let whole = parse_proxy_header(&bytes);
            let piece = parse_proxy_header(&bytes[..cut.min(bytes.len())]);
            if let Ok(Some(header)) = &piece {
                proptest::prop_assert!(header.len <= cut);
                proptest::prop_assert_eq!(&piece, &whole);
            }
            if piece.is_err() {
                proptest::prop_assert!(whole.is_err());
            }
        }
    }
}
