//! `Warning` fields (RFC 2616, 14.46): those of another date than the response's end here.

use std::sync::LazyLock;

use regex::bytes::Regex;

use crate::base::clock::parse_http_date;

/// A code, an agent, a quoted text and perhaps a quoted date.
static WARNING: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?-u)[0-9]{3}[ \t]+[^ \t]+[ \t]+"[^"]*"([ \t]+"([^"]+)")?"#).ok());

/// Says each warning of a field's value that goes on, as a field of its own. What has not the form of a warning goes
/// nowhere; a date that cannot be read is none. `date` is the response's own.
pub(super) fn clean<'a>(value: &'a [u8], date: Option<&[u8]>, mut keep: impl FnMut(&'a [u8])) {
    let of_response = || date.and_then(parse_http_date);
    for found in WARNING.iter().flat_map(|warning| warning.captures_iter(value)) {
        let said = found.get(2).and_then(|said| parse_http_date(said.as_bytes()));
        if let Some(warning) = found.get(0).filter(|_| said.is_none() || said == of_response()) {
            keep(warning.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_another_date_end_here() {
        let cleaned = |value: &str, date: Option<&str>| {
            let mut kept = Vec::new();
            clean(value.as_bytes(), date.map(str::as_bytes), |warning| {
                kept.push(String::from_utf8_lossy(warning).into_owned());
            });
            kept
        };
        let (then, later) = ("Tue, 15 Nov 1994 08:12:31 GMT", "Tue, 15 Nov 1994 08:12:32 GMT");
        let dated = format!("110 a \"b\" \"{then}\"");
        assert_eq!(cleaned("199 - \"x\", 1110 y \"z\"", None), ["199 - \"x\"", "110 y \"z\""]);
        assert_eq!(cleaned(&dated, Some(then)), [dated.as_str()]);
        assert_eq!(cleaned(&dated, Some(later)), [""; 0]);
        assert_eq!(cleaned(&dated, None), [""; 0]);
        assert_eq!(cleaned("110 a \"b\" \"some day\"", None), ["110 a \"b\" \"some day\""]);
        assert_eq!(cleaned("110 no quotes", None), [""; 0]);
    }
}
