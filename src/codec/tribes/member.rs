//! The member package: who a node is, in heartbeats and as the source of every message.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::{Error, Reader, length, put_counted};

/// What stays the same from a node's start to its end, and never comes twice.
pub type UniqueId = [u8; 16];

/// The command of a member that says good-bye.
pub const SHUTDOWN: &[u8] = b"BABY-ALEX";

const BEGIN: &[u8; 10] = b"TRIBES-B\x01\x00";
const END: &[u8; 10] = b"TRIBES-E\x01\x00";

/// A member of the group as it describes itself.
///
/// Who it is are `host`, `port` and `unique_id` ([`Member::same`]); the rest may change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Milliseconds since its membership service started, as last heard.
    pub alive: i64,
    /// Its TCP port.
    pub port: i32,
    /// A port for TLS, carried and never used; −1 for none.
    pub secure_port: i32,
    /// Its UDP port; −1 for none.
    pub udp_port: i32,
    /// Its address.
    pub host: IpAddr,
    /// [`SHUTDOWN`] in its last message, otherwise empty.
    pub command: Vec<u8>,
    /// The domain it belongs to; usually empty.
    pub domain: Vec<u8>,
    /// New for every start of a node.
    pub unique_id: UniqueId,
    /// Data of the application; usually empty.
    pub payload: Vec<u8>,
}

impl Member {
    /// A member without domain, payload and further ports.
    pub fn new(host: IpAddr, port: u16, unique_id: UniqueId) -> Self {
        Self {
            alive: 0,
            port: i32::from(port),
            secure_port: -1,
            udp_port: -1,
            host,
            command: Vec::new(),
            domain: Vec::new(),
            unique_id,
            payload: Vec::new(),
        }
    }

    /// Whether both are the same start of the same node.
    pub fn same(&self, other: &Self) -> bool {
        self.unique_id == other.unique_id && self.port == other.port && self.host == other.host
    }

    /// Whether it said good-bye.
    pub fn is_leaving(&self) -> bool {
        self.command == SHUTDOWN
    }

    /// Where it listens; `None` when its port is none.
    pub fn tcp(&self) -> Option<SocketAddr> {
        address(self.host, self.port)
    }

    /// Where it takes datagrams; `None` without such a port.
    pub fn udp(&self) -> Option<SocketAddr> {
        address(self.host, self.udp_port)
    }

    /// The member at the front of `bytes`, and what follows its package.
    ///
    /// # Errors
    /// Markers missing, lengths that lie, an address of neither family.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let mut reader = Reader(bytes);
        reader.expect(BEGIN, Error::Member)?;
        let mut body = Reader(reader.counted()?);
        reader.expect(END, Error::Member)?;
        let alive = body.i64()?;
        let (port, secure_port, udp_port) = (body.i32()?, body.i32()?, body.i32()?);
        let host = match body.u8()? {
            4 => IpAddr::from(body.array::<4>()?),
            16 => IpAddr::from(body.array::<16>()?),
            n => return Err(Error::Host(n)),
        };
        let command = body.counted()?.to_vec();
        let domain = body.counted()?.to_vec();
        let unique_id = body.array()?;
        let payload = body.counted()?.to_vec();
        body.end()?;
        Ok((Self { alive, port, secure_port, udp_port, host, command, domain, unique_id, payload }, reader.0))
    }

    /// Appends the package.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(BEGIN);
        out.extend_from_slice(&length(self.encoded_len() - BEGIN.len() - END.len() - 4).to_be_bytes());
        out.extend_from_slice(&self.alive.to_be_bytes());
        for port in [self.port, self.secure_port, self.udp_port] {
            out.extend_from_slice(&port.to_be_bytes());
        }
        match self.host {
            IpAddr::V4(host) => {
                out.push(4);
                out.extend_from_slice(&host.octets());
            }
            IpAddr::V6(host) => {
                out.push(16);
                out.extend_from_slice(&host.octets());
            }
        }
        put_counted(out, &self.command);
        put_counted(out, &self.domain);
        out.extend_from_slice(&self.unique_id);
        put_counted(out, &self.payload);
        out.extend_from_slice(END);
    }

    /// How long its package is.
    pub fn encoded_len(&self) -> usize {
        let host = if self.host.is_ipv4() { 4 } else { 16 };
        73 + host + self.command.len() + self.domain.len() + self.payload.len()
    }

    /// `tcp://{10, 77, 0, 2}:4000`, as Tomcat names it.
    pub fn name(&self) -> String {
        format!("tcp://{}:{}", octets(self.host), self.port)
    }
}

/// Whether bytes begin as a member package does; a datagram that doesn't is a message.
pub fn is_member(bytes: &[u8]) -> bool {
    bytes.starts_with(BEGIN)
}

/// As Tomcat logs a member.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "org.apache.catalina.tribes.membership.MemberImpl[{},", self.name())?;
        write!(f, "{},{}, alive={}, ", octets(self.host), self.port, self.alive)?;
        write!(f, "securePort={}, UDP Port={}, ", self.secure_port, self.udp_port)?;
        write!(f, "id={}, payload={}, ", signed(&self.unique_id), signed(&self.payload))?;
        write!(f, "command={}, domain={}]", signed(&self.command), signed(&self.domain))
    }
}

fn address(host: IpAddr, port: i32) -> Option<SocketAddr> {
    let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
    Some(SocketAddr::new(host, port))
}

fn octets(host: IpAddr) -> String {
    match host {
        IpAddr::V4(host) => listed(host.octets().iter()),
        IpAddr::V6(host) => listed(host.octets().iter()),
    }
}

/// Java's bytes are signed; long values are only counted.
fn signed(bytes: &[u8]) -> String {
    if bytes.len() > 128 {
        return format!("{{...({})}}", bytes.len());
    }
    let items: String = bytes.iter().map(|byte| format!("{} ", i8::from_be_bytes([*byte]))).collect();
    format!("{{{items}}}")
}

fn listed<'a>(items: impl Iterator<Item = &'a u8>) -> String {
    let items: Vec<String> = items.map(u8::to_string).collect();
    format!("{{{}}}", items.join(", "))
}
