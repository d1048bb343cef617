//! The preparer: reads the configuration with the steward's rights and has opened what it names.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use super::super::cli::Invocation;
use super::super::run::{self, Failed};
use super::super::{Messages, accepted};
use super::ask;
use crate::config::Generation;
use crate::logs::{self, Errno, ErrorLog, Level, Process, Target, Targets};
use crate::modules::proxy::persist;
use crate::modules::unixd::Account;
use crate::net::link::Link;
use crate::net::slots::Slots;
use crate::net::{daemon, files, listen};

/// Prepares a start, or a reload.
pub(super) fn run(invocation: &Invocation, again: bool, link: &Link) -> ExitCode {
    files::note();
    if again && let Ok(Some(before)) = link.receive() {
        // Without, what is under a pass phrase is asked for again.
        let _ = before.fds.first().map(|packed| files::give_plain(packed.as_fd()));
    }
    let Some(mut messages) = Messages::open(invocation) else { return ExitCode::FAILURE };
    let Some(generation) = accepted(invocation, &mut messages) else { return ExitCode::FAILURE };
    if !again && let Some(code) = run::obey_signal(invocation.signal.unwrap_or_default(), &generation) {
        return code;
    }
    match commit(&generation, again, link) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

/// Asks the steward for one thing.
fn request(link: &Link, kind: u8, words: &[&[u8]]) -> io::Result<()> {
    link.send(kind, words, &[])?;
    answer(link)
}

fn answer(link: &Link) -> io::Result<()> {
    let answer = link.receive()?.ok_or(io::ErrorKind::BrokenPipe)?;
    match i32::try_from(answer.number(0)).unwrap_or(5) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

fn flag(on: bool) -> &'static [u8] {
    if on { b"1" } else { b"0" }
}

/// Has everything opened in httpd's order, and the server told.
fn commit(generation: &Generation, again: bool, link: &Link) -> Result<(), Failed> {
    let account = run::account(generation);
    let root = daemon::is_root();
    let count = run::threads(false).to_string();
    let planned = listen::plan(&generation.globals.listens, run::socket_options(generation));
    for (addr, options, _) in &planned {
        let numbers = [
            addr.to_string(),
            options.backlog.to_string(),
            options.send_buffer.to_string(),
            options.receive_buffer.to_string(),
            u8::from(options.v6_only).to_string(),
            count.clone(),
            options.defer_accept.to_string(),
        ];
        request(link, ask::LISTEN, &numbers.each_ref().map(|word| word.as_bytes())).map_err(|source| {
            let text = format!(
                "AH00072: make_sock: {}",
                listen::BindError { addr: *addr, source: io::Error::last_os_error() }
            );
            if again {
                logs::error!(Process, Level::Crit, "core", Errno::from(&source) => "{text}");
                return Failed;
            }
            run::fail(&source, &text);
            run::none_listen()
        })?;
    }
    if planned.is_empty() {
        return Err(run::none_listen());
    }
    let none = Targets::default();
    let targets = generation.globals.conf.get::<Targets>().unwrap_or(&none);
    let opened = targets.each(|target| match target {
        Target::File(path) => request(link, ask::FILE, &[path]),
        Target::Program { command, shell } => request(link, ask::PROGRAM, &[command, flag(*shell)]),
        // The server speaks to the system's log itself; but a facility that is none is found here.
        Target::Syslog { .. } => target.check(),
    });
    opened.map_err(|error| {
        error.report(!again);
        Failed
    })?;
    if root && account.user.is_none() {
        return Err(run::no_user());
    }
    let main = generation.servers.first().and_then(|main| main.get::<ErrorLog>()).map_or(0, |log| log.sink);
    let named = match targets.get(main) {
        Some(Target::File(path)) => request(link, ask::ERRORS, &[path]),
        Some(Target::Program { command, shell }) => request(link, ask::ERRORS, &[command, flag(*shell)]),
        _ => Ok(()),
    };
    let lost = |_: io::Error| Failed;
    named.map_err(lost)?;
    if !again {
        if let (Some(sink), Some(first)) = (targets.file_of(main), generation.servers.first()) {
            logs::set_process_log(sink, first);
        }
        let pid_file = run::pid_file(generation);
        run::note_overwritten(&pid_file);
        request(link, ask::PID_FILE, &[pid_file.as_os_str().as_bytes()]).map_err(|error| {
            run::no_pid_file(&generation.globals.program, &pid_file, &error);
            Failed
        })?;
    }
    if let Some(path) = persist::path(generation, &run::pid_file(generation)) {
        for path in Slots::paths(&path) {
            // The server says that it has none.
            let _ = request(link, ask::STATE, &[path.as_os_str().as_bytes()]);
        }
    }
    let packed = files::pack().map_err(|error| run::fail(&error, "the configuration cannot be handed over"))?;
    let ids = match root {
        true => {
            let id = |account: &Option<Account>| account.as_ref().map_or(0, |account| account.id).to_string();
            vec![id(&account.user), id(&account.group)]
        }
        false => match &account.chroot {
            Some(folder) => return Err(run::cannot_confine(folder)),
            None => Vec::new(),
        },
    };
    let mut words: Vec<&[u8]> = ids.iter().map(String::as_bytes).collect();
    words.extend(account.chroot.iter().map(|folder| folder.as_os_str().as_bytes()));
    link.send(ask::COMMIT, &words, &[packed.as_fd()]).map_err(lost)?;
    // The server has said why not.
    answer(link).map_err(lost)?;
    if again {
        // It may have another name now, or somebody has removed it. What is served already stays so.
        let pid_file = run::pid_file(generation);
        if let Err(error) = request(link, ask::PID_FILE, &[pid_file.as_os_str().as_bytes()]) {
            run::log_no_pid_file(&generation.globals.program, &pid_file, &error);
        }
    }
    Ok(())
}
