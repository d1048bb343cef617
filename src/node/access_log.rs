//! AccessLogValve and its kin: a line for each request, from a list of items.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::access_form::{self, Field};
use super::components::Component;
use super::exchange::Exchange;
use crate::base::clock;

const COMMON: &str = "%h %l %u %t \"%r\" %s %b";
const COMBINED: &str = "%h %l %u %t \"%r\" %s %b \"%{Referer}i\" \"%{User-Agent}i\"";

/// A log of requests.
#[derive(Debug)]
pub struct AccessLog {
    form: Form,
    condition_if: Option<String>,
    condition_unless: Option<String>,
    attributes: bool,
    directory: PathBuf,
    prefix: String,
    suffix: String,
    /// `strftime` format between prefix and suffix.
    date: Option<String>,
    buffered: bool,
    file: Mutex<Option<(String, BufWriter<File>)>>,
}

/// How a line is made.
#[derive(Debug)]
enum Form {
    /// AccessLogValve
    Items(Vec<Item>),
    /// JsonAccessLogValve
    Json(Vec<Item>),
    /// ExtendedAccessLogValve, and what its files begin with.
    Extended(Vec<Field>, String),
}

/// One item of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// As it stands.
    Text(String),
    /// A letter with its argument, both as written.
    Code(char, Option<String>),
}

/// A pattern as items.
fn items(pattern: &str) -> Vec<Item> {
    let pattern = match pattern {
        "common" => COMMON,
        "combined" => COMBINED,
        other => other,
    };
    let (mut found, mut text) = (Vec::new(), String::new());
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let item = match rest.next() {
            Some('{') => {
                let argument: String = rest.by_ref().take_while(|c| *c != '}').collect();
                rest.next().map(|letter| Item::Code(letter, Some(argument)))
            }
            Some('%') => {
                text.push('%');
                continue;
            }
            other => other.map(|letter| Item::Code(letter, None)),
        };
        if !text.is_empty() {
            found.push(Item::Text(std::mem::take(&mut text)));
        }
        found.extend(item);
    }
    if !text.is_empty() {
        found.push(Item::Text(text));
    }
    found
}

/// Java's date letters as `strftime` conversions.
fn strftime_of(java: &str) -> String {
    let mut out = String::new();
    let mut rest = java.chars().peekable();
    while let Some(c) = rest.next() {
        let mut count = 1;
        while c.is_ascii_alphabetic() && rest.next_if_eq(&c).is_some() {
            count += 1;
        }
        let conversion = match (c, count) {
            ('y', 2) => "%y",
            ('y', _) => "%Y",
            ('M', 3) => "%b",
            ('M', 4..) => "%B",
            ('M', _) => "%m",
            ('d', _) => "%d",
            ('H', _) => "%H",
            ('h', _) => "%I",
            ('m', _) => "%M",
            ('s', _) => "%S",
            ('S', _) => "000",
            ('E', _) => "%a",
            ('a', _) => "%p",
            ('Z', _) => "%z",
            ('z', _) => "%Z",
            ('\'', _) => "",
            (other, _) => {
                out.push(other);
                ""
            }
        };
        out.push_str(conversion);
    }
    out
}

impl AccessLog {
    /// The log of an element, below a node's directory; `None` if it is switched off.
    pub fn of(element: &Component, base: &Path) -> Option<Self> {
        if !element.flag("enabled") {
            return None;
        }
        let text = |name: &str| element.text(name).map(str::to_owned).filter(|text| !text.is_empty());
        let date =
            element.flag("rotatable").then(|| strftime_of(element.text("fileDateFormat").unwrap_or(".yyyy-MM-dd")));
        let pattern = element.text("pattern").unwrap_or_default();
        let form = match element.class.short() {
            "JsonAccessLogValve" => Form::Json(items(pattern)),
            "ExtendedAccessLogValve" => Form::Extended(access_form::fields(pattern), access_form::header(pattern)),
            _ => Form::Items(items(pattern)),
        };
        Some(Self {
            form,
            condition_if: text("conditionIf"),
            condition_unless: text("conditionUnless").or_else(|| text("condition")),
            attributes: element.flag("requestAttributesEnabled"),
            directory: base.join(element.text("directory").unwrap_or("logs")),
            prefix: element.text("prefix").unwrap_or("access_log").to_owned(),
            suffix: element.text("suffix").unwrap_or_default().to_owned(),
            date,
            buffered: element.flag("buffered"),
            file: Mutex::new(None),
        })
    }

    /// Logs a request whose response was sent.
    pub fn log(&self, exchange: &Exchange) {
        let set = |name: &String| exchange.request.attribute(name).is_some();
        if self.condition_if.as_ref().is_some_and(|name| !set(name)) || self.condition_unless.as_ref().is_some_and(set)
        {
            return;
        }
        let line = self.line(exchange);
        self.write(&line, exchange.request.started_at);
    }

    fn write(&self, line: &str, at: i64) {
        let mut date = Vec::new();
        if let Some(format) = &self.date {
            clock::push_strftime(&mut date, format.as_bytes(), at);
        }
        let name = format!("{}{}{}", self.prefix, String::from_utf8_lossy(&date), self.suffix);
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_none_or(|(kept, _)| *kept != name) {
            let path = self.directory.join(&name);
            let file = fs::create_dir_all(&self.directory)
                .and_then(|()| OpenOptions::new().create(true).append(true).open(&path));
            *open = match file {
                Ok(file) => {
                    let is_new = file.metadata().is_ok_and(|about| about.len() == 0);
                    let mut file = BufWriter::with_capacity(128_000, file);
                    if let Form::Extended(_, header) = &self.form
                        && is_new
                    {
                        // A full disk, as below.
                        let _ = file.write_all(header.as_bytes());
                    }
                    Some((name, file))
                }
                Err(error) => {
                    const SOURCE: &str = "org.apache.catalina.valves.AccessLogValve.open";
                    super::log::severe(
                        SOURCE,
                        &format!("Failed to open access log file [{}]: {error}", path.display()),
                    );
                    None
                }
            };
        }
        if let Some((_, file)) = open.as_mut() {
            // A full disk must not keep requests from being answered.
            let _ = file.write_all(line.as_bytes());
            if !self.buffered {
                let _ = file.flush();
            }
        }
    }

    /// Writes out what is buffered; called every few seconds and at the end.
    pub fn flush(&self) {
        if let Some((_, file)) = self.file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = file.flush();
        }
    }

    fn line(&self, exchange: &Exchange) -> String {
        let mut out = match &self.form {
            Form::Items(items) => {
                let mut out = String::with_capacity(160);
                items.iter().for_each(|item| self.push(&mut out, item, exchange));
                out
            }
            Form::Json(items) => access_form::json(self, items, exchange),
            Form::Extended(fields, _) => access_form::extended(self, fields, exchange),
        };
        out.push('\n');
        out
    }

    /// Writes an item.
    pub(super) fn push(&self, out: &mut String, item: &Item, exchange: &Exchange) {
        match item {
            Item::Text(text) => out.push_str(text),
            Item::Code(letter, None) => self.push_plain(out, *letter, exchange),
            Item::Code(letter, Some(argument)) => push_named(out, *letter, argument, exchange),
        }
    }

    fn push_plain(&self, out: &mut String, letter: char, exchange: &Exchange) {
        let (request, response) = (&exchange.request, &exchange.response);
        let attribute = |name: &str, other: &str| {
            let name = format!("org.apache.catalina.AccessLog.{name}");
            request.attribute(&name).filter(|_| self.attributes).unwrap_or(other).to_owned()
        };
        let elapsed = request.started.elapsed();
        let text = match letter {
            'a' => attribute("RemoteAddr", &request.remote_addr),
            'A' => request.local_addr.clone(),
            'b' if response.sent == 0 => "-".to_owned(),
            'b' | 'B' => response.sent.to_string(),
            'D' => elapsed.as_micros().to_string(),
            'F' => response.committed.map_or(0, |at| (at - request.started).as_millis()).to_string(),
            'h' => attribute("RemoteHost", &request.remote_host),
            'H' => attribute("Protocol", &request.protocol),
            'I' => std::thread::current().name().unwrap_or_default().to_owned(),
            'l' => "-".to_owned(),
            'm' if request.method.is_empty() => "null".to_owned(),
            'm' => request.method.clone(),
            'p' => attribute("ServerPort", &request.server_port.to_string()),
            'q' => request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default(),
            'r' => request.line(),
            's' => response.status.to_string(),
            'S' => request.session.as_ref().map_or("-", |held| held.id()).to_owned(),
            't' => {
                let mut time = Vec::new();
                clock::push_clf_time(&mut time, request.started_at);
                String::from_utf8_lossy(&time).into_owned()
            }
            'T' => elapsed.as_secs().to_string(),
            'u' => request.user.clone().unwrap_or_else(|| "-".to_owned()),
            'U' if request.uri.is_empty() => "-".to_owned(),
            'U' => request.uri.clone(),
            'v' => attribute("ServerName", &request.server_name),
            'X' if response.aborted => "X".to_owned(),
            'X' => if response.kept { "+" } else { "-" }.to_owned(),
            other => format!("???{other}???"),
        };
        push_escaped(out, &text);
    }
}

fn push_named(out: &mut String, letter: char, argument: &str, exchange: &Exchange) {
    let (request, response) = (&exchange.request, &exchange.response);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let text = match letter {
        'a' if argument == "peer" => or_dash(request.peer.map(|peer| peer.to_string())),
        'a' => request.remote_addr.clone(),
        'c' => or_dash(request.cookies(argument).next().map(str::to_owned)),
        'i' => {
            let values: Vec<_> = request.headers(argument).collect();
            if values.is_empty() { "-".to_owned() } else { values.join(",") }
        }
        'o' => or_dash(response.header(argument).map(str::to_owned)),
        'p' if argument == "remote" => request.remote_port.to_string(),
        // Tomcat's local port is the one the client asked for, too.
        'p' => request.server_port.to_string(),
        'r' => or_dash(request.attribute(argument).map(str::to_owned)),
        's' => {
            let view = request.session.as_ref().and_then(|held| held.view());
            let value = view.and_then(|view| view.attributes.into_iter().find(|shown| shown.name == argument));
            or_dash(value.map(|shown| shown.value.plain()))
        }
        't' => time(argument, exchange),
        'T' => {
            let elapsed = request.started.elapsed();
            match argument {
                "ms" => elapsed.as_millis().to_string(),
                "us" => elapsed.as_micros().to_string(),
                "ns" => elapsed.as_nanos().to_string(),
                "fracsec" => format!("{:.3}", elapsed.as_secs_f64()),
                _ => elapsed.as_secs().to_string(),
            }
        }
        'L' => request.connection.to_string(),
        _ => "???".to_owned(),
    };
    push_escaped(out, &text);
}

fn time(argument: &str, exchange: &Exchange) -> String {
    let request = &exchange.request;
    let (at, format) = match argument.strip_prefix("end:") {
        Some(format) => {
            let elapsed = i64::try_from(request.started.elapsed().as_micros()).unwrap_or(0);
            (request.started_at + elapsed, format)
        }
        None => (request.started_at, argument.strip_prefix("begin:").unwrap_or(argument)),
    };
    match format {
        "sec" => at.div_euclid(1_000_000).to_string(),
        "msec" => at.div_euclid(1000).to_string(),
        "msec_frac" => format!("{:03}", at.div_euclid(1000).rem_euclid(1000)),
        format => {
            let mut out = Vec::new();
            clock::push_strftime(&mut out, strftime_of(format).as_bytes(), at);
            String::from_utf8_lossy(&out).into_owned()
        }
    }
}

/// A text of the client's, so that it cannot end the line or the quotes around it.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

/// How often buffered lines are written out.
pub const FLUSH: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::exchange::Request;

    #[test]
    fn items_of_a_pattern_are_written() {
        let mut exchange = Exchange::new(Request {
            uri: "/clu/s.jsp;jsessionid=A".to_owned(),
            query: Some("x=\"1".to_owned()),
            remote_host: "10.0.0.9".to_owned(),
            headers: vec![("Referer".to_owned(), b"r".to_vec()), ("Cookie".to_owned(), b"a=b".to_vec())],
            ..Request::default()
        });
        exchange.response.kept = true;
        let line = |pattern: &str| {
            let element =
                Component::bare(crate::node::components::Kind::Valve, "org.apache.catalina.valves.AccessLogValve");
            let mut log = AccessLog::of(&element.unwrap(), Path::new("/nowhere")).unwrap();
            log.form = Form::Items(items(pattern));
            log.line(&exchange)
        };
        assert_eq!(
            line("%h %l %u \"%r\" %s %b %B"),
            "10.0.0.9 - - \"GET /clu/s.jsp;jsessionid=A?x=\\\"1 HTTP/1.1\" 200 - 0\n"
        );
        assert_eq!(
            line("%{Referer}i %{No}i %{a}c %q %U %X %% %z %{x}y"),
            "r - b ?x=\\\"1 /clu/s.jsp;jsessionid=A + % ???z??? ???\n"
        );
        assert_eq!(items("combined").len(), items(COMBINED).len());
        assert_eq!(strftime_of(".yyyy-MM-dd'T'HH"), ".%Y-%m-%dT%H");
    }
}
