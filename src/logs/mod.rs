//! Floor 4: where lines go (files, piped programs, syslog), and the error log.
//!
//! From anywhere on the request path: `logs::error!(ex, Level::Warn, "proxy_http", "AH01102: error reading {}", what)`
//! or, with a status in front, `logs::error!(ex, Level::Error, "proxy", Errno::from(&error) => "AH00957: …")`. Nothing
//! is formatted unless LogLevel lets the entry through. In place of the exchange may stand [`OfConn`], [`OfServer`] or
//! [`Process`].
//!
//! Where lines go is decided once a generation: modules register [`Target`]s in [`Targets`] (`Globals::conf`) in their
//! `post_config`, and [`open`] makes the `sinks` of [`crate::web::Live`] from them, before privileges are given up.

mod backlog;
mod disk;
mod dump;
mod entry;
mod errno;
mod error;
mod format;
mod level;
mod program;
mod sink;
mod target;
pub mod text;

pub use dump::{Dump, DumpIo};
pub use entry::{Entry, ErrorLog};
pub use errno::Errno;
pub use error::{OfBody, OfConn, OfRemote, OfServer, Process, Source, log, process_log, set_process_log};
pub use format::{Format, set_canonical};
pub use level::{Level, LogLevels, level_of};
pub use program::{program, program_line};
pub use target::{OpenError, Opened, Role, Target, Targets, open};
pub use text::Bytes;

/// Writes an entry of the error log if LogLevel lets it through; see the module's doc.
#[macro_export]
#[doc(hidden)]
macro_rules! error_log_entry {
    ($source:expr, $level:expr, $module:expr, $errno:expr => $($text:tt)+) => {
        if $crate::logs::Source::enabled(&$source, $level, $module) {
            $crate::logs::log(&$source, $level, $module, Some($errno), (file!(), line!()), format_args!($($text)+));
        }
    };
    ($source:expr, $level:expr, $module:expr, $($text:tt)+) => {
        if $crate::logs::Source::enabled(&$source, $level, $module) {
            $crate::logs::log(&$source, $level, $module, None, (file!(), line!()), format_args!($($text)+));
        }
    };
}

pub use crate::error_log_entry as error;
