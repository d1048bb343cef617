//! web.xml: what it says about sessions, welcome files and types, and what it asks for that is not done here.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};

use super::components::Position;
use super::constraints::{Collection, Constraint, Login, Security, Who};
use super::xml::{Properties, Refusal};

/// How a session's id travels in a cookie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieConfig {
    /// Name instead of `JSESSIONID`.
    pub name: Option<String>,
    /// `Domain`.
    pub domain: Option<String>,
    /// `Path` instead of the context's.
    pub path: Option<String>,
    /// `HttpOnly`, unless the context says so already.
    pub http_only: Option<bool>,
    /// `Secure` on plain connections too.
    pub secure: Option<bool>,
    /// Seconds; none means until the browser ends.
    pub max_age: Option<i64>,
}

/// A deployment descriptor, or several merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebXml {
    /// Sessions are replicated.
    pub distributable: bool,
    /// Minutes; 0 and below is for ever.
    pub session_timeout: Option<i32>,
    /// The session cookie.
    pub cookie: CookieConfig,
    /// `COOKIE`, `URL`, `SSL`; empty is Tomcat's choice of cookie and URL.
    pub tracking: Vec<String>,
    /// Files looked for in a directory, in order.
    pub welcome: Vec<String>,
    /// Types by extension.
    pub types: BTreeMap<String, String>,
    /// URL patterns of servlets that are Java code, with the servlet's name.
    pub servlets: Vec<(String, String)>,
    /// Where the page of a status is, of every other one where none is named.
    pub error_pages: Vec<(Option<u16>, String)>,
    /// Who may ask for what.
    pub security: Security,
    /// What the file asks for that would be wrong to leave out: the application is not started.
    pub refused: Vec<&'static str>,
    /// What the file asks for that is left out.
    pub missing: Vec<&'static str>,
}

impl WebXml {
    /// Reads a descriptor.
    ///
    /// # Errors
    /// XML that is not well-formed.
    pub fn read(file: &str, text: &str, properties: &Properties) -> Result<Self, Refusal> {
        let options = ParsingOptions { allow_dtd: true, nodes_limit: 200_000, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options).map_err(|error| {
            let at = Position { line: error.pos().row, column: error.pos().col };
            Refusal { file: file.to_owned(), at, text: error.to_string() }
        })?;
        let mut read = Self::default();
        for element in elements(document.root_element()) {
            read.take(element, properties);
        }
        Ok(read)
    }

    fn take(&mut self, element: Node<'_, '_>, properties: &Properties) {
        let text = |node: Node<'_, '_>, name: &str| {
            let child = elements(node).find(|child| child.tag_name().name() == name)?;
            Some(properties.replace(child.text().unwrap_or_default().trim()))
        };
        match element.tag_name().name() {
            "distributable" => self.distributable = true,
            "session-config" => {
                self.session_timeout = text(element, "session-timeout").and_then(|value| value.parse().ok());
                for child in elements(element) {
                    match child.tag_name().name() {
                        "cookie-config" => {
                            self.cookie = CookieConfig {
                                name: text(child, "name"),
                                domain: text(child, "domain"),
                                path: text(child, "path"),
                                http_only: text(child, "http-only").map(|value| value == "true"),
                                secure: text(child, "secure").map(|value| value == "true"),
                                max_age: text(child, "max-age").and_then(|value| value.parse().ok()),
                            };
                        }
                        "tracking-mode" => self.tracking.push(child.text().unwrap_or_default().trim().to_owned()),
                        _ => {}
                    }
                }
            }
            "welcome-file-list" => {
                let files = elements(element).filter(|child| child.tag_name().name() == "welcome-file");
                self.welcome.extend(files.filter_map(|file| file.text()).map(|file| file.trim().to_owned()));
            }
            "mime-mapping" => {
                if let (Some(extension), Some(kind)) = (text(element, "extension"), text(element, "mime-type")) {
                    self.types.insert(extension.to_ascii_lowercase(), kind);
                }
            }
            "servlet-mapping" => {
                let name = text(element, "servlet-name").unwrap_or_default();
                let patterns = elements(element).filter(|child| child.tag_name().name() == "url-pattern");
                let patterns = patterns.filter_map(|pattern| pattern.text()).map(|pattern| pattern.trim().to_owned());
                self.servlets.extend(patterns.map(|pattern| (pattern, name.clone())));
            }
            "security-constraint" => self.security.constraints.push(constraint(element, properties)),
            "login-config" => {
                let method = text(element, "auth-method").unwrap_or_default();
                self.security.login = Some(Login { method, realm: text(element, "realm-name") });
            }
            "security-role" => self.security.roles.extend(text(element, "role-name")),
            "deny-uncovered-http-methods" => note(&mut self.refused, "deny-uncovered-http-methods"),
            "filter-mapping" => note(&mut self.missing, "filter-mapping"),
            "error-page" => {
                match (text(element, "error-code"), text(element, "exception-type"), text(element, "location")) {
                    (code, None, Some(location)) if location.starts_with('/') => {
                        self.error_pages.push((code.and_then(|code| code.parse().ok()), location));
                    }
                    // No application here throws anything.
                    (_, Some(_), _) => {}
                    _ => note(&mut self.missing, "error-page"),
                }
            }
            "listener" => note(&mut self.missing, "listener"),
            _ => {}
        }
    }

    /// An application's descriptor over the defaults of `conf/web.xml`.
    pub fn over(self, defaults: &Self) -> Self {
        let mut types = defaults.types.clone();
        types.extend(self.types);
        // The default servlet and the one for JSPs are the server's own affair.
        let inner = |(_, name): &&(String, String)| !matches!(name.as_str(), "default" | "jsp");
        let servlets = self.servlets.iter().chain(&defaults.servlets).filter(inner).cloned().collect();
        let (cookie, below) = (self.cookie, defaults.cookie.clone());
        Self {
            distributable: self.distributable,
            session_timeout: self.session_timeout.or(defaults.session_timeout),
            cookie: CookieConfig {
                name: cookie.name.or(below.name),
                domain: cookie.domain.or(below.domain),
                path: cookie.path.or(below.path),
                http_only: cookie.http_only.or(below.http_only),
                secure: cookie.secure.or(below.secure),
                max_age: cookie.max_age.or(below.max_age),
            },
            tracking: if self.tracking.is_empty() { defaults.tracking.clone() } else { self.tracking },
            welcome: if self.welcome.is_empty() { defaults.welcome.clone() } else { self.welcome },
            types,
            servlets,
            error_pages: self.error_pages.into_iter().chain(defaults.error_pages.clone()).collect(),
            security: Security {
                constraints: [self.security.constraints, defaults.security.constraints.clone()].concat(),
                login: self.security.login.or_else(|| defaults.security.login.clone()),
                roles: [self.security.roles, defaults.security.roles.clone()].concat(),
            },
            refused: [self.refused, defaults.refused.clone()].concat(),
            missing: self.missing,
        }
    }
}

fn constraint(element: Node<'_, '_>, properties: &Properties) -> Constraint {
    let texts = |node: Node<'_, '_>, name: &str| -> Vec<String> {
        let named = elements(node).filter(|child| child.tag_name().name() == name);
        named.map(|child| properties.replace(child.text().unwrap_or_default().trim())).collect()
    };
    let mut read = Constraint::default();
    for child in elements(element) {
        match child.tag_name().name() {
            "web-resource-collection" => read.collections.push(Collection {
                patterns: texts(child, "url-pattern"),
                methods: texts(child, "http-method"),
                omitted: texts(child, "http-method-omission"),
            }),
            "auth-constraint" => {
                let who = read.who.get_or_insert_with(Who::default);
                for role in texts(child, "role-name") {
                    match role.as_str() {
                        "*" => who.all_roles = true,
                        "**" => who.anyone = true,
                        _ => who.roles.push(role),
                    }
                }
            }
            "user-data-constraint" => {
                // INTEGRAL is the same thing; whatever else is not NONE means that something is wanted.
                let wanted = texts(child, "transport-guarantee");
                read.confidential = wanted.iter().any(|word| !word.is_empty() && word != "NONE");
            }
            _ => {}
        }
    }
    read
}

fn elements<'a, 'input>(node: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

fn note(list: &mut Vec<&'static str>, name: &'static str) {
    if !list.contains(&name) {
        list.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_merged_over_the_defaults() {
        let properties = Properties::default();
        let read = |text: &str| WebXml::read("web.xml", text, &properties).unwrap();
        let defaults = read(
            "<web-app xmlns='https://jakarta.ee/xml/ns/jakartaee'><session-config><session-timeout>30</session-timeout></session-config>
             <servlet-mapping><servlet-name>default</servlet-name><url-pattern>/</url-pattern></servlet-mapping>
             <mime-mapping><extension>CSS</extension><mime-type>text/css</mime-type></mime-mapping>
             <welcome-file-list><welcome-file>index.html</welcome-file><welcome-file>index.jsp</welcome-file></welcome-file-list></web-app>",
        );
        let app = read(
            "<web-app><distributable/><session-config><cookie-config><name>SID</name><secure>true</secure>
             <max-age>60</max-age></cookie-config><tracking-mode>COOKIE</tracking-mode></session-config>
             <servlet-mapping><servlet-name>x</servlet-name><url-pattern>/x/*</url-pattern></servlet-mapping>
             <error-page><error-code>404</error-code><location>/nf.html</location></error-page>
             <error-page><location>/other.html</location></error-page><error-page><location>x</location></error-page>
             <error-page><exception-type>java.lang.Throwable</exception-type><location>/e</location></error-page>
             <filter-mapping/><deny-uncovered-http-methods/></web-app>",
        );
        let merged = app.over(&defaults);
        assert!(merged.distributable);
        assert_eq!(merged.session_timeout, Some(30));
        assert_eq!(merged.welcome, ["index.html", "index.jsp"]);
        assert_eq!(merged.types.get("css").map(String::as_str), Some("text/css"));
        assert_eq!(merged.cookie.name.as_deref(), Some("SID"));
        assert_eq!(
            (merged.cookie.secure, merged.cookie.http_only, merged.cookie.max_age),
            (Some(true), None, Some(60))
        );
        assert_eq!(merged.tracking, ["COOKIE"]);
        assert_eq!(merged.servlets, [("/x/*".to_owned(), "x".to_owned())]);
        assert_eq!(
            (merged.refused, merged.missing),
            (vec!["deny-uncovered-http-methods"], vec!["error-page", "filter-mapping"])
        );
        assert_eq!(merged.error_pages, [(Some(404), "/nf.html".to_owned()), (None, "/other.html".to_owned())]);
        let closed = read(
            "<web-app><security-constraint><web-resource-collection><url-pattern> /* </url-pattern><http-method>PUT</http-method>
             </web-resource-collection><auth-constraint><role-name>a</role-name><role-name>*</role-name></auth-constraint>
             <user-data-constraint><transport-guarantee>CONFIDENTIAL</transport-guarantee></user-data-constraint></security-constraint>
             <security-constraint><auth-constraint/></security-constraint>
             <login-config><auth-method>BASIC</auth-method></login-config><security-role><role-name>a</role-name></security-role></web-app>",
        );
        let [first, second] = &read("<web-app/>").over(&closed).security.constraints[..] else { panic!("{closed:?}") };
        assert!(first.confidential && first.who.as_ref().is_some_and(|who| who.all_roles && who.roles == ["a"]));
        assert_eq!(
            (&first.collections[0].patterns[..], &first.collections[0].methods[..]),
            (&["/*".to_owned()][..], &["PUT".to_owned()][..])
        );
        assert!(second.who.as_ref().is_some_and(Who::is_nobody));
        assert!(WebXml::read("web.xml", "<web-app>", &properties).is_err());
    }
}
