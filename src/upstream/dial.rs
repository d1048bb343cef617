//! New connections: names resolved, sockets set up and connected.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream, UnixStream};

use super::spec::{Endpoint, Policy, WorkerSpec};
use super::stream::Stream;
use super::worker::{Addresses, Worker};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The name has no address.
    #[error("DNS lookup failure for: {0}")]
    Resolve(String),
    /// No address could be connected to; each with its error, in the order tried.
    #[error("no address answers")]
    Refused(Vec<(Tried, io::Error)>),
}

/// One address that was tried.
#[derive(Debug)]
pub(super) enum Tried {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What of the request's settings matters for a connection.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    pub(super) timeout: Duration,
    pub(super) source: Option<IpAddr>,
    pub(super) receive_buffer: Option<usize>,
}

impl Setup {
    pub(super) fn new(spec: &WorkerSpec, policy: &Policy, timeout: Duration) -> Self {
        Self {
            timeout: spec.connect_timeout.unwrap_or(timeout),
            source: policy.source,
            receive_buffer: spec.receive_buffer.or(policy.receive_buffer).filter(|size| *size > 0),
        }
    }
}

/// Connects to the worker: its addresses one after the other.
pub(super) async fn dial(worker: &Worker, setup: Setup) -> Result<Stream, DialError> {
    match &worker.spec.endpoint {
        Endpoint::Unix(path) => match within(setup.timeout, UnixStream::connect(path)).await {
            Ok(stream) => Ok(Stream::Unix(stream)),
            Err(error) => Err(DialError::Refused(vec![(Tried::Unix(path.clone()), error)])),
        },
        Endpoint::Tcp(host, port) => {
            let addresses = resolve(worker, host, *port).await?;
            let mut errors = Vec::new();
            for addr in &addresses.list {
                match within(setup.timeout, connect(*addr, &worker.spec, setup)).await {
                    Ok(stream) => return Ok(Stream::Tcp(stream)),
                    Err(error) => errors.push((Tried::Tcp(*addr), error)),
                }
            }
            Err(DialError::Refused(errors))
        }
    }
}

/// The worker's addresses, resolved if that is due. Without an error for Unix sockets.
pub(super) async fn lookup(worker: &Worker) -> Result<(), DialError> {
    match &worker.spec.endpoint {
        Endpoint::Tcp(..) if worker.spec.address_ttl.is_none() && worker.state.resolved.load(Ordering::Acquire) => {
            Ok(())
        }
        Endpoint::Tcp(..) if worker.state.addresses.load().as_ref().is_some_and(|known| is_fresh(worker, known)) => {
            Ok(())
        }
        Endpoint::Tcp(host, port) => resolve(worker, host, *port).await.map(|_| ()),
        Endpoint::Unix(_) => Ok(()),
    }
}

fn is_fresh(worker: &Worker, known: &Addresses) -> bool {
    worker.spec.address_ttl.is_none_or(|ttl| known.found.elapsed() < ttl)
}

async fn resolve(worker: &Worker, host: &str, port: u16) -> Result<Arc<Addresses>, DialError> {
    if let Some(known) = worker.state.addresses.load_full()
        && is_fresh(worker, &known)
    {
        return Ok(known);
    }
    let list = if let Ok(ip) = host.parse::<IpAddr>() {
        vec![SocketAddr::new(ip, port)]
    } else {
        let name = host.to_owned();
        let found = tokio::task::spawn_blocking(move || {
            (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>)
        });
        found.await.ok().and_then(Result::ok).unwrap_or_default()
    };
    if list.is_empty() {
        return Err(DialError::Resolve(host.to_owned()));
    }
    let found = Arc::new(Addresses { list, found: Instant::now() });
    worker.state.addresses.store(Some(found.clone()));
    worker.state.resolved.store(true, Ordering::Release);
    Ok(found)
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn connect(addr: SocketAddr, spec: &WorkerSpec, setup: Setup) -> io::Result<TcpStream> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(size) = setup.receive_buffer {
        socket.set_recv_buffer_size(u32::try_from(size).unwrap_or(u32::MAX))?;
    }
    if spec.keepalive == Some(true) {
        socket.set_keepalive(true)?;
    }
    if let Some(source) = setup.source
        && source.is_ipv4() == addr.is_ipv4()
    {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
