//! `MapMessage`: what the members of a replicated map tell each other.

use crate::codec::java::{Class, Error, FieldValue, Graph, Item, Limits, Node, Reader, Value, Writer, flag};
use crate::codec::tribes::Member;
use crate::node::delta::{Contents, SessionReader, StateWriter};
use crate::node::session::Session;

/// What a message is about: Tomcat's numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "Tomcat's words")]
pub enum Type {
    Backup = 1,
    RetrieveBackup = 2,
    Proxy = 3,
    Remove = 4,
    State = 5,
    Start = 6,
    Stop = 7,
    Init = 8,
    Copy = 9,
    StateCopy = 10,
    Access = 11,
    NotifyMapMember = 12,
    Ping = 13,
}

impl Type {
    fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Backup,
            2 => Self::RetrieveBackup,
            3 => Self::Proxy,
            4 => Self::Remove,
            5 => Self::State,
            6 => Self::Start,
            7 => Self::Stop,
            8 => Self::Init,
            9 => Self::Copy,
            10 => Self::StateCopy,
            11 => Self::Access,
            12 => Self::NotifyMapMember,
            13 => Self::Ping,
            _ => return None,
        })
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct MapMessage {
    /// What it is about.
    pub kind: Type,
    /// Which map.
    pub map: Vec<u8>,
    /// Which entry: a stream of its own.
    pub key: Option<Vec<u8>>,
    /// The entry's value, or what was asked for: a stream of its own.
    pub value: Option<Vec<u8>>,
    /// Changes of the value, in place of it.
    pub diff: Option<Vec<u8>>,
    /// The entry's owner, or who speaks.
    pub primary: Option<Member>,
    /// Who has copies of it.
    pub nodes: Option<Vec<Member>>,
}

const BYTES: &str = "[B";
const MESSAGE: Class<'static> = Class {
    name: "org.apache.catalina.tribes.tipis.AbstractReplicatedMap$MapMessage",
    suid: 1,
    flags: flag::SERIALIZABLE,
    fields: &[
        ("diff", "Z"),
        ("msgtype", "I"),
        ("diffvalue", BYTES),
        ("keydata", BYTES),
        ("mapId", BYTES),
        ("nodes", "[Lorg/apache/catalina/tribes/Member;"),
        ("primary", "Lorg/apache/catalina/tribes/Member;"),
        ("valuedata", BYTES),
    ],
    sup: None,
};
const MEMBERS: Class<'static> = Class {
    name: "[Lorg.apache.catalina.tribes.Member;",
    suid: 6828688949895838012,
    flags: flag::SERIALIZABLE,
    fields: &[],
    sup: None,
};
/// As Tomcat 10.1 and 11 compute it; older ones cannot share a map with them.
const MEMBER: Class<'static> = Class {
    name: "org.apache.catalina.tribes.membership.MemberImpl",
    suid: -8901659902996040089,
    flags: flag::EXTERNALIZABLE | flag::BLOCK,
    fields: &[],
    sup: None,
};
const STATE: Class<'static> = Class {
    name: "org.apache.catalina.tribes.tipis.AbstractReplicatedMap$State",
    suid: 0,
    flags: flag::ENUM | flag::SERIALIZABLE,
    fields: &[],
    sup: Some(&Class::ENUM),
};
const STANDARD_SESSION: Class<'static> = Class {
    name: "org.apache.catalina.session.StandardSession",
    suid: 1,
    flags: flag::SERIALIZABLE,
    fields: &[
        ("creationTime", "J"),
        ("isNew", "Z"),
        ("isValid", "Z"),
        ("lastAccessedTime", "J"),
        ("maxInactiveInterval", "I"),
        ("thisAccessedTime", "J"),
        ("attributes", "Ljava/util/concurrent/ConcurrentMap;"),
        ("id", "Ljava/lang/String;"),
    ],
    sup: None,
};
const SESSION: Class<'static> = Class {
    name: "org.apache.catalina.ha.session.DeltaSession",
    suid: 296450023228352885,
    flags: flag::EXTERNALIZABLE | flag::BLOCK,
    fields: &[],
    sup: Some(&STANDARD_SESSION),
};

impl MapMessage {
    /// A message of a map.
    pub fn new(kind: Type, map: &[u8]) -> Self {
        Self { kind, map: map.to_vec(), key: None, value: None, diff: None, primary: None, nodes: None }
    }

    /// The stream.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// The object alone, in a stream in which so many handles were given.
    pub fn encode_part(&self, handles: u32) -> Vec<u8> {
        let mut writer = Writer::part(handles);
        self.write(&mut writer);
        writer.finish()
    }

    fn write(&self, writer: &mut Writer) {
        let bytes = |writer: &mut Writer, bytes: Option<&[u8]>| match bytes {
            Some(bytes) => _ = writer.byte_array(bytes),
            None => writer.null(),
        };
        writer.begin(&MESSAGE);
        writer.prim(&[u8::from(self.diff.is_some())]);
        writer.prim(&(self.kind as i32).to_be_bytes());
        bytes(writer, self.diff.as_deref());
        bytes(writer, self.key.as_deref());
        bytes(writer, Some(&self.map));
        match &self.nodes {
            Some(nodes) => {
                writer.begin_array(&MEMBERS, nodes.len());
                nodes.iter().for_each(|node| write_member(writer, node));
            }
            None => writer.null(),
        }
        match &self.primary {
            Some(primary) => write_member(writer, primary),
            None => writer.null(),
        }
        bytes(writer, self.value.as_deref());
    }

    /// The message a stream holds; none if it holds another object.
    ///
    /// # Errors
    /// The stream is malformed, or its values are not those of a message.
    pub fn decode(stream: &[u8]) -> Result<Option<Self>, Error> {
        let mut reader = Reader::new(stream, Limits::VALUE)?;
        let item = reader.object()?;
        if reader.graph().class_of(item) != Some(MESSAGE.name.as_bytes()) {
            return Ok(None);
        }
        reader.finish()?;
        Self::read(reader.graph(), item).map(Some)
    }

    /// The same for an object inside another stream.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode).
    pub fn decode_part(object: &[u8], handles: u32) -> Result<Option<Self>, Error> {
        let mut reader = Reader::part(object, Limits::VALUE, handles)?;
        let item = reader.object()?;
        if reader.graph().class_of(item) != Some(MESSAGE.name.as_bytes()) {
            return Ok(None);
        }
        reader.finish()?;
        Self::read(reader.graph(), item).map(Some)
    }

    fn read(graph: &Graph<'_>, item: Item) -> Result<Self, Error> {
        let (mut kind, mut is_diff) = (None, false);
        let mut items = [Item::Null; 6];
        graph.fields(item, |name, value| {
            let at = match (name, value) {
                (b"msgtype", FieldValue::Prim(bytes)) => {
                    kind = bytes.try_into().ok().map(i32::from_be_bytes).and_then(Type::from_number);
                    return;
                }
                (b"diff", FieldValue::Prim(bytes)) => {
                    is_diff = bytes.first().is_some_and(|byte| *byte != 0);
                    return;
                }
                (b"diffvalue", _) => 0,
                (b"keydata", _) => 1,
                (b"mapId", _) => 2,
                (b"nodes", _) => 3,
                (b"primary", _) => 4,
                (b"valuedata", _) => 5,
                _ => return,
            };
            if let (FieldValue::Object(item), Some(slot)) = (value, items.get_mut(at)) {
                *slot = item;
            }
        })?;
        let [diff, key, map, nodes, primary, value] = items;
        let bytes = |item: Item| graph.byte_array(item).map(<[u8]>::to_vec);
        let nodes = match nodes {
            Item::Node(id) => match graph.node(id) {
                Some(Node::Array(_, items)) => {
                    let nodes: Result<_, _> = graph.items(items).iter().map(|item| read_member(graph, *item)).collect();
                    Some(nodes?)
                }
                _ => return Err(Error::Class),
            },
            _ => None,
        };
        Ok(Self {
            kind: kind.ok_or(Error::Class)?,
            map: bytes(map).ok_or(Error::Class)?,
            key: bytes(key),
            value: bytes(value),
            diff: if is_diff { bytes(diff) } else { None },
            primary: if primary == Item::Null { None } else { Some(read_member(graph, primary)?) },
            nodes,
        })
    }
}

fn write_member(writer: &mut Writer, member: &Member) {
    let mut package = Vec::new();
    member.encode(&mut package);
    writer.begin(&MEMBER);
    writer.i32(package.len() as i32);
    writer.raw(&package);
    writer.end();
}

/// A `MemberImpl` or one of its kind: its data are a length and a member package.
fn read_member(graph: &Graph<'_>, item: Item) -> Result<Member, Error> {
    let Item::Node(id) = item else { return Err(Error::Class) };
    let Some(Node::Object(_, items)) = graph.node(id) else { return Err(Error::Class) };
    let mut package = Vec::new();
    for item in graph.items(items) {
        if let Item::Block(bytes) = item {
            package.extend_from_slice(graph.bytes(*bytes));
        }
    }
    let package = package.get(4..).ok_or(Error::Class)?;
    Member::decode(package).map(|(member, _)| member).map_err(|_| Error::Class)
}

/// A session's id as a key.
pub(super) fn key(id: &str) -> Vec<u8> {
    Value::string(id).to_stream()
}

/// The id a key is.
pub(super) fn key_id(key: &[u8]) -> Option<String> {
    Value::from_stream(key).ok()?.as_text()
}

/// A session as a value.
pub(super) fn session_value(session: &Session, allow: impl Fn(&str, &Value) -> bool) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.begin(&SESSION);
    let mut inside = StateWriter::inside(writer);
    inside.session(session, allow);
    let mut writer = inside.into_writer();
    writer.end();
    writer.finish()
}

/// The session a value is. What is left out of it is in `reader`.
///
/// # Errors
/// The value is malformed, or no session.
pub(super) fn read_session(value: &[u8], reader: &mut SessionReader) -> Result<Session, Error> {
    let mut stream = Reader::new(value, Limits::VALUE)?;
    let item = stream.object()?;
    stream.finish()?;
    let graph = stream.graph();
    let items = graph.object(item, SESSION.name.as_bytes())?;
    let mut contents = Contents::new(graph, graph.items(items));
    reader.session(&mut contents)?.ok_or(Error::Class)
}

/// A map's state, the answer to PING.
pub(super) fn state_value(name: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.enum_constant(&STATE, name);
    writer.finish()
}

/// The name of the state a value is.
pub(super) fn read_state(value: &[u8]) -> Option<String> {
    Value::from_stream(value)
        .ok()?
        .read(|graph, item| match item {
            Item::Node(id) => match graph.node(id) {
                Some(Node::Enum(_, name)) => graph.text(Item::Node(name)),
                _ => None,
            },
            _ => None,
        })
        .ok()?
}

/// All entries of a map, the answer to STATE.
pub(super) fn list_value(messages: &[MapMessage]) -> Vec<u8> {
    let size = messages.len() as i32;
    let mut writer = Writer::new();
    writer.begin(&Class::ARRAY_LIST);
    writer.prim(&size.to_be_bytes());
    writer.i32(size);
    messages.iter().for_each(|message| message.write(&mut writer));
    writer.end();
    writer.finish()
}

/// The entries of a list; what is no entry is passed over.
///
/// # Errors
/// The stream is malformed, or no list.
pub(super) fn read_list(value: &[u8]) -> Result<Vec<MapMessage>, Error> {
    let mut reader = Reader::new(value, Limits::STATE)?;
    let item = reader.object()?;
    let graph = reader.graph();
    let items = graph.items(graph.object(item, b"java.util.ArrayList")?);
    Ok(items.iter().filter_map(|item| MapMessage::read(graph, *item).ok()).collect())
}
