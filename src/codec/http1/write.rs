//! Pushing heads and chunk frames, byte by byte.

/// Pushes a number in decimal.
pub fn push_decimal(out: &mut Vec<u8>, mut n: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + (n % 10) as u8);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

/// Pushes a number in lower-case hexadecimal without leading zeros.
pub fn push_hex(out: &mut Vec<u8>, n: u64) {
    let digits = (64 - n.leading_zeros()).div_ceil(4).max(1);
    for at in (0..digits).rev() {
        let digit = ((n >> (at * 4)) & 0xf) as u8;
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
}

/// Pushes `METHOD target HTTP/1.x` and its line end.
pub fn push_request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8], minor: u8) {
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(if minor == 0 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
}

/// Pushes `HTTP/1.1 status reason`; without a reason the blank stays, as httpd leaves it.
pub fn push_status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    push_status(out, status);
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Pushes a status in its three digits, which a backend may make start with zeros.
pub fn push_status(out: &mut Vec<u8>, status: u16) {
    let digit = |n: u16| b'0' + (n % 10) as u8;
    if status < 1000 {
        out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status)]);
    } else {
        push_decimal(out, u64::from(status));
    }
}

/// Pushes one field line.
pub fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Pushes the size line of a chunk; the data and [`CHUNK_END`] follow.
pub fn push_chunk_start(out: &mut Vec<u8>, len: usize) {
    push_hex(out, len as u64);
    out.extend_from_slice(b"\r\n");
}

/// Pushes a whole chunk; nothing for no data, which would end the body.
pub fn push_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        push_chunk_start(out, data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(CHUNK_END);
    }
}

/// Behind the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";
/// The last chunk and an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A name in lower case as HTTP/1 writes names: `x-some-thing` becomes `X-Some-Thing`.
pub fn push_cased(name: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(name);
    let mut first = true;
    for byte in out.get_mut(start..).unwrap_or_default() {
        if first {
            byte.make_ascii_uppercase();
        }
        first = *byte == b'-';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_by_the_standard_library() {
        for n in [0, 1, 9, 10, 15, 16, 255, 256, 8191, 65536, u64::MAX] {
            let (mut dec, mut hex) = (Vec::new(), Vec::new());
            push_decimal(&mut dec, n);
            push_hex(&mut hex, n);
            assert_eq!(dec, n.to_string().into_bytes());
            assert_eq!(hex, format!("{n:x}").into_bytes());
        }
    }

    #[test]
    fn an_empty_chunk_does_not_end_the_body() {
        let mut out = Vec::new();
        push_chunk(&mut out, b"");
        push_chunk(&mut out, b"0123456789");
        assert_eq!(out, b"a\r\n0123456789\r\n");
    }

    #[test]
    fn names_look_like_those_of_http1() {
        for (name, cased) in [("x-some-thing", "X-Some-Thing"), ("te", "Te"), ("user-agent", "User-Agent")] {
            let mut out = Vec::new();
            push_cased(name.as_bytes(), &mut out);
            assert_eq!(out, cased.as_bytes());
        }
    }
}
