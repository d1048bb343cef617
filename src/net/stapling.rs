//! OCSP stapling: what a responder says of our certificates goes out with them.
//!
//! Responders are asked beside the threads that serve, before clients want to know: no handshake waits for one. Until
//! the first answer is here, nothing is said.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::codec::ocsp::{self, Answer, Reply, Status};

/// The longest response.
const RESPONSE_MAX: usize = 256 * 1024;

/// Never more often than this is a responder asked.
const LEAST: Duration = Duration::from_secs(5);

/// `SSLStapling*`, in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StapleSpec {
    /// SSLStaplingResponseTimeSkew.
    pub skew: i64,
    /// SSLStaplingResponderTimeout.
    pub patience: Duration,
    /// SSLStaplingResponseMaxAge.
    pub max_age: Option<i64>,
    /// SSLStaplingStandardCacheTimeout.
    pub keep: Duration,
    /// SSLStaplingErrorCacheTimeout.
    pub keep_error: Duration,
    /// SSLStaplingReturnResponderErrors.
    pub return_errors: bool,
    /// SSLStaplingFakeTryLater.
    pub fake_try_later: bool,
    /// SSLStaplingForceURL.
    pub force_url: Option<String>,
}

impl Default for StapleSpec {
    fn default() -> Self {
        Self {
            skew: 300,
            patience: Duration::from_secs(10),
            max_age: None,
            keep: Duration::from_secs(3600),
            keep_error: Duration::from_secs(600),
            return_errors: true,
            fake_try_later: true,
            force_url: None,
        }
    }
}

/// Why nothing can be stapled to a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoStaple {
    /// It is not known who signed it.
    NoIssuer,
    /// It is not known whom to ask.
    NoResponder,
}

/// Why there is no good response.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The responder cannot be connected to.
    #[error("could not connect to OCSP responder '{0}'")]
    Connect(String, #[source] io::Error),
    /// It does not answer, or not with a response.
    #[error("{0}")]
    Answer(String),
    /// The response is of no use: what OpenSSL and mod_ssl call it.
    #[error("{0}")]
    Useless(String),
}

/// A responder's address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    host: String,
    port: u16,
    path: String,
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port, path: path.to_owned() })
    }
}

/// A certificate with what is stapled to it.
pub struct Staple {
    spec: StapleSpec,
    question: Vec<u8>,
    url: Url,
    /// Its serial number, for messages.
    serial: String,
    current: ArcSwap<CertifiedKey>,
}

impl std::fmt::Debug for Staple {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staple").field("url", &self.url).finish_non_exhaustive()
    }
}

fn now() -> i64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

impl Staple {
    /// Something to be stapled to a certificate, whose issuer comes second in its chain.
    ///
    /// # Errors
    /// See [`NoStaple`].
    pub fn new(identity: Arc<CertifiedKey>, serial: String, spec: StapleSpec) -> Result<Self, NoStaple> {
        let [cert, issuer, ..] = identity.cert.as_slice() else { return Err(NoStaple::NoIssuer) };
        let question = ocsp::request(cert, issuer).ok_or(NoStaple::NoIssuer)?;
        let url = spec.force_url.clone().or_else(|| ocsp::responder(cert));
        let url = url.as_deref().and_then(Url::parse).ok_or(NoStaple::NoResponder)?;
        Ok(Self { spec, question, url, serial, current: ArcSwap::new(identity) })
    }

    /// The certificate with the last response.
    pub fn current(&self) -> Arc<CertifiedKey> {
        self.current.load_full()
    }

    /// Goes on with the response that another generation had, if it asks the same.
    pub fn inherit(&self, other: &Self) -> bool {
        let same = self.question == other.question && self.url == other.url;
        if same {
            self.put(other.current.load().ocsp.clone());
        }
        same
    }

    fn put(&self, response: Option<Vec<u8>>) {
        let mut next = CertifiedKey::clone(&self.current.load());
        next.ocsp = response;
        self.current.store(Arc::new(next));
    }

    /// Asks, and staples the answer; how long that is good for, and what went wrong.
    pub async fn renew(&self) -> (Duration, Option<Trouble>) {
        let asked = tokio::time::timeout(self.spec.patience, self.ask()).await;
        let response = asked.unwrap_or_else(|_| Err(Trouble::Answer("timed out".to_owned())));
        let judged = response.and_then(|response| {
            let reply = ocsp::read(&response, &self.question);
            let judged = reply.ok_or_else(|| Trouble::Answer("error parsing OCSP response".to_owned()))?;
            Ok((response, self.judge(judged, now())))
        });
        match judged {
            Ok((response, Ok((left, trouble)))) => {
                self.put(Some(response));
                (self.spec.keep.min(left).max(LEAST), trouble)
            }
            Ok((response, Err(trouble))) => {
                self.put(self.spec.return_errors.then_some(response));
                (self.spec.keep_error.max(LEAST), Some(trouble))
            }
            Err(trouble) => {
                // What was said last is still so until its time is over.
                let last = self.current.load().ocsp.clone().filter(|last| {
                    ocsp::read(last, &self.question).is_some_and(|reply| self.judge(reply, now()).is_ok())
                });
                let later = || self.spec.fake_try_later.then(|| ocsp::TRY_LATER.to_vec());
                self.put(last.or_else(later));
                (self.spec.keep_error.max(LEAST), Some(trouble))
            }
        }
    }

    /// How long a reply is good for, and what it says that nobody likes to hear: clients hear it all the same.
    fn judge(&self, reply: Reply, now: i64) -> Result<(Duration, Option<Trouble>), Trouble> {
        let useless = |why: &str| Err(Trouble::Useless(format!("stapling_check_response: {why}")));
        let Answer { status, this_update, next_update } = match reply {
            Reply::About(answer) => answer,
            Reply::Other => return useless("certificate ID not present in response!"),
            Reply::Error(number) => return useless(&format!("OCSP response not successful ({number})")),
        };
        let skew = self.spec.skew;
        if this_update > now.saturating_add(skew)
            || next_update.is_some_and(|next| next.saturating_add(skew) < now)
            || self.spec.max_age.is_some_and(|age| this_update.saturating_add(age) < now)
        {
            return useless("cached response expired");
        }
        let word = match status {
            Status::Good => None,
            Status::Revoked => Some("revoked"),
            Status::Unknown => Some("unknown"),
        };
        let trouble = word.map(|word| {
            let what = format!("certificate status {word} (reason: n/a) for serial number {}", self.serial);
            Trouble::Useless(format!("stapling_check_response: response has {what}"))
        });
        let left = next_update.map_or(i64::MAX, |next| next.saturating_sub(now));
        // Some time before its end there may be the next one.
        Ok((Duration::from_secs(u64::try_from(left).unwrap_or(0) / 4 * 3), trouble))
    }

    /// One question over HTTP (RFC 6960, appendix A.1).
    async fn ask(&self) -> Result<Vec<u8>, Trouble> {
        let Url { host, port, path } = &self.url;
        let failed = |error: io::Error| Trouble::Answer(error.to_string());
        let connected = TcpStream::connect((host.as_str(), *port)).await;
        let mut stream = connected.map_err(|error| Trouble::Connect(format!("{host}:{port}"), error))?;
        let mut request = format!(
            "POST {path} HTTP/1.0\r\nHost: {host}:{port}\r\nContent-Type: application/ocsp-request\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            self.question.len()
        )
        .into_bytes();
        request.extend_from_slice(&self.question);
        stream.write_all(&request).await.map_err(failed)?;
        let mut all = Vec::new();
        let most = u64::try_from(RESPONSE_MAX).unwrap_or(u64::MAX);
        stream.take(most).read_to_end(&mut all).await.map_err(failed)?;
        body_of(&all).map(<[u8]>::to_vec)
    }
}

/// The body of a response that says 200, up to the connection's end or as long as it says.
fn body_of(response: &[u8]) -> Result<&[u8], Trouble> {
    let wrong = |why: &str| Trouble::Answer(why.to_owned());
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let parsed = head.parse(response).map_err(|_| wrong("bad response from OCSP server"))?;
    let httparse::Status::Complete(at) = parsed else { return Err(wrong("response from OCSP server incomplete")) };
    if head.code != Some(200) {
        return Err(Trouble::Answer(format!("bad status {} from OCSP server", head.code.unwrap_or(0))));
    }
    let body = response.get(at..).unwrap_or_default();
    let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    match length.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse::<usize>().ok()) {
        Some(length) => body.get(..length).ok_or_else(|| wrong("response from OCSP server incomplete")),
        None => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_responders() {
        let url = |text: &str| Url::parse(text).map(|url| (url.host, url.port, url.path));
        let made = |host: &str, port, path: &str| Some((host.to_owned(), port, path.to_owned()));
        assert_eq!(url("http://ocsp.test"), made("ocsp.test", 80, "/"));
        assert_eq!(url("http://ocsp.test:81/a/b"), made("ocsp.test", 81, "/a/b"));
        assert_eq!(url("http://[::1]:81/"), made("::1", 81, "/"));
        assert_eq!((url("https://ocsp.test/"), url("http:///x"), url("http://a:b/")), (None, None, None));
    }

    #[test]
    fn only_whole_good_responses_have_a_body() {
        let body = |text: &str| body_of(text.as_bytes()).ok().map(<[u8]>::to_vec);
        assert_eq!(body("HTTP/1.0 200 OK\r\nA: b\r\n\r\nxyz").as_deref(), Some(&b"xyz"[..]));
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxyz").as_deref(), Some(&b"xy"[..]));
        for bad in
            ["", "HTTP/1.0 200 OK\r\n", "HTTP/1.0 404 No\r\n\r\nx", "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nx"]
        {
            assert_eq!(body(bad), None, "{bad}");
        }
    }
}
