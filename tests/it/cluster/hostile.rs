//! What a member makes of input that means harm: bounded memory, one line in the log, and it goes on.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use tandem::codec::java::{Class, Writer};
use tandem::codec::tribes::{ChannelData, Member, Options, frame};
use tandem::node::delta::{Event, SessionMessage};

use crate::support::{PATIENCE, Peer, TempDir, free_port, wait_for};

const APP: &str = "localhost#/clu";

struct Node {
    dir: TempDir,
    child: Child,
    http: u16,
    receiver: u16,
}

impl Node {
    fn start(interceptors: &str) -> Self {
        let dir = TempDir::new("hostile");
        for sub in ["conf", "logs", "webapps"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let (http, receiver) = (free_port(), free_port());
        let group = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let cluster = super::channel(&format!(
            "<Membership className='t:membership.McastService' port='{group}' bind='127.0.0.1'/>\
             <Receiver className='t:transport.nio.NioReceiver' address='127.0.0.1' port='{receiver}' autoBind='1'/>{interceptors}"
        ));
        let xml = format!(
            "<Server port='-1'><Service name='Catalina'><Connector port='{http}' address='127.0.0.1' protocol='HTTP/1.1'/>\
             <Engine name='Catalina' defaultHost='localhost' jvmRoute='n1'>{cluster}<Host name='localhost' appBase='webapps'>\
             <Context path='/clu' docBase='tandem:session-page'/></Host></Engine></Service></Server>"
        );
        fs::write(dir.path().join("conf/server.xml"), xml).unwrap();
        let log = fs::File::create(dir.path().join("logs/out")).unwrap();
        let program = env!("CARGO_BIN_EXE_tandem-node");
        let mut command = Command::new(program);
        command.args(["run", "--base"]).arg(dir.path()).stdin(Stdio::null()).stderr(log);
        let mut node = Self { child: command.spawn().unwrap(), dir, http, receiver };
        wait_for("the node", PATIENCE, || {
            assert!(node.child.try_wait().unwrap().is_none(), "{}", node.log());
            node.log().contains("Server startup in").then_some(())
        });
        node
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("logs/out")).unwrap_or_default()
    }

    /// Lines of the log that tell of trouble.
    fn complaints(&self) -> Vec<String> {
        let trouble = |line: &&str| line.contains(" WARNING ") || line.contains(" SEVERE ");
        self.log().lines().filter(trouble).map(str::to_owned).collect()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.receiver)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a message as somebody who is no member, and waits until it is received.
    fn tell(&self, message: Vec<u8>) {
        let mut stream = self.connect();
        stream.write_all(&framed(message)).unwrap();
        stream.read_exact(&mut [0; 21]).unwrap();
    }

    /// The attributes it shows of a session.
    fn page(&self, id: &str) -> serde_json::Value {
        let mut peer = Peer::to(self.http);
        peer.send(format!(
            "GET /clu/ HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nCookie: JSESSIONID={id}\r\nConnection: close\r\n\r\n"
        ));
        serde_json::from_str(&peer.response().text()).unwrap()
    }

    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message of somebody nobody knows, to be acknowledged.
fn framed(message: Vec<u8>) -> Vec<u8> {
    let source = Member::new(Ipv4Addr::new(127, 0, 0, 1).into(), 9, [9; 16]);
    let data =
        ChannelData { options: Options::USE_ACK, timestamp: 0, unique_id: [1; 16], source, message: message.into() };
    let mut out = Vec::new();
    frame(&mut out, |out| data.encode(out));
    out
}

fn about(event: Event, id: &str, payload: Option<&[u8]>) -> Vec<u8> {
    SessionMessage::about(event, APP, id, 1, payload).encode()
}

/// Lists in lists.
fn deep(levels: usize) -> Vec<u8> {
    let mut writer = Writer::new();
    for _ in 0..levels {
        writer.begin(&Class::ARRAY_LIST);
        writer.prim(&[0, 0, 0, 1]);
        writer.i32(1);
    }
    writer.null();
    (0..levels).for_each(|_| writer.end());
    writer.finish()
}

/// Whether the node ends a connection.
fn is_closed(mut stream: TcpStream) -> bool {
    !matches!(stream.read(&mut [0; 64]), Ok(1..))
}

#[test]
fn a_member_survives_what_means_harm() {
    let node = Node::start("");
    let said = |count: usize, text: &str| {
        let lines = wait_for(text, PATIENCE, || Some(node.complaints()).filter(|lines| lines.len() >= count));
        assert!(lines.len() == count && lines[count - 1].contains(text), "{text:?}\n{lines:#?}");
    };

    // Lengths that lie.
    for (count, length) in [(1, i32::MAX), (2, -1), (3, 2 << 20)] {
        let mut stream = node.connect();
        stream.write_all(&[&b"FLT2002"[..], &length.to_be_bytes()].concat()).unwrap();
        assert!(is_closed(stream), "{length}");
        said(count, "Invalid package from [");
    }
    let mut inside = framed(about(Event::Created, "L.n9", None));
    let at = inside.len() - 7 - about(Event::Created, "L.n9", None).len() - 4;
    inside[at..at + 4].copy_from_slice(&i32::MAX.to_be_bytes());
    let mut stream = node.connect();
    stream.write_all(&inside).unwrap();
    said(4, "cannot be read");

    // An unknown sender is heard, as Tomcat hears it; a graph of 1,000 levels is not taken over.
    node.tell(about(Event::Created, "A.n1", None));
    node.tell(about(Event::Delta, "A.n1", Some(&deep(1000))));
    said(5, "a message about session [A.n1] is left out");
    node.tell(about(Event::AllData, "A.n1", Some(&deep(1000))));
    said(6, "can only be read in part: nested too deeply");
    node.tell(deep(1000));
    said(7, "Unable to read a message of [");
    // Changes of sessions that are nowhere are no reason for a line.
    for n in 0..3000 {
        let id = format!("{n}.n9");
        stream.write_all(&framed(about(Event::Delta, &id, Some(&[0; 2000])))).unwrap();
        stream.read_exact(&mut [0; 21]).unwrap();
    }

    // Frames that never end cost what has come of them.
    let mut endless = Vec::new();
    for _ in 0..40 {
        let mut stream = node.connect();
        stream.write_all(&[&b"FLT2002"[..], &1_000_000_i32.to_be_bytes()].concat()).unwrap();
        stream.write_all(&vec![0; 999_000]).unwrap();
        endless.push(stream);
    }
    let page = node.page("A.n1");
    assert_eq!(page["new"], false, "{page}");
    assert!(node.peak() < 160, "{} MiB", node.peak());
    drop(endless);
    assert_eq!(node.complaints().len(), 7, "{:#?}", node.complaints());
}

/// A message that another key encrypted is not believed.
#[test]
fn a_wrong_key_is_noticed() {
    let node = Node::start(
        "<Interceptor className='t:group.interceptors.EncryptInterceptor' encryptionAlgorithm='AES/GCM/NoPadding'\
         \x20encryptionKey='000102030405060708090a0b0c0d0e0f'/>\
         <Interceptor className='t:group.interceptors.TcpFailureDetector'/>\
         <Interceptor className='t:group.interceptors.MessageDispatchInterceptor'/>",
    );
    for n in 0..64 {
        node.tell(if n % 2 == 0 { about(Event::Created, "A.n1", None) } else { vec![7; 300] });
    }
    let last = || node.complaints().last().filter(|line| line.contains("64 so far")).cloned();
    wait_for("the last line", PATIENCE, last);
    // One line each time their number has doubled.
    let lines = node.complaints();
    assert!(lines.len() == 7 && lines.iter().all(|line| line.contains("Failed to decrypt message")), "{lines:#?}");
    let page = node.page("A.n1");
    assert_eq!(page["new"], true, "nobody made it: {page}");
}
