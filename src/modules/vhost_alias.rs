//! `mod_vhost_alias.c`: document roots made of the host's name.

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Server, Shape, Slots, inner_or_outer, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run, names};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "vhost_alias_module",
        file: "mod_vhost_alias.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// What a path is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Name,
    Address,
}

/// A path with the host in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Root {
    parts: Vec<Part>,
    source: Source,
}

/// A piece of such a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Port,
    /// `%N.M`: a part of the name, and a letter of it.
    Piece(Pick, Pick),
}

/// `-N+`: which one, counted from which end, and whether all to that side are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pick {
    number: usize,
    from_end: bool,
    plus: bool,
}

/// Values per server; the inner `None` is `none`.
#[derive(Clone, Default)]
struct VhostAlias {
    documents: Option<Option<Root>>,
    scripts: Option<Option<Root>>,
}

impl Conf for VhostAlias {
    const SLOT: usize = slot::VHOST_ALIAS;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; documents, scripts)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("VirtualScriptAlias", Places::SERVER, Shape::Take1, |cmd, args| set(cmd, args, Source::Name, true), "how to create a ScriptAlias based on the host"),
    row("VirtualDocumentRoot", Places::SERVER, Shape::Take1, |cmd, args| set(cmd, args, Source::Name, false), "how to create the DocumentRoot based on the host"),
    row("VirtualScriptAliasIP", Places::SERVER, Shape::Take1, |cmd, args| set(cmd, args, Source::Address, true), "how to create a ScriptAlias based on the host"),
    row("VirtualDocumentRootIP", Places::SERVER, Shape::Take1, |cmd, args| set(cmd, args, Source::Address, false), "how to create the DocumentRoot based on the host"),
];

/// The hooks. Behind mod_alias and mod_userdir.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Translate, order: 2, wants, run: Run::Now(translate) }];

fn wants(server: &Server, _: &Slots) -> bool {
    server.get::<VhostAlias>().is_some()
}

fn set(cmd: &mut Cmd<'_>, args: &Args<'_>, source: Source, scripts: bool) -> Result<(), String> {
    let text = args.word(0);
    let root = if text.first() == Some(&b'/') {
        Some(Root { parts: parse(text).ok_or("syntax error in format string")?, source })
    } else if text.eq_ignore_ascii_case(b"none") {
        None
    } else {
        return Err("format string must be an absolute path, or 'none'".to_owned());
    };
    let conf = cmd.server_conf::<VhostAlias>();
    *(if scripts { &mut conf.scripts } else { &mut conf.documents }) = Some(root);
    Ok(())
}

fn parse(text: &[u8]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            plain.push(*byte);
            continue;
        }
        match rest.split_first() {
            Some((b'%', after)) => {
                plain.push(b'%');
                rest = after;
                continue;
            }
            Some((b'p', after)) => {
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Port);
                rest = after;
                continue;
            }
            _ => {}
        }
        let part = pick(&mut rest)?;
        let letter = match rest.split_first() {
            Some((b'.', after)) => {
                rest = after;
                pick(&mut rest)?
            }
            _ => Pick::default(),
        };
        parts.push(Part::Text(std::mem::take(&mut plain)));
        parts.push(Part::Piece(part, letter));
    }
    parts.push(Part::Text(plain));
    parts.retain(|part| *part != Part::Text(Vec::new()));
    Some(parts)
}

/// `[-]digit[+]`.
fn pick(rest: &mut &[u8]) -> Option<Pick> {
    let mut pick = Pick::default();
    if let Some(after) = rest.strip_prefix(b"-") {
        pick.from_end = true;
        *rest = after;
    }
    let (digit, after) = rest.split_first().filter(|(digit, _)| digit.is_ascii_digit())?;
    pick.number = usize::from(digit - b'0');
    *rest = after;
    if let Some(after) = rest.strip_prefix(b"+") {
        pick.plus = true;
        *rest = after;
    }
    Some(pick)
}

/// The parts of a name that are told apart; what is behind belongs to the last one.
const PARTS: usize = 19;

/// Appends a piece of a name, in lower case; `_` for one that is not there.
fn push_piece(name: &[u8], part: Pick, letter: Pick, out: &mut Vec<u8>) {
    let dots: Vec<usize> = memchr::memchr_iter(b'.', name).take(PARTS - 1).collect();
    let count = dots.len() + 1;
    let start_of = |part: usize| if part == 0 { 0 } else { dots.get(part - 1).map_or(name.len(), |dot| dot + 1) };
    let end_of = |part: usize| dots.get(part).copied().unwrap_or(name.len());
    let (mut start, mut end) = (0, name.len());
    if part.number > count {
        return out.push(b'_');
    }
    if part.number > 0 {
        if part.from_end {
            start = if part.plus { 0 } else { start_of(count - part.number) };
            end = end_of(count - part.number);
        } else {
            start = start_of(part.number - 1);
            end = if part.plus { name.len() } else { end_of(part.number - 1) };
        }
    }
    let piece = name.get(start..end).unwrap_or_default();
    let piece = if letter.number == 0 {
        piece
    } else if letter.number > piece.len() {
        b"_"
    } else if letter.from_end {
        let last = piece.len() - letter.number;
        piece.get(if letter.plus { 0 } else { last }..=last).unwrap_or_default()
    } else {
        let first = letter.number - 1;
        piece.get(first..if letter.plus { piece.len() } else { letter.number }).unwrap_or_default()
    };
    out.extend(piece.to_ascii_lowercase());
}

/// Maps `/cgi-bin/` to the scripts and the rest to the documents of the host.
fn translate(ex: &mut Exchange) -> Outcome {
    let live = ex.live.clone();
    let conf = live.generation.servers.get(ex.server).and_then(Server::get::<VhostAlias>);
    let Some(conf) = conf else { return Outcome::Declined };
    let slashes = ex.uri.iter().take_while(|byte| **byte == b'/').count();
    let script = ex.uri.get(slashes..).and_then(|rest| rest.strip_prefix(b"cgi-bin"));
    let script = script.filter(|rest| rest.starts_with(b"/") && matches!(conf.scripts, Some(Some(_))));
    let (root, rest) = match script {
        Some(rest) => (&conf.scripts, rest),
        None if slashes > 0 => (&conf.documents, ex.uri.as_slice()),
        None => return Outcome::Declined,
    };
    let Some(Some(root)) = root else { return Outcome::Declined };
    let name = match root.source {
        Source::Name => names::server_name(ex),
        Source::Address => &ex.conn.local_ip,
    };
    let mut path = Vec::with_capacity(64 + rest.len());
    for part in &root.parts {
        match part {
            Part::Text(text) => path.extend_from_slice(text),
            Part::Port => path.extend_from_slice(names::server_port(ex).to_string().as_bytes()),
            Part::Piece(part, letter) => push_piece(name, *part, *letter, &mut path),
        }
    }
    let rest = if path.last() == Some(&b'/') { rest.get(1..).unwrap_or_default() } else { rest };
    let rest = rest.to_vec();
    if script.is_some() {
        ex.handler = b"cgi-script".to_vec();
        ex.notes.set(b"alias-forced-type", b"cgi-script");
    }
    let context = names::Context { document_root: Some(path.clone()), ..names::Context::default() };
    names::set_context(ex, context);
    path.extend_from_slice(&rest);
    ex.filename = path;
    Outcome::Ok
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(format: &str, name: &str) -> String {
        let mut out = Vec::new();
        for part in parse(format.as_bytes()).unwrap() {
            match part {
                Part::Text(text) => out.extend(text),
                Part::Port => out.extend(b"80"),
                Part::Piece(part, letter) => push_piece(name.as_bytes(), part, letter, &mut out),
            }
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn pieces_of_names() {
        for (format, want) in [
            ("/v/%0", "/v/www.sub.example.org"),
            ("/v/%1", "/v/www"),
            ("/v/%-1", "/v/org"),
            ("/v/%2+", "/v/sub.example.org"),
            ("/v/%-2+", "/v/www.sub.example"),
            ("/v/%5", "/v/_"),
            ("/v/%3.1/%3.2/%3.3", "/v/e/x/a"),
            ("/v/%3.-1", "/v/e"),
            ("/v/%3.3+", "/v/ample"),
            ("/v/%3.-3+", "/v/examp"),
            ("/v/%1.4", "/v/_"),
            ("/v/%p/%%", "/v/80/%"),
            ("/v/%10", "/v/www0"),
        ] {
            assert_eq!(made(format, "WWW.sub.example.org"), want, "{format}");
        }
    }

    #[test]
    fn formats_are_checked() {
        for text in ["/v/%", "/v/%x", "/v/%-", "/v/%1.", "/v/%1.x", "/v/%1.+"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
