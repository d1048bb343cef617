//! Whole sessions: the payload of ALL_SESSION_DATA, and what BackupManager keeps of one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::codec::java::{Carrier, Error, Graph, Groups, Id, Item, Limits, Reader, Value, Writer};
use crate::node::session::{Rare, Session};

/// Java has one object for each of these numbers.
const CACHED: std::ops::RangeInclusive<i64> = -128..=127;

/// Writes sessions into one stream; what Java shares between them is shared.
#[derive(Debug)]
pub struct StateWriter {
    writer: Writer,
    /// Handles of numbers, truth values and names that were written.
    known: HashMap<Known, u32>,
    /// Where the count of sessions is, and the count.
    count: Option<(usize, i32)>,
}

#[derive(Debug, Eq, Hash, PartialEq)]
enum Known {
    Integer(i64),
    Long(i64),
    Boolean(bool),
    Name(Arc<str>),
}

impl StateWriter {
    /// For a payload, behind what `out` holds already.
    pub fn payload(out: Vec<u8>) -> Self {
        let mut writer = Writer::onto(out);
        writer.integer(0);
        let at = writer.len() - 4;
        Self { writer, known: HashMap::new(), count: Some((at, 0)) }
    }

    /// Inside an object that is being written.
    pub fn inside(writer: Writer) -> Self {
        Self { writer, known: HashMap::new(), count: None }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.writer.len()
    }

    /// Whether there is no session in it.
    pub fn is_empty(&self) -> bool {
        self.count.is_some_and(|(_, count)| count == 0)
    }

    /// A session with the attributes that may leave this node.
    pub fn session(&mut self, session: &Session, allow: impl Fn(&str, &Value) -> bool) {
        if let Some((_, count)) = &mut self.count {
            *count += 1;
        }
        let none = Rare::default();
        let rare = session.rare.as_deref().unwrap_or(&none);
        let mut groups = Groups::default();
        self.long(session.created);
        self.long(session.last);
        self.integer(session.max_inactive);
        self.boolean(session.new);
        self.boolean(session.valid);
        self.long(session.this);
        // The version, which Tomcat counts nowhere.
        self.long(0);
        self.writer.bool(rare.principal.is_some());
        if let Some(principal) = &rare.principal {
            self.writer.value(principal, &mut groups);
        }
        self.writer.string(&session.id);
        for note in [&rare.sso, &rare.form] {
            match note {
                Some(note) => self.writer.value(note, &mut groups),
                None => self.writer.null(),
            }
        }
        let attributes = || session.attributes.iter().filter(|(name, value)| allow(name, value));
        self.integer(attributes().count() as i32);
        for (name, value) in attributes() {
            self.name(name);
            self.writer.value(value, &mut groups);
        }
        self.integer(rare.listeners.len() as i32);
        for listener in &rare.listeners {
            self.writer.value(listener, &mut groups);
        }
    }

    fn once(&mut self, known: Known, write: impl FnOnce(&mut Writer) -> u32) {
        match self.known.get(&known) {
            Some(handle) => self.writer.again(*handle),
            None => {
                let handle = write(&mut self.writer);
                self.known.insert(known, handle);
            }
        }
    }

    fn long(&mut self, value: i64) {
        if CACHED.contains(&value) {
            self.once(Known::Long(value), |writer| writer.long(value));
        } else {
            self.writer.long(value);
        }
    }

    fn integer(&mut self, value: i32) {
        if CACHED.contains(&i64::from(value)) {
            self.once(Known::Integer(value.into()), |writer| writer.integer(value));
        } else {
            self.writer.integer(value);
        }
    }

    fn boolean(&mut self, value: bool) {
        self.once(Known::Boolean(value), |writer| writer.boolean(value));
    }

    fn name(&mut self, name: &Arc<str>) {
        match self.known.get(&Known::Name(Arc::clone(name))) {
            Some(handle) => self.writer.again(*handle),
            None => {
                let handle = self.writer.string(name);
                self.known.insert(Known::Name(Arc::clone(name)), handle);
            }
        }
    }

    /// The writer, to go on with the object the session is inside of.
    pub fn into_writer(self) -> Writer {
        self.writer
    }

    /// The stream.
    pub fn finish(self) -> Vec<u8> {
        let mut out = self.writer.finish();
        if let Some((at, count)) = self.count
            && let Some(place) = out.get_mut(at..at + 4)
        {
            place.copy_from_slice(&count.to_be_bytes());
        }
        out
    }
}

/// Where the parts of a session come from.
pub trait Source {
    /// The next object.
    ///
    /// # Errors
    /// There is none, or it is malformed.
    fn object(&mut self) -> Result<Item, Error>;
    /// The next truth value of primitive data.
    ///
    /// # Errors
    /// There is none.
    fn bool(&mut self) -> Result<bool, Error>;
    /// What the objects are.
    fn graph(&self) -> &Graph<'_>;
}

impl Source for Reader<'_> {
    fn object(&mut self) -> Result<Item, Error> {
        Reader::object(self)
    }

    fn bool(&mut self) -> Result<bool, Error> {
        Reader::bool(self)
    }

    fn graph(&self) -> &Graph<'_> {
        Reader::graph(self)
    }
}

/// The contents of an object that wrote itself.
#[derive(Debug)]
pub struct Contents<'g, 'a> {
    graph: &'g Graph<'a>,
    items: std::slice::Iter<'g, Item>,
}

impl<'g, 'a> Contents<'g, 'a> {
    /// Of an externalizable object's items.
    pub fn new(graph: &'g Graph<'a>, items: &'g [Item]) -> Self {
        Self { graph, items: items.iter() }
    }
}

impl Source for Contents<'_, '_> {
    fn object(&mut self) -> Result<Item, Error> {
        match self.items.next() {
            Some(item @ (Item::Null | Item::Node(_))) => Ok(*item),
            Some(_) => Err(Error::ObjectDue),
            None => Err(Error::Short),
        }
    }

    fn bool(&mut self) -> Result<bool, Error> {
        match self.items.next() {
            Some(Item::Block(bytes)) => match self.graph.bytes(*bytes) {
                [value] => Ok(*value != 0),
                _ => Err(Error::Length),
            },
            Some(_) => Err(Error::BlockDue),
            None => Err(Error::Short),
        }
    }

    fn graph(&self) -> &Graph<'_> {
        self.graph
    }
}

/// What was left out of sessions that were read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Aside {
    /// The session.
    pub session: String,
    /// Its attribute; none if it is the whole session.
    pub attribute: Option<String>,
    /// Why.
    pub error: Error,
}

/// Reads sessions one after the other.
#[derive(Debug)]
pub struct SessionReader {
    carrier: Carrier,
    /// Names that occur in many sessions are kept once.
    names: HashMap<Id, Arc<str>>,
    /// What was left out, up to a bound; all of it is counted.
    pub asides: Vec<Aside>,
    /// How much was left out.
    pub left_out: usize,
}

/// Of what is left out so much is told in detail.
const ASIDES: usize = 20;
/// Attributes, or listeners, of one session.
const PARTS: i32 = 1 << 20;

impl SessionReader {
    /// For a stream of the given length.
    pub fn new(len: usize) -> Self {
        Self { carrier: Carrier::new(len), names: HashMap::new(), asides: Vec::new(), left_out: 0 }
    }

    fn leave_out(&mut self, session: &str, attribute: Option<&str>, error: Error) {
        self.left_out += 1;
        if self.asides.len() < ASIDES {
            let attribute = attribute.map(str::to_owned);
            self.asides.push(Aside { session: session.to_owned(), attribute, error });
        }
    }

    /// The next session; none if it makes no sense and was left out.
    ///
    /// # Errors
    /// The stream cannot be read on.
    pub fn session(&mut self, source: &mut impl Source) -> Result<Option<Session>, Error> {
        let mut heads = [Item::Null; 7];
        for head in &mut heads {
            *head = source.object()?;
        }
        // Principal, notes, attributes' values and listeners, in this order; what each is.
        let mut items = Vec::new();
        let has_principal = source.bool()?;
        if has_principal {
            items.push(optional(source)?);
        }
        let id = source.object()?;
        let mut names = Vec::new();
        let first = source.object()?;
        // Before Tomcat 8 the notes are missing, and the count of attributes follows.
        let notes = source.graph().integer(first).is_err();
        let count = if notes {
            items.push(Ok(first));
            items.push(optional(source)?);
            source.object()?
        } else {
            first
        };
        let count = part_count(source, count)?;
        for _ in 0..count {
            names.push(source.object()?);
            items.push(optional(source)?);
        }
        let listeners = source.object()?;
        let listeners = part_count(source, listeners)?;
        for _ in 0..listeners {
            items.push(optional(source)?);
        }
        self.build(source.graph(), heads, has_principal, id, notes, &names, &items)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one session")]
    fn build(
        &mut self,
        graph: &Graph<'_>,
        heads: [Item; 7],
        has_principal: bool,
        id: Item,
        has_notes: bool,
        names: &[Item],
        items: &[Result<Item, Error>],
    ) -> Result<Option<Session>, Error> {
        let Some(id) = graph.text(id).filter(|id| !id.is_empty()) else {
            self.leave_out("", None, Error::Class);
            return Ok(None);
        };
        let mut session = match head(graph, &id, heads) {
            Ok(session) => session,
            Err(error) => {
                self.leave_out(&id, None, error);
                return Ok(None);
            }
        };
        let sound: Vec<Item> = items.iter().map(|item| item.unwrap_or(Item::Null)).collect();
        let mut values =
            self.carrier.carry_all(graph, &sound).into_iter().zip(items).map(|(value, item)| item.and(value));
        let mut rare = Rare::default();
        let mut optional = |reader: &mut Self, there: bool, what: &str| {
            let value = if there { values.next() } else { None };
            match value.transpose() {
                Ok(value) => value.filter(|value| !value.is_null()),
                Err(error) => {
                    reader.leave_out(&id, Some(what), error);
                    None
                }
            }
        };
        rare.principal = optional(self, has_principal, "(principal)");
        rare.sso = optional(self, has_notes, "(single sign-on)");
        rare.form = optional(self, has_notes, "(saved request)");
        let mut attributes = BTreeMap::new();
        for name in names {
            let name = self.name(graph, *name);
            let value = optional(self, true, name.as_deref().unwrap_or("(no name)"));
            if let (Some(name), Some(value)) = (name, value) {
                attributes.insert(name, value);
            }
        }
        session.attributes = attributes;
        for listener in values {
            match listener {
                Ok(listener) => rare.listeners.push(listener),
                Err(error) => self.leave_out(&id, Some("(listener)"), error),
            }
        }
        if rare.principal.is_some() || rare.sso.is_some() || rare.form.is_some() || !rare.listeners.is_empty() {
            session.rare = Some(Box::new(rare));
        }
        Ok(Some(session))
    }

    fn name(&mut self, graph: &Graph<'_>, item: Item) -> Option<Arc<str>> {
        let Item::Node(id) = item else { return None };
        if let Some(name) = self.names.get(&id) {
            return Some(Arc::clone(name));
        }
        let name: Arc<str> = graph.text(item)?.into();
        self.names.insert(id, Arc::clone(&name));
        Some(name)
    }
}

/// An object that may be missing because its writer gave up on it.
fn optional(source: &mut impl Source) -> Result<Result<Item, Error>, Error> {
    match source.object() {
        Ok(item) => Ok(Ok(item)),
        Err(Error::Aborted) => Ok(Err(Error::Aborted)),
        Err(error) => Err(error),
    }
}

fn part_count(source: &impl Source, item: Item) -> Result<i32, Error> {
    let count = source.graph().integer(item)?;
    if (0..=PARTS).contains(&count) { Ok(count) } else { Err(Error::Length) }
}

fn head(graph: &Graph<'_>, id: &str, heads: [Item; 7]) -> Result<Session, Error> {
    let [created, last, max_inactive, new, valid, this, _version] = heads;
    let mut session = Session::new(id, graph.long(created)?, graph.integer(max_inactive)?);
    session.last = graph.long(last)?;
    session.new = graph.boolean(new)?;
    session.valid = graph.boolean(valid)?;
    session.this = graph.long(this)?;
    Ok(session)
}

/// Reads a payload; how many sessions it said it holds.
///
/// # Errors
/// The stream is malformed from some session on; those before it were handed out.
pub fn decode(payload: &[u8], reader: &mut SessionReader, mut each: impl FnMut(Session)) -> Result<i32, Error> {
    let mut source = Reader::new(payload, Limits::STATE)?;
    let count = source.object()?;
    let count = source.graph().integer(count)?;
    for _ in 0..count {
        if let Some(session) = reader.session(&mut source)? {
            each(session);
        }
    }
    source.finish()?;
    Ok(count)
}
