//! The keeper: a process of the new program that lives for one upgrade. It is given what the steward holds, and gives it
//! back to what the steward has become, as descriptors do not stay open over that by themselves.

use std::io;
use std::os::fd::AsFd;

use super::carry;
use crate::net::link::{Link, Message};

/// What [`carry`] looks like; a program that writes it in another way has another number.
pub(super) const FORM: &[u8] = b"1";

/// Takes all of it, says so, and gives it back.
///
/// # Errors
/// It is not understood, or nobody wants it.
pub(super) fn run(link: &Link) -> io::Result<()> {
    let mut all: Vec<Message> = Vec::new();
    loop {
        let message = link.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let is_known = match message.kind {
            carry::FORM => message.word(0) == FORM,
            carry::LISTENER..=carry::END => all.first().is_some_and(|first| first.kind == carry::FORM),
            _ => false,
        };
        if !is_known {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let is_last = message.kind == carry::END;
        all.push(message);
        if is_last {
            break;
        }
    }
    link.send(carry::KEPT, &[], &[])?;
    for message in &all {
        let words: Vec<&[u8]> = message.words.iter().map(Vec::as_slice).collect();
        let fds: Vec<_> = message.fds.iter().map(AsFd::as_fd).collect();
        link.send(message.kind, &words, &fds)?;
    }
    Ok(())
}
