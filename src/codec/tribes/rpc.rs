//! The heads of Java objects that the group layer itself exchanges: `RpcMessage` around an
//! application's object, its refusal, and `StaticMembershipProvider$MemberMessage`.
//!
//! What is inside an RPC message is the application's and stays Java bytes, written as part of the
//! same stream: its first new handle is [`FIRST_HANDLE`].

use super::{Error, Member, Reader, put_counted};

/// The number of the first handle that an RPC message's object takes (`0x7e0000` + this).
pub const FIRST_HANDLE: u32 = 2;

const STREAM: &[u8] = b"\xac\xed\x00\x05";
/// An object of a class with block data of its own, RpcMessage.
const MESSAGE: &[u8] = b"\x73\x72\x00\x2borg.apache.catalina.tribes.group.RpcMessage\
    \x71\x2a\x75\x0f\xf2\x74\xe5\x09\x0c\x00\x00\x78\x70";
/// The same for NoRpcChannelReply, which extends it.
const NO_CHANNEL: &[u8] = b"\x73\x72\x00\x3dorg.apache.catalina.tribes.group.RpcMessage$NoRpcChannelReply\
    \x7b\xab\x8f\xb3\x6a\x4b\x5b\xa6\x0c\x00\x00\x78\
    \x72\x00\x2borg.apache.catalina.tribes.group.RpcMessage\
    \x71\x2a\x75\x0f\xf2\x74\xe5\x09\x0c\x00\x00\x78\x70";
const BLOCK: u8 = 0x77;
const LONG_BLOCK: u8 = 0x7a;
const END_BLOCK: u8 = 0x78;

/// The class of StaticMembershipService's messages up to its first value.
const MEMBER_MESSAGE: &[u8] =
    b"\x73\x72\x00\x4corg.apache.catalina.tribes.membership.StaticMembershipProvider$MemberMessage\
    \x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x03\
    I\x00\x07msgtypeL\x00\x06membert\x00\x23Lorg/apache/catalina/tribes/Member;\
    [\x00\x0cmembershipIdt\x00\x02[Bxp";
const STATIC_MEMBER: &[u8] = b"\x73\x72\x00\x32org.apache.catalina.tribes.membership.StaticMember\
    \xa3\x26\x03\x88\x7e\xb6\xb8\xa1\x0c\x00\x00\
    \x78\x72\x00\x30org.apache.catalina.tribes.membership.MemberImpl\
    \x84\x76\xf3\x7b\x32\x95\x36\x67\x0c\x00\x00\x78\x70";
const MEMBER_IMPL: &[u8] = b"\x73\x72\x00\x30org.apache.catalina.tribes.membership.MemberImpl\
    \x84\x76\xf3\x7b\x32\x95\x36\x67\x0c\x00\x00\x78\x70";
const BYTE_ARRAY: &[u8] = b"\x75\x72\x00\x02[B\xac\xf3\x17\xf8\x06\x08\x54\xe0\x02\x00\x00\x78\x70";

/// What a member says by RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It asks.
    Request,
    /// It answers.
    Reply,
    /// It has no such channel.
    NoChannel,
}

/// One RPC message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rpc<'a> {
    /// What it is.
    pub kind: Kind,
    /// Which question it belongs to.
    pub uuid: &'a [u8],
    /// Which channel.
    pub rpc_id: &'a [u8],
    /// The object inside, without stream header; empty for [`Kind::NoChannel`].
    pub object: &'a [u8],
}

impl<'a> Rpc<'a> {
    /// The RPC message that `bytes` are; `None` when they are another object.
    ///
    /// # Errors
    /// An RPC message whose values don't fit into it.
    pub fn decode(bytes: &'a [u8]) -> Result<Option<Self>, Error> {
        let Some(object) = bytes.strip_prefix(STREAM) else { return Ok(None) };
        let (no_channel, rest) = match (object.strip_prefix(MESSAGE), object.strip_prefix(NO_CHANNEL)) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) => return Ok(None),
        };
        let mut reader = Reader(rest);
        let mut block = Reader(block(&mut reader)?);
        let kind = match no_channel {
            true => Kind::NoChannel,
            false if block.u8()? == 0 => Kind::Request,
            false => Kind::Reply,
        };
        let (uuid, rpc_id) = (block.counted()?, block.counted()?);
        block.end()?;
        let (end, object) = reader.0.split_last().ok_or(Error::Short)?;
        if *end != END_BLOCK {
            return Err(Error::Object);
        }
        Ok(Some(Self { kind, uuid, rpc_id, object }))
    }

    /// The whole Java stream.
    pub fn encode(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(9 + self.uuid.len() + self.rpc_id.len());
        if self.kind != Kind::NoChannel {
            block.push(u8::from(self.kind == Kind::Reply));
        }
        put_counted(&mut block, self.uuid);
        put_counted(&mut block, self.rpc_id);
        let mut out = Vec::with_capacity(NO_CHANNEL.len() + block.len() + self.object.len() + 10);
        out.extend_from_slice(STREAM);
        out.extend_from_slice(if self.kind == Kind::NoChannel { NO_CHANNEL } else { MESSAGE });
        put_block(&mut out, &block);
        out.extend_from_slice(self.object);
        out.push(END_BLOCK);
        out
    }
}

/// What StaticMembershipService's members tell each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// I have started.
    Start,
    /// I am leaving.
    Stop,
    /// I am here.
    Ping,
}

/// A message of StaticMembershipService, the object inside an RPC message or a stream of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMessage {
    /// What it says.
    pub notice: Notice,
    /// About whom.
    pub member: Member,
    /// Which membership.
    pub membership: Vec<u8>,
}

impl MemberMessage {
    /// The object, without stream header, that `bytes` are.
    ///
    /// # Errors
    /// Anything but this class as Tomcat writes it.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = bytes.strip_prefix(STREAM).unwrap_or(bytes);
        let mut reader = Reader(bytes);
        reader.expect(MEMBER_MESSAGE, Error::Object)?;
        let notice = match reader.i32()? {
            1 => Notice::Start,
            2 => Notice::Stop,
            3 => Notice::Ping,
            _ => return Err(Error::Object),
        };
        if reader.expect(STATIC_MEMBER, Error::Object).is_err() {
            reader.expect(MEMBER_IMPL, Error::Object)?;
        }
        let mut package = Reader(block(&mut reader)?);
        let (member, rest) = Member::decode(package.counted()?)?;
        Reader(rest).end()?;
        package.end()?;
        reader.expect(&[END_BLOCK], Error::Object)?;
        reader.expect(BYTE_ARRAY, Error::Object)?;
        let membership = reader.counted()?.to_vec();
        reader.end()?;
        Ok(Self { notice, member, membership })
    }

    /// The object, without stream header.
    pub fn encode(&self) -> Vec<u8> {
        let mut package = Vec::with_capacity(4 + self.member.encoded_len());
        let mut member = Vec::new();
        self.member.encode(&mut member);
        put_counted(&mut package, &member);
        let mut out = MEMBER_MESSAGE.to_vec();
        let notice: i32 = match self.notice {
            Notice::Start => 1,
            Notice::Stop => 2,
            Notice::Ping => 3,
        };
        out.extend_from_slice(&notice.to_be_bytes());
        out.extend_from_slice(STATIC_MEMBER);
        put_block(&mut out, &package);
        out.push(END_BLOCK);
        out.extend_from_slice(BYTE_ARRAY);
        put_counted(&mut out, &self.membership);
        out
    }
}

/// An object as a stream of its own.
pub fn stream(object: &[u8]) -> Vec<u8> {
    [STREAM, object].concat()
}

fn block<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    match reader.u8()? {
        BLOCK => {
            let n = reader.u8()?;
            reader.bytes(usize::from(n))
        }
        LONG_BLOCK => reader.counted(),
        _ => Err(Error::Object),
    }
}

fn put_block(out: &mut Vec<u8>, block: &[u8]) {
    match u8::try_from(block.len()) {
        Ok(n) => {
            out.extend_from_slice(&[BLOCK, n]);
            out.extend_from_slice(block);
        }
        Err(_) => {
            out.push(LONG_BLOCK);
            put_counted(out, block);
        }
    }
}
