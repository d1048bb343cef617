//! `ProxyHTMLURLMap`: one rule, and what it makes of a text.

use std::sync::Arc;

use super::HtmlDir;
use crate::base::pattern::{Captures, Flags, Pattern, substitute};
use crate::config::{Args, Cmd, get_word};
use crate::expr::{Expr, Scratch};
use crate::logs::{self, Level};
use crate::pipe::vary;
use crate::web::Exchange;

/// A text does not become longer than this by one rule: an end that is not there would be looked for until then.
const LONGEST: usize = 16 << 20;

/// One rule.
pub(super) struct Map {
    from: From,
    to: Vec<u8>,
    /// Where it is looked for.
    pub(super) in_links: bool,
    in_events: bool,
    in_text: bool,
    /// Only at the beginning, only at the end.
    at_start: bool,
    at_end: bool,
    /// No rule is tried behind it in an event.
    last: bool,
    /// Rules behind it are tried on a link, which else is changed by one.
    not_last: bool,
    /// There are variables in `to`.
    varies: bool,
    condition: Option<Arc<Expr>>,
}

#[derive(Clone)]
enum From {
    Text(Vec<u8>),
    Pattern(Arc<Pattern>),
    /// Text with variables; as a pattern if these are its flags.
    Varying(Vec<u8>, Option<Flags>),
    /// Never found: a pattern that is none, or cannot be known.
    Nothing,
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    Event,
    /// Scripts, style sheets, comments.
    Text,
}

/// `ProxyHTMLURLMap from to [flags [condition]]`.
pub(super) fn url_map(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (from, rest) = get_word(args.raw);
    let (to, rest) = get_word(rest);
    let (flags, rest) = get_word(rest);
    // Behind empty flags there is none.
    let (condition, _) = if flags.is_empty() { (Vec::new(), rest) } else { get_word(rest) };
    let has = |flag: u8| flags.contains(&flag);
    let defaults = cmd.regex_flags();
    let pattern_flags = has(b'R').then(|| Flags {
        icase: has(b'i') || defaults.icase,
        multiline: has(b's') || defaults.multiline,
        ..defaults
    });
    let from = match pattern_flags {
        flags if has(b'v') => From::Varying(from, flags),
        Some(flags) => Pattern::new(&from, flags).map_or(From::Nothing, |pattern| From::Pattern(Arc::new(pattern))),
        None => From::Text(from),
    };
    let condition = match condition.is_empty() {
        true => None,
        false => Some(cmd.condition(&translated(&condition))?),
    };
    cmd.dir_conf::<HtmlDir>().maps.push(Arc::new(Map {
        from,
        to,
        in_links: !has(b'h'),
        in_events: !has(b'e'),
        in_text: !has(b'c'),
        at_start: has(b'^'),
        at_end: has(b'$'),
        last: has(b'L'),
        not_last: has(b'l'),
        varies: has(b'V'),
        condition,
    }));
    Ok(())
}

/// A condition in the older form, `[!]name[=value]`, as an expression.
fn translated(text: &[u8]) -> Vec<u8> {
    let (not, rest) = text.strip_prefix(b"!").map_or((&b""[..], text), |rest| (&b"!"[..], rest));
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let (name, value) = rest.split_at(length);
    let (equals, value) = match value {
        [] => (&b""[..], &b""[..]),
        [b'=', value @ ..] if !value.is_empty() => (&b"="[..], value),
        _ => return text.to_vec(),
    };
    if name.is_empty() {
        return text.to_vec();
    }
    let mut made = [b"reqenv('", name, b"')", not, equals, b"'", value, b"'"].concat();
    if !not.is_empty() && equals.is_empty() {
        // What httpd makes of it is no expression.
        made.pop();
        made.insert(0, b'!');
    }
    made
}

/// The rules that count for a request, with its variables in them. Patterns with variables can only be compiled now.
pub(super) fn for_request(ex: &mut Exchange, maps: &[Arc<Map>]) -> Vec<Arc<Map>> {
    maps.iter().filter_map(|map| one_for_request(ex, map)).collect()
}

fn one_for_request(ex: &mut Exchange, map: &Arc<Map>) -> Option<Arc<Map>> {
    if let Some(condition) = &map.condition {
        let mut scratch = Scratch::default();
        let truth = condition.eval(&*ex, &mut scratch).unwrap_or_else(|error| {
            logs::error!(ex, Level::Error, "proxy_html", "AH01421: Error evaluating expr: {}", error);
            false
        });
        vary(ex, &mut scratch);
        if !truth {
            return None;
        }
    }
    let from = match &map.from {
        From::Varying(text, flags) => {
            let text = interpolate(ex, text);
            match flags {
                _ if text.is_empty() => return None,
                Some(flags) => {
                    Pattern::new(&text, *flags).map_or(From::Nothing, |pattern| From::Pattern(Arc::new(pattern)))
                }
                None => From::Text(text),
            }
        }
        _ if !map.varies => return Some(map.clone()),
        known => known.clone(),
    };
    let to = if map.varies { interpolate(ex, &map.to) } else { map.to.clone() };
    Some(Arc::new(Map { from, to, condition: None, ..**map }))
}

/// `${name|otherwise}`: what the environment says.
fn interpolate(ex: &Exchange, text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    // What is put in may have variables in it again, within reason.
    for _ in 0..100 {
        let Some(start) = memchr::memmem::find(&text, b"${") else { break };
        let rest = text.get(start + 2..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'}', rest) else { break };
        let bar = memchr::memchr(b'|', rest);
        let name = rest.get(..bar.unwrap_or(end)).unwrap_or_default();
        let otherwise = bar.and_then(|bar| rest.get(bar + 1..end)).unwrap_or_default();
        let value = ex.env.get(name).unwrap_or(otherwise).to_vec();
        text.splice(start..start + 2 + end + 1, value);
        if text.len() > LONGEST {
            break;
        }
    }
    text
}

impl Map {
    /// Changes a link; whether this is the last rule for it. What `l` says is heard of patterns only, as in httpd.
    pub(super) fn change_link(&self, text: &mut Vec<u8>, groups: &mut Captures) -> bool {
        match &self.from {
            // Without ProxyHTMLInterp variables are text like any other.
            From::Text(from) | From::Varying(from, None) => {
                let fits = text.get(..from.len()).is_some_and(|start| start.eq_ignore_ascii_case(from));
                if fits {
                    text.splice(..from.len(), self.to.iter().copied());
                }
                fits
            }
            From::Pattern(pattern) => {
                let found = pattern.captures(text, groups).then(|| groups.get(0)).flatten();
                if let Some((start, end)) = found {
                    let mut made = Vec::new();
                    substitute(&self.to, text, groups, &mut made);
                    text.splice(start..end, made);
                }
                found.is_some() && !self.not_last
            }
            From::Varying(_, Some(_)) | From::Nothing => false,
        }
    }

    /// Whether it is for texts there.
    pub(super) fn is_for(&self, site: Site) -> bool {
        match site {
            Site::Event => self.in_events,
            Site::Text => self.in_text,
        }
    }

    /// Changes all places of a text; whether it is the last rule for it.
    pub(super) fn change_text(&self, site: Site, text: &mut Vec<u8>, groups: &mut Captures) -> bool {
        let changed = match &self.from {
            From::Text(from) | From::Varying(from, None) if from.is_empty() => false,
            From::Text(from) | From::Varying(from, None) => self.change_words(site, from, text),
            From::Pattern(pattern) => self.change_matches(pattern, text, groups),
            From::Varying(_, Some(_)) | From::Nothing => false,
        };
        changed && self.last && site == Site::Event
    }

    /// What follows a place that was changed is looked at from where httpd looks on: in an event from behind as many
    /// bytes as were put in. (Further places in an event httpd finds where they were before the change, and spoils.)
    fn change_words(&self, site: Site, from: &[u8], text: &mut Vec<u8>) -> bool {
        let (mut changed, mut at, mut looked) = (false, 0, 0);
        let mut made = Vec::new();
        let finder = memchr::memmem::Finder::new(from);
        while let Some(found) = finder.find(text.get(looked..).unwrap_or_default()) {
            let (start, end) = (looked + found, looked + found + from.len());
            let first = site == Site::Text || !changed;
            if self.at_start && first && made.len() + start - at != 0 {
                break;
            }
            if self.at_end && end < text.len() {
                looked = match site {
                    Site::Event => end,
                    Site::Text => start + self.to.len().max(1),
                };
                continue;
            }
            changed = true;
            made.extend_from_slice(text.get(at..start).unwrap_or_default());
            made.extend_from_slice(&self.to);
            at = end;
            looked = match site {
                Site::Event => end.max(start + self.to.len()),
                Site::Text => end,
            };
            if made.len() > LONGEST {
                break;
            }
        }
        if changed {
            made.extend_from_slice(text.get(at..).unwrap_or_default());
            std::mem::swap(text, &mut made);
        }
        changed
    }

    fn change_matches(&self, pattern: &Pattern, text: &mut Vec<u8>, groups: &mut Captures) -> bool {
        let mut changed = false;
        let mut rest = text.as_slice();
        let mut made = Vec::new();
        while pattern.captures(rest, groups) {
            let Some((start, end)) = groups.get(0) else { break };
            changed = true;
            made.extend_from_slice(rest.get(..start).unwrap_or_default());
            substitute(&self.to, rest, groups, &mut made);
            rest = rest.get(end..).unwrap_or_default();
            // Nothing could be found at the same place for ever.
            if end == 0 || made.len() > LONGEST {
                break;
            }
        }
        if changed {
            made.extend_from_slice(rest);
            *text = made;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(from: From, to: &str, at_end: bool) -> Map {
        let to = to.as_bytes().to_vec();
        let (in_links, in_events, in_text) = (true, true, true);
        Map {
            from,
            to,
            in_links,
            in_events,
            in_text,
            at_start: false,
            at_end,
            last: false,
            not_last: false,
            varies: false,
            condition: None,
        }
    }

    fn changed(map: &Map, text: &str) -> String {
        let mut text = text.as_bytes().to_vec();
        map.change_text(Site::Text, &mut text, &mut Captures::new());
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn conditions_in_the_older_form_become_expressions() {
        assert_eq!(translated(b"a=b"), b"reqenv('a')='b'");
        assert_eq!(translated(b"!a=b"), b"reqenv('a')!='b'");
        assert_eq!(translated(b"a"), b"reqenv('a')''");
        assert_eq!(translated(b"!a"), b"!reqenv('a')!'");
        assert_eq!(translated(b"-T %{ENV:a}"), b"-T %{ENV:a}");
    }

    #[test]
    fn all_places_are_changed_and_empty_matches_end() {
        assert_eq!(changed(&map(From::Text(b"aa".to_vec()), "b", false), "aaaaa"), "bba");
        assert_eq!(changed(&map(From::Text(b"a".to_vec()), "b", true), "aXa"), "aXb");
        let pattern = |text: &[u8]| From::Pattern(Arc::new(Pattern::new(text, Flags::default()).unwrap()));
        assert_eq!(changed(&map(pattern(b"(.)x"), "<$1>", false), "axbxc"), "<a><b>c");
        assert_eq!(changed(&map(pattern(b"x*"), "-", false), "abc"), "-abc");
    }
}
