//! Rules put to the start of a file.

use super::rule::{Kind, Rule, TEXT_MAX, Value, Width};
use crate::base::clock::push_strftime;

/// What stands at a rule's place; a number lies in its first bytes, lowest first.
type Found = [u8; TEXT_MAX];

/// What the first rule that holds says, with those below it; `told` is for the log.
pub(super) fn find(rules: &[Rule], start: &[u8], told: &mut Vec<&'static str>) -> Option<Vec<u8>> {
    let mut at = 0;
    while let Some(rule) = rules.get(at) {
        at += 1;
        let below = rules.get(at..).unwrap_or_default();
        let below = below.get(..below.iter().position(|rule| rule.level == 0).unwrap_or(below.len()));
        let below = below.unwrap_or_default();
        at += below.len();
        if let Some(found) = found(rule, start, told) {
            let mut out = Vec::new();
            say(rule, &found, &mut out);
            more(below, start, !rule.says.is_empty(), told, &mut out);
            return Some(out);
        }
    }
    None
}

/// The rules below one that holds.
fn more(rules: &[Rule], start: &[u8], mut apart: bool, told: &mut Vec<&'static str>, out: &mut Vec<u8>) {
    let mut level = 1;
    for rule in rules.iter() {
        if rule.level > level {
            continue;
        }
        level = rule.level;
        let Some(found) = found(rule, start, told) else { continue };
        if apart && !rule.joined && !rule.says.is_empty() {
            out.push(b' ');
        }
        apart |= !rule.says.is_empty();
        say(rule, &found, out);
        level += 1;
    }
}

/// What stands where the rule looks, if the rule holds.
fn found(rule: &Rule, start: &[u8], told: &mut Vec<&'static str>) -> Option<Found> {
    let found = get(rule, start)?;
    if rule.kind == Kind::None {
        told.push("AH01538: mod_mime_magic: invalid type 0 in mconvert().");
        return None;
    }
    // httpd takes a lone `x` for one that always holds, whether a text or its number.
    let always = match &rule.value {
        Value::Text(text) => text == b"x",
        Value::Number(number) => number & 0xffff == i64::from(b'x'),
    };
    if always {
        told.push("AH01539: mod_mime_magic: BOINK");
    }
    (always || holds(rule, &found)).then_some(found)
}

/// What stands where the rule looks; as in httpd only where as much follows as the longest text.
fn get(rule: &Rule, start: &[u8]) -> Option<Found> {
    let at = |offset: i64| {
        let from = usize::try_from(offset).ok()?;
        let mut found: Found = start.get(from..from.checked_add(TEXT_MAX)?)?.try_into().ok()?;
        convert(rule.kind, &mut found);
        Some(found)
    };
    let found = at(rule.offset)?;
    match rule.indirect {
        None => Some(found),
        Some((width, plus)) => at(unsigned(width, &found).wrapping_add(plus)),
    }
}

fn unsigned(width: Width, found: &Found) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *found;
    match width {
        Width::Byte => i64::from(a),
        Width::Short => i64::from(u16::from_le_bytes([a, b])),
        Width::Long => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
    }
}

/// Brings a number into the order of its bytes here; ends a text at its line's end.
fn convert(kind: Kind, found: &mut Found) {
    let [a, b, c, d, ..] = *found;
    let number = match kind {
        Kind::Text => {
            if let Some(last) = found.last_mut() {
                *last = 0;
            }
            let end = found.iter().position(|byte| *byte == 0).unwrap_or(TEXT_MAX);
            if let Some(line) = found.get_mut(..end).and_then(|text| text.iter_mut().find(|byte| **byte == b'\n')) {
                *line = 0;
            }
            return;
        }
        Kind::BigShort => {
            found.get_mut(..2).into_iter().for_each(|short| short.copy_from_slice(&[b, a]));
            return;
        }
        Kind::BigLong | Kind::BigDate => i64::from(i32::from_be_bytes([a, b, c, d])),
        Kind::LittleLong | Kind::LittleDate => i64::from(i32::from_le_bytes([a, b, c, d])),
        Kind::None | Kind::Byte | Kind::Short | Kind::LittleShort | Kind::Long | Kind::Date => return,
    };
    found.get_mut(..8).into_iter().for_each(|long| long.copy_from_slice(&number.to_le_bytes()));
}

fn number(rule: &Rule, found: &Found) -> i64 {
    let width = match rule.kind {
        Kind::Byte => Width::Byte,
        Kind::Short | Kind::BigShort | Kind::LittleShort => Width::Short,
        _ => Width::Long,
    };
    rule.extend(unsigned(width, found)) & rule.mask
}

fn holds(rule: &Rule, found: &Found) -> bool {
    let (value, wanted) = match &rule.value {
        Value::Number(wanted) => (number(rule, found), *wanted),
        Value::Text(text) => {
            let differ = text.iter().zip(found).map(|(a, b)| i64::from(*b) - i64::from(*a)).find(|by| *by != 0);
            (differ.unwrap_or(0), 0)
        }
    };
    match rule.relation {
        b'x' => true,
        b'!' => value != wanted,
        b'>' if rule.unsigned => value as u64 > wanted as u64,
        b'<' if rule.unsigned => (value as u64) < wanted as u64,
        b'>' => value > wanted,
        b'<' => value < wanted,
        b'&' => value & wanted == wanted,
        b'^' => value & wanted != wanted,
        _ => value == wanted,
    }
}

/// Appends what a rule says of what was found.
fn say(rule: &Rule, found: &Found, out: &mut Vec<u8>) {
    let mut rest = rule.says.as_slice();
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        let format = rest.get(at + 1..).unwrap_or_default();
        let end = format.iter().position(|byte| !b"lh".contains(byte)).unwrap_or(format.len());
        rest = format.get(end + 1..).unwrap_or_default();
        let long = end > 0;
        let number = number(rule, found);
        // Without a letter for it the upper half is lost.
        let narrow = if long { number } else { i64::from(number as i32) };
        let bare = if long { number as u64 } else { u64::from(number as u32) };
        match (format.get(end), rule.kind) {
            (Some(b'%'), _) => out.push(b'%'),
            (Some(b's'), Kind::Text) => {
                let text = match &rule.value {
                    Value::Text(text) if rule.relation == b'=' => text.as_slice(),
                    _ => found,
                };
                out.extend(text.iter().take_while(|byte| **byte != 0));
            }
            (Some(b's'), Kind::Date | Kind::BigDate | Kind::LittleDate) => {
                push_strftime(out, b"%a %b %d %H:%M:%S %Y", number);
            }
            (Some(b'd' | b'i'), kind) if kind != Kind::Text => out.extend_from_slice(narrow.to_string().as_bytes()),
            (Some(b'u'), kind) if kind != Kind::Text => out.extend_from_slice(bare.to_string().as_bytes()),
            (Some(b'x'), kind) if kind != Kind::Text => out.extend_from_slice(format!("{bare:x}").as_bytes()),
            (Some(b'X'), kind) if kind != Kind::Text => out.extend_from_slice(format!("{bare:X}").as_bytes()),
            (Some(b'o'), kind) if kind != Kind::Text => out.extend_from_slice(format!("{bare:o}").as_bytes()),
            (Some(b'c'), kind) if kind != Kind::Text => out.push(number as u8),
            // What no type has.
            _ => {}
        }
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::super::rule::parse;
    use super::*;

    fn found(rules: &str, start: &[u8]) -> Option<String> {
        let mut start = start.to_vec();
        start.resize(200, 0);
        find(&parse(rules.as_bytes()).0, &start, &mut Vec::new()).map(|found| String::from_utf8(found).unwrap())
    }

    #[test]
    fn the_first_rule_that_holds_speaks() {
        let rules = "0 string ab a/one\n>2 byte 1 \\b-1\n>>3 byte 2 x-enc\n>2 byte 2 x-two\n0 string a a/two\n";
        assert_eq!(found(rules, b"ab\x01\x02").as_deref(), Some("a/one-1 x-enc"));
        assert_eq!(found(rules, b"ab\x02\x02").as_deref(), Some("a/one x-two"));
        assert_eq!(found(rules, b"ac").as_deref(), Some("a/two"));
        assert_eq!(found(rules, b"b"), None);
    }

    #[test]
    fn numbers_are_as_wide_as_their_sign_makes_them() {
        assert_eq!(found("0 belong 0x01020304 a/b", b"\x01\x02\x03\x04").as_deref(), Some("a/b"));
        assert_eq!(found("0 belong 0xcafebabe a/b", b"\xca\xfe\xba\xbe"), None);
        assert_eq!(found("0 belong&0xffffffff 0xcafebabe a/b", b"\xca\xfe\xba\xbe").as_deref(), Some("a/b"));
        assert_eq!(found("0 beshort 0xfffe a/%d", b"\xff\xfe").as_deref(), Some("a/-2"));
        assert_eq!(found("0 string a a/%s%%", b"a").as_deref(), Some("a/a%"));
    }
}
