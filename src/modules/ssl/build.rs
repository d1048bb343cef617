//! From files to servers that speak TLS, when a server starts or reads its configuration again.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::sign::CertifiedKey;

use super::commands;
use super::conf::{Run, SslProcess, SslServer, Verify};
use super::dir::SslDir;
use super::phrase::{self, Asker};
use super::proxy;
use super::stapling;
use crate::codec::x509;
use crate::config::core::CoreServer;
use crate::config::{Fatal, PostConfig, Section, Server, Warning, latin1};
use crate::net::ciphers;
use crate::net::files;
use crate::net::stapling::Staple;
use crate::net::tickets::{KEY_FILE_LEN, Sessions, SharedKey};
use crate::net::tls::{IdentityError, ServerSpec, Versions, certificates, identity, lengthen};
use crate::net::trust::{Revocation, Trust, hashed};
use crate::net::verify::Clients;

/// How long sessions may be resumed where nothing else is said, in seconds.
const RESUME_FOR: u32 = 300;

/// Entries of the log that stop the start: level and text.
pub(super) type Lines = Vec<(&'static str, String)>;

/// Makes what the servers need to speak TLS.
pub(super) fn post_config(checks: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let process = checks.globals.conf.get::<SslProcess>().cloned().unwrap_or_default();
    if (0..checks.servers.len()).any(|at| speaks(checks, at)) {
        for (_, text) in &process.told {
            say(checks, "warn", text.clone());
        }
    }
    if checks.check_only {
        return Ok(());
    }
    if !process.refused.is_empty() {
        let text =
            format!("tandem: not built in, and the server does not start with it: {}", process.refused.join("; "));
        return Err(Fatal { text, quiet: true });
    }
    if process.cache.unwrap_or(0) == 0 {
        // For the log alone: httpd does not say it while it checks the configuration.
        let text = "AH01873: Init: Session Cache is not configured [hint: SSLSessionCache]".to_owned();
        checks.globals.said.push(Warning { module: "ssl", level: "warn", text, bare: false });
    }
    proxy::post_config(checks)?;
    let enabled: Vec<usize> = (0..checks.servers.len()).filter(|at| speaks(checks, *at)).collect();
    if enabled.is_empty() {
        return Ok(());
    }
    for server in checks.servers.iter_mut() {
        let conf = server.conf.get_mut::<SslServer>();
        conf.setup = Some(Arc::new(conf.setup_of()));
    }
    // httpd's order: the main server, then virtual hosts from the last to the first.
    let before: Vec<_> = checks.previous.iter().flat_map(|before| &before.servers).flat_map(stapling::of).collect();
    let lacking = enabled.iter().filter_map(|at| checks.servers.get(*at)?.get::<SslServer>());
    if lacking.into_iter().any(|conf| stapling::lacks_cache(conf, &process)) {
        let lines = vec![("emerg", "AH01958: SSLStapling: no stapling cache available".to_owned()), fatal()];
        return Err(fail(checks, lines));
    }
    let mut asker = Asker::new(process.dialog.clone().unwrap_or_default(), checks.globals.reloading);
    let mut running = Running::of(checks);
    let (main, hosts): (Vec<_>, Vec<_>) = enabled.into_iter().partition(|at| *at == 0);
    for at in main.into_iter().chain(hosts.into_iter().rev()) {
        let Some(server) = checks.servers.get(at) else { continue };
        let mut notes = Vec::new();
        let http2 = checks.globals.modules.contains(&"http2_module");
        let known =
            Known { staples: &before, run: running.take(server), versions: of_default(&*checks.servers, server) };
        let built = build(server, process.cache.unwrap_or(0), http2, &mut asker, &known, &mut notes);
        for (level, text) in notes {
            say(checks, level, text);
        }
        match built {
            Ok(run) => {
                if let Some(server) = checks.servers.get_mut(at) {
                    server.conf.get_mut::<SslServer>().run = Some(Arc::new(run));
                }
            }
            Err(lines) => return Err(fail(checks, lines)),
        }
    }
    asker.finish();
    Ok(())
}

/// Says why there is no start.
pub(super) fn fail(checks: &mut PostConfig<'_>, lines: Lines) -> Fatal {
    for (level, text) in lines {
        say(checks, level, text);
    }
    Fatal { text: "AH00016: Configuration Failed".to_owned(), quiet: true }
}

pub(super) fn say(checks: &mut PostConfig<'_>, level: &'static str, text: String) {
    checks.warnings.push(Warning { module: "ssl", level, text, bare: false });
}

/// The versions of the first server with an address of this one: a handshake begins with its, and goes on with them
/// where the server that the client means says nothing else.
fn of_default(servers: &[Server], server: &Server) -> Option<Versions> {
    let at = server.addrs.first()?;
    let shares = |other: &&Server| other.addrs.iter().any(|addr| (addr.ip, addr.port) == (at.ip, at.port));
    servers.iter().skip(1).find(shares)?.get::<SslServer>()?.versions
}

/// Whether a server speaks TLS: by `SSLEngine`, or because its listener is one for https.
fn speaks(checks: &PostConfig<'_>, at: usize) -> bool {
    let Some(server) = checks.servers.get(at) else { return false };
    let Some(conf) = server.get::<SslServer>() else { return false };
    if let Some(on) = conf.engine {
        return on;
    }
    if conf.certs.is_empty() {
        return false;
    }
    let first = server.addrs.iter().find_map(|addr| {
        checks.globals.listens.iter().find(|listen| {
            addr.port.is_none_or(|port| port == listen.port)
                && (addr.ip.is_none() || listen.addr.is_none() || addr.ip == listen.addr)
        })
    });
    first.is_some_and(|listen| listen.protocol == "https")
}

/// httpd's name of a server in messages.
pub fn id_of(server: &Server) -> String {
    let on = server.get::<SslServer>().and_then(|conf| conf.engine).unwrap_or(false);
    let port = server.rec.port.unwrap_or(if on { 443 } else { 80 });
    format!("{}:{port}", latin1(server.rec.name.as_deref().unwrap_or_default()))
}

fn build(
    server: &Server,
    cache: usize,
    http2: bool,
    asker: &mut Asker,
    before: &Known<'_>,
    notes: &mut Lines,
) -> Result<Run, Lines> {
    let none = SslServer::default();
    let conf = server.get::<SslServer>().unwrap_or(&none);
    let id = id_of(server);
    notes.push(("info", format!("AH01914: Configuring server {id} for SSL protocol")));
    let spoken = SslServer { versions: conf.versions.or(before.versions), ..conf.clone() };
    let tuning = commands::tuning(&spoken, &id, notes)?;
    let versions = tuning.versions.unwrap_or(Versions::ALL);
    if !versions.v12 && !versions.v13 {
        return Err(vec![("emerg", "AH02231: No SSL protocols available [hint: SSLProtocol]".to_owned()), fatal()]);
    }
    let (list, list13) = (
        tuning.ciphers.as_ref().or(conf.auth.ciphers.as_ref()),
        tuning.suites13.as_ref().or(conf.auth.suites13.as_ref()),
    );
    let suites = suites("SSLCipherSuite", list.map(String::as_str), list13.map(String::as_str), notes)?;
    if conf.certs.is_empty() {
        return Err(vec![
            ("emerg", format!("AH02572: Failed to configure at least one certificate and key for {id}")),
            ("emerg", "SSL Library Error: error:0A0000B1:SSL routines::no certificate assigned".to_owned()),
            fatal(),
        ]);
    }
    let mut identities = Vec::new();
    for (nth, cert) in conf.certs.iter().enumerate() {
        let key = conf.keys.get(nth).unwrap_or(cert);
        let (cert, key, name) = (cert.clone(), key.clone(), format!("{id}:{nth}"));
        let which = phrase::Key { server: &id, nth, path: &key };
        let mut ask = |text: &[u8]| asker.plain(&which, text, notes);
        let made = identity(&cert, &key, conf.chain.as_ref(), &mut ask);
        identities.push(made.map_err(|error| wrong(&error, &name, &cert, &key, conf))?);
        if let Some(last) = identities.last_mut() {
            complete(last, conf);
        }
        let leaf = identities.last().and_then(|identity| identity.cert.first());
        if let Some(leaf) = leaf {
            if x509::is_ca(leaf) {
                let text = "server certificate is a CA certificate (BasicConstraints: CA == TRUE !?)";
                notes.push(("warn", format!("AH01906: {name} {text}")));
            }
            let host = server.rec.name.as_deref().unwrap_or_default();
            if !x509::identities(leaf).iter().any(|pattern| x509::is_for(pattern, host)) {
                let text = "server certificate does NOT include an ID which matches the server name";
                notes.push(("warn", format!("AH01909: {name} {text}")));
            }
        }
        notes.push((
            "info",
            format!(
                "AH02568: Certificate and private key {name} configured from {} and {}",
                cert.display(),
                key.display()
            ),
        ));
    }
    let clients = clients(server, conf, &id, notes)?;
    let own = identities.first().and_then(|identity| identity.cert.first()).map(|cert| Arc::from(cert.as_ref()));
    let staples = stapling::staples(conf, &identities, &id, before.staples, notes);
    let stapled = staples.iter().flatten().cloned().collect();
    let ssl_error = |error: rustls::Error| vec![("emerg", format!("SSL Library Error: {error}")), fatal()];
    let sessions = before.sessions(cache, clients.as_deref()).map_err(ssl_error)?;
    let spec = ServerSpec {
        identities,
        staples,
        versions,
        suites,
        own_order: tuning.own_order.or(conf.own_order).unwrap_or(false),
        tickets: tuning.tickets.or(conf.tickets).unwrap_or(true),
        ticket_key: ticket_key(conf, &id, notes)?,
        ticket_count: tuning.ticket_count,
        resume_for: conf.resume_for.unwrap_or(RESUME_FOR),
        groups: tuning.groups,
        sessions: sessions.clone(),
        verifier: clients.clone().map(|clients| clients as _),
        alpn: protocols(server, http2),
    };
    let config = spec.build().map_err(ssl_error)?;
    let mut nameless = (*config).clone();
    nameless.alpn_protocols.clear();
    let mut fallback = nameless.clone();
    fallback.alpn_protocols.push(b"http/1.1".to_vec());
    let honest = server.get::<CoreServer>().and_then(|core| core.protocols_honor_order).unwrap_or(true);
    let named = config.alpn_protocols.iter().filter(|_| !honest);
    let single = named.map(|name| {
        let mut one: ServerConfig = (*config).clone();
        one.alpn_protocols = vec![name.clone()];
        Arc::new(one)
    });
    let single = single.collect();
    Ok(Run {
        config,
        nameless: Arc::new(nameless),
        fallback: Arc::new(fallback),
        single,
        clients,
        sessions,
        staples: stapled,
        own,
    })
}

/// What the servers of the configuration in force run with, by their names; several may have the same.
#[derive(Default)]
struct Running(HashMap<String, VecDeque<Arc<Run>>>);

impl Running {
    fn of(checks: &PostConfig<'_>) -> Self {
        let mut all = Self::default();
        // In the order in which they are asked for.
        for server in checks
            .previous
            .iter()
            .flat_map(|before| before.servers.first().into_iter().chain(before.servers.iter().skip(1).rev()))
        {
            if let Some(run) = server.get::<SslServer>().and_then(|conf| conf.run.clone()) {
                all.0.entry(id_of(server)).or_default().push_back(run);
            }
        }
        all
    }

    fn take(&mut self, server: &Server) -> Option<Arc<Run>> {
        self.0.get_mut(&id_of(server))?.pop_front()
    }
}

/// What of the configuration in force goes on.
struct Known<'a> {
    staples: &'a [Arc<Staple>],
    /// What this server runs with.
    run: Option<Arc<Run>>,
    /// What its address speaks, where it says nothing of that itself.
    versions: Option<Versions>,
}

impl Known<'_> {
    /// The sessions known so far, unless something else is checked of clients now: who resumes is not checked again.
    fn sessions(&self, size: usize, clients: Option<&Clients>) -> Result<Arc<Sessions>, rustls::Error> {
        let run = self.run.as_deref().filter(|run| match (&run.clients, clients) {
            (None, None) => true,
            (Some(before), Some(now)) => before.believe_as(now),
            _ => false,
        });
        run.map_or_else(|| Sessions::new(size).map(Arc::new), |run| Ok(run.sessions.of_size(size)))
    }
}

/// What is spoken under TLS, as `Protocols` orders it.
fn protocols(server: &Server, http2: bool) -> Vec<Vec<u8>> {
    let list = server.get::<CoreServer>().and_then(|core| core.protocols.as_deref()).unwrap_or_default();
    let spoken = list.iter().filter(|name| *name == b"http/1.1" || (http2 && *name == b"h2"));
    let spoken: Vec<Vec<u8>> = spoken.cloned().collect();
    if spoken.is_empty() { vec![b"http/1.1".to_vec()] } else { spoken }
}

/// The key that tickets are under, if it is in a file.
fn ticket_key(conf: &SslServer, id: &str, notes: &mut Lines) -> Result<Option<SharedKey>, Lines> {
    let Some(path) = &conf.ticket_key else { return Ok(None) };
    let shown = path.display();
    let failed = |why: &str| {
        let text = format!("AH02287: Failed to read {KEY_FILE_LEN} bytes from {shown}: {why}");
        vec![("emerg", text), fatal()]
    };
    let file = files::read(path).map_err(|error| failed(&error.to_string()))?;
    let key = SharedKey::new(&file, id).ok_or_else(|| failed("(70014) End of file found"))?;
    notes.push(("info", format!("AH02288: TLS session ticket key for {id} successfully loaded from {shown}")));
    Ok(Some(key))
}

/// Where no chain is configured, OpenSSL sends what it finds among the authorities for clients.
fn complete(identity: &mut Arc<CertifiedKey>, conf: &SslServer) {
    if identity.cert.len() > 1 {
        return;
    }
    let mut known = conf.auth.ca_file.as_deref().and_then(|file| certificates(file).ok()).unwrap_or_default();
    for path in conf.auth.ca_path.iter().filter_map(|dir| hashed(dir, ".").ok()).flatten() {
        known.extend(certificates(&path).unwrap_or_default());
    }
    let mut chain = identity.cert.clone();
    lengthen(&mut chain, &known);
    if chain.len() > 1 {
        *identity = Arc::new(CertifiedKey::new(chain, identity.key.clone()));
    }
}

/// Said where certificates are asked for and nobody is believed.
pub(super) const NO_AUTHORITIES: &str = "AH01897: Init: Oops, you want to request client authentication, but no CAs \
                                         are known for verification!?  [Hint: SSLCACertificate*]";

/// Whom to believe, and whom no more.
pub(super) struct Files<'a> {
    pub(super) ca_file: Option<&'a PathBuf>,
    pub(super) ca_path: Option<&'a PathBuf>,
    pub(super) crl_file: Option<&'a PathBuf>,
    pub(super) crl_path: Option<&'a PathBuf>,
    /// What the directives of revocation lists begin with.
    pub(super) prefix: &'static str,
}

fn failed(line: String) -> impl FnOnce(String) -> Lines {
    move |why| vec![("emerg", line), ("emerg", format!("SSL Library Error: {why}")), fatal()]
}

/// Reads authorities and revocation lists.
pub(super) fn fill(trust: &mut Trust, files: &Files<'_>, id: &str, notes: &mut Lines) -> Result<(), Lines> {
    let verification = || "AH01895: Unable to configure verify locations for client authentication".to_owned();
    if let Some(file) = files.ca_file {
        trust.add_file(file).map_err(failed(verification()))?;
    }
    if let Some(dir) = files.ca_path {
        trust.add_dir(dir).map_err(failed(verification()))?;
    }
    let (prefix, asked) = (files.prefix, trust.revocation != Revocation::None);
    if files.crl_file.is_none() && files.crl_path.is_none() {
        if !asked {
            return Ok(());
        }
        let text = format!(
            "AH01899: Host {id}: CRL checking has been enabled, but neither {prefix}File nor {prefix}Path is configured"
        );
        return Err(vec![("emerg", text), fatal()]);
    }
    let lists = || format!("AH01901: Host {id}: unable to configure X.509 CRL storage for certificate revocation");
    if let Some(file) = files.crl_file {
        trust.add_lists(file).map_err(failed(lists()))?;
    }
    if let Some(dir) = files.crl_path {
        trust.add_list_dir(dir).map_err(failed(lists()))?;
    }
    if !asked {
        let text = format!(
            "AH01902: Host {id}: X.509 CRL storage locations configured, but CRL checking ({prefix}Check) is not enabled"
        );
        notes.push(("warn", text));
    }
    Ok(())
}

/// Who asks clients for certificates, if anybody does.
fn clients(server: &Server, conf: &SslServer, id: &str, notes: &mut Lines) -> Result<Option<Arc<Clients>>, Lines> {
    let auth = &conf.auth;
    let verify = auth.verify.unwrap_or_default();
    let later = verify == Verify::None;
    // What is named is read, and must be good, whether anybody is asked or not.
    let mut trust = Trust::new(auth.depth.unwrap_or(1), auth.revocation.unwrap_or_default());
    let files = Files {
        ca_file: auth.ca_file.as_ref(),
        ca_path: auth.ca_path.as_ref(),
        crl_file: auth.crl_file.as_ref(),
        crl_path: auth.crl_path.as_ref(),
        prefix: "SSLCARevocation",
    };
    fill(&mut trust, &files, id, notes)?;
    let mut names = Vec::new();
    if let Some(file) = &auth.names_file {
        let text = "AH01896: Unable to determine list of acceptable CA certificates for client authentication";
        names.extend(certificates(file).map_err(failed(text.to_owned()))?);
    }
    if let Some(dir) = &auth.names_path {
        for name in files::list(dir).unwrap_or_default() {
            // What is no certificate names nobody.
            names.extend(certificates(&dir.join(OsStr::from_bytes(&name))).unwrap_or_default());
        }
    }
    if auth.names_file.is_some() || auth.names_path.is_some() {
        trust.set_names(&names);
    }
    if later && !sections_ask(&server.sections) {
        return Ok(None);
    }
    if verify == Verify::Require && trust.names_nobody() {
        notes.push(("warn", NO_AUTHORITIES.to_owned()));
    }
    let (required, generous) = (verify == Verify::Require, verify == Verify::OptionalNoCa);
    let (ocsp, unread) = conf.ocsp.spec();
    if unread {
        // httpd says that it exits, and serves all the same, with nobody trusted besides.
        notes.push(("error", "Unable to configure OCSP Trusted Certificates".to_owned()));
        notes.push(fatal());
    }
    Ok(Some(Arc::new(Clients { trust, required, generous, later, ocsp })))
}

/// Whether a section asks clients for certificates.
fn sections_ask(sections: &[Arc<Section>]) -> bool {
    sections.iter().any(|section| {
        let asks = section.conf.get::<SslDir>().and_then(|dir| dir.verify).is_some_and(|verify| verify != Verify::None);
        asks || sections_ask(&section.inner)
    })
}

pub(super) fn fatal() -> (&'static str, String) {
    ("emerg", "AH02312: Fatal error initialising mod_ssl, exiting.".to_owned())
}

/// The suites of both versions; those that are not here are named.
pub(super) fn suites(
    directive: &str,
    list: Option<&str>,
    list13: Option<&str>,
    notes: &mut Lines,
) -> Result<Vec<rustls::SupportedCipherSuite>, Lines> {
    let mut unknown = Vec::new();
    let mut suites = match list13 {
        None => ciphers::all13(),
        Some(list) => match ciphers::parse13(list) {
            Ok(chosen) if !chosen.suites.is_empty() => {
                unknown.extend(chosen.unknown);
                chosen.suites
            }
            _ => {
                return Err(vec![
                    ("emerg", "AH10127: Unable to configure permitted TLSv1.3 ciphers".to_owned()),
                    fatal(),
                ]);
            }
        },
    };
    let chosen = ciphers::parse(list.unwrap_or("DEFAULT"));
    unknown.extend(chosen.unknown);
    if !unknown.is_empty() {
        let text = format!("{directive}: suites that are not spoken here: {}", unknown.join(" "));
        notes.push(("warn", text));
    }
    if chosen.suites.is_empty() {
        return Err(vec![("emerg", "AH01898: Unable to configure permitted SSL ciphers".to_owned()), fatal()]);
    }
    suites.extend(chosen.suites);
    Ok(suites)
}

/// httpd's entries for a certificate that cannot be used.
fn wrong(error: &IdentityError, name: &str, cert: &Path, key: &Path, conf: &SslServer) -> Lines {
    let emerg = |text: String| ("emerg", text);
    let library = format!("SSL Library Error: {error}");
    let (cert, key) = (cert.display(), key.display());
    match error {
        IdentityError::Certificate(_) => vec![
            emerg(format!("AH02562: Failed to configure certificate {name} (with chain), check {cert}")),
            emerg(library),
        ],
        // It has been said why its pass phrase is not known.
        IdentityError::Encrypted => {
            vec![fatal(), emerg(format!("AH02564: Failed to configure encrypted (?) private key {name}, check {key}"))]
        }
        IdentityError::Key(_) => vec![
            ("error", "AH02579: Init: Private key not found".to_owned()),
            ("error", library),
            fatal(),
            emerg(format!("AH02564: Failed to configure encrypted (?) private key {name}, check {key}")),
        ],
        IdentityError::Mismatch => {
            vec![emerg(format!("AH02565: Certificate and private key {name} from {cert} and {key} do not match"))]
        }
        IdentityError::Chain(_) => {
            let chain = conf.chain.as_ref().map(|chain| chain.display().to_string()).unwrap_or_default();
            vec![
                emerg("AH01903: Failed to configure CA certificate chain!".to_owned()),
                emerg(format!("{library} ({chain})")),
                fatal(),
            ]
        }
    }
}
