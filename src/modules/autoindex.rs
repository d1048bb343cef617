//! `mod_autoindex.c`.

use crate::config::{Args, Cmd, Directive, ModuleRow, Places, Shape, latin1, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "autoindex_module",
        file: "mod_autoindex.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AddIcon", Places::INDEXES, Shape::Iterate2, icon, "an icon URL followed by one or more filenames").missing(),
    row("AddIconByType", Places::INDEXES, Shape::Iterate2, icon, "an icon URL followed by one or more MIME types").missing(),
    row("AddIconByEncoding", Places::INDEXES, Shape::Iterate2, icon, "an icon URL followed by one or more content encodings").missing(),
    row("AddAlt", Places::INDEXES, Shape::Iterate2, accept, "alternate descriptive text followed by one or more filenames").missing(),
    row("AddAltByType", Places::INDEXES, Shape::Iterate2, accept, "alternate descriptive text followed by one or more MIME types").missing(),
    row("AddAltByEncoding", Places::INDEXES, Shape::Iterate2, accept, "alternate descriptive text followed by one or more content encodings").missing(),
    row("IndexOptions", Places::INDEXES, Shape::Argv, options, "one or more index options [+|-][]").missing(),
    row("IndexOrderDefault", Places::INDEXES, Shape::Take2, order, "{Ascending,Descending} {Name,Size,Description,Date}").missing(),
    row("IndexIgnore", Places::INDEXES, Shape::Iterate, accept, "one or more file extensions").missing(),
    row("IndexIgnoreReset", Places::INDEXES, Shape::Flag, accept, "Reset the inherited list of IndexIgnore filenames").missing(),
    row("AddDescription", Places::INDEXES, Shape::Iterate2, accept, "Descriptive text followed by one or more filenames").missing(),
    row("HeaderName", Places::INDEXES, Shape::Take1, accept, "a filename").missing(),
    row("ReadmeName", Places::INDEXES, Shape::Take1, accept, "a filename").missing(),
    row("FancyIndexing", Places::ALL, Shape::Raw, check::gone, "The FancyIndexing directive is no longer supported. Use IndexOptions FancyIndexing.").missing(),
    row("DefaultIcon", Places::INDEXES, Shape::Take1, accept, "an icon URL").missing(),
    row("IndexStyleSheet", Places::INDEXES, Shape::Take1, accept, "URL to style sheet").missing(),
    row("IndexHeadInsert", Places::INDEXES, Shape::Take1, accept, "String to insert in HTML HEAD section").missing(),
];

/// Keywords of `IndexOptions` that stand alone.
const KEYWORDS: &[&str] = &[
    "FancyIndexing",
    "FoldersFirst",
    "HTMLTable",
    "IconsAreLinks",
    "IgnoreCase",
    "IgnoreClient",
    "ScanHTMLTitles",
    "SuppressIcon",
    "SuppressLastModified",
    "SuppressSize",
    "SuppressDescription",
    "SuppressHTMLPreamble",
    "SuppressColumnSorting",
    "SuppressRules",
    "VersionSort",
    "TrackModified",
    "XHTML",
    "ShowForbidden",
    "AddAltClass",
    "UseOldDateFormat",
    "None",
];

/// `IndexOptions`.
fn options(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let mut others = false;
    let mut none = false;
    for word in args.words {
        let (minus, name) = match word.split_first() {
            Some((b'-', name)) => (true, name),
            Some((b'+', name)) => (false, name),
            _ => (false, *word),
        };
        if KEYWORDS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name)) {
            if name.eq_ignore_ascii_case(b"None") {
                none = true;
            } else {
                others = true;
            }
            if none && others {
                return Err("Cannot combine other IndexOptions keywords with 'None'".to_owned());
            }
            continue;
        }
        others = true;
        let (key, value) = match memchr::memchr(b'=', name) {
            Some(at) => (&name[..at], Some(&name[at + 1..])),
            None => (name, None),
        };
        let key = latin1(&key.to_ascii_lowercase());
        let known = match key.as_str() {
            "iconwidth" => "IconWidth",
            "iconheight" => "IconHeight",
            "namewidth" => "NameWidth",
            "descriptionwidth" => "DescriptionWidth",
            "type" | "charset" if value.is_some() => continue,
            _ => return Err("Invalid directory indexing option".to_owned()),
        };
        let Some(value) = value else { continue };
        if minus {
            return Err(format!("Cannot combine '-' with {known}=n"));
        }
        let least = match known {
            "NameWidth" => 5,
            "DescriptionWidth" => 12,
            _ => continue,
        };
        if value != b"*" && check::number(value) < least {
            return Err(format!("{known} value must be greater than {least}"));
        }
    }
    Ok(())
}

/// `IndexOrderDefault`.
fn order(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0).to_ascii_lowercase();
    if word != b"ascending" && word != b"descending" {
        return Err("First keyword must be 'Ascending' or 'Descending'".to_owned());
    }
    let word = args.word(1).to_ascii_lowercase();
    match word.as_slice() {
        b"name" | b"date" | b"size" | b"description" => Ok(()),
        _ => Err("Second keyword must be 'Name', 'Date', 'Size', or 'Description'".to_owned()),
    }
}

/// `AddIcon`: `(text,URL)` or a URL.
fn icon(_: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.word(0);
    if word.first() != Some(&b'(') {
        return Ok(());
    }
    if word.last() != Some(&b')') {
        return Err("missing closing paren".to_owned());
    }
    if !word.contains(&b',') {
        return Err("missing alternate text".to_owned());
    }
    Ok(())
}
