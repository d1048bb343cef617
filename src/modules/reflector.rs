//! `mod_reflector.c`: a request's body sent back, through all its filters.
//!
//! httpd announces the length that the client announced, which is wrong for a body that filters change: of such a body
//! no length is said here.

use std::future::poll_fn;
use std::task::Poll;

use crate::base::clock::{Clock as _, SystemClock, push_http_date};
use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{BodyKind, Exchange, Wire};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "reflector_module",
        file: "mod_reflector.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// Values per directory.
#[derive(Clone, Default)]
struct ReflectorDir {
    /// Fields of the request, and what they are called in the response.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Conf for ReflectorDir {
    const SLOT: usize = slot::REFLECTOR + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { fields: add.fields.iter().chain(&base.fields).cloned().collect() }
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("ReflectorHeader", Places::OPTIONS, Shape::Take12, header, "Header to reflect back in the response, with an optional new name."),
];

/// The hooks.
pub const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(handle) }];

/// `ReflectorHeader field [name]`.
fn header(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let name = args.opt(1).unwrap_or_else(|| args.word(0)).to_vec();
    cmd.dir_conf::<ReflectorDir>().fields.push((args.word(0).to_vec(), name));
    Ok(())
}

fn handle<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    match ex.handler.as_slice() {
        b"reflector" => Box::pin(reflect(ex, wire)),
        _ => pipe::declined(),
    }
}

async fn reflect(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    pipe::allow(ex, &[b"POST", b"OPTIONS"]);
    match ex.method.as_slice() {
        b"POST" => {}
        b"OPTIONS" => {
            let mut methods = Vec::new();
            pipe::push_allow(ex, &mut methods);
            ex.headers_out.set(b"Allow", &methods);
            // A client that went away is noted by the pipe.
            let _ = pipe::text(ex, wire, b"").await;
            return Outcome::Done;
        }
        _ => return Outcome::Status(405),
    }
    let kind = wire.body_kind();
    // Whatever is wrong with the body from the beginning is answered.
    if kind != BodyKind::None
        && let Err(fault) = pipe::fill(wire).await
    {
        return pipe::body_fault(ex, fault);
    }
    if let Some(media) = ex.headers_in.get(b"Content-Type") {
        ex.content_type = media.to_vec();
    }
    let chain = ex.chain.clone();
    for (field, name) in chain.dir.get::<ReflectorDir>().map(|conf| conf.fields.as_slice()).unwrap_or_default() {
        if let Some(value) = ex.headers_in.get(field) {
            ex.headers_out.set(name, value);
        }
    }
    let mut now = Vec::new();
    push_http_date(&mut now, SystemClock.wall());
    ex.headers_out.set(b"Last-Modified", &now);
    ex.headers_out.set(b"Accept-Ranges", b"bytes");
    let length = match kind {
        BodyKind::Length(length) if !wire.is_filtered() => Some(length),
        BodyKind::None => Some(0),
        _ => None,
    };
    pipe::head(ex, wire, length);
    while kind != BodyKind::None && !wire.body_done() {
        // What is here goes out before more is waited for.
        let got = match poll_fn(|cx| Poll::Ready(wire.poll_fill(cx))).await {
            Poll::Ready(got) => got,
            Poll::Pending => {
                if pipe::flush(ex, wire).await.is_err() {
                    return Outcome::Done;
                }
                pipe::fill(wire).await
            }
        };
        match got {
            Ok(0) => break,
            Ok(_) => {}
            Err(_) => {
                pipe::abort(ex, wire);
                return Outcome::Done;
            }
        }
        let piece = wire.body().to_vec();
        wire.consume(piece.len());
        if pipe::data(ex, wire, &piece).await.is_err() {
            return Outcome::Done;
        }
    }
    // A client that went away is noted by the pipe.
    let _ = pipe::finish(ex, wire).await;
    Outcome::Done
}
