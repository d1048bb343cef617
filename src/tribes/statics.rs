//! StaticMembershipInterceptor: members that are listed.

use bytes::Bytes;

use super::Member;
use super::Options;
use super::config::{StaticMember, StaticMembersConfig};
use super::stack::{Context, Incoming, Interceptor};
use crate::codec::tribes::SHUTDOWN;

const START: &[u8] = b"Local StaticMember Notification Data";
const STOP: &[u8] = b"Local StaticMember Shutdown Data";

/// How long after the start listed members are told of us when they appear.
const GREETING: u64 = 5000;

/// Adds listed members to those that membership finds.
pub(super) struct StaticMembership {
    config: StaticMembersConfig,
    /// Whom we have not told yet.
    untold: Vec<Member>,
    until: u64,
    next: Option<u64>,
}

impl StaticMembership {
    pub(super) fn new(config: StaticMembersConfig) -> Self {
        Self { config, untold: Vec::new(), until: 0, next: None }
    }

    fn listed(&self, source: &Member) -> Option<Member> {
        members(&self.config).into_iter().find(|member| member.same(source))
    }

    fn tell(member: &Member, what: &'static [u8], cx: &mut Context<'_>) {
        let message = cx.message([member.clone()].into(), Options::NONE, Bytes::from_static(what));
        cx.down(message);
    }
}

impl Interceptor for StaticMembership {
    fn name(&self) -> &'static str {
        "StaticMembershipInterceptor"
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        // One list may serve all members.
        let local = cx.local().clone();
        self.config.members.retain(|listed| !member(listed).same(&local));
        self.untold = members(&self.config);
        self.until = cx.now().tick + GREETING;
        self.next = Some(cx.now().tick);
        self.untold.clone().into_iter().for_each(|member| cx.added(member));
    }

    fn stop(&mut self, cx: &mut Context<'_>) {
        self.next = None;
        for member in members(&self.config) {
            if cx.top().contains(&member) {
                Self::tell(&member, STOP, cx);
            }
        }
    }

    fn receive(&mut self, message: Incoming, cx: &mut Context<'_>) {
        let data = &message.data;
        let started = data.message == START;
        if !started && data.message != STOP {
            return cx.up(message);
        }
        match self.listed(&data.source) {
            Some(member) if started => cx.added(member),
            // As if it had said so itself: nobody above doubts it.
            Some(member) => cx.gone(Member { command: SHUTDOWN.to_vec(), ..member }),
            None => {}
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now().tick;
        let (there, absent): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.untold).into_iter().partition(|member| cx.top().contains(member));
        there.iter().for_each(|member| Self::tell(member, START, cx));
        self.untold = absent;
        self.next = (!self.untold.is_empty() && now < self.until).then_some(now + 100);
    }

    fn deadline(&self) -> Option<u64> {
        self.next
    }
}

/// The members that are listed.
pub(super) fn members(config: &StaticMembersConfig) -> Vec<Member> {
    config.members.iter().map(member).collect()
}

/// A listed member as others see it.
pub(super) fn member(listed: &StaticMember) -> Member {
    Member {
        secure_port: listed.secure_port,
        udp_port: listed.udp_port,
        domain: listed.domain.clone(),
        ..Member::new(listed.host, listed.port, listed.unique_id)
    }
}
