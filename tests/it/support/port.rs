//! Ports for servers that cannot be told "port 0".

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

/// A TCP port nobody listens on, handed out once per process.
///
/// Taken from below the kernel's ephemeral range, so that no outgoing connection of a test that
/// runs beside this one takes the port between here and the server's `bind`.
pub fn free_port() -> u16 {
    const FIRST: u16 = 11_000;
    const COUNT: u16 = 9_000;
    static GIVEN: Mutex<Option<(u16, HashSet<u16>)>> = Mutex::new(None);

    let mut given = GIVEN.lock().unwrap();
    let (next, used) = given.get_or_insert_with(|| {
        let seed = std::process::id().wrapping_mul(2_654_435_761) >> 8;
        ((seed % u32::from(COUNT)) as u16, HashSet::new())
    });
    for _ in 0..COUNT {
        *next = (*next + 1) % COUNT;
        let port = FIRST + *next;
        if !used.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            used.insert(port);
            return port;
        }
    }
    panic!("no free port in {FIRST}..{}", FIRST + COUNT);
}
