//! `ProxyRemote`, `ProxyRemoteMatch`: which requests go through another proxy.

use std::sync::Arc;

use base64::Engine as _;

use super::conf::ProxyServer;
use super::pass::Done;
use super::url::default_port;
use crate::config::{Args, Cmd, latin1};
use crate::upstream::spec::{Remote, RemoteRule};

/// `ProxyRemote`.
pub(super) fn remote(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let what = args.word(0);
    let rule = match what {
        b"*" => RemoteRule::All,
        _ if what.contains(&b':') => RemoteRule::Prefix(what.to_vec()),
        _ => RemoteRule::Scheme(what.to_ascii_lowercase()),
    };
    add(cmd, args, rule)
}

/// `ProxyRemoteMatch`.
pub(super) fn remote_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    // The proxy's URL is looked at first.
    split(cmd.directive.name, args.word(1))?;
    let error = "Regular expression for ProxyRemoteMatch could not be compiled.";
    let pattern = cmd.pattern(args.word(0), false).map_err(|_| error.to_owned())?;
    add(cmd, args, RemoteRule::Regex(Arc::new(pattern)))
}

fn add(cmd: &mut Cmd<'_>, args: &Args<'_>, rule: RemoteRule) -> Done {
    let (host, port) = split(cmd.directive.name, args.word(1))?;
    let credentials = args.words.get(2).map(|pair| {
        let mut field = b"Basic ".to_vec();
        field.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(pair).as_bytes());
        field
    });
    ProxyServer::of(cmd).remotes.push(Arc::new(Remote { rule, host, port, credentials }));
    Ok(())
}

/// Host and port of the other proxy.
fn split(name: &str, url: &[u8]) -> Result<(String, u16), String> {
    let bad = || format!("{name}: Bad syntax for a remote proxy server");
    let colon = memchr::memchr(b':', url).filter(|at| url[*at..].starts_with(b"://") && url.len() > *at + 3);
    let colon = colon.ok_or_else(bad)?;
    let rest = &url[colon + 3..];
    let Some(at) = memchr::memchr(b':', rest) else {
        // As httpd: the name is what stands there, a slash behind it too.
        return Ok((latin1(&rest.to_ascii_lowercase()), default_port(&latin1(&url[..colon]))));
    };
    let digits = &rest[at + 1..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let number = std::str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse::<u16>().ok());
    match number.filter(|port| *port > 0 && matches!(digits.get(end), None | Some(b'/'))) {
        Some(port) => Ok((latin1(&rest[..at].to_ascii_lowercase()), port)),
        None => Err(format!("{} (bad port number)", bad())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_of_a_remote_proxy() {
        let at = |host: &str, port| Ok((host.to_owned(), port));
        assert_eq!(split("ProxyRemote", b"http://Proxy.test:8080"), at("proxy.test", 8080));
        assert_eq!(split("ProxyRemote", b"http://proxy:81/"), at("proxy", 81));
        assert_eq!(split("ProxyRemote", b"ftp://proxy"), at("proxy", 21));
        for (url, end) in [("proxy", ""), ("http:/x", ""), ("http://", ""), ("http://[::1]:80", " (bad port number)")] {
            assert_eq!(
                split("ProxyRemote", url.as_bytes()),
                Err(format!("ProxyRemote: Bad syntax for a remote proxy server{end}"))
            );
        }
        assert!(split("", b"http://h:0").is_err() && split("", b"http://h:8x").is_err());
    }
}
