//! Cipher lists in OpenSSL's words, as suites of rustls.

use rustls::SupportedCipherSuite;
use rustls::crypto::aws_lc_rs::cipher_suite as have;

/// A suite of TLS 1.2 with what OpenSSL's words select it by.
struct Known {
    name: &'static str,
    suite: SupportedCipherSuite,
    /// Besides the words of all of them.
    words: &'static [&'static str],
    bits: u16,
}

const fn known(name: &'static str, suite: SupportedCipherSuite, words: &'static [&'static str], bits: u16) -> Known {
    Known { name, suite, words, bits }
}

/// In OpenSSL's default order.
#[rustfmt::skip]
static SUITES: [Known; 6] = [
    known("ECDHE-ECDSA-AES256-GCM-SHA384", have::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, &["aECDSA", "ECDSA", "AES", "AES256", "AESGCM", "FIPS", "SUITEB128", "SUITEB192"], 256),
    known("ECDHE-RSA-AES256-GCM-SHA384", have::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, &["aRSA", "AES", "AES256", "AESGCM", "FIPS"], 256),
    known("ECDHE-ECDSA-CHACHA20-POLY1305", have::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, &["aECDSA", "ECDSA", "CHACHA20"], 256),
    known("ECDHE-RSA-CHACHA20-POLY1305", have::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, &["aRSA", "CHACHA20"], 256),
    known("ECDHE-ECDSA-AES128-GCM-SHA256", have::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, &["aECDSA", "ECDSA", "AES", "AES128", "AESGCM", "FIPS", "SUITEB128", "SUITEB128ONLY"], 128),
    known("ECDHE-RSA-AES128-GCM-SHA256", have::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, &["aRSA", "AES", "AES128", "AESGCM", "FIPS"], 128),
];

/// Words that select every suite there is here.
const EVERY: &[&str] = &["ALL", "DEFAULT", "HIGH", "ECDHE", "kECDHE", "EECDH", "kEECDH", "ECDH", "AEAD", "TLSv1.2"];

/// Words that select suites of which none is here.
#[rustfmt::skip]
const NOTHING: &[&str] = &[
    "COMPLEMENTOFALL", "COMPLEMENTOFDEFAULT", "MEDIUM", "LOW", "EXP", "EXPORT", "EXPORT40", "EXPORT56", "NULL", "eNULL",
    "aNULL", "kRSA", "RSA", "DH", "kDH", "kDHE", "DHE", "kEDH", "EDH", "ADH", "AECDH", "aDSS", "DSS", "DSA", "kDHr",
    "kDHd", "kECDHr", "kECDHe", "aECDH", "aDH", "AESCCM", "AESCCM8", "CAMELLIA", "CAMELLIA128", "CAMELLIA256", "ARIA",
    "ARIA128", "ARIA256", "ARIAGCM", "CBC", "DES", "3DES", "RC2", "RC4", "SEED", "IDEA", "MD5", "SHA", "SHA1",
    "SHA256", "SHA384", "GOST", "aGOST", "aGOST01", "kGOST", "GOST94", "GOST89MAC", "PSK", "kPSK", "aPSK", "kECDHEPSK",
    "kDHEPSK", "kRSAPSK", "SRP", "kSRP", "aSRP", "KRB5", "kKRB5", "aKRB5", "FZA", "TLSv1", "TLSv1.0", "TLSv1.1",
    "SSLv2", "SSLv3", "AES128-CBC", "AES256-CBC",
];

static SUITES13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", have::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", have::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", have::TLS13_AES_128_GCM_SHA256),
];

/// A list's suites, in its order.
#[derive(Debug, Default, PartialEq)]
pub struct Chosen {
    /// What is left; empty: the list names nothing that there is.
    pub suites: Vec<SupportedCipherSuite>,
    /// Names that it asks for and that are not here.
    pub unknown: Vec<String>,
}

/// The suites of TLS 1.2 that an OpenSSL list selects.
pub fn parse(list: &str) -> Chosen {
    let mut active: Vec<usize> = Vec::new();
    let mut killed = [false; SUITES.len()];
    let mut unknown = Vec::new();
    for term in list.split([':', ',', ' ', ';']).filter(|term| !term.is_empty()) {
        if let Some(command) = term.strip_prefix('@') {
            if command == "STRENGTH" {
                active.sort_by_key(|at| std::cmp::Reverse(SUITES.get(*at).map_or(0, |known| known.bits)));
            }
            continue;
        }
        let (operator, words) = match term.split_at_checked(1) {
            Some((sign @ ("!" | "-" | "+"), words)) => (sign, words),
            _ => ("", term),
        };
        let selected: Vec<usize> = (0..SUITES.len()).filter(|at| selects(words, *at)).collect();
        match operator {
            "!" => {
                for at in selected {
                    active.retain(|other| *other != at);
                    if let Some(killed) = killed.get_mut(at) {
                        *killed = true;
                    }
                }
            }
            "-" => active.retain(|at| !selected.contains(at)),
            "+" => {
                let (moved, mut rest): (Vec<_>, Vec<_>) = active.iter().copied().partition(|at| selected.contains(at));
                rest.extend(moved);
                active = rest;
            }
            _ => {
                if selected.is_empty() && !words.split('+').all(is_word) && !is_13(words) {
                    unknown.push(words.to_owned());
                }
                for at in selected {
                    if !active.contains(&at) && killed.get(at) == Some(&false) {
                        active.push(at);
                    }
                }
            }
        }
    }
    let suites = active.into_iter().filter_map(|at| SUITES.get(at)).map(|known| known.suite).collect();
    Chosen { suites, unknown }
}

/// Whether a word, or several joined by `+`, select a suite.
fn selects(words: &str, at: usize) -> bool {
    let Some(known) = SUITES.get(at) else { return false };
    words.split('+').all(|word| word == known.name || EVERY.contains(&word) || known.words.contains(&word))
}

fn is_word(word: &str) -> bool {
    EVERY.contains(&word) || NOTHING.contains(&word) || SUITES.iter().any(|known| known.words.contains(&word))
}

/// Suites of TLS 1.3 in a list for TLS 1.2 are idle there, in OpenSSL as well.
fn is_13(word: &str) -> bool {
    word.starts_with("TLS_")
}

/// The suites of TLS 1.3 of a list; `Err` is a word that OpenSSL does not know either.
pub fn parse13(list: &str) -> Result<Chosen, String> {
    let mut chosen = Chosen::default();
    for name in list.split(':').filter(|name| !name.is_empty()) {
        match SUITES13.iter().find(|(known, _)| *known == name) {
            Some((_, suite)) if !chosen.suites.contains(suite) => chosen.suites.push(*suite),
            Some(_) => {}
            None if ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"].contains(&name) => {
                chosen.unknown.push(name.to_owned());
            }
            None => return Err(name.to_owned()),
        }
    }
    Ok(chosen)
}

/// All suites of TLS 1.3, in OpenSSL's order.
pub fn all13() -> Vec<SupportedCipherSuite> {
    SUITES13.iter().map(|(_, suite)| *suite).collect()
}

/// OpenSSL's name of a suite and its bits.
pub fn name_of(suite: SupportedCipherSuite) -> (&'static str, u16) {
    let in12 = SUITES.iter().find(|known| known.suite == suite).map(|known| (known.name, known.bits));
    let in13 = || SUITES13.iter().find(|(_, known)| *known == suite).map(|(name, _)| *name);
    in12.or_else(|| in13().map(|name| (name, if name.contains("128_GCM") { 128 } else { 256 }))).unwrap_or(("", 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        parse(list).suites.into_iter().map(|suite| name_of(suite).0).collect()
    }

    #[test]
    fn lists_are_programs() {
        assert_eq!(names("DEFAULT").len(), 6);
        assert_eq!(names("HIGH:!aNULL:!MD5:!3DES"), names("ALL"));
        assert_eq!(names("ECDHE+AESGCM:!ECDSA"), ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]);
        assert_eq!(
            names("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:@STRENGTH"),
            ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]
        );
        assert_eq!(
            names("ALL:-ALL:AES128+aRSA:CHACHA20+aRSA:+AES128"),
            ["ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256"]
        );
        assert_eq!(names("!aRSA:ALL:!AES:aRSA"), ["ECDHE-ECDSA-CHACHA20-POLY1305"]);
        assert_eq!(names("RC4-SHA"), [""; 0]);
    }

    #[test]
    fn what_is_not_here_is_named() {
        let chosen = parse("ECDHE-RSA-AES128-SHA256:DHE-RSA-AES128-GCM-SHA256:!RC4-MD5:HIGH:TLS_AES_128_GCM_SHA256");
        assert_eq!(chosen.unknown, ["ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"]);
        assert_eq!(chosen.suites.len(), 6);
        let chosen = parse13("TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256").unwrap();
        assert_eq!((chosen.suites.len(), chosen.unknown.len()), (1, 1));
        assert_eq!(parse13("TLS_NOPE"), Err("TLS_NOPE".to_owned()));
    }
}
