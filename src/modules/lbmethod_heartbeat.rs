//! `mod_lbmethod_heartbeat.c`: members are chosen by what their hosts say of themselves.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{Args, Cmd, Conf, Directive, Globals, ModuleRow, Places, PostConfig, Shape, merge_path, row};
use crate::modules::rows::nothing;
use crate::modules::{heartmonitor, slot};
use crate::pipe::Module;
use crate::upstream::heartbeat::Source;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "lbmethod_heartbeat_module",
        file: "mod_lbmethod_heartbeat.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// Values of the process; both modules that know the file share them.
#[derive(Clone, Default)]
struct Storage {
    /// `HeartbeatStorage`, in full.
    path: Option<PathBuf>,
}

impl Conf for Storage {
    const SLOT: usize = slot::LBMETHOD_HEARTBEAT + 2;

    fn merge(_: &Self, add: &Self) -> Self {
        add.clone()
    }
}

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("HeartbeatStorage", Places::SERVER, Shape::Take1, storage, "Path to read heartbeat data."),
];

/// `HeartbeatStorage path`.
pub(super) fn storage(cmd: &mut Cmd<'_>, args: &Args<'_>) -> Result<(), String> {
    cmd.global_only()?;
    let path = in_runtime_dir(cmd.globals, args.word(0));
    cmd.globals.conf.get_mut::<Storage>().path = Some(path);
    Ok(())
}

fn in_runtime_dir(globals: &Globals, name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let folder = globals.rooted(globals.runtime_dir.as_deref().unwrap_or(b"logs"));
    PathBuf::from(std::ffi::OsString::from_vec(merge_path(&folder, name)))
}

/// The file of heartbeats.
pub(super) fn path(globals: &Globals) -> PathBuf {
    let written = globals.conf.get::<Storage>().and_then(|storage| storage.path.clone());
    written.unwrap_or_else(|| in_runtime_dir(globals, b"hb.dat"))
}

/// Where balancers find heartbeats; `None` if the module is not loaded.
pub(super) fn source(post: &mut PostConfig<'_>) -> Option<Arc<Source>> {
    post.globals.modules.contains(&MODULE.row.id).then(|| {
        Arc::new(match heartmonitor::memory(post) {
            Some(monitor) => Source::Memory(monitor),
            None => Source::File(path(post.globals)),
        })
    })
}
