//! `SSLProxy*`: TLS towards backends, for servers and for `<Proxy>` sections.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::build::{self, Lines};
use super::check;
use super::conf::{Verify, revocation_of, verify_word, versions};
use crate::codec::x509;
use crate::config::{Args, Cmd, Conf, Fatal, PostConfig, SectionKind, Server, Slots, inner_or_outer, latin1};
use crate::modules::{check as words, slot};
use crate::net::client::{BackendTls, ClientSide, ClientSpec, Demand, Named};
use crate::net::files;
use crate::net::tls::{IdentityError, Versions, certificates, identities_of};
use crate::net::trust::{Revocation, Trust};

type Done = Result<(), String>;

/// Values per server and section.
#[derive(Clone, Default)]
pub(super) struct SslProxy {
    engine: Option<bool>,
    versions: Option<Versions>,
    ciphers: Option<String>,
    suites13: Option<String>,
    verify: Option<Verify>,
    depth: Option<u32>,
    ca_file: Option<PathBuf>,
    ca_path: Option<PathBuf>,
    crl_file: Option<PathBuf>,
    crl_path: Option<PathBuf>,
    revocation: Option<Revocation>,
    machine_file: Option<PathBuf>,
    machine_path: Option<PathBuf>,
    machine_chain: Option<PathBuf>,
    expire: Option<bool>,
    common_name: Option<bool>,
    name: Option<bool>,
}

impl Conf for SslProxy {
    // The first of the module's three: among the values per directory it is free.
    const SLOT: usize = slot::SSL;

    fn merge(base: &Self, add: &Self) -> Self {
        inner_or_outer!(
            base, add;
            engine, versions, ciphers, suites13, verify, depth, ca_file, ca_path, crl_file, crl_path, revocation,
            machine_file, machine_path, machine_chain, expire, common_name, name
        )
    }
}

/// `SSLProxyEngine`.
pub(super) fn engine(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<SslProxy>().engine = Some(args.on());
    Ok(())
}

/// `SSLProxyProtocol`.
pub(super) fn protocol(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    let versions = versions(cmd, args)?;
    cmd.dir_conf::<SslProxy>().versions = Some(versions);
    Ok(())
}

/// `SSLProxyCipherSuite`.
pub(super) fn ciphers(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::ciphers(cmd, args)?;
    let conf = cmd.dir_conf::<SslProxy>();
    match args.opt(1) {
        Some(list) if args.word(0).eq_ignore_ascii_case(b"TLSv1.3") => conf.suites13 = Some(latin1(list)),
        Some(list) => conf.ciphers = Some(latin1(list)),
        None => conf.ciphers = Some(args.text(0)),
    }
    Ok(())
}

/// `SSLProxyVerify`.
pub(super) fn verify(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::verify(cmd, args)?;
    cmd.dir_conf::<SslProxy>().verify = Some(verify_word(args.word(0)));
    Ok(())
}

/// `SSLProxyVerifyDepth`.
pub(super) fn depth(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::depth(cmd, args)?;
    let depth = u32::try_from(words::number(args.word(0))).unwrap_or(u32::MAX);
    cmd.dir_conf::<SslProxy>().depth = Some(depth);
    Ok(())
}

fn file(cmd: &mut Cmd<'_>, args: &Args<'_>, field: fn(&mut SslProxy) -> &mut Option<PathBuf>) -> Done {
    words::file(cmd, args)?;
    let path = words::rooted(cmd, args.word(0)).0;
    *field(cmd.dir_conf()) = Some(path);
    Ok(())
}

fn directory(cmd: &mut Cmd<'_>, args: &Args<'_>, field: fn(&mut SslProxy) -> &mut Option<PathBuf>) -> Done {
    words::directory(cmd, args)?;
    let path = words::rooted(cmd, args.word(0)).0;
    *field(cmd.dir_conf()) = Some(path);
    Ok(())
}

/// `SSLProxyCACertificateFile`.
pub(super) fn ca_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    file(cmd, args, |conf| &mut conf.ca_file)
}

/// `SSLProxyCACertificatePath`.
pub(super) fn ca_path(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    directory(cmd, args, |conf| &mut conf.ca_path)
}

/// `SSLProxyCARevocationFile`.
pub(super) fn crl_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    file(cmd, args, |conf| &mut conf.crl_file)
}

/// `SSLProxyCARevocationPath`.
pub(super) fn crl_path(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    directory(cmd, args, |conf| &mut conf.crl_path)
}

/// `SSLProxyCARevocationCheck`.
pub(super) fn revocation(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::revocation(cmd, args)?;
    cmd.dir_conf::<SslProxy>().revocation = Some(revocation_of(args.raw));
    Ok(())
}

/// `SSLProxyMachineCertificateFile`.
pub(super) fn machine_file(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    file(cmd, args, |conf| &mut conf.machine_file)
}

/// `SSLProxyMachineCertificatePath`.
pub(super) fn machine_path(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    directory(cmd, args, |conf| &mut conf.machine_path)
}

/// `SSLProxyMachineCertificateChainFile`.
pub(super) fn machine_chain(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    file(cmd, args, |conf| &mut conf.machine_chain)
}

/// `SSLProxyCheckPeerExpire`.
pub(super) fn check_expire(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<SslProxy>().expire = Some(args.on());
    Ok(())
}

/// `SSLProxyCheckPeerCN`.
pub(super) fn check_common_name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<SslProxy>().common_name = Some(args.on());
    Ok(())
}

/// `SSLProxyCheckPeerName`.
pub(super) fn check_name(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    cmd.dir_conf::<SslProxy>().name = Some(args.on());
    Ok(())
}

/// Makes what servers and sections need to speak TLS with backends. As in httpd, a section's values lie over those of
/// the server it stands in, and of several sections the last one counts alone.
pub(super) fn post_config(checks: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let mut known: HashMap<u32, BackendTls> = HashMap::new();
    for at in 0..checks.servers.len() {
        let Some(server) = checks.servers.get(at) else { continue };
        let (id, base) = (build::id_of(server), server.dir.get::<SslProxy>().cloned());
        if let Some(base) = &base {
            let run = run(checks, base, &id)?;
            if let Some(server) = checks.servers.get_mut(at) {
                *server.dir.get_mut::<BackendTls>() = run;
            }
        }
        for nth in sections(checks, at) {
            let Some(section) = checks.servers.get(at).and_then(|server| server.sections.get(nth)) else { continue };
            let (key, own) = (section.id, section.conf.get::<SslProxy>().cloned().unwrap_or_default());
            let run = match known.get(&key) {
                Some(run) => run.clone(),
                None => {
                    let merged = SslProxy::merge(&base.clone().unwrap_or_default(), &own);
                    let run = run(checks, &merged, &id)?;
                    known.insert(key, run.clone());
                    run
                }
            };
            if let Some(section) = checks.servers.get_mut(at).and_then(|server| server.sections.get_mut(nth)) {
                *Arc::make_mut(section).conf.get_mut::<BackendTls>() = run;
            }
        }
    }
    Ok(())
}

/// Where in a server's list the sections are that say something of this.
fn sections(checks: &PostConfig<'_>, at: usize) -> Vec<usize> {
    let sections = checks.servers.get(at).map(|server: &Server| server.sections.as_slice()).unwrap_or_default();
    let says = |conf: &Slots| conf.get::<SslProxy>().is_some();
    let all = sections.iter().enumerate();
    all.filter(|(_, section)| section.kind == SectionKind::Proxy && says(&section.conf)).map(|(nth, _)| nth).collect()
}

fn run(checks: &mut PostConfig<'_>, conf: &SslProxy, id: &str) -> Result<BackendTls, Fatal> {
    let Some(engine) = conf.engine else { return Ok(BackendTls::default()) };
    if !engine {
        return Ok(BackendTls { side: Some(None) });
    }
    let mut notes = Vec::new();
    let made = side(conf, id, &mut notes);
    for (level, text) in notes {
        build::say(checks, level, text);
    }
    match made {
        Ok(side) => Ok(BackendTls { side: Some(Some(Arc::new(side))) }),
        Err(lines) => Err(build::fail(checks, lines)),
    }
}

fn side(conf: &SslProxy, id: &str, notes: &mut Lines) -> Result<ClientSide, Lines> {
    let versions = conf.versions.unwrap_or(Versions::ALL);
    if !versions.v12 && !versions.v13 {
        return Err(vec![
            ("emerg", "AH02231: No SSL protocols available [hint: SSLProtocol]".to_owned()),
            build::fatal(),
        ]);
    }
    let demand = match conf.verify.unwrap_or_default() {
        Verify::None => Demand::Nothing,
        Verify::Optional | Verify::Require => Demand::Trusted,
        Verify::OptionalNoCa => Demand::AnyAuthority,
    };
    let files = build::Files {
        ca_file: conf.ca_file.as_ref(),
        ca_path: conf.ca_path.as_ref(),
        crl_file: conf.crl_file.as_ref(),
        crl_path: conf.crl_path.as_ref(),
        prefix: "SSLProxyCARevocation",
    };
    let mut trust = Trust::new(conf.depth.unwrap_or(1), conf.revocation.unwrap_or_default());
    build::fill(&mut trust, &files, id, notes)?;
    if conf.verify == Some(Verify::Require) && trust.is_empty() && conf.ca_path.is_none() {
        notes.push(("warn", build::NO_AUTHORITIES.to_owned()));
    }
    let suites = build::suites("SSLProxyCipherSuite", conf.ciphers.as_deref(), conf.suites13.as_deref(), notes)?;
    let identities = machines(conf, notes)?;
    // The check of names is on unless both are off; the common name alone counts where it is asked for.
    let named = match (conf.name, conf.common_name) {
        (Some(true), _) | (None, None | Some(true)) => Named::Host,
        (_, Some(true)) => Named::CommonName,
        _ => Named::Any,
    };
    let expire = conf.expire.unwrap_or(true);
    let spec = ClientSpec { versions, suites, demand, trust, identities, expire, named, owner: id.into() };
    spec.build().map_err(|error| vec![("emerg", format!("SSL Library Error: {error}")), build::fatal()])
}

/// Our certificates for backends.
fn machines(conf: &SslProxy, notes: &mut Lines) -> Result<Vec<Arc<rustls::sign::CertifiedKey>>, Lines> {
    if conf.machine_file.is_none() && conf.machine_path.is_none() {
        return Ok(Vec::new());
    }
    let mut paths: Vec<PathBuf> = conf.machine_file.iter().cloned().collect();
    if let Some(dir) = &conf.machine_path {
        use std::os::unix::ffi::OsStringExt as _;
        let mut names = files::list(dir).unwrap_or_default();
        names.sort();
        paths.extend(names.into_iter().map(|name| dir.join(std::ffi::OsString::from_vec(name))));
    }
    let chain = conf.machine_chain.as_deref().map(certificates).transpose();
    // What is no certificate leaves the chain empty.
    let chain = chain.ok().flatten().unwrap_or_default();
    let mut all = Vec::new();
    for path in paths {
        match identities_of(&path, &chain) {
            Ok(found) => all.extend(found),
            Err(IdentityError::Encrypted) => {
                let text =
                    "AH02252: incomplete client cert configured for SSL proxy (missing or encrypted private key?)";
                return Err(vec![("emerg", text.to_owned()), build::fatal()]);
            }
            Err(IdentityError::Mismatch) => {
                let shown = certificates(&path).ok().and_then(|certs| certs.first().map(|cert| x509::described(cert)));
                let shown = shown.unwrap_or_else(|| " [certificate: -not available-]".to_owned());
                let text = format!("AH02326: proxy client certificate and private key do not match{shown}");
                return Err(vec![("emerg", text), build::fatal()]);
            }
            // Files that hold no pair are passed over.
            Err(_) => {}
        }
    }
    if all.is_empty() {
        notes.push(("warn", "AH02206: no client certs found for SSL proxy".to_owned()));
    }
    if conf.machine_chain.is_some() {
        for identity in all.iter().filter(|identity| identity.cert.len() == 1) {
            let shown = identity.cert.first().map(|cert| x509::described(cert)).unwrap_or_default();
            let why = "unable to get local issuer certificate";
            notes.push(("warn", format!("AH02270: SSL proxy client cert chain verification failed: {why} :{shown}")));
        }
    }
    Ok(all)
}
