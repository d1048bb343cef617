//! `mod_dir.c`: what stands for a directory, and for what does not exist.

use crate::base::path::escape_path;
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, get_word, inner_or_outer, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::media::DIRECTORY;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting, names};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "dir_module",
        file: "mod_dir.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct DirConf {
    /// DirectoryIndex; empty is `disabled`.
    names: Option<Vec<Vec<u8>>>,
    slash: Option<bool>,
    check_handler: Option<bool>,
    /// DirectoryIndexRedirect as a status; the inner `None` is off.
    redirect: Option<Option<u16>>,
    /// FallbackResource.
    fallback: Option<Vec<u8>>,
}

impl Conf for DirConf {
    const SLOT: usize = slot::DIR + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; names, slash, check_handler, redirect, fallback)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("FallbackResource", Places::INDEXES, Shape::Take1, fallback_resource, "Set a default handler"),
    row("DirectoryIndex", Places::INDEXES, Shape::Raw, directory_index, "a list of file names"),
    row("DirectorySlash", Places::INDEXES, Shape::Flag, directory_slash, "On or Off"),
    row("DirectoryCheckHandler", Places::INDEXES, Shape::Flag, check_handler, "On or Off"),
    row("DirectoryIndexRedirect", Places::INDEXES, Shape::Take1, index_redirect, "On, Off, or a 3xx status code."),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Fixups, order: 10, wants: |_, _| true, run: Run::Wait(fixup) }];

type Done = Result<(), String>;

fn fallback_resource(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<DirConf>().fallback = Some(args.word(0).to_vec());
    Ok(())
}

fn directory_index(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let names = cmd.dir_conf::<DirConf>().names.get_or_insert_default();
    let mut rest = args.raw;
    let mut first = true;
    loop {
        let (name, after) = get_word(rest);
        if name.is_empty() {
            return Ok(());
        }
        if first && name.eq_ignore_ascii_case(b"disabled") && get_word(after).0.is_empty() {
            names.clear();
            return Ok(());
        }
        names.push(name);
        rest = after;
        first = false;
    }
}

fn directory_slash(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<DirConf>().slash = Some(args.on());
    Ok(())
}

fn check_handler(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<DirConf>().check_handler = Some(args.on());
    Ok(())
}

fn index_redirect(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let status = match args.word(0).to_ascii_lowercase().as_slice() {
        b"on" | b"temp" => Some(302),
        b"off" => None,
        b"permanent" => Some(301),
        b"seeother" => Some(303),
        word => {
            if !word.first().is_some_and(u8::is_ascii_digit) {
                return Err("DirectoryIndexRedirect ON|OFF|permanent|temp|seeother|3xx".to_owned());
            }
            let number = u16::try_from(super::check::number(word)).ok().filter(|number| (300..400).contains(number));
            Some(number.ok_or("DirectoryIndexRedirect only accepts values between 300 and 399")?)
        }
    };
    cmd.dir_conf::<DirConf>().redirect = Some(status);
    Ok(())
}

/// Last of the fixups: directories get their slash and their index, what is missing its fallback.
fn fixup(ex: &mut Exchange) -> Waiting<'_> {
    match &ex.finfo {
        Some(info) if info.is_dir() => Box::pin(directory(ex)),
        None if ex.handler.is_empty() && ex.dir::<DirConf>().is_some_and(|dir| dir.fallback.is_some()) => {
            Box::pin(missing(ex))
        }
        _ => pipe::declined(),
    }
}

async fn directory(ex: &mut Exchange) -> Outcome {
    let default = DirConf::default();
    let chain = ex.chain.clone();
    let conf = chain.dir.get::<DirConf>().unwrap_or(&default);
    if ex.handler.is_empty() {
        ex.handler.extend_from_slice(DIRECTORY);
    }
    if ex.uri.last() != Some(&b'/') {
        return if conf.slash == Some(false) { Outcome::Declined } else { add_slash(ex) };
    }
    // Somebody else has taken the directory over.
    if ex.handler == b"redirect-handler" || (conf.check_handler == Some(true) && ex.handler != DIRECTORY) {
        if ex.content_type == DIRECTORY {
            ex.content_type.clear();
        }
        return Outcome::Declined;
    }
    let standard = [b"index.html".to_vec()];
    let names = conf.names.as_deref().unwrap_or(&standard);
    let mut fault = None;
    for (at, name) in names.iter().enumerate() {
        let sub = look(ex, name).await;
        if is_there(&sub) {
            if let Some(status) = conf.redirect.flatten() {
                return redirect_to(ex, &sub.uri, status);
            }
            pipe::fast_redirect(ex, sub);
            return Outcome::Ok;
        }
        let last = at + 1 == names.len();
        if is_redirect(sub.status) || (last && matches!(sub.status, 401 | 406)) {
            return passed_on(ex, &sub);
        }
        // A page that may not be seen must not be replaced by a listing.
        if !matches!(sub.status, 200 | 404) {
            fault = Some(sub.status);
        }
    }
    if let Some(status) = fault {
        return Outcome::Status(status);
    }
    ex.notes.set(b"dir-index-names", &names.join(&b","[..]));
    Outcome::Declined
}

async fn missing(ex: &mut Exchange) -> Outcome {
    let chain = ex.chain.clone();
    let target = chain.dir.get::<DirConf>().and_then(|dir| dir.fallback.as_deref());
    let Some(target) = target.filter(|target| !target.eq_ignore_ascii_case(b"disabled")) else {
        return Outcome::Declined;
    };
    let sub = look(ex, target).await;
    if is_there(&sub) {
        pipe::fast_redirect(ex, sub);
        return Outcome::Ok;
    }
    match sub.status {
        status if is_redirect(status) || matches!(status, 401 | 406) => passed_on(ex, &sub),
        200 | 404 => Outcome::Declined,
        status => Outcome::Status(status),
    }
}

/// Looks a name up with the query of the request.
async fn look(ex: &Exchange, name: &[u8]) -> Exchange {
    match &ex.args {
        None => pipe::lookup(ex, name).await,
        Some(args) => pipe::lookup(ex, &[name, b"?", args].concat()).await,
    }
}

/// Whether a sub-request found something that can stand for what was asked for.
fn is_there(sub: &Exchange) -> bool {
    let file = sub.finfo.as_ref().is_some_and(std::fs::Metadata::is_file);
    sub.status == 200 && (file || sub.handler == b"proxy-server")
}

fn is_redirect(status: u16) -> bool {
    (300..400).contains(&status)
}

/// Answers as the sub-request would be answered.
fn passed_on(ex: &mut Exchange, sub: &Exchange) -> Outcome {
    for (own, other) in [
        (&mut ex.notes, &sub.notes),
        (&mut ex.headers_out, &sub.headers_out),
        (&mut ex.err_headers_out, &sub.err_headers_out),
    ] {
        for (name, value) in other.iter() {
            own.set(name, value);
        }
    }
    Outcome::Status(sub.status)
}

fn add_slash(ex: &mut Exchange) -> Outcome {
    if !matches!(ex.method.as_slice(), b"GET" | b"HEAD") && ex.env.contains(b"redirect-carefully") {
        return Outcome::Declined;
    }
    let mut path = Vec::with_capacity(ex.uri.len() + 16);
    escape_path(&ex.uri, &mut path);
    path.push(b'/');
    if let Some(args) = &ex.args {
        path.push(b'?');
        path.extend_from_slice(args);
    }
    redirect_to(ex, &path, 301)
}

fn redirect_to(ex: &mut Exchange, path: &[u8], status: u16) -> Outcome {
    let mut url = Vec::with_capacity(path.len() + 32);
    names::push_url(ex, path, &mut url);
    ex.headers_out.set(b"Location", &url);
    Outcome::Status(status)
}
