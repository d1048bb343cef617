//! The session API: other programs read and change sessions, on a connector of its own.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the applications: host, context, whether replicated, how many sessions |
//! | `GET /sessions?context=/clu` | their ids, times, sizes, and whether this node is responsible |
//! | `GET /session?context=/clu&id=ID` | one of them, with its attributes |
//! | `POST /session?context=/clu&id=ID&op=set&name=N&type=T&value=V` | sets a plain attribute |
//! | `POST …&op=remove&name=N`, `…&op=invalidate` | what they say |
//!
//! `host=NAME` picks one of several hosts. With a `token` in server.xml, clients show it as `Authorization: Bearer
//! TOKEN`.

use std::sync::Arc;

use super::container::{Engine, Host};
use super::context::Context;
use super::exchange::Exchange;
use super::json::Json;
use super::sessions::{Value, View};

/// What answers on the API's connector.
#[derive(Debug)]
pub struct Api {
    /// Whose sessions.
    pub engine: Arc<Engine>,
    /// What clients show.
    pub token: Option<String>,
}

/// A status and what went wrong.
type Refusal = (u16, String);

impl Api {
    /// Answers one request.
    pub fn handle(&self, exchange: &mut Exchange) {
        let (status, body) = match self.answer(exchange) {
            Ok(body) => (200, body),
            Err((status, error)) => (status, Json::object([("error", Json::Text(error))])),
        };
        if status == 405 {
            exchange.response.set_header("Allow", "GET, HEAD, POST");
        }
        exchange.response.set_header("Cache-Control", "no-store");
        exchange.response.send(status, "application/json;charset=UTF-8", body.pretty());
    }

    fn answer(&self, exchange: &Exchange) -> Result<Json, Refusal> {
        let request = &exchange.request;
        // A page of somebody else's in a browser on this machine has no business here.
        if request.header("origin").is_some() || request.header("sec-fetch-site").is_some_and(|site| site != "none") {
            return Err((403, "browsers' pages are not answered".to_owned()));
        }
        if let Some(token) = &self.token {
            let shown =
                request.header("authorization").and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
            let same = shown.len() == token.len()
                && shown.bytes().zip(token.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0;
            if !same {
                return Err((401, "the token is wrong or missing".to_owned()));
            }
        }
        let parameters = request.parameters();
        let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
        match (method, request.uri.as_str()) {
            ("GET", "/") => Ok(self.contexts()),
            ("GET", "/sessions") => {
                let context = self.context(get)?;
                let views = context.manager.ids().into_iter().filter_map(|id| context.manager.view(&id));
                Ok(Json::List(views.map(|view| Json::Object(summary(&view))).collect()))
            }
            ("GET", "/session") => {
                let (context, id) = (self.context(get)?, session(get)?);
                shown(&context, id)
            }
            ("POST", "/session") => {
                let (context, id) = (self.context(get)?, session(get)?);
                change(&context, id, get)?;
                if get("op") == Some("invalidate") { Ok(Json::object([])) } else { shown(&context, id) }
            }
            ("GET" | "POST", _) => Err((404, "there are /, /sessions and /session".to_owned())),
            _ => Err((405, "there are GET and POST".to_owned())),
        }
    }

    fn contexts(&self) -> Json {
        let one = |(host, context): (&Host, &Arc<Context>)| {
            Json::object([
                ("host", Json::text(&host.name)),
                ("context", Json::text(&context.name)),
                ("distributable", Json::Flag(context.distributable)),
                ("sessions", Json::Int(i64::try_from(context.manager.ids().len()).unwrap_or(i64::MAX))),
            ])
        };
        Json::List(self.engine.contexts().map(one).collect())
    }

    fn context<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> Result<Arc<Context>, Refusal> {
        let wanted = get("context").ok_or_else(|| (400, "name a context".to_owned()))?;
        // The root's path is empty, which few would guess.
        let wanted = if wanted == "/" { "" } else { wanted };
        let found = self
            .engine
            .contexts()
            .find(|(host, context)| context.name == wanted && get("host").is_none_or(|name| host.name == name));
        found.map(|(_, context)| Arc::clone(context)).ok_or_else(|| (404, format!("no context [{wanted}]")))
    }
}

fn session<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<&'a str, Refusal> {
    get("id").filter(|id| !id.is_empty()).ok_or_else(|| (400, "name a session by its id".to_owned()))
}

fn summary(view: &View) -> Vec<(String, Json)> {
    let size = i64::try_from(view.size).unwrap_or(i64::MAX);
    [
        ("id", Json::text(&view.id)),
        ("new", Json::Flag(view.new)),
        ("createdAt", Json::Int(view.created)),
        ("lastAccessedAt", Json::Int(view.accessed)),
        ("maxInactiveInterval", Json::Int(i64::from(view.max_inactive))),
        ("primary", Json::Flag(view.primary)),
        ("size", Json::Int(size)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn shown(context: &Context, id: &str) -> Result<Json, Refusal> {
    let view = context.manager.view(id).ok_or_else(|| (404, format!("no session [{id}]")))?;
    let mut members = summary(&view);
    let attributes = view
        .attributes
        .into_iter()
        .map(|shown| (shown.name, Json::object([("class", Json::Text(shown.class)), ("value", shown.value)])));
    members.push(("attributes".to_owned(), Json::Object(attributes.collect())));
    Ok(Json::Object(members))
}

fn change<'a>(context: &Context, id: &str, get: impl Fn(&str) -> Option<&'a str>) -> Result<(), Refusal> {
    let gone = |_| (404, format!("no session [{id}]"));
    let name = || get("name").filter(|name| !name.is_empty()).ok_or_else(|| (400, "a name is needed".to_owned()));
    let value = || Value::parse(get("type").unwrap_or("string"), get("value").unwrap_or_default());
    let manager = &context.manager;
    match get("op") {
        Some("set") => manager.set(id, name()?, value().map_err(|error| (400, error.to_string()))?).map_err(gone)?,
        Some("remove") => manager.remove(id, name()?).map_err(gone)?,
        Some("invalidate") => return manager.invalidate(id).map_err(gone),
        _ => return Err((400, "there are the operations set, remove and invalidate".to_owned())),
    }
    manager.replicate(id);
    Ok(())
}
