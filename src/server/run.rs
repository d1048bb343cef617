//! The run path: from a checked configuration to a server that listens, and its end.

use std::process::ExitCode;
use std::sync::Arc;

use crate::config::Generation;

/// What the command line asks for.
pub struct Options {
    /// `-X`: stay in the foreground, one thread.
    pub one_process: bool,
    /// `-DFOREGROUND` (or `-DNO_DETACH`): do not become a daemon.
    pub foreground: bool,
    /// The word of `-k`; `start` when absent.
    pub signal: Signal,
    /// The command line for AH00094, joined with blanks, each word in single quotes from the second on.
    pub command_line: String,
    /// Reads the configuration again, given the one in force. Reports what is wrong itself and then gives `None`.
    pub reload: Reload,
}

/// Reads the configuration again.
pub type Reload = Box<dyn Fn(&Generation) -> Option<Arc<Generation>> + Send>;

/// The words of `-k`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// `start`, or no `-k`.
    #[default]
    Start,
    /// `stop`.
    Stop,
    /// `restart`.
    Restart,
    /// `graceful`.
    Graceful,
    /// `graceful-stop`.
    GracefulStop,
}

/// Obeys `-k`; starts the server and serves until it is told to stop. The configuration has been checked.
pub fn run(_options: Options, _generation: Arc<Generation>) -> ExitCode {
    eprintln!("tandem: serving is not built in yet");
    ExitCode::FAILURE
}
