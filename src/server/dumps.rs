//! Questions that are answered in place of serving.

use std::process::ExitCode;

use super::Messages;
use super::cli::Invocation;
use super::load::Loaded;
use crate::modules;

/// `-v`.
pub fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("Server version: Apache/2.4.71 (Tandem/{version})\nServer built:   {version}\n")
}

/// `-l`.
pub fn builtin() -> String {
    let files = modules::ALL.iter().filter(|module| module.row.builtin).map(|module| module.row.file);
    files.fold("Compiled in modules:\n".to_owned(), |list, file| list + "  " + file + "\n")
}

/// `-V`.
pub(crate) fn build(_: &Invocation, _: &mut Messages) -> ExitCode {
    super::answer(&version())
}

/// `-L`.
pub fn directives(_: &Loaded) -> String {
    String::new()
}

/// The dumps that `-D DUMP_…` names, in httpd's order.
pub fn all(_: &Invocation, _: &Loaded) -> String {
    String::new()
}
