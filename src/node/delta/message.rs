//! `SessionMessageImpl`: what members tell each other about sessions.

use std::sync::OnceLock;

use crate::codec::java::{Class, Error, FieldValue, Item, Limits, Reader, Writer, flag};

/// What a message is about: Tomcat's numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A session was made; its creation time is the message's time.
    Created = 1,
    /// A session is over.
    Expired = 2,
    /// A session was used, without a change.
    Accessed = 3,
    /// Send me all sessions.
    GetAll = 4,
    /// All sessions, or some of them.
    AllData = 12,
    /// Changes of a session.
    Delta = 13,
    /// That was all.
    TransferComplete = 14,
    /// A session has another id.
    ChangeId = 15,
    /// I do not have this application.
    NoContextManager = 16,
}

impl Event {
    fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Created,
            2 => Self::Expired,
            3 => Self::Accessed,
            4 => Self::GetAll,
            12 => Self::AllData,
            13 => Self::Delta,
            14 => Self::TransferComplete,
            15 => Self::ChangeId,
            16 => Self::NoContextManager,
            _ => return None,
        })
    }

    /// Its name in Tomcat's logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "SESSION-MODIFIED",
            Self::Expired => "SESSION-EXPIRED",
            Self::Accessed => "SESSION-ACCESSED",
            Self::GetAll => "SESSION-GET-ALL",
            Self::AllData => "ALL-SESSION-DATA",
            Self::Delta => "SESSION-DELTA",
            Self::TransferComplete => "SESSION-STATE-TRANSFERED",
            Self::ChangeId => "SESSION-ID-CHANGED",
            Self::NoContextManager => "NO-CONTEXT-MANAGER",
        }
    }
}

/// A message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionMessage<'a> {
    /// The manager it is for; none is all of them.
    pub context: Option<String>,
    /// What it is about.
    pub event: Event,
    /// When it was made, by the sender's clock; none if it does not say.
    pub timestamp: Option<i64>,
    /// Sessions, changes or the new id: a stream of its own.
    pub payload: Option<&'a [u8]>,
    /// The session, or the event's own word.
    pub session: String,
    /// For logs.
    pub unique: String,
}

const BASE: Class<'static> = Class {
    name: "org.apache.catalina.ha.ClusterMessageBase",
    suid: 1,
    flags: flag::SERIALIZABLE,
    fields: &[("timestamp", "J")],
    sup: None,
};
const MESSAGE: Class<'static> = Class {
    name: "org.apache.catalina.ha.session.SessionMessageImpl",
    suid: 2,
    flags: flag::SERIALIZABLE,
    fields: &[
        ("mEvtType", "I"),
        ("serializationTimestamp", "J"),
        ("timestampSet", "Z"),
        ("mContextName", "Ljava/lang/String;"),
        ("mSession", "[B"),
        ("mSessionID", "Ljava/lang/String;"),
        ("uniqueId", "Ljava/lang/String;"),
    ],
    sup: Some(&BASE),
};

impl<'a> SessionMessage<'a> {
    /// A message of an event that is about a session, with the names Tomcat gives its parts.
    pub fn about(event: Event, context: &str, session: &str, now: i64, payload: Option<&'a [u8]>) -> Self {
        let unique = match event {
            Event::Expired => format!("{session}-EXPIRED-MSG"),
            _ => format!("{session}-{now}"),
        };
        let (context, session) = (Some(context.to_owned()), session.to_owned());
        Self { context, event, timestamp: Some(now), payload, session, unique }
    }

    /// A message of an event that is about all sessions.
    pub fn whole(event: Event, context: &str, now: i64, payload: Option<&'a [u8]>) -> Self {
        let (session, unique) = match event {
            Event::GetAll => ("GET-ALL", format!("GET-ALL-{context}")),
            Event::TransferComplete => ("SESSION-STATE-TRANSFERRED", format!("SESSION-STATE-TRANSFERRED{context}")),
            Event::NoContextManager => ("NO-CONTEXT-MANAGER", format!("NO-CONTEXT-MANAGER-{context}")),
            _ => ("SESSION-STATE", format!("SESSION-STATE-{context}")),
        };
        let timestamp = (event != Event::NoContextManager).then_some(now);
        Self { context: Some(context.to_owned()), event, timestamp, payload, session: session.to_owned(), unique }
    }

    /// The stream.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(self.payload.map(|payload| move |out: &mut Vec<u8>| out.extend_from_slice(payload)))
    }

    /// The stream, with a payload that is written in its place: it may be most of a node's memory.
    pub fn encode_with(&self, payload: Option<impl FnOnce(&mut Vec<u8>)>) -> Vec<u8> {
        // Everything up to the first value is the same in each message.
        static HEAD: OnceLock<Vec<u8>> = OnceLock::new();
        static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
        let head = HEAD.get_or_init(|| {
            let mut writer = Writer::new();
            writer.begin(&MESSAGE);
            writer.finish()
        });
        let bytes = BYTES.get_or_init(|| {
            let mut writer = Writer::new();
            writer.byte_array(&[]);
            let mut array = writer.finish().split_off(4);
            array.truncate(array.len() - 4);
            array
        });
        let mut out = Vec::with_capacity(head.len() + 256 + self.payload.map_or(0, <[u8]>::len));
        out.extend_from_slice(head);
        out.extend_from_slice(&0_i64.to_be_bytes());
        out.extend_from_slice(&(self.event as i32).to_be_bytes());
        out.extend_from_slice(&self.timestamp.unwrap_or_default().to_be_bytes());
        out.push(u8::from(self.timestamp.is_some()));
        let text = |text: Option<&str>, out: &mut Vec<u8>| {
            let mut writer = Writer::part(0);
            match text {
                Some(text) => drop(writer.string(text)),
                None => writer.null(),
            }
            out.extend(writer.finish());
        };
        text(self.context.as_deref(), &mut out);
        match payload {
            Some(write) => {
                out.extend_from_slice(bytes);
                let at = out.len();
                out.extend_from_slice(&[0; 4]);
                write(&mut out);
                let len = (out.len() - at - 4) as u32;
                if let Some(place) = out.get_mut(at..at + 4) {
                    place.copy_from_slice(&len.to_be_bytes());
                }
            }
            None => text(None, &mut out),
        }
        text(Some(&self.session), &mut out);
        text(Some(&self.unique), &mut out);
        out
    }

    /// The message a stream holds; none if it holds another object.
    ///
    /// # Errors
    /// The stream is malformed, or its values are not those of a message.
    pub fn decode(stream: &'a [u8]) -> Result<Option<Self>, Error> {
        let mut reader = Reader::new(stream, Limits { bytes: Limits::STATE.bytes, ..Limits::VALUE })?;
        let item = reader.object()?;
        let graph = reader.graph();
        if graph.class_of(item) != Some(MESSAGE.name.as_bytes()) {
            return Ok(None);
        }
        reader.finish()?;
        let (mut event, mut timestamp, mut set) = (None, 0, false);
        let (mut context, mut payload, mut session, mut unique) = (Item::Null, Item::Null, Item::Null, Item::Null);
        graph.fields(item, |name, value| match (name, value) {
            (b"mEvtType", FieldValue::Prim(bytes)) => {
                event = bytes.try_into().ok().map(i32::from_be_bytes).and_then(Event::from_number);
            }
            (b"serializationTimestamp", FieldValue::Prim(bytes)) => {
                timestamp = bytes.try_into().map(i64::from_be_bytes).unwrap_or_default();
            }
            (b"timestampSet", FieldValue::Prim(bytes)) => set = bytes.first().is_some_and(|byte| *byte != 0),
            (b"mContextName", FieldValue::Object(item)) => context = item,
            (b"mSession", FieldValue::Object(item)) => payload = item,
            (b"mSessionID", FieldValue::Object(item)) => session = item,
            (b"uniqueId", FieldValue::Object(item)) => unique = item,
            _ => {}
        })?;
        Ok(Some(Self {
            context: graph.text(context),
            event: event.ok_or(Error::Class)?,
            timestamp: set.then_some(timestamp),
            payload: graph.byte_array(payload),
            session: graph.text(session).unwrap_or_default(),
            unique: graph.text(unique).unwrap_or_default(),
        }))
    }
}
