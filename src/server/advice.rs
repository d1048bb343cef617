//! What may have been meant by a word that is not known.

use super::host::Modules;
use crate::modules::{self, authz_core, core, proxy};
use crate::pipe::Module;

/// A kind of words of which httpd only says that this one is none of them.
struct Vocabulary {
    /// How httpd's message says so.
    said: &'static str,
    /// Where the wrong word stands.
    place: Place,
    /// Each word, and the identifier of the module that must be loaded for it.
    words: fn() -> Vec<(&'static str, &'static str)>,
}

/// Where a wrong word stands.
#[derive(Clone, Copy)]
enum Place {
    /// Behind the message's own words.
    Message,
    /// A `key=value` of the line: the key.
    Key,
    /// The value of this key.
    Value(&'static str),
}

const VOCABULARIES: &[Vocabulary] = &[
    Vocabulary { said: "unknown Worker parameter", place: Place::Key, words: proxy::worker_parameters },
    Vocabulary { said: "unknown Worker hcheck parameter", place: Place::Key, words: proxy::worker_parameters },
    Vocabulary { said: "unknown Balancer parameter", place: Place::Key, words: proxy::balancer_parameters },
    Vocabulary { said: "unknown lbmethod", place: Place::Value("lbmethod"), words: proxy::balancer_methods },
    Vocabulary { said: "Unknown Authz provider: ", place: Place::Message, words: authz_core::providers::names },
    Vocabulary { said: "Illegal option ", place: Place::Message, words: core::option_names },
    Vocabulary { said: "Illegal override option ", place: Place::Message, words: core::override_names },
];

/// A word that is wrong.
pub(super) struct Unknown {
    /// As it stands in the line.
    pub word: Vec<u8>,
    /// What to do.
    pub advice: Option<String>,
}

/// The wrong word of a line whose arguments these are, if the message is one about unknown words.
pub(super) fn of_message(message: &str, arguments: &[&[u8]], modules: &Modules) -> Option<Unknown> {
    let (vocabulary, at) = VOCABULARIES.iter().find_map(|kind| Some((kind, message.find(kind.said)?)))?;
    let words = (vocabulary.words)();
    let known = |word: &[u8]| words.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(word));
    let pairs = || arguments.iter().filter_map(|argument| split(argument));
    let loaded = |module: &str| module.is_empty() || modules.ids.contains(&module);
    let is_there = |word: &[u8]| known(word).is_some_and(|(_, module)| loaded(module));
    let word = match vocabulary.place {
        Place::Message => message.get(at + vocabulary.said.len()..)?.chars().map(|c| c as u8).collect(),
        Place::Key => pairs().map(|(key, _)| key).find(|key| !is_there(key))?.to_vec(),
        Place::Value(of) => pairs().find(|(key, _)| key.eq_ignore_ascii_case(of.as_bytes()))?.1.to_vec(),
    };
    let advice = match known(&word) {
        Some((_, module)) => modules::ALL.iter().find(|known| known.row.id == *module).map(absent),
        None => nearest(&word, words.iter().map(|(name, _)| *name)).map(did_you_mean),
    };
    Some(Unknown { word, advice })
}

fn split(argument: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', argument)?;
    Some((argument.get(..at)?, argument.get(at + 1..)?))
}

/// For a directive that no loaded module has.
pub(super) fn of_directive(name: &[u8], modules: &Modules) -> Option<String> {
    let has = |module: &Module| module.row.directives.iter().any(|row| row.name.as_bytes().eq_ignore_ascii_case(name));
    let elsewhere = modules::ALL.iter().find(|module| has(module)).map(absent);
    elsewhere.or_else(|| foreign(name)).or_else(|| nearest(name, modules.rows.names()).map(did_you_mean))
}

/// Modules that are not httpd's own: how their directives begin, their name, and what does the same here.
const FOREIGN: &[(&str, &str, &str)] = &[
    ("Jk", "mod_jk", "a ProxyPass to ajp:// leads to the same Tomcat"),
    ("FastCgi", "mod_fastcgi", "a ProxyPass to fcgi:// leads to the same program"),
    ("Fcgid", "mod_fcgid", "a ProxyPass to fcgi:// leads to a program that runs by itself"),
    ("RPAF", "mod_rpaf", "mod_remoteip does the same"),
    ("CAS", "mod_auth_cas", ""),
    ("Mellon", "mod_auth_mellon", ""),
    ("ModPagespeed", "mod_pagespeed", ""),
    ("NTLM", "mod_auth_ntlm_winbind", ""),
    ("OIDC", "mod_auth_openidc", ""),
    ("Passenger", "Passenger", ""),
    ("Perl", "mod_perl", ""),
    ("php_", "mod_php", "a ProxyPassMatch or SetHandler to fcgi:// leads to php-fpm"),
    ("Rails", "Passenger", ""),
    ("Sec", "mod_security", ""),
    ("Shib", "mod_shib", ""),
    ("SVN", "mod_dav_svn", ""),
    ("WSGI", "mod_wsgi", "a ProxyPass to uwsgi:// or http:// leads to a program that runs by itself"),
    ("XSendFile", "mod_xsendfile", ""),
];

/// For a directive of a module that others make.
fn foreign(name: &[u8]) -> Option<String> {
    let begins = |start: &str| name.get(..start.len()).is_some_and(|part| part.eq_ignore_ascii_case(start.as_bytes()));
    let (_, module, instead) = FOREIGN.iter().find(|(start, ..)| begins(start))?;
    let instead = if instead.is_empty() { String::new() } else { format!("; {instead}") };
    Some(format!("it seems to belong to {module}, which is not one of httpd's own and cannot be loaded here{instead}"))
}

fn absent(module: &&'static Module) -> String {
    let short = module.row.file.trim_end_matches(".c");
    format!("it belongs to {short}, which is not loaded: LoadModule {} modules/{short}.so", module.row.id)
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// The known name that is least far from a wrong one, if it is near at all.
fn nearest(name: &[u8], known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    if name.len() < 3 || name.len() > 64 {
        return None;
    }
    let most = 1 + name.len() / 5;
    let far = |known: &'static str| distance(&name, &known.as_bytes().to_ascii_lowercase());
    known.map(|known| (far(known), known)).filter(|(far, _)| *far <= most).min().map(|(_, known)| known)
}

/// Edits that lead from one name to the other.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance(b"servername", b"servernam"), 1);
        assert_eq!(distance(b"abc", b"abc"), 0);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"", b"ab"), 2);
    }

    #[test]
    fn modules_of_others_are_named() {
        let modules = Modules::new();
        let said = of_directive(b"JkLogLevel", &modules).unwrap();
        assert!(said.contains("mod_jk") && said.ends_with("a ProxyPass to ajp:// leads to the same Tomcat"), "{said}");
        assert!(of_directive(b"shibrequiresession", &modules).unwrap().contains("mod_shib"));
        assert_eq!(of_directive(b"ServerNam", &modules).unwrap(), "did you mean `ServerName`?");
    }

    #[test]
    fn a_misspelled_parameter_is_found() {
        let modules = Modules::new();
        let arguments: [&[u8]; 3] = [b"http://a.test", b"retry=3", b"loadfacter=1"];
        let found = of_message("BalancerMember unknown Worker parameter", &arguments, &modules).unwrap();
        assert_eq!(found.word, b"loadfacter");
        assert_eq!(found.advice.as_deref(), Some("did you mean `loadfactor`?"));
    }

    #[test]
    fn a_method_of_a_module_that_is_not_loaded_names_it() {
        let found = of_message("unknown lbmethod", &[b"lbmethod=bytraffic"], &Modules::new()).unwrap();
        assert_eq!(found.word, b"bytraffic");
        assert!(found.advice.unwrap().contains("LoadModule lbmethod_bytraffic_module"));
        let far = of_message("unknown lbmethod", &[b"lbmethod=whatever"], &Modules::new()).unwrap();
        assert_eq!(far.advice, None);
    }
}
