//! `mapping=servlet`: paths compared as a servlet container reads them, with parameters (`;…`) out of the way.

/// A segment of the path that is left after normalisation.
#[derive(Clone, Copy)]
struct Segment {
    /// Where what is forwarded begins, if this segment is the first behind the rule's path.
    start: usize,
    /// Its name.
    name: (usize, usize),
}

/// Compares `uri` (still escaped) with a rule's path, segment by segment. On a match: how many bytes of `uri` it took,
/// and the path without parameters, dot segments and doubled slashes.
pub(super) fn servlet_match(uri: &[u8], rule: &[u8]) -> Option<(usize, Vec<u8>)> {
    if uri.first() != Some(&b'/') || rule.first() != Some(&b'/') {
        return None;
    }
    let mut segments: Vec<Segment> = Vec::new();
    // Where the first segment since the last slash that counts began; dot segments do not move it.
    let mut first = Some(1);
    // The normalised path ends in a slash.
    let mut open = true;
    let mut at = 1;
    while at < uri.len() {
        let end = at + uri[at..].iter().position(|byte| *byte == b'/').unwrap_or(uri.len() - at);
        let name_end = at + uri[at..end].iter().position(|byte| *byte == b';').unwrap_or(end - at);
        let more = end < uri.len();
        match &uri[at..name_end] {
            b"" => {}
            b"." => open = true,
            b".." => {
                segments.pop()?;
                first = None;
                open = true;
            }
            _ => {
                let start =
                    first.map_or(at, |first| first + uri[first..at].iter().take_while(|byte| **byte == b'/').count());
                segments.push(Segment { start, name: (at, name_end) });
                open = more;
                first = more.then_some(end + 1);
            }
        }
        at = end + 1;
    }

    let wanted: Vec<&[u8]> = rule.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    let same = |segment: &Segment, part: &[u8]| &uri[segment.name.0..segment.name.1] == part;
    if segments.len() < wanted.len() || !segments.iter().zip(&wanted).all(|(segment, part)| same(segment, part)) {
        return None;
    }
    let closed = rule.last() == Some(&b'/');
    let taken = match segments.get(wanted.len()) {
        Some(next) => {
            let last = wanted.len().checked_sub(1).and_then(|last| segments.get(last));
            match last {
                // The parameters of the last matched segment are the backend's.
                Some(last) if !closed && uri.get(last.name.1) == Some(&b';') => last.name.1,
                _ if closed => next.start,
                _ => next.start - 1,
            }
        }
        None if closed && !open => return None,
        None if !closed && open && uri.last() == Some(&b'/') => uri.len() - 1,
        None => uri.len(),
    };
    let mut path = Vec::with_capacity(uri.len());
    for segment in &segments {
        path.push(b'/');
        path.extend_from_slice(&uri[segment.name.0..segment.name.1]);
    }
    if open || path.is_empty() {
        path.push(b'/');
    }
    Some((taken, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(uri: &str, rule: &str) -> Option<(String, String)> {
        let (taken, path) = servlet_match(uri.as_bytes(), rule.as_bytes())?;
        Some((uri[taken..].to_owned(), String::from_utf8(path).unwrap()))
    }

    #[test]
    fn parameters_and_dots_are_as_httpd_has_them() {
        let same = |uri: &str, want: &str, path: &str| {
            assert_eq!(rest(uri, "/app"), Some((want.to_owned(), path.to_owned())), "{uri}");
        };
        same("/app/x", "/x", "/app/x");
        same("/app", "", "/app");
        same("/app/", "/", "/app/");
        same("/app;v=1/x", ";v=1/x", "/app/x");
        same("/app;jsessionid=9", "", "/app");
        same("/app/x;jsessionid=1/y", "/x;jsessionid=1/y", "/app/x/y");
        same("/app;x=/..;/app/y", "/y", "/app/y");
        same("//app///x", "/x", "/app/x");
        same("/foo/../app/x", "/x", "/app/x");
        assert_eq!(rest("/application", "/app"), None);
        assert_eq!(rest("/app/../other", "/app"), None);
        assert_eq!(rest("/..;/app", "/app"), None);
        assert_eq!(rest("/app", "/app/"), None);
        assert_eq!(rest("/app/x", "/app/"), Some(("x".to_owned(), "/app/x".to_owned())));
        assert_eq!(rest("/x", "/"), Some(("x".to_owned(), "/x".to_owned())));
    }
}
