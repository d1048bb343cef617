//! `DEFLATE` as an input filter: inflates the request's body.

use std::task::{Context, Poll};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{DeflateDir, LONGEST_HEAD, ROOM, Ratio, end_of_head};
use crate::config::core::CoreDir;
use crate::logs::{self, Errno, Level};
use crate::modules::coding;
use crate::web::{BodyFault, Exchange, InputFilter, Progress, Table};

/// `DEFLATE`, of a body whose outermost coding is gzip.
pub fn start(ex: &mut Exchange, _: usize) -> Option<Box<dyn InputFilter>> {
    if ex.sub_depth > 0 || !coding::is_gzip_last(&ex.headers_in) {
        return None;
    }
    let conf = ex.dir::<DeflateDir>();
    let body = || ex.dir::<CoreDir>().and_then(|dir| dir.limit_body).unwrap_or(1 << 30);
    let limit = conf.and_then(|conf| conf.body_limit).unwrap_or_else(body);
    Some(Box::new(Inflate {
        stream: Decompress::new(false),
        crc: Crc::new(),
        part: Part::Head,
        held: Vec::new(),
        limit: if limit == 0 { u64::MAX } else { limit },
        ratio: Ratio::of(conf),
        of: logs::OfBody::new(ex),
        begun: false,
        told: false,
    }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Body,
    /// Checksum and length.
    Check,
    End,
}

struct Inflate {
    stream: Decompress,
    crc: Crc,
    part: Part,
    /// The beginning of a head or a check.
    held: Vec<u8>,
    limit: u64,
    ratio: Ratio,
    of: logs::OfBody,
    begun: bool,
    /// The fields say what became of the body.
    told: bool,
}

/// Not what it says it is.
const BAD: BodyFault = BodyFault::Refused { status: 400, errno: Errno::GENERAL.0 };
/// Grows too much.
const GROWS: BodyFault = BodyFault::Refused { status: 400, errno: 22 };
/// Longer than it may be.
const LONG: BodyFault = BodyFault::Refused { status: 413, errno: 28 };

const CHECK: usize = 8;

impl Inflate {
    fn say(&self, level: Level, text: &str) {
        logs::error!(&self.of, level, "deflate", "{}", text);
    }

    fn refuse<T>(&self, level: Level, text: &str, fault: BodyFault) -> Result<T, BodyFault> {
        self.say(level, text);
        Err(fault)
    }

    /// Looks at the head; what it took of `input`.
    fn head(&mut self, input: &[u8], last: bool) -> Result<usize, BodyFault> {
        let before = self.held.len();
        self.held.extend_from_slice(input);
        match length_of_head(&self.held) {
            Err(text) => self.refuse(Level::Warn, &text, BAD),
            Ok(Some(length)) => {
                self.held.clear();
                self.part = Part::Body;
                Ok(length.saturating_sub(before))
            }
            Ok(None) if last && self.held.len() < 10 => {
                let text = "AH02619: Encountered premature end-of-stream while reading inflate header";
                self.refuse(Level::Error, text, BAD)
            }
            Ok(None) if last || self.held.len() > LONGEST_HEAD => self.cut(),
            Ok(None) => Ok(input.len()),
        }
    }

    fn cut<T>(&self) -> Result<T, BodyFault> {
        self.refuse(Level::Error, "AH02481: Encountered premature end-of-stream while inflating", BAD)
    }

    /// Inflates some; what it took of `input`.
    fn body(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, BodyFault> {
        let (before, had) = (self.stream.total_in(), out.len());
        out.reserve_exact(ROOM);
        let status = self.stream.decompress_vec(input, out, FlushDecompress::None);
        let taken = usize::try_from(self.stream.total_in() - before).unwrap_or(0);
        self.crc.update(out.get(had..).unwrap_or_default());
        match status {
            Ok(Status::StreamEnd) => self.part = Part::Check,
            Ok(_) => {}
            Err(error) => {
                let text = format!("AH01392: Zlib error -3 inflating data ({})", error.message().unwrap_or("(null)"));
                return self.refuse(Level::Warn, &text, BAD);
            }
        }
        let total = self.stream.total_out();
        if total > self.limit {
            let limit = self.limit;
            let text =
                format!("AH02648: Inflated content length of {total} is larger than the configured limit of {limit}");
            return self.refuse(Level::Warn, &text, LONG);
        }
        if !self.ratio.allows(&self.stream) {
            let (limit, burst) = (self.ratio.limit, self.ratio.burst);
            let text = format!(
                "AH02649: Inflated content ratio is larger than the configured limit {limit} by {burst} time(s)"
            );
            return self.refuse(Level::Warn, &text, GROWS);
        }
        Ok(taken)
    }

    /// Compares checksum and length; what it took of `input`.
    fn check(&mut self, input: &[u8]) -> Result<usize, BodyFault> {
        let taken = input.len().min(CHECK - self.held.len());
        self.held.extend_from_slice(input.get(..taken).unwrap_or_default());
        let Some((crc, [a, b, c, d])) = self.held.split_first_chunk::<4>().filter(|(_, rest)| rest.len() == 4) else {
            return Ok(taken);
        };
        let said = u32::from_le_bytes([*a, *b, *c, *d]);
        self.part = Part::End;
        if *crc != self.crc.sum().to_le_bytes() {
            return self.refuse(Level::Warn, "AH01394: Zlib: CRC error inflating data", BAD);
        }
        if said != self.crc.amount() {
            let length = self.stream.total_out();
            let text = format!("AH01395: Zlib: Length {length} of inflated data does not match expected value {said}");
            return self.refuse(Level::Warn, &text, BAD);
        }
        Ok(taken)
    }
}

/// The length of a gzip header as httpd reads it; `None`: it goes on.
fn length_of_head(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some((&[one, two, _, flags, ..], _)) = bytes.split_first_chunk::<10>() else { return Ok(None) };
    if [one, two] != [0x1f, 0x8b] {
        return Err("AH01387: Zlib: Invalid header".to_owned());
    }
    if flags & 0xe0 != 0 {
        // As httpd prints a signed byte.
        return Err(format!("AH01388: Zlib: Invalid flags {:x}", i32::from(flags.cast_signed())));
    }
    Ok(end_of_head(bytes, flags))
}

impl InputFilter for Inflate {
    fn poll(
        &mut self,
        _: &mut Context<'_>,
        input: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Progress, BodyFault>> {
        let empty = last && input.is_empty();
        let taken = match self.part {
            // An empty body is taken for one.
            Part::Head if empty && !self.begun => return Poll::Ready(Ok(Progress { taken: 0, ended: true })),
            Part::Head => self.head(input, last)?,
            Part::Body => match self.body(input, out)? {
                0 if empty && out.is_empty() && self.part == Part::Body => self.cut()?,
                taken => taken,
            },
            Part::Check if empty => self.cut()?,
            Part::Check => self.check(input)?,
            Part::End if input.is_empty() => 0,
            Part::End => {
                let text = "AH02485: Encountered extra data after compressed data";
                self.refuse(Level::Error, text, BAD)?
            }
        };
        self.begun |= taken > 0;
        Poll::Ready(Ok(Progress { taken, ended: self.part == Part::End && last && taken == input.len() }))
    }

    fn settle(&mut self, fields: &mut Table) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        coding::strip_gzip(fields);
        fields.unset(b"Content-Length");
        fields.unset(b"Content-MD5");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_where_their_fields_end() {
        let head = |flags: u8, rest: &[u8]| length_of_head(&[&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3], rest].concat());
        assert_eq!(head(0, b""), Ok(Some(10)));
        assert_eq!(head(0x1e, b"\x02\0xxname\0comment\0cc"), Ok(Some(10 + 4 + 5 + 8 + 2)));
        assert_eq!(head(8, b"name"), Ok(None));
        assert_eq!(head(4, b"\x02"), Ok(None));
        assert_eq!(head(0xff, b""), Err("AH01388: Zlib: Invalid flags ffffffff".to_owned()));
        assert_eq!(length_of_head(b"plain text"), Err("AH01387: Zlib: Invalid header".to_owned()));
        assert_eq!(length_of_head(b"plain"), Ok(None));
    }
}
