//! What a value is, for people and JSON: its class, and its content where that is a plain type.

use super::graph::FieldValue;
use super::{Error, Graph, Item, Items, Node, Value};

/// Nesting and elements that are described; what is beyond is opaque.
const DEPTH: usize = 8;
const ELEMENTS: usize = 1000;

/// A value's class and content.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// The Java class, `null` for null.
    pub class: String,
    /// What it holds.
    pub value: Plain,
}

/// Content that needs no class to be understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    /// `null`.
    Null,
    /// A string, character, enum's constant or UUID.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A byte array.
    Bytes(Vec<u8>),
    /// A date, in milliseconds since 1970.
    Date(i64),
    /// The elements of a list, set or array.
    List(Vec<Self>),
    /// The pairs of a map.
    Map(Vec<(Self, Self)>),
    /// An object of a class that is only carried.
    Opaque,
}

/// Class and content of a value.
pub fn describe(value: &Value) -> Result<Described, Error> {
    value.read(|graph, item| {
        let class = match graph.class_of(item) {
            Some(name) => super::decode_mutf8(name).unwrap_or_default(),
            None => "null".to_owned(),
        };
        Described { class, value: plain(graph, item, DEPTH, &mut { ELEMENTS }) }
    })
}

fn plain(graph: &Graph<'_>, item: Item, depth: usize, left: &mut usize) -> Plain {
    if depth == 0 || *left == 0 {
        return Plain::Opaque;
    }
    *left -= 1;
    let Item::Node(id) = item else { return Plain::Null };
    match graph.node(id) {
        Some(Node::Text(_)) => graph.text(item).map_or(Plain::Opaque, Plain::Text),
        Some(Node::Enum(_, name)) => graph.text(Item::Node(name)).map_or(Plain::Opaque, Plain::Text),
        Some(Node::Class(class)) => text(graph.class_name(class)),
        Some(Node::Array(class, items)) => array(graph, graph.class_name(class), items, depth, left),
        Some(Node::Object(class, items)) => {
            object(graph, item, graph.class_name(class), items, depth, left).unwrap_or(Plain::Opaque)
        }
        Some(Node::Desc(_)) | None => Plain::Opaque,
    }
}

fn text(name: &[u8]) -> Plain {
    super::decode_mutf8(name).map_or(Plain::Opaque, Plain::Text)
}

fn array(graph: &Graph<'_>, class: &[u8], items: Items, depth: usize, left: &mut usize) -> Plain {
    let code = class.get(1).copied().unwrap_or_default();
    match (super::graph::prim_size(code), graph.items(items)) {
        (Some(1), [Item::Prim(bytes)]) if code == b'B' => Plain::Bytes(graph.bytes(*bytes).to_vec()),
        (Some(_), []) if code == b'B' => Plain::Bytes(Vec::new()),
        (Some(size), [Item::Prim(bytes)]) => {
            let values = graph.bytes(*bytes).chunks_exact(size).take(ELEMENTS);
            Plain::List(values.map(|value| number(code, value).unwrap_or(Plain::Opaque)).collect())
        }
        (Some(_), _) => Plain::List(Vec::new()),
        (None, items) => Plain::List(elements(graph, items, depth, left)),
    }
}

fn elements(graph: &Graph<'_>, items: &[Item], depth: usize, left: &mut usize) -> Vec<Plain> {
    items.iter().take(ELEMENTS).map(|item| plain(graph, *item, depth - 1, left)).collect()
}

/// A primitive value.
fn number(code: u8, bytes: &[u8]) -> Option<Plain> {
    Some(match code {
        b'Z' => Plain::Bool(bytes.first().is_some_and(|byte| *byte != 0)),
        b'B' => Plain::Int(i8::from_be_bytes(bytes.try_into().ok()?).into()),
        b'S' => Plain::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        b'I' => Plain::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        b'J' => Plain::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        b'F' => Plain::Float(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        b'D' => Plain::Float(f64::from_be_bytes(bytes.try_into().ok()?)),
        b'C' => {
            let unit = u16::from_be_bytes(bytes.try_into().ok()?);
            Plain::Text(String::from_utf16_lossy(&[unit]))
        }
        _ => return None,
    })
}

fn object(graph: &Graph<'_>, item: Item, class: &[u8], items: Items, depth: usize, left: &mut usize) -> Option<Plain> {
    let items = graph.items(items);
    // Contents a class wrote itself follow its own fields.
    let block = |at: usize| match items.get(at)? {
        Item::Block(bytes) => Some(graph.bytes(*bytes)),
        _ => None,
    };
    let behind = |start: usize| {
        let rest = items.get(start..).unwrap_or_default();
        let end = rest.iter().position(|item| *item == Item::End).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    };
    Some(match class {
        b"java.lang.Integer" => number(b'I', graph.boxed(item, class).ok()?)?,
        b"java.lang.Long" => number(b'J', graph.boxed(item, class).ok()?)?,
        b"java.lang.Short" => number(b'S', graph.boxed(item, class).ok()?)?,
        b"java.lang.Byte" => number(b'B', graph.boxed(item, class).ok()?)?,
        b"java.lang.Double" => number(b'D', graph.boxed(item, class).ok()?)?,
        b"java.lang.Float" => number(b'F', graph.boxed(item, class).ok()?)?,
        b"java.lang.Boolean" => number(b'Z', graph.boxed(item, class).ok()?)?,
        b"java.lang.Character" => number(b'C', graph.boxed(item, class).ok()?)?,
        b"java.util.Date" | b"java.sql.Timestamp" => {
            Plain::Date(i64::from_be_bytes(block(0)?.get(..8)?.try_into().ok()?))
        }
        b"java.util.UUID" => {
            let mut parts = (0, 0);
            let read = |value: FieldValue<'_>| match value {
                FieldValue::Prim(bytes) => bytes.try_into().map(u64::from_be_bytes).unwrap_or_default(),
                FieldValue::Object(_) => 0,
            };
            let each = |name: &[u8], value: FieldValue<'_>| match name {
                b"mostSigBits" => parts.0 = read(value),
                b"leastSigBits" => parts.1 = read(value),
                _ => {}
            };
            graph.fields(item, each).ok()?;
            let (high, low) = parts;
            let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
            Plain::Text(format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff))
        }
        b"java.util.ArrayList" => Plain::List(elements(graph, behind(2), depth, left)),
        b"java.util.LinkedList" | b"java.util.HashSet" | b"java.util.LinkedHashSet" => {
            Plain::List(elements(graph, behind(1), depth, left))
        }
        b"java.util.Arrays$ArrayList" => match items {
            [inner] => plain(graph, *inner, depth - 1, left),
            _ => return None,
        },
        b"java.util.CollSer" => match number(
            b'I',
            match items.first()? {
                Item::Prim(bytes) => graph.bytes(*bytes),
                _ => return None,
            },
        )? {
            Plain::Int(3) => pairs(graph, behind(2), depth, left),
            _ => Plain::List(elements(graph, behind(2), depth, left)),
        },
        b"java.util.HashMap" | b"java.util.LinkedHashMap" | b"java.util.TreeMap" => {
            pairs(graph, behind(2), depth, left)
        }
        _ => return None,
    })
}

fn pairs(graph: &Graph<'_>, items: &[Item], depth: usize, left: &mut usize) -> Plain {
    let mut map = Vec::new();
    for pair in items.chunks(2).take(ELEMENTS) {
        if let [key, value] = pair {
            map.push((plain(graph, *key, depth - 1, left), plain(graph, *value, depth - 1, left)));
        }
    }
    Plain::Map(map)
}
