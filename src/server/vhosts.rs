//! `-S`: the virtual hosts by address.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::config::{Server, VhostAddr, latin1};

/// One address with its hosts.
struct Entry<'a> {
    ip: Option<IpAddr>,
    port: Option<u16>,
    hosts: Vec<&'a Server>,
}

/// The dump of `DUMP_VHOSTS`.
pub(super) fn dump(servers: &[Server]) -> String {
    let mut out = "VirtualHost configuration:\n".to_owned();
    // httpd's order: it walks the last virtual host first. Explicit addresses by the buckets of its table, each behind
    // those before; then the others, each in front of those before.
    let mut buckets: Vec<Vec<Entry<'_>>> = std::iter::repeat_with(Vec::new).take(256).collect();
    let mut wild: Vec<Entry<'_>> = Vec::new();
    for server in servers.iter().skip(1).rev() {
        for addr in &server.addrs {
            let ip = explicit(addr);
            let list = match ip.and_then(|ip| buckets.get_mut(bucket(ip))) {
                Some(list) => list,
                None => &mut wild,
            };
            match list.iter_mut().find(|entry| entry.ip == ip && entry.port == addr.port) {
                Some(entry) => entry.hosts.insert(0, server),
                None => {
                    let entry = Entry { ip, port: addr.port, hosts: vec![server] };
                    if ip.is_some() { list.push(entry) } else { list.insert(0, entry) }
                }
            }
        }
    }
    for entry in buckets.iter().flatten().chain(&wild) {
        show(&mut out, entry);
    }
    out
}

fn explicit(addr: &VhostAddr) -> Option<IpAddr> {
    addr.ip.filter(|ip| !ip.is_unspecified())
}

fn bucket(ip: IpAddr) -> usize {
    let last = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().iter().skip(12).copied().collect(),
    };
    usize::from(last.iter().fold(0, |sum, byte| sum ^ byte))
}

fn show(out: &mut String, entry: &Entry<'_>) {
    let port = entry.port.map_or_else(|| "*".to_owned(), |port| port.to_string());
    let address = match entry.ip {
        None => format!("*:{port}"),
        Some(IpAddr::V4(ip)) => format!("{ip}:{port}"),
        Some(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
    };
    let place = |server: &Server| {
        let name = latin1(server.rec.name.as_deref().unwrap_or_default());
        format!("{name} ({}:{})", server.at.file, server.at.line)
    };
    match entry.hosts.as_slice() {
        [only] => {
            let _ = writeln!(out, "{address:<22} {}", place(only));
        }
        hosts => {
            let _ = writeln!(out, "{address:<22} is a NameVirtualHost");
            if let Some(first) = hosts.first() {
                let _ = writeln!(out, "         default server {}", place(first));
            }
            for host in hosts {
                let _ = writeln!(out, "         port {port} namevhost {}", place(host));
                for alias in &host.rec.aliases {
                    let _ = writeln!(out, "                 alias {}", latin1(alias));
                }
                for alias in &host.rec.wild_aliases {
                    let _ = writeln!(out, "                 wild alias {}", latin1(alias));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Position;

    fn host(name: &str, line: u32, addrs: &[&str]) -> Server {
        let addr = |text: &&str| {
            let (ip, port) = text.rsplit_once(':').unwrap();
            VhostAddr { ip: ip.parse().ok(), port: port.parse().ok(), text: (*text).to_owned() }
        };
        let mut server = Server {
            at: Position { file: "v.conf".into(), line },
            addrs: addrs.iter().map(addr).collect(),
            ..Server::default()
        };
        server.rec.name = Some(name.as_bytes().to_vec());
        server
    }

    #[test]
    fn addresses_come_in_httpds_order() {
        let mut named = host("b.test", 9, &["*:80"]);
        named.rec.aliases.push(b"c.test".to_vec());
        named.rec.wild_aliases.push(b"*.d.test".to_vec());
        let servers = [
            Server::default(),
            host("a.test", 1, &["*:80", "127.0.0.1:80", "127.0.0.2:80"]),
            named,
            host("e.test", 20, &["::1:*"]),
        ];
        let lines = [
            "VirtualHost configuration:",
            "[::1]:*                e.test (v.conf:20)",
            "127.0.0.2:80           a.test (v.conf:1)",
            "127.0.0.1:80           a.test (v.conf:1)",
            "*:80                   is a NameVirtualHost",
            "         default server a.test (v.conf:1)",
            "         port 80 namevhost a.test (v.conf:1)",
            "         port 80 namevhost b.test (v.conf:9)",
            "                 alias c.test",
            "                 wild alias *.d.test",
        ];
        assert_eq!(dump(&servers), lines.join("\n") + "\n");
    }
}
