//! `mod_buffer.c`: bodies in large pieces, both ways.

use std::task::{Context, Poll};

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::nothing;
use crate::modules::{check, slot};
use crate::pipe::Module;
use crate::web::{BodyFault, BodyFilter, Exchange, InputFilter, Progress, Table};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "buffer_module",
        file: "mod_buffer.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
struct BufferDir {
    /// BufferSize in bytes.
    size: Option<usize>,
}

impl Conf for BufferDir {
    const SLOT: usize = slot::BUFFER + 1;

    fn merge(base: &Self, add: &Self) -> Self {
        crate::inner_or_outer!(base, add; size)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("BufferSize", Places::DIR, Shape::Take1, size, "Maximum size of the buffer used by the buffer filter"),
];

fn size(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    let size = check::long_at_least(args, 1, "BufferSize must be a size in bytes, and greater than zero")?;
    cmd.dir_conf::<BufferDir>().size = usize::try_from(size).ok();
    Ok(())
}

/// What is held, unless BufferSize says otherwise.
const SIZE: usize = 131_072;

fn size_of(ex: &Exchange) -> usize {
    ex.dir::<BufferDir>().and_then(|dir| dir.size).unwrap_or(SIZE)
}

/// `BUFFER` of the response: what a handler flushes waits, too.
pub fn start(ex: &mut Exchange, _: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    (ex.sub_depth == 0).then(|| -> Box<dyn BodyFilter> { Box::new(Held { bytes: Vec::new(), most: size_of(ex) }) })
}

/// `BUFFER` of the request's body: the handler gets nothing before the buffer is full or the body has ended.
pub fn start_input(ex: &mut Exchange, _: usize) -> Option<Box<dyn InputFilter>> {
    (ex.sub_depth == 0).then(|| -> Box<dyn InputFilter> { Box::new(Held { bytes: Vec::new(), most: size_of(ex) }) })
}

struct Held {
    bytes: Vec<u8>,
    most: usize,
}

impl BodyFilter for Held {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.bytes.extend_from_slice(input);
        if self.bytes.len() >= self.most {
            out.append(&mut self.bytes);
        }
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn end(&mut self, out: &mut Vec<u8>, _: &mut Table) {
        out.append(&mut self.bytes);
    }

    fn keeps_length(&self) -> bool {
        true
    }
}

impl InputFilter for Held {
    fn poll(
        &mut self,
        _: &mut Context<'_>,
        input: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Progress, BodyFault>> {
        self.bytes.extend_from_slice(input);
        if last || self.bytes.len() >= self.most {
            out.append(&mut self.bytes);
        }
        Poll::Ready(Ok(Progress { taken: input.len(), ended: last }))
    }
}
