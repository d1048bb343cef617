//! The `(2)No such file or directory: ` in front of a message: a status of the system or of httpd's portability layer.

use std::fmt;
use std::io;

/// A status code as the log shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// `(20014)Internal error (specific information not available)`.
    pub const GENERAL: Self = Self(20014);
    /// `(70007)The timeout specified has expired`.
    pub const TIMEUP: Self = Self(70007);
    /// `(70008)Partial results are valid but processing is incomplete`.
    pub const INCOMPLETE: Self = Self(70008);
    /// `(70014)End of file found`.
    pub const EOF: Self = Self(70014);
    /// `(70015)Could not find specified socket in poll list.`
    pub const NOTFOUND: Self = Self(70015);
    /// `(70023)This function has not been implemented on this platform`.
    pub const NOTIMPL: Self = Self(70023);
    /// `(EAI 2)Name or service not known`: the resolver found nothing.
    pub const NO_NAME: Self = Self(670002);
    /// `(EAI 3)Temporary failure in name resolution`.
    pub const NAME_AGAIN: Self = Self(670003);

    /// Appends `(code)text`.
    pub fn push(self, out: &mut Vec<u8>) {
        out.push(b'(');
        match self.0.checked_sub(RESOLVER).filter(|code| (1..1000).contains(code)) {
            Some(code) => {
                out.extend_from_slice(b"EAI ");
                super::text::push_i64(out, i64::from(code));
            }
            None => super::text::push_i64(out, i64::from(self.0)),
        }
        out.push(b')');
        match KNOWN.iter().find(|(code, _)| *code == self.0) {
            Some((_, text)) => out.extend_from_slice(text.as_bytes()),
            None if self.0 >= 120_000 => out.extend_from_slice(b"APR does not understand this error code"),
            None => {
                let text = io::Error::from_raw_os_error(self.0).to_string();
                let end = text.rfind(" (os error").unwrap_or(text.len());
                out.extend_from_slice(&text.as_bytes()[..end]);
            }
        }
    }
}

/// Where the resolver's codes begin.
const RESOLVER: i32 = 670_000;

/// httpd's texts for codes that are not the system's.
const KNOWN: [(i32, &str); 14] = [
    (20014, "Internal error (specific information not available)"),
    (20019, "DSO load failed"),
    (20023, "The given path was above the root path"),
    (20024, "The given path is misformatted or contained invalid characters"),
    (70007, "The timeout specified has expired"),
    (70008, "Partial results are valid but processing is incomplete"),
    (70014, "End of file found"),
    (70015, "Could not find specified socket in poll list."),
    (70023, "This function has not been implemented on this platform"),
    (670001, "Bad value for ai_flags"),
    (670002, "Name or service not known"),
    (670003, "Temporary failure in name resolution"),
    (670004, "Non-recoverable failure in name resolution"),
    (670005, "No address associated with hostname"),
];

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.push(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl From<&io::Error> for Errno {
    fn from(error: &io::Error) -> Self {
        match (error.raw_os_error(), error.kind()) {
            (Some(code), _) => Self(code),
            (None, io::ErrorKind::TimedOut) => Self::TIMEUP,
            (None, io::ErrorKind::UnexpectedEof) => Self::EOF,
            (None, _) => Self::GENERAL,
        }
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_httpds() {
        let text = |errno: Errno| {
            let mut out = Vec::new();
            errno.push(&mut out);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(text(Errno(2)), "(2)No such file or directory");
        assert_eq!(text(Errno(111)), "(111)Connection refused");
        assert_eq!(text(Errno(120_006)), "(120006)APR does not understand this error code");
        assert_eq!(text(Errno::TIMEUP), "(70007)The timeout specified has expired");
        assert_eq!(Errno::from(io::Error::from(io::ErrorKind::TimedOut)), Errno::TIMEUP);
    }
}
