//! `mod_setenvif.c`: variables of the request's environment by what the request looks like.

use std::cell::Cell;
use std::sync::Arc;

use crate::base::pattern::{Captures, Pairs, Pattern, has_reference, substitute, substitute_with};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Place, Places, SectionKind, Shape, get_word, latin1, row};
use crate::expr::{Expr, Scratch};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run};
use crate::web::{Exchange, Line};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "setenvif_module",
        file: "mod_setenvif.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Rules of a server, outer ones first.
#[derive(Clone, Default)]
pub struct ServerRules(Vec<Arc<Rule>>);

/// Rules of a directory, outer ones first.
#[derive(Clone, Default)]
pub struct DirRules(Vec<Arc<Rule>>);

impl Conf for ServerRules {
    const SLOT: usize = slot::SETENVIF;

    fn merge(base: &Self, add: &Self) -> Self {
        Self(base.0.iter().chain(&add.0).cloned().collect())
    }
}

impl Conf for DirRules {
    const SLOT: usize = slot::SETENVIF + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self(base.0.iter().chain(&add.0).cloned().collect())
    }
}

/// One directive.
#[derive(Debug)]
struct Rule {
    /// The attribute as written; empty for an expression.
    name: Vec<u8>,
    subject: Subject,
    test: Test,
    changes: Vec<Change>,
}

/// What a rule looks at.
#[derive(Debug)]
enum Subject {
    RemoteAddr,
    RemoteHost,
    ServerAddr,
    RequestUri,
    RequestMethod,
    RequestProtocol,
    /// A request header of this name, or else a variable.
    Named,
    /// The last request header whose name matches.
    Matching(Pattern),
    /// Everything.
    Expression,
}

#[derive(Debug)]
enum Test {
    /// No special characters in the pattern: the text is contained; and no `$1` in values is replaced then.
    Contains {
        text: Vec<u8>,
        icase: bool,
    },
    Matches(Pattern),
    Holds(Arc<Expr>),
}

#[derive(Debug)]
enum Change {
    Unset(Vec<u8>),
    Set {
        /// Name and value.
        line: Line,
        /// There are `$1` or backslashes in the value.
        live: bool,
    },
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("SetEnvIf", Places::FILEINFO, Shape::Raw, set_env_if, "A header-name, regex and a list of variables."),
    row("SetEnvIfNoCase", Places::FILEINFO, Shape::Raw, set_env_if, "a header-name, regex and a list of variables."),
    row("SetEnvIfExpr", Places::FILEINFO, Shape::Raw, set_env_if_expr, "an expression and a list of variables."),
    row("BrowserMatch", Places::FILEINFO, Shape::Raw, browser_match, "A browser regex and a list of variables."),
    row("BrowserMatchNoCase", Places::FILEINFO, Shape::Raw, browser_match, "A browser regex and a list of variables."),
];

/// Its parts in the phases: the server's rules once the request is read, those of directories once they are known.
const HOOKS: &[Hook] = &[
    Hook {
        phase: Phase::PostRead,
        order: 0,
        wants: |server, _| server.get::<ServerRules>().is_some(),
        run: Run::Now(|ex| {
            let live = ex.live.clone();
            let server = live.generation.servers.get(ex.server);
            apply(ex, server.and_then(|server| server.get::<ServerRules>()).map_or(&[], |rules| &rules.0))
        }),
    },
    Hook {
        phase: Phase::HeaderParser,
        order: 0,
        wants: |_, dir| dir.get::<DirRules>().is_some(),
        run: Run::Now(|ex| {
            let chain = ex.chain.clone();
            apply(ex, chain.dir.get::<DirRules>().map_or(&[], |rules| &rules.0))
        }),
    },
];

/// `SetEnvIf`, `SetEnvIfNoCase`.
fn set_env_if(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (name, rest) = get_word(args.raw);
    if name.is_empty() {
        return Err(format!("Missing header-field name for {}", cmd.directive.name));
    }
    add_rule(cmd, name, rest)
}

/// `BrowserMatch`, `BrowserMatchNoCase`.
fn browser_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    add_rule(cmd, b"User-Agent".to_vec(), args.raw)
}

/// `SetEnvIfExpr`.
fn set_env_if_expr(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (text, rest) = get_word(args.raw);
    if text.is_empty() {
        return Err("Missing expression for SetEnvIfExpr".to_owned());
    }
    let condition =
        cmd.condition(&text).map_err(|error| format!("Could not parse expression \"{}\": {error}", latin1(&text)))?;
    let changes = changes(cmd, rest)?;
    push(cmd, Rule { name: Vec::new(), subject: Subject::Expression, test: Test::Holds(condition), changes });
    Ok(())
}

fn add_rule(cmd: &mut Cmd<'_>, name: Vec<u8>, args: &[u8]) -> Result<(), String> {
    let directive = cmd.directive.name;
    let icase = directive.ends_with("NoCase");
    let (regex, rest) = get_word(args);
    if regex.is_empty() {
        return Err(format!("Missing regular expression for {directive}"));
    }
    let test = match plain(&regex) {
        Some(text) => Test::Contains { text, icase },
        None => {
            Test::Matches(cmd.pattern(&regex, icase).map_err(|_| format!("{directive} regex could not be compiled."))?)
        }
    };
    let subject =
        subject(cmd, &name, icase).map_err(|()| format!("{directive}Header name regex could not be compiled."))?;
    let changes = changes(cmd, rest)?;
    push(cmd, Rule { name, subject, test, changes });
    Ok(())
}

fn push(cmd: &mut Cmd<'_>, rule: Rule) {
    use SectionKind::{Block, Limit, VirtualHost};
    let inside = cmd.place == Place::Htaccess
        || cmd.enclosing.iter().any(|around| !matches!(around.kind, VirtualHost | Limit | Block));
    if inside {
        cmd.dir_conf::<DirRules>().0.push(Arc::new(rule));
    } else {
        cmd.server_conf::<ServerRules>().0.push(Arc::new(rule));
    }
}

fn subject(cmd: &Cmd<'_>, name: &[u8], icase: bool) -> Result<Subject, ()> {
    Ok(match name.to_ascii_lowercase().as_slice() {
        b"remote_addr" => Subject::RemoteAddr,
        b"remote_host" => Subject::RemoteHost,
        b"server_addr" => Subject::ServerAddr,
        b"request_uri" => Subject::RequestUri,
        b"request_method" => Subject::RequestMethod,
        b"request_protocol" => Subject::RequestProtocol,
        plain if plain.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) => Subject::Named,
        _ => Subject::Matching(cmd.pattern(name, icase).map_err(|_| ())?),
    })
}

/// The text of a pattern that says nothing but a text.
fn plain(regex: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(regex.len());
    let mut escaped = false;
    for &byte in regex {
        let special = b"^.$|()[]*+?{}".contains(&byte);
        match (byte, escaped) {
            (b'\\', false) => escaped = true,
            (b'\\', true) => {
                out.push(byte);
                escaped = false;
            }
            _ if special != escaped => return None,
            _ => {
                out.push(byte);
                escaped = false;
            }
        }
    }
    Some(out)
}

/// The words behind the condition: `NAME`, `NAME=VALUE`, `!NAME`.
fn changes(cmd: &Cmd<'_>, mut args: &[u8]) -> Result<Vec<Change>, String> {
    let mut out = Vec::new();
    while !args.is_empty() {
        let (word, rest) = get_word(args);
        args = rest;
        if word.is_empty() {
            // A quoted nothing ends the list.
            break;
        }
        let at = memchr::memchr(b'=', &word).unwrap_or(word.len());
        let (name, value) = word.split_at(at);
        let value = value.iter().position(|byte| *byte != b'=').map_or(&b""[..], |at| &value[at..]);
        out.push(match (name, value) {
            ([b'!', name @ ..], b"") => Change::Unset(name.to_vec()),
            (name, b"") => Change::Set { line: Line::new(name, b"1"), live: false },
            // Taken for the mark that httpd itself keeps of `!NAME`.
            (name, [b'!', ..]) => Change::Unset(name.to_vec()),
            (name, value) => {
                let live = has_reference(value) || value.contains(&b'\\');
                Change::Set { line: Line::new(name, value), live }
            }
        });
    }
    if out.is_empty() {
        return Err(format!("Missing envariable expression for {}", cmd.directive.name));
    }
    Ok(out)
}

/// Memory of a thread for all its matching.
#[derive(Default)]
struct Memory {
    /// The subject, as it was when the first of a row of rules with the same name asked for it.
    value: Vec<u8>,
    /// So many of the row have asked for it.
    asked: usize,
    /// Its pairs, once many have.
    pairs: Pairs,
    captures: Captures,
    scratch: Scratch,
    text: Vec<u8>,
}

/// From so many patterns on it is worth it to know what a text has.
const MANY: usize = 4;

impl Memory {
    /// Whether a pattern may match, by what it needs: most of many patterns for one text do not.
    fn may_match(&mut self, pattern: &Pattern) -> bool {
        self.asked += 1;
        if self.asked == MANY {
            self.pairs.note(&self.value);
        }
        self.asked < MANY || pattern.needed().may_match(&self.pairs)
    }
}

thread_local! {
    static MEMORY: Cell<Option<Box<Memory>>> = const { Cell::new(None) };
}

/// Applies rules in order; each sees what those before it set.
fn apply(ex: &mut Exchange, rules: &[Arc<Rule>]) -> Outcome {
    let mut memory = MEMORY.take().unwrap_or_default();
    let mut last: &[u8] = b"";
    for rule in rules {
        if !rule.name.is_empty() && !rule.name.eq_ignore_ascii_case(last) {
            last = &rule.name;
            memory.value.clear();
            memory.asked = 0;
            rule.push_subject(ex, &mut memory.value);
        }
        if rule.matches(ex, &mut memory) {
            for change in &rule.changes {
                change.make(ex, rule, &mut memory);
            }
        }
    }
    pipe::vary(ex, &mut memory.scratch);
    MEMORY.set(Some(memory));
    Outcome::Ok
}

impl Rule {
    fn push_subject(&self, ex: &Exchange, out: &mut Vec<u8>) {
        let value: &[u8] = match &self.subject {
            Subject::RemoteAddr => &ex.client_ip,
            Subject::RemoteHost => match ex.client_name() {
                Some(name) => return out.extend_from_slice(&name),
                None => &ex.client_ip,
            },
            Subject::ServerAddr => &ex.conn.local_ip,
            Subject::RequestUri => &ex.uri,
            Subject::RequestMethod => &ex.method,
            Subject::RequestProtocol => &ex.protocol,
            Subject::Named => ex.headers_in.get(&self.name).or_else(|| ex.env.get(&self.name)).unwrap_or_default(),
            Subject::Matching(names) => {
                let found = ex.headers_in.iter().filter(|(name, _)| names.is_match(name)).last();
                found.map(|(_, value)| value).unwrap_or_default()
            }
            Subject::Expression => b"",
        };
        out.extend_from_slice(value);
    }

    fn matches(&self, ex: &Exchange, memory: &mut Memory) -> bool {
        match &self.test {
            Test::Contains { text, icase: false } => memchr::memmem::find(&memory.value, text).is_some(),
            Test::Contains { text, icase: true } => {
                text.is_empty() || memory.value.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text))
            }
            Test::Matches(pattern) => {
                memory.may_match(pattern) && pattern.captures(&memory.value, &mut memory.captures)
            }
            // An expression that cannot be evaluated does not hold.
            Test::Holds(condition) => condition.eval(ex, &mut memory.scratch).unwrap_or(false),
        }
    }
}

impl Change {
    fn make(&self, ex: &mut Exchange, rule: &Rule, memory: &mut Memory) {
        match self {
            Self::Unset(name) => {
                ex.env.unset(name);
            }
            Self::Set { line, live } => {
                let Memory { value, captures, scratch, text, .. } = memory;
                text.clear();
                match &rule.test {
                    Test::Matches(_) if *live => {
                        substitute(line.value(), value, captures, text);
                        ex.env.set(line.name(), text);
                    }
                    Test::Holds(_) if *live => {
                        let group = |group, out: &mut Vec<u8>| out.extend_from_slice(scratch.group(group));
                        substitute_with(line.value(), group, text);
                        ex.env.set(line.name(), text);
                    }
                    _ => ex.env.set_line(line),
                }
                logs::error!(ex, Level::Trace2, "setenvif", "Setting {}", Bytes(line.name()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Globals, Position, Server, Slots};
    use crate::web::testing;

    fn with_cmd<T>(name: &str, server: &mut Server, use_cmd: impl FnOnce(&mut Cmd<'_>) -> T) -> T {
        let directive = DIRECTIVES.iter().find(|row| row.name == name).unwrap();
        use_cmd(&mut Cmd {
            directive,
            place: Place::Main,
            enclosing: &[],
            section_path: None,
            limited: None,
            behind_if: false,
            options: u8::MAX,
            at: &Position::default(),
            server,
            dir: &mut Slots::default(),
            globals: &mut Globals::default(),
            warnings: &mut Vec::new(),
            ends: false,
            refused: false,
            refused_words: None,
            open: None,
        })
    }

    fn set(server: &mut Server, name: &str, args: &str) -> Result<(), String> {
        with_cmd(name, server, |cmd| (cmd.directive.apply)(cmd, &Args { words: &[], raw: args.as_bytes() }))
    }

    #[test]
    fn errors_are_httpds() {
        let error = |name: &str, args: &str| set(&mut Server::default(), name, args).expect_err(args);
        assert_eq!(error("SetEnvIf", ""), "Missing header-field name for SetEnvIf");
        assert_eq!(error("SetEnvIfNoCase", "X \"\""), "Missing regular expression for SetEnvIfNoCase");
        assert_eq!(error("BrowserMatch", "( x"), "BrowserMatch regex could not be compiled.");
        assert_eq!(error("SetEnvIf", "[ a b"), "SetEnvIfHeader name regex could not be compiled.");
        assert_eq!(error("SetEnvIf", "X ^a"), "Missing envariable expression for SetEnvIf");
        assert_eq!(error("SetEnvIf", "X a \"\""), "Missing envariable expression for SetEnvIf");
        assert_eq!(error("SetEnvIfExpr", ""), "Missing expression for SetEnvIfExpr");
        assert!(error("SetEnvIfExpr", "\"bogus(\" x").starts_with("Could not parse expression \"bogus(\": "));
        assert_eq!(set(&mut Server::default(), "SetEnvIf", "X a b \"\""), Ok(()));
    }

    /// As httpd answered a request for `/` with `X-Foo: foo` and `X-Bar: bar`.
    #[test]
    fn rules_see_what_httpd_lets_them_see() {
        let mut server = Server::default();
        for (name, args) in [
            ("SetEnvIf", "Request_URI . A=setenvif C"),
            ("SetEnvIf", r"X-Foo foo F1=a$$b\$1& F2=$0 F3=&"),
            ("SetEnvIf", r"X-Foo (f)oo F4=a$$b\$1& F5=$1$0\\x&$ F6= F7"),
            ("SetEnvIf", "^X-.* (.*) G=$1"),
            ("SetEnvIf", r#"X-Foo f.o "H=a b" 'I=c d' !F7 C=!"#),
            ("SetEnvIfNoCase", r"x-FOO FO\. J"),
            ("SetEnvIfNoCase", r"x-FOO FO J2"),
            ("SetEnvIf", "F4 . K"),
            ("SetEnvIf", "None ^$ L=empty"),
            ("SetEnvIf", "F4 ^a !F4"),
            ("SetEnvIf", "F4 ^a M"),
            ("SetEnvIfExpr", "\"req('X-Foo') =~ /(f)(.)/\" N=$2$1"),
        ] {
            set(&mut server, name, args).expect(args);
        }
        let mut ex = testing::exchange(&testing::live(vec![server], &[]), "GET / HTTP/1.1\nHost: x");
        ex.uri = b"/".to_vec();
        ex.headers_in.add(b"X-Foo", b"foo");
        ex.headers_in.add(b"X-Bar", b"bar");
        let hook = HOOKS.iter().find(|hook| hook.phase == Phase::PostRead).unwrap();
        let Run::Now(run) = hook.run else { panic!("does not wait") };
        assert_eq!(run(&mut ex), Outcome::Ok);
        let all: Vec<String> = ex
            .env
            .iter()
            .map(|(name, value)| format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(
            all.join("|"),
            r"A=setenvif|F1=a$$b\$1&|F2=$0|F3=&|F5=ffoox&$|F6=1|G=bar|H=a b|I=c d|J2=1|K=1|L=empty|M=1|N=of"
        );
    }
}
