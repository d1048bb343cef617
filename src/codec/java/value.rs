//! A value that belongs to no stream: how a session keeps what Java objects it does not know.

use std::sync::Arc;

use super::{Class, Error, Graph, Item, Limits, Moves, Reader, Writer, tag};

/// A Java value, in the bytes Java writes for it alone (without the stream's header). Values that
/// hold an object in common are kept in one stream, so that they still do when they are sent on.
#[derive(Clone, Debug)]
pub struct Value {
    stream: Arc<[u8]>,
    /// Which object of the stream it is.
    index: u16,
    /// Whether the stream holds more than this value.
    grouped: bool,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && self.stream == other.stream
    }
}

impl Value {
    fn alone(write: impl FnOnce(&mut Writer)) -> Self {
        let mut writer = Writer::bare();
        write(&mut writer);
        Self { stream: writer.finish().into(), index: 0, grouped: false }
    }

    /// `null`.
    pub fn null() -> Self {
        Self::alone(Writer::null)
    }

    /// A `String`.
    pub fn string(text: &str) -> Self {
        Self::alone(|w| _ = w.string(text))
    }

    /// An `Integer`.
    pub fn integer(value: i32) -> Self {
        Self::alone(|w| _ = w.integer(value))
    }

    /// A `Long`.
    pub fn long(value: i64) -> Self {
        Self::alone(|w| _ = w.long(value))
    }

    /// A `Boolean`.
    pub fn boolean(value: bool) -> Self {
        Self::alone(|w| _ = w.boolean(value))
    }

    /// A `Double`.
    pub fn double(value: f64) -> Self {
        Self::alone(|w| {
            w.begin(&Class::DOUBLE);
            w.prim(&value.to_bits().to_be_bytes());
        })
    }

    /// A `java.util.Date` of milliseconds since 1970.
    pub fn date(millis: i64) -> Self {
        Self::alone(|w| {
            w.begin(&Class::DATE);
            w.i64(millis);
            w.end();
        })
    }

    /// A `byte[]`.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::alone(|w| _ = w.byte_array(bytes))
    }

    /// An `ArrayList`.
    pub fn list(values: &[Self]) -> Self {
        Self::alone(|w| {
            let size = values.len() as i32;
            w.begin(&Class::ARRAY_LIST);
            w.prim(&size.to_be_bytes());
            w.i32(size);
            values.iter().for_each(|value| w.value(value, &mut Groups::default()));
            w.end();
        })
    }

    /// A `HashMap`.
    pub fn map(entries: &[(Self, Self)]) -> Self {
        Self::alone(|w| {
            // Room for what is in it at the load factor, as Java's own tables have.
            let buckets = (entries.len() * 4 / 3 + 1).next_power_of_two().max(16) as i32;
            w.begin(&Class::HASH_MAP);
            w.prim(&0.75_f32.to_bits().to_be_bytes());
            w.prim(&(buckets / 4 * 3).to_be_bytes());
            w.i32(buckets);
            w.i32(entries.len() as i32);
            for (key, value) in entries {
                w.value(key, &mut Groups::default());
                w.value(value, &mut Groups::default());
            }
            w.end();
        })
    }

    /// The value a stream of one object holds.
    pub fn from_stream(stream: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(stream, Limits::VALUE)?;
        let item = reader.object()?;
        reader.finish()?;
        Carrier::new(stream.len()).carry(reader.graph(), item)
    }

    /// A stream of this value alone.
    pub fn to_stream(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.value(self, &mut Groups::default());
        writer.finish()
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        self.stream.len()
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        !self.grouped && *self.stream == [tag::NULL]
    }

    /// Looks at the value's graph.
    pub fn read<R>(&self, look: impl FnOnce(&Graph<'_>, Item) -> R) -> Result<R, Error> {
        let (reader, item) = self.reader()?;
        Ok(look(reader.graph(), item))
    }

    /// The text, if it is a string.
    pub fn as_text(&self) -> Option<String> {
        self.read(|graph, item| graph.text(item)).ok().flatten()
    }

    /// The number, if it is an `Integer`.
    pub fn as_integer(&self) -> Option<i32> {
        self.read(|graph, item| graph.integer(item)).ok()?.ok()
    }

    /// The truth value, if it is a `Boolean`.
    pub fn as_boolean(&self) -> Option<bool> {
        self.read(|graph, item| graph.boolean(item)).ok()?.ok()
    }

    /// The name of its class; empty for null.
    pub fn class(&self) -> String {
        let class = self.read(|graph, item| graph.class_of(item).and_then(|name| super::decode_mutf8(name).ok()));
        class.ok().flatten().unwrap_or_default()
    }

    fn reader(&self) -> Result<(Reader<'_>, Item), Error> {
        let mut reader = Reader::bare(&self.stream, Limits::STATE)?;
        let mut item = reader.object()?;
        for _ in 0..self.index {
            item = reader.object()?;
        }
        Ok((reader, item))
    }
}

/// What values of one target have in common, so that it is written once.
#[derive(Debug, Default)]
pub struct Groups<'v> {
    known: Vec<Group<'v>>,
}

#[derive(Debug)]
struct Group<'v> {
    stream: &'v Arc<[u8]>,
    graph: Graph<'v>,
    items: Vec<Item>,
    moves: Moves,
}

impl Writer {
    /// A value. Those of one group keep what they share if `groups` is the same for all of them.
    pub fn value<'v>(&mut self, value: &'v Value, groups: &mut Groups<'v>) {
        // A value was written by this writer's like, so it can be read and written again.
        let written = if value.grouped { self.grouped(value, groups) } else { self.lone(value) };
        debug_assert_eq!(written, Ok(()));
    }

    fn lone(&mut self, value: &Value) -> Result<(), Error> {
        if let [tag::STRING, _, _, text @ ..] = &*value.stream {
            self.text(text);
            return Ok(());
        }
        let (reader, item) = value.reader()?;
        self.copy(reader.graph(), &mut Moves::default(), item)
    }

    fn grouped<'v>(&mut self, value: &'v Value, groups: &mut Groups<'v>) -> Result<(), Error> {
        let index = usize::from(value.index);
        if let Some(group) = groups.known.iter_mut().find(|group| Arc::ptr_eq(group.stream, &value.stream)) {
            let item = group.items.get(index).copied().ok_or(Error::Handle)?;
            return self.copy(&group.graph, &mut group.moves, item);
        }
        let mut reader = Reader::bare(&value.stream, Limits::STATE)?;
        let mut items = Vec::new();
        while !reader.at_end() {
            items.push(reader.object()?);
        }
        let mut moves = Moves::default();
        let item = items.get(index).copied().ok_or(Error::Handle)?;
        self.copy(reader.graph(), &mut moves, item)?;
        groups.known.push(Group { stream: &value.stream, graph: reader.into_graph(), items, moves });
        Ok(())
    }
}

/// Takes values out of a stream's graph.
#[derive(Debug)]
pub struct Carrier {
    writer: Writer,
    moves: Moves,
    /// Bytes that may still be taken: objects that many values refer to are written for each.
    left: usize,
}

impl Carrier {
    /// For a stream of the given length.
    pub fn new(len: usize) -> Self {
        let left = len.saturating_mul(32).min(len.saturating_mul(4).saturating_add(256 << 20)) + (1 << 20);
        Self { writer: Writer::bare(), moves: Moves::default(), left }
    }

    /// One value.
    pub fn carry(&mut self, graph: &Graph<'_>, item: Item) -> Result<Value, Error> {
        self.group(graph, &[item]).map(|stream| Value { stream, index: 0, grouped: false })
    }

    /// The values of one session: each of them, or why not.
    pub fn carry_all(&mut self, graph: &Graph<'_>, items: &[Item]) -> Vec<Result<Value, Error>> {
        self.moves.watch();
        let first = self.moves.next();
        let mut values: Vec<Result<Value, Error>> = items.iter().map(|item| self.carry(graph, *item)).collect();
        if !self.moves.met.is_empty() {
            self.regroup(graph, items, first, &mut values);
        }
        values
    }

    /// Values that hold something in common get one stream.
    fn regroup(&mut self, graph: &Graph<'_>, items: &[Item], first: u32, values: &mut [Result<Value, Error>]) {
        let mut leader: Vec<usize> = (0..items.len()).collect();
        for (a, b) in std::mem::take(&mut self.moves.met) {
            let (a, b) = ((a - first) as usize, (b - first) as usize);
            let (Some(&to), Some(&from)) = (leader.get(a), leader.get(b)) else { continue };
            let low = to.min(from);
            leader.iter_mut().filter(|of| **of == to || **of == from).for_each(|of| *of = low);
        }
        for lead in 0..items.len() {
            let members: Vec<usize> = (0..items.len())
                .filter(|at| leader.get(*at) == Some(&lead) && values.get(*at).is_some_and(Result::is_ok))
                .collect();
            if members.len() < 2 || members.len() > usize::from(u16::MAX) {
                continue;
            }
            let of: Vec<Item> = members.iter().filter_map(|at| items.get(*at).copied()).collect();
            // Each could be written alone, so a failure here is the budget; then they stay alone.
            let Ok(stream) = self.group(graph, &of) else { continue };
            for (index, at) in members.into_iter().enumerate() {
                if let Some(slot) = values.get_mut(at) {
                    *slot = Ok(Value { stream: Arc::clone(&stream), index: index as u16, grouped: true });
                }
            }
        }
    }

    fn group(&mut self, graph: &Graph<'_>, items: &[Item]) -> Result<Arc<[u8]>, Error> {
        self.writer.clear();
        self.moves.afresh();
        for item in items {
            self.writer.copy(graph, &mut self.moves, *item)?;
            if self.writer.len() > self.left {
                return Err(Error::Long);
            }
        }
        self.left -= self.writer.len();
        Ok(self.writer.written().into())
    }
}
