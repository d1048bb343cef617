//! GDBM, of machines with 64 bits: a head that says where the directory is, the directory with the places of buckets by
//! the first bits of hashes, and buckets of elements that say where key and value stand.

use super::{DbmError, LONGEST_VALUE, ReadAt};

/// Bytes of the head that are of interest.
pub const HEAD: usize = 40;
/// How files begin: plain, and with a second head that makes them safe against crashes.
const MAGICS: [u32; 2] = [0x1357_9acf, 0x1357_9ad1];
/// Where a bucket's elements start, behind its list of free places.
const ELEMENTS: usize = 112;
/// Bytes of an element: hash, start of the key, place, length of key and value.
const ELEMENT: usize = 24;
/// The hash of an element that is free.
const FREE: u32 = u32::MAX;
/// The most elements of a bucket that are looked at.
const MOST: u32 = 64 * 1024;

/// The value of a key.
///
/// # Errors
/// Where the file cannot be read, or is none of these.
pub fn find<E>(mut file: impl ReadAt<E>, key: &[u8]) -> Result<Option<Vec<u8>>, DbmError<E>> {
    let mut head = [0; HEAD];
    load(&mut file, 0, &mut head)?;
    let long = |at| u32_at(&head, at).ok_or(DbmError::Broken);
    let (directory, bits, elements) = (u64_at(&head, 8).ok_or(DbmError::Broken)?, long(20)?, long(28)?);
    if !MAGICS.contains(&long(0)?) || !(1..=31).contains(&bits) || !(1..=MOST).contains(&elements) {
        return Err(DbmError::Broken);
    }
    let hash = hash(key);
    let mut entry = [0; 8];
    load(&mut file, directory.saturating_add(u64::from(hash >> (31 - bits)) * 8), &mut entry)?;
    let bucket = u64::from_le_bytes(entry).saturating_add(ELEMENTS as u64);
    // A hash that is taken is looked for behind its place, around to the front.
    for step in 0..elements {
        let at = u64::from((hash + step) % elements);
        let mut element = [0; ELEMENT];
        load(&mut file, bucket.saturating_add(at * ELEMENT as u64), &mut element)?;
        let number = |at| u32_at(&element, at).ok_or(DbmError::Broken);
        let (known, length, value) = (number(0)?, number(16)? as usize, number(20)? as usize);
        if known == FREE {
            return Ok(None);
        }
        if known != hash || length != key.len() {
            continue;
        }
        if value > LONGEST_VALUE {
            return Err(DbmError::Broken);
        }
        let mut pair = vec![0; length + value];
        load(&mut file, u64_at(&element, 8).ok_or(DbmError::Broken)?, &mut pair)?;
        if pair.starts_with(key) {
            return Ok(Some(pair.split_off(length)));
        }
    }
    Ok(None)
}

/// Fills `into` from `at` on.
fn load<E>(file: &mut impl ReadAt<E>, at: u64, into: &mut [u8]) -> Result<(), DbmError<E>> {
    let read = file(at, into).map_err(DbmError::Read)?;
    if read == into.len() { Ok(()) } else { Err(DbmError::Broken) }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// 31 bits; bytes are signed, as they are where the files are made.
fn hash(key: &[u8]) -> u32 {
    const MASK: u32 = 0x7fff_ffff;
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let start = 0x238f_13af_u32.wrapping_mul(length);
    let sum = key.iter().enumerate().fold(start, |sum, (at, byte)| {
        let shift = u32::try_from(at * 5 % 24).unwrap_or(0);
        let byte = i32::from(i8::from_ne_bytes([*byte])).cast_unsigned();
        sum.wrapping_add(byte << shift) & MASK
    });
    1_103_515_243_u32.wrapping_mul(sum).wrapping_add(12345) & MASK
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// 300 keys, by `httxt2dbm -f GDBM`.
    const FILE: &[u8] = include_bytes!("../../../tests/dbm/keys.gdbm");

    fn look(bytes: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, DbmError<Infallible>> {
        let reader = |at: u64, into: &mut [u8]| {
            let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let n = rest.len().min(into.len());
            into[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        };
        find(reader, key)
    }

    #[test]
    fn all_that_was_written_is_found() {
        for number in 0..300usize {
            let value = format!("value-{}", "x".repeat(if number % 50 == 7 { 900 } else { number % 40 }));
            let found = look(FILE, format!("key{number}").as_bytes()).unwrap();
            assert_eq!(found, Some(value.into_bytes()), "{number}");
        }
        assert_eq!(look(FILE, b"key300").unwrap(), None);
        assert_eq!(look(FILE, b"").unwrap(), None);
        assert!(look(b"garbage\n", b"key1").is_err() && look(&[7; 8192], b"key1").is_err());
    }

    proptest! {
        #[test]
        fn damaged_files_are_no_more_than_an_error(
            changes in prop::collection::vec((0..FILE.len(), any::<u8>()), 1..20), key in 0..300usize
        ) {
            let mut bytes = FILE.to_vec();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            let _ = look(&bytes, format!("key{key}").as_bytes());
        }
    }
}
