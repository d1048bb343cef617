//! `mod_unique_id.c`: `UNIQUE_ID`, an id no other request on any machine has.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::{Directive, ModuleRow};
use crate::modules::rows::nothing;
use crate::pipe::{Hook, Module, Outcome, Phase, Run};
use crate::web::{Exchange, LogId};

/// The module.
pub const MODULE: Module = Module {
    row: ModuleRow {
        id: "unique_id_module",
        file: "mod_unique_id.c",
        builtin: false,
        directives: DIRECTIVES,
        post_config: nothing,
    },
    hooks: HOOKS,
};

/// The directives.
pub const DIRECTIVES: &[Directive] = &[];

/// Its parts in the phases: in front of mod_log_forensic, which wants the id.
const HOOKS: &[Hook] = &[Hook { phase: Phase::PostRead, order: -25, wants: |_, _| true, run: Run::Now(set_id) }];

/// Gives the request its id, unless an internal redirect or the error log gave it one.
fn set_id(ex: &mut Exchange) -> Outcome {
    let redirected = ex.env.get(b"REDIRECT_UNIQUE_ID").filter(|_| ex.original.is_some()).map(LogId::new);
    let id = redirected.or_else(|| ex.log_id.get().copied());
    let id = id.unwrap_or_else(|| new_id(ex.started_micros.div_euclid(1_000_000)));
    ex.unique_id = Some(id);
    ex.env.set(b"UNIQUE_ID", id.text());
    Outcome::Ok
}

/// Time, a random number of the thread, a counter of the thread, the thread's number.
fn new_id(second: i64) -> LogId {
    static THREADS: AtomicU32 = AtomicU32::new(0);
    thread_local! {
        static ROOT: ([u8; 12], u32) = {
            let mut random = [0; 12];
            // Without random numbers the thread's number and the time must do.
            let _ = getrandom::fill(&mut random);
            (random, THREADS.fetch_add(1, Ordering::Relaxed))
        };
        static COUNTER: Cell<u16> = ROOT.with(|(random, _)| Cell::new(u16::from_ne_bytes([random[10], random[11]])));
    }
    let count = COUNTER.get();
    COUNTER.set(count.wrapping_add(1));
    ROOT.with(|(random, thread)| {
        let mut id = [0; 20];
        // The low half of the time is what changes.
        id[..4].copy_from_slice(&(second as u32).to_be_bytes());
        id[4..14].copy_from_slice(&random[..10]);
        id[14..16].copy_from_slice(&count.to_be_bytes());
        id[16..].copy_from_slice(&thread.to_be_bytes());
        let mut text = [0; 27];
        let _ = URL_SAFE_NO_PAD.encode_slice(id, &mut text);
        LogId::new(&text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Server;
    use crate::web::testing;

    #[test]
    fn ids_are_unique_and_survive_internal_redirects() {
        let live = testing::live(vec![Server::default()], &[]);
        let mut ids = Vec::new();
        for _ in 0..3 {
            let mut ex = testing::exchange(&live, "GET / HTTP/1.1");
            assert_eq!(set_id(&mut ex), Outcome::Ok);
            let id = ex.env.get(b"UNIQUE_ID").expect("was set").to_vec();
            assert_eq!(id.len(), 27);
            assert!(id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)));
            assert_eq!(&id[..5], b"ZVPxA", "{}", id.escape_ascii());
            ex.env.clear();
            ex.env.set(b"REDIRECT_UNIQUE_ID", &id);
            ex.original = Some(Box::default());
            set_id(&mut ex);
            assert_eq!(ex.env.get(b"UNIQUE_ID"), Some(&id[..]));
            assert!(!ids.contains(&id));
            ids.push(id);
        }
    }
}
