//! Names of servers that the configuration does not name.

use std::fs;
use std::net::{IpAddr, ToSocketAddrs as _};

use crate::config::{Server, VhostAddr, Warning, latin1};

/// Gives a name to each server that has none: the main server that of the machine, with a warning; a virtual host on
/// every address the main server's, another one the reverse name of its address. Its port is then that of its first
/// address.
pub(super) fn fix(servers: &mut [Server], program: &str, warnings: &mut Vec<Warning>) {
    let Some((main, hosts)) = servers.split_first_mut() else { return };
    if main.rec.name.is_none() {
        let name = local_host(program, warnings);
        main.rec.name = Some(name.into_bytes());
    }
    // The last one first, as httpd complains.
    for host in hosts.iter_mut().rev().filter(|host| host.rec.name.is_none()) {
        let explicit = |addr: &VhostAddr| addr.ip.filter(|ip| !ip.is_unspecified());
        let on_all = host.addrs.iter().any(|addr| explicit(addr).is_none());
        let ip = host.addrs.iter().find_map(explicit).filter(|_| !on_all);
        host.rec.port = host.addrs.first().and_then(|addr| addr.port);
        host.rec.name = match ip {
            None => main.rec.name.clone(),
            Some(ip) => match reverse(ip) {
                Some(name) => Some(name.into_bytes()),
                None => {
                    let text = format!(
                        "(EAI 2)Name or service not known: AH00549: Failed to resolve server name for {ip} (check DNS) \
                         -- or specify an explicit ServerName"
                    );
                    warnings.push(Warning { module: "core", level: "error", text, bare: false });
                    Some(b"bogus_host_without_reverse_dns".to_vec())
                }
            },
        };
    }
}

/// The machine's name if it is a full one, its address otherwise.
fn local_host(program: &str, warnings: &mut Vec<Warning>) -> String {
    let mut bare = |level, text| warnings.push(Warning { module: "core", level, text, bare: true });
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let ip = (host.as_str(), 0u16).to_socket_addrs().ok().and_then(|mut addrs| addrs.next()).map(|addr| addr.ip());
    let name = match ip {
        Some(ip) => {
            if let Some(name) = reverse(ip).filter(|name| name.contains('.')) {
                return name;
            }
            if host.contains('.') { host } else { ip.to_string() }
        }
        None => {
            bare("alert", format!("AH00557: {program}: apr_sockaddr_info_get() failed for {host}"));
            "127.0.0.1".to_owned()
        }
    };
    bare(
        "alert",
        format!(
            "AH00558: {program}: Could not reliably determine the server's fully qualified domain name, using {name}. \
             Set the 'ServerName' directive globally to suppress this message"
        ),
    );
    name
}

/// The first name of an address in the system's table of hosts.
fn reverse(ip: IpAddr) -> Option<String> {
    let table = fs::read("/etc/hosts").ok()?;
    for line in table.split(|byte| *byte == b'\n') {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let line = latin1(line);
        let mut words = line.split_ascii_whitespace();
        if words.next().and_then(|word| word.parse::<IpAddr>().ok()) == Some(ip) {
            return words.next().map(str::to_owned);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_host_without_name_takes_the_main_servers_on_any_address() {
        let mut main = Server::default();
        main.rec.name = Some(b"main.test".to_vec());
        let any = VhostAddr { ip: None, port: Some(80), text: "*:80".to_owned() };
        let far = VhostAddr { ip: Some("192.0.2.9".parse().unwrap()), port: None, text: "192.0.2.9".to_owned() };
        let host = |addr| Server { addrs: vec![addr], ..Server::default() };
        let mut servers = [main, host(any), host(far)];
        let mut warnings = Vec::new();
        fix(&mut servers, "tandem", &mut warnings);
        assert_eq!(servers[1].rec.name.as_deref(), Some(&b"main.test"[..]));
        assert_eq!(servers[2].rec.name.as_deref(), Some(&b"bogus_host_without_reverse_dns"[..]));
        assert!(warnings.len() == 1 && warnings[0].text.contains("AH00549"));
    }
}
