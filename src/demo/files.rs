//! What the demo's processes run: the vhost file that is in `conf/`, a short file around it, and a server.xml for each
//! node, with ports that are free.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use crate::tribes;
use crate::tribes::config::McastConfig;

/// The nodes, as the vhost file's routes name them.
pub(super) const NODES: [&str; 2] = ["tomcat1", "tomcat2"];

/// The site, as it is shipped.
const VHOSTS: &str = include_str!("../../conf/extra/httpd-vhosts.conf");

/// Its port, and those of the connectors behind it.
const PROXY: u16 = 8081;
const AJP: [u16; 2] = [8009, 8010];

/// Tribes' own, as in Tomcat.
const RECEIVERS: [u16; 2] = [4000, 4001];
const GROUP: u16 = 45564;

/// How far from its own number a port may be when that is taken.
const FAR: u16 = 200;

const HTTPD: &str = r#"# The proxy of "tandem demo": what surrounds the site in extra/httpd-vhosts.conf.
<IfModule !mpm_event_module>
  LoadModule mpm_event_module modules/mod_mpm_event.so
</IfModule>
<IfModule !log_config_module>
  LoadModule log_config_module modules/mod_log_config.so
</IfModule>
<IfModule !unixd_module>
  LoadModule unixd_module modules/mod_unixd.so
</IfModule>
LoadModule authz_core_module modules/mod_authz_core.so
ServerName localhost
PidFile conf/logs/httpd.pid
ErrorLog conf/logs/error_log
LogLevel warn
# Started as root, connections are served by somebody who may do nothing.
User #65534
Group #65534
Include conf/extra/httpd-vhosts.conf
"#;

const SERVER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- A node of "tandem demo". A Tomcat runs this file as well (without the Context in it). -->
<Server port="-1">
  <Service name="Catalina">
    <Connector port="@AJP@" address="127.0.0.1" protocol="AJP/1.3" secretRequired="false"/>
    <Engine name="Catalina" defaultHost="localhost" jvmRoute="@NAME@">
      <Cluster className="org.apache.catalina.ha.tcp.SimpleTcpCluster" channelSendOptions="6">
        <Manager className="org.apache.catalina.ha.session.DeltaManager" expireSessionsOnShutdown="false"/>
        <Channel className="org.apache.catalina.tribes.group.GroupChannel">
@MEMBERSHIP@
          <Receiver className="org.apache.catalina.tribes.transport.nio.NioReceiver" address="127.0.0.1" port="@RECEIVER@"/>
          <Sender className="org.apache.catalina.tribes.transport.ReplicationTransmitter">
            <Transport className="org.apache.catalina.tribes.transport.nio.PooledParallelSender"/>
          </Sender>
          <Interceptor className="org.apache.catalina.tribes.group.interceptors.TcpFailureDetector"/>
          <Interceptor className="org.apache.catalina.tribes.group.interceptors.MessageDispatchInterceptor"/>
        </Channel>
        <Valve className="org.apache.catalina.ha.tcp.ReplicationValve" filter=".*\.(?:gif|jpg|png|css|js)"/>
        <Valve className="org.apache.catalina.ha.session.JvmRouteBinderValve"/>
        <ClusterListener className="org.apache.catalina.ha.session.ClusterSessionListener"/>
      </Cluster>
      <Host name="localhost" appBase="webapps">
        <Context path="/cluster" docBase="tandem:session-page"/>
        <Valve className="org.apache.catalina.valves.AccessLogValve" directory="logs" prefix="localhost_access_log"
               suffix=".txt" pattern="common"/>
      </Host>
    </Engine>
  </Service>
</Server>
"#;

const WELCOME: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta http-equiv=\"refresh\" content=\"0;url=/cluster/\">\n\
<title>Tandem</title>\n<p><a href=\"/cluster/\">The session page</a></p>\n</html>\n";

/// Where everything is.
#[derive(Debug)]
pub(super) struct Plan {
    /// The folder.
    pub(super) dir: PathBuf,
    /// The proxy's port.
    pub(super) proxy: u16,
    /// The nodes' AJP ports.
    pub(super) ajp: [u16; 2],
    receivers: [u16; 2],
    /// The group's port, where nodes find each other by multicast.
    pub(super) group: Option<u16>,
}

impl Plan {
    /// Ports that are free now.
    pub(super) fn new(dir: &Path, port: u16, fixed: bool) -> io::Result<Self> {
        let mut taken = Vec::new();
        let mut tcp = |from| free(from, &mut taken, |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
        let (proxy, ajp) = (tcp(port)?, [tcp(AJP[0])?, tcp(AJP[1])?]);
        let receivers = [tcp(RECEIVERS[0])?, tcp(RECEIVERS[1])?];
        let group = free(GROUP, &mut Vec::new(), |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok())?;
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mcast = McastConfig { port: group, bind: Some(here), ..McastConfig::default() };
        let works = !fixed && tribes::multicast_works(&mcast, here);
        Ok(Self { dir: dir.to_owned(), proxy, ajp, receivers, group: works.then_some(group) })
    }

    /// A node's folder.
    pub(super) fn node(&self, index: usize) -> PathBuf {
        self.dir.join(NODES.get(index).copied().unwrap_or_default())
    }

    /// The files.
    pub(super) fn write(&self) -> io::Result<()> {
        let write = |path: &str, text: &str| {
            let path = self.dir.join(path);
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(path, text)
        };
        std::fs::create_dir_all(self.dir.join("conf/logs"))?;
        write("conf/httpd.conf", HTTPD)?;
        write("conf/extra/httpd-vhosts.conf", &self.vhosts())?;
        for (index, name) in NODES.iter().enumerate() {
            std::fs::create_dir_all(self.node(index).join("logs"))?;
            write(&format!("{name}/webapps/ROOT/index.html"), WELCOME)?;
            write(&format!("{name}/conf/server.xml"), &self.server(index))?;
        }
        Ok(())
    }

    /// The shipped site with this plan's ports, on loopback only; a node that comes back is asked again after a second
    /// instead of after a minute.
    fn vhosts(&self) -> String {
        let mut text = VHOSTS
            .replace(&format!("\nListen {PROXY}\n"), &format!("\nListen 127.0.0.1:{}\n", self.proxy))
            .replace(&format!("<VirtualHost *:{PROXY}>"), &format!("<VirtualHost *:{}>", self.proxy));
        for ((port, own), name) in AJP.iter().zip(self.ajp).zip(NODES) {
            let member = |port| format!("BalancerMember ajp://127.0.0.1:{port} loadfactor=1 route={name}");
            text = text.replace(&member(*port), &format!("{} retry=1", member(own)));
        }
        text
    }

    fn server(&self, index: usize) -> String {
        let at = |ports: &[u16; 2]| ports.get(index).copied().unwrap_or_default().to_string();
        SERVER
            .replace("@NAME@", NODES.get(index).copied().unwrap_or_default())
            .replace("@AJP@", &at(&self.ajp))
            .replace("@RECEIVER@", &at(&self.receivers))
            .replace("@MEMBERSHIP@", &self.membership(index))
    }

    fn membership(&self, index: usize) -> String {
        const CLASSES: &str = "org.apache.catalina.tribes.membership.";
        if let Some(port) = self.group {
            return format!(
                "          <Membership className=\"{CLASSES}McastService\" address=\"228.0.0.4\" port=\"{port}\" bind=\"127.0.0.1\"\n\
                 \x20                     frequency=\"500\" dropTime=\"3000\"/>"
            );
        }
        let members = self.receivers.iter().enumerate().map(|(other, port)| {
            let kind = if other == index { "LocalMember" } else { "Member" };
            let id = format!("{{{}}}", [other + 1; 16].map(|byte| byte.to_string()).join(","));
            format!(
                "            <{kind} className=\"{CLASSES}StaticMember\" host=\"127.0.0.1\" port=\"{port}\" uniqueId=\"{id}\"/>\n"
            )
        });
        format!(
            "          <Membership className=\"{CLASSES}StaticMembershipService\">\n{}          </Membership>",
            members.collect::<String>()
        )
    }
}

/// The first port from `from` on that is free and not `taken`; from 0 on, any.
fn free(from: u16, taken: &mut Vec<u16>, is_free: impl Fn(u16) -> bool) -> io::Result<u16> {
    let from = if from == 0 { PROXY } else { from };
    let found = (from..from.saturating_add(FAR)).find(|port| !taken.contains(port) && is_free(*port));
    let port = found.ok_or_else(|| io::Error::other(format!("no port from {from} on is free")))?;
    taken.push(port);
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(group: Option<u16>) -> Plan {
        Plan { dir: "/nowhere".into(), proxy: 1, ajp: [2, 3], receivers: [4, 5], group }
    }

    /// The site is the shipped one but for its ports, and no port of that is left.
    #[test]
    fn the_site_gets_the_plans_ports() {
        let text = plan(None).vhosts();
        for line in [
            "\nListen 127.0.0.1:1\n",
            "<VirtualHost *:1>\n",
            "ajp://127.0.0.1:2 loadfactor=1 route=tomcat1 retry=1\n",
            "ajp://127.0.0.1:3 loadfactor=1 route=tomcat2 retry=1\n",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
        let left = text.lines().filter(|line| !line.starts_with('#'));
        assert!(left.clone().all(|line| !["8081", "8009", "8010"].iter().any(|port| line.contains(port))));
        assert_eq!(left.count(), VHOSTS.lines().filter(|line| !line.starts_with('#')).count());
    }

    #[test]
    fn nodes_differ_in_name_and_ports_and_know_each_other() {
        let by_group = plan(Some(6)).server(1);
        assert!(by_group.contains("jvmRoute=\"tomcat2\"") && by_group.contains("port=\"6\" bind=\"127.0.0.1\""));
        let fixed = plan(None).server(0);
        assert!(fixed.contains("<LocalMember") && fixed.contains("port=\"4\" uniqueId=\"{1,1,"), "{fixed}");
        assert!(fixed.contains("<Member ") && fixed.contains("port=\"5\" uniqueId=\"{2,2,"), "{fixed}");
        assert!(!fixed.contains('@'), "{fixed}");
    }
}
