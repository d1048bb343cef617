//! OrderInterceptor: every member's messages in the order in which they were sent.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bytes::{BufMut, BytesMut};

use super::config::OrderConfig;
use super::stack::{Context, Incoming, Interceptor, Outgoing};
use super::{Level, Member, UniqueId};

const SOURCE: &str = "org.apache.catalina.tribes.group.interceptors.OrderInterceptor";

/// Senders whose counts are kept although they are no members.
const STRANGERS: usize = 4096;

type Key = (IpAddr, i32, UniqueId);

/// Counts messages to each member, and delivers each member's by their count.
pub(super) struct Order {
    config: OrderConfig,
    /// Bytes that may wait behind gaps.
    max: usize,
    sent: HashMap<Key, i32>,
    arriving: HashMap<Key, Arriving>,
    bytes: usize,
}

#[derive(Default)]
struct Arriving {
    /// The count delivered last.
    last: i32,
    /// What waits behind a gap, and since when.
    waiting: BTreeMap<i32, (Incoming, u64)>,
}

impl Order {
    pub(super) fn new(config: OrderConfig, max: usize) -> Self {
        Self { config, max, sent: HashMap::new(), arriving: HashMap::new(), bytes: 0 }
    }

    /// Delivers what is in order now; with `gap`, beginning behind a gap.
    fn deliver(&mut self, key: Key, gap: bool, cx: &mut Context<'_>) {
        let Some(arriving) = self.arriving.get_mut(&key) else { return };
        if gap && let Some(first) = arriving.waiting.keys().next() {
            arriving.last = first.wrapping_sub(1);
        }
        while let Some((message, _)) = arriving.waiting.remove(&arriving.last.wrapping_add(1)) {
            arriving.last = arriving.last.wrapping_add(1);
            self.bytes -= message.data.message.len();
            cx.up(message);
        }
    }

    fn forget(&mut self, member: &Member) {
        let key = key(member);
        self.sent.remove(&key);
        if let Some(arriving) = self.arriving.remove(&key) {
            self.bytes -= arriving.waiting.values().map(|(message, _)| message.data.message.len()).sum::<usize>();
        }
    }
}

impl Interceptor for Order {
    fn name(&self) -> &'static str {
        "OrderInterceptor"
    }

    fn send(&mut self, out: Outgoing, cx: &mut Context<'_>) {
        if out.to.is_empty() {
            return cx.down(out);
        }
        cx.split(out.ticket, out.to.len() - 1);
        for member in out.to.iter() {
            let count = self.sent.entry(key(member)).or_insert(0);
            *count = count.wrapping_add(1);
            let mut message = BytesMut::with_capacity(out.message.len() + 4);
            message.extend_from_slice(&out.message);
            message.put_i32(*count);
            cx.down(Outgoing { to: [member.clone()].into(), message: message.freeze(), ..out.clone() });
        }
    }

    fn receive(&mut self, mut message: Incoming, cx: &mut Context<'_>) {
        let data = &mut message.data;
        let Some((body, count)) = data.message.split_last_chunk::<4>() else {
            let text = format!("Dropped a message of {} without order", data.source.name());
            return cx.log(Level::Warning, SOURCE, text);
        };
        let count = i32::from_be_bytes(*count);
        data.message = data.message.slice_ref(body);
        let key = key(&data.source);
        let known = cx.below().contains(&data.source);
        if !known && self.arriving.len() >= STRANGERS && !self.arriving.contains_key(&key) {
            return cx.up(message);
        }
        let arriving = self.arriving.entry(key).or_default();
        if arriving.last.wrapping_add(1) == count {
            arriving.last = count;
            cx.up(message);
            return self.deliver(key, false, cx);
        }
        // Late ones behind a gap given up are delivered when they come, as are strangers'.
        if count <= arriving.last || !known {
            arriving.last = arriving.last.max(count);
            return cx.up(message);
        }
        self.bytes += message.data.message.len();
        if let Some((old, _)) = arriving.waiting.insert(count, (message, cx.now().tick)) {
            self.bytes -= old.data.message.len();
        }
        if arriving.waiting.len() > self.config.max_queue || self.bytes > self.max {
            self.deliver(key, true, cx);
        }
    }

    fn gone(&mut self, member: Member, cx: &mut Context<'_>) {
        self.forget(&member);
        cx.gone(member);
    }

    fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now().tick;
        let expire = self.config.expire;
        let late = |a: &Arriving| a.waiting.values().any(|(_, since)| now.saturating_sub(*since) >= expire);
        let mut keys: Vec<Key> = self.arriving.iter().filter(|(_, a)| late(a)).map(|(key, _)| *key).collect();
        keys.sort_unstable();
        for key in keys {
            while self.arriving.get(&key).is_some_and(late) {
                if !self.config.forward_expired
                    && let Some(arriving) = self.arriving.get_mut(&key)
                    && let Some((first, (dropped, _))) = arriving.waiting.pop_first()
                {
                    arriving.last = first;
                    self.bytes -= dropped.data.message.len();
                }
                self.deliver(key, self.config.forward_expired, cx);
            }
        }
    }

    fn deadline(&self) -> Option<u64> {
        let waiting = self.arriving.values().flat_map(|arriving| arriving.waiting.values());
        waiting.map(|(_, since)| since + self.config.expire).min()
    }
}

fn key(member: &Member) -> Key {
    (member.host, member.port, member.unique_id)
}
