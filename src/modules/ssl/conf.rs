//! What the directives set.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;

use super::check;
use super::dir::SslDir;
use super::ocsp::OcspSet;
use super::phrase::Dialog;
use super::stapling::StapleSet;
use crate::config::{Args, Cmd, Conf, Place, get_words, inner_or_outer, latin1};
use crate::modules::{check as words, slot};
use crate::net::ciphers as suites;
use crate::net::stapling::Staple;
use crate::net::tickets::Sessions;
use crate::net::tls::Versions;
use crate::net::trust::Revocation;
use crate::net::verify::Clients;

type Done = Result<(), String>;

/// How clients are asked for certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Not at all.
    #[default]
    None,
    /// They may bring one, which must be good.
    Optional,
    /// They must.
    Require,
    /// They may bring any.
    OptionalNoCa,
}

/// `SSLVHostSNIPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SniPolicy {
    /// The host of the request must be the handshake's.
    Strict,
    /// Their settings must be the same.
    #[default]
    Secure,
    /// What they ask of clients must be the same.
    AuthOnly,
    /// Anything goes.
    Insecure,
}

impl SniPolicy {
    /// The directive's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Secure => "secure",
            Self::AuthOnly => "authonly",
            Self::Insecure => "insecure",
        }
    }
}

/// What a client is asked for and what is believed of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// SSLVerifyClient.
    pub verify: Option<Verify>,
    /// SSLVerifyDepth.
    pub depth: Option<u32>,
    /// SSLCACertificateFile.
    pub ca_file: Option<PathBuf>,
    /// SSLCACertificatePath.
    pub ca_path: Option<PathBuf>,
    /// SSLCADNRequestFile.
    pub names_file: Option<PathBuf>,
    /// SSLCADNRequestPath.
    pub names_path: Option<PathBuf>,
    /// SSLCARevocationFile.
    pub crl_file: Option<PathBuf>,
    /// SSLCARevocationPath.
    pub crl_path: Option<PathBuf>,
    /// SSLCARevocationCheck.
    pub revocation: Option<Revocation>,
    /// SSLCipherSuite.
    pub ciphers: Option<String>,
    /// SSLCipherSuite TLSv1.3.
    pub suites13: Option<String>,
}

impl Auth {
    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(base, add; verify, depth, ca_file, ca_path, names_file, names_path, crl_file, crl_path, revocation, ciphers, suites13)
    }
}

/// What two servers must agree on for a request to one on a connection to the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    on: bool,
    versions: Option<Versions>,
    auth: Auth,
    certs: Vec<PathBuf>,
    keys: Vec<PathBuf>,
}

impl Setup {
    /// Whether they agree, as the policy wants it.
    pub fn agrees(&self, other: &Self, policy: SniPolicy) -> bool {
        match policy {
            SniPolicy::Insecure => true,
            SniPolicy::AuthOnly => (self.on, &self.auth) == (other.on, &other.auth),
            SniPolicy::Secure | SniPolicy::Strict => self == other,
        }
    }
}

/// A server's TLS as it runs.
pub struct Run {
    /// For rustls.
    pub config: Arc<ServerConfig>,
    /// The same without names of protocols, for clients that know none of ours.
    pub nameless: Arc<ServerConfig>,
    /// The same for HTTP/1.1 alone, which is spoken with whoever offers it and nothing else of ours.
    pub fallback: Arc<ServerConfig>,
    /// The same for one protocol each, where the client's order of them counts (ProtocolsHonorOrder off).
    pub single: Vec<Arc<ServerConfig>>,
    /// Who asks clients for certificates.
    pub clients: Option<Arc<Clients>>,
    /// What sessions are resumed from.
    pub sessions: Arc<Sessions>,
    /// What is stapled to certificates.
    pub staples: Vec<Arc<Staple>>,
    /// Our certificate, for variables: that of the first kind of key.
    pub own: Option<Arc<[u8]>>,
}

impl Run {
    /// What a handshake is made with, given the protocols that the client offers.
    pub fn for_offer<'a>(&self, offer: Option<impl Iterator<Item = &'a [u8]>>) -> &Arc<ServerConfig> {
        let Some(mut offer) = offer else { return &self.config };
        let speaks = |config: &ServerConfig, name: &[u8]| config.alpn_protocols.iter().any(|own| own == name);
        let mut plain = false;
        let found = offer.find(|name| {
            plain |= *name == b"http/1.1";
            speaks(&self.config, name)
        });
        match found {
            Some(name) => self.single.iter().find(|single| speaks(single, name)).unwrap_or(&self.config),
            None if plain => &self.fallback,
            None => &self.nameless,
        }
    }
}

/// Values per server.
#[derive(Clone, Default)]
pub struct SslServer {
    /// SSLEngine.
    pub engine: Option<bool>,
    /// SSLCertificateFile, in order.
    pub certs: Vec<PathBuf>,
    /// SSLCertificateKeyFile, in order.
    pub keys: Vec<PathBuf>,
    /// SSLCertificateChainFile.
    pub chain: Option<PathBuf>,
    /// SSLProtocol.
    pub versions: Option<Versions>,
    /// SSLHonorCipherOrder.
    pub own_order: Option<bool>,
    /// SSLSessionTickets.
    pub tickets: Option<bool>,
    /// SSLSessionTicketKeyFile.
    pub ticket_key: Option<PathBuf>,
    /// SSLSessionCacheTimeout, in seconds.
    pub resume_for: Option<u32>,
    /// SSLOpenSSLConfCmd: name and value.
    pub commands: Vec<(String, String)>,
    /// SSLUseStapling and its kin.
    pub staple: StapleSet,
    /// SSLOCSPEnable and its kin.
    pub ocsp: OcspSet,
    /// SSLStrictSNIVHostCheck.
    pub strict_sni: Option<bool>,
    /// What concerns clients.
    pub auth: Auth,
    /// As run: for agreement between servers.
    pub setup: Option<Arc<Setup>>,
    /// As run: there where TLS is spoken.
    pub run: Option<Arc<Run>>,
}

impl Conf for SslServer {
    const SLOT: usize = slot::SSL;

    fn merge(base: &Self, add: &Self) -> Self {
        let list = |of: fn(&Self) -> &Vec<PathBuf>| if of(add).is_empty() { of(base).clone() } else { of(add).clone() };
        inner_or_outer!(
            base, add;
            engine, chain, versions, own_order, tickets, ticket_key, resume_for, strict_sni;
            ocsp: OcspSet::merge(&base.ocsp, &add.ocsp),
            staple: StapleSet::merge(&base.staple, &add.staple),
            commands: base.commands.iter().chain(&add.commands).cloned().collect(),
            certs: list(|conf| &conf.certs),
            keys: list(|conf| &conf.keys),
            auth: Auth::merge(&base.auth, &add.auth),
            setup: None,
            run: None,
        )
    }
}

impl SslServer {
    /// What the server must share with another one.
    pub fn setup_of(&self) -> Setup {
        Setup {
            on: self.engine == Some(true),
            versions: self.versions,
            auth: self.auth.clone(),
            certs: self.certs.clone(),
            keys: self.keys.clone(),
        }
    }
}

/// Values of the process.
#[derive(Clone, Default)]
pub(super) struct SslProcess {
    /// How many sessions are kept; 0: none.
    pub cache: Option<usize>,
    /// SSLStaplingCache is there.
    pub staples: bool,
    /// SSLPassPhraseDialog.
    pub dialog: Option<Dialog>,
    /// SSLVHostSNIPolicy.
    pub policy: Option<SniPolicy>,
    /// Directives of sections, and what each comes to.
    pub told: Vec<(&'static str, String)>,
    /// Uses that cannot be obeyed: the directive as written, and where.
    pub refused: Vec<String>,
}

impl Conf for SslProcess {
    const SLOT: usize = slot::SSL + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The setup of a handshake that [`crate::web::Secure`] keeps.
pub(super) fn setup_of(kept: &(dyn Any + Send + Sync)) -> Option<&Setup> {
    kept.downcast_ref()
}

/// Whether a directive stands where the handshake is over.
pub(super) fn in_section(cmd: &Cmd<'_>) -> bool {
    matches!(cmd.place, Place::Section(_) | Place::Htaccess)
}

/// Notes what a section's directive comes to on a connection that is open: to be said once, if a server speaks TLS.
pub(super) fn remark(cmd: &mut Cmd<'_>, what: &str) {
    let name = cmd.directive.name;
    let told = &mut cmd.globals.conf.get_mut::<SslProcess>().told;
    if cmd.place == Place::Htaccess || told.iter().any(|(known, _)| *known == name) {
        return;
    }
    told.push((name, format!("{name} ({}:{}): {what}", cmd.at.file, cmd.at.line)));
}

/// The server does not start with this use of a directive.
pub(super) fn refuse(cmd: &mut Cmd<'_>, args: &Args<'_>, why: &str) -> Done {
    let name = cmd.directive.name;
    if cmd.place == Place::Htaccess {
        return Err(format!("{name}: {why}"));
    }
    let text = format!("{name} {} ({}:{}): {why}", latin1(args.raw), cmd.at.file, cmd.at.line);
    cmd.globals.conf.get_mut::<SslProcess>().refused.push(text);
    Ok(())
}

/// A word of `SSLVerifyClient`.
pub(super) fn verify_word(word: &[u8]) -> Verify {
    match word.to_ascii_lowercase().as_slice() {
        b"optional" => Verify::Optional,
        b"require" | b"on" => Verify::Require,
        b"optional_no_ca" => Verify::OptionalNoCa,
        _ => Verify::None,
    }
}

/// `SSLEngine`.
pub(super) fn engine(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::engine(cmd, args)?;
    let on = args.word(0).eq_ignore_ascii_case(b"on");
    cmd.server_conf::<SslServer>().engine = Some(on);
    Ok(())
}

fn file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<PathBuf, String> {
    words::file(cmd, args)?;
    Ok(words::rooted(cmd, args.word(0)).0)
}

/// `SSLCertificateFile`.
pub(super) fn certificate(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let path = file(cmd, args)?;
    cmd.server_conf::<SslServer>().certs.push(path);
    Ok(())
}

/// `SSLCertificateKeyFile`.
pub(super) fn key(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let path = file(cmd, args)?;
    cmd.server_conf::<SslServer>().keys.push(path);
    Ok(())
}

/// `SSLCertificateChainFile`.
pub(super) fn chain(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let path = file(cmd, args)?;
    cmd.server_conf::<SslServer>().chain = Some(path);
    Ok(())
}

/// Where the authorities are, for the handshake: nothing of it can change behind that.
fn authority(cmd: &mut Cmd<'_>, args: &Args<'_>, dir: bool, field: fn(&mut Auth) -> &mut Option<PathBuf>) -> Done {
    if dir {
        words::directory(cmd, args)?
    } else {
        words::file(cmd, args)?
    }
    if in_section(cmd) {
        return Err("Your SSL library does not have support for per-directory CA".to_owned());
    }
    let path = words::rooted(cmd, args.word(0)).0;
    *field(&mut cmd.server_conf::<SslServer>().auth) = Some(path);
    Ok(())
}

/// `SSLCACertificateFile`.
pub(super) fn ca_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    authority(cmd, args, false, |auth| &mut auth.ca_file)
}

/// `SSLCACertificatePath`.
pub(super) fn ca_path(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    authority(cmd, args, true, |auth| &mut auth.ca_path)
}

/// `SSLCADNRequestFile`.
pub(super) fn names_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    authority(cmd, args, false, |auth| &mut auth.names_file)
}

/// `SSLCADNRequestPath`.
pub(super) fn names_path(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    authority(cmd, args, true, |auth| &mut auth.names_path)
}

/// `SSLCARevocationFile`.
pub(super) fn crl_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    authority(cmd, args, false, |auth| &mut auth.crl_file)
}

/// `SSLCARevocationPath`.
pub(super) fn crl_path(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    authority(cmd, args, true, |auth| &mut auth.crl_path)
}

/// `SSLCARevocationCheck`.
pub(super) fn revocation(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::revocation(cmd, args)?;
    cmd.server_conf::<SslServer>().auth.revocation = Some(revocation_of(args.raw));
    Ok(())
}

pub(super) fn revocation_of(text: &[u8]) -> Revocation {
    let words = get_words(text);
    let lenient = words.len() > 1;
    match words.first().map(|word| word.to_ascii_lowercase()).as_deref() {
        Some(b"leaf") => Revocation::Leaf(lenient),
        Some(b"chain") => Revocation::Chain(lenient),
        _ => Revocation::None,
    }
}

/// `SSLStrictSNIVHostCheck`.
pub(super) fn strict_sni(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.server_conf::<SslServer>().strict_sni = Some(args.on());
    Ok(())
}

/// `SSLVHostSNIPolicy`.
pub(super) fn sni_policy(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    words::one_of(args, &["strict", "secure", "authonly", "insecure"], "Invalid SSLVhostSNIPolicy argument '\u{1}'")?;
    let all = [SniPolicy::Strict, SniPolicy::Secure, SniPolicy::AuthOnly, SniPolicy::Insecure];
    let policy = all.into_iter().find(|policy| args.word(0).eq_ignore_ascii_case(policy.word().as_bytes()));
    cmd.globals.conf.get_mut::<SslProcess>().policy = policy;
    Ok(())
}

/// `SSLProtocol`: what there is of the versions that the words leave.
pub(super) fn protocol(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let versions = versions(cmd, args)?;
    cmd.server_conf::<SslServer>().versions = Some(versions);
    Ok(())
}

/// What there is of the versions that the words of `SSLProtocol` leave.
pub(super) fn versions(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<Versions, String> {
    check::protocols(cmd, args)?;
    let mut left = Versions { v12: false, v13: false };
    let mut absent = Vec::new();
    for word in get_words(args.raw) {
        let (sign, name) = match word.split_first() {
            Some((sign @ (b'+' | b'-'), name)) => (Some(*sign), name.to_ascii_lowercase()),
            _ => (None, word.to_ascii_lowercase()),
        };
        let named = match name.as_slice() {
            b"all" => Versions::ALL,
            b"tlsv1.2" => Versions { v12: true, v13: false },
            b"tlsv1.3" => Versions { v12: false, v13: true },
            _ => Versions { v12: false, v13: false },
        };
        if sign != Some(b'-') && [&b"tlsv1"[..], b"tlsv1.1"].contains(&name.as_slice()) {
            absent.push(latin1(&word));
        }
        left = match sign {
            None => named,
            Some(b'-') => Versions { v12: left.v12 && !named.v12, v13: left.v13 && !named.v13 },
            Some(_) => Versions { v12: left.v12 || named.v12, v13: left.v13 || named.v13 },
        };
    }
    if !absent.is_empty() {
        let text = format!("{}: not spoken here: {}", cmd.directive.name, absent.join(" "));
        cmd.warn("ssl", "warn", text);
    }
    Ok(left)
}

/// `SSLCipherSuite`.
pub(super) fn ciphers(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::ciphers(cmd, args)?;
    let (thirteen, list) = match args.opt(1) {
        Some(list) => (args.word(0).eq_ignore_ascii_case(b"TLSv1.3"), latin1(list)),
        None => (false, args.text(0)),
    };
    if in_section(cmd) {
        if thirteen {
            return Err("TLSv1.3 ciphers cannot be set inside a directory context".to_owned());
        }
        remark(cmd, "the suite of a connection stays: in TLS 1.2 others are forbidden this section");
        let chosen = suites::parse(&list).suites;
        cmd.dir_conf::<SslDir>().ciphers = Some(chosen.into_iter().map(|suite| suites::name_of(suite).0).collect());
        return Ok(());
    }
    let auth = &mut cmd.server_conf::<SslServer>().auth;
    *(if thirteen { &mut auth.suites13 } else { &mut auth.ciphers }) = Some(list);
    Ok(())
}

/// `SSLHonorCipherOrder`.
pub(super) fn own_order(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.server_conf::<SslServer>().own_order = Some(args.on());
    Ok(())
}

/// `SSLSessionTickets`.
pub(super) fn tickets(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.server_conf::<SslServer>().tickets = Some(args.on());
    Ok(())
}

/// `SSLSessionCache`: sessions are kept in memory, whatever is named.
pub(super) fn session_cache(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::session_cache(cmd, args)?;
    let off = [&b"none"[..], b"nonenotnull"].iter().any(|word| args.word(0).eq_ignore_ascii_case(word));
    let kept = if off { 0 } else { sessions(args.word(0)) };
    cmd.globals.conf.get_mut::<SslProcess>().cache = Some(kept);
    Ok(())
}

/// What one session takes in httpd's cache, about.
const SESSION_SIZE: usize = 256;

/// How many sessions a cache `type:path(bytes)` is for.
fn sessions(word: &[u8]) -> usize {
    let size = memchr::memrchr(b'(', word).and_then(|at| word.get(at + 1..)).and_then(|size| size.strip_suffix(b")"));
    let size = size.and_then(words::whole).and_then(|size| usize::try_from(size).ok()).unwrap_or(512 * 1024);
    (size / SESSION_SIZE).clamp(64, 65_536)
}

/// `SSLSessionCacheTimeout`.
pub(super) fn resume_for(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    words::at_least(args, 0, "SSLSessionCacheTimeout: Invalid argument")?;
    let seconds = u32::try_from(words::number(args.word(0))).unwrap_or(u32::MAX);
    cmd.server_conf::<SslServer>().resume_for = Some(seconds);
    Ok(())
}

/// `SSLSessionTicketKeyFile`.
pub(super) fn ticket_key(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let path = file(cmd, args)?;
    cmd.server_conf::<SslServer>().ticket_key = Some(path);
    Ok(())
}

/// `SSLPassPhraseDialog`.
pub(super) fn pass_phrase(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::pass_phrase(cmd, args)?;
    let word = args.word(0);
    let dialog = match (word.strip_prefix(b"|"), word.strip_prefix(b"exec:")) {
        (Some(command), _) => Dialog::Pipe(command.to_vec()),
        (None, Some(program)) => Dialog::Exec(words::rooted(cmd, program).0),
        (None, None) => Dialog::Builtin,
    };
    cmd.globals.conf.get_mut::<SslProcess>().dialog = Some(dialog);
    Ok(())
}

/// `SSLFIPS`.
pub(super) fn fips(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.global_only()?;
    if args.on() { refuse(cmd, args, "not built with a FIPS module") } else { Ok(()) }
}
