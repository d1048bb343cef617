//! Directives that set one value.

use super::conf::{ProxyDir, ProxyServer, Status};
use super::params::{buffer, integer};
use super::pass::Done;
use crate::config::{Args, Cmd};
use crate::upstream::spec::{BadHeaderPolicy, Via};

/// `ProxyPassInterpolateEnv`.
pub(super) fn interpolate(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<ProxyDir>().interpolate = Some(args.on());
    Ok(())
}

/// `ProxyPreserveHost`.
pub(super) fn preserve_host(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<ProxyDir>().preserve_host = Some(args.on());
    Ok(())
}

/// `ProxyAddHeaders`.
pub(super) fn add_headers(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<ProxyDir>().add_headers = Some(args.on());
    Ok(())
}

/// `Proxy100Continue`.
pub(super) fn forward_100_continue(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<ProxyDir>().forward_100_continue = Some(args.on());
    Ok(())
}

/// `ProxyErrorOverride on|off [code ...]`, called for each word.
pub(super) fn error_override(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let word = args.word(0);
    let dir = cmd.dir_conf::<ProxyDir>();
    if word.eq_ignore_ascii_case(b"on") || word.eq_ignore_ascii_case(b"off") {
        dir.error_override = Some(word.eq_ignore_ascii_case(b"on"));
        return Ok(());
    }
    match dir.error_override {
        None => return Err("ProxyErrorOverride first parameter must be one of: off | on".to_owned()),
        Some(false) => return Err("ProxyErrorOverride: status codes must follow a value of 'on'".to_owned()),
        Some(true) => {}
    }
    if !word.iter().all(u8::is_ascii_digit) {
        return Err("ProxyErrorOverride: status codes to intercept must be numeric".to_owned());
    }
    match u16::try_from(integer(word)) {
        Ok(code @ 400..600) => dir.error_codes.push(code),
        _ => {
            return Err("ProxyErrorOverride: status codes to intercept must be valid HTTP Status Codes >=400 && <600"
                .to_owned());
        }
    }
    Ok(())
}

/// `ProxyVia`.
pub(super) fn via(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let via = match args.word(0).to_ascii_lowercase().as_slice() {
        b"off" => Via::Off,
        b"on" => Via::On,
        b"full" => Via::Full,
        b"block" => Via::Block,
        _ => return Err("ProxyVia must be one of: off | on | full | block".to_owned()),
    };
    ProxyServer::of(cmd).via = Some(via);
    Ok(())
}

/// `ProxyTimeout`.
pub(super) fn timeout(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let time = super::params::seconds(args.word(0), 1, "Proxy Timeout must be at least 1 second.")?;
    ProxyServer::of(cmd).timeout = Some(time);
    Ok(())
}

/// `ProxyBadHeader`.
pub(super) fn bad_header(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let policy = match args.word(0).to_ascii_lowercase().as_slice() {
        b"iserror" => BadHeaderPolicy::IsError,
        b"ignore" => BadHeaderPolicy::Ignore,
        b"startbody" => BadHeaderPolicy::StartBody,
        _ => return Err("ProxyBadHeader must be one of: IsError | Ignore | StartBody".to_owned()),
    };
    ProxyServer::of(cmd).bad_header = Some(policy);
    Ok(())
}

/// `ProxyIOBufferSize`.
pub(super) fn io_buffer(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let error = "ProxyIOBufferSize must be >= 512 bytes, or 0 for system default.";
    // A `long`, unlike the other one.
    let size = match crate::modules::check::long(args.word(0)).unwrap_or(i64::MAX) {
        0 => 8192,
        size @ 512.. => usize::try_from(size.min(i64::from(i32::MAX))).unwrap_or(usize::MAX),
        _ => return Err(error.to_owned()),
    };
    ProxyServer::of(cmd).io_buffer = Some(size);
    Ok(())
}

/// `ProxyReceiveBufferSize`.
pub(super) fn receive_buffer(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let error = "ProxyReceiveBufferSize must be >= 512 bytes, or 0 for system default.";
    let size = buffer(args.word(0), 0, error)?;
    ProxyServer::of(cmd).receive_buffer = Some(size);
    Ok(())
}

/// `ProxyMaxForwards`; a negative number turns it off.
pub(super) fn max_forwards(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    ProxyServer::of(cmd).max_forwards = Some(integer(args.word(0)));
    Ok(())
}

/// `ProxyStatus`.
pub(super) fn status(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let status = match args.word(0).to_ascii_lowercase().as_slice() {
        b"off" => Status::Off,
        b"on" => Status::On,
        b"full" => Status::Full,
        _ => return Err("ProxyStatus must be one of: off | on | full".to_owned()),
    };
    ProxyServer::of(cmd).status = Some(status);
    Ok(())
}

/// `ProxySourceAddress`.
pub(super) fn source(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let name = args.text(0);
    // A path is the address of a socket, from which nothing is sent.
    if name.starts_with('/') {
        return Ok(());
    }
    let found = match name.parse() {
        Ok(ip) => Some(ip),
        Err(_) => {
            use std::net::ToSocketAddrs as _;
            (name.as_str(), 0u16).to_socket_addrs().ok().and_then(|mut all| all.next()).map(|addr| addr.ip())
        }
    };
    let ip = found.ok_or_else(|| "ProxySourceAddress invalid value".to_owned())?;
    ProxyServer::of(cmd).source = Some(ip);
    Ok(())
}

/// `BalancerInherit`.
pub(super) fn inherit(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    ProxyServer::of(cmd).inherit = Some(args.on());
    Ok(())
}

/// `ProxyPassInherit`.
pub(super) fn pass_inherit(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    ProxyServer::of(cmd).pass_inherit = Some(args.on());
    Ok(())
}

/// `BalancerGrowth`.
pub(super) fn growth(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let growth = super::params::between(args.word(0), 0, 1000, "BalancerGrowth must be between 0 and 1000")?;
    ProxyServer::of(cmd).growth = Some(growth);
    Ok(())
}

/// `BalancerPersist`.
pub(super) fn persist(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    ProxyServer::of(cmd).persist = Some(args.on());
    Ok(())
}

/// `ProxyRequests`.
pub(super) fn requests(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    ProxyServer::of(cmd).requests = Some(args.on());
    Ok(())
}
