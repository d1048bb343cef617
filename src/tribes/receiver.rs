//! NioReceiver's part: frames out of connections and datagrams, acknowledgements back.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, Bytes, BytesMut};

use super::Level;
use super::config::Limits;
use super::core::Action;
use super::stack::{Bus, Incoming};
use crate::codec::tribes::{self, ChannelData, Error, Options, Reply, START, reply_frame, split};

const SOURCE: &str = "org.apache.catalina.tribes.transport.nio.NioReceiver";
/// A frame whose memory is given back as soon as its message is let go.
const LONG: usize = 64 << 10;
/// How often a connection may begin anew after garbage.
const GARBAGE: u32 = 16;
/// How long a connection from where no member is may say nothing.
const STRANGER: u64 = 60_000;

/// All connections towards us.
pub(super) struct Receiver {
    limits: Limits,
    conns: HashMap<u64, Conn>,
    /// Bytes of incomplete frames.
    buffered: usize,
    receipts: HashMap<u64, Back>,
    next_receipt: u64,
    ack: Bytes,
    fail: Bytes,
    full: bool,
}

struct Conn {
    peer: SocketAddr,
    buf: BytesMut,
    since: u64,
    garbage: u32,
    complained: bool,
}

/// Where an acknowledgement goes.
#[derive(Clone, Copy)]
enum Back {
    Conn(u64),
    Datagram(SocketAddr),
}

impl Receiver {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            conns: HashMap::new(),
            buffered: 0,
            receipts: HashMap::new(),
            next_receipt: 0,
            ack: reply_frame(Reply::Ack).into(),
            fail: reply_frame(Reply::Fail).into(),
            full: false,
        }
    }

    /// A connection has been made to us.
    pub(super) fn accepted(&mut self, peer: SocketAddr, bus: &mut Bus) -> Option<u64> {
        if self.conns.len() >= self.limits.connections {
            if !self.full {
                bus.log(Level::Warning, SOURCE, format!("More than {} connections; refusing", self.limits.connections));
            }
            self.full = true;
            return None;
        }
        self.full = false;
        let conn = bus.conn();
        let since = bus.now.tick;
        self.conns.insert(conn, Conn { peer, buf: BytesMut::new(), since, garbage: 0, complained: false });
        Some(conn)
    }

    pub(super) fn owns(&self, conn: u64) -> bool {
        self.conns.contains_key(&conn)
    }

    pub(super) fn closed(&mut self, conn: u64) {
        if let Some(conn) = self.conns.remove(&conn) {
            self.buffered -= conn.buf.len();
        }
        self.receipts.retain(|_, back| !matches!(back, Back::Conn(of) if *of == conn));
    }

    /// Bytes have come; `true` when the connection is still wanted.
    pub(super) fn read(&mut self, id: u64, bytes: &[u8], bus: &mut Bus, take: &mut dyn FnMut(Incoming, &mut Bus)) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.since = bus.now.tick;
        conn.buf.extend_from_slice(bytes);
        self.buffered += bytes.len();
        while let Some(conn) = self.conns.get_mut(&id) {
            let max = limit(&self.limits, conn.peer.ip(), &conn.buf, bus);
            let whole = match split(&conn.buf, max) {
                Ok(Ok(frame)) => frame.len,
                // The buffer grows with what arrives, so that a length alone costs nothing.
                Ok(Err(_)) => break,
                Err(problem) => {
                    if !self.recover(id, problem, bus) {
                        return self.refuse(id, bus);
                    }
                    break;
                }
            };
            self.buffered -= whole;
            let mut frame = conn.buf.split_to(whole).freeze();
            if whole > LONG {
                // The rest would keep the frame's memory for as long as the connection lasts.
                conn.buf = BytesMut::from(conn.buf.as_ref());
            }
            frame.advance(START.len() + 4);
            frame.truncate(frame.len() - START.len());
            self.frame(id, &frame, bus, take);
        }
        if self.buffered > self.limits.buffered && self.conns.contains_key(&id) {
            bus.log(Level::Warning, SOURCE, "Too many bytes of incomplete messages; closing the connection");
            self.refuse(id, bus);
        }
    }

    /// What does not begin as a frame is thrown away, as long as it cannot be one; `false` ends the connection.
    fn recover(&mut self, id: u64, problem: Error, bus: &mut Bus) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else { return false };
        if problem == Error::Start && conn.buf.len() <= START.len() {
            return true;
        }
        let text = if problem == Error::Start {
            "Discarded the package, invalid header".to_owned()
        } else {
            format!("Invalid package from [{}], closing the connection: {problem}", conn.peer)
        };
        if !conn.complained {
            bus.log(Level::Warning, SOURCE, text);
        }
        conn.complained = true;
        conn.garbage += 1;
        let inside = conn.buf.windows(START.len()).any(|window| window == START);
        if problem != Error::Start || inside || conn.garbage > GARBAGE {
            return false;
        }
        self.buffered -= conn.buf.len();
        conn.buf.clear();
        true
    }

    fn refuse(&mut self, id: u64, bus: &mut Bus) {
        self.closed(id);
        bus.actions.push(Action::Close(id));
    }

    fn frame(&mut self, id: u64, content: &Bytes, bus: &mut Bus, take: &mut dyn FnMut(Incoming, &mut Bus)) {
        if tribes::reply(content).is_some() {
            return;
        }
        let data = match ChannelData::decode(content) {
            Ok(data) => data,
            Err(problem) => {
                if let Some(conn) = self.conns.get_mut(&id)
                    && !std::mem::replace(&mut conn.complained, true)
                {
                    let text = format!("Dropped a message from [{}] that cannot be read: {problem}", conn.peer);
                    bus.log(Level::Warning, SOURCE, text);
                }
                return;
            }
        };
        self.message(data, Back::Conn(id), bus, take);
    }

    fn message(&mut self, data: ChannelData, back: Back, bus: &mut Bus, take: &mut dyn FnMut(Incoming, &mut Bus)) {
        let mut receipt = None;
        if data.options.has_all(Options::USE_ACK.with(Options::SYNCHRONIZED_ACK)) {
            self.next_receipt += 1;
            receipt = Some(self.next_receipt);
            self.receipts.insert(self.next_receipt, back);
        } else if data.options.has(Options::USE_ACK) {
            self.answer(back, true, bus);
        }
        take(Incoming { data, receipt }, bus);
    }

    /// A message that was to be acknowledged has been processed.
    pub(super) fn processed(&mut self, receipt: u64, good: bool, bus: &mut Bus) {
        if let Some(back) = self.receipts.remove(&receipt) {
            self.answer(back, good, bus);
        }
    }

    fn answer(&self, back: Back, good: bool, bus: &mut Bus) {
        let bytes = if good { &self.ack } else { &self.fail }.clone();
        bus.actions.push(match back {
            Back::Conn(conn) => Action::Write(conn, bytes),
            Back::Datagram(to) => Action::Datagram(to, bytes),
        });
    }

    /// A datagram on the UDP port: one frame.
    pub(super) fn datagram(
        &mut self,
        from: SocketAddr,
        bytes: &Bytes,
        bus: &mut Bus,
        take: &mut dyn FnMut(Incoming, &mut Bus),
    ) {
        if let Ok(Ok(frame)) = split(bytes, self.limits.stranger_frame)
            && let Ok(data) = ChannelData::decode(&bytes.slice_ref(frame.content))
        {
            self.message(data, Back::Datagram(from), bus, take);
        }
    }

    /// Closes connections whose frame does not go on.
    pub(super) fn tick(&mut self, bus: &mut Bus) {
        let now = bus.now.tick;
        let late = |conn: &Conn| !conn.buf.is_empty() && now >= conn.since + self.limits.stall;
        let stalled: Vec<u64> = self.conns.iter().filter(|(_, conn)| late(conn)).map(|(id, _)| *id).collect();
        for id in stalled {
            bus.log(Level::Warning, SOURCE, "An incomplete message does not go on; closing its connection");
            self.refuse(id, bus);
        }
    }

    /// The channel's heartbeat: what nobody of the group uses is closed. Connections of members live
    /// until their other side ends them, as Tomcat's.
    pub(super) fn heartbeat(&mut self, bus: &mut Bus) {
        let now = bus.now.tick;
        let unused = |conn: &Conn| now >= conn.since + STRANGER && !bus.knows(conn.peer.ip());
        let unused: Vec<u64> = self.conns.iter().filter(|(_, conn)| unused(conn)).map(|(id, _)| *id).collect();
        unused.into_iter().for_each(|id| self.refuse(id, bus));
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        let waiting = self.conns.values().filter(|conn| !conn.buf.is_empty());
        waiting.map(|conn| conn.since + self.limits.stall).min()
    }

    /// Ends all connections.
    pub(super) fn stop(&mut self, bus: &mut Bus) {
        let all: Vec<u64> = self.conns.keys().copied().collect();
        for id in all {
            self.refuse(id, bus);
        }
        self.receipts.clear();
    }
}

/// How long a frame may be: what members send may be long.
fn limit(limits: &Limits, peer: IpAddr, buf: &[u8], bus: &Bus) -> usize {
    let said = buf.get(START.len()..).and_then(|rest| rest.first_chunk::<4>()).map(|n| i32::from_be_bytes(*n));
    let long = said.is_some_and(|n| usize::try_from(n).is_ok_and(|n| n > limits.stranger_frame));
    if long && bus.knows(peer) { limits.frame } else { limits.stranger_frame }
}

/// The frames of a datagram on the multicast group: broadcast messages, which nobody acknowledges.
pub(super) fn broadcast(bytes: &Bytes, max: usize, bus: &mut Bus, take: &mut dyn FnMut(Incoming, &mut Bus)) {
    let mut rest = bytes.clone();
    while let Ok(Ok(frame)) = split(&rest, max) {
        let (content, len) = (rest.slice_ref(frame.content), frame.len);
        rest.advance(len);
        if let Ok(data) = ChannelData::decode(&content)
            && !data.source.same(&bus.local)
        {
            take(Incoming { data, receipt: None }, bus);
        }
    }
}
