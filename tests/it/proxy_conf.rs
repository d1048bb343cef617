//! Verdicts of `-t` on the proxy's directives: httpd's line and text.

use crate::support::Site;

const MODULES: &[&str] = &["proxy", "proxy_http", "proxy_ajp", "proxy_balancer", "slotmem_shm", "lbmethod_byrequests"];

/// A configuration, the line of it that is wrong, and what is said of it.
#[rustfmt::skip]
const REFUSED: &[(&str, usize, &str)] = &[
    ("<Proxy http://a/* timeout=5>\n</Proxy>", 1, "<Proxy> arguments are not supported for wildchar url."),
    ("<ProxyMatch ^http://a x=1>\n</ProxyMatch>", 1, "Multiple <ProxyMatch> arguments not (yet) supported."),
    ("<ProxyMatch ^http://a>\nProxySet timeout=1\n</ProxyMatch>", 2, "ProxySet Unable to parse URL: ^http://a"),
    ("ProxyPass / unix:/s|", 1, "ProxyPass|ProxyPassMatch uses an invalid \"unix:\" URL"),
    ("ProxyPass / unix:/s.sock", 1, "ProxyPass URL must be absolute!: unix:/s.sock"),
    ("ProxyPass / http://", 1, "ProxyPass URL must be absolute!: http://"),
    ("ProxyPass / http:///x", 1, "ProxyPass URL must be absolute!: http:///x"),
    ("ProxyPass / balancer://C/x\nProxyPass /b balancer://c/y bogus=1", 2, "ProxyPass unknown Balancer parameter"),
    ("ProxyPass / balancer://", 1, "ProxyPass Bad syntax for a balancer name (balancer://)"),
    ("ProxyPass / balancer:x", 1, "ProxyPass Bad syntax for a balancer name (balancer:x)"),
    ("ProxyPass / balancer://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1, "ProxyPass balancer name (balancer://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) too long"),
    ("ProxyPass /a http://h/ \"k=v w\"", 1, "ProxyPass unknown Worker parameter"),
    ("ProxyPass /a http://h/ timeout=5 timeout=x", 1, "ProxyPass Timeout must be at least one second"),
    ("ProxyPass /a http://h/ timeout=5 keepalive=On TIMEOUT=0 bogus=1", 1, "ProxyPass Timeout must be at least one second"),
    ("<Proxy balancer://b>\nBalancerMember http://a/x y\n</Proxy>", 2, "BalancerMember can not have a balancer name when defined in a location"),
    ("BalancerMember", 1, "BalancerMember must define balancer name when outside <Proxy > section"),
    ("BalancerMember balancer://b http://a x", 1, "Invalid BalancerMember parameter. Parameter must be in the form 'key=value'"),
    ("BalancerMember foo http://a", 1, "BalancerMember Bad syntax for a balancer name (foo)"),
    ("BalancerMember foo://h/z http://a\nProxySet foo://h/z lbmethod=byrequests", 2, "ProxySet can not find 'foo://h/z' Worker."),
    ("<Location /x>\nBalancerMember http://a\n</Location>", 2, "BalancerMember Bad syntax for a balancer name (/x)"),
    ("<Location /x>\nProxySet http://a timeout=1\n</Location>", 2, "ProxySet can not find 'http://a' Worker."),
    ("<Directory /x>\nBalancerMember balancer://b http://a\n</Directory>", 2, "BalancerMember can not have a balancer name when defined in a location"),
    ("<Files x>\nProxyPass http://a/\n</Files>", 2, "ProxyPass cannot occur within <Files> section"),
    ("<If \"true\">\nProxyPass http://a/\n</If>", 2, "ProxyPass cannot occur within <If> section"),
    ("<Location /x>\n<If \"true\">\nProxyPass http://a/\n</If>\n</Location>", 3, "ProxyPass cannot occur within <If> section"),
    ("<Location /x>\nProxyPass http://a/ k\n</Location>", 2, "Invalid ProxyPass|ProxyPassMatch parameter. Parameter must be in the form 'key=value'."),
    ("<Location /x>\nProxyPass\n</Location>", 2, "ProxyPass|ProxyPassMatch needs a path when not defined in a location"),
    ("<Location /x>\nProxyPassReverse\n</Location>", 2, "ProxyPassReverse takes one, two or three arguments, a virtual path and a URL for reverse proxy behaviour"),
    ("ProxyPassReverse /a http://x/ foo bar", 1, "ProxyPassReverse takes one, two or three arguments, a virtual path and a URL for reverse proxy behaviour"),
    ("<Location /x>\nProxyPassReverse http://x/ foo\n</Location>", 2, "ProxyPassReverse can not have a path when defined in a location"),
    ("<Location /x>\nProxyPassReverse /a http://x/ interpolate\n</Location>", 2, "ProxyPassReverse can not have a path when defined in a location"),
    ("ProxyErrorOverride On 404 x", 1, "ProxyErrorOverride: status codes to intercept must be numeric"),
    ("ProxyErrorOverride", 1, "ProxyErrorOverride requires at least one argument, use our error handling pages instead of the servers' we are proxying"),
    ("ProxySourceAddress x y", 1, "ProxySourceAddress takes one argument, Configure local source IP used for request forward"),
    ("ProxyTimeout 0", 1, "Proxy Timeout must be at least 1 second."),
    ("ProxyReceiveBufferSize 100", 1, "ProxyReceiveBufferSize must be >= 512 bytes, or 0 for system default."),
    ("ProxyVia foo\nProxyVia Block", 1, "ProxyVia must be one of: off | on | full | block"),
    ("BalancerInherit x", 1, "BalancerInherit must be On or Off"),
    ("ProxyPassMatch ^/b $1", 1, "ProxyPass URL must be absolute!: $1"),
    ("ProxyPass / balancer://b nonce=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1, "ProxyPass Provided nonce is too large"),
    ("ProxyPass / balancer://b failonstatus=500,x", 1, "ProxyPass failonstatus must be one or more HTTP response codes"),
    ("ProxyPass / balancer://b \"failonstatus=500, 501 600\"", 1, "ProxyPass failonstatus must be one or more HTTP response codes"),
    ("ProxyPass / balancer://b stickysessionsep=", 1, "ProxyPass stickysessionsep must be a single character or Off"),
    ("ProxyPass / 1http://a/", 1, "ProxyPass Unable to parse URL: 1http://a/"),
    ("ProxyPass / h_t://a/", 1, "ProxyPass Unable to parse URL: h_t://a/"),
    ("ProxyPass / http://:80/", 1, "ProxyPass URL must be absolute!: http://:80/"),
    ("<Proxy balancer://b>\nBalancerMember unix:/s|\nBalancerMember http://\n</Proxy>", 2, "BalancerMember uses an invalid \"unix:\" URL"),
    ("<Proxy balancer://b>\nBalancerMember unix:/s|http://\nProxySet unix:/s| timeout=4\n</Proxy>", 3, "Invalid ProxySet parameter. Parameter must be in the form 'key=value'"),
    ("ProxyPass / http://h/ status=+I-H\nProxyPass /b http://g/ \"status=D S\"", 2, "ProxyPass Unknown status parameter option"),
    ("ProxyPass / http://h/ loadfactor=100.1", 1, "ProxyPass LoadFactor must be a number between 1..100"),
    ("ProxyPass / http://h/ addressttl=-2", 1, "ProxyPass AddressTTL must be -1 or a number of seconds not exceeding (2147483647)"),
    ("ProxyPass / http://h/ addressttl=2147483648", 1, "ProxyPass AddressTTL must be -1 or a number of seconds not exceeding (2147483647)"),
    ("ProxyPass / http://h/ flushwait=-1", 1, "ProxyPass flushwait must be <= 1000, or 0 for system default of 10 millseconds."),
    ("ProxyPass / http://h/ acquire=", 1, "ProxyPass Acquire must be at least one millisecond"),
    ("ProxyPass / http://h/ timeout=", 1, "ProxyPass Timeout must be at least one second"),
    ("ProxyPass / http://h/ hcmethod=GET", 1, "ProxyPass unknown Worker parameter"),
    ("ProxyPass / balancer://b lbmethod=ByRequests", 1, "ProxyPass unknown lbmethod"),
    ("ProxyPass / balancer://b lbmethod=bybusyness", 1, "ProxyPass unknown lbmethod"),
    ("ProxyPass / balancer://b timeout=x", 1, "ProxyPass timeout must be at least one second"),
    ("ProxyPass /a http://h/ mapping=", 1, "unknown mapping"),
    ("<Proxy foo>\n</Proxy>\n<Proxy foo a=b>\n</Proxy>", 3, "<Proxy> arguments are not supported for non url."),
    ("<Proxy http://h/ timeout=0>\n</Proxy>", 1, "<Proxy Timeout must be at least one second timeout=0; http://h/"),
    ("<Proxy http://h/ a>\nfoo\n</Proxy>", 2, "Invalid command 'foo', perhaps misspelled or defined by a module not included in the server configuration"),
    ("<Proxy http://h/ bogus=1>\n</Proxy>", 1, "<Proxy unknown Worker parameter bogus=1; http://h/"),
    ("BalancerMember balancer://b http://a timeout=0", 1, "BalancerMember Timeout must be at least one second"),
    ("BalancerMember balancer://b http://a lbset=1 foo=bar timeout=0", 1, "BalancerMember unknown Worker parameter"),
    ("ProxyPassInterpolateEnv maybe", 1, "ProxyPassInterpolateEnv must be On or Off"),
];

/// Accepted without a word.
#[rustfmt::skip]
const ACCEPTED: &[&str] = &[
    "<ProxyMatch>\n</ProxyMatch>",
    "<Proxy >\n</Proxy>",
    "<Proxy http://a/*>\nProxySet timeout=5\n</Proxy>",
    "<Proxy unix:/s|http://a/ timeout=5>\n</Proxy>",
    "ProxyPass / unix:s|http://a/",
    "ProxyPass / unix:/s|http://a/\nProxyPass /b unix:/s2|http://a/\nProxyPass /c http://a/",
    "ProxyPass / unix:/s|http://",
    "ProxyPass / unix:|http://a/",
    "ProxyPass / unix:/s|balancer://c/",
    "ProxyPass / http://h:0/",
    "ProxyPass / http://h:70000/",
    "ProxyPass / http://u:p@h/",
    "ProxyPass / balancer://:80",
    "ProxyPass / nosuch://h:0/",
    "ProxyPass /a ! timeout=1",
    "ProxyPass /a ! nocanon",
    "<Proxy balancer://b>\nProxyPass http://a/\n</Proxy>",
    "ProxyPassReverse /a http://x/ foo",
    "<Location /x>\nProxyPassReverse http://x/ interpolate\n</Location>",
    "ProxyPassReverseCookiePath /a /b foo",
    "ProxyPassReverse / http://x/ interpolate\nProxyPassReverse / balancer://nope",
    "ProxyErrorOverride Off On",
    "ProxyErrorOverride On On",
    "ProxySourceAddress ::1",
    "ProxyMaxForwards -2",
    "ProxyMaxForwards 99999999999",
    "ProxyIOBufferSize x",
    "ProxyPass /a http://h/\nProxyPassMatch ^/b http://h/ timeout=1",
    "ProxyPassMatch ^/b http://h/\nProxyPass /a http://h/ timeout=1",
    "ProxyPassMatch ^/b(.*) http://h/$1\nProxyPass /a http://h/x timeout=1",
    "ProxyPassMatch ^/b http://h:$1/",
    "ProxyPassMatch ^/b http://h$1/",
    "ProxyPassMatch ^/b http://$1/",
    "ProxyPassMatch ^/b http://h:8$1/",
    "ProxyPassMatch ^/b http://h$1",
    "ProxyPassMatch ^/b unix:/s|http://h$1",
    "ProxyPassMatch ^/b balancer://h$1\nProxyPassMatch ^/b balancer://h$2",
    "<Location ~ ^/x>\nProxyPass http://h/\n</Location>",
    "ProxyPass / balancer://b stickysessionsep=off",
    "ProxyPass / http://h:/",
    "ProxyPass / http://h/ loadfactor=1.999",
    "ProxyPass / http://h/ loadfactor=1e1",
    "ProxyPass / http://h/ addressttl=5s",
    "ProxyPass / http://h/ addressttl=-1",
    "ProxyPass /a http://h/ mapping=SERVLET nocanon",
    "ProxyPassMatch ^/a(/.*) http://h$1 nocanon",
    "SetHandler \"proxy:foo\"",
    "SetHandler \"proxy:unix:/x|http://h/\"",
    "ProxyBadHeader ignore",
];

#[test]
fn errors_have_httpds_line_and_words() {
    let site = Site::new("proxy-conf");
    let before = site.preamble(MODULES).lines().count();
    for (conf, line, message) in REFUSED {
        site.httpd_conf(MODULES, conf);
        let verdict = site.check();
        let file = site.path("conf/httpd.conf");
        let expected = format!("Syntax error on line {} of {}:\n{message}\n", before + line, file.display());
        assert!(
            verdict.code == Some(1) && verdict.stderr.contains(&expected),
            "{conf}\n{expected}\n{}",
            verdict.stderr
        );
    }
}

#[test]
fn what_httpd_accepts_is_accepted() {
    let site = Site::new("proxy-conf-ok");
    for conf in ACCEPTED {
        site.httpd_conf(MODULES, conf);
        let verdict = site.check();
        assert_eq!((verdict.code, verdict.stderr.as_str()), (Some(0), "Syntax OK\n"), "{conf}");
    }
}
