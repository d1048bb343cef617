//! `SSL_*` variables: what a request may know of the TLS under it.

use crate::base::clock::{Clock as _, SystemClock};
use crate::codec::x509::{self, NameStyle};
use crate::config::{Conf, shared_slot};
use crate::expr::{Source, Vars as _, variable};
use crate::web::{Exchange, Secure};

/// How names in certificates are written (`SSLOptions LegacyDNStringFormat`), per directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names {
    /// The style, where it was set.
    pub style: Option<NameStyle>,
}

impl Conf for Names {
    const SLOT: usize = shared_slot::TLS_NAMES;

    fn merge(base: &Self, add: &Self) -> Self {
        Self { style: add.style.or(base.style) }
    }
}

/// What we call ourselves where mod_ssl names itself and OpenSSL.
const INTERFACE: &[u8] = b"mod_ssl/2.4.71";
const LIBRARY: &[u8] = b"rustls/0.23";

/// Appends a variable as mod_ssl looks it up: one of TLS, or any that expressions know; false when it has no value.
pub fn ssl_var(ex: &Exchange, name: &[u8], out: &mut Vec<u8>) -> bool {
    let before = out.len();
    if let Some(rest) = name.strip_prefix(b"SSL_") {
        return ex.conn.tls.get().is_some_and(|tls| push(ex, tls, rest, out)) && out.len() > before;
    }
    if let Some(name) = name.strip_prefix(b"ENV:") {
        return (ex.note(name, out) || ex.env(name, out)) && out.len() > before;
    }
    if !ex.live.generation.globals.modules.contains(&"ssl_module") {
        return false;
    }
    match variable(name) {
        Some(Source::Var(var)) => ex.var(var, out),
        Some(Source::Header(field)) => ex.request_header(field, out),
        None => {}
    }
    out.len() > before
}

fn push(ex: &Exchange, tls: &Secure, name: &[u8], out: &mut Vec<u8>) -> bool {
    let text: &[u8] = match name {
        b"PROTOCOL" => tls.protocol.as_bytes(),
        b"CIPHER" => tls.cipher.as_bytes(),
        b"CIPHER_EXPORT" => b"false",
        b"CIPHER_USEKEYSIZE" | b"CIPHER_ALGKEYSIZE" => {
            out.extend_from_slice(tls.bits.to_string().as_bytes());
            return true;
        }
        b"COMPRESS_METHOD" => b"NULL",
        b"SECURE_RENEG" => b"true",
        b"SESSION_RESUMED" => {
            if tls.resumed {
                b"Resumed"
            } else {
                b"Initial"
            }
        }
        b"SESSION_ID" => {
            for byte in tls.session.into_iter().flatten() {
                out.extend_from_slice(format!("{byte:02x}").as_bytes());
            }
            return true;
        }
        b"VERSION_INTERFACE" => INTERFACE,
        b"VERSION_LIBRARY" => LIBRARY,
        b"TLS_SNI" => tls.sni.as_deref().unwrap_or_default(),
        b"CLIENT_VERIFY" => {
            return push_verify(tls, out);
        }
        _ => return push_of_certificate(ex, tls, name, out),
    };
    out.extend_from_slice(text);
    true
}

fn push_verify(tls: &Secure, out: &mut Vec<u8>) -> bool {
    match tls.peer.fault() {
        _ if tls.peer.certs().is_empty() => out.extend_from_slice(b"NONE"),
        None => out.extend_from_slice(b"SUCCESS"),
        Some(fault) if tls.peer.is_later() => {
            out.extend_from_slice(b"FAILED:");
            out.extend_from_slice(fault.words.as_bytes());
        }
        // OpenSSL forgets in TLS 1.2 what was borne with.
        Some(_) if tls.protocol != "TLSv1.3" => out.extend_from_slice(b"GENEROUS"),
        Some(fault) => {
            let alone = fault.number == 20 && fault.above == 0;
            let words = if alone { "unable to verify the first certificate" } else { &*fault.words };
            out.extend_from_slice(b"FAILED:");
            out.extend_from_slice(words.as_bytes());
        }
    }
    true
}

fn push_of_certificate(ex: &Exchange, tls: &Secure, name: &[u8], out: &mut Vec<u8>) -> bool {
    let style = ex.dir::<Names>().and_then(|names| names.style).unwrap_or_default();
    if let Some(rest) = name.strip_prefix(b"CLIENT_CERT_CHAIN_") {
        let nth = std::str::from_utf8(rest).ok().and_then(|nth| nth.parse::<usize>().ok());
        let Some(cert) = nth.and_then(|nth| tls.peer.certs().get(nth.checked_add(1)?)) else { return false };
        x509::push_pem(cert, out);
        return true;
    }
    let (cert, what) = if let Some(what) = name.strip_prefix(b"CLIENT_") {
        (tls.peer.certs().first().map(Vec::as_slice), what)
    } else if let Some(what) = name.strip_prefix(b"SERVER_") {
        (tls.own.as_deref(), what)
    } else {
        return false;
    };
    let now = SystemClock.wall() / 1_000_000;
    cert.is_some_and(|cert| x509::push_part(cert, what, style, now, out))
}

/// The single values of `SSLOptions StdEnvVars`.
const STANDARD: [&str; 12] = [
    "SSL_VERSION_INTERFACE",
    "SSL_VERSION_LIBRARY",
    "SSL_PROTOCOL",
    "SSL_SECURE_RENEG",
    "SSL_COMPRESS_METHOD",
    "SSL_CIPHER",
    "SSL_CIPHER_EXPORT",
    "SSL_CIPHER_USEKEYSIZE",
    "SSL_CIPHER_ALGKEYSIZE",
    "SSL_CLIENT_VERIFY",
    "SSL_SESSION_ID",
    "SSL_SESSION_RESUMED",
];

/// Those of each certificate.
const OF_CERTIFICATES: [&str; 8] = ["M_VERSION", "M_SERIAL", "V_START", "V_END", "S_DN", "I_DN", "A_KEY", "A_SIG"];

/// Those of a client's alone.
const OF_CLIENTS: [&str; 2] = ["SSL_CLIENT_V_REMAIN", "SSL_CLIENT_CERT_RFC4523_CEA"];

/// Puts the variables into the request's environment: the standard ones, and whole certificates.
pub fn set_vars(ex: &mut Exchange, standard: bool, certificates: bool) {
    let conn = ex.conn.clone();
    let Some(tls) = conn.tls.get() else { return };
    let mut value = Vec::new();
    let sides = [("SSL_CLIENT_", tls.peer.certs().first().map(Vec::as_slice)), ("SSL_SERVER_", tls.own.as_deref())];
    if standard {
        for name in STANDARD.into_iter().chain(OF_CLIENTS) {
            set(ex, name, &mut value);
        }
        for (side, cert) in sides {
            let Some(cert) = cert else { continue };
            for what in OF_CERTIFICATES {
                set(ex, &format!("{side}{what}"), &mut value);
            }
            for (what, value) in x509::components(cert) {
                ex.env.set(format!("{side}{what}").as_bytes(), &value);
            }
        }
    }
    if certificates {
        set(ex, "SSL_SERVER_CERT", &mut value);
        set(ex, "SSL_CLIENT_CERT", &mut value);
        for nth in 1..tls.peer.certs().len() {
            set(ex, &format!("SSL_CLIENT_CERT_CHAIN_{}", nth - 1), &mut value);
        }
    }
}

fn set(ex: &mut Exchange, name: &str, value: &mut Vec<u8>) {
    value.clear();
    if ssl_var(ex, name.as_bytes(), value) {
        ex.env.set(name.as_bytes(), value);
    }
}
