//! Classes that are written here without having been read first.

use super::flag;
use super::write::key_part;

/// A class that is written here without having been read first.
#[derive(Clone, Copy, Debug)]
pub struct Class<'a> {
    /// Its binary name.
    pub name: &'a str,
    /// Its serialVersionUID.
    pub suid: i64,
    /// See [`flag`].
    pub flags: u8,
    /// Names and type descriptors (`I`, `[B`, `Ljava/lang/String;`), in canonical order.
    pub fields: &'a [(&'a str, &'a str)],
    /// Its super class, if that is serializable.
    pub sup: Option<&'a Self>,
}

impl Class<'_> {
    pub(super) fn key(&self, key: &mut Vec<u8>) {
        key_part(self.name.as_bytes(), key);
        key.extend_from_slice(&self.suid.to_be_bytes());
        key.push(self.flags);
        for (name, of) in self.fields {
            key_part(name.as_bytes(), key);
            key_part(of.as_bytes(), key);
        }
        key.extend_from_slice(&[0xff; 2]);
        if let Some(sup) = self.sup {
            sup.key(key);
        }
    }
}

/// Classes of the Java library that plain values need.
impl Class<'static> {
    const NUMBER: Self = plain("java.lang.Number", -8742448824652078965, &[]);
    /// `java.lang.Integer`.
    pub const INTEGER: Self = number("java.lang.Integer", 1360826667806852920, &[("value", "I")]);
    /// `java.lang.Long`.
    pub const LONG: Self = number("java.lang.Long", 4290774380558885855, &[("value", "J")]);
    /// `java.lang.Double`.
    pub const DOUBLE: Self = number("java.lang.Double", -9172774392245257468, &[("value", "D")]);
    /// `java.lang.Boolean`.
    pub const BOOLEAN: Self = plain("java.lang.Boolean", -3665804199014368530, &[("value", "Z")]);
    /// `byte[]`.
    pub const BYTES: Self = plain("[B", -5984413125824719648, &[]);
    /// `String[]`.
    pub const STRINGS: Self = plain("[Ljava.lang.String;", -5921575005990323385, &[]);
    /// `java.util.Date`.
    pub const DATE: Self = written("java.util.Date", 7523967970034938905, &[]);
    /// `java.util.ArrayList`.
    pub const ARRAY_LIST: Self = written("java.util.ArrayList", 8683452581122892189, &[("size", "I")]);
    /// `java.util.HashMap`.
    pub const HASH_MAP: Self =
        written("java.util.HashMap", 362498820763181265, &[("loadFactor", "F"), ("threshold", "I")]);
    /// The super class of every enum.
    pub const ENUM: Self =
        Self { name: "java.lang.Enum", suid: 0, flags: flag::ENUM | flag::SERIALIZABLE, fields: &[], sup: None };
}

/// A class with its fields only.
pub(crate) const fn plain(name: &'static str, suid: i64, fields: &'static [(&str, &str)]) -> Class<'static> {
    Class { name, suid, flags: flag::SERIALIZABLE, fields, sup: None }
}

const fn written(name: &'static str, suid: i64, fields: &'static [(&str, &str)]) -> Class<'static> {
    Class { name, suid, flags: flag::SERIALIZABLE | flag::WRITE, fields, sup: None }
}

const fn number(name: &'static str, suid: i64, fields: &'static [(&str, &str)]) -> Class<'static> {
    Class { name, suid, flags: flag::SERIALIZABLE, fields, sup: Some(&Class::NUMBER) }
}
