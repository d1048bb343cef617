//! The filter `proxy-html`.

use std::future::Future;
use std::pin::Pin;

use super::rewrite::Rewriter;
use super::{HtmlDir, is_encoding, map, meta};
use crate::codec::html::Parser;
use crate::logs::{self, Level};
use crate::modules::xml2enc::{Output, Sniffed};
use crate::web::{BodyFilter, Exchange, ProxyKind, Refusal, Table};

/// Before these are here httpd does not begin.
const FIRST: usize = 4;

/// `proxy-html`.
pub fn start(ex: &mut Exchange, _: usize, length: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    let conf = ex.dir::<HtmlDir>().cloned().unwrap_or_default();
    let is = |kind: &[u8]| ex.content_type.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind));
    let mut why = None;
    if !ex.env.contains(b"PROXY_HTML_FORCE") {
        if ex.proxyreq == ProxyKind::None {
            why = Some("Non-proxy request; not inserting proxy-html filter");
        } else if ex.content_type.is_empty() {
            why = Some("No content-type; bailing out of proxy-html filter");
        } else if !is(b"text/html") && !is(b"application/xhtml+xml") {
            why = Some("Non-HTML content; not inserting proxy-html filter");
        }
    }
    if conf.links.is_none() {
        why = Some("No links configured: nothing for proxy-html filter to do");
    }
    if let Some(why) = why {
        logs::error!(ex, Level::Trace1, "proxy_html", "{}", why);
        return None;
    }
    ex.headers_out.unset(b"Content-Length");
    let maps = match conf.interpolate {
        true => map::for_request(ex, &conf.maps),
        false => conf.maps.clone(),
    };
    if length == Some(0) && ex.header_only {
        return None;
    }
    let rewriter = Rewriter::new(conf, maps, logs::OfBody::new(ex));
    Some(Box::new(Html {
        held: Vec::new(),
        parser: None,
        rewriter,
        output: None,
        passed: Vec::new(),
        ended: false,
        told: false,
    }))
}

struct Html {
    /// The first bytes.
    held: Vec<u8>,
    parser: Option<Parser>,
    rewriter: Rewriter,
    output: Option<Output>,
    /// Where in what was pushed last something is passed on.
    passed: Vec<usize>,
    ended: bool,
    /// The log knows of a failure.
    told: bool,
}

impl Html {
    /// What is known of the charset decides on the content type; the first piece is looked through for `meta` elements.
    fn begin(&mut self, ex: &mut Exchange, out: &mut Vec<u8>) {
        let sniffed = ex.ext.get::<Sniffed>().cloned().filter(|sniffed| sniffed.charset.is_some());
        let mut kind = b"text/html;charset=utf-8".to_vec();
        if let Some(sniffed) = &sniffed {
            let wanted = self.rewriter.conf.charset_out.as_deref().filter(|_| is_encoding(ex));
            if let Some(wanted) = wanted {
                let name = if wanted.first() == Some(&b'*') { &sniffed.name } else { wanted };
                self.output = Output::new(ex, name);
                kind = [b"text/html;charset=", name].concat();
            }
        } else if !is_encoding(ex) {
            let text = "AH01422: No i18n support found.  Install mod_xml2enc if required";
            logs::error!(ex, Level::Warn, "proxy_html", "{}", text);
        }
        ex.content_type = kind;
        self.rewriter.begin();
        let mut parser = Parser::new(sniffed.as_ref().and_then(|sniffed| sniffed.charset));
        let held = std::mem::take(&mut self.held);
        let (first, rest) = held.split_at(FIRST.min(held.len()));
        let cut = sniffed.as_ref().and_then(|sniffed| sniffed.cut);
        let piece = cut.and_then(|cut| rest.get(..cut.checked_sub(FIRST)?)).filter(|piece| !piece.is_empty());
        let removed = if self.rewriter.conf.meta { meta::heed(ex, piece.unwrap_or(rest)) } else { None };
        parser.begin(first);
        let (front, back) = match &removed {
            Some(range) => (rest.get(..range.start), rest.get(range.end..)),
            None => (Some(rest), None),
        };
        for piece in [front, back].into_iter().flatten() {
            parser.push(piece, &mut self.rewriter);
        }
        if self.ended {
            parser.end(&mut self.rewriter);
        }
        self.parser = Some(parser);
        self.hand_on(out);
    }

    /// Moves what was written behind `out`.
    fn hand_on(&mut self, out: &mut Vec<u8>) {
        let from = out.len();
        self.rewriter.take(out, &mut self.passed);
        if let Some(output) = &mut self.output {
            // Where the one was passed on the other is.
            let passed = !self.passed.is_empty();
            self.passed.clear();
            output.convert(from, out);
            if passed {
                self.passed.push(out.len());
            }
        }
        let failed = self.rewriter.failed() || self.parser.as_ref().is_some_and(Parser::failed);
        if failed && !std::mem::replace(&mut self.told, true) {
            let text = "a document has a part that is too long, or elements that are too deep";
            logs::error!(&self.rewriter.of, Level::Error, "proxy_html", "{}", text);
        }
    }
}

impl BodyFilter for Html {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        match &mut self.parser {
            Some(parser) => {
                parser.push(input, &mut self.rewriter);
                self.hand_on(out);
            }
            None => self.held.extend_from_slice(input),
        }
    }

    fn stretches(&mut self, ends: &mut Vec<usize>) {
        ends.append(&mut self.passed);
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if self.parser.is_some() {
            self.rewriter.flush();
            self.hand_on(out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>, _: &mut Table) {
        self.ended = true;
        match &mut self.parser {
            Some(parser) => {
                parser.end(&mut self.rewriter);
                self.hand_on(out);
            }
            // What is too short to be looked at goes as it is.
            None if self.held.len() < FIRST => out.append(&mut self.held),
            None => {}
        }
    }

    fn failed(&self) -> bool {
        self.told
    }

    fn refusal(&self) -> Refusal {
        Refusal::Measured
    }

    fn holds_back(&self) -> bool {
        self.parser.is_none()
    }

    fn waits(&self) -> bool {
        self.parser.is_none() && self.held.len() >= FIRST
    }

    fn work<'a>(&'a mut self, ex: &'a mut Exchange, out: &'a mut Vec<u8>) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move { self.begin(ex, out) })
    }
}
