//! The directive row: everything the walker needs to know of one directive.

use std::sync::Arc;

use super::core::CoreProcess;
use super::generation::{Globals, Matcher, Position, SectionKind, Server, VhostAddr, Warning};
use super::slots::{Conf, Slots};
use crate::base::pattern::{Flags, Pattern, PatternError};
use crate::expr::{self, Expr, Template};

/// Bytes as text for messages: those above 127 become U+0080..U+00FF.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Where a directive may stand: httpd's `req_override` bits (column `req_override_bits` of the measured table).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places(pub u16);

impl Places {
    /// `.htaccess` class Limit.
    pub const LIMIT: Self = Self(1);
    /// `.htaccess` class Options.
    pub const OPTIONS: Self = Self(2);
    /// `.htaccess` class FileInfo.
    pub const FILEINFO: Self = Self(4);
    /// `.htaccess` class AuthConfig.
    pub const AUTHCFG: Self = Self(8);
    /// `.htaccess` class Indexes.
    pub const INDEXES: Self = Self(16);
    /// Any `.htaccess` class.
    pub const ALL: Self = Self(31);
    /// Inside directory-like sections (ACCESS_CONF).
    pub const DIR: Self = Self(64);
    /// At server level: main server and virtual hosts (RSRC_CONF).
    pub const SERVER: Self = Self(128);
    /// Runs while the files are read (EXEC_ON_READ).
    pub const READ: Self = Self(256);
    /// `<Proxy>` sections.
    pub const PROXY: Self = Self(2048);

    /// The union of two sets.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any place of `other` is in this set.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// How the argument text is cut into words and how many of them are accepted: httpd's argument kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing may follow.
    None,
    /// One word.
    Take1,
    /// Two words.
    Take2,
    /// Three words.
    Take3,
    /// One or two.
    Take12,
    /// Two or three.
    Take23,
    /// One, two or three.
    Take123,
    /// One or three.
    Take13,
    /// One or more; `apply` is called once for each word.
    Iterate,
    /// A first word and one or more; `apply` is called once for each pair.
    Iterate2,
    /// `on` or `off`; `apply` gets the word.
    Flag,
    /// Up to 64 words, all at once.
    Argv,
    /// The rest of the line as it is, in `Args::raw`.
    Raw,
}

/// What becomes of a directive that the configuration uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Accepted and obeyed.
    Done,
    /// Accepted, checked, without effect here by nature (process model, buffers); no warning is due.
    Moot,
    /// Accepted and checked, not obeyed yet: named in a warning.
    Missing,
    /// Access control, authentication, TLS or filtering that is not obeyed: an error.
    Refused,
}

/// Validates the words and records the value; does nothing else. The error text is httpd's, without position.
pub type Apply = fn(&mut Cmd<'_>, &Args<'_>) -> Result<(), String>;

/// One directive.
#[derive(Clone, Copy)]
pub struct Directive {
    /// Canonical spelling; sections keep their `<`.
    pub name: &'static str,
    /// Where it may stand.
    pub places: Places,
    /// Its argument kind.
    pub shape: Shape,
    /// httpd's usage text, shown after a wrong argument count.
    pub usage: &'static str,
    /// Whether it is obeyed.
    pub support: Support,
    /// Why it cannot be obeyed, where that is known, or what of it cannot; empty: it is only not built in yet, or obeyed
    /// in all.
    pub why: &'static str,
    /// What it does. For sections see [`Cmd::open`].
    pub apply: Apply,
}

/// A row for a directive that is obeyed.
pub const fn row(name: &'static str, places: Places, shape: Shape, apply: Apply, usage: &'static str) -> Directive {
    Directive { name, places, shape, usage, support: Support::Done, why: "", apply }
}

impl std::fmt::Debug for Directive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Directive {
    /// Accepted, without effect here by nature.
    pub const fn moot(self) -> Self {
        Self { support: Support::Moot, ..self }
    }

    /// Accepted and checked, not obeyed yet.
    pub const fn missing(self) -> Self {
        Self { support: Support::Missing, ..self }
    }

    /// Not obeyed yet, and an error for that reason.
    pub const fn refused(self) -> Self {
        Self { support: Support::Refused, ..self }
    }

    /// With the reason why it is not obeyed, or not in all.
    pub const fn because(self, why: &'static str) -> Self {
        Self { why, ..self }
    }
}

/// The words of one directive line.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    /// The words, per [`Shape`]; empty for `Raw` and `None`.
    pub words: &'a [&'a [u8]],
    /// The argument text as written (after `${}`), for `Raw` and for those that look behind the words.
    pub raw: &'a [u8],
}

impl<'a> Args<'a> {
    /// Word `i`, or the empty word.
    pub fn word(&self, i: usize) -> &'a [u8] {
        self.words.get(i).copied().unwrap_or(b"")
    }

    /// Word `i` if it is there and not empty.
    pub fn opt(&self, i: usize) -> Option<&'a [u8]> {
        self.words.get(i).copied().filter(|word| !word.is_empty())
    }

    /// Word `i` for messages and for values that are text: bytes above 127 become U+0080..U+00FF.
    pub fn text(&self, i: usize) -> String {
        latin1(self.word(i))
    }

    /// The value of a [`Shape::Flag`].
    pub fn on(&self) -> bool {
        self.word(0).eq_ignore_ascii_case(b"on")
    }
}

/// Where the current directive stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Top level of the main server.
    Main,
    /// Directly inside `<VirtualHost>`.
    VirtualHost,
    /// Inside a section of this kind (the innermost one).
    Section(SectionKind),
    /// In a `.htaccess` file.
    Htaccess,
}

/// The context in which a directive is applied.
pub struct Cmd<'a> {
    /// The row being applied.
    pub directive: &'static Directive,
    /// Where it stands.
    pub place: Place,
    /// All enclosing sections, outermost first.
    pub enclosing: &'a [Around],
    /// The argument of the innermost section (path, URL, pattern), if any.
    pub section_path: Option<&'a [u8]>,
    /// The methods of the innermost `<Limit>`/`<LimitExcept>` (method names, and whether it is the except form).
    pub limited: Option<&'a (Vec<Vec<u8>>, bool)>,
    /// The section in front of the current one in the same scope was `<If>` or `<ElseIf>`.
    pub behind_if: bool,
    /// The options that may be set here, as bits (`AllowOverride Options=`).
    pub options: u8,
    /// File and line.
    pub at: &'a Position,
    /// The server (main or virtual host) being filled.
    pub server: &'a mut Server,
    /// The per-directory values being filled: those of the section, or the server's own.
    pub dir: &'a mut Slots,
    /// What belongs to no server: listeners, user, files, limits of the process.
    pub globals: &'a mut Globals,
    /// Messages that do not stop the configuration.
    pub warnings: &'a mut Vec<Warning>,
    /// Set by a directive whose error ends httpd on the spot: its text is all that is said.
    pub ends: bool,
    /// Set by an `apply` that accepts words which are not obeyed, and must not be skipped.
    pub refused: bool,
    /// Those words, where the directive's name alone would not tell.
    pub refused_words: Option<String>,
    /// Set by the `apply` of a section row: how the walker goes on with the section's body.
    pub open: Option<Open>,
}

/// What runs when a block closes.
pub(super) type Leave = fn(&mut Cmd<'_>) -> Result<(), String>;

/// What takes the values of a body that belongs to no scope, with the section's own words.
pub(super) type Take = fn(&mut Cmd<'_>, &Args<'_>, Slots) -> Result<(), String>;

/// What a section row asks the walker to do with the section's body.
pub enum Open {
    /// Collect per-directory values into a new [`super::Section`].
    Section {
        /// Kind.
        kind: SectionKind,
        /// What it matches.
        matcher: Matcher,
        /// Match form.
        is_match: bool,
        /// The section's argument (path, URL, pattern) as [`Cmd::section_path`] of its directives.
        path: Vec<u8>,
        /// Runs with the section's own words behind its body.
        leave: Option<Apply>,
    },
    /// A new virtual host on these addresses.
    VirtualHost(Vec<VhostAddr>),
    /// `<Limit>`/`<LimitExcept>`: the methods, and whether it is the except form.
    Limit(Vec<Vec<u8>>, bool),
    /// Walk the body in the same scope; `leave` runs behind it (`</RequireAll>`).
    Block {
        /// Runs when the section closes.
        leave: Option<Leave>,
        /// What may stand inside, if it is not what may stand around it.
        places: Option<Places>,
    },
    /// Collect the body's per-directory values apart from every scope, for `leave`.
    Detached {
        /// Gets the values behind the body.
        leave: Take,
        /// What may stand inside.
        places: Places,
    },
}

/// A section around a directive.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// Its kind.
    pub kind: SectionKind,
    /// Its row's name, `<LocationMatch`.
    pub name: &'static str,
}

/// What is looked for around a directive, in httpd's order.
const AROUND: [(SectionKind, &[&str]); 4] = [
    (SectionKind::Directory, &["<Directory", "<DirectoryMatch"]),
    (SectionKind::Location, &["<Location", "<LocationMatch"]),
    (SectionKind::Files, &["<Files", "<FilesMatch", "<If", "<ElseIf", "<Else"]),
    (SectionKind::Proxy, &["<Proxy", "<ProxyMatch"]),
];

impl Cmd<'_> {
    /// This module's per-server values, for writing.
    pub fn server_conf<T: Conf>(&mut self) -> &mut T {
        self.server.conf.get_mut::<T>()
    }

    /// This module's per-directory values, for writing.
    pub fn dir_conf<T: Conf>(&mut self) -> &mut T {
        self.dir.get_mut::<T>()
    }

    /// Whether an enclosing section is of this kind.
    pub fn inside(&self, kind: SectionKind) -> bool {
        self.enclosing.iter().any(|around| around.kind == kind)
    }

    /// What expressions may use here.
    fn expr_options(&self) -> expr::Options {
        expr::Options {
            ssl: self.globals.modules.contains(&"ssl_module"),
            health: self.directive.name == "ProxyHCExpr",
            by_length: self.directive.name == "SSLRequire",
            document: false,
            flags: self.regex_flags(),
        }
    }

    /// Compiles a condition; the error is the parser's text, in front of which the directive puts its own words.
    pub fn condition(&self, text: &[u8]) -> Result<Arc<Expr>, String> {
        Expr::parse(text, self.expr_options()).map(Arc::new).map_err(|error| latin1(&error.message))
    }

    /// Compiles a text with `%{…}` in it; the error is the parser's text.
    pub fn template(&self, text: &[u8]) -> Result<Arc<Template>, String> {
        Template::parse(text, self.expr_options()).map(Arc::new).map_err(|error| latin1(&error.message))
    }

    /// Whether the current directive stands in a virtual host.
    pub fn is_virtual(&self) -> bool {
        self.server.index != 0
    }

    /// httpd's refusal if the directive may not stand inside any of these sections; `Files` are conditions as well.
    pub fn forbid(&self, kinds: &[SectionKind]) -> Result<(), String> {
        let close = if self.directive.name.starts_with('<') { ">" } else { "" };
        let refuse =
            |section: &str| Err(format!("{}{close} cannot occur within {section} section", self.directive.name));
        if kinds.contains(&SectionKind::VirtualHost) && self.is_virtual() {
            return refuse("<VirtualHost>");
        }
        // Inside a container of `Require` methods are limited as well.
        let limits = |around: &Around| around.name.starts_with("<Require");
        if kinds.contains(&SectionKind::Limit) && (self.limited.is_some() || self.enclosing.iter().any(limits)) {
            return refuse("<Limit> or <LimitExcept>");
        }
        for (_, names) in AROUND.iter().filter(|(kind, _)| kinds.contains(kind)) {
            let found = names.iter().find(|name| self.enclosing.iter().any(|around| around.name == **name));
            if let Some(name) = found {
                return refuse(&format!("{name}>"));
            }
        }
        Ok(())
    }

    /// Only in the main server, outside all sections.
    pub fn global_only(&self) -> Result<(), String> {
        use SectionKind::{Directory, Files, Limit, Location, VirtualHost};
        self.forbid(&[VirtualHost, Limit, Directory, Location, Files])
    }

    /// Not in a directory-like section.
    pub fn not_in_dir_context(&self) -> Result<(), String> {
        use SectionKind::{Directory, Files, Limit, Location};
        self.forbid(&[Limit, Directory, Location, Files])
    }

    /// Compiles a pattern with the process's defaults (`RegexDefaultOptions`, as far as it was read).
    pub fn pattern(&self, text: &[u8], icase: bool) -> Result<Pattern, PatternError> {
        let defaults = self.regex_flags();
        Pattern::new(text, Flags { icase: icase || defaults.icase, ..defaults })
    }

    /// The process's defaults of patterns.
    pub fn regex_flags(&self) -> Flags {
        self.globals.conf.get::<CoreProcess>().map(|core| core.regex_flags).unwrap_or_default()
    }

    /// A path relative to ServerRoot made absolute.
    pub fn rooted(&self, path: &[u8]) -> Vec<u8> {
        self.globals.rooted(path)
    }

    /// Adds a warning; `text` starts with its AH number. `level` is httpd's word (`warn`, `notice` …).
    pub fn warn(&mut self, module: &'static str, level: &'static str, text: String) {
        // Notices are for everybody.
        if self.is_virtual() && !self.server.has_log_level && level != "notice" {
            return;
        }
        self.warnings.push(Warning { module, level, text, bare: false });
    }

    /// As [`Cmd::warn`], of what httpd says before it has a log: without time and origin.
    pub fn warn_bare(&mut self, module: &'static str, level: &'static str, text: String) {
        self.warnings.push(Warning { module, level, text, bare: true });
    }
}
