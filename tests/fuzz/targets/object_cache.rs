//! Replies of memcached and Redis: a reply lies in what came, no part of it is one already, and what follows changes
//! nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tandem::codec::object_cache::{Dialect, Reply};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (came, more) = input;
    for dialect in [Dialect::Memcache, Dialect::Redis] {
        let Ok(Some((reply, len))) = dialect.reply(came) else { continue };
        assert!(0 < len && len <= came.len());
        if let Reply::Found(object) = &reply {
            assert!(object.start <= object.end && object.end < len);
        }
        for shorter in 0..len.min(4096) {
            assert_eq!(dialect.reply(&came[..shorter]), Ok(None), "{shorter} of {len}");
        }
        assert_eq!(dialect.reply(&[came, more].concat()), Ok(Some((reply, len))));
    }
});
