//! The second pass: the tree is walked in order, each directive is looked up, its place and its words are checked, and
//! its value is recorded.

use std::collections::HashMap;
use std::sync::Arc;

use super::directive::{Args, Cmd, Directive, Open, Place, Places, Support, latin1};
use super::generation::{Globals, ModuleRow, Position, Section, SectionKind, Server, Warning};
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
}

/// A use of a directive that is not obeyed.
#[derive(Clone, Debug)]
pub struct Use {
    /// Which.
    pub row: &'static Directive,
    /// Where.
    pub at: Position,
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
    sections: u32,
}

/// Where the walk is.
struct Scope<'a> {
    server: &'a mut Server,
    dir: &'a mut Slots,
    /// Sections opened here go there.
    sections: &'a mut Vec<Arc<Section>>,
    place: Place,
    enclosing: Vec<SectionKind>,
    path: Option<Vec<u8>>,
    limited: Option<(Vec<Vec<u8>>, bool)>,
    /// Name of the section around, for messages.
    parent: Option<&'a [u8]>,
    allowed: Places,
}

/// Mod_proxy's own place: inside `<Proxy>`.
const PROXY: Places = Places(2048);

/// What may stand at server level.
const AT_SERVER: Places = Places(Places::SERVER.0 | Places::OPTIONS.0 | Places::FILEINFO.0 | Places::INDEXES.0);

/// What may stand in a directory-like section.
const IN_SECTION: Places = Places(Places::ALL.0 | Places::DIR.0);

impl<'r> Walk<'r> {
    /// A walk that has seen nothing.
    pub fn new(rows: &'r Rows, globals: Globals) -> Self {
        Self { rows, servers: Vec::new(), globals, warnings: Vec::new(), uses: Vec::new(), sections: 0 }
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

    fn nodes(&mut self, nodes: &[Node], scope: &mut Scope<'_>) -> Result<(), Box<WalkFault>> {
        nodes.iter().try_for_each(|node| self.node(node, scope))
    }

    fn node(&mut self, node: &Node, scope: &mut Scope<'_>) -> Result<(), Box<WalkFault>> {
        let at = Position { file: node.file.clone(), line: node.line };
        let Some(row) = self.rows.find(&node.name) else {
            let message = format!(
                "Invalid command '{}', perhaps misspelled or defined by a module not included in the server \
                 configuration",
                latin1(&node.name)
            );
            let node = Node { children: Vec::new(), ..node.clone() };
            return Err(Box::new(WalkFault { at, node, message, row: None }));
        };
        let fail = |message: String| {
            let node = Node { children: Vec::new(), ..node.clone() };
            Box::new(WalkFault { at: at.clone(), node, message, row: Some(row) })
        };
        if !row.places.any(scope.allowed) {
            let place = scope.parent.map_or_else(|| "here".to_owned(), |name| format!("in {}> context", latin1(name)));
            return Err(fail(format!("{} not allowed {place}", row.name)));
        }
        let calls = shape::calls(row, &node.args).map_err(fail)?;
        if matches!(row.support, Support::Missing | Support::Refused) {
            self.uses.push(Use { row, at: at.clone() });
        }
        let behind_if = row.name.starts_with("<El") && scope.behind_if();
        let mut open = None;
        for call in &calls {
            let words: Vec<&[u8]> = call.iter().map(Vec::as_slice).collect();
            let mut cmd = scope.cmd(row, &at, behind_if, &mut self.globals, &mut self.warnings);
            (row.apply)(&mut cmd, &Args { words: &words, raw: &node.args }).map_err(fail)?;
            open = cmd.open.take().or(open);
        }
        match open {
            Some(open) => self.open(open, row, node, &at, scope),
            // A section that is not obeyed yet: what is in it is checked all the same.
            None if row.name.starts_with('<') => {
                let places = Some(IN_SECTION.or(PROXY));
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
        let mut enclosing = scope.enclosing.clone();
        let parent = Some(node.name.as_slice());
        match open {
            Open::Section { kind, matcher, is_match, path, leave } => {
                enclosing.push(kind);
                let id = self.sections;
                self.sections += 1;
                let (mut conf, mut inner) = (Slots::default(), Vec::new());
                let allowed = if kind == SectionKind::Proxy { IN_SECTION.or(PROXY) } else { IN_SECTION };
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
                let mut cmd = scope.cmd(row, at, false, &mut self.globals, &mut self.warnings);
                leave(&mut cmd, &Args { words: &[], raw: &node.args }).map_err(|message| fault(at, node, row, message))
            }
            Open::VirtualHost(addrs) => {
                enclosing.push(SectionKind::VirtualHost);
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
                enclosing.push(SectionKind::Limit);
                let mut nested = scope.inside(enclosing, parent, scope.allowed);
                nested.limited = Some((methods, except));
                self.nodes(&node.children, &mut nested)
            }
            Open::Block { leave, places } => {
                enclosing.push(SectionKind::Block);
                let allowed = places.unwrap_or(scope.allowed);
                self.nodes(&node.children, &mut scope.inside(enclosing, parent, allowed))?;
                let Some(leave) = leave else { return Ok(()) };
                let mut cmd = scope.cmd(row, at, false, &mut self.globals, &mut self.warnings);
                leave(&mut cmd).map_err(|message| fault(at, node, row, message))
            }
        }
    }
}

fn fault(at: &Position, node: &Node, row: &'static Directive, message: String) -> Box<WalkFault> {
    let node = Node { children: Vec::new(), ..node.clone() };
    Box::new(WalkFault { at: at.clone(), node, message, row: Some(row) })
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
            at,
            server: self.server,
            dir: self.dir,
            globals,
            warnings,
            open: None,
        }
    }

    /// The same scope one block further in.
    fn inside<'s>(&'s mut self, enclosing: Vec<SectionKind>, parent: Option<&'s [u8]>, allowed: Places) -> Scope<'s> {
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
