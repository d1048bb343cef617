//! A document on its way through the INCLUDES filter.

use std::future::Future;
use std::pin::Pin;

use super::scan::{self, Element, Piece};
use super::{IncludeDir, Tags, elements};
use crate::base::clock::{Clock as _, SystemClock, push_strftime, push_strftime_gmt};
use crate::base::path::{EncodedSlashes, unescape_url};
use crate::logs::{self, Bytes, Level};
use crate::pipe::cgi;
use crate::pipe::part::Part;
use crate::web::{BodyFilter, Exchange, Table};

/// Marks a request whose response becomes part of a document that is filled in itself: they share their variables.
#[derive(Default)]
pub(super) struct Nested(pub(super) bool);

/// Marks such a request that was filled in.
#[derive(Default)]
pub(super) struct Used(pub(super) bool);

/// How files' sizes are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SizeFormat {
    Bytes,
    Abbreviated,
}

/// The filter.
pub(super) struct Includes {
    pub(super) error: Vec<u8>,
    pub(super) time: Vec<u8>,
    pub(super) undefined: Vec<u8>,
    pub(super) size: SizeFormat,
    /// Elements that run programs are not obeyed.
    pub(super) no_exec: bool,
    /// The text at hand is shown.
    pub(super) printing: bool,
    /// A branch of the innermost `if` was taken.
    pub(super) taken: bool,
    /// A condition of the innermost `if` could not be told.
    pub(super) untold: bool,
    /// Depth of `if` in text that is not shown.
    pub(super) depth: usize,
    /// What comes from elsewhere at the moment.
    pub(super) part: Option<elements::Source>,
    start: Vec<u8>,
    end: Vec<u8>,
    /// What was not looked at yet.
    pending: Vec<u8>,
    ended: bool,
    begun: bool,
    /// Where in what was pushed something was passed on.
    passed: Vec<usize>,
}

const ERROR: &[u8] = b"[an error occurred while processing this directive]";
const TIME: &[u8] = b"%A, %d-%b-%Y %H:%M:%S %Z";

/// Output is passed on when it has become this long.
const ENOUGH: usize = 65_536;

impl Includes {
    pub(super) fn new(ex: &Exchange, no_exec: bool) -> Self {
        let conf = ex.dir::<IncludeDir>();
        let text = |of: fn(&IncludeDir) -> &Option<Vec<u8>>, other: &[u8]| {
            conf.and_then(|conf| of(conf).clone()).unwrap_or_else(|| other.to_vec())
        };
        let tags = ex.server().get::<Tags>();
        let tag = |of: fn(&Tags) -> &Option<Vec<u8>>, other: &[u8]| {
            tags.and_then(|tags| of(tags).clone()).filter(|tag| !tag.is_empty()).unwrap_or_else(|| other.to_vec())
        };
        Self {
            error: text(|conf| &conf.error, ERROR),
            time: text(|conf| &conf.time, TIME),
            undefined: text(|conf| &conf.undefined, b"(none)"),
            size: SizeFormat::Abbreviated,
            no_exec,
            printing: true,
            taken: true,
            untold: false,
            depth: 0,
            part: None,
            start: tag(|tags| &tags.start, b"<!--#"),
            end: tag(|tags| &tags.end, b"-->"),
            pending: Vec::new(),
            ended: false,
            begun: false,
            passed: Vec::new(),
        }
    }

    /// Sets the variables of documents, unless those of the one around it hold.
    async fn begin(&mut self, ex: &mut Exchange) {
        if ex.ext.get::<Nested>().is_some_and(|nested| nested.0) {
            ex.ext.get_mut::<Used>().0 = true;
            return;
        }
        cgi::add_common(ex);
        cgi::add_cgi(ex).await;
        self.set_times(ex);
        let uri = ex.uri.clone();
        ex.env.set(b"DOCUMENT_URI", &uri);
        let args = ex.args.clone().unwrap_or_default();
        ex.env.set(b"DOCUMENT_ARGS", &args);
        if !ex.path_info.is_empty() {
            let info = ex.path_info.clone();
            ex.env.set(b"DOCUMENT_PATH_INFO", &info);
        }
        let mut owner = Vec::new();
        crate::expr::Vars::var(&*ex, crate::expr::Var::ScriptUser, &mut owner);
        ex.env.set(b"USER_NAME", if owner.is_empty() { b"<unknown>" } else { &owner });
        let start = memchr::memrchr(b'/', &ex.filename).map_or(0, |slash| slash + 1);
        let name = ex.filename.get(start..).unwrap_or_default().to_vec();
        ex.env.set(b"DOCUMENT_NAME", &name);
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

    /// The variables that show times, in the format that holds now.
    pub(super) fn set_times(&self, ex: &mut Exchange) {
        let now = SystemClock.wall();
        let mut text = Vec::new();
        push_strftime(&mut text, &self.time, now);
        ex.env.set(b"DATE_LOCAL", &text);
        text.clear();
        push_strftime_gmt(&mut text, &self.time, now);
        ex.env.set(b"DATE_GMT", &text);
        text.clear();
        if let Some(info) = &ex.finfo {
            push_strftime(&mut text, &self.time, std::os::unix::fs::MetadataExt::mtime(info).saturating_mul(1_000_000));
            ex.env.set(b"LAST_MODIFIED", &text);
        }
    }

    /// Shows that something is wrong.
    pub(super) fn fail(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.error);
    }

    /// What is there is passed on before an element, and what an element includes behind it.
    fn pass(&mut self, out: &[u8]) {
        // Even at its very start: more of it may be held back from earlier.
        if self.passed.last() != Some(&out.len()) {
            self.passed.push(out.len());
        }
    }

    /// Goes on with what comes from elsewhere.
    async fn go_on(&mut self, ex: &mut Exchange, out: &mut Vec<u8>) {
        let Some(mut source) = self.part.take() else { return };
        if source.take(ex, out).await {
            self.pass(out);
            source.end(self, ex, out).await;
        } else {
            self.part = Some(source);
        }
    }

    async fn run(&mut self, ex: &mut Exchange, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            self.begin(ex).await;
        }
        let mut at = 0;
        loop {
            while self.part.is_some() && out.len() < ENOUGH {
                self.go_on(ex, out).await;
            }
            if self.part.is_some() || out.len() >= ENOUGH {
                break;
            }
            let rest = self.pending.get(at..).unwrap_or_default();
            match scan::next(rest, &self.start, &self.end, self.ended) {
                Piece::More => break,
                Piece::Open(length) => {
                    at += length;
                    self.pass(out);
                    let text = "AH01372: SSI directive was not properly finished at the end of parsed document";
                    logs::error!(ex, Level::Error, "include", "{} {}", text, Bytes(&ex.filename));
                    if self.printing {
                        self.fail(out);
                    }
                }
                Piece::Text(length) => {
                    if self.printing {
                        out.extend_from_slice(rest.get(..length).unwrap_or_default());
                    }
                    at += length;
                }
                Piece::Element(element, length) => {
                    at += length;
                    self.pass(out);
                    self.element(ex, element, out).await;
                }
            }
        }
        self.pending.drain(..at);
        if self.ended && self.pending.is_empty() && self.part.is_none() && !self.printing {
            let text = "AH01373: missing closing endif directive in parsed document";
            logs::error!(ex, Level::Warn, "include", "{} {}", text, Bytes(&ex.filename));
            self.printing = true;
        }
    }

    async fn element(&mut self, ex: &mut Exchange, element: Element, out: &mut Vec<u8>) {
        if elements::condition(self, ex, &element, out).await || !self.printing {
            return;
        }
        if element.name.is_empty() {
            let text = "AH01368: missing directive name in parsed document";
            logs::error!(ex, Level::Error, "include", "{} {}", text, Bytes(&ex.filename));
            return self.fail(out);
        }
        if !elements::show(self, ex, &element, out).await {
            let (name, file) = (Bytes(&element.name), Bytes(&ex.filename));
            logs::error!(ex, Level::Error, "include", "AH01371: unknown directive \"{}\" in parsed doc {}", name, file);
            self.fail(out);
        }
    }
}

impl BodyFilter for Includes {
    fn data(&mut self, input: &[u8], _: &mut Vec<u8>) {
        self.pending.extend_from_slice(input);
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn stretches(&mut self, ends: &mut Vec<usize>) {
        ends.append(&mut self.passed);
    }

    fn end(&mut self, _: &mut Vec<u8>, _: &mut Table) {
        self.ended = true;
    }

    fn waits(&self) -> bool {
        let looked = scan::next(&self.pending, &self.start, &self.end, self.ended) == Piece::More;
        self.part.is_some() || !looked || (self.ended && !self.printing)
    }

    fn work<'a>(&'a mut self, ex: &'a mut Exchange, out: &'a mut Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(self.run(ex, out))
    }
}

/// A part of the document that is a response of its own.
pub(super) fn part_of(mut sub: Exchange) -> Part {
    sub.ext.get_mut::<Nested>().0 = true;
    Part::new(sub, elements::was_filled_in)
}
