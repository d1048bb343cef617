//! `SSLOCSPEnable` and its kin: responders are asked about clients' certificates.

use std::path::PathBuf;
use std::time::Duration;

use super::check;
use super::conf::SslServer;
use crate::config::{Args, Cmd, get_words};
use crate::logs::{self, Errno, Level, Source};
use crate::modules::check as words;
use crate::net::minutes::{Cause, Line, Weight};
use crate::net::ocsp::Ocsp;
use crate::net::tls::certificates;

type Done = Result<(), String>;

/// How far clocks may be apart where nothing is said, in seconds.
const SKEW: i64 = 300;

/// How long a responder is waited for where nothing is said, in seconds.
const PATIENCE: i64 = 10;

/// About which certificates responders are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    Leaf,
    Chain,
}

/// The directives' values.
#[derive(Clone, Default)]
pub struct OcspSet {
    /// With `no_ocsp_for_cert_ok`.
    mode: Option<(Mode, bool)>,
    default: Option<String>,
    override_named: Option<bool>,
    skew: Option<i64>,
    max_age: Option<i64>,
    patience: Option<i64>,
    nonce: Option<bool>,
    proxy: Option<String>,
    no_verify: Option<bool>,
    trusted: Option<PathBuf>,
}

impl OcspSet {
    pub(super) fn merge(base: &Self, add: &Self) -> Self {
        crate::config::inner_or_outer!(
            base, add;
            mode, default, override_named, skew, max_age, patience, nonce, proxy, no_verify, trusted
        )
    }

    /// As run, `None` where nobody is asked; and whether the certificates of signers cannot be read.
    pub(super) fn spec(&self) -> (Option<Ocsp>, bool) {
        let (mode, lenient) = self.mode.unwrap_or((Mode::Off, false));
        if mode == Mode::Off {
            return (None, false);
        }
        let trusted = self.trusted.as_deref().map(certificates).transpose();
        let unread = trusted.is_err();
        let ocsp = Ocsp {
            chain: mode == Mode::Chain,
            lenient,
            default: self.default.clone(),
            override_named: self.override_named.unwrap_or(false),
            skew: self.skew.unwrap_or(SKEW),
            max_age: self.max_age,
            patience: Duration::from_secs(u64::try_from(self.patience.unwrap_or(PATIENCE)).unwrap_or(0)),
            nonce: self.nonce.unwrap_or(true),
            proxy: self.proxy.clone(),
            no_verify: self.no_verify.unwrap_or(false),
            trusted: trusted.ok().flatten().unwrap_or_default(),
        };
        (Some(ocsp), unread)
    }
}

/// Writes what is to be said of a check, for whoever it is about.
pub fn write_line(of: impl Source, line: &Line) {
    let level = match line.weight {
        Weight::Error => Level::Error,
        Weight::Info => Level::Info,
        Weight::Debug => Level::Debug,
    };
    let errno = line.cause.as_ref().map(|cause| match cause {
        Cause::Io(error) => Errno::from(error),
        Cause::Late => Errno::TIMEUP,
        Cause::NoName => Errno::NO_NAME,
    });
    match errno {
        Some(errno) => logs::error!(of, level, "ssl", errno => "{}", line.text),
        None => logs::error!(of, level, "ssl", "{}", line.text),
    }
}

fn set(cmd: &mut Cmd<'_>, field: impl FnOnce(&mut OcspSet)) -> Done {
    field(&mut cmd.server_conf::<SslServer>().ocsp);
    Ok(())
}

fn seconds(cmd: &mut Cmd<'_>, args: &Args<'_>, field: fn(&mut OcspSet) -> &mut Option<i64>) -> Done {
    words::at_least(args, 0, &format!("{}: invalid argument", cmd.directive.name))?;
    let seconds = words::number(args.word(0));
    set(cmd, |conf| *field(conf) = Some(seconds))
}

/// `SSLOCSPEnable on|leaf|off [no_ocsp_for_cert_ok]`.
pub(super) fn enable(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::ocsp(cmd, args)?;
    let all = get_words(args.raw);
    let mode = match all.first().map(|word| word.to_ascii_lowercase()).as_deref() {
        Some(b"leaf") => Mode::Leaf,
        Some(b"on") => Mode::Chain,
        _ => Mode::Off,
    };
    set(cmd, |conf| conf.mode = Some((mode, all.len() > 1)))
}

/// `SSLOCSPDefaultResponder`.
pub(super) fn default_responder(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, |conf| conf.default = Some(args.text(0)))
}

/// `SSLOCSPOverrideResponder`.
pub(super) fn override_responder(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, |conf| conf.override_named = Some(args.on()))
}

/// `SSLOCSPResponseTimeSkew`.
pub(super) fn skew(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    seconds(cmd, args, |conf| &mut conf.skew)
}

/// `SSLOCSPResponseMaxAge`.
pub(super) fn max_age(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    seconds(cmd, args, |conf| &mut conf.max_age)
}

/// `SSLOCSPResponderTimeout`.
pub(super) fn patience(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    seconds(cmd, args, |conf| &mut conf.patience)
}

/// `SSLOCSPUseRequestNonce`.
pub(super) fn nonce(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, |conf| conf.nonce = Some(args.on()))
}

/// `SSLOCSPProxyURL`: what is no address of a proxy is found out when one is asked, as in httpd, but for a port.
pub(super) fn proxy(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let url = args.text(0);
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(""));
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    if !port.ends_with(']') && !port.is_empty() && port.parse::<u16>().is_err() {
        return Err(format!("SSLOCSPProxyURL: Cannot parse URL {url}"));
    }
    set(cmd, |conf| conf.proxy = Some(url))
}

/// `SSLOCSPNoVerify`.
pub(super) fn no_verify(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, |conf| conf.no_verify = Some(args.on()))
}

/// `SSLOCSPResponderCertificateFile`.
pub(super) fn trusted(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    words::file(cmd, args)?;
    let path = words::rooted(cmd, args.word(0)).0;
    set(cmd, |conf| conf.trusted = Some(path))
}
