//! Levels of the error log, and which of them are written for which module (`LogLevel`).

use crate::config::Conf;

/// How bad it is; smaller is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// The system is unusable.
    Emerg,
    /// Somebody must act at once.
    Alert,
    /// Critical.
    Crit,
    /// A request or an action failed.
    Error,
    /// What is written unless LogLevel says otherwise.
    Warn,
    /// Normal but worth knowing; startup messages of this level are always written.
    Notice,
    /// For information.
    Info,
    /// For debugging.
    Debug,
    /// Steps, and ever finer ones.
    Trace1,
    #[allow(missing_docs)]
    Trace2,
    #[allow(missing_docs)]
    Trace3,
    #[allow(missing_docs)]
    Trace4,
    #[allow(missing_docs)]
    Trace5,
    #[allow(missing_docs)]
    Trace6,
    #[allow(missing_docs)]
    Trace7,
    #[allow(missing_docs)]
    Trace8,
}

const WORDS: [(&str, Level); 16] = [
    ("emerg", Level::Emerg),
    ("alert", Level::Alert),
    ("crit", Level::Crit),
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("notice", Level::Notice),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace1", Level::Trace1),
    ("trace2", Level::Trace2),
    ("trace3", Level::Trace3),
    ("trace4", Level::Trace4),
    ("trace5", Level::Trace5),
    ("trace6", Level::Trace6),
    ("trace7", Level::Trace7),
    ("trace8", Level::Trace8),
];

impl Level {
    /// httpd's word, as it stands in the log.
    pub fn word(self) -> &'static str {
        WORDS[self as usize].0
    }

    /// The level of a syslog severity.
    pub(super) fn from_number(number: u8) -> Self {
        WORDS.get(usize::from(number)).map_or(Self::Debug, |(_, level)| *level)
    }

    /// Reads a word of `LogLevel`, in any case.
    pub fn parse(word: &[u8]) -> Option<Self> {
        WORDS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word)).map(|(_, level)| *level)
    }
}

/// The values of `LogLevel` in one scope: kept in [`crate::config::Server::conf`] for the server and in
/// per-directory slots for sections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLevels {
    /// Level of all modules that have none of their own.
    pub default: Option<Level>,
    /// Levels of modules by the name the log shows (`proxy_http`); the last one wins. `None` puts the module back to
    /// the default. The list itself is absent until a module was named in this scope.
    pub modules: Option<Vec<(&'static str, Level)>>,
    /// A default was set behind levels of modules: those of outer scopes do not shine through either.
    pub cut: bool,
}

impl Conf for LogLevels {
    // Two past the last slot of `modules::slot`, which the walker never hands out.
    const SLOT: usize = crate::config::shared_slot::LOG_LEVELS;

    fn merge(base: &Self, add: &Self) -> Self {
        let default = add.default.or(base.default);
        let through = !add.cut && (add.default.is_none() || add.modules.is_some());
        let outer = base.modules.as_deref().filter(|_| through).unwrap_or_default();
        let inner = add.modules.as_deref().unwrap_or_default();
        let modules: Vec<_> = outer.iter().chain(inner).copied().collect();
        Self { default, modules: (!modules.is_empty()).then_some(modules), cut: add.cut || (through && base.cut) }
    }
}

impl LogLevels {
    /// One word of `LogLevel`. `find` gives the log's name of a module written as name, `name_module` or source file.
    /// The error is httpd's text.
    pub fn set(&mut self, word: &[u8], find: impl Fn(&[u8]) -> Option<&'static str>) -> Result<(), String> {
        const MUST: &str =
            "Log level keyword must be one of emerg/alert/crit/error/warn/notice/info/debug/trace1/.../trace8";
        let text = |bytes: &[u8]| -> String { bytes.iter().copied().map(char::from).collect() };
        match memchr::memrchr(b':', word) {
            None => {
                self.default = Some(Level::parse(word).ok_or_else(|| MUST.to_owned())?);
                if let Some(modules) = &mut self.modules {
                    modules.clear();
                    self.cut = true;
                }
            }
            Some(at) => {
                let (module, level) = (&word[..at], &word[at + 1..]);
                if level.is_empty() {
                    return Err(format!("Module specifier '{}' must be followed by a log level keyword", text(module)));
                }
                let level = Level::parse(level).ok_or_else(|| format!("{}: {MUST}", text(word)))?;
                let module = find(module).ok_or_else(|| format!("Cannot find module {}", text(module)))?;
                self.modules.get_or_insert_default().push((module, level));
            }
        }
        Ok(())
    }

    /// The level of `module` here, if this scope says anything about it.
    #[inline]
    fn own(&self, module: &str) -> Option<Level> {
        if let Some(modules) = &self.modules
            && let Some((_, level)) = modules.iter().rev().find(|(name, _)| *name == module)
        {
            return Some(*level);
        }
        None
    }
}

/// The level up to which messages of `module` are written for this server and these per-directory values.
#[inline]
pub fn level_of(server: Option<&LogLevels>, dir: Option<&LogLevels>, module: &str) -> Level {
    if let Some(dir) = dir {
        if let Some(level) = dir.own(module) {
            return level;
        }
        let through = !dir.cut && (dir.default.is_none() || dir.modules.is_some());
        if !through && let Some(level) = dir.default {
            return level;
        }
        if let Some(level) = server.and_then(|server| server.own(module)).or(dir.default) {
            return level;
        }
    }
    server.and_then(|server| server.own(module).or(server.default)).unwrap_or(Level::Warn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(words: &[&str]) -> LogLevels {
        let mut out = LogLevels::default();
        for word in words {
            let find = |name: &[u8]| match name {
                b"proxy" | b"proxy_module" | b"mod_proxy.c" => Some("proxy"),
                b"ssl" => Some("ssl"),
                _ => None,
            };
            out.set(word.as_bytes(), find).expect("valid words");
        }
        out
    }

    #[test]
    fn words_are_httpds() {
        assert_eq!(Level::parse(b"TRACE8"), Some(Level::Trace8));
        assert!(WORDS.iter().enumerate().all(|(i, (_, level))| *level as usize == i));
        let error = |word: &str| LogLevels::default().set(word.as_bytes(), |_| None).unwrap_err();
        assert!(error("loud").starts_with("Log level keyword must be one of emerg/alert/"));
        assert!(error("proxy:loud").starts_with("proxy:loud: Log level keyword must be one of emerg/"));
        assert_eq!(error("nope:info"), "Cannot find module nope");
    }

    #[test]
    fn modules_override_the_default_and_sections_the_server() {
        let server = levels(&["info", "ssl:trace3"]);
        assert_eq!(level_of(None, None, "core"), Level::Warn);
        assert_eq!(level_of(Some(&server), None, "core"), Level::Info);
        assert_eq!(level_of(Some(&server), None, "ssl"), Level::Trace3);
        let dir = levels(&["mod_proxy.c:debug"]);
        assert_eq!(level_of(Some(&server), Some(&dir), "proxy"), Level::Debug);
        assert_eq!(level_of(Some(&server), Some(&dir), "ssl"), Level::Trace3);
        assert_eq!(level_of(Some(&server), Some(&dir), "core"), Level::Info);
        // A new default forgets what was said of modules, outside too.
        let dir = levels(&["error"]);
        assert_eq!(level_of(Some(&server), Some(&dir), "ssl"), Level::Error);
        let merged = LogLevels::merge(&server, &dir);
        assert_eq!(level_of(Some(&merged), None, "ssl"), Level::Error);
        // ... but a default in front of a module's level lets the outer ones through, as in httpd.
        let dir = levels(&["error", "proxy:debug"]);
        assert_eq!(level_of(Some(&LogLevels::merge(&server, &dir)), None, "ssl"), Level::Trace3);
        assert_eq!(level_of(Some(&server), Some(&dir), "ssl"), Level::Trace3);
        let dir = levels(&["ssl:debug", "error", "proxy:info"]);
        let merged = LogLevels::merge(&server, &dir);
        assert_eq!(level_of(Some(&merged), None, "ssl"), Level::Error);
        assert_eq!(level_of(Some(&merged), None, "proxy"), Level::Info);
    }
}
