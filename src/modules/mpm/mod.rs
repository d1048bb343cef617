//! `event.c`, `worker.c`, `prefork.c`: listeners, buffers, limits, shutdown. Their process model has no counterpart
//! here.

mod kinds;
pub mod limits;
mod rows;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

use crate::base::addr::HostPort;
use crate::config::{Args, Cmd, Conf, Globals, Listen, latin1};
use crate::modules::slot;

pub use kinds::{EVENT, Kind, PREFORK, WORKER, kind};

/// Values of the process that the run path needs.
#[derive(Clone, Debug, Default)]
pub struct Mpm {
    /// ListenBacklog.
    pub backlog: Option<i32>,
    /// SendBufferSize in bytes; 0 is the system's.
    pub send_buffer: Option<usize>,
    /// ReceiveBufferSize in bytes; 0 is the system's.
    pub receive_buffer: Option<usize>,
    /// ListenTCPDeferAccept in seconds.
    pub defer_accept: Option<u32>,
    /// AsyncRequestWorkerFactor.
    pub async_factor: Option<f64>,
    /// GracefulShutdownTimeout in seconds; 0 waits for ever.
    pub graceful_timeout: Option<u64>,
}

impl Conf for Mpm {
    const SLOT: usize = slot::MPM_EVENT + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

fn conf<'a>(cmd: &'a mut Cmd<'_>) -> &'a mut Mpm {
    cmd.globals.conf.get_mut::<Mpm>()
}

/// The leading integer, saturating.
fn number(text: &[u8]) -> i64 {
    crate::modules::check::number(text)
}

/// `Listen [address:]port [protocol]`.
pub(super) fn listen(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    if args.words.is_empty() || args.words.len() > 2 {
        return Err("Listen requires 1 or 2 arguments.".to_owned());
    }
    let parsed = HostPort::parse(args.word(0)).map_err(|_| "Invalid address or port".to_owned())?;
    let Some(port) = parsed.port else { return Err("Port must be specified".to_owned()) };
    let protocol = match args.opt(1) {
        Some(word) => latin1(&word.to_ascii_lowercase()),
        None if port == 443 => "https".to_owned(),
        None => "http".to_owned(),
    };
    let at = cmd.at.clone();
    for addr in addresses(cmd, &parsed)? {
        let same = |other: &Listen| other.port == port && other.addr == addr;
        if cmd.globals.listens.iter().any(same) {
            return Err("Cannot define multiple Listeners on the same IP:port".to_owned());
        }
        cmd.globals.listens.push(Listen { addr, port, protocol: protocol.clone(), at: at.clone() });
    }
    Ok(())
}

/// The addresses a host stands for; `None` is every address.
fn addresses(cmd: &mut Cmd<'_>, parsed: &HostPort<'_>) -> Result<Vec<Option<IpAddr>>, String> {
    let Some(host) = parsed.host.filter(|_| !parsed.is_any()) else { return Ok(vec![None]) };
    if let Some(ip) = parsed.ip() {
        return Ok(vec![Some(ip)]);
    }
    let name = latin1(host);
    let found: Vec<_> = match (name.as_str(), 0).to_socket_addrs() {
        Ok(found) => found.map(|addr| Some(addr.ip())).collect(),
        Err(_) => Vec::new(),
    };
    if found.is_empty() {
        let text =
            format!("(EAI 2)Name or service not known: AH00077: alloc_listener: failed to set up sockaddr for {name}");
        cmd.warn("core", "crit", text);
        return Err("Listen setup failed".to_owned());
    }
    let mut once: Vec<Option<IpAddr>> = Vec::new();
    for addr in found {
        if !once.contains(&addr) {
            once.push(addr);
        }
    }
    Ok(once)
}

/// `ListenBacklog`.
pub(super) fn backlog(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let n = number(args.word(0));
    if n <= 0 {
        return Err("ListenBacklog must be > 0".to_owned());
    }
    conf(cmd).backlog = Some(i32::try_from(n).unwrap_or(i32::MAX));
    Ok(())
}

/// `ListenCoresBucketsRatio`: how many threads share a socket is our own business.
pub(super) fn buckets_ratio(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    if number(args.word(0)) <= 0 {
        return Err("ListenCoresBucketsRatio must be > 0".to_owned());
    }
    Ok(())
}

/// `ListenTCPDeferAccept`.
pub(super) fn defer_accept(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let seconds = u32::try_from(number(args.word(0))).ok().filter(|seconds| *seconds > 0);
    conf(cmd).defer_accept = Some(seconds.ok_or_else(|| "ListenTCPDeferAccept must be > 0".to_owned())?);
    Ok(())
}

fn buffer_size(cmd: &Cmd<'_>, args: &Args<'_>) -> Result<usize, String> {
    cmd.global_only()?;
    let size = usize::try_from(number(args.word(0))).ok().filter(|size| *size == 0 || *size >= 512);
    size.ok_or_else(|| format!("{} must be >= 512 bytes, or 0 for system default.", cmd.directive.name))
}

/// `SendBufferSize`.
pub(super) fn send_buffer(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let size = buffer_size(cmd, args)?;
    conf(cmd).send_buffer = Some(size);
    Ok(())
}

/// `ReceiveBufferSize`.
pub(super) fn receive_buffer(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let size = buffer_size(cmd, args)?;
    conf(cmd).receive_buffer = Some(size);
    Ok(())
}

/// `GracefulShutdownTimeout`.
pub(super) fn graceful_timeout(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    conf(cmd).graceful_timeout = Some(u64::try_from(number(args.word(0))).unwrap_or(0));
    Ok(())
}

/// `AsyncRequestWorkerFactor`.
pub(super) fn async_factor(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let value = args.text(0).trim().parse::<f64>().map_err(|_| "error parsing value".to_owned())?;
    if value <= 0.0 {
        return Err("AsyncRequestWorkerFactor argument must be a positive number".to_owned());
    }
    conf(cmd).async_factor = Some(value);
    Ok(())
}

/// The values of the process, if any were set.
pub fn of(globals: &Globals) -> Mpm {
    globals.conf.get::<Mpm>().cloned().unwrap_or_default()
}

/// The wildcard address as it is shown, given whether the system has IPv6.
pub fn any_address(v6: bool) -> IpAddr {
    if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) }
}
