//! What the program says beyond httpd: better words, what is hardly meant, and what would become of a request.

use crate::support::{Origin, Site, real_httpd};

fn site() -> Site {
    let site = Site::new("explain");
    let modules = [
        "proxy",
        "proxy_http",
        "proxy_ajp",
        "proxy_balancer",
        "slotmem_shm",
        "lbmethod_byrequests",
        "rewrite",
        "alias",
    ];
    let port = site.port;
    site.httpd_conf(
        &modules,
        &format!(
            "<VirtualHost *:{port}>
 ServerName app.test
 ProxyPass /app balancer://cl/app stickysession=JSESSIONID
 ProxyPass /app/static !
 ProxyPass /x/ http://127.0.0.1:1/y
 ProxyPassReverse /z http://other/
 <Proxy balancer://cl>
  BalancerMember ajp://10.0.0.1:8009 route=t1
  BalancerMember ajp://10.0.0.2:8009
 </Proxy>
 <Location foo>
 </Location>
 <Location /app>
  Require all granted
 </Location>
 Redirect /old http://x.test/new
 RewriteEngine On
 RewriteRule ^/rw/(.*) /app/$1 [PT]
</VirtualHost>
<VirtualHost *:{port}>
 ServerName app.test
</VirtualHost>
<VirtualHost *:9>
 ServerName b.test
</VirtualHost>"
        ),
    );
    site
}

#[test]
fn what_is_hardly_meant_is_told() {
    if real_httpd() {
        return;
    }
    let found = site().run(&["-t", "-D", "LINT"]);
    assert_eq!(found.code, Some(0));
    let lines: Vec<&str> = found.stderr.lines().filter(|line| line.starts_with("lint: ")).collect();
    for (line, words) in lines.iter().zip([
        "this exclusion of /app/static is never looked at",
        "only one of /x/ and http://127.0.0.1:1/y ends in a slash",
        "to which no ProxyPass of this server leads",
        "member ajp://10.0.0.2:8009 has no route",
        "<Location foo> never matches",
        "this <VirtualHost> is never chosen",
        "nothing listens on port 9",
    ]) {
        assert!(line.contains(words), "{line}: {words}");
    }
    assert_eq!(lines.len(), 7, "{}", found.stderr);
}

#[test]
fn the_way_of_a_request_is_told() {
    if real_httpd() {
        return;
    }
    let site = site();
    let ask = |question: &str| {
        let found = site.run(&["-D", &format!("ROUTE={question}")]);
        assert_eq!((found.code, found.stderr.as_str()), (Some(0), ""));
        found.stdout
    };
    let port = site.port;
    let proxied = ask(&format!("GET,http://app.test:{port}/rw/x?q=1,Cookie:JSESSIONID=1.t1"));
    for words in [
        "server: virtual host app.test (",
        "section: <Location /app> (",
        "path: /app/x\nquery: q=1\n",
        "proxied to: balancer://cl/app/x\n",
        "balancer: balancer://cl lbmethod=byrequests stickysession=JSESSIONID|JSESSIONID\n",
        "member: ajp://10.0.0.1 route=t1\n",
    ] {
        assert!(proxied.contains(words), "{words}\n{proxied}");
    }
    assert!(ask(&format!("GET,http://app.test:{port}/old")).contains("answer: 302 to http://x.test/new\n"));
    assert!(ask("GET,/plain").contains("htdocs/plain (not there)\n"));
    assert_eq!(site.run(&["-D", "ROUTE=x"]).code, Some(1));
}

#[test]
fn all_errors_are_told_with_their_place() {
    if real_httpd() {
        return;
    }
    let site = Site::new("explain-errors");
    site.httpd_conf(&[], "ServerNam x\nProxyPass / http://a/\nLogLevel bogus");
    let plain = site.check();
    assert_eq!(plain.code, Some(1));
    assert_eq!(plain.stderr.lines().count(), 2, "httpd's two lines and no more: {}", plain.stderr);
    let told = site.run(&["-t", "-D", "EXPLAIN"]);
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.starts_with(&plain.stderr));
    for words in [
        "did you mean `ServerName`?",
        "it belongs to mod_proxy, which is not loaded: LoadModule proxy_module modules/mod_proxy.so",
        "Log level keyword must be one of",
        "^^^^^",
    ] {
        assert!(told.stderr.contains(words), "{words}\n{}", told.stderr);
    }
}

/// Bodies of configurations that lead requests in different ways; `@ORIGIN@` is a server that names what it is asked
/// for.
const WAYS: &[&str] = &[
    "Alias /b @ROOT@/other\nRedirect 301 /old http://t.test/n\nRedirect gone /gone\nRedirectMatch ^/m/(.*) http://m.test/$1",
    "ProxyPass /a/ !\nProxyPass /a @ORIGIN@/p\nProxyPassMatch ^/m/(.*)$ @ORIGIN@/mm/$1\nProxyPass /b balancer://cl/q",
    "RewriteEngine On\nRewriteRule ^/old(.*)$ /a$1 [PT]\nRewriteRule ^/m/(.*)$ @ORIGIN@/rw/$1 [P]\nRewriteRule ^/gone - [G]\n\
     RewriteRule ^/b(.*)$ http://r.test$1 [R=303,L]",
    "RewriteEngine On\nRewriteCond %{QUERY_STRING} q=1\nRewriteRule ^/(.*)$ /a/x.html [L]\nRewriteRule ^/b - [F]",
    "<Location /a>\n Require all denied\n</Location>\n<Location /m>\n ProxyPass @ORIGIN@/lp\n</Location>",
    "<If \"%{REQUEST_URI} =~ m#^/b#\">\n Redirect 302 http://i.test/x\n</If>\n<Files x.html>\n Require all denied\n</Files>",
    "<Directory @ROOT@/htdocs/a>\n RewriteEngine On\n RewriteRule ^d/(.*)$ @ORIGIN@/dir/$1 [P]\n RewriteRule ^x - [R=404]\n</Directory>",
    "<LocationMatch \"^/(b|old)\">\n SetEnv x y\n Order deny,allow\n Deny from all\n</LocationMatch>\nMergeSlashes Off",
    "<VirtualHost *:@PORT@>\n ServerName a.test\n ProxyPass / @ORIGIN@/a/\n</VirtualHost>\n<VirtualHost *:@PORT@>\n ServerName b.test\n \
     DocumentRoot @ROOT@/other\n Redirect /a http://v.test/\n</VirtualHost>",
    "AliasMatch ^/m/(.*)$ @ROOT@/other/$1\nDirectoryIndex x.html\nRedirectMatch 404 ^/gone",
    "<Proxy \"@ORIGIN@/no/*\">\n Require all denied\n</Proxy>\nProxyPass /a @ORIGIN@/no/a\nProxyPass /b @ORIGIN@/yes/b",
];

const TARGETS: &[&str] = &[
    "/a/x.html",
    "/a/x.html?q=1",
    "/a",
    "/a/d/y",
    "/b",
    "/b/x.html",
    "/old/z",
    "/m/x.html",
    "/gone",
    "/a//x.html",
    "/../a/x.html",
];

#[test]
fn serving_does_what_the_route_says() {
    if real_httpd() {
        return;
    }
    let origin = Origin::serving(|peer, _| {
        while let Some(request) = peer.request() {
            let text = format!("origin {}", request.line().split(' ').nth(1).unwrap_or_default());
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
        }
    });
    let modules = [
        "proxy",
        "proxy_http",
        "proxy_balancer",
        "slotmem_shm",
        "lbmethod_byrequests",
        "rewrite",
        "alias",
        "dir",
        "env",
        "access_compat",
    ];
    let mut kinds = [0; 3];
    for way in WAYS {
        let site = Site::new("route");
        for file in ["htdocs/a/x.html", "htdocs/b/x.html", "other/x.html"] {
            site.write(file, format!("file {}", site.path(file).display()));
        }
        let root = site.root().to_str().unwrap().to_owned();
        let way = way.replace("@ROOT@", &root).replace("@PORT@", &site.port.to_string());
        let way = way.replace("@ORIGIN@", &format!("http://127.0.0.1:{}", origin.port));
        let body = format!(
            "<Directory {root}>\nRequire all granted\n</Directory>\n<Proxy balancer://cl>\nBalancerMember http://127.0.0.1:{}\n\
             </Proxy>\n{way}",
            origin.port
        );
        site.httpd_conf(&modules, &body);
        let server = site.start();
        for host in ["a.test", "b.test"] {
            for target in TARGETS {
                let found = site.run(&["-D", &format!("ROUTE=GET,http://{host}:{}{target}", site.port)]);
                assert_eq!(found.code, Some(0), "{}", found.stderr);
                let told = |what: &str| found.stdout.lines().find_map(|line| line.strip_prefix(what));
                let served = {
                    let mut peer = server.connect();
                    peer.send(format!(
                        "GET {target} HTTP/1.1\r\nHost: {host}:{}\r\nConnection: close\r\n\r\n",
                        site.port
                    ));
                    peer.response()
                };
                let status = served.line().split(' ').nth(1).unwrap_or_default().to_owned();
                let agree = if let Some(answer) = told("answer: ") {
                    kinds[0] += 1;
                    let (code, place) = answer.split_once(" to ").map_or((answer, None), |(code, to)| (code, Some(to)));
                    code == status && place.is_none_or(|place| served.header("Location").as_deref() == Some(place))
                } else if let Some(url) = told("proxied to: ") {
                    kinds[1] += 1;
                    let path =
                        url.split_once("://").and_then(|(_, rest)| Some(&rest[rest.find('/')?..])).unwrap_or("/");
                    served.text() == format!("origin {path}")
                } else {
                    kinds[2] += 1;
                    match told("file: ") {
                        Some(file) if told("path info: ").is_some() || file.ends_with(" (not there)") => {
                            status == "404"
                        }
                        Some(file) if file.ends_with(" (a directory)") => ["301", "404"].contains(&status.as_str()),
                        Some(file) => served.text() == format!("file {file}"),
                        None => false,
                    }
                };
                assert!(
                    agree,
                    "{way}\n{host}{target} is served as\n{}\n{}\nand told as\n{}",
                    served.line(),
                    served.text(),
                    found.stdout
                );
            }
        }
        server.stop();
    }
    assert!(kinds.iter().all(|count| *count > 10), "answers, proxied and files: {kinds:?}");
}
