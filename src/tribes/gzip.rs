//! GzipInterceptor.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::config::GzipConfig;
use super::stack::{Cause, Context, Incoming, Interceptor, Outgoing};
use super::{Level, Options};

const SOURCE: &str = "org.apache.catalina.tribes.group.interceptors.GzipInterceptor";

/// Compresses messages.
pub(super) struct Gzip {
    config: GzipConfig,
    /// The longest message that is inflated.
    max: usize,
}

impl Gzip {
    pub(super) fn new(config: GzipConfig, max: usize) -> Self {
        Self { config, max }
    }
}

impl Interceptor for Gzip {
    fn name(&self) -> &'static str {
        "GzipInterceptor"
    }

    fn send(&mut self, mut out: Outgoing, cx: &mut Context<'_>) {
        if !self.config.unmarked && out.message.len() < self.config.compression_min_size {
            return cx.down(out);
        }
        match compress(&out.message) {
            Ok(bytes) => out.message = bytes,
            Err(_) => return cx.fail(&out, Cause::Encode),
        }
        if !self.config.unmarked {
            out.options = out.options.with(Options::GZIP);
        }
        cx.down(out);
    }

    fn receive(&mut self, mut message: Incoming, cx: &mut Context<'_>) {
        let data = &mut message.data;
        if !self.config.unmarked && !data.options.has(Options::GZIP) {
            return cx.up(message);
        }
        match inflate(&data.message, self.max) {
            Ok(bytes) => {
                data.message = bytes;
                cx.up(message);
            }
            Err(problem) => {
                let text = format!("Failed to decompress a message of {}: {problem}", data.source.name());
                cx.log(Level::Warning, SOURCE, text);
            }
        }
    }
}

fn compress(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2 + 32), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish().map(Bytes::from)
}

fn inflate(bytes: &[u8], max: usize) -> std::io::Result<Bytes> {
    let mut out = Vec::new();
    // One byte more than allowed tells a message that is too long from one that just fits.
    GzDecoder::new(bytes).take(max as u64 + 1).read_to_end(&mut out)?;
    if out.len() > max { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(out.into()) }
}
