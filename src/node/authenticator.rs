//! What stands in front of an application with security constraints: encrypted connections, users and their roles.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::components::Component;
use super::constraints::{Constraint, Security};
use super::exchange::{Exchange, Request};
use super::realm::{Principal, Realm};
use super::valves::Valve;

/// BasicAuthenticator, or NonLoginAuthenticator where there is no `login-config`, with the constraints that it
/// enforces.
pub struct Authenticator {
    security: Security,
    realm: Realm,
    /// What clients are asked for; `None` asks nobody.
    challenge: Option<String>,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

/// What a client that names no realm is told.
const REALM: &str = "Authentication required";

impl Authenticator {
    /// What enforces a descriptor's constraints with the users of a realm; `None` if there are no constraints.
    ///
    /// # Errors
    /// What is asked for and cannot be done.
    pub fn of(
        security: &Security,
        realm: Option<&Component>,
        databases: &[(String, PathBuf)],
        dir: &Path,
    ) -> Result<Option<Arc<Self>>, String> {
        if security.is_empty() {
            return Ok(None);
        }
        let users = security.wants_users();
        let challenge = match &security.login {
            Some(login) if login.method == "BASIC" => {
                let name = login.realm.as_deref().filter(|name| !name.is_empty()).unwrap_or(REALM);
                Some(format!("Basic realm=\"{name}\""))
            }
            Some(login) if users && !login.method.is_empty() && login.method != "NONE" => {
                return Err(format!("the auth-method [{}] is not supported here", login.method));
            }
            _ => None,
        };
        let realm = realm.filter(|_| users).map(|element| Realm::of(element, databases, dir)).transpose();
        let realm = realm.map_err(|why| format!("users cannot be told apart: {why}"))?.unwrap_or(Realm::Null);
        Ok(Some(Arc::new(Self { security: security.clone(), realm, challenge })))
    }

    /// Who asks: whom the web server in front names, or who knows a password.
    fn principal(&self, request: &Request) -> Option<Principal> {
        if let Some(name) = &request.user {
            return Some(Principal { name: name.clone(), roles: Vec::new() });
        }
        self.challenge.as_ref()?;
        let (name, password) = credentials(request)?;
        self.realm.authenticate(&name, &password)
    }

    /// Whether all of these let somebody in.
    fn admits(&self, constraints: &[&Constraint], principal: Option<&Principal>) -> bool {
        let mut open = false;
        for constraint in constraints {
            let Some(who) = &constraint.who else {
                open = true;
                continue;
            };
            if who.is_nobody() {
                return false;
            }
            let Some(principal) = principal else { continue };
            let roles = if who.all_roles { &self.security.roles } else { &who.roles };
            open |= who.anyone || roles.iter().any(|role| principal.roles.contains(role));
        }
        open
    }
}

impl Valve for Authenticator {
    fn before(&self, exchange: &mut Exchange) -> bool {
        let request = &exchange.request;
        let constraints = self.security.on(request.path_info(), &request.method);
        if constraints.is_empty() {
            return true;
        }
        if !request.method.eq_ignore_ascii_case("POST") {
            exchange.response.set_header("Cache-Control", "private");
        }
        let request = &exchange.request;
        if !request.secure && constraints.iter().all(|constraint| constraint.confidential) {
            let parameter = exchange.context.as_ref().map_or("jsessionid", |context| context.cookie.parameter.as_str());
            match encrypted(request, parameter) {
                Some(location) => exchange.response.redirect(&location),
                None => exchange.response.error(403, Some(&request.uri.clone())),
            }
            return false;
        }
        let needed = constraints.iter().all(|of| of.who.as_ref().is_some_and(|who| !who.is_nobody()));
        let principal = if needed { self.principal(request) } else { None };
        if let (true, None, Some(challenge)) = (needed, &principal, &self.challenge) {
            exchange.response.add_header("WWW-Authenticate", challenge);
            exchange.response.error(401, None);
            return false;
        }
        let open = self.admits(&constraints, principal.as_ref());
        if let Some(principal) = principal {
            if exchange.request.user.is_none() {
                exchange.request.auth_type = Some("BASIC");
            }
            exchange.request.user = Some(principal.name);
        }
        if !open {
            exchange.response.error(403, Some("Access to the requested resource has been denied"));
        }
        open
    }

    fn background(&self) {
        self.realm.refresh();
    }
}

/// Where the same request goes over an encrypted connection, if there is such a place.
fn encrypted(request: &Request, parameter: &str) -> Option<String> {
    let port = match request.redirect_port {
        0 => return None,
        443 => String::new(),
        port => format!(":{port}"),
    };
    let mut location = format!("https://{}{port}{}", request.server_name, request.uri);
    // It is in the path already; Tomcat says it again.
    if let Some(requested) = request.requested.as_ref().filter(|requested| !requested.from_cookie) {
        location.push_str(&format!(";{parameter}={}", requested.id));
    }
    if let Some(query) = &request.query {
        location.push_str(&format!("?{query}"));
    }
    Some(location)
}

/// Name and password of a request. They are bytes of ISO-8859-1, as nobody told the client of anything else.
fn credentials(request: &Request) -> Option<(String, String)> {
    let header = request.header("authorization")?;
    let (scheme, rest) = header.split_at_checked("basic ".len())?;
    if !scheme.eq_ignore_ascii_case("basic ") {
        return None;
    }
    let engine = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let decoded: String = engine.decode(rest).ok()?.into_iter().map(char::from).collect();
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
