//! What a browser remembers and computes while it logs in: fields of scenarios that depend on earlier answers.
//!
//! `@DIGEST user password [name=value…]@` is an Authorization field for the last challenge, `@COOKIE@` the last cookie.

use md5::{Digest as _, Md5};

/// The last challenge and cookie.
#[derive(Default)]
pub struct Login {
    nonce: String,
    realm: String,
    opaque: Option<String>,
    cookie: String,
}

impl Login {
    /// Fills in a field of a request with this request line.
    pub fn fill(&self, field: &str, line: &str) -> String {
        let field = field.replace("@COOKIE@", &self.cookie);
        let Some((front, rest)) = field.split_once("@DIGEST ") else { return field };
        let (words, back) = rest.split_once('@').unwrap();
        format!("{front}{}{back}", self.digest(words, line))
    }

    /// Remembers what an answer's head says, and hides what differs from run to run.
    pub fn learn(&mut self, head: &str) -> String {
        let mut out = String::new();
        for line in head.split_inclusive("\r\n") {
            let mut line = line.to_owned();
            if line.starts_with("WWW-Authenticate: Digest") {
                self.nonce = quoted(&line, " nonce=").unwrap_or_default();
                self.realm = quoted(&line, " realm=").unwrap_or_default();
                self.opaque = quoted(&line, " opaque=");
            }
            for name in [" nonce=", " nextnonce=", " rspauth=", " opaque="] {
                if let Some(text) = quoted(&line, name) {
                    let shown = if name == " rspauth=" { "@".to_owned() } else { format!("@{}@", text.len()) };
                    line = line.replace(&format!("{name}\"{text}\""), &format!("{name}\"{shown}\""));
                }
            }
            if let Some(cookie) = line.strip_prefix("Set-Cookie: ").and_then(|text| text.split([';', '\r']).next()) {
                self.cookie = cookie.to_owned();
            }
            if line.starts_with("Set-Cookie") || line.starts_with("X-Session") {
                line = hide_cookie(&line);
            }
            out += &line;
        }
        out
    }

    fn digest(&self, words: &str, line: &str) -> String {
        let mut words = words.split(' ');
        let (user, password) = (words.next().unwrap(), words.next().unwrap());
        let changes: Vec<(&str, &str)> = words.map(|word| word.split_once('=').unwrap()).collect();
        let change = |name: &str| changes.iter().find(|(changed, _)| *changed == name).map(|(_, value)| *value);
        let value = |name: &str, usual: &str| change(name).unwrap_or(usual).replace("%20", " ");
        let mut parts = line.split(' ');
        let (method, target) = (parts.next().unwrap(), parts.next().unwrap());
        let (realm, nonce) = (value("realm", &self.realm), value("nonce", &self.nonce));
        let (uri, nc, qop) = (value("uri", target), value("nc", "00000001"), value("qop", "auth"));
        let secret = md5(&format!("{user}:{realm}:{password}"));
        let asked = md5(&format!("{method}:{uri}"));
        let response = md5(&format!("{secret}:{nonce}:{nc}:abc:{qop}:{asked}"));
        let opaque = change("opaque").or(self.opaque.as_deref());
        let all = [
            ("username", Some(user)),
            ("realm", Some(&*realm)),
            ("nonce", Some(&*nonce)),
            ("uri", Some(&*uri)),
            ("response", Some(&*response)),
            ("algorithm", change("algorithm")),
            ("opaque", opaque),
            ("qop", Some(&*qop)),
            ("nc", Some(&*nc)),
            ("cnonce", Some("abc")),
        ];
        let fields = all.iter().filter_map(|(name, value)| {
            let value = value.filter(|_| change("without") != Some(name))?;
            Some(if ["qop", "nc", "algorithm"].contains(name) {
                format!("{name}={value}")
            } else {
                format!("{name}=\"{value}\"")
            })
        });
        format!("Digest {}", fields.collect::<Vec<_>>().join(", "))
    }
}

/// Hides nonces and their hashes in a line of the error log.
pub fn hide(text: &str) -> String {
    let hash = |word: &str| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let nonce = |word: &str| word.split_once('=').is_some_and(|(time, rest)| time.len() == 11 && hash(rest));
    let shown = |word| if hash(word) || nonce(word) { "@" } else { word };
    hide_cookie(&text.split(' ').map(shown).collect::<Vec<_>>().join(" "))
}

/// Hides what is random or counts from now in a cookie.
fn hide_cookie(text: &str) -> String {
    let letter = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(letter) {
        let end = rest[at..].find(|c| !letter(c)).map_or(rest.len(), |end| at + end);
        let word = &rest[at..end];
        out += &rest[..at];
        out += &match word.split_once('=') {
            Some((name, value)) if value.len() >= 60 => format!("{name}=@{}@", value.len()),
            _ => match word.split_once("expiry=") {
                Some((front, value)) => format!("{front}expiry=@{}@", value.len()),
                None => word.to_owned(),
            },
        };
        rest = &rest[end..];
    }
    out + rest
}

fn quoted(line: &str, name: &str) -> Option<String> {
    let rest = line.split_once(name)?.1.strip_prefix('"')?;
    Some(rest.split_once('"')?.0.to_owned())
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
