//! The head of the response: what a handler left in the exchange becomes fields, framing and keep-alive.

use std::time::Instant;

use super::chain::plan;
use super::{Phase, Run, media, parts};
use crate::base::clock::{Clock, SystemClock, push_http_date};
use crate::base::fold::same;
use crate::codec::http1::write::push_decimal;
use crate::codec::http1::{all_content, all_token};
use crate::logs::{self, Bytes, Level};
use crate::web::{Exchange, Framing, HeadOut, Origin, ProxyKind, Range, Stored, Table, Verdict, Wire, status};

/// Sends the response head once: runs the hooks of [`super::Phase::Head`], joins `err_headers_out` and `headers_out`,
/// adds what the server itself says (Date, Server, Content-Type of [`super::media`], Content-Encoding,
/// Content-Language, framing, Connection) in httpd's order, and hands it to the wire. `length` is the length of the
/// body that the handler will send, if it knows it; body filters may take it back. Does nothing if the head is out.
pub fn head(ex: &mut Exchange, wire: &mut dyn Wire, length: Option<u64>) {
    if ex.head_sent || ex.response.waiting {
        return;
    }
    begin(ex, length);
    if !ex.filters.is_empty() {
        if matches!(ex.status, 204 | 304) || (ex.header_only && ex.proxyreq != ProxyKind::None) {
            return send_head(ex, wire, None, None);
        }
        ex.response.waiting = true;
        return;
    }
    if let Some(length) = length.filter(|_| !ex.headers_out.contains(b"Content-Length")) {
        let mut text = [0; 20];
        ex.headers_out.add(b"Content-Length", decimal(length, &mut text));
    }
    send_head(ex, wire, None, length);
}

/// As [`head`], of a body that is all here without anybody having said its length: it is found behind the changes of
/// modules, as httpd finds that of a script's short output.
pub fn head_of_short(ex: &mut Exchange, wire: &mut dyn Wire, length: u64) {
    let plain = ex.planned.is_empty() && ex.filters.is_empty();
    if plain && !ex.head_sent && !ex.response.waiting {
        return send_head(ex, wire, Some(length), None);
    }
    head(ex, wire, Some(length));
}

/// Starts the filters that were asked for: each sees the fields that the one in front of it left.
pub(super) fn begin(ex: &mut Exchange, length: Option<u64>) {
    if ex.planned.is_empty() {
        return;
    }
    let said = ex.headers_out.get(b"Content-Length").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    let mut length = length.or(said);
    if ex.header_only && ex.proxyreq != ProxyKind::None {
        // The backend sends no body.
        length = Some(0);
    }
    let planned = std::mem::take(&mut ex.planned);
    for filter in planned {
        if let Some(started) = (filter.start)(ex, filter.which, length) {
            if !started.keeps_length() {
                ex.headers_out.unset(b"Content-Length");
                length = None;
            }
            ex.filters.push(started);
        }
        if ex.response.replaced || ex.response.retry {
            // Another response, which needs none of them.
            ex.filters.clear();
            break;
        }
    }
}

/// The head that waited goes out; `computed` is the length of the body if it is all here.
pub(super) fn release(ex: &mut Exchange, wire: &mut dyn Wire, computed: Option<u64>) {
    if std::mem::take(&mut ex.response.waiting) {
        send_head(ex, wire, computed, None);
    }
}

/// `computed` is the length of a body that is complete here, said where httpd's content-length filter says it: behind
/// the changes of the Head phase.
pub(super) fn send_head(ex: &mut Exchange, wire: &mut dyn Wire, computed: Option<u64>, announced: Option<u64>) {
    ex.head_sent = true;
    if ex.assbackwards {
        ex.response.forget_keeper();
        ex.response.no_body = false;
        ex.response.framing = Framing::Close;
        // Said to nobody, but the log asks.
        ex.headers_out.set(b"Connection", b"close");
        if let Some(length) = computed {
            let mut text = [0; 20];
            ex.headers_out.set_if_absent(b"Content-Length", decimal(length, &mut text));
        }
        ex.close = true;
        let code = ex.status;
        hand_over(ex, wire, code, b"", false);
        return;
    }
    settle(ex);
    if ex.response.retry {
        ex.response.no_body = true;
        return;
    }
    let (computed, announced) = match &ex.response.instead {
        Some((_, pieces)) => (Some(pieces.iter().map(|piece| piece.head.len() as u64 + piece.count).sum()), None),
        None if ex.response.replaced => (None, None),
        None => (computed, announced),
    };
    let chain = ex.chain.clone();
    if let Some(range) = ex.response.range.take() {
        ex.status = 206;
        match range {
            Range::One(which) => ex.headers_out.set(b"Content-Range", &which),
            Range::Several(kind) => ex.content_type = kind,
        }
    }
    if let Some(length) = computed.filter(|_| !ex.response.broken_body && !ex.response.unmeasured && !ex.response.keeps)
        && !ex.headers_out.contains(b"Content-Length")
        && !ex.err_headers_out.contains(b"Content-Length")
    {
        let mut text = [0; 20];
        ex.headers_out.add(b"Content-Length", decimal(length, &mut text));
    }
    if let Some(length) = announced.filter(|_| ex.filters.is_empty() && !ex.header_only) {
        // Whatever the Head phase made of it: the body has the length that it has.
        let mut text = [0; 20];
        let text = decimal(length, &mut text);
        if ex.headers_out.get(b"Content-Length").is_none_or(|value| value != text) {
            ex.headers_out.set(b"Content-Length", text);
        }
    }
    let bare = !sendable(ex) && !replace(ex, true);
    let mut fields = std::mem::take(&mut ex.response.fields);
    fields.clear();
    let mut text = std::mem::take(&mut ex.response.buffers[0]);
    text.clear();
    // A client that still waits for leave to send its body may send it or not: nobody can tell what follows.
    if wire.expects_continue() {
        ex.close = true;
    }
    let mut keep_alive = compose(ex, plan(&chain).banner(), &mut fields, &mut text);
    if bare {
        // Not even the error may be described with what modules said: nothing but the fact goes out.
        keep_alive = false;
        for name in [&b"Connection"[..], b"Content-Type", b"Transfer-Encoding"] {
            fields.unset(name);
        }
        fields.set(b"Content-Length", b"0");
        ex.response.no_body = true;
        ex.response.framing = Framing::None;
    }
    ex.response.fields = fields;
    text.clear();
    ex.response.buffers[0] = text;
    let line = std::mem::take(&mut ex.status_line);
    let given = line.first_chunk().and_then(|code| number(*code)) == Some(ex.status);
    let (code, reason) = match (status::known(ex.status), line.get(3..)) {
        (_, Some([b' ', reason @ ..])) if given && all_content(reason) => (ex.status, reason),
        (Some(row), _) => (ex.status, row.reason.as_bytes()),
        (None, Some([])) if given => (ex.status, b"".as_slice()),
        // A status that httpd has no words for goes out as 500; the log keeps it.
        (None, _) => (500, status::of(500).reason.as_bytes()),
    };
    hand_over(ex, wire, code, reason, keep_alive);
    ex.status_line = line;
}

/// Lets modules change the fields, and whoever may keep the response decide on it: once.
pub(super) fn settle(ex: &mut Exchange) {
    if std::mem::replace(&mut ex.response.settled, true) {
        return;
    }
    if ex.response.origin != Origin::Store {
        let chain = ex.chain.clone();
        for run in plan(&chain).hooks(Phase::Head) {
            if let Run::Now(run) = run {
                run(ex);
            }
        }
    }
    decide(ex);
}

/// Lets whoever may keep the response decide on it: once.
pub(super) fn decide(ex: &mut Exchange) {
    if ex.response.decided {
        return;
    }
    let Some(mut keeper) = ex.response.keeper.take() else { return };
    let verdict = keeper.decide(ex);
    ex.response.keeper = Some(keeper);
    ex.response.decided = true;
    match verdict {
        Verdict::Pass => {}
        Verdict::Keep => ex.response.keeps = true,
        Verdict::Replace(body) => put_instead(ex, body),
        Verdict::Retry => ex.response.retry = true,
    }
}

/// As [`decide`], for a keeper that stands among the filters: where it keeps the response, it is taken out to stand
/// there.
pub fn decide_early(ex: &mut Exchange) -> Option<Box<dyn crate::web::Keeper>> {
    decide(ex);
    if std::mem::take(&mut ex.response.keeps) { ex.response.keeper.take() } else { None }
}

/// The exchange holds another response, with this body.
pub(super) fn put_instead(ex: &mut Exchange, body: Option<Box<dyn Stored>>) {
    ex.response.replaced = true;
    ex.response.origin = Origin::Store;
    let Some(body) = body else { return };
    let length = body.length();
    let pieces = match parts::choose(ex, length) {
        parts::Selection::Pieces(pieces) => pieces,
        parts::Selection::Whole | parts::Selection::Nothing => {
            vec![parts::Piece { head: Vec::new(), start: 0, count: length }]
        }
    };
    ex.response.instead = Some((body, pieces));
}

fn number(digits: [u8; 3]) -> Option<u16> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u16::from(digit - b'0')))
}

fn hand_over(ex: &mut Exchange, wire: &mut dyn Wire, code: u16, reason: &[u8], keep_alive: bool) {
    if ex.tracks_first_byte {
        ex.first_byte = Some(Instant::now());
    }
    ex.close = !keep_alive;
    if ex.close {
        wire.close();
    }
    let http10 = ex.proto_num == 1000 && ex.env.contains(b"force-response-1.0");
    wire.head(&HeadOut {
        status: code,
        reason,
        fields: &ex.response.fields,
        framing: ex.response.framing,
        keep_alive,
        omit: ex.assbackwards,
        http10,
    });
}

/// Puts the fields together and decides the framing; says whether the connection may go on.
fn compose(ex: &mut Exchange, banner: &[u8], fields: &mut Table, text: &mut Vec<u8>) -> bool {
    let proxied = ex.proxyreq != ProxyKind::None && !ex.response.canned;
    let said = |name| ex.headers_out.get(name).or_else(|| ex.err_headers_out.get(name)).filter(|_| proxied);
    match said(b"Date") {
        Some(date) => fields.add(b"Date", date),
        None => {
            push_http_date(text, SystemClock.wall());
            fields.add(b"Date", text);
        }
    }
    fields.add(b"Server", said(b"Server").unwrap_or(banner));
    let others = |name: &[u8]| !matches!(name.len(), 4 | 6) || !(same(name, b"Date") || same(name, b"Server"));
    fields.add_from(&ex.err_headers_out, others);
    fields.add_from(&ex.headers_out, others);
    if !ex.env.is_empty() {
        if ex.env.contains(b"force-no-vary") {
            fields.unset(b"Vary");
            ex.proto_num = 1000;
            ex.env.set(b"force-response-1.0", b"1");
        }
        if ex.proto_num > 1000 && ex.env.contains(b"downgrade-1.0") {
            ex.proto_num = 1000;
        }
        if ex.proto_num == 1000 && ex.env.contains(b"force-response-1.0") {
            ex.close = true;
        }
    }
    if fields.contains(b"Vary") {
        merge_vary(fields);
    }
    if !ex.notes.is_empty() && ex.notes.contains(b"no-etag") {
        fields.unset(b"ETag");
    }

    let bodiless = matches!(ex.status, 204 | 304) || (100..200).contains(&ex.status);
    ex.response.no_body = ex.header_only || bodiless;
    let length = fields.get(b"Content-Length").and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok());
    let (keep_alive, chunked) = keep_alive(ex, fields, text, length.is_some(), bodiless);
    if bodiless {
        fields.unset(b"Transfer-Encoding");
        fields.unset(b"Content-Length");
    } else if chunked {
        fields.set(b"Transfer-Encoding", b"chunked");
        fields.unset(b"Content-Length");
    }
    ex.response.framing = match length {
        _ if ex.response.no_body => Framing::None,
        _ if chunked => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::Close,
    };
    ex.response.left = length.unwrap_or(0);

    if !bodiless {
        entity_fields(ex, fields, text);
    }
    if ex.no_cache && !fields.contains(b"Expires") {
        text.clear();
        push_http_date(text, ex.started_micros);
        fields.add(b"Expires", text);
    }
    // Handlers that leave the body out themselves have nothing to measure.
    if ex.header_only && fields.get(b"Content-Length") == Some(b"0") {
        fields.unset(b"Content-Length");
    }
    keep_alive
}

/// Content-Type, -Encoding, -Language.
fn entity_fields(ex: &Exchange, fields: &mut Table, text: &mut Vec<u8>) {
    if !ex.content_type.is_empty() {
        if ex.response.canned && !ex.env.is_empty() && ex.env.contains(b"suppress-error-charset") {
            fields.set(b"Content-Type", &ex.content_type);
        } else {
            text.clear();
            media::push_content_type(ex, text);
            fields.set(b"Content-Type", text);
        }
    }
    if !ex.content_encoding.is_empty() {
        fields.set(b"Content-Encoding", &ex.content_encoding);
    }
    if !ex.content_languages.is_empty() {
        text.clear();
        let named = |language: &[u8]| ex.content_languages.iter().any(|known| same(known, language));
        let before = fields.get(b"Content-Language").unwrap_or_default();
        let others = before.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let others = others.filter(|language| !language.is_empty() && !named(language));
        for language in ex.content_languages.iter().map(Vec::as_slice).chain(others) {
            if !text.is_empty() {
                text.push(b',');
            }
            text.extend_from_slice(language);
        }
        fields.set(b"Content-Language", text);
    }
}

/// Whether the connection outlives this response, and whether the body is chunked; adds `Connection` and `Keep-Alive`.
/// The order of the questions is httpd's: chunked framing is decided on the way.
fn keep_alive(ex: &Exchange, fields: &mut Table, text: &mut Vec<u8>, length: bool, bodiless: bool) -> (bool, bool) {
    let rec = &ex.server().rec;
    let most = rec.max_keep_alive.unwrap_or(100);
    let left = i64::from(most) - i64::from(ex.conn.keepalives.get());
    let closing = has_token(fields.get_all(b"Connection"), b"close");
    // httpd counts a connection's last request though it does not go on behind it.
    if most > 0 && left == 0 && !ex.close {
        ex.conn.keepalives.set(ex.conn.keepalives.get().saturating_add(1));
    }
    let mut chunked = false;
    let mut asked = false;
    let timeout = rec.keep_alive_timeout.unwrap_or(5000);
    let framed = ex.header_only || bodiless || length;
    let keep = !ex.close
        && !ex.conn.ending.get()
        && !ex.response.broken_body
        && ex.status != 101
        && (framed || ex.proto_num >= 1001)
        && {
            chunked = !framed;
            asked = has_token(ex.headers_in.get_all(b"Connection"), b"keep-alive");
            rec.keep_alive.unwrap_or(true)
                && timeout > 0
                && (most == 0 || left > 0)
                && !status::drops_connection(ex.status)
                && !closing
                && !has_token(ex.headers_in.get_all(b"Connection"), b"close")
                && (ex.env.is_empty() || !ex.env.contains(b"nokeepalive") || ex.headers_in.contains(b"Via"))
                && (asked || ex.proto_num >= 1001)
        };
    if keep && asked {
        text.clear();
        text.extend_from_slice(b"timeout=");
        push_decimal(text, timeout / 1000);
        if most > 0 {
            text.extend_from_slice(b", max=");
            push_decimal(text, u64::try_from(left).unwrap_or(0));
        }
        fields.set(b"Keep-Alive", text);
        fields.merge(b"Connection", b"Keep-Alive");
    } else if !keep && !closing && ex.status != 101 {
        fields.merge(b"Connection", b"close");
    }
    (keep, chunked)
}

/// Whether a list holds this token.
pub fn has_token<'a>(values: impl Iterator<Item = &'a [u8]>, token: &[u8]) -> bool {
    let mut values = values;
    values.any(|value| match value.len().checked_sub(token.len()) {
        None => false,
        Some(0) => same(value, token),
        // What nearly all say is looked at as a whole.
        Some(_) if same(value, b"keep-alive") => false,
        Some(_) => value.split(|byte| matches!(byte, b',' | b' ' | b'\t' | b';')).any(|word| same(word, token)),
    })
}

/// Joins all `Vary` fields, each name once.
fn merge_vary(fields: &mut Table) {
    let mut joined: Vec<u8> = Vec::new();
    let mut seen: Vec<&[u8]> = Vec::new();
    for value in fields.get_all(b"Vary") {
        for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty()) {
            if !seen.iter().any(|old| same(old, name)) {
                seen.push(name);
            }
        }
    }
    for name in seen {
        if !joined.is_empty() {
            joined.push(b',');
        }
        joined.extend_from_slice(name);
    }
    fields.set(b"Vary", &joined);
}

/// Whether all fields may stand in a head: names are tokens, values hold no control characters.
fn sendable(ex: &Exchange) -> bool {
    for (name, value) in ex.err_headers_out.iter().chain(ex.headers_out.iter()) {
        if name.is_empty() {
            logs::error!(ex, Level::Error, "http", "AH02428: Empty response header name, aborting request");
            return false;
        }
        if !all_token(name) {
            let text = "contains invalid characters, aborting request";
            logs::error!(ex, Level::Error, "http", "AH02429: Response header name '{}' {text}", Bytes(name));
            return false;
        }
        if !all_content(value) {
            let text = "contains invalid characters, aborting request";
            logs::error!(
                ex,
                Level::Error,
                "http",
                "AH02430: Response header '{}' value of '{}' {text}",
                Bytes(name),
                Bytes(value)
            );
            return false;
        }
    }
    true
}

/// A filter does not let the response through: a 500 goes out in its place, with its length if that is `measured`.
pub(super) fn refuse(ex: &mut Exchange, wire: &mut dyn Wire, measured: bool) {
    replace(ex, false);
    ex.response.waiting = false;
    if measured {
        let mut text = [0; 20];
        let length = decimal(ex.response.buffers[1].len() as u64, &mut text);
        ex.headers_out.set(b"Content-Length", length);
    }
    send_head(ex, wire, None, None);
}

/// Makes the response a 500 of our own; what the handler sends is dropped, and `all` fields that were set. Says whether
/// there is a page about it: not where what modules say of errors cannot be sent either.
fn replace(ex: &mut Exchange, all: bool) -> bool {
    // What was being answered is named, if that was an error or a redirect already.
    let before = if ex.response.canned && ex.status != 200 { ex.status } else { 0 };
    ex.response.forget_keeper();
    std::mem::swap(&mut ex.headers_out, &mut ex.err_headers_out);
    ex.err_headers_out.clear();
    ex.status = 500;
    ex.status_line.clear();
    ex.close = true;
    ex.drop_filters();
    ex.response.replaced = true;
    ex.response.canned = true;
    if all {
        // What modules say of every response they say of this one.
        ex.headers_out.clear();
        let chain = ex.chain.clone();
        for run in plan(&chain).hooks(Phase::Head) {
            if let Run::Now(run) = run {
                run(ex);
            }
        }
    }
    let told = sendable(ex);
    if !told {
        ex.headers_out.clear();
        ex.err_headers_out.clear();
    }
    let mut page = std::mem::take(&mut ex.response.buffers[1]);
    page.clear();
    super::errors::push_page(ex, 500, before, b"", &mut page);
    ex.response.buffers[1] = page;
    ex.content_type.clear();
    ex.content_type.extend_from_slice(b"text/html; charset=iso-8859-1");
    told
}

fn decimal(mut number: u64, text: &mut [u8; 20]) -> &[u8] {
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &text[at..];
        }
    }
}
