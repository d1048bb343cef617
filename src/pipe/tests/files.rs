//! Requests that are mapped to a real file system, and sub-requests.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;
use crate::base::pattern::{Flags, Pattern};
use crate::config::core::{OptionSet, Overrides};

/// A directory that goes away with the test.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("tandem-pipe-{name}-{}", std::process::id()));
        // Left over from a run that was killed.
        let _ = fs::remove_dir_all(&root);
        for dir in ["a/b", "links", "htaccess"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for file in ["a/f", "a/b/g", "htaccess/.htaccess", "htaccess/f"] {
            fs::write(root.join(file), file).unwrap();
        }
        symlink(root.join("a"), root.join("links/a")).unwrap();
        symlink(root.join("nothing"), root.join("links/broken")).unwrap();
        Self(root)
    }

    fn path(&self, rest: &str) -> String {
        self.0.join(rest).to_str().unwrap().to_owned()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Maps into the directory that the server's name is.
fn translate(ex: &mut Exchange) -> Outcome {
    ex.filename = [names::document_root(ex), ex.uri.as_slice()].concat();
    Outcome::Ok
}

/// Says what the request was mapped to and under which values.
fn tell<'a>(ex: &'a mut Exchange, wire: &'a mut dyn Wire) -> Waiting<'a> {
    Box::pin(async move {
        let kind = match &ex.finfo {
            Some(info) if info.is_dir() => "dir",
            Some(_) => "file",
            None => "none",
        };
        let types = ex.dir::<CoreDir>().and_then(|dir| dir.force_type.clone()).unwrap_or_default();
        let told = [kind.as_bytes(), b" ", &types, b" ", &ex.path_info].concat();
        let done = text(ex, wire, &told).await;
        assert!(done.is_ok());
        Outcome::Ok
    })
}

/// The user `u` may, once asked; nobody else.
fn authenticate(ex: &mut Exchange) -> Outcome {
    ex.user = ex.headers_in.get(b"User").map(<[u8]>::to_vec);
    if ex.user.is_some() { Outcome::Ok } else { Outcome::Status(401) }
}

fn authorize(ex: &mut Exchange) -> Outcome {
    if ex.user.as_deref() == Some(b"u") { Outcome::Ok } else { Outcome::Status(403) }
}

fn guarded(_: &Server, dir: &Slots) -> bool {
    dir.get::<CoreDir>().is_some_and(|dir| dir.cgi_pass_auth == Some(true))
}

const fn guard(phase: Phase, run: fn(&mut Exchange) -> Outcome) -> Hook {
    Hook { phase, order: 0, wants: guarded, run: Run::Now(run) }
}

static MODULES: [&Module; 1] = [&module(
    "test_module",
    &[
        hook(Phase::Translate, Run::Now(translate)),
        guard(Phase::AccessEx, |_| Outcome::Declined),
        guard(Phase::Authn, authenticate),
        guard(Phase::Authz, authorize),
        hook(Phase::Handler, Run::Handle(tell)),
    ],
)];

fn kind(kind: SectionKind, path: &str, name: &str) -> Arc<Section> {
    section(kind, path, |dir| dir.force_type = Some(name.into()))
}

fn live_of(tree: &Tree, sections: Vec<Arc<Section>>) -> Rc<Live> {
    let mut main = Server { sections, ..Server::default() };
    main.conf.get_mut::<crate::config::core::CoreServer>().document_root = Some(tree.path("").into());
    main.dir.get_mut::<CoreDir>().allow_override = Some(Overrides { classes: 0, options: 0, nonfatal: 0 });
    let live = live(vec![main], &["authz_core_module"]);
    install_for(&live, &MODULES);
    live
}

fn ask_of(live: &Rc<Live>, head: &str) -> (u16, String) {
    let conn = conn(live);
    let chain = idle_chain(live, 0);
    let mut ex = exchange_with(live, conn, chain, head);
    let mut wire = FakeWire::default();
    now(run(&mut ex, &mut wire));
    (ex.status, wire.body_text())
}

fn get_of(live: &Rc<Live>, path: &str) -> (u16, String) {
    ask_of(live, &format!("GET {path} HTTP/1.1\nHost: a.test"))
}

#[test]
fn directories_hold_from_the_root_down_to_the_file() {
    let tree = Tree::new("walk");
    let mut inner = kind(SectionKind::Directory, &tree.path("a/"), "a");
    Arc::get_mut(&mut inner).unwrap().inner.push(kind(SectionKind::Files, "g", "g"));
    let mut pattern = kind(SectionKind::Directory, "", "match");
    let matching = Arc::get_mut(&mut pattern).unwrap();
    matching.is_match = true;
    matching.matcher = Matcher::Regex(Arc::new(Pattern::new(b"/a/none$", Flags::default()).unwrap()));
    let live = live_of(
        &tree,
        vec![
            pattern,
            kind(SectionKind::Directory, &tree.path("a/b/"), "b"),
            inner,
            kind(SectionKind::Directory, &tree.path("none/deep/"), "deep"),
            kind(SectionKind::Location, "/loc", "loc"),
        ],
    );
    for (path, want) in [
        ("/a", "dir a "),
        ("//.//b/..//a", "dir a "),
        ("/a/", "dir a "),
        ("/a/f", "file a "),
        ("/a/f/x/y", "file a /x/y"),
        ("/a/none", "none match "),
        ("/a/none/x", "none match /x"),
        ("/a/b/g", "file g "),
        ("/a/b/x", "none b "),
        ("/none/deep/x", "none  /deep/x"),
        ("/loc/x", "none loc /x"),
    ] {
        assert_eq!(get_of(&live, path), (200, want.to_owned()), "{path}");
    }
}

#[test]
fn links_are_followed_where_they_may_be_and_lead_somewhere() {
    let tree = Tree::new("links");
    assert_eq!(get_of(&live_of(&tree, vec![]), "/links/a/f"), (200, "file  ".to_owned()));
    assert_eq!(get_of(&live_of(&tree, vec![]), "/links/broken").0, 403);
    let without = |options| {
        let of = section(SectionKind::Directory, &tree.path("links/"), |dir| {
            dir.options = OptionSet { explicit: true, bits: options, add: 0, remove: 0 };
        });
        live_of(&tree, vec![of])
    };
    assert_eq!(get_of(&without(0), "/links/a/f").0, 403);
    assert_eq!(get_of(&without(crate::config::core::options::SYM_LINKS_IF_OWNER), "/links/a/f").0, 200);
}

#[test]
fn a_file_that_may_refuse_the_request_refuses_it_while_it_is_not_read() {
    let tree = Tree::new("override");
    assert_eq!(get_of(&live_of(&tree, vec![]), "/htaccess/f").0, 200);
    let allowing = section(SectionKind::Directory, &tree.path("htaccess/"), |dir| {
        dir.allow_override = Some(Overrides { classes: 1, options: 0, nonfatal: 0 });
    });
    let live = live_of(&tree, vec![allowing]);
    assert_eq!(get_of(&live, "/htaccess/f").0, 500);
    assert_eq!(get_of(&live, "/a/f").0, 200);
}

#[test]
fn who_it_is_is_asked_only_where_access_depends_on_it() {
    let tree = Tree::new("users");
    let guarded = section(SectionKind::Location, "/a", |dir| dir.cgi_pass_auth = Some(true));
    let live = live_of(&tree, vec![guarded]);
    assert_eq!(get_of(&live, "/links").0, 200);
    assert_eq!(get_of(&live, "/a/f").0, 401);
    assert_eq!(ask_of(&live, "GET /a/f HTTP/1.1\nHost: a\nUser: x").0, 403);
    assert_eq!(ask_of(&live, "GET /a/f HTTP/1.1\nHost: a\nUser: u").0, 200);
    let open = idle_chain(&live, 0);
    assert!(open.dir.get::<CoreDir>().is_some(), "values of the server hold without any section");
}

#[test]
fn subrequests_are_mapped_and_judged_like_requests() {
    let tree = Tree::new("lookup");
    let guarded = section(SectionKind::Location, "/a/b", |dir| dir.cgi_pass_auth = Some(true));
    let live = live_of(&tree, vec![guarded, kind(SectionKind::Location, "/a/f", "loc")]);
    let conn = conn(&live);
    let mut ex = exchange_with(&live, conn, idle_chain(&live, 0), "GET /a/f HTTP/1.1\nHost: a.test\nRange: x\nX: y");
    ex.uri = b"/a/f".to_vec();
    ex.filename = tree.path("a/f").into();

    let sub = now(lookup(&ex, b"f?q"));
    assert_eq!((sub.status, sub.uri.as_slice(), sub.args.as_deref()), (200, &b"/a/f"[..], Some(&b"q"[..])));
    assert_eq!(Path::new(std::str::from_utf8(&sub.filename).unwrap()), Path::new(&tree.path("a/f")));
    assert!(sub.finfo.is_some_and(|info| info.is_file()));
    assert_eq!(sub.headers_in.iter().count(), 2, "the range is of the outer resource");

    assert_eq!(now(lookup(&ex, b"/a/b/g")).status, 401);
    assert_eq!(now(lookup(&ex, b"/%zz")).status, 400);
    let sub = now(lookup_file(&ex, b"b"));
    assert_eq!((sub.status, sub.uri.as_slice()), (401, &b"/a/b"[..]), "its path is known, so its Location holds");
    let sub = now(lookup_file(&ex, tree.path("a/b/g").as_bytes()));
    assert_eq!((sub.status, sub.uri.as_slice()), (200, &b""[..]));

    ex.sub_depth = 10;
    assert_eq!(now(lookup(&ex, b"/a/f")).status, 500);
}
