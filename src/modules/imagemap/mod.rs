//! `mod_imagemap.c`: image maps of the server: which link a click on a picture means, and menus for who cannot click.

mod line;
mod menu;
mod shape;
mod url;

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::base::diag::FileId;
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::lang::Lines;
use crate::logs::{self, Bytes, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, Wire};

use line::Entry;
use menu::Menu;
use shape::{Closest, Point};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "imagemap_module",
        file: "mod_imagemap.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct ImapDir {
    menu: Option<Vec<u8>>,
    default: Option<Vec<u8>>,
    base: Option<Vec<u8>>,
}

impl Conf for ImapDir {
    const SLOT: usize = slot::IMAGEMAP + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self {
            menu: add.menu.clone().or_else(|| base.menu.clone()),
            default: add.default.clone().or_else(|| base.default.clone()),
            base: add.base.clone().or_else(|| base.base.clone()),
        }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ImapMenu", Places::INDEXES, Shape::Take1, |c, a| set(c, a, |conf| &mut conf.menu), "the type of menu generated: none, formatted, semiformatted, unformatted"),
    row("ImapDefault", Places::INDEXES, Shape::Take1, |c, a| set(c, a, |conf| &mut conf.default), "the action taken if no match: error, nocontent, referer, menu, URL"),
    row("ImapBase", Places::INDEXES, Shape::Take1, |c, a| set(c, a, |conf| &mut conf.base), "the base for all URL's: map, referer, URL (or start of)"),
];

/// Any word is taken; what it means shows when a map is asked for.
fn set(cmd: &mut Cmd<'_>, args: &Args<'_>, which: fn(&mut ImapDir) -> &mut Option<Vec<u8>>) -> Result<(), String> {
    *which(cmd.dir_conf::<ImapDir>()) = Some(args.word(0).to_vec());
    Ok(())
}

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(handle) }];

/// Bytes of a map; they are written by hand.
const FILE_MAX: u64 = 4 << 20;
/// The longest line of a map, in bytes; a longer one ends it.
const LINE_MAX: usize = 8190;

fn handle<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    let ours = ex.handler == b"imap-file" || ex.handler == b"application/x-httpd-imap";
    if !ours || (ex.method != b"GET" && ex.method != b"HEAD") {
        return pipe::declined();
    }
    Box::pin(async move {
        match answer(ex) {
            Ok(Answer::Menu(page)) => {
                ex.content_type = b"text/html; charset=ISO-8859-1".to_vec();
                pipe::page(ex, wire, &page).await
            }
            Ok(Answer::Target(target)) => reply(ex, &target),
            Err(outcome) => outcome,
        }
    })
}

enum Answer {
    /// A page with all links.
    Menu(Vec<u8>),
    /// The URL or action behind the click.
    Target(Vec<u8>),
}

fn reply(ex: &mut Exchange, target: &[u8]) -> Outcome {
    if target.eq_ignore_ascii_case(b"nocontent") {
        return Outcome::Status(204);
    }
    if target.is_empty() || target.eq_ignore_ascii_case(b"error") {
        return Outcome::Status(500);
    }
    ex.headers_out.set(b"Location", target);
    Outcome::Status(302)
}

/// What a map has come to so far.
struct Reading {
    base: Vec<u8>,
    default: Vec<u8>,
    click: Option<Point>,
    menu: Option<Menu>,
    closest: Closest,
}

fn answer(ex: &Exchange) -> Result<Answer, Outcome> {
    let conf = ex.dir::<ImapDir>().cloned().unwrap_or_default();
    let mut lines = read(ex)?;
    let failed = Outcome::Status(500);
    let kind = conf.menu.as_deref().unwrap_or(b"formatted");
    let click = shape::click(ex.args.as_deref());
    let wants_menu = click.is_none() && !kind.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"no"));
    let mut reading = Reading {
        base: url::resolve(ex, b"", conf.base.as_deref().unwrap_or(b"map")).ok_or(failed)?,
        default: url::resolve(ex, b"", conf.default.as_deref().unwrap_or(b"nocontent")).ok_or(failed)?,
        click,
        menu: wants_menu.then(|| Menu::new(kind, &ex.uri)),
        closest: Closest::default(),
    };
    // A line that is too long ends the map, as the end of its file does.
    while let Ok(Some(line)) = lines.any_line() {
        match reading.line(ex, &line.text, line.number) {
            Ok(None) => {}
            Ok(Some(target)) => return Ok(Answer::Target(target)),
            Err(Unusable) => match reading.menu {
                Some(menu) => return Ok(Answer::Menu(menu.broken())),
                None => return Err(failed),
            },
        }
    }
    if let Some(menu) = reading.menu {
        return Ok(Answer::Menu(menu.end()));
    }
    let target = reading.closest.target().unwrap_or(&reading.default);
    url::resolve(ex, &reading.base, target).map(Answer::Target).ok_or(failed)
}

/// The map cannot be used; the log knows why.
struct Unusable;

impl Reading {
    /// Obeys one line; says the URL of the click if the line's shape holds it.
    fn line(&mut self, ex: &Exchange, text: &[u8], number: u32) -> Result<Option<Vec<u8>>, Unusable> {
        if text.is_empty() {
            self.menu.iter_mut().for_each(Menu::blank);
            return Ok(None);
        }
        if let Some(comment) = text.strip_prefix(b"#") {
            self.menu.iter_mut().for_each(|menu| menu.comment(comment));
            return Ok(None);
        }
        let Some(mut entry) = Entry::parse(text) else {
            let map = Bytes(&ex.uri);
            let why = "syntax error: requires at least two fields";
            logs::error!(ex, Level::Error, "imagemap", "AH00679: map file {map}, line {number} {why}");
            return Err(Unusable);
        };
        if entry.word.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"base")) {
            self.base = url::resolve(ex, b"", entry.value).ok_or(Unusable)?;
            return Ok(None);
        }
        let mut label = entry.quoted();
        if entry.word.eq_ignore_ascii_case(b"default") {
            self.default = url::resolve(ex, b"", entry.value).ok_or(Unusable)?;
            if let Some(menu) = &mut self.menu {
                let target = url::resolve(ex, &self.base, &self.default).ok_or(Unusable)?;
                menu.default(&target, label.unwrap_or(&self.default));
            }
            return Ok(None);
        }
        let points = entry.points();
        if let Some(menu) = &mut self.menu {
            label = label.or_else(|| entry.quoted());
            let target = url::resolve(ex, &self.base, entry.value).ok_or(Unusable)?;
            menu.link(&target, label.unwrap_or(entry.value));
            return Ok(None);
        }
        let (Some(click), Some(first)) = (self.click, points.first()) else { return Ok(None) };
        // The point that httpd takes for the end of the list.
        if first.x == -1.0 {
            return Ok(None);
        }
        if entry.word.eq_ignore_ascii_case(b"point") {
            self.closest.offer(click, *first, entry.value);
            return Ok(None);
        }
        if !shape::holds(entry.word, &points, click) {
            return Ok(None);
        }
        url::resolve(ex, &self.base, entry.value).map(Some).ok_or(Unusable)
    }
}

/// The lines of the map that is asked for.
fn read(ex: &Exchange) -> Result<Lines, Outcome> {
    let absent = Outcome::Status(404);
    if !ex.finfo.as_ref().is_some_and(Metadata::is_file) {
        return Err(absent);
    }
    let file = File::open(Path::new(std::ffi::OsStr::from_bytes(&ex.filename))).map_err(|_| absent)?;
    let mut text = Vec::new();
    // What was read of it counts.
    let _ = file.take(FILE_MAX).read_to_end(&mut text);
    Ok(Lines::limited("".into(), FileId(0), text.into(), LINE_MAX))
}
