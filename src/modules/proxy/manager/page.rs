//! The manager's pages.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use md5::{Digest as _, Md5};

use super::super::conf::ProxyServer;
use super::super::status::{escaped, method_name, size};
use super::super::table::Table;
use super::{Backends, Chosen, members};
use crate::base::addr::HostPort;
use crate::config::{Server, latin1};
use crate::modules::{mpm, proxy_hcheck};
use crate::net::daemon;
use crate::pipe::names;
use crate::upstream::spec::{BalancerSpec, CheckMethod, FlushPackets, Scheme, WorkerSpec, status};
use crate::upstream::tally::Count;
use crate::upstream::{Balancer, Worker};
use crate::web::Exchange;

/// What a page is about.
pub(super) struct View<'a> {
    pub(super) ex: &'a Exchange,
    pub(super) backends: &'a Backends,
    pub(super) table: &'a Table,
    pub(super) known: &'a [usize],
    pub(super) chosen: Chosen,
}

fn flags(worker: &Worker) -> String {
    let mut out = String::new();
    status::push_text(worker.state.bits(), &mut out);
    out
}

fn factor(spec: &WorkerSpec) -> f64 {
    f64::from(spec.load_factor) / 100.0
}

fn on_off(on: bool) -> &'static str {
    if on { "On" } else { "Off" }
}

fn method_of(spec: &WorkerSpec) -> &'static str {
    let found = CheckMethod::ALL.iter().find(|(_, method)| *method == spec.health.method);
    found.map_or("NONE", |(name, _)| name)
}

fn sticky(spec: &BalancerSpec, none: &str) -> String {
    spec.sticky.as_ref().map_or_else(
        || none.to_owned(),
        |sticky| {
            let (cookie, param) = (escaped(&sticky.cookie), escaped(&sticky.param));
            if cookie == param { cookie } else { format!("{cookie}|{param}") }
        },
    )
}

fn short(name: &str) -> &str {
    name.strip_prefix("balancer://").unwrap_or(name)
}

impl View<'_> {
    fn balancers(&self) -> impl Iterator<Item = &Balancer> {
        self.known.iter().filter_map(|at| self.backends.balancers.get(*at).map(|balancer| &**balancer))
    }

    fn checks(&self) -> bool {
        self.ex.live.generation.globals.modules.contains(&"proxy_hcheck_module")
    }

    /// The form that programs read.
    pub(super) fn push_xml(&self, out: &mut String) {
        out.push_str(
            "<?xml version='1.0' encoding='UTF-8' ?>\n<httpd:manager xmlns:httpd='http://httpd.apache.org'>\n  \
             <httpd:balancers>\n",
        );
        for balancer in self.balancers() {
            let spec = &balancer.spec;
            let _ = write!(
                out,
                "    <httpd:balancer>\n      <httpd:name>{}</httpd:name>\n      <httpd:nonce>{}</httpd:nonce>\n",
                spec.name,
                escaped(balancer.nonce())
            );
            if let Some(sticky) = &spec.sticky {
                let (name, fixed) = (escaped(&sticky.cookie), on_off(spec.no_failover));
                let _ = write!(
                    out,
                    "      <httpd:stickysession>{name}</httpd:stickysession>\n      \
                     <httpd:nofailover>{fixed}</httpd:nofailover>\n"
                );
            }
            let _ = write!(out, "      <httpd:timeout>{}</httpd:timeout>", spec.timeout.unwrap_or_default().as_secs());
            if let Some(attempts) = attempts(spec) {
                let _ = writeln!(out, "      <httpd:maxattempts>{attempts}</httpd:maxattempts>");
            }
            let _ = writeln!(out, "      <httpd:lbmethod>{}</httpd:lbmethod>", method_name(spec.method));
            if let Some(sticky) = &spec.sticky {
                let ends = on_off(sticky.semicolon_ends);
                let _ = writeln!(out, "      <httpd:scolonpathdelim>{ends}</httpd:scolonpathdelim>");
            }
            out.push_str("      <httpd:workers>\n");
            for worker in members(self.backends, balancer) {
                self.push_xml_worker(worker, out);
            }
            out.push_str("      </httpd:workers>\n    </httpd:balancer>\n");
        }
        out.push_str("  </httpd:balancers>\n</httpd:manager>");
    }

    /// Times below a second are the parts of one, as in httpd.
    fn push_xml_worker(&self, worker: &Worker, out: &mut String) {
        let (spec, state) = (&worker.spec, &worker.state);
        let threads = mpm::limits::shape(&self.ex.live.generation.globals).2;
        let threads = u32::try_from(threads).unwrap_or(u32::MAX);
        let max = if spec.max == 0 { threads } else { spec.max };
        out.push_str("        <httpd:worker>\n");
        let mut field = |name: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(out, "          <httpd:{name}>{value}</httpd:{name}>");
        };
        field("name", &escaped(spec.name.as_bytes()));
        field("scheme", &spec.scheme_text);
        field("hostname", &spec.host);
        field("loadfactor", &format_args!("{:.2}", factor(spec)));
        field("port", &spec.port);
        field("min", &spec.min);
        field("smax", &spec.smax.unwrap_or(max));
        field("max", &max);
        field("ttl", &spec.ttl.unwrap_or_default().as_secs());
        if let Some(timeout) = spec.timeout {
            field("timeout", &timeout.as_secs());
        }
        if let Some(acquire) = spec.acquire {
            field("acquire", &acquire.subsec_millis());
        }
        if let Some(size) = spec.receive_buffer {
            field("recv_buffer_size", &size);
        }
        if let Some(size) = spec.io_buffer {
            field("io_buffer_size", &size);
        }
        if let Some(on) = spec.keepalive {
            field("keepalive", &on_off(on));
        }
        field("status", &flags(worker));
        field("retries", &state.retries.load(Relaxed));
        field("lbstatus", &state.lbstatus.load(Relaxed));
        field("loadfactor", &format_args!("{:.2}", factor(spec)));
        field("transferred", &state.tally.get(Count::Transferred));
        field("read", &state.tally.get(Count::Read));
        field("elected", &state.tally.get(Count::Elected));
        field("route", &escaped(&spec.route));
        field("redirect", &escaped(&spec.redirect));
        field("busy", &state.tally.get(Count::Busy));
        field("lbset", &spec.lbset);
        if spec.scheme == Scheme::Ajp {
            let flush = match spec.flush_packets {
                FlushPackets::Off => "Off",
                FlushPackets::On => "On",
                FlushPackets::Auto => "Auto",
            };
            field("flushpackets", &flush);
            if spec.flush_packets == FlushPackets::Auto {
                field("flushwait", &spec.flush_wait.as_micros());
            }
            if let Some(ping) = spec.ping {
                let _ = write!(out, "          <httpd:ping>{}</httpd:ping>", ping.subsec_millis());
            }
        }
        if spec.reuse_asked {
            let _ = writeln!(out, "      <httpd:disablereuse>{}</httpd:disablereuse>", on_off(!spec.reuse));
        }
        let mut field = |name: &str, value: u64| {
            let _ = writeln!(out, "          <httpd:{name}>{value}</httpd:{name}>");
        };
        if let Some(timeout) = spec.connect_timeout {
            field("connectiontimeout", u64::from(timeout.subsec_millis()));
        }
        if spec.retry_asked {
            field("retry", spec.retry.as_secs());
        }
        out.push_str("        </httpd:worker>\n");
    }

    /// The form that people read.
    pub(super) fn push_html(&self, out: &mut String) {
        out.push_str(HEAD);
        let none = ProxyServer::default();
        let conf = self.ex.server().get::<ProxyServer>().unwrap_or(&none);
        let not = |is: bool| if is { "" } else { "NOT " };
        let _ = write!(
            out,
            "</head>\n<body><h1>Load Balancer Manager for {}</h1>\n\n<dl><dt>Server Version: {}</dt>\n\
             <dt>Server Built: {}</dt>\n<dt>Balancer changes will NOT be persisted on restart.</dt>\
             <dt>Balancers are {}inherited from main server.</dt>\
             <dt>ProxyPass settings are {}inherited from main server.</dt></dl>\n",
            escaped(names::server_name(self.ex)),
            latin1(names::server_software(self.ex)),
            daemon::built(),
            not(conf.inherit.unwrap_or(true)),
            not(conf.pass_inherit.unwrap_or(true)),
        );
        for balancer in self.balancers() {
            self.push_balancer(balancer, out);
        }
        out.push_str("<hr />\n");
        self.push_conditions(out);
        let balancer = self.chosen.balancer.and_then(|at| self.backends.balancers.get(at));
        let worker = self.chosen.worker.and_then(|at| self.backends.workers.get(at));
        if let Some(balancer) = balancer {
            match worker {
                Some(worker) => self.push_worker_form(balancer, worker, out),
                None => self.push_balancer_form(balancer, out),
            }
            let _ = write!(
                out,
                "<input type=hidden name='b' id='b' value=\"{}\">\n<input type=hidden name='nonce' id='nonce' \
                 value='{}'>\n</form>\n<hr />\n",
                escaped(short(&balancer.spec.name).as_bytes()),
                escaped(balancer.nonce())
            );
        }
        out.push_str("</body></html>\n");
    }

    /// What health checks may ask for.
    fn push_conditions(&self, out: &mut String) {
        let known = proxy_hcheck::conditions(self.ex.server());
        if known.is_empty() {
            return;
        }
        out.push_str(
            "\n\n<table><tr><th colspan='2'>Health check cond. expressions:</th></tr>\n\
             <tr><th>Expr name</th><th>Expression</th></tr>\n",
        );
        for (name, condition) in known {
            let _ = writeln!(out, "<tr><td>{}</td><td>{}</td></tr>", escaped(&name), escaped(&condition.text));
        }
        out.push_str("</table><hr/>\n");
    }

    /// The path of the rule that leads to a balancer.
    fn path(&self, name: &str) -> String {
        let outer = self.table.outer_rules.iter().flat_map(|outer| outer.rules.iter());
        let rules = outer.chain(&self.table.rules);
        let leads = |real: &[u8]| {
            let rest = real.strip_prefix(b"proxy:").and_then(|rest| rest.get(..name.len()).zip(rest.get(name.len()..)));
            rest.is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(name.as_bytes()) && matches!(rest.first(), None | Some(b'/'))
            })
        };
        rules
            .map(|listed| &listed.rule)
            .find(|rule| leads(&rule.real))
            .map(|rule| escaped(&rule.fake))
            .unwrap_or_default()
    }

    fn push_balancer(&self, balancer: &Balancer, out: &mut String) {
        let spec = &balancer.spec;
        let (uri, name, nonce) = (escaped(&self.ex.uri), short(&spec.name), escaped(balancer.nonce()));
        let owner = members(self.backends, balancer).next().map_or(self.ex.server, |member| member.spec.server);
        let id = self.ex.live.generation.servers.get(owner).map_or(0, identity);
        let _ = write!(
            out,
            "<hr />\n<h3>LoadBalancer Status for <a href=\"{uri}?b={name}&amp;nonce={nonce}\">{}</a> [p{id:x}_{name}]</h3>\
             \n\n\n<table><tr><th>MaxMembers</th><th>StickySession</th><th>DisableFailover</th><th>Timeout</th>\
             <th>FailoverAttempts</th><th>Method</th><th>Path</th><th>Active</th></tr>\n<tr><td>{} [{} Used]</td>\n\
             <td>{}</td><td>{}</td>\n<td>{}</td><td>{}</td>\n<td>{}</td>\n<td>{}</td>\n<td>Yes</td>\n</tr>\n</table>\n\
             <br />\n\n<table><tr><th>Worker URL</th><th>Route</th><th>RouteRedir</th><th>Factor</th><th>Set</th>\
             <th>Status</th><th>Elected</th><th>Busy</th><th>Load</th><th>To</th><th>From</th>",
            spec.name,
            spec.members.len() + spec.growth.map_or(0, |growth| growth as usize),
            spec.members.len(),
            sticky(spec, " (None) "),
            on_off(spec.no_failover),
            spec.timeout.unwrap_or_default().as_secs(),
            attempts(spec).unwrap_or(0),
            method_name(spec.method),
            self.path(&spec.name),
        );
        if self.checks() {
            out.push_str(
                "<th>HC Method</th><th>HC Interval</th><th>Passes</th><th>Fails</th><th>HC uri</th><th>HC Expr</th>",
            );
        }
        out.push_str("</tr>\n");
        for worker in members(self.backends, balancer) {
            let (spec, state) = (&worker.spec, &worker.state);
            let url = escaped(spec.name.as_bytes());
            let _ = write!(
                out,
                "<tr>\n<td><a href=\"{uri}?b={name}&amp;w={url}&amp;nonce={nonce}\">{url}</a></td><td>{}</td><td>{}</td>\
                 <td>{:.2}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
                escaped(&spec.route),
                escaped(&spec.redirect),
                factor(spec),
                spec.lbset,
                flags(worker),
                state.tally.get(Count::Elected),
                state.tally.get(Count::Busy),
                state.lbstatus.load(Relaxed),
                size(state.tally.get(Count::Transferred)),
                size(state.tally.get(Count::Read)),
            );
            if self.checks() {
                let health = &spec.health;
                let _ = write!(
                    out,
                    "<td>{}</td><td>{}ms</td><td>{} ({})</td><td>{} ({})</td><td>{}</td><td>{}</td>",
                    method_of(spec),
                    health.interval.as_millis(),
                    health.passes,
                    state.passes.load(Relaxed),
                    health.fails,
                    state.fails.load(Relaxed),
                    escaped(&health.uri),
                    health.condition.as_ref().map(|(name, _)| escaped(name)).unwrap_or_default(),
                );
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</table>\n");
    }

    fn push_form(&self, out: &mut String) {
        let mut url = Vec::new();
        names::push_url(self.ex, &self.ex.uri, &mut url);
        let url = escaped(&url);
        let _ =
            write!(out, "<form method='POST' enctype='application/x-www-form-urlencoded' action=\"{url}\">\n<table>");
    }

    fn push_worker_form(&self, _: &Balancer, worker: &Worker, out: &mut String) {
        let spec = &worker.spec;
        let url = escaped(spec.name.as_bytes());
        let _ = writeln!(out, "<h3>Edit worker settings for {url}</h3>");
        self.push_form(out);
        let _ = write!(
            out,
            "<tr><td>Load factor:</td><td><input name='w_lf' id='w_lf' type=text value='{:.2}'></td></tr>\n\
             <tr><td>LB Set:</td><td><input name='w_ls' id='w_ls' type=text value='{}'></td></tr>\n\
             <tr><td>Route:</td><td><input name='w_wr' id='w_wr' type=text value=\"{}\"></td></tr>\n\
             <tr><td>Route Redirect:</td><td><input name='w_rr' id='w_rr' type=text value=\"{}\"></td></tr>\n\
             <tr><td>Status:</td><td><table><tr><th>Ignore Errors</th><th>Draining Mode</th><th>Disabled</th>\
             <th>Hot Standby</th><th>Hot Spare</th>",
            factor(spec),
            spec.lbset,
            escaped(&spec.route),
            escaped(&spec.redirect),
        );
        if self.checks() {
            out.push_str("<th>HC Fail</th>");
        }
        out.push_str("<th>Stopped</th></tr>\n<tr>");
        let bits = worker.state.bits();
        let mut shown = vec![
            ('I', status::IGNORE_ERRORS),
            ('N', status::DRAIN),
            ('D', status::DISABLED),
            ('H', status::HOT_STANDBY),
            ('R', status::HOT_SPARE),
        ];
        shown.extend(self.checks().then_some(('C', status::HC_FAILED)));
        shown.push(('S', status::STOPPED));
        for (letter, bit) in shown {
            push_radio(&format!("w_status_{letter}"), bits & bit != 0, out);
            out.push('\n');
        }
        out.push_str("</tr></table></td></tr>\n");
        if self.checks() {
            self.push_health_form(spec, out);
        }
        let _ = write!(
            out,
            "<tr><td colspan='2'><input type=submit value='Submit'></td></tr>\n</table>\n\
             <input type=hidden name='w' id='w' value=\"{url}\">\n"
        );
    }

    fn push_health_form(&self, spec: &WorkerSpec, out: &mut String) {
        let health = &spec.health;
        out.push_str(
            "<tr><td colspan='2'>\n<table align='center'><tr><th>Health Check param</th><th>Value</th></tr>\n\
             <tr><td>Method</td><td><select name='w_hm'>\n",
        );
        for (name, method) in CheckMethod::ALL {
            let selected = if method == health.method { "selected" } else { "" };
            let _ = writeln!(out, "<option value='{name}' {selected} >{name}</option>");
        }
        out.push_str("</select>\n</td></tr>\n<tr><td>Expr</td><td><select name='w_he'>\n");
        for (name, _) in proxy_hcheck::conditions(self.ex.server()) {
            let selected = health.condition.as_ref().is_some_and(|(other, _)| *other == name);
            let (name, selected) = (escaped(&name), if selected { "selected" } else { "" });
            let _ = writeln!(out, "<option value='{name}' {selected} >{name}</option>");
        }
        let _ = write!(
            out,
            "</select>\n</td></tr>\n\
             <tr><td>Interval (ms)</td><td><input name='w_hi' id='w_hi' type='text' value='{}'></td></tr>\n\
             <tr><td>Passes trigger</td><td><input name='w_hp' id='w_hp' type='text' value='{}'></td></tr>\n\
             <tr><td>Fails trigger)</td><td><input name='w_hf' id='w_hf' type='text' value='{}'></td></tr>\n\
             <tr><td>HC uri</td><td><input name='w_hu' id='w_hu' type='text' value=\"{}\"></td></tr>\n</table>\n\
             </td></tr>\n",
            health.interval.as_millis(),
            health.passes,
            health.fails,
            escaped(&health.uri),
        );
    }

    fn push_balancer_form(&self, balancer: &Balancer, out: &mut String) {
        let spec = &balancer.spec;
        let _ = writeln!(out, "<h3>Edit balancer settings for {}</h3>", spec.name);
        self.push_form(out);
        out.push_str("\n<tr><td>LBmethod:</td><td>\n<select name='b_lbm' id='b_lbm'>");
        let loaded = &self.ex.live.generation.globals.modules;
        for (name, method) in super::super::balancer::methods(loaded) {
            let selected = if method == spec.method { " selected " } else { "" };
            let _ = writeln!(out, "<option value='{name}'{selected}>{name}");
        }
        let _ = write!(
            out,
            "</select>\n</td></tr>\n\
             <tr><td>Timeout:</td><td><input name='b_tmo' id='b_tmo' type=text value='{}'></td></tr>\n\
             <tr><td>Failover Attempts:</td><td><input name='b_max' id='b_max' type=text value='{}'></td></tr>\n\
             <tr><td>Disable Failover:</td>",
            spec.timeout.unwrap_or_default().as_secs(),
            attempts(spec).unwrap_or(0),
        );
        push_radio("b_sforce", spec.no_failover, out);
        let _ = write!(
            out,
            "\n</tr>\n<tr><td>Sticky Session:</td><td><input name='b_ss' id='b_ss' size=64 type=text value =\"{}\">\
             &nbsp;&nbsp;&nbsp;&nbsp;(Use '-' to delete)</td></tr>\n",
            sticky(spec, ""),
        );
        if spec.growth.is_some_and(|growth| growth > 0) {
            out.push_str(
                "<tr><td>Add New Worker:</td><td><input name='b_nwrkr' id='b_nwrkr' size=32 type=text>\
                 &nbsp;&nbsp;&nbsp;&nbsp;Are you sure? <input name='b_wyes' id='b_wyes' type=checkbox value='1'></td></tr>",
            );
        }
        out.push_str("<tr><td colspan=2><input type=submit value='Submit'></td></tr>\n</table>\n");
    }
}

fn push_radio(name: &str, on: bool, out: &mut String) {
    let (yes, no) = if on { (" checked", "") } else { ("", " checked") };
    let _ = write!(
        out,
        "<td><label for='{name}1'>On</label> <input name='{name}' id='{name}1' value='1' type=radio{yes}> <br/> \
         <label for='{name}0'>Off</label> <input name='{name}' id='{name}0' value='0' type=radio{no}></td>"
    );
}

/// The number that stands for a server, made as httpd makes it of the server's first address and its name, so that
/// pages and what is made of them show the same.
fn identity(server: &Server) -> u32 {
    let mut digest = Md5::new();
    let first = server.addrs.first().filter(|_| server.index != 0);
    let any = || "0.0.0.0".to_owned();
    if let Some(addr) = first {
        // Its host as written, in front of what that means.
        digest.update(HostPort::parse(addr.text.as_bytes()).ok().and_then(|at| at.host).unwrap_or(b"*"));
    }
    digest.update(first.and_then(|addr| addr.ip).map_or_else(any, |ip| ip.to_string()));
    digest.update(first.and_then(|addr| addr.port).unwrap_or(0).to_ne_bytes());
    digest.update(server.rec.name.as_deref().unwrap_or_default());
    let hex = digest.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    hex.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(65599).wrapping_add(u32::from(byte)))
}

const HEAD: &str = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\" \"http://www.w3.org/TR/html4/strict.dtd\">\n\
    <html><head><title>Balancer Manager</title>\n<style type='text/css'>\n\
    table {\n border-width: 1px;\n border-spacing: 3px;\n border-style: solid;\n border-color: gray;\n \
    border-collapse: collapse;\n background-color: white;\n text-align: center;\n}\n\
    th {\n border-width: 1px;\n padding: 2px;\n border-style: dotted;\n border-color: gray;\n \
    background-color: lightgray;\n text-align: center;\n}\n\
    td {\n border-width: 1px;\n padding: 2px;\n border-style: dotted;\n border-color: gray;\n \
    background-color: white;\n text-align: center;\n}\n</style>\n";

/// How many more members are tried: one for each of the others, where nobody says.
fn attempts(spec: &BalancerSpec) -> Option<u32> {
    let others = spec.members.len().checked_sub(1).and_then(|others| u32::try_from(others).ok());
    spec.max_attempts.or_else(|| others.filter(|others| *others > 0))
}
