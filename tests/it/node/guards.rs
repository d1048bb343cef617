//! Applications with security constraints.

use std::fs;
use std::time::{Duration, SystemTime};

use base64::Engine as _;

use super::Base;
use super::oracle::{Tomcat, compare, raw, server};
use crate::support::{PATIENCE, free_port, skip, wait_for};

const USERS: &str =
    "<tomcat-users xmlns='http://tomcat.apache.org/xml'><role rolename='admin'/><group groupname='g' roles='admin'/>
    <user username='tom' password='tömcat:x' roles='user'/><user username='ann' password='secret' roles='admin,user'/>
    <user username='gil' password='p' groups='g'/><user username='none' password='p' roles='other'/></tomcat-users>";

/// The users' database that the realm of a host names.
const DATABASE: &str = "<GlobalNamingResources><Resource name='UserDatabase' auth='Container' type='org.apache.catalina.UserDatabase'
    factory='org.apache.catalina.users.MemoryUserDatabaseFactory' pathname='conf/tomcat-users.xml'/></GlobalNamingResources>";

const REALM: &str = "<Realm className='org.apache.catalina.realm.LockOutRealm'>\
    <Realm className='org.apache.catalina.realm.UserDatabaseRealm' resourceName='UserDatabase'/></Realm>";

/// A constraint on a pattern.
fn constraint(pattern: &str, methods: &str, who: &str) -> String {
    let roles = |names: &str| names.split(' ').map(|name| format!("<role-name>{name}</role-name>")).collect::<String>();
    let who = match who {
        "open" => String::new(),
        "tls" => "<user-data-constraint><transport-guarantee>CONFIDENTIAL</transport-guarantee></user-data-constraint>"
            .to_owned(),
        "nobody" => "<auth-constraint/>".to_owned(),
        names => format!("<auth-constraint>{}</auth-constraint>", roles(names)),
    };
    format!(
        "<security-constraint><web-resource-collection><web-resource-name>x</web-resource-name><url-pattern>{pattern}</url-pattern>
         {methods}</web-resource-collection>{who}</security-constraint>"
    )
}

fn descriptor(constraints: &[String], rest: &str) -> String {
    let head = "<web-app xmlns='https://jakarta.ee/xml/ns/jakartaee' version='6.0'>";
    format!("{head}{}{rest}</web-app>", constraints.concat())
}

const LOGIN: &str = "<login-config><auth-method>BASIC</auth-method><realm-name>my \"realm\"</realm-name></login-config>
    <security-role><role-name>admin</role-name></security-role><security-role><role-name>user</role-name></security-role>";

const DIRECTORIES: [&str; 14] = [
    "user",
    "user/admin",
    "post",
    "omit",
    "tls",
    "all",
    "any",
    "both",
    "open",
    "mixed",
    "closed",
    "meth",
    "meth/sub",
    "rest",
];

fn prepare(base: &Base) {
    let put = "<http-method>PUT</http-method><http-method>POST</http-method>";
    let of = |pattern: &str, who: &str| constraint(pattern, "", who);
    let constraints = [
        of("/user/*", "user"),
        of("/user/admin/*", "admin"),
        of("/exact.txt", "admin"),
        of("*.deny", "nobody"),
        constraint("/post/*", put, "user"),
        constraint("/omit/*", "<http-method-omission>GET</http-method-omission>", "nobody"),
        of("/tls/*", "tls"),
        of("/all/*", "*"),
        of("/any/*", "**"),
        of("/both/*", "user"),
        of("/both/*", "admin"),
        of("/open/*", "open"),
        of("/mixed/*", "user"),
        of("/mixed/*", "open"),
        of("/closed/*", "user"),
        of("/closed/*", "nobody"),
        constraint("/meth/sub/*", put, "nobody"),
        of("/meth/*", "user"),
        constraint("*.ext", put, "nobody"),
    ];
    base.write("conf/tomcat-users.xml", USERS);
    base.write("conf/resources", DATABASE);
    base.write("webapps/app/WEB-INF/web.xml", &descriptor(&constraints, LOGIN));
    base.write("webapps/nologin/WEB-INF/web.xml", &descriptor(&[of("/*", "user")], ""));
    for dir in DIRECTORIES {
        for extension in ["deny", "ext"] {
            let path = format!("webapps/app/{dir}/x.{extension}");
            base.write(&path, "x\n");
            let file = fs::File::options().write(true).open(base.dir.path().join(path)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)).unwrap();
        }
    }
}

fn basic(user: &str, password: &[u8]) -> String {
    let pair = [user.as_bytes(), b":", password].concat();
    format!("Authorization: Basic {}\r\n", base64::engine::general_purpose::STANDARD.encode(pair))
}

fn request(method: &str, target: &str, fields: &str) -> String {
    let body = if matches!(method, "POST" | "PUT") { "Content-Length: 0\r\n" } else { "" };
    format!("{method} {target} HTTP/1.1\r\nHost: a:99\r\n{fields}{body}Connection: close\r\n\r\n")
}

/// Who may ask for what, and what the others are told.
#[test]
fn constraints_are_enforced_as_tomcat_does() {
    let Some(tomcat) = Tomcat::start(REALM, prepare) else {
        return skip("constraints_are_enforced_as_tomcat_does", "tomcat10 or a Java runtime");
    };
    let ours = Base { http: free_port(), ..Base::new() };
    prepare(&ours);
    ours.write("conf/server.xml", &server(&ours, REALM));
    let _running = ours.start();
    let ann = basic("ann", b"secret");
    let mut requests = vec![
        // In UTF-8, which Tomcat does not ask for, and in what it does.
        request("GET", "/app/user/x.deny", &basic("tom", "tömcat:x".as_bytes())),
        request("GET", "/app/user/x.deny", &basic("tom", b"t\xf6mcat:x")),
        request("GET", "/app/user/none", &basic("ann", b"wrong")),
        request("GET", "/app/user/none", &basic("nobody", b"")),
        request("GET", "/app/user/none", &ann.replace("Basic", "bAsic")),
        request("GET", "/app/user/none", &ann.replace("Basic ", "Basic  ")),
        request("GET", "/app/user/none", &ann.replace('=', "")),
        request("GET", "/app/user/none", &format!("{}{ann}", basic("ann", b"wrong"))),
        request("GET", "/app/user/none", &basic(" ann ", b" secret ")),
        request("GET", "/app/user/none", "Authorization: Basic !!!\r\n"),
        request("GET", "/app/user/none", "Authorization: Basic YW5u\r\n"),
        request("GET", "/app/user/none", "Authorization: Bearer x\r\n"),
        request("GET", "/app/user/none", "Authorization: \r\n"),
        request("GET", "/app/tls/x?a=b;c", ""),
        request("GET", "/app/tls/x;jsessionid=AA?q", ""),
        request("GET", "/app/tls/%20%c3%a4?x=%41", ""),
        "GET /app/tls/x HTTP/1.0\r\nHost: a\r\n\r\n".to_owned(),
        request("GET", "/app/user/x.deny", &format!("{ann}If-None-Match: *\r\n")),
    ];
    let mut targets: Vec<String> = DIRECTORIES.map(|dir| format!("/app/{dir}/none")).to_vec();
    targets.extend(
        [
            "/app",
            "/app/",
            "/app/user",
            "/app/user/",
            "/app/exact.txt",
            "/app/exact.txt/",
            "/app/x.deny",
            "/app/none.ext",
            "/app/meth/sub/x.deny",
            "/app/%75ser/x",
            "/app/./user/x",
            "/app/a/../user/x",
            "/app;a=b/user;x/x",
            "/app//user/x",
            "/app/USER/x",
            "/app/WEB-INF/web.xml",
            "/nologin",
            "/nologin/",
            "/nologin/x",
            "/user/x",
        ]
        .map(str::to_owned),
    );
    for target in &targets {
        // A HEAD tells the length of the page that explains an error, which is another here.
        for method in ["GET", "POST", "PUT", "OPTIONS", "FOO"] {
            for fields in ["", &ann, &basic("tom", b"t\xf6mcat:x"), &basic("gil", b"p"), &basic("none", b"p")] {
                requests.push(request(method, target, fields));
            }
        }
    }
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    compare(&tomcat, &ours, &requests);
}

/// Files of users are read again; who fails too often waits; what all applications are told holds for the session page.
#[test]
fn users_come_from_files() {
    let base = Base { http: free_port(), ..Base::new() };
    // SHA-256 of `secret`.
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let users = |names: &[&str]| {
        let of = |name: &&str| format!("<user name='{name}' password='{digest}' roles='user'/>");
        format!("<tomcat-users>{}</tomcat-users>", names.iter().map(of).collect::<String>())
    };
    base.write("conf/people.xml", &users(&["ann", "eve"]));
    base.write("conf/web.xml", &descriptor(&[constraint("/*", "", "user")], LOGIN));
    let realm = "<Realm className='org.apache.catalina.realm.LockOutRealm' failureCount='3'>\
        <Realm className='org.apache.catalina.realm.MemoryRealm' pathname='conf/people.xml'>\
        <CredentialHandler className='org.apache.catalina.realm.MessageDigestCredentialHandler' algorithm='SHA-256'/></Realm></Realm>";
    let text = server(&base, realm).replace("<Engine ", "<Engine backgroundProcessorDelay='1' ");
    base.write("conf/server.xml", &text);
    let _running = base.start();
    let status = |user: &str, password: &str| {
        let answer = raw(base.http, &request("GET", "/cluster/", &basic(user, password.as_bytes())));
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!([status("ann", "secret"), status("ann", digest), status("bob", "secret")], ["200", "401", "401"]);
    (0..3).for_each(|_| assert_eq!(status("ann", "wrong"), "401"));
    assert_eq!(status("ann", "secret"), "401", "too many tries");
    assert!(base.log().contains("An attempt was made to authenticate the locked user [ann]"), "{}", base.log());
    // Whoever is not in the file any more may have tried while it was read.
    base.write("conf/people.xml", &users(&["ann"]));
    wait_for("the new file", PATIENCE, || (status("eve", "secret") == "401").then_some(()));
}

/// What cannot be enforced is not served.
#[test]
fn applications_that_ask_for_more_are_not_started() {
    let base = Base { http: free_port(), ..Base::new() };
    let one = |name: &str, pattern: &str, who: &str, login: &str| {
        let login = format!("<login-config><auth-method>{login}</auth-method></login-config>");
        base.write(&format!("webapps/{name}/WEB-INF/web.xml"), &descriptor(&[constraint(pattern, "", who)], &login));
        base.write(&format!("webapps/{name}/x.txt"), "x");
    };
    one("form", "/admin/*", "user", "FORM");
    one("digest", "/admin/*", "user", "DIGEST");
    one("shut", "/admin/*", "nobody", "FORM");
    one("basic", "/admin/*", "user", "BASIC");
    base.write("webapps/uncovered/WEB-INF/web.xml", &descriptor(&[], "<deny-uncovered-http-methods/>"));
    base.write("webapps/uncovered/x.txt", "x");
    base.write("conf/server.xml", &server(&base, "<Realm className='org.apache.catalina.realm.JNDIRealm'/>"));
    let _running = base.start();
    let log = fs::read_to_string(base.dir.path().join("logs/out")).unwrap();
    let status =
        |path: &str| raw(base.http, &request("GET", path, "")).split(' ').nth(1).unwrap_or_default().to_owned();
    for (name, why) in [
        ("form", "the auth-method [FORM] is not supported here"),
        ("digest", "the auth-method [DIGEST] is not supported here"),
        ("basic", "users cannot be told apart: [JNDIRealm] is not supported here"),
        ("uncovered", "its web.xml has a [deny-uncovered-http-methods]"),
    ] {
        let line = log.lines().find(|line| line.contains(&format!("The context [/{name}] is not started: ")));
        assert!(line.is_some_and(|line| line.contains(why)), "{name}: {log}");
        assert_eq!(status(&format!("/{name}/x.txt")), "404");
    }
    // Whom nobody has to tell apart may be shut out.
    assert_eq!([status("/shut/x.txt"), status("/shut/admin/x")], ["200", "403"]);
}
