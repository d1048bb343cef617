//! `mod_brotli.c`.

use std::sync::Arc;

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;

use crate::config::{Args, Cmd, Conf, Directive, ModuleRow, Places, Shape, inner_or_outer, row};
use crate::modules::rows::nothing;
use crate::modules::{check, coding, slot};
use crate::pipe::Module;
use crate::web::{BodyFilter, Exchange, Table};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "brotli_module",
        file: "mod_brotli.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values per server.
#[derive(Clone, Default)]
pub struct Brotli {
    quality: Option<i32>,
    window: Option<i32>,
    block: Option<i32>,
    etag: Option<coding::EtagChange>,
    ratio: Option<Arc<[u8]>>,
    input: Option<Arc<[u8]>>,
    output: Option<Arc<[u8]>>,
}

impl Conf for Brotli {
    const SLOT: usize = slot::BROTLI;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; quality, window, block, etag, ratio, input, output)
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("BrotliFilterNote", Places::SERVER, Shape::Take12, note, "Set a note to report on compression ratio"),
    row("BrotliCompressionQuality", Places::SERVER, Shape::Take1, quality, "Compression quality between 0 and 11 (higher quality means slower compression)"),
    row("BrotliCompressionWindow", Places::SERVER, Shape::Take1, window, "Sliding window size between 10 and 24 (larger windows can improve compression, but require more memory)"),
    row("BrotliCompressionMaxInputBlock", Places::SERVER, Shape::Take1, block, "Maximum input block size between 16 and 24 (larger block sizes require more memory)"),
    row("BrotliAlterETag", Places::SERVER, Shape::Take1, etag, "Set how mod_brotli should modify ETag response headers: 'AddSuffix' (default), 'NoChange', 'Remove'"),
];

type Done = Result<(), String>;

fn quality(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::between(args, 0..=11, "BrotliCompressionQuality must be between 0 and 11")?;
    cmd.server_conf::<Brotli>().quality = i32::try_from(check::number(args.word(0))).ok();
    Ok(())
}

fn window(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::between(args, 10..=24, "BrotliCompressionWindow must be between 10 and 24")?;
    cmd.server_conf::<Brotli>().window = i32::try_from(check::number(args.word(0))).ok();
    Ok(())
}

fn block(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::between(args, 16..=24, "BrotliCompressionMaxInputBlock must be between 16 and 24")?;
    cmd.server_conf::<Brotli>().block = i32::try_from(check::number(args.word(0))).ok();
    Ok(())
}

fn etag(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let words = &["AddSuffix", "NoChange", "Remove"];
    check::one_of(args, words, "BrotliAlterETag accepts only 'AddSuffix', 'NoChange' and 'Remove'")?;
    cmd.server_conf::<Brotli>().etag = coding::EtagChange::parse(args.word(0));
    Ok(())
}

/// `BrotliFilterNote [type] note`.
fn note(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (kind, name): (&[u8], &[u8]) = match args.opt(1) {
        None => (b"ratio", args.word(0)),
        Some(name) => (args.word(0), name),
    };
    let conf = cmd.server_conf::<Brotli>();
    let slot = match kind.to_ascii_lowercase().as_slice() {
        b"ratio" => &mut conf.ratio,
        b"input" => &mut conf.input,
        b"output" => &mut conf.output,
        _ => return Err(format!("Unknown BrotliFilterNote type '{}'", args.text(0))),
    };
    *slot = Some(name.into());
    Ok(())
}

/// `BROTLI_COMPRESS`.
pub fn start(ex: &mut Exchange, _: usize, length: Option<u64>) -> Option<Box<dyn BodyFilter>> {
    if (ex.header_only && length == Some(0))
        || ex.sub_depth > 0
        || matches!(ex.status, 204 | 304)
        || ex.env.contains(b"no-brotli")
        || ex.headers_out.contains(b"Content-Range")
    {
        return None;
    }
    let encoded = coding::encoding_of(ex);
    if coding::is_encoded(&encoded) {
        return None;
    }
    ex.headers_out.merge(b"Vary", b"Accept-Encoding");
    if !coding::accepts(ex, b"br") {
        return None;
    }
    let live = ex.live.clone();
    let conf = live.generation.servers.get(ex.server).and_then(|server| server.get::<Brotli>());
    coding::encode_fields(ex, b"br", &encoded, conf.and_then(|conf| conf.etag).unwrap_or_default());
    let params = BrotliEncoderParams {
        quality: conf.and_then(|conf| conf.quality).unwrap_or(5),
        lgwin: conf.and_then(|conf| conf.window).unwrap_or(18),
        lgblock: conf.and_then(|conf| conf.block).unwrap_or(0),
        ..BrotliEncoderParams::default()
    };
    let note = |name: fn(&Brotli) -> Option<Arc<[u8]>>| conf.and_then(name);
    Some(Box::new(Compressor {
        writer: Some(CompressorWriter::with_params(Vec::new(), ROOM, &params)),
        input: 0,
        output: 0,
        notes: [note(|conf| conf.ratio.clone()), note(|conf| conf.input.clone()), note(|conf| conf.output.clone())],
    }))
}

/// The compressor's own buffer.
const ROOM: usize = 8096;

struct Compressor {
    /// Taken at the end.
    writer: Option<CompressorWriter<Vec<u8>>>,
    input: u64,
    output: u64,
    notes: [Option<Arc<[u8]>>; 3],
}

impl Compressor {
    fn hand_on(&mut self, out: &mut Vec<u8>) {
        if let Some(writer) = &mut self.writer {
            self.output += writer.get_ref().len() as u64;
            out.append(writer.get_mut());
        }
    }
}

impl BodyFilter for Compressor {
    fn data(&mut self, input: &[u8], out: &mut Vec<u8>) {
        use std::io::Write as _;
        self.input += input.len() as u64;
        if let Some(writer) = &mut self.writer {
            // A vector takes everything.
            let _ = writer.write_all(input);
        }
        self.hand_on(out);
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        if let Some(writer) = &mut self.writer {
            let _ = writer.flush();
        }
        self.hand_on(out);
    }

    fn end(&mut self, out: &mut Vec<u8>, notes: &mut Table) {
        let Some(writer) = self.writer.take() else { return };
        let rest = writer.into_inner();
        self.output += rest.len() as u64;
        out.extend_from_slice(&rest);
        coding::note(notes, &self.notes, self.input, self.output);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        let params = BrotliEncoderParams { quality: 5, lgwin: 18, ..BrotliEncoderParams::default() };
        let writer = Some(CompressorWriter::with_params(Vec::new(), ROOM, &params));
        let mut filter = Compressor { writer, input: 0, output: 0, notes: [const { None }; 3] };
        let mut out = Vec::new();
        filter.data(b"hello ", &mut out);
        filter.flush(&mut out);
        assert!(!out.is_empty(), "a flush lets out what came");
        filter.data(&b"world ".repeat(1000), &mut out);
        filter.end(&mut out, &mut Table::default());
        let mut text = String::new();
        brotli::Decompressor::new(out.as_slice(), 4096).read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("hello {}", "world ".repeat(1000)));
        assert_eq!(filter.output, out.len() as u64);
    }
}
