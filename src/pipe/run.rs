//! The driver of one request: phases, error pages, internal redirects, and always the log.

use std::rc::Rc;
use std::time::Duration;

use super::chain::{self, plan};
use super::hooks::{all, first};
use super::{Answer, Boxed, Inline, KeptBody, Outcome, Phase, Run, errors, host, kept, respond, walk};
use crate::base::path::{EncodedSlashes, Normalize, PathError, normalize_path, unescape_url};
use crate::config::core::{CoreDir, CoreServer};
use crate::logs::{self, Bytes, Level};
use crate::web::{BodyKind, Exchange, Prior, ProxyKind, Snapshot, Wire};

/// Serves one request whose head was read into `ex` (`the_request`, `method`, `protocol`, `proto_num`,
/// `unparsed_uri`, `headers_in`, times, client address), from reading the target to the log. Never fails: whatever
/// goes wrong becomes a response or an aborted connection, and a log line.
pub async fn run(ex: &mut Exchange, wire: &mut dyn Wire) {
    run_with::<Boxed>(ex, wire).await;
}

/// As [`run`], with a handler that is part of this future.
pub async fn run_with<H: Inline>(ex: &mut Exchange, wire: &mut dyn Wire) {
    let begun = match begin(ex, wire) {
        Ok(()) => all(ex, Phase::PostRead).await,
        Err(status) => Outcome::Status(status),
    };
    let outcome = match begun {
        Outcome::Ok | Outcome::Declined => process::<H>(ex, wire).await,
        outcome => outcome,
    };
    answer(ex, wire, outcome).await;
    end(ex, wire).await;
    if matches!(begun, Outcome::Status(_)) {
        // For httpd it has not been read: it says nothing of that in the response (417, 421), and closes.
        wire.close();
    }
}

/// Answers a request whose head could not be read (the front has logged why), and logs it.
pub async fn refuse(ex: &mut Exchange, wire: &mut dyn Wire, status: u16) {
    ex.close = true;
    ex.header_only = ex.method == b"HEAD";
    // Whatever HTTP/0.9 may have been meant: the answer has a head.
    ex.assbackwards = false;
    // A line of which no word was read has no path, not even `/`.
    if !(ex.method.is_empty() && ex.unparsed_uri.is_empty()) {
        host::split_target(ex);
    }
    host::note_host(ex);
    chain::update(ex);
    answer(ex, wire, Outcome::Status(status)).await;
    end(ex, wire).await;
}

/// All phases up to the handler's, without one and without a client: what would become of the request. What the phases
/// decided stands in `ex`.
pub async fn plan_only(ex: &mut Exchange) -> Outcome {
    if let Err(status) = identify(ex) {
        return Outcome::Status(status);
    }
    match all(ex, Phase::PostRead).await {
        Outcome::Ok | Outcome::Declined => prepare(ex).await,
        outcome => outcome,
    }
}

/// Target, host and server.
fn identify(ex: &mut Exchange) -> Result<(), u16> {
    let merged = ex.headers_in.compress_all();
    ex.header_only = ex.method == b"HEAD" && !ex.assbackwards;
    // `http/1.1` passes for that under HttpProtocolOptions Unsafe.
    ex.protocol.make_ascii_uppercase();
    host::split_target(ex);
    if merged && !fields_fit(ex) {
        host::note_host(ex);
        chain::update(ex);
        return Err(400);
    }
    let chosen = host::choose_server(ex);
    chain::update(ex);
    chosen
}

fn begin(ex: &mut Exchange, wire: &mut dyn Wire) -> Result<(), u16> {
    let identified = identify(ex);
    let timeout = ex.server().rec.timeout.unwrap_or(60);
    wire.set_timeout(Duration::from_secs(u64::from(timeout)));
    identified?;
    if let Some(expect) = ex.headers_in.get(b"Expect").filter(|expect| !expect.is_empty())
        && !expect.eq_ignore_ascii_case(b"100-continue")
    {
        let text = "AH00570: client sent an unrecognized expectation value of Expect:";
        logs::error!(ex, Level::Info, "core", "{} {}", text, Bytes(expect));
        return Err(417);
    }
    Ok(())
}

/// Whether the fields are within LimitRequestFieldSize after those of one name were joined.
fn fields_fit(ex: &mut Exchange) -> bool {
    let most = ex.server().rec.limit_field_size.unwrap_or(8190);
    let Some((name, _)) = ex.headers_in.iter().find(|(_, value)| value.len() > most) else { return true };
    let text = "AH00560: Request header exceeds LimitRequestFieldSize after merging:";
    logs::error!(ex, Level::Info, "core", "{} {}", text, Bytes(name.get(..64).unwrap_or(name)));
    logs::error!(ex, Level::Debug, "core", "AH00567: request failed: error reading the headers");
    ex.notes.set(b"error-notes", b"Size of a request header field exceeds server limit.");
    false
}

/// All phases from a request that has been read to the handler.
async fn process<H: Inline>(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    // Nobody who reads the request first took it for a forward proxy.
    if ex.proxyreq == ProxyKind::None && host::foreign_scheme(ex) {
        return Outcome::Status(400);
    }
    match kept::quick(ex, wire).await {
        Outcome::Declined => {}
        outcome => return outcome,
    }
    let mut prepared = prepare(ex).await;
    wire.set_limit(ex.dir::<CoreDir>().and_then(|dir| dir.limit_body).unwrap_or(1 << 30));
    if prepared == Outcome::Body {
        prepared = admit_with_body(ex, wire).await;
    }
    match prepared {
        Outcome::Ok | Outcome::Declined => {}
        Outcome::Done => {
            return match ex.ext.take::<Answer>().and_then(|answer| answer.0) {
                Some(answer) => answer(ex, wire).await,
                None => Outcome::Done,
            };
        }
        outcome => return outcome,
    }
    handle::<H>(ex, wire).await
}

/// Reads the body for a hook of authentication and asks again. Boxed: hardly any request needs it.
fn admit_with_body<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> super::Waiting<'a> {
    Box::pin(async move {
        let limit = ex.ext.get_mut::<KeptBody>().limit;
        let read = super::body::whole_body(ex, wire, limit).await;
        ex.ext.get_mut::<KeptBody>().read = Some(read);
        admit(ex).await
    })
}

/// From the target to the last fixup: what a subrequest runs too.
pub(super) async fn prepare(ex: &mut Exchange) -> Outcome {
    match map(ex).await {
        Outcome::Ok | Outcome::Declined => prepare_file(ex).await,
        outcome => outcome,
    }
}

/// As [`prepare`], of a request that is mapped to a file name already.
pub(super) async fn prepare_file(ex: &mut Exchange) -> Outcome {
    match storage(ex).await {
        Outcome::Ok | Outcome::Declined => {}
        outcome => return outcome,
    }
    if ex.sub_depth == 0 {
        match all(ex, Phase::HeaderParser).await {
            Outcome::Ok | Outcome::Declined => {}
            outcome => return outcome,
        }
    }
    admit(ex).await
}

/// From access to the last fixup.
async fn admit(ex: &mut Exchange) -> Outcome {
    match permit(ex).await {
        Outcome::Ok => {}
        outcome => return outcome,
    }
    match first(ex, Phase::TypeChecker).await {
        Outcome::Ok | Outcome::Declined => {}
        outcome => return outcome,
    }
    match all(ex, Phase::Fixups).await {
        Outcome::Ok | Outcome::Declined => Outcome::Ok,
        outcome => outcome,
    }
}

/// From the target to a file name.
async fn map(ex: &mut Exchange) -> Outcome {
    let merge = ex.server().get::<CoreServer>().and_then(|conf| conf.merge_slashes).unwrap_or(true);
    let how = Normalize { merge_slashes: merge, decode_unreserved: true, ..Normalize::default() };
    let forward = ex.proxyreq == ProxyKind::Forward;
    if forward {
        // The path only has to be one: it goes on as the client wrote it.
        if let Err(status) = host::target_path(ex) {
            return Outcome::Status(status);
        }
    } else if needs_normalising(&ex.uri) {
        let raw = swap_uri(ex);
        let done = normalize_path(&raw, how, &mut ex.uri);
        ex.response.buffers[0] = raw;
        if done.is_err() {
            return Outcome::Status(host::bad_path(ex));
        }
    }
    walk::locations_and_ifs(ex);
    let mut outcome = first(ex, Phase::PreTranslate).await;
    if matches!(outcome, Outcome::Status(_) | Outcome::Redirect) {
        return outcome;
    }
    let encoded = !forward && memchr::memchr(b'%', &ex.uri).is_some();
    if encoded && outcome != Outcome::Done {
        // Sections that hold for the encoded path were for the phase above only.
        ex.matched.clear();
        chain::update(ex);
        if let Err(status) = decode(ex, how) {
            return Outcome::Status(status);
        }
        walk::locations_and_ifs(ex);
    }
    outcome = first(ex, Phase::Translate).await;
    match outcome {
        Outcome::Ok => Outcome::Ok,
        Outcome::Declined => nobody(ex, "translate"),
        outcome => outcome,
    }
}

/// Takes the path out; a buffer that was used before stands in its place.
fn swap_uri(ex: &mut Exchange) -> Vec<u8> {
    let mut buffer = std::mem::take(&mut ex.response.buffers[0]);
    buffer.clear();
    std::mem::replace(&mut ex.uri, buffer)
}

/// Whether a path has anything for [`normalize_path`] to do.
fn needs_normalising(path: &[u8]) -> bool {
    let mut last = 0;
    for byte in path {
        if *byte == b'%' || (last == b'/' && matches!(*byte, b'/' | b'.')) {
            return true;
        }
        last = *byte;
    }
    path.first() != Some(&b'/') && path != b"*"
}

fn decode(ex: &mut Exchange, how: Normalize) -> Result<(), u16> {
    let slashes = ex.dir::<CoreDir>().and_then(|dir| dir.encoded_slashes).unwrap_or_default();
    let raw = swap_uri(ex);
    let done = unescape_url(&raw, slashes, &mut ex.uri);
    ex.response.buffers[0] = raw;
    match done {
        Ok(()) => {}
        Err(PathError::Forbidden) => {
            if slashes == EncodedSlashes::Refuse {
                let uri = &ex.unparsed_uri;
                let text = "found %2f (encoded '/') in URI path";
                logs::error!(ex, Level::Info, "core", "AH00026: {} ({}), returning 404", text, Bytes(uri));
            }
            // What follows a NUL is no part of the path for anybody.
            if let Some(nul) = memchr::memchr(0, &ex.uri) {
                ex.uri.truncate(nul);
            }
            return Err(404);
        }
        Err(_) => return Err(400),
    }
    if slashes == EncodedSlashes::Decode {
        let raw = std::mem::take(&mut ex.uri);
        let how = Normalize { decode_unreserved: false, ..how };
        // Above the root there is only the root: no error any more, as in httpd.
        let _ = normalize_path(&raw, how, &mut ex.uri);
    }
    Ok(())
}

/// Sections of the file system or of the proxy's target, then all that lie over them.
async fn storage(ex: &mut Exchange) -> Outcome {
    ex.matched.clear();
    chain::update(ex);
    if ex.filename.starts_with(b"proxy:") {
        walk::proxies(ex);
    }
    match first(ex, Phase::MapToStorage).await {
        Outcome::Declined => {
            if !ex.filename.starts_with(b"proxy:") {
                match walk::directories(ex) {
                    Outcome::Ok => {}
                    outcome => return outcome,
                }
                walk::files(ex);
            }
        }
        Outcome::Ok => {}
        outcome => return outcome,
    }
    walk::locations_and_ifs(ex);
    Outcome::Ok
}

/// Access, authentication, authorisation.
async fn permit(ex: &mut Exchange) -> Outcome {
    if plan(&ex.chain).lost {
        logs::error!(ex, Level::Crit, "core", "sections that apply to {} are not known any more", Bytes(&ex.uri));
        return Outcome::Status(500);
    }
    if let Some(prior) = ex.response.prior.take() {
        // The request that this one came from has passed under the very same values.
        if Rc::ptr_eq(&prior.chain, &ex.chain) {
            ex.user = prior.user;
            ex.auth_type = prior.auth_type;
            return Outcome::Ok;
        }
    }
    let access = all(ex, Phase::Access).await;
    let passed = matches!(access, Outcome::Ok | Outcome::Declined);
    if ex.satisfy_any && passed {
        return Outcome::Ok;
    }
    if !ex.satisfy_any && !passed {
        return access;
    }
    let chain = ex.chain.clone();
    let ask = if plan(&chain).hooks(Phase::AccessEx).is_empty() {
        // mod_authz_core said that there is nothing to check; without that module nobody allows anything.
        if plan(&chain).authz_core { Outcome::Ok } else { Outcome::Declined }
    } else {
        first(ex, Phase::AccessEx).await
    };
    match ask {
        Outcome::Ok => return Outcome::Ok,
        Outcome::Declined => {}
        outcome => return outcome,
    }
    match first(ex, Phase::Authn).await {
        Outcome::Ok => {}
        Outcome::Declined => return nobody(ex, "check user"),
        outcome => return outcome,
    }
    if ex.user.is_none() {
        logs::error!(
            ex,
            Level::Error,
            "core",
            "AH00027: No authentication done but request not allowed without authentication for {}. Authentication not configured?",
            Bytes(&ex.uri)
        );
        return Outcome::Status(500);
    }
    match first(ex, Phase::Authz).await {
        Outcome::Status(401) => {
            note_auth_failure(ex).await;
            Outcome::Status(401)
        }
        Outcome::Declined => nobody(ex, "check authorization"),
        outcome => outcome,
    }
}

/// Has the modules ask for who the client is.
pub async fn note_auth_failure(ex: &mut Exchange) {
    all(ex, Phase::Challenge).await;
}

fn nobody(ex: &Exchange, what: &str) -> Outcome {
    logs::error!(ex, Level::Crit, "core", "AH00025: configuration error:  couldn't {}: {}", what, Bytes(&ex.uri));
    Outcome::Status(500)
}

/// Filters and the handler.
pub(super) async fn handle<H: Inline>(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    let by_type = ex.handler.is_empty();
    if by_type && !ex.content_type.is_empty() {
        // A handler may be asked for by the type's name.
        let end = memchr::memchr(b';', &ex.content_type).unwrap_or(ex.content_type.len());
        ex.handler.extend_from_slice(ex.content_type.get(..end).unwrap_or_default().trim_ascii());
        ex.handler.make_ascii_lowercase();
    }
    all(ex, Phase::InsertFilter).await;
    let outcome = match ex.planned_inputs.is_empty() || wire.body_kind() == BodyKind::None {
        true => ask_handlers::<H>(ex, wire).await,
        false => super::input::handle(ex, wire).await,
    };
    if by_type {
        // Only for the asking: the log shows none.
        ex.handler.clear();
    }
    match outcome {
        Outcome::Declined => {
            if !ex.handler.is_empty() {
                let text = "AH00522: handler";
                logs::error!(
                    ex,
                    Level::Warn,
                    "core",
                    "{} \"{}\" not found for: {}",
                    text,
                    Bytes(&ex.handler),
                    Bytes(&ex.filename)
                );
            }
            Outcome::Status(500)
        }
        outcome => outcome,
    }
}

/// Asks the handlers until one does not decline.
pub(super) async fn ask_handlers<H: Inline>(ex: &mut Exchange, wire: &mut dyn Wire) -> Outcome {
    let chain = ex.chain.clone();
    for run in plan(&chain).hooks(Phase::Handler) {
        let outcome = match run {
            Run::Now(run) => run(ex),
            Run::Wait(run) => run(ex).await,
            Run::Handle(run) => run(ex, wire).await,
            Run::Inline(run) => H::handle(*run, ex, wire).await,
        };
        if outcome != Outcome::Declined {
            return outcome;
        }
    }
    Outcome::Declined
}

/// From an outcome to a complete response: error pages and internal redirects.
async fn answer(ex: &mut Exchange, wire: &mut dyn Wire, outcome: Outcome) {
    let mut outcome = outcome;
    loop {
        outcome = match outcome {
            Outcome::Ok | Outcome::Done | Outcome::Declined => {
                // A client that went away is noted on its connection.
                let _ = respond::finish(ex, wire).await;
                if !ex.response.retry {
                    return;
                }
                kept::begin_again(ex);
                Outcome::Redirect
            }
            Outcome::Status(code) => Box::pin(errors::die(ex, wire, code)).await,
            // Nobody is left to read it.
            Outcome::Body => Box::pin(errors::die(ex, wire, 500)).await,
            Outcome::Redirect => {
                let most = ex.server().get::<CoreServer>().and_then(|conf| conf.recursion).unwrap_or((10, 10)).0;
                if ex.redirects >= most {
                    logs::error!(
                        ex,
                        Level::Error,
                        "core",
                        "AH00124: Request exceeded the limit of {} internal redirects due to probable configuration error. Use 'LimitInternalRecursion' to increase the limit if necessary. Use 'LogLevel debug' to get a backtrace.",
                        most
                    );
                    ex.response.first_error = 0;
                    Box::pin(errors::die(ex, wire, 500)).await
                } else {
                    respond::leave(ex).await;
                    redirect(ex);
                    match all(ex, Phase::PostRead).await {
                        Outcome::Ok | Outcome::Declined => process::<Boxed>(ex, wire).await,
                        outcome => outcome,
                    }
                }
            }
        };
    }
}

/// Makes `ex` the request that an internal redirect leads to.
fn redirect(ex: &mut Exchange) {
    ex.redirects += 1;
    let prior = Prior { chain: ex.chain.clone(), user: ex.user.take(), auth_type: ex.auth_type };
    ex.response.prior = Some(prior);
    if ex.original.is_none() {
        ex.original = Some(Box::new(Snapshot {
            the_request: ex.the_request.clone(),
            method: ex.method.clone(),
            uri: ex.uri.clone(),
            args: ex.args.clone(),
            status: ex.status,
            status_line: ex.status_line.clone(),
            filename: ex.filename.clone(),
            path_info: ex.path_info.clone(),
            handler: ex.handler.clone(),
            user: ex.response.prior.as_ref().and_then(|prior| prior.user.clone()),
            headers_in: ex.headers_in.clone(),
            env: ex.env.clone(),
            notes: ex.notes.clone(),
        }));
    }
    let mut env = crate::web::Table::default();
    let mut name = Vec::new();
    for (old, value) in ex.env.iter() {
        name.clear();
        name.extend_from_slice(b"REDIRECT_");
        name.extend_from_slice(old);
        env.add(&name, value);
    }
    let mut status = Vec::new();
    crate::codec::http1::write::push_decimal(&mut status, u64::from(ex.status));
    env.set(b"REDIRECT_STATUS", &status);
    ex.env = env;
    if ex.response.first_error != 0 {
        ex.method.clear();
        ex.method.extend_from_slice(b"GET");
    }
    ex.notes.clear();
    let vary = ex.headers_out.get(b"Vary").map(<[u8]>::to_vec);
    ex.headers_out.clear();
    if let Some(vary) = vary.filter(|_| ex.response.first_error == 0) {
        // What has led here may lead elsewhere for another client.
        ex.headers_out.add(b"Vary", &vary);
    }
    ex.content_type.clear();
    ex.content_encoding.clear();
    ex.content_languages.clear();
    ex.handler.clear();
    ex.filename.clear();
    ex.path_info.clear();
    ex.finfo = None;
    ex.auth_type = None;
    ex.proxyreq = ProxyKind::None;
    ex.allowed.clear();
    ex.drop_filters();
    ex.satisfy_any = false;
    ex.status_line.clear();
    ex.matched.clear();
    ex.unparsed_uri = std::mem::take(&mut ex.internal_redirect);
    let (scheme, authority) = (std::mem::take(&mut ex.target_scheme), std::mem::take(&mut ex.target_authority));
    host::split_target(ex);
    (ex.target_scheme, ex.target_authority) = (scheme, authority);
    chain::update(ex);
}

/// What is left to do behind a complete response: the rest of the body, the counts, the log.
async fn end(ex: &mut Exchange, wire: &mut dyn Wire) {
    ex.response.forget_keeper();
    if !ex.close && wire.body_kind() != BodyKind::None && !wire.body_done() {
        drain(ex, wire).await;
    }
    if ex.close {
        wire.close();
    }
    ex.io_counts = wire.counts();
    if let Some(trailers) = wire.trailers().filter(|_| ex.trailers_in.is_empty()) {
        ex.trailers_in.extend(trailers);
    }
    log(ex).await;
}

/// Writes the log of a request, and nothing else: for one of which nothing could be read.
pub async fn log(ex: &mut Exchange) {
    let chain = ex.chain.clone();
    for run in plan(&chain).hooks(Phase::Log) {
        match run {
            Run::Now(run) => {
                run(ex);
            }
            Run::Wait(run) => {
                run(ex).await;
            }
            Run::Handle(_) | Run::Inline(_) => {}
        }
    }
}

/// Reads and forgets the body that the handler has not read, so that the next request can be found.
async fn drain(ex: &mut Exchange, wire: &mut dyn Wire) {
    if wire.expects_continue() {
        ex.close = true;
        return;
    }
    if respond::drain(wire).await.is_err() {
        ex.close = true;
    }
}
