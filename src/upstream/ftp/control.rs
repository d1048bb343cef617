//! The control connection: commands, and the server's replies.

use super::{Failed, lost};
use crate::base::clock::leading_integer;
use crate::config::latin1;
use crate::upstream::pool::Link;

/// A line is no longer for us; the rest of it is not looked at.
const LINE: usize = 79;
/// A line is no longer for anybody.
const LINE_MAX: usize = 16 * 1024;
/// A reply has no more lines.
const LINES: usize = 1000;

/// One reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    /// Its number; 0 where there is none.
    pub(super) code: u16,
    /// What is behind that in its first line.
    pub(super) text: Vec<u8>,
}

impl Reply {
    /// The text for a page.
    pub(super) fn shown(&self) -> String {
        latin1(&self.text)
    }

    /// The first number that stands alone, of a server that will be ready in so many minutes.
    pub(super) fn minutes(&self) -> Option<u64> {
        let words = self.text.split(u8::is_ascii_whitespace);
        let number = words.into_iter().find(|word| word.first().is_some_and(u8::is_ascii_digit))?;
        leading_integer(number).0.and_then(|number| u64::try_from(number).ok())
    }

    /// The digits at the start.
    pub(super) fn number(&self) -> Option<u64> {
        let digits = self.text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(self.text.get(..digits)?).ok()?.parse().ok()
    }

    /// `YYYYMMDDhhmmss` of a reply that has it: microseconds since 1970.
    pub(super) fn moment(&self) -> Option<i64> {
        let digits = self.text.get(..14).filter(|digits| self.code == 213 && digits.iter().all(u8::is_ascii_digit))?;
        let text = std::str::from_utf8(digits).ok()?;
        let part = |from: usize, to: usize| text.get(from..to)?.parse::<i8>().ok();
        let year = text.get(..4)?.parse::<i16>().ok()?;
        let at =
            jiff::civil::DateTime::new(year, part(4, 6)?, part(6, 8)?, part(8, 10)?, part(10, 12)?, part(12, 14)?, 0);
        Some(at.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
    }
}

/// The connection.
pub(super) struct Control {
    link: Box<Link>,
}

impl Control {
    pub(super) fn new(link: Box<Link>) -> Self {
        Self { link }
    }

    /// The connection itself.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Sends a command, and reads the reply to it. Nothing in it may end the line: who makes commands sees to that, and
    /// nothing is sent where it did not.
    pub(super) async fn command(&mut self, parts: &[&[u8]]) -> Result<Reply, Failed> {
        let mut line = parts.concat();
        if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Failed::Answer(400));
        }
        line.extend_from_slice(b"\r\n");
        self.link.account(line.len(), 0);
        self.link.write_all(&line).await.map_err(|_| lost())?;
        self.reply().await
    }

    /// The next reply. A server that takes its leave is as good as gone.
    pub(super) async fn reply(&mut self) -> Result<Reply, Failed> {
        let first = self.line().await?;
        if first.len() < 4 {
            return Err(lost());
        }
        let (code, more) = match first.as_slice() {
            [a, b, c, end @ (b' ' | b'-'), ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
                let digit = |byte: &u8| u16::from(byte - b'0');
                (100 * digit(a) + 10 * digit(b) + digit(c), *end == b'-')
            }
            _ => (0, false),
        };
        if more {
            let last = [first.get(..3).unwrap_or_default(), b" "].concat();
            let mut lines = 0;
            while !self.line().await?.starts_with(&last) {
                lines += 1;
                if lines > LINES {
                    return Err(lost());
                }
            }
        }
        if code == 421 {
            return Err(lost());
        }
        Ok(Reply { code, text: first.get(4..).unwrap_or_default().to_vec() })
    }

    /// The next line without its end, cut where it is too long.
    async fn line(&mut self) -> Result<Vec<u8>, Failed> {
        loop {
            let input = self.link.input();
            if let Some(end) = memchr::memchr(b'\n', input) {
                let line = input.get(..end).unwrap_or_default();
                let line = line.split(|byte| matches!(byte, b'\r' | 0)).next().unwrap_or_default();
                let line = line.get(..line.len().min(LINE)).unwrap_or_default().to_vec();
                self.link.account(0, end + 1);
                self.link.consume(end + 1);
                return Ok(line);
            }
            if input.len() > LINE_MAX || !matches!(self.link.fill().await, Ok(1..)) {
                return Err(lost());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, text: &str) -> Reply {
        Reply { code, text: text.as_bytes().to_vec() }
    }

    #[test]
    fn numbers_are_found_where_servers_put_them() {
        assert_eq!(reply(120, "ready in 15 minutes").minutes(), Some(15));
        assert_eq!(reply(120, "ready in x15").minutes(), None);
        assert_eq!(reply(213, "1234 bytes").number(), Some(1234));
        assert_eq!(reply(213, "x").number(), None);
        assert_eq!(reply(213, "99999999999999999999999").number(), None);
    }

    #[test]
    fn moments_are_in_utc() {
        assert_eq!(reply(213, "19941115081231").moment(), Some(784_887_151_000_000));
        assert_eq!(reply(213, "19941115081231.5").moment(), Some(784_887_151_000_000));
        for wrong in ["1994111508123", "19941315081231", "x9941115081231"] {
            assert_eq!(reply(213, wrong).moment(), None);
        }
        assert_eq!(reply(550, "19941115081231").moment(), None);
    }
}
