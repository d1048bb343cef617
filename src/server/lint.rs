//! `-D LINT`: what is legal and still hardly meant.

use crate::config::latin1;
use crate::lang::{Node, get_word, get_words};

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    file: String,
    line: u32,
    text: String,
}

/// The findings as lines, in the order of the files.
pub(super) fn report(tree: &[Node]) -> String {
    let mut findings = Vec::new();
    let ports = ports(tree);
    server(tree, &mut findings);
    let mut hosts: Vec<Host> = Vec::new();
    each_section(tree, b"<VirtualHost", &mut |node| {
        server(&node.children, &mut findings);
        host(node, &ports, &mut hosts, &mut findings);
    });
    findings.iter().map(|found| format!("lint: {}:{}: {}\n", found.file, found.line, found.text)).collect()
}

fn is(node: &Node, name: &str) -> bool {
    node.name.eq_ignore_ascii_case(name.as_bytes())
}

fn found(node: &Node, text: String) -> Finding {
    Finding { file: node.file.to_string(), line: node.line, text }
}

/// What stands in a section's head, without the bracket that closes it.
fn head(node: &Node) -> &[u8] {
    let text = node.args.trim_ascii_end();
    text.strip_suffix(b">").unwrap_or(text).trim_ascii()
}

fn each_section<'t>(tree: &'t [Node], name: &[u8], each: &mut dyn FnMut(&'t Node)) {
    for node in tree {
        if node.name.eq_ignore_ascii_case(name) {
            each(node);
        } else {
            each_section(&node.children, name, each);
        }
    }
}

/// One `ProxyPass` of a server.
struct Pass<'t> {
    node: &'t Node,
    path: Vec<u8>,
    target: Vec<u8>,
}

/// What one server's own directives say.
fn server(nodes: &[Node], findings: &mut Vec<Finding>) {
    let mut passes: Vec<Pass<'_>> = Vec::new();
    for node in nodes.iter().filter(|node| is(node, "ProxyPass")) {
        let words = get_words(&node.args);
        let [path, target, ..] = words.as_slice() else { continue };
        if path == b"~" {
            continue;
        }
        shadowed(&passes, node, path, target, findings);
        slashes(node, path, target, findings);
        passes.push(Pass { node, path: path.clone(), target: target.clone() });
    }
    for node in nodes.iter().filter(|node| is(node, "ProxyPassReverse")) {
        let words = get_words(&node.args);
        let [path, target, ..] = words.as_slice() else { continue };
        let known = passes.iter().any(|pass| pass.path == *path || same_backend(&pass.target, target));
        if !known {
            let text = format!(
                "ProxyPassReverse {} changes answers of {}, to which no ProxyPass of this server leads",
                latin1(path),
                latin1(target)
            );
            findings.push(found(node, text));
        }
    }
    for node in nodes {
        if is(node, "<Location") {
            location(node, findings);
        }
        if is(node, "<Proxy") {
            balancer(node, nodes, findings);
        }
    }
}

fn shadowed(passes: &[Pass<'_>], node: &Node, path: &[u8], target: &[u8], findings: &mut Vec<Finding>) {
    let Some(first) = passes.iter().find(|pass| covers(&pass.path, path)) else { return };
    let text = if target == b"!" {
        format!(
            "this exclusion of {} is never looked at: {} on line {} takes it first; put the exclusion in front",
            latin1(path),
            latin1(&first.path),
            first.node.line
        )
    } else {
        let advice = if first.path == path { "one of the two is not needed" } else { "put the longer path in front" };
        format!(
            "this ProxyPass {} is never reached: {} on line {} takes it first; {advice}",
            latin1(path),
            latin1(&first.path),
            first.node.line
        )
    };
    findings.push(found(node, text));
}

/// Whether every path that `inner` matches is matched by `outer`: a prefix that ends with a segment.
fn covers(outer: &[u8], inner: &[u8]) -> bool {
    let Some(rest) = inner.strip_prefix(outer) else { return false };
    rest.is_empty() || outer.last() == Some(&b'/') || rest.first() == Some(&b'/')
}

fn slashes(node: &Node, path: &[u8], target: &[u8], findings: &mut Vec<Finding>) {
    if target == b"!" || target.contains(&b'|') || path == b"/" {
        return;
    }
    let Some(after) = memchr::memmem::find(target, b"://").and_then(|at| target.get(at + 3..)) else { return };
    let has_path = after.contains(&b'/');
    let (left, right) = (path.last() == Some(&b'/'), after.last() == Some(&b'/'));
    if left == right || !(has_path || left) {
        return;
    }
    let text = format!(
        "only one of {} and {} ends in a slash: what is left of the path is put behind the target as it is, so {}",
        latin1(path),
        latin1(target),
        if left { "segments run together" } else { "a slash is doubled" }
    );
    findings.push(found(node, text));
}

fn same_backend(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (a.strip_suffix(b"/").unwrap_or(a), b.strip_suffix(b"/").unwrap_or(b));
    a.eq_ignore_ascii_case(b) || covers(a, b) || covers(b, a)
}

fn location(node: &Node, findings: &mut Vec<Finding>) {
    let (path, _) = get_word(head(node));
    let pattern = path == b"~" || path.iter().any(|byte| b"*?[".contains(byte));
    if !pattern && path.first() != Some(&b'/') && memchr::memmem::find(&path, b"://").is_none() {
        let text = format!("<Location {}> never matches: the path of a request begins with a slash", latin1(&path));
        findings.push(found(node, text));
    }
}

/// The parameters of a line, lower case names.
fn has_parameter(args: &[u8], name: &str) -> bool {
    get_words(args).iter().any(|word| {
        word.split(|byte| *byte == b'=').next().is_some_and(|key| key.eq_ignore_ascii_case(name.as_bytes()))
            && word.contains(&b'=')
    })
}

fn balancer(node: &Node, around: &[Node], findings: &mut Vec<Finding>) {
    let (url, _) = get_word(head(node));
    if !url.to_ascii_lowercase().starts_with(b"balancer://") {
        return;
    }
    let name = url.strip_suffix(b"/").unwrap_or(&url);
    let of_it = |other: &&Node| {
        is(other, "ProxyPass")
            && get_words(&other.args).get(1).is_some_and(|target| target.to_ascii_lowercase().starts_with(name))
    };
    let sticky = has_parameter(head(node), "stickysession")
        || node.children.iter().any(|inner| is(inner, "ProxySet") && has_parameter(&inner.args, "stickysession"))
        || around.iter().filter(of_it).any(|pass| has_parameter(&pass.args, "stickysession"));
    if !sticky {
        return;
    }
    for member in node.children.iter().filter(|inner| is(inner, "BalancerMember")) {
        if !has_parameter(&member.args, "route") {
            let (who, _) = get_word(&member.args);
            let text =
                format!("member {} has no route, so sessions of {} do not stick to it", latin1(&who), latin1(name));
            findings.push(found(member, text));
        }
    }
}

/// The ports of all `Listen` lines.
fn ports(tree: &[Node]) -> Vec<Vec<u8>> {
    let mut ports = Vec::new();
    for node in tree {
        if is(node, "Listen") {
            let (word, _) = get_word(&node.args);
            ports.push(word.rsplit(|byte| *byte == b':').next().unwrap_or_default().to_vec());
        }
        ports.extend(self::ports(&node.children));
    }
    ports
}

/// One virtual host: its addresses, and its names.
struct Host {
    addresses: Vec<Vec<u8>>,
    names: Vec<Vec<u8>>,
    line: u32,
    file: String,
}

fn host(node: &Node, ports: &[Vec<u8>], hosts: &mut Vec<Host>, findings: &mut Vec<Finding>) {
    let addresses = get_words(head(node));
    for address in &addresses {
        let port = address.rsplit(|byte| *byte == b':').next().unwrap_or_default();
        let written = address.contains(&b':') && !port.is_empty() && port.iter().all(u8::is_ascii_digit);
        if written && !ports.is_empty() && !ports.iter().any(|listened| listened == port) {
            let text = format!("<VirtualHost {}>: nothing listens on port {}", latin1(address), latin1(port));
            findings.push(found(node, text));
        }
    }
    let mut names = Vec::new();
    for inner in &node.children {
        if is(inner, "ServerName") || is(inner, "ServerAlias") {
            names.extend(get_words(&inner.args).iter().map(|name| name.to_ascii_lowercase()));
        }
    }
    let taken = hosts.iter().find(|earlier| {
        earlier.addresses == addresses && !names.is_empty() && names.iter().all(|name| earlier.names.contains(name))
    });
    if let Some(earlier) = taken {
        let text = format!(
            "this <VirtualHost> is never chosen: the one on line {} of {} has the same addresses and all of its names",
            earlier.line, earlier.file
        );
        findings.push(found(node, text));
    }
    hosts.push(Host { addresses, names, line: node.line, file: node.file.to_string() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_cover_whole_segments() {
        assert!(covers(b"/", b"/a") && covers(b"/a", b"/a/b") && covers(b"/a", b"/a") && covers(b"/a/", b"/a/b"));
        assert!(!covers(b"/a", b"/ab") && !covers(b"/a/b", b"/a"));
    }
}
