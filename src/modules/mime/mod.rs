//! `mod_mime.c`: what the extensions of a file's name say of its content.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::config::{
    Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, PostConfig, SectionKind, Shape, get_word, inner_or_outer,
    latin1, merge_path, row,
};
use crate::logs::Errno;
use crate::modules::rows::entry;
use crate::modules::slot;
use crate::pipe::media::DIRECTORY;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::{Exchange, ProxyKind};

mod media;

use media::Media;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "mime_module",
        file: "mod_mime.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: read_types,
    },
    hooks: HOOKS,
};

/// By extension, in lower case.
type Map<T> = HashMap<Vec<u8>, T, RandomState>;

/// What the configuration says of one extension; an outer value stands where the inner scope says nothing.
#[derive(Clone, Default)]
struct Extension {
    media: Option<Arc<Media>>,
    encoding: Option<Vec<u8>>,
    language: Option<Vec<u8>>,
    charset: Option<Vec<u8>>,
    handler: Option<Vec<u8>>,
    input_filters: Option<Vec<u8>>,
    output_filters: Option<Vec<u8>>,
}

impl Extension {
    fn over(&self, base: &Self) -> Self {
        let (base, add) = (base, self);
        inner_or_outer!(base, add; media, encoding, language, charset, handler, input_filters, output_filters)
    }
}

/// What an extension is taken out of again.
#[derive(Clone, Copy)]
enum Removed {
    Encoding,
    Language,
    Charset,
    Handler,
    InputFilters,
    OutputFilters,
}

/// `MultiviewsMatch` as bits; read by content negotiation.
mod multiviews {
    pub(super) const ANY: u8 = 1;
    pub(super) const NEGOTIATED: u8 = 2;
    pub(super) const HANDLERS: u8 = 4;
    pub(super) const FILTERS: u8 = 8;
}

/// Values per directory.
#[derive(Clone, Default)]
struct MimeDir {
    extensions: Map<Extension>,
    /// Done to what an outer scope says, when the two are merged.
    removed: Vec<(Removed, Vec<u8>)>,
    default_language: Option<Vec<u8>>,
    use_path_info: Option<bool>,
    multiviews: Option<u8>,
}

impl Conf for MimeDir {
    const SLOT: usize = slot::MIME + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        let mut extensions = base.extensions.clone();
        for (name, own) in &add.extensions {
            let merged = match extensions.get(name) {
                Some(outer) => own.over(outer),
                None => own.clone(),
            };
            extensions.insert(name.clone(), merged);
        }
        for (what, name) in &add.removed {
            let Some(extension) = extensions.get_mut(name) else { continue };
            match what {
                Removed::Encoding => extension.encoding = None,
                Removed::Language => extension.language = None,
                Removed::Charset => extension.charset = None,
                Removed::Handler => extension.handler = None,
                Removed::InputFilters => extension.input_filters = None,
                Removed::OutputFilters => extension.output_filters = None,
            }
        }
        inner_or_outer!(
            base, add; default_language, use_path_info, multiviews;
            extensions: extensions, removed: Vec::new()
        )
    }
}

/// Values of the process.
#[derive(Clone, Default)]
struct MimeProcess {
    /// TypesConfig of the main server, as written.
    file: Option<Vec<u8>>,
    /// What that file says, as run.
    types: Arc<Map<Arc<Media>>>,
}

impl Conf for MimeProcess {
    const SLOT: usize = slot::MIME + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AddCharset", Places::FILEINFO, Shape::Iterate2, add_charset, "a charset (e.g., iso-2022-jp), followed by one or more file extensions"),
    row("AddEncoding", Places::FILEINFO, Shape::Iterate2, add_encoding, "an encoding (e.g., gzip), followed by one or more file extensions"),
    row("AddHandler", Places::FILEINFO, Shape::Iterate2, add_handler, "a handler name followed by one or more file extensions"),
    row("AddInputFilter", Places::FILEINFO, Shape::Iterate2, add_input_filter, "input filter name (or ; delimited names) followed by one or more file extensions"),
    row("AddLanguage", Places::FILEINFO, Shape::Iterate2, add_language, "a language (e.g., fr), followed by one or more file extensions"),
    row("AddOutputFilter", Places::FILEINFO, Shape::Iterate2, add_output_filter, "output filter name (or ; delimited names) followed by one or more file extensions"),
    row("AddType", Places::FILEINFO, Shape::Iterate2, add_type, "a mime type followed by one or more file extensions"),
    row("DefaultLanguage", Places::FILEINFO, Shape::Take1, default_language, "language to use for documents with no other language file extension"),
    row("MultiviewsMatch", Places::FILEINFO, Shape::Iterate, multiviews_match, "NegotiatedOnly (default), Handlers and/or Filters, or Any"),
    row("RemoveCharset", Places::FILEINFO, Shape::Iterate, remove_charset, "one or more file extensions"),
    row("RemoveEncoding", Places::FILEINFO, Shape::Iterate, remove_encoding, "one or more file extensions"),
    row("RemoveHandler", Places::FILEINFO, Shape::Iterate, remove_handler, "one or more file extensions"),
    row("RemoveInputFilter", Places::FILEINFO, Shape::Iterate, remove_input_filter, "one or more file extensions"),
    row("RemoveLanguage", Places::FILEINFO, Shape::Iterate, remove_language, "one or more file extensions"),
    row("RemoveOutputFilter", Places::FILEINFO, Shape::Iterate, remove_output_filter, "one or more file extensions"),
    row("RemoveType", Places::FILEINFO, Shape::Iterate, remove_type, "one or more file extensions"),
    row("TypesConfig", Places::SERVER, Shape::Take1, types_config, "the MIME types config file"),
    row("ModMimeUsePathInfo", Places::DIR, Shape::Flag, use_path_info, "Set to 'yes' to allow mod_mime to use path info for type checking"),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::TypeChecker, order: 0, wants: |_, _| true, run: Run::Now(find_type) }];

type Done = Result<(), String>;

/// Extensions are written with or without their dot, in any case.
fn extension_name(word: &[u8]) -> Vec<u8> {
    word.strip_prefix(b".").unwrap_or(word).to_ascii_lowercase()
}

/// What is said of the extension in word 1; values are in lower case too.
fn set(cmd: &mut Cmd<'_>, args: &Args<'_>, put: fn(&mut Extension, Vec<u8>)) -> Done {
    let extension = cmd.dir_conf::<MimeDir>().extensions.entry(extension_name(args.word(1))).or_default();
    put(extension, args.word(0).to_ascii_lowercase());
    Ok(())
}

fn add_charset(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, args, |extension, value| extension.charset = Some(value))
}

fn add_encoding(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, args, |extension, value| extension.encoding = Some(value))
}

fn add_handler(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, args, |extension, value| extension.handler = Some(value))
}

fn add_input_filter(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    crate::modules::filter::check_input_names(cmd, args.word(0));
    set(cmd, args, |extension, value| extension.input_filters = Some(value))
}

fn add_language(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, args, |extension, value| extension.language = Some(value))
}

fn add_output_filter(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    crate::modules::filter::check_names(cmd, args.word(0));
    set(cmd, args, |extension, value| extension.output_filters = Some(value))
}

fn add_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, args, |extension, value| extension.media = Some(Arc::new(Media::new(&value))))
}

/// Hides what TypesConfig says as well, so an empty type is set.
fn remove_type(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let extension = cmd.dir_conf::<MimeDir>().extensions.entry(extension_name(args.word(0))).or_default();
    extension.media = Some(Arc::new(Media::new(b"")));
    Ok(())
}

fn remove(cmd: &mut Cmd<'_>, args: &Args<'_>, what: Removed) -> Done {
    let name = extension_name(args.word(0));
    cmd.dir_conf::<MimeDir>().removed.push((what, name));
    Ok(())
}

fn remove_charset(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    remove(cmd, args, Removed::Charset)
}

fn remove_encoding(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    remove(cmd, args, Removed::Encoding)
}

fn remove_handler(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    remove(cmd, args, Removed::Handler)
}

fn remove_input_filter(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    remove(cmd, args, Removed::InputFilters)
}

fn remove_language(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    remove(cmd, args, Removed::Language)
}

fn remove_output_filter(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    remove(cmd, args, Removed::OutputFilters)
}

fn default_language(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<MimeDir>().default_language = Some(args.word(0).to_vec());
    Ok(())
}

fn multiviews_match(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    use multiviews::{ANY, FILTERS, HANDLERS, NEGOTIATED};
    cmd.forbid(&[SectionKind::Location, SectionKind::Limit])?;
    let bits = cmd.dir_conf::<MimeDir>().multiviews.get_or_insert_default();
    let (bit, with, refusal) = match args.word(0).to_ascii_lowercase().as_slice() {
        b"any" => (ANY, ANY, "Any is incompatible with NegotiatedOnly, Filters and Handlers"),
        b"negotiatedonly" => (NEGOTIATED, NEGOTIATED, "NegotiatedOnly is incompatible with Any, Filters and Handlers"),
        b"filters" => (FILTERS, FILTERS | HANDLERS, "Filters is incompatible with Any and NegotiatedOnly"),
        b"handlers" => (HANDLERS, FILTERS | HANDLERS, "Handlers is incompatible with Any and NegotiatedOnly"),
        _ => return Err(format!("Unrecognized option '{}'", args.text(0))),
    };
    if *bits & !with != 0 {
        return Err(refusal.to_owned());
    }
    *bits |= bit;
    Ok(())
}

fn types_config(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    // httpd keeps one of each server and reads that of the main one.
    if !cmd.is_virtual() {
        cmd.globals.conf.get_mut::<MimeProcess>().file = Some(args.word(0).to_vec());
    }
    Ok(())
}

fn use_path_info(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<MimeDir>().use_path_info = Some(args.on());
    Ok(())
}

/// TypesConfig without the directive, below ServerRoot.
const DEFAULT_TYPES: &[u8] = b"mime.types";

/// Reads the file of types; httpd does so at start, not when it only checks.
fn read_types(pc: &mut PostConfig<'_>) -> Result<(), Fatal> {
    if pc.check_only || !pc.globals.modules.contains(&"mime_module") {
        return Ok(());
    }
    for server in pc.servers.iter_mut() {
        // What a section takes away is taken away where it is laid over this.
        server.dir.get_mut::<MimeDir>();
    }
    let root = pc.globals.server_root.clone();
    let conf = pc.globals.conf.get_mut::<MimeProcess>();
    let path = merge_path(&root, conf.file.as_deref().unwrap_or(DEFAULT_TYPES));
    match crate::net::files::read(OsStr::from_bytes(&path)) {
        Ok(text) => conf.types = Arc::new(parse_types(&text)),
        Err(error) => {
            let (errno, path) = (Errno::from(&error), latin1(&path));
            let text = format!("{errno}: AH01597: could not open mime types config file {path}.");
            let text = entry("mime", "error", &text) + "AH00016: Configuration Failed\n";
            return Err(Fatal { text, quiet: true });
        }
    }
    Ok(())
}

/// A type and its extensions a line; the last line that names an extension counts.
fn parse_types(text: &[u8]) -> Map<Arc<Media>> {
    let mut types = Map::default();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (media, mut rest) = get_word(line);
        let media = Arc::new(Media::new(&media));
        while !rest.is_empty() {
            let (extension, after) = get_word(rest);
            types.insert(extension.to_ascii_lowercase(), media.clone());
            rest = after;
        }
    }
    types
}

/// The longest extension that is looked up; longer ones are nobody's.
const EXTENSION_MAX: usize = 64;

/// Sets type, charset, encoding, languages and handler by the extensions of the file's name.
fn find_type(ex: &mut Exchange) -> Outcome {
    if ex.finfo.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        DIRECTORY.clone_into(&mut ex.content_type);
        return Outcome::Ok;
    }
    if ex.filename.is_empty() {
        return Outcome::Declined;
    }
    let (chain, live) = (ex.chain.clone(), ex.live.clone());
    let dir = chain.dir.get::<MimeDir>();
    let types = live.generation.globals.conf.get::<MimeProcess>().map(|process| &*process.types);
    // Taken out and put back, so that its memory is not lost and `ex` stays free for writing.
    let mut name = std::mem::take(&mut ex.filename);
    let whole = name.len();
    if dir.and_then(|dir| dir.use_path_info) == Some(true) {
        name.extend_from_slice(&ex.path_info);
    }
    let last = memchr::memrchr(b'/', &name).map_or(0, |at| at + 1);
    apply_extensions(ex, name.get(last..).unwrap_or_default(), dir, types);
    name.truncate(whole);
    ex.filename = name;
    if ex.content_languages.is_empty()
        && let Some(language) = dir.and_then(|dir| dir.default_language.as_ref())
    {
        ex.content_languages.push(language.clone());
    }
    if ex.content_type.is_empty() { Outcome::Declined } else { Outcome::Ok }
}

fn apply_extensions(ex: &mut Exchange, name: &[u8], dir: Option<&MimeDir>, types: Option<&Map<Arc<Media>>>) {
    // Leading dots belong to the base name, which is never an extension.
    let dots = name.iter().take_while(|byte| **byte == b'.').count();
    let base = memchr::memchr(b'.', name.get(dots..).unwrap_or_default());
    let Some(rest) = base.and_then(|at| name.get(dots + at + 1..)) else { return };
    let mut media: Option<&Media> = None;
    let mut charset: Option<&[u8]> = None;
    for extension in rest.split(|byte| *byte == b'.') {
        let mut lower = [0; EXTENSION_MAX];
        let Some(lower) = lower.get_mut(..extension.len()).filter(|lower| !lower.is_empty()) else { continue };
        lower.copy_from_slice(extension);
        lower.make_ascii_lowercase();
        let own = dir.and_then(|dir| dir.extensions.get(&*lower));
        if let Some(found) = own.and_then(|own| own.media.as_ref()).or_else(|| types?.get(&*lower)) {
            media = Some(found);
        }
        let Some(own) = own else { continue };
        charset = own.charset.as_deref().or(charset);
        if let Some(language) = &own.language {
            ex.content_languages.push(language.clone());
        }
        if let Some(encoding) = &own.encoding {
            if !ex.content_encoding.is_empty() {
                ex.content_encoding.extend_from_slice(b", ");
            }
            ex.content_encoding.extend_from_slice(encoding);
        }
        if let Some(handler) = own.handler.as_ref().filter(|_| ex.proxyreq == ProxyKind::None) {
            handler.clone_into(&mut ex.handler);
        }
        if let Some(names) = own.input_filters.as_ref().filter(|_| ex.proxyreq == ProxyKind::None) {
            crate::modules::filter::plan_input_names(ex, names);
        }
        if let Some(names) = own.output_filters.as_ref().filter(|_| ex.proxyreq == ProxyKind::None) {
            crate::modules::filter::plan_names(ex, names);
        }
    }
    match media {
        Some(media) => {
            ex.content_type.clear();
            media.push(charset, &mut ex.content_type);
        }
        // A type that somebody else set gets the charset too.
        None if charset.is_some() && !ex.content_type.is_empty() => {
            let given = Media::new(&ex.content_type);
            ex.content_type.clear();
            given.push(charset, &mut ex.content_type);
        }
        None => {}
    }
}

/// The parts of a file's name that say nothing of its content, its base name first: whoever is served that file by
/// content negotiation has to have named them. `None` if no part says anything.
pub(super) fn unknown_parts(ex: &Exchange) -> Option<Vec<&[u8]>> {
    use multiviews::{ANY, FILTERS, HANDLERS};
    let dir = ex.dir::<MimeDir>();
    let types = ex.live.generation.globals.conf.get::<MimeProcess>().map(|process| &*process.types);
    let matching = dir.and_then(|dir| dir.multiviews).unwrap_or(0);
    let last = memchr::memrchr(b'/', &ex.filename).map_or(0, |at| at + 1);
    let name = ex.filename.get(last..)?;
    let dots = name.iter().take_while(|byte| **byte == b'.').count();
    let base = memchr::memchr(b'.', name.get(dots..)?).map_or(name.len(), |at| dots + at);
    let mut unknown = vec![name.get(..base)?];
    let mut known = false;
    for extension in name.get(base + 1..).unwrap_or_default().split(|byte| *byte == b'.') {
        if extension.is_empty() {
            continue;
        }
        let lower = extension.to_ascii_lowercase();
        let own = dir.and_then(|dir| dir.extensions.get(&lower));
        let forced = own.and_then(|own| own.media.as_ref());
        let media = match forced {
            Some(media) => !media.text.is_empty(),
            None => types.is_some_and(|types| types.contains_key(&lower)),
        };
        let says = media
            || matching & ANY != 0
            || own.is_some_and(|own| {
                let handler = own.handler.is_some() && matching & HANDLERS != 0;
                let filters = own.input_filters.is_some() || own.output_filters.is_some();
                let described = own.charset.is_some() || own.language.is_some() || own.encoding.is_some();
                described || handler || (filters && matching & FILTERS != 0)
            });
        known |= says;
        if !says {
            unknown.push(extension);
        }
    }
    known.then_some(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_files_are_read_by_words() {
        let types = parse_types(b"# c\ntext/html html HTM\n\n  text/one multi\ntext/two multi\nnothing\n");
        let text = |name: &str| types.get(name.as_bytes()).map(|media| String::from_utf8(media.text.clone()).unwrap());
        assert_eq!(text("htm").as_deref(), Some("text/html"));
        assert_eq!(text("multi").as_deref(), Some("text/two"));
        assert_eq!(types.len(), 3);
    }

    #[test]
    fn removing_takes_effect_on_what_the_outer_scope_says() {
        let named = |handler: Option<&[u8]>, encoding: Option<&[u8]>| Extension {
            handler: handler.map(<[u8]>::to_vec),
            encoding: encoding.map(<[u8]>::to_vec),
            ..Extension::default()
        };
        let mut outer = MimeDir::default();
        outer.extensions.insert(b"x".to_vec(), named(Some(b"outer"), Some(b"gzip")));
        let mut inner = MimeDir { removed: vec![(Removed::Handler, b"x".to_vec())], ..MimeDir::default() };
        inner.extensions.insert(b"x".to_vec(), named(Some(b"inner"), None));
        let merged = MimeDir::merge(&outer, &inner);
        let x = merged.extensions.get(b"x".as_slice()).unwrap();
        // Remove comes after all Add of its scope.
        assert_eq!((x.handler.as_deref(), x.encoding.as_deref()), (None, Some(&b"gzip"[..])));
    }

    #[test]
    fn extension_names_lose_their_dot_and_case() {
        assert_eq!(extension_name(b".GZ"), b"gz");
        assert_eq!(extension_name(b"tar.gz"), b"tar.gz");
    }
}
