//! server.xml and context.xml: text to components, through the tables of `components` and `classes`.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};

use super::classes::{self, Class, State};
use super::components::{self, Attribute, Component, Kind, Named, Position};

/// Elements nested deeper than this are refused: the reader calls itself for each level.
const DEEPEST: usize = 64;

/// What `${name}` stands for.
#[derive(Clone, Debug, Default)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Sets one; the last one counts.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// Sets one unless it is set.
    pub fn set_default(&mut self, name: &str, value: &str) {
        self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Adds those of a `.properties` file that are not set yet: `#` and `!` begin comments, a `\` at its end continues a line.
    pub fn read(&mut self, text: &str) {
        let mut line = String::new();
        for piece in text.lines() {
            let piece = piece.trim_start();
            if line.is_empty() && piece.starts_with(['#', '!']) {
                continue;
            }
            if let Some(continued) = piece.strip_suffix('\\') {
                line.push_str(continued);
                continue;
            }
            line.push_str(piece);
            if let Some((name, value)) = line.split_once(['=', ':']) {
                let value = self.replace(value.trim());
                self.set_default(name.trim(), &value);
            }
            line.clear();
        }
    }

    /// A text with `${name}` and `${name:-default}` replaced; what is unknown stays as written.
    pub fn replace(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find("${") {
            let (before, after) = rest.split_at(at);
            out.push_str(before);
            let Some(end) = after.find('}') else {
                rest = after;
                break;
            };
            let (whole, behind) = after.split_at(end + 1);
            let inner = whole.trim_start_matches("${").trim_end_matches('}');
            let (name, default) = match inner.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            // Tomcat looks for the whole text first: a name may hold ":-".
            out.push_str(self.get(inner).or_else(|| self.get(name)).or(default).unwrap_or(whole));
            rest = behind;
        }
        out.push_str(rest);
        out
    }
}

/// What was odd but does not keep the server from starting: who says it, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The method Tomcat's line names.
    pub source: &'static str,
    /// The text.
    pub text: String,
}

/// Why a file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{}:{}: {text}", at.line, at.column)]
pub struct Refusal {
    /// The file.
    pub file: String,
    /// Where in it.
    pub at: Position,
    /// Why.
    pub text: String,
}

/// A file that was read.
#[derive(Debug)]
pub struct Read {
    /// Its outermost element.
    pub root: Component,
    /// What was odd.
    pub notices: Vec<Notice>,
}

/// Reads a file whose outermost element is `root`.
///
/// # Errors
/// Everything that refuses it: XML that is not well-formed, or each class that is not known or not to be run without.
pub fn read(file: &str, text: &str, root: &str, properties: &Properties) -> Result<Read, Vec<Refusal>> {
    let options = ParsingOptions { allow_dtd: true, nodes_limit: 200_000, ..ParsingOptions::default() };
    let refusal = |at, text| Refusal { file: file.to_owned(), at, text };
    let document = Document::parse_with_options(text, options).map_err(|error| {
        let at = error.pos();
        vec![refusal(Position { line: at.row, column: at.col }, error.to_string())]
    })?;
    let mut reader = Reader { file, document: &document, properties, notices: Vec::new(), refusals: Vec::new() };
    let element = document.root_element();
    let read = match components::find(Kind::Document, element.tag_name().name()) {
        Some(place) if place.element == root => reader.element(element, place, root.to_owned(), 0),
        _ => {
            let text = format!("the outermost element is [{}], not [{root}]", element.tag_name().name());
            reader.refuse(reader.position(element.range().start), text);
            None
        }
    };
    match read {
        Some(root) if reader.refusals.is_empty() => Ok(Read { root, notices: reader.notices }),
        _ => Err(reader.refusals),
    }
}

struct Reader<'a, 'input> {
    file: &'a str,
    document: &'a Document<'input>,
    properties: &'a Properties,
    notices: Vec<Notice>,
    refusals: Vec<Refusal>,
}

impl<'a, 'input> Reader<'a, 'input> {
    fn position(&self, offset: usize) -> Position {
        let at = self.document.text_pos_at(offset);
        Position { line: at.row, column: at.col }
    }

    fn refuse(&mut self, at: Position, text: String) {
        self.refusals.push(Refusal { file: self.file.to_owned(), at, text });
    }

    fn notice(&mut self, source: &'static str, text: String) {
        self.notices.push(Notice { source, text });
    }

    fn element(
        &mut self,
        node: Node<'a, 'input>,
        place: &'static components::Place,
        path: String,
        depth: usize,
    ) -> Option<Component> {
        let at = self.position(node.range().start);
        if depth > DEEPEST {
            self.refuse(at, format!("elements are nested more than {DEEPEST} deep"));
            return None;
        }
        let class = self.class(node, place, &path, at)?;
        let mut component = Component {
            kind: place.kind,
            class,
            path,
            attributes: Vec::new(),
            children: Vec::new(),
            body: self.properties.replace(node.text().unwrap_or_default()),
            at,
        };
        for attribute in node.attributes() {
            let value = self.properties.replace(attribute.value());
            let (name, at) = (attribute.name(), self.position(attribute.range().start));
            self.attribute(&mut component, Attribute { name: name.to_owned(), value, at });
        }
        for child in node.children().filter(Node::is_element) {
            let name = child.tag_name().name();
            let path = format!("{}/{name}", component.path);
            match components::find(component.kind, name) {
                Some(place) => {
                    let read = self.element(child, place, path, depth + 1);
                    component.children.extend(read);
                }
                // Resources and their like are read for nothing but their presence.
                None if matches!(component.kind, Kind::Free | Kind::OpenSslConf) => {}
                None => {
                    let text = format!("No rules found matching [{path}]");
                    self.notice("org.apache.tomcat.util.digester.Digester.endElement", text);
                }
            }
        }
        self.check(&component);
        Some(component)
    }

    /// The class of an element; a refusal if there is none.
    fn class(
        &mut self,
        node: Node<'a, 'input>,
        place: &components::Place,
        path: &str,
        at: Position,
    ) -> Option<&'static Class> {
        let written = node.attribute_node("className");
        let name = match (&written, place.class) {
            (_, Named::Not) => "".to_owned(),
            (Some(written), _) => self.properties.replace(written.value()),
            (None, Named::By(name)) => name.to_owned(),
            (None, Named::Required) => {
                self.refuse(at, format!("No class name specified in attribute [className] of [{path}]"));
                return None;
            }
        };
        let at = written.map_or(at, |written| self.position(written.range().start));
        let Some(class) = classes::find(place.kind, &name) else {
            self.refuse(at, unknown(place.kind, &name, path));
            return None;
        };
        const SOURCE: &str = "org.apache.tomcat.util.digester.ObjectCreateRule.begin";
        match class.state {
            State::Used | State::Idle => Some(class),
            State::Missing(meaning) => {
                self.notice(SOURCE, format!("Match [{path}] class [{name}] is accepted and not obeyed: {meaning}"));
                Some(class)
            }
            State::Refused => {
                let text =
                    format!("class [{name}] of [{path}] is not supported, and running without it would be wrong");
                self.refuse(at, text);
                None
            }
            State::Gone(other, advice) => {
                let lines = format!("line [{}] column [{}]", at.line, at.column);
                self.notice(
                    SOURCE,
                    format!("Match [{path}] class [{name}] at {lines} is of an older Tomcat: {advice}"),
                );
                if other.is_empty() { None } else { classes::find(place.kind, other) }
            }
        }
    }

    /// Keeps an attribute its class has, in its type.
    fn attribute(&mut self, component: &mut Component, attribute: Attribute) {
        let silent = matches!(attribute.name.as_str(), "className" | "optional")
            || (component.kind == Kind::Context && attribute.name == "source");
        if silent {
            return;
        }
        if component.accepts(&attribute.name).is_some_and(|kind| kind.accepts(&attribute.value)) {
            component.attributes.push(attribute);
            return;
        }
        let text = format!(
            "Match [{}] failed to set property [{}] to [{}] (line [{}] column [{}])",
            component.path, attribute.name, attribute.value, attribute.at.line, attribute.at.column
        );
        self.notice("org.apache.tomcat.util.digester.SetPropertiesRule.begin", text);
    }

    /// What a component may not ask for.
    fn check(&mut self, component: &Component) {
        if component.kind != Kind::Connector {
            return;
        }
        let protocol = component.text("protocol").unwrap_or_default();
        let spoken = component.class.attribute("protocol").is_some();
        if spoken && Protocol::of(protocol).is_none() {
            let text = format!("java.lang.ClassNotFoundException: {protocol} (protocol of [{}])", component.path);
            self.refuse(component.at, text);
        }
        if component.flag("SSLEnabled") && Protocol::of(protocol) == Some(Protocol::Ajp) {
            self.refuse(
                component.at,
                "AJP is not spoken over TLS: SSLEnabled=\"true\" has no meaning there".to_owned(),
            );
        }
    }
}

fn unknown(kind: Kind, name: &str, path: &str) -> String {
    let mut text = format!("java.lang.ClassNotFoundException: {name} (className of [{path}])");
    let short = name.rsplit('.').next().unwrap_or(name);
    let meant = classes::all().find(|class| class.kind == kind && class.short() == short && !short.is_empty());
    if let Some(class) = meant {
        text.push_str(&format!("; did you mean [{}]?", class.name));
    }
    text
}

/// What a connector speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// AJP/1.3.
    Ajp,
}

impl Protocol {
    /// By name or by Tomcat's class.
    pub fn of(name: &str) -> Option<Self> {
        match name.trim_start_matches("org.apache.coyote.") {
            "HTTP/1.1"
            | "http11.Http11NioProtocol"
            | "http11.Http11Nio2Protocol"
            | "http11.Http11AprProtocol"
            | "http11.Http11Protocol" => Some(Self::Http),
            "AJP/1.3" | "ajp.AjpNioProtocol" | "ajp.AjpNio2Protocol" | "ajp.AjpAprProtocol" | "ajp.AjpProtocol" => {
                Some(Self::Ajp)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(inside: &str) -> Result<Read, Vec<Refusal>> {
        let mut properties = Properties::default();
        properties.set("port", "4100");
        let text = format!(
            "<Server>\n<Service name='Catalina'><Engine name='Catalina'>\n{inside}\n</Engine></Service></Server>"
        );
        read("server.xml", &text, "Server", &properties)
    }

    const CLUSTER: &str = "org.apache.catalina.ha.tcp.SimpleTcpCluster";

    #[test]
    fn what_is_odd_is_said_as_tomcat_says_it() {
        let inside = format!(
            "<Cluster className='{CLUSTER}' colour='red' channelStartOptions='4${{no.such}}'><Frob a='1'><X/></Frob></Cluster>"
        );
        let read = server(&inside).unwrap();
        let texts: Vec<_> = read.notices.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(texts.len(), 3, "{texts:?}");
        let begin = "Match [Server/Service/Engine/Cluster] failed to set property ";
        assert!(texts[0].starts_with(&format!("{begin}[colour] to [red]")), "{texts:?}");
        assert!(texts[1].starts_with(&format!("{begin}[channelStartOptions] to [4${{no.such}}]")), "{texts:?}");
        assert_eq!(texts[2], "No rules found matching [Server/Service/Engine/Cluster/Frob]");
    }

    #[test]
    fn an_unknown_class_is_refused_where_it_stands() {
        let error = server("  <Cluster className='org.example.Cluster'/>").unwrap_err();
        assert_eq!(error.len(), 1);
        let shown = error[0].to_string();
        assert!(shown.starts_with("server.xml:3:12: java.lang.ClassNotFoundException: org.example.Cluster"), "{shown}");
        let error = server("<Valve className='org.apache.catalina.ReplicationValve'/><Cluster/>").unwrap_err();
        assert!(error[0].text.contains("did you mean [org.apache.catalina.ha.tcp.ReplicationValve]?"), "{error:?}");
        assert!(error[1].text.starts_with("No class name specified"), "{error:?}");
        assert!(server("<Cluster").unwrap_err()[0].at.line >= 3);
    }

    #[test]
    fn names_of_tomcat_6_are_taken_with_a_word() {
        let inside = format!(
            "<Cluster className='{CLUSTER}'><Channel className='org.apache.catalina.tribes.group.GroupChannel'>
            <Interceptor className='org.apache.catalina.tribes.group.interceptors.MessageDispatch15Interceptor'/></Channel>
            <ClusterListener className='org.apache.catalina.ha.session.JvmRouteSessionIDBinderListener'/></Cluster>"
        );
        let read = server(&inside).unwrap();
        assert_eq!(read.notices.len(), 2, "{:?}", read.notices);
        let engine = read.root.one(Kind::Service).and_then(|service| service.one(Kind::Engine)).unwrap();
        let cluster = engine.one(Kind::Cluster).unwrap();
        let interceptor = cluster.one(Kind::Channel).and_then(|channel| channel.one(Kind::Interceptor)).unwrap();
        assert_eq!(interceptor.class.short(), "MessageDispatchInterceptor");
        assert!(cluster.one(Kind::ClusterListener).is_none());
    }

    #[test]
    fn properties_are_replaced() {
        let mut properties = Properties::default();
        properties.read("# a comment\na=1\nlong=x,\\\n  y\nb = ${a}2\n");
        assert_eq!(properties.replace("${a} ${b} ${long} ${c:-d}${c} ${"), "1 12 x,y d${c} ${");
        let read = server("<Host name='h${port}'/>").unwrap();
        let engine = read.root.one(Kind::Service).and_then(|service| service.one(Kind::Engine)).unwrap();
        assert_eq!(engine.one(Kind::Host).and_then(|host| host.text("name")), Some("h4100"));
    }

    #[test]
    fn bombs_are_refused() {
        let deep = format!(
            "{}{}",
            "<Realm className='org.apache.catalina.realm.CombinedRealm'>".repeat(500),
            "</Realm>".repeat(500)
        );
        assert!(server(&deep).is_err());
        let text = "<!DOCTYPE Server [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>
            <!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'><!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'>]><Server shutdown='&e;&e;&e;&e;'/>";
        assert!(read("server.xml", text, "Server", &Properties::default()).is_err());
    }
}
