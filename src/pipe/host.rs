//! The request target and the host: what the request is for, as httpd reads it.

use crate::config::core::CoreServer;
use crate::logs::{self, Bytes, Level};
use crate::web::Exchange;

/// Splits the target into scheme, authority, path and query. The path is still encoded.
pub(super) fn split_target(ex: &mut Exchange) {
    ex.target_scheme.clear();
    ex.target_authority.clear();
    ex.uri.clear();
    let query = memchr::memchr(b'?', &ex.unparsed_uri);
    let (before, query) = match query {
        Some(at) => (ex.unparsed_uri.get(..at).unwrap_or_default(), ex.unparsed_uri.get(at + 1..)),
        None => (ex.unparsed_uri.as_slice(), None),
    };
    match (query, &mut ex.args) {
        (Some(query), Some(args)) => {
            args.clear();
            args.extend_from_slice(query);
        }
        (query, args) => *args = query.map(<[u8]>::to_vec),
    }
    if before.first() == Some(&b'/') || before == b"*" {
        ex.uri.extend_from_slice(before);
        return;
    }
    if ex.method == b"CONNECT" {
        ex.target_authority.extend_from_slice(before);
        ex.uri.push(b'/');
        return;
    }
    let scheme = memchr::memmem::find(before, b"://").filter(|at| {
        before.get(..*at).is_some_and(|scheme| {
            !scheme.is_empty() && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        })
    });
    let Some(at) = scheme else {
        ex.uri.extend_from_slice(before);
        return;
    };
    let rest = before.get(at + 3..).unwrap_or_default();
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    ex.target_scheme.extend_from_slice(before.get(..at).unwrap_or_default());
    ex.target_authority.extend_from_slice(rest.get(..end).unwrap_or_default());
    match rest.get(end..).filter(|path| !path.is_empty()) {
        Some(path) => ex.uri.extend_from_slice(path),
        None if ex.method == b"OPTIONS" => ex.uri.push(b'*'),
        None => ex.uri.push(b'/'),
    }
}

/// Finds the host of the request and the server that it names. `Err` is the status of the refusal, which the
/// connection's default server gives.
pub(super) fn choose_server(ex: &mut Exchange) -> Result<(), u16> {
    let own_scheme = ex.target_scheme.eq_ignore_ascii_case(if ex.conn.secure { b"https" } else { b"http" });
    let from_target = !ex.target_authority.is_empty() && (own_scheme || ex.target_scheme.is_empty());
    if from_target {
        // The authority replaces the field, which everybody reads from now on.
        if ex.headers_in.contains(b"Host") || ex.proto_num >= 1001 {
            let authority = ex.target_authority.clone();
            ex.headers_in.set(b"Host", &authority);
        }
    }
    let given: Option<&[u8]> = if from_target { Some(&ex.target_authority) } else { ex.headers_in.get(b"Host") };
    let result: Result<(), u16> = match given {
        None if ex.proto_num >= 1001 => {
            logs::error!(
                ex,
                Level::Error,
                "http",
                "AH00569: client sent HTTP/1.1 request without hostname (see RFC2616 section 14.23): {}",
                Bytes(&ex.unparsed_uri)
            );
            return Err(400);
        }
        None => Ok(()),
        Some(text) => {
            let parsed = parse_host(text, &mut ex.hostname);
            match parsed {
                Ok(port) => {
                    ex.host_port = port;
                    Ok(())
                }
                Err(()) => {
                    let text =
                        if from_target { &ex.target_authority } else { ex.headers_in.get(b"Host").unwrap_or_default() };
                    logs::error!(
                        ex,
                        Level::Debug,
                        "core",
                        "AH00550: Client sent malformed Host header: {}",
                        Bytes(text)
                    );
                    ex.hostname.clear();
                    ex.host_port = None;
                    Err(400)
                }
            }
        }
    };
    result?;
    let live = ex.live.clone();
    let names = live.generation.select.names(ex.conn.local);
    if ex.hostname.is_empty() {
        if given_path(ex)
            && let Some(server) = names.and_then(|names| names.find_path(&ex.uri))
        {
            ex.server = server;
        }
        return Ok(());
    }
    match names.map(|names| names.find(&ex.hostname)) {
        Some(Some(server)) => {
            ex.server = server;
            Ok(())
        }
        Some(None) | None => {
            let strict = ex.server().get::<CoreServer>().and_then(|conf| conf.strict_host_check).unwrap_or(false);
            if !strict {
                return Ok(());
            }
            if names.is_none() && main_is_named(ex) {
                return Ok(());
            }
            let what = if names.is_none() { "AH10156" } else { "AH10157" };
            let place = if names.is_none() { "global server configuration " } else { "matching virtual host" };
            logs::error!(
                ex,
                Level::Error,
                "core",
                "{}: Requested hostname '{}' did not match any ServerName/ServerAlias in the {}",
                what,
                Bytes(&ex.hostname),
                place
            );
            Err(400)
        }
    }
}

fn given_path(ex: &Exchange) -> bool {
    !ex.headers_in.contains(b"Host") && ex.uri.first() == Some(&b'/')
}

fn main_is_named(ex: &Exchange) -> bool {
    let rec = &ex.server().rec;
    rec.name.iter().chain(&rec.aliases).any(|name| name.eq_ignore_ascii_case(&ex.hostname))
}

/// Reads `host[:port]` as httpd does by default; the host comes out in lower case, without a dot at its end.
fn parse_host(text: &[u8], host: &mut Vec<u8>) -> Result<Option<u16>, ()> {
    host.clear();
    let text = text.trim_ascii();
    if text.is_empty() {
        return Err(());
    }
    let (name, port) = if text.first() == Some(&b'[') {
        let close = memchr::memchr(b']', text).ok_or(())?;
        (text.get(..close + 1).unwrap_or_default(), text.get(close + 1..).unwrap_or_default())
    } else {
        let colon = memchr::memrchr(b':', text).unwrap_or(text.len());
        text.split_at(colon)
    };
    let port = match port {
        [] => None,
        [b':', digits @ ..] => Some(port_number(digits)?),
        _ => return Err(()),
    };
    if let [b'[', address @ .., b']'] = name {
        let valid = std::str::from_utf8(address).is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
        if !valid {
            return Err(());
        }
        // httpd keeps the address without brackets.
        host.extend(address.iter().map(u8::to_ascii_lowercase));
        return Ok(port);
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    let mut last = 0;
    for byte in name {
        let fine = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !fine || (*byte == b'.' && last == b'.') {
            return Err(());
        }
        last = *byte;
        host.push(byte.to_ascii_lowercase());
    }
    if host.is_empty() || last == b'.' {
        return Err(());
    }
    Ok(port)
}

fn port_number(digits: &[u8]) -> Result<u16, ()> {
    let mut number: u32 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(());
        }
        number = (number * 10 + u32::from(digit - b'0')).min(65536);
    }
    u16::try_from(number).ok().filter(|number| *number > 0).ok_or(())
}
