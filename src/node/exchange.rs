//! One request and its response, as connectors make them and valves and handlers see them.

use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::sessions::Held;

/// A request. Every text is as the client, or the web server in front, sent it: nothing is trusted.
#[derive(Debug)]
pub struct Request {
    /// `GET`; empty where no request line could be read.
    pub method: String,
    /// The request URI as sent, without the query; empty where it could not be read.
    pub uri: String,
    /// What is behind `?`.
    pub query: Option<String>,
    /// `HTTP/1.1`.
    pub protocol: String,
    /// Header fields in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// The client's address; RemoteIpValve may replace it.
    pub remote_addr: String,
    /// The client's name if it is known, its address otherwise.
    pub remote_host: String,
    /// The client's port.
    pub remote_port: u16,
    /// The address of whoever is connected to us.
    pub peer: Option<IpAddr>,
    /// Our address.
    pub local_addr: String,
    /// Our port.
    pub local_port: u16,
    /// The host asked for, without a port, in lower case.
    pub server_name: String,
    /// The port asked for.
    pub server_port: u16,
    /// `http` or `https`.
    pub scheme: String,
    /// Counts as encrypted.
    pub secure: bool,
    /// Who the user is, if the web server's word counts, or who has logged in.
    pub user: Option<String>,
    /// How the user logged in: `BASIC`.
    pub auth_type: Option<&'static str>,
    /// Request attributes, for valves and log items.
    pub attributes: Vec<(String, String)>,
    /// Decoded and normalized path, without path parameters.
    pub path: String,
    /// How much of `path` names the application.
    pub context_len: usize,
    /// The session id the client named, and where.
    pub requested: Option<RequestedId>,
    /// The session of this request, once somebody asked for it.
    pub(super) session: Option<Held>,
    /// When its first byte was seen.
    pub started: Instant,
    /// The same by the calendar, in microseconds since 1970.
    pub started_at: i64,
    /// Where the connector sends those who have to come over an encrypted connection; 0 is nowhere.
    pub redirect_port: u16,
    /// Number of the connection.
    pub connection: u64,
    /// Parameters read from query and form at most.
    pub max_parameters: usize,
    /// Bytes of a form at most; below zero is no limit.
    pub max_post: i64,
}

/// A session id that came with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedId {
    /// The id.
    pub id: String,
    /// From a cookie rather than from the path.
    pub from_cookie: bool,
}

impl Default for Request {
    fn default() -> Self {
        let text = String::new;
        Self {
            method: "GET".to_owned(),
            uri: "/".to_owned(),
            query: None,
            protocol: "HTTP/1.1".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            remote_addr: text(),
            remote_host: text(),
            remote_port: 0,
            peer: None,
            local_addr: text(),
            local_port: 0,
            server_name: text(),
            server_port: 0,
            scheme: "http".to_owned(),
            secure: false,
            user: None,
            auth_type: None,
            attributes: Vec::new(),
            path: "/".to_owned(),
            context_len: 0,
            requested: None,
            session: None,
            started: Instant::now(),
            started_at: 0,
            redirect_port: 0,
            connection: 0,
            max_parameters: 10_000,
            max_post: 2_097_152,
        }
    }
}

impl Request {
    /// The first header field of this name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// All header fields of this name that are text.
    pub fn headers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let of_name = move |(key, _): &&(String, Vec<u8>)| key.eq_ignore_ascii_case(name);
        self.headers.iter().filter(of_name).filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// A request attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Sets a request attribute.
    pub fn set_attribute(&mut self, name: &str, value: &str) {
        self.attributes.retain(|(key, _)| key != name);
        self.attributes.push((name.to_owned(), value.to_owned()));
    }

    /// Path of the application: empty for the root.
    pub fn context_path(&self) -> &str {
        self.path.get(..self.context_len).unwrap_or("")
    }

    /// Path inside the application; starts with a slash, or is empty where the request names only the application.
    pub fn path_info(&self) -> &str {
        self.path.get(self.context_len..).unwrap_or("")
    }

    /// Cookies of this name, in order.
    pub fn cookies<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers("cookie").flat_map(|line| line.split(';')).filter_map(move |pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then(|| value.trim_matches('"'))
        })
    }

    /// Parameters of the query, then of a form in the body; in order, names may repeat.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        push_parameters(self.query.as_deref().unwrap_or_default().as_bytes(), self.max_parameters, &mut found);
        let form = self.header("content-type").is_some_and(|kind| {
            kind.split(';')
                .next()
                .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        });
        let fits = usize::try_from(self.max_post).map_or(true, |max| self.body.len() <= max);
        if form && self.method == "POST" && fits {
            push_parameters(&self.body, self.max_parameters, &mut found);
        }
        found
    }

    /// The request line as the client sent it, as far as it could be read.
    pub fn line(&self) -> String {
        if self.method.is_empty() {
            return "-".to_owned();
        }
        if self.uri.is_empty() {
            return format!("{} - {}", self.method, self.protocol);
        }
        let (mark, query) = self.query.as_ref().map_or(("", ""), |query| ("?", query.as_str()));
        format!("{} {}{mark}{query} {}", self.method, self.uri, self.protocol)
    }
}

fn push_parameters(text: &[u8], max: usize, into: &mut Vec<(String, String)>) {
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    for pair in pairs.take(max.saturating_sub(into.len())) {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        into.push((form_text(name), form_text(value.get(1..).unwrap_or_default())));
    }
}

/// A name or value of a form, decoded.
fn form_text(text: &[u8]) -> String {
    let plain: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    String::from_utf8_lossy(&percent_decoded(&plain)).into_owned()
}

/// `%xx` decoded; what is no escape stays.
pub fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let byte = crate::base::path::escaped_byte(escape);
        out.push(byte.unwrap_or(b'%'));
        rest = escape.get(if byte.is_some() { 3 } else { 1 }..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// A path that cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// It has an escaped slash.
    #[error("Invalid URI: [The encoded slash character is not allowed]")]
    Slash,
    /// What follows a percent sign are no two digits.
    #[error("Invalid URI: [The hexadecimal encoding is invalid]")]
    Escape,
    /// Bytes that are no UTF-8.
    #[error("")]
    Encoding,
    /// It leads above the root, or there is a backslash or a NUL in it.
    #[error("Invalid URI")]
    Invalid,
}

/// A request URI decoded and normalized, and its `;NAME=` parameter.
///
/// # Errors
/// An escaped slash or NUL, a backslash, `..` that leads above the root, or bytes that are no UTF-8.
pub fn normalize(uri: &str, parameter: &str) -> Result<(String, Option<String>), BadPath> {
    let mut requested = None;
    let mut plain = Vec::with_capacity(uri.len());
    for (index, segment) in uri.split('/').enumerate() {
        if index > 0 {
            plain.push(b'/');
        }
        let mut pieces = segment.split(';');
        let name = pieces.next().unwrap_or_default();
        for piece in pieces {
            if let Some((key, value)) = piece.split_once('=')
                && key == parameter
            {
                requested = Some(String::from_utf8_lossy(&percent_decoded(value.as_bytes())).into_owned());
            }
        }
        let decoded = percent_decoded(name.as_bytes());
        let malformed = name.bytes().enumerate().any(|(at, byte)| {
            byte == b'%' && name.as_bytes().get(at..).and_then(crate::base::path::escaped_byte).is_none()
        });
        if malformed {
            return Err(BadPath::Escape);
        }
        if decoded.contains(&b'/') {
            return Err(BadPath::Slash);
        }
        if decoded.iter().any(|byte| matches!(byte, b'\\' | 0)) {
            return Err(BadPath::Invalid);
        }
        plain.extend(decoded);
    }
    let plain = String::from_utf8(plain).map_err(|_| BadPath::Encoding)?;
    if !plain.starts_with('/') {
        return Err(BadPath::Invalid);
    }
    let (mut kept, mut directory): (Vec<&str>, bool) = (Vec::new(), false);
    for segment in plain.split('/').skip(1) {
        // `/x/.` is what `/x` is: the application says where its directories are.
        directory = segment.is_empty();
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop().ok_or(BadPath::Invalid)?;
            }
            name => kept.push(name),
        }
    }
    let mut path = String::with_capacity(plain.len());
    for name in &kept {
        path.push('/');
        path.push_str(name);
    }
    if directory || path.is_empty() {
        path.push('/');
    }
    Ok((path, requested))
}

/// A response. It is sent once the handler has returned.
#[derive(Debug, Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Header fields; Content-Length, Date and what frames the body are the connector's.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
    /// What an error page says about it.
    pub message: Option<String>,
    /// Bytes of the body that were sent.
    pub sent: u64,
    /// The client was gone before all of it was sent.
    pub aborted: bool,
    /// The connection stays open.
    pub kept: bool,
    /// When the head was sent.
    pub committed: Option<Instant>,
}

/// What a response carries.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of a file, from where it stands.
    File(File, u64),
}

impl Body {
    /// Its length.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Response {
    /// The first header field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Sets a header field in place of those of its name.
    pub fn set_header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.add_header(name, value);
    }

    /// Adds a header field; line ends in it become blanks.
    pub fn add_header(&mut self, name: &str, value: &str) {
        let clean = value.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
        self.headers.push((name.to_owned(), clean));
    }

    /// Answers with a text of a type.
    pub fn send(&mut self, status: u16, kind: &str, text: impl Into<Vec<u8>>) {
        self.status = status;
        self.set_header("Content-Type", kind);
        self.body = Body::Bytes(text.into());
    }

    /// Answers with a status that an error page explains.
    pub fn error(&mut self, status: u16, message: Option<&str>) {
        self.status = status;
        self.message = message.map(str::to_owned);
        self.body = Body::Empty;
    }

    /// Sends the client elsewhere.
    pub fn redirect(&mut self, location: &str) {
        self.status = 302;
        self.set_header("Location", location);
        self.body = Body::Empty;
    }
}

/// A request, its response, and the application they belong to.
#[derive(Debug)]
pub struct Exchange {
    /// What was asked.
    pub request: Request,
    /// What is answered.
    pub response: Response,
    /// The application, once it is known.
    pub context: Option<Arc<super::context::Context>>,
}

impl Exchange {
    /// An exchange that begins.
    pub fn new(request: Request) -> Self {
        Self { request, response: Response { status: 200, ..Response::default() }, context: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalized_as_tomcat_does() {
        for (uri, path, id) in [
            ("/", "/", None),
            ("/clu/s.jsp;jsessionid=A.n1", "/clu/s.jsp", Some("A.n1")),
            ("/clu;x=1;jsessionid=B/a%20b//c/./d/../e/", "/clu/a b/c/e/", Some("B")),
            ("/a/b/..", "/a", None),
            ("/a/b/../", "/a/", None),
            ("/a/.", "/a", None),
            ("/a/..", "/", None),
            ("/%c3%a4", "/ä", None),
        ] {
            assert_eq!(normalize(uri, "jsessionid"), Ok((path.to_owned(), id.map(str::to_owned))), "{uri}");
        }
        for bad in ["", "x", "/..", "/a/../../b", "/a%5Cb", "/a\\b", "/%00", "/%2e%2e/"] {
            assert_eq!(normalize(bad, "jsessionid"), Err(BadPath::Invalid), "{bad}");
        }
        for (bad, why) in [
            ("/a%2fb", BadPath::Slash),
            ("/%zz", BadPath::Escape),
            ("/%", BadPath::Escape),
            ("/%ff", BadPath::Encoding),
        ] {
            assert_eq!(normalize(bad, "jsessionid"), Err(why), "{bad}");
        }
    }

    #[test]
    fn parameters_come_from_query_and_form() {
        let mut request = Request {
            method: "POST".to_owned(),
            query: Some("op=set&name=a%26b&x".to_owned()),
            headers: vec![("Content-Type".to_owned(), b"application/x-www-form-urlencoded; charset=UTF-8".to_vec())],
            body: b"value=1+2%3d".to_vec(),
            ..Request::default()
        };
        let pairs = |request: &Request| -> Vec<String> {
            request.parameters().iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        assert_eq!(pairs(&request), ["op=set", "name=a&b", "x=", "value=1 2="]);
        request.max_parameters = 2;
        assert_eq!(pairs(&request), ["op=set", "name=a&b"]);
    }

    #[test]
    fn cookies_of_a_name() {
        let headers = vec![("Cookie".to_owned(), b"a=1; JSESSIONID=\"X\";JSESSIONID=Y".to_vec())];
        let request = Request { headers, ..Request::default() };
        assert_eq!(request.cookies("JSESSIONID").collect::<Vec<_>>(), ["X", "Y"]);
    }
}
