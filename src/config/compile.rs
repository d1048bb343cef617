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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::core::CoreServer;
    use crate::config::{Matcher, Position, Section, SectionKind};

    fn section(id: u32) -> Arc<Section> {
        Arc::new(Section {
            id,
            kind: SectionKind::Location,
            matcher: Matcher::Literal(b"/".to_vec()),
            is_match: false,
            conf: Slots::default(),
            inner: Vec::new(),
            at: Position::default(),
        })
    }

    #[test]
    fn a_virtual_host_is_laid_over_the_main_server() {
        let mut main = Server { sections: vec![section(0)], ..Server::default() };
        main.rec.name = Some(b"main".to_vec());
        main.rec.timeout = Some(5);
        main.rec.admin = Some(b"main".to_vec());
        main.conf.get_mut::<CoreServer>().document_root = Some(b"/main".to_vec());
        let mut host = Server { index: 1, sections: vec![section(1)], ..Server::default() };
        host.rec.admin = Some(b"host".to_vec());
        host.conf.get_mut::<CoreServer>().merge_slashes = Some(false);
        let servers = compile(vec![main, host]);
        let host = &servers[1];
        assert_eq!((host.rec.timeout, host.rec.admin.as_deref()), (Some(5), Some(&b"host"[..])));
        assert_eq!(host.rec.name, None);
        let core = host.get::<CoreServer>().unwrap();
        assert_eq!((core.document_root.as_deref(), core.merge_slashes), (Some(&b"/main"[..]), Some(false)));
        let ids: Vec<u32> = host.sections.iter().map(|section| section.id).collect();
        assert_eq!(ids, [0, 1]);
        assert_eq!(servers[0].sections.len(), 1);
    }
}
