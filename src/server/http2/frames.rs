//! Frames of HTTP/2 in a sequence of bytes (RFC 9113 section 4), as far as a bystander needs to know them.

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITISED: u8 = 32;

/// The header of a frame.
pub(super) struct Head {
    pub(super) len: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

/// Finds frames in a sequence of bytes.
pub(super) struct Frames {
    /// Bytes before the next header: the preface, then payloads.
    skip: usize,
    head: [u8; 9],
    have: usize,
    /// How much of the payload is wanted, and what is here of it.
    wanted: usize,
    start: Vec<u8>,
}

/// So much of a payload is looked at, at most: more settings than anybody has.
const LOOK: usize = 96;

impl Frames {
    pub(super) fn new(skip: usize) -> Self {
        Self { skip, head: [0; 9], have: 0, wanted: 0, start: Vec::new() }
    }

    /// Whether a frame has just ended.
    pub(super) fn is_between(&self) -> bool {
        self.skip == 0 && self.have == 0
    }

    /// Tells of every frame whose header ends in these bytes. `each` says whether the beginning of its payload is to be
    /// told of too, with `look`.
    pub(super) fn pass(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(&Head) -> bool,
        mut look: impl FnMut(&Head, &[u8]),
    ) {
        loop {
            let skipped = self.skip.min(bytes.len());
            let (payload, rest) = bytes.split_at(skipped);
            self.skip -= skipped;
            bytes = rest;
            if self.wanted > 0 {
                let more = payload.len().min(self.wanted);
                self.wanted -= more;
                self.start.extend_from_slice(payload.get(..more).unwrap_or_default());
                if self.wanted == 0 {
                    look(&self.head(), &self.start);
                }
            }
            if self.have == 0
                && let Some((head, rest)) = bytes.split_first_chunk()
            {
                // All of the header is here, as nearly always.
                bytes = rest;
                self.head = *head;
                self.begin(&mut each);
                continue;
            }
            let Some((first, rest)) = bytes.split_first() else { return };
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *first;
                self.have += 1;
            }
            bytes = rest;
            if self.have == self.head.len() {
                self.have = 0;
                self.begin(&mut each);
            }
        }
    }

    /// The header is whole.
    fn begin(&mut self, each: &mut impl FnMut(&Head) -> bool) {
        let head = self.head();
        self.skip = head.len;
        self.start.clear();
        self.wanted = if each(&head) { head.len.min(LOOK) } else { 0 };
    }

    fn head(&self) -> Head {
        let [a, b, c, kind, flags, s @ ..] = self.head;
        Head {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(s) & 0x7fff_ffff,
        }
    }
}

/// The last value of a setting.
pub(super) fn setting(payload: &[u8], id: [u8; 2]) -> Option<u32> {
    let found = payload.chunks_exact(6).rfind(|entry| entry.starts_with(&id))?;
    Some(u32::from_be_bytes(*found.last_chunk()?))
}

/// Whether the payload of trailers begins with a pseudo field, which the protocol's library passes over; RFC 9113
/// section 8.1 calls that malformed. Elsewhere in a head it sees them itself.
pub(super) fn begins_with_pseudo_field(head: &Head, payload: &[u8]) -> bool {
    let padding = usize::from(head.flags & PADDED != 0);
    let priority = if head.flags & PRIORITISED != 0 { 5 } else { 0 };
    let mut block = payload.get(padding + priority..).unwrap_or_default();
    // Updates of the table's size (RFC 7541 section 6.3).
    while let [first, rest @ ..] = block
        && first & 0xe0 == 0x20
    {
        let more = if first & 0x1f == 0x1f { rest.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1 } else { 0 };
        block = rest.get(more..).unwrap_or_default();
    }
    match block {
        // An indexed field.
        [first, ..] if first & 0x80 != 0 => PSEUDO.contains(&(first & 0x7f)),
        // Incremental indexing, with a name of the table.
        [first, ..] if first & 0xc0 == 0x40 && first & 0x3f != 0 => PSEUDO.contains(&(first & 0x3f)),
        // No indexing, with a name of the table.
        [first, ..] if first & 0xe0 == 0 && first & 0x0f != 0 => PSEUDO.contains(&(first & 0x0f)),
        // A name spelt out: in Huffman's code `:` is 1011100.
        [_, length, name, ..] => *name == b':' || (length & 0x80 != 0 && name & 0xfe == 0xb8),
        _ => false,
    }
}

/// Where pseudo fields are in the static table.
const PSEUDO: std::ops::RangeInclusive<u8> = 1..=14;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::http2::PREFACE;

    #[test]
    fn frames_are_found_however_the_bytes_come() {
        let mut bytes = PREFACE.to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[0, 0, 3, 0, 1, 0x80, 0, 1, 5, b'a', b'b', b'c']);
        bytes.extend_from_slice(&[0, 0, 0, 6, 1, 0, 0, 0, 0]);
        for step in [1, 2, 7, bytes.len()] {
            let (mut frames, mut seen) = (Frames::new(PREFACE.len()), Vec::new());
            for part in bytes.chunks(step) {
                let each = |head: &Head| {
                    seen.push((head.len, head.kind, head.flags, head.stream));
                    false
                };
                frames.pass(part, each, |_, _| {});
            }
            assert_eq!(seen, [(0, 4, 0, 0), (3, 0, 1, 261), (0, 6, 1, 0)], "{step}");
        }
    }

    #[test]
    fn trailers_with_pseudo_fields_are_known() {
        let head = |flags| Head { len: 0, kind: HEADERS, flags, stream: 1 };
        for (flags, block, pseudo) in [
            (0, &b"\x82"[..], true),
            (0, b"\x90", false),
            (0, b"\x42\x03200", true),
            (0, b"\x4f\x03200", false),
            (0, b"\x02\x03200", true),
            (0, b"\x12\x03200", true),
            (0, b"\x0f\x2b\x04test", false),
            (0, b"\x00\x05:test\x02ok", true),
            (0, b"\x40\x85\xb9\xb2\x4a\x84\xff", true),
            (0, b"\x00\x06x-test\x02ok", false),
            (0, b"\x20\x3f\xe1\x1f\x82", true),
            (0, b"\x20\x3f\xe1\x1f\x90", false),
            (PADDED | PRIORITISED, b"\x01\0\0\0\0\xff\x82\0", true),
            (0, b"", false),
        ] {
            assert_eq!(begins_with_pseudo_field(&head(flags), block), pseudo, "{block:?}");
        }
    }
}
