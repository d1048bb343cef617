//! The session page: shows the session of whoever looks, and changes it; as HTML, or as JSON for programs.

use super::exchange::Exchange;
use super::json::Json;
use super::reports::escaped;
use super::sessions::{Invalid, Value, View};
use super::webapp::Handler;

/// The page.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// What the node is called.
    pub node: String,
}

impl Handler for SessionPage {
    fn handle(&self, exchange: &mut Exchange) {
        let path = exchange.request.path_info();
        if !(path == "/" || path.ends_with(".jsp")) {
            let message = format!("The requested resource [{}] is not available", exchange.request.uri);
            return exchange.response.error(404, Some(&message));
        }
        if !matches!(exchange.request.method.as_str(), "GET" | "HEAD" | "POST") {
            exchange.response.set_header("Allow", "GET, HEAD, POST");
            return exchange.response.error(405, None);
        }
        let parameters = exchange.request.parameters();
        let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let done = operate(exchange, get);
        let view =
            if matches!(done, Ok(Done::Ended)) { None } else { exchange.session(true).and_then(|held| held.view()) };
        let wants_json = exchange.request.headers("accept").any(|accept| accept.contains("application/json"));
        exchange.response.set_header("Cache-Control", "no-store");
        let status = if done.is_ok() { 200 } else { 400 };
        if wants_json {
            let body = self.json(exchange, view.as_ref(), done.as_ref().err()).pretty();
            return exchange.response.send(status, "application/json;charset=UTF-8", body);
        }
        // A form that was sent is not sent again by reloading the page.
        if exchange.request.method == "POST" && done.is_ok() {
            let location = exchange.request.uri.clone();
            exchange.response.redirect(&location);
            exchange.response.status = 303;
            return;
        }
        let body = self.html(exchange, view.as_ref(), done.as_ref().err());
        exchange.response.send(status, "text/html;charset=UTF-8", body);
    }
}

enum Done {
    Shown,
    Ended,
}

/// Does what the parameters ask for.
fn operate<'a>(exchange: &mut Exchange, get: impl Fn(&str) -> Option<&'a str>) -> Result<Done, String> {
    let gone = |_: Invalid| "the session has ended meanwhile".to_owned();
    let name = || get("name").filter(|name| !name.is_empty()).ok_or_else(|| "a name is needed".to_owned());
    let Some(op) = get("op").filter(|op| !op.is_empty()) else { return Ok(Done::Shown) };
    let none = || "there are no sessions here".to_owned();
    match op {
        "set" => {
            let value = Value::parse(get("type").unwrap_or("string"), get("value").unwrap_or_default());
            let (name, value) = (name()?, value.map_err(|error| error.to_string())?);
            exchange.session(true).ok_or_else(none)?.set(name, value).map_err(gone)?;
        }
        "remove" => {
            let name = name()?;
            exchange.session(true).ok_or_else(none)?.remove(name).map_err(gone)?;
        }
        "changeid" => {
            exchange.session(true).ok_or_else(none)?;
            exchange.change_session_id().ok_or_else(|| gone(Invalid))?;
        }
        "invalidate" => {
            if let Some(held) = exchange.session(false) {
                held.invalidate().map_err(gone)?;
            }
            return Ok(Done::Ended);
        }
        other => return Err(format!("no operation [{other}]: there are set, remove, changeid and invalidate")),
    }
    Ok(Done::Shown)
}

impl SessionPage {
    fn json(&self, exchange: &Exchange, view: Option<&View>, error: Option<&String>) -> Json {
        let mut members = Vec::new();
        let mut add = |name: &str, value: Json| members.push((name.to_owned(), value));
        match view {
            Some(view) => {
                add("id", Json::text(&view.id));
                add("new", Json::Flag(view.new));
                add("createdAt", Json::Int(view.created));
                add("lastAccessedAt", Json::Int(view.accessed));
                add("maxInactiveInterval", Json::Int(i64::from(view.max_inactive)));
            }
            None => add("id", Json::Null),
        }
        add("node", Json::text(&self.node));
        add("address", Json::text(address(exchange)));
        let attributes = view.map(|view| view.attributes.as_slice()).unwrap_or_default();
        let shown = attributes.iter().map(|shown| {
            let pair = Json::object([("class", Json::text(&shown.class)), ("value", shown.value.clone())]);
            (shown.name.clone(), pair)
        });
        add("attributes", Json::Object(shown.collect()));
        if let Some(error) = error {
            add("error", Json::text(error));
        }
        Json::Object(members)
    }

    fn html(&self, exchange: &Exchange, view: Option<&View>, error: Option<&String>) -> String {
        let node = escaped(&self.node);
        let hue = self.node.bytes().fold(200u32, |hue, byte| (hue * 31 + u32::from(byte)) % 360);
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>Session on {node}</title>\n<style>:root{{--node:hsl({hue} 55% 42%)}}{STYLE}</style>\n</head>\n<body>\n\
             <header><p>This page comes from</p><h1>{node}</h1><p>{}</p></header>\n<main>\n",
            escaped(&address(exchange))
        );
        if let Some(error) = error {
            page.push_str(&format!("<p class=\"error\" role=\"alert\">{}</p>\n", escaped(error)));
        }
        let here = escaped(&exchange.request.uri);
        let Some(view) = view else {
            page.push_str(&format!(
                "<h2>The session has ended</h2>\n<p><a href=\"{here}\">Begin a new one</a></p>\n</main>\n</body>\n</html>\n"
            ));
            return page;
        };
        let rows = [
            ("Id", format!("<code>{}</code>", escaped(&view.id))),
            ("New", if view.new { "yes: your browser has just been told its id" } else { "no" }.to_owned()),
            ("Made", time(view.created)),
            ("Request before this one", time(view.accessed)),
            ("Ends when idle for", idle(view.max_inactive)),
        ];
        page.push_str("<h2>Session</h2>\n<dl>\n");
        for (name, value) in rows {
            page.push_str(&format!("<dt>{name}</dt><dd>{value}</dd>\n"));
        }
        page.push_str("</dl>\n<h2>Attributes</h2>\n");
        if view.attributes.is_empty() {
            page.push_str("<p class=\"none\">None yet. Set one, then look at it from another node.</p>\n");
        } else {
            page.push_str(
                "<table>\n<thead><tr><th>Name</th><th>Value</th><th>Class</th><th></th></tr></thead>\n<tbody>\n",
            );
            for shown in &view.attributes {
                let name = escaped(&shown.name);
                page.push_str(&format!(
                    "<tr><td>{name}</td><td>{}</td><td><code>{}</code></td><td><form method=\"post\" action=\"{here}\">\
                     <input type=\"hidden\" name=\"name\" value=\"{name}\"><button name=\"op\" value=\"remove\">Remove</button></form></td></tr>\n",
                    escaped(&cut(&shown.value.plain())),
                    escaped(&shown.class)
                ));
            }
            page.push_str("</tbody>\n</table>\n");
        }
        page.push_str(&format!(
            "<form method=\"post\" action=\"{here}\" class=\"set\">\n<label>Name <input name=\"name\" required></label>\n\
             <label>Type <select name=\"type\"><option>string<option>int<option>long<option>boolean<option>double</select></label>\n\
             <label>Value <input name=\"value\"></label>\n<button name=\"op\" value=\"set\">Set</button>\n</form>\n\
             <form method=\"post\" action=\"{here}\" class=\"more\"><button>Reload</button> <button name=\"op\" value=\"changeid\">Change id</button> \
             <button name=\"op\" value=\"invalidate\">End session</button></form>\n</main>\n</body>\n</html>\n"
        ));
        page
    }
}

/// Where this node was reached.
fn address(exchange: &Exchange) -> String {
    let request = &exchange.request;
    if request.local_addr.is_empty() { String::new() } else { format!("{}:{}", request.local_addr, request.local_port) }
}

fn time(millis: i64) -> String {
    let mut out = Vec::new();
    crate::base::clock::push_strftime(&mut out, b"%Y-%m-%d %H:%M:%S %Z", millis.saturating_mul(1000));
    String::from_utf8_lossy(&out).into_owned()
}

fn idle(seconds: i32) -> String {
    match seconds {
        ..=0 => "never".to_owned(),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// A long value as much as fits a table.
fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(200).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

const STYLE: &str = "
*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#1c2430;background:#f5f6f8}
header{background:var(--node);color:#fff;padding:2rem max(1.5rem,calc(50vw - 24rem))}
header p{margin:0;opacity:.85}
h1{margin:0;font-size:2.6rem;letter-spacing:-.02em}
main{max-width:51rem;margin:0 auto;padding:1rem 1.5rem 3rem}
h2{font-size:1.1rem;margin:1.6rem 0 .6rem}
dl,table,.none,form.set{background:#fff;border:1px solid #dfe3e8;border-radius:.6rem;margin:0}
dl{display:grid;grid-template-columns:max-content 1fr;padding:.8rem 1rem;gap:.25rem 1.5rem}
dt{color:#5d6878}dd{margin:0;overflow-wrap:anywhere}
table{width:100%;border-collapse:separate;border-spacing:0;overflow:hidden}
th,td{text-align:left;padding:.5rem 1rem;border-bottom:1px solid #eceff3;overflow-wrap:anywhere;vertical-align:top}
tr:last-child td{border-bottom:0}th{font-weight:600;color:#5d6878}td:last-child{text-align:right}
code{font-size:.9em;color:#3a4658}
.none{padding:1rem;color:#5d6878}
.error{background:#fdecea;border:1px solid #f2b8b2;color:#8c1d18;border-radius:.6rem;padding:.7rem 1rem}
form.set{display:flex;flex-wrap:wrap;gap:.8rem;align-items:end;padding:1rem;margin-top:1rem}
label{display:grid;color:#5d6878;font-size:.9rem}label input{min-width:12rem}
input,select,button{font:inherit;padding:.35rem .6rem;border:1px solid #c6cdd6;border-radius:.4rem;height:2.3rem;box-sizing:border-box;background:#fff;color:inherit}
button{cursor:pointer}form.set button{background:var(--node);border-color:var(--node);color:#fff;padding:.35rem 1.2rem}
.more{margin-top:1rem}
@media (prefers-color-scheme:dark){body{background:#14181e;color:#e4e8ee}dl,table,.none,form.set,input,select,button{background:#1d232b;border-color:#36404d}
th,td{border-color:#2a323c}dt,th,label,.none{color:#9aa6b5}code{color:#c3ccd8}}
";
