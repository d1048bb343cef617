use std::collections::BTreeSet;
use std::net::IpAddr;

use super::*;
use crate::base::path::escape_errorlog;

/// The request of the observations.
struct Observed;

impl Vars for Observed {
    fn var(&self, var: Var, out: &mut Vec<u8>) {
        let value: &[u8] = match var {
            Var::RemoteAddr | Var::RemoteHost => b"127.0.0.1",
            Var::RequestScheme => b"http",
            Var::RequestStatus => b"200",
            Var::ServerName => b"a.test",
            Var::Http2 | Var::Https | Var::Ipv6 => b"off",
            Var::IsSubreq => b"false",
            _ => b"",
        };
        out.extend_from_slice(value);
    }

    fn request_header(&self, name: &[u8], out: &mut Vec<u8>) {
        if name.eq_ignore_ascii_case(b"host") {
            out.extend_from_slice(b"a.test");
        } else if name.eq_ignore_ascii_case(b"x-foo") {
            out.extend_from_slice(b"foo");
        }
    }

    fn response_header(&self, name: &[u8], out: &mut Vec<u8>) {
        if name == b"Set" {
            out.extend_from_slice(b"yes");
        }
    }

    fn note(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        let found = name == b"NOTE";
        if found {
            out.extend_from_slice(b"noted");
        }
        found
    }

    fn env(&self, name: &[u8], out: &mut Vec<u8>) -> bool {
        let found = name == b"FOO";
        if found {
            out.extend_from_slice(b"bar");
        }
        found
    }

    fn os_env(&self, name: &[u8], out: &mut Vec<u8>) {
        if name == b"PATH" {
            out.extend_from_slice(b"/bin");
        }
    }

    fn client(&self) -> Option<IpAddr> {
        Some(IpAddr::from([127, 0, 0, 1]))
    }

    fn file_is(&self, test: FileTest, path: &[u8]) -> bool {
        match path {
            b"/etc" => matches!(test, FileTest::Exists | FileTest::Directory | FileTest::Executable),
            b"/etc/passwd" => matches!(test, FileTest::Exists | FileTest::Regular | FileTest::NotEmpty),
            b"/link" => test == FileTest::Symlink,
            _ => false,
        }
    }

    fn lookup(&self, lookup: Lookup, target: &[u8]) -> bool {
        match lookup {
            Lookup::File => target == b"/etc/passwd",
            Lookup::Uri => target != b"/deny",
        }
    }

    fn read_file(&self, path: &[u8], out: &mut Vec<u8>) -> Result<(), EvalError> {
        if path != b"/x" {
            return Err(EvalError::OpenFile(path.to_vec()));
        }
        out.extend_from_slice(b"text");
        Ok(())
    }

    fn file_size(&self, path: &[u8]) -> u64 {
        if path == b"/x" { 4 } else { 0 }
    }

    fn ssl(&self, name: &[u8], out: &mut Vec<u8>) {
        if name == b"SSL_PROTOCOL" {
            out.extend_from_slice(b"TLSv1.3");
        }
    }
}

fn truth(text: &str) -> Result<bool, EvalError> {
    let expr = Expr::parse(text.as_bytes(), Options::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    expr.eval(&Observed, &mut Scratch::new())
}

fn value(text: &str) -> Result<String, EvalError> {
    let template =
        Template::parse(text.as_bytes(), Options::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut out = Vec::new();
    template.eval(&Observed, &mut Scratch::new(), &mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with("# What") && !line.starts_with("# GET"))
}

/// Text by text, what httpd says when it loads the expression.
#[test]
fn loads_and_refuses_as_observed() {
    let mut wrong = Vec::new();
    for row in rows(include_str!("../../tests/expr/parse.tsv")) {
        let mut columns = row.splitn(3, '\t');
        let (Some(kind), Some(text), Some(want)) = (columns.next(), columns.next(), columns.next()) else {
            panic!("bad row {row:?}");
        };
        let error = match kind {
            "B" => Expr::parse(text.as_bytes(), Options::default()).err(),
            _ => Template::parse(text.as_bytes(), Options::default()).err(),
        };
        let mut said = Vec::new();
        match error {
            Some(error) => escape_errorlog(&error.message, &mut said),
            None => said.extend_from_slice(b"OK"),
        }
        if said != want.as_bytes() {
            wrong.push(format!("{kind} {text}\n  httpd {want}\n  we    {}", String::from_utf8_lossy(&said)));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// Text by text, what httpd answered.
#[test]
fn evaluates_as_observed() {
    let mut wrong = Vec::new();
    for row in rows(include_str!("../../tests/expr/eval.tsv")) {
        let mut columns = row.splitn(3, '\t');
        let (kind, text) = (columns.next().unwrap(), columns.next().unwrap());
        let good = match kind {
            "T" => truth(text) == Ok(true),
            "F" => truth(text) == Ok(false),
            "E" => truth(text) == Err(EvalError::Recursion),
            _ => value(text).as_deref() == Ok(columns.next().unwrap()),
        };
        if !good {
            let got = if kind == "V" { format!("{:?}", value(text)) } else { format!("{:?}", truth(text)) };
            wrong.push(format!("{row}: {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn asks_about_files_and_subrequests() {
    for (text, want) in [
        ("-f '/etc/passwd'", true),
        ("-d '/etc'", true),
        ("-d '/etc/passwd'", false),
        ("-e '/nope'", false),
        ("-s '/etc'", false),
        ("-x '/etc'", true),
        ("-L '/link'", true),
        ("-h '/link'", true),
        ("-F '/etc/passwd'", true),
        ("-F '/nope'", false),
        ("-U '/deny'", false),
        ("-A '/nope'", true),
        ("osenv('PATH') != ''", true),
        ("env('PATH') == '/bin'", true),
        ("env('NOTE') == 'noted'", true),
        ("reqenv('PATH') == ''", true),
        ("resp('Set') == 'yes'", true),
        ("filesize('/x') -eq 4 && file('/x') == 'text'", true),
    ] {
        assert_eq!(truth(text), Ok(want), "{text}");
    }
    assert_eq!(value("%{file:/nope}"), Err(EvalError::OpenFile(b"/nope".to_vec())));
    assert_eq!(EvalError::OpenFile(b"/nope".to_vec()).to_string(), "Cannot open file /nope");
    assert_eq!(
        value("%{md5:abc} %{sha1:abc}").unwrap(),
        "900150983cd24fb0d6963f7d28e17f72 a9993e364706816aba3e25717850c26c9cd0d89d"
    );
}

#[test]
fn collects_headers_for_vary_once_and_without_host() {
    let text = "%{HTTP_HOST} == 'x' || %{HTTP:X-A} == 'x' || -n %{HTTP_ACCEPT} || req('x-a') == 'q' || req_novary('x-c') == 'x' \
                || (false && req('x-f') == 'x') || \"%{tolower:%{req:x-g}}\" == 'x'";
    let expr = Expr::parse(text.as_bytes(), Options::default()).unwrap();
    let mut scratch = Scratch::new();
    assert_eq!(expr.eval(&Observed, &mut scratch), Ok(false));
    assert_eq!(scratch.take_vary(), [&b"X-A"[..], b"Accept", b"x-g"]);
    assert!(scratch.take_vary().is_empty());
}

#[test]
fn groups_outlive_the_evaluation_until_the_next() {
    let mut scratch = Scratch::new();
    let expr = Expr::parse(b"%{HTTP_HOST} =~ /^(a)\\.(t)/", Options::default()).unwrap();
    assert_eq!(expr.eval(&Observed, &mut scratch), Ok(true));
    assert_eq!((scratch.group(2), scratch.group(3)), (&b"t"[..], &b""[..]));
    let template = Template::parse(b"<$1$2>", Options::default()).unwrap();
    let mut out = Vec::new();
    template.eval_after(&Observed, &mut scratch, &mut out).unwrap();
    template.eval(&Observed, &mut scratch, &mut out).unwrap();
    assert_eq!(out, b"<at><>");
}

#[test]
fn tls_names_exist_only_with_mod_ssl() {
    let text = b"%{SSL_PROTOCOL} == 'TLSv1.3' && %{SSL:SSL_PROTOCOL} == 'TLSv1.3'";
    assert!(Expr::parse(text, Options::default()).is_err());
    let expr = Expr::parse(text, Options { ssl: true, ..Options::default() }).unwrap();
    assert_eq!(expr.eval(&Observed, &mut Scratch::new()), Ok(true));
}

#[test]
fn constant_templates_are_known() {
    let constant = |text: &[u8]| Template::parse(text, Options::default()).unwrap().constant().map(<[u8]>::to_vec);
    assert_eq!(constant(b"50%% of \\%{X}"), Some(b"50%% of %{X}".to_vec()));
    assert_eq!(constant(b"%{HTTP_HOST}"), None);
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for (open, close) in [("(", ")"), ("tolower(", ")"), ("'%{tolower:", "}'")] {
        let text = [open.repeat(100_000), "'a'".into(), close.repeat(100_000)].concat();
        assert!(Expr::parse(text.as_bytes(), Options::default()).is_err());
    }
    let long = vec!["-n 'a'"; 100_000].join(" && ");
    assert_eq!(truth(&long), Ok(true));
    assert_eq!(truth(&format!("{}true", "!".repeat(100_000))), Ok(true));
}

/// Every production of the grammar is at its parser, and every parser's is in the grammar.
#[test]
fn the_grammar_names_its_parsers() {
    let grammar = include_str!("../../grammar/expr.ebnf");
    let productions: BTreeSet<&str> = grammar
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter_map(|line| Some(line.split_once('=')?.0.trim()))
        .collect();
    let sources = [include_str!("parse.rs"), include_str!("token.rs")];
    let tagged: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.trim().strip_prefix("/// grammar: "))
        .collect();
    assert!(productions.len() > 10);
    assert_eq!(productions, tagged);
}

proptest::proptest! {
    #[test]
    fn never_panics(text in proptest::collection::vec(proptest::sample::select(b"'\"%{}:$1a(),.!&|=~/<>-nin \\#m\xc3".to_vec()), 0..60)) {
        let mut out = Vec::new();
        if let Ok(expr) = Expr::parse(&text, Options::default()) {
            let _ = expr.eval(&Observed, &mut Scratch::new());
        }
        if let Ok(template) = Template::parse(&text, Options::default()) {
            let _ = template.eval(&Observed, &mut Scratch::new(), &mut out);
        }
    }
}
