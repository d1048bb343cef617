//! `mod_autoindex.c`: a listing of a directory that has no index file.

use crate::config::core::{CoreDir, options};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, inner_or_outer, row};
use crate::logs::{self, Bytes, Level};
use crate::modules::core::server::atoi;
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::media::DIRECTORY;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, Wire};

mod entry;
mod list;
mod order;
mod page;
mod rules;

pub(super) use list::size as short_size;
use rules::{By, Description, Rule};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "autoindex_module",
        file: "mod_autoindex.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// `IndexOptions` as bits.
mod option {
    pub(super) const NONE: u32 = 1;
    pub(super) const FANCY: u32 = 1 << 1;
    pub(super) const TABLE: u32 = 1 << 2;
    pub(super) const ICONS_ARE_LINKS: u32 = 1 << 3;
    pub(super) const SCAN_TITLES: u32 = 1 << 4;
    pub(super) const NO_ICON: u32 = 1 << 5;
    pub(super) const NO_MODIFIED: u32 = 1 << 6;
    pub(super) const NO_SIZE: u32 = 1 << 7;
    pub(super) const NO_DESCRIPTION: u32 = 1 << 8;
    pub(super) const NO_PREAMBLE: u32 = 1 << 9;
    pub(super) const NO_SORTING: u32 = 1 << 10;
    pub(super) const NO_RULES: u32 = 1 << 11;
    pub(super) const FOLDERS_FIRST: u32 = 1 << 12;
    pub(super) const VERSION_SORT: u32 = 1 << 13;
    pub(super) const TRACK_MODIFIED: u32 = 1 << 14;
    pub(super) const IGNORE_CLIENT: u32 = 1 << 15;
    pub(super) const IGNORE_CASE: u32 = 1 << 16;
    pub(super) const XHTML: u32 = 1 << 17;
    pub(super) const SHOW_FORBIDDEN: u32 = 1 << 18;
    pub(super) const ALT_CLASS: u32 = 1 << 19;
    pub(super) const OLD_DATES: u32 = 1 << 20;

    /// The words that are a bit and nothing else.
    pub(super) const WORDS: &[(&str, u32)] = &[
        ("FancyIndexing", FANCY),
        ("FoldersFirst", FOLDERS_FIRST),
        ("HTMLTable", TABLE),
        ("IconsAreLinks", ICONS_ARE_LINKS),
        ("IgnoreCase", IGNORE_CASE),
        ("IgnoreClient", IGNORE_CLIENT),
        ("ScanHTMLTitles", SCAN_TITLES),
        ("SuppressColumnSorting", NO_SORTING),
        ("SuppressDescription", NO_DESCRIPTION),
        ("SuppressHTMLPreamble", NO_PREAMBLE),
        ("SuppressIcon", NO_ICON),
        ("SuppressLastModified", NO_MODIFIED),
        ("SuppressSize", NO_SIZE),
        ("SuppressRules", NO_RULES),
        ("TrackModified", TRACK_MODIFIED),
        ("VersionSort", VERSION_SORT),
        ("XHTML", XHTML),
        ("ShowForbidden", SHOW_FORBIDDEN),
        ("AddAltClass", ALT_CLASS),
        ("UseOldDateFormat", OLD_DATES),
    ];
}

/// `NameWidth` and `DescriptionWidth`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    /// This many characters.
    Fixed(i64),
    /// As wide as the widest.
    Widest,
}

/// Widths without a directive.
const DEFAULT_WIDTH: i64 = 23;

/// Options of one scope.
#[derive(Clone, Copy, Default)]
struct Options {
    bits: u32,
    add: u32,
    remove: u32,
}

impl Options {
    fn over(self, base: Self) -> Self {
        if self.bits & option::NONE != 0 {
            return Self { bits: option::NONE, add: option::NONE, remove: option::NONE };
        }
        let mut merged = Self { bits: self.bits, add: 0, remove: 0 };
        if self.bits == 0 {
            merged.add = (base.add | self.add) & !self.remove;
            merged.remove = base.remove | self.remove;
            merged.bits = base.bits & !option::NONE;
        }
        merged.bits = (merged.bits | merged.add) & !merged.remove;
        merged
    }
}

/// Values per directory; lists hold the inner scope's entries first.
#[derive(Clone, Default)]
struct IndexDir {
    options: Options,
    icon_width: Option<i64>,
    icon_height: Option<i64>,
    name_width: Option<Width>,
    description_width: Option<Width>,
    default_icon: Option<Vec<u8>>,
    style_sheet: Option<Vec<u8>>,
    head_insert: Option<Vec<u8>>,
    media: Option<Vec<u8>>,
    charset: Option<Vec<u8>>,
    key: Option<u8>,
    direction: Option<u8>,
    icons: Vec<Rule>,
    alts: Vec<Rule>,
    descriptions: Vec<Description>,
    ignored: Vec<Rule>,
    ignore_anew: bool,
    headers: Vec<Rule>,
    readmes: Vec<Rule>,
}

impl Conf for IndexDir {
    const SLOT: usize = slot::AUTOINDEX + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        fn joined<T: Clone>(add: &[T], base: &[T]) -> Vec<T> {
            add.iter().chain(base).cloned().collect()
        }
        inner_or_outer!(
            base, add; icon_width, icon_height, name_width, description_width, default_icon, style_sheet, head_insert,
            media, charset, key, direction;
            options: add.options.over(base.options),
            icons: joined(&add.icons, &base.icons),
            alts: joined(&add.alts, &base.alts),
            descriptions: joined(&add.descriptions, &base.descriptions),
            ignored: if add.ignore_anew { add.ignored.clone() } else { joined(&add.ignored, &base.ignored) },
            ignore_anew: add.ignore_anew,
            headers: joined(&add.headers, &base.headers),
            readmes: joined(&add.readmes, &base.readmes)
        )
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AddIcon", Places::INDEXES, Shape::Iterate2, |cmd, args| add_icon(cmd, args, By::Path), "an icon URL followed by one or more filenames"),
    row("AddIconByType", Places::INDEXES, Shape::Iterate2, |cmd, args| add_icon(cmd, args, By::Type), "an icon URL followed by one or more MIME types"),
    row("AddIconByEncoding", Places::INDEXES, Shape::Iterate2, |cmd, args| add_icon(cmd, args, By::Encoding), "an icon URL followed by one or more content encodings"),
    row("AddAlt", Places::INDEXES, Shape::Iterate2, |cmd, args| add_alt(cmd, args.word(0), args.word(1), By::Path), "alternate descriptive text followed by one or more filenames"),
    row("AddAltByType", Places::INDEXES, Shape::Iterate2, |cmd, args| add_alt(cmd, args.word(0), args.word(1), By::Type), "alternate descriptive text followed by one or more MIME types"),
    row("AddAltByEncoding", Places::INDEXES, Shape::Iterate2, |cmd, args| add_alt(cmd, args.word(0), args.word(1), By::Encoding), "alternate descriptive text followed by one or more content encodings"),
    row("IndexOptions", Places::INDEXES, Shape::Argv, index_options, "one or more index options [+|-][]"),
    row("IndexOrderDefault", Places::INDEXES, Shape::Take2, order_default, "{Ascending,Descending} {Name,Size,Description,Date}"),
    row("IndexIgnore", Places::INDEXES, Shape::Iterate, index_ignore, "one or more file extensions"),
    row("IndexIgnoreReset", Places::INDEXES, Shape::Flag, ignore_reset, "Reset the inherited list of IndexIgnore filenames"),
    row("AddDescription", Places::INDEXES, Shape::Iterate2, add_description, "Descriptive text followed by one or more filenames"),
    row("HeaderName", Places::INDEXES, Shape::Take1, header_name, "a filename"),
    row("ReadmeName", Places::INDEXES, Shape::Take1, readme_name, "a filename"),
    row("FancyIndexing", Places::ALL, Shape::Raw, fancy_indexing, "The FancyIndexing directive is no longer supported. Use IndexOptions FancyIndexing."),
    row("DefaultIcon", Places::INDEXES, Shape::Take1, default_icon, "an icon URL"),
    row("IndexStyleSheet", Places::INDEXES, Shape::Take1, style_sheet, "URL to style sheet"),
    row("IndexHeadInsert", Places::INDEXES, Shape::Take1, head_insert, "String to insert in HTML HEAD section"),
];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(handle) }];

type Done = Result<(), String>;

/// A rule for this section.
fn rule(cmd: &Cmd<'_>, by: By, to: &[u8], value: &[u8]) -> Rule {
    Rule::new(by, to, cmd.section_path.unwrap_or_default(), value)
}

/// The name that rules use for directories, with its old spelling.
fn target(by: By, to: &[u8]) -> &[u8] {
    if by == By::Path && to == b"**DIRECTORY**" { rules::DIRECTORY } else { to }
}

fn add_icon(cmd: &mut Cmd<'_>, args: &Args<'_>, by: By) -> Done {
    let (mut icon, to) = (args.word(0), target(by, args.word(1)));
    if let Some(inner) = icon.strip_prefix(b"(") {
        let end = memchr::memchr(b')', inner).ok_or("missing closing paren")?;
        let comma = memchr::memchr(b',', inner).unwrap_or(inner.len());
        add_alt(cmd, inner.get(..comma).unwrap_or_default(), to, by)?;
        let start = (comma + 1).min(end);
        icon = inner.get(start..end).unwrap_or_default();
    }
    let rule = rule(cmd, by, to, icon);
    cmd.dir_conf::<IndexDir>().icons.push(rule);
    Ok(())
}

fn add_alt(cmd: &mut Cmd<'_>, alt: &[u8], to: &[u8], by: By) -> Done {
    let to = if by == By::Encoding { to.to_ascii_lowercase() } else { target(by, to).to_vec() };
    let rule = rule(cmd, by, &to, alt);
    cmd.dir_conf::<IndexDir>().alts.push(rule);
    Ok(())
}

fn add_description(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let description = Description::new(args.word(1), args.word(0));
    cmd.dir_conf::<IndexDir>().descriptions.push(description);
    Ok(())
}

fn index_ignore(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let rule = rule(cmd, By::Path, args.word(0), b"");
    cmd.dir_conf::<IndexDir>().ignored.push(rule);
    Ok(())
}

fn ignore_reset(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<IndexDir>().ignore_anew = args.on();
    Ok(())
}

fn header_name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let rule = Rule::everywhere(args.word(0));
    cmd.dir_conf::<IndexDir>().headers.push(rule);
    Ok(())
}

fn readme_name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let rule = Rule::everywhere(args.word(0));
    cmd.dir_conf::<IndexDir>().readmes.push(rule);
    Ok(())
}

fn fancy_indexing(_: &mut Cmd<'_>, _: &Args<'_>) -> Done {
    Err("The FancyIndexing directive is no longer supported. Use IndexOptions FancyIndexing.".to_owned())
}

fn default_icon(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<IndexDir>().default_icon = Some(args.word(0).to_vec());
    Ok(())
}

fn style_sheet(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<IndexDir>().style_sheet = Some(args.word(0).to_vec());
    Ok(())
}

fn head_insert(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<IndexDir>().head_insert = Some(args.word(0).to_vec());
    Ok(())
}

fn order_default(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let direction = match args.word(0).to_ascii_lowercase().as_slice() {
        b"ascending" => b'A',
        b"descending" => b'D',
        _ => return Err("First keyword must be 'Ascending' or 'Descending'".to_owned()),
    };
    let key = match args.word(1).to_ascii_lowercase().as_slice() {
        b"name" => b'N',
        b"date" => b'M',
        b"size" => b'S',
        b"description" => b'D',
        _ => return Err("Second keyword must be 'Name', 'Date', 'Size', or 'Description'".to_owned()),
    };
    let conf = cmd.dir_conf::<IndexDir>();
    (conf.direction, conf.key) = (Some(direction), Some(key));
    Ok(())
}

fn index_options(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let conf = cmd.dir_conf::<IndexDir>();
    let mut set = conf.options;
    for word in args.words {
        let (sign, word) = match word.split_first() {
            Some((sign @ (b'+' | b'-'), word)) => (Some(*sign), word),
            _ => (None, *word),
        };
        let bit = match option::WORDS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word)) {
            Some((_, bit)) => *bit,
            None if word.eq_ignore_ascii_case(b"none") => {
                if sign.is_some() {
                    return Err("Cannot combine '+' or '-' with 'None' keyword".to_owned());
                }
                set = Options { bits: option::NONE, add: 0, remove: 0 };
                0
            }
            None => {
                value_option(conf, word, sign == Some(b'-'))?;
                0
            }
        };
        match sign {
            None => set = Options { bits: set.bits | bit, add: 0, remove: 0 },
            Some(b'+') => set = Options { bits: set.bits, add: set.add | bit, remove: set.remove & !bit },
            Some(_) => set = Options { bits: set.bits, add: set.add & !bit, remove: set.remove | bit },
        }
    }
    if set.bits & option::NONE != 0 && set.bits != option::NONE {
        return Err("Cannot combine other IndexOptions keywords with 'None'".to_owned());
    }
    cmd.dir_conf::<IndexDir>().options = set;
    Ok(())
}

/// The options that are, or may have, a value.
fn value_option(conf: &mut IndexDir, word: &[u8], minus: bool) -> Done {
    let (name, value) = match memchr::memchr(b'=', word) {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    };
    let name = name.to_ascii_lowercase();
    if minus && value.is_some() {
        let shown = match name.as_slice() {
            b"iconwidth" => "IconWidth",
            b"iconheight" => "IconHeight",
            b"namewidth" => "NameWidth",
            b"descriptionwidth" => "DescriptionWidth",
            _ => "",
        };
        if !shown.is_empty() {
            return Err(format!("Cannot combine '-' with {shown}=n"));
        }
    }
    match (name.as_slice(), value) {
        (b"iconwidth", None) => conf.icon_width = if minus { None } else { Some(20) },
        (b"iconwidth", Some(value)) => conf.icon_width = Some(atoi(value)),
        (b"iconheight", None) => conf.icon_height = if minus { None } else { Some(22) },
        (b"iconheight", Some(value)) => conf.icon_height = Some(atoi(value)),
        (b"namewidth", value) => conf.name_width = Some(width(value, minus, "NameWidth", 5)?),
        (b"descriptionwidth", value) => conf.description_width = Some(width(value, minus, "DescriptionWidth", 12)?),
        (b"type", Some(value)) => conf.media = Some(value.to_vec()),
        (b"charset", Some(value)) => conf.charset = Some(value.to_vec()),
        _ => return Err("Invalid directory indexing option".to_owned()),
    }
    Ok(())
}

fn width(value: Option<&[u8]>, minus: bool, name: &str, least: i64) -> Result<Width, String> {
    match value {
        None if minus => Ok(Width::Fixed(DEFAULT_WIDTH)),
        None => Err(format!("{name} with no value may only appear as '-{name}'")),
        Some([b'*', ..]) => Ok(Width::Widest),
        Some(value) => {
            let width = atoi(value);
            if width != 0 && width < least {
                return Err(format!("{name} value must be greater than {least}"));
            }
            Ok(Width::Fixed(width))
        }
    }
}

/// Answers for a directory.
fn handle<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if ex.handler != DIRECTORY || !ex.finfo.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        return pipe::declined();
    }
    pipe::allow(ex, &[b"GET"]);
    if ex.method != b"GET" && ex.method != b"HEAD" {
        return pipe::declined();
    }
    Box::pin(async move {
        let allowed = ex.dir::<CoreDir>().map(|dir| dir.options).unwrap_or_default();
        if !allowed.has(options::INDEXES) {
            let (name, names) = (Bytes(&ex.filename), Bytes(ex.notes.get(b"dir-index-names").unwrap_or(b"none")));
            logs::error!(
                ex,
                Level::Error,
                "autoindex",
                "AH01276: Cannot serve directory {}: No matching DirectoryIndex ({}) found, and server-generated \
                 directory index forbidden by Options directive",
                name,
                names
            );
            return Outcome::Status(403);
        }
        if let Err(fault) = pipe::drain(wire).await {
            return pipe::body_fault(ex, fault);
        }
        if ex.filename.last() != Some(&b'/') {
            ex.filename.push(b'/');
        }
        page::serve(ex, wire).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_inherited_only_by_signed_ones() {
        let base = Options { bits: option::FANCY, add: 0, remove: 0 };
        let signed = Options { bits: 0, add: option::TABLE, remove: option::FANCY };
        assert_eq!(signed.over(base).bits, option::TABLE);
        let plain = Options { bits: option::XHTML, add: 0, remove: 0 };
        assert_eq!(plain.over(base).bits, option::XHTML);
        let none = Options { bits: option::NONE, add: 0, remove: 0 };
        assert_eq!(none.over(base).bits, option::NONE);
        assert_eq!(signed.over(none).bits & option::NONE, 0);
    }

    #[test]
    fn widths_have_a_least_value() {
        assert!(width(Some(b"3"), false, "NameWidth", 5).is_err());
        assert!(matches!(width(Some(b"*"), false, "NameWidth", 5), Ok(Width::Widest)));
        assert!(matches!(width(None, true, "NameWidth", 5), Ok(Width::Fixed(23))));
        assert!(width(None, false, "NameWidth", 5).is_err());
    }
}
