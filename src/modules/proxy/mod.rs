//! `mod_proxy.c`: whom which requests are sent to, and with which settings.

mod balancer;
mod build;
mod conf;
mod detect;
mod direct;
pub mod manager;
mod map;
mod params;
mod pass;
pub mod persist;
mod remote;
mod reverse;
mod sections;
mod serve;
mod servlet;
mod settings;
mod status;
mod table;
mod url;
mod worker;

pub use balancer::all_methods as balancer_methods;
pub use build::take_over;
pub use conf::{ProxyDir, ProxyProcess, ProxyServer, Status};
pub use serve::{Handlers, Held, target_for};
pub use status::push_status;

use build::runtime_dir;

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::pipe::{Hook, Module, Phase, Run};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_module",
        file: "mod_proxy.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: build::post_config,
    },
    hooks: HOOKS,
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("<Proxy", Places::SERVER, Shape::Raw, sections::proxy, "Container for directives affecting resources located in the proxied location"),
    row("<ProxyMatch", Places::SERVER, Shape::Raw, sections::proxy_match, "Container for directives affecting resources located in the proxied location, in regular expression syntax"),
    row("ProxyRequests", Places::SERVER, Shape::Flag, settings::requests, "on if the true proxy requests should be accepted"),
    row("ProxyRemote", Places::SERVER, Shape::Take23, remote::remote, "a scheme, partial URL or '*' and a proxy server"),
    row("ProxyRemoteMatch", Places::SERVER, Shape::Take23, remote::remote_match, "a regex pattern and a proxy server"),
    row("ProxyPassInterpolateEnv", Places::DIR.or(Places::SERVER), Shape::Flag, settings::interpolate, "Interpolate Env Vars in reverse Proxy"),
    row("ProxyPass", Places::DIR.or(Places::SERVER), Shape::Raw, pass::pass, "a virtual path and a URL"),
    row("ProxyPassMatch", Places::DIR.or(Places::SERVER), Shape::Raw, pass::pass_match, "a virtual path and a URL"),
    row("ProxyPassReverse", Places::DIR.or(Places::SERVER), Shape::Take123, reverse::pass_reverse, "a virtual path and a URL for reverse proxy behaviour"),
    row("ProxyPassReverseCookiePath", Places::DIR.or(Places::SERVER), Shape::Take23, reverse::cookie_path, "Path rewrite rule for proxying cookies"),
    row("ProxyPassReverseCookieDomain", Places::DIR.or(Places::SERVER), Shape::Take23, reverse::cookie_domain, "Domain rewrite rule for proxying cookies"),
    row("ProxyBlock", Places::SERVER, Shape::Iterate, direct::block, "A list of names, hosts or domains to which the proxy will not connect"),
    row("ProxyReceiveBufferSize", Places::SERVER, Shape::Take1, settings::receive_buffer, "Receive buffer size for outgoing HTTP and FTP connections in bytes"),
    row("ProxyIOBufferSize", Places::SERVER, Shape::Take1, settings::io_buffer, "IO buffer size for outgoing HTTP and FTP connections in bytes"),
    row("ProxyMaxForwards", Places::SERVER, Shape::Take1, settings::max_forwards, "The maximum number of proxies a request may be forwarded through."),
    row("NoProxy", Places::SERVER, Shape::Iterate, direct::no_proxy, "A list of domains, hosts, or subnets to which the proxy will connect directly"),
    row("ProxyDomain", Places::SERVER, Shape::Take1, direct::domain, "The default intranet domain name (in absence of a domain in the URL)"),
    row("ProxyVia", Places::SERVER, Shape::Take1, settings::via, "Configure Via: proxy header header to one of: on | off | block | full"),
    row("ProxyErrorOverride", Places::DIR.or(Places::SERVER), Shape::Iterate, settings::error_override, "use our error handling pages instead of the servers' we are proxying"),
    row("ProxyPreserveHost", Places::DIR.or(Places::SERVER), Shape::Flag, settings::preserve_host, "on if we should preserve host header while proxying"),
    row("ProxyTimeout", Places::SERVER, Shape::Take1, settings::timeout, "Set the timeout (in seconds) for a proxied connection. This overrides the server timeout"),
    row("ProxyBadHeader", Places::SERVER, Shape::Take1, settings::bad_header, "How to handle bad header line in response: IsError | Ignore | StartBody"),
    row("BalancerMember", Places::DIR.or(Places::SERVER), Shape::Raw, sections::balancer_member, "A balancer name and scheme with list of params"),
    row("BalancerGrowth", Places::SERVER, Shape::Take1, settings::growth, "Number of additional Balancers that can be added post-config").moot(),
    row("BalancerPersist", Places::SERVER, Shape::Flag, settings::persist, "on if the balancer should persist changes on reboot/restart made via the Balancer Manager"),
    row("BalancerInherit", Places::SERVER, Shape::Flag, settings::inherit, "on if this server should inherit Balancers and Workers defined in the main server (Setting to off recommended if using the Balancer Manager)"),
    row("ProxyPassInherit", Places::SERVER, Shape::Flag, settings::pass_inherit, "on if this server should inherit all ProxyPass directives defined in the main server (Setting to off recommended if using the Balancer Manager)"),
    row("ProxyStatus", Places::SERVER, Shape::Take1, settings::status, "Configure Status: proxy status to one of: on | off | full"),
    row("ProxySet", Places::DIR.or(Places::SERVER), Shape::Raw, sections::proxy_set, "A balancer or worker name with list of params"),
    row("ProxySourceAddress", Places::SERVER, Shape::Take1, settings::source, "Configure local source IP used for request forward"),
    row("ProxyAddHeaders", Places::DIR.or(Places::SERVER), Shape::Flag, settings::add_headers, "on if X-Forwarded-* headers should be added or completed"),
    row("Proxy100Continue", Places::DIR.or(Places::SERVER), Shape::Flag, settings::forward_100_continue, "on if 100-Continue should be forwarded to the origin server, off if the proxy should handle it by itself"),
];

/// The parts in the phases.
/// The parameters of a balancer, for advice: name and the module that brings it.
pub fn balancer_parameters() -> Vec<(&'static str, &'static str)> {
    balancer::names().map(|name| (name, "")).collect()
}

/// The parameters of a worker, for advice.
pub fn worker_parameters() -> Vec<(&'static str, &'static str)> {
    let checks = super::proxy_hcheck::parameters().map(|name| (name, "proxy_hcheck_module"));
    worker::names().map(|name| (name, "")).chain(checks).collect()
}

const HOOKS: &[Hook] = &[
    Hook { phase: Phase::PostRead, order: -10, wants: detect::wants, run: Run::Now(detect::detect) },
    Hook { phase: Phase::PreTranslate, order: 0, wants: map::wants_early, run: Run::Now(map::pre_translate) },
    // Behind mod_rewrite, in front of all others.
    Hook { phase: Phase::Translate, order: -9, wants: map::wants_late, run: Run::Now(map::translate) },
    Hook { phase: Phase::Fixups, order: -9, wants: |_, _| true, run: Run::Now(serve::fixups) },
    Hook { phase: Phase::Handler, order: -10, wants: |_, _| true, run: Run::Inline(serve::handler) },
];
