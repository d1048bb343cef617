//! `mod_expires.c`: how long responses may be kept.

use std::os::unix::fs::MetadataExt as _;

use crate::base::clock::push_http_date;
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, get_word, latin1, row};
use crate::modules::core::server::atoi;
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "expires_module",
        file: "mod_expires.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// How long, counted from when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// Seconds after the request.
    Access(i64),
    /// Seconds after the file was modified.
    Modified(i64),
}

/// Values per directory.
#[derive(Clone, Default)]
struct ExpiresDir {
    active: Option<bool>,
    default: Option<Code>,
    /// By type in lower case, `text/*` too.
    types: Vec<(Vec<u8>, Code)>,
}

impl Conf for ExpiresDir {
    const SLOT: usize = slot::EXPIRES + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self {
            active: add.active.or(base.active),
            default: add.default.or(base.default),
            types: add.types.iter().chain(&base.types).cloned().collect(),
        }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ExpiresActive", Places::INDEXES, Shape::Flag, active, "Limited to 'on' or 'off'"),
    row("ExpiresByType", Places::INDEXES, Shape::Take2, by_type, "a MIME type followed by an expiry date code"),
    row("ExpiresDefault", Places::INDEXES, Shape::Take1, default, "an expiry date code"),
];

/// The hooks. In front of mod_headers, which may take the fields away again.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Head, order: -5, wants, run: Run::Now(set) }];

fn wants(_: &Server, dir: &Slots) -> bool {
    dir.get::<ExpiresDir>()
        .is_some_and(|dir| dir.active == Some(true) && (dir.default.is_some() || !dir.types.is_empty()))
}

type Done = Result<(), String>;

fn active(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<ExpiresDir>().active = Some(args.on());
    Ok(())
}

fn by_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if !args.word(0).contains(&b'/') {
        return Err("Invalid mimetype: should contain a slash".to_owned());
    }
    let code =
        parse(args.word(1)).map_err(|why| format!("'ExpiresByType {} {}': {why}", args.text(0), args.text(1)))?;
    let name = args.word(0).to_ascii_lowercase();
    let types = &mut cmd.dir_conf::<ExpiresDir>().types;
    types.retain(|(old, _)| *old != name);
    types.push((name, code));
    Ok(())
}

fn default(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let code = parse(args.word(0)).map_err(|why| format!("'ExpiresDefault {}': {why}", args.text(0)))?;
    cmd.dir_conf::<ExpiresDir>().default = Some(code);
    Ok(())
}

/// Units by their first letters.
const UNITS: &[(&[u8], i64)] = &[
    (b"y", 60 * 60 * 24 * 365),
    (b"mo", 60 * 60 * 24 * 30),
    (b"w", 60 * 60 * 24 * 7),
    (b"d", 60 * 60 * 24),
    (b"h", 60 * 60),
    (b"mi", 60),
    (b"s", 1),
];

/// `A3600`, or `access plus 1 hour` of which only first letters count. A text that starts with a capital A or M is
/// always taken for the short form.
fn parse(text: &[u8]) -> Result<Code, String> {
    match text {
        [b'A', seconds @ ..] => return Ok(Code::Access(atoi(seconds))),
        [b'M', seconds @ ..] => return Ok(Code::Modified(atoi(seconds))),
        _ => {}
    }
    let (base, rest) = get_word(text);
    let make: fn(i64) -> Code = match base.first().map(u8::to_ascii_lowercase) {
        Some(b'n' | b'a') => Code::Access,
        Some(b'm') => Code::Modified,
        _ => return Err(format!("bad expires code, unrecognised <base> '{}'", latin1(&base))),
    };
    let (mut word, mut rest) = get_word(rest);
    if word.first().is_some_and(|first| first.eq_ignore_ascii_case(&b'p')) {
        (word, rest) = get_word(rest);
    }
    let mut seconds = 0i64;
    while !word.is_empty() {
        if !word[0].is_ascii_digit() {
            return Err(format!("bad expires code, numeric value expected <num> '{}'", latin1(&word)));
        }
        let number = atoi(&word);
        let (unit, after) = get_word(rest);
        if unit.is_empty() {
            return Err("bad expires code, missing <type>".to_owned());
        }
        let starts = |name: &[u8]| unit.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| starts(name)) else {
            return Err(format!("bad expires code, unrecognised <type>'{}'", latin1(&unit)));
        };
        seconds = seconds.saturating_add(number.saturating_mul(*factor));
        (word, rest) = get_word(after);
    }
    Ok(make(seconds))
}

/// Adds Cache-Control and Expires.
fn set(ex: &mut Exchange) -> Outcome {
    // Errors are not to be kept.
    if (400..600).contains(&ex.status) || ex.sub_depth > 0 {
        return Outcome::Declined;
    }
    if ex.headers_out.contains(b"Expires") || ex.err_headers_out.contains(b"Expires") {
        return Outcome::Declined;
    }
    let chain = ex.chain.clone();
    let Some(code) = chain.dir.get::<ExpiresDir>().and_then(|dir| code_of(dir, &ex.content_type)) else {
        return Outcome::Declined;
    };
    let now = ex.started_micros.div_euclid(1_000_000);
    let when = match code {
        Code::Access(seconds) => now.saturating_add(seconds),
        Code::Modified(seconds) => match &ex.finfo {
            Some(info) => info.mtime().saturating_add(seconds),
            None => return Outcome::Declined,
        },
    };
    let when = when.max(now);
    ex.headers_out.merge(b"Cache-Control", format!("max-age={}", when - now).as_bytes());
    let mut date = Vec::with_capacity(29);
    push_http_date(&mut date, when.saturating_mul(1_000_000));
    ex.headers_out.set(b"Expires", &date);
    Outcome::Ok
}

/// What holds for a type: its own, that of its main type, the default.
fn code_of(dir: &ExpiresDir, media: &[u8]) -> Option<Code> {
    let end = memchr::memchr(b';', media).unwrap_or(media.len());
    let name = media.get(..end).unwrap_or_default().trim_ascii();
    let of = |fits: &dyn Fn(&[u8]) -> bool| dir.types.iter().find(|(known, _)| fits(known)).map(|(_, code)| *code);
    of(&|known| known.eq_ignore_ascii_case(name))
        .or_else(|| {
            let main = name.get(..memchr::memchr(b'/', name)? + 1)?;
            of(&|known| known.strip_suffix(b"*").is_some_and(|known| known.eq_ignore_ascii_case(main)))
        })
        .or(dir.default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_by_first_letters() {
        let good = |text: &str| parse(text.as_bytes()).unwrap();
        assert_eq!(good("A10"), Code::Access(10));
        assert_eq!(good("M-5x"), Code::Modified(-5));
        assert_eq!(good("ACCESS PLUS 1 DAY"), Code::Access(0));
        assert_eq!(good("access plus 1 months 3 secs"), Code::Access(2_592_003));
        assert_eq!(good("modification 2 weeks"), Code::Modified(1_209_600));
        assert_eq!(good("now plus 1 minute 30 seconds"), Code::Access(90));
        assert_eq!(good("modified plus"), Code::Modified(0));
        for (text, why) in [
            ("foo plus 1 day", "bad expires code, unrecognised <base> 'foo'"),
            ("access plus x day", "bad expires code, numeric value expected <num> 'x'"),
            ("access plus 1", "bad expires code, missing <type>"),
            ("access plus 1 foo", "bad expires code, unrecognised <type>'foo'"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err(), why);
        }
    }

    #[test]
    fn own_types_come_before_main_types_and_the_default() {
        let dir = ExpiresDir {
            active: Some(true),
            default: Some(Code::Access(1)),
            types: vec![(b"text/*".to_vec(), Code::Access(2)), (b"text/html".to_vec(), Code::Access(3))],
        };
        assert_eq!(code_of(&dir, b"Text/HTML; charset=x"), Some(Code::Access(3)));
        assert_eq!(code_of(&dir, b"text/css"), Some(Code::Access(2)));
        assert_eq!(code_of(&dir, b"image/png"), Some(Code::Access(1)));
        assert_eq!(code_of(&dir, b""), Some(Code::Access(1)));
    }
}
