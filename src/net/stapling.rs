//! OCSP stapling: what a responder says of our certificates goes out with them.
//!
//! Responders are asked beside the threads that serve, before clients want to know: no handshake waits for one. Until
//! the first answer is here, nothing is said.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

use super::responder::{self, Responder};
use crate::codec::ocsp::{self, Answer, Reply, Status};

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
    /// The responder does not answer.
    #[error(transparent)]
    Responder(#[from] responder::Trouble),
    /// The response is of no use: what OpenSSL and mod_ssl call it.
    #[error("{0}")]
    Useless(String),
}

/// A certificate with what is stapled to it.
pub struct Staple {
    spec: StapleSpec,
    question: Vec<u8>,
    url: Responder,
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
        let question = ocsp::request(cert, issuer, None).ok_or(NoStaple::NoIssuer)?;
        let url = spec.force_url.clone().or_else(|| ocsp::responder(cert));
        let url = url.as_deref().and_then(Responder::parse).ok_or(NoStaple::NoResponder)?;
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
        let response = self.url.ask(&self.question, None, self.spec.patience).await.map_err(Trouble::from);
        let judged = response.and_then(|response| {
            let reply = ocsp::read(&response, &self.question);
            let judged = reply.ok_or_else(|| Trouble::Useless("error parsing OCSP response".to_owned()))?;
            Ok((response, self.judge(judged, now())))
        });
        match judged {
            Ok((response, Ok((left, trouble)))) => {
                self.put(Some(response.to_vec()));
                (self.spec.keep.min(left).max(LEAST), trouble)
            }
            Ok((response, Err(trouble))) => {
                self.put(self.spec.return_errors.then(|| response.to_vec()));
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
        let Answer { status, this_update, next_update, .. } = match reply {
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
}
