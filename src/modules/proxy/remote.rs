//! `ProxyRemote`, `NoProxy`, `ProxyBlock`, `ProxyDomain`: checked and kept; what they ask for is not there yet.

use std::sync::Arc;

use super::conf::ProxyServer;
use super::pass::Done;
use crate::base::pattern::{Flags, Pattern};
use crate::config::{Args, Cmd};

/// One `ProxyRemote`.
#[derive(Debug)]
pub(super) struct Remote {
    /// Scheme, beginning of a URL, or `*`.
    pub(super) which: Vec<u8>,
    /// `ProxyRemoteMatch`.
    pub(super) regex: Option<Arc<Pattern>>,
    /// Scheme of the remote proxy, lower case.
    pub(super) scheme: Vec<u8>,
    /// Its host, lower case.
    pub(super) host: Vec<u8>,
    /// Its port.
    pub(super) port: u16,
    /// `user:password`.
    pub(super) credentials: Option<Vec<u8>>,
}

/// `ProxyRemote`.
pub(super) fn remote(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add(cmd, args, false)
}

/// `ProxyRemoteMatch`.
pub(super) fn remote_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    add(cmd, args, true)
}

fn add(cmd: &mut Cmd<'_>, args: &Args<'_>, is_match: bool) -> Done {
    const BAD: &str = "ProxyRemote: Bad syntax for a remote proxy server";
    let url = args.word(1);
    let colon = memchr::memchr(b':', url).filter(|at| url[*at..].starts_with(b"://") && url.len() > *at + 3);
    let colon = colon.ok_or_else(|| BAD.to_owned())?;
    let (scheme, rest) = (&url[..colon], &url[colon + 3..]);
    let (host, port) = match memchr::memchr(b':', rest) {
        None => {
            let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            (&rest[..end], None)
        }
        Some(at) => {
            let digits = &rest[at + 1..];
            let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
            let number = std::str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse::<u16>().ok());
            let port = number.filter(|port| *port > 0 && matches!(digits.get(end), None | Some(b'/')));
            (&rest[..at], Some(port.ok_or_else(|| format!("{BAD} (bad port number)"))?))
        }
    };
    let scheme = scheme.to_ascii_lowercase();
    let regex = match is_match {
        true => {
            let pattern = Pattern::new(args.word(0), Flags::default());
            let error = "Regular expression for ProxyRemoteMatch could not be compiled.";
            Some(Arc::new(pattern.map_err(|_| error.to_owned())?))
        }
        false => None,
    };
    let port = port.unwrap_or_else(|| super::url::default_port(&crate::config::latin1(&scheme)));
    let remote = Remote {
        which: args.word(0).to_vec(),
        regex,
        scheme,
        host: host.to_ascii_lowercase(),
        port,
        credentials: args.opt(2).map(<[u8]>::to_vec),
    };
    ProxyServer::of(cmd).remotes.push(Arc::new(remote));
    Ok(())
}

/// `NoProxy`.
pub(super) fn no_proxy(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    ProxyServer::of(cmd).no_proxy.push(args.word(0).to_vec());
    Ok(())
}

/// `ProxyBlock`.
pub(super) fn block(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    ProxyServer::of(cmd).blocks.push(args.word(0).to_vec());
    Ok(())
}

/// `ProxyDomain`.
pub(super) fn domain(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let domain = args.word(0);
    if domain.first() != Some(&b'.') {
        return Err("ProxyDomain: domain name must start with a dot.".to_owned());
    }
    ProxyServer::of(cmd).domain = Some(domain.to_vec());
    Ok(())
}
