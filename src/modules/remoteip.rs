//! `mod_remoteip.c`.

use crate::base::addr::{Subnet, SubnetError};
use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, get_words, latin1, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;
use std::net::ToSocketAddrs as _;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "remoteip_module",
        file: "mod_remoteip.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("RemoteIPHeader", Places::SERVER, Shape::Take1, accept, "Specifies a request header to trust as the client IP, e.g. X-Forwarded-For").missing(),
    row("RemoteIPProxiesHeader", Places::SERVER, Shape::Take1, accept, "Specifies a request header to record proxy IP's, e.g. X-Forwarded-By; if not given then do not record").missing(),
    row("RemoteIPTrustedProxy", Places::SERVER, Shape::Iterate, proxy, "Specifies one or more proxies which are trusted to present IP headers").missing(),
    row("RemoteIPInternalProxy", Places::SERVER, Shape::Iterate, proxy, "Specifies one or more internal (transparent) proxies which are trusted to present IP headers").missing(),
    row("RemoteIPTrustedProxyList", Places::SERVER, Shape::Take1, proxy_list, "The filename to read the list of trusted proxies, see the RemoteIPTrustedProxy directive").missing(),
    row("RemoteIPInternalProxyList", Places::SERVER, Shape::Take1, proxy_list, "The filename to read the list of internal proxies, see the RemoteIPInternalProxy directive").missing(),
    row("RemoteIPProxyProtocol", Places::SERVER, Shape::Flag, accept, "Enable PROXY protocol handling ('on', 'off')").missing(),
    row("RemoteIPProxyProtocolExceptions", Places::SERVER, Shape::Argv, exceptions, "Disable PROXY protocol handling for this list of networks in CIDR format").missing(),
];

/// An address or a network.
fn network(word: &[u8]) -> Result<(), &'static str> {
    match Subnet::parse(word) {
        Ok(_) => Ok(()),
        Err(SubnetError::Mask) => Err("The specified network mask is invalid."),
        Err(SubnetError::Address) if word.first() == Some(&b'/') => Err("Invalid argument"),
        Err(SubnetError::Address) => Err("The specified IP address is invalid."),
        Err(SubnetError::NotAnAddress) if word.contains(&b'/') => Err("The specified IP address is invalid."),
        // A host name is looked up.
        Err(SubnetError::NotAnAddress) => match (latin1(word).as_str(), 0u16).to_socket_addrs() {
            Ok(found) if found.len() > 0 => Ok(()),
            _ => Err("Name or service not known"),
        },
    }
}

/// `RemoteIPTrustedProxy` and `RemoteIPInternalProxy`, one word at a time.
fn proxy(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    network(args.word(0))
        .map_err(|why| format!("RemoteIP: Error parsing IP {} ({why} error) for {}", args.text(0), cmd.directive.name))
}

/// The same from a file.
fn proxy_list(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let name = cmd.directive.name;
    let (path, shown) = check::rooted(cmd, args.word(0));
    let text = std::fs::read(path).map_err(|error| {
        let why = error.to_string();
        let why = why.split(" (os error").next().unwrap_or_default();
        format!("{name}: Could not open file {shown}: {why}")
    })?;
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.first() == Some(&b'#') {
            continue;
        }
        for word in get_words(line) {
            network(&word).map_err(|why| {
                let word = latin1(&word);
                format!("RemoteIP: Error parsing IP {word} ({why} error) for {name} at line {} of {shown}", at + 1)
            })?;
        }
    }
    Ok(())
}

/// `RemoteIPProxyProtocolExceptions`.
fn exceptions(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.words.is_empty() {
        return Err("RemoteIPProxyProtocolExceptions requires an argument".to_owned());
    }
    for word in args.words {
        // The mask is cut off before the address is looked at.
        let (shown, why) = match Subnet::parse(word) {
            Ok(_) => continue,
            Err(error) => (word.split(|byte| *byte == b'/').next().unwrap_or_default(), error.to_string()),
        };
        let shown = latin1(shown);
        let why = if why.is_empty() || shown.is_empty() { String::new() } else { format!(": {why}") };
        return Err(format!("ip address '{shown}' appears to be invalid{why}"));
    }
    Ok(())
}
