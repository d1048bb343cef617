//! `mod_remoteip.c`: the client behind a balancer, by a header field or by the PROXY protocol.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use crate::base::addr::{IpSet, Subnet, SubnetError};
use crate::config::{
    Args, Cmd, Conf, Directive, Fatal, Globals, ModuleRow, Places, PostConfig, Shape, Warning, get_words, latin1, row,
};
use crate::logs::{self, Bytes, Level};
use crate::modules::{check, slot};
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "remoteip_module",
        file: "mod_remoteip.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: announce,
    },
    hooks: HOOKS,
};

/// Values per server.
#[derive(Clone, Default)]
pub struct RemoteIp {
    header: Option<Arc<[u8]>>,
    proxies_header: Option<Arc<[u8]>>,
    /// Those of a virtual host in front of the main server's.
    proxies: Vec<Proxy>,
    /// Both have some.
    merged: bool,
}

/// Somebody whose word is taken.
#[derive(Clone, Copy)]
struct Proxy {
    net: Subnet,
    /// One of our own network: it may name private addresses and is not listed.
    internal: bool,
}

impl Conf for RemoteIp {
    const SLOT: usize = slot::REMOTEIP;

    fn merge(base: &Self, add: &Self) -> Self {
        Self {
            header: add.header.clone().or_else(|| base.header.clone()),
            proxies_header: add.proxies_header.clone().or_else(|| base.proxies_header.clone()),
            proxies: add.proxies.iter().chain(&base.proxies).copied().collect(),
            merged: !base.proxies.is_empty() && !add.proxies.is_empty(),
        }
    }
}

/// Where connections begin with a PROXY header.
#[derive(Clone, Default)]
pub struct ProxyProtocol {
    on: Vec<Listener>,
    off: Vec<Listener>,
    exceptions: IpSet,
}

/// Addresses of a server.
#[derive(Clone)]
struct Listener {
    ip: Option<IpAddr>,
    port: Option<u16>,
    /// Name and place of its server, for messages.
    server: String,
}

impl Conf for ProxyProtocol {
    const SLOT: usize = slot::REMOTEIP + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

impl Listener {
    fn covers(&self, ip: Option<IpAddr>, port: Option<u16>) -> bool {
        (self.ip.is_none() || ip.is_none() || self.ip == ip)
            && (self.port.is_none() || port.is_none() || self.port == port)
    }

    fn shown(&self) -> String {
        let ip = self.ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
        format!("{ip}:{}", self.port.unwrap_or(0))
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("RemoteIPHeader", Places::SERVER, Shape::Take1, header, "Specifies a request header to trust as the client IP, e.g. X-Forwarded-For"),
    row("RemoteIPProxiesHeader", Places::SERVER, Shape::Take1, proxies_header, "Specifies a request header to record proxy IP's, e.g. X-Forwarded-By; if not given then do not record"),
    row("RemoteIPTrustedProxy", Places::SERVER, Shape::Iterate, proxy, "Specifies one or more proxies which are trusted to present IP headers"),
    row("RemoteIPInternalProxy", Places::SERVER, Shape::Iterate, proxy, "Specifies one or more internal (transparent) proxies which are trusted to present IP headers"),
    row("RemoteIPTrustedProxyList", Places::SERVER, Shape::Take1, proxy_list, "The filename to read the list of trusted proxies, see the RemoteIPTrustedProxy directive"),
    row("RemoteIPInternalProxyList", Places::SERVER, Shape::Take1, proxy_list, "The filename to read the list of internal proxies, see the RemoteIPInternalProxy directive"),
    row("RemoteIPProxyProtocol", Places::SERVER, Shape::Flag, protocol, "Enable PROXY protocol handling ('on', 'off')"),
    row("RemoteIPProxyProtocolExceptions", Places::SERVER, Shape::Argv, exceptions, "Disable PROXY protocol handling for this list of networks in CIDR format"),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[Hook {
    phase: Phase::PostRead,
    order: -10,
    // A connection's header counts whatever its server says.
    wants: |_, _| true,
    run: Run::Now(find_client),
}];

fn header(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.server_conf::<RemoteIp>().header = Some(args.word(0).into());
    Ok(())
}

fn proxies_header(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.server_conf::<RemoteIp>().proxies_header = Some(args.word(0).into());
    Ok(())
}

/// An address or a network.
fn network(word: &[u8]) -> Result<Vec<Subnet>, String> {
    let wrong = |why: &str| Err(format!("({why} error)"));
    match Subnet::parse(word) {
        Ok(net) => Ok(vec![net]),
        Err(SubnetError::Mask) => wrong("The specified network mask is invalid."),
        Err(SubnetError::Address) if word.first() == Some(&b'/') => wrong("Invalid argument"),
        Err(SubnetError::Address) => wrong("The specified IP address is invalid."),
        Err(SubnetError::NotAnAddress) if word.contains(&b'/') => {
            let mask = word.splitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
            Err(format!("the subnet /{} is invalid", latin1(mask)))
        }
        // A host name is looked up.
        Err(SubnetError::NotAnAddress) => match (latin1(word).as_str(), 0u16).to_socket_addrs() {
            Ok(found) if found.len() > 0 => Ok(found
                .filter_map(|found| Subnet::parse(found.ip().to_canonical().to_string().as_bytes()).ok())
                .collect()),
            _ => wrong("Name or service not known"),
        },
    }
}

/// `RemoteIPTrustedProxy` and `RemoteIPInternalProxy`, one word at a time.
fn proxy(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let nets = network(args.word(0))
        .map_err(|why| format!("RemoteIP: Error parsing IP {} {why} for {}", args.text(0), cmd.directive.name))?;
    add(cmd, nets);
    Ok(())
}

fn add(cmd: &mut Cmd<'_>, nets: Vec<Subnet>) {
    let internal = cmd.directive.name.starts_with("RemoteIPInternal");
    cmd.server_conf::<RemoteIp>().proxies.extend(nets.into_iter().map(|net| Proxy { net, internal }));
}

/// The same from a file.
fn proxy_list(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let name = cmd.directive.name;
    let (text, shown) = check::contents(cmd, args)?;
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.first() == Some(&b'#') {
            continue;
        }
        for word in get_words(line) {
            let nets = network(&word).map_err(|why| {
                let word = latin1(&word);
                format!("RemoteIP: Error parsing IP {word} {why} for {name} at line {} of {shown}", at + 1)
            })?;
            add(cmd, nets);
        }
    }
    Ok(())
}

/// `RemoteIPProxyProtocolExceptions`.
fn exceptions(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    if args.words.is_empty() {
        return Err("RemoteIPProxyProtocolExceptions requires an argument".to_owned());
    }
    for word in args.words {
        // The mask is cut off before the address is looked at.
        let (shown, why) = match Subnet::parse(word) {
            Ok(net) => {
                cmd.globals.conf.get_mut::<ProxyProtocol>().exceptions.add(net);
                continue;
            }
            Err(error) => (word.split(|byte| *byte == b'/').next().unwrap_or_default(), error.to_string()),
        };
        let shown = latin1(shown);
        let why = if why.is_empty() || shown.is_empty() { String::new() } else { format!(": {why}") };
        return Err(format!("ip address '{shown}' appears to be invalid{why}"));
    }
    Ok(())
}

/// `RemoteIPProxyProtocol`, for all addresses of the server it stands in.
fn protocol(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let name = cmd.server.rec.name.as_deref().map_or_else(|| "(null)".to_owned(), latin1);
    let server = |port: Option<u16>, at: &str| format!("{name}:{} in {at}", port.unwrap_or(0));
    let own: Vec<Listener> = match cmd.is_virtual() {
        false => vec![Listener { ip: None, port: None, server: server(cmd.server.rec.port, "(null)") }],
        true => {
            let at = cmd.server.at.file.clone();
            let listener = |addr: &crate::config::VhostAddr| Listener {
                ip: addr.ip,
                port: addr.port,
                server: server(cmd.server.rec.port, &at),
            };
            cmd.server.addrs.iter().map(listener).collect()
        }
    };
    let on = args.on();
    let mut said = Vec::new();
    let conf = cmd.globals.conf.get_mut::<ProxyProtocol>();
    let (list, opposite) = if on { (&mut conf.on, &mut conf.off) } else { (&mut conf.off, &mut conf.on) };
    for listener in own {
        opposite.retain(|old| {
            let same = (old.ip, old.port) == (listener.ip, listener.port);
            if same {
                said.push(format!(
                    "AH03491: RemoteIPProxyProtocol: previous setting for {} from virtual host {{{}}} is being overridden \
                     by virtual host {{{}}}; new setting is '{}'",
                    old.shown(),
                    old.server,
                    listener.server,
                    if on { "On" } else { "Off" }
                ));
            }
            !same
        });
        if !list.iter().any(|old| old.covers(listener.ip, listener.port)) {
            list.push(listener);
        }
    }
    said.into_iter().for_each(|text| cmd.warn("remoteip", "notice", text));
    Ok(())
}

/// Says in the log where PROXY headers are expected, and which lists are joined.
fn announce(post: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let mut said = Vec::new();
    let mut say = |level, text| said.push(Warning { module: "remoteip", level, text, bare: false });
    for server in post.servers.iter().filter(|server| server.get::<RemoteIp>().is_some_and(|conf| conf.merged)) {
        let text =
            "AH10633: RemoteIP proxy entries are configured in both the main server and the virtual host defined at";
        say("warn", format!("{text} {}:{}, they are merged", server.at.file, server.at.line));
    }
    if let Some(conf) = post.globals.conf.get::<ProxyProtocol>() {
        for listener in &conf.on {
            say("notice", format!("AH03492: RemoteIPProxyProtocol: enabled on {}", listener.shown()));
        }
        for listener in &conf.off {
            say("notice", format!("AH03494: RemoteIPProxyProtocol: disabled on {}", listener.shown()));
        }
    }
    // httpd configures itself twice when it starts.
    let again = if post.globals.reloading { Vec::new() } else { said.clone() };
    post.globals.said.extend(said.into_iter().chain(again));
    Ok(())
}

/// Whether a connection to `local` begins with a PROXY header.
pub fn is_proxied(globals: &Globals, local: SocketAddr, peer: SocketAddr) -> bool {
    let Some(conf) = globals.conf.get::<ProxyProtocol>() else { return false };
    let (ip, port) = (Some(local.ip().to_canonical()), Some(local.port()));
    let covers = |list: &[Listener]| list.iter().any(|listener| listener.covers(ip, port));
    covers(&conf.on) && !covers(&conf.off) && !conf.exceptions.contains(peer.ip())
}

/// Post-read: the client is whom the PROXY header or the field names.
fn find_client(ex: &mut Exchange) -> Outcome {
    let conn = ex.conn.clone();
    if let Some((ip, port)) = conn.forwarded.get() {
        ex.client_ip.clear();
        ex.client_ip.extend_from_slice(ip);
        ex.client_port = *port;
        logs::error!(ex, Level::Trace1, "remoteip", "Using {} as client's IP from PROXY protocol", Bytes(ip));
        return Outcome::Ok;
    }
    let live = ex.live.clone();
    let Some(conf) = live.generation.servers.get(ex.server).and_then(|server| server.get::<RemoteIp>()) else {
        return Outcome::Declined;
    };
    let Some(name) = &conf.header else { return Outcome::Declined };
    let Some(value) = ex.headers_in.get(name).map(<[u8]>::to_vec) else { return Outcome::Ok };
    let found = walk(ex, conf, name, &value, conn.peer.ip().to_canonical());
    let Some(client) = found.client else { return Outcome::Ok };
    match found.rest {
        Some(rest) => ex.headers_in.set(name, rest),
        None => {
            ex.headers_in.unset(name);
        }
    }
    ex.client_ip.clear();
    ex.client_ip.extend_from_slice(client.to_string().as_bytes());
    if found.proxies.is_empty() {
        let client = Bytes(&ex.client_ip);
        logs::error!(ex, Level::Trace1, "remoteip", "Using {} as client's IP by internal proxies", client);
        return Outcome::Ok;
    }
    ex.notes.set(b"remoteip-proxy-ip-list", &found.proxies);
    if let Some(name) = &conf.proxies_header {
        ex.headers_in.set(name, &found.proxies);
    }
    let (client, proxies) = (Bytes(&ex.client_ip), Bytes(&found.proxies));
    logs::error!(ex, Level::Trace1, "remoteip", "Using {} as client's IP by proxies {}", client, proxies);
    Outcome::Ok
}

/// What a field says.
struct Found<'a> {
    client: Option<IpAddr>,
    /// What is left of the field.
    rest: Option<&'a [u8]>,
    /// Who passed it on, without our own.
    proxies: Vec<u8>,
}

/// Goes through the addresses of the field from the last to the first, for as long as whoever names one is trusted.
fn walk<'a>(ex: &Exchange, conf: &RemoteIp, name: &[u8], value: &'a [u8], peer: IpAddr) -> Found<'a> {
    let mut found = Found { client: None, rest: Some(value), proxies: Vec::new() };
    let (mut at, mut internal) = (peer, false);
    while let Some(rest) = found.rest {
        match conf.proxies.iter().find(|proxy| proxy.net.contains(at)) {
            Some(proxy) => internal = proxy.internal,
            None if conf.proxies.is_empty() => {}
            None => break,
        }
        let comma = memchr::memrchr(b',', rest);
        let word = rest.get(comma.map_or(0, |comma| comma + 1)..).unwrap_or_default();
        let start = word.iter().position(|byte| *byte != b' ').unwrap_or(word.len());
        let end = word.iter().rposition(|byte| *byte != b' ').map_or(start, |last| last + 1);
        let word = word.get(start..end).unwrap_or_default();
        let (header, shown) = (Bytes(name), Bytes(word));
        if word.is_empty() {
            break;
        }
        // A name is not looked up: its answer would be the client's choice, and waiting for it ours.
        let text = std::str::from_utf8(word).ok();
        let ip = text.and_then(|text| text.parse().ok().or_else(|| short_address(text).map(IpAddr::V4)));
        let ip = ip.map(|ip: IpAddr| ip.to_canonical());
        let Some(ip) = ip else {
            let text = "cannot be parsed as a client IP";
            logs::error!(
                ex,
                Level::Debug,
                "remoteip",
                "AH01568: RemoteIP: Header {} value of {} {}",
                header,
                shown,
                text
            );
            break;
        };
        if !internal && !is_public(ip) {
            let text = "appears to be a private IP or nonsensical.  Ignored";
            logs::error!(
                ex,
                Level::Debug,
                "remoteip",
                "AH01569: RemoteIP: Header {} value of {} {}",
                header,
                shown,
                text
            );
            break;
        }
        if !internal {
            if !found.proxies.is_empty() {
                found.proxies.extend_from_slice(b", ");
            }
            found.proxies.extend_from_slice(at.to_string().as_bytes());
        }
        found.client = Some(ip);
        at = ip;
        found.rest = comma.and_then(|comma| rest.get(..comma));
    }
    found
}

/// An address that may come from outside.
/// An IPv4 address in fewer than four parts, in octal or in hexadecimal digits, as the C library reads them: the last
/// part fills what is left.
fn short_address(text: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| match part.as_bytes() {
        [b'0', b'x' | b'X', ..] => u32::from_str_radix(part.get(2..)?, 16).ok(),
        [b'0', _, ..] => u32::from_str_radix(part, 8).ok(),
        [b'0'..=b'9', ..] => part.parse().ok(),
        _ => None,
    };
    let parts = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, front) = parts.split_last()?;
    let left = 4usize.checked_sub(front.len()).filter(|left| *left > 0)?;
    if front.iter().any(|part| *part > 255) || (left < 4 && *last >> (8 * left) != 0) {
        return None;
    }
    let above = front.iter().fold(0u32, |sum, part| sum << 8 | part);
    let above = if left == 4 { 0 } else { above << (8 * left) };
    Some(Ipv4Addr::from(above | last))
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_private() && !ip.is_link_local() && !ip.is_loopback(),
        IpAddr::V6(ip) => ip.octets()[0] & 0xe0 == 0x20,
    }
}
