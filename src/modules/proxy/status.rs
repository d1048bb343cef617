//! The balancers on the page of mod_status, as `ProxyStatus` allows.

use std::fmt::Write as _;

use super::conf::{ProxyProcess, ProxyServer, Status};
use crate::config::latin1;
use crate::upstream::spec::{LbMethod, status};
use crate::upstream::tally::Count;
use crate::upstream::{Backends, Balancer, Worker};
use crate::web::Exchange;

/// A balancer's members that are there.
pub(super) fn members<'b>(backends: &'b Backends, balancer: &'b Balancer) -> impl Iterator<Item = &'b Worker> {
    balancer.spec.members.iter().filter_map(|at| backends.workers.get(*at).map(|worker| &**worker))
}

/// A name as the configuration writes it.
pub(super) fn method_name(method: LbMethod) -> &'static str {
    match method {
        LbMethod::ByRequests => "byrequests",
        LbMethod::ByTraffic => "bytraffic",
        LbMethod::ByBusyness => "bybusyness",
        LbMethod::Heartbeat => "heartbeat",
    }
}

/// A number of bytes in four places, as httpd writes sizes.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: &[u8] = b"KMGTPE";
    if bytes < 973 {
        return format!("{bytes:3} ");
    }
    let (mut left, mut unit) = (bytes, 0);
    loop {
        let rest = left & 1023;
        left >>= 10;
        if left >= 973 && unit + 1 < UNITS.len() {
            unit += 1;
            continue;
        }
        let letter = char::from(UNITS.get(unit).copied().unwrap_or(b'E'));
        if left < 9 || (left == 9 && rest < 973) {
            let mut tenths = (rest * 5 + 256) / 512;
            if tenths >= 10 {
                left += 1;
                tenths = 0;
            }
            return format!("{left}.{tenths}{letter}");
        }
        if rest >= 512 {
            left += 1;
        }
        return format!("{left:3}{letter}");
    }
}

/// Appends the balancers of the request's server; `short` is for `?auto`.
pub fn push_status(ex: &Exchange, short: bool, out: &mut String) {
    let shown = ex.server().get::<ProxyServer>().map_or(Status::Off, ProxyServer::status);
    let Some(process) = ex.live.generation.globals.conf.get::<ProxyProcess>().filter(|_| shown != Status::Off) else {
        return;
    };
    let (backends, Some(table)) = (process.backends.load(), process.tables.get(ex.server)) else { return };
    let found = table.balancers();
    let balancers = found.iter().filter_map(|at| backends.balancers.get(*at));
    if found.is_empty() {
        return;
    }
    for (at, balancer) in balancers.enumerate() {
        if short {
            push_lines(&backends, at, balancer, out);
        } else {
            push_tables(&backends, balancer, out);
        }
    }
    if !short {
        out.push_str(LEGEND);
    }
}

fn push_lines(backends: &Backends, at: usize, balancer: &Balancer, out: &mut String) {
    let name = &balancer.spec.name;
    let _ = writeln!(out, "ProxyBalancer[{at}]Name: {name}");
    for (n, worker) in members(backends, balancer).enumerate() {
        let (state, front) = (&worker.state, format!("ProxyBalancer[{at}]Worker[{n}]"));
        let mut flags = String::new();
        status::push_text(state.bits(), &mut flags);
        let _ = write!(
            out,
            "{front}Name: {}\n{front}Status: {flags}\n{front}Elected: {}\n{front}Busy: {}\n{front}Sent: {}K\n{front}Rcvd: {}K\n",
            worker.spec.name,
            state.tally.get(Count::Elected),
            state.tally.get(Count::Busy),
            state.tally.get(Count::Transferred) >> 10,
            state.tally.get(Count::Read) >> 10,
        );
    }
}

fn push_tables(backends: &Backends, balancer: &Balancer, out: &mut String) {
    let spec = &balancer.spec;
    let sticky = spec.sticky.as_ref().map_or_else(
        || " - ".to_owned(),
        |sticky| {
            let (cookie, param) = (latin1(&sticky.cookie), latin1(&sticky.param));
            if cookie == param { cookie } else { format!("{cookie} | {param}") }
        },
    );
    let _ = write!(
        out,
        "<hr />\n<h1>Proxy LoadBalancer Status for {}</h1>\n\n\n\n<table border=\"0\"><tr><th>SSes</th><th>Timeout</th>\
         <th>Method</th></tr>\n<tr><td>{sticky}</td><td>{}</td><td>{}</td>\n</table>\n\n\n<table border=\"0\"><tr>\
         <th>Sch</th><th>Host</th><th>Stat</th><th>Route</th><th>Redir</th><th>F</th><th>Set</th><th>Acc</th>\
         <th>Busy</th><th>Wr</th><th>Rd</th></tr>\n",
        spec.name,
        spec.timeout.unwrap_or_default().as_secs(),
        method_name(spec.method),
    );
    for worker in members(backends, balancer) {
        let (spec, state) = (&worker.spec, &worker.state);
        let mut flags = String::new();
        status::push_text(state.bits(), &mut flags);
        let _ = write!(
            out,
            "<tr>\n<td>{}</td><td>{}</td><td>{flags}</td><td>{}</td><td>{}</td><td>{:.2}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{}</td>\n</tr>\n",
            spec.scheme_text,
            spec.host,
            escaped(&spec.route),
            escaped(&spec.redirect),
            f64::from(spec.load_factor) / 100.0,
            spec.lbset,
            state.tally.get(Count::Elected),
            state.tally.get(Count::Busy),
            size(state.tally.get(Count::Transferred)),
            size(state.tally.get(Count::Read)),
        );
    }
    out.push_str("</table>\n");
}

/// Text for HTML.
pub(super) fn escaped(text: &[u8]) -> String {
    let mut out = Vec::new();
    crate::base::path::escape_html(text, &mut out);
    latin1(&out)
}

const LEGEND: &str = "<hr /><table>\n\
    <tr><th>SSes</th><td>Sticky session name</td></tr>\n\
    <tr><th>Timeout</th><td>Balancer Timeout</td></tr>\n\
    <tr><th>Sch</th><td>Connection scheme</td></tr>\n\
    <tr><th>Host</th><td>Backend Hostname</td></tr>\n\
    <tr><th>Stat</th><td>Worker status</td></tr>\n\
    <tr><th>Route</th><td>Session Route</td></tr>\n\
    <tr><th>Redir</th><td>Session Route Redirection</td></tr>\n\
    <tr><th>F</th><td>Load Balancer Factor</td></tr>\n\
    <tr><th>Acc</th><td>Number of uses</td></tr>\n\
    <tr><th>Wr</th><td>Number of bytes transferred</td></tr>\n\
    <tr><th>Rd</th><td>Number of bytes read</td></tr>\n\
    </table>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_four_places() {
        for (bytes, text) in [
            (0, "  0 "),
            (168, "168 "),
            (972, "972 "),
            (973, "1.0K"),
            (1536, "1.5K"),
            (10_240, " 10K"),
            (3 << 20, "3.0M"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }
}
