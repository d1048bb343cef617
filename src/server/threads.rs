//! One runtime per core: who accepts, who serves, and how threads learn of a new generation.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use mio::net::{TcpListener, TcpStream as MioStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::conn;
use super::front::{Front, Fronts, fronts};
use super::http1::Session;
use super::http2::Attendant;
use super::socket::Socket;
use crate::config::Generation;
use crate::logs::{self, Errno, Level, Opened, Process};
use crate::modules::mpm;
use crate::net::listen::Listener;
use crate::web::Live;

/// A generation with its open logs.
pub(super) struct Serving {
    pub(super) generation: Arc<Generation>,
    pub(super) opened: Opened,
    fronts: Arc<[Front]>,
}

impl Serving {
    pub(super) fn new(generation: Arc<Generation>, opened: Opened) -> Self {
        let fronts = fronts(&generation);
        Self { generation, opened, fronts }
    }

    fn fronts(&self) -> Rc<Fronts> {
        let live = Live::new(self.generation.clone(), self.opened.sinks.clone());
        Rc::new(Fronts::new(Rc::new(live), self.fronts.clone()))
    }

    /// Whether nobody else uses this generation.
    pub(super) fn is_over(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1 && Arc::strong_count(&self.generation) == 1
    }
}

/// What all threads share.
pub(super) struct Shared {
    /// What is served.
    pub(super) current: ArcSwap<Serving>,
    /// Counts what was served: a request looks at this, which costs less than to look at `current`.
    version: AtomicU64,
    /// Connections of each thread.
    loads: Vec<Load>,
    /// Numbers connections.
    ids: AtomicU64,
    /// How many may be busy, and how many open.
    most: (AtomicUsize, AtomicUsize),
    /// It was said that there are as many as there may be.
    full_said: AtomicBool,
    /// How many connections leave enough descriptors for what they ask for: files, backends.
    descriptors: usize,
    /// It was said that descriptors have run out, and they still have.
    out_said: AtomicBool,
    /// The longest time that a thread served nobody for the sake of a reload, in nanoseconds.
    pause: AtomicU64,
}

/// Connections of one thread, on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Load {
    /// Open ones.
    open: AtomicUsize,
    /// Of these, those that wait for another request.
    idle: AtomicUsize,
}

impl Shared {
    pub(super) fn new(serving: Serving, threads: usize) -> Self {
        Self {
            most: {
                let (busy, open) = mpm::limits::most(&serving.generation.globals);
                (AtomicUsize::new(busy), AtomicUsize::new(open))
            },
            current: ArcSwap::from_pointee(serving),
            version: AtomicU64::new(0),
            loads: (0..threads).map(|_| Load::default()).collect(),
            ids: AtomicU64::new(0),
            full_said: AtomicBool::new(false),
            descriptors: descriptors(),
            out_said: AtomicBool::new(false),
            pause: AtomicU64::new(0),
        }
    }

    /// Serves something else from here on.
    pub(super) fn go_over(&self, serving: Serving) {
        let (busy, open) = mpm::limits::most(&serving.generation.globals);
        self.most.0.store(busy, Ordering::Relaxed);
        self.most.1.store(open, Ordering::Relaxed);
        self.current.store(Arc::new(serving));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// A thread has served nobody since then.
    fn paused(&self, begun: Instant) {
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.pause.fetch_max(nanos, Ordering::Relaxed);
    }

    /// The longest time that a thread served nobody for the sake of a reload since this was asked last.
    pub(super) fn take_pause(&self) -> Duration {
        Duration::from_nanos(self.pause.swap(0, Ordering::Relaxed))
    }

    /// Whether there are as many connections as there may be.
    fn is_full(&self) -> bool {
        let idle: usize = self.loads.iter().map(|load| load.idle.load(Ordering::Relaxed)).sum();
        let open = self.connections();
        open.saturating_sub(idle) >= self.most.0.load(Ordering::Relaxed) || open >= self.most.1.load(Ordering::Relaxed)
    }

    /// Whether another connection would leave those that are there without descriptors.
    fn is_out(&self) -> bool {
        self.connections() >= self.descriptors
    }

    /// Says once that descriptors run out.
    fn say_out(&self, error: Errno) {
        if !self.out_said.swap(true, Ordering::Relaxed) {
            logs::error!(Process, Level::Error, "core", error => "AH00468: apr_socket_accept: (client socket)");
        }
    }

    /// Open connections of all threads.
    pub(super) fn connections(&self) -> usize {
        self.loads.iter().map(|load| load.open.load(Ordering::Relaxed)).sum()
    }
}

/// Dropped when an order is carried out; whoever gave the order sees when no more of them are there.
pub(super) type Done = tokio::sync::mpsc::Sender<()>;

/// What a thread is told.
pub(super) enum Order {
    /// Listen on exactly these. The other part is dropped when the rest is closed.
    Listen(Vec<Arc<Listener>>, Done),
    /// There is a new generation.
    Refresh,
    /// A connection another thread accepted.
    Adopt(StdStream, SocketAddr, Arc<Listener>, OnItsWay),
    /// Accept no more, close idle connections, end those that are served after their response.
    Drain,
    /// Accept no more; connections end with their next response, or when they have been idle for too long.
    Retire,
}

/// A connection that is on its way to a thread counts as that thread's, so that no more are let in than there may be.
pub(super) struct OnItsWay {
    shared: Arc<Shared>,
    to: usize,
}

impl OnItsWay {
    fn new(shared: Arc<Shared>, to: usize) -> Self {
        shared.loads[to].open.fetch_add(1, Ordering::Relaxed);
        Self { shared, to }
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.shared.loads[self.to].open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The threads, as the one that gives orders sees them.
pub(super) struct Threads {
    orders: Vec<UnboundedSender<Order>>,
}

impl Threads {
    /// Starts one thread for each of `shared`'s loads.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let channels: Vec<_> = shared.loads.iter().map(|_| unbounded_channel()).collect();
        let orders: Vec<_> = channels.iter().map(|(sender, _)| sender.clone()).collect();
        for (index, (_, receiver)) in channels.into_iter().enumerate() {
            let (shared, orders) = (shared.clone(), orders.clone());
            std::thread::Builder::new().name(format!("worker {index}")).spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
                match runtime {
                    Ok(runtime) => runtime.block_on(work(Rc::new(Thread::new(index, shared, orders)), receiver)),
                    Err(error) => {
                        logs::error!(Process, Level::Alert, "core", Errno::from(&error) => "cannot make a thread's runtime");
                    }
                }
            })?;
        }
        Ok(Self { orders })
    }

    /// Tells all threads.
    pub(super) fn tell(&self, order: impl Fn() -> Order) {
        for orders in &self.orders {
            // A thread that is gone has said why.
            let _ = orders.send(order());
        }
    }
}

/// How many sessions a thread keeps for the next requests.
const KEPT: usize = 64;

/// How many attendants a thread keeps for the next streams: a few clients may have a hundred each.
const KEPT_ATTENDANTS: usize = 512;

/// One worker thread.
pub(super) struct Thread {
    index: usize,
    shared: Arc<Shared>,
    orders: Vec<UnboundedSender<Order>>,
    fronts: RefCell<Rc<Fronts>>,
    /// The version that `fronts` is of, or one before it.
    version: Cell<u64>,
    sessions: RefCell<Vec<Session>>,
    attendants: RefCell<Vec<Attendant>>,
    draining: Cell<bool>,
    retiring: Cell<bool>,
    /// Idle connections' wakers, by the connection's place.
    idle: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Thread {
    fn new(index: usize, shared: Arc<Shared>, orders: Vec<UnboundedSender<Order>>) -> Self {
        let version = shared.version.load(Ordering::Acquire);
        let fronts = shared.current.load().fronts();
        Self {
            index,
            shared,
            orders,
            fronts: RefCell::new(fronts),
            version: Cell::new(version),
            sessions: RefCell::default(),
            attendants: RefCell::default(),
            draining: Cell::new(false),
            retiring: Cell::new(false),
            idle: RefCell::default(),
            free: RefCell::default(),
        }
    }

    /// The current generation as this thread sees it.
    pub(super) fn fronts(&self) -> Rc<Fronts> {
        let version = self.shared.version.load(Ordering::Acquire);
        if self.version.replace(version) == version {
            return self.fronts.borrow().clone();
        }
        let current = self.shared.current.load();
        let mut fronts = self.fronts.borrow_mut();
        if !Arc::ptr_eq(&current.generation, &fronts.live.generation) {
            *fronts = current.fronts();
            // They hold on to the old generation.
            self.sessions.borrow_mut().clear();
            self.attendants.borrow_mut().clear();
        }
        fronts.clone()
    }

    /// Whether connections end after their response.
    pub(super) fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether connections are told to end with their next response.
    pub(super) fn retiring(&self) -> bool {
        self.retiring.get()
    }

    /// A session to serve requests with.
    pub(super) fn take_session(self: &Rc<Self>) -> Session {
        self.sessions.borrow_mut().pop().unwrap_or_else(|| Session::new(self))
    }

    /// Gives a session back.
    pub(super) fn give_session(&self, session: Session) {
        let mut kept = self.sessions.borrow_mut();
        if kept.len() < KEPT {
            kept.push(session);
        }
    }

    /// An attendant for a stream.
    pub(super) fn take_attendant(&self) -> Attendant {
        self.attendants.borrow_mut().pop().unwrap_or_else(Attendant::new)
    }

    /// Gives an attendant back.
    pub(super) fn give_attendant(&self, attendant: Attendant) {
        let mut kept = self.attendants.borrow_mut();
        if kept.len() < KEPT_ATTENDANTS {
            kept.push(attendant);
        }
    }

    /// A place for a connection, with its number.
    pub(super) fn enter(&self) -> (usize, u64) {
        self.load().open.fetch_add(1, Ordering::Relaxed);
        let place = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut idle = self.idle.borrow_mut();
            idle.push(None);
            idle.len() - 1
        });
        (place, self.shared.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// The connection of this place is over.
    pub(super) fn leave(&self, place: usize) {
        self.load().open.fetch_sub(1, Ordering::Relaxed);
        if let Some(waker) = self.idle.borrow_mut().get_mut(place) {
            *waker = None;
        }
        self.free.borrow_mut().push(place);
    }

    /// A connection begins to wait for another request, or no longer does.
    pub(super) fn waits(&self, waits: bool) {
        let idle = &self.load().idle;
        if waits {
            idle.fetch_add(1, Ordering::Relaxed);
        } else {
            idle.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Has the connection of this place woken when the thread begins to drain.
    pub(super) fn wake_to_drain(&self, place: usize, waker: &Waker) {
        if let Some(known @ None) = self.idle.borrow_mut().get_mut(place) {
            *known = Some(waker.clone());
        }
    }

    fn load(&self) -> &Load {
        &self.shared.loads[self.index]
    }

    /// The thread that should have a new connection, if it is another one: the system spreads connections by a hash of
    /// their addresses, which leaves a few kept-alive ones on one thread now and then.
    fn better(&self) -> Option<usize> {
        let own = self.load().open.load(Ordering::Relaxed);
        let loads = self.shared.loads.iter().map(|load| load.open.load(Ordering::Relaxed));
        let (index, least) = loads.enumerate().min_by_key(|(_, load)| *load)?;
        (own > least + least / 8).then_some(index)
    }

    fn drain(&self) {
        self.draining.set(true);
        self.wake_idle();
    }

    /// Has idle connections look what is to be done.
    fn wake_idle(&self) {
        let wakers: Vec<_> = self.idle.borrow().iter().flatten().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A thread's life: orders, and connections beside them.
async fn work(thread: Rc<Thread>, mut orders: UnboundedReceiver<Order>) {
    let mut accepting: Vec<(Arc<Listener>, JoinHandle<()>)> = Vec::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Listen(wanted, done) => {
                let mut begun = Instant::now();
                let keep = |listener: &Arc<Listener>| wanted.iter().any(|other| Arc::ptr_eq(other, listener));
                let gone: Vec<_> = accepting.extract_if(.., |(listener, _)| !keep(listener)).collect();
                for (listener, task) in gone {
                    retire(&thread, &listener);
                    task.abort();
                    thread.shared.paused(begun);
                    // Its socket is closed when it has ended; the address may be wanted again at once.
                    let _ = task.await;
                    begun = Instant::now();
                }
                for listener in wanted {
                    if accepting.iter().any(|(other, _)| Arc::ptr_eq(other, &listener)) {
                        continue;
                    }
                    let socket = socket_of(&listener, thread.index).and_then(|socket| Door::new(socket).ok());
                    let Some(socket) = socket else {
                        logs::error!(Process, Level::Alert, "core", "cannot listen on {}", listener.addr);
                        continue;
                    };
                    let task = tokio::task::spawn_local(accept(thread.clone(), socket, listener.clone()));
                    accepting.push((listener, task));
                }
                thread.shared.paused(begun);
                drop(done);
            }
            Order::Refresh => {
                let begun = Instant::now();
                thread.fronts();
                thread.shared.paused(begun);
            }
            Order::Adopt(stream, peer, listener, way) => {
                admit(&thread, stream, peer, &listener);
                drop(way);
            }
            Order::Retire => {
                // Who waits in the queues is for the others that have these sockets.
                accepting.drain(..).for_each(|(_, task)| task.abort());
                thread.retiring.set(true);
                thread.wake_idle();
            }
            Order::Drain => {
                for (listener, task) in accepting.drain(..) {
                    retire(&thread, &listener);
                    task.abort();
                }
                thread.drain();
            }
        }
    }
}

/// The socket of a thread; threads share where there are fewer.
fn socket_of(listener: &Listener, thread: usize) -> Option<&std::net::TcpListener> {
    listener.sockets.get(thread.checked_rem(listener.sockets.len())?)
}

/// Serves who already waits in the queue of a socket that is going to be closed.
fn retire(thread: &Rc<Thread>, listener: &Listener) {
    let Some(socket) = socket_of(listener, thread.index) else { return };
    while let Ok((stream, peer)) = socket.accept() {
        if stream.set_nonblocking(true).is_ok() {
            admit(thread, stream, peer, listener);
        }
    }
}

/// A listening socket of one thread. Not the runtime's own, which would watch each connection from the start.
struct Door {
    socket: TcpListener,
    /// The same socket, for the runtime to tell when somebody waits.
    bell: TcpStream,
    /// Somebody was let in since the bell rang: nobody else may wait.
    opened: Cell<bool>,
}

impl Door {
    fn new(socket: &std::net::TcpListener) -> std::io::Result<Self> {
        let bell = TcpStream::from_std(StdStream::from(OwnedFd::from(socket.try_clone()?)))?;
        Ok(Self { socket: TcpListener::from_std(socket.try_clone()?), bell, opened: Cell::new(false) })
    }

    async fn accept(&self) -> std::io::Result<(StdStream, SocketAddr)> {
        let (stream, peer) = self.bell.async_io(Interest::READABLE, || self.accept_at_once()).await?;
        Ok((stream.into(), peer))
    }

    fn accept_at_once(&self) -> std::io::Result<(MioStream, SocketAddr)> {
        // The system makes a socket before it looks whether there is anybody to have it: to ask first costs a tenth.
        if self.opened.replace(false) && !has_input(&self.socket)? {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let accepted = self.socket.accept()?;
        self.opened.set(true);
        Ok(accepted)
    }
}

/// Whether there is something to read, or somebody to accept.
fn has_input(socket: &impl AsFd) -> std::io::Result<bool> {
    let mut asked = [PollFd::new(socket, PollFlags::IN)];
    Ok(poll(&mut asked, Some(&Timespec::default()))? > 0)
}

/// How often an acceptor looks whether there is room again.
const ROOM: Duration = Duration::from_millis(5);

/// Over when there is room for another connection.
async fn room(shared: &Shared) {
    if !shared.full_said.swap(true, Ordering::Relaxed) {
        let mpm = mpm::kind(&shared.current.load().generation.globals);
        let text = "server reached MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting";
        logs::error!(Process, Level::Error, mpm.log, "{}: {text}", mpm.full);
    }
    while shared.is_full() {
        tokio::time::sleep(ROOM).await;
    }
}

/// Descriptors that the server needs for itself.
const OWN: usize = 40;

/// How many of the descriptors that this process may have are for clients: three of four.
fn descriptors() -> usize {
    use nix::sys::resource::{Resource, getrlimit};
    let most =
        getrlimit(Resource::RLIMIT_NOFILE).map_or(usize::MAX, |(soft, _)| usize::try_from(soft).unwrap_or(usize::MAX));
    (most.saturating_sub(OWN) / 4 * 3).max(1)
}

async fn accept(thread: Rc<Thread>, door: Door, listener: Arc<Listener>) {
    let shared = thread.shared.clone();
    loop {
        if shared.is_full() {
            room(&shared).await;
        }
        if shared.is_out() {
            shared.say_out(Errno(nix::errno::Errno::EMFILE as i32));
            while shared.is_out() {
                tokio::time::sleep(ROOM).await;
            }
        }
        let (stream, peer) = match door.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
                if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
                    shared.say_out(Errno::from(&error));
                    // No descriptor left: the queue keeps them while others end.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                continue;
            }
        };
        if shared.out_said.load(Ordering::Relaxed) && shared.connections() < shared.descriptors / 2 {
            shared.out_said.store(false, Ordering::Relaxed);
        }
        if shared.is_full() {
            // It came when the last place was taken. On its own, as this task may end before there is room.
            let (thread, listener) = (thread.clone(), listener.clone());
            tokio::task::spawn_local(async move {
                room(&thread.shared).await;
                admit(&thread, stream, peer, &listener);
            });
            continue;
        }
        match thread.better() {
            None => admit(&thread, stream, peer, &listener),
            Some(other) => {
                if let Some(orders) = thread.orders.get(other) {
                    let way = OnItsWay::new(shared.clone(), other);
                    let _ = orders.send(Order::Adopt(stream, peer, listener.clone(), way));
                }
            }
        }
    }
}

fn admit(thread: &Rc<Thread>, stream: StdStream, peer: SocketAddr, listener: &Listener) {
    // Only a listener on every address has to ask which one a client came to.
    let local = if listener.addr.ip().is_unspecified() { stream.local_addr().ok() } else { Some(listener.addr) };
    let Some(local) = local else { return };
    conn::start(thread.clone(), Socket::new(stream), local, peer);
}
