//! What members say of sessions: messages, changes, whole states, entries of maps.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tandem::codec::tribes::Member;
use tandem::node::backup::{BackupManager, MapConfig, MapListener};
use tandem::node::delta::{Config, DeltaManager, DeltaRequest, Event, Log, SessionListener, SessionMessage};

fuzz_target!(|data: &[u8]| {
    let from = Member::new([10, 0, 0, 1].into(), 4000, [1; 16]);
    let log: Log = Arc::new(|_, _, _| ());
    let mut out = Vec::new();
    let listener = SessionListener::default();
    let manager = Arc::new(DeltaManager::new("localhost#/clu", Config::default(), Arc::clone(&log), None));
    manager.start(0, &mut out);
    listener.add(Arc::clone(&manager));
    listener.on_message(&from, data, 1, &log, &mut out);
    manager.create("A", 1).expect("room");
    for (event, session) in [(Event::AllData, "SESSION-STATE"), (Event::Delta, "A"), (Event::ChangeId, "A")] {
        let message = SessionMessage::about(event, "localhost#/clu", session, 1, Some(data));
        manager.on_message(&from, &message, 1, &mut out);
    }
    if let Ok((id, delta)) = DeltaRequest::decode(data, |_, _| ()) {
        let bytes = delta.encode(&id);
        let (id, again) = DeltaRequest::decode(&bytes, |_, _| ()).expect("own delta");
        assert_eq!(again.encode(&id), bytes);
    }
    let maps = MapListener::default();
    let manager = Arc::new(BackupManager::new("localhost#/clu", Config::default(), MapConfig::default(), log));
    manager.start(&from, 0, &mut out);
    maps.add(manager);
    maps.on_message(&from, data, 1, &mut out);
});
