//! How well each variant fits what the request accepts, and which is the best (RFC 2296, or httpd's own order).

use super::accept::{Accepts, Item, is_html};
use super::variant::{CGI_TYPE, Variant};
use super::{Force, Priorities};

/// How one resource is negotiated.
pub(super) struct Terms<'a> {
    pub(super) accepts: &'a Accepts,
    pub(super) priorities: &'a Priorities,
    /// A variant may be chosen on the client's behalf.
    pub(super) may_choose: bool,
    /// By RFC 2296's algorithm.
    pub(super) remote: bool,
    /// The fields are taken as they are.
    pub(super) strict: bool,
    /// The folder of the variants, with its slash.
    pub(super) dir: &'a [u8],
}

/// Adds what is accepted though nobody said so: anything, and scripts, gladly or at need.
pub(super) fn complete(accepts: &mut Accepts, prefer_scripts: bool, remote: bool) {
    let anything = || vec![Item { name: b"*/*".to_vec(), quality: 1.0, ..Item::default() }];
    let quality = match (remote, prefer_scripts) {
        (true, _) => 0.0,
        (false, true) => 2.0,
        (false, false) => 0.001,
    };
    let scripts = Item { name: CGI_TYPE.to_vec(), quality, ..Item::default() };
    accepts.types.get_or_insert_with(anything).push(scripts);
}

/// The best variant, and whether it is clear enough to be sent.
pub(super) fn best(terms: &Terms<'_>, variants: &mut [Variant], prefer: Option<&[u8]>) -> (Option<usize>, bool) {
    let plain =
        if !terms.strict && variants.iter().any(|variant| !variant.languages.is_empty()) { 0.0001 } else { 1.0 };
    let mut prefer = prefer;
    loop {
        let mut best: Option<usize> = None;
        let mut best_quality = 0.0;
        for at in 0..variants.len() {
            let Some(variant) = variants.get_mut(at) else { break };
            if prefer.is_some_and(|wanted| !variant.languages.iter().any(|own| own.eq_ignore_ascii_case(wanted))) {
                continue;
            }
            weigh_type(terms, variant);
            if prefer.is_some() {
                (variant.language_quality, variant.definite) = (1.0, true);
            } else {
                weigh_language(terms, variant, plain);
            }
            weigh_encoding(terms, variant);
            weigh_charset(terms, variant);
            if !terms.may_choose {
                continue;
            }
            let better = match terms.remote {
                true => better_remote(variants, at, best, best_quality),
                false => better(terms, variants, at, best, best_quality),
            };
            if let Some(quality) = better {
                (best, best_quality) = (Some(at), quality);
            }
        }
        let chosen = best.and_then(|at| variants.get(at));
        let clear = chosen.is_some_and(|variant| best_quality > 0.0 && (!terms.remote || variant.definite));
        if prefer.take().is_none() || clear {
            return (best, clear);
        }
    }
}

/// How an accepted type matches a variant's: 1 any type, 2 any subtype, 3 the type itself.
fn match_type(item: &Item, variant: &mut Variant) -> bool {
    let accepted = item.name.as_slice();
    if accepted == b"*" || accepted == b"*/*" {
        variant.stars = variant.stars.max(1);
        return true;
    }
    if accepted.strip_suffix(b"*").is_some_and(|start| start.ends_with(b"/") && variant.media.starts_with(start)) {
        variant.stars = variant.stars.max(2);
        return true;
    }
    let same = accepted == variant.media || (accepted == b"text/html" && is_html(&variant.media));
    if same && item.level >= variant.level {
        variant.level_matched = variant.level;
        variant.stars = 3;
        return true;
    }
    false
}

fn weigh_type(terms: &Terms<'_>, variant: &mut Variant) {
    let (mut quality, mut definite) = (0.0, true);
    for item in terms.accepts.types.iter().flatten() {
        let before = variant.stars;
        if !match_type(item, variant) || variant.stars == before {
            continue;
        }
        // A browser that knows of no qualities means its stars as a last resort.
        let guess = !terms.strict && !terms.accepts.weighed;
        quality = match variant.stars {
            1 if guess => 0.01,
            2 if guess => 0.02,
            _ => item.quality,
        };
        definite = item.name == variant.media;
    }
    variant.media_quality = quality;
    variant.definite &= definite;
}

fn weigh_language(terms: &Terms<'_>, variant: &mut Variant, plain: f32) {
    let force = terms.priorities.force();
    if variant.languages.is_empty() {
        if !terms.strict {
            variant.language_quality = plain;
        }
        if terms.accepts.languages.is_none() {
            return;
        }
    } else {
        match &terms.accepts.languages {
            None => variant.definite = false,
            Some(accepted) => match_languages(terms.strict, accepted, variant),
        }
    }
    let wanted = (force.prefer && variant.priority.is_none()) || (force.fallback && variant.language_quality == 0.0);
    if !wanted {
        return;
    }
    let rank = variant.languages.iter().filter_map(|language| terms.priorities.rank(language)).min();
    let Some(rank) = rank else { return };
    if variant.language_quality != 0.0 {
        if force.prefer {
            variant.priority = Some(rank);
        }
    } else if force.fallback {
        variant.priority = Some(rank);
        variant.language_quality = 0.0001;
        variant.definite = false;
    }
}

fn match_languages(strict: bool, accepted: &[Item], variant: &mut Variant) {
    let star = accepted.iter().find(|item| item.name == b"*");
    let mut best: Option<&Item> = None;
    let mut fiddled = 0.0;
    let mut by_star = false;
    for language in &variant.languages {
        let mut longest: Option<&Item> = None;
        for item in accepted.iter().filter(|item| item.name != b"*") {
            let range = item.name.as_slice();
            let rest = language.strip_prefix(range);
            if rest.is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'-'))
                && range.len() > longest.map_or(0, |longest| longest.name.len())
            {
                longest = Some(item);
            }
            // Who asks for en-US is glad of en, a little.
            if longest.is_none()
                && !strict
                && let Some(dash) = memchr::memchr(b'-', range)
                && range.get(..dash).is_some_and(|start| language.starts_with(start))
            {
                fiddled = 0.001;
            }
        }
        if best.is_none_or(|best| longest.is_some_and(|longest| longest.quality > best.quality)) {
            best = longest;
        }
        by_star |= longest.is_none() && star.is_some();
    }
    if by_star
        && let Some(star) = star
        && best.is_none_or(|best| star.quality > best.quality)
    {
        best = Some(star);
        variant.definite = false;
    }
    variant.language_quality = best.map_or(fiddled, |best| best.quality);
}

const LATIN1: &[u8] = b"iso-8859-1";

fn weigh_charset(terms: &Terms<'_>, variant: &mut Variant) {
    let Some(accepted) = &terms.accepts.charsets else {
        variant.definite &= variant.charset.is_empty();
        return;
    };
    let charset = match variant.charset.as_slice() {
        b"" => {
            if terms.strict || !(variant.media.starts_with(b"text/") || is_html(&variant.media)) {
                return;
            }
            LATIN1
        }
        charset => charset,
    };
    let named = |name: &[u8]| accepted.iter().find(|item| item.name == name);
    variant.charset_quality = match (named(charset), accepted.iter().rfind(|item| item.name == b"*")) {
        (Some(item), _) => item.quality,
        (None, Some(star)) => {
            variant.definite = false;
            star.quality
        }
        (None, None) if charset == LATIN1 => 1.0,
        (None, None) => 0.0,
    };
}

/// Codings that change nothing.
fn is_identity(coding: &[u8]) -> bool {
    matches!(coding, b"" | b"7bit" | b"8bit" | b"binary")
}

fn bare(coding: &[u8]) -> &[u8] {
    coding.strip_prefix(b"x-").unwrap_or(coding)
}

fn weigh_encoding(terms: &Terms<'_>, variant: &mut Variant) {
    let coding = variant.encoding.as_deref().filter(|coding| !is_identity(coding));
    let Some(accepted) = &terms.accepts.encodings else {
        variant.encoding_quality = if coding.is_none() { 1.0 } else { 0.5 };
        return;
    };
    let name = bare(coding.unwrap_or(b"identity"));
    let named = accepted.iter().find(|item| bare(&item.name) == name);
    let item = named.or_else(|| accepted.iter().rfind(|item| item.name == b"*"));
    let unsaid = if coding.is_none() { 0.0001 } else { 0.0 };
    variant.encoding_quality = item.map_or(unsaid, |item| item.quality);
}

/// RFC 2296: the quality, if variant `at` is better than the best so far.
fn better_remote(variants: &[Variant], at: usize, best: Option<usize>, best_quality: f32) -> Option<f32> {
    let own = variants.get(at)?;
    if own.encoding_quality == 0.0 {
        return None;
    }
    let quality = own.media_quality * own.source * own.charset_quality * own.language_quality;
    if quality == 0.0 {
        return None;
    }
    let other = best.and_then(|best| variants.get(best));
    let finer = other.is_some_and(|other| own.encoding_quality > other.encoding_quality);
    (quality > best_quality || (quality.total_cmp(&best_quality).is_eq() && finer)).then_some(quality)
}

/// httpd's order: type, language, level, charset, coding, length.
fn better(
    terms: &Terms<'_>,
    variants: &mut [Variant],
    at: usize,
    best: Option<usize>,
    best_quality: f32,
) -> Option<f32> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let own = variants.get(at)?;
    let needed = [own.encoding_quality, own.language_quality, own.source, own.charset_quality, own.media_quality];
    if needed.contains(&0.0) {
        return None;
    }
    let quality = own.media_quality * own.source;
    let Some(other) = best.and_then(|best| variants.get(best)) else { return Some(quality) };
    let latin = |variant: &Variant| variant.charset.is_empty() || variant.charset == LATIN1;
    let by_charset = || match own.charset_quality.total_cmp(&other.charset_quality) {
        Equal if !latin(own) && latin(other) => Greater,
        order => order,
    };
    let order = quality
        .total_cmp(&best_quality)
        .then_with(|| own.language_quality.total_cmp(&other.language_quality))
        .then_with(|| {
            let rank = |variant: &Variant| variant.priority.unwrap_or(usize::MAX);
            rank(other).cmp(&rank(own))
        })
        .then_with(|| by_level(own, other))
        .then_with(by_charset)
        .then_with(|| own.encoding_quality.total_cmp(&other.encoding_quality));
    match order {
        Greater => Some(quality),
        Less => None,
        Equal => {
            let other = best?;
            let mut length = |at: usize| {
                let length = variants.get_mut(at).and_then(|variant| variant.length(terms.dir));
                length.and_then(|length| i64::try_from(length).ok()).unwrap_or(-1)
            };
            (length(at) < length(other)).then_some(quality)
        }
    }
}

/// Levels compare within one type only; all kinds of HTML are one.
fn by_level(own: &Variant, other: &Variant) -> std::cmp::Ordering {
    let comparable = if is_html(&own.media) { is_html(&other.media) } else { own.media == other.media };
    if !comparable {
        return std::cmp::Ordering::Equal;
    }
    own.level_matched.total_cmp(&other.level_matched).then_with(|| other.level.total_cmp(&own.level))
}

impl Priorities {
    fn force(&self) -> Force {
        self.force.unwrap_or_else(|| Force { prefer: true, ..Force::default() })
    }

    /// The place of a language in LanguagePriority.
    fn rank(&self, language: &[u8]) -> Option<usize> {
        self.languages.as_ref()?.iter().position(|known| known.eq_ignore_ascii_case(language))
    }
}
