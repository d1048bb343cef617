//! Addresses as configuration writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smallvec::SmallVec;

/// Addresses under one mask, as `Require ip` and its like take them: `10.1.2.3`, `10.1`,
/// `10.0.0.0/8`, `10.0.0.0/255.0.255.0`, `fe80::/10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subnet {
    V4 { network: u32, mask: u32 },
    V6 { network: u128, mask: u128 },
}

/// Why a text is not a [`Subnet`]; the texts are what httpd adds to its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// It does not even look like an address (it may be a host name).
    #[error("")]
    NotAnAddress,
    #[error("The specified IP address is invalid.")]
    Address,
    #[error("The specified network mask is invalid.")]
    Mask,
}

impl Subnet {
    /// Reads one word.  A zero-length prefix (`/0`) is an error, as in httpd.
    pub fn parse(text: &[u8]) -> Result<Self, SubnetError> {
        let (address, mask) = match memchr::memchr(b'/', text) {
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
            None => (text, None),
        };
        let looks_v6 = address.contains(&b':');
        if !looks_v6 && !address.iter().all(|b| b.is_ascii_digit() || *b == b'.') {
            return Err(SubnetError::NotAnAddress);
        }
        let address = std::str::from_utf8(address).map_err(|_| SubnetError::Address)?;
        if looks_v6 {
            let address: Ipv6Addr = address.parse().map_err(|_| SubnetError::Address)?;
            if address.to_ipv4_mapped().is_some() {
                return Err(SubnetError::Address);
            }
            let bits = mask.map_or(Ok(128), |mask| prefix_length(mask, 128).ok_or(SubnetError::Mask))?;
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            return Ok(Self::V6 { network: address.to_bits() & mask, mask });
        }
        let Some(mask) = mask else { return Self::partial(address).ok_or(SubnetError::Address) };
        let address: Ipv4Addr = address.parse().map_err(|_| SubnetError::Address)?;
        let dotted = || std::str::from_utf8(mask).ok()?.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
        let bits = || prefix_length(mask, 32).map(|bits| u32::MAX.checked_shl(32 - bits).unwrap_or(0));
        let mask = bits().or_else(dotted).ok_or(SubnetError::Mask)?;
        Ok(Self::V4 { network: address.to_bits() & mask, mask })
    }

    /// One to four octets, a dot at the end allowed.
    fn partial(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let (mut network, mut octets) = (0u32, 0u32);
        for octet in text.split('.') {
            if octet.is_empty() || octets == 4 {
                return None;
            }
            network = (network << 8) | u32::from(octet.parse::<u8>().ok()?);
            octets += 1;
        }
        let missing = (4 - octets) * 8;
        Some(Self::V4 { network: network << missing, mask: u32::MAX << missing })
    }

    /// Is the address inside?  An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self, address.to_canonical()) {
            (Self::V4 { network, mask }, IpAddr::V4(address)) => address.to_bits() & mask == *network,
            (Self::V6 { network, mask }, IpAddr::V6(address)) => address.to_bits() & mask == *network,
            _ => false,
        }
    }
}

fn prefix_length(text: &[u8], most: u32) -> Option<u32> {
    // Rust takes one sign, like strtol; it has to be a plus to be in range.
    let bits: u32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (1..=most).contains(&bits).then_some(bits)
}

/// Several subnets: inside any of them is inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpSet(Vec<Subnet>);

impl IpSet {
    /// An empty set, which holds no address.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a subnet.
    pub fn add(&mut self, subnet: Subnet) {
        self.0.push(subnet);
    }

    /// Is the address inside one of the subnets?
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|subnet| subnet.contains(address))
    }

    /// Holds the set nothing?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `host`, `host:port`, `port`, `[v6]:port`, `*:port`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// Without brackets and scope; `None` when there is only a port.
    pub host: Option<&'a [u8]>,
    /// What follows `%` inside brackets.
    pub scope: Option<&'a [u8]>,
    /// 1 to 65535.
    pub port: Option<u16>,
    /// Was the host in brackets (and so is an IPv6 address)?
    pub bracketed: bool,
}

/// The text is not an address with an optional port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid address or port")]
pub struct HostPortError;

impl<'a> HostPort<'a> {
    /// Reads from the end, as httpd does: digits after the last colon are the port, so that
    /// `2001:db8::1:80` is a host with port 80; only digits are a port alone.
    pub fn parse(text: &'a [u8]) -> Result<Self, HostPortError> {
        let digits = text.iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let (before, digits) = text.split_at(text.len() - digits);
        if text.is_empty() {
            return Err(HostPortError);
        }
        if before.is_empty() {
            return Ok(Self { host: None, scope: None, port: Some(port(digits)?), bracketed: false });
        }
        let (host, port) = match before {
            [b':'] if !digits.is_empty() => return Err(HostPortError),
            [host @ .., b':'] if !digits.is_empty() => (host, Some(port(digits)?)),
            _ => (text, None),
        };
        let [b'[', inside @ ..] = host else {
            return Ok(Self { host: Some(host), scope: None, port, bracketed: false });
        };
        let [inside @ .., b']'] = inside else { return Err(HostPortError) };
        if inside.contains(&b']') {
            return Err(HostPortError);
        }
        let (address, scope) = match memchr::memchr(b'%', inside) {
            Some(at) => (inside.get(..at).unwrap_or_default(), inside.get(at + 1..)),
            None => (inside, None),
        };
        let valid = std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
        if !valid || scope.is_some_and(<[u8]>::is_empty) {
            return Err(HostPortError);
        }
        Ok(Self { host: Some(address), scope, port, bracketed: true })
    }

    /// Is the host `*`, any address?
    pub fn is_any(&self) -> bool {
        self.host == Some(b"*")
    }

    /// The host as an address, when it is a literal one.
    pub fn ip(&self) -> Option<IpAddr> {
        std::str::from_utf8(self.host?).ok()?.parse().ok()
    }
}

fn port(digits: &[u8]) -> Result<u16, HostPortError> {
    let number: u16 = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(HostPortError)?;
    if number == 0 { Err(HostPortError) } else { Ok(number) }
}

/// Splits a worker URL of the form `unix:/path|scheme://host/..` into the socket's path and the
/// URL behind the bar.  `None` when the text is not of that form.
pub fn split_unix(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = text.split_at_checked(5)?;
    if !prefix.eq_ignore_ascii_case(b"unix:") {
        return None;
    }
    let bar = memchr::memchr(b'|', rest)?;
    Some((rest.get(..bar)?, rest.get(bar + 1..)?))
}

/// An IP address as text, an IPv4 one that came as IPv6 in its own form. Every connection has two of them.
pub fn ip_text(ip: IpAddr) -> SmallVec<[u8; 16]> {
    let mut text = SmallVec::new();
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            for (at, byte) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    text.push(b'.');
                }
                if byte >= 100 {
                    text.push(b'0' + byte / 100);
                }
                if byte >= 10 {
                    text.push(b'0' + byte / 10 % 10);
                }
                text.push(b'0' + byte % 10);
            }
        }
        IpAddr::V6(ip) => text.extend_from_slice(ip.to_string().as_bytes()),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_texts_of_their_family() {
        for text in ["0.0.0.0", "9.10.99.100", "255.250.205.1", "::1", "fe80::1:2"] {
            assert_eq!(ip_text(text.parse().unwrap()).as_slice(), text.as_bytes());
        }
        assert_eq!(ip_text("::ffff:10.0.0.200".parse().unwrap()).as_slice(), b"10.0.0.200");
    }

    fn inside(subnet: &str, address: &str) -> bool {
        Subnet::parse(subnet.as_bytes()).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn refuses_what_httpd_refuses() {
        use SubnetError::{Address, Mask, NotAnAddress};
        for good in [
            "10.1",
            "10.",
            "10",
            "10.1.",
            "10.1.2.3.",
            "1.2.3.4",
            "1.2.3.4/32",
            "10.0.0.0/8",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/255.0.255.0",
            "::1",
            "::1/128",
            "fe80::/10",
            "fe80::",
            "01.2.3.4",
            "0",
            "255",
            "::/1",
        ] {
            assert!(Subnet::parse(good.as_bytes()).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("1.2.3.4/0", Mask),
            ("::/0", Mask),
            ("1.2.3.4/33", Mask),
            ("1.2.3.4/", Mask),
            ("1.2.3.4/8x", Mask),
            ("1.2.3.4/-1", Mask),
            ("::1/255.0.0.0", Mask),
            ("::1/129", Mask),
            ("10.1/16", Address),
            ("fe80:", Address),
            ("::ffff:1.2.3.4", Address),
            ("256", Address),
            ("1..2", Address),
            (".1", Address),
            ("1.2.3.4.5", Address),
            ("99999999999", Address),
            ("[::1]", Address),
            ("fe80::1%eth0", Address),
            ("fe80", NotAnAddress),
            ("a.test", NotAnAddress),
            ("10.1x", NotAnAddress),
        ] {
            assert_eq!(Subnet::parse(bad.as_bytes()), Err(why), "{bad}");
        }
    }

    #[test]
    fn knows_who_is_inside() {
        assert!(inside("10.1", "10.1.200.3") && !inside("10.1", "10.2.0.1"));
        assert!(inside("10", "10.2.0.1") && !inside("10", "11.0.0.1"));
        assert!(inside("10.0.0.0/255.0.255.0", "10.77.0.9") && !inside("10.0.0.0/255.0.255.0", "10.77.1.9"));
        assert!(inside("1.2.3.4/24", "1.2.3.99"));
        assert!(inside("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(inside("fe80::/10", "febf::1") && !inside("fe80::/10", "::1"));
        assert!(!inside("0", "1.2.3.4") && !inside("::/1", "1.2.3.4"));
        let mut set = IpSet::new();
        assert!(set.is_empty() && !set.contains("10.0.0.1".parse().unwrap()));
        set.add(Subnet::parse(b"192.168").unwrap());
        set.add(Subnet::parse(b"10").unwrap());
        assert!(set.contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn takes_addresses_apart() {
        let parse = |text: &'static str| HostPort::parse(text.as_bytes());
        let of = |host: Option<&'static str>, port| {
            Ok(HostPort { host: host.map(str::as_bytes), scope: None, port, bracketed: false })
        };
        assert_eq!(parse("80"), of(None, Some(80)));
        assert_eq!(parse("080"), of(None, Some(80)));
        assert_eq!(parse("*:80"), of(Some("*"), Some(80)));
        assert_eq!(parse("*"), of(Some("*"), None));
        assert_eq!(parse("a.test"), of(Some("a.test"), None));
        assert_eq!(parse("a.test:8080"), of(Some("a.test"), Some(8080)));
        assert_eq!(parse("2001:db8::1:80"), of(Some("2001:db8::1"), Some(80)));
        assert_eq!(parse("a.test:"), of(Some("a.test:"), None));
        let v6 = |scope: Option<&'static str>, port| {
            Ok(HostPort { host: Some(b"fe80::1"), scope: scope.map(str::as_bytes), port, bracketed: true })
        };
        assert_eq!(parse("[fe80::1]:80"), v6(None, Some(80)));
        assert_eq!(parse("[fe80::1]"), v6(None, None));
        assert_eq!(parse("[fe80::1%lo]:80"), v6(Some("lo"), Some(80)));
        for bad in ["", ":80", "a:0", "a:65536", "0", "99999", "[::1", "[::1]x", "[x]:80", "[::1%]:80", "[::1]]:80"] {
            assert_eq!(parse(bad), Err(HostPortError), "{bad}");
        }
        assert!(parse("*:80").unwrap().is_any());
    }

    #[test]
    fn finds_a_socket_path() {
        assert_eq!(
            split_unix(b"unix:/run/a.sock|http://localhost/x"),
            Some((&b"/run/a.sock"[..], &b"http://localhost/x"[..]))
        );
        assert_eq!(split_unix(b"http://localhost/"), None);
        assert_eq!(split_unix(b"unix:/run/a.sock"), None);
    }
}
