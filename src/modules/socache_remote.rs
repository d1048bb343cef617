//! What `mod_socache_memcache.c` and `mod_socache_redis.c` share: objects that servers keep for several proxies.

use std::sync::Arc;
use std::time::Duration;

use super::shared::{NotKept, Shared};
use crate::base::addr::HostPort;
use crate::base::clock::{Unit, parse_interval};
use crate::base::path::push_hex_lower;
use crate::codec::object_cache::Dialect;
use crate::config::{self, Args, Cmd, Server, latin1};
use crate::logs::{self, Errno, Level, Process};
use crate::modules::check;
use crate::modules::rows::entry;
use crate::net::object_cache::{Fault, Servers, Times};

/// A kind of server, and how the log speaks of it.
pub struct Kind {
    /// Its protocol.
    pub dialect: Dialect,
    /// The module, as the log names it.
    pub module: &'static str,
    /// Its name in messages.
    pub name: &'static str,
    /// How messages start.
    pub tag: &'static str,
    /// The port where none is named.
    pub port: u16,
    /// Numbers of messages: a server that is none, one without a host, failing to keep, to find, to forget.
    pub numbers: [&'static str; 5],
}

/// Unless something else is said: how long a connection waits for its next use, and a server is waited for.
const TIMES: Times = Times { idle: Duration::from_secs(15), answer: Duration::from_secs(5) };

/// The times of one kind of server, per server of ours, in the module's slot.
#[derive(Clone)]
struct Conf<const SLOT: usize>(Times);

impl<const SLOT: usize> Default for Conf<SLOT> {
    fn default() -> Self {
        Self(TIMES)
    }
}

impl<const SLOT: usize> config::Conf for Conf<SLOT> {
    const SLOT: usize = SLOT;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// A directive that sets one of them, up to one hour.
pub fn set<const SLOT: usize>(
    cmd: &mut Cmd<'_>,
    args: &Args<'_>,
    which: fn(&mut Times) -> &mut Duration,
) -> Result<(), String> {
    let time = hour(cmd, args)?;
    *which(&mut cmd.server_conf::<Conf<SLOT>>().0) = time;
    Ok(())
}

/// The longest key, in bytes.
const KEY_MAX: usize = 254;

fn hour(cmd: &Cmd<'_>, args: &Args<'_>) -> Result<Duration, String> {
    let name = cmd.directive.name;
    check::time(args, &format!("{name} has wrong format"))?;
    let time = parse_interval(args.word(0), Unit::Second).unwrap_or_default();
    if time.as_secs() > 3600 {
        return Err(format!("{name} can only be 0 or up to one hour."));
    }
    Ok(time)
}

/// Such a cache, for one user of it.
pub struct Remote {
    kind: &'static Kind,
    /// Whose objects they are: keys start with it.
    space: &'static str,
    servers: Servers,
}

impl Remote {
    /// The servers of a list, with the times that hold for a server of ours.
    ///
    /// # Errors
    /// As for [`Remote::new`].
    pub fn of<const SLOT: usize>(
        kind: &'static Kind,
        space: &'static str,
        list: &[u8],
        server: &Server,
    ) -> Result<Self, String> {
        let times = server.get::<Conf<SLOT>>().map_or(TIMES, |conf| conf.0);
        Self::new(kind, space, list, times)
    }

    /// The servers of a list with commas.
    ///
    /// # Errors
    /// The entry for the log about one that is none.
    pub fn new(kind: &'static Kind, space: &'static str, list: &[u8], times: Times) -> Result<Self, String> {
        let mut servers = Vec::new();
        for text in list.split(|byte| *byte == b',').filter(|text| !text.is_empty()) {
            let (shown, name) = (latin1(text), kind.name);
            let [none, without, ..] = kind.numbers;
            let tell = |text: String| entry(kind.module, "crit", &text);
            let parsed = HostPort::parse(text)
                .map_err(|_| tell(format!("(22)Invalid argument: {none}: Failed to Parse {name} Server: '{shown}'")))?;
            let host = parsed
                .host
                .ok_or_else(|| tell(format!("{without}: Failed to Parse Server, no hostname specified: '{shown}'")))?;
            servers.push((latin1(host), parsed.port.unwrap_or(kind.port)));
        }
        Ok(Self { kind, space, servers: Servers::new(kind.dialect, servers, times) })
    }

    /// The name of an object on the servers; none if it would be too long.
    fn name(&self, key: &[u8]) -> Option<String> {
        let mut name = format!("{}:", self.space).into_bytes();
        if key.len() * 2 + name.len() + 1 >= KEY_MAX {
            return None;
        }
        key.iter().for_each(|byte| push_hex_lower(*byte, &mut name));
        String::from_utf8(name).ok()
    }

    fn tell(&self, level: Level, errno: Errno, text: &str) {
        logs::error!(Process, level, self.kind.module, errno => "{text}");
    }
}

fn errno(fault: &Fault) -> Errno {
    match fault {
        Fault::NoServer => Errno::NOTFOUND,
        Fault::Failed(error) => Errno::from(error),
    }
}

const SECOND: i64 = 1_000_000;

/// `EINVAL`.
const INVALID: NotKept = NotKept(Some(Errno(nix::libc::EINVAL)));

impl Shared for Remote {
    fn get(&self, key: &[u8], _: i64) -> Result<Option<Arc<[u8]>>, Errno> {
        let Some(name) = self.name(key) else { return Ok(None) };
        match self.servers.get(&name) {
            Ok(found) => Ok(found.map(Arc::from)),
            Err(Fault::NoServer) => Ok(None),
            Err(fault) => {
                let [.., number, _] = self.kind.numbers;
                let errno = errno(&fault);
                self.tell(Level::Error, errno, &format!("{number}: {}: 'retrieve' FAIL", self.kind.tag));
                Err(errno)
            }
        }
    }

    fn put(&self, key: &[u8], object: &[u8], expires: i64, now: i64) -> Result<(), NotKept> {
        let name = self.name(key).ok_or(INVALID)?;
        // As httpd counts: what is left of a second is lost.
        let seconds = (expires - now) / SECOND;
        if seconds <= 0 {
            return Err(INVALID);
        }
        let errno = match self.servers.set(&name, object, seconds) {
            Ok(true) => return Ok(()),
            Ok(false) => Errno::GENERAL,
            Err(fault) => errno(&fault),
        };
        let ([_, _, number, ..], tag, length) = (self.kind.numbers, self.kind.tag, object.len());
        let text = format!("{number}: {tag}: error setting key '{name}' with {length} bytes of data");
        self.tell(Level::Crit, errno, &text);
        Err(NotKept(Some(errno)))
    }

    fn remove(&self, key: &[u8]) {
        let Some(name) = self.name(key) else { return };
        let errno = match self.servers.delete(&name) {
            Ok(true) => return,
            Ok(false) => Errno::NOTFOUND,
            Err(fault) => errno(&fault),
        };
        let ([.., number], tag) = (self.kind.numbers, self.kind.tag);
        self.tell(Level::Debug, errno, &format!("{number}: {tag}: error deleting key '{name}' "));
    }
}
