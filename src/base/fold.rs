//! Comparing names without regard to case.

const LOW: u64 = 0x0101_0101_0101_0101;

/// Whether two names are the same but for the case of ASCII letters. As `eq_ignore_ascii_case`, eight bytes at a time:
/// a request compares some thirty names of fields.
#[inline]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let first = |text: &[u8]| text.first().map(|c| c | 0x20);
    a.len() == b.len() && first(a) == first(b) && same_long(a, b)
}

/// Texts of the same length, which most others are told apart by, or by their first letter.
fn same_long(a: &[u8], b: &[u8]) -> bool {
    if let (Some(tail_a), Some(tail_b)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) {
        let heads = a.chunks_exact(8).zip(b.chunks_exact(8));
        let mut heads = heads.map(|(a, b)| (a.first_chunk(), b.first_chunk()));
        let long = |text: &[u8; 8]| u64::from_le_bytes(*text);
        return heads.all(|(a, b)| a.zip(b).is_some_and(|(a, b)| same_word(long(a), long(b))))
            && same_word(long(tail_a), long(tail_b));
    }
    same_word(word(a), word(b))
}

/// Fewer than eight bytes, some of them twice.
#[inline]
fn word(text: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    match *text {
        [a, b, c] => u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16,
        [a, b] => u64::from(a) | u64::from(b) << 8,
        [a] => u64::from(a),
        _ => 0,
    }
}

/// Bytes may differ in the bit of the case, and only where they are letters.
#[inline]
fn same_word(a: u64, b: u64) -> bool {
    let differ = a ^ b;
    if differ == 0 {
        return true;
    }
    if differ & !(0x20 * LOW) != 0 {
        return false;
    }
    let low = (a | (0x20 * LOW)) & (0x7f * LOW);
    let from_a = low + (0x80 - 0x61) * LOW;
    let past_z = low + (0x80 - 0x7b) * LOW;
    let letter = from_a & !past_z & !a & (0x80 * LOW);
    (differ << 2) & !letter == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library_on_every_pair_of_bytes() {
        for a in 0..=255 {
            for b in 0..=255 {
                for len in [1, 2, 3, 4, 7, 8, 9, 17] {
                    let (mut left, mut right) = (vec![b'x'; len], vec![b'X'; len]);
                    (left[len / 2], right[len / 2]) = (a, b);
                    assert_eq!(same(&left, &right), a.eq_ignore_ascii_case(&b), "{a} {b} {len}");
                }
            }
        }
    }

    #[test]
    fn names_of_different_length_differ() {
        assert!(same(b"", b"") && !same(b"", b"a") && !same(b"Accept", b"Accept-Charset"));
        assert!(same(b"X-Forwarded-For", b"x-forwarded-FOR") && !same(b"X-Forwarded-For", b"X_Forwarded-For"));
    }
}
