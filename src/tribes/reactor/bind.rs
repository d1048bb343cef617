//! The sockets a channel has from its start.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::super::Level;
use super::super::channel::{Log, OpenError};
use super::super::config::{Config, McastConfig, MembershipConfig, ReceiverConfig};

const SOURCE: &str = "org.apache.catalina.tribes.transport.ReceiverBase";

/// The address to listen on and to tell everybody.
///
/// `auto` is the host name's address as in Tomcat, unless that is loopback and the group is reached
/// from another one: what other machines cannot connect to is of no use to them.
pub(super) fn address(config: &Config, log: &mut Log) -> Result<IpAddr, OpenError> {
    if let Some(address) = config.receiver.address {
        return Ok(address);
    }
    let named = host_name_address();
    let routed = match &config.membership {
        MembershipConfig::Mcast(mcast) => mcast.bind.or_else(|| towards(SocketAddr::new(mcast.address, mcast.port))),
        MembershipConfig::Static(service) => service.members.iter().find_map(|member| {
            let local = service.local.as_ref().is_some_and(|local| local.host == member.host);
            if local { None } else { towards(SocketAddr::new(member.host, member.port)) }
        }),
    };
    match (named, routed) {
        (Ok(named), Some(routed)) if named.is_loopback() && !routed.is_loopback() => {
            let text = format!(
                "The receiver's address [auto] is [{named}] by the host's name, which other hosts cannot reach; \
                 using [{routed}]"
            );
            log(Level::Warning, SOURCE, &text);
            Ok(routed)
        }
        (Ok(named), _) => {
            if named.is_loopback() {
                let text = format!("The receiver's address [auto] is [{named}]: no other host can reach it");
                log(Level::Warning, SOURCE, &text);
            }
            Ok(named)
        }
        (Err(_), Some(routed)) => Ok(routed),
        (Err(error), None) => Err(OpenError::Auto(error)),
    }
}

fn host_name_address() -> io::Result<IpAddr> {
    let name = nix::unistd::gethostname()?;
    let name = name.to_str().ok_or(io::ErrorKind::InvalidData)?;
    let found: Vec<IpAddr> = (name, 0).to_socket_addrs()?.map(|addr| addr.ip()).collect();
    let first = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
    first.copied().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The address we have towards another one; nothing is sent.
fn towards(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip()).filter(|address| !address.is_unspecified())
}

/// The TCP port: the first that is free.
pub(super) fn receiver(address: IpAddr, config: &ReceiverConfig) -> Result<mio::net::TcpListener, OpenError> {
    let tries = if config.port == 0 { 1 } else { config.auto_bind.max(1) };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in (0..tries).map_while(|n| config.port.checked_add(n)) {
        match listen(SocketAddr::new(address, port), config) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(OpenError::Bind { address, port: config.port, tried: tries, source: last })
}

fn listen(at: SocketAddr, config: &ReceiverConfig) -> io::Result<mio::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // Connections take their buffers over from here.
    let _ = socket.set_recv_buffer_size(config.rx_buf_size as usize);
    let _ = socket.set_send_buffer_size(config.tx_buf_size as usize);
    socket.bind(&at.into())?;
    socket.listen(i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

/// The UDP port, if there is one.
pub(super) fn datagrams(address: IpAddr, config: &ReceiverConfig) -> io::Result<Option<mio::net::UdpSocket>> {
    let Some(port) = u16::try_from(config.udp_port).ok().filter(|port| *port > 0) else { return Ok(None) };
    mio::net::UdpSocket::bind(SocketAddr::new(address, port)).map(Some)
}

/// Sends a datagram from any port.
pub(super) fn one_datagram(to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0))?.send_to(bytes, to).map(|_| ())
}

/// The membership's socket, which has joined its group.
pub(super) fn group(config: &McastConfig, address: IpAddr) -> Result<mio::net::UdpSocket, OpenError> {
    let group = SocketAddr::new(config.address, config.port);
    let joined = join(group, config, address).map_err(|source| OpenError::Multicast { group, source })?;
    Ok(mio::net::UdpSocket::from_std(joined.into()))
}

/// How long a datagram to oneself may take.
const ECHO: Duration = Duration::from_millis(500);

/// Whether a member with these settings hears what it says: there are machines without multicast, or not on every
/// interface.
pub fn multicast_works(config: &McastConfig, address: IpAddr) -> bool {
    let group = SocketAddr::new(config.address, config.port);
    let heard = || -> io::Result<bool> {
        let socket = UdpSocket::from(join(group, config, address)?);
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(ECHO))?;
        let mut said = [0; 16];
        getrandom::fill(&mut said).map_err(|error| io::Error::other(error.to_string()))?;
        socket.send_to(&said, group)?;
        let mut heard = [0; 16];
        Ok(socket.recv(&mut heard)? == said.len() && heard == said)
    };
    heard().unwrap_or(false)
}

fn join(group: SocketAddr, config: &McastConfig, address: IpAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    // Bound to the group, it does not hear what was meant for other groups.
    socket.bind(&group.into())?;
    match group.ip() {
        IpAddr::V4(of) => {
            let here = match (config.bind, address) {
                (Some(IpAddr::V4(bind)), _) => Some(bind),
                _ => None,
            };
            if let Some(bind) = here {
                socket.set_multicast_if_v4(&bind)?;
                socket.join_multicast_v4(&of, &bind)?;
            } else if let Err(error) = socket.join_multicast_v4(&of, &Ipv4Addr::UNSPECIFIED) {
                // No route says which interface: the receiver's does.
                let IpAddr::V4(address) = address else { return Err(error) };
                socket.join_multicast_v4(&of, &address).map_err(|_| error)?;
                socket.set_multicast_if_v4(&address)?;
            }
            socket.set_multicast_loop_v4(!config.local_loopback_disabled)?;
            if config.ttl > 0 {
                socket.set_multicast_ttl_v4(config.ttl)?;
            }
        }
        IpAddr::V6(of) => {
            socket.join_multicast_v6(&of, 0)?;
            socket.set_multicast_loop_v6(!config.local_loopback_disabled)?;
            if config.ttl > 0 {
                socket.set_multicast_hops_v6(config.ttl)?;
            }
        }
    }
    Ok(socket)
}
