//! `mod_status.c`: what the server is doing, for people and for monitoring.

mod page;
mod text;

use smallvec::SmallVec;

use crate::codec::http1::write::push_decimal;
use crate::config::core::CoreProcess;
use crate::config::{Directive, ModuleRow};
use crate::modules::rows::nothing;
use crate::net::scoreboard;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, Wire};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "status_module",
        file: "mod_status.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// The directives.
pub const DIRECTIVES: &[Directive] = &[];

/// Its parts in the phases.
const HOOKS: &[Hook] = &[
    Hook { phase: Phase::PostRead, order: -20, wants: |_, _| true, run: Run::Now(begin) },
    Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(handler) },
    Hook { phase: Phase::Log, order: 20, wants: |_, _| true, run: Run::Now(end) },
];

/// `ExtendedStatus`: On where this module is loaded, unless said otherwise.
fn is_extended(ex: &Exchange) -> bool {
    ex.live.generation.globals.conf.get::<CoreProcess>().and_then(|core| core.extended_status).unwrap_or(true)
}

/// The request goes on the scoreboard.
fn begin(ex: &mut Exchange) -> Outcome {
    if ex.sub_depth > 0 || ex.row != 0 {
        return Outcome::Declined;
    }
    ex.row = if is_extended(ex) {
        let rec = &ex.server().rec;
        let mut vhost: SmallVec<[u8; 64]> = SmallVec::new();
        vhost.extend_from_slice(rec.name.as_deref().unwrap_or(b"localhost"));
        vhost.push(b':');
        let mut port = Vec::new();
        push_decimal(&mut port, u64::from(rec.port.unwrap_or_else(|| ex.conn.local.port())));
        vhost.extend_from_slice(&port);
        let name = ex.client_name();
        let texts = [name.as_deref().unwrap_or(&ex.client_ip), b"http/1.1", &vhost, &ex.the_request];
        scoreboard::begin(ex.started_micros, ex.conn.keepalives.get() + 1, Some(texts))
    } else {
        scoreboard::begin(ex.started_micros, 0, None)
    };
    Outcome::Declined
}

/// The request is over.
fn end(ex: &mut Exchange) -> Outcome {
    let took = u64::try_from(ex.started.elapsed().as_micros()).unwrap_or(u64::MAX);
    scoreboard::end(std::mem::take(&mut ex.row), ex.io_counts.1, took);
    Outcome::Declined
}

fn handler<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    let mine = ex.handler == b"server-status" || ex.handler == b"application/x-httpd-status";
    if mine { Box::pin(answer(ex, wire)) } else { pipe::declined() }
}

/// What the query asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    refresh: Option<u64>,
    no_table: bool,
    short: bool,
}

impl Asked {
    fn of(args: &[u8]) -> Self {
        let find = |what: &[u8]| memchr::memmem::find(args, what);
        let refresh = find(b"refresh").map(|at| {
            let rest = args.get(at + b"refresh".len()..).unwrap_or_default();
            let number = rest.strip_prefix(b"=").and_then(|rest| crate::base::clock::leading_integer(rest).0);
            number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0).unwrap_or(10)
        });
        Self { refresh, no_table: find(b"notable").is_some(), short: find(b"auto").is_some() }
    }
}

async fn answer(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    pipe::allow(ex, &[b"GET"]);
    if ex.method != b"GET" && ex.method != b"HEAD" {
        return Outcome::Declined;
    }
    let asked = Asked::of(ex.args.as_deref().unwrap_or_default());
    if let Some(seconds) = asked.refresh {
        ex.headers_out.set(b"Refresh", seconds.to_string().as_bytes());
    }
    let kind: &[u8] = if asked.short { b"text/plain; charset=ISO-8859-1" } else { b"text/html; charset=ISO-8859-1" };
    ex.content_type = kind.to_vec();
    let extended = is_extended(ex);
    let figures = page::Figures::take(ex);
    let mut out = String::new();
    if asked.short {
        figures.push_short(ex, extended, &mut out);
    } else {
        figures.push_page(ex, extended, asked.no_table, &mut out);
    }
    crate::modules::proxy::push_status(ex, asked.short, &mut out);
    if !asked.short {
        text::push_signature(ex, &mut out);
    }
    let bytes: Vec<u8> = out.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
    pipe::page(ex, wire, &bytes).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_searched_as_httpd_does() {
        assert_eq!(Asked::of(b""), Asked::default());
        assert_eq!(Asked::of(b"auto"), Asked { short: true, ..Asked::default() });
        assert_eq!(Asked::of(b"refresh=5&notable"), Asked { refresh: Some(5), no_table: true, short: false });
        assert_eq!(Asked::of(b"refresh").refresh, Some(10));
        assert_eq!(Asked::of(b"refresh=-1").refresh, Some(10));
    }
}
