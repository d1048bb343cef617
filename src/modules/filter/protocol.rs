//! `FilterProtocol`: what a filter does to the fields of a response, said in its place.

use std::sync::Arc;

use super::{FilterDir, Filters, Smart};
use crate::config::{Args, Cmd};
use crate::web::{Exchange, Live, ProxyKind};

/// What is said of a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// `change=1:1` and `change=yes`: other content.
    change: bool,
    /// `change=yes`: of another length.
    length: bool,
    /// `byteranges=no`.
    no_ranges: bool,
    /// `proxy=no`.
    no_proxy: bool,
    /// `proxy=transform`.
    transform: bool,
    /// `cache=no`.
    no_cache: bool,
}

impl Flags {
    fn parse(text: &[u8]) -> Self {
        let mut flags = Self::default();
        for word in text.split(|byte| b";, \t".contains(byte)) {
            match word.to_ascii_lowercase().as_slice() {
                b"change=yes" => (flags.change, flags.length) = (true, true),
                b"change=no" => (flags.change, flags.length) = (false, false),
                b"change=1:1" => flags.change = true,
                b"byteranges=no" => flags.no_ranges = true,
                b"proxy=no" => flags.no_proxy = true,
                b"proxy=transform" => flags.transform = true,
                b"cache=no" => flags.no_cache = true,
                _ => {}
            }
        }
        flags
    }
}

/// `FilterProtocol filter [provider] words`.
pub(super) fn set(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let live = &mut cmd.dir_conf::<FilterDir>().live;
    let found = live.iter_mut().find(|(name, _)| name == args.word(0));
    let Some((_, smart)) = found else { return Err("FilterProtocol: No such filter".to_owned()) };
    if args.words.len() < 3 {
        let flags = Flags::parse(args.word(1));
        smart.unranged = flags.no_ranges || flags.length;
        return Ok(());
    }
    let Some(provider) = provider_of(smart, args.word(1)) else {
        return Err("FilterProtocol: No such provider for this filter".to_owned());
    };
    let said = &mut cmd.globals.conf.get_mut::<Filters>().protocol;
    said.retain(|(known, _)| **known != *provider);
    said.push((provider, Flags::parse(args.word(2))));
    Ok(())
}

fn provider_of(smart: &Smart, name: &[u8]) -> Option<Arc<str>> {
    let mut known = smart.providers.iter().map(|provider| &provider.filter.name);
    known.find(|known| known.as_bytes().eq_ignore_ascii_case(name)).cloned()
}

/// What is said of a provider.
pub(super) fn of(live: &Live, provider: &str) -> Flags {
    let said = live.generation.globals.conf.get::<Filters>().map(|filters| filters.protocol.as_slice());
    let said = said.unwrap_or_default().iter().find(|(known, _)| **known == *provider);
    said.map_or_else(|| built_in(provider), |said| said.1)
}

/// What a module says of its own filter.
fn built_in(provider: &str) -> Flags {
    match provider {
        "proxy-html" | "xml2enc" => Flags { change: true, length: true, ..Flags::default() },
        _ => Flags::default(),
    }
}

/// The field that asks for ranges, kept from the handler.
#[derive(Default)]
struct Withheld(Option<Vec<u8>>);

/// Keeps the field that asks for ranges from the handler, if the filter is said to want that.
pub(super) fn withhold(ex: &mut Exchange, wanted: bool) {
    if wanted && let Some(range) = ex.headers_in.get(b"Range").map(<[u8]>::to_vec) {
        ex.headers_in.unset(b"Range");
        ex.ext.get_mut::<Withheld>().0 = Some(range);
    }
}

/// Makes the fields say what is said of a provider; whether it may be one.
pub(super) fn apply(ex: &mut Exchange, flags: Flags) -> bool {
    if ex.proxyreq != ProxyKind::None {
        if flags.no_proxy {
            return false;
        }
        if flags.transform {
            let asked = ex.headers_out.get(b"Cache-Control").unwrap_or_default().to_ascii_lowercase();
            if memchr::memmem::find(&asked, b"no-transform").is_some() {
                return false;
            }
            let text = [b"214 ", ex.hostname.as_slice(), b" Transformation applied"].concat();
            ex.headers_out.add(b"Warning", &text);
        }
    }
    if flags.change {
        ex.headers_out.unset(b"Content-MD5");
        ex.headers_out.unset(b"ETag");
        if flags.length {
            ex.headers_out.unset(b"Content-Length");
        }
    }
    if flags.no_cache {
        ex.headers_out.unset(b"Last-Modified");
        ex.headers_out.add(b"Cache-Control", b"no-cache");
    }
    if flags.no_ranges {
        ex.headers_out.set(b"Accept-Ranges", b"none");
    } else if let Some(range) = ex.ext.take::<Withheld>().and_then(|withheld| withheld.0) {
        ex.headers_in.set(b"Range", &range);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_and_the_last_counts() {
        let all = Flags::parse(b"change=yes;byteranges=no cache=no");
        assert_eq!(all, Flags { change: true, length: true, no_ranges: true, no_cache: true, ..Flags::default() });
        assert_eq!(Flags::parse(b"change=yes,change=no,nonsense"), Flags::default());
        assert!(Flags::parse(b"CHANGE=1:1").change && Flags::parse(b"proxy=no").no_proxy);
    }
}
