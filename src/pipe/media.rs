//! The Content-Type as it is sent.

use crate::config::core::CoreDir;
use crate::web::Exchange;

/// The type of a directory, and the handler of one that nobody else handles.
pub const DIRECTORY: &[u8] = b"httpd/unix-directory";

/// Types that `AddDefaultCharset` completes, as httpd compares them: a prefix that ends there or with parameters.
const NEEDS_CHARSET: [&[u8]; 2] = [b"text/plain", b"text/html"];

/// Appends the response's content type, with the default charset where that is due; nothing if there is no type.
pub fn push_content_type(ex: &Exchange, out: &mut Vec<u8>) {
    out.extend_from_slice(&ex.content_type);
    if let Some(Some(charset)) = ex.dir::<CoreDir>().and_then(|dir| dir.default_charset.as_ref())
        && wants_charset(&ex.content_type)
    {
        out.extend_from_slice(b"; charset=");
        out.extend_from_slice(charset);
    }
}

fn wants_charset(media: &[u8]) -> bool {
    let (name, parameters) = media.split_at(memchr::memchr(b';', media).unwrap_or(media.len()));
    NEEDS_CHARSET.iter().any(|known| known.eq_ignore_ascii_case(name.trim_ascii_end()))
        && !parameters.split(|byte| *byte == b';').any(has_charset)
}

fn has_charset(parameter: &[u8]) -> bool {
    let name = parameter.split(|byte| *byte == b'=').next().unwrap_or_default();
    parameter.contains(&b'=') && name.trim_ascii().eq_ignore_ascii_case(b"charset")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_and_html_text_without_charset_gets_one() {
        for (media, want) in [
            ("text/html", true),
            ("TEXT/plain", true),
            ("text/html; level=1", true),
            ("text/html;charset=utf-8", false),
            ("text/html; Charset=x", false),
            ("text/css", false),
            ("text/html5", false),
            ("", false),
        ] {
            assert_eq!(wants_charset(media.as_bytes()), want, "{media}");
        }
    }
}
