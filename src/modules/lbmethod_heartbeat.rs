//! `mod_lbmethod_heartbeat.c`: members are chosen by what their hosts say of themselves.

use std::sync::Arc;

use crate::config::{Directive, ModuleRow, Places, PostConfig, Shape, row};
use crate::modules::heartmonitor;
use crate::modules::rows::nothing;
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

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("HeartbeatStorage", Places::SERVER, Shape::Take1, heartmonitor::storage, "Path to read heartbeat data."),
];

/// Where balancers find heartbeats; `None` if the module is not loaded.
pub(super) fn source(post: &mut PostConfig<'_>) -> Option<Arc<Source>> {
    post.globals.modules.contains(&MODULE.row.id).then(|| {
        Arc::new(match heartmonitor::memory(post) {
            Some(monitor) => Source::Memory(monitor),
            None => Source::File(heartmonitor::path(post.globals)),
        })
    })
}
