//! Request heads as httpd reads them.

use super::fields::{Block, Cursor, Field, Line, Span};
use super::write::push_decimal;
use super::{Limits, Status, Version, is_space, is_token, is_vchar};

/// Empty lines skipped before a request line.
const MAX_BLANK_LINES: usize = 10;

/// How much of a header line httpd shows in its log.
const SHOWN: usize = 64;

/// `HttpProtocolOptions`.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `Strict` (the default) rather than `Unsafe`.
    pub strict: bool,
    /// `Allow0.9` (the default) rather than `Require1.0`.
    pub allow09: bool,
    /// `RegisteredMethods` rather than `LenientMethods`: asked whether a method is registered.
    pub registered: Option<fn(&[u8]) -> bool>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { strict: true, allow09: true, registered: None }
    }
}

/// The methods httpd registers of itself.
pub fn is_known_method(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET"
            | b"HEAD"
            | b"PUT"
            | b"POST"
            | b"DELETE"
            | b"CONNECT"
            | b"OPTIONS"
            | b"TRACE"
            | b"PATCH"
            | b"PROPFIND"
            | b"PROPPATCH"
            | b"MKCOL"
            | b"COPY"
            | b"MOVE"
            | b"LOCK"
            | b"UNLOCK"
            | b"VERSION-CONTROL"
            | b"CHECKOUT"
            | b"UNCHECKOUT"
            | b"CHECKIN"
            | b"UPDATE"
            | b"LABEL"
            | b"REPORT"
            | b"MKWORKSPACE"
            | b"MKACTIVITY"
            | b"BASELINE-CONTROL"
            | b"MERGE"
    )
}

/// How loud httpd logs a bad request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// `LogLevel debug`.
    Debug,
    /// `LogLevel info`.
    Info,
}

/// Why a request head is refused. Spans are read with [`RequestHead::bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// `LimitRequestLine` exceeded.
    LineTooLong,
    /// A NUL or a bare LF in the request line, or nothing but empty lines.
    MalformedLine,
    /// The method is no token.
    BadMethod,
    /// HTTP/0.9 with another method than GET.
    BadMethod09,
    /// Control characters in the target, or none at all.
    BadUri,
    /// Whitespace that is no space, or before the method.
    BadWhitespace,
    /// More than one space.
    ExcessWhitespace,
    /// Something behind the protocol.
    TrailingText(Span),
    /// HTTP/0.9 under `Require1.0`.
    Rejected09,
    /// Not `HTTP/n.n`.
    BadProtocol,
    /// A method that is not registered, under `RegisteredMethods`.
    UnknownMethod,
    /// The target is no URI, or its path does not start with a slash; what httpd shows of it.
    UnparsedUri(Span),
    /// A fragment in the target.
    Fragment,
    /// Credentials in the target.
    UserInfo,
    /// `LimitRequestFieldSize` exceeded; what was read of the line.
    FieldTooLong(Span),
    /// A NUL or a bare LF in a header line.
    BadFieldLine(Span),
    /// The connection ended inside the header block; the unfinished line.
    EndInFields(Span),
    /// A continuation line first.
    FoldFirst,
    /// A continuation line of blanks.
    FoldEmpty,
    /// `LimitRequestFieldSize` exceeded by joined lines; the line before.
    FoldTooLong(Span),
    /// `LimitRequestFields` exceeded.
    TooManyFields,
    /// The name is no token right before a colon; the line.
    NameMalformed(Span),
    /// A control character in the value.
    ValueMalformed(Span),
    /// No colon (Unsafe); the line.
    MissingColon(Span),
    /// Nothing before the colon (Unsafe).
    NameEmpty,
    /// Whitespace in the name (Unsafe).
    NameWhitespace,
    /// A line end in the value (Unsafe).
    ValueWhitespace,
}

impl RequestError {
    /// The status of httpd's answer; the connection closes after it.
    pub fn status(&self) -> u16 {
        match self {
            Self::LineTooLong => 414,
            Self::UnknownMethod => 501,
            _ => 400,
        }
    }

    /// What the error page says beyond its canned text (`error-notes`).
    pub fn detail(&self) -> &'static str {
        match self {
            Self::FieldTooLong(_) | Self::FoldTooLong(_) => "Size of a request header field exceeds server limit.",
            Self::TooManyFields => "The number of request header fields exceeds this server's limit.",
            _ => "",
        }
    }

    /// Whether the request line was read before the failure, so that `%m`, `%U`, `%H` and hosts are known.
    pub fn has_line(&self) -> bool {
        !matches!(self, Self::LineTooLong | Self::MalformedLine)
    }

    fn in_fields(&self) -> bool {
        matches!(
            self,
            Self::FieldTooLong(_)
                | Self::BadFieldLine(_)
                | Self::EndInFields(_)
                | Self::FoldFirst
                | Self::FoldEmpty
                | Self::FoldTooLong(_)
                | Self::TooManyFields
                | Self::NameMalformed(_)
                | Self::ValueMalformed(_)
                | Self::MissingColon(_)
                | Self::NameEmpty
                | Self::NameWhitespace
                | Self::ValueWhitespace
        )
    }

    /// Hands out httpd's log lines in order: level, error code text before the message (`(22)Invalid argument`)
    /// if any, message with its AH number.
    pub fn log(&self, head: &RequestHead, buf: &[u8], limits: &Limits, out: &mut dyn FnMut(Severity, &str, &[u8])) {
        let text = |span: Span| head.bytes(buf, span);
        let shown = |bytes: &'_ [u8]| bytes.get(..SHOWN).unwrap_or(bytes).to_vec();
        let mut tell = |level, before: &str, with: &[u8], after: &str| {
            out(level, "", &[before.as_bytes(), with, after.as_bytes()].concat());
        };
        use Severity::{Debug, Info};
        let injected = "' (perhaps whitespace was injected?)";
        match *self {
            Self::LineTooLong => {
                let mut number = Vec::new();
                push_decimal(&mut number, limits.line as u64);
                let before = "AH00565: request failed: client's request-line exceeds LimitRequestLine (longer than ";
                tell(Info, before, &number, ")");
            }
            Self::MalformedLine => tell(Debug, "AH00566: request failed: malformed request line", b"", ""),
            Self::BadMethod => {
                let method = named(text(head.method));
                tell(Debug, "AH03445: HTTP Request Line; Invalid method token: '", method, "'");
            }
            Self::BadMethod09 => {
                let after = "' (only GET is allowed for HTTP/0.9 requests)";
                tell(Debug, "AH03444: HTTP Request Line; Invalid method token: '", named(text(head.method)), after);
            }
            Self::BadUri => {
                let uri = named(text(head.target));
                tell(Debug, "AH03454: HTTP Request Line; URI incorrectly encoded: '", uri, "'");
            }
            Self::BadWhitespace => tell(Debug, "AH03447: HTTP Request Line; Invalid whitespace", b"", ""),
            Self::ExcessWhitespace => {
                let said = "AH03448: HTTP Request Line; Excess whitespace (disallowed by HttpProtocolOptions Strict)";
                tell(Debug, said, b"", "");
            }
            Self::TrailingText(span) => {
                tell(Debug, "AH03449: HTTP Request Line; Extraneous text found '", named(text(span)), injected);
            }
            Self::Rejected09 => tell(Debug, "AH02401: HTTP Request Line; Rejected HTTP/0.9 request", b"", ""),
            Self::BadProtocol => {
                let protocol = named(text(head.protocol));
                tell(Debug, "AH02418: HTTP Request Line; Unrecognized protocol '", protocol, injected);
            }
            Self::UnknownMethod => {
                let before = "AH02423: HTTP Request Line; Unrecognized HTTP method: '";
                tell(Debug, before, named(text(head.method)), "' (disallowed by RegisteredMethods)");
            }
            Self::UnparsedUri(span) => {
                tell(Debug, "AH03450: HTTP Request Line; Unable to parse URI: '", named(text(span)), "'");
            }
            Self::Fragment => {
                tell(Debug, "AH02421: HTTP Request Line; URI must not contain a fragment", b"", "");
            }
            Self::UserInfo => {
                tell(Debug, "AH02422: HTTP Request Line; URI must not contain a username/password", b"", "");
            }
            Self::FieldTooLong(span) => {
                failed_line(out, "(28)No space left on device", text(span));
                let before: &[u8] = b"AH00561: Request header exceeds LimitRequestFieldSize: ";
                out(Info, "", &[before, named(text(span))].concat());
            }
            Self::BadFieldLine(span) => failed_line(out, "(22)Invalid argument", text(span)),
            Self::EndInFields(span) if span.is_empty() => {
                failed_line(out, "(20014)Internal error (specific information not available)", b"(null)");
            }
            Self::EndInFields(span) => failed_line(out, "(70014)End of file found", text(span)),
            Self::FoldFirst => tell(Debug, "AH03442: Line folding encountered before first header line", b"", ""),
            Self::FoldEmpty => tell(Debug, "AH03443: Empty folded line encountered", b"", ""),
            Self::FoldTooLong(span) => {
                let before = "AH00562: Request header exceeds LimitRequestFieldSize after folding: ";
                tell(Info, before, named(text(span)), "");
            }
            Self::TooManyFields => {
                tell(Info, "AH00563: Number of request headers exceeds LimitRequestFields", b"", "");
            }
            Self::NameMalformed(span) => {
                tell(Debug, "AH02426: Request header field name is malformed: ", &shown(text(span)), "");
            }
            Self::ValueMalformed(span) => {
                tell(Debug, "AH02427: Request header value is malformed: ", &shown(text(span)), "");
            }
            Self::MissingColon(span) => {
                tell(Debug, "AH00564: Request header field is missing ':' separator: ", &shown(text(span)), "");
            }
            Self::NameEmpty => tell(Debug, "AH03453: Request header field name was empty", b"", ""),
            Self::NameWhitespace => {
                tell(Debug, "AH03452: Request header field name presented invalid whitespace", b"", "");
            }
            Self::ValueWhitespace => {
                tell(Debug, "AH03451: Request header field value presented bad whitespace", b"", "");
            }
        }
        if self.in_fields() {
            out(Debug, "", b"AH00567: request failed: error reading the headers");
        }
    }
}

fn failed_line(out: &mut dyn FnMut(Severity, &str, &[u8]), errno: &str, line: &[u8]) {
    let before: &[u8] = b"Failed to read request header line ";
    out(Severity::Debug, errno, &[before, line].concat());
}

/// What httpd shows of a text: up to a colon, at most 64 bytes.
fn named(text: &[u8]) -> &[u8] {
    let end = memchr::memchr(b':', text).filter(|at| *at <= SHOWN).unwrap_or(SHOWN);
    text.get(..end).unwrap_or(text)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Line,
    Fields,
    Done,
}

/// A request head: ranges of the buffer it was parsed from. Keep one per connection; parsing reuses its lists.
#[derive(Debug, Default)]
pub struct RequestHead {
    stage: Stage,
    blanks: usize,
    lines: Cursor,
    raw: Span,
    /// The method.
    pub method: Span,
    /// The request target as sent.
    pub target: Span,
    /// The protocol as sent; empty in HTTP/0.9.
    pub protocol: Span,
    /// As httpd understood it; 0.9 for a request without protocol or with one it does not know.
    pub version: Version,
    block: Block,
}

impl RequestHead {
    /// Forgets an unfinished head, so that the next call starts a new one.
    pub fn clear(&mut self) {
        self.stage = Stage::Line;
        self.blanks = 0;
        self.lines = Cursor::default();
        self.raw = Span::default();
        (self.method, self.target, self.protocol) = Default::default();
        self.version = Version::default();
        self.block.begin(0);
    }

    /// The bytes of a span of this head.
    pub fn bytes<'a>(&'a self, buf: &'a [u8], span: Span) -> &'a [u8] {
        self.block.bytes(buf, span)
    }

    /// Whether this is an HTTP/0.9 request: no fields, and an answer without head.
    pub fn is_simple(&self) -> bool {
        self.protocol.is_empty()
    }

    /// The fields as spans, in order, duplicates apart.
    pub fn spans(&self) -> &[Field] {
        &self.block.fields
    }

    /// Whether there may be a field that frames a body.
    pub(crate) fn may_have_body(&self) -> bool {
        let lengths = self.block.lengths;
        lengths.may_have(b"content-length".len()) || lengths.may_have(b"transfer-encoding".len())
    }

    /// Names and values in order, duplicates apart.
    pub fn fields<'a>(&'a self, buf: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.block.fields.iter().map(move |f| (self.bytes(buf, f.name), self.bytes(buf, f.value)))
    }

    /// Pushes the request line as httpd keeps it for `%r`: its words with single spaces, or what could be read of it.
    pub fn push_line(&self, buf: &[u8], out: &mut Vec<u8>) {
        if self.method.is_empty() && self.target.is_empty() {
            out.extend_from_slice(self.bytes(buf, self.raw));
            return;
        }
        out.extend_from_slice(self.bytes(buf, self.method));
        for word in [self.target, self.protocol] {
            if !word.is_empty() {
                out.push(b' ');
                out.extend_from_slice(self.bytes(buf, word));
            }
        }
    }

    /// How far the buffer was read when the head was refused: through the line that was at fault.
    pub fn read(&self) -> usize {
        self.lines.pos.max(self.block.cursor.pos)
    }

    /// What an end of the connection means here: nothing to answer before the request line is whole, an error after.
    pub fn end(&self, buf: &[u8]) -> Option<RequestError> {
        (self.stage == Stage::Fields).then(|| RequestError::EndInFields(self.block.unfinished(buf)))
    }
}

/// Parses the request head at the start of `buf`, going on where the last call with the same, shorter buffer stopped.
///
/// # Errors
/// What httpd refuses; `out` then holds what it knew of the request line.
pub fn parse_request(
    buf: &[u8],
    limits: &Limits,
    rules: &Rules,
    out: &mut RequestHead,
) -> Result<Status, RequestError> {
    if out.stage == Stage::Done {
        out.clear();
    }
    let most = limits.line.saturating_add(1);
    if out.stage == Stage::Line && rules.strict && rules.registered.is_none() && plain_line(buf, most, out) {
        out.stage = Stage::Fields;
        out.block.begin(out.lines.pos);
    }
    while out.stage == Stage::Line {
        let line = match out.lines.line(buf, most, rules.strict) {
            Line::Partial => return Ok(Status::Partial),
            Line::TooLong(shown) => return fail(out, shown, RequestError::LineTooLong),
            Line::Bad(shown) => return fail(out, shown, RequestError::MalformedLine),
            Line::Whole(line) => line,
        };
        if line.is_empty() {
            out.blanks += 1;
            // One more is taken for a request line without method.
            if out.blanks <= MAX_BLANK_LINES {
                continue;
            }
        }
        out.raw = line;
        out.stage = Stage::Done;
        request_line(buf, rules, out)?;
        if out.is_simple() {
            return Ok(Status::Complete(out.lines.pos));
        }
        out.stage = Stage::Fields;
        out.block.begin(out.lines.pos);
    }
    let status = out.block.parse(buf, limits, rules);
    if !matches!(status, Ok(Status::Partial)) {
        out.stage = Stage::Done;
    }
    status
}

/// Takes the request line if it is as nearly all are: a method, a path without a fragment, HTTP/1.0 or HTTP/1.1, and
/// nothing but single spaces between them. Otherwise nothing is said of it.
fn plain_line(buf: &[u8], most: usize, out: &mut RequestHead) -> bool {
    let Some(line) = out.lines.fresh(buf) else { return false };
    let method = line.iter().position(|c| !is_token(*c)).unwrap_or(0);
    let (name, rest) = line.split_at(method);
    let [b' ', path @ ..] = rest else { return false };
    let path = path.iter().position(|c| !is_vchar(*c) || *c == b'#').unwrap_or(0);
    let (target, rest) = rest.split_at(path + 1);
    let [b' ', protocol @ ..] = rest else { return false };
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b'\r', b'\n', ..] = protocol else {
        return false;
    };
    let len = line.len() - protocol.len() + b"HTTP/1.1".len();
    if name.is_empty() || name == b"CONNECT" || target.get(1) != Some(&b'/') || len > most {
        return false;
    }
    let at = out.lines.pos;
    out.raw = Span::new(at, at + len);
    out.method = out.raw.part(0, method);
    out.target = out.raw.part(method + 1, method + 1 + path);
    out.protocol = out.raw.part(method + path + 2, len);
    out.version = Version { major: 1, minor: *minor - b'0' };
    out.lines = Cursor::at(at + len + 2);
    true
}

fn fail(out: &mut RequestHead, shown: Span, error: RequestError) -> Result<Status, RequestError> {
    out.raw = shown;
    out.stage = Stage::Done;
    Err(error)
}

/// Splits and judges the request line. The first fault found counts, but the line is split to its end first.
fn request_line(buf: &[u8], rules: &Rules, out: &mut RequestHead) -> Result<(), RequestError> {
    let line = out.raw.of(buf, &[]);
    let at = |n: usize| line.get(n).copied();
    let run = |from: usize, test: fn(u8) -> bool| {
        let rest = line.get(from..).unwrap_or_default();
        from + rest.iter().position(|c| !test(*c)).unwrap_or(rest.len())
    };
    let word_end = |from: usize| run(from, |c| !is_space(c));
    let mut fault: Option<RequestError> = None;
    let mut note = |error| {
        fault.get_or_insert(error);
    };
    let start = run(0, is_space);
    if start > 0 {
        note(RequestError::BadWhitespace);
    }
    let mut end = run(start, if rules.strict { is_token } else { is_vchar });
    if end == start || at(end).is_some_and(|c| !is_space(c)) {
        note(RequestError::BadMethod);
        end = word_end(end);
    }
    out.method = out.raw.part(start, end);
    let uri = run(end, is_space);
    if rules.strict && uri > end + 1 {
        note(RequestError::ExcessWhitespace);
    }
    if line.get(end..uri).unwrap_or_default().iter().any(|c| *c != b' ') {
        note(RequestError::BadWhitespace);
    }
    let mut end = run(uri, is_vchar);
    if end == uri || at(end).is_some_and(|c| !is_space(c)) {
        note(RequestError::BadUri);
        end = word_end(end);
    }
    out.target = out.raw.part(uri, end);
    let protocol = run(end, is_space);
    // One space at the end of the line is no fault without a protocol behind it.
    if rules.strict && protocol > end + 1 {
        note(RequestError::ExcessWhitespace);
    }
    if line.get(end..protocol).unwrap_or_default().iter().any(|c| *c != b' ') {
        note(RequestError::BadWhitespace);
    }
    let end = run(protocol, is_vchar);
    out.protocol = out.raw.part(protocol, end);
    if end < line.len() {
        let text = run(end, is_space);
        if rules.strict {
            note(RequestError::ExcessWhitespace);
        }
        if line.get(end..text).unwrap_or_default().iter().any(|c| *c != b' ') {
            note(RequestError::BadWhitespace);
        }
        if text < line.len() {
            note(RequestError::TrailingText(out.raw.part(text, line.len())));
        }
    }
    let simple = out.protocol.is_empty();
    out.version = Version { major: 0, minor: 9 };
    if let [h, t, t2, p, b'/', major @ b'1'..=b'9', b'.', minor @ b'0'..=b'9'] = *out.protocol.of(buf, &[]) {
        let name = [h, t, t2, p];
        if name.eq_ignore_ascii_case(b"HTTP") {
            out.version = Version { major: major - b'0', minor: minor - b'0' };
            if rules.strict && &name != b"HTTP" {
                note(RequestError::BadProtocol);
            }
        } else {
            note(RequestError::BadProtocol);
        }
    } else if !simple {
        note(RequestError::BadProtocol);
    }
    let method = out.method.of(buf, &[]);
    if simple {
        if !rules.allow09 {
            note(RequestError::Rejected09);
        } else if rules.strict && method != b"GET" {
            note(RequestError::BadMethod09);
        }
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    if rules.registered.is_some_and(|known| !known(method)) {
        return Err(RequestError::UnknownMethod);
    }
    target(buf, rules, out)
}

/// Judges the request target as httpd's URI parser does.
fn target(buf: &[u8], rules: &Rules, out: &RequestHead) -> Result<(), RequestError> {
    let span = out.target;
    let uri = span.of(buf, &[]);
    let method = out.method.of(buf, &[]);
    let all = Err(RequestError::UnparsedUri(span));
    if method == b"CONNECT" {
        return if connect_target(uri) { Ok(()) } else { all };
    }
    let mut path = 0;
    if uri.first() != Some(&b'/') {
        let scheme = uri.iter().position(|c| matches!(c, b':' | b'/' | b'?' | b'#')).unwrap_or(uri.len());
        let name = uri.get(..scheme).unwrap_or_default();
        let fine = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.');
        if uri.get(scheme) == Some(&b':') && scheme > 0 && name.iter().all(fine) {
            path = scheme + 1;
            if let Some(rest) = uri.get(path..).and_then(|u| u.strip_prefix(b"//")) {
                let len = rest.iter().position(|c| matches!(c, b'/' | b'?' | b'#')).unwrap_or(rest.len());
                let authority = rest.get(..len).unwrap_or_default();
                path += 2 + len;
                let user = memchr::memrchr(b'@', authority);
                let host = authority.get(user.map_or(0, |at| at + 1)..).unwrap_or_default();
                if !port_is_number(host) {
                    return all;
                }
                if rules.strict && user.is_some() {
                    return Err(RequestError::UserInfo);
                }
            }
        }
    }
    let rest = uri.get(path..).unwrap_or_default();
    let len = rest.iter().position(|c| matches!(c, b'?' | b'#')).unwrap_or(rest.len());
    if len > 0 && rest.first() != Some(&b'/') && !(method == b"OPTIONS" && rest.get(..len) == Some(b"*")) {
        return Err(RequestError::UnparsedUri(span.part(path, path + len)));
    }
    if rules.strict && memchr::memchr(b'#', rest).is_some() {
        return Err(RequestError::Fragment);
    }
    Ok(())
}

/// `host:port`, as CONNECT needs it.
fn connect_target(uri: &[u8]) -> bool {
    split_port(uri).is_some_and(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit))
}

fn port_is_number(host: &[u8]) -> bool {
    split_port(host).is_none_or(|port| port.iter().all(u8::is_ascii_digit))
}

/// What stands behind the colon after a host name or a bracketed address.
fn split_port(host: &[u8]) -> Option<&[u8]> {
    let from = if host.first() == Some(&b'[') { memchr::memchr(b']', host)? } else { 0 };
    let rest = host.get(from..)?;
    rest.get(memchr::memchr(b':', rest)? + 1..)
}
