//! The files of `conf/`: each is accepted, and what they serve is served.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Site, real_httpd};

/// The checkout's `conf/`, as a ServerRoot's.
fn stock(name: &str) -> Site {
    let site = Site::new(name);
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    for file in files(&from) {
        let relative = Path::new("conf").join(file.strip_prefix(&from).unwrap());
        site.write(relative.to_str().unwrap(), fs::read(&file).unwrap());
    }
    site
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn every_file_is_accepted() {
    let site = stock("conf");
    for args in [&["-t"][..], &["-t", "-DCLUSTER"]] {
        let verdict = site.run(args);
        assert_eq!((verdict.code, verdict.stderr.as_str()), (Some(0), "Syntax OK\n"), "{args:?}: {verdict:?}");
    }
    // Nothing lies in conf/ that these two runs do not read.
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let mut there: Vec<_> = files(&from).iter().map(|f| f.strip_prefix(&from).unwrap().to_owned()).collect();
    // The files of the system's are read by its programs, in `services`, and the node's by the node, in `node`.
    there.retain(|file| !["logs", "htdocs", "system", "server.xml"].iter().any(|dir| file.starts_with(dir)));
    there.sort();
    assert_eq!(there, ["extra/httpd-vhosts.conf", "httpd.conf", "mime.types"].map(PathBuf::from));
}

/// The modules are in the program: the file needs no directory of module files beside it.
#[test]
fn the_checkout_needs_no_module_files() {
    if real_httpd() {
        return;
    }
    let site = stock("conf-bare");
    fs::remove_file(site.path("modules")).unwrap();
    let verdict = site.run(&["-t", "-DCLUSTER"]);
    assert_eq!((verdict.code, verdict.stderr.as_str()), (Some(0), "Syntax OK\n"));
}

#[test]
fn the_stock_page_is_served_with_its_type() {
    let site = stock("conf-serves");
    let conf = site.read("conf/httpd.conf");
    site.write("conf/httpd.conf", conf.replace("Listen 8080", &format!("Listen 127.0.0.1:{}", site.port)));
    let server = site.start();
    let page = server.get("/", "");
    assert_eq!((page.status, page.body.clone()), (200, fs::read(site.path("conf/htdocs/index.html")).unwrap()));
    assert_eq!(page.header("content-type").as_deref(), Some("text/html"));
    assert_eq!(page.header("x-content-type-options").as_deref(), Some("nosniff"));
    assert_eq!(server.get("/absent", "").status, 404);
    let log = server.log("conf/logs/access_log", |text| text.lines().count() == 2);
    assert!(log.contains("\"GET / HTTP/1.1\" 200 ") && log.contains("\"GET /absent HTTP/1.1\" 404 "), "{log}");
}

/// Each line of the table is a type and the extensions that have it, each extension once.
#[test]
fn mime_types_are_unambiguous() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/mime.types");
    let text = fs::read_to_string(path).unwrap();
    let mut seen = std::collections::BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_ascii_whitespace();
        let media = words.next().unwrap();
        assert_eq!(media.split('/').count(), 2, "{line}");
        for extension in words {
            let before = seen.insert(extension.to_owned(), media.to_owned());
            assert_eq!(before, None, "{extension} is also {media}");
        }
    }
    assert_eq!(seen.get("html").map(String::as_str), Some("text/html"));
}
