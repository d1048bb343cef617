//! Clients' certificates: responders are asked whether they have been revoked (`SSLOCSPEnable`).
//!
//! rustls wants a verdict at once, and a responder takes its time: such handshakes are made [`aside`], on a thread of
//! the runtime that may wait.

use std::io;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use rustls::{CertificateError, Connection, Error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use webpki::{EndEntityCert, KeyUsage};

use super::minutes::{self, Line, Weight};
use super::responder::Responder;
use super::secured::Secured;
use super::trust::{Trust, algorithms};
use crate::base::clock::{Clock as _, SystemClock};
use crate::codec::ocsp::{self, Answer, Reply, Signed, Status};
use crate::codec::x509;

/// id-kp-OCSPSigning, as webpki wants it.
const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];

/// What is asked about clients, and whom.
#[derive(Debug)]
pub struct Ocsp {
    /// About the authorities between, too.
    pub chain: bool,
    /// Certificates that name no responder pass.
    pub lenient: bool,
    /// Who is asked where a certificate names nobody.
    pub default: Option<String>,
    /// Whom certificates name does not matter.
    pub override_named: bool,
    /// How far clocks may be apart, in seconds.
    pub skew: i64,
    /// How old an answer may be, in seconds.
    pub max_age: Option<i64>,
    /// How long an answer is waited for.
    pub patience: Duration,
    /// Answers must be fresh.
    pub nonce: bool,
    /// Who passes questions on.
    pub proxy: Option<String>,
    /// Whoever signs an answer is believed.
    pub no_verify: bool,
    /// Whose signatures are believed besides.
    pub trusted: Vec<CertificateDer<'static>>,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Revoked,
    /// Nothing is known for sure.
    Unsure,
}

tokio::task_local! {
    /// Where the answers come in while this thread waits.
    static ASIDE: Handle;
}

/// Makes a server's handshake on a thread that may wait for responders.
///
/// # Errors
/// Those of [`Secured::poll_handshake`]; the alert of a protocol's one has been sent.
pub async fn aside<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    session: Connection,
    lines: &mut Vec<Line>,
) -> io::Result<Connection> {
    let runtime = Handle::current();
    let mut side = Secured::new(socket, session);
    loop {
        side.flush().await?;
        if !side.session().is_handshaking() {
            return Ok(side.into_parts().1);
        }
        if side.fill().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (socket, mut session) = side.into_parts();
        let runtime = runtime.clone();
        let step = move || {
            let (done, said) =
                minutes::keep(|| ASIDE.sync_scope(runtime, || session.process_new_packets().map(|_| ())));
            (session, done, said)
        };
        let (session, done, said) = tokio::task::spawn_blocking(step).await.map_err(io::Error::other)?;
        side = Secured::new(socket, session);
        lines.extend(said);
        if let Err(error) = done {
            side.flush().await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
}

/// Nobody known has signed the certificate of a client: responders cannot be asked about it.
pub fn unverified(cert: &CertificateDer<'_>) -> Error {
    let text = "AH02038: cannot perform OCSP validation for cert if issuer has not been verified (optional_no_ca \
                configured)";
    minutes::say(Line::new(Weight::Error, text.to_owned()));
    refused(Fault::Unsure, cert)
}

/// An alert of the same kind as OpenSSL's goes out.
fn refused(fault: Fault, cert: &CertificateDer<'_>) -> Error {
    let (number, words, error) = match fault {
        Fault::Revoked => (23, "certificate revoked", Error::InvalidCertificate(CertificateError::Revoked)),
        Fault::Unsure => {
            (50, "application verification failure", Error::General("certificate verify failed".to_owned()))
        }
    };
    let blamed = x509::described(cert);
    let text = format!("AH02276: Certificate Verification: Error ({number}): {words}{blamed}");
    minutes::say(Line::new(Weight::Info, text));
    error
}

/// An entry that is about what has been said, and the library's about why.
fn distrusted(text: &str, why: &[&str]) -> Fault {
    minutes::say(Line::anonymous(text.to_owned()));
    for why in why {
        minutes::say(Line::anonymous(format!("SSL Library Error: error:{why}")));
    }
    Fault::Unsure
}

fn error(text: String) -> Fault {
    minutes::say(Line::new(Weight::Error, text));
    Fault::Unsure
}

impl Ocsp {
    /// Asks about the certificates of a chain, which begins with the client's and ends with an authority's own.
    ///
    /// # Errors
    /// One has been revoked, or nobody says that it has not.
    pub fn check(&self, chain: &[CertificateDer<'static>], trust: &Trust) -> Result<(), Error> {
        let asked = if self.chain { chain } else { chain.get(..1).unwrap_or_default() };
        // From the authority down, as OpenSSL walks.
        for (nth, cert) in asked.iter().enumerate().rev() {
            // Nobody stands above an authority that has signed itself.
            if trust.is_root(cert) {
                continue;
            }
            let judged = match chain.get(nth + 1) {
                Some(issuer) => self.ask(cert, issuer, trust),
                None => Err(Fault::Unsure),
            };
            judged.map_err(|fault| refused(fault, cert))?;
        }
        Ok(())
    }

    fn ask(&self, cert: &CertificateDer<'_>, issuer: &CertificateDer<'_>, trust: &Trust) -> Result<(), Fault> {
        let debug = |text: String| {
            minutes::say(Line::new(Weight::Debug, text));
            Fault::Unsure
        };
        let named = if self.override_named { None } else { ocsp::responder(cert) };
        let Some(url) = named.or_else(|| self.default.clone()) else {
            if self.lenient {
                return Ok(());
            }
            let text = "AH01918: no OCSP responder specified in certificate and no default configured";
            return Err(debug(text.to_owned()));
        };
        let cannot = || debug(format!("AH01920: cannot handle OCSP responder URI '{url}'"));
        let responder = Responder::parse(&url).ok_or_else(cannot)?;
        let proxy = match &self.proxy {
            None => None,
            Some(url) => Some(Responder::parse(url).ok_or_else(cannot)?),
        };
        let mut nonce = [0; 16];
        if self.nonce && getrandom::fill(&mut nonce).is_err() {
            return Err(Fault::Unsure);
        }
        let nonce = self.nonce.then_some(nonce.as_slice());
        let question = ocsp::request(cert, issuer, nonce).ok_or(Fault::Unsure)?;
        let Ok(runtime) = ASIDE.try_with(Clone::clone) else { return Err(Fault::Unsure) };
        let answer = runtime.block_on(responder.ask(&question, proxy.as_ref(), self.patience));
        let answer = answer.map_err(|trouble| {
            trouble.lines().into_iter().for_each(minutes::say);
            Fault::Unsure
        })?;
        self.judge(&answer, &question, nonce, cert, issuer, trust)
    }

    fn judge(
        &self,
        answer: &[u8],
        question: &[u8],
        nonce: Option<&[u8]>,
        cert: &CertificateDer<'_>,
        issuer: &CertificateDer<'_>,
        trust: &Trust,
    ) -> Result<(), Fault> {
        let reply = ocsp::read(answer, question)
            .ok_or_else(|| error("AH01988: failed to decode OCSP response data".to_owned()))?;
        if let Reply::Error(number) = reply {
            return Err(distrusted(&format!("AH01922: OCSP response not successful: {number}"), &[]));
        }
        let signed =
            ocsp::signed(answer).ok_or_else(|| distrusted("AH01923: could not retrieve OCSP basic response", &[]))?;
        if nonce.is_some() && signed.nonce != nonce {
            return Err(distrusted("AH01924: Bad OCSP responder answer (bad nonce)", &[]));
        }
        self.believe(&signed, issuer, trust)?;
        let about = x509::described(cert);
        let (answer, status, number) = match reply {
            Reply::About(answer) => match answer.status {
                Status::Good => (answer, "good", 0),
                Status::Revoked => (answer, "revoked", 1),
                Status::Unknown => (answer, "unknown", 2),
            },
            Reply::Other | Reply::Error(_) => {
                return Err(error(format!("AH02272: failed to retrieve OCSP response status{about}")));
            }
        };
        let stale = self.stale(&answer, SystemClock.wall() / 1_000_000);
        if let Some(why) = stale {
            error(format!("AH02273: OCSP response outside validity period{about}"));
            minutes::say(Line::anonymous(format!("SSL Library Error: error:{why}")));
        }
        let weight = if answer.status == Status::Good { Weight::Info } else { Weight::Error };
        let reason = answer.reason.map_or(-1, i32::from);
        let text =
            format!("AH03239: OCSP validation completed, certificate status: {status} ({number}, {reason}){about}");
        minutes::say(Line::new(weight, text));
        match answer.status {
            Status::Good if stale.is_none() => Ok(()),
            Status::Revoked if stale.is_none() => Err(Fault::Revoked),
            _ => Err(Fault::Unsure),
        }
    }

    /// Why an answer's time is not now; `now` is in seconds.
    fn stale(&self, answer: &Answer, now: i64) -> Option<&'static str> {
        if answer.this_update > now.saturating_add(self.skew) {
            Some("1380007E:OCSP routines::status not yet valid")
        } else if self.max_age.is_some_and(|age| answer.this_update < now.saturating_sub(age)) {
            Some("1380007F:OCSP routines::status too old")
        } else if answer.next_update.is_some_and(|next| next < now.saturating_sub(self.skew)) {
            Some("1380007D:OCSP routines::status expired")
        } else if answer.next_update.is_some_and(|next| next < answer.this_update) {
            Some("1380007C:OCSP routines::nextupdate before thisupdate")
        } else {
            None
        }
    }

    /// Whether the signature is that of the issuer, of whom the issuer has charged with it, or of somebody trusted.
    fn believe(&self, signed: &Signed<'_>, issuer: &CertificateDer<'_>, trust: &Trust) -> Result<(), Fault> {
        let fail = |why: &[&str]| Err(distrusted("AH01925: failed to verify the OCSP response", why));
        let came: Vec<CertificateDer<'_>> = signed.certs.iter().map(|cert| CertificateDer::from(*cert)).collect();
        let trusted = self.trusted.iter().find(|cert| signed.signer.is(cert));
        let Some(signer) = trusted.or_else(|| came.iter().find(|cert| signed.signer.is(cert))) else {
            return fail(&["13800076:OCSP routines::signer certificate not found"]);
        };
        if !is_signed_by(signer, signed.algorithm, signed.data, signed.signature) {
            return fail(&["13800075:OCSP routines::signature failure"]);
        }
        if self.no_verify || trusted.is_some() || signer == issuer {
            return Ok(());
        }
        if let Err(wrong) = trust.judge_signer(signer, &came, KeyUsage::required_if_present(OCSP_SIGNING)) {
            let words = trust.blame(&wrong, signer, &came, true).words;
            let why = format!("13800065:OCSP routines::certificate verify error (Verify error: {words})");
            return fail(&[&why]);
        }
        let issued = x509::issuer(signer).zip(x509::subject(issuer)).is_some_and(|(of, by)| of == by)
            && x509::signature(signer)
                .is_some_and(|(data, algorithm, signature)| is_signed_by(issuer, algorithm, data, signature));
        match (issued, x509::signs_ocsp(signer)) {
            (true, true) => Ok(()),
            (true, false) => fail(&[
                "13800067:OCSP routines::missing ocspsigning usage",
                "13800070:OCSP routines::root ca not trusted",
            ]),
            (false, _) => fail(&["13800070:OCSP routines::root ca not trusted"]),
        }
    }
}

/// Whether a certificate's key has made a signature.
fn is_signed_by(cert: &CertificateDer<'_>, algorithm: &[u8], data: &[u8], signature: &[u8]) -> bool {
    let Ok(cert) = EndEntityCert::try_from(cert) else { return false };
    // One kind of signature may be made with several kinds of keys.
    let fits = |known: &&dyn SignatureVerificationAlgorithm| known.signature_alg_id().as_ref() == algorithm;
    algorithms().all.iter().copied().filter(fits).any(|known| cert.verify_signature(known, data, signature).is_ok())
}
