//! Asks OCSP responders, over HTTP (RFC 6960, appendix A.1).

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, Version, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::minutes::{Cause, Line, Weight};

/// The longest response.
const RESPONSE_MAX: usize = 256 * 1024;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// A name is unknown: whose it was, and the name.
    #[error("could not resolve address of {0} {1}")]
    Resolve(&'static str, String),
    /// Nobody can be connected to: who it was to be, and its address.
    #[error("could not connect to {0} '{1}'")]
    Connect(&'static str, String, #[source] io::Error),
    /// There is no answer in time.
    #[error("timed out")]
    Late,
    /// The connection ends without an answer.
    #[error("empty response from OCSP server")]
    Empty,
    /// The answer is none of HTTP's, or says that there is no response.
    #[error("bad response from OCSP server: {0}")]
    Answer(String),
    /// It is cut off, or too long.
    #[error("error reading response from OCSP server: {0}")]
    Body(String),
}

impl Trouble {
    /// mod_ssl's entries about it.
    pub fn lines(self) -> Vec<Line> {
        let line = |text: &str| Line::new(Weight::Error, text.to_owned());
        let none = || line("AH01980: bad response from OCSP server: (none)");
        let caused = |cause, text: String| Line { cause: Some(cause), ..Line::new(Weight::Error, text) };
        match self {
            Self::Resolve(..) => vec![caused(Cause::NoName, format!("AH01972: {self}"))],
            Self::Connect(who, address, error) => {
                vec![caused(Cause::Io(error), format!("AH01974: could not connect to {who} '{address}'"))]
            }
            Self::Late => {
                vec![caused(Cause::Late, "AH01977: failed reading line from OCSP server".to_owned()), none()]
            }
            Self::Empty => vec![line(&format!("AH02321: {self}")), none()],
            Self::Answer(_) => vec![line(&format!("AH01980: {self}"))],
            Self::Body(_) => vec![line(&format!("AH01985: {self}"))],
        }
    }
}

/// Where a responder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responder {
    host: String,
    port: u16,
    /// What it is asked for.
    path: String,
}

impl Responder {
    /// The responder of an `http:` address; `None`: it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        if uri.scheme_str() != Some("http") {
            return None;
        }
        // A port that is no number is none of the type's, and no other port either.
        let port = uri.port_u16().or_else(|| uri.authority()?.as_str().ends_with(uri.host()?).then_some(80))?;
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port, path: path.to_owned() })
    }

    /// Host and port, as messages show it.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Puts a question, through a proxy if there is one: the answer's body.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn ask(&self, question: &[u8], proxy: Option<&Self>, patience: Duration) -> Result<Bytes, Trouble> {
        let answer = tokio::time::timeout(patience, self.exchange(question, proxy)).await;
        answer.unwrap_or(Err(Trouble::Late))
    }

    async fn exchange(&self, question: &[u8], proxy: Option<&Self>) -> Result<Bytes, Trouble> {
        let (to, who) = proxy.map_or((self, "OCSP responder"), |proxy| (proxy, "proxy"));
        let found = tokio::net::lookup_host((to.host.as_str(), to.port)).await;
        let found: Vec<_> = found.map_err(|_| Trouble::Resolve(who, to.host.clone()))?.collect();
        let failed = |error| Trouble::Connect(who, to.address(), error);
        let stream = TcpStream::connect(found.as_slice()).await.map_err(failed)?;
        let uri = if proxy.is_some() { format!("http://{}{}", self.address(), self.path) } else { self.path.clone() };
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .version(Version::HTTP_10)
            .header(header::HOST, self.address())
            .header(header::CONTENT_TYPE, "application/ocsp-request")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::copy_from_slice(question)))
            .map_err(|error| Trouble::Answer(error.to_string()))?;
        let (mut sender, conn) = http1::Builder::new()
            .title_case_headers(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| wrong(&error))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| wrong(&error))?;
            if response.status() != StatusCode::OK {
                let own = response.extensions().get::<ReasonPhrase>().map(|own| own.as_bytes());
                let usual = response.status().canonical_reason().unwrap_or_default().as_bytes();
                let reason = String::from_utf8_lossy(own.unwrap_or(usual)).into_owned();
                return Err(Trouble::Answer(format!("{} {reason}", response.status().as_u16())));
            }
            let body = Limited::new(response.into_body(), RESPONSE_MAX).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| Trouble::Body(error.to_string()))
        };
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            done = &mut exchange => done,
            // The connection has ended: whatever came is there already.
            _ = conn => exchange.await,
        }
    }
}

fn wrong(error: &hyper::Error) -> Trouble {
    if error.is_incomplete_message() { Trouble::Empty } else { Trouble::Answer(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_responders() {
        let parse = |text: &str| Responder::parse(text).map(|at| (at.address(), at.path));
        let made = |address: &str, path: &str| Some((address.to_owned(), path.to_owned()));
        assert_eq!(parse("http://ocsp.test"), made("ocsp.test:80", "/"));
        assert_eq!(parse("http://ocsp.test:81/a/b?c"), made("ocsp.test:81", "/a/b?c"));
        assert_eq!(parse("http://[::1]:81/"), made("[::1]:81", "/"));
        for none in ["https://ocsp.test/", "http:///x", "http://a:b/", "ocsp.test", "/x", ""] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
