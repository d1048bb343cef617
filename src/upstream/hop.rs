//! TLS through a remote proxy: it is asked to connect us on.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use super::spec::{Beyond, WorkerSpec};
use super::stream::Stream;
use crate::logs::{self, Bytes, Errno, Level, OfServer};
use crate::pipe;
use crate::web::Exchange;

/// The longest head that the remote proxy may answer with.
const HEAD_MAX: usize = 8192;

/// Has the remote proxy, which `spec` leads to, connect `stream` to what lies behind it; what fails is logged.
///
/// # Errors
/// There is no connection.
pub(super) async fn connect_on(
    ex: &Exchange,
    spec: &WorkerSpec,
    beyond: &Beyond,
    stream: &mut Stream,
    timeout: Duration,
) -> Result<(), ()> {
    let talked = tokio::time::timeout(timeout, talk(ex, beyond, stream)).await;
    let errno = match talked {
        Ok(Ok(None)) => return Ok(()),
        Ok(Ok(Some(code))) => {
            let (server, code) = (OfServer(&ex.live, ex.server), Bytes(&code));
            logs::error!(
                server,
                Level::Error,
                "proxy",
                "AH00950: send_http_connect: the remote proxy returned code is '{code}'"
            );
            Errno::INCOMPLETE
        }
        Ok(Err(error)) => Errno::from(&error),
        Err(_) => Errno::TIMEUP,
    };
    let (server, host, port) = (OfServer(&ex.live, ex.server), &beyond.host, beyond.port);
    let (proxy, at) = (&spec.host, spec.port);
    let addr = stream.peer().map_or_else(|| format!("{proxy}:{at}"), |addr| addr.to_string());
    logs::error!(server, Level::Error, "proxy", errno =>
        "AH00958: https: attempt to connect to {host}:{port} via http CONNECT through {addr} ({proxy}:{at}) failed");
    Err(())
}

/// Asks, and says with which code it was refused, if it was.
async fn talk(ex: &Exchange, beyond: &Beyond, stream: &mut Stream) -> io::Result<Option<Vec<u8>>> {
    let mut hello = format!("CONNECT {}:{} HTTP/1.0\r\n", beyond.host, beyond.port).into_bytes();
    let own = beyond.credentials.as_deref();
    let chained = || ex.user.is_none() || ex.env.contains(b"proxy-chain-auth");
    if let Some(credentials) = own.or_else(|| ex.headers_in.get(b"Proxy-Authorization").filter(|_| chained())) {
        hello.extend_from_slice(b"Proxy-Authorization: ");
        hello.extend_from_slice(credentials);
        hello.extend_from_slice(b"\r\n");
    }
    hello.extend_from_slice(b"Proxy-agent: ");
    hello.extend_from_slice(pipe::names::server_software(ex));
    hello.extend_from_slice(b"\r\n\r\n");
    let mut rest = hello.as_slice();
    while !rest.is_empty() {
        match poll_fn(|cx| stream.poll_write(cx, rest)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => rest = rest.get(n..).unwrap_or_default(),
        }
    }
    // Byte by byte: what comes behind the head is TLS.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match poll_fn(|cx| stream.poll_read(cx, &mut byte)).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if head.len() == HEAD_MAX => return Err(io::ErrorKind::InvalidData.into()),
            _ => head.push(byte[0]),
        }
    }
    let code = head.split(|byte| byte.is_ascii_whitespace()).nth(1).unwrap_or_default();
    let code = code.get(..3).unwrap_or(code);
    Ok((!head.starts_with(b"HTTP/") || code != b"200").then(|| code.to_vec()))
}
