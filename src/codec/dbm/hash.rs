//! Berkeley DB's hash files, version 5 and later, of machines with our order of bytes: a page that describes the file,
//! and pages of buckets that grow one by one (linear hashing).

use super::{DbmError, LONGEST_VALUE, ReadAt};

const MAGIC: u32 = 0x0006_1561;
/// Of the versions whose hash function is known.
const VERSIONS: std::ops::RangeInclusive<u32> = 5..=10;
/// Bytes of the first page that are of interest.
const META: usize = 96 + 4 * 32;
const HEADER: usize = 26;
/// Pages of one bucket, or of one long value, that are looked at.
const CHAIN: usize = 1024;
/// Types of pages.
const UNUSED: u8 = 0;
const UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const SORTED: u8 = 13;
/// Types of items.
const KEY_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;

/// The value of a key.
///
/// # Errors
/// Where the file cannot be read, or is none of these.
pub fn find<E>(mut file: impl ReadAt<E>, key: &[u8]) -> Result<Option<Vec<u8>>, DbmError<E>> {
    let mut meta = [0; META];
    if file(0, &mut meta).map_err(DbmError::Read)? < META || u32_at(&meta, 12) != Some(MAGIC) {
        return Err(DbmError::Broken);
    }
    let number = |at| u32_at(&meta, at).ok_or(DbmError::Broken);
    let size = usize::try_from(number(20)?).unwrap_or(0);
    // Encrypted files, and such with checksums or parts in other files, are not made by httpd's programs.
    if !VERSIONS.contains(&number(16)?) || !(512..=64 * 1024).contains(&size) || meta.get(24) != Some(&0) {
        return Err(DbmError::Broken);
    }
    let (top, high, low) = (number(72)?, number(76)?, number(80)?);
    let hash = hash(key);
    let mut bucket = hash & high;
    if bucket > top {
        bucket &= low;
    }
    let doubling = u32::BITS - bucket.leading_zeros();
    let spare = number(96 + 4 * doubling as usize)?;
    let mut at = bucket.checked_add(spare).ok_or(DbmError::Broken)?;
    let mut page = vec![0; size];
    for _ in 0..CHAIN {
        load(&mut file, at, &mut page)?;
        // Buckets are made several at once; one that nothing was put into is no page yet.
        if page.get(25) == Some(&UNUSED) {
            return Ok(None);
        }
        if ![Some(&UNSORTED), Some(&SORTED)].contains(&page.get(25)) {
            return Err(DbmError::Broken);
        }
        let entries = u16_at(&page, 20).ok_or(DbmError::Broken)?;
        for pair in 0..entries / 2 {
            let Some([KEY_DATA, name @ ..]) = item(&page, 2 * pair) else { continue };
            if name != key {
                continue;
            }
            return match item(&page, 2 * pair + 1) {
                Some([KEY_DATA, value @ ..]) => Ok(Some(value.to_vec())),
                Some(long @ [OFF_PAGE, ..]) => {
                    let (first, len) = (u32_at(long, 4), u32_at(long, 8));
                    let (Some(first), Some(len)) = (first, len) else { return Err(DbmError::Broken) };
                    long_value(&mut file, first, len as usize, &mut page.clone()).map(Some)
                }
                _ => Err(DbmError::Broken),
            };
        }
        at = u32_at(&page, 16).ok_or(DbmError::Broken)?;
        if at == 0 {
            return Ok(None);
        }
    }
    Err(DbmError::Broken)
}

/// A value on pages of its own.
fn long_value<E>(file: &mut impl ReadAt<E>, first: u32, len: usize, page: &mut [u8]) -> Result<Vec<u8>, DbmError<E>> {
    if len > LONGEST_VALUE {
        return Err(DbmError::Broken);
    }
    let (mut at, mut value) = (first, Vec::with_capacity(len));
    for _ in 0..CHAIN {
        load(file, at, page)?;
        // Where the other pages have their first item, these have how much there is.
        let used = u16_at(page, 22).filter(|_| page.get(25) == Some(&OVERFLOW)).ok_or(DbmError::Broken)?;
        value.extend_from_slice(page.get(HEADER..HEADER + used).ok_or(DbmError::Broken)?);
        at = u32_at(page, 16).ok_or(DbmError::Broken)?;
        if value.len() >= len || at == 0 {
            return if value.len() == len { Ok(value) } else { Err(DbmError::Broken) };
        }
    }
    Err(DbmError::Broken)
}

fn load<E>(file: &mut impl ReadAt<E>, number: u32, page: &mut [u8]) -> Result<(), DbmError<E>> {
    let read = file(u64::from(number) * page.len() as u64, page).map_err(DbmError::Read)?;
    // Nor has a page that nothing was put into its number.
    let is_it = u32_at(page, 8) == Some(number) || page.get(25) == Some(&UNUSED);
    if read == page.len() && is_it { Ok(()) } else { Err(DbmError::Broken) }
}

/// An item of a page: each begins where its offset says and ends where the one before begins.
fn item(page: &[u8], index: usize) -> Option<&[u8]> {
    let start = u16_at(page, HEADER + 2 * index)?;
    let end = match index {
        0 => page.len(),
        _ => u16_at(page, HEADER + 2 * index - 2)?,
    };
    page.get(start..end)
}

/// FNV, the multiplication first.
fn hash(key: &[u8]) -> u32 {
    key.iter().fold(0u32, |hash, byte| hash.wrapping_mul(16_777_619) ^ u32::from(*byte))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|bytes| usize::from(u16::from_le_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// Of `tests/dbm/hosts.txt`, by `httxt2dbm -f DB`.
    const FILE: &[u8] = include_bytes!("../../../tests/dbm/hosts.db");
    const TEXT: &str = include_str!("../../../tests/dbm/hosts.txt");

    fn look(bytes: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, DbmError<Infallible>> {
        let read = |at: u64, into: &mut [u8]| {
            let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let n = rest.len().min(into.len());
            into[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        };
        find(read, key)
    }

    #[test]
    fn all_that_was_written_is_found() {
        for line in TEXT.lines() {
            let (key, value) = line.split_once(' ').unwrap();
            assert_eq!(look(FILE, key.as_bytes()).unwrap().as_deref(), Some(value.as_bytes()), "{key}");
        }
        assert_eq!(look(FILE, b"host").unwrap(), None);
        assert!(look(b"", b"host").is_err());
    }

    /// Three entries leave buckets that nothing was ever put into.
    #[test]
    fn a_bucket_that_was_never_used_holds_nothing() {
        const SMALL: &[u8] = include_bytes!("../../../tests/dbm/groups.db");
        assert_eq!(look(SMALL, b"bob").unwrap().as_deref(), Some(&b"a,b"[..]));
        assert!((0..100).all(|number| look(SMALL, format!("lone{number}").as_bytes()).unwrap().is_none()));
    }

    proptest! {
        /// Bytes changed here and there: an answer or an error, and soon.
        #[test]
        fn damage_is_no_more_than_an_error(
            changes in proptest::collection::vec((0..FILE.len(), any::<u8>()), 1..40),
            key in "host[0-9]{1,2}\\.test",
        ) {
            let mut bytes = FILE.to_vec();
            changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
            let _ = look(&bytes, key.as_bytes());
        }
    }
}
