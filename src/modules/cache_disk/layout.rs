//! What is in a header file: httpd's own bytes, so that its tools work on our files and each server reads the other's.

use crate::modules::cache::control::Control;
use crate::modules::cache::store::Info;
use crate::web::Table;

/// First word of a file that says by which request fields the variants of an URL differ.
const VARY: u32 = 5;
/// First word of a file that holds the fields of a response.
const FIELDS: u32 = 6;
/// Length of what is in front of the name: a C structure of a 64-bit machine.
const FIXED: usize = 120;

/// A header file.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The request fields by which variants differ, in lower case and sorted.
    Vary(Vec<Vec<u8>>),
    /// An entry.
    Entry(Box<Header>),
    /// A file of another version.
    Version(u32),
}

/// An entry's header.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// What is known of the entry.
    pub info: Info,
    /// Its name.
    pub name: Vec<u8>,
    /// Inode and device of the file with its body.
    pub body: Option<(u64, u64)>,
    /// There is no body because it was not asked for.
    pub head_only: bool,
    /// Fields of the response; none: the file ends before they do.
    pub response: Option<Table>,
    /// Fields of the request; none: the file ends before they do.
    pub request: Option<Table>,
}

impl PartialEq for Header {
    fn eq(&self, other: &Self) -> bool {
        self.info == other.info && self.name == other.name && self.body == other.body
    }
}

impl Eq for Header {}

/// The file for the fields that `Vary` names, each of which a variant's name begins with.
pub fn vary_file(expire: i64, names: &[Vec<u8>]) -> Vec<u8> {
    let mut out = VARY.to_ne_bytes().to_vec();
    out.extend_from_slice(&expire.to_ne_bytes());
    for name in names {
        out.extend_from_slice(name);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The names in a `Vary` field as they are stored.
pub fn vary_names(text: &[u8]) -> Vec<Vec<u8>> {
    let names = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
    let mut names: Vec<Vec<u8>> = names.map(<[u8]>::to_ascii_lowercase).collect();
    names.sort();
    names
}

/// The name of the variant for a request.
pub fn variant(names: &[Vec<u8>], request: &Table, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        out.extend_from_slice(name);
        out.extend_from_slice(request.get(name).unwrap_or_default());
    }
    out.extend_from_slice(key);
    out
}

/// The bytes of an entry's header.
pub fn entry_file(header: &Header) -> Vec<u8> {
    let Header { info, name, .. } = header;
    let (inode, device) = header.body.unwrap_or_default();
    let flags = u32::from(header.body.is_some()) | u32::from(header.head_only) << 1;
    let mut out = Vec::with_capacity(FIXED + name.len() + 1024);
    out.extend_from_slice(&FIELDS.to_ne_bytes());
    out.extend_from_slice(&i32::from(info.status).to_ne_bytes());
    out.extend_from_slice(&(name.len() as u64).to_ne_bytes());
    out.extend_from_slice(&0u64.to_ne_bytes());
    for time in [info.date, info.expire, info.request_time, info.response_time] {
        out.extend_from_slice(&time.to_ne_bytes());
    }
    for number in [inode, device] {
        out.extend_from_slice(&number.to_ne_bytes());
    }
    for word in [flags, 0, info.control.bits, 0] {
        out.extend_from_slice(&word.to_ne_bytes());
    }
    let Control { max_age, max_stale, min_fresh, s_maxage, .. } = info.control;
    for seconds in [max_age, max_stale, min_fresh, s_maxage] {
        out.extend_from_slice(&seconds.to_ne_bytes());
    }
    out.extend_from_slice(name);
    for table in [&header.response, &header.request].into_iter().flatten() {
        table.push_lines(&mut out);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Reads a header file; nothing where it is too short to be one.
pub fn parse(bytes: &[u8]) -> Option<Parsed> {
    let mut reader = Reader(bytes);
    match reader.word()? {
        VARY => {
            reader.long()?;
            let mut names = Vec::new();
            loop {
                match reader.line()? {
                    b"" => return Some(Parsed::Vary(names)),
                    name => names.push(name.to_vec()),
                }
            }
        }
        FIELDS => entry(&mut reader).map(|header| Parsed::Entry(Box::new(header))),
        other => Some(Parsed::Version(other)),
    }
}

/// Reads an entry's header, and says where the body behind it begins.
pub fn entry_and_body(bytes: &[u8]) -> Option<(Header, usize)> {
    let mut reader = Reader(bytes);
    let header = if reader.word()? == FIELDS { entry(&mut reader)? } else { return None };
    Some((header, bytes.len() - reader.0.len()))
}

fn entry(reader: &mut Reader<'_>) -> Option<Header> {
    let status = u16::try_from(reader.word()?).ok()?;
    let length = usize::try_from(reader.long()?).ok()?;
    reader.long()?;
    let (date, expire, request_time, response_time) = (reader.long()?, reader.long()?, reader.long()?, reader.long()?);
    let (inode, device) = (reader.long()?.cast_unsigned(), reader.long()?.cast_unsigned());
    let flags = reader.word()?;
    reader.word()?;
    let bits = reader.word()?;
    reader.word()?;
    let (max_age, max_stale, min_fresh, s_maxage) = (reader.long()?, reader.long()?, reader.long()?, reader.long()?);
    let name = reader.take(length)?.to_vec();
    let response = reader.table();
    let request = reader.table();
    Some(Header {
        info: Info {
            status,
            date,
            expire,
            request_time,
            response_time,
            control: Control { bits, max_age, max_stale, min_fresh, s_maxage },
        },
        name,
        body: (flags & 1 != 0).then_some((inode, device)),
        head_only: flags & 2 != 0,
        response,
        request,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn word(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_ne_bytes)
    }

    fn long(&mut self) -> Option<i64> {
        self.take(8)?.try_into().ok().map(i64::from_ne_bytes)
    }

    /// A line without its end.
    fn line(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.0)?;
        let line = self.take(end + 1)?;
        let line = line.get(..end).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Fields up to an empty line.
    fn table(&mut self) -> Option<Table> {
        let mut table = Table::default();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(table);
            }
            let colon = memchr::memchr(b':', line)?;
            let (name, value) = line.split_at(colon);
            table.add(name, value.get(1..).unwrap_or_default().trim_ascii_start());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut response = Table::default();
        response.add(b"ETag", b"\"x\"");
        response.add(b"X-Empty", b"");
        let mut control = Control::parse(Some(b"max-age=60, private"), None);
        control.s_maxage = -1;
        let header = Header {
            info: Info { status: 200, date: 1, expire: -2, request_time: 3, response_time: 4, control },
            name: b"http://a:80/b?".to_vec(),
            body: Some((7, 8)),
            head_only: false,
            response: Some(response.clone()),
            request: Some(Table::default()),
        };
        let bytes = entry_file(&header);
        assert_eq!(bytes.get(FIXED..FIXED + 14), Some(&b"http://a:80/b?"[..]));
        let Some(Parsed::Entry(read)) = parse(&bytes) else { panic!("no entry") };
        assert_eq!(*read, header);
        let lines = |table: &Option<Table>| {
            let mut out = Vec::new();
            table.as_ref().unwrap().push_lines(&mut out);
            out
        };
        assert_eq!(lines(&read.response), b"ETag: \"x\"\r\nX-Empty: \r\n");
        // However it is cut short, it is no more than less.
        for end in 0..bytes.len() {
            match parse(&bytes[..end]) {
                None => assert!(end < FIXED + 14),
                Some(Parsed::Entry(read)) => assert!(read.request.is_none()),
                other => panic!("{end}: {other:?}"),
            }
        }
    }

    #[test]
    fn variants_are_named() {
        let names = vary_names(b"X-Other, X-Lang");
        assert_eq!(names, [b"x-lang".to_vec(), b"x-other".to_vec()]);
        let bytes = vary_file(5, &names);
        assert_eq!(parse(&bytes), Some(Parsed::Vary(names.clone())));
        assert_eq!(parse(bytes.get(..bytes.len() - 2).unwrap()), None);
        let mut request = Table::default();
        request.add(b"X-Lang", b"en");
        assert_eq!(variant(&names, &request, b"key"), b"x-langenx-otherkey");
        assert_eq!(parse(&9u32.to_ne_bytes()), Some(Parsed::Version(9)));
    }
}
