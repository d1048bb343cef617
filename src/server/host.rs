//! What reading a configuration needs of the world: files, the environment, and the modules in the program.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::config::{Rows, latin1, merge_path, shape};
use crate::lang::{Host, Kind, Known, Notice};
use crate::modules;
use crate::net::files;
use crate::pipe::Module;

/// The version of httpd that this program stands in for.
pub(super) const HTTPD_VERSION: [i32; 3] = [2, 4, 71];

/// The largest configuration file that is read.
const LARGEST: u64 = 1 << 30;

/// The modules loaded so far.
pub(super) struct Modules {
    /// Their identifiers, in order.
    pub(super) ids: Vec<&'static str>,
    /// Their directives.
    pub(super) rows: Rows,
}

impl Default for Modules {
    fn default() -> Self {
        Self::new()
    }
}

impl Modules {
    /// The modules that need no `LoadModule`.
    pub(super) fn new() -> Self {
        let mut new = Self { ids: Vec::new(), rows: Rows::default() };
        modules::ALL.iter().filter(|module| module.row.builtin).for_each(|module| new.add(module));
        new
    }

    fn add(&mut self, module: &'static Module) {
        self.ids.push(module.row.id);
        self.rows.add(&module.row);
    }

    /// The loaded modules, in the order in which they came.
    pub(super) fn loaded(&self) -> impl Iterator<Item = &'static Module> + '_ {
        self.ids.iter().filter_map(|id| find(id.as_bytes()))
    }
}

/// The module with this identifier.
pub(super) fn find(id: &[u8]) -> Option<&'static Module> {
    modules::ALL.iter().copied().find(|module| module.row.id.as_bytes() == id)
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl Host for Modules {
    fn directive(&self, name: &[u8]) -> Option<Known> {
        let row = self.rows.find(name)?;
        Some(Known { name: row.name, read_time: row.places.any(crate::config::Places::READ) })
    }

    fn arguments(&self, name: &[u8], args: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, String> {
        self.rows.find(name).map_or_else(|| Ok(Vec::new()), |row| shape::calls(row, args))
    }

    fn has_module(&self, name: &[u8]) -> bool {
        self.loaded().any(|module| module.row.file.as_bytes() == name || module.row.id.as_bytes() == name)
    }

    fn load_module(&mut self, id: &[u8], file: &[u8], root: &[u8], notices: &mut Vec<Notice>) -> Result<(), String> {
        let (shown, written) = (latin1(id), latin1(file));
        if let Some(module) = find(id).filter(|module| self.ids.contains(&module.row.id)) {
            if module.row.builtin {
                return Err(format!("module {shown} is built-in and can't be loaded"));
            }
            let text = format!("AH01574: module {shown} is already loaded, skipping");
            notices.push(Notice { module: "so", level: "warn", text });
            return Ok(());
        }
        let full = merge_path(root, file);
        let full_shown = latin1(&full);
        let cannot = |why: &str| Err(format!("Cannot load {written} into server: {why}"));
        let found = files::look(path(&full));
        if found.as_ref().is_ok_and(|found| found.kind == files::Kind::Folder) {
            return cannot(&format!("{full_shown}: cannot read file data: Is a directory"));
        }
        if let Ok(found) = &found
            && !files::given()
            && !is_elf(&full)
        {
            // A name without a slash is tried once more as it is, in the places of the system's loader.
            if !file.contains(&b'/') {
                return cannot(&format!("{written}: cannot open shared object file: No such file or directory"));
            }
            let what = if found.length < ELF_HEADER { "file too short" } else { "invalid ELF header" };
            return cannot(&format!("{full_shown}: {what}"));
        }
        let no_structure = || {
            Err(format!(
                "Can't locate API module structure `{shown}' in file {full_shown}: {full_shown}: undefined symbol: {shown}"
            ))
        };
        let Some(module) = find(id) else {
            if found.is_err() {
                // A name without a slash is looked up as it is by the system's loader.
                let looked = if file.contains(&b'/') { &full_shown } else { &written };
                return cannot(&format!("{looked}: cannot open shared object file: No such file or directory"));
            }
            return no_structure();
        };
        if found.is_ok() && other_module(module, &full) {
            return no_structure();
        }
        if let Some((needed, symbol)) = NEEDS.iter().find(|(of, _, _)| *of == module.row.id).map(|(_, a, b)| (a, b))
            && !self.ids.contains(needed)
        {
            return cannot(&format!("{full_shown}: undefined symbol: {symbol}"));
        }
        self.add(module);
        let text = format!("mod_so.c(266): AH01575: loaded module {shown} from {full_shown}");
        notices.push(Notice { module: "so", level: "debug", text });
        Ok(())
    }

    fn load_file(&mut self, file: &[u8], root: &[u8]) -> Result<(), String> {
        // Libraries for modules; ours need none, so all that is left is to say when one is not there.
        let full = merge_path(root, file);
        let cannot = |what: &str| Err(format!("Cannot load {} into server: {}: {what}", latin1(file), latin1(&full)));
        let in_place = file.contains(&b'/');
        match files::look(path(&full)) {
            // A name without a slash is tried once more, in the places of the system's loader.
            Ok(found) if !in_place && (found.kind == files::Kind::Folder || !files::given() && !is_elf(&full)) => {
                if in_library_path(file) {
                    return Ok(());
                }
            }
            Ok(found) if found.kind == files::Kind::Folder => return cannot("cannot read file data: Is a directory"),
            Ok(found) if !files::given() && !is_elf(&full) => {
                return cannot(if found.length < ELF_HEADER { "file too short" } else { "invalid ELF header" });
            }
            Ok(_) => return Ok(()),
            Err(_) if !in_place && in_library_path(file) => return Ok(()),
            Err(_) => {}
        }
        let looked = if in_place { latin1(&full) } else { latin1(file) };
        Err(format!(
            "Cannot load {} into server: {looked}: cannot open shared object file: No such file or directory",
            latin1(file)
        ))
    }

    fn version(&self) -> [i32; 3] {
        HTTPD_VERSION
    }

    fn env(&self, name: &[u8]) -> Option<Vec<u8>> {
        if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
            return None;
        }
        std::env::var_os(OsStr::from_bytes(name)).map(OsString::into_vec)
    }

    fn read(&self, file: &[u8]) -> io::Result<Vec<u8>> {
        let length = files::look(path(file)).map_or(0, |found| found.length);
        if length > LARGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "File too large"));
        }
        files::read(path(file))
    }

    fn kind(&self, file: &[u8]) -> Option<Kind> {
        if let Some(folder) = files::noted_folder(path(file)) {
            return Some(if folder { Kind::Directory } else { Kind::File });
        }
        Some(match files::look(path(file)).ok()?.kind {
            files::Kind::Folder => Kind::Directory,
            files::Kind::File => Kind::File,
            files::Kind::Other if path(file) == Path::new("/dev/null") => Kind::File,
            files::Kind::Other => Kind::Other,
        })
    }

    fn list(&self, dir: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        files::list(path(dir))
    }
}

/// Modules whose files need another module's symbols when they are opened, and the first symbol that is missed.
const NEEDS: &[(&str, &str, &str)] = &[
    ("cache_disk_module", "cache_module", "ap_cache_cacheable_headers_in"),
    ("cache_socache_module", "cache_module", "ap_cache_cacheable_headers_in"),
    ("dav_fs_module", "dav_module", "dav_do_find_liveprop"),
    ("dav_lock_module", "dav_module", "dav_push_error"),
    ("proxy_ajp_module", "proxy_module", "proxy_module"),
    ("proxy_balancer_module", "proxy_module", "proxy_hcmethods"),
    ("proxy_connect_module", "proxy_module", "ap_proxy_tunnel_create"),
    ("proxy_express_module", "proxy_module", "proxy_module"),
    ("proxy_fcgi_module", "proxy_module", "proxy_module"),
    ("proxy_fdpass_module", "proxy_module", "proxy_hook_canon_handler"),
    ("proxy_ftp_module", "proxy_module", "ap_proxy_canonenc"),
    ("proxy_hcheck_module", "proxy_module", "proxy_hcmethods"),
    ("proxy_http_module", "proxy_module", "ap_proxy_location_reverse_map"),
    ("proxy_http2_module", "proxy_module", "ap_proxy_location_reverse_map"),
    ("proxy_scgi_module", "proxy_module", "proxy_hook_canon_handler"),
    ("proxy_uwsgi_module", "proxy_module", "proxy_module"),
    ("proxy_wstunnel_module", "proxy_module", "ap_proxy_pass_brigade"),
    ("session_cookie_module", "session_module", "ap_hook_session_save"),
    ("session_crypto_module", "session_module", "ap_hook_session_encode"),
    ("session_dbd_module", "session_module", "ap_hook_session_save"),
];

/// The length of a shared object's header on 64-bit systems.
const ELF_HEADER: u64 = 64;

fn is_elf(file: &[u8]) -> bool {
    use std::io::Read as _;
    let mut magic = [0; 4];
    fs::File::open(path(file)).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// Whether the file's name is that of another of our modules.
fn other_module(module: &Module, file: &[u8]) -> bool {
    let stem = |module: &Module| {
        let name = module.row.file.trim_end_matches(".c");
        if name.starts_with("mod_") { name.to_owned() } else { format!("mod_mpm_{name}") }
    };
    let Some(name) = path(file).file_stem().and_then(OsStr::to_str) else { return false };
    name != stem(module) && modules::ALL.iter().any(|other| stem(other) == name)
}

fn in_library_path(file: &[u8]) -> bool {
    ["/lib", "/usr/lib", "/usr/local/lib", "/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"]
        .iter()
        .any(|dir| files::look(PathBuf::from(dir).join(path(file))).is_ok())
}

/// The name of the operating system as its packages of httpd say it in `ServerTokens OS`.
pub(super) fn system() -> &'static str {
    static SYSTEM: std::sync::OnceLock<&'static str> = std::sync::OnceLock::new();
    SYSTEM.get_or_init(|| system_in(&fs::read_to_string("/etc/os-release").unwrap_or_default()))
}

fn system_in(os_release: &str) -> &'static str {
    const NAMES: &[(&str, &str)] = &[
        ("almalinux", "AlmaLinux"),
        ("debian", "Debian"),
        ("fedora", "Fedora Linux"),
        ("rhel", "Red Hat Enterprise Linux"),
        ("rocky", "Rocky Linux"),
        ("ubuntu", "Ubuntu"),
    ];
    let id = os_release.lines().find_map(|line| line.strip_prefix("ID=")).unwrap_or_default().trim_matches('"');
    NAMES.iter().find(|(known, _)| *known == id).map_or("Unix", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(modules: &mut Modules, id: &str, file: &str) -> Result<(), String> {
        modules.load_module(id.as_bytes(), file.as_bytes(), b"/nonexistent", &mut Vec::new())
    }

    #[test]
    fn our_modules_need_no_files_and_others_are_missed() {
        let mut modules = Modules::new();
        assert!(!modules.has_module(b"mod_alias.c"));
        assert_eq!(load(&mut modules, "alias_module", "modules/mod_alias.so"), Ok(()));
        assert!(modules.has_module(b"mod_alias.c") && modules.has_module(b"alias_module"));
        assert!(modules.directive(b"redirect").is_some_and(|row| row.name == "Redirect" && !row.read_time));
        let error = load(&mut modules, "php_module", "modules/libphp.so").unwrap_err();
        assert_eq!(
            error,
            "Cannot load modules/libphp.so into server: /nonexistent/modules/libphp.so: cannot open shared object file: \
             No such file or directory"
        );
        let error = load(&mut modules, "so_module", "modules/mod_so.so").unwrap_err();
        assert_eq!(error, "module so_module is built-in and can't be loaded");
    }

    #[test]
    fn a_module_comes_behind_those_it_needs() {
        let mut modules = Modules::new();
        let error = load(&mut modules, "proxy_http_module", "m/mod_proxy_http.so").unwrap_err();
        assert!(error.ends_with("undefined symbol: ap_proxy_location_reverse_map"), "{error}");
        assert_eq!(load(&mut modules, "proxy_module", "m/mod_proxy.so"), Ok(()));
        assert_eq!(load(&mut modules, "proxy_http_module", "m/mod_proxy_http.so"), Ok(()));
    }

    /// Each name in the table is a module.
    #[test]
    fn needs_name_modules() {
        for (of, needed, _) in NEEDS {
            assert!(find(of.as_bytes()).is_some() && find(needed.as_bytes()).is_some(), "{of} {needed}");
        }
    }

    #[test]
    fn the_operating_system_is_named_as_its_packages_do() {
        assert_eq!(system_in("PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n"), "Debian");
        assert_eq!(system_in("ID=\"rhel\"\n"), "Red Hat Enterprise Linux");
        assert_eq!(system_in(""), "Unix");
    }
}
