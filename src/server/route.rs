//! `-D ROUTE=METHOD,URL[,Field:value…]`: what would become of a request, without serving it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{Generation, Matcher, Position, Section, SectionKind, latin1};
use crate::modules::proxy::ProxyProcess;
use crate::pipe::{self, Outcome};
use crate::upstream::Worker;
use crate::upstream::spec::status;
use crate::web::{Conn, Exchange, Live};

/// The answer as text, or what is wrong with the question.
pub(super) fn explain(question: &[u8], generation: Generation) -> Result<String, String> {
    let usage = || "ROUTE wants METHOD,URL[,Field:value...], such as GET,http://www.example.com/app/x\n".to_owned();
    let mut words = question.split(|byte| *byte == b',');
    let (Some(method), Some(url)) = (words.next(), words.next()) else { return Err(usage()) };
    if method.is_empty() || url.is_empty() {
        return Err(usage());
    }
    let (host, target) = split_url(url);
    let port = host.and_then(|host| latin1(host).rsplit_once(':')?.1.parse().ok());
    let first = generation.globals.listens.first().map(|listen| (listen.addr, listen.port));
    let (addr, listened) = first.unwrap_or((None, 80));
    let local = SocketAddr::new(addr.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port.unwrap_or(listened));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("{error}\n"))?;
    let live = Rc::new(Live::new(Arc::new(generation), Arc::new([])));
    let conn = Rc::new(Conn::new(1, local, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), &live.generation));
    let chain = pipe::idle_chain(&live, conn.default_server.get());
    let mut ex = Exchange::new(live, conn, chain);
    ex.method.extend_from_slice(method);
    ex.protocol.extend_from_slice(b"HTTP/1.1");
    ex.unparsed_uri.extend_from_slice(target);
    ex.the_request = [method, b" ", target, b" HTTP/1.1"].concat();
    ex.client_ip.extend_from_slice(b"127.0.0.1");
    ex.headers_in.add(b"Host", host.unwrap_or(b"localhost"));
    for word in words {
        let Some(colon) = memchr::memchr(b':', word) else { return Err(usage()) };
        let (name, value) = word.split_at(colon);
        if name.eq_ignore_ascii_case(b"host") {
            ex.headers_in.set(b"Host", value[1..].trim_ascii());
        } else {
            ex.headers_in.add(name, value[1..].trim_ascii());
        }
    }
    let outcome = runtime.block_on(pipe::plan_only(&mut ex));
    Ok(told(&ex, outcome))
}

/// Host with port, and the rest from the path on.
fn split_url(url: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let rest = [&b"http://"[..], b"https://"].iter().find_map(|scheme| url.strip_prefix(*scheme));
    match rest {
        None => (None, url),
        Some(rest) => match memchr::memchr(b'/', rest) {
            Some(slash) => (Some(&rest[..slash]), &rest[slash..]),
            None => (Some(rest), b"/"),
        },
    }
}

fn place(at: &Position) -> String {
    if at.line == 0 { String::new() } else { format!(" ({}:{})", at.file, at.line) }
}

fn section_line(section: &Section) -> String {
    let what = match &section.matcher {
        Matcher::Literal(path) | Matcher::Wild(path) => latin1(path),
        Matcher::Regex(pattern) => latin1(pattern.source()),
        Matcher::Condition(_) => String::new(),
    };
    let kind = kind_name(section.kind);
    let between = match &section.matcher {
        Matcher::Condition(_) => "",
        _ if section.is_match => "Match ",
        _ => " ",
    };
    format!("section: <{kind}{between}{what}>{}\n", place(&section.at))
}

fn told(ex: &Exchange, outcome: Outcome) -> String {
    let mut out = format!("request: {}\n", latin1(&ex.the_request));
    let server = ex.server();
    let name = server.rec.name.as_deref().map_or_else(|| "(no ServerName)".to_owned(), latin1);
    let kind = if server.index == 0 { "main server" } else { "virtual host" };
    out += &format!("server: {kind} {name}{}\n", place(&server.at));
    // Those that change nothing are not looked for while a request is served.
    if let Some(url) = ex.filename.strip_prefix(b"proxy:") {
        let silent = server.sections.iter().filter(|section| section.is_silent() && section.matches_proxy(url));
        silent.for_each(|section| out += &section_line(section));
    }
    let lists = [&ex.matched.directories[..], &ex.matched.files, &ex.matched.locations, &ex.matched.ifs];
    for number in lists.into_iter().flatten() {
        if let Some(item) = ex.live.generation.select.item(*number) {
            out += &section_line(&item.section);
        }
    }
    out += &format!("path: {}\n", latin1(&ex.uri));
    if let Some(args) = &ex.args {
        out += &format!("query: {}\n", latin1(args));
    }
    match outcome {
        Outcome::Status(code) => {
            out += &format!("answer: {code}");
            if let Some(location) = ex.headers_out.get(b"Location") {
                out += &format!(" to {}", latin1(location));
            }
            out.push('\n');
            return out;
        }
        Outcome::Done => out += "answer: by a module, before any handler\n",
        Outcome::Body => out += "answer: depends on the body\n",
        Outcome::Redirect => out += &format!("internal redirect: {}\n", latin1(&ex.internal_redirect)),
        Outcome::Ok | Outcome::Declined => {}
    }
    if let Some(target) = ex.filename.strip_prefix(b"redirect:") {
        out += &format!("internal redirect: {}\n", latin1(target));
        return out;
    }
    if !ex.handler.is_empty() {
        out += &format!("handler: {}\n", latin1(&ex.handler));
    }
    match ex.filename.strip_prefix(b"proxy:") {
        Some(url) => {
            out += &format!("proxied to: {}\n", latin1(url));
            backends(ex, url, &mut out);
        }
        None if !ex.filename.is_empty() => out += &file_line(ex),
        None => {}
    }
    out
}

/// The file, what of it is not one, and what of the path is behind it, which the default handler answers 404 to.
fn file_line(ex: &Exchange) -> String {
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(&ex.filename));
    let kind = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => " (a directory)",
        Ok(_) => "",
        Err(_) => " (not there)",
    };
    let mut out = format!("file: {}{kind}\n", latin1(&ex.filename));
    if !ex.path_info.is_empty() {
        out += &format!("path info: {}\n", latin1(&ex.path_info));
    }
    out
}

fn kind_name(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::Directory => "Directory",
        SectionKind::Files => "Files",
        SectionKind::Location => "Location",
        SectionKind::Proxy => "Proxy",
        SectionKind::If => "If",
        SectionKind::ElseIf => "ElseIf",
        SectionKind::Else => "Else",
        SectionKind::VirtualHost | SectionKind::Limit | SectionKind::Block => "section",
    }
}

fn backends(ex: &Exchange, url: &[u8], out: &mut String) {
    let Some(process) = ex.live.generation.globals.conf.get::<ProxyProcess>() else { return };
    let all = process.backends.load();
    let url = latin1(url);
    let of_balancer = |name: &str| {
        url.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest.starts_with('?'))
    };
    if let Some(balancer) = all.balancers.iter().find(|balancer| of_balancer(&balancer.spec.name)) {
        let spec = &balancer.spec;
        *out += &format!("balancer: {} lbmethod={:?}", spec.name, spec.method).to_lowercase();
        if let Some(sticky) = &spec.sticky {
            *out += &format!(" stickysession={}|{}", latin1(&sticky.cookie), latin1(&sticky.param));
        }
        out.push('\n');
        for member in spec.members.iter().filter_map(|at| all.workers.get(*at)) {
            *out += &format!("member: {}\n", described(member));
        }
        return;
    }
    let best = all.workers.iter().filter(|worker| url.starts_with(&worker.spec.name));
    match best.max_by_key(|worker| worker.spec.name.len()) {
        Some(worker) => *out += &format!("worker: {}\n", described(worker)),
        None => *out += "worker: made up for the request, connections are not kept\n",
    }
}

fn described(worker: &Worker) -> String {
    let spec = &worker.spec;
    let mut text = spec.name.clone();
    if !spec.route.is_empty() {
        text += &format!(" route={}", latin1(&spec.route));
    }
    if spec.lbset != 0 {
        text += &format!(" lbset={}", spec.lbset);
    }
    const FLAGS: &[(u32, &str)] = &[
        (status::DRAIN, "drains"),
        (status::DISABLED, "disabled"),
        (status::STOPPED, "stopped"),
        (status::IN_ERROR, "in error"),
        (status::HOT_STANDBY, "hot standby"),
        (status::HOT_SPARE, "hot spare"),
    ];
    for (_, word) in FLAGS.iter().filter(|(flag, _)| spec.status & flag != 0) {
        text += &format!(" ({word})");
    }
    text
}
