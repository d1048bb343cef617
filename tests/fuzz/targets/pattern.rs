//! Patterns in the PCRE dialect: compiled and matched without panic, groups inside the subject.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::base::pattern::{Captures, Flags, Pattern};

fuzz_target!(|input: (bool, bool, &[u8], &[u8])| {
    let (icase, extended, text, subject) = input;
    let Ok(pattern) = Pattern::new(text, Flags { icase, extended, ..Flags::default() }) else { return };
    let mut captures = Captures::default();
    assert_eq!(pattern.captures(subject, &mut captures), pattern.is_match(subject));
});
