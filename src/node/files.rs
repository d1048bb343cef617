//! The files of an application: what Tomcat's default servlet serves; what its JSP servlet would compile is refused.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::conditions::{self, Malformed, Verdict};
use super::exchange::Exchange;
use super::ranges;
use super::webapp::Handler;
use crate::base::clock;

/// Serves the files below a directory.
#[derive(Debug)]
pub struct Files {
    /// The directory, with every link in it followed.
    root: PathBuf,
    welcome: Vec<String>,
    types: BTreeMap<String, String>,
    /// URL patterns of servlets, which are Java code.
    servlets: Vec<(String, String)>,
}

/// What may be done with a file.
const ALLOWED: &str = "OPTIONS, GET, HEAD, POST";

/// Extensions whose files are programs.
const PROGRAMS: [&str; 3] = ["jsp", "jspx", "jspf"];

/// Types of files where the descriptor names none.
const TYPES: [(&str, &str); 14] = [
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("txt", "text/plain"),
    ("xml", "application/xml"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("gif", "image/gif"),
    ("ico", "image/vnd.microsoft.icon"),
    ("woff2", "font/woff2"),
    ("pdf", "application/pdf"),
];

impl Files {
    /// The files below `root`, with the settings of a descriptor.
    pub fn new(root: &Path, web: &super::webxml::WebXml) -> Self {
        let welcome = if web.welcome.is_empty() {
            ["index.html", "index.htm", "index.jsp"].map(str::to_owned).to_vec()
        } else {
            web.welcome.clone()
        };
        Self {
            root: fs::canonicalize(root).unwrap_or_else(|_| root.to_owned()),
            welcome,
            types: web.types.clone(),
            servlets: web.servlets.clone(),
        }
    }

    /// The file of a path, unless a link leads out of the directory.
    fn find(&self, path: &str) -> Option<(PathBuf, Metadata)> {
        let wanted = self.root.join(path.trim_start_matches('/'));
        let real = fs::canonicalize(&wanted).ok()?;
        // As Tomcat without allowLinking: the real name is the one asked for, in this case of letters.
        let same = real == wanted || real.as_path() == wanted.components().as_path();
        if !same || !real.starts_with(&self.root) {
            return None;
        }
        let about = fs::metadata(&real).ok()?;
        Some((real, about))
    }

    fn serve(&self, exchange: &mut Exchange, path: &str) {
        if conditions::check(&exchange.request).is_err() {
            return exchange.response.error(400, None);
        }
        let Some((file, about)) = self.find(path) else { return not_found(exchange) };
        if about.is_dir() {
            if !path.ends_with('/') {
                let query = exchange.request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
                let location = format!("{}/{query}", exchange.request.uri);
                return exchange.response.redirect(&location);
            }
            for name in &self.welcome {
                let welcome = format!("{path}{name}");
                if self.is_program(&welcome) && self.find(&welcome).is_some() {
                    return not_run(exchange, &welcome);
                }
                if self.find(&welcome).is_some_and(|(_, about)| about.is_file()) {
                    return self.serve(exchange, &welcome);
                }
            }
            return not_found(exchange);
        }
        if path.ends_with('/') || !about.is_file() {
            return not_found(exchange);
        }
        self.send(exchange, &file, &about);
    }

    fn send(&self, exchange: &mut Exchange, file: &Path, about: &Metadata) {
        let changed = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
        let tag = format!("W/\"{}-{changed}\"", about.len());
        let mut date = Vec::new();
        clock::push_http_date(&mut date, changed.saturating_mul(1000));
        let malformed = |exchange: &mut Exchange| exchange.response.error(400, None);
        let verdict = conditions::judge(&exchange.request, tag.trim_start_matches("W/").trim_matches('"'), changed);
        match verdict {
            Ok(Verdict::Go) => {}
            Ok(Verdict::Failed) => return exchange.response.error(412, None),
            Ok(Verdict::Unchanged) => {
                exchange.response.set_header("ETag", &tag);
                exchange.response.status = 304;
                return;
            }
            Err(Malformed) => return malformed(exchange),
        }
        exchange.response.set_header("Accept-Ranges", "bytes");
        let range = match conditions::allows_part(&exchange.request, changed) {
            Ok(true) => ranges::wanted(&exchange.request, about.len()),
            Ok(false) => Some(Vec::new()),
            Err(Malformed) if exchange.request.header("range").is_none() => Some(Vec::new()),
            Err(Malformed) => return malformed(exchange),
        };
        let Some(range) = range else {
            exchange.response.set_header("Content-Range", &format!("bytes */{}", about.len()));
            return exchange.response.error(416, None);
        };
        exchange.response.set_header("ETag", &tag);
        exchange.response.set_header("Last-Modified", &String::from_utf8_lossy(&date));
        let extension = file.extension().and_then(|text| text.to_str()).unwrap_or_default().to_ascii_lowercase();
        let known = || TYPES.iter().find(|(name, _)| *name == extension).map(|(_, kind)| *kind);
        let kind = self.types.get(&extension).map(String::as_str).or_else(known);
        let sent =
            File::open(file).and_then(|open| ranges::send(&mut exchange.response, open, about.len(), &range, kind));
        if sent.is_err() {
            exchange.response.headers.clear();
            not_found(exchange);
        }
    }

    fn is_program(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit('.').next().unwrap_or_default();
        name.contains('.') && PROGRAMS.iter().any(|program| extension.eq_ignore_ascii_case(program))
    }

    /// The servlet a path is mapped to.
    fn servlet(&self, path: &str) -> Option<&str> {
        let mapped = |pattern: &str| match pattern.strip_suffix("/*") {
            Some(begin) => path.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            None => match pattern.strip_prefix("*.") {
                Some(extension) => path.rsplit('/').next().is_some_and(|name| name.ends_with(&format!(".{extension}"))),
                None => pattern == path || (pattern.is_empty() && path == "/"),
            },
        };
        self.servlets.iter().find(|(pattern, _)| mapped(pattern)).map(|(_, name)| name.as_str())
    }
}

/// Whether a path is nobody's business: `WEB-INF` and `META-INF`, however they are written.
pub fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| {
        // Some file systems ignore case, dots or blanks at the end of a name.
        let part = part.trim_end_matches(['.', ' ']);
        part.eq_ignore_ascii_case("WEB-INF") || part.eq_ignore_ascii_case("META-INF")
    })
}

fn not_found(exchange: &mut Exchange) {
    let message = format!("The requested resource [{}] is not available", exchange.request.uri);
    exchange.response.error(404, Some(&message));
}

fn not_run(exchange: &mut Exchange, path: &str) {
    let message = format!(
        "[{path}] is a JavaServer Page: this node keeps its application's sessions and serves its files, but runs no Java"
    );
    exchange.response.error(501, Some(&message));
}

impl Handler for Files {
    fn handle(&self, exchange: &mut Exchange) {
        let path = exchange.request.path_info().to_owned();
        if is_hidden(&path) {
            return not_found(exchange);
        }
        if self.is_program(&path) {
            return match self.find(&path) {
                Some(_) => not_run(exchange, &path),
                None => exchange.response.error(404, Some(&format!("JSP file [{path}] not found"))),
            };
        }
        if let Some(name) = self.servlet(&path) {
            let message = format!("[{path}] is answered by the servlet [{name}]: this node runs no Java");
            return exchange.response.error(501, Some(&message));
        }
        match exchange.request.method.as_str() {
            "GET" | "HEAD" | "POST" => self.serve(exchange, &path),
            "OPTIONS" => exchange.response.set_header("Allow", ALLOWED),
            "PUT" | "DELETE" => {
                exchange.response.set_header("Allow", ALLOWED);
                exchange.response.error(405, None);
            }
            method => {
                let message = format!("Method [{method}] is not implemented by this Servlet for this URI");
                exchange.response.error(501, Some(&message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::exchange::Request;
    use crate::node::webxml::WebXml;

    fn get(files: &Files, path: &str) -> Exchange {
        let mut exchange = Exchange::new(Request { path: path.to_owned(), uri: path.to_owned(), ..Request::default() });
        files.handle(&mut exchange);
        exchange
    }

    #[test]
    fn files_are_served_and_secrets_are_not() {
        let root = std::env::temp_dir().join(format!("tandem-files-{}", std::process::id()));
        fs::create_dir_all(root.join("WEB-INF")).unwrap();
        fs::create_dir_all(root.join("sub")).unwrap();
        for (name, text) in
            [("WEB-INF/web.xml", "s"), ("a.txt", "hello"), ("x.jsp", "s"), ("X.JSP", "s"), ("sub/index.html", "<p>")]
        {
            fs::write(root.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
        let servlets = vec![("/app/*".to_owned(), "app".to_owned()), ("*.do".to_owned(), "do".to_owned())];
        let files = Files::new(&root, &WebXml { servlets, ..WebXml::default() });
        for (path, status, length) in [
            ("/a.txt", 200, 5),
            ("/sub/", 200, 3),
            ("/sub", 302, 0),
            ("/", 404, 0),
            ("/no", 404, 0),
            ("/a.txt/", 404, 0),
            ("/link", 404, 0),
            ("/WEB-INF/web.xml", 404, 0),
            ("/web-inf/web.xml", 404, 0),
            ("/sub/WEB-INF./x", 404, 0),
            ("/x.jsp", 501, 0),
            ("/X.JSP", 501, 0),
            ("/y.jsp", 404, 0),
            ("/app/x", 501, 0),
            ("/app", 501, 0),
            ("/a.do", 501, 0),
        ] {
            let exchange = get(&files, path);
            assert_eq!((exchange.response.status, exchange.response.body.len()), (status, length), "{path}");
        }
        let tag = get(&files, "/a.txt").response.header("etag").unwrap().to_owned();
        let headers = vec![("If-None-Match".to_owned(), tag.into_bytes())];
        let mut exchange = Exchange::new(Request { path: "/a.txt".to_owned(), headers, ..Request::default() });
        files.handle(&mut exchange);
        assert_eq!((exchange.response.status, exchange.response.body.is_empty()), (304, true));
        fs::remove_dir_all(root).unwrap();
    }
}
