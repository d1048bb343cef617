//! `mod_authn_socache.c`: accepted, and without a cache: whom it stands in front of is asked each time.

use crate::config::{Directive, ModuleRow, Places, Shape, row};
use crate::modules::check;
use crate::modules::rows::{accept, nothing};
use crate::pipe::Module;

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "authn_socache_module",
        file: "mod_authn_socache.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: &[],
};

/// The directives.
#[rustfmt::skip]
pub const DIRECTIVES: &[Directive] = &[
    row("AuthnCacheSOCache", Places::SERVER, Shape::Take1, |c, a| check::socache(c, a).map_err(|text| format!("AuthnCacheSOCache: {text}")), "socache provider for authn cache").moot(),
    row("AuthnCacheEnable", Places::SERVER, Shape::Raw, accept, "enable socache configuration in htaccess even if not enabled anywhere else").moot(),
    row("AuthnCacheProvideFor", Places::AUTHCFG, Shape::Iterate, accept, "Determine what authn providers to cache for").moot(),
    row("AuthnCacheTimeout", Places::AUTHCFG, Shape::Take1, accept, "Timeout (secs) for cached credentials").moot(),
    row("AuthnCacheContext", Places::DIR, Shape::Take1, accept, "Context for authn cache").moot(),
];
