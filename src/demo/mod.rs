//! Floor 8: `tandem demo`: two nodes of a cluster and the proxy in front, to see a session outlive its node.
//!
//! One process, the [`stage`], starts the others and is asked by `tandem demo kill tomcat1` through a socket in the
//! demo's folder; [`files`] writes what they run. Every process is this program; nothing else is needed.
//!
//! A child holds the reading end of a pipe as its standard input: when the stage is gone, however it went, the child
//! reads the pipe's end and leaves too.

mod files;
mod stage;

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use nix::sys::signal::{Signal, kill};

use crate::{node, server};

/// Names the process whose child is to leave with it.
const LEASH: &str = "TANDEM_DEMO";

/// The socket in the demo's folder.
const SOCKET: &str = "control";

/// The program: the demo when that is its first word, the server otherwise.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_none_or(|word| word != "demo") {
        return server::main(args);
    }
    match args.get(2).and_then(|word| word.to_str()) {
        Some("be-proxy") => {
            leash();
            args.drain(1..3);
            server::main(args)
        }
        Some("be-node") => {
            leash();
            args.drain(1..3);
            node::main(args.into_iter())
        }
        _ => demo(args),
    }
}

/// The command line's description.
pub fn command() -> clap::Command {
    let sub = clap::Command::new;
    let name = || Arg::new("name").required(true).value_parser(files::NODES).help("Which of the nodes");
    clap::Command::new("tandem demo")
        .about("Two nodes of a cluster and the proxy in front of them, to see a session outlive its node")
        .disable_help_subcommand(true)
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .global(true)
                .value_parser(value_parser!(PathBuf))
                .help("Where its files are; tandem-demo-UID among the temporary files otherwise"),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_parser(value_parser!(u16))
                .default_value("8081")
                .help("Where the proxy listens; the next one that is free if it is taken"),
        )
        .arg(
            Arg::new("static")
                .long("static")
                .action(ArgAction::SetTrue)
                .help("The nodes name each other in their files; by multicast they find each other otherwise"),
        )
        .subcommand(sub("kill").about("Kills a node (SIGKILL)").arg(name()))
        .subcommand(sub("stop").about("Stops a node in order").arg(name()))
        .subcommand(sub("start").about("Starts a node that is not there").arg(name()))
        .subcommand(sub("status").about("Says what runs"))
}

fn demo(mut args: Vec<OsString>) -> ExitCode {
    let program = args.first().map_or_else(|| "tandem".to_owned(), |name| name.to_string_lossy().into_owned());
    args.remove(0);
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let own = format!("tandem-demo-{}", nix::unistd::geteuid());
    let dir = matches.get_one::<PathBuf>("dir").cloned().unwrap_or_else(|| std::env::temp_dir().join(own));
    let done = match matches.subcommand() {
        Some((order, of)) => ask(&dir, &order_line(order, of)),
        None => begin(&dir, &matches, &program),
    };
    match done {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("tandem demo: {text}");
            ExitCode::FAILURE
        }
    }
}

fn order_line(order: &str, of: &ArgMatches) -> String {
    let name = of.try_get_one::<String>("name").ok().flatten();
    format!("{order} {}", name.map_or("", String::as_str))
}

/// Has the demo that runs do something; what it says.
fn ask(dir: &Path, order: &str) -> Result<String, String> {
    let mut stream = UnixStream::connect(dir.join(SOCKET))
        .map_err(|_| format!("no demo runs in {}; \"tandem demo\" in another terminal starts it", dir.display()))?;
    let mut answer = String::new();
    stream
        .write_all(format!("{order}\n").as_bytes())
        .and_then(|()| stream.read_to_string(&mut answer))
        .map_err(|error| error.to_string())?;
    match answer.split_at_checked(1) {
        Some(("+", text)) => Ok(text.to_owned()),
        Some((_, text)) => Err(text.trim_end().to_owned()),
        None => Err("the demo ended".to_owned()),
    }
}

fn begin(dir: &Path, matches: &ArgMatches, program: &str) -> Result<String, String> {
    private(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    // One that was killed left its socket behind, and nobody answers there.
    let socket = dir.join(SOCKET);
    if UnixStream::connect(&socket).is_ok() {
        return Err(format!("one runs in {} already", dir.display()));
    }
    let _ = fs::remove_file(&socket);
    let port = matches.get_one::<u16>("port").copied().unwrap_or_default();
    let dir = fs::canonicalize(dir).map_err(|error| error.to_string())?;
    let plan = files::Plan::new(&dir, port, matches.get_flag("static")).map_err(|error| error.to_string())?;
    plan.write().map_err(|error| format!("{}: {error}", dir.display()))?;
    stage::run(&plan, &dir.join(SOCKET), program).map(|()| String::new())
}

/// A folder of our own that nobody else writes to.
fn private(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let found = fs::symlink_metadata(dir)?;
    let own = found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o022 == 0;
    if own { Ok(()) } else { Err(io::Error::other("it is not a folder that only you can write to")) }
}

/// Leaves when the stage does, if this is its child.
fn leash() {
    let parent = nix::unistd::getppid().to_string();
    if std::env::var(LEASH).is_ok_and(|named| named == parent) {
        std::thread::spawn(|| {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = kill(nix::unistd::getpid(), Signal::SIGTERM);
        });
    }
}
