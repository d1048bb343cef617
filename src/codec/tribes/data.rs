//! Channel messages: what a frame carries besides acknowledgements.

use std::fmt;

use bytes::Bytes;

use super::{Error, Member, Reader, UniqueId, length, put_counted};

/// How a message is sent: Tomcat's bit mask, which goes over the wire as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options(pub i32);

impl Options {
    /// Neither acknowledged nor queued; a Java object.
    pub const NONE: Self = Self(0);
    /// The message is raw bytes, not a Java object stream.
    pub const BYTE_MESSAGE: Self = Self(1);
    /// The receiver acknowledges.
    pub const USE_ACK: Self = Self(2);
    /// With [`Self::USE_ACK`]: after processing.
    pub const SYNCHRONIZED_ACK: Self = Self(4);
    /// Queued by the sender's MessageDispatchInterceptor; nobody waits for the outcome.
    pub const ASYNCHRONOUS: Self = Self(8);
    /// Reserved; nothing implements it.
    pub const SECURE: Self = Self(16);
    /// By UDP to the member's UDP port.
    pub const UDP: Self = Self(32);
    /// On the membership's multicast group.
    pub const MULTICAST: Self = Self(64);
    /// Set by GzipInterceptor.
    pub const GZIP: Self = Self(256);

    /// Whether any bit of `other` is set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all bits of `other` are set; true for none.
    pub fn has_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With the bits of `other`.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without the bits of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// A number, or names separated by commas, as `channelSendOptions` takes them.
    ///
    /// # Errors
    /// A name that is none of Tomcat's.
    pub fn parse(text: &str) -> Result<Self, UnknownOption> {
        if let Ok(number) = text.trim().parse() {
            return Ok(Self(number));
        }
        text.split(',').try_fold(Self::NONE, |all, name| {
            let bit = match name.trim().to_ascii_lowercase().as_str() {
                "byte_message" | "byte" => Self::BYTE_MESSAGE,
                "use_ack" => Self::USE_ACK,
                "synchronized_ack" | "sync" => Self::SYNCHRONIZED_ACK,
                "asynchronous" | "async" => Self::ASYNCHRONOUS,
                "secure" => Self::SECURE,
                "udp" => Self::UDP,
                "multicast" => Self::MULTICAST,
                other => return Err(UnknownOption(other.to_owned())),
            };
            Ok(all.with(bit))
        })
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A word that is no send option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no send option")]
pub struct UnknownOption(pub String);

/// One message of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelData {
    /// How it is sent.
    pub options: Options,
    /// The sender's clock, in milliseconds since 1970.
    pub timestamp: i64,
    /// Its identity, kept when it is sent again.
    pub unique_id: UniqueId,
    /// Who sent it.
    pub source: Member,
    /// What the application or an interceptor put in.
    pub message: Bytes,
}

impl ChannelData {
    /// The message in a frame's content, which it shares.
    ///
    /// # Errors
    /// Lengths that lie, a broken source, bytes left over.
    pub fn decode(content: &Bytes) -> Result<Self, Error> {
        let mut reader = Reader(content);
        let options = Options(reader.i32()?);
        let timestamp = reader.i64()?;
        let id = reader.counted()?;
        let unique_id = id.try_into().map_err(|_| Error::UniqueId(id.len()))?;
        let (source, rest) = Member::decode(reader.counted()?)?;
        Reader(rest).end()?;
        let message = content.slice_ref(reader.counted()?);
        reader.end()?;
        Ok(Self { options, timestamp, unique_id, source, message })
    }

    /// Appends the content of a frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_data(out, self.options, self.timestamp, &self.unique_id, &self.source, &self.message);
    }

    /// How long its content is.
    pub fn encoded_len(&self) -> usize {
        4 + 8 + 4 + 16 + 4 + self.source.encoded_len() + 4 + self.message.len()
    }

    /// The options of a content that may be broken further on.
    pub fn peek_options(content: &[u8]) -> Option<Options> {
        content.first_chunk().map(|bits| Options(i32::from_be_bytes(*bits)))
    }
}

/// Appends the content of a frame, from its parts.
pub fn put_data(
    out: &mut Vec<u8>,
    options: Options,
    timestamp: i64,
    unique_id: &UniqueId,
    source: &Member,
    message: &[u8],
) {
    out.reserve(40 + source.encoded_len() + message.len());
    out.extend_from_slice(&options.0.to_be_bytes());
    out.extend_from_slice(&timestamp.to_be_bytes());
    put_counted(out, unique_id);
    out.extend_from_slice(&length(source.encoded_len()).to_be_bytes());
    source.encode(out);
    put_counted(out, message);
}
