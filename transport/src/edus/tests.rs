//! What is said between servers is what clients can be told.

use std::time::Duration;

use mimi_linearized::content::{Content, edu};
use mimi_linearized::id::{EventId, RoomId, UserId};

use super::*;

/// The EDUs of this server, in the form for clients and back.
#[test]
fn every_edu_has_a_form_for_clients() {
    let bob = UserId::parse("@bob:b.example").unwrap();
    let room_id = RoomId::parse("!r:a.example").unwrap();
    let event_ids = vec![EventId::parse("$a").unwrap(), EventId::parse("$b").unwrap()];
    let state = PresenceState::Unavailable;
    let status = Some("away".to_owned());
    for said in [
        Ephemeral::Typing(Typing { room_id: room_id.clone(), typing: true }),
        Ephemeral::Typing(Typing { room_id: room_id.clone(), typing: false }),
        Ephemeral::Receipt(Receipt {
            room_id: room_id.clone(),
            event_ids: event_ids.clone(),
            thread_id: None,
            ts: 5,
        }),
        Ephemeral::Receipt(Receipt { room_id, event_ids, thread_id: Some("$root".to_owned()), ts: 5 }),
        Ephemeral::Presence(Presence { state, last_active_ago: 7, status, currently_active: true }),
    ] {
        let sent = said.edu(&bob, Duration::ZERO);
        let (kind, content) = (sent["type"].as_str().unwrap(), sent["content"].as_object().unwrap());
        let told = edu::for_clients(kind, &bob, content);
        let [told] = told.as_slice() else { panic!("{sent}: {told:?}") };
        assert!(Content::parse(told.event_type, told.content.clone()).is_ok(), "{told:?}");
        let back = edu::for_servers(told.event_type, &bob, told.room.as_ref(), &told.content);
        let [back] = back.as_slice() else { panic!("{told:?}: {back:?}") };
        assert_eq!(back, content);
        assert_eq!(Ephemeral::parse(kind, &bob, back), Some(vec![said]));
    }
}
