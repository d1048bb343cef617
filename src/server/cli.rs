//! The command line, with httpd's spellings and httpd's words about wrong ones.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::run::Signal;
use crate::config::latin1;

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The name the program was called by, in front of its messages.
    pub program: String,
    /// `-d`.
    pub server_root: Option<Vec<u8>>,
    /// `-f`.
    pub file: Option<Vec<u8>>,
    /// `-C` lines.
    pub before: Vec<Vec<u8>>,
    /// `-c` lines.
    pub after: Vec<Vec<u8>>,
    /// `-D` names in order, those that options imply among them.
    pub defines: Vec<Vec<u8>>,
    /// `-k`.
    pub signal: Option<Signal>,
    /// `-e`.
    pub startup_level: Option<String>,
    /// `-E`.
    pub startup_log: Option<Vec<u8>>,
    /// `-t`.
    pub check: bool,
    /// `-T`.
    pub skip_docroot: bool,
    /// `-X`.
    pub one_process: bool,
    /// Errors that httpd forgives while it runs are forgiven.
    pub reloading: bool,
    /// A question that is answered in place of serving.
    pub question: Option<Question>,
    /// All words, for the log.
    pub words: Vec<Vec<u8>>,
}

/// What is answered without serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// `-v`.
    Version,
    /// `-V`.
    Build,
    /// `-l`.
    Builtin,
    /// `-L`.
    Directives,
}

/// The command line is not understood, or asks for help: what to print to standard error, with exit status 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage(pub String);

const LEVELS: &[&str] = &[
    "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug", "trace1", "trace2", "trace3", "trace4",
    "trace5", "trace6", "trace7", "trace8",
];

fn command() -> Command {
    let value = |letter: &'static str| {
        Arg::new(letter)
            .short(letter.chars().next())
            .action(ArgAction::Append)
            .allow_hyphen_values(true)
            .value_parser(clap::value_parser!(OsString))
    };
    let flag = |letter: &'static str| Arg::new(letter).short(letter.chars().next()).action(ArgAction::Count);
    Command::new("tandem")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(["D", "C", "c", "d", "f", "k", "e", "E"].map(value))
        .args(["v", "V", "l", "L", "t", "T", "S", "M", "X", "h"].map(flag))
}

impl Invocation {
    /// Reads the words of the command line, the program's own name first.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, Usage> {
        let args: Vec<OsString> = args.into_iter().collect();
        let words: Vec<Vec<u8>> = args.iter().map(|word| word.clone().into_vec()).collect();
        let program = words.first().map_or_else(|| "tandem".to_owned(), |word| base_name(word));
        let (options, rest) = cut(&words);
        let matches = command()
            .try_get_matches_from(args.iter().take(options).cloned())
            .map_err(|error| Usage(explain(&error, &program)))?;
        if rest < words.len() {
            return Err(Usage(usage(&program)));
        }
        let mut invocation = Self::from_matches(&matches, &program)?;
        invocation.words = words;
        Ok(invocation)
    }

    fn from_matches(matches: &ArgMatches, program: &str) -> Result<Self, Usage> {
        let all = |letter: &str| -> Vec<Vec<u8>> {
            let values = matches.get_many::<OsString>(letter).into_iter().flatten();
            values.map(|value| value.clone().into_vec()).collect()
        };
        let last = |letter: &str| all(letter).pop();
        let set = |letter: &str| matches.get_count(letter) > 0;
        let illegal = |letter: char| Usage(format!("{program}: illegal option -- {letter}\n{}", usage(program)));
        if set("h") {
            return Err(Usage(usage(program)));
        }
        let signal = match last("k").as_deref() {
            None => None,
            Some(b"start") => Some(Signal::Start),
            Some(b"stop") => Some(Signal::Stop),
            Some(b"restart") => Some(Signal::Restart),
            Some(b"graceful") => Some(Signal::Graceful),
            Some(b"upgrade") => Some(Signal::Upgrade),
            Some(b"graceful-stop") => Some(Signal::GracefulStop),
            Some(_) => return Err(illegal('k')),
        };
        let startup_level = match last("e") {
            None => None,
            Some(word) => {
                let word = latin1(&word).to_ascii_lowercase();
                if !LEVELS.contains(&word.as_str()) {
                    return Err(Usage(usage(program)));
                }
                Some(word)
            }
        };
        // Names in the order of the words they come from.
        let mut defines: Vec<(usize, Vec<u8>)> = Vec::new();
        if matches.get_many::<OsString>("k").is_some_and(|words| words.len() > 1) {
            return Err(illegal('k'));
        }
        let at = |letter: &str| matches.indices_of(letter).into_iter().flatten().collect::<Vec<_>>();
        defines.extend(at("D").into_iter().zip(all("D")));
        for (letter, names) in
            [("S", &[&b"DUMP_VHOSTS"[..], b"DUMP_RUN_CFG"][..]), ("M", &[b"DUMP_MODULES"]), ("X", &[b"DEBUG"])]
        {
            if set(letter) {
                let index = at(letter).last().copied().unwrap_or_default();
                defines.extend(names.iter().map(|name| (index, name.to_vec())));
            }
        }
        defines.sort_by_key(|(index, _)| *index);
        let question =
            [("v", Question::Version), ("V", Question::Build), ("l", Question::Builtin), ("L", Question::Directives)];
        Ok(Self {
            reloading: false,
            program: program.to_owned(),
            server_root: last("d"),
            file: last("f"),
            before: all("C"),
            after: all("c"),
            defines: defines.into_iter().map(|(_, name)| name).collect(),
            signal,
            startup_level,
            startup_log: last("E"),
            check: set("t") || set("S") || set("M"),
            skip_docroot: set("T"),
            one_process: set("X"),
            question: question.into_iter().find(|(letter, _)| set(letter)).map(|(_, question)| question),
            words: Vec::new(),
        })
    }

    /// Whether `-D NAME` was given or implied.
    pub fn is_defined(&self, name: &[u8]) -> bool {
        self.defines.iter().any(|define| define == name)
    }

    /// Whether a dump is asked for that takes the place of serving and of `Syntax OK`.
    pub fn dumps(&self) -> bool {
        ["DUMP_VHOSTS", "DUMP_RUN_CFG", "DUMP_MODULES", "DUMP_INCLUDES"]
            .iter()
            .any(|name| self.is_defined(name.as_bytes()))
    }
}

fn base_name(word: &[u8]) -> String {
    let path = OsString::from_vec(word.to_vec());
    Path::new(&path).file_name().map_or_else(|| "tandem".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// How many words are options, and where the others begin: a word that is no option, or one that starts with two
/// dashes, ends them.
fn cut(words: &[Vec<u8>]) -> (usize, usize) {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        if word.starts_with(b"--") {
            return (at, at + 1);
        }
        if word.first() != Some(&b'-') || word.len() == 1 {
            return (at, at);
        }
        let value = word.iter().skip(1).position(|letter| b"DCcdfkeE".contains(letter));
        // A value that is not glued to its option is the next word.
        at += if value.is_some_and(|value| value + 2 == word.len()) { 2 } else { 1 };
    }
    (words.len(), words.len())
}

fn explain(error: &clap::Error, program: &str) -> String {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => word.chars().nth(1).unwrap_or('-'),
        _ => '-',
    };
    if option == '?' {
        return usage(program);
    }
    let what = match error.kind() {
        // httpd finds a `-k` without a word wrong as it does one with a wrong word.
        _ if option == 'k' => "illegal option",
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            "option requires an argument"
        }
        _ => "illegal option",
    };
    format!("{program}: {what} -- {option}\n{}", usage(program))
}

/// The usage text.
pub fn usage(program: &str) -> String {
    let pad = " ".repeat(program.len());
    format!(
        "Usage: {program} [-D name] [-d directory] [-f file]
       {pad} [-C \"directive\"] [-c \"directive\"]
       {pad} [-k start|restart|graceful|graceful-stop|stop]
       {pad} [-v] [-V] [-h] [-l] [-L] [-t] [-T] [-S] [-X]
Options:
  -D name            : define a name for use in <IfDefine name> directives
  -d directory       : specify an alternate initial ServerRoot
  -f file            : specify an alternate ServerConfigFile
  -C \"directive\"     : process directive before reading config files
  -c \"directive\"     : process directive after reading config files
  -e level           : show startup errors of level (see LogLevel)
  -E file            : log startup errors to file
  -v                 : show version number
  -V                 : show compile settings
  -h                 : list available command line options (this page)
  -l                 : list compiled in modules
  -L                 : list available configuration directives
  -t -D DUMP_VHOSTS  : show parsed vhost settings
  -t -D DUMP_RUN_CFG : show parsed run settings
  -S                 : a synonym for -t -D DUMP_VHOSTS -D DUMP_RUN_CFG
  -t -D DUMP_MODULES : show all loaded modules 
  -M                 : a synonym for -t -D DUMP_MODULES
  -t -D DUMP_INCLUDES: show all included configuration files
  -t                 : run syntax check for config files
  -T                 : start without DocumentRoot(s) check
  -X                 : debug mode (only one worker, do not detach)
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Invocation, String> {
        let args = std::iter::once("/usr/sbin/httpd").chain(words.iter().copied()).map(OsString::from);
        Invocation::parse(args).map_err(|usage| usage.0.lines().next().unwrap_or_default().to_owned())
    }

    #[test]
    fn options_may_be_joined_and_values_glued() {
        let found = parse(&["-tS", "-DFOO", "-D", "BAR", "-f", "a.conf", "-dx", "-f", "b.conf"]).unwrap();
        assert!(found.check);
        assert_eq!(found.defines, [&b"DUMP_VHOSTS"[..], b"DUMP_RUN_CFG", b"FOO", b"BAR"]);
        assert_eq!((found.file.as_deref(), found.server_root.as_deref()), (Some(&b"b.conf"[..]), Some(&b"x"[..])));
        assert_eq!(found.program, "httpd");
    }

    #[test]
    fn values_may_look_like_options() {
        assert_eq!(parse(&["-D", "-t"]).unwrap().defines, [b"-t"]);
        assert!(!parse(&["-D", "-t"]).unwrap().check);
        assert_eq!(parse(&["-c", "Listen 80", "-C", ""]).unwrap().after, [b"Listen 80"]);
    }

    #[test]
    fn wrong_words_are_named_as_httpd_does() {
        assert_eq!(parse(&["-Z"]).unwrap_err(), "httpd: illegal option -- Z");
        assert_eq!(parse(&["-tZ"]).unwrap_err(), "httpd: illegal option -- Z");
        assert_eq!(parse(&["-D"]).unwrap_err(), "httpd: option requires an argument -- D");
        assert_eq!(parse(&["-k", "bogus"]).unwrap_err(), "httpd: illegal option -- k");
        assert_eq!(parse(&["word"]).unwrap_err(), "Usage: httpd [-D name] [-d directory] [-f file]");
        assert_eq!(parse(&["-h"]).unwrap_err(), "Usage: httpd [-D name] [-d directory] [-f file]");
    }

    #[test]
    fn signals_and_questions() {
        assert_eq!(parse(&["-k", "graceful-stop"]).unwrap().signal, Some(Signal::GracefulStop));
        assert_eq!(parse(&["-V"]).unwrap().question, Some(Question::Build));
        assert!(parse(&["-DDUMP_INCLUDES"]).unwrap().dumps());
        assert!(!parse(&["-DDUMP_CONFIG"]).unwrap().dumps());
    }
}
