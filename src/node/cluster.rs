//! Clusters: the channel of a Cluster element, and the managers whose sessions it carries.
//!
//! Each cluster has one thread for what happens in the group, and one that sends what that brings about: so that a node
//! that waits for an acknowledgement still hears the others.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::backup::{BackupManager, MapListener};
use super::components::{Component, Kind};
use super::delta::{self, DeltaManager, Outgoing, SessionListener, context_name};
use super::failure::StartError;
use super::keepers::{map_settings, settings};
use super::model;
use super::replicated::{Outlet, Replicated};
use super::sessions::Manager;
use super::standard::{StandardManager, now};
use super::{group, log};
use crate::tribes::config::Config;
use crate::tribes::{Channel, Event, Events, Level, Member, Message};

const CLASS: &str = "org.apache.catalina.ha.tcp.SimpleTcpCluster";

/// How often managers look at the clock.
const POLL: Duration = Duration::from_millis(100);

/// The clusters of an engine: its own, and those of its hosts.
#[derive(Debug)]
pub struct Clusters {
    own: Option<Cluster>,
    hosts: Vec<(String, Cluster)>,
}

impl Clusters {
    /// Checks what is configured, without touching the network.
    ///
    /// # Errors
    /// What keeps a cluster from starting.
    pub fn unopened(engine: &model::Engine) -> Result<Self, StartError> {
        let own = engine.cluster.as_ref().map(|element| Cluster::new(element, &engine.name)).transpose()?;
        let mut hosts = Vec::new();
        for host in &engine.hosts {
            if let Some(element) = &host.cluster {
                hosts.push((host.name.clone(), Cluster::new(element, &host.name)?));
            }
        }
        Ok(Self { own, hosts })
    }

    /// The manager of an application, and whether it replicates.
    ///
    /// # Errors
    /// What is wrong with the Manager element.
    pub fn manager(
        &self,
        host: &model::Host,
        context: &model::Context,
        distributable: bool,
    ) -> Result<(Arc<dyn Manager>, bool), StartError> {
        let max_inactive = context.max_inactive();
        let most =
            context.one(Kind::Manager).and_then(|element| usize::try_from(element.number("maxActiveSessions")).ok());
        let local = || (Arc::new(StandardManager::new(max_inactive, most)) as Arc<dyn Manager>, false);
        let of_host = self.hosts.iter().find(|(name, _)| *name == host.name).map(|(_, cluster)| cluster);
        let Some(cluster) = of_host.or(self.own.as_ref()) else { return Ok(local()) };
        let own = context.one(Kind::Manager);
        let replicates = own.map_or(distributable, is_replicating);
        if !replicates {
            return Ok(local());
        }
        let Some(element) = own.or(cluster.template.as_ref()) else { return Ok(local()) };
        let host_name = of_host.is_none().then_some(host.name.as_str());
        let name = context_name(host_name, &context.name());
        let settings = settings(element, max_inactive).map_err(StartError::Cluster)?;
        let outlet = Arc::clone(&cluster.outlet);
        if element.class.short() == "BackupManager" {
            let manager = Arc::new(BackupManager::new(&name, settings, map_settings(element), session_log()));
            cluster.maps.add(Arc::clone(&manager));
            return Ok((Arc::new(Replicated::new(manager, outlet)), true));
        }
        let manager = Arc::new(DeltaManager::new(&name, settings, session_log(), None));
        let level = if of_host.is_some() { "Host" } else { "Engine" };
        let text = format!("Register manager [{name}] to cluster element [{level}] with name [{}]", cluster.owner);
        log::info("org.apache.catalina.ha.session.DeltaManager.startInternal", &text);
        cluster.listener.add(Arc::clone(&manager));
        Ok((Arc::new(Replicated::new(manager, outlet)), true))
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Cluster> {
        self.own.iter_mut().chain(self.hosts.iter_mut().map(|(_, cluster)| cluster))
    }

    /// Joins the clusters, and fetches the sessions that are there.
    ///
    /// # Errors
    /// Why a cluster cannot be joined.
    pub fn open(&mut self) -> Result<(), StartError> {
        self.all().try_for_each(Cluster::open)
    }

    /// Leaves the clusters.
    pub fn close(mut self) {
        self.all().for_each(Cluster::close);
    }
}

fn is_replicating(manager: &Component) -> bool {
    matches!(manager.class.short(), "DeltaManager" | "BackupManager")
}

#[derive(Debug)]
struct Cluster {
    owner: String,
    config: Option<Config>,
    /// The Manager element that applications are given.
    template: Option<Component>,
    outlet: Arc<Outlet>,
    listener: Arc<SessionListener>,
    maps: Arc<MapListener>,
    threads: Vec<JoinHandle<()>>,
}

impl Cluster {
    fn new(element: &Component, owner: &str) -> Result<Self, StartError> {
        let config = group::config(element, owner).map_err(StartError::Cluster)?;
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(StartError::Cluster(problems.join("; ")));
        }
        let template = element.one(Kind::Manager).cloned();
        Ok(Self {
            owner: owner.to_owned(),
            config: Some(config),
            template: template
                .or_else(|| Component::bare(Kind::Manager, "org.apache.catalina.ha.session.DeltaManager")),
            outlet: Arc::new(Outlet::new(element.options("channelSendOptions"))),
            listener: Arc::default(),
            maps: Arc::default(),
            threads: Vec::new(),
        })
    }

    fn open(&mut self) -> Result<(), StartError> {
        let Some(config) = self.config.take() else { return Ok(()) };
        log::info(&format!("{CLASS}.startInternal"), "Cluster is about to start");
        let (queue, orders) = mpsc::channel::<Vec<Outgoing>>();
        // What is about one session is done sooner than another thread is woken for it.
        let (listener, answers) = (Arc::clone(&self.listener), queue.clone());
        let quick = move |message: &Message| {
            let mut out = Vec::new();
            let done = listener.on_short(&message.from, &message.payload, now(), &mut out);
            if !out.is_empty() {
                // Its other end is there as long as the cluster.
                let _ = answers.send(out);
            }
            done
        };
        let opened = Channel::open_with(config, Box::new(group_log), Some(Box::new(quick)));
        let (channel, events) = opened.map_err(|error| {
            log::severe(&format!("{CLASS}.startInternal"), "Unable to start cluster.");
            StartError::Cluster(error.to_string())
        })?;
        self.outlet.open(channel.clone());
        let outlet = Arc::clone(&self.outlet);
        self.threads.push(std::thread::Builder::new().name(format!("{}-sender", self.owner)).spawn(move || {
            while let Ok(messages) = orders.recv() {
                outlet.send(messages);
            }
        })?);
        let (tell, ready) = mpsc::channel();
        let group = Group {
            channel,
            listener: Arc::clone(&self.listener),
            maps: Arc::clone(&self.maps),
            queue,
            waiting: Mutex::new(Some(tell)),
            log: session_log(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let name = format!("{}-group", self.owner);
        self.threads.push(std::thread::Builder::new().name(name).spawn(move || runtime.block_on(group.run(events)))?);
        // Both ends of this are ours: it ends when the sessions are here, or the channel is not.
        let _ = ready.recv();
        Ok(())
    }

    fn close(&mut self) {
        let mut out = Vec::new();
        for manager in self.listener.managers() {
            manager.stop(now(), &mut out);
        }
        self.maps.managers().iter().for_each(|manager| manager.stop(&mut out));
        self.outlet.send(out);
        let Some(channel) = self.outlet.channel().cloned() else { return };
        log::info(&format!("{CLASS}.stopInternal"), "Cluster is about to stop");
        channel.stop();
        self.outlet.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What the thread of a group works with.
struct Group {
    channel: Channel,
    listener: Arc<SessionListener>,
    maps: Arc<MapListener>,
    queue: mpsc::Sender<Vec<Outgoing>>,
    /// Who waits until the sessions are here.
    waiting: Mutex<Option<mpsc::Sender<()>>>,
    log: delta::Log,
}

impl Group {
    async fn run(self, mut events: Events) {
        let mut clock = tokio::time::interval(POLL);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut established = false;
        loop {
            let mut out = Vec::new();
            tokio::select! {
                event = events.next() => match event {
                    None | Some(Event::Stopped) => break,
                    Some(event) => established |= self.take(event, &mut out),
                },
                _ = clock.tick() => {}
            }
            if established {
                self.poll(&mut out);
            }
            if !out.is_empty() && self.queue.send(out).is_err() {
                break;
            }
        }
        self.ready();
    }

    fn ready(&self) {
        if let Some(tell) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = tell.send(());
        }
    }

    fn poll(&self, out: &mut Vec<Outgoing>) {
        let managers = self.listener.managers();
        managers.iter().for_each(|manager| manager.poll(now(), out));
        let maps = self.maps.managers();
        maps.iter().for_each(|manager| manager.poll(now(), out));
        if managers.iter().all(|manager| manager.is_ready()) && maps.iter().all(|manager| manager.is_ready()) {
            self.ready();
        }
    }

    /// What happened in the group; whether membership is complete by now.
    fn take(&self, event: Event, out: &mut Vec<Outgoing>) -> bool {
        match event {
            Event::Established => {
                self.members(out);
                self.listener.managers().iter().for_each(|manager| manager.start(now(), out));
                self.maps.managers().iter().for_each(|manager| manager.start(self.channel.local(), now(), out));
                return true;
            }
            Event::MemberAdded(member) => {
                log::info(&format!("{CLASS}.memberAdded"), &format!("Replication member added:[{}]", shown(&member)));
                self.members(out);
            }
            Event::MemberDisappeared(member) => {
                let text = format!("Received member disappeared:[{}]", shown(&member));
                log::info(&format!("{CLASS}.memberDisappeared"), &text);
                self.members(out);
            }
            Event::Message(message) => {
                // Other messages of the group are for nobody here; Tomcat drops them as well.
                let (from, bytes) = (&message.from, &message.payload);
                let _ = self.maps.on_message(from, bytes, now(), out)
                    || self.listener.on_message(from, bytes, now(), &self.log, out);
            }
            Event::Heartbeat | Event::Stopped => {}
        }
        false
    }

    fn members(&self, out: &mut Vec<Outgoing>) {
        let members = self.channel.members();
        self.maps.managers().iter().for_each(|manager| manager.set_members(&members, now(), out));
        self.listener.managers().iter().for_each(|manager| manager.set_members(Arc::clone(&members)));
    }
}

/// A member as Tomcat's lines show it.
fn shown(member: &Member) -> String {
    let bytes = |list: &[u8]| {
        let mut out: String = list.iter().take(9).map(|byte| format!("{} ", byte.cast_signed())).collect();
        if list.len() >= 9 {
            out.push_str(&format!("...({})", list.len()));
        }
        out
    };
    let id: String = member.unique_id.iter().map(|byte| format!("{} ", byte.cast_signed())).collect();
    let name = member.name();
    let host = name.trim_start_matches("tcp://").rsplit_once(':').map_or("", |(host, _)| host);
    format!(
        "org.apache.catalina.tribes.membership.MemberImpl[{name},{host},{}, alive={}, securePort={}, UDP Port={}, id={{{id}}}, payload={{{}}}, command={{{}}}, domain={{{}}}]",
        member.port,
        member.alive,
        member.secure_port,
        member.udp_port,
        bytes(&member.payload),
        bytes(&member.command),
        bytes(&member.domain)
    )
}

fn group_log(level: Level, source: &'static str, text: &str) {
    match level {
        Level::Fine => {}
        Level::Info => log::info(source, text),
        Level::Warning => log::warning(source, text),
        Level::Severe => log::severe(source, text),
    }
}

fn session_log() -> delta::Log {
    Arc::new(|level, source, text| match level {
        delta::Level::Info => log::info(source, text),
        delta::Level::Warning => log::warning(source, text),
        delta::Level::Severe => log::severe(source, text),
    })
}
