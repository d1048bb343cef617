//! Expressions: read and evaluated without panic, whatever the request says.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use tandem::expr::{EvalError, Expr, FileTest, Lookup, Options, Scratch, Template, Var, Vars};

/// A request in which everything has the same value.
struct Same<'a>(&'a [u8]);

impl Vars for Same<'_> {
    fn var(&self, _: Var, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    fn request_header(&self, _: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    fn response_header(&self, _: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    fn note(&self, _: &[u8], out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(self.0);
        true
    }

    fn env(&self, _: &[u8], out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(self.0);
        true
    }

    fn os_env(&self, _: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    fn client(&self) -> Option<IpAddr> {
        Some(Ipv4Addr::LOCALHOST.into())
    }

    fn file_is(&self, _: FileTest, path: &[u8]) -> bool {
        path.len().is_multiple_of(2)
    }

    fn lookup(&self, _: Lookup, target: &[u8]) -> bool {
        target.len().is_multiple_of(2)
    }

    fn read_file(&self, _: &[u8], out: &mut Vec<u8>) -> Result<(), EvalError> {
        out.extend_from_slice(self.0);
        Ok(())
    }

    fn file_size(&self, path: &[u8]) -> u64 {
        path.len() as u64
    }

    fn ssl(&self, _: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (text, value) = input;
    let mut scratch = Scratch::new();
    if let Ok(expr) = Expr::parse(text, Options { ssl: true, ..Options::default() }) {
        let _ = expr.eval(&Same(value), &mut scratch);
    }
    if let Ok(template) = Template::parse(text, Options::default()) {
        let mut out = Vec::new();
        let _ = template.eval(&Same(value), &mut scratch, &mut out);
    }
});
