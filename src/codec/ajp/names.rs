//! The code tables of AJP/1.3.

use crate::base::fold::same;

/// The byte in place of a method's code when its name is in the `stored_method` attribute.
pub const STORED_METHOD: u8 = 0xff;

/// Methods by code, from 1.
const METHODS: [&str; 27] = [
    "OPTIONS",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "ACL",
    "REPORT",
    "VERSION-CONTROL",
    "CHECKIN",
    "CHECKOUT",
    "UNCHECKOUT",
    "SEARCH",
    "MKWORKSPACE",
    "UPDATE",
    "LABEL",
    "MERGE",
    "BASELINE-CONTROL",
    "MKACTIVITY",
];

/// Header names of requests by code, from A001.
const REQUEST_HEADERS: [&str; 14] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "connection",
    "content-type",
    "content-length",
    "cookie",
    "cookie2",
    "host",
    "pragma",
    "referer",
    "user-agent",
];

/// Header names of responses by code, from A001.
const RESPONSE_HEADERS: [&str; 11] = [
    "Content-Type",
    "Content-Language",
    "Content-Length",
    "Date",
    "Last-Modified",
    "Location",
    "Set-Cookie",
    "Set-Cookie2",
    "Servlet-Engine",
    "Status",
    "WWW-Authenticate",
];

/// The high byte that tells a header code from the length of a name.
const CODED: u8 = 0xa0;

/// The code of a method as httpd sends it: it knows none for ACL and SEARCH, which go by name.
pub fn method_code(method: &[u8]) -> u8 {
    if matches!(method, b"ACL" | b"SEARCH") {
        return STORED_METHOD;
    }
    let at = METHODS.iter().position(|name| name.as_bytes() == method);
    at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(STORED_METHOD)
}

/// The method of a code other than [`STORED_METHOD`].
pub fn method_name(code: u8) -> Option<&'static [u8]> {
    let at = usize::from(code).checked_sub(1)?;
    METHODS.get(at).map(|name| name.as_bytes())
}

/// The code of a request header's name, whatever its case.
pub fn request_header_code(name: &[u8]) -> Option<u16> {
    if !(4..=15).contains(&name.len()) {
        return None;
    }
    let at = REQUEST_HEADERS.iter().position(|known| known.len() == name.len() && same(known.as_bytes(), name))?;
    code(at)
}

/// The code of a response header's name; Tomcat looks at the case, so that others keep theirs.
pub fn response_header_code(name: &[u8]) -> Option<u16> {
    let at = RESPONSE_HEADERS.iter().position(|known| known.as_bytes() == name)?;
    code(at)
}

/// The request header of a code.
pub fn request_header_name(code: u16) -> Option<&'static [u8]> {
    name(&REQUEST_HEADERS, code)
}

/// The response header of a code.
pub fn response_header_name(code: u16) -> Option<&'static [u8]> {
    name(&RESPONSE_HEADERS, code)
}

/// Whether two bytes are a header code and not the length of a name.
pub(super) fn is_coded(value: u16) -> bool {
    let [high, _] = value.to_be_bytes();
    high == CODED
}

fn code(at: usize) -> Option<u16> {
    u8::try_from(at + 1).ok().map(|low| u16::from_be_bytes([CODED, low]))
}

fn name(table: &'static [&'static str], code: u16) -> Option<&'static [u8]> {
    let [_, low] = code.to_be_bytes();
    let at = usize::from(low).checked_sub(1)?;
    table.get(at).map(|name| name.as_bytes())
}
