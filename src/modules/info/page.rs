//! The pages' text.

use std::io::Write as _;

use super::InfoServer;
use crate::base::path::escape_html;
use crate::config::Directive;
use crate::lang::Node;
use crate::modules::authz_core::providers::PROVIDERS as AUTHZ;
use crate::modules::{ALL, authn_providers};
use crate::pipe::{self, Module, Phase, names};
use crate::web::Exchange;

const HEAD: &str = "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n<html xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n  \
<title>Server Information</title>\n</head>\n<body><h1 style=\"text-align: center\">Apache Server Information</h1>\n";

/// Phases of a request under the names that httpd has for them.
const PHASES: &[(Phase, &str)] = &[
    (Phase::PostRead, "Post-Read Request"),
    (Phase::HeaderParser, "Header Parse"),
    (Phase::PreTranslate, "Pre-Translate Name"),
    (Phase::Translate, "Translate Name"),
    (Phase::MapToStorage, "Map to Storage"),
    (Phase::AccessEx, "Check Access"),
    (Phase::Access, "Check Access (legacy)"),
    (Phase::Authn, "Verify User ID"),
    (Phase::Challenge, "Note Authentication Failure"),
    (Phase::Authz, "Verify User Access"),
    (Phase::TypeChecker, "Check Type"),
    (Phase::Fixups, "Fixups"),
    (Phase::InsertFilter, "Insert Filters"),
    (Phase::Handler, "Content Handlers"),
    (Phase::Head, "Response Head"),
    (Phase::Log, "Transaction Logging"),
];

/// httpd numbers the middle of a phase 10.
const MIDDLE: i16 = 10;

/// The page that the query asks for: one part, one module by the name of its file, or all.
pub(super) fn made(ex: &Exchange) -> Vec<u8> {
    let mut page = Page { ex, out: HEAD.as_bytes().to_vec() };
    let modules = page.modules();
    match ex.args.as_deref() {
        None => page.all(&modules),
        Some(b"server") => page.server(),
        Some(b"list") => {
            page.text("<dl><dt>Server Module List</dt>");
            for module in &modules {
                page.text(&format!("<dd>{}</dd>", module.row.file));
            }
            page.text("</dl><hr />");
        }
        Some(b"config") => {
            page.text("<dl><dt><strong>Configuration:</strong>\n");
            page.commands(None);
            page.text("</dl><hr />");
        }
        Some(b"hooks") => page.hooks(&modules),
        Some(b"providers") => page.providers(),
        Some(name) => {
            for module in modules.iter().filter(|module| module.row.file.as_bytes() == name) {
                page.module(module);
            }
        }
    }
    pipe::push_signature(ex, b"", &mut page.out);
    page.text("</body></html>\n");
    page.out
}

struct Page<'a> {
    ex: &'a Exchange,
    out: Vec<u8>,
}

impl<'a> Page<'a> {
    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn escaped(&mut self, text: &[u8]) {
        escape_html(text, &mut self.out);
    }

    /// The modules in use, by the names of their files.
    fn modules(&self) -> Vec<&'static Module> {
        let loaded = &self.ex.live.generation.globals.modules;
        let mut modules: Vec<_> = ALL.iter().copied().filter(|module| loaded.contains(&module.row.id)).collect();
        modules.sort_by_key(|module| module.row.file);
        modules
    }

    fn all(&mut self, modules: &[&'static Module]) {
        self.text(
            "<dl><dt><tt>Subpages:<br /><a href=\"?config\">Configuration Files</a>, <a href=\"?server\">Server \
             Settings</a>, <a href=\"?list\">Module List</a>, <a href=\"?hooks\">Active Hooks</a>, <a \
             href=\"?providers\">Available Providers</a></tt></dt></dl><hr /><dl><dt><tt>Sections:<br /><a \
             href=\"#modules\">Loaded Modules</a>, <a href=\"#server\">Server Settings</a>, <a \
             href=\"#request_hooks\">Request Hooks</a>, <a href=\"#providers\">Providers</a></tt></dt></dl><hr /><h2><a \
             name=\"modules\">Loaded Modules</a></h2><dl><dt><tt>",
        );
        for module in modules {
            self.text(&format!("<a href=\"#{0}\">{0}</a>, ", module.row.file));
        }
        self.text("</tt></dt></dl><hr />");
        self.server();
        self.hooks(modules);
        self.providers();
        for module in modules {
            self.module(module);
        }
    }

    /// A line of the settings.
    fn setting(&mut self, name: &str, value: &[u8]) {
        self.text(&format!("<dt><strong>{name}:</strong> <tt>"));
        self.escaped(value);
        self.text("</tt></dt>\n");
    }

    fn server(&mut self) {
        let ex = self.ex;
        let globals = &ex.live.generation.globals;
        let built = crate::net::daemon::built();
        self.text("<h2><a name=\"server\">Server Settings</a></h2><dl>");
        for (name, value) in [("Server Version", names::server_software(ex)), ("Server Built", built.as_bytes())] {
            self.text(&format!("<dt><strong>{name}:</strong> <font size=\"+1\"><tt>"));
            self.escaped(value);
            self.text("</tt></font></dt>\n");
        }
        self.setting("Module Magic Number", b"20120211:142");
        let port = names::server_port(ex);
        self.setting("Hostname/port", &[names::server_name(ex), format!(":{port}").as_bytes()].concat());
        let rec = &ex.server().rec;
        let keep = rec.keep_alive_timeout.map_or(5, |milliseconds| milliseconds / 1000);
        let _ = writeln!(
            self.out,
            "<dt><strong>Timeouts:</strong> <tt>connection: {} &nbsp;&nbsp; keep-alive: {keep}</tt></dt>",
            rec.timeout.unwrap_or(60)
        );
        let mpm = globals.modules.iter().find_map(|id| id.strip_prefix("mpm_")?.strip_suffix("_module"));
        self.setting("MPM Name", mpm.unwrap_or_default().as_bytes());
        self.setting("Server Architecture", format!("{}-bit", usize::BITS).as_bytes());
        self.setting("Server Root", &globals.server_root);
        if let Some(first) = globals.tree.first() {
            self.setting("Config File", first.file.as_bytes());
        }
        self.text("</dl><hr />");
    }

    fn hooks(&mut self, modules: &[&'static Module]) {
        // On a page of their own there is nothing below that a name could lead to.
        let link = if self.ex.args.is_some() { '?' } else { '#' };
        self.text("<h2><a name=\"request_hooks\">Request Hooks</a></h2>\n<dl>");
        for (phase, name) in PHASES {
            let _ = writeln!(self.out, "<dt><strong>{name}:</strong>\n <br /><tt>");
            let mut hooks: Vec<_> = ALL
                .iter()
                .filter(|module| modules.iter().any(|loaded| loaded.row.id == module.row.id))
                .flat_map(|module| module.hooks.iter().map(move |hook| (hook, module.row.file)))
                .filter(|(hook, _)| hook.phase == *phase)
                .collect();
            hooks.sort_by_key(|(hook, _)| hook.order);
            for (hook, file) in hooks {
                let order = hook.order + MIDDLE;
                let _ = write!(self.out, "&nbsp;&nbsp; {order:02} <a href=\"{link}{file}\">{file}</a> <br/>");
            }
            self.text("\n  </tt>\n</dt>\n");
        }
        self.text("</dl>\n<hr />\n");
    }

    fn providers(&mut self) {
        let loaded = &self.ex.live.generation.globals.modules;
        let authn = authn_providers::PROVIDERS.iter().filter(|row| row.ask.is_some()).map(|row| (row.name, row.module));
        let authz = AUTHZ.iter().filter(|row| row.parse.is_some()).map(|row| (row.name, row.module));
        let groups: [(&str, Vec<(&str, &str)>); 2] = [("authn", authn.collect()), ("authz", authz.collect())];
        self.text("<h2><a name=\"providers\">Providers</a></h2>\n<dl>");
        for (group, rows) in groups {
            let mut known: Vec<&str> =
                rows.into_iter().filter(|(_, module)| loaded.contains(module)).map(|(name, _)| name).collect();
            if known.is_empty() {
                continue;
            }
            known.sort_unstable();
            let _ = writeln!(self.out, "<dt><strong>{group}</strong> (version <tt>0</tt>):\n <br />");
            for name in known {
                let _ = write!(self.out, "<tt>&nbsp;&nbsp;{name}</tt><br/>");
            }
            self.text("\n</dt>\n");
        }
        self.text("</dl>\n<hr />\n");
    }

    /// All about one module.
    fn module(&mut self, module: &'static Module) {
        let file = module.row.file;
        let _ = writeln!(
            self.out,
            "<dl><dt><a name=\"{file}\"><strong>Module Name:</strong></a> <font size=\"+1\"><tt><a \
             href=\"?{file}\">{file}</a></tt></font></dt>"
        );
        let handles = module.hooks.iter().any(|hook| hook.phase == Phase::Handler);
        let handles = if handles { "yes" } else { "none" };
        let _ = write!(self.out, "<dt><strong>Content handlers:</strong> <tt> <em>{handles}</em></tt></dt>");
        let phases = PHASES.iter().filter(|(phase, _)| module.hooks.iter().any(|hook| hook.phase == *phase));
        let phases: Vec<String> = phases.map(|(_, name)| format!("<tt>{name}</tt>")).collect();
        let phases = if phases.is_empty() { "<tt> <em>none</em></tt>".to_owned() } else { phases.join(", ") };
        let _ = writeln!(self.out, "<dt><strong>Request Phase Participation:</strong>\n{phases}</dt>");
        self.text("<dt><strong>Module Directives:</strong>");
        if module.row.directives.is_empty() {
            self.text(" <tt>none</tt></dt>");
        } else {
            self.text("</dt>");
            for row in module.row.directives {
                self.text("<dd><tt>");
                self.escaped(row.name.as_bytes());
                if row.name.starts_with('<') {
                    self.escaped(b">");
                }
                self.text(" - <i>");
                self.escaped(row.usage.as_bytes());
                self.text("</i></tt></dd>\n");
            }
            self.text("<dt><strong>Current Configuration:</strong></dt>\n");
            self.commands(Some(module.row.directives));
        }
        let more = self.ex.server().get::<InfoServer>();
        let more = more.and_then(|conf| conf.more.iter().find(|(name, _)| name == file.as_bytes()));
        if let Some((_, text)) = more {
            self.text("<dt><strong>Additional Information:</strong>\n</dt><dd>");
            self.out.extend_from_slice(text);
            self.text("</dd>");
        }
        self.text("</dl><hr />\n");
    }

    /// The directives of the configuration, or those that are these.
    fn commands(&mut self, rows: Option<&[Directive]>) {
        let globals = &self.ex.live.generation.globals;
        self.nodes(&globals.tree, rows, 0, &mut String::new());
    }

    fn nodes(&mut self, nodes: &[Node], rows: Option<&[Directive]>, depth: usize, file: &mut String) {
        for node in nodes.iter().filter(|node| counts(node, rows)) {
            if *file != *node.file {
                *file = node.file.to_string();
                self.text("<dd><tt><strong>In file: ");
                self.escaped(node.file.as_bytes());
                self.text("</strong></tt></dd>\n");
            }
            let indent = "&nbsp;&nbsp;".repeat(depth);
            let number = node.line.to_string();
            let pad = "&nbsp;".repeat(4usize.saturating_sub(number.len()));
            self.text(&format!("<dd><tt>{pad}{number}:&nbsp;{indent}"));
            self.escaped(&node.name);
            let section = node.name.first() == Some(&b'<');
            if section {
                if !matches!(node.args.as_slice(), b"" | b">") {
                    self.text(" ");
                }
                self.escaped(node.args.strip_suffix(b">").unwrap_or(&node.args));
                self.escaped(b">");
            } else {
                self.text(" <i>");
                self.escaped(&node.args);
                self.text("</i>");
            }
            self.text("</tt></dd>\n");
            if section {
                self.nodes(&node.children, rows, depth + 1, file);
                self.text(&format!("<dd><tt>&nbsp;&nbsp;&nbsp;&nbsp;:&nbsp;{indent}"));
                self.escaped(b"</");
                self.escaped(node.name.get(1..).unwrap_or_default());
                self.escaped(b">");
                self.text("</tt></dd>");
            }
        }
    }
}

/// Whether a directive is one of these, or anything in the section is.
fn counts(node: &Node, rows: Option<&[Directive]>) -> bool {
    let Some(list) = rows else { return true };
    let own = list.iter().any(|row| row.name.as_bytes().eq_ignore_ascii_case(&node.name));
    own || node.children.iter().any(|child| counts(child, rows))
}
