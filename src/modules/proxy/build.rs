//! From values as set to values as run: all workers and balancers of the process, and each server's table.

use std::collections::HashMap;
use std::sync::Arc;

use super::balancer::BalancerSet;
use super::conf::{ProxyProcess, ProxyServer};
use super::persist::Lasting;
use super::serve::Handlers;
use super::table::Table;
use super::worker::WorkerSet;
use crate::config::{Fatal, Globals, PostConfig, Server, latin1};
use crate::modules::lbmethod_heartbeat;
use crate::upstream::spec::{BalancerSpec, Scheme, WorkerSpec, status};
use crate::upstream::{Backends, Current};

/// What is collected of all servers before it gets its state.
#[derive(Default)]
struct Collected {
    workers: Vec<WorkerSpec>,
    balancers: Vec<BalancerSpec>,
    /// The servers that balancers are of.
    owners: Vec<usize>,
    /// Servers of the same name so far: keys must differ.
    names: HashMap<String, usize>,
}

impl Collected {
    fn worker(&mut self, set: Arc<WorkerSet>, server: usize, scope: &str, member: bool) -> usize {
        let set = Arc::unwrap_or_clone(set);
        let mut spec = set.spec;
        // A pattern's worker may have the name of a plain one.
        let kind = if set.matchable { "~" } else { "" };
        spec.server = server;
        spec.key = format!("{scope}\n{kind}{}", set.full_name);
        // Where a pattern decides on host or port, each request has a worker of its own.
        spec.generic |= set.dynamic;
        // Many applications serve one connection at a time: FastCGI keeps them only where that is asked for.
        if set.dynamic || (spec.scheme == Scheme::Fcgi && !spec.reuse_asked) {
            spec.reuse = false;
        }
        if !member {
            // Without a balancer there is nobody to turn to: errors do not take the worker out.
            spec.status |= status::IGNORE_ERRORS;
        }
        self.workers.push(spec);
        self.workers.len() - 1
    }

    fn balancer(&mut self, set: &BalancerSet, server: usize, scope: &str) -> usize {
        let key = format!("{scope}\n{}", set.name);
        let members = set.members.iter().map(|member| self.worker(member.clone(), server, &key, true)).collect();
        self.owners.push(server);
        self.balancers.push(set.spec(key, members));
        self.balancers.len() - 1
    }

    /// A balancer that the main server has, too, at `base`: its members are that one's, and what they count; what a
    /// virtual host adds to them goes nowhere.
    fn shared(&mut self, set: &BalancerSet, scope: &str, base: usize) -> usize {
        let members = self.balancers.get(base).map(|base| base.members.clone()).unwrap_or_default();
        self.balancers.push(set.spec(format!("{scope}\n{}", set.name), members));
        self.balancers.len() - 1
    }

    /// Identity of a server over reloads: its addresses and name.
    fn scope(&mut self, server: &Server) -> String {
        let mut scope = String::new();
        for addr in &server.addrs {
            scope.push_str(&addr.text);
            scope.push(' ');
        }
        if server.index != 0 {
            scope.push_str(&latin1(server.rec.name.as_deref().unwrap_or_default()));
        }
        let same = self.names.entry(scope.clone()).or_default();
        *same += 1;
        if *same > 1 {
            scope.push_str(&format!(" {same}"));
        }
        scope
    }
}

/// What a server has of its own. The lists move out of its values: from here on only the tables are read.
fn own(server: &mut Server) -> Option<(bool, ProxyServer)> {
    let conf = server.get::<ProxyServer>()?;
    if conf.owner != server.index {
        return None;
    }
    let inherits = conf.inherits();
    let conf = server.conf.get_mut::<ProxyServer>();
    let lists = ProxyServer {
        rules: std::mem::take(&mut conf.rules),
        workers: std::mem::take(&mut conf.workers),
        balancers: std::mem::take(&mut conf.balancers),
        ..ProxyServer::default()
    };
    Some((inherits, lists))
}

/// Makes the values of the process.
pub(super) fn post_config(post: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let mut all = Collected::default();
    let mut main_balancers: Vec<(Arc<BalancerSet>, usize)> = Vec::new();
    let mut tables: Vec<Table> = Vec::with_capacity(post.servers.len());
    // Which servers' tables have the main server's workers and balancers behind their own, and which are just that.
    let mut kinds: Vec<Option<bool>> = Vec::with_capacity(post.servers.len());
    for server in post.servers.iter_mut() {
        let scope = all.scope(server);
        let Some((inherits, lists)) = own(server) else {
            tables.push(Table::default());
            kinds.push(None);
            continue;
        };
        let mut table = Table::new(lists.rules);
        for worker in lists.workers {
            let pattern = worker.matchable;
            let index = all.worker(worker, server.index, &scope, false);
            table.add_worker(index, pattern);
        }
        for balancer in lists.balancers {
            let base = main_balancers.iter().find(|(base, _)| inherits && base.name == balancer.name);
            let index = match base {
                Some((base, at)) => all.shared(&balancer.over(base), &scope, *at),
                None => all.balancer(&balancer, server.index, &scope),
            };
            table.add_balancer(index);
            if server.index == 0 {
                main_balancers.push((balancer, index));
            }
        }
        tables.push(table);
        kinds.push(Some(inherits));
    }
    let previous = post.previous.and_then(|previous| previous.globals.conf.get::<ProxyProcess>());
    let heartbeats = lbmethod_heartbeat::source(post);
    let make = |previous: Option<&Backends>| {
        let adopted = match post.check_only {
            true => Backends::default(),
            false => Backends::adopt(all.workers, all.balancers, previous),
        };
        Backends { heartbeats, ..adopted }
    };
    let current = match previous {
        Some(previous) => previous.backends.succeed(|previous| make(Some(previous))),
        None => Arc::new(Current::new(make(None))),
    };
    let backends = current.load();
    let mut sealed: Vec<Arc<Table>> = Vec::with_capacity(tables.len());
    for (mut table, kind) in tables.into_iter().zip(kinds) {
        let main = sealed.first();
        match (kind, main) {
            (None, Some(main)) => {
                sealed.push(main.clone());
                continue;
            }
            (Some(inherits), Some(main)) => {
                table.outer_rules = Some(main.clone());
                table.outer = inherits.then(|| main.clone());
            }
            (_, None) => {}
        }
        table.seal(&backends);
        sealed.push(Arc::new(table));
    }
    let schemes = Handlers::loaded(&post.globals.modules);
    let lasting = Arc::new(Lasting::new(all.owners.iter(), post.servers));
    *post.globals.conf.get_mut::<ProxyProcess>() = ProxyProcess { backends: current, tables: sealed, schemes, lasting };
    Ok(())
}

/// `next` is served from here on, in place of `previous`: only now does anything change for backends that both have.
pub fn take_over(next: &Globals, previous: &Globals) {
    let of = |globals: &Globals| globals.conf.get::<ProxyProcess>().map(|process| process.backends.load());
    let Some(previous) = of(previous) else { return };
    of(next).unwrap_or_default().take_over(&previous);
}

/// The directory that relative socket paths are in.
pub(super) fn runtime_dir(globals: &Globals) -> Vec<u8> {
    globals.rooted(globals.runtime_dir.as_deref().unwrap_or(b"logs"))
}
