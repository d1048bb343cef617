//! The request's body on its way to the backend.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::Poll;

use smallvec::SmallVec;

use super::super::Attempt;
use super::super::forward::Text;
use super::super::link::Link;
use super::super::pool::Shown;
use super::super::respond;
use super::request::Announced;
use crate::codec::http1::write::{CHUNK_END, LAST_CHUNK, push_chunk_start};
use crate::logs::{self, Bytes, Level};
use crate::pipe::{self, Outcome};
use crate::web::{BodyFault, BodyKind, Exchange, Wire};

/// How much is read of a body before the backend is bothered.
const PREFETCH: usize = 16 * 1024;

/// With so little room left, httpd doesn't look whether that was all: the body of chunks goes on in chunks.
const PREFETCH_ROOM: usize = 80;

/// httpd sends the chunks of its client on, none longer than this.
const CHUNK_MAX: usize = 0x2000;

/// As many of them go out at once.
const CHUNKS: usize = 8;

/// Those that have come in pieces go out once so much is held.
const GATHER_MAX: usize = 2 * CHUNK_MAX;

/// The sizes of chunks that go out together.
type Sizes = SmallVec<[usize; CHUNKS]>;

/// The longest body that is spooled in memory to learn its length (`proxy-sendcl`, HTTP/1.0 backends).
const SPOOL_MAX: usize = 64 * 1024 * 1024;

/// Where the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// There is none.
    Nowhere,
    /// All of it in the wire's buffer.
    Wire(usize),
    /// All of it in `held`.
    Held,
    /// The beginning in `held`, the rest to come.
    Streaming,
    /// Not asked for yet: the client or we wait for `100 Continue`. What came without is in `held`.
    Awaited { whole: bool },
}

/// A body to be sent.
pub(in super::super) struct Outgoing {
    place: Place,
    held: Text,
    announced: Announced,
    /// Some of it was taken from the client and given to a backend: it cannot be sent again.
    spent: bool,
    /// All of it was sent.
    complete: bool,
}

/// Why sending ended early.
#[derive(Debug)]
pub(super) enum SendFault {
    /// The client's part failed.
    Client(BodyFault),
    /// The backend's part failed.
    Backend(io::Error),
    /// The client is not asked for the rest of what it announced.
    Short { got: usize, expected: u64 },
}

impl Outgoing {
    /// Reads the beginning of the body, at most 16 KiB; only what is here if somebody waits for `100 Continue` first.
    ///
    /// # Errors
    /// The status to answer with; logged.
    pub(in super::super) async fn prefetch(
        ex: &mut Exchange,
        wire: &mut dyn Wire,
        attempt: &Attempt<'_>,
        awaited: bool,
        known_length: bool,
    ) -> Result<Self, Outcome> {
        let mut this = Self {
            place: Place::Nowhere,
            held: Text::default(),
            announced: Announced::Nothing,
            spent: false,
            complete: true,
        };
        if let Some(coding) = ex.headers_in.get(b"Transfer-Encoding")
            && !coding.eq_ignore_ascii_case(b"chunked")
        {
            logs::error!(
                ex,
                Level::Error,
                "proxy_http",
                "AH01093: {} Transfer-Encoding is not supported",
                Bytes(coding)
            );
            return Err(Outcome::Status(500));
        }
        let kind = wire.body_kind();
        match kind {
            BodyKind::None => {
                if ex.headers_in.get(b"Content-Length") == Some(b"0") {
                    this.announced = Announced::Length(0);
                }
                return Ok(this);
            }
            BodyKind::Length(0) => {
                this.announced = Announced::Length(0);
                return Ok(this);
            }
            BodyKind::Length(n) => this.announced = Announced::Length(n),
            BodyKind::Stream => this.announced = Announced::Chunked,
        }
        this.complete = false;
        if awaited && !known_length {
            // Nobody but us asks the client for it.
            wire.continue_now(false);
            if let Err(fault) = this.read_here(wire).await {
                return Err(prefetch_failed(ex, attempt, fault));
            }
            return Ok(this);
        }
        // A length that was announced does not hold behind filters: unless chunks are asked for, it is counted.
        let counted = match kind {
            BodyKind::Length(_) => wire.is_filtered() && !chunks_asked(ex),
            _ => known_length,
        };
        let (most, room) = if counted { (SPOOL_MAX, 0) } else { (PREFETCH, PREFETCH_ROOM) };
        if let Err(fault) = this.read(wire, kind, most, room).await {
            return Err(prefetch_failed(ex, attempt, fault));
        }
        if this.place == Place::Streaming && counted {
            return Err(Outcome::Status(413));
        }
        if this.place == Place::Streaming && wire.is_filtered() {
            this.announced = Announced::Chunked;
        }
        Ok(this)
    }

    /// Reads until `most` bytes are held, or a chunk ends with no more than `room` to that, or the body ends. A short
    /// body that is here already stays where it is.
    async fn read(&mut self, wire: &mut dyn Wire, kind: BodyKind, most: usize, room: usize) -> Result<(), BodyFault> {
        if wire.body().is_empty() {
            pipe::fill(wire).await?;
        }
        if let BodyKind::Length(n) = kind
            && !wire.is_filtered()
            && let Ok(n) = usize::try_from(n)
            && wire.body().len() >= n
        {
            self.place = Place::Wire(n);
            return Ok(());
        }
        self.held = Text::take();
        let held = &mut self.held.0;
        self.place = Place::Streaming;
        while held.len() < most && !wire.body_done() {
            if wire.body().is_empty() && pipe::fill(wire).await? == 0 {
                break;
            }
            let here = wire.body();
            let n = here.len().min(most - held.len());
            let ends = n == here.len() && wire.chunk_ends();
            held.extend_from_slice(here.get(..n).unwrap_or_default());
            wire.consume(n);
            if ends && held.len() + room >= most {
                break;
            }
        }
        if wire.body_done() {
            self.place = Place::Held;
            self.announced = Announced::Length(held.len() as u64);
        }
        Ok(())
    }

    /// Takes what is here of the body without waiting for more. All of it has a length, whatever was announced.
    async fn read_here(&mut self, wire: &mut dyn Wire) -> Result<(), BodyFault> {
        self.held = Text::take();
        let held = &mut self.held.0;
        let mut asked = false;
        while held.len() < PREFETCH && !wire.body_done() {
            let here = wire.body();
            let n = here.len().min(PREFETCH - held.len());
            held.extend_from_slice(here.get(..n).unwrap_or_default());
            wire.consume(n);
            if n > 0 || wire.body_done() {
                continue;
            }
            match poll_fn(|cx| Poll::Ready(wire.poll_fill(cx))).await {
                Poll::Ready(filled) => {
                    filled?;
                }
                // What is in the socket is not known before the runtime has asked for it.
                Poll::Pending if !asked => {
                    asked = true;
                    tokio::task::yield_now().await;
                }
                Poll::Pending => break,
            }
        }
        let whole = wire.body_done();
        if whole {
            self.announced = Announced::Length(held.len() as u64);
        }
        self.place = Place::Awaited { whole };
        Ok(())
    }

    /// How the head announces it.
    pub(super) fn announced(&self) -> Announced {
        self.announced
    }

    /// That of a request whose body was given away.
    pub(in super::super) fn spent() -> Self {
        Self {
            place: Place::Nowhere,
            held: Text::default(),
            announced: Announced::Nothing,
            spent: true,
            complete: true,
        }
    }

    /// The body's length, if there is a body; `None` where that is not known.
    pub(in super::super) fn length(&self) -> Option<Option<u64>> {
        match self.announced {
            Announced::Nothing => Some(None),
            Announced::Length(n) => Some(Some(n)),
            Announced::Chunked => None,
        }
    }

    /// Gives away what was read of the body; the rest comes from the wire.
    pub(in super::super) fn take(&mut self, wire: &mut dyn Wire) -> Vec<u8> {
        let taken = match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Wire(n) => {
                let body = wire.body().get(..n).unwrap_or_default().to_vec();
                wire.consume(n);
                body
            }
            _ => std::mem::take(&mut self.held.0),
        };
        self.spent |= !taken.is_empty() || !wire.body_done();
        taken
    }

    /// Whether there is a body that is still to be asked for.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.place, Place::Awaited { .. })
    }

    /// Whether some of it was taken from the client.
    pub(in super::super) fn is_begun(&self) -> bool {
        self.spent || !self.held.0.is_empty()
    }

    /// Whether it could be sent once more.
    pub(in super::super) fn is_intact(&self) -> bool {
        !self.spent
    }

    /// Whether the backend has got all of it.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Sends what is in the link's output, and with it what there is of the body, then the rest as it comes.
    pub(super) async fn send(&mut self, wire: &mut dyn Wire, link: &mut Link) -> Result<(), SendFault> {
        let mut output = std::mem::take(&mut link.lane().output);
        let done = self.send_with(&mut output, wire, link).await;
        output.clear();
        link.lane().output = output;
        done
    }

    async fn send_with(&mut self, output: &mut Vec<u8>, wire: &mut dyn Wire, link: &mut Link) -> Result<(), SendFault> {
        let chunked = self.announced == Announced::Chunked;
        let body = match self.place {
            Place::Nowhere | Place::Awaited { .. } => &[],
            Place::Wire(n) => wire.body().get(..n).unwrap_or_default(),
            Place::Held | Place::Streaming => self.held.0.as_slice(),
        };
        let framed = chunked && !body.is_empty();
        if framed {
            push_chunk_start(output, body.len());
        }
        link.account(output.len() + body.len(), 0);
        let end: &[u8] = if framed { CHUNK_END } else { b"" };
        let mut parts = [IoSlice::new(output), IoSlice::new(body), IoSlice::new(end)];
        let sent = if body.is_empty() { link.write_all(output).await } else { link.write_parts(&mut parts).await };
        sent.map_err(SendFault::Backend)?;
        match self.place {
            Place::Nowhere | Place::Wire(_) | Place::Held => self.complete = true,
            Place::Awaited { .. } => {}
            Place::Streaming => self.stream(output, wire, link).await?,
        }
        Ok(())
    }

    /// The backend asked for the body, or answered without: sends what is here, and the rest as it comes. A client that
    /// still waits is asked for it only where the answer is not an error (`welcome`).
    pub(super) async fn send_awaited(
        &mut self,
        wire: &mut dyn Wire,
        link: &mut Link,
        welcome: bool,
    ) -> Result<(), SendFault> {
        link.lane().output.clear();
        if self.place == (Place::Awaited { whole: true }) {
            self.place = Place::Held;
        } else if wire.expects_continue() && !welcome {
            // It keeps the rest, so its connection ends with this response, and so does the backend's.
            let got = self.held.0.len();
            return match self.announced {
                Announced::Length(expected) => Err(SendFault::Short { got, expected }),
                _ => link.write_all(LAST_CHUNK).await.map_err(SendFault::Backend),
            };
        } else {
            self.place = Place::Streaming;
            if wire.expects_continue() {
                wire.continue_now(true);
            }
        }
        self.send(wire, link).await
    }

    async fn stream(&mut self, frame: &mut Vec<u8>, wire: &mut dyn Wire, link: &mut Link) -> Result<(), SendFault> {
        self.spent = true;
        let chunked = self.announced == Announced::Chunked;
        while !wire.body_done() {
            if wire.body().is_empty() && pipe::fill(wire).await.map_err(SendFault::Client)? == 0 {
                break;
            }
            let mut sizes = Sizes::new();
            let gathered = chunked && self.gather(wire, &mut sizes).await.map_err(SendFault::Client)?;
            let data = if gathered { self.held.0.as_slice() } else { wire.body() };
            let n = match data.len() {
                n if gathered || !chunked => n,
                n if wire.chunk_ends() => n.min(CHUNKS * CHUNK_MAX),
                // Whole chunks only: the rest waits for what comes behind it.
                n => (n - n % CHUNK_MAX).min(CHUNKS * CHUNK_MAX),
            };
            let data = data.get(..n).unwrap_or_default();
            if chunked && !gathered {
                sizes.extend(data.chunks(CHUNK_MAX).map(<[u8]>::len));
            }
            frame.clear();
            let mut lines = Sizes::new();
            for size in &sizes {
                push_chunk_start(frame, *size);
                lines.push(frame.len());
            }
            let mut parts: SmallVec<[IoSlice<'_>; 3 * CHUNKS]> = SmallVec::new();
            let (mut line_at, mut data_at) = (0, 0);
            for (line, size) in lines.iter().zip(&sizes) {
                let line_of = frame.get(line_at..*line).unwrap_or_default();
                let data_of = data.get(data_at..data_at + size).unwrap_or_default();
                parts.extend([line_of, data_of, CHUNK_END].map(IoSlice::new));
                (line_at, data_at) = (*line, data_at + size);
            }
            if !chunked {
                parts.push(IoSlice::new(data));
            }
            link.account(parts.iter().map(|part| part.len()).sum(), 0);
            if !write_unless_answered(link, &mut parts).await.map_err(SendFault::Backend)? {
                return Ok(());
            }
            drop(parts);
            if !gathered {
                wire.consume(n);
            }
        }
        if chunked {
            link.account(LAST_CHUNK.len(), 0);
            link.write_all(LAST_CHUNK).await.map_err(SendFault::Backend)?;
        }
        self.complete = true;
        Ok(())
    }

    /// Makes chunks of what has come of the body, where it has come in smaller pieces; whether they are held now. As in
    /// httpd, a chunk ends where the client's does, and where it is long enough, and nothing is waited for.
    async fn gather(&mut self, wire: &mut dyn Wire, sizes: &mut Sizes) -> Result<bool, BodyFault> {
        if wire.body().len() >= CHUNK_MAX || wire.body_done() {
            return Ok(false);
        }
        let held = &mut self.held.0;
        held.clear();
        let mut begun = 0;
        let mut asked = false;
        loop {
            let here = wire.body();
            let n = here.len().min(CHUNK_MAX - begun);
            let ends = n == here.len() && wire.chunk_ends();
            held.extend_from_slice(here.get(..n).unwrap_or_default());
            wire.consume(n);
            begun += n;
            let more = !wire.body_done() && held.len() < GATHER_MAX && sizes.len() + 1 < CHUNKS;
            if begun > 0 && (begun == CHUNK_MAX || ends || !more) {
                sizes.push(std::mem::take(&mut begun));
            }
            if !more {
                return Ok(true);
            }
            if !wire.body().is_empty() {
                continue;
            }
            match poll_fn(|cx| Poll::Ready(wire.poll_fill(cx))).await {
                Poll::Ready(Ok(1..)) => continue,
                Poll::Ready(Err(fault)) => return Err(fault),
                // What is in the socket is not known before the runtime has asked for it.
                Poll::Pending if !asked => {
                    asked = true;
                    tokio::task::yield_now().await;
                }
                _ => {
                    if begun > 0 {
                        sizes.push(begun);
                    }
                    return Ok(true);
                }
            }
        }
    }

    /// The response begins: the body will not be sent again.
    pub(super) fn settle(&mut self, wire: &mut dyn Wire) {
        if let Place::Wire(n) = self.place {
            wire.consume(n);
            self.place = Place::Nowhere;
        }
    }
}

/// The answer to a request whose body fails before the backend has heard of it.
fn prefetch_failed(ex: &mut Exchange, attempt: &Attempt<'_>, fault: BodyFault) -> Outcome {
    let errno = respond::errno_of(fault);
    let (peer, host) = (Shown(attempt.worker), &attempt.worker.spec.host);
    let client = Bytes(&ex.client_ip);
    logs::error!(ex, Level::Error, "proxy", errno =>
        "AH01095: prefetch request body failed to {peer} ({host}) from {client} ()");
    respond::answer_to(ex, fault)
}

/// Whether bodies whose length changes go to HTTP/1.1 backends in chunks (`proxy-sendchunked`).
fn chunks_asked(ex: &Exchange) -> bool {
    let chunked = ex.env.contains(b"proxy-sendchunked") || ex.env.contains(b"proxy-sendchunks");
    chunked && !ex.env.contains(b"proxy-sendcl") && !ex.env.contains(b"force-proxy-request-1.0")
}

/// Writes all parts; stops, and says `false`, when the backend does not take more but has answered (or closed).
async fn write_unless_answered(link: &mut Link, parts: &mut [IoSlice<'_>]) -> io::Result<bool> {
    let mut rest = parts;
    IoSlice::advance_slices(&mut rest, 0);
    poll_fn(|cx| {
        while !rest.is_empty() {
            match link.poll_write_parts(cx, rest) {
                Poll::Ready(Ok(n)) => IoSlice::advance_slices(&mut rest, n),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if !link.input().is_empty() => return Poll::Ready(Ok(false)),
                Poll::Pending => {
                    return match link.poll_fill(cx) {
                        Poll::Ready(Ok(_)) => Poll::Ready(Ok(false)),
                        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
        Poll::Ready(Ok(true))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::testing::{FakeWire, now};

    #[test]
    fn pieces_become_chunks_that_end_where_the_clients_do() {
        let mut outgoing = Outgoing::spent();
        let mut gather = |wire: &mut FakeWire| {
            let mut sizes = Sizes::new();
            let gathered = now(outgoing.gather(wire, &mut sizes)).unwrap();
            (gathered, sizes.to_vec())
        };
        // The first piece ends a chunk, and so does the rest, which is too long for one.
        let mut wire = FakeWire { input: vec![b'x'; 10_000], chunked: true, shown: 100, ..FakeWire::default() };
        assert_eq!(gather(&mut wire), (true, vec![100, CHUNK_MAX, 9_900 - CHUNK_MAX]));
        assert!(wire.body_done());
        // What is whole already stays where it is.
        let mut wire =
            FakeWire { input: vec![b'x'; CHUNK_MAX], chunked: true, shown: CHUNK_MAX, ..FakeWire::default() };
        assert_eq!(gather(&mut wire), (false, Vec::new()));
        assert_eq!(wire.body().len(), CHUNK_MAX);
    }

    #[test]
    fn a_body_that_nearly_fills_the_memory_is_not_known_to_be_over() {
        let most = PREFETCH - PREFETCH_ROOM;
        for (len, announced) in [(most - 1, Announced::Length(most as u64 - 1)), (most, Announced::Chunked)] {
            let mut wire = FakeWire { input: vec![b'x'; len], chunked: true, shown: 8000, ..FakeWire::default() };
            // As on a real wire, the end is not known before it is asked for.
            wire.fault = (len == most).then_some(BodyFault::Gone);
            let mut outgoing = Outgoing { announced: Announced::Chunked, ..Outgoing::spent() };
            now(outgoing.read(&mut wire, BodyKind::Stream, PREFETCH, PREFETCH_ROOM)).unwrap();
            assert_eq!((outgoing.announced, outgoing.held.0.len()), (announced, len));
        }
    }

    #[test]
    fn what_is_here_without_being_asked_for_has_a_length() {
        for (shown, done, announced) in [(5, true, Announced::Length(5)), (0, false, Announced::Chunked)] {
            let mut wire = FakeWire { chunked: true, shown, ..FakeWire::default() };
            wire.input = b"hello".get(..shown).unwrap().to_vec();
            wire.fault = (!done).then_some(BodyFault::Gone);
            let mut outgoing = Outgoing { announced: Announced::Chunked, ..Outgoing::spent() };
            let read = now(outgoing.read_here(&mut wire));
            assert_eq!(read.is_ok(), done);
            assert_eq!((outgoing.announced, outgoing.held.0.len()), (announced, shown));
            assert_eq!(outgoing.is_awaited(), done);
        }
    }
}
