//! Floor 2: what a directive is, how its values are kept and merged, and the immutable [`Generation`] that comes out.
//!
//! Three forms of configuration, three names: *as written* (`lang` tree), *as set* (a module's [`Conf`] with `Option`
//! fields, one per scope), *as run* (confs merged per server and per chain of sections, see [`Slots::merged`]).

mod compile;
pub mod core;
mod directive;
mod generation;
pub mod select;
pub mod shape;
mod slots;
mod walk;

pub use compile::compile;
pub use directive::{Apply, Args, Around, Cmd, Directive, Open, Place, Places, Shape, Support, latin1, row};
pub use generation::{
    Fatal, Generation, Globals, Listen, Matcher, ModuleRow, Position, PostConfig, Section, SectionKind, Server,
    ServerRec, VhostAddr, Warning,
};
pub use select::Select;
pub use slots::{Conf, Slots, inner_or_outer, shared_slot};
pub use walk::{Limits, Rows, Use, Walk, WalkFault, forbidden};

pub use crate::lang::{clean_path, get_word, get_words, merge_path};
