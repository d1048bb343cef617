//! `.htaccess` files: what may stand in them, where they are merged, and what is said when they cannot be obeyed.

use std::fs;

use super::support::{Server, Site};

const MODULES: &[&str] = &["headers", "dir", "alias", "rewrite", "env", "setenvif", "autoindex"];

fn site(name: &str, body: &str) -> Site {
    let site = Site::new(name);
    site.httpd_conf(MODULES, body);
    site
}

fn directory(site: &Site, overrides: &str) -> String {
    format!("<Directory \"{}\">\n{overrides}\n</Directory>\n", site.path("htdocs").display())
}

/// Status and the field `X` of the answer.
fn ask(server: &Server<'_>, path: &str) -> (u16, String) {
    let answer = server.get(path, "");
    (answer.status, answer.header("X").unwrap_or_default())
}

#[test]
fn sections_of_files_lie_between_those_of_directories() {
    let site = Site::new("access-merge");
    let root = site.path("htdocs").display().to_string();
    let body = format!(
        "<Directory \"{root}\">\nAllowOverride All\nHeader append X one\n</Directory>\n\
         <Directory \"{root}/sub\">\nHeader append X two\n</Directory>\n\
         <DirectoryMatch sub>\nHeader append X match\n</DirectoryMatch>\n\
         <Files f.txt>\nHeader append X file\n</Files>\n\
         <If true>\nHeader append X if\n</If>\n"
    );
    site.httpd_conf(MODULES, &body);
    site.write("htdocs/.htaccess", "Header append X a\n");
    site.write(
        "htdocs/sub/.htaccess",
        "Header append X b\n<Files f.txt>\nHeader append X b-file\n<If true>\nHeader append X b-file-if\n</If>\n</Files>\n\
         <If \"%{REQUEST_URI} =~ /g/\">\nHeader append X b-if\n</If>\n<Else>\nHeader append X b-else\n</Else>\n",
    );
    site.write("htdocs/sub/f.txt", "f");
    site.write("htdocs/sub/g", "g");
    let server = site.start();
    assert_eq!(ask(&server, "/sub/f.txt"), (200, "one, a, two, b, match, file, b-file, if, b-else, b-file-if".into()));
    assert_eq!(ask(&server, "/sub/g"), (200, "one, a, two, b, match, if, b-if".into()));
    assert_eq!(ask(&server, "/index.html"), (200, "one, a, if".into()));
}

#[test]
fn what_may_not_stand_there_is_said_and_nothing_is_served() {
    let site = Site::new("access-errors");
    let body = directory(&site, "AllowOverride FileInfo Options=Indexes,MultiViews")
        + &format!("<Directory \"{}\">\nAllowOverride None\n", site.path("htdocs/none").display())
        + "AllowOverrideList Header <IfModule\n</Directory>\n"
        + &format!("<Directory \"{}\">\n", site.path("htdocs/soft").display())
        + "AllowOverride FileInfo Nonfatal=All\n</Directory>\n";
    site.httpd_conf(MODULES, &body);
    for (dir, text, want) in [
        ("a", "Bogus x\n", "Invalid command 'Bogus', perhaps misspelled or defined by a module not included"),
        ("b", "Require all denied\n", "Require not allowed here"),
        ("c", "<Directory />\n</Directory>\n", "<Directory not allowed here"),
        ("d", "<Files>\n</Files>\n", "<Files> directive requires additional arguments"),
        ("e", "Header set X\n", "Header requires three arguments"),
        ("f", "<IfModule nope.c>\n", "Expected </IfModule> before end of configuration"),
        ("g", "</Files>\n", "</Files> without matching <Files> section"),
        ("h", "Define A b\n", "Define not allowed here"),
        ("i", "Include x\n", "Include not allowed here"),
        ("j", "<Files x>\nDirectoryIndex x\n</Files>\n", "DirectoryIndex not allowed in <Files> context"),
        ("k", "<Files x>\n", "/k/.htaccess:1: <Files> was not closed."),
        ("l", "Options +ExecCGI\n", "Option ExecCGI not allowed here"),
        ("m", "Options All\n", "Option All not allowed here"),
        ("n", "<Limit GET>\nRequire all denied\n</Limit>\n", "<Limit not allowed here"),
        ("o", &format!("Header set X {}\n", "y".repeat(8200)), "at line 1: Line too long"),
        ("none", "Header set X y\nSetEnv a b\n", "SetEnv not allowed here"),
        ("none/if", "<IfModule mod_headers.c>\nSetEnv a b\n</IfModule>\n", "SetEnv not allowed here"),
        ("soft", "Bogus x\nRequire all denied\n<Directory />\n</Directory>\nHeader set X\n", "Header requires three"),
    ] {
        site.write(&format!("htdocs/{dir}/.htaccess"), text);
        site.write(&format!("htdocs/{dir}/x"), "x");
        let server = site.start();
        assert_eq!(server.get(&format!("/{dir}/x"), "").status, 500, "{dir}: {text}");
        let path = site.path(&format!("htdocs/{dir}/.htaccess"));
        let log = server.log("logs/error_log", |log| log.contains("core:alert"));
        let line = log.lines().rev().find(|line| line.contains("core:alert")).unwrap();
        assert!(line.contains(&format!("] {}: ", path.display())) && line.contains(want), "{dir}: {line}");
        if dir == "soft" {
            assert!(log.contains("AH02296: Unknown directive bogus perhaps misspelled"), "{log}");
            assert!(log.contains("AH02295: Require in .htaccess forbidden by AllowOverride"), "{log}");
            assert!(log.contains("AH02295: <Directory in .htaccess forbidden by AllowOverride"), "{log}");
        }
        drop(server);
        fs::remove_file(path).unwrap();
        fs::remove_file(site.path("logs/error_log")).unwrap();
    }
}

#[test]
fn a_file_is_read_where_nothing_was_said_and_not_where_none_was() {
    let site = site("access-default", "");
    site.write("htdocs/.htaccess", "Header set X y\n");
    let server = site.start();
    assert_eq!(ask(&server, "/index.html").0, 500);
    drop(server);
    site.httpd_conf(MODULES, &directory(&site, "AllowOverride None"));
    let server = site.start();
    assert_eq!(ask(&server, "/index.html"), (200, String::new()));
}

#[test]
fn a_change_counts_with_the_next_request() {
    let site = Site::new("access-change");
    site.httpd_conf(MODULES, &directory(&site, "AllowOverride All"));
    site.write("htdocs/f", "f");
    let server = site.start();
    let mut client = server.connect();
    let mut field = || {
        client.send("GET /f HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = client.response();
        (answer.status, answer.header("X").unwrap_or_default())
    };
    assert_eq!(field(), (200, String::new()));
    for turn in 0..40 {
        site.write("htdocs/.htaccess", format!("Header set X {}\n", turn % 10));
        assert_eq!(field(), (200, (turn % 10).to_string()), "{turn}");
        assert_eq!(field(), (200, (turn % 10).to_string()), "{turn}");
    }
    site.write("htdocs/.htaccess", "Require all denied\n");
    assert_eq!(field().0, 403);
    site.write("htdocs/.htaccess", "Nonsense\n");
    // The error ends the connection.
    assert_eq!(field().0, 500);
    fs::remove_file(site.path("htdocs/.htaccess")).unwrap();
    assert_eq!(ask(&server, "/f"), (200, String::new()));
}

#[test]
fn names_variables_and_conditions() {
    let site = Site::new("access-names");
    let body = "Define GREETING hello\nAccessFileName .first .second\n".to_owned()
        + &directory(&site, "AllowOverride FileInfo");
    site.httpd_conf(MODULES, &body);
    site.write("htdocs/a/.second", "Header append X second\n");
    site.write("htdocs/b/.second", "Header append X second\n");
    site.write(
        "htdocs/b/.first",
        "Header append X ${GREETING}\n<IfDefine GREETING>\nHeader append X defined\n</IfDefine>\n",
    );
    site.write("htdocs/c/.htaccess", "Nonsense\n");
    site.write(
        "htdocs/d/.first",
        "<IfModule mod_nothing.c>\nNonsense\n</IfModule>\n<IfModule headers_module>\nHeader append X module\n</IfModule>\n\
         <IfVersion >= 2.4>\nHeader append X version\n</IfVersion>\n",
    );
    for dir in ["a", "b", "c", "d"] {
        site.write(&format!("htdocs/{dir}/x"), "x");
    }
    let server = site.start();
    for (path, want) in [("/a/x", "second"), ("/b/x", "hello, defined"), ("/c/x", ""), ("/d/x", "module, version")] {
        assert_eq!(ask(&server, path), (200, want.into()), "{path}");
    }
}

#[test]
fn rewriting_and_error_documents_of_a_file() {
    let site = Site::new("access-rewrite");
    let body = directory(&site, "Options FollowSymLinks\nAllowOverride All");
    site.httpd_conf(MODULES, &body);
    site.write(
        "htdocs/app/.htaccess",
        "ErrorDocument 404 \"own page\"\nRewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-f\n\
         RewriteRule ^(?!gone)(.*)$ index.txt [E=P:$1,L]\nRewriteRule ^gone/ - [R=404]\nHeader set X %{REDIRECT_P}e\n",
    );
    site.write("htdocs/app/index.txt", "front\n");
    site.write("htdocs/app/real.txt", "real\n");
    let server = site.start();
    let answer = server.get("/app/some/page", "");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"front\n"[..]));
    assert_eq!(answer.header("X").as_deref(), Some("some/page"));
    assert_eq!(server.get("/app/real.txt", "").body, b"real\n");
    let answer = server.get("/app/gone/x", "");
    assert_eq!((answer.status, answer.body.as_slice()), (404, &b"own page"[..]));
}

#[test]
fn limits_and_unreadable_files_keep_people_out() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new("access-out");
    site.httpd_conf(MODULES, &directory(&site, "AllowOverride All"));
    site.write("htdocs/a/.htaccess", "<LimitExcept GET>\nRequire all denied\n</LimitExcept>\n");
    site.write("htdocs/a/x", "x");
    site.write("htdocs/b/.htaccess/x", "a directory");
    site.write("htdocs/b/x", "x");
    site.write("htdocs/c/.htaccess", "Header set X y\n");
    site.write("htdocs/c/x", "x");
    fs::set_permissions(site.path("htdocs/c/.htaccess"), fs::Permissions::from_mode(0o000)).unwrap();
    let server = site.start();
    assert_eq!(server.get("/a/x", "").status, 200);
    let mut client = server.connect();
    client.send("POST /a/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status, 403);
    let answer = server.get("/b/x", "");
    assert_eq!(answer.status, 403);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("Server unable to read htaccess file, denying access to be safe"), "{text}");
    let log = server.log("logs/error_log", |log| log.contains("AH00529"));
    assert!(log.contains("not a regular file"), "{log}");
    if super::support::is_root() {
        // The server is somebody else.
        assert_eq!(server.get("/c/x", "").status, 403);
    }
}
