//! What a status of 400 or more is told with: pages of the application, or the host's report.

use std::path::{Path, PathBuf};

use super::components::Component;
use super::exchange::{Body, Exchange, Response};
use super::json::Json;
use super::reasons::reason;
use super::valves::Valve;

/// ErrorReportValve: a page for a status of 400 or more that nobody explained.
#[derive(Debug)]
pub struct ErrorReport {
    report: bool,
    server: bool,
    /// Files that are sent in its place: `errorCode.404`; 0 is every status without one.
    pages: Vec<(u16, PathBuf)>,
}

/// What pages and headers call this program.
pub const SERVER_INFO: &str = concat!("Tandem node/", env!("CARGO_PKG_VERSION"));

impl ErrorReport {
    /// With the settings of an element, or Tomcat's.
    pub fn of(element: Option<&Component>) -> Self {
        let flag = |name| element.is_none_or(|element| element.flag(name));
        Self { report: flag("showReport"), server: flag("showServerInfo"), pages: Vec::new() }
    }

    /// The same with the files that an element names, below a node's directory.
    #[must_use]
    pub fn with_pages(mut self, element: Option<&Component>, dir: &Path) -> Self {
        for attribute in element.into_iter().flat_map(|element| &element.attributes) {
            if let Some(code) = attribute.name.strip_prefix("errorCode.").and_then(|code| code.parse().ok()) {
                self.pages.push((code, dir.join(&attribute.value)));
            }
        }
        self
    }

    /// The file for a status, read anew each time.
    fn page(&self, status: u16) -> Option<Vec<u8>> {
        let of = |code: u16| self.pages.iter().find(|(of, _)| *of == code);
        let (_, path) = of(status).or_else(|| of(0))?;
        std::fs::read(path).ok()
    }
}

impl Valve for ErrorReport {
    fn after(&self, exchange: &mut Exchange) {
        let response = &mut exchange.response;
        if response.status < 400 || !response.body.is_empty() {
            return;
        }
        let status = response.status;
        if let Some(page) = self.page(status) {
            return response.send(status, "text/html;charset=UTF-8", page);
        }
        // What nobody knows has no page.
        let Some((reason, description)) = reason(status) else { return };
        let title = format!("HTTP Status {status} – {reason}");
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><head><title>{title}</title><style type=\"text/css\">{STYLE}</style></head><body><h1>{title}</h1>"
        );
        if self.report {
            page.push_str("<hr class=\"line\" /><p><b>Type</b> Status Report</p>");
            if let Some(message) = &response.message {
                page.push_str(&format!("<p><b>Message</b> {}</p>", escaped(message).replace('/', "&#47;")));
            }
            page.push_str(&format!("<p><b>Description</b> {description}</p><hr class=\"line\" />"));
        }
        if self.server {
            page.push_str(&format!("<h3>{SERVER_INFO}</h3>"));
        }
        page.push_str("</body></html>");
        response.send(status, "text/html;charset=utf-8", page);
        response.set_header("Content-Language", "en");
    }
}

const STYLE: &str = "body {font-family:Tahoma,Arial,sans-serif;} h1, h2, h3, b {color:white;background-color:#525D76;} h1 {font-size:22px;} h2 {font-size:16px;} h3 {font-size:14px;} p {font-size:12px;} a {color:black;} .line {height:1px;background-color:#525D76;border:none;}";

/// A text for HTML.
pub fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    crate::base::path::escape_html(text.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).replace('"', "&quot;").replace('\'', "&#39;")
}

/// JsonErrorReportValve: the same as JSON.
#[derive(Debug)]
pub struct JsonErrorReport;

impl Valve for JsonErrorReport {
    fn after(&self, exchange: &mut Exchange) {
        let response = &mut exchange.response;
        if response.status < 400 || !response.body.is_empty() {
            return;
        }
        let status = response.status;
        let Some((reason, description)) = reason(status) else { return };
        let page = Json::object([
            ("status", Json::Int(i64::from(status))),
            ("type", Json::text("Status Report")),
            ("message", Json::text(response.message.as_deref().unwrap_or_default())),
            ("reason", Json::text(reason)),
            ("description", Json::text(description)),
        ]);
        response.send(status, "application/json;charset=utf-8", page.pretty().trim_end().to_owned());
        response.set_header("Content-Language", "en");
    }
}

/// The pages that an application's descriptor names for statuses.
#[derive(Debug)]
pub struct ErrorPages;

impl Valve for ErrorPages {
    fn after(&self, exchange: &mut Exchange) {
        let status = exchange.response.status;
        if status < 400 || !exchange.response.body.is_empty() {
            return;
        }
        let Some(context) = exchange.context.clone() else { return };
        let page = |code: Option<u16>| context.error_pages.iter().find(|(of, _)| *of == code);
        let Some((_, location)) = page(Some(status)).or_else(|| page(None)) else { return };
        // The page is asked for without conditions, and whatever the method was.
        let request = &mut exchange.request;
        let method = if request.method == "HEAD" { "HEAD" } else { "GET" };
        let method = std::mem::replace(&mut request.method, method.to_owned());
        let path = std::mem::replace(&mut request.path, format!("{}{location}", context.path));
        let conditional = |name: &str| {
            ["range", "if-"]
                .iter()
                .any(|begin| name.get(..begin.len()).is_some_and(|own| own.eq_ignore_ascii_case(begin)))
        };
        let plain = request.headers.iter().filter(|(name, _)| !conditional(name)).cloned().collect();
        let headers = std::mem::replace(&mut request.headers, plain);
        let own = std::mem::replace(&mut exchange.response, Response { status: 200, ..Response::default() });
        context.handler.handle(exchange);
        (exchange.request.method, exchange.request.path, exchange.request.headers) = (method, path, headers);
        let page = std::mem::replace(&mut exchange.response, own);
        if page.status != 200 || matches!(page.body, Body::Empty) {
            return;
        }
        if let Some(kind) = page.header("Content-Type") {
            exchange.response.set_header("Content-Type", kind);
        }
        exchange.response.body = page.body;
    }
}
