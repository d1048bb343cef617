//! MessageDispatchInterceptor, DomainFilterInterceptor and ThroughputInterceptor.

use std::collections::{HashMap, VecDeque};

use super::config::{DispatchConfig, DomainConfig, ThroughputConfig};
use super::stack::{Cause, Context, Incoming, Interceptor, Outgoing, Report, Ticket};
use super::{Level, Member};

/// Takes messages nobody waits for out of the sender's way.
pub(super) struct MessageDispatch {
    config: DispatchConfig,
    queue: VecDeque<Outgoing>,
    /// What is on its way, and how long it is.
    active: HashMap<Ticket, u64>,
    bytes: u64,
    complained: bool,
}

impl MessageDispatch {
    pub(super) fn new(config: DispatchConfig) -> Self {
        Self { config, queue: VecDeque::new(), active: HashMap::new(), bytes: 0, complained: false }
    }

    fn next(&mut self, cx: &mut Context<'_>) {
        // Messages without acknowledgement are only written; there is nothing that more of them at
        // a time would wait for.
        let limit = self.config.max_threads.max(1) * 64;
        while self.active.len() < limit
            && let Some(out) = self.queue.pop_front()
        {
            self.active.insert(out.ticket, out.message.len() as u64);
            cx.down(out);
        }
    }
}

impl Interceptor for MessageDispatch {
    fn name(&self) -> &'static str {
        "MessageDispatchInterceptor"
    }

    fn send(&mut self, mut out: Outgoing, cx: &mut Context<'_>) {
        if !out.options.has(self.config.option_flag) {
            return cx.down(out);
        }
        let len = out.message.len() as u64;
        if self.bytes + len > self.config.max_queue_size {
            if !std::mem::replace(&mut self.complained, true) {
                let text = format!("Asynchronous queue is full, reached its limit of [{}] bytes", self.bytes);
                cx.log(Level::Warning, SOURCE, text);
            }
            return match self.config.always_send {
                true => cx.down(out),
                false => cx.fail(&out, Cause::QueueFull),
            };
        }
        self.complained = false;
        let waited_for = std::mem::replace(&mut out.ticket, cx.ticket());
        cx.finish(waited_for, Vec::new());
        self.bytes += len;
        self.queue.push_back(out);
        self.next(cx);
    }

    fn sent(&mut self, report: Report, cx: &mut Context<'_>) {
        if report.last
            && let Some(len) = self.active.remove(&report.ticket)
        {
            self.bytes -= len;
            for failed in &report.failed {
                let text = format!("Error while asynchronously sending to {}: {}", failed.member.name(), failed.cause);
                cx.log(Level::Fine, SOURCE, text);
            }
            self.next(cx);
        }
        cx.sent(report);
    }
}

const SOURCE: &str = "org.apache.catalina.tribes.group.interceptors.MessageDispatchInterceptor";
const DOMAIN: &str = "org.apache.catalina.tribes.group.interceptors.DomainFilterInterceptor";
const THROUGHPUT: &str = "org.apache.catalina.tribes.group.interceptors.ThroughputInterceptor";

/// Lets members of one domain through.
pub(super) struct DomainFilter {
    config: DomainConfig,
    refused: u64,
}

impl DomainFilter {
    pub(super) fn new(config: DomainConfig) -> Self {
        Self { config, refused: 0 }
    }

    fn admits(&self, member: &Member) -> bool {
        member.domain == self.config.domain
    }
}

impl Interceptor for DomainFilter {
    fn name(&self) -> &'static str {
        "DomainFilterInterceptor"
    }

    fn receive(&mut self, message: Incoming, cx: &mut Context<'_>) {
        if self.admits(&message.data.source) {
            return cx.up(message);
        }
        self.refused += 1;
        if self.refused.is_multiple_of(self.config.log_interval.max(1)) {
            let source = &message.data.source;
            let text = format!("Received message from cluster[{source}] was refused.");
            cx.log(Level::Warning, DOMAIN, text);
        }
    }

    fn added(&mut self, member: Member, cx: &mut Context<'_>) {
        if self.admits(&member) {
            cx.added(member);
        } else {
            cx.log(Level::Info, DOMAIN, format!("Member [{member}] was refused to join cluster"));
        }
    }
}

/// Counts.
pub(super) struct Throughput {
    config: ThroughputConfig,
    since: Option<u64>,
    sent: u64,
    sent_bytes: u64,
    failed: u64,
    received: u64,
    received_bytes: u64,
}

impl Throughput {
    pub(super) fn new(config: ThroughputConfig) -> Self {
        Self { config, since: None, sent: 0, sent_bytes: 0, failed: 0, received: 0, received_bytes: 0 }
    }

    fn report(&self, cx: &mut Context<'_>) {
        let total = self.sent + self.received;
        if !total.is_multiple_of(self.config.interval.max(1)) {
            return;
        }
        let seconds = cx.now().tick.saturating_sub(self.since.unwrap_or_default()) as f64 / 1000.0;
        let rate = |bytes: u64| bytes as f64 / 1_048_576.0 / seconds.max(0.001);
        let text = format!(
            "ThroughputInterceptor Report[ Tx Msg:{} messages Sent:{:.2} MiB Error:{} messages Rx Msg:{} messages \
             Received:{:.2} MiB Time:{seconds:.2} s Tx Speed:{:.2} MiB/s Rx Speed:{:.2} MiB/s ]",
            self.sent,
            self.sent_bytes as f64 / 1_048_576.0,
            self.failed,
            self.received,
            self.received_bytes as f64 / 1_048_576.0,
            rate(self.sent_bytes),
            rate(self.received_bytes),
        );
        cx.log(Level::Info, THROUGHPUT, text);
    }
}

impl Interceptor for Throughput {
    fn name(&self) -> &'static str {
        "ThroughputInterceptor"
    }

    fn send(&mut self, out: Outgoing, cx: &mut Context<'_>) {
        self.since.get_or_insert_with(|| cx.now().tick);
        self.sent += 1;
        self.sent_bytes += (out.message.len() * out.to.len()) as u64;
        self.report(cx);
        cx.down(out);
    }

    fn receive(&mut self, message: Incoming, cx: &mut Context<'_>) {
        self.since.get_or_insert_with(|| cx.now().tick);
        self.received += 1;
        self.received_bytes += message.data.message.len() as u64;
        self.report(cx);
        cx.up(message);
    }

    fn sent(&mut self, report: Report, cx: &mut Context<'_>) {
        self.failed += u64::from(!report.failed.is_empty());
        cx.sent(report);
    }
}
