//! An ordered table with case-insensitive names and any number of values a name, in one reusable buffer.

use std::ops::Range;

use crate::base::fold::same;

/// Header fields, environment variables and notes: all of httpd's tables are of this kind.
///
/// Names and values live in one arena that [`Table::clear`] keeps, so that a table costs no allocation once warm.
/// Replaced values leave their bytes behind until then. A field that was added lies there as the line that it is in a
/// head (`Name: value` and the line end), so that it is copied to one in one piece.
#[derive(Clone, Debug, Default)]
pub struct Table {
    arena: Vec<u8>,
    items: Vec<Item>,
    /// A bit for each name that was added since the table was cleared: most names that are asked for were not.
    seen: u64,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    key: u32,
    name: (u32, u32),
    value: (u32, u32),
}

/// A field that is known before any request, as the line that it is in a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    text: Vec<u8>,
    key: u32,
    name: u32,
}

impl Line {
    /// Of a name and its value.
    pub fn new(name: &[u8], value: &[u8]) -> Self {
        Self { text: [name, b": ", value, b"\r\n"].concat(), key: key(name), name: name.len() as u32 }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        self.text.get(..self.name as usize).unwrap_or_default()
    }

    /// Its value.
    pub fn value(&self) -> &[u8] {
        self.text.get(self.name as usize + 2..self.text.len() - 2).unwrap_or_default()
    }
}

/// Length and three letters, case folded: tells nearly all different names apart without comparing them.
#[inline]
fn key(name: &[u8]) -> u32 {
    let len = name.len();
    let at = |i: usize| u32::from(name.get(i).copied().unwrap_or(0) | 0x20);
    (len as u32 & 0xff) << 24 | at(0) << 16 | at(len / 2) << 8 | at(len.wrapping_sub(1))
}

#[inline]
fn bit(key: u32) -> u64 {
    1 << (key.wrapping_mul(0x9e37_79b1) >> 26)
}

impl Table {
    /// Forgets all fields and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.arena.clear();
        self.items.clear();
        self.seen = 0;
    }

    /// Number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    #[inline]
    fn slice(&self, (start, len): (u32, u32)) -> &[u8] {
        self.arena.get(start as usize..start as usize + len as usize).unwrap_or_default()
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> (u32, u32) {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        (start, bytes.len() as u32)
    }

    #[inline]
    fn position(&self, name: &[u8]) -> Option<usize> {
        self.position_of(key(name), name)
    }

    #[inline]
    fn position_of(&self, key: u32, name: &[u8]) -> Option<usize> {
        if self.seen & bit(key) == 0 {
            return None;
        }
        self.items.iter().position(|item| item.key == key && same(self.slice(item.name), name))
    }

    /// The first value of `name`.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.position(name).map(|i| self.slice(self.items[i].value))
    }

    /// Whether there is a field `name`.
    #[inline]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.position(name).is_some()
    }

    /// All values of `name`, in order.
    pub fn get_all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        let key = key(name);
        let items = if self.seen & bit(key) == 0 { &[] } else { self.items.as_slice() };
        items
            .iter()
            .filter(move |item| item.key == key && same(self.slice(item.name), name))
            .map(|item| self.slice(item.value))
    }

    /// All fields in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.items.iter().map(|item| (self.slice(item.name), self.slice(item.value)))
    }

    /// Whether two fields may have the same name: mostly not, and then nobody has to compare all of them.
    pub fn may_repeat(&self) -> bool {
        let mut seen = 0u64;
        let mut doubled = false;
        for item in &self.items {
            let bit = bit(item.key);
            doubled |= seen & bit != 0;
            seen |= bit;
        }
        doubled
    }

    /// Appends a field, whether or not there is one of that name.
    #[inline]
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let key = key(name);
        self.arena.reserve(name.len() + value.len() + 4);
        let name = self.put(name);
        self.arena.extend_from_slice(b": ");
        let value = self.put(value);
        self.arena.extend_from_slice(b"\r\n");
        self.items.push(Item { key, name, value });
        self.seen |= bit(key);
    }

    /// As [`Table::add`], in one piece.
    pub fn add_line(&mut self, line: &Line) {
        let (start, len) = self.put(&line.text);
        let value = start + line.name + 2;
        self.items.push(Item {
            key: line.key,
            name: (start, line.name),
            value: (value, (start + len).saturating_sub(value + 2)),
        });
        self.seen |= bit(line.key);
    }

    /// Copies a block of text in which fields lie, for [`Table::add_laid`].
    pub fn lay(&mut self, block: &[u8]) -> Laid {
        Laid(self.put(block).0)
    }

    /// As [`Table::add`], of a name and a value that lie there in a block.
    #[inline]
    pub fn add_laid(&mut self, block: Laid, name: Range<usize>, value: Range<usize>) {
        let at = |range: Range<usize>| (block.0 + range.start as u32, range.len() as u32);
        let (name, value) = (at(name), at(value));
        let key = key(self.slice(name));
        self.items.push(Item { key, name, value });
        self.seen |= bit(key);
    }

    /// Appends the fields of `other` for which `keep` says so.
    pub fn add_from(&mut self, other: &Self, keep: impl Fn(&[u8]) -> bool) {
        if other.items.is_empty() {
            return;
        }
        let block = self.lay(&other.arena).0;
        for item in &other.items {
            if keep(other.slice(item.name)) {
                let (name, value) = ((item.name.0 + block, item.name.1), (item.value.0 + block, item.value.1));
                self.items.push(Item { key: item.key, name, value });
            }
        }
        self.seen |= other.seen;
    }

    /// The field at `at` as a line of a head with its end, if it lies there as one.
    #[inline]
    pub fn line(&self, at: usize) -> Option<&[u8]> {
        let Item { name: (start, name), value: (value, len), .. } = *self.items.get(at)?;
        let (start, name_end, value, end) =
            (start as usize, (start + name) as usize, value as usize, (value + len) as usize);
        let between = self.arena.get(name_end..value)? == b": ";
        let whole = self.arena.get(start..end + 2)?;
        (between && whole.ends_with(b"\r\n")).then_some(whole)
    }

    /// Pushes all fields as lines of a head.
    pub fn push_lines(&self, out: &mut Vec<u8>) {
        for at in 0..self.items.len() {
            if let Some(line) = self.line(at) {
                out.extend_from_slice(line);
            } else if let Some(item) = self.items.get(at) {
                for part in [self.slice(item.name), b": ", self.slice(item.value), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
    }

    /// Gives `name` this one value, in the place of its first field.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let Some(first) = self.position(name) else { return self.add(name, value) };
        if self.slice(self.items[first].value) != value {
            self.items[first].value = self.put(value);
        }
        self.remove_from(first + 1, name);
    }

    /// As [`Table::set`], in one piece.
    pub fn set_line(&mut self, line: &Line) {
        match self.position_of(line.key, line.name()) {
            None => self.add_line(line),
            Some(_) => self.set(line.name(), line.value()),
        }
    }

    /// Like [`Table::set`] when there is no such field yet.
    pub fn set_if_absent(&mut self, name: &[u8], value: &[u8]) {
        if !self.contains(name) {
            self.add(name, value);
        }
    }

    /// Appends `, value` to the first field `name`, or adds the field.
    pub fn merge(&mut self, name: &[u8], value: &[u8]) {
        let Some(first) = self.position(name) else { return self.add(name, value) };
        let (start, len) = self.items[first].value;
        let at = self.arena.len() as u32;
        self.arena.extend_from_within(start as usize..start as usize + len as usize);
        self.arena.extend_from_slice(b", ");
        self.arena.extend_from_slice(value);
        self.items[first].value = (at, self.arena.len() as u32 - at);
    }

    /// Removes all fields `name`; says whether there was one.
    pub fn unset(&mut self, name: &[u8]) -> bool {
        let before = self.items.len();
        self.remove_from(0, name);
        before != self.items.len()
    }

    fn remove_from(&mut self, from: usize, name: &[u8]) {
        let key = key(name);
        let mut i = from;
        while i < self.items.len() {
            let item = self.items[i];
            if item.key == key && same(self.slice(item.name), name) {
                self.items.remove(i);
            } else {
                i += 1;
            }
        }
    }

    /// Joins all further fields `name` into the first one with `, `.
    pub fn compress(&mut self, name: &[u8]) {
        let Some(first) = self.position(name) else { return };
        let mut joined: Option<Vec<u8>> = None;
        for value in self.get_all(name).skip(1) {
            let joined = joined.get_or_insert_with(|| self.slice(self.items[first].value).to_vec());
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value);
        }
        if let Some(joined) = joined {
            self.set(name, &joined);
        }
    }

    /// Joins the values of every name that occurs more than once into its first field, with `, `, as httpd does with
    /// request fields; says whether there was any.
    pub fn compress_all(&mut self) -> bool {
        if !self.may_repeat() {
            return false;
        }
        let before = self.items.len();
        let mut at = 0;
        while at < self.items.len() {
            let item = self.items[at];
            let same = |other: &Item| other.key == item.key && same(self.slice(other.name), self.slice(item.name));
            if self.items.iter().skip(at + 1).any(same) {
                let name = self.slice(item.name).to_vec();
                self.compress(&name);
            }
            at += 1;
        }
        before != self.items.len()
    }

    /// Keeps the fields for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let arena = &self.arena;
        let slice = |(start, len): (u32, u32)| &arena[start as usize..start as usize + len as usize];
        self.items.retain(|item| keep(slice(item.name), slice(item.value)));
    }

    /// Appends all fields of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.add_from(other, |_| true);
    }
}

/// Where a block lies that was copied by [`Table::lay`].
#[derive(Clone, Copy)]
pub struct Laid(u32);

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(table: &Table) -> String {
        table.iter().map(|(n, v)| format!("{}={};", String::from_utf8_lossy(n), String::from_utf8_lossy(v))).collect()
    }

    #[test]
    fn set_replaces_in_place_and_drops_the_rest() {
        let mut t = Table::default();
        for (n, v) in [("Host", "a"), ("Accept", "1"), ("X", "y"), ("accept", "2")] {
            t.add(n.as_bytes(), v.as_bytes());
        }
        assert_eq!(t.get(b"ACCEPT"), Some(&b"1"[..]));
        assert_eq!(t.get_all(b"accept").count(), 2);
        t.compress(b"accept");
        assert_eq!(dump(&t), "Host=a;Accept=1, 2;X=y;");
        t.set(b"accept", b"3");
        t.merge(b"x", b"z");
        t.merge(b"new", b"n");
        assert_eq!(dump(&t), "Host=a;Accept=3;X=y, z;new=n;");
        assert!(t.unset(b"HOST") && !t.unset(b"HOST"));
        t.retain(|name, _| name != b"new");
        assert_eq!(dump(&t), "Accept=3;X=y, z;");
        t.clear();
        assert!(t.is_empty());
    }

    #[test]
    fn lines_are_fields_as_any_other() {
        let mut t = Table::default();
        t.add_line(&Line::new(b"Host", b"a"));
        t.set_line(&Line::new(b"X", b""));
        t.set_line(&Line::new(b"host", b"bc"));
        t.add_line(&Line::new(b"X", b"2"));
        assert_eq!(dump(&t), "Host=bc;X=;X=2;");
        assert_eq!(t.line(2), Some(&b"X: 2\r\n"[..]));
        assert_eq!((t.get(b"x"), t.get_all(b"x").count()), (Some(&b""[..]), 2));
        assert_eq!((Line::new(b"A", b"bc").name(), Line::new(b"A", b"bc").value()), (&b"A"[..], &b"bc"[..]));
    }

    #[test]
    fn fields_become_lines_wherever_they_lie() {
        let mut t = Table::default();
        t.add(b"Host", b"a");
        let head = b"Accept: 1\r\nX:  y\r\nEnd: z";
        let block = t.lay(head);
        t.add_laid(block, 0..6, 8..9);
        t.add_laid(block, 11..12, 15..16);
        t.add_laid(block, 18..21, 23..24);
        t.add(b"Old", b"1");
        t.set(b"old", b"22");
        assert_eq!(t.line(0), Some(&b"Host: a\r\n"[..]));
        assert_eq!((t.line(2), t.line(4), t.line(5)), (None, None, None));
        let mut all = Table::default();
        all.add(b"First", b"");
        all.add_from(&t, |name| name != b"Accept");
        assert!(all.contains(b"x") && all.get(b"HOST") == Some(b"a") && !all.contains(b"Accept"));
        let mut out = Vec::new();
        all.push_lines(&mut out);
        assert_eq!(out, b"First: \r\nHost: a\r\nX: y\r\nEnd: z\r\nOld: 22\r\n");
    }
}
