//! What is in a certificate, as OpenSSL and mod_ssl show it.

use base64::Engine as _;
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

/// The bits of a certificate's public key.
pub fn public_key(cert: &[u8]) -> Option<Vec<u8>> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    Some(cert.public_key().subject_public_key.data.to_vec())
}

/// The key of a certificate of an earlier version than the third, as SubjectPublicKeyInfo; `None` for others.
pub fn key_info_of_old(cert: &[u8]) -> Option<Vec<u8>> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    (cert.version().0 < 2).then(|| cert.public_key().raw.to_vec())
}

/// Whether a SubjectPublicKeyInfo holds these bits.
pub fn is_key(info: &[u8], bits: &[u8]) -> bool {
    SubjectPublicKeyInfo::from_der(info).is_ok_and(|(_, info)| *info.subject_public_key.data == *bits)
}

/// Whether a certificate names itself as its issuer.
pub fn is_self_issued(cert: &[u8]) -> bool {
    X509Certificate::from_der(cert).is_ok_and(|(_, cert)| cert.subject().as_raw() == cert.issuer().as_raw())
}

/// Whether a certificate may sign others (`CA:TRUE`).
pub fn is_ca(cert: &[u8]) -> bool {
    X509Certificate::from_der(cert).is_ok_and(|(_, cert)| cert.is_ca())
}

/// Whether a certificate may sign what its issuer's OCSP responder says.
pub fn signs_ocsp(cert: &[u8]) -> bool {
    let Ok((_, cert)) = X509Certificate::from_der(cert) else { return false };
    cert.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.ocsp_signing)
}

/// What is signed of a certificate, the content of the algorithm's identifier, and the signature.
pub fn signature(cert: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (_, outer) = Any::from_der(cert).ok()?;
    let (rest, _) = Any::from_der(outer.data).ok()?;
    let signed = outer.data.get(..outer.data.len().checked_sub(rest.len())?)?;
    let (rest, algorithm) = Any::from_der(rest).ok()?;
    let (_, bits) = Any::from_der(rest).ok()?;
    Some((signed, algorithm.data, bits.data.strip_prefix(&[0])?))
}

/// The subject of a certificate in DER.
pub fn subject(cert: &[u8]) -> Option<Vec<u8>> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    Some(cert.subject().as_raw().to_vec())
}

/// The issuer of a certificate in DER.
pub fn issuer(cert: &[u8]) -> Option<Vec<u8>> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    Some(cert.issuer().as_raw().to_vec())
}

/// The first common name of a certificate's subject.
pub fn common_name(cert: &[u8]) -> Option<Vec<u8>> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    values(cert.subject(), "2.5.4.3").into_iter().next()
}

/// Whether a certificate is valid then, in seconds since 1970.
pub fn is_valid_at(cert: &[u8], when: u64) -> bool {
    let when = i64::try_from(when).unwrap_or(i64::MAX);
    X509Certificate::from_der(cert).is_ok_and(|(_, cert)| {
        let validity = cert.validity();
        validity.not_before.timestamp() <= when && when <= validity.not_after.timestamp()
    })
}

/// A certificate as mod_ssl's messages show it: ` [subject: … / issuer: … / serial: … / notbefore: … / notafter: …]`.
pub fn described(cert: &[u8]) -> String {
    let Ok((_, cert)) = X509Certificate::from_der(cert) else { return " [certificate: -not available-]".to_owned() };
    let mut out = b" [subject: ".to_vec();
    let ascii = |name: &X509Name<'_>, out: &mut Vec<u8>| {
        let mut text = Vec::new();
        push_name(name, &mut text);
        for byte in text {
            // Unlike in variables, nothing but ASCII.
            if byte.is_ascii() { out.push(byte) } else { out.extend_from_slice(format!("\\{byte:02X}").as_bytes()) }
        }
    };
    ascii(cert.subject(), &mut out);
    out.extend_from_slice(b" / issuer: ");
    ascii(cert.issuer(), &mut out);
    out.extend_from_slice(b" / serial: ");
    push_serial(cert.raw_serial(), &mut out);
    out.extend_from_slice(b" / notbefore: ");
    push_time(&cert.validity().not_before, &mut out);
    out.extend_from_slice(b" / notafter: ");
    push_time(&cert.validity().not_after, &mut out);
    out.push(b']');
    String::from_utf8_lossy(&out).into_owned()
}

/// The names a certificate is for, as mod_ssl compares them with hosts: DNS names, and the common names. Addresses
/// are not among them.
pub fn identities(cert: &[u8]) -> Vec<Vec<u8>> {
    let Ok((_, cert)) = X509Certificate::from_der(cert) else { return Vec::new() };
    let mut names: Vec<Vec<u8>> = Vec::new();
    for name in alternative_names(&cert) {
        if let GeneralName::DNSName(name) = name {
            names.push(name.as_bytes().to_vec());
        }
    }
    let common = values(cert.subject(), "2.5.4.3");
    names.extend(common);
    names
}

/// Whether a name in a certificate, which may begin with `*.`, is that of a host.
pub fn is_for(pattern: &[u8], host: &[u8]) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(rest) = pattern.strip_prefix(b"*") else { return false };
    let dot = memchr::memchr(b'.', host);
    rest.first() == Some(&b'.')
        && dot.and_then(|dot| host.get(dot..)).is_some_and(|tail| tail.eq_ignore_ascii_case(rest))
}

fn alternative_names<'a>(cert: &'a X509Certificate<'_>) -> impl Iterator<Item = &'a GeneralName<'a>> {
    cert.extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(names.general_names.iter()),
            _ => None,
        })
        .flatten()
}

/// Parts of names: OpenSSL's short name, mod_ssl's word (empty: none), the object identifier.
#[rustfmt::skip]
const PARTS: &[(&str, &str, &str)] = &[
    ("C", "C", "2.5.4.6"), ("ST", "ST", "2.5.4.8"), ("L", "L", "2.5.4.7"), ("O", "O", "2.5.4.10"),
    ("OU", "OU", "2.5.4.11"), ("CN", "CN", "2.5.4.3"), ("title", "T", "2.5.4.12"), ("initials", "I", "2.5.4.43"),
    ("GN", "G", "2.5.4.42"), ("SN", "S", "2.5.4.4"), ("description", "D", "2.5.4.13"),
    ("UID", "UID", "0.9.2342.19200300.100.1.1"), ("emailAddress", "Email", "1.2.840.113549.1.9.1"),
    ("DC", "DC", "0.9.2342.19200300.100.1.25"), ("serialNumber", "", "2.5.4.5"), ("street", "", "2.5.4.9"),
    ("postalCode", "", "2.5.4.17"), ("name", "", "2.5.4.41"), ("dnQualifier", "", "2.5.4.46"),
    ("pseudonym", "", "2.5.4.65"), ("businessCategory", "", "2.5.4.15"), ("organizationIdentifier", "", "2.5.4.97"),
    ("jurisdictionL", "", "1.3.6.1.4.1.311.60.2.1.1"), ("jurisdictionST", "", "1.3.6.1.4.1.311.60.2.1.2"),
    ("jurisdictionC", "", "1.3.6.1.4.1.311.60.2.1.3"), ("unstructuredName", "", "1.2.840.113549.1.9.2"),
];

/// A value of a name as UTF-8.
fn text_of(value: &Any<'_>) -> Option<Vec<u8>> {
    match value.tag() {
        Tag::BmpString => {
            let units = value.data.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
            Some(char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect::<String>().into_bytes())
        }
        Tag::T61String => Some(value.data.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()),
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            Some(value.data.to_vec())
        }
        _ => None,
    }
}

fn values(name: &X509Name<'_>, oid: &str) -> Vec<Vec<u8>> {
    let parts = name.iter_attributes().filter(|part| part.attr_type().to_id_string() == oid);
    parts.filter_map(|part| text_of(part.attr_value())).collect()
}

/// A name as RFC 2253 writes it, the last part first; bytes of UTF-8 as they are.
fn push_name(name: &X509Name<'_>, out: &mut Vec<u8>) {
    let sets: Vec<_> = name.iter_rdn().collect();
    for (nth, set) in sets.iter().rev().enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        for (nth, part) in set.iter().enumerate() {
            if nth > 0 {
                out.push(b'+');
            }
            let oid = part.attr_type().to_id_string();
            let known = PARTS.iter().find(|(_, _, known)| *known == oid);
            out.extend_from_slice(known.map_or(oid.as_str(), |(short, _, _)| short).as_bytes());
            out.push(b'=');
            match known.and_then(|_| text_of(part.attr_value())) {
                Some(text) => push_escaped(&text, out),
                None => {
                    out.extend_from_slice(b"#");
                    let header = part.attr_value().header.tag().0;
                    let data = part.attr_value().data;
                    let der = [header as u8, u8::try_from(data.len()).unwrap_or(u8::MAX)];
                    for byte in der.iter().chain(data) {
                        out.extend_from_slice(format!("{byte:02X}").as_bytes());
                    }
                }
            }
        }
    }
}

fn push_escaped(text: &[u8], out: &mut Vec<u8>) {
    for (at, byte) in text.iter().enumerate() {
        let last = at + 1 == text.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => out.extend_from_slice(&[b'\\', *byte]),
            b'#' if at == 0 => out.extend_from_slice(b"\\#"),
            b' ' if at == 0 || last => out.extend_from_slice(b"\\ "),
            0..=31 | 127 => out.extend_from_slice(format!("\\{byte:02X}").as_bytes()),
            byte => out.push(*byte),
        }
    }
}

/// A name as OpenSSL wrote it long ago: `/C=DE/O=Lab`.
fn push_line(name: &X509Name<'_>, out: &mut Vec<u8>) {
    for part in name.iter_attributes() {
        let oid = part.attr_type().to_id_string();
        let known = PARTS.iter().find(|(_, _, known)| *known == oid);
        out.push(b'/');
        out.extend_from_slice(known.map_or(oid.as_str(), |(short, _, _)| short).as_bytes());
        out.push(b'=');
        for byte in part.attr_value().data {
            match byte {
                b' '..=b'~' => out.push(*byte),
                byte => out.extend_from_slice(format!("\\x{byte:02X}").as_bytes()),
            }
        }
    }
}

fn push_time(time: &ASN1Time, out: &mut Vec<u8>) {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let when = time.to_datetime();
    let month = MONTHS.get(usize::from(u8::from(when.month())) - 1).unwrap_or(&"");
    let (day, hour, minute, second, year) = (when.day(), when.hour(), when.minute(), when.second(), when.year());
    out.extend_from_slice(format!("{month} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT").as_bytes());
}

/// OpenSSL's long name of an algorithm.
fn algorithm(oid: &str) -> &str {
    match oid {
        "1.2.840.113549.1.1.1" => "rsaEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.113549.1.1.14" => "sha224WithRSAEncryption",
        "1.2.840.10045.2.1" => "id-ecPublicKey",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "ED25519",
        "1.3.101.113" => "ED448",
        other => other,
    }
}

/// How names are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameStyle {
    /// RFC 2253.
    #[default]
    Rfc2253,
    /// `SSLOptions LegacyDNStringFormat`.
    Legacy,
}

/// A certificate as PEM.
pub fn push_pem(cert: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
    let text = base64::engine::general_purpose::STANDARD.encode(cert);
    for line in text.as_bytes().chunks(64) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(b"-----END CERTIFICATE-----\n");
}

/// Appends what mod_ssl calls `SSL_CLIENT_WHAT` or `SSL_SERVER_WHAT`; false when there is no such thing. `now` is in
/// seconds since 1970.
pub fn push_part(cert: &[u8], what: &[u8], style: NameStyle, now: i64, out: &mut Vec<u8>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(cert) else { return false };
    let name = |name: &X509Name<'_>, out: &mut Vec<u8>| match style {
        NameStyle::Rfc2253 => push_name(name, out),
        NameStyle::Legacy => push_line(name, out),
    };
    match what {
        b"M_VERSION" => out.extend_from_slice((parsed.version().0 + 1).to_string().as_bytes()),
        b"M_SERIAL" => push_serial(parsed.raw_serial(), out),
        b"V_START" => push_time(&parsed.validity().not_before, out),
        b"V_END" => push_time(&parsed.validity().not_after, out),
        b"V_REMAIN" => {
            let left = parsed.validity().not_after.timestamp().saturating_sub(now).max(0) / 86_400;
            out.extend_from_slice(left.to_string().as_bytes());
        }
        b"S_DN" => name(parsed.subject(), out),
        b"I_DN" => name(parsed.issuer(), out),
        b"A_SIG" => out.extend_from_slice(algorithm(&parsed.signature_algorithm.algorithm.to_id_string()).as_bytes()),
        b"A_KEY" => {
            out.extend_from_slice(algorithm(&parsed.public_key().algorithm.algorithm.to_id_string()).as_bytes())
        }
        b"CERT" => push_pem(cert, out),
        b"CERT_RFC4523_CEA" => {
            out.extend_from_slice(b"{ serialNumber ");
            push_decimal(parsed.raw_serial(), out);
            out.extend_from_slice(b", issuer rdnSequence:\"");
            push_name(parsed.issuer(), out);
            out.extend_from_slice(b"\" }");
        }
        _ => {
            if let Some(rest) = what.strip_prefix(b"S_DN_") {
                return push_component(parsed.subject(), rest, out);
            }
            if let Some(rest) = what.strip_prefix(b"I_DN_") {
                return push_component(parsed.issuer(), rest, out);
            }
            let Some(rest) = what.strip_prefix(b"SAN_") else { return false };
            let Some((kind, nth)) = numbered(rest) else { return false };
            let Some(value) = san(&parsed, kind).into_iter().nth(nth) else { return false };
            out.extend_from_slice(&value);
        }
    }
    true
}

/// Everything that `SSLOptions StdEnvVars` says of a certificate besides single values: parts of names, and other names.
pub fn components(cert: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Ok((_, parsed)) = X509Certificate::from_der(cert) else { return Vec::new() };
    let mut all = Vec::new();
    for (side, name) in [("S", parsed.subject()), ("I", parsed.issuer())] {
        for (_, word, oid) in PARTS.iter().filter(|(_, word, _)| !word.is_empty()) {
            for (nth, value) in values(name, oid).into_iter().enumerate() {
                let suffix = if nth > 0 { format!("_{nth}") } else { String::new() };
                let mut text = Vec::with_capacity(value.len());
                push_visible(&value, &mut text);
                all.push((format!("{side}_DN_{word}{suffix}"), text));
            }
        }
    }
    for kind in ["Email", "DNS", "OTHER_msUPN"] {
        for (nth, value) in san(&parsed, kind.as_bytes()).into_iter().enumerate() {
            all.push((format!("SAN_{kind}_{nth}"), value));
        }
    }
    all
}

/// `NAME_3` taken apart.
fn numbered(word: &[u8]) -> Option<(&[u8], usize)> {
    let at = memchr::memrchr(b'_', word)?;
    let nth = std::str::from_utf8(word.get(at + 1..)?).ok()?.parse().ok()?;
    Some((word.get(..at)?, nth))
}

fn push_component(name: &X509Name<'_>, word: &[u8], out: &mut Vec<u8>) -> bool {
    // As it stands in the certificate, whatever characters those are.
    let (word, raw) = word.strip_suffix(b"_RAW").map_or((word, false), |word| (word, true));
    let (word, nth) = numbered(word).unwrap_or((word, 0));
    let word = if word == b"SP" { b"ST" } else { word };
    let Some((_, _, oid)) = PARTS.iter().find(|(_, known, _)| !known.is_empty() && known.as_bytes() == word) else {
        return false;
    };
    if raw {
        let mut parts = name.iter_attributes().filter(|part| part.attr_type().to_id_string() == *oid);
        let Some(part) = parts.nth(nth) else { return false };
        push_visible(part.attr_value().data, out);
        return true;
    }
    let Some(value) = values(name, oid).into_iter().nth(nth) else { return false };
    push_visible(&value, out);
    true
}

/// A part of a name by itself: control characters are escaped, and so is what escapes them.
fn push_visible(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0..=31 | 127 => out.extend_from_slice(format!("\\{byte:02X}").as_bytes()),
            byte => out.push(*byte),
        }
    }
}

fn san(cert: &X509Certificate<'_>, kind: &[u8]) -> Vec<Vec<u8>> {
    let pick = |name: &GeneralName<'_>| match (name, kind) {
        (GeneralName::RFC822Name(name), b"Email") | (GeneralName::DNSName(name), b"DNS") => {
            Some(name.as_bytes().to_vec())
        }
        (GeneralName::OtherName(oid, value), b"OTHER_msUPN") if oid.to_id_string() == "1.3.6.1.4.1.311.20.2.3" => {
            // An explicit tag around a UTF8String.
            let (_, outer) = Any::from_der(value).ok()?;
            let inner = Any::from_der(outer.data).map(|(_, inner)| inner).ok();
            text_of(inner.as_ref().unwrap_or(&outer))
        }
        _ => None,
    };
    alternative_names(cert).filter_map(pick).collect()
}

/// Hexadecimal as OpenSSL prints integers.
fn push_serial(serial: &[u8], out: &mut Vec<u8>) {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count().min(serial.len().saturating_sub(1));
    for byte in serial.iter().skip(zeros) {
        out.extend_from_slice(format!("{byte:02X}").as_bytes());
    }
}

fn push_decimal(serial: &[u8], out: &mut Vec<u8>) {
    // Nine digits at a time, the last first.
    let mut groups: Vec<u64> = Vec::new();
    for byte in serial.iter().take(64) {
        let mut carry = u64::from(*byte);
        for group in &mut groups {
            let value = *group * 256 + carry;
            (*group, carry) = (value % 1_000_000_000, value / 1_000_000_000);
        }
        if carry > 0 {
            groups.push(carry);
        }
    }
    let mut text = groups.pop().unwrap_or(0).to_string();
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_openssl_does() {
        let serial = [
            0x59, 0x67, 0x75, 0xe2, 0xae, 0x89, 0x28, 0x4d, 0x28, 0x56, 0x7c, 0xc0, 0x95, 0xf7, 0x60, 0x3b, 0x3f, 0x0a,
            0x26, 0x38,
        ];
        let (mut hex, mut decimal) = (Vec::new(), Vec::new());
        push_serial(&serial, &mut hex);
        push_decimal(&serial, &mut decimal);
        assert_eq!(hex, b"596775E2AE89284D28567CC095F7603B3F0A2638");
        assert_eq!(decimal, b"510407424632037145266909631899913795252009969208");
        let mut zero = Vec::new();
        push_serial(&[0, 0], &mut zero);
        push_decimal(&[0], &mut zero);
        assert_eq!(zero, b"000");
    }

    #[test]
    fn what_is_special_in_a_name_is_escaped() {
        let mut out = Vec::new();
        push_escaped(b" a,b+c#\xc3\xa9\x01 ", &mut out);
        assert_eq!(out, b"\\ a\\,b\\+c#\xc3\xa9\\01\\ ");
    }

    #[test]
    fn a_star_is_one_label() {
        assert!(is_for(b"*.b.test", b"X.b.test") && is_for(b"B.test", b"b.test"));
        assert!(!is_for(b"*.b.test", b"x.y.b.test") && !is_for(b"*.b.test", b"b.test") && !is_for(b"*", b"b"));
    }
}
