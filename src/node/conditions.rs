//! Conditions on a file (RFC 9110 section 13), as Tomcat's default servlet takes them.

use super::exchange::Request;
use crate::base::clock;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Go,
    /// The client has it already.
    Unchanged,
    /// A condition does not hold.
    Failed,
}

/// A condition that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The tags that a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    /// `*`
    Any,
    /// Whether each is weak, and what stands between its quotes.
    List(Vec<(bool, String)>),
}

/// The tags in all fields of a name; `None` without such a field.
fn tags(request: &Request, name: &str) -> Result<Option<Tags>, Malformed> {
    let lines: Vec<&str> = request.headers(name).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let text = lines.join(",");
    let mut rest = text.trim();
    if rest == "*" {
        return Ok(Some(Tags::Any));
    }
    let mut list = Vec::new();
    loop {
        let (weak, behind) = rest.strip_prefix("W/").map_or((false, rest), |behind| (true, behind.trim_start()));
        let (tag, behind) = behind.strip_prefix('"').and_then(|inside| inside.split_once('"')).ok_or(Malformed)?;
        list.push((weak, tag.to_owned()));
        rest = behind.trim_start();
        if rest.is_empty() {
            return Ok(Some(Tags::List(list)));
        }
        rest = rest.strip_prefix(',').ok_or(Malformed)?.trim_start();
    }
}

/// Whether the conditions of a request can be read at all, which Tomcat asks for missing files too.
///
/// # Errors
/// They cannot.
pub fn check(request: &Request) -> Result<(), Malformed> {
    tags(request, "if-match")?;
    tags(request, "if-none-match")?;
    Ok(())
}

/// What the conditions of a request say about a file: what stands between the quotes of its tag, which is weak, and when it
/// was changed, in milliseconds since 1970.
///
/// # Errors
/// A condition that cannot be read.
pub fn judge(request: &Request, tag: &str, changed: i64) -> Result<Verdict, Malformed> {
    let date = |name: &str| request.header(name).and_then(|text| clock::parse_http_date(text.as_bytes()));
    let failed = match tags(request, "if-match")? {
        // Weak tags never match where a strong one is asked for.
        Some(tags) => tags != Tags::Any,
        None => date("if-unmodified-since").is_some_and(|since| changed >= (since + 1) * 1000),
    };
    let none_match = tags(request, "if-none-match")?;
    if failed {
        return Ok(Verdict::Failed);
    }
    let reads = matches!(request.method.as_str(), "GET" | "HEAD");
    let same = match none_match {
        Some(Tags::Any) => true,
        Some(Tags::List(list)) => list.iter().any(|(_, other)| other == tag),
        None => reads && date("if-modified-since").is_some_and(|since| changed < (since + 1) * 1000),
    };
    Ok(match (same, reads) {
        (false, _) => Verdict::Go,
        (true, true) => Verdict::Unchanged,
        (true, false) => Verdict::Failed,
    })
}

/// Whether If-Range lets a part be sent of a file that was changed then.
///
/// # Errors
/// It is neither a date nor one tag.
pub fn allows_part(request: &Request, changed: i64) -> Result<bool, Malformed> {
    let Some(condition) = request.header("if-range") else { return Ok(true) };
    if let Some(since) = clock::parse_http_date(condition.as_bytes()) {
        return Ok(changed.div_euclid(1000) == since);
    }
    match tags(request, "if-range")? {
        // The tags of files are weak, and a part of what is only much the same is of no use.
        Some(Tags::List(list)) if list.len() == 1 => Ok(false),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: &str, values: &[&str]) -> Request {
        let headers = values.iter().map(|value| (name.to_owned(), value.as_bytes().to_vec())).collect();
        Request { headers, ..Request::default() }
    }

    #[test]
    fn conditions_are_read_strictly() {
        const AT: i64 = 1_767_225_600_000;
        for (values, found) in [
            (&["\"t\""][..], Ok(Verdict::Unchanged)),
            (&["W/\"x\", W/\"t\""], Ok(Verdict::Unchanged)),
            (&["\"x\"", "\"t\""], Ok(Verdict::Unchanged)),
            (&["*"], Ok(Verdict::Unchanged)),
            (&["\"\""], Ok(Verdict::Go)),
            (&["W/ \"x\""], Ok(Verdict::Go)),
            (&["x"], Err(Malformed)),
            (&[""], Err(Malformed)),
            (&["\"x\","], Err(Malformed)),
            (&[", \"x\""], Err(Malformed)),
            (&["\"x\" \"t\""], Err(Malformed)),
            (&["w/\"x\""], Err(Malformed)),
            (&["\"x\"", "*"], Err(Malformed)),
        ] {
            assert_eq!(judge(&request("If-None-Match", values), "t", AT), found, "{values:?}");
        }
        assert_eq!(judge(&request("If-Match", &["W/\"t\""]), "t", AT), Ok(Verdict::Failed));
        assert_eq!(judge(&request("If-Match", &["*, \"t\""]), "t", AT), Err(Malformed));
        for (value, found) in [
            ("Thu, 01 Jan 2026 00:00:00 GMT", Ok(true)),
            ("Thu, 01 Jan 2026 00:00:01 GMT", Ok(false)),
            ("W/\"t\"", Ok(false)),
            ("*", Err(Malformed)),
            ("x", Err(Malformed)),
        ] {
            assert_eq!(allows_part(&request("If-Range", &[value]), AT), found, "{value}");
        }
    }
}
