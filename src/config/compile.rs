//! Servers *as set* become servers *as run*: virtual hosts are laid over the main server.

use super::generation::{Server, ServerRec};
use super::slots::Slots;

/// Merges the virtual hosts with the main server, which is the first.
pub fn compile(mut servers: Vec<Server>) -> Vec<Server> {
    if let Some((main, hosts)) = servers.split_first_mut() {
        for host in hosts {
            host.conf = Slots::merged(&main.conf, &host.conf);
            host.dir = Slots::merged(&main.dir, &host.dir);
            host.rec = inherited(&main.rec, std::mem::take(&mut host.rec));
            let own = std::mem::take(&mut host.sections);
            host.sections = main.sections.iter().cloned().chain(own).collect();
        }
    }
    servers
}

/// Names, aliases and paths are a server's own; the rest is taken over from the main server where it is not set.
fn inherited(main: &ServerRec, host: ServerRec) -> ServerRec {
    ServerRec {
        admin: host.admin.or_else(|| main.admin.clone()),
        error_log: host.error_log.or_else(|| main.error_log.clone()),
        timeout: host.timeout.or(main.timeout),
        keep_alive: host.keep_alive.or(main.keep_alive),
        keep_alive_timeout: host.keep_alive_timeout.or(main.keep_alive_timeout),
        max_keep_alive: host.max_keep_alive.or(main.max_keep_alive),
        limit_line: host.limit_line.or(main.limit_line),
        limit_field_size: host.limit_field_size.or(main.limit_field_size),
        limit_fields: host.limit_fields.or(main.limit_fields),
        ..host
    }
}
