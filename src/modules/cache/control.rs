//! `Cache-Control` and `Pragma`, read as httpd reads them.

use crate::web::Table;

/// What the fields of a request or a response say. Values that are not given are -1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Flags, in the order in which they lie in a header file (see [`Flag`]).
    pub bits: u32,
    /// `max-age`, in seconds.
    pub max_age: i64,
    /// `max-stale`, in seconds; -1 with the flag: any.
    pub max_stale: i64,
    /// `min-fresh`, in seconds.
    pub min_fresh: i64,
    /// `s-maxage`, in seconds.
    pub s_maxage: i64,
}

/// One flag; the numbers are those of httpd's structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    Parsed = 0,
    CacheControl,
    Pragma,
    NoCache,
    NoCacheField,
    NoStore,
    MaxAge,
    MaxStale,
    MinFresh,
    NoTransform,
    OnlyIfCached,
    Public,
    Private,
    PrivateField,
    MustRevalidate,
    ProxyRevalidate,
    SMaxage,
    Invalidated,
}

impl Default for Control {
    fn default() -> Self {
        Self { bits: 0, max_age: -1, max_stale: -1, min_fresh: -1, s_maxage: -1 }
    }
}

impl Control {
    /// Reads the values of both fields, several of one name joined by commas.
    pub fn parse(cache_control: Option<&[u8]>, pragma: Option<&[u8]>) -> Self {
        let mut control = Self::default();
        control.set(Flag::Parsed);
        if let Some(text) = pragma {
            control.set(Flag::Pragma);
            if directives(text).any(|word| word.0.eq_ignore_ascii_case(b"no-cache") && word.1.is_none()) {
                control.set(Flag::NoCache);
            }
        }
        if let Some(text) = cache_control {
            control.set(Flag::CacheControl);
            for (name, value) in directives(text) {
                control.take(&name.to_ascii_lowercase(), value);
            }
        }
        control
    }

    fn take(&mut self, name: &[u8], value: Option<&[u8]>) {
        let number = value.and_then(seconds);
        match (name, value, number) {
            (b"no-cache", None, _) => self.set(Flag::NoCache),
            (b"no-cache", Some(_), _) => self.set(Flag::NoCacheField),
            (b"no-store", None, _) => self.set(Flag::NoStore),
            (b"no-transform", None, _) => self.set(Flag::NoTransform),
            (b"max-age", _, Some(number)) => {
                self.set(Flag::MaxAge);
                self.max_age = number;
            }
            (b"must-revalidate", None, _) => self.set(Flag::MustRevalidate),
            (b"max-stale", None, _) => {
                self.set(Flag::MaxStale);
                self.max_stale = -1;
            }
            (b"max-stale", _, Some(number)) => {
                self.set(Flag::MaxStale);
                self.max_stale = number;
            }
            (b"min-fresh", _, Some(number)) => {
                self.set(Flag::MinFresh);
                self.min_fresh = number;
            }
            (b"only-if-cached", None, _) => self.set(Flag::OnlyIfCached),
            (b"public", None, _) => self.set(Flag::Public),
            (b"private", None, _) => self.set(Flag::Private),
            (b"private", Some(_), _) => self.set(Flag::PrivateField),
            (b"proxy-revalidate", None, _) => self.set(Flag::ProxyRevalidate),
            (b"s-maxage", _, Some(number)) => {
                self.set(Flag::SMaxage);
                self.s_maxage = number;
            }
            _ => {}
        }
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: Flag) -> bool {
        self.bits & (1 << flag as u32) != 0
    }

    /// Sets a flag.
    pub fn set(&mut self, flag: Flag) {
        self.bits |= 1 << flag as u32;
    }
}

/// Digits and nothing else, a sign apart.
fn seconds(text: &[u8]) -> Option<i64> {
    let (number, rest) = crate::base::clock::leading_integer(text);
    number.filter(|_| rest.is_empty() && text.iter().any(u8::is_ascii_digit))
}

/// The values of a field, joined by commas.
pub fn joined(table: &Table, name: &[u8]) -> Option<Vec<u8>> {
    let mut values = table.get_all(name);
    let mut out = values.next()?.to_vec();
    for value in values {
        out.push(b',');
        out.extend_from_slice(value);
    }
    Some(out)
}

/// Takes fields away that `no-cache="…"` and `private="…"` name.
pub fn remove_named(fields: &mut Table) {
    let Some(text) = joined(fields, b"Cache-Control") else { return };
    for (name, value) in directives(&text) {
        let names = name.eq_ignore_ascii_case(b"no-cache") || name.eq_ignore_ascii_case(b"private");
        let Some(value) = value.filter(|_| names) else { continue };
        for field in value.split(|byte| b"\", \t".contains(byte)).filter(|field| !field.is_empty()) {
            fields.unset(field);
        }
    }
}

/// The directives of a field, with what stands behind `=` as it is: httpd takes a number in quotes for none.
pub fn directives(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let blanks = rest.iter().take_while(|byte| b", \t".contains(byte)).count();
        rest = rest.get(blanks..).filter(|rest| !rest.is_empty())?;
        let (word, after) = rest.split_at(word_length(rest));
        rest = after;
        Some(match memchr::memchr(b'=', word) {
            Some(at) => (word.get(..at).unwrap_or_default(), word.get(at + 1..)),
            None => (word, None),
        })
    })
}

/// Up to the next comma or blank outside of quotes.
fn word_length(text: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.iter().position(|byte| {
        match byte {
            _ if std::mem::take(&mut escaped) => {}
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b' ' | b'\t' if !quoted => return true,
            _ => {}
        }
        false
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Control {
        Control::parse(Some(text.as_bytes()), None)
    }

    #[test]
    fn words_and_numbers_are_read() {
        let control = parse("no-cache, max-age=60,S-MaxAge=5, private=\"x, y\", max-stale");
        assert!(control.has(Flag::NoCache) && control.has(Flag::PrivateField) && !control.has(Flag::Private));
        assert_eq!((control.max_age, control.s_maxage, control.max_stale), (60, 5, -1));
        assert!(control.has(Flag::MaxStale) && !control.has(Flag::MinFresh));
        assert!(!parse("max-age=x").has(Flag::MaxAge) && !parse("max-age").has(Flag::MaxAge));
        assert_eq!(parse("max-age=1;x, no-store=1, max-stale=\"5\"").bits, parse("").bits);
        assert!(parse("private=\"x\\\", max-age=1").bits == parse("private=x").bits);
    }

    #[test]
    fn named_fields_are_taken_away() {
        let mut fields = Table::default();
        fields.add(b"Cache-Control", b"private=\"X-A, X-B\", max-age=5");
        fields.add(b"X-A", b"1");
        fields.add(b"x-b", b"2");
        fields.add(b"X-C", b"3");
        remove_named(&mut fields);
        assert_eq!(fields.iter().map(|(name, _)| name.to_vec()).collect::<Vec<_>>(), [&b"Cache-Control"[..], b"X-C"]);
    }
}
