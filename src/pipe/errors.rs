//! What becomes of a status: an ErrorDocument, or the server's own page.

use std::io;

use super::head::put_instead;
use super::{Outcome, names, respond};
use crate::base::path::escape_html;
use crate::codec::http1::write::push_decimal;
use crate::config::core::{CoreDir, ErrorDocument, Signature, Text};
use crate::logs::{self, Level};
use crate::web::{BodyFault, Exchange, Origin, ProxyKind, Verdict, Wire, status};

/// Pages of modules and ErrorDocuments that are longer are sent without their length.
const PAGE_MEASURED: usize = 8000;

/// What becomes of a request whose body could not be read; notes that the connection ends with the answer.
pub fn body_fault(ex: &mut Exchange, fault: BodyFault) -> Outcome {
    ex.response.broken_body = matches!(fault, BodyFault::Malformed | BodyFault::TooLarge);
    ex.close = true;
    match fault {
        // A client that has ended its side may still read the answer.
        BodyFault::Malformed | BodyFault::Trailer | BodyFault::Gone => Outcome::Status(400),
        BodyFault::Timeout => Outcome::Status(408),
        BodyFault::TooLarge => Outcome::Status(413),
        BodyFault::Refused { status, .. } => Outcome::Status(status),
    }
}

/// Answers with a status (httpd's ap_die). Gives [`Outcome::Redirect`] when an ErrorDocument of this server is to be
/// looked for, else [`Outcome::Done`].
pub(super) async fn die(ex: &mut Exchange, wire: &mut dyn Wire, code: u16) -> Outcome {
    if ex.head_sent {
        // Too late for another answer.
        if !ex.finished {
            respond::abort(ex, wire);
        }
        return Outcome::Done;
    }
    let code = match code {
        100..=599 => code,
        _ => {
            logs::error!(ex, Level::Error, "http", "AH01579: Invalid response status {}", code);
            500
        }
    };
    ex.drop_filters();
    let first = ex.response.first_error;
    let own = ex.response.own_page.take_if(|own| own.0 == code && first == 0);
    let document = match own {
        Some((_, page)) => Some(as_document(page)),
        None if first == 0 => ex.dir::<CoreDir>().and_then(|dir| dir.error_document(status::of(code).code)).cloned(),
        None => None,
    };
    ex.status = if code == 401 && ex.proxyreq == ProxyKind::Forward { 407 } else { code };
    if status::drops_connection(ex.status) {
        ex.close = true;
    }
    let done = match document {
        Some(ErrorDocument::Local(path)) => {
            let path = expand(ex, &path);
            ex.response.first_error = ex.status;
            let method = ex.method.clone();
            ex.env.set(b"REQUEST_METHOD", &method);
            if let Some(notes) = ex.notes.get(b"error-notes").map(<[u8]>::to_vec) {
                ex.env.set(b"ERROR_NOTES", &notes);
            }
            ex.internal_redirect = path;
            return Outcome::Redirect;
        }
        Some(ErrorDocument::Remote(url)) => {
            let url = expand(ex, &url);
            ex.status = 302;
            ex.headers_out.set(b"Location", &url);
            page(ex, wire, 302, 0, None).await
        }
        Some(ErrorDocument::Message(text)) => {
            let text = expand(ex, &text);
            let status = ex.status;
            page(ex, wire, status, 0, Some(&text)).await
        }
        None | Some(ErrorDocument::Canned) if first != 0 => {
            let last = ex.status;
            ex.status = first;
            // The page is that of the request before the redirect, with its environment.
            swap_original(ex);
            let done = page(ex, wire, first, first, None).await;
            // The log shows the last request, which sent nothing.
            ex.status = last;
            ex.bytes_sent = 0;
            swap_original(ex);
            done
        }
        None | Some(ErrorDocument::Canned) => {
            let status = ex.status;
            page(ex, wire, status, 0, None).await
        }
    };
    // A client that went away is noted on its connection; there is nobody left to tell.
    drop(done);
    Outcome::Done
}

/// A page that a module has made: as with ErrorDocument it may be the address of another one.
fn as_document(page: Vec<u8>) -> ErrorDocument {
    let local = page.first() == Some(&b'/');
    let remote = !local && is_url(&page);
    let text = Text { raw: page, template: None };
    match (local, remote) {
        (true, _) => ErrorDocument::Local(text),
        (_, true) => ErrorDocument::Remote(text),
        _ => ErrorDocument::Message(text),
    }
}

/// Changes places with the request before the first redirect, as far as a page and its fields tell of it.
fn swap_original(ex: &mut Exchange) {
    if let Some(original) = &mut ex.original {
        std::mem::swap(&mut ex.env, &mut original.env);
        std::mem::swap(&mut ex.filename, &mut original.filename);
        std::mem::swap(&mut ex.path_info, &mut original.path_info);
        std::mem::swap(&mut ex.status_line, &mut original.status_line);
    }
}

fn expand(ex: &Exchange, text: &Text) -> Vec<u8> {
    let Some(template) = &text.template else { return text.raw.clone() };
    let mut out = Vec::new();
    if let Err(error) = super::expand(ex, template, &mut out) {
        logs::error!(
            ex,
            Level::Error,
            "core",
            "AH02841: core: ErrorDocument: can't evaluate require expression: {}",
            error
        );
        out.clone_from(&text.raw);
    }
    out
}

/// Sends the page of a status, or `custom` text (httpd's ap_send_error_response).
async fn page(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    status: u16,
    recursive: u16,
    custom: Option<&[u8]>,
) -> io::Result<()> {
    if let Some(mut keeper) = ex.response.keeper.take() {
        let verdict = keeper.fault(ex);
        ex.response.keeper = Some(keeper);
        if let Verdict::Replace(body) = verdict {
            put_instead(ex, body);
            ex.response.decided = true;
            ex.response.origin = Origin::Status;
            return respond::finish(ex, wire).await;
        }
    }
    if matches!(status, 204 | 304) {
        return respond::finish(ex, wire).await;
    }
    let mut location = Vec::new();
    if let Some(value) = ex.headers_out.get(b"Location").or_else(|| ex.err_headers_out.get(b"Location")) {
        location.extend_from_slice(value);
    }
    if !ex.assbackwards {
        // What the handler had prepared for success does not belong to this answer.
        std::mem::swap(&mut ex.headers_out, &mut ex.err_headers_out);
        ex.err_headers_out.clear();
        ex.response.canned = true;
        if ((300..400).contains(&status) || status == 201) && !location.is_empty() {
            ex.headers_out.set(b"Location", &location);
        }
        ex.content_languages.clear();
        ex.content_encoding.clear();
        ex.content_type.clear();
        let plain = !ex.env.is_empty() && ex.env.contains(b"suppress-error-charset");
        ex.content_type.extend_from_slice(if plain { b"text/html" } else { b"text/html; charset=iso-8859-1" });
        if matches!(status, 405 | 501) {
            let mut allow = Vec::new();
            super::push_allow(ex, &mut allow);
            ex.headers_out.set(b"Allow", &allow);
        }
        if ex.header_only {
            return respond::finish(ex, wire).await;
        }
    }
    let mut out = Vec::with_capacity(600);
    match custom {
        Some(text) => {
            // So much goes out before it is known that it is all.
            ex.response.unmeasured |= text.len() >= PAGE_MEASURED;
            out.extend_from_slice(text);
        }
        None => {
            if ex.status_line.trim_ascii_end().len() == 3 && ex.status_line.len() < 5 {
                ex.status_line.truncate(3);
                ex.status_line.extend_from_slice(b" Unknown Reason");
            }
            push_page(ex, status, recursive, &location, &mut out);
        }
    }
    if !ex.close && !wire.expects_continue() {
        // The connection goes on only if the request's body can be read to its end.
        if let Err(fault) = respond::drain(wire).await {
            let counted = out.len() as u64;
            if let Outcome::Status(code) = body_fault(ex, fault) {
                ex.status = code;
            }
            out.clear();
            push_page(ex, ex.status, status, b"", &mut out);
            ex.headers_out.clear();
            let done = respond::text(ex, wire, &out).await;
            // httpd counts the page that it had made before.
            ex.bytes_sent += counted;
            return done;
        }
    }
    respond::text(ex, wire, &out).await
}

/// Appends the page of a status.
pub(super) fn push_page(ex: &Exchange, status: u16, recursive: u16, location: &[u8], out: &mut Vec<u8>) {
    let row = status::of(status);
    let mut code = Vec::with_capacity(3);
    push_decimal(&mut code, u64::from(status));
    let standard = [row.code.to_string().as_bytes(), b" ", row.reason.as_bytes()].concat();
    let given = ex.status_line.as_slice();
    let ours = given.starts_with(&code)
        && given.get(3).is_some_and(u8::is_ascii_whitespace)
        && given.get(4).is_some_and(u8::is_ascii_alphanumeric);
    let title = if ours { given } else { standard.as_slice() };
    out.extend_from_slice(
        b"<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n",
    );
    out.extend_from_slice(b"<html><head>\n<title>");
    out.extend_from_slice(title);
    out.extend_from_slice(b"</title>\n</head><body>\n<h1>");
    out.extend_from_slice(title.get(4..).unwrap_or_default());
    out.extend_from_slice(b"</h1>\n");
    // A status without a text of its own is given that of 500.
    push_text(ex, if row.text.is_empty() { status::of(500) } else { row }, location, out);
    if recursive != 0 {
        let row = status::of(recursive);
        out.extend_from_slice(b"<p>Additionally, a ");
        push_decimal(out, u64::from(row.code));
        out.push(b' ');
        out.extend_from_slice(row.reason.as_bytes());
        out.extend_from_slice(
            b"\nerror was encountered while trying to use an ErrorDocument to handle the request.</p>\n",
        );
    }
    push_signature(ex, b"<hr>\n", out);
    out.extend_from_slice(b"</body></html>\n");
}

fn push_text(ex: &Exchange, row: &status::Status, location: &[u8], out: &mut Vec<u8>) {
    let notes = ex.notes.get(b"error-notes");
    let internal = row.text.contains("{admin}");
    if let Some(notes) = notes.filter(|_| internal && ex.notes.get(b"verbose-error-to") == Some(b"*")) {
        out.extend_from_slice(notes);
        out.extend_from_slice(b"<p />\n");
        return;
    }
    let mut rest = row.text;
    while let Some(open) = rest.find('{') {
        let (plain, after) = rest.split_at(open);
        out.extend_from_slice(plain.as_bytes());
        let Some(close) = after.find('}') else { break };
        let (name, after) = after.split_at(close + 1);
        match name {
            "{method}" => escape_html(&ex.method, out),
            "{location}" => escape_html(location, out),
            "{detail}" => out.extend_from_slice(notes.unwrap_or_default()),
            "{admin}" => escape_html(ex.server().rec.admin.as_deref().unwrap_or(b"[no address given]"), out),
            "{expect}" => match ex.headers_in.get(b"Expect") {
                Some(expect) => {
                    out.extend_from_slice(b"<p>The expectation given in the Expect request-header\nfield could not be met by this server.\nThe client sent<pre>\n    Expect: ");
                    escape_html(expect, out);
                    out.extend_from_slice(b"\n</pre>\n");
                }
                None => out.extend_from_slice(
                    b"<p>No expectation was seen, the Expect request-header \nfield was not presented by the client.\n",
                ),
            },
            "{variant}" | "{variants}" => {
                out.extend_from_slice(ex.notes.get(b"variant-list").unwrap_or_default());
            }
            _ => {}
        }
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Appends what `ServerSignature` asks for, behind `prefix`.
pub fn push_signature(ex: &Exchange, prefix: &[u8], out: &mut Vec<u8>) {
    let signature = ex.dir::<CoreDir>().and_then(|dir| dir.signature).unwrap_or_default();
    if signature == Signature::Off {
        return;
    }
    out.extend_from_slice(prefix);
    out.extend_from_slice(b"<address>");
    out.extend_from_slice(super::chain::plan(&ex.chain).banner());
    out.extend_from_slice(b" Server at ");
    if signature == Signature::Email {
        let admin = ex.server().rec.admin.as_deref().unwrap_or(b"[no address given]");
        out.extend_from_slice(b"<a href=\"");
        if !is_url(admin) {
            out.extend_from_slice(b"mailto:");
        }
        escape_html(admin, out);
        out.extend_from_slice(b"\">");
        escape_html(names::server_name(ex), out);
        out.extend_from_slice(b"</a>");
    } else {
        escape_html(names::server_name(ex), out);
    }
    out.extend_from_slice(b" Port ");
    push_decimal(out, u64::from(names::server_port(ex)));
    out.extend_from_slice(b"</address>\n");
}

fn is_url(text: &[u8]) -> bool {
    let scheme = text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    scheme > 0 && text.get(scheme..).is_some_and(|rest| rest.starts_with(b"://"))
}
