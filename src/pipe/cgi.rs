//! The environment of a script (RFC 3875): httpd's variables of a request, set in [`Exchange::env`].

use super::{errors, lookup, names};
use crate::base::path::{escape_html, escape_path};
use crate::codec::http1::write::push_decimal;
use crate::config::core::CoreDir;
use crate::web::{Exchange, Table};

/// Sets the variables of every program that is run for a request, on top of those that are set.
pub fn add_common(ex: &mut Exchange) {
    let mut vars = Table::default();
    add_fields(ex, &mut vars);
    if let Some(path) = std::env::var_os("PATH") {
        vars.add(b"PATH", path.as_encoded_bytes());
    }
    add_server(ex, &mut vars);
    add_client(ex, &mut vars);
    overlay(ex, &vars);
}

/// Variables of one name replace each other.
fn overlay(ex: &mut Exchange, vars: &Table) {
    for (name, value) in vars.iter() {
        ex.env.set(name, value);
    }
}

/// `HTTP_*`: the request's fields but those that a script must not see, or could be fooled by.
fn add_fields(ex: &Exchange, vars: &mut Table) {
    let passes = ex.dir::<CoreDir>().and_then(|dir| dir.cgi_pass_auth) == Some(true);
    let mut variable = Vec::new();
    for (name, value) in ex.headers_in.iter() {
        match name.to_ascii_lowercase().as_slice() {
            b"content-type" => vars.add(b"CONTENT_TYPE", value),
            b"content-length" => vars.add(b"CONTENT_LENGTH", value),
            // Would be HTTP_PROXY, which many programs take for the proxy that they are to use.
            b"proxy" => {}
            b"authorization" | b"proxy-authorization" if !passes => {}
            // A name with other characters could pass for another one.
            lower if lower.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') => {
                variable.clear();
                variable.extend_from_slice(b"HTTP_");
                variable.extend(lower.iter().map(|byte| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() }));
                vars.merge(&variable, value);
            }
            _ => {}
        }
    }
}

fn add_server(ex: &Exchange, vars: &mut Table) {
    let mut text = Vec::new();
    errors::push_signature(ex, b"", &mut text);
    vars.add(b"SERVER_SIGNATURE", &text);
    vars.add(b"SERVER_SOFTWARE", names::server_software(ex));
    text.clear();
    escape_html(names::server_name(ex), &mut text);
    vars.add(b"SERVER_NAME", &text);
    vars.add(b"SERVER_ADDR", &ex.conn.local_ip);
    text.clear();
    push_decimal(&mut text, u64::from(names::server_port(ex)));
    vars.add(b"SERVER_PORT", &text);
}

fn add_client(ex: &Exchange, vars: &mut Table) {
    let mut text = Vec::new();
    if let Some(name) = ex.client_name() {
        vars.add(b"REMOTE_HOST", &name);
    }
    vars.add(b"REMOTE_ADDR", &ex.client_ip);
    let root = names::document_root(ex);
    vars.add(b"DOCUMENT_ROOT", root);
    vars.add(b"REQUEST_SCHEME", names::scheme(ex));
    let context = ex.ext.get::<names::Context>();
    vars.add(b"CONTEXT_PREFIX", context.map_or(b"", |context| &context.prefix));
    let mapped = context.map(|context| context.root.as_slice()).filter(|mapped| !mapped.is_empty());
    vars.add(b"CONTEXT_DOCUMENT_ROOT", mapped.unwrap_or(root));
    vars.add(b"SERVER_ADMIN", ex.server().rec.admin.as_deref().unwrap_or(b"[no address given]"));
    vars.add(b"SCRIPT_FILENAME", &ex.filename);
    push_decimal(&mut text, u64::from(ex.client_port));
    vars.add(b"REMOTE_PORT", &text);
    if let Some(name) = ex.conn.ident.get() {
        vars.add(b"REMOTE_IDENT", name);
    }
    match (&ex.user, ex.original.as_ref()) {
        (Some(user), _) => vars.add(b"REMOTE_USER", user),
        (None, Some(original)) => {
            if let Some(user) = &original.user {
                vars.add(b"REDIRECT_REMOTE_USER", user);
            }
        }
        (None, None) => {}
    }
    if let Some(kind) = ex.auth_type {
        vars.add(b"AUTH_TYPE", kind.as_bytes());
    }
    if let Some(original) = &ex.original {
        if let Some(args) = &original.args {
            vars.add(b"REDIRECT_QUERY_STRING", args);
        }
        let qualify = ex.dir::<CoreDir>().and_then(|dir| dir.qualify_redirect_url) == Some(true);
        text.clear();
        if qualify {
            names::push_url(ex, &original.uri, &mut text);
        } else {
            text.extend_from_slice(&original.uri);
        }
        vars.add(b"REDIRECT_URL", &text);
    }
}

/// Sets what RFC 3875 adds: the request line, and the path taken apart.
pub async fn add_cgi(ex: &mut Exchange) {
    let mut vars = Table::default();
    vars.add(b"GATEWAY_INTERFACE", b"CGI/1.1");
    vars.add(b"SERVER_PROTOCOL", &ex.protocol);
    vars.add(b"REQUEST_METHOD", &ex.method);
    vars.add(b"QUERY_STRING", ex.args.as_deref().unwrap_or_default());
    let current = ex.dir::<CoreDir>().and_then(|dir| dir.cgi_original_uri) == Some(false);
    vars.add(b"REQUEST_URI", if current { &ex.uri } else { asked(&ex.the_request) });
    let included = ex.protocol == b"INCLUDED";
    let end = match ex.uri.ends_with(&ex.path_info) && !included {
        true => ex.uri.len() - ex.path_info.len(),
        false => ex.uri.len(),
    };
    vars.add(b"SCRIPT_NAME", ex.uri.get(..end).unwrap_or_default());
    if !ex.path_info.is_empty() {
        vars.add(b"PATH_INFO", &ex.path_info);
        let mut target = Vec::new();
        escape_path(&ex.path_info, &mut target);
        let sub = lookup(ex, &target).await;
        if !sub.filename.is_empty() {
            vars.add(b"PATH_TRANSLATED", &[sub.filename.as_slice(), &sub.path_info].concat());
        }
    }
    overlay(ex, &vars);
}

/// The target as the request line has it, without scheme and authority.
fn asked(line: &[u8]) -> &[u8] {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let target = words.nth(1).unwrap_or_default();
    let Some(scheme) = memchr::memmem::find(target, b"://").filter(|_| target.first() != Some(&b'/')) else {
        return target;
    };
    let authority = target.get(scheme + 3..).unwrap_or_default();
    memchr::memchr(b'/', authority).and_then(|slash| authority.get(slash..)).unwrap_or(b"/")
}

/// The environment as a program gets it: names hold letters, digits and underscores only.
pub fn environment(ex: &Exchange) -> impl Iterator<Item = (Vec<u8>, &[u8])> {
    let legal = |at: usize, byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (at > 0 && byte.is_ascii_digit());
    ex.env.iter().filter(|(_, value)| !value.contains(&0)).map(move |(name, value)| {
        let name = name.iter().enumerate().map(|(at, byte)| if legal(at, *byte) { *byte } else { b'_' });
        (name.collect(), value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_told_without_its_server() {
        for (line, want) in [
            ("GET /a?b HTTP/1.1", "/a?b"),
            ("GET http://h:80/a?b HTTP/1.1", "/a?b"),
            ("GET http://h HTTP/1.1", "/"),
            ("GET /x?u=http://y/z HTTP/1.1", "/x?u=http://y/z"),
            ("", ""),
        ] {
            assert_eq!(asked(line.as_bytes()), want.as_bytes(), "{line}");
        }
    }
}
