//! An ordered table with case-insensitive names and any number of values a name, in one reusable buffer.

/// Header fields, environment variables and notes: all of httpd's tables are of this kind.
///
/// Names and values live in one arena that [`Table::clear`] keeps, so that a table costs no allocation once warm.
/// Replaced values leave their bytes behind until then.
#[derive(Clone, Debug, Default)]
pub struct Table {
    arena: Vec<u8>,
    items: Vec<Item>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    key: u32,
    name: (u32, u32),
    value: (u32, u32),
}

/// Length and three letters, case folded: tells nearly all different names apart without comparing them.
#[inline]
fn key(name: &[u8]) -> u32 {
    let len = name.len();
    let at = |i: usize| u32::from(name.get(i).copied().unwrap_or(0) | 0x20);
    (len as u32 & 0xff) << 24 | at(0) << 16 | at(len / 2) << 8 | at(len.wrapping_sub(1))
}

impl Table {
    /// Forgets all fields and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.arena.clear();
        self.items.clear();
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
        let key = key(name);
        self.items.iter().position(|item| item.key == key && self.slice(item.name).eq_ignore_ascii_case(name))
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
        self.items
            .iter()
            .filter(move |item| item.key == key && self.slice(item.name).eq_ignore_ascii_case(name))
            .map(|item| self.slice(item.value))
    }

    /// All fields in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.items.iter().map(|item| (self.slice(item.name), self.slice(item.value)))
    }

    /// Whether a field before the one at `at` has its name.
    #[inline]
    pub fn seen_before(&self, at: usize) -> bool {
        let Some(this) = self.items.get(at) else { return false };
        let name = self.slice(this.name);
        let mut before = self.items.iter().take(at);
        before.any(|item| item.key == this.key && self.slice(item.name).eq_ignore_ascii_case(name))
    }

    /// The values of the fields after the one at `at` that have its name.
    #[inline]
    pub fn later(&self, at: usize) -> impl Iterator<Item = &[u8]> {
        let this = self.items.get(at);
        let same = move |item: &&Item| {
            this.is_some_and(|this| {
                item.key == this.key && self.slice(item.name).eq_ignore_ascii_case(self.slice(this.name))
            })
        };
        self.items.iter().skip(at.saturating_add(1)).filter(same).map(|item| self.slice(item.value))
    }

    /// Appends a field, whether or not there is one of that name.
    #[inline]
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let item = Item { key: key(name), name: self.put(name), value: self.put(value) };
        self.items.push(item);
    }

    /// Gives `name` this one value, in the place of its first field.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let Some(first) = self.position(name) else { return self.add(name, value) };
        let value = self.put(value);
        self.items[first].value = value;
        self.remove_from(first + 1, name);
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
            if item.key == key && self.slice(item.name).eq_ignore_ascii_case(name) {
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
        let mut seen = 0u64;
        let mut doubled = false;
        for item in &self.items {
            let bit = 1 << (item.key.wrapping_mul(0x9e37_79b1) >> 26);
            doubled |= seen & bit != 0;
            seen |= bit;
        }
        if !doubled {
            return false;
        }
        let before = self.items.len();
        let mut at = 0;
        while at < self.items.len() {
            let item = self.items[at];
            let same = |other: &Item| {
                other.key == item.key && self.slice(other.name).eq_ignore_ascii_case(self.slice(item.name))
            };
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
        for (name, value) in other.iter() {
            self.add(name, value);
        }
    }
}

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
        assert!(t.seen_before(3) && !t.seen_before(1));
        assert_eq!(t.later(1).collect::<Vec<_>>(), [b"2"]);
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
}
