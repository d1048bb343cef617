//! Error logs of the servers: what they need of the world, and their places among the log targets.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use crate::config::{Fatal, PostConfig, Server, latin1};
use crate::logs::{Errno, ErrorLog, Role, Target, Targets};
use crate::net::files;

/// ErrorLog of a main server that has none.
const DEFAULT: &[u8] = b"logs/error_log";

/// Registers the error logs, the main server's first; fails if the folder of one cannot be seen.
pub(super) fn error_logs(pc: &mut PostConfig<'_>) -> Result<(), Fatal> {
    let root = pc.globals.server_root.clone();
    let mut faults = String::new();
    let mut main = None;
    // httpd links each virtual host in front of those before it, and walks that list.
    let order = std::iter::once(0).chain((1..pc.servers.len()).rev());
    for at in order {
        let Some(server) = pc.servers.get_mut(at) else { continue };
        let written = server.rec.error_log.as_deref().unwrap_or(DEFAULT);
        let target = Target::errors(written, &root);
        // A log taken over from the main server was looked at there.
        if at == 0 {
            main = Some(target.clone());
        }
        if let Target::File(path) = &target
            && (at == 0 || main.as_ref() != Some(&target))
            && let Err((dir, errno)) = see_folder(path, pc.globals.reloading)
        {
            let whose = describe(server);
            faults.push_str(&format!("{errno}: AH02291: Cannot access directory '{dir}' for {whose}\n"));
        }
        let sink = pc.globals.conf.get_mut::<Targets>().want(target, Role::Errors);
        server.conf.get_mut::<ErrorLog>().sink = sink;
    }
    if faults.is_empty() { Ok(()) } else { Err(Fatal { text: faults, quiet: false }) }
}

/// The file that a server's ErrorLog names, if it is one.
pub(crate) fn error_log_file(server: &Server, root: &[u8]) -> Option<Vec<u8>> {
    match Target::errors(server.rec.error_log.as_deref().unwrap_or(DEFAULT), root) {
        Target::File(path) => Some(path),
        _ => None,
    }
}

fn describe(server: &Server) -> String {
    match server.index {
        0 => "main error log".to_owned(),
        _ => format!("error log of vhost defined at {}:{}", server.at.file, server.at.line),
    }
}

/// Whether the folder that holds `path` is one; else its name with a slash behind it and httpd's words for why not.
///
/// `again`: somebody with the rights to open it has looked already, who may be somebody else than this process.
pub(crate) fn see_folder(path: &[u8], again: bool) -> Result<(), (String, String)> {
    let end = memchr::memrchr(b'/', path).map_or(path.len(), |at| at + 1);
    let dir = path.get(..end).unwrap_or(path);
    let error = match files::look(OsStr::from_bytes(dir)) {
        Ok(found) if found.kind == files::Kind::Folder => return Ok(()),
        Ok(_) => io::Error::from_raw_os_error(nix::errno::Errno::ENOTDIR as i32),
        Err(error) if again && error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => error,
    };
    Err((latin1(dir), Errno::from(&error).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Globals, Position};

    #[test]
    fn servers_share_targets_and_folders_are_checked() {
        let server = |index, log: &str| {
            let mut server = Server { index, at: Position { file: "/r/c".into(), line: 7 }, ..Server::default() };
            server.rec.error_log = Some(log.as_bytes().to_vec());
            server
        };
        let mut servers = vec![server(0, "e"), server(1, "|cat"), server(2, "/etc/../tmp/e")];
        let mut globals = Globals { server_root: b"/tmp".to_vec(), ..Globals::default() };
        let check = |servers: &mut Vec<Server>, globals: &mut Globals| {
            let warnings = &mut Vec::new();
            error_logs(&mut PostConfig {
                servers,
                globals,
                previous: None,
                warnings,
                check_only: false,
                reloading: false,
            })
        };
        assert_eq!(check(&mut servers, &mut globals), Ok(()));
        let sinks: Vec<usize> = servers.iter().map(|server| server.get::<ErrorLog>().expect("was set").sink).collect();
        assert_eq!(sinks, [0, 1, 0]);
        let mut servers = vec![server(0, "/nonexistent/e"), server(1, "/etc/passwd/e")];
        assert_eq!(
            check(&mut servers, &mut globals).expect_err("no folders").text,
            "(2)No such file or directory: AH02291: Cannot access directory '/nonexistent/' for main error log\n\
             (20)Not a directory: AH02291: Cannot access directory '/etc/passwd/' for error log of vhost defined at \
             /r/c:7\n"
        );
    }
}
