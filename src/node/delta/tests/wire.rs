//! What goes over the wire, held against what Tomcat wrote.

use super::*;

/// Every session message of Tomcat is read, and what we write for it is the same bytes.
#[test]
fn session_messages_come_out_as_tomcat_wrote_them() {
    let (mut messages, mut others) = (0, 0);
    for (name, bytes) in vectors(MESSAGES) {
        match SessionMessage::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}")) {
            Some(message) => {
                assert_eq!(message.encode(), bytes, "{name}");
                messages += 1;
            }
            None => others += 1,
        }
    }
    assert!(messages > 45 && others > 10, "{messages} {others}");
}

/// The messages this node makes have Tomcat's words in them.
#[test]
fn made_messages_have_tomcats_names() {
    for (name, bytes) in vectors(MESSAGES) {
        let Some(message) = SessionMessage::decode(&bytes).unwrap() else { continue };
        // Made outside a server, with test values.
        if name.starts_with("SessionMessageImpl") {
            continue;
        }
        let (context, now) = (message.context.as_deref().unwrap(), message.timestamp.unwrap_or_default());
        let made = match message.event {
            Event::GetAll | Event::AllData | Event::TransferComplete | Event::NoContextManager => {
                SessionMessage::whole(message.event, context, now, message.payload)
            }
            _ => SessionMessage::about(message.event, context, &message.session, now, message.payload),
        };
        // The clock may tick between Tomcat's two looks at it.
        let stem = |unique: &str| unique.rsplit_once('-').map(|(stem, _)| stem.to_owned());
        assert_eq!(stem(&made.unique), stem(&message.unique), "{name}");
        assert_eq!(SessionMessage { unique: message.unique.clone(), ..made }, message, "{name}");
    }
}

#[test]
fn deltas_come_out_as_tomcat_wrote_them() {
    for (name, bytes) in vectors(DELTAS) {
        let (id, delta) = DeltaRequest::decode(&bytes, no_aside).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(delta.encode(&id), bytes, "{name}");
    }
    let mut count = 0;
    for (name, bytes) in vectors(MESSAGES) {
        let Ok(Some(message)) = SessionMessage::decode(&bytes) else { continue };
        if message.event != Event::Delta || name.starts_with("SessionMessageImpl") {
            continue;
        }
        let payload = message.payload.unwrap();
        let (id, delta) = DeltaRequest::decode(payload, no_aside).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(id, message.session);
        assert_eq!(delta.encode(&id), payload, "{name}");
        count += 1;
    }
    assert!(count >= 20, "{count}");
}

/// A later action takes the place of an earlier one of its name, at the end.
#[test]
fn actions_of_one_name_replace_each_other() {
    let set = |name: &str, text: &str| Action::set(Kind::Attribute, name, Value::string(text));
    let expected = |name: &str| vectors(DELTAS).find(|(of, _)| of.starts_with(name)).unwrap().1;
    let mut delta = DeltaRequest::new(false);
    [set("a", "1"), set("b", "1"), set("a", "2")].into_iter().for_each(|action| delta.push(action));
    assert_eq!(delta.encode("SID.n1"), expected("DeltaRequest.set-a-b-a2"));
    let mut delta = DeltaRequest::new(true);
    [set("a", "1"), set("a", "2")].into_iter().for_each(|action| delta.push(action));
    assert_eq!(delta.encode("SID.n1"), expected("DeltaRequest.recordAll"));
}

/// Sessions of a state transfer are written as Tomcat writes them.
#[test]
fn states_come_out_as_tomcat_wrote_them() {
    let mut count = 0;
    for (name, bytes) in vectors(MESSAGES).filter(|(name, _)| name.starts_with("all-session-data")) {
        let message = SessionMessage::decode(&bytes).unwrap().unwrap();
        let payload = message.payload.unwrap();
        let sessions = sessions(payload);
        let mut writer = StateWriter::payload(Vec::new());
        sessions.iter().for_each(|session| writer.session(session, |_, _| true));
        let written = writer.finish();
        let again = self::sessions(&written);
        assert_eq!(format!("{again:?}"), format!("{sessions:?}"), "{name}");
        // Tomcat's count of sessions may be the same object as a count of attributes; ours is never.
        assert!(written.len() <= payload.len() + 20, "{name}");
        count += sessions.len();
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn the_principal_is_in_the_state() {
    let bytes = vector("all-session-data-principal");
    let message = SessionMessage::decode(&bytes).unwrap().unwrap();
    let sessions = sessions(message.payload.unwrap());
    let principal = sessions.iter().find_map(|session| session.rare.as_ref()?.principal.as_ref()).unwrap();
    assert_eq!(principal.class(), "org.apache.catalina.realm.GenericPrincipal$SerializablePrincipal");
}
