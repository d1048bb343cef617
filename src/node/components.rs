//! Which element stands where, what it stands for, and the components elements become.

use super::classes::{self, Class, Type};
use crate::codec::tribes::Options;

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Tomcat's names")]
pub enum Kind {
    /// The document above `Server`.
    Document,
    Server,
    Listener,
    GlobalNamingResources,
    Service,
    Executor,
    Connector,
    SslHostConfig,
    Certificate,
    OpenSslConf,
    UpgradeProtocol,
    Engine,
    Host,
    Alias,
    Context,
    Realm,
    CredentialHandler,
    Valve,
    Cluster,
    Manager,
    SessionIdGenerator,
    Channel,
    Membership,
    Member,
    Sender,
    Transport,
    Receiver,
    Interceptor,
    Deployer,
    ClusterListener,
    CookieProcessor,
    /// Read for its attributes or its text only, any of them.
    Free,
}

/// How an element finds its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// This one unless `className` says otherwise.
    By(&'static str),
    /// `className` is required.
    Required,
    /// None is needed.
    Not,
}

/// An element's place.
#[derive(Debug)]
pub struct Place {
    /// What it stands in.
    pub parent: Kind,
    /// Its name.
    pub element: &'static str,
    /// What it is.
    pub kind: Kind,
    /// How its class is found.
    pub class: Named,
}

const fn place(parent: Kind, element: &'static str, kind: Kind, class: Named) -> Place {
    Place { parent, element, kind, class }
}

/// The place of an element in a parent; `None` is an element without rules.
pub fn find(parent: Kind, element: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.parent == parent && place.element == element)
}

/// Where an attribute or an element was written, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// An attribute as set, `${…}` replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where it stands.
    pub at: Position,
}

/// An element with its class found and its attributes checked.
#[derive(Clone, Debug)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// Its class.
    pub class: &'static Class,
    /// `Server/Service/Engine`…
    pub path: String,
    /// What was set and accepted.
    pub attributes: Vec<Attribute>,
    /// The elements in it, in order; those without rules are left out.
    pub children: Vec<Self>,
    /// Its text.
    pub body: String,
    /// Where it stands.
    pub at: Position,
}

impl Component {
    /// A component without attributes, as a default stack needs them.
    pub fn bare(kind: Kind, class: &str) -> Option<Self> {
        let class = classes::find(kind, class)?;
        let (path, body) = (String::new(), String::new());
        Some(Self { kind, class, path, attributes: Vec::new(), children: Vec::new(), body, at: Position::default() })
    }

    /// An attribute that was set.
    pub fn set(&self, name: &str) -> Option<&str> {
        self.attributes.iter().rev().find(|attribute| attribute.name == name).map(|attribute| attribute.value.as_str())
    }

    /// An attribute, or its default.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.set(name).or_else(|| self.class.attribute(name).and_then(|(_, default)| default))
    }

    /// A number, or its default, or 0.
    pub fn number(&self, name: &str) -> i64 {
        self.text(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// A number that is not below zero.
    pub fn count(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(0)
    }

    /// Yes or no.
    pub fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Channel send options.
    pub fn options(&self, name: &str) -> Options {
        self.text(name).and_then(|text| Options::parse(text).ok()).unwrap_or(Options::NONE)
    }

    /// A number of milliseconds that is not below zero.
    pub fn millis(&self, name: &str) -> u64 {
        u64::try_from(self.number(name)).unwrap_or(0)
    }

    /// A port: `None` below zero.
    pub fn port(&self, name: &str) -> Option<u16> {
        u16::try_from(self.number(name)).ok()
    }

    /// The elements of a kind.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.kind == kind)
    }

    /// The last element of a kind: a later one replaces an earlier one.
    pub fn one(&self, kind: Kind) -> Option<&Self> {
        self.children.iter().rev().find(|child| child.kind == kind)
    }

    /// The text of the elements of a name.
    pub fn texts(&self, element: &str) -> impl Iterator<Item = &str> {
        self.named(element).map(|child| child.body.trim())
    }

    /// The elements of a name.
    pub fn named(&self, element: &str) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.path.rsplit('/').next() == Some(element))
    }

    /// Whether the class has an attribute of this name.
    pub fn accepts(&self, name: &str) -> Option<Type> {
        match self.class.attribute(name) {
            Some((kind, _)) => Some(kind),
            None if self.class.open => Some(Type::Text),
            None if self.class.short() == "ErrorReportValve" && error_page(name) => Some(Type::Text),
            None => None,
        }
    }
}

/// `errorCode.404` and `exceptionType.x`.
fn error_page(name: &str) -> bool {
    name.starts_with("errorCode.") || name.starts_with("exceptionType.")
}

use Kind::*;
use Named::{By, Not, Required};

/// Every place of an element.
pub static PLACES: &[Place] = &[
    place(Document, "Server", Server, By("org.apache.catalina.core.StandardServer")),
    place(Server, "Listener", Listener, Required),
    place(Server, "GlobalNamingResources", GlobalNamingResources, By("org.apache.catalina.deploy.NamingResourcesImpl")),
    place(GlobalNamingResources, "Resource", Free, Not),
    place(GlobalNamingResources, "ResourceEnvRef", Free, Not),
    place(GlobalNamingResources, "ResourceLink", Free, Not),
    place(GlobalNamingResources, "Environment", Free, Not),
    place(GlobalNamingResources, "Ejb", Free, Not),
    place(Server, "Service", Service, By("org.apache.catalina.core.StandardService")),
    place(Service, "Listener", Listener, Required),
    place(Service, "Executor", Executor, By("org.apache.catalina.core.StandardThreadExecutor")),
    place(Service, "Connector", Connector, By("org.apache.catalina.connector.Connector")),
    place(Connector, "Listener", Listener, Required),
    place(Connector, "SSLHostConfig", SslHostConfig, By("org.apache.tomcat.util.net.SSLHostConfig")),
    place(Connector, "UpgradeProtocol", UpgradeProtocol, Required),
    place(SslHostConfig, "Certificate", Certificate, Not),
    place(SslHostConfig, "OpenSSLConf", OpenSslConf, Not),
    place(Service, "Engine", Engine, By("org.apache.catalina.core.StandardEngine")),
    place(Engine, "Listener", Listener, Required),
    place(Engine, "Realm", Realm, Required),
    place(Engine, "Valve", Valve, Required),
    place(Engine, "Cluster", Cluster, Required),
    place(Engine, "Host", Host, By("org.apache.catalina.core.StandardHost")),
    place(Realm, "Realm", Realm, Required),
    place(
        Realm,
        "CredentialHandler",
        CredentialHandler,
        By("org.apache.catalina.realm.MessageDigestCredentialHandler"),
    ),
    place(CredentialHandler, "CredentialHandler", CredentialHandler, Required),
    place(Host, "Alias", Alias, Not),
    place(Host, "Listener", Listener, Required),
    place(Host, "Realm", Realm, Required),
    place(Host, "Valve", Valve, Required),
    place(Host, "Cluster", Cluster, Required),
    place(Host, "Context", Context, By("org.apache.catalina.core.StandardContext")),
    place(Document, "Context", Context, By("org.apache.catalina.core.StandardContext")),
    place(Context, "Listener", Listener, Required),
    place(Context, "Loader", Free, Not),
    place(Context, "Manager", Manager, By("org.apache.catalina.session.StandardManager")),
    place(Context, "Realm", Realm, Required),
    place(Context, "Resources", Free, Not),
    place(Context, "Valve", Valve, Required),
    place(Context, "WatchedResource", Free, Not),
    place(Context, "WrapperLifecycle", Free, Not),
    place(Context, "WrapperListener", Free, Not),
    place(Context, "JarScanner", Free, Not),
    place(Context, "CookieProcessor", CookieProcessor, By("org.apache.tomcat.util.http.Rfc6265CookieProcessor")),
    place(Context, "Parameter", Free, Not),
    place(Context, "Environment", Free, Not),
    place(Context, "Resource", Free, Not),
    place(Context, "ResourceEnvRef", Free, Not),
    place(Context, "ResourceLink", Free, Not),
    place(Context, "Transaction", Free, Not),
    place(Context, "Ejb", Free, Not),
    place(Manager, "Store", Free, Not),
    place(Manager, "SessionIdGenerator", SessionIdGenerator, By("org.apache.catalina.util.StandardSessionIdGenerator")),
    place(Cluster, "Manager", Manager, Required),
    place(Cluster, "Channel", Channel, Required),
    place(Cluster, "Valve", Valve, Required),
    place(Cluster, "Deployer", Deployer, Required),
    place(Cluster, "Listener", Listener, Required),
    place(Cluster, "ClusterListener", ClusterListener, Required),
    place(Channel, "Membership", Membership, Required),
    place(Channel, "MembershipListener", Listener, Required),
    place(Channel, "ChannelListener", Listener, Required),
    place(Channel, "Sender", Sender, Required),
    place(Channel, "Receiver", Receiver, Required),
    place(Channel, "Interceptor", Interceptor, Required),
    place(Sender, "Transport", Transport, Required),
    place(Membership, "LocalMember", Member, Required),
    place(Membership, "Member", Member, Required),
    place(Interceptor, "LocalMember", Member, Required),
    place(Interceptor, "Member", Member, Required),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A default that the table's own type refuses would be dropped without a word.
    #[test]
    fn every_default_has_its_type_and_every_default_class_exists() {
        for class in classes::all() {
            for row in class.rows() {
                let (kind, default) = class.attribute(row).unwrap();
                assert!(default.is_none_or(|default| kind.accepts(default)), "{} {row}", class.name);
            }
        }
        for place in PLACES {
            if let By(name) = place.class {
                assert!(classes::find(place.kind, name).is_some(), "{name}");
            }
        }
    }
}
