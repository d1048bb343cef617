//! `mod_log_forensic.c`: each request before and after it is served, so that one that ends the server can be found.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::{
    Args, Cmd, Conf, Directive, Fatal, ModuleRow, Places, PostConfig, Server, Shape, Slots, merge_path, row,
};
use crate::logs::{Role, Target, Targets};
use crate::modules::slot;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::Exchange;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "log_forensic_module",
        file: "mod_log_forensic.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: want_targets,
    },
    hooks: HOOKS,
};

/// Values per server.
#[derive(Clone, Default)]
struct ForensicServer {
    /// File or `|program`, as written.
    target: Option<Vec<u8>>,
    /// Its place among the process's logs.
    sink: Option<usize>,
}

impl Conf for ForensicServer {
    const SLOT: usize = slot::LOG_FORENSIC;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { target: add.target.clone().or_else(|| base.target.clone()), sink: None }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ForensicLog", Places::SERVER, Shape::Take1, forensic_log, "the filename of the forensic log"),
];

/// The hooks: the first that sees a request, behind mod_unique_id, and the last.
const HOOKS: &[Hook] = &[
    Hook { phase: Phase::PostRead, order: -20, wants, run: Run::Now(before) },
    Hook { phase: Phase::Log, order: 20, wants, run: Run::Now(after) },
];

fn wants(server: &Server, _: &Slots) -> bool {
    server.get::<ForensicServer>().is_some_and(|conf| conf.sink.is_some())
}

fn forensic_log(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.server_conf::<ForensicServer>().target = Some(args.word(0).to_vec());
    Ok(())
}

fn want_targets(pc: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let root = pc.globals.server_root.clone();
    let targets = pc.globals.conf.get_mut::<Targets>();
    for server in pc.servers.iter_mut() {
        let Some(target) = server.get::<ForensicServer>().and_then(|conf| conf.target.as_deref()) else { continue };
        let target = match target.strip_prefix(b"|") {
            // Here httpd takes a program for a path below ServerRoot, and knows no `|$`.
            Some(command) => Target::Program { command: merge_path(&root, command), shell: false },
            None => Target::access(target, &root),
        };
        let sink = targets.want(target, Role::Forensic);
        server.conf.get_mut::<ForensicServer>().sink = Some(sink);
    }
    Ok(())
}

/// The id under which a request was written; it outlives internal redirects.
#[derive(Default)]
struct ForensicId(Vec<u8>);

/// Writes the request's line and fields.
fn before(ex: &mut Exchange) -> Outcome {
    if ex.sub_depth > 0 || ex.original.is_some() {
        return Outcome::Declined;
    }
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = match &ex.unique_id {
        Some(id) => id.text().to_vec(),
        None => {
            let second = ex.started_micros.div_euclid(1_000_000);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            format!("{}:{second:x}:{count:x}", std::process::id()).into_bytes()
        }
    };
    let mut line = [b"+", id.as_slice(), b"|"].concat();
    escape(&ex.the_request, &mut line);
    for (name, value) in ex.headers_in.iter() {
        line.push(b'|');
        escape(name, &mut line);
        line.push(b':');
        escape(value, &mut line);
    }
    line.push(b'\n');
    write(ex, &line);
    ex.notes.set(b"forensic-id", &id);
    ex.ext.get_mut::<ForensicId>().0 = id;
    Outcome::Ok
}

/// Writes that the request is over.
fn after(ex: &mut Exchange) -> Outcome {
    if let Some(id) = ex.ext.take::<ForensicId>() {
        write(ex, &[b"-", id.0.as_slice(), b"\n"].concat());
    }
    Outcome::Ok
}

fn write(ex: &Exchange, line: &[u8]) {
    let sink = ex.server().get::<ForensicServer>().and_then(|conf| conf.sink);
    if let Some(sink) = sink.and_then(|at| ex.live.sinks.get(at)) {
        sink.line(line);
    }
}

/// Appends a text that may hold neither of the marks between texts nor anything that cannot be printed.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        if matches!(byte, b' '..=b'~') && !b":|%".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            crate::base::path::push_hex_lower(byte, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn marks_and_what_cannot_be_printed_are_escaped() {
        let mut out = Vec::new();
        escape(b"/a|b:c%20 \"\\~\x7f\t\xe9", &mut out);
        assert_eq!(out, b"/a%7cb%3ac%2520 \"\\~%7f%09%e9");
    }
}
