//! A program at work between a body and whoever reads it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::{ExtFilterDir, External, external};
use crate::base::path::{EncodedSlashes, unescape_url};
use crate::config::latin1;
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::cgi::child::{self, Errors, Running};
use crate::pipe::cgi;
use crate::web::{BodyFault, BodyFilter, Exchange, InputFilter, Progress, Refusal, Table};

const MODULE: &str = "ext_filter";

/// Output is passed on when so much of it is here.
const ENOUGH: usize = 65_536;

/// Starts output filter number `which`.
pub fn start(ex: &mut Exchange, which: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    let of = external(&ex.live.generation.globals, which)?;
    let kind = ex.content_type.clone();
    if !is_wanted(ex, &of, &kind) {
        return None;
    }
    if let Some(kind) = &of.outtype {
        ex.content_type.clone_from(kind);
    }
    Some(Box::new(Through {
        of,
        program: None,
        begun: false,
        pending: Vec::new(),
        at: 0,
        ended: false,
        over: false,
        looks: false,
        failed: false,
    }))
}

/// Starts input filter number `which`.
pub fn start_input(ex: &mut Exchange, which: usize) -> Option<Box<dyn InputFilter>> {
    let of = external(&ex.live.generation.globals, which)?;
    let kind = ex.headers_in.get(b"Content-Type").unwrap_or_default().to_vec();
    if !is_wanted(ex, &of, &kind) {
        return None;
    }
    add_document(ex);
    match run(ex, &of) {
        Ok(program) => Some(Box::new(Into { program: Some(program), closed: false, over: false })),
        Err(error) if removes(ex) => {
            cannot_start(ex, &of, &error, "AH01470: can't initialise input filter", "removing");
            None
        }
        Err(error) => {
            cannot_start(ex, &of, &error, "AH01470: can't initialise input filter", "aborting");
            Some(Box::new(Into { program: None, closed: true, over: false }))
        }
    }
}

fn removes(ex: &Exchange) -> bool {
    ex.dir::<ExtFilterDir>().and_then(|dir| dir.remove) == Some(true)
}

/// Whether there is anything to do for this request, with a body of this type.
fn is_wanted(ex: &Exchange, of: &External, kind: &[u8]) -> bool {
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    of.intype.as_ref().is_none_or(|wanted| !kind.is_empty() && wanted.eq_ignore_ascii_case(kind))
        && of.enabled_by.as_ref().is_none_or(|name| ex.env.contains(name))
        && of.disabled_by.as_ref().is_none_or(|name| !ex.env.contains(name))
}

/// What the environment says of the document, beyond that of a script.
fn add_document(ex: &mut Exchange) {
    let (uri, info) = (ex.uri.clone(), ex.path_info.clone());
    ex.env.set(b"DOCUMENT_URI", &uri);
    ex.env.set(b"DOCUMENT_PATH_INFO", &info);
    if let Some(args) = ex.args.clone() {
        let mut plain = Vec::new();
        if unescape_url(&args, EncodedSlashes::Decode, &mut plain).is_ok() {
            let special = |byte: &u8| b"&;`'\"|*?~<>^()[]{}$\\\n\r%".contains(byte);
            let quoted = |byte: &u8| [b'\\', *byte].into_iter().skip(usize::from(!special(byte)));
            let quoted: Vec<u8> = plain.iter().flat_map(quoted).collect();
            ex.env.set(b"QUERY_STRING_UNESCAPED", &quoted);
        }
    }
}

fn run(ex: &Exchange, of: &External) -> io::Result<Program> {
    let logged = ex.dir::<ExtFilterDir>().and_then(|dir| dir.log_errors) == Some(true);
    let errors = if logged { Errors::RawOfServer } else { Errors::Lost };
    let patience = Duration::from_secs(u64::from(ex.server().rec.timeout.unwrap_or(60)));
    let mut argv: Vec<&[u8]> = of.argv.iter().map(Vec::as_slice).collect();
    // Programs are not looked for.
    let own = of.argv.first().map(|name| [b"./".as_slice(), name].concat()).unwrap_or_default();
    if let Some(name) = argv.first_mut()
        && !name.contains(&b'/')
    {
        *name = &own;
    }
    let running = child::start(ex, &argv, b".", errors, patience)?;
    let limit = Box::pin(tokio::time::sleep(patience));
    Ok(Program { running, patience, limit, waits: false, input_open: true, of: logs::OfBody::new(ex) })
}

fn cannot_start(ex: &Exchange, of: &External, error: &io::Error, what: &str, then: &str) {
    let errno = Errno::from(error);
    let name = Bytes(of.argv.first().map(Vec::as_slice).unwrap_or_default());
    let text = "AH01458: couldn't create child process to run";
    logs::error!(ex, Level::Error, MODULE, errno => "{} `{}'", text, name);
    logs::error!(ex, Level::Error, MODULE, errno => "{} {}: {}", what, latin1(&of.name), then);
}

/// The running program.
struct Program {
    running: Running,
    /// How long it may neither take nor give anything.
    patience: Duration,
    limit: Pin<Box<Sleep>>,
    /// The limit runs.
    waits: bool,
    input_open: bool,
    of: logs::OfBody,
}

impl Program {
    /// It has done something.
    fn moved(&mut self) {
        self.waits = false;
    }

    /// Somebody waits for it to do something: in time, or never.
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if !std::mem::replace(&mut self.waits, true) {
            self.limit.as_mut().reset(Instant::now() + self.patience);
        }
        self.limit.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.running.poll_write(cx, bytes).map(|done| {
            if let Err(error) = &done {
                let errno = Errno::from(error);
                logs::error!(&self.of, Level::Warn, MODULE, errno => "AH01461: apr_file_write(child input), len 0");
            }
            self.moved();
            done
        })
    }

    fn close_input(&mut self) {
        self.input_open = false;
        self.running.close_input();
    }

    fn say_late(&self) {
        let (errno, of) = (Errno::TIMEUP, &self.of);
        match self.input_open {
            true => logs::error!(of, Level::Warn, MODULE, errno => "AH01462: apr_pollset_poll()"),
            false => logs::error!(of, Level::Error, MODULE, errno => "AH01466: apr_file_read(child output), len 0"),
        }
    }
}

/// A response's body on its way through a program.
struct Through {
    of: Arc<External>,
    program: Option<Program>,
    begun: bool,
    /// What the program has not taken yet.
    pending: Vec<u8>,
    at: usize,
    ended: bool,
    /// The program's output has ended.
    over: bool,
    /// What the program has written by now is looked for.
    looks: bool,
    failed: bool,
}

/// What comes of some work.
enum Done {
    /// Something to pass on, or nothing to wait for.
    Enough,
    /// Its output has ended.
    Over,
}

impl Through {
    fn poll(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<io::Result<Done>> {
        let Some(program) = &mut self.program else { return Poll::Ready(Ok(Done::Over)) };
        loop {
            let mut moved = false;
            let rest = self.pending.get(self.at..).unwrap_or_default();
            if !rest.is_empty() {
                if let Poll::Ready(wrote) = program.poll_write(cx, rest) {
                    self.at += wrote?;
                    moved = true;
                }
            } else if self.ended && program.input_open {
                program.close_input();
            }
            if !self.over
                && let Poll::Ready(got) = program.running.poll_read(cx, out)
            {
                moved = true;
                program.moved();
                self.over = got? == 0;
            }
            let all_taken = self.at >= self.pending.len();
            // Whoever has ended its output may still be written to.
            if self.over && self.ended && all_taken {
                return Poll::Ready(Ok(Done::Over));
            }
            if out.len() >= ENOUGH || (all_taken && !self.ended) {
                return Poll::Ready(Ok(Done::Enough));
            }
            if moved {
                continue;
            }
            if let Poll::Ready(error) = program.poll_limit(cx) {
                program.say_late();
                return Poll::Ready(Err(error));
            }
            return Poll::Pending;
        }
    }

    async fn begin(&mut self, ex: &mut Exchange, out: &mut Vec<u8>) {
        cgi::add_common(ex);
        cgi::add_cgi(ex).await;
        add_document(ex);
        match run(ex, &self.of) {
            Ok(program) => self.program = Some(program),
            Err(error) if removes(ex) => {
                cannot_start(ex, &self.of, &error, "AH01467: can't initialise output filter", "removing");
                self.as_is(out);
            }
            Err(error) => {
                cannot_start(ex, &self.of, &error, "AH01467: can't initialise output filter", "aborting");
                self.failed = true;
            }
        }
    }

    /// Passes on what nobody changes.
    fn as_is(&mut self, out: &mut Vec<u8>) {
        out.extend(self.pending.drain(..).skip(self.at));
        self.at = 0;
    }
}

impl BodyFilter for Through {
    fn data(&mut self, input: &[u8], _: &mut Vec<u8>) {
        if self.at > 0 && self.at >= self.pending.len() {
            self.pending.clear();
            self.at = 0;
        }
        self.pending.extend_from_slice(input);
        self.looks = true;
    }

    fn flush(&mut self, _: &mut Vec<u8>) {
        self.looks = true;
    }

    fn end(&mut self, _: &mut Vec<u8>, _: &mut Table) {
        self.ended = true;
        self.looks = true;
    }

    fn keeps_length(&self) -> bool {
        self.of.keeps_length
    }

    fn failed(&self) -> bool {
        self.failed
    }

    fn refusal(&self) -> Refusal {
        Refusal::Page
    }

    fn waits(&self) -> bool {
        self.looks && !self.failed
    }

    fn work<'a>(&'a mut self, ex: &'a mut Exchange, out: &'a mut Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            if self.program.is_none() && !self.begun {
                self.begun = true;
                self.begin(ex, out).await;
            }
            if self.program.is_none() {
                self.as_is(out);
                self.looks = false;
                return;
            }
            match poll_fn(|cx| self.poll(cx, out)).await {
                // The rest of what it has to say comes when it is asked again.
                Ok(Done::Enough) => self.looks = self.ended || self.at < self.pending.len(),
                Ok(Done::Over) => {
                    self.looks = false;
                    self.program = None;
                }
                Err(error) => {
                    let errno = Errno::from(&error);
                    logs::error!(ex, Level::Warn, MODULE, errno => "AH01468: ef_unified_filter() failed");
                    if let Some(program) = &mut self.program {
                        program.running.stop();
                    }
                    self.failed = true;
                }
            }
        })
    }
}

/// A request's body on its way through a program.
struct Into {
    /// There is none if it could not be started.
    program: Option<Program>,
    closed: bool,
    /// Its output has ended.
    over: bool,
}

/// Nobody reads the body.
const NOT_STARTED: BodyFault = BodyFault::Refused { status: 400, errno: 500 };

fn fault(error: &io::Error) -> BodyFault {
    match error.kind() {
        io::ErrorKind::TimedOut => BodyFault::Timeout,
        _ => BodyFault::Refused { status: 400, errno: Errno::from(error).0 },
    }
}

impl InputFilter for Into {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        input: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Progress, BodyFault>> {
        let Some(program) = &mut self.program else { return Poll::Ready(Err(NOT_STARTED)) };
        let mut taken = 0;
        let mut full = false;
        while taken < input.len() && !full {
            match program.poll_write(cx, input.get(taken..).unwrap_or_default()) {
                Poll::Ready(Ok(n)) => taken += n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(fault(&error))),
                Poll::Pending => full = true,
            }
        }
        if last && taken == input.len() && !std::mem::replace(&mut self.closed, true) {
            program.close_input();
        }
        while !self.over && out.len() < ENOUGH {
            match program.running.poll_read(cx, out) {
                Poll::Ready(Ok(n)) => {
                    program.moved();
                    self.over = n == 0;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(fault(&error))),
                Poll::Pending => break,
            }
        }
        let ended = self.over && self.closed;
        if taken > 0 || !out.is_empty() || ended || !(full || self.closed) {
            return Poll::Ready(Ok(Progress { taken, ended }));
        }
        program.poll_limit(cx).map(|error| {
            program.say_late();
            program.running.stop();
            Err(fault(&error))
        })
    }
}
