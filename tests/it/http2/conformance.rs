//! A conformance suite in the order of RFC 9113 and RFC 7541: what a client sends, right or wrong, and what has to come
//! of it. Over TCP and over TLS, a fresh connection for each.

use super::super::support::{Site, real_httpd};
use super::frames::*;
use super::{MODULES, TLS, certificate, tools};

mod framing;
mod generic;
mod hpack;
mod semantics;

/// What must come of a case.
type Outcome = Result<(), String>;

/// One case: where it is from, and what is done.
struct Case {
    name: &'static str,
    /// Settings of the client.
    settings: &'static [(u16, u32)],
    /// Nothing was said yet, not even the preface.
    bare: bool,
    run: fn(&mut Client) -> Outcome,
}

const fn case(name: &'static str, run: fn(&mut Client) -> Outcome) -> Case {
    Case { name, settings: &[], bare: false, run }
}

const fn bare(name: &'static str, run: fn(&mut Client) -> Outcome) -> Case {
    Case { name, settings: &[], bare: true, run }
}

const fn with(name: &'static str, settings: &'static [(u16, u32)], run: fn(&mut Client) -> Outcome) -> Case {
    Case { name, settings, bare: false, run }
}

fn outcome(event: Event, wanted: &str) -> Outcome {
    match event {
        Event::Frame(_) => Ok(()),
        other => Err(format!("{other:?} in place of {wanted}")),
    }
}

/// A response begins.
fn answered(client: &mut Client, stream: u32) -> Outcome {
    outcome(client.find(|frame| frame.kind == HEADERS && frame.stream == stream), "a response")
}

/// A response ends.
fn served(client: &mut Client, stream: u32) -> Outcome {
    let ends = |frame: &Frame| matches!(frame.kind, HEADERS | DATA) && frame.stream == stream && frame.has(END_STREAM);
    outcome(client.find(ends), "the end of a response")
}

/// The connection lives.
fn pong(client: &mut Client) -> Outcome {
    client.frame(PING, 0, 0, b"tandem!!");
    let ours = |frame: &Frame| frame.kind == PING && frame.has(ACK) && frame.payload == b"tandem!!";
    outcome(client.find(ours), "an answer to PING")
}

/// The connection ends: with one of these codes, or at all.
fn fails(client: &mut Client, codes: &[u32]) -> Outcome {
    ends(client, codes, &[GOAWAY])
}

/// The stream ends with one of these codes, or the connection does.
fn resets(client: &mut Client, codes: &[u32]) -> Outcome {
    ends(client, codes, &[GOAWAY, RST_STREAM])
}

/// As h2spec has it: of what is told with another code it is enough that the connection ends behind it.
fn ends(client: &mut Client, codes: &[u32], kinds: &[u8]) -> Outcome {
    match client.find(|frame| kinds.contains(&frame.kind) && codes.contains(&frame.code())) {
        Event::Nothing => Err(format!("nothing in place of the end with {codes:?}")),
        Event::Closed | Event::Frame(_) => Ok(()),
    }
}

/// What httpd does not do.
const HTTPD_FAILS: [&str; 5] = ["5.1/8:", "5.1/9:", "5.1/11:", "5.1/12:", "5.1.1/2:"];

fn run(name: &str, tls: bool) {
    if !tools(name, &["openssl"]) {
        return;
    }
    let site = Site::new(name);
    certificate(&site);
    site.write("htdocs/index.html", "It works, and goes on for a while.\n");
    site.httpd_conf(MODULES, &format!("Protocols h2 h2c http/1.1\n{}", if tls { TLS } else { "" }));
    let server = site.start();
    let all = [generic::CASES, framing::CASES, semantics::CASES, hpack::CASES];
    let mut failed = Vec::new();
    let mut count = 0;
    for case in all.into_iter().flatten() {
        count += 1;
        let mut client = match case.bare {
            true => Client::bare(server.port, tls),
            false => Client::with(server.port, tls, case.settings),
        };
        client.patience(std::time::Duration::from_secs(2));
        if let Err(why) = (case.run)(&mut client) {
            failed.push(format!("{}: {why}", case.name));
        }
    }
    if real_httpd() {
        failed.retain(|why| !HTTPD_FAILS.iter().any(|case| why.starts_with(case)));
    }
    assert!(failed.is_empty(), "{} of {count} fail:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(count, 146);
}

#[test]
fn a_server_without_tls_conforms() {
    run("h2-conform", false);
}

#[test]
fn a_server_with_tls_conforms() {
    run("h2-conform-tls", true);
}
