//! `mod_asis.c`: files that bring their own fields.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::config::{Directive, ModuleRow};
use crate::logs::{self, Bytes, Errno, Level};
use crate::modules::rows::nothing;
use crate::pipe::script::{self, Head, Reader};
use crate::pipe::{self, Hook, Module, Outcome, Phase, Run, Waiting};
use crate::web::{Exchange, Wire};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "asis_module",
        file: "mod_asis.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// The directives.
pub const DIRECTIVES: &[Directive] = &[];

/// The hooks.
const HOOKS: &[Hook] = &[Hook { phase: Phase::Handler, order: 0, wants: |_, _| true, run: Run::Handle(handle) }];

/// Bytes of such a file; they are small by nature.
const FILE_MAX: u64 = 16 << 20;

fn handle<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    if ex.handler != b"send-as-is" && ex.handler != b"httpd/send-as-is" {
        return pipe::declined();
    }
    pipe::allow(ex, &[b"GET"]);
    if ex.method != b"GET" && ex.method != b"HEAD" {
        return pipe::declined();
    }
    Box::pin(async move {
        let text = match read(ex) {
            Ok(text) => text,
            Err(outcome) => return outcome,
        };
        let body = head(ex, &text);
        let local = ex.headers_out.get(b"Location").filter(|location| location.first() == Some(&b'/'));
        if let Some(location) = local.filter(|_| ex.status == 200 || (300..400).contains(&ex.status)) {
            ex.internal_redirect = location.to_vec();
            ex.status = 200;
            return Outcome::Redirect;
        }
        let body = if ex.header_only { b"" } else { text.get(body..).unwrap_or_default() };
        // A client that went away needs no end.
        let _ = pipe::text(ex, wire, body).await;
        Outcome::Done
    })
}

fn read(ex: &Exchange) -> Result<Vec<u8>, Outcome> {
    let name = Bytes(&ex.filename);
    if ex.finfo.is_none() {
        logs::error!(ex, Level::Info, "asis", "AH01233: File does not exist: {}", name);
        return Err(Outcome::Status(404));
    }
    let mut text = Vec::new();
    let file = File::open(Path::new(std::ffi::OsStr::from_bytes(&ex.filename)));
    match file.and_then(|file| file.take(FILE_MAX).read_to_end(&mut text)) {
        Ok(_) => Ok(text),
        Err(error) => {
            let errno = Errno::from(&error);
            logs::error!(ex, Level::Error, "asis", errno => "AH01234: file permissions deny server access: {}", name);
            Err(Outcome::Status(403))
        }
    }
}

/// Takes the fields at the start of the text; says where the body starts. What is wrong is logged and ends the file.
fn head(ex: &mut Exchange, text: &[u8]) -> usize {
    let mut at = 0;
    let mut reader = Reader::default();
    match reader.read(ex, "asis", text, &mut at) {
        Head::Done(body, _) => body,
        Head::More if at == text.len() => {
            reader.ended(ex, "asis", b"");
            text.len()
        }
        Head::More | Head::Bad => {
            script::malformed(ex, "asis", b"");
            text.len()
        }
    }
}
