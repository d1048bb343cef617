//! `mod_ident.c`: asks the client's machine which user the connection belongs to (RFC 1413).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, row};
use crate::logs::{self, Errno, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Conn, Exchange};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "ident_module",
        file: "mod_ident.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct IdentDir {
    check: Option<bool>,
    timeout: Option<Duration>,
}

impl Conf for IdentDir {
    const SLOT: usize = slot::IDENT + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { check: add.check.or(base.check), timeout: add.timeout.or(base.timeout) }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("IdentityCheck", Places::DIR.or(Places::SERVER), Shape::Flag, check, "Enable identd (RFC 1413) user lookups - SLOW"),
    row("IdentityCheckTimeout", Places::DIR.or(Places::SERVER), Shape::Take1, set_timeout, "Identity check (RFC 1413) timeout duration (sec)"),
];

/// The hooks. httpd asks when a log or a script wants to know, which all logs in use do; here it is asked once the
/// sections that apply are known, and in front of the log for requests that failed before.
const HOOKS: &[Hook] = &[
    Hook { phase: Phase::HeaderParser, order: -10, wants, run: Run::Wait(ask_once) },
    Hook { phase: Phase::Log, order: -10, wants, run: Run::Wait(ask_once) },
];

fn wants(_: &Server, dir: &Slots) -> bool {
    dir.get::<IdentDir>().and_then(|dir| dir.check) == Some(true)
}

fn check(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<IdentDir>().check = Some(args.on());
    Ok(())
}

fn set_timeout(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let seconds = crate::modules::core::server::atoi(args.word(0));
    cmd.dir_conf::<IdentDir>().timeout = Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    Ok(())
}

/// Where identification servers listen.
const PORT: u16 = 113;

/// How long the client's machine may take for each step, unless the configuration says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What stands for a user that nobody tells.
const UNKNOWN: &[u8] = b"unknown";

/// The longest answer that is read, in bytes.
const MOST: usize = 1000;

/// The longest name that is kept, in bytes.
const NAME_MAX: usize = 512;

fn ask_once(ex: &mut Exchange) -> Waiting<'_> {
    Box::pin(async move {
        if ex.conn.ident.get().is_some() {
            return Outcome::Declined;
        }
        let limit = ex.dir::<IdentDir>().and_then(|dir| dir.timeout).unwrap_or(TIMEOUT);
        let name = match ask(&ex.conn, limit).await {
            Ok(answer) => user_in(&answer, ex.conn.peer.port(), ex.conn.local.port()).unwrap_or(UNKNOWN).into(),
            Err(Fault::Connect) => UNKNOWN.into(),
            Err(Fault::Read(errno)) => {
                let text = "AH01498: read: rfc1413: error reading response";
                let server = logs::OfServer(&ex.live, ex.server);
                logs::error!(server, Level::Crit, "ident", errno => "{}", text);
                UNKNOWN.into()
            }
        };
        // Another stream of the connection may have asked meanwhile.
        let _ = ex.conn.ident.set(name);
        Outcome::Declined
    })
}

/// Why there is no answer.
enum Fault {
    /// Nobody listens, which is what most machines do.
    Connect,
    /// It did not come.
    Read(Errno),
}

/// Asks from the very address that the connection came to, or another machine's user would be told of.
async fn ask(conn: &Conn, limit: Duration) -> Result<Vec<u8>, Fault> {
    let (local, peer) = (SocketAddr::new(conn.local.ip(), 0), SocketAddr::new(conn.peer.ip(), PORT));
    let socket = if local.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.and_then(|socket| socket.bind(local).map(|()| socket)).map_err(|_| Fault::Connect)?;
    let Ok(Ok(mut stream)) = timeout(limit, socket.connect(peer)).await else { return Err(Fault::Connect) };
    let question = format!("{},{}\r\n", conn.peer.port(), conn.local.port());
    match timeout(limit, stream.write_all(question.as_bytes())).await {
        Ok(sent) => sent.map_err(|error| Fault::Read(Errno::from(&error)))?,
        Err(_) => return Err(Fault::Read(Errno::TIMEUP)),
    }
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < MOST {
        let mut piece = [0; 128];
        let read: io::Result<usize> = match timeout(limit, stream.read(&mut piece)).await {
            Ok(read) => read,
            Err(_) => return Err(Fault::Read(Errno::TIMEUP)),
        };
        match read {
            Ok(0) => return Err(Fault::Read(Errno::EOF)),
            Ok(count) => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(error) => return Err(Fault::Read(Errno::from(&error))),
        }
    }
    Ok(answer)
}

/// The user in `client port , our port : USERID : system : user`; only its first word counts, as in httpd.
fn user_in(answer: &[u8], client: u16, own: u16) -> Option<&[u8]> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let mut parts = line.splitn(4, |byte| *byte == b':').map(<[u8]>::trim_ascii);
    let mut ports = parts
        .next()?
        .splitn(2, |byte| *byte == b',')
        .map(|port| std::str::from_utf8(port.trim_ascii()).ok().and_then(|port| port.parse::<u16>().ok()));
    if ports.next()? != Some(client) || ports.next()? != Some(own) || parts.next()? != b"USERID" {
        return None;
    }
    let _system = parts.next()?;
    let user = parts.next()?.split(u8::is_ascii_whitespace).next().filter(|user| !user.is_empty())?;
    Some(user.get(..NAME_MAX).unwrap_or(user))
}

#[cfg(test)]
mod tests {
    use super::user_in;

    #[test]
    fn only_an_answer_about_these_ports_counts() {
        for (answer, want) in [
            ("7,80:USERID:UNIX:bob\r\n", Some("bob")),
            ("7 , 80 : USERID : OTHER,utf-8 :  bob b\r\n", Some("bob")),
            ("7,80:USERID:UNIX:a:b\n", Some("a:b")),
            ("8,80:USERID:UNIX:bob\r\n", None),
            ("7,81:USERID:UNIX:bob\r\n", None),
            ("7,80:ERROR:NO-USER\r\n", None),
            ("7,80:USERID:UNIX:\r\n", None),
            ("7,80:USERID:UNIX\r\n", None),
            ("7", None),
            ("", None),
        ] {
            assert_eq!(user_in(answer.as_bytes(), 7, 80), want.map(str::as_bytes), "{answer:?}");
        }
    }
}
