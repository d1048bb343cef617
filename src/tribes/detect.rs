//! TcpFailureDetector and TcpPingInterceptor: is a member really there?

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::config::{Config, DetectorConfig, InterceptorConfig, PingConfig};
use super::stack::{Cause, Context, Incoming, Interceptor, Probe, Report, Roster};
use super::{Level, Member, Options};

const SOURCE: &str = "org.apache.catalina.tribes.group.interceptors.TcpFailureDetector";

/// What the detector writes to a member it tries; its counterpart swallows it.
const TEST: [u8; 64] = [
    0x4f, 0xa7, 0x73, 0x48, 0x79, 0x82, 0x43, 0xc9, 0x9f, 0x6f, 0x89, 0x80, 0xa1, 0x5b, 0x07, 0x14, 0x7d, 0xd9, 0x52,
    0x5b, 0xeb, 0xf1, 0x43, 0x9a, 0xb7, 0x7e, 0xbe, 0x8f, 0x81, 0x67, 0x1e, 0xb6, 0x37, 0x15, 0xbe, 0x87, 0x45, 0x7e,
    0x4c, 0xa8, 0xbf, 0x0a, 0x4d, 0x13, 0x53, 0x38, 0x15, 0x32, 0x55, 0xf6, 0x94, 0xb7, 0x3a, 0xfa, 0x40, 0x78, 0x91,
    0x04, 0x7d, 0xd7, 0x72, 0x84, 0xc0, 0xd5,
];

/// What TcpPingInterceptor sends.
const PING: [u8; 64] = [
    0x4f, 0xa7, 0x73, 0x48, 0x79, 0xdf, 0x43, 0xc9, 0x9f, 0x6f, 0x89, 0x80, 0xa1, 0x5b, 0x07, 0x14, 0x7d, 0xd9, 0x52,
    0x5b, 0xeb, 0xdf, 0x43, 0x9a, 0xb7, 0x7e, 0xbe, 0x8f, 0x81, 0x67, 0x1e, 0xb6, 0x37, 0x15, 0xbe, 0x87, 0x45, 0x21,
    0x4c, 0xa8, 0xbf, 0x0a, 0x4d, 0x13, 0x53, 0x38, 0x15, 0x32, 0x55, 0xf6, 0x94, 0xb7, 0x3a, 0xdf, 0x21, 0x78, 0x91,
    0x04, 0x7d, 0xd7, 0x72, 0x84, 0xc0, 0xd5,
];

/// Lets only members through that take a connection, and doubts the silence of others.
pub(super) struct TcpFailureDetector {
    config: DetectorConfig,
    members: Roster,
    /// Silent members that took a connection, and since when.
    suspects: Vec<(Member, u64)>,
    asked: HashMap<u64, Why>,
    next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It was heard for the first time.
    Added,
    /// It is heard and we don't know it.
    Unnoticed,
    /// It is not heard any more, or a message to it failed.
    Silent,
    /// It was not heard, but there.
    Suspect,
    /// Somebody wants to know.
    Forced,
}

impl TcpFailureDetector {
    pub(super) fn new(config: DetectorConfig) -> Self {
        Self { config, members: Roster::default(), suspects: Vec::new(), asked: HashMap::new(), next: 0 }
    }

    fn ask(&mut self, member: Member, why: Why, cx: &mut Context<'_>) {
        self.next += 1;
        self.asked.insert(self.next, why);
        let options = self.config.option_flag.with(Options::BYTE_MESSAGE);
        let read = self.config.perform_read_test;
        let options = if read { options.with(Options::USE_ACK) } else { options };
        cx.probe(Probe {
            id: self.next,
            member,
            connect_timeout: self.config.connect_timeout,
            message: (self.config.perform_send_test || read).then(|| (options, Bytes::from_static(&TEST))),
            read_timeout: read.then_some(self.config.read_test_timeout),
        });
    }

    /// A known member may be dead.
    fn verify(&mut self, member: &Member, cx: &mut Context<'_>) {
        cx.log(Level::Info, SOURCE, format!("Received memberDisappeared[{member}] message. Will verify."));
        if self.members.contains(member) {
            self.ask(member.clone(), Why::Silent, cx);
        } else {
            cx.log(Level::Info, SOURCE, format!("Verification complete. Member already disappeared[{member}]"));
        }
    }

    fn alive(&mut self, member: Member, why: Why, cx: &mut Context<'_>) {
        let heard = cx.below().contains(&member);
        // Another member answers at its address now: a later start of the same node.
        let taken = |other: &Member| other.host == member.host && other.port == member.port;
        if !heard && cx.below().iter().any(taken) {
            return self.dead(member, why, cx);
        }
        if why == Why::Silent {
            cx.log(Level::Info, SOURCE, format!("Verification complete. Member still alive[{member}]"));
        }
        if heard && self.members.insert(member.clone()) {
            if why == Why::Unnoticed {
                let text = format!("Member added, even though we weren't notified:[{member}]");
                cx.log(Level::Warning, SOURCE, text);
            }
            cx.added(member);
        } else if !heard && self.members.contains(&member) && !self.is_suspect(&member) {
            self.suspects.push((member, cx.now().tick));
        }
    }

    fn dead(&mut self, member: Member, why: Why, cx: &mut Context<'_>) {
        self.suspects.retain(|(suspect, _)| !suspect.same(&member));
        if self.members.remove(&member).is_some() {
            match why {
                Why::Silent => {
                    cx.log(Level::Info, SOURCE, format!("Verification complete. Member disappeared[{member}]"));
                }
                _ => cx.log(Level::Info, SOURCE, format!("Suspect member, confirmed dead.[{member}]")),
            }
            cx.gone(member);
        }
    }

    fn is_suspect(&self, member: &Member) -> bool {
        self.suspects.iter().any(|(suspect, _)| suspect.same(member))
    }

    /// Asks for everybody who is heard and not known, and for those who are known and not heard.
    fn basic_check(&mut self, cx: &mut Context<'_>) {
        let unnoticed: Vec<Member> = cx.below().iter().filter(|m| !self.members.contains(m)).cloned().collect();
        for member in unnoticed {
            self.ask(member, Why::Unnoticed, cx);
        }
        let limit = self.config.remove_suspects_timeout * 1000;
        let now = cx.now().tick;
        for (member, _) in self.suspects.clone() {
            self.ask(member, Why::Suspect, cx);
        }
        // Told once; a suspect is tried for as long as it is not heard.
        for (member, since) in &mut self.suspects {
            if limit > 0 && *since != u64::MAX && now.saturating_sub(*since) > limit {
                *since = u64::MAX;
                cx.log(Level::Warning, SOURCE, format!("Suspect member is not heard, but still alive[{member}]"));
            }
        }
    }
}

impl Interceptor for TcpFailureDetector {
    fn name(&self) -> &'static str {
        "TcpFailureDetector"
    }

    fn receive(&mut self, message: Incoming, cx: &mut Context<'_>) {
        if message.data.message != TEST[..] {
            cx.up(message);
        }
    }

    fn added(&mut self, member: Member, cx: &mut Context<'_>) {
        self.suspects.retain(|(suspect, _)| !suspect.same(&member));
        if !self.members.contains(&member) {
            self.ask(member, Why::Added, cx);
        }
    }

    fn gone(&mut self, member: Member, cx: &mut Context<'_>) {
        if !member.is_leaving() {
            return self.verify(&member, cx);
        }
        self.suspects.retain(|(suspect, _)| !suspect.same(&member));
        if self.members.remove(&member).is_some() {
            cx.gone(member);
        }
    }

    fn sent(&mut self, report: Report, cx: &mut Context<'_>) {
        for failed in &report.failed {
            let doubtful = matches!(failed.cause, Cause::Io(_) | Cause::Timeout);
            if doubtful && self.members.contains(&failed.member) && !self.is_suspect(&failed.member) {
                self.verify(&failed.member, cx);
            }
        }
        cx.sent(report);
    }

    fn probed(&mut self, probe: Probe, alive: bool, cx: &mut Context<'_>) {
        let Some(why) = self.asked.remove(&probe.id) else { return };
        // What the member says of itself may have changed since.
        let member = cx.below().get(&probe.member).cloned().unwrap_or(probe.member);
        if alive {
            self.alive(member, why, cx);
        } else if !(why == Why::Added || why == Why::Unnoticed) {
            self.dead(member, why, cx);
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) {
        self.basic_check(cx);
        for member in self.members.iter().cloned().collect::<Vec<_>>() {
            if !self.is_suspect(&member) {
                self.ask(member, Why::Forced, cx);
            }
        }
        cx.check();
    }

    fn heartbeat(&mut self, cx: &mut Context<'_>) {
        self.basic_check(cx);
    }
}

/// Pings members, or has the detector below try them.
pub(super) struct TcpPing {
    config: PingConfig,
    detector: bool,
    statics: Vec<Member>,
    next: Option<u64>,
}

impl TcpPing {
    pub(super) fn new(config: PingConfig, channel: &Config) -> Self {
        let place = |wanted: fn(&InterceptorConfig) -> bool| channel.interceptors.iter().position(wanted);
        let ping = place(|i| matches!(i, InterceptorConfig::TcpPing(_)));
        let detector = place(|i| matches!(i, InterceptorConfig::TcpFailureDetector(_)));
        let statics = channel.interceptors.iter().filter_map(|i| match i {
            InterceptorConfig::StaticMembership(config) => Some(super::statics::members(config)),
            _ => None,
        });
        Self { config, detector: detector > ping, statics: statics.flatten().collect(), next: None }
    }

    fn ping(&self, cx: &mut Context<'_>) {
        if self.detector {
            return cx.check();
        }
        let wanted = |member: &&Member| !self.config.static_only || self.statics.iter().any(|s| s.same(member));
        let members: Arc<[Member]> = cx.below().iter().filter(wanted).cloned().collect();
        if !members.is_empty() {
            let ping = cx.message(members, self.config.option_flag, Bytes::from_static(&PING));
            cx.down(ping);
        }
    }
}

impl Interceptor for TcpPing {
    fn name(&self) -> &'static str {
        "TcpPingInterceptor"
    }

    fn start(&mut self, cx: &mut Context<'_>) {
        self.next = self.config.use_thread.then(|| cx.now().tick + self.config.interval);
    }

    fn receive(&mut self, message: Incoming, cx: &mut Context<'_>) {
        if message.data.message != PING[..] {
            cx.up(message);
        }
    }

    fn heartbeat(&mut self, cx: &mut Context<'_>) {
        if !self.config.use_thread {
            self.ping(cx);
        }
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        self.next = Some(cx.now().tick + self.config.interval.max(1));
        self.ping(cx);
    }

    fn deadline(&self) -> Option<u64> {
        self.next
    }
}
