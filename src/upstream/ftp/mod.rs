//! `ftp` backends: what is asked for by HTTP is fetched by FTP.
//!
//! One request ([`exchange`]): a control connection of its own is made ([`control`]), the client is logged in with what
//! it brought, the folders of the path are entered one after the other, and a data connection is opened as the server
//! can ([`data`]: EPSV, else PASV, else PORT). A file is passed on as it comes, the listing of a folder as a page
//! ([`listing`]). Whatever the server says is bounded: lines are cut, replies have so many of them.

mod control;
mod data;
mod listing;
mod login;
mod target;

use std::future::poll_fn;
use std::task::Poll;

use control::{Control, Reply};
use data::Data;
use listing::{Listing, Page};
use login::Login;
pub(super) use target::push_canonical;
use target::{Kind, Target};

use super::pool::{self, LendError, Wanted};
use super::respond::proxy_error;
use super::{Attempt, spec};
use crate::logs::{self, Bytes, Level, OfServer};
use crate::pipe::{self, Outcome};
use crate::web::{Exchange, ProxyKind, Wire};
use spec::FtpPolicy;

/// Why there is no file and no listing.
enum Failed {
    /// The answer is this.
    Answer(u16),
    /// A page of the proxy, with this status and reason.
    Page(u16, String),
    /// The server wants somebody else; whether somebody tried.
    Unauthorized(bool),
}

/// The server is gone, or does not answer in time.
fn lost() -> Failed {
    Failed::Page(502, "Error reading from remote server".to_owned())
}

/// What the server says, as the reason.
fn said(status: u16, reply: &Reply) -> Failed {
    Failed::Page(status, reply.shown())
}

/// Fetches what is asked for and sends it to the client.
pub(super) async fn exchange(ex: &mut Exchange, wire: &mut dyn Wire, attempt: &Attempt<'_>) -> Outcome {
    if ex.method != b"GET" && ex.method != b"HEAD" {
        return Outcome::Status(501);
    }
    match fetch(ex, wire, attempt).await {
        Ok(()) => Outcome::Done,
        Err(Failed::Answer(status)) => Outcome::Status(status),
        Err(Failed::Page(status, reason)) => proxy_error(ex, status, &reason),
        Err(Failed::Unauthorized(tried)) => unauthorized(ex, tried),
    }
}

/// 401, for the site of the URL. That of a reverse proxy has no name, but perhaps a user.
fn unauthorized(ex: &mut Exchange, tried: bool) -> Outcome {
    let site = match (&ex.proxyreq, &ex.user) {
        (ProxyKind::Forward, _) => target::site(ex),
        (_, Some(user)) if ex.auth_type.is_some() => [user.as_slice(), b"@"].concat(),
        _ => Vec::new(),
    };
    ex.proxyreq = ProxyKind::None;
    if tried {
        logs::error!(ex, Level::Info, "proxy_ftp", "AH01035: missing or failed auth to {}", Bytes(&site));
    }
    ex.err_headers_out.set(b"WWW-Authenticate", &[b"Basic realm=\"", site.as_slice(), b"\""].concat());
    Outcome::Status(401)
}

async fn fetch(ex: &mut Exchange, wire: &mut dyn Wire, attempt: &Attempt<'_>) -> Result<(), Failed> {
    let (worker, policy) = (attempt.worker, attempt.policy);
    let target = Target::of(attempt)?;
    let login = Login::of(ex, attempt.url)?;
    {
        let (url, host, port) = (Bytes(attempt.url), &worker.spec.host, worker.spec.port);
        let server = OfServer(&ex.live, ex.server);
        logs::error!(server, Level::Debug, "proxy_ftp", "AH01036: connecting {url} to {host}:{port}");
    }
    let wanted = Wanted { scheme: "FTP", fresh: true, certain: false };
    let link = match pool::lend(ex, worker, policy, wanted).await {
        Ok(link) => link,
        Err(LendError::Resolve(_)) => return Err(Failed::Page(502, "Error resolving backend address".to_owned())),
        Err(_) => return Err(Failed::Answer(503)),
    };
    if let Some(user) = &login.authorized {
        ex.auth_type = Some("Basic");
        ex.user = Some(user.clone());
    }
    let mut control = Control::new(link);
    let readme = greet(ex, &mut control, &login).await?;
    enter(&mut control, &target, &policy.ftp).await?;
    let timeout = pool::io_timeout(ex, worker, policy);
    let data = data::open(ex, &mut control, timeout).await?;
    transfer(ex, wire, control, data, &target, policy, readme).await
}

/// Up to the login; what the server says to it.
async fn greet(ex: &mut Exchange, control: &mut Control, login: &Login) -> Result<Reply, Failed> {
    let hello = control.reply().await?;
    if hello.code == 120 {
        if let Some(minutes) = hello.minutes() {
            ex.headers_out.add(b"Retry-After", minutes.saturating_mul(60).to_string().as_bytes());
        }
        return Err(said(503, &hello));
    }
    if hello.code != 220 {
        return Err(said(502, &hello));
    }
    let asked = control.command(&[b"USER ", &login.user]).await?;
    match asked.code {
        230 => return Ok(asked),
        331 => {}
        530 => return Err(Failed::Unauthorized(true)),
        _ => return Err(said(502, &asked)),
    }
    let Some(password) = &login.password else { return Err(Failed::Unauthorized(false)) };
    let answered = control.command(&[b"PASS ", password]).await?;
    match answered.code {
        230 | 202 => Ok(answered),
        332 => Err(Failed::Page(401, format!("Need account for login: {}", answered.shown()))),
        530 => Err(Failed::Unauthorized(true)),
        _ => Err(said(502, &answered)),
    }
}

/// Goes into the folders of the path.
async fn enter(control: &mut Control, target: &Target, policy: &FtpPolicy) -> Result<(), Failed> {
    if target.from_root {
        control.command(&[b"CWD /"]).await?;
    }
    for folder in &target.folders {
        change_to(control, folder, policy).await?;
    }
    Ok(())
}

async fn change_to(control: &mut Control, folder: &[u8], policy: &FtpPolicy) -> Result<(), Failed> {
    if folder.contains(&b'/') {
        return Err(not_at_base());
    }
    let reply = control.command(&[b"CWD ", &policy.escaped(folder)]).await?;
    match reply.code {
        250 => Ok(()),
        550 => Err(said(404, &reply)),
        _ => Err(said(502, &reply)),
    }
}

fn not_at_base() -> Failed {
    Failed::Page(400, "Use of /%2f is only allowed at the base directory".to_owned())
}

/// Asks for a type of transfer. As in httpd what comes of it does not matter, and is only logged.
async fn set_type(ex: &Exchange, control: &mut Control, kind: u8) {
    match control.command(&[b"TYPE ", &[kind]]).await {
        Ok(reply) if matches!(reply.code, 200 | 504) => {}
        Ok(_) => complain(ex, "Unable to set transfer type"),
        Err(_) => complain(ex, "Error reading from remote server"),
    }
}

/// The folder that the server says we are in.
async fn current_folder(ex: &Exchange, control: &mut Control) -> Option<Vec<u8>> {
    match control.command(&[b"PWD"]).await {
        Ok(reply) if reply.code == 257 => return Some(crate::config::get_word(&reply.text).0),
        Ok(reply) if reply.code != 550 => {}
        _ => complain(ex, "Failed to read PWD on ftp server"),
    }
    None
}

/// What is said of a request that goes on.
fn complain(ex: &Exchange, reason: &str) {
    let uri = Bytes(&ex.uri);
    logs::error!(ex, Level::Error, "proxy", "AH00898: {reason} returned by {uri}");
}

/// What the response has beside its body.
#[derive(Default)]
struct Facts {
    size: Option<u64>,
    modified: Option<i64>,
    folder: Option<Vec<u8>>,
    listed: bool,
}

async fn transfer(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    mut control: Control,
    data: Data,
    target: &Target,
    policy: &spec::Policy,
    readme: Reply,
) -> Result<(), Failed> {
    let ftp = &policy.ftp;
    let mut name = target.name.as_slice();
    if name.contains(&b'/') {
        return Err(not_at_base());
    }
    let kind = match target.kind {
        Kind::Listing => b'A',
        Kind::Type(kind) => kind,
    };
    let mut facts = Facts { listed: target.kind == Kind::Listing, ..Facts::default() };
    if name.is_empty() || (ftp.list_on_wildcard && target::has_wildcards(name)) {
        facts.listed = true;
    } else {
        set_type(ex, &mut control, kind).await;
        let reply = control.command(&[b"SIZE ", &ftp.escaped(name)]).await?;
        match reply.code {
            213 => facts.size = reply.number(),
            // No file.
            550 => {
                facts.listed = true;
                change_to(&mut control, name, ftp).await?;
                name = b"";
            }
            _ => {}
        }
    }
    facts.folder = current_folder(ex, &mut control).await;
    let mut begun = if facts.listed {
        set_type(ex, &mut control, b'A').await;
        match name {
            b"" => list(&mut control, facts.folder.as_deref()).await?,
            _ => control.command(&[b"LIST ", name]).await?,
        }
    } else {
        set_type(ex, &mut control, kind).await;
        let reply = control.command(&[b"MDTM ", &ftp.escaped(name)]).await?;
        facts.modified = reply.moment();
        control.command(&[b"RETR ", &ftp.escaped(name)]).await?
    };
    if begun.code == 550 {
        // It may be a folder after all.
        facts.listed = true;
        set_type(ex, &mut control, b'A').await;
        change_to(&mut control, name, ftp).await?;
        if let Some(folder) = current_folder(ex, &mut control).await {
            facts.folder = Some(folder);
        }
        begun = list(&mut control, facts.folder.as_deref()).await?;
    }
    if !matches!(begun.code, 125 | 150 | 226 | 250) {
        return Err(said(502, &begun));
    }
    let mut data = match data.connected().await {
        Ok(data) => data,
        Err(error) => return Err(data::not_accepted(ex, &error)),
    };
    let length = head(ex, &facts, kind, ftp);
    pipe::head(ex, wire, length);
    if ex.header_only {
        let _ = pipe::finish(ex, wire).await;
        drop(data);
    } else {
        let listing = facts.listed.then(|| {
            let page = Page::of(ex, facts.folder.as_deref(), &readme);
            Listing::new(page)
        });
        if !relay(ex, wire, &mut data, listing, length).await {
            return Ok(());
        }
        drop(data);
    }
    // The server is told good-bye once it has said that all is sent; the client waits for neither.
    if control.reply().await.is_ok() {
        let _ = control.command(&[b"QUIT"]).await;
    }
    Ok(())
}

/// Servers whose folders have no slash are no Unix ones: they list without being told how.
async fn list(control: &mut Control, folder: Option<&[u8]>) -> Result<Reply, Failed> {
    let unix = folder.is_none_or(|folder| folder.contains(&b'/'));
    let command: &[u8] = if unix { b"LIST -lag" } else { b"LIST" };
    control.command(&[command]).await
}

/// Fields of the response, and the length of its body if it is known.
fn head(ex: &mut Exchange, facts: &Facts, kind: u8, policy: &FtpPolicy) -> Option<u64> {
    ex.status = 200;
    ex.status_line.clear();
    ex.status_line.extend_from_slice(b"200 OK");
    ex.content_encoding.clear();
    if let Some(modified) = facts.modified {
        let mut text = Vec::new();
        crate::base::clock::push_http_date(&mut text, modified);
        ex.headers_out.set(b"Last-Modified", &text);
    }
    if facts.listed {
        ex.content_type = [b"text/html;charset=", policy.charset.as_deref().unwrap_or(b"ISO-8859-1")].concat();
        return None;
    }
    facts.size.filter(|_| kind != b'A')
}

/// Passes the data on to its end; whether that came.
async fn relay(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    data: &mut data::Stream,
    listing: Option<Listing>,
    length: Option<u64>,
) -> bool {
    let sent = match listing {
        Some(listing) => relay_listing(ex, wire, data, listing).await,
        None => relay_file(ex, wire, data, length).await,
    };
    match sent {
        // A client that went away is noted by the pipe.
        Ok(()) => pipe::finish(ex, wire).await.is_ok(),
        Err(Lost::Server) => {
            pipe::abort(ex, wire);
            false
        }
        Err(Lost::Client) => false,
    }
}

/// Who went away.
enum Lost {
    Client,
    Server,
}

async fn relay_file(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    data: &mut data::Stream,
    length: Option<u64>,
) -> Result<(), Lost> {
    let mut buffer = vec![0; data::CHUNK];
    // More than was announced is not for this response.
    let mut left = length.unwrap_or(u64::MAX);
    while left > 0 {
        let bytes = next(ex, wire, data, &mut buffer).await?;
        let bytes = bytes.get(..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        left -= bytes.len() as u64;
        pipe::data(ex, wire, bytes).await.map_err(|_| Lost::Client)?;
    }
    Ok(())
}

/// Each line reaches the client by itself, as httpd's do.
async fn relay_listing(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    data: &mut data::Stream,
    mut listing: Listing,
) -> Result<(), Lost> {
    let mut buffer = vec![0; data::CHUNK];
    let mut out = Vec::new();
    listing.begin(&mut out);
    push(ex, wire, &out).await?;
    loop {
        let bytes = next(ex, wire, data, &mut buffer).await?;
        if bytes.is_empty() {
            break;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            out.clear();
            listing.push(ex, piece, &mut out);
            if !out.is_empty() {
                push(ex, wire, &out).await?;
            }
        }
    }
    out.clear();
    Listing::end(ex, &mut out);
    push(ex, wire, &out).await
}

async fn push(ex: &mut Exchange, wire: &mut dyn Wire, bytes: &[u8]) -> Result<(), Lost> {
    pipe::data(ex, wire, bytes).await.map_err(|_| Lost::Client)?;
    pipe::flush(ex, wire).await.map_err(|_| Lost::Client)
}

/// The next data; nothing at their end. While there are none, the client gets what there was.
async fn next<'b>(
    ex: &mut Exchange,
    wire: &mut dyn Wire,
    data: &mut data::Stream,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], Lost> {
    let n = match poll_fn(|cx| Poll::Ready(data.poll_read(cx, buffer))).await {
        Poll::Ready(read) => read,
        Poll::Pending => {
            pipe::flush(ex, wire).await.map_err(|_| Lost::Client)?;
            data.read(buffer).await
        }
    };
    let n = n.map_err(|_| Lost::Server)?;
    Ok(buffer.get(..n).unwrap_or_default())
}
