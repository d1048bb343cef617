//! Who may come without a password (mod_authn_anon), with one of htdigest, or behind a cache of passwords.

use super::support::Site;

#[test]
fn guests_leave_an_address() {
    let site = Site::new("anonymous");
    let auth = "AuthType Basic\nAuthName a\nAuthBasicProvider anon\nRequire valid-user\n";
    let body = format!(
        "<Location /a>\n{auth}Anonymous guest Anonymous\n</Location>\n\
         <Location /b>\n{auth}Anonymous *\nAnonymous_VerifyEmail On\nAnonymous_LogEmail Off\n</Location>\n\
         <Location /c>\n{auth}Anonymous guest\nAnonymous_NoUserId On\nAnonymous_MustGiveEmail Off\n</Location>\n\
         <Location /d>\n{auth}</Location>\nLogLevel authn_anon:info\n"
    );
    site.httpd_conf(&["authn_core", "authn_anon", "auth_basic", "authz_user"], &body);
    for dir in ["a", "b", "c", "d"] {
        site.write(&format!("htdocs/{dir}/x"), "x");
    }
    let server = site.start();
    // The words in base64: user, colon, password.
    for (path, words, want) in [
        ("/a/x", "Z3Vlc3Q6cHc=", 200),
        ("/a/x", "R1VFU1Q6cHc=", 200),
        ("/a/x", "Z3Vlc3Q6", 401),
        ("/a/x", "Ym9iOnB3", 401),
        ("/b/x", "Ym9iOnB3", 401),
        ("/b/x", "Ym9iOmFAYi5jYw==", 200),
        ("/c/x", "Og==", 200),
        ("/c/x", "Z3Vlc3Q6", 200),
        ("/c/x", "Ym9iOnB3", 401),
        ("/d/x", "Z3Vlc3Q6cHc=", 401),
    ] {
        let answer = server.get(path, &format!("Authorization: Basic {words}\r\n"));
        assert_eq!(answer.status, want, "{path} {words}");
    }
    server.log("logs/error_log", |log| log.contains("AH01672: Anonymous: Passwd <pw> Accepted"));
    server.log("logs/error_log", |log| log.contains("AH01618: user bob not found: /a/x"));
}

#[test]
fn passwords_of_htdigest_and_behind_a_cache() {
    let site = Site::new("anonymous-digest");
    let auth = |provider: &str, file: &str| {
        format!(
            "AuthType Basic\nAuthName \"the realm\"\nAuthBasicProvider {provider}\nRequire valid-user\nAuthUserFile {}\n",
            site.path(file).display()
        )
    };
    // htdigest and htpasswd -s, with the password pw.
    site.write(
        "digests",
        "bob:other:00000000000000000000000000000000\nbob:the realm:ea35fab05b5cf3a6880b1cb5e50b9160\n",
    );
    site.write("passwords", "bob:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=\n");
    let body = format!(
        "AuthnCacheSOCache shmcb\n<Location /a>\n{}AuthBasicUseDigestAlgorithm MD5\n</Location>\n\
         <Location /b>\n{}AuthnCacheProvideFor file\n</Location>\n",
        auth("file", "digests"),
        auth("socache file", "passwords")
    );
    let modules = ["authn_core", "socache_shmcb", "authn_socache", "authn_file", "auth_basic", "authz_user"];
    site.httpd_conf(&modules, &body);
    site.write("htdocs/a/x", "x");
    site.write("htdocs/b/x", "x");
    let server = site.start();
    for path in ["/a/x", "/b/x", "/b/x"] {
        // bob:pw, bob:px, al:pw
        for (words, want) in [("Ym9iOnB3", 200), ("Ym9iOnB4", 401), ("YWw6cHc=", 401)] {
            let answer = server.get(path, &format!("Authorization: Basic {words}\r\n"));
            assert_eq!(answer.status, want, "{path} {words}");
        }
    }
}
