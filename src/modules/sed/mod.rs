//! `mod_sed.c`: bodies edited line by line by a sed script, both ways.
//!
//! One line is not edited for ever: a script that loops fails the body, where httpd goes on.

mod compile;
mod run;

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, latin1, row};
use crate::logs::{self, Level};
use crate::modules::rows::nothing;
use crate::modules::slot;
use crate::pipe::Module;
use crate::web::{BodyFault, BodyFilter, Exchange, InputFilter, Progress, Refusal, Table};

use compile::{Problem, Script};
use run::Editor;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "sed_module",
        file: "mod_sed.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per directory.
#[derive(Clone, Default)]
struct SedDir {
    output: Arc<Script>,
    input: Arc<Script>,
}

impl Conf for SedDir {
    const SLOT: usize = slot::SED + 1;

    /// The innermost section that says anything speaks for both ways.
    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("OutputSed", Places::DIR, Shape::Take1, |c, a| add(c, a, |conf| &mut conf.output), "Sed regular expression for Response"),
    row("InputSed", Places::DIR, Shape::Take1, |c, a| add(c, a, |conf| &mut conf.input), "Sed regular expression for Request"),
];

/// Adds a line to a script.
fn add(cmd: &mut Cmd<'_>, args: &Args<'_>, which: fn(&mut SedDir) -> &mut Arc<Script>) -> Result<(), String> {
    let line = args.word(0);
    match Arc::make_mut(which(cmd.dir_conf::<SedDir>())).add(line) {
        Ok(()) => Ok(()),
        Err(Problem::Bare(text)) => Err(format!("Failed to compile sed expression. {text}")),
        Err(Problem::Line(text)) => Err(format!("Failed to compile sed expression. {text}: {}", latin1(line))),
    }
}

/// `Sed` of the response.
pub fn start(ex: &mut Exchange, _: usize, _: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    let script = ex.dir::<SedDir>().map(|conf| conf.output.clone()).filter(|script| !script.is_empty())?;
    Some(Box::new(Edited::new(ex, script)))
}

/// `Sed` of the request's body.
pub fn start_input(ex: &mut Exchange, _: usize) -> Option<Box<dyn InputFilter>> {
    let script = ex.dir::<SedDir>().map(|conf| conf.input.clone()).filter(|script| !script.is_empty())?;
    (ex.sub_depth == 0).then(|| -> Box<dyn InputFilter> { Box::new(Edited::new(ex, script)) })
}

struct Edited {
    /// None: a file of its script cannot be written.
    editor: Option<Editor>,
    of: logs::OfBody,
    /// The log knows of a failure.
    told: bool,
}

impl Edited {
    fn new(ex: &Exchange, script: Arc<Script>) -> Self {
        let editor = Editor::new(script).map_err(|path| {
            logs::error!(ex, Level::Error, "sed", "AH02998: cannot open {}", path.display());
        });
        let told = editor.is_err();
        Self { editor: editor.ok(), of: logs::OfBody::new(ex), told }
    }

    fn failed(&self) -> bool {
        self.editor.as_ref().is_none_or(Editor::failed)
    }

    fn edit(&mut self, input: &[u8], last: bool, out: &mut Vec<u8>) {
        if let Some(editor) = &mut self.editor {
            editor.data(input, out);
            if last {
                editor.end(out);
            }
        }
        self.tell();
    }

    fn tell(&mut self) {
        if self.failed() && !std::mem::replace(&mut self.told, true) {
            logs::error!(&self.of, Level::Error, "sed", "a sed script cannot go on with this body");
        }
    }
}

impl BodyFilter for Edited {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.edit(input, false, out);
    }

    fn flush(&mut self, _: &mut Vec<u8>) {}

    fn end(&mut self, out: &mut Vec<u8>, _: &mut Table) {
        self.edit(b"", true, out);
    }

    fn failed(&self) -> bool {
        self.failed()
    }

    fn refusal(&self) -> Refusal {
        Refusal::Measured
    }
}

impl InputFilter for Edited {
    fn poll(
        &mut self,
        _: &mut Context<'_>,
        input: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Progress, BodyFault>> {
        self.edit(input, last, out);
        if self.failed() {
            return Poll::Ready(Err(BodyFault::Refused { status: 500, errno: logs::Errno::GENERAL.0 }));
        }
        Poll::Ready(Ok(Progress { taken: input.len(), ended: last }))
    }
}
