//! RpcChannel: questions to members and their answers, on top of a [`Channel`].
//!
//! An application gives every message to [`Router::receive`] first. Messages are Java objects that
//! are written in the stream of the `RpcMessage` around them: their own first handle is
//! [`FIRST_HANDLE`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

pub use crate::codec::tribes::rpc::FIRST_HANDLE;
use crate::codec::tribes::rpc::{Kind, Rpc};

use super::channel::{Channel, Message};
use super::{Member, Options, UniqueId};

/// How many answers a question waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The first.
    First,
    /// Those of half of the members asked.
    Majority,
    /// All.
    All,
    /// None.
    Nobody,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whose.
    pub from: Member,
    /// The whole object stream of the `RpcMessage`.
    pub stream: Bytes,
    /// The object inside, without stream header.
    pub object: Bytes,
}

/// A question of another member.
#[derive(Debug)]
pub struct Question {
    /// Whose, and the whole message.
    pub message: Message,
    /// Which channel it is for.
    pub rpc_id: Vec<u8>,
    /// The object inside, without stream header.
    pub object: Bytes,
    uuid: Vec<u8>,
}

/// What became of a message.
#[derive(Debug)]
pub enum Received {
    /// It is no RPC message.
    Other(Message),
    /// Somebody asks one of our channels.
    Question(Question),
    /// It was an answer, or for a channel we don't have, and has been dealt with.
    Done,
}

/// All RPC channels of one channel. Clones are the same.
#[derive(Clone, Debug)]
pub struct Router {
    channel: Channel,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    ids: Vec<Vec<u8>>,
    asked: HashMap<Vec<u8>, mpsc::UnboundedSender<Option<Answer>>>,
}

impl Router {
    /// Without any RPC channel yet.
    pub fn new(channel: Channel) -> Self {
        Self { channel, state: Arc::default() }
    }

    /// Answers to that id from now on.
    pub fn register(&self, rpc_id: &[u8]) {
        self.state(|state| state.ids.push(rpc_id.to_vec()));
    }

    /// Doesn't any more.
    pub fn unregister(&self, rpc_id: &[u8]) {
        self.state(|state| state.ids.retain(|id| id != rpc_id));
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks members and collects their answers, at most for `limit`. Members that don't have the
    /// channel are not waited for.
    pub async fn ask(
        &self,
        rpc_id: &[u8],
        to: Arc<[Member]>,
        object: &[u8],
        wait: Wait,
        options: Options,
        limit: Duration,
    ) -> Vec<Answer> {
        let uuid = fresh_uuid();
        let message = Rpc { kind: Kind::Request, uuid: &uuid, rpc_id, object }.encode();
        let (sender, mut answers) = mpsc::unbounded_channel();
        let asked = to.len();
        if wait != Wait::Nobody {
            self.state(|state| state.asked.insert(uuid.to_vec(), sender));
        }
        let waiting = Waiting { router: self, uuid };
        let sending = self.channel.send(to, message, options.without(Options::SYNCHRONIZED_ACK));
        let mut found = Vec::new();
        let collect = async {
            // Whom the question does not reach does not answer.
            let missed = sending.outcome().await.err().map_or(0, |error| error.failed.len());
            let mut expected = asked.saturating_sub(missed);
            loop {
                let wanted = match wait {
                    Wait::First => expected.min(1),
                    Wait::Majority => expected.div_ceil(2),
                    Wait::All => expected,
                    Wait::Nobody => 0,
                };
                if found.len() >= wanted {
                    break;
                }
                match answers.recv().await {
                    Some(Some(answer)) => found.push(answer),
                    Some(None) => expected = expected.saturating_sub(1),
                    None => break,
                }
            }
        };
        // What came in time is returned all the same.
        let _ = tokio::time::timeout(limit, collect).await;
        drop(waiting);
        found
    }

    /// Answers a question with an object; its sender does not acknowledge answers.
    pub fn answer(&self, question: Question, object: &[u8]) {
        let rpc = Rpc { kind: Kind::Reply, uuid: &question.uuid, rpc_id: &question.rpc_id, object };
        self.channel.send(question.message.from.clone(), rpc.encode(), Options::NONE);
    }

    /// Sorts a message out.
    pub fn receive(&self, message: Message) -> Received {
        let Ok(Some(rpc)) = Rpc::decode(&message.payload) else { return Received::Other(message) };
        let known = self.state(|state| state.ids.iter().any(|id| id == rpc.rpc_id));
        match rpc.kind {
            Kind::Request if known => {
                let object = message.payload.slice_ref(rpc.object);
                let (uuid, rpc_id) = (rpc.uuid.to_vec(), rpc.rpc_id.to_vec());
                return Received::Question(Question { message, rpc_id, object, uuid });
            }
            Kind::Request => {
                let refusal = Rpc { kind: Kind::NoChannel, object: &[], ..rpc }.encode();
                self.channel.send(message.from.clone(), refusal, Options::ASYNCHRONOUS);
            }
            Kind::Reply => {
                let (stream, object) = (message.payload.clone(), message.payload.slice_ref(rpc.object));
                let answer = Answer { from: message.from.clone(), stream, object };
                self.tell(rpc.uuid, Some(answer));
            }
            Kind::NoChannel => self.tell(rpc.uuid, None),
        }
        Received::Done
    }

    /// Answers that come too late are left over.
    fn tell(&self, uuid: &[u8], answer: Option<Answer>) {
        if let Some(asked) = self.state(|state| state.asked.get(uuid).cloned()) {
            // Who asked may just have given up.
            let _ = asked.send(answer);
        }
    }
}

/// Forgets a question however waiting for it ends.
struct Waiting<'a> {
    router: &'a Router,
    uuid: UniqueId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.router.state(|state| state.asked.remove(self.uuid.as_slice()));
    }
}

fn fresh_uuid() -> UniqueId {
    let mut uuid = [0; 16];
    // Without random numbers a question is still told from the others by its moment and place.
    if getrandom::fill(&mut uuid).is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        uuid = now.as_nanos().to_be_bytes();
    }
    uuid
}
