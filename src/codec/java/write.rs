//! Graph to bytes, in the order and with the handles Java gives them.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::graph::Run;
use super::{BASE_HANDLE, Class, Desc, Error, Graph, HEADER, Id, Item, Limits, Node, encode_mutf8, tag};

/// Java's writer collects this much primitive data before it writes a record.
const RECORD: usize = 1024;

/// Writes one stream. Class descriptors and type names are written once, whoever brings them.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    /// Primitive data not yet in a record.
    block: Vec<u8>,
    /// Handles given so far.
    next: u32,
    descs: HashMap<Vec<u8>, u32, RandomState>,
    types: HashMap<Vec<u8>, u32, RandomState>,
    key: Vec<u8>,
    /// References are followed where their object is not in this stream, so a shallow stream can
    /// hold a deep object.
    depth: u32,
}

/// Which nodes of one graph are already in one stream. One for a graph; [`afresh`](Self::afresh)
/// for each further stream.
#[derive(Debug)]
pub struct Moves {
    /// The stream being written now; 0 is none.
    epoch: u32,
    /// Per node: the stream it was last written to, and its handle there.
    marks: Vec<(u32, u32)>,
    /// From this stream on, an object that is in two streams is of interest.
    floor: u32,
    /// Pairs of streams that hold the same object.
    pub(crate) met: Vec<(u32, u32)>,
}

impl Default for Moves {
    fn default() -> Self {
        Self { epoch: 1, marks: Vec::new(), floor: u32::MAX, met: Vec::new() }
    }
}

impl Moves {
    /// A new target stream; its number.
    pub fn afresh(&mut self) -> u32 {
        match self.epoch.checked_add(1) {
            Some(epoch) => self.epoch = epoch,
            None => *self = Self::default(),
        }
        self.epoch
    }

    /// From the next stream on, notes what streams have in common.
    pub(crate) fn watch(&mut self) {
        if self.epoch > u32::MAX / 2 {
            *self = Self::default();
        }
        self.floor = self.epoch + 1;
        self.met.clear();
    }

    /// The number the next stream will have.
    pub(crate) fn next(&self) -> u32 {
        self.epoch.saturating_add(1)
    }

    fn get(&self, id: Id) -> Option<u32> {
        let (epoch, handle) = self.marks.get(id.0 as usize)?;
        (*epoch == self.epoch).then_some(*handle)
    }

    /// Marks a node; its previous stream where that is of interest.
    fn set(&mut self, id: Id, handle: u32) -> Option<u32> {
        let at = id.0 as usize;
        if self.marks.len() <= at {
            self.marks.resize(at + 1, (0, 0));
        }
        let mark = self.marks.get_mut(at)?;
        let before = std::mem::replace(mark, (self.epoch, handle)).0;
        (before >= self.floor).then_some(before)
    }

    /// Marks an object, which two values may hold in common.
    fn set_object(&mut self, graph: &Graph<'_>, class: Id, id: Id, handle: u32) {
        if let Some(before) = self.set(id, handle)
            // Numbers and the like are values: nobody can tell one from its copy.
            && !graph.class_name(class).starts_with(b"java.lang.")
        {
            self.met.push((before, self.epoch));
        }
    }
}

impl Writer {
    /// A stream with its header.
    pub fn new() -> Self {
        let mut writer = Self::bare();
        writer.out.extend_from_slice(&HEADER);
        writer
    }

    /// A stream behind bytes that are there already.
    pub fn onto(mut out: Vec<u8>) -> Self {
        out.extend_from_slice(&HEADER);
        Self { out, ..Self::default() }
    }

    /// A stream whose header is left out.
    pub(crate) fn bare() -> Self {
        Self::default()
    }

    /// A part of a stream of which so many handles are given already.
    pub fn part(handles: u32) -> Self {
        Self { next: handles, ..Self::default() }
    }

    /// Starts over in the same memory, without a header.
    pub(crate) fn clear(&mut self) {
        self.out.clear();
        self.block.clear();
        self.next = 0;
        self.descs.clear();
        self.types.clear();
        self.depth = 0;
    }

    pub(crate) fn written(&self) -> &[u8] {
        &self.out
    }

    /// The bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.out
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.out.len() + self.block.len()
    }

    /// Whether nothing was written, not even a header.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Primitive data: `boolean`.
    pub fn bool(&mut self, value: bool) {
        self.raw(&[u8::from(value)]);
    }

    /// Primitive data: `int`.
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// Primitive data: `long`.
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// Primitive data: a string as `writeUTF` writes it. Cut where its length would not fit.
    pub fn utf(&mut self, text: &str) {
        let mut bytes = Vec::with_capacity(text.len());
        encode_mutf8(text, &mut bytes);
        let mut end = bytes.len().min(usize::from(u16::MAX));
        while end < bytes.len() && bytes.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        bytes.truncate(end);
        self.raw(&(bytes.len() as u16).to_be_bytes());
        self.raw(&bytes);
    }

    /// Primitive data as it is.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
        while self.block.len() >= RECORD {
            let rest = self.block.split_off(RECORD);
            self.flush();
            self.block = rest;
        }
    }

    /// Ends a record of primitive data: an object follows, or nothing.
    fn flush(&mut self) {
        if !self.block.is_empty() {
            record(&self.block, &mut self.out);
            self.block.clear();
        }
    }

    fn take_handle(&mut self) -> u32 {
        let handle = self.next;
        self.next += 1;
        handle
    }

    fn refer(&mut self, handle: u32) {
        self.out.push(tag::REFERENCE);
        self.out.extend_from_slice(&(BASE_HANDLE + handle).to_be_bytes());
    }

    /// `null`.
    pub fn null(&mut self) {
        self.flush();
        self.out.push(tag::NULL);
    }

    /// A string object; its handle for [`again`](Self::again).
    pub fn string(&mut self, text: &str) -> u32 {
        let mut bytes = Vec::with_capacity(text.len());
        encode_mutf8(text, &mut bytes);
        self.text(&bytes)
    }

    /// A string object of bytes that are modified UTF-8 already.
    pub(crate) fn text(&mut self, bytes: &[u8]) -> u32 {
        self.flush();
        match u16::try_from(bytes.len()) {
            Ok(len) => {
                self.out.push(tag::STRING);
                self.out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                self.out.push(tag::LONG_STRING);
                self.out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            }
        }
        self.out.extend_from_slice(bytes);
        self.take_handle()
    }

    /// The same object once more.
    pub fn again(&mut self, handle: u32) {
        self.flush();
        self.refer(handle);
    }

    /// An object of a class without a super class that is serializable, or with the given ones:
    /// the object's mark, descriptor and handle. The caller writes the fields' bytes with
    /// [`prim`](Self::prim) and objects with the other functions.
    pub fn begin(&mut self, class: &Class<'_>) -> u32 {
        self.flush();
        self.out.push(tag::OBJECT);
        self.class(class);
        self.take_handle()
    }

    /// An array of the given class and count of elements.
    pub fn begin_array(&mut self, class: &Class<'_>, count: usize) -> u32 {
        self.flush();
        self.out.push(tag::ARRAY);
        self.class(class);
        let handle = self.take_handle();
        self.out.extend_from_slice(&(count as u32).to_be_bytes());
        handle
    }

    /// A constant of an enum.
    pub fn enum_constant(&mut self, class: &Class<'_>, name: &str) -> u32 {
        self.flush();
        self.out.push(tag::ENUM);
        self.class(class);
        let handle = self.take_handle();
        self.string(name);
        handle
    }

    /// Values of primitive fields or elements.
    pub fn prim(&mut self, bytes: &[u8]) {
        debug_assert!(self.block.is_empty());
        self.out.extend_from_slice(bytes);
    }

    /// The end of what a class wrote itself.
    pub fn end(&mut self) {
        self.flush();
        self.out.push(tag::END);
    }

    /// A `byte[]`.
    pub fn byte_array(&mut self, bytes: &[u8]) -> u32 {
        let handle = self.begin_array(&Class::BYTES, bytes.len());
        self.prim(bytes);
        handle
    }

    /// An `Integer`.
    pub fn integer(&mut self, value: i32) -> u32 {
        let handle = self.begin(&Class::INTEGER);
        self.prim(&value.to_be_bytes());
        handle
    }

    /// A `Long`.
    pub fn long(&mut self, value: i64) -> u32 {
        let handle = self.begin(&Class::LONG);
        self.prim(&value.to_be_bytes());
        handle
    }

    /// A `Boolean`.
    pub fn boolean(&mut self, value: bool) -> u32 {
        let handle = self.begin(&Class::BOOLEAN);
        self.prim(&[u8::from(value)]);
        handle
    }

    /// The descriptor of a class known here, or a reference to it.
    fn class(&mut self, class: &Class<'_>) {
        self.key.clear();
        class.key(&mut self.key);
        if let Some(handle) = self.descs.get(&self.key).copied() {
            return self.refer(handle);
        }
        let handle = self.take_handle();
        self.descs.insert(self.key.clone(), handle);
        self.out.push(tag::CLASSDESC);
        short_text(class.name.as_bytes(), &mut self.out);
        self.out.extend_from_slice(&class.suid.to_be_bytes());
        self.out.push(class.flags);
        self.out.extend_from_slice(&(class.fields.len() as u16).to_be_bytes());
        for (name, of) in class.fields {
            self.out.extend(of.bytes().next());
            short_text(name.as_bytes(), &mut self.out);
            if of.len() > 1 {
                self.type_name(of.as_bytes());
            }
        }
        self.out.push(tag::END);
        match class.sup {
            Some(sup) => self.class(sup),
            None => self.out.push(tag::NULL),
        }
    }

    /// A field's type: Java interns these names, so an equal one is the same one.
    fn type_name(&mut self, name: &[u8]) -> u32 {
        match self.types.get(name).copied() {
            Some(handle) => {
                self.refer(handle);
                handle
            }
            None => {
                let handle = self.text(name);
                self.types.insert(name.to_vec(), handle);
                handle
            }
        }
    }

    /// An object of a graph, with everything it refers to that is not in this stream yet.
    pub fn copy(&mut self, graph: &Graph<'_>, moves: &mut Moves, item: Item) -> Result<(), Error> {
        self.flush();
        self.depth = 0;
        match item {
            Item::Node(id) => self.node(graph, moves, id),
            Item::Null => {
                self.out.push(tag::NULL);
                Ok(())
            }
            Item::Prim(_) | Item::Block(_) | Item::End => Err(Error::ObjectDue),
        }
    }

    fn node(&mut self, graph: &Graph<'_>, moves: &mut Moves, id: Id) -> Result<(), Error> {
        if let Some(handle) = moves.get(id) {
            self.refer(handle);
            return Ok(());
        }
        self.down()?;
        match graph.node(id).ok_or(Error::Handle)? {
            Node::Text(bytes) => {
                let handle = self.text(graph.bytes(bytes));
                moves.set(id, handle);
            }
            Node::Desc(_) => self.desc(graph, moves, id)?,
            Node::Object(class, items) => {
                self.out.push(tag::OBJECT);
                self.desc(graph, moves, class)?;
                moves.set_object(graph, class, id, self.take_handle());
                self.items(graph, moves, items.0)?;
            }
            Node::Array(class, items) => {
                self.out.push(tag::ARRAY);
                self.desc(graph, moves, class)?;
                moves.set_object(graph, class, id, self.take_handle());
                let count = array_len(graph, class, items.0);
                self.out.extend_from_slice(&count.to_be_bytes());
                self.items(graph, moves, items.0)?;
            }
            Node::Enum(class, name) => {
                self.out.push(tag::ENUM);
                self.desc(graph, moves, class)?;
                moves.set(id, self.take_handle());
                self.node(graph, moves, name)?;
            }
            Node::Class(class) => {
                self.out.push(tag::CLASS);
                self.desc(graph, moves, class)?;
                moves.set(id, self.take_handle());
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn down(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > Limits::VALUE.depth { Err(Error::Depth) } else { Ok(()) }
    }

    fn items(&mut self, graph: &Graph<'_>, moves: &mut Moves, run: Run) -> Result<(), Error> {
        for item in graph.run(run) {
            match *item {
                Item::Null => self.out.push(tag::NULL),
                Item::Node(id) => self.node(graph, moves, id)?,
                Item::Prim(bytes) => self.out.extend_from_slice(graph.bytes(bytes)),
                Item::Block(bytes) => record(graph.bytes(bytes), &mut self.out),
                Item::End => self.out.push(tag::END),
            }
        }
        Ok(())
    }

    /// A descriptor of a graph. One that is equal to one already written is the same class.
    fn desc(&mut self, graph: &Graph<'_>, moves: &mut Moves, id: Id) -> Result<(), Error> {
        if let Some(handle) = moves.get(id) {
            self.refer(handle);
            return Ok(());
        }
        let desc = graph.desc(id).ok_or(Error::Handle)?;
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        let unique = desc_key(graph, id, &mut key);
        let known = if unique { None } else { self.descs.get(&key).copied() };
        let handle = match known {
            Some(handle) => handle,
            None => {
                let handle = self.take_handle();
                if !unique {
                    self.descs.insert(key.clone(), handle);
                }
                handle
            }
        };
        self.key = key;
        moves.set(id, handle);
        if known.is_some() {
            self.refer(handle);
            return Ok(());
        }
        match &desc.proxy {
            Some(interfaces) => {
                self.out.push(tag::PROXY);
                self.out.extend_from_slice(&(interfaces.len() as u32).to_be_bytes());
                for name in interfaces {
                    short_text(graph.span(*name), &mut self.out);
                }
            }
            None => self.head(graph, moves, desc)?,
        }
        self.down()?;
        self.items(graph, moves, desc.anno)?;
        match desc.sup {
            Some(sup) => self.desc(graph, moves, sup)?,
            None => self.out.push(tag::NULL),
        }
        self.depth -= 1;
        Ok(())
    }

    fn head(&mut self, graph: &Graph<'_>, moves: &mut Moves, desc: &Desc) -> Result<(), Error> {
        self.out.push(tag::CLASSDESC);
        short_text(graph.span(desc.name), &mut self.out);
        self.out.extend_from_slice(&desc.suid.to_be_bytes());
        self.out.push(desc.flags);
        self.out.extend_from_slice(&(desc.fields.len() as u16).to_be_bytes());
        for field in &desc.fields {
            self.out.push(field.code);
            short_text(graph.span(field.name), &mut self.out);
            let Some(of) = field.of else { continue };
            match moves.get(of) {
                Some(handle) => self.refer(handle),
                None => {
                    let name = graph.raw_text(Item::Node(of)).ok_or(Error::Descriptor)?;
                    let handle = self.type_name(name);
                    moves.set(of, handle);
                }
            }
        }
        Ok(())
    }
}

/// What makes two descriptors equal; true for one that is equal to no other.
fn desc_key(graph: &Graph<'_>, id: Id, key: &mut Vec<u8>) -> bool {
    let mut next = Some(id);
    while let Some(desc) = next.and_then(|id| graph.desc(id)) {
        // An annotation is the mark of its end, unless a class loader wrote something.
        if desc.proxy.is_some() || desc.anno.len > 1 {
            return true;
        }
        key_part(graph.span(desc.name), key);
        key.extend_from_slice(&desc.suid.to_be_bytes());
        key.push(desc.flags);
        for field in &desc.fields {
            key_part(graph.span(field.name), key);
            match field.of {
                Some(of) => key_part(graph.raw_text(Item::Node(of)).unwrap_or_default(), key),
                None => key_part(&[field.code], key),
            }
        }
        key.extend_from_slice(&[0xff; 2]);
        next = desc.sup;
    }
    false
}

/// Lengths keep the parts apart; none is as long as the separator says.
pub(super) fn key_part(part: &[u8], key: &mut Vec<u8>) {
    key.extend_from_slice(&(part.len() as u32).to_be_bytes());
    key.extend_from_slice(part);
}

fn array_len(graph: &Graph<'_>, class: Id, run: Run) -> u32 {
    let code = graph.class_name(class).get(1).copied().unwrap_or_default();
    match (super::graph::prim_size(code), graph.run(run)) {
        (Some(size), [Item::Prim(bytes)]) => bytes.0.len / size as u32,
        (Some(_), _) => 0,
        (None, items) => items.len() as u32,
    }
}

fn short_text(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn record(bytes: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(bytes.len()) {
        Ok(len) => out.extend_from_slice(&[tag::BLOCK, len]),
        Err(_) => {
            out.push(tag::BLOCK_LONG);
            out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(bytes);
}
