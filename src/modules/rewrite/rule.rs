//! RewriteCond and RewriteRule as read.

use std::sync::Arc;

use super::gate::Subject;
use super::text::{Part, compile, waits};
use crate::base::pattern::{Flags, Pattern};
use crate::config::{Cmd, latin1};
use crate::expr::Expr;
use crate::web::status;

/// Flags of a rule that are on or off.
pub(super) mod flag {
    /// `C`: when it does not match, its successors up to the first one without this are left out.
    pub(in super::super) const CHAIN: u32 = 1;
    /// `L`.
    pub(in super::super) const LAST: u32 = 1 << 1;
    /// `N`.
    pub(in super::super) const NEXT: u32 = 1 << 2;
    /// `R` with a redirect's status.
    pub(in super::super) const REDIRECT: u32 = 1 << 3;
    /// `P`.
    pub(in super::super) const PROXY: u32 = 1 << 4;
    /// `PT`.
    pub(in super::super) const PASS: u32 = 1 << 5;
    /// The pattern must not match.
    pub(in super::super) const NOT: u32 = 1 << 6;
    /// `NE`.
    pub(in super::super) const NO_ESCAPE: u32 = 1 << 7;
    /// `NS`.
    pub(in super::super) const NO_SUBREQUEST: u32 = 1 << 8;
    /// The substitution is `-`.
    pub(in super::super) const NO_CHANGE: u32 = 1 << 9;
    /// `F`, `G`, `R` with another status: the request ends with it.
    pub(in super::super) const STATUS: u32 = 1 << 10;
    /// `B`.
    pub(in super::super) const ESCAPE_GROUPS: u32 = 1 << 11;
    /// `BNP`.
    pub(in super::super) const NO_PLUS: u32 = 1 << 12;
    /// `BCTLS`.
    pub(in super::super) const ESCAPE_CONTROLS: u32 = 1 << 13;
    /// `DPI`.
    pub(in super::super) const DISCARD_PATH_INFO: u32 = 1 << 14;
    /// `QSA`.
    pub(in super::super) const QUERY_APPEND: u32 = 1 << 15;
    /// `QSD`.
    pub(in super::super) const QUERY_DISCARD: u32 = 1 << 16;
    /// `QSL`.
    pub(in super::super) const QUERY_LAST: u32 = 1 << 17;
    /// `END`.
    pub(in super::super) const END: u32 = 1 << 18;
    /// `UnsafeAllow3F`.
    pub(in super::super) const ALLOW_3F: u32 = 1 << 19;
    /// `UnsafePrefixStat`.
    pub(in super::super) const PREFIX_STAT: u32 = 1 << 20;
    /// `UNC`.
    pub(in super::super) const UNC: u32 = 1 << 21;
    /// `NC`, only while it is read.
    pub(in super::super) const NO_CASE: u32 = 1 << 22;
}

/// One RewriteRule with its conditions.
pub(super) struct Rule {
    /// Its pattern.
    pub pattern: Pattern,
    /// See [`flag`].
    pub flags: u32,
    /// The substitution.
    pub output: Vec<Part>,
    /// Status of `R`, `F`, `G`.
    pub code: u16,
    /// `S=`.
    pub skip: usize,
    /// `N=`.
    pub rounds: u32,
    /// `E=`.
    pub env: Vec<Vec<Part>>,
    /// `CO=`.
    pub cookies: Vec<Vec<Part>>,
    /// `T=`.
    pub mime: Option<Vec<Part>>,
    /// `H=`.
    pub handler: Option<Vec<Part>>,
    /// `B=`: only these are escaped.
    pub escaped: Option<Vec<u8>>,
    /// `BNE=`: these are not.
    pub spared: Option<Vec<u8>>,
    /// Its conditions.
    pub conds: Vec<Cond>,
}

impl Rule {
    /// Whether a flag is set.
    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether carrying it out may have to wait.
    pub(super) fn waits(&self, programs: &dyn Fn(&[u8]) -> bool) -> bool {
        let texts = self.env.iter().chain(&self.cookies).chain(&self.mime).chain(&self.handler);
        waits(&self.output, programs)
            || self.has(flag::NEXT)
            || texts.into_iter().any(|text| waits(text, programs))
            || self
                .conds
                .iter()
                .any(|cond| matches!(cond.kind, Kind::Url | Kind::FileAccess) || waits(&cond.test, programs))
    }
}

/// One RewriteCond.
#[derive(Clone)]
pub(super) struct Cond {
    /// What is tested.
    pub test: Vec<Part>,
    /// The same, if it is a text that many rules look at.
    pub subject: Option<Subject>,
    /// How.
    pub kind: Kind,
    /// The result is turned round.
    pub not: bool,
    /// `OR`.
    pub or: bool,
    /// `NV`.
    pub no_vary: bool,
    /// `NC`.
    pub no_case: bool,
}

/// A comparison of numbers or texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Compare {
    /// Whether the order found satisfies it.
    pub(super) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }
}

/// Kinds of tests.
#[derive(Clone)]
pub(super) enum Kind {
    Pattern(Arc<Pattern>),
    Expr(Arc<Expr>),
    /// `-d`.
    Directory,
    /// `-f`.
    File,
    /// `-s`.
    Size,
    /// `-l`, `-L`, `-h`.
    Link,
    /// `-x`.
    Executable,
    /// `-U`.
    Url,
    /// `-F`.
    FileAccess,
    /// `-eq` and its like, with the number.
    Number(Compare, Vec<Part>),
    /// `<`, `>=`, `=` …, with the text.
    Text(Compare, Vec<Part>),
}

/// Up to three words: blanks separate, quotes of either kind hold together, a backslash keeps a blank; nothing is
/// unescaped. The third is the rest of what was quoted, further words are ignored.
pub(super) fn words(line: &[u8]) -> (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>) {
    fn word(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
        let text = text.trim_ascii_start();
        let (quote, text) = match text {
            [] => return None,
            [quote @ (b'"' | b'\''), rest @ ..] => (Some(*quote), rest),
            _ => (None, text),
        };
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            if Some(*byte) == quote || (quote.is_none() && byte.is_ascii_whitespace()) {
                break;
            }
            let keeps = *byte == b'\\' && text.get(at + 1).is_some_and(u8::is_ascii_whitespace);
            at += if keeps { 2 } else { 1 };
        }
        let end = at.min(text.len());
        Some((text[..end].to_vec(), text.get(end + 1..).unwrap_or_default()))
    }
    let Some((first, rest)) = word(line) else { return (Vec::new(), None, None) };
    let Some((second, rest)) = word(rest) else {
        // Behind a closing quote there is a second word, even if it is empty.
        let line = line.trim_ascii_start();
        let quote = line.first().filter(|byte| matches!(byte, b'"' | b'\''));
        let closed = quote.is_some() && line.get(first.len() + 1) == quote;
        return (first, closed.then(Vec::new), None);
    };
    let third = word(rest).map(|(third, _)| third);
    (first, Some(second), third)
}

/// Calls `each` with key and value of every flag in `[…]`.
fn flags(
    directive: &str,
    field: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, String>,
) -> Result<(), String> {
    let inner = field.strip_prefix(b"[").and_then(|field| field.strip_suffix(b"]"));
    let inner = inner.ok_or_else(|| format!("{directive}: bad flag delimiters"))?;
    for item in inner.split(|byte| *byte == b',') {
        let item = item.trim_ascii();
        let (key, value) = match memchr::memchr(b'=', item) {
            Some(at) => (item[..at].trim_ascii_end(), &item[at + 1..]),
            None => (item, &b""[..]),
        };
        if !each(&key.to_ascii_lowercase(), value)? {
            return Err(format!("{directive}: unknown flag '{}'", latin1(key)));
        }
    }
    Ok(())
}

/// Reads a RewriteCond.
pub(super) fn cond(cmd: &mut Cmd<'_>, line: &[u8]) -> Result<Cond, String> {
    let (test, pattern, field) = words(line);
    let Some(pattern) = pattern else {
        return Err(format!("RewriteCond: bad argument line '{}'", latin1(line.trim_ascii())));
    };
    let (mut no_case, mut or, mut no_vary) = (false, false, false);
    if let Some(field) = field {
        flags("RewriteCond", &field, |key, _| {
            match key {
                b"nc" | b"nocase" => no_case = true,
                b"or" | b"ornext" => or = true,
                b"nv" | b"novary" => no_vary = true,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
    }
    let (not, text) = match pattern.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, pattern.as_slice()),
    };
    let kind = if test.eq_ignore_ascii_case(b"expr") {
        let parsed = cmd.condition(text);
        Kind::Expr(parsed.map_err(|why| format!("RewriteCond: cannot compile expression \"{}\" {why}", latin1(text)))?)
    } else {
        kind(text).map_or_else(
            || {
                cmd.pattern(text, no_case)
                    .map(|pattern| Kind::Pattern(Arc::new(pattern)))
                    .map_err(|_| format!("RewriteCond: cannot compile regular expression '{}'", latin1(text)))
            },
            Ok,
        )?
    };
    if no_case && !matches!(kind, Kind::Pattern(_) | Kind::Text(..)) {
        // What is compared with is shown without its operator.
        let shown = if matches!(kind, Kind::Number(..)) { text.get(3..).unwrap_or_default() } else { text };
        let text = format!(
            "AH00665: RewriteCond: NoCase option for non-regex pattern '{}' is not supported and will be ignored. ({}:{})",
            latin1(shown),
            cmd.at.file,
            cmd.at.line
        );
        cmd.warn("rewrite", "warn", text);
    }
    let test = if matches!(kind, Kind::Expr(_)) { Vec::new() } else { compile(&test) };
    let subject = Subject::of(&test);
    Ok(Cond { test, subject, kind, not, or, no_vary, no_case })
}

/// A test that is not a pattern.
fn kind(text: &[u8]) -> Option<Kind> {
    let number = |compare, value: &[u8]| Some(Kind::Number(compare, compile(value)));
    let compared = |compare, value: &[u8]| {
        let value = if compare == Compare::Eq && value == b"\"\"" { b"" } else { value };
        Some(Kind::Text(compare, compile(value)))
    };
    if text.len() < 2 {
        return None;
    }
    match text {
        b"-d" => Some(Kind::Directory),
        b"-f" => Some(Kind::File),
        b"-F" => Some(Kind::FileAccess),
        b"-s" => Some(Kind::Size),
        b"-l" | b"-L" | b"-h" => Some(Kind::Link),
        b"-x" => Some(Kind::Executable),
        b"-U" => Some(Kind::Url),
        [b'-', b'e', b'q', value @ ..] => number(Compare::Eq, value),
        [b'-', b'n', b'e', value @ ..] => number(Compare::Ne, value),
        [b'-', b'l', b't', value @ ..] => number(Compare::Lt, value),
        [b'-', b'l', b'e', value @ ..] => number(Compare::Le, value),
        [b'-', b'g', b't', value @ ..] => number(Compare::Gt, value),
        [b'-', b'g', b'e', value @ ..] => number(Compare::Ge, value),
        [b'>', b'=', value @ ..] => compared(Compare::Ge, value),
        [b'>', value @ ..] => compared(Compare::Gt, value),
        [b'<', b'=', value @ ..] => compared(Compare::Le, value),
        [b'<', value @ ..] => compared(Compare::Lt, value),
        [b'=', value @ ..] => compared(Compare::Eq, value),
        _ => None,
    }
}

/// Rounds of `N` without a number.
const ROUNDS: u32 = 32_000;

/// Reads a RewriteRule; `conds` are the conditions in front of it.
pub(super) fn rule(cmd: &mut Cmd<'_>, line: &[u8], conds: Vec<Cond>) -> Result<Rule, String> {
    let (pattern, output, field) = words(line);
    let Some(output) = output else {
        return Err(format!("RewriteRule: bad argument line '{}'", latin1(line.trim_ascii())));
    };
    let mut rule = Rule {
        pattern: Pattern::new(b"", Flags::default()).map_err(|_| String::new())?,
        flags: 0,
        output: Vec::new(),
        code: 302,
        skip: 0,
        rounds: ROUNDS,
        env: Vec::new(),
        cookies: Vec::new(),
        mime: None,
        handler: None,
        escaped: None,
        spared: None,
        conds,
    };
    if let Some(field) = field {
        flags("RewriteRule", &field, |key, value| set_flag(&mut rule, key, value))?;
    }
    let text = match pattern.strip_prefix(b"!") {
        Some(rest) => {
            rule.flags |= flag::NOT;
            rest
        }
        None => &pattern,
    };
    rule.pattern = cmd
        .pattern(text, rule.has(flag::NO_CASE))
        .map_err(|_| format!("RewriteRule: cannot compile regular expression '{}'", latin1(text)))?;
    if output == b"-" {
        rule.flags |= flag::NO_CHANGE;
    }
    rule.output = compile(&output);
    Ok(rule)
}

fn set_flag(rule: &mut Rule, key: &[u8], value: &[u8]) -> Result<bool, String> {
    let end_with = |rule: &mut Rule, code| {
        rule.flags |= flag::STATUS | flag::NO_CHANGE;
        rule.code = code;
    };
    let set = match key {
        b"b" => {
            if !value.is_empty() {
                rule.escaped = Some(value.to_vec());
            }
            flag::ESCAPE_GROUPS
        }
        b"bne" => {
            if value.is_empty() {
                return Err("RewriteRule: flag 'BNE' wants a list of characters (i.e. [BNE=...])".to_owned());
            }
            rule.spared = Some(value.to_vec());
            0
        }
        b"bnp" | b"backrefnoplus" => flag::NO_PLUS,
        b"bctls" => flag::ESCAPE_CONTROLS,
        b"c" | b"chain" => flag::CHAIN,
        b"co" | b"cookie" => {
            rule.cookies.push(compile(value));
            0
        }
        b"dpi" | b"discardpath" => flag::DISCARD_PATH_INFO,
        b"e" | b"env" => {
            rule.env.push(compile(value));
            0
        }
        b"end" => flag::END,
        b"f" | b"forbidden" => {
            end_with(rule, 403);
            0
        }
        b"g" | b"gone" => {
            end_with(rule, 410);
            0
        }
        b"h" | b"handler" => {
            rule.handler = Some(compile(value));
            0
        }
        b"l" | b"last" => flag::LAST,
        b"n" | b"next" => {
            let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if let Some(rounds) = std::str::from_utf8(&value[..digits]).ok().and_then(|text| text.parse().ok()) {
                rule.rounds = rounds;
            }
            flag::NEXT
        }
        b"nc" | b"nocase" => flag::NO_CASE,
        b"ne" | b"noescape" => flag::NO_ESCAPE,
        b"ns" | b"nosubreq" => flag::NO_SUBREQUEST,
        b"p" | b"proxy" => flag::PROXY,
        b"pt" | b"passthrough" => flag::PASS,
        b"qsa" | b"qsappend" => flag::QUERY_APPEND,
        b"qsd" | b"qsdiscard" => flag::QUERY_DISCARD,
        b"qsl" | b"qslast" => flag::QUERY_LAST,
        b"r" | b"redirect" => redirect(rule, value)?,
        b"s" | b"skip" => {
            let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rule.skip = std::str::from_utf8(&value[..digits]).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            0
        }
        b"t" | b"type" => {
            rule.mime = Some(compile(value));
            0
        }
        b"unc" => flag::UNC,
        b"unsafeallow3f" => flag::ALLOW_3F,
        b"unsafeprefixstat" => flag::PREFIX_STAT,
        _ => return Ok(false),
    };
    rule.flags |= set;
    Ok(true)
}

fn redirect(rule: &mut Rule, value: &[u8]) -> Result<u32, String> {
    let code = match value {
        b"" => 302,
        value if value.eq_ignore_ascii_case(b"permanent") => 301,
        value if value.eq_ignore_ascii_case(b"temp") => 302,
        value if value.eq_ignore_ascii_case(b"seeother") => 303,
        value if value[0].is_ascii_digit() => {
            let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let code = std::str::from_utf8(&value[..digits]).ok().and_then(|text| text.parse::<u16>().ok());
            let known = code.filter(|code| status::known(*code).is_some());
            known.ok_or_else(|| format!("RewriteRule: invalid HTTP response code '{}' for flag 'R'", latin1(value)))?
        }
        _ => 302,
    };
    rule.code = code;
    Ok(if (300..400).contains(&code) { flag::REDIRECT } else { flag::STATUS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_without_unescaping() {
        let split = |line: &str| {
            let (a, b, c) = words(line.as_bytes());
            let text = |word: Vec<u8>| String::from_utf8(word).unwrap();
            (text(a), b.map(text), c.map(text))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(split(r"^/a /b [R=301, L]"), ("^/a".into(), some("/b"), some("[R=301,")));
        assert_eq!(split(r#""^/a b" '/c d' "[R, L]" x"#), ("^/a b".into(), some("/c d"), some("[R, L]")));
        assert_eq!(split(r"^/a\ b /c"), (r"^/a\ b".into(), some("/c"), None));
        assert_eq!(split("^/a"), ("^/a".into(), None, None));
        assert_eq!(split("'/a'"), ("/a".into(), some(""), None));
        assert_eq!(split("'/a"), ("/a".into(), None, None));
        assert_eq!(split(""), (String::new(), None, None));
    }
}
