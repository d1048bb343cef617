//! The variables that an application gets, as CGI names them (RFC 3875, section 4.1), in httpd's order.

use crate::base::path::{escape_html, escape_path};
use crate::config::core::CoreDir;
use crate::pipe::{self, names};
use crate::web::Exchange;

/// What programs find programs with where the environment does not say.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin:/usr/ucb:/usr/bsd:/usr/local/bin";

/// Adds the variables to the request's environment: those of its fields, of the server, of the script. `script` is
/// `SCRIPT_FILENAME`.
pub(super) async fn fill(ex: &mut Exchange, script: &[u8]) {
    let mut env = std::mem::take(&mut ex.env);
    let dir = ex.dir::<CoreDir>();
    let passes_auth = dir.and_then(|dir| dir.cgi_pass_auth) == Some(true);
    let mut name = Vec::new();
    for (field, value) in ex.headers_in.iter() {
        let is = |known: &[u8]| field.eq_ignore_ascii_case(known);
        if is(b"Content-Type") {
            env.set(b"CONTENT_TYPE", value);
        } else if is(b"Content-Length") {
            env.set(b"CONTENT_LENGTH", value);
        } else if is(b"Proxy") || (!passes_auth && (is(b"Authorization") || is(b"Proxy-Authorization"))) {
            // Programs take the first for a setting of their own, the others are secrets.
        } else if variable(field, &mut name) {
            env.set(&name, value);
        }
    }
    let mut text = Vec::new();
    let path = std::env::var_os("PATH");
    env.set(b"PATH", path.as_ref().map_or(DEFAULT_PATH, |path| path.as_encoded_bytes()));
    pipe::push_signature(ex, b"", &mut text);
    env.set(b"SERVER_SIGNATURE", &text);
    env.set(b"SERVER_SOFTWARE", names::server_software(ex));
    text.clear();
    let server = names::server_name(ex);
    let bare_v6 = server.contains(&b':') && server.first() != Some(&b'[');
    text.extend_from_slice(if bare_v6 { b"[" } else { b"" });
    escape_html(server, &mut text);
    text.extend_from_slice(if bare_v6 { b"]" } else { b"" });
    env.set(b"SERVER_NAME", &text);
    env.set(b"SERVER_ADDR", &ex.conn.local_ip);
    env.set(b"SERVER_PORT", names::server_port(ex).to_string().as_bytes());
    if let Some(name) = ex.client_name() {
        env.set(b"REMOTE_HOST", &name);
    }
    env.set(b"REMOTE_ADDR", &ex.client_ip);
    let root = names::document_root(ex);
    env.set(b"DOCUMENT_ROOT", root);
    env.set(b"REQUEST_SCHEME", names::scheme(ex));
    let context = ex.ext.get::<names::Context>();
    env.set(b"CONTEXT_PREFIX", context.map_or(b"", |context| &context.prefix));
    let own = context.map(|context| context.root.as_slice()).filter(|root| !root.is_empty());
    env.set(b"CONTEXT_DOCUMENT_ROOT", own.unwrap_or(root));
    env.set(b"SERVER_ADMIN", ex.server().rec.admin.as_deref().unwrap_or(b"[no address given]"));
    env.set(b"SCRIPT_FILENAME", script);
    env.set(b"REMOTE_PORT", ex.client_port.to_string().as_bytes());
    let original = ex.original.as_deref();
    if let Some(name) = ex.conn.ident.get() {
        env.set(b"REMOTE_IDENT", name);
    }
    match (&ex.user, original.and_then(|original| original.user.as_ref())) {
        (Some(user), _) => env.set(b"REMOTE_USER", user),
        (None, Some(user)) => env.set(b"REDIRECT_REMOTE_USER", user),
        (None, None) => {}
    }
    if let Some(kind) = ex.auth_type {
        env.set(b"AUTH_TYPE", kind.as_bytes());
    }
    if let Some(original) = original {
        text.clear();
        if dir.and_then(|dir| dir.qualify_redirect_url) == Some(true) {
            names::push_url(ex, &original.uri, &mut text);
        } else {
            text.extend_from_slice(&original.uri);
        }
        env.set(b"REDIRECT_URL", &text);
        if let Some(args) = &original.args {
            env.set(b"REDIRECT_QUERY_STRING", args);
        }
    }
    env.set(b"GATEWAY_INTERFACE", b"CGI/1.1");
    env.set(b"SERVER_PROTOCOL", &ex.protocol);
    env.set(b"REQUEST_METHOD", &ex.method);
    env.set(b"QUERY_STRING", ex.args.as_deref().unwrap_or_default());
    if dir.and_then(|dir| dir.cgi_original_uri) == Some(false) {
        env.set(b"REQUEST_URI", &ex.uri);
    } else {
        env.set(b"REQUEST_URI", original_target(ex));
    }
    if ex.path_info.is_empty() {
        env.set(b"SCRIPT_NAME", &ex.uri);
    } else {
        let end = find_path_info(&ex.uri, &ex.path_info);
        env.set(b"SCRIPT_NAME", ex.uri.get(..end).unwrap_or_default());
        env.set(b"PATH_INFO", &ex.path_info);
    }
    ex.env = env;
    if !ex.path_info.is_empty() {
        let mut escaped = Vec::new();
        escape_path(&ex.path_info, &mut escaped);
        let sub = pipe::lookup(ex, &escaped).await;
        if !sub.filename.is_empty() {
            let translated = [sub.filename.as_slice(), &sub.path_info].concat();
            ex.env.set(b"PATH_TRANSLATED", &translated);
        }
    }
}

/// The target of the request line.
fn original_target(ex: &Exchange) -> &[u8] {
    let mut words = ex.the_request.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    words.nth(1).unwrap_or(&ex.unparsed_uri)
}

/// `HTTP_` and the field's name; of names that could be mistaken for others nothing is told.
fn variable(field: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    out.extend_from_slice(b"HTTP_");
    for byte in field {
        match byte {
            b'-' => out.push(b'_'),
            byte if byte.is_ascii_alphanumeric() => out.push(byte.to_ascii_uppercase()),
            _ => return false,
        }
    }
    true
}

/// Where the part of `uri` ends that is not the path info; runs of slashes are equal to each other.
fn find_path_info(uri: &[u8], info: &[u8]) -> usize {
    let (mut at, mut rest) = (uri.len(), info.len());
    while at > 0 && rest > 0 && uri.get(at - 1) == info.get(rest - 1) {
        at -= 1;
        rest -= 1;
        if info.get(rest) == Some(&b'/') {
            while at > 0 && uri.get(at - 1) == Some(&b'/') {
                at -= 1;
            }
        }
    }
    // The byte that differs belongs to the script, with what follows it up to a slash.
    uri.get(at..).and_then(|rest| memchr::memchr(b'/', rest)).map_or(uri.len(), |slash| at + slash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_info_is_found_from_behind() {
        for (uri, info, script) in [
            ("/t.php/info x", "/info x", "/t.php"),
            ("/pi/a.b/c.php/d/e", "/d/e", "/pi/a.b/c.php"),
            ("/pu/a b/c.php", "//a b/c.php", "/pu"),
            ("/p1/a b/c.php", "//a%20b/c.php", "/p1/a b"),
            ("/spi/x y", "//x%20y", "/spi/x y"),
        ] {
            let end = find_path_info(uri.as_bytes(), info.as_bytes());
            assert_eq!(&uri[..end], script, "{uri} {info}");
        }
    }

    #[test]
    fn names_that_could_be_mistaken_are_left_out() {
        let mut out = Vec::new();
        assert!(variable(b"X-Under", &mut out) && out == b"HTTP_X_UNDER");
        assert!(!variable(b"X_Under", &mut out) && !variable(b"X.Y", &mut out));
    }
}
