//! Key files of tickets, and tickets that clients bring: only what a key has made opens with it, and it opens as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rustls::server::ProducesTickets as _;
use tandem::net::tickets::{KEY_FILE_LEN, SharedKey, Tickets};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (file, ticket) = input;
    let Some(key) = SharedKey::new(file, "a.test:443") else {
        assert!(file.len() < KEY_FILE_LEN);
        return;
    };
    assert!(file.len() >= KEY_FILE_LEN);
    // Nobody guesses a tag.
    assert_eq!(key.open(ticket), None);
    let tickets = Tickets::shared(key, 300);
    assert_eq!(tickets.decrypt(ticket), None);
    let made = tickets.encrypt(ticket).unwrap_or_default();
    assert_eq!(tickets.decrypt(&made).as_deref(), (made.len() <= 16 * 1024).then_some(ticket));
});
