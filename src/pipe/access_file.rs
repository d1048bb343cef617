//! `.htaccess` files: read when a walk comes by, and kept by the worker thread for as long as they stay as they are.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::ops::Deref;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

use foldhash::fast::RandomState;

use super::chain;
use crate::config::core::{CoreDir, CoreServer, Overrides};
use crate::config::select::Item;
use crate::config::{
    Limits, ModuleRow, Places, Rows, Section, SectionKind, Support, Walk, Warning, forbidden, latin1, shape,
};
use crate::lang::{Host, Kind, Known, Notice, Reader};
use crate::logs::{self, Bytes, Errno, Level, OfServer};
use crate::web::{Exchange, Live};

/// Numbers of sections in such files begin here; those of the generation lie below.
const FIRST: u32 = 1 << 31;

/// Sections kept by a thread; beyond that it starts over, with the next walk.
const MOST: usize = 8192;

/// The largest file that is read.
const LARGEST: u64 = 4 << 20;

/// A file that was changed this lately may be changed again without its times telling, in nanoseconds.
const RECENT: i128 = 50_000_000;

/// The version of httpd that this program stands in for, for `<IfVersion>`.
const VERSION: [i32; 3] = [2, 4, 71];

/// One thread's files for one generation.
pub(super) struct AccessFiles {
    rows: Rows,
    modules: Vec<&'static ModuleRow>,
    kept: RefCell<HashMap<Vec<u8>, Vec<Kept>, RandomState>>,
    items: RefCell<HashMap<u32, Rc<Item>, RandomState>>,
    next: Cell<u32>,
}

/// What a file said when it was read for this server under these overrides.
struct Kept {
    server: usize,
    overrides: Option<Overrides>,
    list: Option<Vec<Vec<u8>>>,
    stamp: Stamp,
    /// A change would show in the stamp.
    settled: bool,
    said: Rc<Said>,
}

struct Said {
    /// The number of the file's section, or the error.
    section: Result<u32, String>,
    warnings: Vec<Warning>,
}

/// By what a changed file is told from the one that was read.
#[derive(PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            file: (found.dev(), found.ino()),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    fn settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
        let changed = i128::from(self.changed.0) * 1_000_000_000 + i128::from(self.changed.1);
        (i128::try_from(now).unwrap_or(0) - changed).abs() > RECENT
    }
}

/// A section of the generation or of a file.
pub(super) enum Held<'a> {
    /// The generation's.
    Fixed(&'a Item),
    /// A file's.
    Read(Rc<Item>),
}

impl Deref for Held<'_> {
    type Target = Item;

    fn deref(&self) -> &Item {
        match self {
            Self::Fixed(item) => item,
            Self::Read(item) => item,
        }
    }
}

/// A section by its number.
pub(super) fn item(live: &Live, number: u32) -> Option<Held<'_>> {
    if number < FIRST {
        return live.generation.select.item(number).map(Held::Fixed);
    }
    AccessFiles::of(live).items.borrow().get(&number).cloned().map(Held::Read)
}

/// Whether a section of a file applies to the request.
pub(super) fn any(ex: &Exchange) -> bool {
    ex.matched.directories.iter().chain(&ex.matched.files).any(|number| *number >= FIRST)
}

/// Forgets all files when they have become too many. Only between walks: a walk's sections must stay known to its end.
pub(super) fn make_room(live: &Live) {
    let files = AccessFiles::of(live);
    if files.items.borrow().len() >= MOST || files.kept.borrow().len() >= MOST {
        files.kept.borrow_mut().clear();
        files.items.borrow_mut().clear();
    }
}

/// Whether files in a directory with these values may change them.
pub(super) fn wanted(core: Option<&CoreDir>) -> bool {
    let listed = core.and_then(|core| core.allow_override_list.as_ref()).is_some_and(|list| !list.is_empty());
    // As in httpd, AllowOverride that was never set is not AllowOverride None.
    let allowed = core.and_then(|core| core.allow_override);
    listed || allowed.is_none_or(|allowed| allowed.classes != 0 || allowed.nonfatal != 0)
}

/// The number of the section that the file in this directory makes, if there is one; a status if there is one that
/// cannot be obeyed. What may stand in it is taken from the values merged so far.
pub(super) fn read(ex: &mut Exchange, dir: &[u8]) -> Result<Option<u32>, u16> {
    let live = ex.live.clone();
    let names = live.generation.servers.get(ex.server).and_then(|server| server.get::<CoreServer>());
    let names = names.and_then(|core| core.access_file_names.as_deref());
    let standard = names.is_none().then_some(b".htaccess".as_slice());
    let mut path = std::mem::take(&mut ex.response.buffers[1]);
    let mut result = Ok(None);
    for name in names.into_iter().flatten().map(Vec::as_slice).chain(standard) {
        path.clear();
        path.extend_from_slice(dir);
        path.extend_from_slice(name);
        let found = fs::metadata(path_of(&path)).map_err(Trouble::from);
        let found = found.and_then(|found| AccessFiles::of(&live).said(ex, dir, &path, &found));
        match found {
            Ok(said) => {
                result = tell(ex, &path, &said);
                break;
            }
            Err(Trouble::Nothing) => {}
            Err(Trouble::Unreadable(errno)) => {
                logs::error!(
                    ex,
                    Level::Crit,
                    "core",
                    errno =>
                    "AH00529: {} pcfg_openfile: unable to check htaccess file, ensure it is readable and that '{}' is executable",
                    Bytes(&path),
                    Bytes(dir)
                );
                let note = b"Server unable to read htaccess file, denying access to be safe";
                ex.notes.set(b"error-notes", note);
                result = Err(403);
                break;
            }
        }
    }
    path.clear();
    ex.response.buffers[1] = path;
    result
}

/// Why a file says nothing.
enum Trouble {
    /// It is not there.
    Nothing,
    /// It is, and cannot be read.
    Unreadable(Errno),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Nothing,
            _ => Self::Unreadable(Errno::from(&error)),
        }
    }
}

/// Logs what a file gave rise to.
fn tell(ex: &Exchange, path: &[u8], said: &Said) -> Result<Option<u32>, u16> {
    for warning in &said.warnings {
        let level = Level::parse(warning.level.as_bytes()).unwrap_or(Level::Warn);
        logs::error!(OfServer(&ex.live, 0), level, warning.module, "{}", warning.text);
    }
    match &said.section {
        Ok(number) => Ok(Some(*number)),
        Err(message) => {
            // Bytes of the file stand in it as characters.
            let text: Vec<u8> = message.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
            logs::error!(ex, Level::Alert, "core", "{}: {}", Bytes(path), Bytes(&text));
            Err(500)
        }
    }
}

impl AccessFiles {
    fn of(live: &Live) -> Rc<Self> {
        live.local(|| {
            let modules = chain::loaded(live);
            let mut rows = Rows::default();
            modules.iter().for_each(|module| rows.add(module));
            Self { rows, modules, kept: RefCell::default(), items: RefCell::default(), next: Cell::new(FIRST) }
        })
    }

    /// What the file says, read again only if it was changed.
    fn said(&self, ex: &Exchange, dir: &[u8], path: &[u8], found: &Metadata) -> Result<Rc<Said>, Trouble> {
        let stamp = Stamp::of(found);
        let core = ex.dir::<CoreDir>();
        let overrides = core.and_then(|core| core.allow_override);
        let list = core.and_then(|core| core.allow_override_list.as_ref());
        let same = |kept: &Kept| kept.server == ex.server && kept.overrides == overrides && kept.list.as_ref() == list;
        if let Some(kept) = self.kept.borrow().get(path).and_then(|all| all.iter().find(|kept| same(kept)))
            && kept.settled
            && kept.stamp == stamp
        {
            return Ok(kept.said.clone());
        }
        let settled = stamp.settled();
        let said = Rc::new(self.parse(ex, dir, path, found, &limits(overrides, list))?);
        let kept = Kept { server: ex.server, overrides, list: list.cloned(), stamp, settled, said: said.clone() };
        let mut all = self.kept.borrow_mut();
        let all = all.entry(path.to_vec()).or_default();
        match all.iter_mut().find(|kept| same(kept)) {
            Some(old) => *old = kept,
            None => all.push(kept),
        }
        Ok(said)
    }

    fn parse(
        &self,
        ex: &Exchange,
        dir: &[u8],
        path: &[u8],
        found: &Metadata,
        limits: &Limits,
    ) -> Result<Said, Trouble> {
        let shown = latin1(path);
        if !found.is_file() && path_of(path) != Path::new("/dev/null") {
            let text = "denied by server: not a regular file";
            logs::error!(
                OfServer(&ex.live, 0),
                Level::Error,
                "core",
                "AH00554: Access to file {} {}",
                Bytes(path),
                text
            );
            return Err(io::Error::from_raw_os_error(nix::libc::EBADF).into());
        }
        let mut warnings = Vec::new();
        if found.len() > LARGEST {
            return Ok(Said { section: Err("File too large".to_owned()), warnings });
        }
        let text = fs::read(path_of(path))?;
        let globals = &ex.live.generation.globals;
        let mut host = OfFile { files: self, limits, warnings: Vec::new() };
        let mut reader = Reader::new(&mut host, globals.server_root.clone());
        reader.defines.clone_from(&globals.variables);
        let tree = reader.read_access_file(&shown, text);
        let notices = std::mem::take(&mut reader.notices).into_iter();
        warnings.extend(notices.map(|Notice { module, level, text }| Warning { module, level, text, bare: false }));
        warnings.append(&mut host.warnings);
        let tree = match tree {
            Ok(tree) => tree,
            Err(fault) => return Ok(Said { section: Err(fault.message), warnings }),
        };
        let mut walk = Walk::new(&self.rows, globals.clone());
        let server = ex.server().clone();
        let walked = walk.access_file(&tree, dir, limits, server);
        warnings.append(&mut walk.warnings);
        let section = match walked {
            Ok(section) => section,
            Err(fault) => return Ok(Said { section: Err(fault.message), warnings }),
        };
        for used in &walk.uses {
            if used.support == Support::Refused {
                let message = format!("{} is not carried out by this server", used.row.name);
                return Ok(Said { section: Err(message), warnings });
            }
            let text = format!("{shown}: {} has no effect in this server", used.row.name);
            warnings.push(Warning { module: "core", level: "warn", text, bare: false });
        }
        let section = self.number(Arc::new(section)).ok_or_else(|| "Too many changes".to_owned());
        Ok(Said { section, warnings })
    }

    /// Gives the section and those inside their numbers; none is ever used twice.
    fn number(&self, section: Arc<Section>) -> Option<u32> {
        let (mut files, mut ifs) = (Vec::new(), Vec::new());
        for inner in &section.inner {
            let number = self.number(inner.clone())?;
            match inner.kind {
                SectionKind::Files => files.push(number),
                SectionKind::If | SectionKind::ElseIf | SectionKind::Else => ifs.push(number),
                _ => {}
            }
        }
        let number = self.next.get();
        self.next.set(number.checked_add(1)?);
        self.items.borrow_mut().insert(number, Rc::new(Item { section, files, ifs }));
        Some(number)
    }
}

fn limits(overrides: Option<Overrides>, list: Option<&Vec<Vec<u8>>>) -> Limits {
    Limits {
        classes: Places(overrides.map_or(0, |set| set.classes)),
        options: overrides.map_or(0, |set| set.options),
        skip_forbidden: overrides.is_some_and(|set| set.nonfatal & 1 != 0),
        skip_unknown: overrides.is_some_and(|set| set.nonfatal & 2 != 0),
        listed: list.cloned().unwrap_or_default(),
    }
}

fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// What the language may reach from such a file.
struct OfFile<'a> {
    files: &'a AccessFiles,
    limits: &'a Limits,
    warnings: Vec<Warning>,
}

impl Host for OfFile<'_> {
    fn directive(&self, name: &[u8]) -> Option<Known> {
        let row = self.files.rows.find(name)?;
        Some(Known { name: row.name, read_time: row.places.any(Places::READ) })
    }

    fn arguments(&self, name: &[u8], args: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, String> {
        self.files.rows.find(name).map_or_else(|| Ok(Vec::new()), |row| shape::calls(row, args))
    }

    fn has_module(&self, name: &[u8]) -> bool {
        self.files.modules.iter().any(|row| row.file.as_bytes() == name || row.id.as_bytes() == name)
    }

    fn load_module(&mut self, _: &[u8], _: &[u8], _: &[u8], _: &mut Vec<Notice>) -> Result<(), String> {
        Err("LoadModule not allowed here".to_owned())
    }

    fn load_file(&mut self, _: &[u8], _: &[u8]) -> Result<(), String> {
        Err("LoadFile not allowed here".to_owned())
    }

    fn version(&self) -> [i32; 3] {
        VERSION
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
            return None;
        }
        std::env::var_os(OsStr::from_bytes(name)).map(OsStringExt::into_vec)
    }

    fn read(&self, _: &[u8]) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn kind(&self, path: &[u8]) -> Option<Kind> {
        let data = fs::metadata(path_of(path)).ok()?;
        Some(match data.is_dir() {
            true => Kind::Directory,
            false if data.is_file() => Kind::File,
            false => Kind::Other,
        })
    }

    fn list(&self, _: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn permits(&mut self, name: &'static str) -> Result<bool, String> {
        match self.files.rows.find(name.as_bytes()) {
            Some(row) if !self.limits.permit(row) => {
                if self.limits.skip_forbidden {
                    self.warnings.push(forbidden(row));
                    return Ok(false);
                }
                Err(format!("{name} not allowed here"))
            }
            _ => Ok(true),
        }
    }
}
