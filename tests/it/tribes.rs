//! The group layer against a real Tomcat with the default `<Cluster>`, in a network of their own.

use std::collections::VecDeque;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use tandem::tribes::config::{
    Config, EncryptConfig, FragmentConfig, GzipConfig, InterceptorConfig, OrderConfig, ReceiverConfig,
};
use tandem::tribes::{Channel, Event, Events, Member, Message, Options};

use crate::support::{TempDir, skip, wait_for, which};

const STARTUP: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(60);
/// Where both sides listen; the address exists in the test's network only.
const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 1, 1));
const TOMCAT: u16 = 4000;

/// Both sides see each other, exchange acknowledged messages, and notice orderly ends and crashes.
#[test]
fn a_tomcat_is_joined() {
    let Some(lab) = Lab::new("tribes-default") else { return };
    let mut us = lab.channel(Config::default());
    let mut tomcat = lab.tomcat("default", "", "", &mut us);
    let name = format!("MemberImpl[{},", us.channel.local().name());
    let member = us.added();
    assert_eq!((member.host, member.port), (HOST, i32::from(TOMCAT)));
    tomcat.says(&format!("Replication member added:[org.apache.catalina.tribes.membership.{name}"));
    assert_eq!(us.channel.members().len(), 1);

    // We send with acknowledgement, Tomcat answers with the same.
    let them = us.channel.members();
    for options in [Options(8), Options(2), Options(6)] {
        // With 6 it acknowledges only after we have processed what it sends meanwhile.
        let sending = us.channel.send(them.clone(), recorded("get-all-default"), options);
        let state = us.message();
        assert_eq!((state.options, state.from.port), (Options(6), i32::from(TOMCAT)), "all session data");
        assert!(state.payload.starts_with(b"\xac\xed\x00\x05"));
        drop(state);
        assert_eq!(us.message().options, Options(8), "transfer complete");
        sending.wait().unwrap();
    }
    // What cannot be processed is sent once more.
    let sending = us.channel.send(them.clone(), recorded("get-all-default"), Options(8));
    let refused = us.message();
    let unique_id = refused.unique_id;
    refused.fail();
    assert_eq!(us.message().unique_id, unique_id, "sent again after a FAIL_ACK");
    us.message();
    sending.wait().unwrap();

    // A crash is noticed: on an idle machine within dropTime and a probe.
    let killed = Instant::now();
    tomcat.kill();
    let gone = us.gone();
    assert!(!gone.is_leaving() && killed.elapsed() < PATIENCE, "after {:?}", killed.elapsed());
    assert!(us.channel.members().is_empty());
    let failed = us.channel.send(them, recorded("get-all-default"), Options(2)).wait().unwrap_err();
    assert_eq!(failed.failed.len(), 1, "{failed}");

    // Its next start is another member, which says good-bye at its end.
    let mut tomcat = lab.tomcat("default", "", "", &mut us);
    assert_ne!(us.added().unique_id, member.unique_id);
    tomcat.terminate();
    assert!(us.gone().is_leaving());

    // So do we.
    let tomcat = lab.tomcat("default", "", "", &mut us);
    us.added();
    tomcat.says(&format!("Replication member added:[org.apache.catalina.tribes.membership.{name}"));
    us.stop();
    tomcat.says("Received member disappeared:[org.apache.catalina.tribes.membership.MemberImpl");
    assert!(!tomcat.console().contains("failing"), "{}", tomcat.console());
    assert!(!tomcat.console().contains("SEVERE"), "{}", tomcat.console());
}

const NAMES: &str = "org.apache.catalina.tribes.group.interceptors";

/// Messages that interceptors change are understood on both sides.
#[test]
fn interceptors_agree_with_tomcats() {
    let Some(lab) = Lab::new("tribes-interceptors") else { return };
    let key = "000102030405060708090a0b0c0d0e0f";
    let encrypt = |algorithm: &str| {
        let config =
            EncryptConfig { algorithm: algorithm.to_owned(), key: (0..16).collect(), ..EncryptConfig::default() };
        InterceptorConfig::Encrypt(config)
    };
    let cases: [(&str, String, Vec<InterceptorConfig>); 4] = [
        (
            "gcm",
            format!(r#"<Interceptor className="{NAMES}.EncryptInterceptor" encryptionKey="{key}"/>"#),
            vec![encrypt("AES/GCM/NoPadding")],
        ),
        (
            "cbc",
            format!(
                r#"<Interceptor className="{NAMES}.EncryptInterceptor" encryptionKey="{key}" encryptionAlgorithm="AES/CBC/PKCS5Padding"/>"#
            ),
            vec![encrypt("AES/CBC/PKCS5Padding")],
        ),
        (
            "gzip",
            format!(r#"<Interceptor className="{NAMES}.GzipInterceptor"/>"#),
            vec![InterceptorConfig::Gzip(GzipConfig::default())],
        ),
        (
            "order",
            format!(
                r#"<Interceptor className="{NAMES}.OrderInterceptor"/>
                   <Interceptor className="{NAMES}.FragmentationInterceptor" maxSize="100"/>"#
            ),
            vec![
                InterceptorConfig::Order(OrderConfig::default()),
                InterceptorConfig::Fragmentation(FragmentConfig { max_size: 100, ..FragmentConfig::default() }),
            ],
        ),
    ];
    for (name, xml, mut interceptors) in cases {
        interceptors.push(InterceptorConfig::TcpFailureDetector(Default::default()));
        let mut us = lab.channel(Config { interceptors, ..Config::default() });
        let tomcat = lab.tomcat(name, "channelSendOptions=\"6\"", &channel_xml(&xml), &mut us);
        us.added();
        let sending = us.channel.send(us.channel.members(), recorded("get-all-default"), Options(6));
        assert!(us.message().payload.starts_with(b"\xac\xed\x00\x05"), "{name}");
        us.message();
        sending.wait().unwrap();
        us.stop();
        assert!(!tomcat.console().contains("SEVERE"), "{name}: {}", tomcat.console());
    }
}

fn channel_xml(interceptors: &str) -> String {
    format!(
        r#"<Channel className="org.apache.catalina.tribes.group.GroupChannel">{interceptors}
           <Interceptor className="{NAMES}.TcpFailureDetector"/></Channel>"#
    )
}

/// A message between DeltaManagers of `/clu`, as Tomcat sends it.
fn recorded(name: &str) -> Vec<u8> {
    let text = include_str!("../tribes/vectors.txt");
    let hex = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" tcp-frame ")).unwrap();
    let bytes: Vec<u8> = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    let at = bytes.windows(4).position(|window| window == b"\xac\xed\x00\x05").unwrap();
    bytes[at..bytes.len() - 7].to_vec()
}

/// Our side: the channel, and what it told us that nobody has asked for yet.
struct Us {
    channel: Channel,
    events: Events,
    seen: VecDeque<Event>,
}

impl Us {
    /// Takes what has come. Questions of a starting Tomcat are answered: we have no sessions.
    fn pump(&mut self) {
        while let Some(event) = self.events.try_next() {
            match event {
                Event::Message(message) if message.payload.windows(7).any(|w| w == b"GET-ALL") => {
                    self.channel.send(message.from.clone(), recorded("no-context-manager"), Options(8));
                }
                event => self.seen.push_back(event),
            }
        }
    }

    /// The event wanted, past others.
    fn until(&mut self, mut wanted: impl FnMut(&Event) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        let mut past = Vec::new();
        loop {
            self.pump();
            match self.seen.pop_front() {
                Some(event) if wanted(&event) => return event,
                Some(event) => past.push(format!("{event:?}")),
                None => {
                    assert!(Instant::now() < deadline, "only {past:#?}");
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    fn added(&mut self) -> Member {
        match self.until(|event| matches!(event, Event::MemberAdded(_))) {
            Event::MemberAdded(member) => member,
            _ => unreachable!(),
        }
    }

    fn gone(&mut self) -> Member {
        match self.until(|event| matches!(event, Event::MemberDisappeared(_))) {
            Event::MemberDisappeared(member) => member,
            _ => unreachable!(),
        }
    }

    fn message(&mut self) -> Message {
        match self.until(|event| matches!(event, Event::Message(_))) {
            Event::Message(message) => message,
            _ => unreachable!(),
        }
    }

    fn stop(&mut self) {
        self.channel.stop();
        self.until(|event| matches!(event, Event::Stopped));
    }
}

/// A network of this thread's own, where everything it starts lives; the system removes it with the last of them.
struct Lab {
    dir: TempDir,
    home: PathBuf,
}

impl Lab {
    /// `None`, loudly, where that is not possible.
    fn new(name: &str) -> Option<Self> {
        let home = std::env::var_os("CATALINA_HOME").map_or_else(|| "/usr/share/tomcat10".into(), PathBuf::from);
        if which("java").is_none() || !home.join("bin/bootstrap.jar").is_file() {
            skip(name, "tomcat10 or a Java runtime");
            return None;
        }
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            skip(name, "the right to make a network namespace");
            return None;
        }
        for command in [
            "link set lo up",
            "link set lo multicast on",
            "addr add 10.77.1.1/32 dev lo",
            "route add 224.0.0.0/4 dev lo",
        ] {
            let status = Command::new("ip").args(command.split(' ')).status();
            if !status.is_ok_and(|status| status.success()) {
                skip(name, "iproute2");
                return None;
            }
        }
        Some(Self { dir: TempDir::new(name), home })
    }

    fn channel(&self, config: Config) -> Us {
        let receiver = ReceiverConfig { address: Some(HOST), port: 0, ..ReceiverConfig::default() };
        let log = Box::new(|level, source: &str, text: &str| eprintln!("{level:?} {source} {text}"));
        let (channel, events) = Channel::open(Config { receiver, ..config }, log).unwrap();
        Us { channel, events, seen: VecDeque::new() }
    }

    /// Starts a Tomcat with that in its `<Cluster>`, and waits until it serves.
    fn tomcat(&self, name: &str, attributes: &str, inside: &str, us: &mut Us) -> Tomcat {
        let base = self.dir.path().join(name);
        let _ = fs::remove_dir_all(&base);
        for sub in ["conf", "temp", "logs", "work", "webapps/clu/WEB-INF"] {
            fs::create_dir_all(base.join(sub)).unwrap();
        }
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tomcat");
        for file in ["catalina.properties", "logging.properties", "web.xml"] {
            fs::copy(data.join("conf").join(file), base.join("conf").join(file)).unwrap();
        }
        fs::write(base.join("conf/context.xml"), "<Context/>").unwrap();
        fs::write(base.join("webapps/clu/WEB-INF/web.xml"), "<web-app><distributable/></web-app>").unwrap();
        fs::write(base.join("hosts"), "127.0.0.1 localhost\n10.77.1.1 node1\n").unwrap();
        let server = format!(
            r#"<Server port="-1"><Service name="Catalina"><Connector port="8080" address="127.0.0.1"/>
              <Engine name="Catalina" defaultHost="localhost" jvmRoute="n1">
                <Cluster className="org.apache.catalina.ha.tcp.SimpleTcpCluster" {attributes}>{inside}</Cluster>
                <Host name="localhost" appBase="webapps" autoDeploy="false"/>
              </Engine></Service></Server>"#
        );
        fs::write(base.join("conf/server.xml"), server).unwrap();
        let console = base.join("console");
        let output = fs::File::create(&console).unwrap();
        let script = r#"mount --bind hosts /etc/hosts && hostname node1 && exec java "$@""#;
        let (home, bin) = (self.home.display(), self.home.join("bin"));
        let mut command = Command::new("unshare");
        command.args(["-m", "-u", "sh", "-c", script, "tomcat"]);
        for property in [
            format!("catalina.home={home}"),
            format!("catalina.base={}", base.display()),
            format!("catalina.config=file://{}", base.join("conf/catalina.properties").display()),
            format!("java.io.tmpdir={}", base.join("temp").display()),
            format!("java.util.logging.config.file={}", base.join("conf/logging.properties").display()),
            "java.util.logging.manager=org.apache.juli.ClassLoaderLogManager".to_owned(),
            "java.net.preferIPv4Stack=true".to_owned(),
        ] {
            command.arg(format!("-D{property}"));
        }
        let child = command
            .args(["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-classpath"])
            .arg(format!("{0}/bootstrap.jar:{0}/tomcat-juli.jar", bin.display()))
            .args(["org.apache.catalina.startup.Bootstrap", "start"])
            .current_dir(&base)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut tomcat = Tomcat { child, console };
        wait_for("Tomcat's startup", STARTUP, || {
            us.pump();
            let said = tomcat.console();
            assert!(tomcat.child.try_wait().unwrap().is_none(), "{said}");
            said.contains("Server startup in").then_some(())
        });
        tomcat
    }
}

struct Tomcat {
    child: Child,
    console: PathBuf,
}

impl Tomcat {
    fn console(&self) -> String {
        fs::read_to_string(&self.console).unwrap_or_default()
    }

    fn says(&self, what: &str) {
        wait_for(what, PATIENCE, || self.console().contains(what).then_some(()));
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, which runs its shutdown hook.
    fn terminate(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        wait_for("Tomcat's end", STARTUP, || self.child.try_wait().unwrap());
    }
}

impl Drop for Tomcat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
