//! Heads of requests in HTTP/2: what passes keeps to the limits and can be written as a head of HTTP/1.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use libfuzzer_sys::fuzz_target;
use tandem::codec::http1::Limits;
use tandem::codec::http2_head::{fields, host, target};

fuzz_target!(|input: (u8, &str, &[u8], Vec<(u8, &[u8], &[u8])>)| {
    let (size, method, uri, list) = input;
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), Uri::try_from(uri)) else { return };
    let mut map = HeaderMap::new();
    for (known, name, value) in list {
        let name = match known {
            0..=63 => HeaderName::from_static("cookie"),
            64..=95 => HeaderName::from_static("host"),
            _ => match HeaderName::from_bytes(name) {
                Ok(name) => name,
                Err(_) => continue,
            },
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            map.append(name, value);
        }
    }
    let limits = Limits { line: size.into(), field_size: usize::from(size) / 2, fields: 8 };
    let target = target(&uri);
    if let Ok(host) = host(&method, &uri, &map, &limits) {
        assert!(limits.line == 0 || target.len() <= limits.line);
        assert!(method == Method::CONNECT || matches!(target.first(), Some(b'/' | b'*')));
        assert!(!host.iter().chain(target).any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    let (mut given, mut cookies) = (0, 0);
    let done = fields(&map, &limits, |name, value| {
        given += 1;
        cookies += usize::from(name == b"Cookie");
        assert!(limits.field_size == 0 || value.len() <= limits.field_size);
        assert!(!name.eq_ignore_ascii_case(b"host"));
        assert!(!name.iter().chain(value).any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    });
    assert!(cookies <= 1 && given <= map.len());
    if done.is_ok() {
        assert!(map.len() <= limits.fields);
        let hosts = map.get_all(http::header::HOST).iter().count();
        let crumbs = map.get_all(http::header::COOKIE).iter().filter(|crumb| !crumb.is_empty()).count();
        assert!(given + hosts <= map.len() && (crumbs == 0 || cookies == 1));
    }
});
