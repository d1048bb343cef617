//! What tells a cache whether a file is still the same: Last-Modified and ETag (RFC 9110 section 8.8).

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use crate::base::clock::push_http_date;
use crate::config::core::{CoreDir, etag};
use crate::web::Exchange;

/// When the file was modified, in microseconds since 1970.
fn modified(info: &Metadata) -> i64 {
    info.mtime().saturating_mul(1_000_000).saturating_add(info.mtime_nsec() / 1000)
}

/// Sets Last-Modified; never later than the request.
pub fn set_last_modified(ex: &mut Exchange, info: &Metadata) {
    let mut date = Vec::with_capacity(29);
    push_http_date(&mut date, modified(info).min(ex.started_micros));
    ex.headers_out.set(b"Last-Modified", &date);
}

/// The entity tag of a file for the response, as `FileETag` wants it; none where it wants none, or a digest.
pub fn entity_tag(ex: &Exchange, info: &Metadata, tags: u8) -> Option<Vec<u8>> {
    let made = tags & (etag::NONE | etag::DIGEST) == 0;
    made.then(|| joined_tag(ex, etag_of(info, tags, ex.started_micros)))
}

/// The entity tag of a file, weak while the file is younger than a second.
pub fn etag_of(info: &Metadata, bits: u8, now: i64) -> Vec<u8> {
    let mtime = modified(info);
    let mut tag = Vec::with_capacity(56);
    if now.saturating_sub(mtime) <= 1_000_000 {
        tag.extend_from_slice(b"W/");
    }
    tag.push(b'"');
    let mut first = true;
    for (bit, value) in [(etag::INODE, info.ino()), (etag::SIZE, info.len()), (etag::MTIME, mtime.cast_unsigned())] {
        if bits & bit != 0 {
            if !first {
                tag.push(b'-');
            }
            first = false;
            push_hex(value, &mut tag);
        }
    }
    tag.push(b'"');
    tag
}

/// The validator of the list of variants that the response was chosen from; part of its entity tag (RFC 2295 section 9.2).
#[derive(Default)]
struct ListValidator(Option<Vec<u8>>);

/// Notes the file that lists the variants, or the folder whose names are the list.
pub fn set_list_validator(ex: &mut Exchange, info: Option<&Metadata>) {
    let tags = ex.dir::<CoreDir>().map_or(etag::DEFAULT, |dir| dir.etag.effective());
    let tags = if info.is_some_and(Metadata::is_dir) { etag::MTIME } else { tags };
    let tag = info.map(|info| joined_tag(ex, etag_of(info, tags, ex.started_micros)));
    ex.ext.get_mut::<ListValidator>().0 = tag;
}

/// An entity tag joined with that of the list of variants, if there was one. httpd leaves the closing quote out.
pub fn joined_tag(ex: &Exchange, mut tag: Vec<u8>) -> Vec<u8> {
    if let Some(list) = ex.ext.get::<ListValidator>().and_then(|list| list.0.as_deref()) {
        let (weak, list) = list.strip_prefix(b"W/").map_or((false, list), |list| (true, list));
        tag.pop();
        tag.push(b';');
        tag.extend_from_slice(list.get(1..list.len().saturating_sub(1)).unwrap_or_default());
        if weak && !tag.starts_with(b"W/") {
            tag.splice(0..0, *b"W/");
        }
    }
    tag
}

fn push_hex(value: u64, out: &mut Vec<u8>) {
    let digits = (64 - value.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| b"0123456789abcdef"[(value >> (digit * 4) & 15) as usize]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_made_of_the_parts_that_were_chosen() {
        let path = std::env::temp_dir().join(format!("tandem-etag-{}", std::process::id()));
        std::fs::write(&path, "0123456789").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)).unwrap();
        let info = file.metadata().unwrap();
        let tag = |bits, now| String::from_utf8(etag_of(&info, bits, now)).unwrap();
        let late = 1_800_000_000_000_000;
        assert_eq!(tag(etag::DEFAULT, late), "\"a-60a24181e4000\"");
        assert_eq!(tag(etag::SIZE, late), "\"a\"");
        assert_eq!(tag(etag::ALL, late), format!("\"{:x}-a-60a24181e4000\"", info.ino()));
        assert_eq!(tag(etag::DEFAULT, 1_700_000_000_500_000), "W/\"a-60a24181e4000\"");
        std::fs::remove_file(&path).unwrap();
    }
}
