//! Valves that answer some requests themselves, let only so many in, or tell what a proxy said of TLS.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use base64::Engine as _;

use super::components::Component;
use super::exchange::{Body, Exchange, percent_decoded};
use super::log;
use super::valves::Valve;

/// HealthCheckValve: a path at which a proxy asks whether the node is well.
#[derive(Debug)]
pub struct HealthCheck {
    path: String,
    /// The path is one inside an application.
    inside: bool,
}

impl HealthCheck {
    /// The valve of an element.
    pub fn of(element: &Component) -> Self {
        let path = element.text("path").unwrap_or_default().to_owned();
        Self { path, inside: element.path.ends_with("Context/Valve") }
    }
}

impl Valve for HealthCheck {
    fn before(&self, exchange: &mut Exchange) -> bool {
        let request = &exchange.request;
        let asked = if self.inside { request.path_info() } else { &request.path };
        // A request that cannot be served has no path to compare with.
        if asked != self.path || exchange.response.status >= 400 {
            return true;
        }
        exchange.response.send(200, "application/json", "{\n  \"status\": \"UP\",\n  \"checks\": []\n}");
        false
    }
}

/// SemaphoreValve: so many requests at a time.
#[derive(Debug)]
pub struct Semaphore {
    /// How many more may come in.
    room: Mutex<usize>,
    left: Condvar,
    block: bool,
    /// What those get that may not wait.
    status: Option<u16>,
    /// A request attribute that says who is in.
    mark: String,
}

impl Semaphore {
    /// The valve of an element.
    pub fn of(element: &Component) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        Self {
            room: Mutex::new(element.count("concurrency")),
            left: Condvar::new(),
            block: element.flag("block"),
            status: element.port("highConcurrencyStatus").filter(|status| *status > 0),
            mark: format!("dev.tandem.semaphore.{}", COUNT.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

impl Valve for Semaphore {
    fn before(&self, exchange: &mut Exchange) -> bool {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if self.block {
            room = self.left.wait_while(room, |room| *room == 0).unwrap_or_else(PoisonError::into_inner);
        } else if *room == 0 {
            if let Some(status) = self.status {
                exchange.response.error(status, None);
            }
            return false;
        }
        *room -= 1;
        drop(room);
        exchange.request.set_attribute(&self.mark, "in");
        true
    }

    fn after(&self, exchange: &mut Exchange) {
        if exchange.request.attribute(&self.mark).is_some() {
            *self.room.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.left.notify_one();
        }
    }
}

/// LoadBalancerDrainingValve: a node that gets no new sessions sends clients without one away, back to the proxy.
#[derive(Debug)]
pub struct Draining {
    status: u16,
    /// Clients with this cookie, and this value of it if any is set, come in all the same.
    ignored: Option<(String, Option<String>)>,
}

impl Draining {
    /// The valve of an element.
    ///
    /// # Errors
    /// The status does not redirect.
    pub fn of(element: &Component) -> Result<Self, String> {
        let status = element.port("redirectStatusCode").unwrap_or(307);
        if !(300..400).contains(&status) {
            return Err(format!("redirectStatusCode=\"{status}\" does not redirect"));
        }
        let text = |name| element.text(name).filter(|text: &&str| !text.is_empty()).map(str::to_owned);
        Ok(Self { status, ignored: text("ignoreCookieName").map(|name| (name, text("ignoreCookieValue"))) })
    }
}

impl Valve for Draining {
    fn before(&self, exchange: &mut Exchange) -> bool {
        let request = &exchange.request;
        let Some(context) = exchange.context.clone() else { return true };
        let valid = request.requested.as_ref().is_some_and(|requested| context.manager.exists(&requested.id));
        if request.attribute("JK_LB_ACTIVATION") != Some("DIS") || valid {
            return true;
        }
        let ignored = self.ignored.as_ref().is_some_and(|(name, value)| {
            request.cookies(name).any(|found| value.as_ref().is_none_or(|value| value == found))
        });
        if ignored {
            return true;
        }
        let begin = format!(";{}=", context.cookie.parameter);
        let mut location = request.uri.clone();
        if let Some(at) = location.find(&begin) {
            let end = location
                .get(at + 1..)
                .and_then(|rest| rest.find([';', '/']))
                .map_or(location.len(), |end| at + 1 + end);
            location.replace_range(at..end, "");
        }
        // Two slashes in front would name another server.
        let slashes = location.bytes().take_while(|byte| *byte == b'/').count();
        location.replace_range(..slashes.saturating_sub(1), "");
        if let Some(query) = &request.query {
            location.push('?');
            location.push_str(query);
        }
        let has_cookie = request.cookies(&context.cookie.name).next().is_some();
        let secure = request.secure;
        if has_cookie {
            let value = context.cookie.gone(secure);
            exchange.response.add_header("Set-Cookie", &value);
        }
        exchange.response.set_header("Location", &location);
        exchange.response.status = self.status;
        exchange.response.body = Body::Empty;
        false
    }
}

/// The attribute with the client's certificate, as PEM: nothing here runs Java, where it would be an object.
pub const CERTIFICATE: &str = "jakarta.servlet.request.X509Certificate";

/// A certificate in PEM, whatever became of its line ends on the way; `None` if it is none.
pub fn pem_of(text: &str) -> Option<String> {
    let (_, behind) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (inside, _) = behind.split_once("-----END CERTIFICATE-----")?;
    let base64: String = inside.chars().filter(|c| !c.is_whitespace()).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(&base64).ok()?;
    x509_parser::parse_x509_certificate(&der).ok().filter(|(rest, _)| rest.is_empty())?;
    Some(pem(&der))
}

/// A certificate as PEM.
pub fn pem(der: &[u8]) -> String {
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = String::with_capacity(base64.len() + base64.len() / 64 + 64);
    out.push_str("-----BEGIN CERTIFICATE-----\n");
    for (at, c) in base64.chars().enumerate() {
        if at > 0 && at.is_multiple_of(64) {
            out.push('\n');
        }
        out.push(c);
    }
    out.push_str("\n-----END CERTIFICATE-----\n");
    out
}

/// SSLValve: what a proxy in front tells of TLS in fields of the request.
#[derive(Debug)]
pub struct SslFields {
    plain: Vec<(String, &'static str)>,
    /// Fields with the client's certificate: escaped as in a URL, and with blanks for line ends.
    escaped: String,
    folded: String,
}

impl SslFields {
    /// The valve of an element.
    pub fn of(element: &Component) -> Self {
        let rows = [
            ("sslCipherHeader", "jakarta.servlet.request.cipher_suite"),
            ("sslSessionIdHeader", "jakarta.servlet.request.ssl_session_id"),
            ("sslCipherUserKeySizeHeader", "jakarta.servlet.request.key_size"),
        ];
        let text = |name: &str| element.text(name).unwrap_or_default().to_owned();
        Self {
            plain: rows.map(|(name, to)| (text(name), to)).to_vec(),
            escaped: text("sslClientEscapedCertHeader"),
            folded: text("sslClientCertHeader"),
        }
    }
}

impl Valve for SslFields {
    fn before(&self, exchange: &mut Exchange) -> bool {
        let given = |exchange: &Exchange, field: &str| {
            let value = exchange.request.header(field).filter(|value| !value.is_empty() && *value != "(null)");
            value.map(str::to_owned)
        };
        for (field, attribute) in &self.plain {
            if let Some(value) = given(exchange, field) {
                exchange.request.set_attribute(attribute, &value);
            }
        }
        let escaped = given(exchange, &self.escaped)
            .map(|value| String::from_utf8_lossy(&percent_decoded(value.as_bytes())).into_owned());
        if let Some(value) = escaped.or_else(|| given(exchange, &self.folded)) {
            match pem_of(&value) {
                Some(pem) => exchange.request.set_attribute(CERTIFICATE, &pem),
                None => {
                    const SOURCE: &str = "org.apache.catalina.valves.SSLValve.invoke";
                    let text = format!(
                        "Unable to process the certificate string [{value:.2000}] to create a \
                         java.security.cert.X509Certificate object"
                    );
                    log::warning(SOURCE, &text);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::node::components::{Attribute, Kind, Position};
    use crate::node::exchange::Request;

    fn element(class: &str, attributes: &[(&str, &str)]) -> Component {
        let mut element = Component::bare(Kind::Valve, &format!("org.apache.catalina.valves.{class}")).unwrap();
        for (name, value) in attributes {
            let attribute = Attribute { name: (*name).to_owned(), value: (*value).to_owned(), at: Position::default() };
            element.attributes.push(attribute);
        }
        element
    }

    #[test]
    fn the_one_that_waits_comes_in_when_another_leaves() {
        let valve = Arc::new(Semaphore::of(&element("SemaphoreValve", &[("concurrency", "1")])));
        let mut first = Exchange::new(Request::default());
        assert!(valve.before(&mut first));
        let (tell, told) = mpsc::channel();
        let other = Arc::clone(&valve);
        let waiting = std::thread::spawn(move || {
            let mut second = Exchange::new(Request::default());
            assert!(other.before(&mut second));
            tell.send(()).unwrap();
            other.after(&mut second);
        });
        assert!(told.try_recv().is_err(), "there is room for one");
        valve.after(&mut first);
        told.recv_timeout(Duration::from_secs(30)).unwrap();
        waiting.join().unwrap();
        assert_eq!(*valve.room.lock().unwrap(), 1);
    }

    #[test]
    fn those_that_may_not_wait_are_told() {
        let attributes = [("concurrency", "0"), ("block", "false"), ("highConcurrencyStatus", "503")];
        let valve = Semaphore::of(&element("SemaphoreValve", &attributes));
        let mut exchange = Exchange::new(Request::default());
        assert!(!valve.before(&mut exchange));
        valve.after(&mut exchange);
        assert_eq!((exchange.response.status, *valve.room.lock().unwrap()), (503, 0));
    }

    #[test]
    fn a_proxys_word_about_tls_is_told_on() {
        let valve = SslFields::of(&element("SSLValve", &[]));
        let fields = [("ssl_cipher", "AAA"), ("ssl_session_id", "(null)"), ("ssl_cipher_usekeysize", "128")];
        let headers = fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec();
        let mut exchange = Exchange::new(Request { headers, ..Request::default() });
        assert!(valve.before(&mut exchange));
        let told =
            |name: &str| exchange.request.attribute(&format!("jakarta.servlet.request.{name}")).map(str::to_owned);
        assert_eq!(told("cipher_suite").as_deref(), Some("AAA"));
        assert_eq!(told("key_size").as_deref(), Some("128"));
        assert_eq!(told("ssl_session_id"), None);
    }
}
