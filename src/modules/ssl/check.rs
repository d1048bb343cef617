//! Checks of mod_ssl's words: TLS is not spoken yet, and a configuration is judged all the same.

use crate::config::{Args, Cmd, get_word, get_words, latin1};
use crate::modules::check;
use crate::net::files;

type Done = Result<(), String>;

/// The error for a word that is none of those known.
fn invalid(cmd: &Cmd<'_>, word: &[u8]) -> String {
    format!("{}: Invalid argument '{}'", cmd.directive.name, latin1(word))
}

fn is_one(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}

/// `SSLEngine`.
pub(super) fn engine(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::one_of(args, &["on", "off", "optional"], "Argument must be On or Off")?;
    if is_one(args.word(0), &["optional"]) {
        cmd.warn("ssl", "notice", "AH10510: 'SSLEngine optional' is no longer supported".to_owned());
    }
    Ok(())
}

/// `SSLCARevocationCheck none|leaf|chain [no_crl_for_cert_ok]`.
pub(super) fn revocation(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (word, rest) = get_word(args.raw);
    if !is_one(&word, &["none", "leaf", "chain"]) {
        return Err(invalid(cmd, &word));
    }
    match get_words(rest).iter().find(|word| !is_one(word, &["no_crl_for_cert_ok"])) {
        Some(word) => Err(invalid(cmd, word)),
        None => Ok(()),
    }
}

/// `SSLOCSPEnable off|leaf|on [no_ocsp_for_cert_ok]`.
pub(super) fn ocsp(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let (word, rest) = get_word(args.raw);
    if !is_one(&word, &["off", "leaf", "on"]) {
        return Err(invalid(cmd, &word));
    }
    match get_words(rest).iter().find(|word| !is_one(word, &["no_ocsp_for_cert_ok"])) {
        Some(word) => Err(invalid(cmd, word)),
        None => Ok(()),
    }
}

/// `SSLVerifyClient`.
pub(super) fn verify(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let words = ["none", "off", "optional", "require", "on", "optional_no_ca"];
    if is_one(args.word(0), &words) { Ok(()) } else { Err(invalid(cmd, args.word(0))) }
}

/// `SSLVerifyDepth`.
pub(super) fn depth(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if check::number(args.word(0)) < 0 { Err(invalid(cmd, args.word(0))) } else { Ok(()) }
}

const PROTOCOLS: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "all"];

/// `SSLProtocol [+-]protocol ...`.
pub(super) fn protocols(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let name = cmd.directive.name;
    let mut seen = false;
    for word in get_words(args.raw) {
        let (sign, protocol) = match word.split_first() {
            Some((sign @ (b'+' | b'-'), protocol)) => (Some(*sign), protocol),
            _ => (None, word.as_slice()),
        };
        if is_one(protocol, &["SSLv2"]) {
            if sign == Some(b'-') {
                continue;
            }
            // Whichever directive it is.
            return Err("SSLProtocol: SSLv2 is no longer supported".to_owned());
        }
        if is_one(protocol, &["SSLv3"]) {
            if sign != Some(b'-') {
                return Err("SSLv3 not supported by this version of OpenSSL".to_owned());
            }
            continue;
        }
        if !is_one(protocol, PROTOCOLS) {
            return Err(format!("{name}: Illegal protocol '{}'", latin1(protocol)));
        }
        if sign.is_none() && seen {
            let text = format!(
                "AH02532: {name}: Protocol '{}' overrides already set parameter(s). Check if a +/- prefix is missing.",
                latin1(protocol)
            );
            cmd.warn("ssl", "warn", text);
        }
        seen = true;
    }
    Ok(())
}

/// `SSLCipherSuite [protocol] list`.
pub(super) fn ciphers(_: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if args.opt(1).is_none() || is_one(args.word(0), &["SSL", "TLSv1.3"]) {
        return Ok(());
    }
    Err(format!("protocol '{}' not supported", args.text(0)))
}

/// `SSLPassPhraseDialog builtin|exec:program|"|program"`.
pub(super) fn pass_phrase(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let word = args.word(0);
    if word == b"builtin" || word.len() > 2 && word.first() == Some(&b'|') {
        return Ok(());
    }
    let Some(program) = word.strip_prefix(b"exec:").filter(|program| !program.is_empty()) else {
        return Err("SSLPassPhraseDialog: Invalid argument".to_owned());
    };
    let (path, shown) = check::rooted(cmd, program);
    if files::look(path).is_ok() { Ok(()) } else { Err(format!("SSLPassPhraseDialog: file '{shown}' does not exist")) }
}

/// `SSLSessionCache none|nonenotnull|type[:arguments]`.
pub(super) fn session_cache(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    if is_one(args.word(0), &["none", "nonenotnull"]) {
        return Ok(());
    }
    let (kind, rest) = cache(cmd, args).map_err(|(kind, known)| {
        format!(
            "SSLSessionCache: '{kind}' session cache not supported (known names: {known}). Maybe you need to load the \
             appropriate socache module (mod_socache_{kind}?)."
        )
    })?;
    match kind {
        "shmcb" => shmcb(&rest),
        kind => check::socache_servers(kind.as_bytes(), &rest).map_err(|text| format!("SSLSessionCache: {text}")),
    }
}

/// `SSLStaplingCache type[:arguments]`.
pub(super) fn stapling_cache(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    let (kind, rest) = cache(cmd, args).map_err(|(kind, known)| {
        format!(
            "SSLStaplingCache: '{kind}' stapling cache not supported (known names: {known}) Maybe you need to load the \
             appropriate socache module (mod_socache_{kind}?)"
        )
    })?;
    check::socache_servers(kind.as_bytes(), &rest).map_err(|text| format!("SSLStaplingCache: {text}"))
}

/// The kind of a cache and its arguments; otherwise the name and the list of those known.
fn cache(cmd: &Cmd<'_>, args: &Args<'_>) -> Result<(&'static str, Vec<u8>), (String, String)> {
    let word = args.word(0);
    let (name, rest) = match memchr::memchr(b':', word) {
        Some(at) => (word.get(..at).unwrap_or_default(), word.get(at + 1..).unwrap_or_default()),
        None => (word, &b""[..]),
    };
    let known = check::socaches(cmd);
    match known.iter().find(|known| known.as_bytes() == name) {
        Some(kind) => Ok((kind, rest.to_vec())),
        None => Err((latin1(name), known.join(","))),
    }
}

/// `path(size)`.
fn shmcb(text: &[u8]) -> Done {
    let fail = |why: &str| Err(format!("SSLSessionCache: Invalid argument: {why}"));
    let Some(open) = memchr::memchr(b'(', text) else { return Ok(()) };
    let inner = text.get(open + 1..).unwrap_or_default();
    let Some(size) = inner.strip_suffix(b")") else {
        return fail("no closing parenthesis or cache size missing after pathname with parenthesis");
    };
    match check::whole(size) {
        None => fail("cache size not numerical"),
        Some(..8192) => fail("size has to be >= 8192 bytes"),
        Some(_) => Ok(()),
    }
}

/// `SSLRandomSeed startup|connect source [bytes]`.
pub(super) fn random_seed(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    if !is_one(args.word(0), &["startup", "connect"]) {
        return Err(format!("SSLRandomSeed: invalid context: `{}'", args.text(0)));
    }
    let source = args.word(1);
    if source.eq_ignore_ascii_case(b"builtin") {
        if args.opt(2).is_some() {
            return Err("SSLRandomSeed: byte specification not allowed for builtin seed source".to_owned());
        }
        return Ok(());
    }
    let behind = |kind: &[u8]| source.strip_prefix(kind).filter(|path| !path.is_empty());
    if behind(b"egd:").is_some() {
        return Err(format!(
            "Invalid SSLRandomSeed entropy source `{}': This version of OpenSSL does not support the Entropy Gathering \
             Daemon (EGD).",
            args.text(1)
        ));
    }
    let file = behind(b"file:").or_else(|| behind(b"exec:")).unwrap_or(source);
    let (path, shown) = check::rooted(cmd, file);
    if files::look(path).is_err() {
        return Err(format!("SSLRandomSeed: source path '{shown}' does not exist"));
    }
    if args.opt(2).is_some_and(|bytes| check::number(bytes) < 0) {
        return Err("SSLRandomSeed: invalid number of bytes specified".to_owned());
    }
    Ok(())
}

/// `SSLOptions [+-]option ...`.
pub(super) fn options(_: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let known = [
        "StdEnvVars",
        "CompatEnvVars",
        "ExportCertData",
        "FakeBasicAuth",
        "StrictRequire",
        "OptRenegotiate",
        "LegacyDNStringFormat",
    ];
    for word in get_words(args.raw) {
        let option = word.strip_prefix(b"+").or_else(|| word.strip_prefix(b"-")).unwrap_or(&word);
        if !is_one(option, &known) {
            return Err(format!("SSLOptions: Illegal option '{}'", latin1(option)));
        }
    }
    Ok(())
}

/// `SSLRenegBufferSize bytes`.
pub(super) fn reneg_buffer_size(_: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if check::number(args.word(0)) < 0 {
        return Err(format!("Invalid size for SSLRenegBufferSize: {}", args.text(0)));
    }
    Ok(())
}

/// `SSLCompression`.
pub(super) fn compression(_: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if args.on() {
        return Err("This version of OpenSSL does not have any compression methods available, cannot enable \
                    SSLCompression."
            .to_owned());
    }
    Ok(())
}

/// Commands that OpenSSL's configuration interface takes.
const COMMANDS: &[&str] = &[
    "SignatureAlgorithms",
    "ClientSignatureAlgorithms",
    "Curves",
    "Groups",
    "ECDHParameters",
    "CipherString",
    "Ciphersuites",
    "Protocol",
    "MinProtocol",
    "MaxProtocol",
    "Options",
    "VerifyMode",
    "Certificate",
    "PrivateKey",
    "ServerInfoFile",
    "DHParameters",
    "RecordPadding",
    "NumTickets",
    "ChainCAPath",
    "ChainCAFile",
    "VerifyCAPath",
    "VerifyCAFile",
    "RequestCAFile",
    "RequestCAPath",
    "ClientCAFile",
    "ClientCAPath",
    "ChainCAStore",
    "VerifyCAStore",
    "RequestCAStore",
];

/// `SSLOpenSSLConfCmd command value`.
pub(super) fn conf_cmd(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    if is_one(args.word(0), &["DHParameters", "ServerInfoFile", "Certificate", "PrivateKey"]) {
        let (path, shown) = check::rooted(cmd, args.word(1));
        if !path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0) {
            return Err(format!("SSLOpenSSLConfCmd: file '{shown}' does not exist or is empty"));
        }
    }
    if is_one(args.word(0), COMMANDS) {
        return Ok(());
    }
    Err(format!("'{}': invalid OpenSSL configuration command", args.text(0)))
}
