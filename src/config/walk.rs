//! The second pass: the tree is walked in order, each directive is looked up, its place and its words are checked, and
//! its value is recorded.

use std::collections::HashMap;
use std::sync::Arc;

use super::directive::{Args, Around, Cmd, Directive, Open, Place, Places, Support, latin1};
use super::generation::{Globals, Matcher, ModuleRow, Position, Section, SectionKind, Server, Warning};
use super::shape;
use super::slots::Slots;
use crate::lang::Node;

/// The directives of the loaded modules by name.
#[derive(Clone, Default)]
pub struct Rows {
    by_name: HashMap<Vec<u8>, &'static Directive>,
}

impl Rows {
    /// Takes in a module's directives; of two with one name the later module's is found.
    pub fn add(&mut self, module: &ModuleRow) {
        for row in module.directives {
            self.by_name.insert(row.name.as_bytes().to_ascii_lowercase(), row);
        }
    }

    /// The directive of this name, in any case.
    pub fn find(&self, name: &[u8]) -> Option<&'static Directive> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// All names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.by_name.values().map(|row| row.name)
    }
}

/// Why walking failed.
#[derive(Clone, Debug)]
pub struct WalkFault {
    /// File and line.
    pub at: Position,
    /// The node it is about.
    pub node: Node,
    /// httpd's text.
    pub message: String,
    /// The directive, if it is known.
    pub row: Option<&'static Directive>,
    /// It is said as it is, without file and line.
    pub bare: bool,
}

/// A use of a directive that is not obeyed.
#[derive(Clone, Debug)]
pub struct Use {
    /// Which.
    pub row: &'static Directive,
    /// Where.
    pub at: Position,
    /// What becomes of it: the row's, or refused for its words.
    pub support: Support,
    /// The words that are refused, where the directive's name alone would not tell.
    pub words: Option<String>,
}

/// What a walk collects.
pub struct Walk<'r> {
    rows: &'r Rows,
    /// Main server first.
    pub servers: Vec<Server>,
    /// Process-wide values.
    pub globals: Globals,
    /// Messages so far.
    pub warnings: Vec<Warning>,
    /// Uses of directives that are not obeyed.
    pub uses: Vec<Use>,
    /// When there is a list, faults go there and the walk goes on.
    pub faults: Option<Vec<WalkFault>>,
    sections: u32,
    /// What limits a `.htaccess` file.
    limits: Option<&'r Limits>,
}

/// What a `.htaccess` file may hold, `AllowOverride` and `AllowOverrideList` taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Classes of directives.
    pub classes: Places,
    /// Options, as bits.
    pub options: u8,
    /// A directive that may not be used is left out with a warning.
    pub skip_forbidden: bool,
    /// A directive that nobody knows is left out with a warning.
    pub skip_unknown: bool,
    /// Directives that may be used whatever their class, in lower case.
    pub listed: Vec<Vec<u8>>,
}

impl Limits {
    /// Whether the directive may stand in such a file.
    pub fn permit(&self, row: &Directive) -> bool {
        row.places.any(self.classes) || self.lists(row.name)
    }

    fn lists(&self, name: &str) -> bool {
        self.listed.iter().any(|listed| listed.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// httpd's warning about a directive that is left out.
pub fn forbidden(row: &Directive) -> Warning {
    let text = format!("AH02295: {} in .htaccess forbidden by AllowOverride", row.name);
    Warning { module: "core", level: "warn", text, bare: false }
}

/// Where the walk is.
struct Scope<'a> {
    server: &'a mut Server,
    dir: &'a mut Slots,
    /// Sections opened here go there.
    sections: &'a mut Vec<Arc<Section>>,
    place: Place,
    enclosing: Vec<Around>,
    path: Option<Vec<u8>>,
    limited: Option<(Vec<Vec<u8>>, bool)>,
    /// Name of the section around, for messages.
    parent: Option<&'a [u8]>,
    allowed: Places,
}

/// Mod_proxy's own place: inside `<Proxy>`.
const PROXY: Places = Places::PROXY;

/// What may stand at server level.
const AT_SERVER: Places = Places(Places::SERVER.0 | Places::OPTIONS.0 | Places::FILEINFO.0 | Places::INDEXES.0);

/// What may stand in a directory-like section.
const IN_SECTION: Places = Places(Places::ALL.0 | Places::DIR.0);

impl<'r> Walk<'r> {
    /// A walk that has seen nothing.
    pub fn new(rows: &'r Rows, globals: Globals) -> Self {
        Self {
            rows,
            servers: Vec::new(),
            globals,
            warnings: Vec::new(),
            uses: Vec::new(),
            faults: None,
            sections: 0,
            limits: None,
        }
    }

    /// Walks the whole tree.
    pub fn run(&mut self, tree: &[Node]) -> Result<(), Box<WalkFault>> {
        self.servers = vec![Server::default()];
        let mut server = Server::default();
        let mut dir = Slots::default();
        let mut sections = Vec::new();
        let mut scope = Scope {
            server: &mut server,
            dir: &mut dir,
            sections: &mut sections,
            place: Place::Main,
            enclosing: Vec::new(),
            path: None,
            limited: None,
            parent: None,
            allowed: AT_SERVER,
        };
        let result = self.nodes(tree, &mut scope);
        server.dir = dir;
        server.sections = sections;
        if let Some(main) = self.servers.first_mut() {
            *main = server;
        }
        result
    }

    /// Walks the tree of a `.htaccess` file that lies in `dir` (with a slash at its end), on behalf of this server.
    pub fn access_file(
        &mut self,
        tree: &[Node],
        dir: &[u8],
        limits: &'r Limits,
        mut server: Server,
    ) -> Result<Section, Box<WalkFault>> {
        self.limits = Some(limits);
        let (mut conf, mut inner) = (Slots::default(), Vec::new());
        let mut scope = Scope {
            server: &mut server,
            dir: &mut conf,
            sections: &mut inner,
            place: Place::Htaccess,
            enclosing: Vec::new(),
            path: Some(dir.to_vec()),
            limited: None,
            parent: None,
            allowed: limits.classes,
        };
        self.nodes(tree, &mut scope)?;
        let at = tree.first().map(|node| Position { file: node.file.clone(), line: node.line }).unwrap_or_default();
        let matcher = Matcher::Literal(dir.to_vec());
        Ok(Section { id: 0, kind: SectionKind::Directory, matcher, is_match: false, conf, inner, at })
    }

    fn options(&self) -> u8 {
        self.limits.map_or(u8::MAX, |limits| limits.options)
    }

    fn nodes(&mut self, nodes: &[Node], scope: &mut Scope<'_>) -> Result<(), Box<WalkFault>> {
        for node in nodes {
            let Err(fault) = self.node(node, scope) else { continue };
            match &mut self.faults {
                Some(faults) => faults.push(*fault),
                None => return Err(fault),
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, scope: &mut Scope<'_>) -> Result<(), Box<WalkFault>> {
        let at = Position { file: node.file.clone(), line: node.line };
        let Some(row) = self.rows.find(&node.name) else {
            if self.limits.is_some_and(|limits| limits.skip_unknown) {
                let name = latin1(&node.name.to_ascii_lowercase());
                let text = format!(
                    "AH02296: Unknown directive {name} perhaps misspelled or defined by a module not included in the \
                     server configuration"
                );
                self.warnings.push(Warning { module: "core", level: "warn", text, bare: false });
                return Ok(());
            }
            let message = format!(
                "Invalid command '{}', perhaps misspelled or defined by a module not included in the server \
                 configuration",
                latin1(&node.name)
            );
            let node = Node { children: Vec::new(), ..node.clone() };
            return Err(Box::new(WalkFault { at, node, message, row: None, bare: false }));
        };
        let fail = |message: String| {
            let node = Node { children: Vec::new(), ..node.clone() };
            Box::new(WalkFault { at: at.clone(), node, message, row: Some(row), bare: false })
        };
        if !row.places.any(scope.allowed) && !self.limits.is_some_and(|limits| limits.lists(row.name)) {
            if self.limits.is_some_and(|limits| limits.skip_forbidden) {
                self.warnings.push(forbidden(row));
                return Ok(());
            }
            let place = scope.parent.map_or_else(|| "here".to_owned(), |name| format!("in {}> context", latin1(name)));
            return Err(fail(format!("{} not allowed {place}", row.name)));
        }
        let calls = shape::calls(row, &node.args).map_err(fail)?;
        if matches!(row.support, Support::Missing | Support::Refused) {
            self.uses.push(Use { row, at: at.clone(), support: row.support, words: None });
        }
        let options = self.options();
        let behind_if = row.name.starts_with("<El") && scope.behind_if();
        let mut open = None;
        for call in &calls {
            let words: Vec<&[u8]> = call.iter().map(Vec::as_slice).collect();
            let mut cmd = scope.cmd(row, &at, behind_if, options, &mut self.globals, &mut self.warnings);
            let done = (row.apply)(&mut cmd, &Args { words: &words, raw: &node.args });
            let bare = cmd.ends;
            done.map_err(|message| Box::new(WalkFault { bare, ..*fail(message) }))?;
            let (refused, words) = (cmd.refused, cmd.refused_words.take());
            open = cmd.open.take().or(open);
            if refused {
                self.uses.push(Use { row, at: at.clone(), support: Support::Refused, words });
            }
        }
        match open {
            Some(open) => self.open(open, row, node, &at, scope),
            // A section that is not obeyed yet: what is in it is checked all the same.
            None if row.name.starts_with('<') => {
                let places = self.limits.is_none().then(|| IN_SECTION.or(PROXY));
                self.open(Open::Block { leave: None, places }, row, node, &at, scope)
            }
            None => Ok(()),
        }
    }

    fn open(
        &mut self,
        open: Open,
        row: &'static Directive,
        node: &Node,
        at: &Position,
        scope: &mut Scope<'_>,
    ) -> Result<(), Box<WalkFault>> {
        let options = self.options();
        let mut enclosing = scope.enclosing.clone();
        let parent = Some(node.name.as_slice());
        match open {
            Open::Section { kind, matcher, is_match, path, leave } => {
                enclosing.push(Around { kind, name: row.name });
                let id = self.sections;
                self.sections += 1;
                let (mut conf, mut inner) = (Slots::default(), Vec::new());
                let allowed = match kind {
                    _ if self.limits.is_some() => scope.allowed,
                    SectionKind::Proxy => IN_SECTION.or(PROXY),
                    _ => IN_SECTION,
                };
                let mut nested = Scope {
                    server: scope.server,
                    dir: &mut conf,
                    sections: &mut inner,
                    place: Place::Section(kind),
                    enclosing,
                    path: Some(path),
                    limited: scope.limited.clone(),
                    parent,
                    allowed,
                };
                let result = self.nodes(&node.children, &mut nested);
                let section = Section { id, kind, matcher, is_match, conf, inner, at: at.clone() };
                scope.sections.push(Arc::new(section));
                result?;
                let Some(leave) = leave else { return Ok(()) };
                let mut cmd = scope.cmd(row, at, false, options, &mut self.globals, &mut self.warnings);
                leave(&mut cmd, &Args { words: &[], raw: &node.args }).map_err(|message| fault(at, node, row, message))
            }
            Open::VirtualHost(addrs) => {
                enclosing.push(Around { kind: SectionKind::VirtualHost, name: row.name });
                let mut server = Server { index: self.servers.len(), at: at.clone(), addrs, ..Server::default() };
                self.servers.push(Server::default());
                let (mut dir, mut sections) = (Slots::default(), Vec::new());
                let mut nested = Scope {
                    server: &mut server,
                    dir: &mut dir,
                    sections: &mut sections,
                    place: Place::VirtualHost,
                    enclosing,
                    path: None,
                    limited: None,
                    parent,
                    allowed: AT_SERVER,
                };
                let result = self.nodes(&node.children, &mut nested);
                server.dir = dir;
                server.sections = sections;
                let index = server.index;
                if let Some(slot) = self.servers.get_mut(index) {
                    *slot = server;
                }
                result
            }
            Open::Limit(methods, except) => {
                enclosing.push(Around { kind: SectionKind::Limit, name: row.name });
                let mut nested = scope.inside(enclosing, parent, scope.allowed);
                nested.limited = Some((methods, except));
                self.nodes(&node.children, &mut nested)
            }
            Open::Block { leave, places } => {
                enclosing.push(Around { kind: SectionKind::Block, name: row.name });
                let allowed = places.unwrap_or(scope.allowed);
                self.nodes(&node.children, &mut scope.inside(enclosing, parent, allowed))?;
                let Some(leave) = leave else { return Ok(()) };
                let mut cmd = scope.cmd(row, at, false, options, &mut self.globals, &mut self.warnings);
                leave(&mut cmd).map_err(|message| fault(at, node, row, message))
            }
            Open::Detached { leave, places } => {
                enclosing.push(Around { kind: SectionKind::Block, name: row.name });
                let (mut conf, mut inner) = (Slots::default(), Vec::new());
                let mut nested = scope.inside(enclosing, parent, places);
                nested.dir = &mut conf;
                nested.sections = &mut inner;
                nested.place = Place::Section(SectionKind::Block);
                self.nodes(&node.children, &mut nested)?;
                let mut cmd = scope.cmd(row, at, false, options, &mut self.globals, &mut self.warnings);
                leave(&mut cmd, &Args { words: &[], raw: &node.args }, conf)
                    .map_err(|message| fault(at, node, row, message))?;
                if cmd.refused {
                    let words = cmd.refused_words.take();
                    self.uses.push(Use { row, at: at.clone(), support: Support::Refused, words });
                }
                Ok(())
            }
        }
    }
}

fn fault(at: &Position, node: &Node, row: &'static Directive, message: String) -> Box<WalkFault> {
    let node = Node { children: Vec::new(), ..node.clone() };
    Box::new(WalkFault { at: at.clone(), node, message, row: Some(row), bare: false })
}

impl Scope<'_> {
    fn behind_if(&self) -> bool {
        use SectionKind::{Else, ElseIf, If};
        let kinds = self.sections.iter().rev().map(|section| section.kind);
        kinds.into_iter().find(|kind| matches!(kind, If | ElseIf | Else)).is_some_and(|kind| kind != Else)
    }

    fn cmd<'c>(
        &'c mut self,
        directive: &'static Directive,
        at: &'c Position,
        behind_if: bool,
        options: u8,
        globals: &'c mut Globals,
        warnings: &'c mut Vec<Warning>,
    ) -> Cmd<'c> {
        Cmd {
            directive,
            place: self.place,
            enclosing: &self.enclosing,
            section_path: self.path.as_deref(),
            limited: self.limited.as_ref(),
            behind_if,
            options,
            at,
            server: self.server,
            dir: self.dir,
            globals,
            warnings,
            ends: false,
            refused: false,
            refused_words: None,
            open: None,
        }
    }

    /// The same scope one block further in.
    fn inside<'s>(&'s mut self, enclosing: Vec<Around>, parent: Option<&'s [u8]>, allowed: Places) -> Scope<'s> {
        Scope {
            server: self.server,
            dir: self.dir,
            sections: self.sections,
            place: self.place,
            enclosing,
            path: self.path.clone(),
            limited: self.limited.clone(),
            parent,
            allowed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Matcher, ModuleRow, Shape, row};
    use crate::lang::{Host, Kind, Known, Notice, Reader};

    const DIRECTIVES: &[Directive] = &[
        row(
            "Name",
            Places::SERVER,
            Shape::Take1,
            |cmd, args| {
                cmd.server.rec.name = Some(args.word(0).to_vec());
                Ok(())
            },
            "a name",
        ),
        row("Inner", Places::DIR, Shape::None, |_, _| Ok(()), "").missing(),
        row(
            "<Host",
            Places::SERVER,
            Shape::Raw,
            |cmd, _| {
                cmd.open = Some(Open::VirtualHost(Vec::new()));
                Ok(())
            },
            "",
        ),
        row(
            "<Dir",
            Places::SERVER,
            Shape::Raw,
            |cmd, _| {
                let (kind, matcher) = (SectionKind::Directory, Matcher::Literal(b"/".to_vec()));
                cmd.open = Some(Open::Section { kind, matcher, is_match: false, path: b"/".to_vec(), leave: None });
                Ok(())
            },
            "",
        ),
    ];
    const MODULE: ModuleRow =
        ModuleRow { id: "t_module", file: "t.c", builtin: true, directives: DIRECTIVES, post_config: |_| Ok(()) };

    struct Nowhere(Rows);

    impl Host for Nowhere {
        fn directive(&self, name: &[u8]) -> Option<Known> {
            self.0.find(name).map(|row| Known { name: row.name, read_time: false })
        }
        fn arguments(&self, _: &[u8], _: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, String> {
            Ok(Vec::new())
        }
        fn has_module(&self, _: &[u8]) -> bool {
            false
        }
        fn load_module(&mut self, _: &[u8], _: &[u8], _: &[u8], _: &mut Vec<Notice>) -> Result<(), String> {
            Ok(())
        }
        fn load_file(&mut self, _: &[u8], _: &[u8]) -> Result<(), String> {
            Ok(())
        }
        fn version(&self) -> [i32; 3] {
            [2, 4, 71]
        }
        fn env(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }
        fn read(&self, _: &[u8]) -> std::io::Result<Vec<u8>> {
            Ok(Vec::new())
        }
        fn kind(&self, _: &[u8]) -> Option<Kind> {
            None
        }
        fn list(&self, _: &[u8]) -> std::io::Result<Vec<Vec<u8>>> {
            Ok(Vec::new())
        }
    }

    fn walked<T>(text: &str, see: impl FnOnce(&Walk<'_>, Result<(), Box<WalkFault>>) -> T) -> T {
        let mut rows = Rows::default();
        rows.add(&MODULE);
        let mut host = Nowhere(rows.clone());
        let tree = Reader::new(&mut host, b"/".to_vec()).read_text("t.conf", text.as_bytes().to_vec()).unwrap();
        let mut walk = Walk::new(&rows, Globals::default());
        let result = walk.run(&tree);
        see(&walk, result)
    }

    fn error(text: &str) -> (u32, String) {
        walked(text, |_, result| result.map_err(|fault| (fault.at.line, fault.message)).unwrap_err())
    }

    #[test]
    fn values_go_to_their_server_and_sections_are_counted() {
        let text = "Name main\n<Dir>\nInner\n</Dir>\n<Host>\nName a\n<Dir>\n</Dir>\n</Host>\n<Dir>\n</Dir>\n";
        walked(text, |walk, result| {
            result.unwrap();
            let names: Vec<_> = walk.servers.iter().map(|server| server.rec.name.clone().unwrap()).collect();
            assert_eq!(names, [b"main".to_vec(), b"a".to_vec()]);
            let ids = |server: &Server| server.sections.iter().map(|section| section.id).collect::<Vec<_>>();
            assert_eq!((ids(&walk.servers[0]), ids(&walk.servers[1])), (vec![0, 2], vec![1]));
            assert_eq!((walk.servers[1].index, walk.servers[1].at.line), (1, 5));
            assert_eq!((walk.uses.len(), walk.uses[0].row.name, walk.uses[0].at.line), (1, "Inner", 3));
        });
    }

    #[test]
    fn places_are_checked_before_words() {
        assert_eq!(error("\nInner x\n"), (2, "Inner not allowed here".to_owned()));
        assert_eq!(error("<Dir>\nName\n</Dir>\n"), (2, "Name not allowed in <Dir> context".to_owned()));
        assert_eq!(error("<Dir>\n<Host>\n</Host>\n</Dir>\n"), (2, "<Host not allowed in <Dir> context".to_owned()));
        assert_eq!(error("Name\n"), (1, "Name takes one argument, a name".to_owned()));
        assert!(error("name a\nNone b\n").1.starts_with("Invalid command 'None', perhaps misspelled"));
    }
}
