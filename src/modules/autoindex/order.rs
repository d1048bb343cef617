//! The order of a listing.

use std::cmp::Ordering;

use super::entry::Entry;

/// How a listing is sorted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// `N`, `M`, `S` or `D`.
    pub key: u8,
    /// `A` or `D`.
    pub direction: u8,
    pub version: bool,
    pub ignore_case: bool,
}

impl Order {
    pub(super) fn ascending(self) -> bool {
        self.direction == b'A'
    }

    /// The parent first, then directories if so asked, then by key and name.
    pub(super) fn compare(self, a: &Entry, b: &Entry) -> Ordering {
        b.parent.cmp(&a.parent).then(b.first.cmp(&a.first)).then_with(|| {
            let (a, b) = if self.ascending() { (a, b) } else { (b, a) };
            let by_key = match self.key {
                b'M' => (a.modified, a.nanos / 1000).cmp(&(b.modified, b.nanos / 1000)),
                b'S' => a.size.cmp(&b.size),
                b'D' => {
                    let text = |entry: &Entry| entry.description.clone().unwrap_or_default();
                    if self.version { natural(&text(a), &text(b), false) } else { text(a).cmp(&text(b)) }
                }
                _ => Ordering::Equal,
            };
            by_key.then_with(|| self.by_name(&a.name, &b.name))
        })
    }

    fn by_name(self, a: &[u8], b: &[u8]) -> Ordering {
        let folded = match (self.ignore_case, self.version) {
            (false, _) => Ordering::Equal,
            (true, true) => natural(a, b, true),
            (true, false) => a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()),
        };
        folded.then_with(|| if self.version { natural(a, b, false) } else { a.cmp(b) })
    }
}

/// Numbers inside the texts are compared by value; with a leading zero, digit by digit.
fn natural(a: &[u8], b: &[u8], fold: bool) -> Ordering {
    let (mut a, mut b) = (a, b);
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    loop {
        (a, b) = (a.trim_ascii_start(), b.trim_ascii_start());
        let (Some(one), Some(other)) = (a.first(), b.first()) else { return a.len().cmp(&b.len()) };
        if one.is_ascii_digit() && other.is_ascii_digit() {
            let (left, right) = (a.get(..digits(a)).unwrap_or_default(), b.get(..digits(b)).unwrap_or_default());
            let order = if *one == b'0' || *other == b'0' {
                left.cmp(right)
            } else {
                left.len().cmp(&right.len()).then_with(|| left.cmp(right))
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        let (one, other) = if fold { (one.to_ascii_uppercase(), other.to_ascii_uppercase()) } else { (*one, *other) };
        if one != other {
            // As C's plain characters: those beyond ASCII come first.
            return one.cast_signed().cmp(&other.cast_signed());
        }
        (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_order_counts() {
        for (a, b, want) in [
            ("a2", "a10", Ordering::Less),
            ("a02", "a1", Ordering::Less),
            ("a1.9", "a1.10", Ordering::Less),
            ("x", "x", Ordering::Equal),
            ("a", "B", Ordering::Greater),
            ("a10b", "a10a", Ordering::Greater),
        ] {
            assert_eq!(natural(a.as_bytes(), b.as_bytes(), false), want, "{a} {b}");
        }
        assert_eq!(natural(b"a", b"B", true), Ordering::Less);
    }

    #[test]
    fn parents_and_folders_stay_in_front_of_descending_names() {
        let entry = |name: &str, parent: bool, first: bool| Entry {
            name: name.as_bytes().to_vec(),
            parent,
            first,
            ..Entry::default()
        };
        let mut list =
            [entry("a", false, false), entry("d/", false, true), entry("b", false, false), entry("/", true, false)];
        let order = Order { key: b'N', direction: b'D', version: false, ignore_case: false };
        list.sort_by(|a, b| order.compare(a, b));
        let names: Vec<_> = list.iter().map(|entry| entry.name.as_slice()).collect();
        assert_eq!(names, [b"/".as_slice(), b"d/", b"b", b"a"]);
    }
}
