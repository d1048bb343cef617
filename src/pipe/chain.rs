//! Chains: merged per-directory values and the hooks they ask for, made once for each combination of sections that
//! occurs and kept by the worker thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use foldhash::fast::FixedState;

use super::{Hook, Module, Phase, Run, access_file};
use crate::config::{Generation, ModuleRow, Server, Slots};
use crate::web::{Chain, Exchange, Live, Matched};

/// Combinations kept by a thread; beyond that it starts over.
const MOST: usize = 8192;

static MODULES: OnceLock<&'static [&'static Module]> = OnceLock::new();

/// Tells the pipe which modules there are, in the order in which equal hooks run. The first call counts.
pub fn install(modules: &'static [&'static Module]) {
    let _ = MODULES.set(modules);
}

/// As [`install`], for requests of one generation on this thread only; before its first request.
pub fn install_for(live: &Live, modules: &[&'static Module]) {
    live.local(|| Chains::new(&live.generation, modules));
}

/// The hooks of each phase.
type Phases = [Box<[Run]>; Phase::COUNT];

/// What a chain asks each phase to do.
#[derive(Default)]
pub(super) struct Plan {
    /// Shared by all chains that ask for the same: thousands of virtual hosts ask for few different things.
    phases: Arc<Phases>,
    /// Whose sections these are; `None` is nobody's.
    server: Option<usize>,
    matched: Matched,
    /// The `Server` field.
    banner: Arc<[u8]>,
    /// A section is not known any more: nobody can say what holds for the request.
    pub(super) lost: bool,
    /// mod_authz_core takes part: without anything to check it lets everybody pass.
    pub(super) authz_core: bool,
}

impl Plan {
    /// The hooks of a phase that have something to do.
    #[inline]
    pub(super) fn hooks(&self, phase: Phase) -> &[Run] {
        &self.phases[phase as usize]
    }

    /// The `Server` field.
    #[inline]
    pub(super) fn banner(&self) -> &[u8] {
        &self.banner
    }
}

/// The plan of a chain; one that was made elsewhere (by a test) has no hooks.
#[inline]
pub(super) fn plan(chain: &Chain) -> &Plan {
    static NONE: OnceLock<Plan> = OnceLock::new();
    match chain.hooks.downcast_ref::<Plan>() {
        Some(plan) => plan,
        None => NONE.get_or_init(Plan::default),
    }
}

/// One thread's chains for one generation.
struct Chains {
    hooks: [Vec<Hook>; Phase::COUNT],
    modules: Vec<&'static ModuleRow>,
    banner: Arc<[u8]>,
    authz_core: bool,
    bases: RefCell<Vec<Option<Rc<Chain>>>>,
    made: RefCell<HashMap<u64, Vec<Made>, FixedState>>,
    /// Hooks of chains, by a bit for each hook that there is.
    asked: RefCell<HashMap<Vec<u64>, Arc<Phases>, FixedState>>,
}

struct Made {
    server: usize,
    matched: Matched,
    chain: Rc<Chain>,
}

impl Chains {
    fn of(live: &Live) -> Rc<Self> {
        live.local(|| Self::new(&live.generation, MODULES.get().copied().unwrap_or_default()))
    }

    fn new(generation: &Generation, modules: &[&'static Module]) -> Self {
        let loaded = |id: &str| generation.globals.modules.contains(&id);
        let mut hooks: [Vec<Hook>; Phase::COUNT] = Default::default();
        for module in modules.iter().filter(|module| module.row.builtin || loaded(module.row.id)) {
            for hook in module.hooks {
                hooks[hook.phase as usize].push(*hook);
            }
        }
        hooks.iter_mut().for_each(|hooks| hooks.sort_by_key(|hook| hook.order));
        let known = |id: &&str| modules.iter().find(|module| module.row.id == *id).map(|module| &module.row);
        Self {
            hooks,
            modules: generation.globals.modules.iter().filter_map(known).collect(),
            banner: generation.banner.as_slice().into(),
            authz_core: loaded("authz_core_module"),
            bases: RefCell::default(),
            made: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// The hooks that have something to do for this server with these values.
    fn wanted(&self, server: Option<&Server>, dir: &Slots) -> Arc<Phases> {
        let wants = |hook: &Hook| server.is_some_and(|server| (hook.wants)(server, dir));
        let wanted: [Vec<bool>; Phase::COUNT] =
            std::array::from_fn(|phase| self.hooks[phase].iter().map(wants).collect());
        let mut bits = Vec::new();
        for (n, wanted) in wanted.iter().flatten().enumerate() {
            if n % 64 == 0 {
                bits.push(0);
            }
            if let Some(last) = bits.last_mut() {
                *last |= u64::from(*wanted) << (n % 64);
            }
        }
        let chosen = |phase: usize| -> Box<[Run]> {
            let hooks = self.hooks[phase].iter().zip(&wanted[phase]);
            hooks.filter(|(_, wanted)| **wanted).map(|(hook, _)| hook.run).collect()
        };
        self.asked.borrow_mut().entry(bits).or_insert_with(|| Arc::new(std::array::from_fn(chosen))).clone()
    }

    fn base(&self, live: &Live, server: usize) -> Rc<Chain> {
        let mut bases = self.bases.borrow_mut();
        if bases.len() <= server {
            bases.resize(server + 1, None);
        }
        if let Some(chain) = bases.get(server).cloned().flatten() {
            return chain;
        }
        let dir = live.generation.servers.get(server).map(|server| server.dir.clone()).unwrap_or_default();
        let chain = self.make(live, server, &Matched::default(), dir, false);
        bases[server] = Some(chain.clone());
        chain
    }

    fn make(&self, live: &Live, server: usize, matched: &Matched, dir: Slots, lost: bool) -> Rc<Chain> {
        let plan = Plan {
            phases: self.wanted(live.generation.servers.get(server), &dir),
            server: Some(server),
            matched: matched.clone(),
            banner: self.banner.clone(),
            authz_core: self.authz_core,
            lost,
        };
        Rc::new(Chain::new(dir, Box::new(plan)))
    }

    fn find(&self, live: &Live, server: usize, matched: &Matched) -> Rc<Chain> {
        if matched.is_empty() {
            return self.base(live, server);
        }
        let lists = [&matched.directories[..], &matched.files, &matched.locations, &matched.ifs];
        let hash = FixedState::default().hash_one((server, lists));
        let known = |made: &&Made| made.server == server && made.matched == *matched;
        if let Some(made) = self.made.borrow().get(&hash).and_then(|list| list.iter().find(known)) {
            return made.chain.clone();
        }
        let mut dir = self.base(live, server).dir.clone();
        let mut lost = false;
        for number in lists.into_iter().flatten() {
            match access_file::item(live, *number) {
                Some(item) => dir = Slots::merged(&dir, &item.section.conf),
                None => lost = true,
            }
        }
        let chain = self.make(live, server, matched, dir, lost);
        let mut made = self.made.borrow_mut();
        if made.len() >= MOST {
            made.clear();
        }
        made.entry(hash).or_default().push(Made { server, matched: matched.clone(), chain: chain.clone() });
        chain
    }
}

/// The rows of the modules of this generation, in the order in which they were loaded.
pub(super) fn loaded(live: &Live) -> Vec<&'static ModuleRow> {
    Chains::of(live).modules.clone()
}

/// The chain of a server without any section.
pub fn idle_chain(live: &Live, server: usize) -> Rc<Chain> {
    Chains::of(live).base(live, server)
}

/// Gives the request the chain of its server and the sections that apply to it.
pub(super) fn update(ex: &mut Exchange) {
    let plan = plan(&ex.chain);
    // No section holds for most requests, and none for any of them before its host is known.
    let none = plan.matched.is_empty() && ex.matched.is_empty();
    if plan.server == Some(ex.server) && (none || plan.matched == ex.matched) {
        return;
    }
    ex.chain = Chains::of(&ex.live).find(&ex.live, ex.server, &ex.matched);
}
