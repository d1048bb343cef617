//! The command line, as catalina.sh has it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, value_parser};

use super::deploy::{self, Base};
use super::failure::StartError;
use super::log;
use super::model::Shutdown;
use super::server;
use super::webapp::Handlers;
use super::xml::{Notice, Properties, Refusal};

/// Name of the program and version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The command line's description; the man page is made from it.
pub fn command() -> clap::Command {
    let sub = clap::Command::new;
    clap::Command::new("tandem-node")
        .about("A member of a Tomcat cluster: reads server.xml, answers HTTP and AJP, shares sessions with Tomcats")
        .version(VERSION)
        .disable_version_flag(true)
        .subcommand_required(true)
        .arg(
            Arg::new("base")
                .long("base")
                .value_name("DIR")
                .global(true)
                .value_parser(value_parser!(PathBuf))
                .help("The directory with conf, logs and webapps; CATALINA_BASE otherwise"),
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .global(true)
                .value_parser(value_parser!(PathBuf))
                .help("The configuration, conf/server.xml otherwise"),
        )
        .arg(
            Arg::new("property")
                .short('D')
                .value_name("NAME=VALUE")
                .global(true)
                .action(ArgAction::Append)
                .help("Sets a property for ${NAME}; those of CATALINA_OPTS and JAVA_OPTS count too"),
        )
        .subcommand(sub("run").about("Runs in the foreground"))
        .subcommand(
            sub("start").about("Runs in the background, with its output in CATALINA_OUT, logs/catalina.out otherwise"),
        )
        .subcommand(
            sub("stop")
                .about("Stops a running node over its shutdown port, or by its process id in CATALINA_PID")
                .arg(
                    Arg::new("seconds")
                        .value_parser(value_parser!(u64))
                        .help("Waits so long for its end, 5 seconds otherwise"),
                )
                .arg(
                    Arg::new("force").long("force").action(ArgAction::SetTrue).help("Kills what has not ended by then"),
                ),
        )
        .subcommand(sub("configtest").about("Reads the configuration and takes the connectors' addresses, no more"))
        .subcommand(sub("version").about("Says what this is"))
}

/// Runs the program.
pub fn main(arguments: impl Iterator<Item = OsString>, handlers: &Handlers) -> ExitCode {
    // catalina.sh's spelling.
    let arguments = arguments.map(|word| match word.to_str() {
        Some("-force") => "--force".into(),
        Some("-config") => "--config".into(),
        _ => word,
    });
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let Some((name, own)) = matches.subcommand() else { return ExitCode::FAILURE };
    if name == "version" {
        return version();
    }
    let dir = own.get_one::<PathBuf>("base").cloned().or_else(|| std::env::var_os("CATALINA_BASE").map(PathBuf::from));
    let Some(dir) = dir.map(|dir| fs::canonicalize(&dir).unwrap_or(dir)) else {
        eprintln!("tandem-node: where is the node? Set CATALINA_BASE, or give --base DIR");
        return ExitCode::FAILURE;
    };
    let mut properties = Properties::default();
    for text in own.get_many::<String>("property").into_iter().flatten() {
        set(&mut properties, text);
    }
    for variable in ["CATALINA_OPTS", "JAVA_OPTS"] {
        let text = std::env::var(variable).unwrap_or_default();
        text.split_whitespace().filter_map(|word| word.strip_prefix("-D")).for_each(|word| set(&mut properties, word));
    }
    if let Some(home) = std::env::var_os("CATALINA_HOME") {
        properties.set_default("catalina.home", &home.to_string_lossy());
    }
    let file = own.get_one::<PathBuf>("config").cloned().unwrap_or_else(|| PathBuf::from("conf/server.xml"));
    let base = Base::new(&dir, &file, properties);
    match name {
        "run" => run(&base, handlers),
        "start" => start(&base),
        "configtest" => configtest(&base, handlers),
        _ => stop(&base, own.get_one::<u64>("seconds").copied(), own.get_flag("force")),
    }
}

fn set(properties: &mut Properties, text: &str) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    properties.set_default(name, value);
}

fn version() -> ExitCode {
    let system = nix::sys::utsname::uname().ok();
    let field = |value: Option<&std::ffi::OsStr>| value.unwrap_or_default().to_string_lossy().into_owned();
    let (name, release) = (field(system.as_ref().map(|s| s.sysname())), field(system.as_ref().map(|s| s.release())));
    let machine = field(system.as_ref().map(|s| s.machine()));
    println!("Server version: Tandem node/{VERSION}");
    println!("Server number:  {VERSION}");
    println!("Speaks:         Tomcat 8.5 to 11 (Tribes, sessions), HTTP/1.1, AJP/1.3");
    println!("OS Name:        {name}");
    println!("OS Version:     {release}");
    println!("Architecture:   {machine}");
    ExitCode::SUCCESS
}

/// Says what was odd.
pub fn report(notices: &[Notice]) {
    for notice in notices {
        let deploying = notice.text.starts_with("Deploying ");
        let say = if deploying { log::info } else { log::warning };
        say(notice.source, &notice.text);
    }
}

fn report_refusals(base: &Base, refusals: &[Refusal]) {
    const SOURCE: &str = "org.apache.catalina.startup.Catalina.parseServerXml";
    log::warning(SOURCE, &format!("Unable to load server configuration from [{}]", base.server_xml().display()));
    for refusal in refusals {
        log::severe(SOURCE, &refusal.to_string());
    }
}

/// Reads the configuration and says what there is to say.
fn load(base: &Base) -> Option<super::model::Server> {
    let mut notices = Vec::new();
    let read = deploy::load(base, &mut notices);
    report(&notices);
    read.map_err(|refusals| report_refusals(base, &refusals)).ok()
}

fn run(base: &Base, handlers: &Handlers) -> ExitCode {
    log::install();
    let started = Instant::now();
    let pid = PidFile::write();
    let Some(model) = load(base) else {
        log::severe(
            "org.apache.catalina.startup.Bootstrap.main",
            "Cannot start server. Server instance is not configured.",
        );
        return ExitCode::FAILURE;
    };
    let code = match server::run(&model, base, handlers, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    };
    drop(pid);
    code
}

fn complain(error: &StartError) {
    log::severe("org.apache.catalina.startup.Catalina.start", &error.to_string());
    let text = "The required Server component failed to start so Tomcat is unable to start.";
    log::severe("org.apache.catalina.startup.Catalina.start", text);
}

fn configtest(base: &Base, handlers: &Handlers) -> ExitCode {
    log::install();
    let bad = || {
        eprintln!("Configuration error detected!");
        ExitCode::FAILURE
    };
    let Some(model) = load(base) else { return bad() };
    match server::check(&model, base, handlers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::severe("org.apache.catalina.startup.Catalina.load", &error.to_string());
            bad()
        }
    }
}

/// The file that holds the process id, if somebody wants it.
fn pid_path() -> Option<PathBuf> {
    std::env::var_os("CATALINA_PID").filter(|path| !path.is_empty()).map(PathBuf::from)
}

struct PidFile(PathBuf);

impl PidFile {
    fn write() -> Option<Self> {
        let path = pid_path()?;
        let text = format!("{}\n", std::process::id());
        // Whoever started this one has written it already, and somebody may be reading.
        let written = fs::read_to_string(&path).is_ok_and(|found| found == text);
        match if written { Ok(()) } else { fs::write(&path, text) } {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                log::warning("tandem.node.pid", &format!("[{}]: {error}", path.display()));
                None
            }
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Nobody is told if it is gone already.
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether there is such a process, which may be somebody else's.
fn is_there(pid: nix::unistd::Pid) -> bool {
    !matches!(nix::sys::signal::kill(pid, None), Err(nix::errno::Errno::ESRCH))
}

/// The process that a file names.
fn named_pid(text: &str) -> Option<nix::unistd::Pid> {
    text.trim().parse::<i32>().ok().filter(|pid| *pid > 1).map(nix::unistd::Pid::from_raw)
}

/// Makes sure that no node runs whose process id is in the file; what keeps another from being started otherwise.
fn vacate(path: &Path) -> Result<(), String> {
    let Ok(text) = fs::read_to_string(path) else {
        return if path.exists() { Err("Unable to read PID file. Start aborted.".to_owned()) } else { Ok(()) };
    };
    if text.trim().is_empty() {
        return Ok(());
    }
    println!("Existing PID file found during start.");
    if let Some(pid) = named_pid(&text).filter(|pid| is_there(*pid)) {
        let advice = "If that is another process, remove the PID file and try again.";
        return Err(format!("Tomcat appears to still be running with PID {pid}. Start aborted.\n{advice}"));
    }
    println!("Removing/clearing stale PID file.");
    fs::remove_file(path)
        .or_else(|_| fs::write(path, ""))
        .map_err(|_| "Unable to remove or clear stale PID file. Start aborted.".to_owned())
}

fn start(base: &Base) -> ExitCode {
    if let Some(Err(text)) = pid_path().map(|path| vacate(&path)) {
        eprintln!("{text}");
        return ExitCode::FAILURE;
    }
    let output = std::env::var_os("CATALINA_OUT").filter(|path| !path.is_empty()).map(PathBuf::from);
    let output = output.unwrap_or_else(|| base.dir.join("logs/catalina.out"));
    let opened = output
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| OpenOptions::new().create(true).append(true).open(&output))
        .and_then(|out| Ok((out.try_clone()?, out)));
    let spawned = opened.and_then(|(out, errors)| {
        let mut words = vec![
            OsString::from("run"),
            "--base".into(),
            base.dir.clone().into(),
            "--config".into(),
            base.file.clone().into(),
        ];
        let own = std::env::args().skip(1).collect::<Vec<_>>();
        for (index, word) in own.iter().enumerate() {
            if word == "-D" {
                words.extend(own.get(index..index + 2).into_iter().flatten().map(OsString::from));
            } else if word.starts_with("-D") {
                words.push(word.into());
            }
        }
        Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .process_group(0)
            .spawn()
    });
    match spawned {
        Ok(child) => {
            // Whoever looks for it at once finds it; the node writes the same.
            if let Some(path) = pid_path()
                && let Err(error) = fs::write(&path, format!("{}\n", child.id()))
            {
                eprintln!("[{}]: {error}", path.display());
            }
            println!("Tomcat started.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tandem-node: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The running node by the file with its process id, if there is one.
fn to_stop() -> Result<Option<nix::unistd::Pid>, &'static str> {
    let Some(path) = pid_path() else { return Ok(None) };
    let Ok(text) = fs::read_to_string(&path) else {
        return Err("$CATALINA_PID was set but the specified file does not exist. Is Tomcat running? Stop aborted.");
    };
    if text.trim().is_empty() {
        println!("PID file is empty and has been ignored.");
        return Ok(None);
    }
    let found = named_pid(&text).filter(|pid| nix::sys::signal::kill(*pid, None).is_ok());
    found.map(Some).ok_or(
        "PID file found but either no matching process was found or the current user does not have permission to stop the process. Stop aborted.",
    )
}

fn stop(base: &Base, seconds: Option<u64>, force: bool) -> ExitCode {
    let pid = match to_stop() {
        Ok(pid) => pid,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
    };
    let Some(model) = load(base) else { return ExitCode::FAILURE };
    let told = model.shutdown.as_ref().is_some_and(tell);
    if !told {
        match &model.shutdown {
            Some(to) => eprintln!(
                "Could not contact [{}:{}] (base port [{}] and offset [{}]). Tomcat may not be running.",
                to.address, to.port, to.base_port, to.offset
            ),
            None => eprintln!("No shutdown port configured. Shut down server through OS signal. Server not shut down."),
        }
    }
    let Some(pid) = pid else {
        if force {
            println!("Kill failed: $CATALINA_PID not set");
        }
        return ExitCode::SUCCESS;
    };
    if !told {
        println!("The stop command failed. Attempting to signal the process to stop through OS signal.");
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    }
    if ends(pid, Duration::from_secs(seconds.unwrap_or(5))) {
        println!("Tomcat stopped.");
        return ExitCode::SUCCESS;
    }
    println!("Tomcat did not stop in time.");
    if !force {
        println!("PID file was not removed.");
        return ExitCode::FAILURE;
    }
    println!("Killing Tomcat with the PID: {pid}");
    let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    if !ends(pid, KILLED) {
        println!("Tomcat has not been killed completely yet. The process might be waiting on some system call.");
        return ExitCode::FAILURE;
    }
    println!("The Tomcat process has been killed.");
    ExitCode::SUCCESS
}

/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(5);

/// Waits for the end of a process; then there is no file that names it any more.
fn ends(pid: nix::unistd::Pid, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while is_there(pid) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    if let Some(path) = pid_path() {
        // It has done so itself unless it was killed.
        let _ = fs::remove_file(path);
    }
    true
}

/// Says the word to the shutdown port; whether somebody was there.
fn tell(to: &Shutdown) -> bool {
    let addresses = (to.address.as_str(), to.port).to_socket_addrs();
    let connected = addresses
        .into_iter()
        .flatten()
        .find_map(|address| TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok());
    connected.is_some_and(|mut stream| stream.write_all(to.word.as_bytes()).is_ok())
}
