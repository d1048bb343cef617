//! A node's life: bind, join the cluster, answer, and all of it backwards.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::access_log::FLUSH;
use super::api::Api;
use super::cluster::Clusters;
use super::connector::{self, Answers, Bound, Running};
use super::container::Engine;
use super::deploy::Base;
use super::failure::StartError;
use super::model::{self, Shutdown, Speaks};
use super::tls::Hosts;
use super::valves::Valve;
use super::webapp::Handlers;
use super::{build, log};

/// A service that is about to run.
struct Built {
    engine: Arc<Engine>,
    bound: Vec<(Bound, Answers)>,
}

/// Checks all that can be checked without joining a cluster; takes the connectors' addresses for a moment.
///
/// # Errors
/// What would keep the node from starting.
pub fn check(model: &model::Server, base: &Base, handlers: &Handlers) -> Result<(), StartError> {
    for service in &model.services {
        let clusters = Clusters::unopened(&service.engine)?;
        built(service, base, handlers, &clusters)?;
    }
    Ok(())
}

fn built(service: &model::Service, base: &Base, handlers: &Handlers, clusters: &Clusters) -> Result<Built, StartError> {
    let engine = Arc::new(build::engine(&service.engine, base, handlers, clusters)?);
    let mut bound = Vec::new();
    for settings in &service.connectors {
        let answers = match &settings.speaks {
            Speaks::Http | Speaks::Ajp(_) => Answers::Engine(Arc::clone(&engine)),
            Speaks::Api { token } => {
                if token.is_none() && !settings.address.is_some_and(|address| address.is_loopback()) {
                    return Err(StartError::Token);
                }
                Answers::Api(Arc::new(Api { engine: Arc::clone(&engine), token: token.clone() }))
            }
        };
        let protocol = connector::protocol(settings);
        let mut socket =
            connector::bind(settings).map_err(|source| StartError::Bind { protocol, port: settings.port, source })?;
        if settings.http2.is_some() {
            const SOURCE: &str = "org.apache.coyote.http11.AbstractHttp11Protocol.configureUpgradeProtocol";
            let how = if settings.tls.is_some() { "negotiation to [h2] via ALPN" } else { "HTTP upgrade to [h2c]" };
            log::info(SOURCE, &format!("The [\"{}\"] connector has been configured to support {how}", socket.name));
        }
        if let Some(tls) = &settings.tls {
            const SOURCE: &str = "org.apache.tomcat.util.net.AbstractEndpoint.logCertificate";
            let file = base.server_xml().display().to_string();
            let name = socket.name.clone();
            let hosts = Hosts::open(tls, settings.http2.is_some(), (&file, &base.dir), &mut |text| {
                log::info(SOURCE, &format!("Connector [{name}], {text}"));
            });
            socket = socket.secured(hosts.map_err(StartError::Tls)?);
        }
        const SOURCE: &str = "org.apache.coyote.AbstractProtocol.init";
        log::info(SOURCE, &format!("Initializing ProtocolHandler [\"{}\"]", socket.name));
        bound.push((socket, answers));
    }
    Ok(Built { engine, bound })
}

/// Runs a node until it is told to stop.
///
/// # Errors
/// Why it did not start.
pub fn run(model: &model::Server, base: &Base, handlers: &Handlers, started: Instant) -> Result<(), StartError> {
    let mut services = Vec::new();
    for service in &model.services {
        let clusters = Clusters::unopened(&service.engine)?;
        let built = built(service, base, handlers, &clusters)?;
        services.push((service, built, clusters));
    }
    // From here on whoever sends a signal gets an orderly end.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().thread_name("Catalina-utility").build()?;
    let (tell, mut told) = mpsc::channel(1);
    let _entered = runtime.enter();
    let mut signals = Vec::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        signals.push(signal(kind)?);
    }
    let mut running: Vec<Running> = Vec::new();
    let mut engines = Vec::new();
    for (service, built, clusters) in &mut services {
        const SOURCE: &str = "org.apache.catalina.core.StandardService.startInternal";
        log::info(SOURCE, &format!("Starting service [{}]", service.name));
        clusters.open()?;
        engines.push((Arc::clone(&built.engine), service.engine.background));
        for (bound, answers) in built.bound.drain(..) {
            const SOURCE: &str = "org.apache.coyote.AbstractProtocol.start";
            log::info(SOURCE, &format!("Starting ProtocolHandler [\"{}\"]", bound.name));
            running.push(bound.start(answers)?);
        }
    }
    if let Some(shutdown) = &model.shutdown {
        listen(shutdown.clone(), tell)?;
    }
    let text = format!("Server startup in [{}] milliseconds", started.elapsed().as_millis());
    log::info("org.apache.catalina.startup.Catalina.start", &text);
    runtime.block_on(async {
        for (engine, period) in &engines {
            background(Arc::clone(engine), *period);
        }
        let mut signals = signals.into_iter();
        let (mut term, mut int, mut hup) = (signals.next(), signals.next(), signals.next());
        tokio::select! {
            Some(()) = told.recv() => {}
            () = heard(&mut term) => {}
            () = heard(&mut int) => {}
            () = heard(&mut hup) => {}
        }
    });
    running.iter().for_each(Running::pause);
    for connector in running {
        connector.join();
    }
    for (service, built, clusters) in services {
        log::info(
            "org.apache.catalina.core.StandardService.stopInternal",
            &format!("Stopping service [{}]", service.name),
        );
        clusters.close();
        built.engine.all_logs().for_each(super::access_log::AccessLog::flush);
    }
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(())
}

async fn heard(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Ends idle sessions and writes logs out, every so often.
fn background(engine: Arc<Engine>, period: Duration) {
    let logged = Arc::clone(&engine);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(FLUSH).await;
            logged.all_logs().for_each(super::access_log::AccessLog::flush);
        }
    });
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(period).await;
            let engine = Arc::clone(&engine);
            let round = tokio::task::spawn_blocking(move || {
                engine.contexts().for_each(|(_, context)| context.manager.background());
                engine.all_valves().for_each(Valve::background);
            });
            if round.await.is_err() {
                log::severe("org.apache.catalina.core.ContainerBase.backgroundProcess", "a round of expiry failed");
            }
        }
    });
}

/// Longest word that is read.
const LONGEST: usize = 1024;

/// Waits for the word on the shutdown port.
fn listen(shutdown: Shutdown, tell: mpsc::Sender<()>) -> Result<(), StartError> {
    let listener = TcpListener::bind((shutdown.address.as_str(), shutdown.port))
        .map_err(|source| StartError::Shutdown { address: shutdown.address.clone(), port: shutdown.port, source })?;
    const SOURCE: &str = "org.apache.catalina.core.StandardServer.await";
    std::thread::Builder::new().name("shutdown-port".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            let most = LONGEST.max(shutdown.word.len() + 1);
            let (mut word, mut byte) = (Vec::new(), [0]);
            let deadline = Instant::now() + Duration::from_secs(10);
            while word.len() < most {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
                    break;
                }
                match stream.read(&mut byte) {
                    Ok(1) if byte[0] >= 32 && byte[0] != 127 => word.push(byte[0]),
                    _ => break,
                }
            }
            if word == shutdown.word.as_bytes() {
                let text = "A valid shutdown command was received via the shutdown port. Stopping the Server instance.";
                log::info(SOURCE, text);
                let _ = tell.blocking_send(());
                return;
            }
            let shown = String::from_utf8_lossy(&word).into_owned();
            log::warning(SOURCE, &format!("Invalid shutdown command [{shown}] received"));
        }
    })?;
    Ok(())
}
