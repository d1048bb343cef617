//! The servers: how each is configured one way and the other, started, and told to reload.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::clients::Target;

/// Members of the balancer: the first is there in both ways, the second in one, the third in the other.
#[derive(Clone, Copy, Default)]
pub struct Members {
    pub kept: u16,
    pub odd: u16,
    pub even: u16,
    pub sockets: u16,
}

/// One kind of server.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    pub configure: fn(&Server, bool) -> String,
    reload: Signal,
    /// HTTP/2 by prior knowledge has a port of its own.
    two_ports: bool,
}

pub const KINDS: [Kind; 4] = [
    Kind {
        name: "tandem",
        program: "",
        args: &["-f", "main.conf", "-DFOREGROUND", "-d"],
        configure: httpd,
        reload: Signal::SIGUSR1,
        two_ports: false,
    },
    Kind {
        name: "httpd",
        program: "apache2",
        args: &["-f", "main.conf", "-DFOREGROUND", "-d"],
        configure: httpd,
        reload: Signal::SIGUSR1,
        two_ports: false,
    },
    Kind {
        name: "nginx",
        program: "nginx",
        args: &["-c", "main.conf", "-g", "daemon off;", "-p"],
        configure: nginx,
        reload: Signal::SIGHUP,
        two_ports: true,
    },
    Kind {
        name: "haproxy",
        program: "haproxy",
        args: &["-W", "-f", "main.conf", "-C"],
        configure: haproxy,
        reload: Signal::SIGUSR2,
        two_ports: true,
    },
];

/// A server that runs.
pub struct Server {
    kind: Kind,
    pub root: PathBuf,
    members: Members,
    pub target: Target,
    child: Option<Child>,
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

impl Server {
    /// Starts one in `root`; `program` in place of its own. The error says what is missing.
    pub fn start(kind: Kind, root: &Path, program: Option<&Path>, members: Members) -> Result<Self, String> {
        let http1 = free_port();
        let target = Target { http1, http2: if kind.two_ports { free_port() } else { http1 } };
        let mut server = Self { kind, root: root.join(kind.name), members, target, child: None };
        fs::create_dir_all(server.root.join("logs")).unwrap();
        fs::create_dir_all(server.root.join("htdocs")).unwrap();
        server.configure(false);
        let program = program.map_or_else(|| PathBuf::from(kind.program), Path::to_path_buf);
        let console = File::create(server.root.join("console")).unwrap();
        let child = Command::new(&program)
            .args(kind.args)
            .arg(&server.root)
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn();
        server.child = Some(child.map_err(|error| format!("{}: {error}", program.display()))?);
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, target.http1)).is_err() {
            if Instant::now() > until {
                let said = fs::read_to_string(server.root.join("console")).unwrap_or_default();
                return Err(format!("{} does not listen: {said}", kind.name));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn configure(&self, odd: bool) {
        fs::write(self.root.join("main.conf"), (self.kind.configure)(self, odd)).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.as_ref().map_or(0, Child::id).cast_signed())
    }

    /// Has it read one of the two configurations.
    pub fn reload(&self, odd: bool) {
        self.configure(odd);
        kill(self.pid(), self.kind.reload).unwrap();
    }

    /// How many times it has said that it goes on with a configuration (ours and httpd).
    pub fn loaded(&self) -> usize {
        fs::read_to_string(self.root.join("logs/error")).unwrap_or_default().matches("AH00489").count()
    }

    /// Ends it; its access log.
    pub fn stop(mut self) -> String {
        self.end();
        let mut all = String::new();
        for log in ["logs/odd", "logs/even", "console"] {
            all += &fs::read_to_string(self.root.join(log)).unwrap_or_default();
        }
        all
    }

    fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_raw(child.id().cast_signed());
        let _ = kill(pid, Signal::SIGTERM);
        let until = Instant::now() + Duration::from_secs(15);
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether root starts the servers, which then become somebody else.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn httpd(server: &Server, odd: bool) -> String {
    let mut text = String::new();
    for module in [
        "mpm_event",
        "authz_core",
        "log_config",
        "unixd",
        "http2",
        "proxy",
        "proxy_http",
        "proxy_wstunnel",
        "proxy_balancer",
        "slotmem_shm",
        "lbmethod_byrequests",
    ] {
        let _ = writeln!(
            text,
            "<IfModule !{module}_module>\nLoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n</IfModule>"
        );
    }
    let Members { kept, odd: one, even: other, sockets } = server.members;
    let (member, log) = if odd { (one, "odd") } else { (other, "even") };
    let root = server.root.display();
    let _ = write!(
        text,
        "ServerRoot {root}\nListen 127.0.0.1:{}\nServerName main\nPidFile pid\nErrorLog logs/error\n\
         DocumentRoot htdocs\nProtocols h2c http/1.1\nH2MaxSessionStreams 100\nKeepAlive On\nKeepAliveTimeout 60\n\
         MaxKeepAliveRequests 0\nCustomLog logs/{log} \"%U %>s\"\n<Proxy balancer://all>\n\
         BalancerMember http://127.0.0.1:{kept}\nBalancerMember http://127.0.0.1:{member}\n</Proxy>\n\
         <VirtualHost *:*>\nServerName main\nProxyPass /ws ws://127.0.0.1:{sockets}/\nProxyPass /p balancer://all/\n\
         </VirtualHost>\n<VirtualHost *:*>\nServerName {log}\n</VirtualHost>\n",
        server.target.http1
    );
    if is_root() {
        text += "User www-data\nGroup www-data\n";
    }
    text
}

fn nginx(server: &Server, odd: bool) -> String {
    let Members { kept, odd: one, even: other, sockets } = server.members;
    let (member, log) = if odd { (one, "odd") } else { (other, "even") };
    let Target { http1, http2 } = server.target;
    let user = if is_root() { "user www-data;\n" } else { "" };
    format!(
        "{user}worker_processes auto;\npid pid;\nerror_log logs/error;\nevents {{ worker_connections 4096; }}\nhttp {{\n\
         log_format l '$uri $status';\naccess_log logs/{log} l;\nkeepalive_timeout 60s;\nkeepalive_requests 1000000;\n\
         upstream all {{ server 127.0.0.1:{kept}; server 127.0.0.1:{member}; keepalive 64; }}\nserver {{\n\
         listen 127.0.0.1:{http1};\nlisten 127.0.0.1:{http2} http2;\nserver_name main;\nlocation /ws {{\n\
         proxy_pass http://127.0.0.1:{sockets};\nproxy_http_version 1.1;\nproxy_set_header Upgrade $http_upgrade;\n\
         proxy_set_header Connection upgrade;\n}}\nlocation /p {{\nproxy_pass http://all;\nproxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\n}}\n}}\nserver {{ listen 127.0.0.1:{http1}; server_name {log}; }}\n}}\n"
    )
}

fn haproxy(server: &Server, odd: bool) -> String {
    let Members { kept, odd: one, even: other, sockets } = server.members;
    let (member, log) = if odd { (one, "odd") } else { (other, "even") };
    let Target { http1, http2 } = server.target;
    format!(
        "global\n  log stdout format raw local0\n  stats socket {}/admin.sock expose-fd listeners\ndefaults\n  mode http\n\
         \x20 log global\n  log-format \"%HPO %ST\"\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n\
         \x20 timeout tunnel 1h\n  timeout http-keep-alive 60s\nfrontend f\n  bind 127.0.0.1:{http1}\n\
         \x20 bind 127.0.0.1:{http2} proto h2\n  acl {log} hdr(host) -i {log}\n  http-request deny if {log}\n\
         \x20 use_backend ws if {{ path_beg /ws }}\n  default_backend all\nbackend ws\n  server s 127.0.0.1:{sockets}\n\
         backend all\n  server kept 127.0.0.1:{kept}\n  server member 127.0.0.1:{member}\n",
        server.root.display()
    )
}
