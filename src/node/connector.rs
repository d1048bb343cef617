//! Connectors: an address that is listened on, a thread for its sockets, and threads that requests run on.
//!
//! Life: [`Connector::bind`] (also done by `configtest`) → [`Bound::start`] → [`Running::pause`], after which no connection is
//! taken and idle ones are closed → [`Running::join`], once the requests in progress are answered or the time is up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::api::Api;
use super::container::Engine;
use super::exchange::Exchange;
use super::link::{Link, TRACE};
use super::model::{self, Speaks};
use super::tls::Hosts;
use super::{ajp, http, http2, log};

/// What answers a connector's requests.
#[derive(Clone, Debug)]
pub enum Answers {
    /// The applications of a service.
    Engine(Arc<Engine>),
    /// The session API.
    Api(Arc<Api>),
}

impl Answers {
    fn handle(&self, exchange: &mut Exchange) {
        match self {
            Self::Engine(engine) => engine.handle(exchange),
            Self::Api(api) => api.handle(exchange),
        }
    }

    /// Logs a request whose response was sent.
    pub fn log(&self, exchange: &Exchange) {
        if let Self::Engine(engine) = self {
            engine.log(exchange);
        }
    }
}

/// What the connections of a connector share.
#[derive(Debug)]
pub struct Shared {
    /// Its settings.
    pub settings: model::Connector,
    /// What answers.
    pub answers: Answers,
    /// Numbers of connections.
    pub connections: AtomicU64,
    /// Turns true when the connector stops.
    pub stopping: watch::Receiver<bool>,
    /// What it shows to clients that have to speak TLS.
    hosts: Option<Arc<Hosts>>,
    open: AtomicUsize,
}

impl Shared {
    /// Runs a request on a thread that may block.
    ///
    /// # Errors
    /// The handler panicked, and its exchange is lost.
    pub async fn handle(self: &Arc<Self>, mut exchange: Exchange) -> Result<Exchange, tokio::task::JoinError> {
        if exchange.request.method == "TRACE" && !self.settings.allow_trace {
            return Ok(TRACE.answer(exchange.request));
        }
        let answers = self.answers.clone();
        tokio::task::spawn_blocking(move || {
            answers.handle(&mut exchange);
            exchange
        })
        .await
    }

    /// Whether the connector stops.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// A connector whose address is taken.
#[derive(Debug)]
pub struct Bound {
    settings: model::Connector,
    hosts: Option<Arc<Hosts>>,
    socket: std::net::TcpListener,
    /// As Tomcat calls it: `http-nio-8080`.
    pub name: String,
    /// The address, its port known.
    pub address: SocketAddr,
}

/// A connector that answers.
#[derive(Debug)]
pub struct Running {
    /// As Tomcat calls it.
    pub name: String,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// How long requests in progress may take when a connector stops.
const GRACE: Duration = Duration::from_secs(5);

/// What begins a connector's name.
pub fn protocol(settings: &model::Connector) -> &'static str {
    match &settings.speaks {
        Speaks::Http if settings.tls.is_some() => "https-jsse-nio",
        Speaks::Http => "http-nio",
        Speaks::Ajp(_) => "ajp-nio",
        Speaks::Api { .. } => "api",
    }
}

/// Takes a connector's address.
///
/// # Errors
/// It is not to be had.
pub fn bind(settings: &model::Connector) -> io::Result<Bound> {
    let socket = match settings.address {
        Some(address) => listen(SocketAddr::new(address, settings.port), settings.backlog)?,
        // Every address: both families where the system has both.
        None => listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, settings.port)), settings.backlog)
            .or_else(|_| listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, settings.port)), settings.backlog))?,
    };
    let address = socket.local_addr()?;
    let kind = protocol(settings);
    let host = settings.address.map(|address| format!("{address}-")).unwrap_or_default();
    let port = if settings.port == 0 { format!("auto-{}", address.port()) } else { settings.port.to_string() };
    Ok(Bound { settings: settings.clone(), hosts: None, socket, name: format!("{kind}-{host}{port}"), address })
}

fn listen(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != IpAddr::from(Ipv6Addr::UNSPECIFIED))?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

impl Bound {
    /// The same, for clients that speak TLS.
    #[must_use]
    pub fn secured(self, hosts: Hosts) -> Self {
        Self { hosts: Some(Arc::new(hosts)), ..self }
    }

    /// Begins to answer.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn start(self, answers: Answers) -> io::Result<Running> {
        let (stop, stopping) = watch::channel(false);
        let prefix = format!("{}-exec-", self.name);
        let numbers = AtomicU64::new(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(self.settings.max_threads)
            .thread_name_fn(move || format!("{prefix}{}", numbers.fetch_add(1, Ordering::Relaxed)))
            .build()?;
        let shared = Arc::new(Shared {
            settings: self.settings,
            answers,
            connections: AtomicU64::new(0),
            stopping,
            hosts: self.hosts,
            open: AtomicUsize::new(0),
        });
        let socket = self.socket;
        let thread = std::thread::Builder::new().name(format!("{}-Poller", self.name)).spawn(move || {
            let accepting = Arc::clone(&shared);
            runtime.block_on(async move {
                match TcpListener::from_std(socket) {
                    Ok(listener) => accept(listener, accepting).await,
                    Err(error) => {
                        log::severe("org.apache.tomcat.util.net.NioEndpoint.startInternal", &error.to_string())
                    }
                }
            });
            runtime.shutdown_timeout(Duration::from_millis(100));
        })?;
        Ok(Running { name: self.name, stop, thread })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(shared.settings.max_connections));
    let mut stopping = shared.stopping.clone();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: others may close some.
                log::severe("org.apache.tomcat.util.net.Acceptor.run", &format!("Socket accept failed: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let shared = Arc::clone(&shared);
        shared.open.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            serve(stream, peer, &shared).await;
            shared.open.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
    }
    drop(listener);
    let deadline = tokio::time::Instant::now() + GRACE;
    while shared.open.load(Ordering::Relaxed) > 0 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    // Answers are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let link = match &shared.settings.speaks {
        Speaks::Ajp(settings) => return ajp::serve(stream, peer, shared, settings).await,
        Speaks::Http | Speaks::Api { .. } => {
            Link::new(shared.connections.fetch_add(1, Ordering::Relaxed), peer, &stream)
        }
    };
    let Ok(link) = link else { return };
    let Some(hosts) = &shared.hosts else { return http::serve(stream, link, shared).await };
    let greeted = tokio::time::timeout(shared.settings.timeout.unwrap_or(http::LONG), hosts.accept(stream));
    let mut stopping = shared.stopping.clone();
    let greeted = tokio::select! {
        greeted = greeted => greeted,
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    // A client that cannot be agreed with was told so in its protocol; there is no request to be logged.
    let Ok(Ok(Some((stream, session)))) = greeted else { return };
    let link = link.secured(session, Arc::clone(hosts));
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        http2::serve(stream, link, shared).await;
    } else {
        http::serve(stream, link, shared).await;
    }
}

impl Running {
    /// Takes no more connections; those without a request are closed.
    pub fn pause(&self) {
        log::info("org.apache.coyote.AbstractProtocol.pause", &format!("Pausing ProtocolHandler [\"{}\"]", self.name));
        let _ = self.stop.send(true);
    }

    /// Waits for the requests in progress.
    pub fn join(self) {
        let _ = self.stop.send(true);
        log::info("org.apache.coyote.AbstractProtocol.stop", &format!("Stopping ProtocolHandler [\"{}\"]", self.name));
        let _ = self.thread.join();
    }
}

/// An address without the form that carries IPv4 inside IPv6.
pub fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
