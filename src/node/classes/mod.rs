//! The classes a configuration may name: what each is, whether it is obeyed, its attributes with types and defaults.
//!
//! An attribute is written `name:type=default`; types are `s` text, `i` and `l` numbers, `b` yes or no, `o` send options.
//! A new class is one row.

mod cluster;
mod core;
mod valves;

use super::components::Kind;

/// What becomes of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Obeyed.
    Used,
    /// Nothing is left to do for it here: what it arranges is a matter of a Java machine, or has no effect without Java code.
    Idle,
    /// Accepted, not obeyed, and said so at start; the text says what that means.
    Missing(&'static str),
    /// Not obeyed, and running without it would be wrong: the file is refused.
    Refused,
    /// Gone from Tomcat: another class stands in (or none, if the text is empty), and the second text says so.
    Gone(&'static str, &'static str),
}

/// One class.
#[derive(Debug)]
pub struct Class {
    /// What it may be used as.
    pub kind: Kind,
    /// Its full name.
    pub name: &'static str,
    /// What becomes of it.
    pub state: State,
    /// Its attributes, in the form described above.
    attributes: &'static str,
    /// Accepts any attribute.
    pub open: bool,
}

/// The type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Any text.
    Text,
    /// A 32-bit number.
    Int,
    /// A 64-bit number.
    Long,
    /// `true`, or anything else for no.
    Flag,
    /// Channel send options: a number or names with commas between.
    Options,
}

impl Type {
    fn of(letter: &str) -> Self {
        match letter {
            "i" => Self::Int,
            "l" => Self::Long,
            "b" => Self::Flag,
            "o" => Self::Options,
            _ => Self::Text,
        }
    }

    /// Whether a value would be taken.
    pub fn accepts(self, value: &str) -> bool {
        match self {
            Self::Int => value.parse::<i32>().is_ok(),
            Self::Long => value.parse::<i64>().is_ok(),
            Self::Text | Self::Flag => true,
            Self::Options => crate::codec::tribes::Options::parse(value).is_ok(),
        }
    }
}

impl Class {
    /// Type and default of an attribute.
    pub fn attribute(&self, name: &str) -> Option<(Type, Option<&'static str>)> {
        self.attributes.split_ascii_whitespace().find_map(|row| {
            let (key, rest) = row.split_once(':')?;
            let (letter, default) = match rest.split_once('=') {
                Some((letter, default)) => (letter, Some(default)),
                None => (rest, None),
            };
            (key == name).then(|| (Type::of(letter), default))
        })
    }

    /// The names of its attributes.
    pub fn rows(&self) -> impl Iterator<Item = &'static str> {
        self.attributes.split_ascii_whitespace().filter_map(|row| row.split(':').next())
    }

    /// The name behind the last dot.
    pub fn short(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

const fn class(kind: Kind, name: &'static str, state: State, attributes: &'static str) -> Class {
    Class { kind, name, state, attributes, open: false }
}

const fn open(kind: Kind, name: &'static str, state: State) -> Class {
    Class { kind, name, state, attributes: "", open: true }
}

/// The class of this name that may be used as `kind`.
pub fn find(kind: Kind, name: &str) -> Option<&'static Class> {
    all().find(|class| class.kind == kind && class.name == name)
}

/// Every class there is.
pub fn all() -> impl Iterator<Item = &'static Class> {
    [core::CLASSES, cluster::CLASSES, valves::CLASSES].into_iter().flatten()
}
