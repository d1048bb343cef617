//! `mod_deflate.c`: gzip on the way out, and gunzip of what a backend compressed.

use std::cell::RefCell;
use std::sync::Arc;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, inner_or_outer, row};
use crate::logs::{self, Level};
use crate::modules::rows::nothing;
use crate::modules::{check, coding, slot};
use crate::pipe::Module;
use crate::web::{BodyFilter, Exchange, Table};

mod input;

pub use input::start as start_input;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "deflate_module",
        file: "mod_deflate.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per server.
#[derive(Clone, Default)]
pub struct Deflate {
    level: Option<u32>,
    window: Option<u8>,
    etag: Option<coding::EtagChange>,
    ratio: Option<Arc<[u8]>>,
    input: Option<Arc<[u8]>>,
    output: Option<Arc<[u8]>>,
}

impl Conf for Deflate {
    const SLOT: usize = slot::DEFLATE;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; level, window, etag, ratio, input, output)
    }
}

/// Values per directory.
#[derive(Clone, Default)]
pub struct DeflateDir {
    ratio_limit: Option<u64>,
    ratio_burst: Option<u32>,
    /// DeflateInflateLimitRequestBody in bytes; 0 is no limit.
    body_limit: Option<u64>,
}

impl Conf for DeflateDir {
    const SLOT: usize = slot::DEFLATE + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; ratio_limit, ratio_burst, body_limit)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("DeflateFilterNote", Places::SERVER, Shape::Take12, note, "Set a note to report on compression ratio"),
    row("DeflateWindowSize", Places::SERVER, Shape::Take1, window, "Set the Deflate window size (1-15)"),
    row("DeflateBufferSize", Places::SERVER, Shape::Take1, |_, a| check::at_least(a, 1, "DeflateBufferSize should be positive"), "Set the Deflate Buffer Size").moot(),
    row("DeflateMemLevel", Places::SERVER, Shape::Take1, |_, a| check::between(a, 1..=9, "DeflateMemLevel must be between 1 and 9"), "Set the Deflate Memory Level (1-9)").moot(),
    row("DeflateCompressionLevel", Places::SERVER, Shape::Take1, level, "Set the Deflate Compression Level (1-9)"),
    row("DeflateInflateLimitRequestBody", Places::ALL, Shape::Take1, body_limit, "Set a limit on size of inflated input"),
    row("DeflateInflateRatioLimit", Places::ALL, Shape::Take1, ratio_limit, "Set the inflate ratio limit above which inflation is aborted (default: 200)"),
    row("DeflateInflateRatioBurst", Places::ALL, Shape::Take1, ratio_burst, "Set the maximum number of following inflate ratios above limit (default: 3)"),
    row("DeflateAlterEtag", Places::SERVER, Shape::Take1, etag, "Set how mod_deflate should modify ETAG response headers: 'AddSuffix' (default), 'NoChange' (2.2.x behavior), 'Remove'"),
];

type Done = Result<(), String>;

/// `DeflateFilterNote [type] note`.
fn note(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (kind, name): (&[u8], &[u8]) = match args.opt(1) {
        None => (b"ratio", args.word(0)),
        Some(name) => (args.word(0), name),
    };
    let conf = cmd.server_conf::<Deflate>();
    let slot = match kind.to_ascii_lowercase().as_slice() {
        b"ratio" => &mut conf.ratio,
        b"input" => &mut conf.input,
        b"output" => &mut conf.output,
        _ => return Err(format!("Unknown note type {}", args.text(0))),
    };
    *slot = Some(name.into());
    Ok(())
}

fn level(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::between(args, 1..=9, "Compression Level must be between 1 and 9")?;
    cmd.server_conf::<Deflate>().level = u32::try_from(check::number(args.word(0))).ok();
    Ok(())
}

fn window(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::between(args, 1..=15, "DeflateWindowSize must be between 1 and 15")?;
    // The library's smallest window is 9 bits.
    cmd.server_conf::<Deflate>().window = u8::try_from(check::number(args.word(0)).max(9)).ok();
    Ok(())
}

fn etag(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let words = &["NoChange", "AddSuffix", "Remove"];
    check::one_of(args, words, "DeflateAlterETAG accepts only 'NoChange', 'AddSuffix', and 'Remove'")?;
    cmd.server_conf::<Deflate>().etag = coding::EtagChange::parse(args.word(0));
    Ok(())
}

fn ratio_limit(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::at_least(args, 1, "DeflateInflateRatioLimit must be positive")?;
    cmd.dir_conf::<DeflateDir>().ratio_limit = u64::try_from(check::number(args.word(0))).ok();
    Ok(())
}

fn ratio_burst(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::at_least(args, 1, "DeflateInflateRatioBurst must be positive")?;
    cmd.dir_conf::<DeflateDir>().ratio_burst = u32::try_from(check::number(args.word(0))).ok();
    Ok(())
}

fn body_limit(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let wrong = "DeflateInflateLimitRequestBody requires a non-negative integer.";
    check::long(args.word(0)).ok_or("DeflateInflateLimitRequestBody is not parsable.")?;
    check::whole_between(args, 0..=i64::MAX, wrong)?;
    cmd.dir_conf::<DeflateDir>().body_limit = check::whole(args.word(0)).and_then(|n| u64::try_from(n).ok());
    Ok(())
}

/// Bodies up to this many bytes would grow: not compressed.
const SMALL: u64 = 10 + 8 + 50;

/// `DEFLATE`.
pub fn start(ex: &mut Exchange, _: usize, length: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    if let Some(length) = length.filter(|length| *length <= SMALL) {
        logs::error!(ex, Level::Trace1, "deflate", "Not compressing very small response of {} bytes", length);
        return None;
    }
    if ex.sub_depth > 0 || ex.status == 204 || ex.env.contains(b"no-gzip") || ex.headers_out.contains(b"Content-Range")
    {
        return None;
    }
    if ex.env.get(b"gzip-only-text/html") == Some(b"1") && !ex.content_type.starts_with(b"text/html") {
        return None;
    }
    let encoded = coding::encoding_of(ex);
    if coding::is_encoded(&encoded) {
        return None;
    }
    ex.headers_out.merge(b"Vary", b"Accept-Encoding");
    if !ex.env.contains(b"force-gzip") && !coding::accepts(ex, b"gzip") {
        return None;
    }
    let live = ex.live.clone();
    let conf = live.generation.servers.get(ex.server).and_then(|server| server.get::<Deflate>());
    coding::encode_fields(ex, b"gzip", &encoded, conf.and_then(|conf| conf.etag).unwrap_or_default());
    if ex.status == 304 {
        return None;
    }
    let level = conf.and_then(|conf| conf.level).unwrap_or(6);
    let window = conf.and_then(|conf| conf.window).unwrap_or(15);
    let note = |name: fn(&Deflate) -> Option<Arc<[u8]>>| conf.and_then(name);
    Some(Box::new(Gzip {
        stream: Some(Stream::take(level, window)),
        crc: Crc::new(),
        begun: false,
        notes: [note(|conf| conf.ratio.clone()), note(|conf| conf.input.clone()), note(|conf| conf.output.clone())],
    }))
}

/// Compressors that a thread keeps: each holds a quarter of a megabyte.
const KEPT: usize = 16;

thread_local! {
    static STREAMS: RefCell<Vec<Stream>> = const { RefCell::new(Vec::new()) };
}

/// A compressor, and what it was made for.
struct Stream {
    level: u32,
    window: u8,
    compress: Compress,
}

impl Stream {
    fn take(level: u32, window: u8) -> Self {
        let kept = STREAMS.with_borrow_mut(|kept| {
            let at = kept.iter().rposition(|stream| (stream.level, stream.window) == (level, window))?;
            Some(kept.swap_remove(at))
        });
        kept.unwrap_or_else(|| {
            let compress = Compress::new_with_window_bits(Compression::new(level), false, window);
            Self { level, window, compress }
        })
    }

    fn give(mut self) {
        STREAMS.with_borrow_mut(|kept| {
            if kept.len() < KEPT {
                self.compress.reset();
                kept.push(self);
            }
        });
    }
}

struct Gzip {
    /// Given back with the end.
    stream: Option<Stream>,
    crc: Crc,
    begun: bool,
    /// Notes of ratio, input and output.
    notes: [Option<Arc<[u8]>>; 3],
}

/// A gzip header without name and time, made on Unix.
const HEADER: &[u8; 10] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";

/// Room that output is given at a time.
const ROOM: usize = 8096;

impl Gzip {
    fn run(&mut self, mut input: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(HEADER);
        }
        let Some(stream) = &mut self.stream else { return };
        loop {
            out.reserve(ROOM);
            let before = stream.compress.total_in();
            let status = stream.compress.compress_vec(input, out, flush);
            let taken = usize::try_from(stream.compress.total_in() - before).unwrap_or(0);
            input = input.get(taken..).unwrap_or_default();
            let full = out.len() == out.capacity();
            match status {
                Ok(Status::StreamEnd) | Err(_) => return,
                Ok(_) if input.is_empty() && !full && !matches!(flush, FlushCompress::Finish) => return,
                Ok(_) => {}
            }
        }
    }
}

impl BodyFilter for Gzip {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.crc.update(input);
        self.run(input, FlushCompress::None, out);
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        self.run(b"", FlushCompress::Sync, out);
    }

    fn end(&mut self, out: &mut Vec<u8>, notes: &mut Table) {
        self.run(b"", FlushCompress::Finish, out);
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
        let Some(stream) = self.stream.take() else { return };
        coding::note(notes, &self.notes, stream.compress.total_in(), stream.compress.total_out());
        stream.give();
    }
}

/// `INFLATE`.
pub fn start_inflate(ex: &mut Exchange, _: usize, length: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    if length == Some(0) || ex.sub_depth > 0 || ex.status == 204 || ex.headers_out.contains(b"Content-Range") {
        return None;
    }
    if !coding::take_gzip(ex) {
        return None;
    }
    coding::alter_etag(ex, b"gunzip", coding::EtagChange::AddSuffix);
    ex.headers_out.unset(b"Content-Length");
    ex.headers_out.unset(b"Content-MD5");
    if ex.status == 304 {
        return None;
    }
    let conf = ex.dir::<DeflateDir>();
    Some(Box::new(Gunzip {
        stream: Decompress::new(false),
        head: Vec::new(),
        state: Part::Head,
        ratio: Ratio::of(conf),
    }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Body,
    /// Checksum, and whatever follows.
    Tail,
    Bad,
}

struct Gunzip {
    stream: Decompress,
    head: Vec<u8>,
    state: Part,
    ratio: Ratio,
}

/// How much a body may grow, and how often in a row it may grow more.
struct Ratio {
    limit: u64,
    burst: u32,
    above: u32,
}

impl Ratio {
    fn of(conf: Option<&DeflateDir>) -> Self {
        let limit = conf.and_then(|conf| conf.ratio_limit).unwrap_or(200);
        Self { limit, burst: conf.and_then(|conf| conf.ratio_burst).unwrap_or(3), above: 0 }
    }

    /// Whether it may go on.
    fn allows(&mut self, stream: &Decompress) -> bool {
        if stream.total_in() > 0 && stream.total_out() / stream.total_in() > self.limit {
            self.above += 1;
            return self.above <= self.burst;
        }
        self.above = 0;
        true
    }
}

/// A gzip header with everything in it that it may have is longer than nobody makes it.
const LONGEST_HEAD: usize = 70_000;

/// The length of a gzip header; `None`: it goes on, or it is none.
fn header_length(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let magic = bytes.len().min(3);
    if bytes.get(..magic) != HEADER.get(..magic) {
        return Err(());
    }
    let Some(flags) = bytes.get(3).copied().filter(|_| bytes.len() >= 10) else { return Ok(None) };
    Ok(end_of_head(bytes, flags))
}

/// Where a gzip header with these flags ends (RFC 1952 section 2.3); `None`: it goes on.
fn end_of_head(bytes: &[u8], flags: u8) -> Option<usize> {
    let mut at = 10;
    if flags & 4 != 0 {
        let (&[low, high], _) = bytes.get(at..)?.split_first_chunk()?;
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += memchr::memchr(0, bytes.get(at..)?)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    (bytes.len() >= at).then_some(at)
}

impl Gunzip {
    fn inflate(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() && self.state == Part::Body {
            out.reserve(ROOM);
            let (before, had) = (self.stream.total_in(), out.len());
            let status = self.stream.decompress_vec(input, out, FlushDecompress::None);
            let taken = usize::try_from(self.stream.total_in() - before).unwrap_or(0);
            input = input.get(taken..).unwrap_or_default();
            match status {
                Ok(Status::StreamEnd) => self.state = Part::Tail,
                Ok(_) if taken == 0 && out.len() == had => self.state = Part::Bad,
                Ok(_) => {}
                Err(_) => self.state = Part::Bad,
            }
            if !self.ratio.allows(&self.stream) {
                self.state = Part::Bad;
            }
        }
    }
}

impl BodyFilter for Gunzip {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        match self.state {
            Part::Head => {
                self.head.extend_from_slice(input);
                let head = std::mem::take(&mut self.head);
                match header_length(&head) {
                    Ok(Some(length)) => {
                        self.state = Part::Body;
                        self.inflate(head.get(length..).unwrap_or_default(), out);
                    }
                    Ok(None) if head.len() < LONGEST_HEAD => self.head = head,
                    _ => self.state = Part::Bad,
                }
            }
            Part::Body => self.inflate(input, out),
            Part::Tail | Part::Bad => {}
        }
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn end(&mut self, _: &mut Vec<u8>, _: &mut Table) {
        if self.state != Part::Tail {
            self.state = Part::Bad;
        }
    }

    fn failed(&self) -> bool {
        self.state == Part::Bad
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn gzip() -> Gzip {
        Gzip { stream: Some(Stream::take(6, 15)), crc: Crc::new(), begun: false, notes: [const { None }; 3] }
    }

    fn gunzip() -> Gunzip {
        Gunzip { stream: Decompress::new(false), head: Vec::new(), state: Part::Head, ratio: Ratio::of(None) }
    }

    #[test]
    fn what_is_flushed_can_be_read_and_streams_are_used_again() {
        for _ in 0..3 {
            let (mut filter, mut out) = (gzip(), Vec::new());
            filter.data(b"hello ", &mut out);
            filter.flush(&mut out);
            let mut early = Vec::new();
            gunzip().data(&out, &mut early);
            assert_eq!(early, b"hello ");
            filter.data(&b"world ".repeat(5000), &mut out);
            filter.end(&mut out, &mut Table::default());
            let mut text = String::new();
            flate2::read::GzDecoder::new(out.as_slice()).read_to_string(&mut text).unwrap();
            assert_eq!(text, format!("hello {}", "world ".repeat(5000)));
        }
    }

    #[test]
    fn pieces_are_inflated_and_what_is_no_gzip_fails() {
        let (mut filter, mut packed) = (gzip(), Vec::new());
        filter.data(b"some text, some text", &mut packed);
        filter.end(&mut packed, &mut Table::default());
        let (mut back, mut out) = (gunzip(), Vec::new());
        packed.iter().for_each(|byte| back.data(&[*byte], &mut out));
        back.end(&mut out, &mut Table::default());
        assert_eq!((out.as_slice(), back.failed()), (&b"some text, some text"[..], false));
        let mut cut = gunzip();
        cut.data(&packed[..packed.len() - 12], &mut out);
        cut.end(&mut out, &mut Table::default());
        assert!(cut.failed());
        let mut other = gunzip();
        other.data(b"plain", &mut out);
        assert!(other.failed());
    }

    #[test]
    fn a_body_that_grows_without_end_is_stopped() {
        let (mut filter, mut packed) = (gzip(), Vec::new());
        filter.data(&vec![0; 16 << 20], &mut packed);
        filter.end(&mut packed, &mut Table::default());
        let (mut back, mut out) = (gunzip(), Vec::new());
        back.data(&packed, &mut out);
        assert!(back.failed() && out.len() < 8 << 20, "{}", out.len());
    }
}
