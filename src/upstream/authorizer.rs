//! FastCGI authorizers (FastCGI Specification 1.0, section 6.3): applications that say whether a request is let in.
//!
//! Each question has a connection of its own. The application gets the request's variables and no body; its answer is a
//! head as that of a CGI script, whose fields the request keeps.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::codec::fcgi::{self, Decoder, Part};
use crate::logs::{self, Bytes, Errno, Level};
use crate::pipe::cgi::{add_cgi, add_common};
use crate::pipe::script::{Head, Reader, malformed};
use crate::web::Exchange;

/// How long connecting, and each read and write, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one record of variables holds at most.
const PARAMS_MAX: usize = 16 * 1024;

/// What is read at once.
const READ: usize = 8192;

const MODULE: &str = "authnz_fcgi";

/// An application, as `AuthnzFcgiDefineProvider` names it.
#[derive(Clone, Debug)]
pub struct Authorizer {
    /// The provider's name.
    pub name: Vec<u8>,
    /// Its address as configured.
    pub backend: String,
    /// The host in it.
    pub host: String,
    /// The port in it.
    pub port: u16,
    /// What the host resolved to.
    pub addresses: Vec<SocketAddr>,
    /// It knows users.
    pub authn: bool,
    /// It lets requests in.
    pub authz: bool,
}

impl Authorizer {
    /// Says in the debug log what is going to be asked.
    pub fn show(&self, ex: &Exchange) {
        let (name, Self { backend, host, port, .. }) = (Bytes(&self.name), self);
        let first = self.addresses.first().map(SocketAddr::to_string).unwrap_or_default();
        let (authn, authz) = (if self.authn { 'N' } else { '_' }, if self.authz { 'Z' } else { '_' });
        let text = format_args!("host {host}, port {port}, first address {first}, {authn}{authz}");
        logs::error!(ex, Level::Debug, MODULE, "AH02496: name {name}, backend {backend}, {text}");
    }

    /// Asks about the request: as an answer it has a status, which is 500 if there is none, and all fields. What is
    /// called `Variable-` in them is in the environment if the status is 200. Gives what followed the head at once.
    pub async fn ask(&self, ex: &mut Exchange, password: Option<&[u8]>, role: Option<&str>) -> Vec<u8> {
        let env = ex.env.clone();
        ex.status = 200;
        fill(ex, password, role).await;
        let done = self.exchange(ex).await;
        ex.env = env;
        match done {
            Ok(body) => {
                logs::error!(ex, Level::Debug, MODULE, "AH02515: req_rsp: Received HTTP status {}", ex.status);
                if ex.status == 200 {
                    keep_variables(ex);
                }
                body
            }
            Err(()) => {
                ex.status = 500;
                Vec::new()
            }
        }
    }

    /// All of a question; what failed is logged.
    async fn exchange(&self, ex: &mut Exchange) -> Result<Vec<u8>, ()> {
        let mut socket = self.connect(ex).await?;
        let mut out = Vec::new();
        fcgi::push_begin(&mut out, fcgi::AUTHORIZER, false);
        push_params(ex, &mut out);
        let backend = &self.backend;
        if let Err(errno) = timed(socket.write_all(&out)).await {
            logs::error!(ex, Level::Error, MODULE, errno => "AH02498: Sending data to {backend} failed");
            logs::error!(
                ex,
                Level::Error,
                MODULE,
                errno => "AH02512: req_rsp: Failed writing environment to {backend}"
            );
            return Err(());
        }
        let answer = self.answer(ex, &mut socket).await;
        answer.map_err(|errno| {
            logs::error!(
                ex,
                Level::Error,
                MODULE,
                errno => "AH02514: req_rsp: Failed handling response from {backend}"
            );
        })
    }

    /// A connection to the first address that answers.
    async fn connect(&self, ex: &Exchange) -> Result<TcpStream, ()> {
        for (nth, address) in self.addresses.iter().enumerate() {
            match timed(TcpStream::connect(address)).await {
                Ok(socket) => {
                    // Without it the question only takes longer.
                    let _ = socket.set_nodelay(true);
                    return Ok(socket);
                }
                Err(errno) => {
                    let level = if nth + 1 < self.addresses.len() { Level::Debug } else { Level::Error };
                    let backend = &self.backend;
                    logs::error!(
                        ex,
                        level,
                        MODULE,
                        errno => "AH02495: attempt to connect to {address} ({backend}) failed"
                    );
                }
            }
        }
        Err(())
    }

    /// Reads the answer to its end, and takes its head into the request.
    async fn answer(&self, ex: &mut Exchange, socket: &mut TcpStream) -> Result<Vec<u8>, Errno> {
        let mut answer =
            Answer { backend: &self.backend, reader: Reader::default(), head: Vec::new(), at: 0, body: None };
        let mut decoder = Decoder::default();
        let mut input = Vec::with_capacity(READ);
        loop {
            let step = decoder.decode(&input).map_err(|error| bogus(ex, error))?;
            match step.part {
                Part::End => break,
                Part::NeedMore if step.consumed == 0 => {
                    let n = timed(socket.read_buf(&mut input))
                        .await
                        .and_then(|n| if n == 0 { Err(Errno::EOF) } else { Ok(n) });
                    if let Err(errno) = n {
                        logs::error!(ex, Level::Error, MODULE, "AH02497: Couldn't read from backend {}", self.backend);
                        if decoder.is_between() {
                            logs::error!(
                                ex,
                                Level::Error,
                                MODULE,
                                errno => "AH02501: handle_response: Error occurred before reading entire header"
                            );
                        }
                        return Err(errno);
                    }
                    continue;
                }
                part => answer.take(ex, &part, &input)?,
            }
            input.drain(..step.consumed);
        }
        answer.body.ok_or_else(|| {
            logs::error!(ex, Level::Error, MODULE, "AH02510: handle_response: Never reached end of script headers");
            INVALID
        })
    }
}

const INVALID: Errno = Errno(nix::libc::EINVAL);

/// An answer as it comes.
struct Answer<'a> {
    backend: &'a str,
    reader: Reader,
    head: Vec<u8>,
    /// How much of the head was read.
    at: usize,
    /// What followed the head at once, when that is complete.
    body: Option<Vec<u8>>,
}

impl Answer<'_> {
    fn take(&mut self, ex: &mut Exchange, part: &Part, input: &[u8]) -> Result<(), Errno> {
        match part {
            Part::Out(range) if self.body.is_none() => {
                self.head.extend_from_slice(input.get(range.clone()).unwrap_or_default());
                self.read_head(ex)
            }
            Part::Err(range) => {
                let (text, backend) = (Bytes(input.get(range.clone()).unwrap_or_default()), self.backend);
                logs::error!(ex, Level::Warn, MODULE, "AH02507: handle_response: Logged from {backend}: '{text}'");
                Ok(())
            }
            Part::Unknown(kind) => {
                logs::error!(
                    ex,
                    Level::Error,
                    MODULE,
                    "AH02508: handle_response: Got bogus FastCGI record type {kind}"
                );
                Ok(())
            }
            Part::Out(_) | Part::OutEnd | Part::NeedMore | Part::End => Ok(()),
        }
    }

    fn read_head(&mut self, ex: &mut Exchange) -> Result<(), Errno> {
        let (decided, told) = match self.reader.read(ex, MODULE, &self.head, &mut self.at) {
            Head::More => return Ok(()),
            Head::Done(_, decided) => (decided, decided.unwrap_or(0)),
            Head::Bad => {
                // httpd has cut the line away by then.
                malformed(ex, MODULE, b"");
                (Some(500), 500)
            }
        };
        logs::error!(
            ex,
            Level::Debug,
            MODULE,
            "AH02504: handle_response: script header parsing -> {told}/{}",
            ex.status
        );
        if decided.is_some() {
            let backend = self.backend;
            logs::error!(
                ex,
                Level::Error,
                MODULE,
                "AH02506: handle_response: Error parsing script headers from {backend}"
            );
            return Err(INVALID);
        }
        self.body = Some(self.head.split_off(self.at));
        Ok(())
    }
}

fn bogus(ex: &Exchange, error: fcgi::Error) -> Errno {
    match error {
        fcgi::Error::Version(version) => logs::error!(
            ex,
            Level::Error,
            MODULE,
            "AH02502: handle_response: Got bogus FastCGI header version {version}"
        ),
        fcgi::Error::Request(id) => logs::error!(
            ex,
            Level::Error,
            MODULE,
            "AH02503: handle_response: Got bogus FastCGI header request id {id}, expected 1"
        ),
    }
    INVALID
}

async fn timed<T>(what: impl Future<Output = io::Result<T>>) -> Result<T, Errno> {
    match tokio::time::timeout(PATIENCE, what).await {
        Ok(done) => done.map_err(|error| Errno::from(&error)),
        Err(_) => Err(Errno::TIMEUP),
    }
}

/// The request's variables as an authorizer gets them.
async fn fill(ex: &mut Exchange, password: Option<&[u8]>, role: Option<&str>) {
    add_common(ex);
    add_cgi(ex).await;
    ex.env.set(b"FCGI_ROLE", b"AUTHORIZER");
    if let Some(role) = role {
        ex.env.set(b"FCGI_APACHE_ROLE", role.as_bytes());
    }
    if let Some(password) = password {
        ex.env.set(b"REMOTE_PASSWD", password);
    }
    for name in [
        "CONTENT_LENGTH",
        "PATH_INFO",
        "PATH_TRANSLATED",
        "SCRIPT_NAME",
        "HTTP_KEEP_ALIVE",
        "HTTP_TE",
        "HTTP_TRAILER",
        "HTTP_TRANSFER_ENCODING",
        "HTTP_UPGRADE",
    ] {
        ex.env.unset(name.as_bytes());
    }
    ex.env.set(b"HTTP_CONNECTION", b"close");
}

/// Appends the records of the variables.
fn push_params(ex: &Exchange, out: &mut Vec<u8>) {
    for (name, value) in ex.env.iter() {
        let value = if name == b"REMOTE_PASSWD" { b"XXXXXXXX" } else { value };
        let (name, value) = (Bytes(name), Bytes(value));
        logs::error!(ex, Level::Trace2, MODULE, "send_environment: '{name}': '{value}'");
    }
    let all = ex.env.iter().count();
    let mut batch = Vec::new();
    let mut flush = |batch: &mut Vec<u8>, done: usize| {
        if !batch.is_empty() {
            logs::error!(
                ex,
                Level::Debug,
                MODULE,
                "AH02500: required len for encoding envvars: {}, {done}/{all} elems processed so far",
                batch.len()
            );
            fcgi::push_header(out, fcgi::PARAMS, batch.len());
            out.append(batch);
        }
    };
    for (nth, (name, value)) in ex.env.iter().enumerate() {
        let len = fcgi::pair_len(name, value);
        if batch.len() + len > PARAMS_MAX {
            flush(&mut batch, nth);
        }
        if len > PARAMS_MAX {
            logs::error!(
                ex,
                Level::Warn,
                MODULE,
                "AH02499: couldn't encode envvar '{}' in {PARAMS_MAX} bytes",
                Bytes(name)
            );
        } else {
            fcgi::push_pair(&mut batch, name, value);
        }
    }
    flush(&mut batch, all);
    fcgi::push_header(out, fcgi::PARAMS, 0);
}

/// Moves the variables among the answer's fields to the environment.
fn keep_variables(ex: &mut Exchange) {
    const PREFIX: &[u8] = b"Variable-";
    let is_variable = |name: &[u8]| name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    let found: Vec<(Vec<u8>, Vec<u8>)> = ex
        .err_headers_out
        .iter()
        .filter(|(name, _)| is_variable(name))
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
    for (name, value) in found {
        logs::error!(ex, Level::Trace2, MODULE, "moving {}->{}", Bytes(&name), Bytes(&value));
        ex.err_headers_out.unset(&name);
        ex.env.set(name.get(PREFIX.len()..).unwrap_or_default(), &value);
    }
}
