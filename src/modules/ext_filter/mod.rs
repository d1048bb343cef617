//! `mod_ext_filter.c`: bodies that pass through a program, both ways.
//!
//! A program has the request's environment, is read and written in turn without holding up anybody else, and ends with
//! its request. One that fails takes the response with it: a 500, or a cut connection where some of it is out already;
//! httpd sends what the program has not taken as it is. As a provider of mod_filter it works like any other filter,
//! where httpd finds no definition of it and answers with a 500.

mod run;

use std::sync::Arc;

use crate::config::{Args, Cmd, Conf, Directive, Globals, ModuleRow, Places, Shape, inner_or_outer, latin1, row};
use crate::modules::rows::nothing;
use crate::modules::{check, slot};
use crate::pipe::Module;

pub use run::{start, start_input};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "ext_filter_module",
        file: "mod_ext_filter.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Which way the body goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// To the handler.
    Input,
    /// To the client.
    #[default]
    Output,
}

/// Values per directory.
#[derive(Clone, Default)]
struct ExtFilterDir {
    /// LogStderr.
    log_errors: Option<bool>,
    /// Onfail=remove: a program that cannot be started is left out.
    remove: Option<bool>,
}

impl Conf for ExtFilterDir {
    const SLOT: usize = slot::EXT_FILTER + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; log_errors, remove)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ExtFilterOptions", Places::DIR, Shape::Iterate, options, "valid options: LogStderr, NoLogStderr"),
    row("ExtFilterDefine", Places::SERVER, Shape::Raw, define, "Define an external filter"),
];

/// Filters that `ExtFilterDefine` made.
#[derive(Clone, Debug, Default)]
struct Defined(Vec<Arc<External>>);

impl Conf for Defined {
    const SLOT: usize = slot::EXT_FILTER + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// A program that is a filter.
#[derive(Debug)]
struct External {
    name: Vec<u8>,
    mode: Mode,
    rank: i16,
    /// Only with this variable.
    enabled_by: Option<Vec<u8>>,
    /// Only without this variable.
    disabled_by: Option<Vec<u8>>,
    /// Only for bodies of this type.
    intype: Option<Vec<u8>>,
    /// The type of what comes out.
    outtype: Option<Vec<u8>>,
    keeps_length: bool,
    /// The program and its words.
    argv: Vec<Vec<u8>>,
}

/// Where a filter is found.
pub(super) struct Found {
    /// As what it is handed to [`start`].
    pub(super) which: usize,
    /// Its place among filters.
    pub(super) rank: i16,
}

/// The filter of this name and mode.
pub(super) fn find(globals: &Globals, name: &[u8], mode: Mode) -> Option<Found> {
    let defined = globals.conf.get::<Defined>()?;
    let which = defined.0.iter().position(|known| known.mode == mode && known.name.eq_ignore_ascii_case(name))?;
    defined.0.get(which).map(|known| Found { which, rank: known.rank })
}

fn external(globals: &Globals, which: usize) -> Option<Arc<External>> {
    globals.conf.get::<Defined>()?.0.get(which).cloned()
}

/// `ExtFilterOptions`, one word at a time.
fn options(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let word = args.text(0).to_ascii_lowercase();
    let conf = cmd.dir_conf::<ExtFilterDir>();
    match word.as_str() {
        "logstderr" => conf.log_errors = Some(true),
        "nologstderr" => conf.log_errors = Some(false),
        "onfail=remove" => conf.remove = Some(true),
        "onfail=abort" => conf.remove = Some(false),
        _ if word.starts_with("debuglevel=") => {}
        _ => return Err(format!("Invalid ExtFilterOptions option: {}", args.text(0))),
    }
    Ok(())
}

/// `ExtFilterDefine name key=value ...`.
fn define(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let (name, rest) = args.raw.split_at(args.raw.iter().position(u8::is_ascii_whitespace).unwrap_or(args.raw.len()));
    let (name, mut rest) = (name.to_vec(), rest.trim_ascii_start());
    let defined = cmd.globals.conf.get::<Defined>();
    if defined.is_some_and(|defined| defined.0.iter().any(|known| known.name.eq_ignore_ascii_case(&name))) {
        return Err(format!("ExtFilter {} is already defined", latin1(&name)));
    }
    let mut made = External {
        name,
        mode: Mode::Output,
        rank: 10,
        enabled_by: None,
        disabled_by: None,
        intype: None,
        outtype: None,
        keeps_length: false,
        argv: Vec::new(),
    };
    while !rest.is_empty() {
        let keys =
            ["preservescontentlength", "mode=", "ftype=", "enableenv=", "disableenv=", "intype=", "outtype=", "cmd="];
        let lower = rest.to_ascii_lowercase();
        let Some(key) = keys.iter().find(|key| lower.starts_with(key.as_bytes())) else {
            return Err(format!("Unexpected parameter: `{}'", latin1(rest)));
        };
        let value = rest.get(key.len()..).unwrap_or_default();
        if *key == "cmd=" {
            (made.argv, rest) = command(value)?;
            continue;
        }
        let (word, behind) = value.split_at(value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len()));
        let word = word.to_vec();
        rest = behind.trim_ascii_start();
        match *key {
            "mode=" if word.eq_ignore_ascii_case(b"input") => made.mode = Mode::Input,
            "mode=" if word.eq_ignore_ascii_case(b"output") => made.mode = Mode::Output,
            "mode=" => return Err(format!("Invalid mode: `{}'", latin1(&word))),
            "ftype=" => made.rank = i16::try_from(check::number(&word)).unwrap_or(10),
            "enableenv=" => made.enabled_by = Some(word),
            "disableenv=" => made.disabled_by = Some(word),
            "intype=" => made.intype = Some(word),
            "outtype=" => made.outtype = Some(word),
            _ if word.is_empty() => made.keeps_length = true,
            _ => return Err(format!("mangled argument `{key}{}'", latin1(&word))),
        }
    }
    cmd.globals.conf.get_mut::<Defined>().0.push(Arc::new(made));
    Ok(())
}

/// The words of `cmd=`, and what is behind it: one word, or several in quotes.
fn command(text: &[u8]) -> Result<(Vec<Vec<u8>>, &[u8]), String> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return Ok((vec![word.to_vec()], rest.trim_ascii_start()));
    };
    let mut escaped = false;
    let end = quoted.iter().position(|byte| match (byte, escaped) {
        (b'"', false) => true,
        (byte, _) => {
            escaped = *byte == b'\\' && !escaped;
            false
        }
    });
    let Some(end) = end else { return Err("Expected cmd= delimiter".to_owned()) };
    let argv = words(quoted.get(..end).unwrap_or_default());
    if argv.is_empty() {
        return Err("Invalid cmd= parameter".to_owned());
    }
    Ok((argv, quoted.get(end + 1..).unwrap_or_default().trim_ascii_start()))
}

/// Words between blanks; quotes of both kinds hold blanks, a backslash in front of a quote makes it a letter.
fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let (mut quote, mut open) = (None, false);
    let mut rest = text.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let letter = match byte {
            b'\\' if matches!(rest.peek(), Some(b'"' | b'\'' | b'\\')) => rest.next().unwrap_or(byte),
            _ if quote == Some(byte) => {
                quote = None;
                continue;
            }
            b'"' | b'\'' if quote.is_none() => {
                quote = Some(byte);
                if !std::mem::replace(&mut open, true) {
                    words.push(Vec::new());
                }
                continue;
            }
            _ if byte.is_ascii_whitespace() && quote.is_none() => {
                open = false;
                continue;
            }
            _ => byte,
        };
        if !std::mem::replace(&mut open, true) {
            words.push(Vec::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_apart() {
        let shown = |text: &[u8]| {
            command(text).map(|(argv, rest)| (argv.iter().map(|word| latin1(word)).collect::<Vec<_>>(), latin1(rest)))
        };
        assert_eq!(shown(b"/bin/cat mode=x").unwrap(), (vec!["/bin/cat".to_owned()], "mode=x".to_owned()));
        let (argv, rest) = shown(br#""/bin/sh -c 'cat; echo \"a b\"' x\'y" ftype=3"#).unwrap();
        assert_eq!((argv.join("|"), rest), (r#"/bin/sh|-c|cat; echo "a b"|x'y"#.to_owned(), "ftype=3".to_owned()));
        assert_eq!(shown(br#""/bin/cat"#).unwrap_err(), "Expected cmd= delimiter");
        assert_eq!(shown(br#""" mode=x"#).unwrap_err(), "Invalid cmd= parameter");
        assert_eq!(shown(b"").unwrap(), (vec![String::new()], String::new()));
    }
}
