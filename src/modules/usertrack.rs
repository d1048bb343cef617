//! `mod_usertrack.c`: a cookie by which a browser is known again.

use crate::base::clock::{Clock as _, SystemClock, push_http_date};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, get_words, row};
use crate::modules::core::server::atoi;
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "usertrack_module",
        file: "mod_usertrack.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// How the cookie is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Style {
    /// With a date at which it expires.
    #[default]
    Netscape,
    /// With an age (RFC 2109).
    Cookie,
    /// In fields of its own (RFC 2965).
    Cookie2,
}

/// Values per server. As in httpd the last `CookieExpires` of a server holds for all of it, in whatever section it
/// stands, and a virtual host with any directive of this module has none of the main server's.
#[derive(Clone, Default)]
struct TrackServer {
    /// Seconds until the cookie expires; 0 is the end of the browser's session.
    expires: i64,
}

impl Conf for TrackServer {
    const SLOT: usize = slot::USERTRACK;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// Values per directory: those of the last section that has any, as httpd does not merge them.
#[derive(Clone, Default)]
struct TrackDir {
    on: bool,
    style: Style,
    name: Option<Vec<u8>>,
    domain: Option<Vec<u8>>,
    same_site: Option<&'static str>,
    secure: bool,
    http_only: bool,
}

impl Conf for TrackDir {
    const SLOT: usize = slot::USERTRACK + 1;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CookieExpires", Places::FILEINFO, Shape::Take1, expires, "an expiry date code"),
    row("CookieDomain", Places::FILEINFO, Shape::Take1, domain, "domain to which this cookie applies"),
    row("CookieStyle", Places::FILEINFO, Shape::Take1, style, "'Netscape', 'Cookie' (RFC2109), or 'Cookie2' (RFC2965)"),
    row("CookieTracking", Places::FILEINFO, Shape::Flag, |cmd, args| set(cmd, |dir| dir.on = args.on()), "whether or not to enable cookies"),
    row("CookieName", Places::FILEINFO, Shape::Take1, |cmd, args| set(cmd, |dir| dir.name = Some(args.word(0).to_vec())), "name of the tracking cookie"),
    row("CookieSameSite", Places::FILEINFO, Shape::Take1, same_site, "SameSite setting"),
    row("CookieSecure", Places::FILEINFO, Shape::Flag, |cmd, args| set(cmd, |dir| dir.secure = args.on()), "is cookie secure"),
    row("CookieHttpOnly", Places::FILEINFO, Shape::Flag, |cmd, args| set(cmd, |dir| dir.http_only = args.on()), "is cookie http only"),
];

/// The hooks: in front of all other fixups.
const HOOKS: &[Hook] = &[Hook {
    phase: Phase::Fixups,
    order: -20,
    wants: |_, dir| dir.get::<TrackDir>().is_some_and(|dir| dir.on),
    run: Run::Now(track),
}];

/// Changes the section's values. Every directive makes the server's own values.
fn set(cmd: &mut Cmd<'_>, change: impl FnOnce(&mut TrackDir)) -> Result<(), String> {
    cmd.server_conf::<TrackServer>();
    change(cmd.dir_conf::<TrackDir>());
    Ok(())
}

/// `CookieStyle`.
fn style(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let style = match args.word(0).to_ascii_lowercase().as_slice() {
        b"netscape" => Style::Netscape,
        b"cookie" | b"rfc2109" => Style::Cookie,
        b"cookie2" | b"rfc2965" => Style::Cookie2,
        _ => return Err(format!("Invalid CookieStyle keyword: '{}'", args.text(0))),
    };
    set(cmd, |dir| dir.style = style)
}

/// `CookieSameSite`.
fn same_site(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let known = ["Strict", "Lax", "None"].into_iter().find(|known| args.word(0).eq_ignore_ascii_case(known.as_bytes()));
    let known = known.ok_or_else(|| "CookieSameSite accepts 'Strict', 'Lax', or 'None'".to_owned())?;
    set(cmd, |dir| dir.same_site = Some(known))
}

/// `CookieDomain .name.tld`.
fn domain(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    match args.word(0) {
        [b'.', rest @ ..] if rest.contains(&b'.') => set(cmd, |dir| dir.domain = Some(args.word(0).to_vec())),
        [b'.', ..] => Err("CookieDomain values must contain at least one embedded dot".to_owned()),
        _ => Err("CookieDomain values must begin with a dot".to_owned()),
    }
}

/// `CookieExpires seconds`, or `plus 1 month 2 days`.
fn expires(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let seconds = seconds(args)?;
    set(cmd, |_| {})?;
    cmd.server_conf::<TrackServer>().expires = seconds;
    Ok(())
}

/// Units and their seconds.
const UNITS: &[(&[u8], i64)] = &[
    (b"years", 60 * 60 * 24 * 365),
    (b"months", 60 * 60 * 24 * 30),
    (b"weeks", 60 * 60 * 24 * 7),
    (b"days", 60 * 60 * 24),
    (b"hours", 60 * 60),
    (b"minutes", 60),
    (b"seconds", 1),
];

fn seconds(args: &Args<'_>) -> Result<i64, String> {
    let text = args.word(0);
    // Digits at both ends make a number.
    if text.first().is_some_and(u8::is_ascii_digit) && text.last().is_some_and(u8::is_ascii_digit) {
        return Ok(atoi(text));
    }
    let mut words = get_words(text).into_iter().peekable();
    if words.peek().is_some_and(|word| word.eq_ignore_ascii_case(b"plus")) {
        words.next();
    }
    let mut sum = 0i64;
    while let Some(number) = words.next() {
        if !number.first().is_some_and(u8::is_ascii_digit) {
            return Err("bad expires code, numeric value expected.".to_owned());
        }
        let Some(kind) = words.next() else { return Err("bad expires code, missing <type>".to_owned()) };
        let kind = kind.to_ascii_lowercase();
        let known = |(unit, _): &&(&[u8], i64)| unit.starts_with(&kind) && kind.len() + 1 >= unit.len();
        let Some((_, factor)) = UNITS.iter().find(known) else {
            return Err("bad expires code, unrecognized type".to_owned());
        };
        sum = sum.saturating_add(atoi(&number).saturating_mul(*factor));
    }
    Ok(sum)
}

/// The cookie's name when nobody says.
const NAME: &[u8] = b"Apache";

/// Notes the cookie that the client has, or gives it one.
fn track(ex: &mut Exchange) -> Outcome {
    if ex.sub_depth > 0 {
        return Outcome::Declined;
    }
    let chain = ex.chain.clone();
    let Some(dir) = chain.dir.get::<TrackDir>() else { return Outcome::Declined };
    let name = dir.name.as_deref().unwrap_or(NAME);
    if let Some(value) = ex.headers_in.get(b"Cookie").and_then(|cookies| find(cookies, name)).map(<[u8]>::to_vec) {
        ex.notes.set(b"cookie", &value);
        return Outcome::Declined;
    }
    let now = SystemClock.wall();
    // Without random numbers the time must do.
    let value = format!("{:08x}.{now:x}", getrandom::u32().unwrap_or(0)).into_bytes();
    let expires = ex.server().get::<TrackServer>().map_or(0, |server| server.expires);
    let cookie = dir.written(name, &value, expires, now);
    let field: &[u8] = if dir.style == Style::Cookie2 { b"Set-Cookie2" } else { b"Set-Cookie" };
    ex.err_headers_out.add(field, &cookie);
    ex.notes.set(b"cookie", &value);
    Outcome::Ok
}

impl TrackDir {
    /// The field's value; `expires` seconds from `now`, in microseconds since 1970.
    fn written(&self, name: &[u8], value: &[u8], expires: i64, now: i64) -> Vec<u8> {
        let mut out = [name, b"=", value, b"; path=/"].concat();
        if expires > 0 && self.style == Style::Netscape {
            out.extend_from_slice(b"; expires=");
            let mut date = Vec::with_capacity(29);
            push_http_date(&mut date, expires.saturating_mul(1_000_000).saturating_add(now));
            // `Thu, 26 Nov 2026 00:42:09 GMT`, in the form of the first cookies: hyphens, two digits for the year.
            for (at, byte) in date.into_iter().enumerate() {
                match at {
                    7 | 11 => out.push(b'-'),
                    12 | 13 => {}
                    _ => out.push(byte),
                }
            }
        } else if expires > 0 {
            out.extend_from_slice(format!("; max-age={expires}").as_bytes());
        }
        if let Some(domain) = &self.domain {
            out.extend_from_slice(b"; domain=");
            out.extend_from_slice(domain);
            if self.style == Style::Cookie2 {
                out.extend_from_slice(b"; version=1");
            }
        }
        if let Some(value) = self.same_site {
            out.extend_from_slice(b"; SameSite=");
            out.extend_from_slice(value.as_bytes());
        }
        if self.secure {
            out.extend_from_slice(b"; Secure");
        }
        if self.http_only {
            out.extend_from_slice(b"; HttpOnly");
        }
        out
    }
}

/// The value of a cookie: its name stands first, or behind `;` or `,` with blanks and tabs.
fn find<'a>(cookies: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let starts = cookies.iter().enumerate().filter(|(_, byte)| matches!(byte, b';' | b',')).map(|(at, _)| at + 1);
    std::iter::once((0, true)).chain(starts.map(|at| (at, false))).find_map(|(start, first)| {
        let mut rest = cookies.get(start..)?;
        while let ([b' ' | b'\t', more @ ..], false) = (rest, first) {
            rest = more;
        }
        let value = rest.strip_prefix(name)?.strip_prefix(b"=")?;
        value.split(|byte| matches!(byte, b';' | b',')).next().filter(|value| !value.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As measured with httpd.
    #[test]
    fn cookies_are_found_where_httpd_finds_them() {
        for (cookies, want) in [
            ("Apache=abc", Some("abc")),
            ("x=1; Apache=abc", Some("abc")),
            ("x=1;Apache=abc", Some("abc")),
            ("x=1;  Apache=abc,d", Some("abc")),
            ("x=1,Apache=abc ", Some("abc ")),
            ("Apache=\"a;b\"", Some("\"a")),
            ("Apache=;Apache=2", Some("2")),
            ("xApache=1", None),
            ("apache=2", None),
            ("Apache=", None),
            ("Apache =3", None),
            ("y=1 Apache=5", None),
            (" Apache=5", None),
        ] {
            assert_eq!(find(cookies.as_bytes(), b"Apache"), want.map(str::as_bytes), "{cookies}");
        }
    }

    #[test]
    fn each_style_has_its_own_end() {
        let now = 1_795_653_729_000_000;
        let show = |style, expires, domain: Option<&str>| {
            let domain = domain.map(|domain| domain.as_bytes().to_vec());
            let dir = TrackDir { style, domain, ..TrackDir::default() };
            String::from_utf8(dir.written(b"A", b"v", expires, now)).unwrap()
        };
        assert_eq!(show(Style::Netscape, 0, None), "A=v; path=/");
        assert_eq!(show(Style::Netscape, 3, None), "A=v; path=/; expires=Thu, 26-Nov-26 00:42:12 GMT");
        assert_eq!(show(Style::Cookie, 3, Some(".a.b")), "A=v; path=/; max-age=3; domain=.a.b");
        assert_eq!(show(Style::Cookie2, 3, Some(".a.b")), "A=v; path=/; max-age=3; domain=.a.b; version=1");
        assert_eq!(show(Style::Cookie2, 3, None), "A=v; path=/; max-age=3");
    }
}
