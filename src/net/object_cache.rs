//! Caches of objects on other machines (memcached, Redis). Everything here waits: it is for threads that may.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::codec::object_cache::{Dialect, OBJECT_MAX, Reply};

/// A server that did not answer is left alone so long.
const DEAD_FOR: Duration = Duration::from_secs(5);

/// So many connections to one server wait for their next use.
const IDLE_MAX: usize = 16;

/// Servers that share the objects among them.
pub struct Servers {
    dialect: Dialect,
    servers: Vec<Server>,
    times: Times,
}

/// How long what may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A connection waits for its next use.
    pub idle: Duration,
    /// A server is waited for.
    pub answer: Duration,
}

struct Server {
    host: String,
    port: u16,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<(TcpStream, Instant)>,
    /// Since when it does not answer.
    dead: Option<Instant>,
}

/// Why there is no reply.
#[derive(Debug)]
pub enum Fault {
    /// No server is there to be asked.
    NoServer,
    /// The one that was asked failed.
    Failed(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Servers {
    /// These servers, each a host and a port; nobody is asked yet.
    pub fn new(dialect: Dialect, servers: Vec<(String, u16)>, times: Times) -> Self {
        let server = |(host, port)| Server { host, port, state: Mutex::default() };
        Self { dialect, servers: servers.into_iter().map(server).collect(), times }
    }

    /// An object; none if there is none of this key.
    ///
    /// # Errors
    /// Nobody has answered, or not as a cache does.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let mut request = Vec::new();
        self.dialect.push_get(key, &mut request);
        let (reply, mut input) = self.ask(key, &request)?;
        Ok(match reply {
            Reply::Found(range) => {
                input.truncate(range.end);
                input.drain(..range.start);
                Some(input)
            }
            _ => None,
        })
    }

    /// Has an object kept for so many seconds; says whether it is.
    ///
    /// # Errors
    /// As for [`Servers::get`].
    pub fn set(&self, key: &str, object: &[u8], seconds: i64) -> Result<bool, Fault> {
        let mut request = Vec::new();
        self.dialect.push_set(key, object, seconds, &mut request);
        Ok(self.ask(key, &request)?.0 == Reply::Done)
    }

    /// Has an object forgotten; says whether there was one.
    ///
    /// # Errors
    /// As for [`Servers::get`].
    pub fn delete(&self, key: &str) -> Result<bool, Fault> {
        let mut request = Vec::new();
        self.dialect.push_delete(key, &mut request);
        Ok(self.ask(key, &request)?.0 == Reply::Done)
    }

    /// The server that has a key: as httpd's library chooses it, so that several proxies find the same.
    fn choose(&self, key: &str) -> Option<&Server> {
        let mut crc = flate2::Crc::new();
        crc.update(key.as_bytes());
        let hash = ((crc.sum() >> 16) & 0x7fff).max(1) as usize;
        let count = self.servers.len();
        let mut turn = (0..count).filter_map(|step| self.servers.get((hash + step) % count));
        turn.find(|server| server.may_be_asked())
    }

    fn ask(&self, key: &str, request: &[u8]) -> Result<(Reply, Vec<u8>), Fault> {
        let server = self.choose(key).ok_or(Fault::NoServer)?;
        // One that was kept may have been closed meanwhile: nothing is said of the server by that.
        while let Some(mut kept) = server.kept(self.times.idle) {
            if let Ok(answer) = exchange(self.dialect, &mut kept, request) {
                server.keep(kept);
                return Ok(answer);
            }
        }
        let answered = server.connect(self.times.answer).and_then(|mut stream| {
            let answer = exchange(self.dialect, &mut stream, request)?;
            Ok((stream, answer))
        });
        match answered {
            Ok((stream, answer)) => {
                server.keep(stream);
                Ok(answer)
            }
            Err(error) => {
                server.state().dead = Some(Instant::now());
                Err(error.into())
            }
        }
    }
}

impl Server {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_be_asked(&self) -> bool {
        self.state().dead.is_none_or(|since| since.elapsed() > DEAD_FOR)
    }

    /// A connection that has not waited too long.
    fn kept(&self, idle: Duration) -> Option<TcpStream> {
        let mut state = self.state();
        state.idle.retain(|(_, since)| since.elapsed() < idle);
        state.idle.pop().map(|(stream, _)| stream)
    }

    fn keep(&self, stream: TcpStream) {
        let mut state = self.state();
        state.dead = None;
        if state.idle.len() < IDLE_MAX {
            state.idle.push((stream, Instant::now()));
        }
    }

    fn connect(&self, most: Duration) -> io::Result<TcpStream> {
        let mut last = io::ErrorKind::NotFound.into();
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, most) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(most))?;
                    stream.set_write_timeout(Some(most))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn exchange(dialect: Dialect, stream: &mut TcpStream, request: &[u8]) -> io::Result<(Reply, Vec<u8>)> {
    stream.write_all(request)?;
    let mut input = Vec::new();
    let mut piece = [0; 8192];
    loop {
        if let Some((reply, length)) = dialect.reply(&input).map_err(io::Error::other)? {
            // Nobody asked for more.
            return if length == input.len() { Ok((reply, input)) } else { Err(io::ErrorKind::InvalidData.into()) };
        }
        let read = stream.read(&mut piece)?;
        if read == 0 || input.len() > OBJECT_MAX * 2 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        input.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
}
