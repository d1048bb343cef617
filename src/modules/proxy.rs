//! `mod_proxy.c`.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "proxy_module",
        file: "mod_proxy.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("<Proxy", Places::SERVER, Shape::Raw, accept, "Container for directives affecting resources located in the proxied location").missing(),
    row("<ProxyMatch", Places::SERVER, Shape::Raw, accept, "Container for directives affecting resources located in the proxied location, in regular expression syntax").missing(),
    row("ProxyRequests", Places::SERVER, Shape::Flag, accept, "on if the true proxy requests should be accepted").missing(),
    row("ProxyRemote", Places::SERVER, Shape::Take23, accept, "a scheme, partial URL or '*' and a proxy server").missing(),
    row("ProxyRemoteMatch", Places::SERVER, Shape::Take23, accept, "a regex pattern and a proxy server").missing(),
    row("ProxyPassInterpolateEnv", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "Interpolate Env Vars in reverse Proxy").missing(),
    row("ProxyPass", Places::DIR.or(Places::SERVER), Shape::Raw, accept, "a virtual path and a URL").missing(),
    row("ProxyPassMatch", Places::DIR.or(Places::SERVER), Shape::Raw, accept, "a virtual path and a URL").missing(),
    row("ProxyPassReverse", Places::DIR.or(Places::SERVER), Shape::Take123, accept, "a virtual path and a URL for reverse proxy behaviour").missing(),
    row("ProxyPassReverseCookiePath", Places::DIR.or(Places::SERVER), Shape::Take23, accept, "Path rewrite rule for proxying cookies").missing(),
    row("ProxyPassReverseCookieDomain", Places::DIR.or(Places::SERVER), Shape::Take23, accept, "Domain rewrite rule for proxying cookies").missing(),
    row("ProxyBlock", Places::SERVER, Shape::Iterate, accept, "A list of names, hosts or domains to which the proxy will not connect").missing(),
    row("ProxyReceiveBufferSize", Places::SERVER, Shape::Take1, accept, "Receive buffer size for outgoing HTTP and FTP connections in bytes").missing(),
    row("ProxyIOBufferSize", Places::SERVER, Shape::Take1, accept, "IO buffer size for outgoing HTTP and FTP connections in bytes").missing(),
    row("ProxyMaxForwards", Places::SERVER, Shape::Take1, accept, "The maximum number of proxies a request may be forwarded through.").missing(),
    row("NoProxy", Places::SERVER, Shape::Iterate, accept, "A list of domains, hosts, or subnets to which the proxy will connect directly").missing(),
    row("ProxyDomain", Places::SERVER, Shape::Take1, accept, "The default intranet domain name (in absence of a domain in the URL)").missing(),
    row("ProxyVia", Places::SERVER, Shape::Take1, accept, "Configure Via: proxy header header to one of: on | off | block | full").missing(),
    row("ProxyErrorOverride", Places::DIR.or(Places::SERVER), Shape::Iterate, accept, "use our error handling pages instead of the servers' we are proxying").missing(),
    row("ProxyPreserveHost", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "on if we should preserve host header while proxying").missing(),
    row("ProxyTimeout", Places::SERVER, Shape::Take1, accept, "Set the timeout (in seconds) for a proxied connection. This overrides the server timeout").missing(),
    row("ProxyBadHeader", Places::SERVER, Shape::Take1, accept, "How to handle bad header line in response: IsError | Ignore | StartBody").missing(),
    row("BalancerMember", Places::DIR.or(Places::SERVER), Shape::Raw, accept, "A balancer name and scheme with list of params").missing(),
    row("BalancerGrowth", Places::SERVER, Shape::Take1, accept, "Number of additional Balancers that can be added post-config").missing(),
    row("BalancerPersist", Places::SERVER, Shape::Flag, accept, "on if the balancer should persist changes on reboot/restart made via the Balancer Manager").missing(),
    row("BalancerInherit", Places::SERVER, Shape::Flag, accept, "on if this server should inherit Balancers and Workers defined in the main server (Setting to off recommended if using the Balancer Manager)").missing(),
    row("ProxyPassInherit", Places::SERVER, Shape::Flag, accept, "on if this server should inherit all ProxyPass directives defined in the main server (Setting to off recommended if using the Balancer Manager)").missing(),
    row("ProxyStatus", Places::SERVER, Shape::Take1, accept, "Configure Status: proxy status to one of: on | off | full").missing(),
    row("ProxySet", Places::DIR.or(Places::SERVER), Shape::Raw, accept, "A balancer or worker name with list of params").missing(),
    row("ProxySourceAddress", Places::SERVER, Shape::Take1, accept, "Configure local source IP used for request forward").missing(),
    row("ProxyAddHeaders", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "on if X-Forwarded-* headers should be added or completed").missing(),
    row("Proxy100Continue", Places::DIR.or(Places::SERVER), Shape::Flag, accept, "on if 100-Continue should be forwarded to the origin server, off if the proxy should handle it by itself").missing(),
];
