//! mod_macro: texts with parameters, put in place of `Use`.

use std::sync::Arc;

use super::expand::{Notice, Reader, Stop, latin1};
use super::lines::{Line, Lines};
use super::words::{get_word, get_words};
use crate::base::diag::Origin;

/// Texts lying on top of one another while macros use macros.
const MAX_NESTED: usize = 256;

/// One definition.
#[derive(Clone, Debug)]
pub(super) struct Macro {
    /// `defined on line 4 of "a.conf"`.
    location: String,
    parameters: Vec<Vec<u8>>,
    /// Logical lines, variables not replaced.
    body: Vec<Vec<u8>>,
}

impl Reader<'_> {
    fn warn(&mut self, text: String) {
        self.notices.push(Notice { module: "macro", level: "warn", text });
    }

    pub(super) fn define_macro(&mut self, args: &[u8], line: &Line, lines: &mut Lines) -> Result<(), Stop> {
        let Some(end) = memchr::memrchr(b'>', args) else {
            return Err("<Macro> directive missing closing '>'".into());
        };
        let (inside, behind) = (args.get(..end).unwrap_or_default(), args.get(end + 1..).unwrap_or_default());
        if inside.is_empty() {
            return Err("<Macro macro definition: empty name".into());
        }
        if !super::parse::trim(behind).is_empty() {
            self.warn(format!(
                "AH02989: AH02801: non blank chars found after <Macro closing '>' on line {} of {}: {}",
                line.number,
                line.file,
                latin1(behind)
            ));
        }
        let (mut name, rest) = get_word(inside);
        if name.is_empty() {
            return Err("<Macro macro definition: name not found".into());
        }
        name.make_ascii_lowercase();
        let location = format!("defined on line {} of \"{}\"", line.number, line.file);
        if let Some(old) = self.macros.get(&name) {
            let text = format!("AH02802: macro '{}' multiply defined: {}, re{location}", latin1(&name), old.location,);
            self.warn(text);
        }
        let place = format!("macro '{}' ({location})", latin1(&name));
        if name.first().is_some_and(|first| b"$%@".contains(first)) {
            self.warn(format!("AH02803: {place} better prefix a macro name with any of '$%@'"));
        }
        let parameters = get_words(rest);
        self.check_parameters(&place, &parameters)?;
        let Some(body) = self.body(&place, line, lines)? else {
            return Err(format!("{place}\n\tcontents error: expected token not found: </Macro>").into());
        };
        let defined = Macro { location, parameters, body };
        self.check_body(&place, &defined);
        self.macros.insert(name, defined);
        Ok(())
    }

    fn check_parameters(&mut self, place: &str, parameters: &[Vec<u8>]) -> Result<(), String> {
        for (at, name) in parameters.iter().enumerate() {
            let (number, shown) = (at + 1, latin1(name));
            let Some(first) = name.first() else { return Err(format!("{place}: empty argument #{number} name")) };
            if name.starts_with(b"${") {
                self.warn(format!(
                    "AH02805: {place} argument name '{shown}' (#{number}) clashes with 'Define' syntax '${{...}}', \
                     better use '$(...)'."
                ));
            }
            if !b"$%@".contains(first) {
                self.warn(format!(
                    "AH02796: {place} argument name '{shown}' (#{number}) without expected prefix, better prefix \
                     argument names with one of '$%@'."
                ));
            }
            for (behind, other) in parameters.iter().enumerate().skip(at + 1) {
                let other_number = behind + 1;
                if name == other {
                    return Err(format!(
                        "argument name conflict in {place}: argument '{shown}': #{number} and #{other_number}, change \
                         argument names!"
                    ));
                }
                if !other.is_empty() && (name.starts_with(other) || other.starts_with(name)) {
                    self.warn(format!(
                        "AH02797: {place}: argument name prefix conflict ({shown} #{number} and {} #{other_number}), be \
                         careful about your macro definition!",
                        latin1(other)
                    ));
                }
            }
        }
        Ok(())
    }

    /// The lines up to the `</Macro>` of this definition.
    fn body(&mut self, place: &str, line: &Line, lines: &mut Lines) -> Result<Option<Vec<Vec<u8>>>, Stop> {
        let mut body = Vec::new();
        let (mut macros, mut sections) = (1, 1i64);
        loop {
            let inner = match lines.any_line() {
                Ok(Some(inner)) => inner,
                Ok(None) => return Ok(None),
                Err(long) => return Err(self.too_long(&long).into()),
            };
            let (word, _) = get_word(&inner.text);
            if word.starts_with(b"</") {
                sections -= 1;
                if sections < 0 && !self.ignore_nesting {
                    let number = i64::from(inner.number) - i64::from(line.number);
                    self.warn(format!("AH02793: bad (negative) nesting on line {number} of {place}"));
                }
            } else if word.starts_with(b"<") {
                sections += 1;
            }
            if word.eq_ignore_ascii_case(b"</Macro>") {
                macros -= 1;
                if macros == 0 {
                    let behind = memchr::memrchr(b'>', &inner.text).and_then(|at| inner.text.get(at + 1..));
                    let behind = behind.unwrap_or_default();
                    if !super::parse::trim(behind).is_empty() {
                        self.warn(format!(
                            "AH02794: non blank chars found after </Macro> closing '>' on line {} of {}: {}",
                            inner.number,
                            inner.file,
                            latin1(behind)
                        ));
                    }
                    if sections != 0 && !self.ignore_nesting {
                        self.warn(format!("AH02795: bad cumulated nesting ({sections:+}) in {place}"));
                    }
                    return Ok(Some(body));
                }
            } else if word.eq_ignore_ascii_case(b"<Macro") {
                macros += 1;
            }
            body.push(inner.text);
        }
    }

    fn check_body(&mut self, place: &str, defined: &Macro) {
        if defined.body.is_empty() {
            self.warn(format!("AH02799: {place}: empty contents!"));
            return;
        }
        let mut used = vec![false; defined.parameters.len()];
        let values = vec![Vec::new(); defined.parameters.len()];
        for line in &defined.body {
            substitute(line, &defined.parameters, &values, &mut used);
        }
        for (at, (name, used)) in defined.parameters.iter().zip(used).enumerate() {
            if !used {
                self.warn(format!("AH02800: {place}: argument '{}' (#{}) never used", latin1(name), at + 1));
            }
        }
    }

    pub(super) fn use_macro(&mut self, args: &[u8], line: &Line, lines: &mut Lines) -> Result<(), Stop> {
        let (mut name, rest) = get_word(args);
        name.make_ascii_lowercase();
        let shown = latin1(&name);
        if self.macros.is_empty() {
            return Err("no macro defined before Use".into());
        }
        if name.is_empty() {
            return Err("no macro name specified with Use".into());
        }
        let Some(used) = self.macros.get(&name) else { return Err(format!("macro '{shown}' undefined").into()) };
        let values = get_words(rest);
        let place = format!("macro '{shown}' ({})", used.location);
        if lines.name().contains(&place) || lines.depth() > MAX_NESTED {
            return Err(format!("recursive use of macro '{shown}' is invalid").into());
        }
        if values.len() != used.parameters.len() {
            return Err(
                format!("{place} used with {} arguments instead of {}", values.len(), used.parameters.len()).into()
            );
        }
        let name = format!("{place} used on line {} of \"{}\"", line.number, line.file);
        let mut text = Vec::new();
        for body in &used.body {
            text.extend_from_slice(&substitute(body, &used.parameters, &values, &mut []));
            text.push(b'\n');
        }
        if !self.ignore_empty {
            for (at, _) in values.iter().enumerate().filter(|(_, value)| value.is_empty()) {
                self.warn(format!("AH02798: {name}: empty argument #{}", at + 1));
            }
        }
        let (name, text): (Arc<str>, Arc<[u8]>) = (name.into(), text.into());
        let id = self.sources.add(name.clone(), text.clone(), Some(Origin::Macro(line.span)));
        lines.insert(name, id, text);
        Ok(())
    }

    pub(super) fn undef_macro(&mut self, name: &[u8]) -> Result<(), String> {
        if self.macros.is_empty() {
            return Err("no macro defined before UndefMacro".to_owned());
        }
        let lower = name.to_ascii_lowercase();
        match self.macros.get_mut(&lower) {
            Some(_) => {
                // httpd keeps its table once it exists, so the next `Use` says that this one is undefined.
                self.macros.remove(&lower);
                self.macros.entry(Vec::new()).or_insert_with(|| Macro {
                    location: String::new(),
                    parameters: Vec::new(),
                    body: Vec::new(),
                });
                Ok(())
            }
            None => Err(format!("cannot remove undefined macro '{}'", latin1(name))),
        }
    }
}

/// The line with parameters replaced: the earliest first, of several at one place the longest; what was put in is not
/// looked at again. The value of a parameter whose name starts with `@` is put in quotes.
fn substitute(line: &[u8], names: &[Vec<u8>], values: &[Vec<u8>], used: &mut [bool]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((byte, behind)) = rest.split_first() {
        let found = names
            .iter()
            .enumerate()
            .filter(|(_, name)| !name.is_empty() && rest.starts_with(name))
            .max_by_key(|(_, name)| name.len());
        let Some((at, name)) = found else {
            out.push(*byte);
            rest = behind;
            continue;
        };
        if let Some(used) = used.get_mut(at) {
            *used = true;
        }
        let value = values.get(at).map_or(&b""[..], Vec::as_slice);
        if name.first() == Some(&b'@') {
            out.push(b'"');
            for byte in value {
                if *byte == b'"' {
                    out.push(b'\\');
                }
                out.push(*byte);
            }
            out.push(b'"');
        } else {
            out.extend_from_slice(value);
        }
        rest = rest.get(name.len()..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_replaced_once_and_longest_first() {
        let names = [b"$a".to_vec(), b"$ab".to_vec(), b"@q".to_vec()];
        let values = [b"$ab".to_vec(), b"2".to_vec(), b"x\"y".to_vec()];
        let mut used = [false; 3];
        assert_eq!(substitute(b"$a-$ab-@q", &names, &values, &mut used), b"$ab-2-\"x\\\"y\"");
        assert_eq!(used, [true; 3]);
        assert_eq!(substitute(b"none", &names, &values, &mut []), b"none");
    }
}
