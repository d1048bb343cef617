//! Floor 1: httpd's configuration language: logical lines, words, and the read-time pass that turns files into a tree.
//!
//! Reading is the first of two passes. `Define`, `Include`, `LoadModule`, `<IfModule>`, `<Macro>` and their like run here,
//! while lines are read; everything else becomes a [`Node`] and is looked at when the whole tree is there
//! (`config::walk`). Files, modules and the environment are reached through [`Host`].

mod conditions;
mod expand;
mod include;
mod lines;
mod macros;
pub mod parse;
mod words;

pub use expand::{Define, Fault, Host, Kind, Known, Node, Notice, Reader, escape_message};
pub use lines::{Line, Lines, TooLong};
pub use words::{clean_path, get_word, get_words, merge_path};
