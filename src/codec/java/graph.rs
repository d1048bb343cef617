//! What a stream holds: nodes that took a handle, and the items they consist of.

use super::{Error, decode_mutf8, flag};

/// A node of a [`Graph`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Id(pub(crate) u32);

/// Bytes of the stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Span {
    pub(crate) at: u32,
    pub(crate) len: u32,
}

/// A run of items.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// One step of an object's data: what the stream says there, references followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Item {
    /// `null`.
    Null,
    /// An object, array, string, enum or class; where it is defined does not matter.
    Node(Id),
    /// Primitive fields or elements, as they are in the stream.
    Prim(Bytes),
    /// A record of primitive data that the class wrote itself.
    Block(Bytes),
    /// The end of what a class wrote itself.
    End,
}

/// Bytes of the stream an item stands for: see [`Graph::bytes`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bytes(pub(crate) Span);

/// What took a handle.
#[derive(Clone, Copy, Debug)]
pub enum Node {
    /// A string: see [`Graph::text`].
    Text(Bytes),
    /// A class descriptor: see [`Graph::desc`].
    Desc(u32),
    /// An object, with the descriptor of its class.
    Object(Id, Items),
    /// An array.
    Array(Id, Items),
    /// An enum's constant: its class and its name, a string.
    Enum(Id, Id),
    /// A class itself.
    Class(Id),
}

/// The items of a node: see [`Graph::items`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Items(pub(crate) Run);

/// A field of a class descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// `B C D F I J S Z`, `L` or `[`.
    pub code: u8,
    pub(crate) name: Span,
    /// The type's descriptor, a string, of `L` and `[`.
    pub of: Option<Id>,
}

/// A class descriptor.
#[derive(Debug)]
pub struct Desc {
    pub(crate) name: Span,
    /// The class's serialVersionUID.
    pub suid: i64,
    /// See [`flag`].
    pub flags: u8,
    /// The fields of this class, without those of its super class.
    pub fields: Vec<Field>,
    pub(crate) anno: Run,
    /// The super class, if it is serializable.
    pub sup: Option<Id>,
    /// The interfaces of a proxy class, which has no name.
    pub(crate) proxy: Option<Vec<Span>>,
    /// Whether it has been read to its end.
    pub(crate) done: bool,
}

/// Everything read of a stream so far.
#[derive(Debug)]
pub struct Graph<'a> {
    pub(crate) source: &'a [u8],
    pub(crate) nodes: Vec<Node>,
    pub(crate) items: Vec<Item>,
    pub(crate) descs: Vec<Desc>,
}

impl<'a> Graph<'a> {
    /// A node.
    pub fn node(&self, id: Id) -> Option<Node> {
        self.nodes.get(id.0 as usize).copied()
    }

    /// A class descriptor.
    pub fn desc(&self, id: Id) -> Option<&Desc> {
        match self.node(id)? {
            Node::Desc(at) => self.descs.get(at as usize),
            _ => None,
        }
    }

    /// The bytes an item stands for.
    pub fn bytes(&self, bytes: Bytes) -> &'a [u8] {
        self.span(bytes.0)
    }

    pub(crate) fn span(&self, span: Span) -> &'a [u8] {
        let start = span.at as usize;
        self.source.get(start..start + span.len as usize).unwrap_or_default()
    }

    pub(crate) fn run(&self, run: Run) -> &[Item] {
        let start = run.start as usize;
        self.items.get(start..start + run.len as usize).unwrap_or_default()
    }

    /// What an object or array consists of.
    pub fn items(&self, items: Items) -> &[Item] {
        self.run(items.0)
    }

    /// The name of a class, as it is in the stream.
    pub fn class_name(&self, id: Id) -> &'a [u8] {
        self.desc(id).map(|desc| self.span(desc.name)).unwrap_or_default()
    }

    /// The name of a field.
    pub fn field_name(&self, field: &Field) -> &'a [u8] {
        self.span(field.name)
    }

    /// A string's text.
    pub fn text(&self, item: Item) -> Option<String> {
        decode_mutf8(self.raw_text(item)?).ok()
    }

    /// A string's bytes, in modified UTF-8.
    pub fn raw_text(&self, item: Item) -> Option<&'a [u8]> {
        let Item::Node(id) = item else { return None };
        match self.node(id)? {
            Node::Text(bytes) => Some(self.bytes(bytes)),
            _ => None,
        }
    }

    /// A byte array's content.
    pub fn byte_array(&self, item: Item) -> Option<&'a [u8]> {
        let Item::Node(id) = item else { return None };
        let Node::Array(class, items) = self.node(id)? else { return None };
        match (self.class_name(class), self.items(items)) {
            (b"[B", [Item::Prim(bytes)]) => Some(self.bytes(*bytes)),
            (b"[B", []) => Some(&[]),
            _ => None,
        }
    }

    /// The class of an object.
    pub fn class_of(&self, item: Item) -> Option<&'a [u8]> {
        let Item::Node(id) = item else { return None };
        match self.node(id)? {
            Node::Text(_) => Some(b"java.lang.String"),
            Node::Desc(_) => Some(b"java.io.ObjectStreamClass"),
            Node::Object(class, _) | Node::Array(class, _) | Node::Enum(class, _) => Some(self.class_name(class)),
            Node::Class(_) => Some(b"java.lang.Class"),
        }
    }

    /// The items of an object whose class has the given name.
    pub fn object(&self, item: Item, class: &[u8]) -> Result<Items, Error> {
        let Item::Node(id) = item else { return Err(Error::Class) };
        match self.node(id) {
            Some(Node::Object(of, items)) if self.class_name(of) == class => Ok(items),
            _ => Err(Error::Class),
        }
    }

    /// The primitive field of a box (`Integer`, `Long`, `Boolean` …) as eight bytes at most.
    pub fn boxed(&self, item: Item, class: &[u8]) -> Result<&'a [u8], Error> {
        match self.items(self.object(item, class)?) {
            [Item::Prim(bytes)] => Ok(self.bytes(*bytes)),
            _ => Err(Error::Class),
        }
    }

    /// The value of an `Integer`.
    pub fn integer(&self, item: Item) -> Result<i32, Error> {
        let bytes = self.boxed(item, b"java.lang.Integer")?;
        bytes.try_into().map(i32::from_be_bytes).map_err(|_| Error::Class)
    }

    /// The value of a `Long`.
    pub fn long(&self, item: Item) -> Result<i64, Error> {
        let bytes = self.boxed(item, b"java.lang.Long")?;
        bytes.try_into().map(i64::from_be_bytes).map_err(|_| Error::Class)
    }

    /// The value of a `Boolean`.
    pub fn boolean(&self, item: Item) -> Result<bool, Error> {
        match self.boxed(item, b"java.lang.Boolean")? {
            [value] => Ok(*value != 0),
            _ => Err(Error::Class),
        }
    }

    /// Calls with every field of an object, super classes first: class, field, value. What the
    /// classes wrote themselves is left out.
    pub fn fields(&self, item: Item, mut each: impl FnMut(&'a [u8], FieldValue<'a>)) -> Result<(), Error> {
        let Item::Node(id) = item else { return Err(Error::Class) };
        let Some(Node::Object(class, items)) = self.node(id) else { return Err(Error::Class) };
        let mut chain = Vec::new();
        let mut next = Some(class);
        while let Some(desc) = next.and_then(|id| self.desc(id)) {
            chain.push(desc);
            next = desc.sup;
        }
        let mut items = self.items(items).iter().copied();
        let mut prim: &[u8] = &[];
        for desc in chain.iter().rev().filter(|desc| desc.flags & flag::SERIALIZABLE != 0) {
            for field in &desc.fields {
                let value = match prim_size(field.code) {
                    Some(size) => {
                        if prim.is_empty() {
                            let Some(Item::Prim(bytes)) = items.next() else { return Err(Error::Class) };
                            prim = self.bytes(bytes);
                        }
                        let (value, rest) = prim.split_at_checked(size).ok_or(Error::Class)?;
                        prim = rest;
                        FieldValue::Prim(value)
                    }
                    None => FieldValue::Object(items.next().ok_or(Error::Class)?),
                };
                each(self.field_name(field), value);
            }
            if desc.flags & flag::WRITE != 0 {
                // Ends with its own mark; nested objects have theirs inside their own items.
                while items.next().is_some_and(|item| item != Item::End) {}
            }
        }
        Ok(())
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub enum FieldValue<'a> {
    /// A primitive, big-endian.
    Prim(&'a [u8]),
    /// An object, string, array or null.
    Object(Item),
}

/// The bytes of a primitive type.
pub(crate) fn prim_size(code: u8) -> Option<usize> {
    match code {
        b'B' | b'Z' => Some(1),
        b'C' | b'S' => Some(2),
        b'I' | b'F' => Some(4),
        b'J' | b'D' => Some(8),
        _ => None,
    }
}
