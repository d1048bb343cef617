//! What the program says beyond httpd: better words, what is hardly meant, and what would become of a request.

use crate::support::{Site, real_httpd};

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
    assert!(ask("GET,/plain").contains("htdocs/plain\n"));
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
