//! `ProxyRemote`, `ProxyDomain`: checked; what they ask for is not there yet.

use super::pass::Done;
use crate::base::pattern::{Flags, Pattern};
use crate::config::{Args, Cmd};

/// `ProxyRemote`.
pub(super) fn remote(_: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check(args, false)
}

/// `ProxyRemoteMatch`.
pub(super) fn remote_match(_: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check(args, true)
}

fn check(args: &Args<'_>, is_match: bool) -> Done {
    const BAD: &str = "ProxyRemote: Bad syntax for a remote proxy server";
    let url = args.word(1);
    let colon = memchr::memchr(b':', url).filter(|at| url[*at..].starts_with(b"://") && url.len() > *at + 3);
    let rest = &url[colon.ok_or_else(|| BAD.to_owned())? + 3..];
    if let Some(at) = memchr::memchr(b':', rest) {
        let digits = &rest[at + 1..];
        let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        let number = std::str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse::<u16>().ok());
        let good = number.is_some_and(|port| port > 0) && matches!(digits.get(end), None | Some(b'/'));
        if !good {
            return Err(format!("{BAD} (bad port number)"));
        }
    }
    if is_match {
        let error = "Regular expression for ProxyRemoteMatch could not be compiled.";
        Pattern::new(args.word(0), Flags::default()).map_err(|_| error.to_owned())?;
    }
    Ok(())
}

/// `ProxyDomain`.
pub(super) fn domain(_: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if args.word(0).first() == Some(&b'.') {
        return Ok(());
    }
    Err("ProxyDomain: domain name must start with a dot.".to_owned())
}
