//! Access logs that are no list of items with text between: JSON, and the extended format of W3C.

use super::access_log::{AccessLog, Item, push_escaped};
use super::exchange::Exchange;
use super::log;
use crate::base::clock;

/// Names of items in JSON.
const NAMES: [(char, &str); 22] = [
    ('a', "remoteAddr"),
    ('A', "localAddr"),
    ('b', "size"),
    ('B', "byteSentNC"),
    ('D', "elapsedTime"),
    ('F', "firstByteTime"),
    ('h', "host"),
    ('H', "protocol"),
    ('I', "threadName"),
    ('l', "logicalUserName"),
    ('m', "method"),
    ('p', "port"),
    ('q', "query"),
    ('r', "request"),
    ('s', "statusCode"),
    ('S', "sessionId"),
    ('t', "time"),
    ('T', "elapsedTimeS"),
    ('u', "user"),
    ('U', "path"),
    ('v', "localServerName"),
    ('X', "connectionStatus"),
];

/// Objects of items with an argument, in the order in which they are written.
const OBJECTS: [(char, &str); 6] = [
    ('r', "requestAttributes"),
    ('c', "cookies"),
    ('s', "sessionAttributes"),
    ('i', "requestHeaders"),
    ('L', "identifier"),
    ('o', "responseHeaders"),
];

/// The line of a JsonAccessLogValve. Items are escaped as in other logs, which is right in JSON too.
pub fn json(log: &AccessLog, items: &[Item], exchange: &Exchange) -> String {
    let mut out = String::with_capacity(400);
    let pair = |out: &mut String, first: &mut bool, name: &str, value: &dyn Fn(&mut String)| {
        out.push_str(if std::mem::take(first) { "\"" } else { ",\"" });
        out.push_str(name);
        out.push_str("\":\"");
        let at = out.len();
        value(out);
        if out.len() == at {
            out.push('-');
        }
        out.push('"');
    };
    let mut first = true;
    out.push('{');
    for item in items {
        let Item::Code(letter, argument) = item else { continue };
        if argument.is_some() && OBJECTS.iter().any(|(of, _)| of == letter) {
            continue;
        }
        let known = NAMES.iter().find(|(known, _)| known == letter).map(|(_, name)| (*name).to_owned());
        let mut name = known.unwrap_or_else(|| format!("other-{letter}"));
        if let Some(argument) = argument {
            name.push('-');
            name.push_str(argument);
        }
        pair(&mut out, &mut first, &name, &|out| log.push(out, item, exchange));
    }
    for (letter, name) in OBJECTS {
        let of_object = |item: &&Item| matches!(item, Item::Code(of, Some(_)) if *of == letter);
        let mut inner = true;
        for item in items.iter().filter(of_object) {
            let Item::Code(_, Some(argument)) = item else { continue };
            if inner {
                out.push_str(if std::mem::take(&mut first) { "\"" } else { ",\"" });
                out.push_str(name);
                out.push_str("\": {");
            }
            pair(&mut out, &mut inner, argument, &|out| log.push(out, item, exchange));
        }
        if !inner {
            out.push('}');
        }
    }
    out.push('}');
    out
}

/// A field of the extended format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// What stands between fields.
    Blanks(String),
    /// One that has a name.
    Plain(&'static str),
    /// `cs(User-Agent)`, `x-P(name)`: a prefix and its argument.
    Of(Prefix, String),
}

/// What an argument is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "names of what is looked into")]
pub enum Prefix {
    RequestHeader,
    ResponseHeader,
    Cookie,
    Context,
    Session,
    Attribute,
    Parameter,
    Method,
}

/// Fields without an argument.
const PLAIN: [&str; 14] = [
    "date",
    "time",
    "time-taken",
    "bytes",
    "cached",
    "c-ip",
    "c-dns",
    "s-ip",
    "s-dns",
    "cs-method",
    "cs-uri",
    "cs-uri-stem",
    "cs-uri-query",
    "sc-status",
];

/// What `x-H` knows of a request.
const METHODS: [&str; 12] = [
    "authType",
    "characterEncoding",
    "contentLength",
    "locale",
    "protocol",
    "remoteUser",
    "requestedSessionId",
    "requestedSessionIdFromCookie",
    "requestedSessionIdFromURL",
    "requestedSessionIdValid",
    "scheme",
    "secure",
];

const SOURCE: &str = "org.apache.catalina.valves.ExtendedAccessLogValve";

/// A pattern as fields, up to the first that nobody knows, which is said.
pub fn fields(pattern: &str) -> Vec<Field> {
    let mut found = Vec::new();
    let mut rest = pattern;
    if pattern.trim().is_empty() {
        log::info(&format!("{SOURCE}.createLogElements"), "Pattern was just empty or whitespace");
        return found;
    }
    while !rest.is_empty() {
        let word_at = rest.find(|c: char| c != ' ' && c != '\t').unwrap_or(rest.len());
        let (blanks, behind) = rest.split_at(word_at);
        if !blanks.is_empty() {
            found.push(Field::Blanks(blanks.to_owned()));
        }
        if behind.is_empty() {
            break;
        }
        // An argument may hold blanks.
        let open = behind.find('(').filter(|at| !behind.get(..*at).unwrap_or_default().contains([' ', '\t']));
        let end = match open {
            Some(at) => match behind.get(at..).unwrap_or_default().find(')') {
                Some(length) => at + length + 1,
                None => {
                    log::severe(&format!("{SOURCE}.getToken"), "No closing ) found for in decode");
                    break;
                }
            },
            None => behind.find([' ', '\t']).unwrap_or(behind.len()),
        };
        let (word, after) = behind.split_at(end);
        match field(word) {
            Ok(field) => found.push(field),
            Err(Unknown::Value(value)) => {
                let text = format!("Invalid x parameter value for Servlet request [{value}]");
                log::severe(&format!("{SOURCE}.getXParameterElement"), &text);
                break;
            }
            Err(Unknown::Word) => {
                let from = if word.starts_with("cs-") || word.starts_with("sc-") { after.trim() } else { word };
                let text = format!("Unable to decode the rest of chars starting with [{from}]");
                log::severe(&format!("{SOURCE}.getLogElement"), &text);
                break;
            }
        }
        rest = after;
    }
    found
}

enum Unknown {
    Word,
    Value(String),
}

fn field(word: &str) -> Result<Field, Unknown> {
    if let Some(name) = PLAIN.iter().find(|name| **name == word) {
        return Ok(Field::Plain(name));
    }
    let (begin, argument) = word.strip_suffix(')').and_then(|word| word.split_once('(')).ok_or(Unknown::Word)?;
    let prefix = match begin {
        "cs" => Prefix::RequestHeader,
        "sc" => Prefix::ResponseHeader,
        "x-A" => Prefix::Context,
        "x-C" => Prefix::Cookie,
        "x-R" => Prefix::Attribute,
        "x-S" => Prefix::Session,
        "x-P" => Prefix::Parameter,
        "x-H" if METHODS.contains(&argument) => Prefix::Method,
        "x-H" => return Err(Unknown::Value(argument.to_owned())),
        other => match other.strip_prefix("x-") {
            Some(kind) => return Err(Unknown::Value(kind.to_owned())),
            None => return Err(Unknown::Word),
        },
    };
    Ok(Field::Of(prefix, argument.to_owned()))
}

/// What a file of the extended format begins with.
pub fn header(pattern: &str) -> String {
    format!("#Fields: {pattern}\n#Version: 2.0\n#Software: {}\n", super::reports::SERVER_INFO)
}

/// The line of an ExtendedAccessLogValve.
pub fn extended(log: &AccessLog, fields: &[Field], exchange: &Exchange) -> String {
    let mut out = String::with_capacity(200);
    for field in fields {
        match field {
            Field::Blanks(blanks) => out.push_str(blanks),
            Field::Plain(name) => plain(log, &mut out, name, exchange),
            Field::Of(prefix, argument) => of(&mut out, *prefix, argument, exchange),
        }
    }
    out
}

fn plain(log: &AccessLog, out: &mut String, name: &str, exchange: &Exchange) {
    let request = &exchange.request;
    let item = |letter| Item::Code(letter, None);
    match name {
        "date" | "time" => {
            let format: &[u8] = if name == "date" { b"%Y-%m-%d" } else { b"%H:%M:%S" };
            let mut time = Vec::new();
            clock::push_strftime_gmt(&mut time, format, request.started_at);
            out.push_str(&String::from_utf8_lossy(&time));
        }
        "time-taken" => log.push(out, &item('T'), exchange),
        "bytes" => log.push(out, &item('b'), exchange),
        "c-ip" => log.push(out, &item('a'), exchange),
        "c-dns" => log.push(out, &item('h'), exchange),
        "s-ip" => log.push(out, &item('A'), exchange),
        "s-dns" => {
            let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
            out.push_str(name.as_deref().unwrap_or("localhost"));
        }
        "cs-method" => log.push(out, &item('m'), exchange),
        "cs-uri" => {
            log.push(out, &item('U'), exchange);
            log.push(out, &item('q'), exchange);
        }
        "cs-uri-stem" => log.push(out, &item('U'), exchange),
        "cs-uri-query" => out.push_str(request.query.as_deref().unwrap_or("-")),
        "sc-status" => log.push(out, &item('s'), exchange),
        // `cached`, which nothing is.
        _ => out.push('-'),
    }
}

fn of(out: &mut String, prefix: Prefix, name: &str, exchange: &Exchange) {
    let (request, response) = (&exchange.request, &exchange.response);
    let joined = |values: Vec<String>| (!values.is_empty()).then(|| values.join(","));
    let value = match prefix {
        Prefix::RequestHeader => request.header(name).map(str::to_owned),
        Prefix::ResponseHeader => {
            let same = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
            joined(response.headers.iter().filter(same).map(|(_, value)| value.clone()).collect())
        }
        Prefix::Cookie => joined(request.cookies(name).map(str::to_owned).collect()),
        // Applications here have no attributes of their own.
        Prefix::Context => None,
        Prefix::Attribute => request.attribute(name).map(str::to_owned),
        Prefix::Session => {
            let view = request.session.as_ref().and_then(|held| held.view());
            let shown = view.and_then(|view| view.attributes.into_iter().find(|shown| shown.name == name));
            shown.map(|shown| shown.value.plain())
        }
        Prefix::Parameter => {
            let values = request.parameters().into_iter().filter(|(key, _)| key == name);
            joined(values.map(|(_, value)| form_escaped(&value)).collect())
        }
        Prefix::Method => return method(out, name, exchange),
    };
    push_quoted(out, value.as_deref());
}

fn method(out: &mut String, name: &str, exchange: &Exchange) {
    let request = &exchange.request;
    let flag = |flag: bool| Some(if flag { "true" } else { "false" }.to_owned());
    let from_cookie = request.requested.as_ref().map(|requested| requested.from_cookie);
    let value = match name {
        "characterEncoding" => request.header("content-type").and_then(|kind| {
            let (_, parameters) = kind.split_once(';')?;
            let charset = parameters.split(';').find_map(|pair| pair.trim().strip_prefix("charset="))?;
            Some(charset.trim_matches('"').to_owned())
        }),
        "contentLength" => Some(request.header("content-length").unwrap_or("-1").to_owned()),
        "locale" => {
            let first = request.header("accept-language").and_then(|text| text.split([',', ';']).next());
            Some(first.map(str::trim).filter(|tag| !tag.is_empty() && *tag != "*").unwrap_or("en").replace('-', "_"))
        }
        "protocol" => Some(request.protocol.clone()),
        "remoteUser" => request.user.clone(),
        "requestedSessionId" => request.requested.as_ref().map(|requested| requested.id.clone()),
        "requestedSessionIdFromCookie" => flag(from_cookie == Some(true)),
        "requestedSessionIdFromURL" => flag(from_cookie == Some(false)),
        "requestedSessionIdValid" => {
            let manager = exchange.context.as_ref().map(|context| &context.manager);
            let valid =
                manager.zip(request.requested.as_ref()).is_some_and(|(manager, named)| manager.exists(&named.id));
            flag(valid)
        }
        "scheme" => return out.push_str(&request.scheme),
        "secure" => flag(request.secure),
        "authType" => request.auth_type.map(str::to_owned),
        _ => None,
    };
    push_quoted(out, value.as_deref());
}

/// A value in quotes, a quote in it doubled; nothing is a dash. Nobody ends a line with it.
fn push_quoted(out: &mut String, value: Option<&str>) {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return out.push('-') };
    out.push('"');
    for (at, part) in value.split('"').enumerate() {
        out.push_str(if at > 0 { "\"\"" } else { "" });
        push_escaped(out, part);
    }
    out.push('"');
}

/// A value of a form as it would be sent.
fn form_escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            byte if byte.is_ascii_alphanumeric() || b".-*_".contains(&byte) => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_ends_where_it_is_not_known() {
        let plain = Field::Plain;
        let blank = || Field::Blanks(" ".to_owned());
        let agent = Field::Of(Prefix::RequestHeader, "User-Agent".to_owned());
        assert_eq!(fields("date cs(User-Agent)"), [plain("date"), blank(), agent]);
        assert_eq!(fields("date x-Z(a) time"), [plain("date"), blank()]);
        assert_eq!(fields("date  time-fixed\ttime"), [plain("date"), Field::Blanks("  ".to_owned())]);
        assert_eq!(fields("x-A(a"), []);
        assert_eq!(fields("x-H(bogus)"), []);
        assert_eq!(fields("c-port date"), []);
        assert_eq!(fields(" "), []);
    }

    #[test]
    fn values_cannot_leave_their_quotes() {
        let mut out = String::new();
        push_quoted(&mut out, Some("a \"b\"\n"));
        push_quoted(&mut out, Some(""));
        assert_eq!(out, "\"a \"\"b\"\"\\n\"-");
        assert_eq!(form_escaped("a b\"é"), "a+b%22%C3%A9");
    }
}
