//! `<IfModule>`, `<IfDefine>`, `<IfVersion>`, `<IfFile>`, `<IfDirective>`, `<IfSection>`.

use super::expand::{Reader, latin1};
use super::parse;
use super::words::{get_word, merge_path};
use crate::base::pattern::{Flags, Pattern};

impl Reader<'_> {
    /// Whether the condition `name` holds; `None` if it is no condition.
    pub(super) fn condition(&mut self, name: &str, args: &[u8]) -> Result<Option<bool>, String> {
        let lower = name.to_ascii_lowercase();
        let is_version = lower == "<ifversion";
        if !is_version && !["<ifmodule", "<ifdefine", "<iffile", "<ifdirective", "<ifsection"].contains(&&*lower) {
            return Ok(None);
        }
        let Some(end) = memchr::memrchr(b'>', args) else {
            return Err(format!("{name}> directive missing closing '>'"));
        };
        let text = args.get(..end).unwrap_or_default();
        if is_version {
            return self.if_version(args).map(Some);
        }
        let (rest, not) = parse::negation(text).unwrap_or((text, false));
        let (word, _) = get_word(rest);
        if word.is_empty() {
            return Err(format!("{name}> directive requires additional arguments"));
        }
        let holds = match lower.as_str() {
            "<ifmodule" => self.host.has_module(&word),
            "<ifdefine" => self.is_defined(&word),
            "<iffile" => self.host.kind(&merge_path(&self.server_root, &word)).is_some(),
            "<ifdirective" => self.host.directive(&word).is_some(),
            _ => {
                let section = [b"<", word.as_slice()].concat();
                self.host.directive(&section).is_some()
            }
        };
        Ok(Some(holds != not))
    }

    /// `<IfVersion [[!]operator] version>`: operator and version are words of their own.
    fn if_version(&self, args: &[u8]) -> Result<bool, String> {
        let calls = self.host.arguments(b"<IfVersion", args)?;
        let mut words = calls.into_iter().next().unwrap_or_default();
        // The `>` ends the last word, or is a word of its own.
        let closed = words.last_mut().is_some_and(|last| last.pop_if(|byte| *byte == b'>').is_some());
        words.retain(|word| !word.is_empty());
        if !closed || words.len() > 2 {
            return Err("<IfVersion> directive missing closing '>'".to_owned());
        }
        let (operator, version) = match words.as_slice() {
            [version] => (&b"="[..], version.as_slice()),
            [operator, version] => (operator.as_slice(), version.as_slice()),
            _ => (&b"="[..], &b""[..]),
        };
        let (name, not) = match operator.strip_prefix(b"!") {
            Some(name) => (name, true),
            None => (operator, false),
        };
        let holds = match name {
            b"=" | b"==" if version.first() == Some(&b'/') => {
                let inner = version.get(1..).and_then(|inner| inner.strip_suffix(b"/"));
                match inner {
                    Some(pattern) => self.version_matches(pattern)?,
                    None => return Err("Missing delimiting / of regular expression.".to_owned()),
                }
            }
            b"~" => self.version_matches(version)?,
            b"=" | b"==" | b"<" | b">" | b"<=" | b">=" => {
                let ours = self.host.version();
                let Ok((b"", theirs)) = parse::version(version) else { return Err(INVALID.to_owned()) };
                match name {
                    b"<" => ours < theirs,
                    b">" => ours > theirs,
                    b"<=" => ours <= theirs,
                    b">=" => ours >= theirs,
                    _ => ours == theirs,
                }
            }
            _ => return Err(format!("unrecognized operator '{}'", latin1(operator))),
        };
        Ok(holds != not)
    }

    fn version_matches(&self, pattern: &[u8]) -> Result<bool, String> {
        let pattern =
            Pattern::new(pattern, Flags::default()).map_err(|_| "Unable to compile regular expression".to_owned())?;
        let [major, minor, patch] = self.host.version();
        Ok(pattern.is_match(format!("{major}.{minor}.{patch}").as_bytes()))
    }
}

const INVALID: &str = "Version appears to be invalid. It must have the format major[.minor[.patch]] where major, minor \
                       and patch are numbers.";
