//! FastCGI: records both ways over one connection, which may serve more than one request (`enablereuse=on`).

use std::io;

use super::head::{self, Read};
use super::{Event, Names, Sending, connect, env};
use crate::base::path::{EncodedSlashes, unescape_url};
use crate::codec::fcgi::{self, Decoder, Part};
use crate::expr::Scratch;
use crate::logs::{self, Errno, Level};
use crate::pipe::{self, Outcome};
use crate::upstream::http1::Outgoing;
use crate::upstream::pool::Link;
use crate::upstream::spec::FlushPackets;
use crate::upstream::{Attempt, respond};
use crate::web::{BodyFault, Exchange, Wire};

const NAMES: Names = Names { scheme: "FCGI", module: "proxy_fcgi" };

/// What one record of variables holds at most.
const PARAMS_MAX: usize = 16 * 1024;
/// What one record of body holds at most.
const BODY_MAX: usize = 8192;
/// The longest head that is waited for.
const HEAD_MAX: usize = 256 * 1024;

/// One attempt.
pub(super) async fn exchange(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    attempt: &Attempt<'_>,
    outgoing: &mut Option<Outgoing>,
) -> Outcome {
    let outgoing = match outgoing {
        Some(outgoing) => outgoing,
        None => match Outgoing::prefetch(ex, wire, attempt, false, true).await {
            Ok(read) => outgoing.insert(read),
            Err(outcome) => return outcome,
        },
    };
    // httpd forgets the length of a body that came in chunks and was inflated; an application would take it for none.
    wire.settle(&mut ex.headers_in);
    let Some(length) = outgoing.length() else { return Outcome::Status(503) };
    if let Some(length) = length {
        ex.headers_in.set(b"Content-Length", length.to_string().as_bytes());
        ex.headers_in.unset(b"Transfer-Encoding");
    }
    let keep = attempt.worker.keeps_connections();
    let mut request = None;
    let mut fresh = false;
    loop {
        let mut link = match connect(ex, attempt, &NAMES, fresh).await {
            Ok(link) => link,
            Err(outcome) => return outcome,
        };
        let head = match &request {
            Some(head) => head,
            None => {
                let script = script_filename(ex, attempt).await;
                env::fill(ex, &script).await;
                set_env(ex, attempt);
                request.insert(encode(ex, keep))
            }
        };
        let reused = link.reused();
        let mut talk = Talk {
            sending: Sending { bytes: head.clone(), sent: 0, body_over: false },
            held: None,
            decoder: Decoder::default(),
            head: Vec::new(),
            heads_done: false,
            heard: false,
            skipping: false,
            replaced: None,
        };
        match talk.run(ex, wire, attempt, &mut link, outgoing).await {
            Ok(()) => {
                if keep && link.input().is_empty() && talk.sending.is_over() {
                    link.keep(attempt.worker);
                }
                return talk.replaced.unwrap_or(Outcome::Done);
            }
            // The application closed an idle connection while the request was under way: nobody has seen it.
            Err(fault) if reused && !fresh && !talk.heard && outgoing.is_intact() && fault.is_loss() => fresh = true,
            Err(fault) => return talk.failed(ex, wire, fault).await,
        }
    }
}

/// `SCRIPT_FILENAME`, and the path info that the environment asks for.
async fn script_filename(ex: &mut Exchange, attempt: &Attempt<'_>) -> Vec<u8> {
    let path = attempt.target;
    let kind = ex.env.get(b"proxy-fcgi-pathinfo").map(<[u8]>::to_ascii_lowercase);
    let behind = |dot: Option<usize>| {
        let slash = dot.and_then(|dot| Some(dot + memchr::memchr(b'/', path.get(dot..)?)?));
        slash.and_then(|slash| path.get(slash..)).map(<[u8]>::to_vec)
    };
    match kind.as_deref() {
        None => {}
        Some(b"full") => {
            let mut name = Vec::new();
            let _ = unescape_url(path, EncodedSlashes::Keep, &mut name);
            let end = existing(&name).await;
            ex.path_info = name.split_off(end);
            return name;
        }
        Some(b"first-dot") => ex.path_info = behind(memchr::memchr(b'.', path)).unwrap_or_default(),
        Some(b"last-dot") => ex.path_info = behind(memchr::memrchr(b'.', path)).unwrap_or_default(),
        Some(b"unescape") => {
            let mut info = Vec::new();
            let _ = unescape_url(path, EncodedSlashes::Keep, &mut info);
            ex.path_info = info;
        }
        Some(_) => ex.path_info = path.to_vec(),
    }
    if attempt.policy.fcgi.generic && ex.filename.starts_with(b"proxy:fcgi://") {
        path.to_vec()
    } else {
        ex.filename.clone()
    }
}

/// How much of a file name leads to a file that exists; all of it where none does.
async fn existing(name: &[u8]) -> usize {
    let ends: Vec<usize> = memchr::memchr_iter(b'/', name).skip(1).chain([name.len()]).collect();
    for end in ends {
        let part = String::from_utf8_lossy(name.get(..end).unwrap_or_default()).into_owned();
        match tokio::fs::metadata(part).await {
            Ok(found) if found.is_file() => return end,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    name.len()
}

/// `ProxyFCGISetEnvIf`.
fn set_env(ex: &mut Exchange, attempt: &Attempt<'_>) {
    for rule in &attempt.policy.fcgi.set_env {
        let mut scratch = Scratch::default();
        match rule.condition.eval(ex, &mut scratch) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                logs::error!(ex, Level::Error, NAMES.module, "Error evaluating expression: {error}");
                continue;
            }
        }
        match (rule.name.as_slice(), &rule.value) {
            ([b'!', name @ ..], _) => {
                ex.env.unset(name);
            }
            (name, None) => ex.env.set(name, b""),
            (name, Some(value)) => {
                let mut text = Vec::new();
                match value.eval_after(ex, &mut scratch, &mut text) {
                    Ok(()) => ex.env.set(name, &text),
                    Err(error) => {
                        let name = logs::Bytes(name);
                        logs::error!(
                            ex,
                            Level::Error,
                            NAMES.module,
                            "AH03514: Error evaluating expression for replacement of {name}: '{error}'"
                        );
                    }
                }
            }
        }
    }
}

/// All records up to the body.
fn encode(ex: &Exchange, keep: bool) -> Vec<u8> {
    let mut out = Vec::new();
    fcgi::push_begin(&mut out, fcgi::RESPONDER, keep);
    let mut batch = Vec::new();
    for (name, value) in ex.env.iter() {
        let len = fcgi::pair_len(name, value);
        if len > PARAMS_MAX {
            let name = logs::Bytes(name);
            let text = format!("AH02536: couldn't encode envvar '{name}' in {PARAMS_MAX} bytes");
            logs::error!(ex, Level::Warn, NAMES.module, "{text}");
            continue;
        }
        if batch.len() + len > PARAMS_MAX {
            flush(&mut batch, &mut out);
        }
        fcgi::push_pair(&mut batch, name, value);
    }
    flush(&mut batch, &mut out);
    fcgi::push_header(&mut out, fcgi::PARAMS, 0);
    out
}

fn flush(batch: &mut Vec<u8>, out: &mut Vec<u8>) {
    if !batch.is_empty() {
        fcgi::push_header(out, fcgi::PARAMS, batch.len());
        out.append(batch);
    }
}

/// Why the exchange ended early.
enum Fault {
    /// Reading or writing failed; `None` is the end of the connection.
    Socket(Option<io::Error>),
    /// A record that is none; logged.
    Bad,
    /// The head is none; logged.
    Head,
    /// The client's body cannot be read.
    Body(BodyFault),
    /// The client is gone.
    Gone,
}

impl Fault {
    /// Whether the connection was lost.
    fn is_loss(&self) -> bool {
        match self {
            Self::Socket(error) => error.as_ref().is_none_or(|error| error.kind() != io::ErrorKind::TimedOut),
            _ => false,
        }
    }
}

/// One exchange on a connection.
struct Talk {
    sending: Sending,
    /// What of the body was read ahead, and how much of it is on its way.
    held: Option<(Vec<u8>, usize)>,
    decoder: Decoder,
    /// The response's head as far as it came.
    head: Vec<u8>,
    heads_done: bool,
    /// Something came.
    heard: bool,
    /// The body is not for the client.
    skipping: bool,
    /// What is answered in place of the response.
    replaced: Option<Outcome>,
}

impl Talk {
    /// Sends the request and passes the response on until the application says that it is over.
    async fn run(
        &mut self,
        ex: &mut Exchange,
        wire: &mut dyn Wire,
        attempt: &Attempt<'_>,
        link: &mut Link,
        outgoing: &mut Outgoing,
    ) -> Result<(), Fault> {
        loop {
            while !link.input().is_empty() {
                let step = self.decoder.decode(link.input()).map_err(|error| {
                    let code = if matches!(error, fcgi::Error::Version(_)) { "AH01068" } else { "AH01069" };
                    logs::error!(ex, Level::Error, NAMES.module, "{code}: {error}");
                    Fault::Bad
                })?;
                if step.part == Part::End {
                    link.consume(link.input().len());
                    return self.end(ex, wire).await;
                }
                if step.part == Part::NeedMore && step.consumed == 0 {
                    break;
                }
                self.obey(ex, wire, attempt, link, &step.part).await?;
                link.consume(step.consumed);
            }
            let waits = self.sending.is_over();
            if waits && ex.head_sent && !link.has_news() && pipe::flush(ex, wire).await.is_err() {
                return Err(Fault::Gone);
            }
            match self.sending.next(wire, link).await {
                Event::Input(Ok(0)) => {
                    logs::error!(ex, Level::Error, NAMES.module, "AH01067: Failed to read FastCGI header");
                    return Err(Fault::Socket(None));
                }
                Event::Input(Ok(_)) => self.heard = true,
                Event::Input(Err(error)) | Event::Sent(Err(error)) => return Err(Fault::Socket(Some(error))),
                Event::Sent(Ok(())) => self.more_body(wire, outgoing),
                Event::Body(Ok(_)) => self.push_body(wire),
                Event::Body(Err(fault)) => return Err(Fault::Body(fault)),
            }
        }
    }

    /// The next record of what was read ahead.
    fn more_body(&mut self, wire: &mut dyn Wire, outgoing: &mut Outgoing) {
        if self.sending.body_over {
            return;
        }
        let (held, at) = self.held.get_or_insert_with(|| (outgoing.take(wire), 0));
        let rest = held.get(*at..).unwrap_or_default();
        let piece = rest.get(..BODY_MAX).unwrap_or(rest);
        if piece.is_empty() {
            if wire.body_done() {
                self.finish_body();
            }
            return;
        }
        *at += piece.len();
        fcgi::push_header(&mut self.sending.bytes, fcgi::STDIN, piece.len());
        self.sending.bytes.extend_from_slice(piece);
    }

    /// A record of what the wire holds.
    fn push_body(&mut self, wire: &mut dyn Wire) {
        let body = wire.body();
        let piece = body.get(..BODY_MAX).unwrap_or(body);
        let n = piece.len();
        if n > 0 {
            fcgi::push_header(&mut self.sending.bytes, fcgi::STDIN, n);
            self.sending.bytes.extend_from_slice(piece);
            wire.consume(n);
        }
        if wire.body_done() {
            self.finish_body();
        }
    }

    fn finish_body(&mut self) {
        fcgi::push_header(&mut self.sending.bytes, fcgi::STDIN, 0);
        self.sending.body_over = true;
    }

    async fn obey(
        &mut self,
        ex: &mut Exchange,
        wire: &mut dyn Wire,
        attempt: &Attempt<'_>,
        link: &mut Link,
        part: &Part,
    ) -> Result<(), Fault> {
        match part {
            Part::Out(range) if !self.heads_done => {
                self.head.extend_from_slice(link.input().get(range.clone()).unwrap_or_default());
                self.read_head(ex, wire, attempt).await
            }
            Part::Out(_) if self.skipping => Ok(()),
            Part::Out(range) => {
                let data = link.input().get(range.clone()).unwrap_or_default();
                link.account(0, data.len());
                self.send(ex, wire, data).await?;
                if attempt.worker.spec.flush_packets == FlushPackets::On {
                    pipe::flush(ex, wire).await.map_err(|_| Fault::Gone)?;
                }
                Ok(())
            }
            Part::Err(range) => {
                let text = String::from_utf8_lossy(link.input().get(range.clone()).unwrap_or_default()).into_owned();
                logs::error!(ex, Level::Error, NAMES.module, "AH01071: Got error '{text}'");
                Ok(())
            }
            Part::Unknown(kind) => {
                logs::error!(ex, Level::Error, NAMES.module, "AH01072: Got bogus record {kind}");
                Ok(())
            }
            // As httpd: what never became a head is the body.
            Part::OutEnd if !self.heads_done && !self.head.is_empty() => {
                self.heads_done = true;
                let text = std::mem::take(&mut self.head);
                pipe::head(ex, wire, Some(text.len() as u64));
                self.send(ex, wire, &text).await
            }
            Part::NeedMore | Part::OutEnd | Part::End => Ok(()),
        }
    }

    async fn send(&mut self, ex: &mut Exchange, wire: &mut dyn Wire, data: &[u8]) -> Result<(), Fault> {
        if data.is_empty() {
            return Ok(());
        }
        if !ex.head_sent {
            pipe::head(ex, wire, None);
        }
        pipe::data(ex, wire, data).await.map_err(|_| Fault::Gone)
    }

    /// Takes the head if it is all here, and passes on what stands behind it.
    async fn read_head(&mut self, ex: &mut Exchange, wire: &mut dyn Wire, attempt: &Attempt<'_>) -> Result<(), Fault> {
        let input = std::mem::take(&mut self.head);
        let (len, decided) = match head::read(ex, NAMES.module, &input, input.len() > HEAD_MAX) {
            Read::Partial => {
                self.head = input;
                return Ok(());
            }
            Read::Bad => return Err(Fault::Head),
            Read::Done(len, decided) => (len, decided),
        };
        self.heads_done = true;
        if !ex.env.contains(b"ap_trust_cgilike_cl") {
            ex.headers_out.unset(b"Content-Length");
        }
        ex.headers_out.unset(b"Transfer-Encoding");
        if let Some(status) = decided {
            ex.status = status;
            self.skipping = true;
        } else if let Some(outcome) = respond::replaced(ex, attempt.policy) {
            self.replaced = Some(outcome);
            self.skipping = true;
        } else {
            let rest = input.get(len..).unwrap_or_default().to_vec();
            return self.send(ex, wire, &rest).await;
        }
        Ok(())
    }

    /// The application has said all.
    async fn end(&mut self, ex: &mut Exchange, wire: &mut dyn Wire) -> Result<(), Fault> {
        if self.replaced.is_some() {
            return Ok(());
        }
        // What ends inside the head is an empty response, as in httpd.
        if !ex.head_sent {
            pipe::head(ex, wire, Some(0));
        }
        // A client that went away is noted by the pipe.
        let _ = pipe::finish(ex, wire).await;
        Ok(())
    }

    /// The answer where the exchange failed.
    async fn failed(&mut self, ex: &mut Exchange, wire: &mut dyn Wire, fault: Fault) -> Outcome {
        let (errno, place) = match &fault {
            Fault::Gone => {
                pipe::abort(ex, wire);
                return Outcome::Done;
            }
            Fault::Body(fault) => (respond::errno_of(*fault), ""),
            Fault::Socket(None) => (Errno::EOF, ""),
            Fault::Socket(Some(error)) if error.kind() == io::ErrorKind::TimedOut => (Errno::TIMEUP, "(polling)"),
            Fault::Socket(Some(error)) => (Errno::from(error), ""),
            Fault::Bad => (Errno(22), ""),
            Fault::Head => {
                logs::error!(ex, Level::Error, NAMES.module, "AH01070: Error parsing script headers");
                (Errno(22), "")
            }
        };
        logs::error!(ex, Level::Error, NAMES.module, errno => "AH01075: Error dispatching request to : {place}");
        if ex.head_sent {
            let _ = pipe::flush(ex, wire).await;
            pipe::abort(ex, wire);
            return Outcome::Done;
        }
        match fault {
            Fault::Head => {
                ex.status = 500;
                ex.status_line.clear();
                pipe::head(ex, wire, Some(0));
                let _ = pipe::finish(ex, wire).await;
                Outcome::Done
            }
            Fault::Body(fault) => respond::answer_to(ex, fault),
            _ if errno == Errno::TIMEUP => Outcome::Status(504),
            _ => Outcome::Status(503),
        }
    }
}
