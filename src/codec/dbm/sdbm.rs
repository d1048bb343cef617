//! SDBM: pages of pairs in one file (`.pag`), and in another (`.dir`) a bit for each node of a binary tree over the
//! bits of the keys' hashes: set where the node was split.

use super::{DbmError, ReadAt};

const PAGE: usize = 1024;
/// Bits of a hash that may choose a page.
const DEPTH: u32 = 32;

/// The value of a key. `dir_len` is the length of the `.dir` file.
///
/// # Errors
/// Where the files cannot be read, or are none.
pub fn find<E>(
    dir_len: u64,
    mut dir: impl ReadAt<E>,
    mut pages: impl ReadAt<E>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, DbmError<E>> {
    let hash = hash(key);
    let nodes = dir_len.saturating_mul(8);
    let (mut node, mut bits) = (0u64, 0);
    while node < nodes && bits < DEPTH {
        let mut byte = [0];
        if dir(node / 8, &mut byte).map_err(DbmError::Read)? == 0 || byte[0] & (1 << (node % 8)) == 0 {
            break;
        }
        node = 2 * node + if hash & (1 << bits) != 0 { 2 } else { 1 };
        bits += 1;
    }
    let number = hash & ((1 << bits) - 1);
    let mut page = [0; PAGE];
    // A page that was never written has no pairs.
    match pages(number * PAGE as u64, &mut page).map_err(DbmError::Read)? {
        0 => Ok(None),
        PAGE => in_page(&page, key).map_err(|Broken| DbmError::Broken),
        _ => Err(DbmError::Broken),
    }
}

struct Broken;

fn in_page(page: &[u8; PAGE], key: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
    let number = |at: usize| -> Result<usize, Broken> {
        let bytes = page.get(2 * at..).and_then(|rest| rest.first_chunk()).ok_or(Broken)?;
        Ok(usize::from(u16::from_le_bytes(*bytes)))
    };
    let mut end = PAGE;
    // Offsets of keys and values by turns, from the end of the page.
    for pair in 0..number(0)? / 2 {
        let (name, value) = (number(1 + 2 * pair)?, number(2 + 2 * pair)?);
        let found = page.get(name..end).ok_or(Broken)?;
        let data = page.get(value..name).ok_or(Broken)?;
        if found == key {
            return Ok(Some(data.to_vec()));
        }
        end = value;
    }
    Ok(None)
}

/// Bytes are signed, as they are where the files are made.
fn hash(key: &[u8]) -> u64 {
    key.iter()
        .fold(0u64, |hash, byte| hash.wrapping_mul(65599).wrapping_add_signed(i64::from(i8::from_ne_bytes([*byte]))))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// Of `tests/dbm/hosts.txt`, by `httxt2dbm -f SDBM`.
    const DIR: &[u8] = include_bytes!("../../../tests/dbm/hosts.dir");
    const PAG: &[u8] = include_bytes!("../../../tests/dbm/hosts.pag");
    const TEXT: &str = include_str!("../../../tests/dbm/hosts.txt");

    fn reader(bytes: &[u8]) -> impl FnMut(u64, &mut [u8]) -> Result<usize, Infallible> {
        |at, into| {
            let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let n = rest.len().min(into.len());
            into[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        }
    }

    fn look(dir: &[u8], pag: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, DbmError<Infallible>> {
        find(dir.len() as u64, reader(dir), reader(pag), key)
    }

    #[test]
    fn all_that_was_written_is_found() {
        for line in TEXT.lines() {
            let (key, value) = line.split_once(' ').unwrap();
            assert_eq!(look(DIR, PAG, key.as_bytes()).unwrap().as_deref(), Some(value.as_bytes()), "{key}");
        }
        assert_eq!(look(DIR, PAG, b"host").unwrap(), None);
        assert_eq!(look(b"", b"", b"host").unwrap(), None);
    }

    #[test]
    fn keys_of_high_bytes_have_signed_hashes() {
        assert_eq!(hash(b"a"), 97);
        assert_eq!(hash(b"\xff"), u64::MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_more_than_an_error(dir: Vec<u8>, pag in proptest::collection::vec(any::<u8>(), 0..3000), key: Vec<u8>) {
            let _ = look(&dir, &pag, &key);
            let _ = look(&dir, PAG, &key);
        }
    }
}
