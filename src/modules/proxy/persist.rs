//! `BalancerPersist`: what the balancer manager changed, over a full stop.
//!
//! It is written with each change and at the end; httpd writes it at the end, so that it loses all if it is killed.
//! Where it lies: in the folder of `DefaultRuntimeDir`, named after the pid file, in two files ([`Slots`]). httpd has
//! files of its own there, which only the very same build of it could read.

use std::hash::Hasher as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::conf::{ProxyProcess, ProxyServer};
use crate::config::{Generation, Server};
use crate::logs::{self, Errno, Level, Process};
use crate::modules::proxy_hcheck;
use crate::net::opener::Opener;
use crate::net::slots::Slots;
use crate::upstream::Current;
use crate::upstream::lasting::{self, Known};
use crate::upstream::spec::BalancerSpec;

/// Which balancers last, and where.
#[derive(Default)]
pub struct Lasting {
    /// Indexes of balancers.
    pub(super) balancers: Vec<usize>,
    slots: OnceLock<Arc<Slots>>,
}

impl Lasting {
    /// Of balancers, with the server that each is of.
    pub(super) fn new<'a>(balancers: impl Iterator<Item = &'a usize>, servers: &[Server]) -> Self {
        let lasts = |server: &usize| {
            let conf = servers.get(*server).and_then(|server| server.get::<ProxyServer>());
            conf.and_then(|conf| conf.persist).unwrap_or(false)
        };
        let balancers = balancers.enumerate().filter(|(_, server)| lasts(server)).map(|(at, _)| at).collect();
        Self { balancers, slots: OnceLock::new() }
    }

    /// Writes what is now.
    pub(super) fn save(&self, current: &Current) {
        let Some(slots) = self.slots.get() else { return };
        if let Err(error) = slots.write(|| lasting::render(&current.load(), &self.balancers)) {
            logs::error!(Process, Level::Error, "proxy_balancer", Errno::from(&error) => "the state of balancers could not be written");
        }
    }
}

/// The file that a generation keeps the state of balancers in, given its pid file; `None`: nothing lasts.
pub fn path(generation: &Generation, pid_file: &Path) -> Option<PathBuf> {
    let process = generation.globals.conf.get::<ProxyProcess>()?;
    if process.lasting.balancers.is_empty() {
        return None;
    }
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(pid_file.as_os_str().as_bytes());
    let mut path = super::runtime_dir(&generation.globals);
    if !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(format!("balancers-{:016x}", hasher.finish()).as_bytes());
    Some(std::ffi::OsString::from_vec(path).into())
}

/// Has a generation that is about to serve write there, and at a start go on with what is there.
pub fn open(generation: &Generation, before: Option<&Generation>, pid_file: &Path, opener: &dyn Opener) {
    let Some(path) = path(generation, pid_file) else { return };
    let Some(process) = generation.globals.conf.get::<ProxyProcess>() else { return };
    let known = before.and_then(|before| before.globals.conf.get::<ProxyProcess>()?.lasting.slots.get().cloned());
    let slots = match known {
        Some(slots) => Ok(slots),
        None => Slots::open(opener, &path).map(Arc::new),
    };
    let path = path.display();
    let slots = match slots {
        Ok(slots) => slots,
        Err(error) => {
            logs::error!(Process, Level::Error, "proxy_balancer", Errno::from(&error) => "BalancerPersist: {path} cannot be opened, changes of the balancer manager end with this process");
            return;
        }
    };
    if before.is_none() {
        match slots.read() {
            Ok(Some(text)) if !restore(&text, generation, process) => {
                logs::error!(
                    Process,
                    Level::Error,
                    "proxy_balancer",
                    "BalancerPersist: {path} is not understood, balancers are as configured"
                );
            }
            Ok(_) => {}
            Err(error) => {
                logs::error!(Process, Level::Error, "proxy_balancer", Errno::from(&error) => "BalancerPersist: {path} cannot be read, balancers are as configured");
            }
        }
    }
    let _ = process.lasting.slots.set(slots);
    process.lasting.save(&process.backends);
}

fn restore(text: &[u8], generation: &Generation, process: &ProxyProcess) -> bool {
    let servers = &generation.servers;
    let now = process.backends.load();
    let server_of = |balancer: &BalancerSpec| {
        let same = now.balancers.iter().find(|other| other.spec.key == balancer.key);
        let first = same.and_then(|same| now.workers.get(*same.spec.members.first()?));
        first.map_or(0, |first| first.spec.server)
    };
    let known = Known {
        member: &|balancer, url| super::manager::added(url, balancer, server_of(balancer), &generation.globals),
        condition: &|server, name| {
            let conditions = proxy_hcheck::conditions(servers.get(server)?);
            conditions.into_iter().rev().find(|(known, _)| known == name).map(|(_, condition)| condition.expr)
        },
    };
    let Some(restored) = lasting::restore(text, &now, &known) else { return false };
    process.backends.restore(&restored);
    true
}

/// Writes what is at the end.
pub fn save(generation: &Generation) {
    if let Some(process) = generation.globals.conf.get::<ProxyProcess>() {
        process.lasting.save(&process.backends);
    }
}
