//! mod_info: pages about the configuration and the modules.

use super::support::Site;

const CONF: &str = "TypesConfig /dev/null
AddModuleInfo mod_alias.c \"see <b>here</b>\"
AddModuleInfo mod_headers.c 'two'
AddModuleInfo mod_headers.c 'three'
<Location /info>
SetHandler server-info
</Location>
Alias \"/x y\" /tmp
<VirtualHost *>
ServerName a.test
Header set X \"a b\"
<IfModule mod_alias.c>
<Directory /nowhere>
Require user \"a < b\" c
</Directory>
</IfModule>
</VirtualHost>
";

#[test]
fn the_configuration_is_shown_as_it_was_read() {
    let site = Site::new("info");
    site.httpd_conf(&["info", "alias", "headers", "mime", "authz_user"], CONF);
    let text = site.read("conf/httpd.conf");
    let first = text.lines().position(|line| line.starts_with("TypesConfig")).unwrap() + 1;
    let server = site.start();
    let file = site.path("conf/httpd.conf");
    let page = |query: &str| {
        let answer = server.get(&format!("/info{query}"), "");
        assert_eq!(
            (answer.status, answer.header("Content-Type").as_deref()),
            (200, Some("text/html; charset=ISO-8859-1"))
        );
        answer.text()
    };
    // A line: its number to the right of four places, then the directive as deep as it stands.
    let line = |offset: usize, depth: usize, shown: &str| {
        let number = (first + offset).to_string();
        let pad = "&nbsp;".repeat(4 - number.len());
        format!("<dd><tt>{pad}{number}:&nbsp;{}{shown}</tt></dd>\n", "&nbsp;&nbsp;".repeat(depth))
    };
    let end = |depth: usize, name: &str| {
        let indent = "&nbsp;&nbsp;".repeat(depth);
        format!("<dd><tt>&nbsp;&nbsp;&nbsp;&nbsp;:&nbsp;{indent}&lt;/{name}&gt;</tt></dd>")
    };
    let vhost = line(8, 0, "&lt;VirtualHost *&gt;");
    let required = [
        line(12, 1, "&lt;Directory /nowhere&gt;"),
        line(13, 2, "Require <i>user &quot;a &lt; b&quot; c</i>"),
        end(1, "Directory"),
        end(0, "VirtualHost"),
    ]
    .concat();
    let in_file = format!("<dd><tt><strong>In file: {}</strong></tt></dd>\n", file.display());
    let config = page("?config");
    let all = [
        line(0, 0, "TypesConfig <i>/dev/null</i>"),
        line(1, 0, "AddModuleInfo <i>mod_alias.c &quot;see &lt;b&gt;here&lt;/b&gt;&quot;</i>"),
        line(2, 0, "AddModuleInfo <i>mod_headers.c 'two'</i>"),
        line(3, 0, "AddModuleInfo <i>mod_headers.c 'three'</i>"),
        line(4, 0, "&lt;Location /info&gt;"),
        line(5, 1, "SetHandler <i>server-info</i>"),
        end(0, "Location"),
        line(7, 0, "Alias <i>&quot;/x y&quot; /tmp</i>"),
        vhost.clone(),
        line(9, 1, "ServerName <i>a.test</i>"),
        line(10, 1, "Header <i>set X &quot;a b&quot;</i>"),
        required.clone(),
    ]
    .concat();
    assert!(config.contains(&format!("<dl><dt><strong>Configuration:</strong>\n{in_file}")), "{config}");
    assert!(config.ends_with(&format!("{all}</dl><hr /></body></html>\n")), "{config}\n{all}");
    assert!(!config.contains("LoadModule"), "{config}");

    let alias = page("?mod_alias.c");
    let directive = "<dd><tt>AliasMatch - <i>a regular expression and a filename</i></tt></dd>\n";
    let own = format!(
        "<dt><strong>Current Configuration:</strong></dt>\n{in_file}{}<dt><strong>Additional Information:</strong>\n\
         </dt><dd>see <b>here</b></dd></dl><hr />\n</body></html>\n",
        line(7, 0, "Alias <i>&quot;/x y&quot; /tmp</i>")
    );
    assert!(alias.contains(directive) && alias.ends_with(&own), "{alias}");
    assert!(page("?mod_headers.c").ends_with("\n</dt><dd>two</dd></dl><hr />\n</body></html>\n"));
    // Of sections only those that hold any of the module's.
    let authz = page("?mod_authz_core.c");
    assert!(authz.ends_with(&format!("{in_file}{vhost}{required}</dl><hr />\n</body></html>\n")), "{authz}");

    let listed = page("?list");
    assert!(listed.contains("<dl><dt>Server Module List</dt><dd>core.c</dd><dd>event.c</dd><dd>http_core.c</dd>"));
    assert!(listed.contains("<dd>mod_info.c</dd>") && !listed.contains("mod_ssl.c"), "{listed}");
    assert!(
        page("?nothing").ends_with("<h1 style=\"text-align: center\">Apache Server Information</h1>\n</body></html>\n")
    );
    let settings = page("?server");
    for text in [
        "<dt><strong>Module Magic Number:</strong> <tt>20120211:142</tt></dt>\n".to_owned(),
        "<dt><strong>Timeouts:</strong> <tt>connection: 60 &nbsp;&nbsp; keep-alive: 5</tt></dt>".to_owned(),
        "<dt><strong>MPM Name:</strong> <tt>event</tt></dt>\n".to_owned(),
        format!("<dt><strong>Server Root:</strong> <tt>{}</tt></dt>\n", site.root().display()),
        format!("<dt><strong>Config File:</strong> <tt>{}</tt></dt>\n", file.display()),
    ] {
        assert!(settings.contains(&text), "{text}: {settings}");
    }
    let hooks = page("?hooks");
    assert!(hooks.contains("&nbsp;&nbsp; 10 <a href=\"?mod_info.c\">mod_info.c</a> <br/>"), "{hooks}");
    let providers = page("?providers");
    assert!(
        providers.contains("<dt><strong>authz</strong> (version <tt>0</tt>):\n <br />\n<tt>&nbsp;&nbsp;all</tt><br/>")
    );
    let whole = page("");
    for part in ["<h2><a name=\"server\">", "<h2><a name=\"request_hooks\">", &own[..own.len() - 15]] {
        assert!(whole.contains(part), "{part}");
    }
    let mut client = server.connect();
    client.send("POST /info HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status, 404);
}
