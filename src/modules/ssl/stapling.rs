//! `SSLUseStapling` and its kin: what is stapled to which certificate, and who asks for it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use tokio::task::AbortHandle;

use super::build::Lines;
use super::check;
use super::conf::{SslProcess, SslServer};
use super::ocsp::write_line;
use crate::codec::x509::{self, NameStyle};
use crate::config::{Args, Cmd, Server};
use crate::logs::{self, Level, OfServer};
use crate::modules::check as words;
use crate::net::stapling::{NoStaple, Staple, StapleSpec, Trouble};
use crate::web::Live;

type Done = Result<(), String>;

/// The directives' values.
#[derive(Clone, Default)]
pub struct StapleSet {
    on: Option<bool>,
    skew: Option<i64>,
    patience: Option<i64>,
    max_age: Option<i64>,
    keep: Option<i64>,
    keep_error: Option<i64>,
    return_errors: Option<bool>,
    fake_try_later: Option<bool>,
    force_url: Option<String>,
}

impl StapleSet {
    pub(super) fn merge(base: &Self, add: &Self) -> Self {
        crate::config::inner_or_outer!(
            base, add;
            on, skew, patience, max_age, keep, keep_error, return_errors, fake_try_later, force_url
        )
    }

    fn spec(&self) -> StapleSpec {
        let usual = StapleSpec::default();
        let time = |set: Option<i64>, usual| {
            set.map_or(usual, |seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
        };
        StapleSpec {
            skew: self.skew.unwrap_or(usual.skew),
            patience: time(self.patience, usual.patience),
            max_age: self.max_age.filter(|age| *age >= 0),
            keep: time(self.keep, usual.keep),
            keep_error: time(self.keep_error, usual.keep_error),
            return_errors: self.return_errors.unwrap_or(usual.return_errors),
            fake_try_later: self.fake_try_later.unwrap_or(usual.fake_try_later),
            force_url: self.force_url.clone(),
        }
    }
}

fn set(cmd: &mut Cmd<'_>, field: impl FnOnce(&mut StapleSet)) -> Done {
    field(&mut cmd.server_conf::<SslServer>().staple);
    Ok(())
}

fn seconds(cmd: &mut Cmd<'_>, args: &Args<'_>, field: fn(&mut StapleSet) -> &mut Option<i64>) -> Done {
    words::at_least(args, 0, &format!("{}: invalid argument", cmd.directive.name))?;
    let seconds = words::number(args.word(0));
    set(cmd, |conf| *field(conf) = Some(seconds))
}

/// `SSLStaplingCache`: responses are kept in memory, whatever is named.
pub(super) fn cache(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    check::stapling_cache(cmd, args)?;
    cmd.globals.conf.get_mut::<SslProcess>().staples = true;
    Ok(())
}

/// `SSLUseStapling`.
pub(super) fn on(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, |conf| conf.on = Some(args.on()))
}

/// `SSLStaplingResponseTimeSkew`.
pub(super) fn skew(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    seconds(cmd, args, |conf| &mut conf.skew)
}

/// `SSLStaplingResponderTimeout`.
pub(super) fn patience(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    seconds(cmd, args, |conf| &mut conf.patience)
}

/// `SSLStaplingResponseMaxAge`.
pub(super) fn max_age(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    seconds(cmd, args, |conf| &mut conf.max_age)
}

/// `SSLStaplingStandardCacheTimeout`.
pub(super) fn keep(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    seconds(cmd, args, |conf| &mut conf.keep)
}

/// `SSLStaplingErrorCacheTimeout`.
pub(super) fn keep_error(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    seconds(cmd, args, |conf| &mut conf.keep_error)
}

/// `SSLStaplingReturnResponderErrors`.
pub(super) fn return_errors(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, |conf| conf.return_errors = Some(args.on()))
}

/// `SSLStaplingFakeTryLater`.
pub(super) fn fake_try_later(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, |conf| conf.fake_try_later = Some(args.on()))
}

/// `SSLStaplingForceURL`.
pub(super) fn force_url(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Done {
    set(cmd, |conf| conf.force_url = Some(args.text(0)))
}

/// What is to be stapled to the certificates of a server; `before` are those of the generation that goes.
pub(super) fn staples(
    conf: &SslServer,
    identities: &[Arc<CertifiedKey>],
    id: &str,
    before: &[Arc<Staple>],
    notes: &mut Lines,
) -> Vec<Option<Arc<Staple>>> {
    let make = |(nth, identity): (usize, &Arc<CertifiedKey>)| {
        if conf.staple.on != Some(true) {
            return None;
        }
        let cert = identity.cert.first()?;
        let mut serial = Vec::new();
        x509::push_part(cert, b"M_SERIAL", NameStyle::default(), 0, &mut serial);
        let serial = String::from_utf8_lossy(&serial).into_owned();
        match Staple::new(identity.clone(), serial, conf.staple.spec()) {
            Ok(staple) => {
                // The first that asks the same.
                before.iter().any(|other| staple.inherit(other));
                Some(Arc::new(staple))
            }
            Err(why) => {
                let why = match why {
                    NoStaple::NoIssuer => "AH02217: ssl_stapling_init_cert: can't retrieve issuer certificate!",
                    NoStaple::NoResponder => {
                        "AH02218: ssl_stapling_init_cert: no OCSP URI in certificate and no SSLStaplingForceURL set"
                    }
                };
                notes.push(("error", format!("{why}{}", x509::described(cert))));
                notes.push(("error", format!("AH02604: Unable to configure certificate {id}:{nth} for stapling")));
                None
            }
        }
    };
    identities.iter().enumerate().map(make).collect()
}

/// Whether stapling is asked for where there is no cache for it.
pub(super) fn lacks_cache(conf: &SslServer, process: &SslProcess) -> bool {
    conf.staple.on == Some(true) && !process.staples
}

/// Those who ask responders for one generation; they end when it is dropped.
pub struct Watch(Vec<AbortHandle>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Begins to ask, on this thread's runtime.
pub fn watch(live: Live) -> Watch {
    let live = Rc::new(live);
    let mut tasks = Vec::new();
    for server in &live.generation.servers {
        let run = server.get::<SslServer>().and_then(|conf| conf.run.as_ref());
        for staple in run.iter().flat_map(|run| &run.staples) {
            tasks.push(tokio::task::spawn_local(renew(live.clone(), server.index, staple.clone())).abort_handle());
        }
    }
    Watch(tasks)
}

async fn renew(live: Rc<Live>, server: usize, staple: Arc<Staple>) {
    loop {
        let (time, trouble) = staple.renew().await;
        let from = OfServer(&live, server);
        match trouble {
            None => {}
            Some(Trouble::Responder(why)) => {
                why.lines().iter().for_each(|line| write_line(from, line));
                logs::error!(from, Level::Error, "ssl", "AH01941: stapling_renew_response: responder error");
            }
            Some(Trouble::Useless(why)) => logs::error!(from, Level::Error, "ssl", "AH02969: {why}"),
        }
        tokio::time::sleep(time).await;
    }
}

/// All that is stapled in a server.
pub(super) fn of(server: &Server) -> Vec<Arc<Staple>> {
    let run = server.get::<SslServer>().and_then(|conf| conf.run.as_ref());
    run.map(|run| run.staples.clone()).unwrap_or_default()
}
