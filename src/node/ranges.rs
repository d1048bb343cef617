//! Parts of files (RFC 9110 section 14), as Tomcat's default servlet sends them.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use super::exchange::{Body, Request, Response};

/// The parts of a file that are sent; none is the whole of it.
pub type Parts = Vec<Part>;

/// Bytes from the first to the last, both counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    first: u64,
    last: u64,
}

impl Part {
    fn len(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What stands between parts.
const BOUNDARY: &str = "CATALINA_MIME_BOUNDARY";
/// Parts that may be asked for at a time.
const MOST: usize = 64;
/// Bytes of several parts that are put together; who wants more gets the whole file.
const TOGETHER: u64 = 4 << 20;

/// The parts that a request wants of a file of `length` bytes; `None` is what cannot be.
pub fn wanted(request: &Request, length: u64) -> Option<Parts> {
    let Some(asked) = request.header("range").filter(|_| request.method == "GET" && length > 0) else {
        return Some(Vec::new());
    };
    let mut parts = Vec::new();
    let (unit, list) = asked.split_once('=')?;
    let unit = unit.trim();
    if unit.is_empty() {
        return None;
    }
    if !unit.eq_ignore_ascii_case("bytes") {
        // Of other units nothing is known, so they are none.
        return Some(Vec::new());
    }
    for text in list.split(',') {
        let (first, last) = text.split_once('-')?;
        let (first, last) = (first.trim(), last.trim());
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i64>().ok())?;
        let number = |text: &str| number(text).and_then(|number| u64::try_from(number).ok());
        let end = length.checked_sub(1)?;
        let part = match (first, last) {
            ("", last) => Part { first: length.saturating_sub(number(last).filter(|n| *n > 0)?), last: end },
            (first, "") => Part { first: number(first)?, last: end },
            (first, last) => Part { first: number(first)?, last: number(last)?.min(end) },
        };
        if part.first > part.last || parts.len() == MOST {
            return None;
        }
        parts.push(part);
    }
    let all: u64 = parts.iter().map(|part| part.len()).sum();
    Some(if parts.len() > 1 && all > TOGETHER { Vec::new() } else { parts })
}

/// Makes a file, or parts of it, the response's body.
///
/// # Errors
/// The file cannot be read.
pub fn send(response: &mut Response, mut file: File, length: u64, parts: &Parts, kind: Option<&str>) -> io::Result<()> {
    let place = |part: &Part| format!("bytes {}-{}/{length}", part.first, part.last);
    match parts.as_slice() {
        [] => response.body = Body::File(file, length),
        [part] => {
            file.seek(SeekFrom::Start(part.first))?;
            response.status = 206;
            response.set_header("Content-Range", &place(part));
            response.body = Body::File(file, part.len());
        }
        several => {
            let mut body = Vec::new();
            for part in several {
                body.extend_from_slice(format!("\r\n--{BOUNDARY}\r\n").as_bytes());
                if let Some(kind) = kind {
                    body.extend_from_slice(format!("Content-Type: {kind}\r\n").as_bytes());
                }
                body.extend_from_slice(format!("Content-Range: {}\r\n\r\n", place(part)).as_bytes());
                file.seek(SeekFrom::Start(part.first))?;
                if (&mut file).take(part.len()).read_to_end(&mut body)? as u64 != part.len() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            body.extend_from_slice(format!("\r\n--{BOUNDARY}--").as_bytes());
            response.status = 206;
            response.set_header("Content-Type", &format!("multipart/byteranges; boundary={BOUNDARY}"));
            response.body = Body::Bytes(body);
            return Ok(());
        }
    }
    if let Some(kind) = kind {
        response.set_header("Content-Type", kind);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_that_tomcat_sends() {
        let of = |range: &str, length| {
            let mut request = Request::default();
            request.headers.push(("Range".to_owned(), range.as_bytes().to_vec()));
            let parts = wanted(&request, length);
            parts.map(|parts| parts.iter().map(|part| (part.first, part.last)).collect::<Vec<_>>())
        };
        for (range, want) in [
            ("bytes=0-4", Some(vec![(0, 4)])),
            ("bytes=-3", Some(vec![(10, 12)])),
            ("bytes=-100", Some(vec![(0, 12)])),
            ("bytes=5-", Some(vec![(5, 12)])),
            ("bytes=0-20", Some(vec![(0, 12)])),
            ("bytes=0-5, 2-8", Some(vec![(0, 5), (2, 8)])),
            ("bytes=100-", None),
            ("bytes=1-1,100-", None),
            ("bytes=5-2", None),
            ("bytes=-0", None),
            ("bytes=", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("items=0-1", Some(vec![])),
            ("BYTES = 0 - 1", Some(vec![(0, 1)])),
            ("x", None),
        ] {
            assert_eq!(of(range, 13), want, "{range}");
        }
        assert_eq!(of("bytes=0-", 0), Some(Vec::new()));
        assert_eq!(of(&format!("bytes={}", vec!["0-0"; 65].join(",")), 13), None);
        assert_eq!(of("bytes=0-4000000,0-4000000", 5_000_000), Some(Vec::new()));
    }
}
