//! OCSP (RFC 6960): what a responder is asked about one certificate, and what it says.

use sha1::{Digest as _, Sha1};
use x509_parser::asn1_rs::{Any, Class, FromDer as _, GeneralizedTime, Tag};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::X509Certificate;

/// The object identifier of SHA-1 with its NULL, as an AlgorithmIdentifier.
const SHA1: [u8; 11] = [0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0];

/// A response that only says: later (section 4.2.1).
pub const TRY_LATER: [u8; 5] = [0x30, 3, 0x0a, 1, 3];

/// One element in DER.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=0x7f => out.push(short as u8),
        middle @ 0x80..=0xff => out.extend_from_slice(&[0x81, middle as u8]),
        long => {
            out.push(0x82);
            out.extend_from_slice(&u16::try_from(long).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(&content);
    out
}

/// The nonce's extension (section 4.4.1), up to its value.
const NONCE: [u8; 11] = [6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2];

/// The question about a certificate, which `issuer` has signed (section 4.1.1), with a nonce if the answer must be a
/// fresh one; `None`: one of the certificates is none.
pub fn request(cert: &[u8], issuer: &[u8], nonce: Option<&[u8]>) -> Option<Vec<u8>> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    let (_, issuer) = X509Certificate::from_der(issuer).ok()?;
    let name = element(4, &[&Sha1::digest(issuer.subject().as_raw())]);
    let key = element(4, &[&Sha1::digest(issuer.public_key().subject_public_key.data.as_ref())]);
    let id = element(0x30, &[&SHA1, &name, &key, &element(2, &[cert.raw_serial()])]);
    let list = element(0x30, &[&element(0x30, &[&id])]);
    let nonce = nonce.map(|nonce| element(0x30, &[&NONCE, &element(4, &[&element(4, &[nonce])])]));
    let extensions = nonce.map(|nonce| element(0xa2, &[&element(0x30, &[&nonce])])).unwrap_or_default();
    Some(element(0x30, &[&element(0x30, &[&list, &extensions])]))
}

/// Where a certificate says that its responder is: the first `http:` address.
pub fn responder(cert: &[u8]) -> Option<String> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    cert.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { return None };
        access.accessdescs.iter().find_map(|way| match &way.access_location {
            GeneralName::URI(uri) if way.access_method.to_id_string() == "1.3.6.1.5.5.7.48.1" => {
                Some((*uri).to_owned())
            }
            _ => None,
        })
    })
}

/// The state of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is good.
    Good,
    /// It was revoked.
    Revoked,
    /// The responder does not know it.
    Unknown,
}

/// What a responder says of one certificate, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The state.
    pub status: Status,
    /// Why it was revoked: a number of RFC 5280, section 5.3.1.
    pub reason: Option<u8>,
    /// From when on that is so.
    pub this_update: i64,
    /// Until when.
    pub next_update: Option<i64>,
}

/// A response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It says something of the certificate.
    About(Answer),
    /// It is about others.
    Other,
    /// The responder could not say anything: its number of an error.
    Error(u8),
}

fn sequence(input: &[u8]) -> Option<&[u8]> {
    let (_, any) = Any::from_der(input).ok()?;
    (any.header.tag() == Tag::Sequence && any.header.class() == Class::Universal).then_some(any.data)
}

fn tagged(any: &Any<'_>, number: u32) -> bool {
    any.header.class() == Class::ContextSpecific && any.header.tag().0 == number
}

fn time(any: &Any<'_>) -> Option<i64> {
    let time = GeneralizedTime::try_from(any).ok()?;
    Some(time.utc_datetime().ok()?.unix_timestamp())
}

/// Reads a response for a question that [`request`] has made; `None`: it is none. Signatures are the client's business.
pub fn read(response: &[u8], request: &[u8]) -> Option<Reply> {
    let (rest, status) = Any::from_der(sequence(response)?).ok()?;
    match status.data {
        [0] => {}
        [number] => return Some(Reply::Error(*number)),
        _ => return None,
    }
    let (_, bytes) = Any::from_der(rest).ok()?;
    let (rest, _kind) = Any::from_der(sequence(bytes.data)?).ok()?;
    let (_, basic) = Any::from_der(rest).ok()?;
    let mut data = sequence(sequence(basic.data)?)?;
    // Version and responder stand before the time at which it was made.
    let list = loop {
        let (rest, any) = Any::from_der(data).ok()?;
        data = rest;
        if any.header.tag() == Tag::GeneralizedTime && any.header.class() == Class::Universal {
            break sequence(data)?;
        }
    };
    let wanted = asked(request)?;
    let mut rest = list;
    while !rest.is_empty() {
        let (more, single) = Any::from_der(rest).ok()?;
        rest = more;
        if let Some(answer) = single_answer(single.data, wanted)? {
            return Some(Reply::About(answer));
        }
    }
    Some(Reply::Other)
}

/// The reason in a RevokedInfo, behind the time.
fn reason(revoked: &[u8]) -> Option<u8> {
    let (rest, _when) = Any::from_der(revoked).ok()?;
    let (_, any) = Any::from_der(rest).ok()?;
    let (_, inner) = Any::from_der(any.data).ok()?;
    match inner.data {
        [number] if tagged(&any, 0) => Some(*number),
        _ => None,
    }
}

/// Who says that he has signed a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer<'a> {
    /// The one of that name, in DER.
    Name(&'a [u8]),
    /// The one whose key has this SHA-1 hash.
    Key(&'a [u8]),
}

impl Signer<'_> {
    /// Whether this certificate is his.
    pub fn is(&self, cert: &[u8]) -> bool {
        let Ok((_, cert)) = X509Certificate::from_der(cert) else { return false };
        match self {
            Self::Name(name) => cert.subject().as_raw() == *name,
            Self::Key(hash) => Sha1::digest(cert.public_key().subject_public_key.data.as_ref()).as_slice() == *hash,
        }
    }
}

/// What is signed in a response, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The bytes that are signed.
    pub data: &'a [u8],
    /// The content of the AlgorithmIdentifier.
    pub algorithm: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
    /// Certificates that came along, in DER.
    pub certs: Vec<&'a [u8]>,
    /// Whose signature it is.
    pub signer: Signer<'a>,
    /// The nonce of the question that it answers.
    pub nonce: Option<&'a [u8]>,
}

/// The next element: all its bytes, and what it is.
fn next<'a>(input: &mut &'a [u8]) -> Option<(&'a [u8], Any<'a>)> {
    let (rest, any) = Any::from_der(input).ok()?;
    let raw = input.get(..input.len().checked_sub(rest.len())?)?;
    *input = rest;
    Some((raw, any))
}

/// The basic response in a successful one; `None`: there is none.
pub fn signed(response: &[u8]) -> Option<Signed<'_>> {
    let mut outer = sequence(response)?;
    let (_, status) = next(&mut outer)?;
    let mut bytes = sequence(next(&mut outer)?.1.data)?;
    let (_, _kind) = next(&mut bytes)?;
    let mut basic = sequence(next(&mut bytes)?.1.data)?;
    let (data, inside) = next(&mut basic)?;
    let (_, algorithm) = next(&mut basic)?;
    let (_, bits) = next(&mut basic)?;
    let [0, signature @ ..] = bits.data else { return None };
    let mut certs = Vec::new();
    if let Some((_, any)) = next(&mut basic).filter(|(_, any)| tagged(any, 0)) {
        let mut list = sequence(any.data)?;
        while let Some((cert, _)) = next(&mut list) {
            certs.push(cert);
        }
    }
    let mut inside = inside.data;
    let (_, mut who) = next(&mut inside)?;
    if tagged(&who, 0) {
        who = next(&mut inside)?.1;
    }
    let signer = match who.header.tag().0 {
        1 => Signer::Name(who.data),
        2 => Signer::Key(Any::from_der(who.data).ok()?.1.data),
        _ => return None,
    };
    let (_when, _answers) = (next(&mut inside)?, next(&mut inside)?);
    let mut nonce = None;
    if let Some((_, any)) = next(&mut inside).filter(|(_, any)| tagged(any, 1)) {
        let mut list = sequence(any.data)?;
        while let Some((_, extension)) = next(&mut list) {
            if let Some(value) = extension.data.strip_prefix(&NONCE) {
                nonce = Some(Any::from_der(Any::from_der(value).ok()?.1.data).ok()?.1.data);
            }
        }
    }
    (status.data == [0]).then_some(Signed { data, algorithm: algorithm.data, signature, certs, signer, nonce })
}

/// The CertID of a question.
fn asked(request: &[u8]) -> Option<&[u8]> {
    sequence(sequence(sequence(sequence(sequence(request)?)?)?)?)
}

/// What one entry of a response says, if it is about that certificate.
fn single_answer(entry: &[u8], wanted: &[u8]) -> Option<Option<Answer>> {
    let (rest, id) = Any::from_der(entry).ok()?;
    // Hash, name, key and serial; of the algorithm, parameters may be left away.
    let tail = |id: &[u8]| Any::from_der(id).ok().map(|(rest, _)| rest.to_vec());
    if tail(id.data)? != tail(wanted)? {
        return Some(None);
    }
    let (rest, state) = Any::from_der(rest).ok()?;
    let status = match state.header.tag().0 {
        0 => Status::Good,
        1 => Status::Revoked,
        2 => Status::Unknown,
        _ => return None,
    };
    let (rest, this_update) = Any::from_der(rest).ok()?;
    let next_update = match Any::from_der(rest) {
        Ok((_, any)) if tagged(&any, 0) => {
            let (_, inner) = Any::from_der(any.data).ok()?;
            Some(time(&inner)?)
        }
        _ => None,
    };
    let reason = if status == Status::Revoked { reason(state.data) } else { None };
    Some(Some(Answer { status, reason, this_update: time(&this_update)?, next_update }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    fn der(pem: &str) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.decode(pem).unwrap()
    }

    /// A certificate on P-256, its issuer, OpenSSL's question about it, and its answers: good, revoked, unknown, and
    /// about another one.
    const CERT: &str = "MIIBuTCCAV+gAwIBAgICEjQwCgYIKoZIzj0EAwIwHzEMMAoGA1UECgwDTGFiMQ8wDQYDVQQDDAZMYWIgQ0EwHhcNMjYxMTI1MjIxNjU2WhcNMjYxMjI1MjIxNjU2WjAVMRMwEQYDVQQDDApmcm9udC50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEntwpfH48Jhibo0quG58/UkOAA/qploURTVstCTBghIqqgH/rpOEcG7JcCxXkBVQ7lTOzSWAceGyioQZMyHQTq6OBlDCBkTAVBgNVHREEDjAMggpmcm9udC50ZXN0MDgGCCsGAQUFBwEBBCwwKjAoBggrBgEFBQcwAYYcaHR0cDovLzEyNy4wLjAuMTo4OTk4L29jc3AveDAdBgNVHQ4EFgQU4eTteEYgZkv8RfU8spUwGQSGSvcwHwYDVR0jBBgwFoAUgZucFPlALZ4K/GRtDtqQqWewwncwCgYIKoZIzj0EAwIDSAAwRQIgH9ehyi7xmlAwtG+njLpQc+61/GpXPELBX7ZjEM6n4pwCIQD2y6jSKl42Czs2/IXXiqKMDFMqu4RwVsDt+4bUqZjTfQ==";
    const ISSUER: &str = "MIIBlDCCATmgAwIBAgIUGBCJtl2dp7eEyApPCfeuYQ1Ow+MwCgYIKoZIzj0EAwIwHzEMMAoGA1UECgwDTGFiMQ8wDQYDVQQDDAZMYWIgQ0EwHhcNMjYxMTI1MjEwMTU4WhcNMjcwMjIzMjEwMTU4WjAfMQwwCgYDVQQKDANMYWIxDzANBgNVBAMMBkxhYiBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABP4l191P4WDgqIvYR3B1NoeQnO3VvzFFg/01sJCIb7JwGAnnJkT6vjtPYgReHmZ3tM533Xeg6jtSlpg0J3zS1ACjUzBRMB0GA1UdDgQWBBSBm5wU+UAtngr8ZG0O2pCpZ7DCdzAfBgNVHSMEGDAWgBSBm5wU+UAtngr8ZG0O2pCpZ7DCdzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQD4UWuttyYP0XP3jEQ+cDwlrhdHqsGp8bHoAMuG9cIeFwIhAJwtVQl2kflAG1ROfZ5y+JnGKYPIfdJuDqJbZ/5snF0W";
    const QUESTION: &str =
        "MEMwQTA/MD0wOzAJBgUrDgMCGgUABBQznjNp/AEn4VKlqbvidP8lvmQMrwQUgZucFPlALZ4K/GRtDtqQqWewwncCAhI0";
    const GOOD: &str = "MIICsgoBAKCCAqswggKnBgkrBgEFBQcwAQEEggKYMIIClDCBm6EhMB8xDDAKBgNVBAoMA0xhYjEPMA0GA1UEAwwGTGFiIENBGA8yMDI2MTEyNTIyMTgwNlowZTBjMDswCQYFKw4DAhoFAAQUM54zafwBJ+FSpam74nT/Jb5kDK8EFIGbnBT5QC2eCvxkbQ7akKlnsMJ3AgISNIAAGA8yMDI2MTEyNTIyMTgwNlqgERgPMjAyNjExMjYyMjE4MDZaMAoGCCqGSM49BAMCA0gAMEUCIApQmBHApSVw4r9NFDblqdzKZJqQUFOSVML+6CAqzM3VAiEAgnhvgZGzNfQXfS9iRJYEZGX2Y/884y9QPcmIoltG5O6gggGcMIIBmDCCAZQwggE5oAMCAQICFBgQibZdnae3hMgKTwn3rmENTsPjMAoGCCqGSM49BAMCMB8xDDAKBgNVBAoMA0xhYjEPMA0GA1UEAwwGTGFiIENBMB4XDTI2MTEyNTIxMDE1OFoXDTI3MDIyMzIxMDE1OFowHzEMMAoGA1UECgwDTGFiMQ8wDQYDVQQDDAZMYWIgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT+JdfdT+Fg4KiL2EdwdTaHkJzt1b8xRYP9NbCQiG+ycBgJ5yZE+r47T2IEXh5md7TOd913oOo7UpaYNCd80tQAo1MwUTAdBgNVHQ4EFgQUgZucFPlALZ4K/GRtDtqQqWewwncwHwYDVR0jBBgwFoAUgZucFPlALZ4K/GRtDtqQqWewwncwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA+FFrrbcmD9Fz94xEPnA8Ja4XR6rBqfGx6ADLhvXCHhcCIQCcLVUJdpH5QBtUTn2ecviZximDyH3Sbg6iW2f+bJxdFg==";
    const REVOKED: &str = "MIICxAoBAKCCAr0wggK5BgkrBgEFBQcwAQEEggKqMIICpjCBrKEhMB8xDDAKBgNVBAoMA0xhYjEPMA0GA1UEAwwGTGFiIENBGA8yMDI2MTEyNTIyMTgwNlowdjB0MDswCQYFKw4DAhoFAAQUM54zafwBJ+FSpam74nT/Jb5kDK8EFIGbnBT5QC2eCvxkbQ7akKlnsMJ3AgISNKERGA8yMDI2MTEwMTAwMDAwMFoYDzIwMjYxMTI1MjIxODA2WqARGA8yMDI2MTEyNjIyMTgwNlowCgYIKoZIzj0EAwIDSQAwRgIhANJtaCucaBqV7mwCPXgGrfx2xCCmx+O3HoKKXMKE83mnAiEAiU2ShM51cvm2C99hnJw8nazGr4/dnzmOIP3NIqd4U66gggGcMIIBmDCCAZQwggE5oAMCAQICFBgQibZdnae3hMgKTwn3rmENTsPjMAoGCCqGSM49BAMCMB8xDDAKBgNVBAoMA0xhYjEPMA0GA1UEAwwGTGFiIENBMB4XDTI2MTEyNTIxMDE1OFoXDTI3MDIyMzIxMDE1OFowHzEMMAoGA1UECgwDTGFiMQ8wDQYDVQQDDAZMYWIgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT+JdfdT+Fg4KiL2EdwdTaHkJzt1b8xRYP9NbCQiG+ycBgJ5yZE+r47T2IEXh5md7TOd913oOo7UpaYNCd80tQAo1MwUTAdBgNVHQ4EFgQUgZucFPlALZ4K/GRtDtqQqWewwncwHwYDVR0jBBgwFoAUgZucFPlALZ4K/GRtDtqQqWewwncwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA+FFrrbcmD9Fz94xEPnA8Ja4XR6rBqfGx6ADLhvXCHhcCIQCcLVUJdpH5QBtUTn2ecviZximDyH3Sbg6iW2f+bJxdFg==";
    const UNKNOWN: &str = "MIICsgoBAKCCAqswggKnBgkrBgEFBQcwAQEEggKYMIIClDCBm6EhMB8xDDAKBgNVBAoMA0xhYjEPMA0GA1UEAwwGTGFiIENBGA8yMDI2MTEyNTIyMTgwNlowZTBjMDswCQYFKw4DAhoFAAQUM54zafwBJ+FSpam74nT/Jb5kDK8EFIGbnBT5QC2eCvxkbQ7akKlnsMJ3AgISNIIAGA8yMDI2MTEyNTIyMTgwNlqgERgPMjAyNjExMjYyMjE4MDZaMAoGCCqGSM49BAMCA0gAMEUCIDZJBkU+uGR93Yl96sKOZGv6Lg+IF2/iLqSe7Mmsc2m1AiEAsc38oYdPhEp0oQzSIcbWFOpYneXsA5HLy+ORiOGwEAmgggGcMIIBmDCCAZQwggE5oAMCAQICFBgQibZdnae3hMgKTwn3rmENTsPjMAoGCCqGSM49BAMCMB8xDDAKBgNVBAoMA0xhYjEPMA0GA1UEAwwGTGFiIENBMB4XDTI2MTEyNTIxMDE1OFoXDTI3MDIyMzIxMDE1OFowHzEMMAoGA1UECgwDTGFiMQ8wDQYDVQQDDAZMYWIgQ0EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT+JdfdT+Fg4KiL2EdwdTaHkJzt1b8xRYP9NbCQiG+ycBgJ5yZE+r47T2IEXh5md7TOd913oOo7UpaYNCd80tQAo1MwUTAdBgNVHQ4EFgQUgZucFPlALZ4K/GRtDtqQqWewwncwHwYDVR0jBBgwFoAUgZucFPlALZ4K/GRtDtqQqWewwncwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA+FFrrbcmD9Fz94xEPnA8Ja4XR6rBqfGx6ADLhvXCHhcCIQCcLVUJdpH5QBtUTn2ecviZximDyH3Sbg6iW2f+bJxdFg==";

    #[test]
    fn questions_and_answers_are_openssls() {
        let (cert, issuer) = (der(CERT), der(ISSUER));
        let question = request(&cert, &issuer, None).unwrap();
        assert_eq!(question, der(QUESTION));
        assert_eq!(responder(&cert).as_deref(), Some("http://127.0.0.1:8998/ocsp/x"));
        assert_eq!(responder(&issuer), None);
        for (answer, status) in [(GOOD, Status::Good), (REVOKED, Status::Revoked), (UNKNOWN, Status::Unknown)] {
            let answer = der(answer);
            let Some(Reply::About(said)) = read(&answer, &question) else { panic!("{status:?}") };
            let seen = signed(&answer).unwrap();
            assert!(seen.signer.is(&issuer) && !seen.signer.is(&cert) && seen.certs == [issuer.as_slice()]);
            assert_eq!(seen.nonce, None);
            assert_eq!((said.status, said.next_update.map(|next| next - said.this_update)), (status, Some(86_400)));
            // Cut or bent anywhere it is another answer or none, and never a panic.
            for at in 0..answer.len() {
                assert_eq!(read(&answer[..at], &question), None);
                assert_eq!(signed(&answer[..at]), None);
                let mut bent = answer.clone();
                bent[at] ^= 0x55;
                let _ = (read(&bent, &question), signed(&bent));
            }
        }
        let other = request(&issuer, &issuer, None).unwrap();
        assert_eq!(read(&der(GOOD), &other), Some(Reply::Other));
        assert_eq!(read(&TRY_LATER, &question), Some(Reply::Error(3)));
    }
}
