//! A running application: its handler, its sessions, and how their ids travel.

use std::fmt;
use std::sync::Arc;

use super::exchange::{Exchange, RequestedId};
use super::model;
use super::sessions::{Held, Manager, new_id};
use super::webapp::Handler;

/// A running application.
pub struct Context {
    /// `/clu`; empty is the root.
    pub path: String,
    /// As Tomcat calls it: the path, a version behind it.
    pub name: String,
    /// Who keeps its sessions.
    pub manager: Arc<dyn Manager>,
    /// Its sessions go to the cluster.
    pub distributable: bool,
    /// What answers.
    pub handler: Arc<dyn Handler>,
    /// What session ids end in.
    pub route: Option<String>,
    /// Random bytes of a session's id.
    pub id_length: usize,
    /// How ids travel.
    pub cookie: SessionCookie,
    /// `/clu` leads to `/clu/`.
    pub root_redirect: bool,
    /// Redirects name no host where the client can do without.
    pub relative_redirects: bool,
    /// Pages of its own for statuses, all others where there is none: paths inside the application.
    pub error_pages: Vec<(Option<u16>, String)>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The session cookie of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCookie {
    /// Cookies are used at all.
    pub enabled: bool,
    /// The id may stand in the path.
    pub in_path: bool,
    /// `JSESSIONID`
    pub name: String,
    /// `jsessionid`
    pub parameter: String,
    /// `Domain`
    pub domain: Option<String>,
    /// `Path`
    pub path: String,
    /// `HttpOnly`
    pub http_only: bool,
    /// `Secure`, whatever the connection.
    pub secure: bool,
    /// `Max-Age`
    pub max_age: Option<i64>,
    /// `SameSite`
    pub same_site: Option<String>,
    /// `Partitioned`
    pub partitioned: bool,
}

impl SessionCookie {
    /// What an application's files say; the Context element's word counts before web.xml's.
    pub fn of(context: &model::Context) -> Self {
        let web = &context.web.cookie;
        let named = context.text("sessionCookieName").map(str::to_owned).or_else(|| web.name.clone());
        let tracked =
            |mode: &str| context.web.tracking.is_empty() || context.web.tracking.iter().any(|word| word == mode);
        let path = context.text("sessionCookiePath").map(str::to_owned).or_else(|| web.path.clone());
        let mut path = path.unwrap_or_else(|| context.path.clone());
        let slash = context.flag("sessionCookiePathUsesTrailingSlash") && !path.ends_with('/');
        if path.is_empty() || slash {
            path.push('/');
        }
        let processor = context.one(super::components::Kind::CookieProcessor);
        let same_site = processor
            .and_then(|element| element.text("sameSiteCookies"))
            .filter(|text| !text.eq_ignore_ascii_case("unset"));
        Self {
            enabled: context.flag("cookies") && tracked("COOKIE"),
            in_path: tracked("URL"),
            parameter: named.clone().unwrap_or_else(|| "jsessionid".to_owned()),
            name: named.unwrap_or_else(|| "JSESSIONID".to_owned()),
            domain: context.text("sessionCookieDomain").map(str::to_owned).or_else(|| web.domain.clone()),
            path,
            http_only: context.flag("useHttpOnly") || web.http_only == Some(true),
            secure: web.secure == Some(true),
            max_age: web.max_age,
            same_site: same_site.map(|text| {
                let (first, rest) = text.split_at(text.len().min(1));
                format!("{}{}", first.to_ascii_uppercase(), rest.to_ascii_lowercase())
            }),
            partitioned: context.flag("usePartitioned") || processor.is_some_and(|element| element.flag("partitioned")),
        }
    }

    /// The Set-Cookie value that takes it away again.
    pub fn gone(&self, secure: bool) -> String {
        let plain = self.header("", secure);
        plain.replacen("=;", "=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:10 GMT;", 1)
    }

    /// The Set-Cookie value that gives a client its id.
    pub fn header(&self, id: &str, secure: bool) -> String {
        let mut out = format!("{}={id}", self.name);
        if let Some(seconds) = self.max_age.filter(|seconds| *seconds > 0) {
            out.push_str(&format!("; Max-Age={seconds}"));
        }
        if let Some(domain) = &self.domain {
            out.push_str(&format!("; Domain={domain}"));
        }
        out.push_str(&format!("; Path={}", self.path));
        for (set, word) in [(self.secure || secure, "; Secure"), (self.http_only, "; HttpOnly")] {
            out.push_str(if set { word } else { "" });
        }
        if let Some(site) = &self.same_site {
            out.push_str(&format!("; SameSite={site}"));
        }
        out.push_str(if self.partitioned { "; Partitioned" } else { "" });
        out
    }
}

impl Context {
    /// Finds out which session a request names: a cookie beats the path; of several cookies the first that is valid.
    pub fn find_requested(&self, exchange: &mut Exchange, in_path: Option<String>) {
        let mut requested: Option<RequestedId> = None;
        if self.cookie.enabled {
            for id in exchange.request.cookies(&self.cookie.name) {
                let id = RequestedId { id: id.to_owned(), from_cookie: true };
                let valid = requested.as_ref().is_some_and(|before| self.manager.exists(&before.id));
                if !valid {
                    requested = Some(id);
                }
            }
        }
        if requested.is_none() && self.cookie.in_path {
            requested = in_path.map(|id| RequestedId { id, from_cookie: false });
        }
        exchange.request.requested = requested;
    }

    /// The session of a request: the one it holds, the one it names, or with `create` a new one.
    fn session(&self, exchange: &mut Exchange, create: bool) -> Option<Held> {
        if let Some(held) = &exchange.request.session {
            if self.manager.exists(&held.id) {
                return Some(held.clone());
            }
            exchange.request.session = None;
        }
        let named = exchange.request.requested.as_ref().map(|requested| requested.id.clone());
        if let Some(id) = named.filter(|id| self.manager.begin(id)) {
            exchange.request.session = Some(Held { manager: Arc::clone(&self.manager), id });
            return exchange.request.session.clone();
        }
        if !create {
            return None;
        }
        let id = new_id(self.id_length, self.route.as_deref());
        if !self.manager.create(&id) {
            exchange.response.error(500, Some("createSession: Too many active sessions"));
            return None;
        }
        self.send_cookie(exchange, &id);
        exchange.request.session = Some(Held { manager: Arc::clone(&self.manager), id });
        exchange.request.session.clone()
    }

    /// Gives the client its id.
    pub fn send_cookie(&self, exchange: &mut Exchange, id: &str) {
        if !self.cookie.enabled {
            return;
        }
        let begin = format!("{}=", self.cookie.name);
        let headers = &mut exchange.response.headers;
        headers.retain(|(name, value)| !(name.eq_ignore_ascii_case("set-cookie") && value.starts_with(&begin)));
        let value = self.cookie.header(id, exchange.request.secure);
        exchange.response.add_header("Set-Cookie", &value);
    }
}

impl Exchange {
    /// The session of this request: the one it names if that is valid; otherwise a new one with `create`, whose id goes
    /// to the client in a cookie.
    pub fn session(&mut self, create: bool) -> Option<Held> {
        let context = self.context.clone()?;
        context.session(self, create)
    }

    /// Gives the session of this request a new id; the cluster and the client are told. The new id.
    pub fn change_session_id(&mut self) -> Option<String> {
        let held = self.session(false)?;
        let context = self.context.clone()?;
        let id = new_id(context.id_length, context.route.as_deref());
        self.rename_session(&context, &held.id, &id).then_some(id)
    }

    /// Re-keys a session of this application.
    pub(super) fn rename_session(&mut self, context: &Arc<Context>, old: &str, new: &str) -> bool {
        if context.manager.change_id(old, new).is_err() {
            return false;
        }
        if let Some(held) = &mut self.request.session {
            held.id = new.to_owned();
        }
        if let Some(requested) = &mut self.request.requested {
            requested.id = new.to_owned();
        }
        context.send_cookie(self, new);
        true
    }
}
