//! Bytes to graph.

use super::graph::{Bytes, Run, Span, prim_size};
use super::{BASE_HANDLE, Desc, Error, Field, Graph, HEADER, Id, Item, Items, Limits, Node, flag, mutf8, tag};

/// Reads a stream from front to back, as the class that wrote it would: objects with
/// [`object`](Self::object), primitive data with the others.
#[derive(Debug)]
pub struct Reader<'a> {
    graph: Graph<'a>,
    at: usize,
    /// What handle stands for which node; emptied by a reset.
    handles: Vec<Id>,
    /// Items of the objects under construction, innermost last.
    scratch: Vec<Item>,
    depth: u32,
    limits: Limits,
    /// What is left of the record of primitive data being read.
    block: &'a [u8],
    /// A stream that was malformed once has no known position any more.
    broken: Option<Error>,
}

impl<'a> Reader<'a> {
    /// A stream with its header.
    pub fn new(source: &'a [u8], limits: Limits) -> Result<Self, Error> {
        let Some(rest) = source.strip_prefix(&HEADER) else { return Err(Error::Header) };
        Self::bare(rest, limits)
    }

    /// What is behind a header.
    pub(crate) fn bare(source: &'a [u8], limits: Limits) -> Result<Self, Error> {
        if source.len() > limits.bytes.min(u32::MAX as usize) {
            return Err(Error::Long);
        }
        let graph = Graph { source, nodes: Vec::new(), items: Vec::new(), descs: Vec::new() };
        Ok(Self { graph, at: 0, handles: Vec::new(), scratch: Vec::new(), depth: 0, limits, block: &[], broken: None })
    }

    /// A part of a stream in which so many handles were given before; it cannot refer to what they stand for.
    pub fn part(source: &'a [u8], limits: Limits, handles: u32) -> Result<Self, Error> {
        let mut reader = Self::bare(source, limits)?;
        for _ in 0..handles.min(limits.nodes) {
            reader.new_node(Node::Desc(u32::MAX))?;
        }
        Ok(reader)
    }

    /// Everything read so far.
    pub fn graph(&self) -> &Graph<'a> {
        &self.graph
    }

    /// The graph alone.
    pub fn into_graph(self) -> Graph<'a> {
        self.graph
    }

    /// Whether nothing is left.
    pub fn at_end(&self) -> bool {
        self.block.is_empty() && self.at >= self.graph.source.len()
    }

    /// Refuses a stream that goes on.
    pub fn finish(&self) -> Result<(), Error> {
        if self.at_end() { Ok(()) } else { Err(Error::Trailing) }
    }

    /// Bytes read so far, without the header.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next object. After [`Error::Aborted`] the stream can be read on; after any other error
    /// it cannot.
    pub fn object(&mut self) -> Result<Item, Error> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        if !self.block.is_empty() {
            return Err(Error::ObjectDue);
        }
        while self.peek() == Some(tag::RESET) {
            self.at += 1;
            self.handles.clear();
        }
        let result = match self.peek() {
            Some(tag::BLOCK | tag::BLOCK_LONG) => return Err(Error::ObjectDue),
            _ => self.value(),
        };
        if let Err(error) = result {
            self.scratch.clear();
            self.depth = 0;
            if error != Error::Aborted {
                self.broken = Some(error);
            }
        }
        result
    }

    /// Primitive data of the given length.
    fn data<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut value = [0; N];
        for byte in &mut value {
            *byte = self.data_byte()?;
        }
        Ok(value)
    }

    /// One byte of primitive data.
    fn data_byte(&mut self) -> Result<u8, Error> {
        loop {
            if let Some((first, rest)) = self.block.split_first() {
                self.block = rest;
                return Ok(*first);
            }
            if let Some(error) = self.broken {
                return Err(error);
            }
            match self.peek() {
                Some(tag::BLOCK | tag::BLOCK_LONG) => {
                    let span = self.record()?;
                    self.block = self.graph.span(span);
                }
                Some(_) => return Err(Error::BlockDue),
                None => return Err(Error::Short),
            }
        }
    }

    /// A `boolean` of primitive data.
    pub fn bool(&mut self) -> Result<bool, Error> {
        Ok(self.data_byte()? != 0)
    }

    /// An `int` of primitive data.
    pub fn i32(&mut self) -> Result<i32, Error> {
        self.data().map(i32::from_be_bytes)
    }

    /// A `long` of primitive data.
    pub fn i64(&mut self) -> Result<i64, Error> {
        self.data().map(i64::from_be_bytes)
    }

    /// A string of primitive data, as `writeUTF` writes it.
    pub fn utf(&mut self) -> Result<String, Error> {
        let len = usize::from(self.data().map(u16::from_be_bytes)?);
        mutf8::decode(&self.raw(len)?)
    }

    /// Raw primitive data, as an externalizable class writes it.
    pub fn raw(&mut self, len: usize) -> Result<Vec<u8>, Error> {
        if len > self.block.len() + self.left() {
            return Err(Error::Length);
        }
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            bytes.push(self.data_byte()?);
            let (now, rest) = self.block.split_at(self.block.len().min(len - bytes.len()));
            bytes.extend_from_slice(now);
            self.block = rest;
        }
        Ok(bytes)
    }

    /// The raw bytes below the records.
    fn peek(&self) -> Option<u8> {
        self.graph.source.get(self.at).copied()
    }

    fn left(&self) -> usize {
        self.graph.source.len().saturating_sub(self.at)
    }

    fn take(&mut self, len: usize) -> Result<Span, Error> {
        if len > self.left() {
            return Err(Error::Short);
        }
        // A source is never longer than u32 counts.
        let span = Span { at: self.at as u32, len: len as u32 };
        self.at += len;
        Ok(span)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let span = self.take(N)?;
        self.graph.span(span).try_into().map_err(|_| Error::Short)
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.fixed::<1>().map(|[byte]| byte)
    }

    fn size(&mut self) -> Result<usize, Error> {
        let size = self.fixed().map(i32::from_be_bytes)?;
        usize::try_from(size).map_err(|_| Error::Length)
    }

    fn short_text(&mut self) -> Result<Span, Error> {
        let len = self.fixed().map(u16::from_be_bytes)?;
        let span = self.take(usize::from(len))?;
        mutf8::check(self.graph.span(span))?;
        Ok(span)
    }

    /// A record of primitive data.
    fn record(&mut self) -> Result<Span, Error> {
        let len = match self.u8()? {
            tag::BLOCK => usize::from(self.u8()?),
            tag::BLOCK_LONG => self.size()?,
            other => return Err(Error::Tag(other)),
        };
        self.take(len)
    }

    fn new_node(&mut self, node: Node) -> Result<Id, Error> {
        if self.graph.nodes.len() >= self.limits.nodes as usize {
            return Err(Error::Nodes);
        }
        let id = Id(self.graph.nodes.len() as u32);
        self.graph.nodes.push(node);
        self.handles.push(id);
        Ok(id)
    }

    fn reference(&mut self) -> Result<Id, Error> {
        let handle = self.fixed().map(u32::from_be_bytes)?;
        let at = handle.checked_sub(BASE_HANDLE).ok_or(Error::Handle)?;
        self.handles.get(at as usize).copied().ok_or(Error::Handle)
    }

    fn down(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > self.limits.depth { Err(Error::Depth) } else { Ok(()) }
    }

    /// An object, null or reference, its mark included.
    fn value(&mut self) -> Result<Item, Error> {
        match self.u8()? {
            tag::NULL => Ok(Item::Null),
            tag::REFERENCE => Ok(Item::Node(self.reference()?)),
            tag::STRING => {
                let id = self.new_node(Node::Text(Bytes::default()))?;
                let span = self.short_text()?;
                self.set(id, Node::Text(Bytes(span)));
                Ok(Item::Node(id))
            }
            tag::LONG_STRING => {
                let id = self.new_node(Node::Text(Bytes::default()))?;
                let len = self.fixed().map(u64::from_be_bytes)?;
                let span = self.take(usize::try_from(len).map_err(|_| Error::Length)?)?;
                mutf8::check(self.graph.span(span))?;
                self.set(id, Node::Text(Bytes(span)));
                Ok(Item::Node(id))
            }
            mark => {
                self.down()?;
                let item = self.composite(mark)?;
                self.depth -= 1;
                Ok(item)
            }
        }
    }

    fn composite(&mut self, mark: u8) -> Result<Item, Error> {
        match mark {
            tag::OBJECT => self.instance(),
            tag::ARRAY => self.array(),
            tag::ENUM => {
                let class = self.desc()?;
                if self.graph.desc(class).is_none_or(|desc| desc.flags & flag::ENUM == 0) {
                    return Err(Error::Descriptor);
                }
                let id = self.new_node(Node::Class(class))?;
                let name = self.string()?;
                self.set(id, Node::Enum(class, name));
                Ok(Item::Node(id))
            }
            tag::CLASS => {
                let class = self.desc()?;
                Ok(Item::Node(self.new_node(Node::Class(class))?))
            }
            tag::CLASSDESC | tag::PROXY => {
                self.at -= 1;
                Ok(Item::Node(self.desc()?))
            }
            tag::EXCEPTION => {
                self.handles.clear();
                self.value()?;
                self.handles.clear();
                Err(Error::Aborted)
            }
            other => Err(Error::Tag(other)),
        }
    }

    fn set(&mut self, id: Id, node: Node) {
        if let Some(slot) = self.graph.nodes.get_mut(id.0 as usize) {
            *slot = node;
        }
    }

    /// A string or a reference to one.
    fn string(&mut self) -> Result<Id, Error> {
        match self.peek() {
            Some(tag::STRING | tag::LONG_STRING | tag::REFERENCE) => match self.value()? {
                Item::Node(id) if matches!(self.graph.node(id), Some(Node::Text(_))) => Ok(id),
                _ => Err(Error::Handle),
            },
            Some(other) => Err(Error::Tag(other)),
            None => Err(Error::Short),
        }
    }

    /// The items since a mark become a run of their own.
    fn settle(&mut self, from: usize) -> Run {
        let start = self.graph.items.len() as u32;
        self.graph.items.extend_from_slice(self.scratch.get(from..).unwrap_or_default());
        self.scratch.truncate(from);
        Run { start, len: self.graph.items.len() as u32 - start }
    }

    fn instance(&mut self) -> Result<Item, Error> {
        let class = self.desc()?;
        let id = self.new_node(Node::Object(class, Items::default()))?;
        let from = self.scratch.len();
        let flags = self.graph.desc(class).map(|desc| desc.flags).ok_or(Error::Handle)?;
        match flags {
            f if f & flag::ENUM != 0 || f & !0xf != 0 => return Err(Error::Flags(f)),
            f if f & flag::EXTERNALIZABLE != 0 => self.annotation()?,
            f if f & flag::SERIALIZABLE != 0 => {
                // The chain is short in every real class, and as deep as was counted reading it.
                let mut chain = smallvec::SmallVec::<[Id; 6]>::new();
                let mut next = Some(class);
                while let Some(id) = next {
                    chain.push(id);
                    next = self.graph.desc(id).and_then(|desc| desc.sup);
                }
                while let Some(id) = chain.pop() {
                    self.class_data(id)?;
                }
            }
            f => return Err(Error::Flags(f)),
        }
        let run = self.settle(from);
        self.set(id, Node::Object(class, Items(run)));
        Ok(Item::Node(id))
    }

    /// What one class of an object's chain wrote.
    fn class_data(&mut self, class: Id) -> Result<(), Error> {
        let (flags, count) = match self.graph.desc(class) {
            Some(desc) => (desc.flags, desc.fields.len()),
            None => return Err(Error::Handle),
        };
        if flags & flag::SERIALIZABLE == 0 {
            return Ok(());
        }
        let mut prims = 0;
        for at in 0..count {
            let code = self.graph.desc(class).and_then(|desc| desc.fields.get(at)).map(|field| field.code);
            match prim_size(code.unwrap_or_default()) {
                Some(size) => prims += size,
                None => {
                    self.prims(&mut prims)?;
                    let item = self.value()?;
                    self.scratch.push(item);
                }
            }
        }
        self.prims(&mut prims)?;
        if flags & flag::WRITE != 0 { self.annotation() } else { Ok(()) }
    }

    fn prims(&mut self, len: &mut usize) -> Result<(), Error> {
        if *len > 0 {
            let span = self.take(std::mem::take(len))?;
            self.scratch.push(Item::Prim(Bytes(span)));
        }
        Ok(())
    }

    /// Contents up to the end mark.
    fn annotation(&mut self) -> Result<(), Error> {
        loop {
            let item = match self.peek() {
                Some(tag::END) => {
                    self.at += 1;
                    self.scratch.push(Item::End);
                    return Ok(());
                }
                Some(tag::BLOCK | tag::BLOCK_LONG) => Item::Block(Bytes(self.record()?)),
                _ => self.value()?,
            };
            self.scratch.push(item);
        }
    }

    fn array(&mut self) -> Result<Item, Error> {
        let class = self.desc()?;
        let id = self.new_node(Node::Array(class, Items::default()))?;
        let code = match self.graph.class_name(class) {
            [b'[', code, ..] => *code,
            _ => return Err(Error::Descriptor),
        };
        let count = self.size()?;
        let from = self.scratch.len();
        match prim_size(code) {
            Some(size) => self.prims(&mut count.checked_mul(size).ok_or(Error::Length)?)?,
            None if !matches!(code, b'L' | b'[') => return Err(Error::Descriptor),
            // The shortest element takes one byte.
            None if count > self.left() => return Err(Error::Length),
            None => {
                for _ in 0..count {
                    let item = self.value()?;
                    self.scratch.push(item);
                }
            }
        }
        let run = self.settle(from);
        self.set(id, Node::Array(class, Items(run)));
        Ok(Item::Node(id))
    }

    /// A class descriptor, new or known.
    fn desc(&mut self) -> Result<Id, Error> {
        self.maybe_desc()?.ok_or(Error::Descriptor)
    }

    fn maybe_desc(&mut self) -> Result<Option<Id>, Error> {
        match self.u8()? {
            tag::NULL => Ok(None),
            tag::REFERENCE => {
                let id = self.reference()?;
                // A descriptor that is not finished would be its own super class.
                match self.graph.desc(id) {
                    Some(desc) if desc.done => Ok(Some(id)),
                    _ => Err(Error::Handle),
                }
            }
            mark @ (tag::CLASSDESC | tag::PROXY) => {
                self.down()?;
                let id = if mark == tag::PROXY { self.proxy_desc()? } else { self.plain_desc()? };
                self.depth -= 1;
                Ok(Some(id))
            }
            other => Err(Error::Tag(other)),
        }
    }

    fn plain_desc(&mut self) -> Result<Id, Error> {
        let name = self.short_text()?;
        let suid = self.fixed().map(i64::from_be_bytes)?;
        let (id, at) = self.start_desc(name, suid)?;
        let flags = self.u8()?;
        // Protocol 1 of externalizable classes has no end that could be found.
        if !matches!(flags, 0 | 2 | 3 | 0xc | 0x12) {
            return Err(Error::Flags(flags));
        }
        let count = self.fixed().map(u16::from_be_bytes)?;
        let mut fields: Vec<Field> = Vec::new();
        for _ in 0..count {
            let code = self.u8()?;
            let name = self.short_text()?;
            let of = match code {
                b'L' | b'[' => Some(self.string()?),
                code if prim_size(code).is_some() => None,
                _ => return Err(Error::Descriptor),
            };
            let typed = of.is_none_or(|of| match self.graph.raw_text(Item::Node(of)) {
                Some([b'L', .., b';']) => code == b'L',
                Some([b'[', _, ..]) => code == b'[',
                _ => false,
            });
            if !typed {
                return Err(Error::Descriptor);
            }
            fields.push(Field { code, name, of });
        }
        let mut names: Vec<&[u8]> = fields.iter().map(|field| self.graph.span(field.name)).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(Error::Descriptor);
        }
        drop(names);
        if let Some(desc) = self.graph.descs.get_mut(at) {
            desc.flags = flags;
            desc.fields = fields;
        }
        self.end_desc(at)?;
        Ok(id)
    }

    fn proxy_desc(&mut self) -> Result<Id, Error> {
        let (id, at) = self.start_desc(Span::default(), 0)?;
        let count = self.size()?;
        if count > self.left() / 2 {
            return Err(Error::Length);
        }
        let mut interfaces = Vec::new();
        for _ in 0..count {
            interfaces.push(self.short_text()?);
        }
        if let Some(desc) = self.graph.descs.get_mut(at) {
            desc.flags = flag::SERIALIZABLE;
            desc.proxy = Some(interfaces);
        }
        self.end_desc(at)?;
        Ok(id)
    }

    fn start_desc(&mut self, name: Span, suid: i64) -> Result<(Id, usize), Error> {
        let at = self.graph.descs.len();
        let id = self.new_node(Node::Desc(at as u32))?;
        let (fields, anno, sup, proxy) = (Vec::new(), Run::default(), None, None);
        self.graph.descs.push(Desc { name, suid, flags: 0, fields, anno, sup, proxy, done: false });
        Ok((id, at))
    }

    fn end_desc(&mut self, at: usize) -> Result<(), Error> {
        let from = self.scratch.len();
        self.annotation()?;
        let anno = self.settle(from);
        let sup = self.maybe_desc()?;
        if let Some(desc) = self.graph.descs.get_mut(at) {
            desc.anno = anno;
            desc.sup = sup;
            desc.done = true;
        }
        Ok(())
    }
}
