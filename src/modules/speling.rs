//! `mod_speling.c`: finds the file that was meant.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::base::path::{escape_html, escape_path};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run, names};
use crate::web::{Exchange, ProxyKind};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "speling_module",
        file: "mod_speling.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct Spelling {
    on: Option<bool>,
    case_only: Option<bool>,
    basename: Option<bool>,
}

impl Conf for Spelling {
    const SLOT: usize = slot::SPELING + 1;

    /// Nothing is inherited: a section that sets one of the three has to set the others too.
    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("CheckSpelling", Places::OPTIONS, Shape::Flag, check_spelling, "whether or not to fix miscapitalized/misspelled requests"),
    row("CheckCaseOnly", Places::OPTIONS, Shape::Flag, check_case_only, "whether or not to fix only miscapitalized requests"),
    row("CheckBasenameMatch", Places::OPTIONS, Shape::Flag, check_basename, "whether or not to fix files with the same base name"),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Fixups, order: 10, wants, run: Run::Now(fixup) }];

fn wants(_: &Server, dir: &Slots) -> bool {
    dir.get::<Spelling>().is_some_and(|dir| dir.on == Some(true))
}

fn check_spelling(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<Spelling>().on = Some(args.on());
    Ok(())
}

fn check_case_only(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<Spelling>().case_only = Some(args.on());
    Ok(())
}

fn check_basename(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.dir_conf::<Spelling>().basename = Some(args.on());
    Ok(())
}

/// How a name differs from what was asked for; better ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Case,
    Transposed,
    Missing,
    Extra,
    Mistyped,
    Basename,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Self::Case => "miscapitalized",
            Self::Transposed => "transposed characters",
            Self::Missing => "character missing",
            Self::Extra => "extra character",
            Self::Mistyped => "mistyped character",
            Self::Basename => "common basename",
        }
    }
}

/// The one typing error that makes `asked` of `name`, if one is enough.
fn distance(asked: &[u8], name: &[u8]) -> Option<Reason> {
    let same = |a: &[u8], b: &[u8]| a.eq_ignore_ascii_case(b);
    let common = asked.iter().zip(name).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let (asked, name) = (asked.get(common..)?, name.get(common..)?);
    match (asked, name) {
        ([], []) => Some(Reason::Case),
        ([a, b, asked @ ..], [c, d, name @ ..])
            if a.eq_ignore_ascii_case(d) && b.eq_ignore_ascii_case(c) && same(asked, name) =>
        {
            Some(Reason::Transposed)
        }
        ([_, asked @ ..], [_, name @ ..]) if same(asked, name) => Some(Reason::Mistyped),
        ([_, rest @ ..], _) if same(rest, name) => Some(Reason::Extra),
        (_, [_, rest @ ..]) if same(asked, rest) => Some(Reason::Missing),
        _ => None,
    }
}

/// The part in front of the first dot.
fn base_name(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == b'.').next().unwrap_or_default()
}

/// Names that are compared for one request.
const NAMES_MAX: usize = 100_000;

/// Looks for files with a similar name where there is none with this name.
fn fixup(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    let Some(conf) = chain.dir.get::<Spelling>() else { return Outcome::Declined };
    let is_get = ex.method == b"GET" || ex.method == b"HEAD";
    if !is_get || ex.finfo.is_some() || ex.proxyreq != ProxyKind::None || ex.sub_depth > 0 || ex.uri == b"/" {
        return Outcome::Declined;
    }
    let Some(slash) = memchr::memrchr(b'/', &ex.filename) else { return Outcome::Declined };
    let (folder, bad) = (&ex.filename[..slash], &ex.filename[slash + 1..]);
    let behind = [bad, &ex.path_info].concat();
    let Some(url) = ex.uri.strip_suffix(behind.as_slice()) else { return Outcome::Declined };
    let Ok(listed) = std::fs::read_dir(Path::new(std::ffi::OsStr::from_bytes(folder))) else {
        return Outcome::Declined;
    };
    let mut found: Vec<(Reason, Vec<u8>)> = Vec::new();
    for name in listed.take(NAMES_MAX).filter_map(Result::ok).map(|entry| entry.file_name()) {
        let name = name.as_bytes();
        if name == bad {
            // It is there and yet it is not: a link that leads nowhere. Redirecting would go round in circles.
            return Outcome::Ok;
        }
        let reason = if name.eq_ignore_ascii_case(bad) {
            Some(Reason::Case)
        } else if conf.case_only == Some(true) {
            None
        } else {
            distance(bad, name)
        };
        let basename = conf.basename != Some(false) && base_name(bad).eq_ignore_ascii_case(base_name(name));
        if let Some(reason) = reason.or_else(|| basename.then_some(Reason::Basename)) {
            found.push((reason, name.to_vec()));
        }
    }
    found.sort_by_key(|(reason, _)| *reason);
    let query = ex.args.as_ref().map(|args| [b"?", args.as_slice()].concat()).unwrap_or_default();
    let sure = match found.as_slice() {
        [] => return Outcome::Ok,
        [(first, _)] => *first != Reason::Basename,
        [(first, _), (second, _), ..] => *first != Reason::Basename && first != second,
    };
    let url = url.to_vec();
    if let Some((_, name)) = found.first().filter(|_| sure) {
        return redirect(ex, &url, name, &query);
    }
    offer(ex, &url, &found, &query)
}

fn redirect(ex: &mut Exchange, url: &[u8], name: &[u8], query: &[u8]) -> Outcome {
    let mut path = Vec::new();
    escape_path(&[url, name, &ex.path_info].concat(), &mut path);
    path.extend_from_slice(query);
    let mut location = Vec::new();
    names::push_url(ex, &path, &mut location);
    ex.headers_out.set(b"Location", &location);
    let (uri, path) = (Bytes(&ex.uri), Bytes(&path));
    match ex.headers_in.get(b"Referer") {
        Some(from) => {
            logs::error!(
                ex,
                Level::Info,
                "speling",
                "AH03224: Fixed spelling: {} to {} from {}",
                uri,
                path,
                Bytes(from)
            );
        }
        None => logs::error!(ex, Level::Info, "speling", "AH03225: Fixed spelling: {} to {}", uri, path),
    }
    Outcome::Status(301)
}

/// Answers with a list of what may have been meant.
fn offer(ex: &mut Exchange, url: &[u8], found: &[(Reason, Vec<u8>)], query: &[u8]) -> Outcome {
    let mut page = b"The document name you requested (<code>".to_vec();
    escape_html(&ex.uri, &mut page);
    page.extend_from_slice(
        b"</code>) could not be found on this server.\nHowever, we found documents with names similar to the one you \
          requested.<p>Available documents:\n<ul>\n",
    );
    let mut variants = Vec::new();
    for (at, (reason, name)) in found.iter().enumerate() {
        let plain = [url, name, &ex.path_info, query].concat();
        let mut escaped = Vec::new();
        escape_path(&plain, &mut escaped);
        if at > 0 {
            variants.push(b',');
        }
        // httpd puts commas between all pieces.
        let pieces = [b"\"".as_slice(), &escaped, b"\";\"", reason.text().as_bytes(), b"\""];
        variants.extend_from_slice(&pieces.join(&b','));
        page.extend_from_slice(b"<li><a href=\"");
        escape_html(&escaped, &mut page);
        page.extend_from_slice(b"\">");
        escape_html(&plain, &mut page);
        page.extend_from_slice(format!("</a> ({})\n", reason.text()).as_bytes());
        let next = found.get(at + 1).map(|(reason, _)| *reason);
        if at > 0 && *reason != Reason::Basename && next == Some(Reason::Basename) {
            page.extend_from_slice(b"</ul>\nFurthermore, the following related documents were found:\n<ul>\n");
        }
    }
    page.extend_from_slice(b"</ul>\n");
    let (uri, count) = (Bytes(&ex.uri), found.len());
    match ex.headers_in.get(b"Referer") {
        Some(from) => {
            page.extend_from_slice(b"Please consider informing the owner of the referring page <tt>");
            escape_html(from, &mut page);
            page.extend_from_slice(b"</tt> about the broken link.\n");
            let from = Bytes(from);
            logs::error!(
                ex,
                Level::Info,
                "speling",
                "AH03226: Spelling fix: {}: {} candidates from {}",
                uri,
                count,
                from
            );
        }
        None => logs::error!(ex, Level::Info, "speling", "AH03227: Spelling fix: {}: {} candidates", uri, count),
    }
    ex.notes.set(b"variant-list", &page);
    ex.env.merge(b"VARIANTS", &variants);
    Outcome::Status(300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_typing_error_is_found() {
        for (asked, name, want) in [
            ("INDEX.html", "index.html", Some(Reason::Case)),
            ("idnex.html", "index.html", Some(Reason::Transposed)),
            ("index.htm", "index.html", Some(Reason::Missing)),
            ("indexx.html", "index.html", Some(Reason::Extra)),
            ("indax.html", "index.html", Some(Reason::Mistyped)),
            ("other", "index.html", None),
            ("indxe.htm", "index.html", None),
        ] {
            assert_eq!(distance(asked.as_bytes(), name.as_bytes()), want, "{asked}");
        }
    }

    #[test]
    fn base_names_end_at_the_first_dot() {
        assert_eq!(base_name(b"a.b.c"), b"a");
        assert_eq!(base_name(b"abc"), b"abc");
    }
}
