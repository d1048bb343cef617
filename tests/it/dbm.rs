//! Tables in files: users (mod_authn_dbm), groups (mod_authz_dbm) and rewrite maps out of what Debian's tools make, and
//! what is said of files that are none.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::support::{Server, Site, skip, which};

/// Types by the ends of the names of their files.
const TYPES: [(&str, &str); 3] = [("SDBM", "sdbm"), ("DB", "db"), ("GDBM", "gdbm")];

const MODULES: &[&str] =
    &["authn_core", "auth_basic", "authn_dbm", "authz_dbm", "authz_user", "authz_owner", "headers", "rewrite"];

fn status(server: &Server<'_>, target: &str, user: &str, password: &str) -> u16 {
    let login = STANDARD.encode(format!("{user}:{password}"));
    server.get(target, &format!("Authorization: Basic {login}\r\n")).status
}

/// A section whose users and groups are these.
fn section(name: &str, users: (&str, &str), groups: (&str, &str), require: &str) -> String {
    let mut out = format!("<Location /{name}>\nAuthType Basic\nAuthName x\nAuthBasicProvider dbm\n");
    for (directive, value) in [
        ("AuthDBMType", users.0),
        ("AuthDBMUserFile", users.1),
        ("AuthzDBMType", groups.0),
        ("AuthDBMGroupFile", groups.1),
    ] {
        if !value.is_empty() {
            out += &format!("{directive} {value}\n");
        }
    }
    out + &format!("Require {require}\n</Location>\n")
}

/// All that is asked of files of every type, in the folder `dbm` of the site.
fn ask_all(site: &Site) {
    let mut conf = "RewriteEngine On\nHeader always set X \"expr=%{reqenv:V}\"\n".to_owned();
    for (kind, end) in TYPES {
        let (users, groups) = (format!("dbm/users.{end}"), format!("dbm/groups.{end}"));
        conf += &section(&format!("{end}-user"), (kind, &users), ("", ""), "valid-user");
        conf += &section(&format!("{end}-group"), (kind, &users), (kind, &groups), "dbm-group b %{HTTP_HOST}");
        conf += &format!("RewriteMap {end} dbm={kind}:{}\n", site.path(&format!("dbm/keys.{end}")).display());
        conf += &format!("RewriteRule ^/{end}/(.*)$ - [E=V:${{{end}:$1|none}}]\n");
    }
    // Debian's default.
    conf += &section("default", ("", "dbm/users.db"), ("", "dbm/groups.db"), "dbm-group b");
    conf += &format!("RewriteMap plain dbm:{}\n", site.path("dbm/keys.db").display());
    conf += "RewriteRule ^/plain/(.*)$ - [E=V:${plain:$1|none}]\n";
    site.httpd_conf(MODULES, &conf);
    let server = site.start();
    for (_, end) in TYPES {
        for user in ["bob", "al", "bc", "lone"] {
            assert_eq!(status(&server, &format!("/{end}-user"), user, "pw"), 404, "{end} {user}");
            assert_eq!(status(&server, &format!("/{end}-user"), user, "px"), 401, "{end} {user}");
            let want = if ["bob", "al"].contains(&user) { 404 } else { 401 };
            assert_eq!(status(&server, &format!("/{end}-group"), user, "pw"), want, "{end} {user}");
        }
        assert_eq!(status(&server, &format!("/{end}-user"), "nobody", "pw"), 401, "{end}");
        for number in [0, 39, 57, 299] {
            let long = if end == "sdbm" { 300 } else { 900 };
            let want = format!("value-{}", "x".repeat(if number % 50 == 7 { long } else { number % 40 }));
            assert_eq!(server.get(&format!("/{end}/key{number}"), "").header("X"), Some(want), "{end} {number}");
        }
        assert_eq!(server.get(&format!("/{end}/key300"), "").header("X").as_deref(), Some("none"), "{end}");
    }
    assert_eq!(status(&server, "/default", "bob", "pw"), 404);
    assert_eq!(status(&server, "/default", "bc", "pw"), 401);
    assert_eq!(server.get("/plain/key1", "").header("X").as_deref(), Some("value-x"));
    let log = site.read("logs/error_log");
    let path = site.path("dbm/groups.sdbm");
    for text in [
        "AH01617: user bob: authentication failure for \"/sdbm-user\": Password Mismatch".to_owned(),
        "AH01618: user nobody not found: /sdbm-user".to_owned(),
        "Authorization of user bc to access /sdbm-group failed, reason: user is not part of the 'require'ed group(s)."
            .to_owned(),
        format!(
            "AH01800: Authorization of user lone to access /sdbm-group failed, reason: user doesn't appear in DBM \
             group file ({}).",
            path.display()
        ),
    ] {
        assert!(log.contains(&text), "{text}: {log}");
    }
}

fn committed() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dbm")
}

#[test]
fn tables_that_were_made_before_are_read() {
    let site = Site::new("dbm-kept");
    for entry in fs::read_dir(committed()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        site.write(&format!("dbm/{name}"), fs::read(entry.path()).unwrap());
    }
    ask_all(&site);
}

#[test]
fn tables_that_debians_tools_make_are_read() {
    let (Some(htdbm), Some(httxt2dbm)) = (which("htdbm"), which("httxt2dbm")) else {
        skip("tables_that_debians_tools_make_are_read", "htdbm or httxt2dbm");
        return;
    };
    let site = Site::new("dbm-made");
    site.write("dbm/groups", "bob a,b\nal x:c,b:more\nbc a b\n");
    for (kind, end) in TYPES {
        let keys = |number: usize| {
            let long = if kind == "SDBM" { 300 } else { 900 };
            format!("key{number} value-{}\n", "x".repeat(if number % 50 == 7 { long } else { number % 40 }))
        };
        site.write("dbm/keys", (0..300).map(keys).collect::<String>());
        for table in ["keys", "groups"] {
            let made = Command::new(&httxt2dbm)
                .args(["-f", kind, "-i"])
                .arg(site.path(&format!("dbm/{table}")))
                .arg("-o")
                .arg(site.path(&format!("dbm/{table}.{end}")))
                .output()
                .unwrap();
            assert!(made.status.success(), "{kind} {table}: {made:?}");
        }
        for (how, user) in [("-cm", "bob"), ("-s", "al"), ("-B", "bc"), ("-m", "lone")] {
            let users = site.path(&format!("dbm/users.{end}"));
            let made =
                Command::new(&htdbm).args([&format!("-bT{kind}"), how]).arg(users).args([user, "pw"]).output().unwrap();
            assert!(made.status.success(), "{kind} {user}: {made:?}");
        }
    }
    // The tools keep them to themselves, and the server is somebody else.
    for entry in fs::read_dir(site.path("dbm")).unwrap().map(Result::unwrap) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o644)).unwrap();
    }
    ask_all(&site);
}

#[test]
fn files_that_are_no_tables_are_told_of() {
    let site = Site::new("dbm-broken");
    for name in ["garbage", "garbage.pag", "garbage.dir"] {
        site.write(&format!("dbm/{name}"), "garbage\n");
    }
    for name in ["users.sdbm.pag", "users.sdbm.dir"] {
        site.write(&format!("dbm/{name}"), fs::read(committed().join(name)).unwrap());
    }
    let users = ("SDBM", "dbm/users.sdbm");
    #[rustfmt::skip]
    let cases = [
        // Users, groups, status, the log's words.
        (("SDBM", "dbm/absent"), ("", ""), 500, "(2)No such file or directory: [client @] AH10285: could not open dbm (type SDBM) file: @/dbm/absent"),
        (("DB", "dbm/absent"), ("", ""), 500, "(120002)APR does not understand this error code: [client @] AH10285: could not open dbm (type DB) file: @/dbm/absent"),
        (("GDBM", "dbm/absent"), ("", ""), 500, "(120003)APR does not understand this error code: [client @] AH10285: could not open dbm (type GDBM) file: @/dbm/absent"),
        (("SDBM", "dbm/garbage"), ("", ""), 401, "[client @] AH01618: user bob not found: /case3"),
        (("DB", "dbm/garbage"), ("", ""), 500, "(120022)APR does not understand this error code: [client @] AH10285: could not open dbm (type DB) file: @/dbm/garbage"),
        (("GDBM", "dbm/garbage"), ("", ""), 500, "(120025)APR does not understand this error code: [client @] AH10285: could not open dbm (type GDBM) file: @/dbm/garbage"),
        (("NDBM", "dbm/garbage"), ("", ""), 500, "(20019)DSO load failed: [client @] AH10285: could not open dbm (type NDBM) file: @/dbm/garbage"),
        (("bogus", "dbm/garbage"), ("", ""), 500, "(20019)DSO load failed: [client @] AH10285: could not open dbm (type bogus) file: @/dbm/garbage"),
        (("", ""), ("", ""), 500, "(120002)APR does not understand this error code: [client @] AH10285: could not open dbm (type default) file: (null)"),
        (users, ("SDBM", "dbm/absent"), 500, "(2)No such file or directory: [client @] AH01799: could not open dbm (type SDBM) group access file: @/dbm/absent"),
        (users, ("bogus", "dbm/absent"), 500, "(20019)DSO load failed: [client @] AH01799: could not open dbm (type bogus) group access file: @/dbm/absent"),
        (users, ("SDBM", ""), 401, "[client @] AH01798: No group file was specified in the configuration"),
    ];
    let mut conf = "RewriteEngine On\nHeader always set X \"expr=%{reqenv:V}\"\n".to_owned();
    for (at, (users, groups, ..)) in cases.iter().enumerate() {
        let require = if groups.0.is_empty() { "valid-user" } else { "dbm-group b" };
        conf += &section(&format!("case{at}"), *users, *groups, require);
    }
    for (name, kind) in [("sdbm", "SDBM"), ("db", "DB"), ("gdbm", "GDBM")] {
        conf += &format!("RewriteMap {name} dbm={kind}:{}\n", site.path("dbm/garbage").display());
        conf += &format!("RewriteRule ^/map-{name}$ - [E=V:${{{name}:x|none}}]\n");
    }
    site.httpd_conf(MODULES, &conf);
    let server = site.start();
    let root = site.root().to_str().unwrap().to_owned();
    for (at, (.., want, text)) in cases.iter().enumerate() {
        assert_eq!(status(&server, &format!("/case{at}"), "bob", "pw"), *want, "{text}");
        let log = site.read("logs/error_log");
        let line = log.lines().rfind(|line| line.contains("[client ") && !line.contains("AH01631")).unwrap();
        let (front, rest) = line.split_once("[client ").unwrap();
        let front = front.rsplit_once("] ").map_or("", |(_, status)| status);
        let shown = format!("{front}[client @] {}", rest.split_once("] ").unwrap().1).replace(&root, "@");
        assert_eq!(shown, *text);
    }
    for (name, number) in [("sdbm", None), ("db", Some(120_022)), ("gdbm", Some(120_025))] {
        assert_eq!(server.get(&format!("/map-{name}"), "").header("X").as_deref(), Some("none"));
        if let Some(number) = number {
            let text = format!("AH00656: mod_rewrite: can't open DBM RewriteMap {root}/dbm/garbage");
            let log = site.read("logs/error_log");
            assert!(log.lines().any(|line| line.contains(&format!("({number})")) && line.ends_with(&text)), "{log}");
        }
    }
}
