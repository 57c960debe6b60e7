use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::auth::Membership;
use crate::id::RoomId;
use crate::json::{Value, canonical};
use crate::testing::*;
use crate::version::RoomVersions;

/// An event that nobody has signed, `number` in the list, citing others.
fn event(number: u64, kind: &str, state_key: Option<&str>, content: Value, cites: &[EventId]) -> RoomEvent {
    let draft = Draft {
        room_id: RoomId::parse("!room:hub.example").unwrap(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: user(ALICE),
        content: object(content),
        origin_server_ts: TS,
    };
    let event = draft.into_event(RoomVersions::lm_04().default_version()).unwrap();
    let prev = number.checked_sub(1).map(id);
    RoomEvent::assemble(event, id(number), cites.to_vec(), prev.into_iter().collect(), None)
}

fn id(number: u64) -> EventId {
    EventId::parse(&format!("$event{number}")).unwrap()
}

fn room() -> Room {
    let versions = RoomVersions::lm_04();
    let create = event(0, "m.room.create", Some(""), json!({"room_version": "I.1"}), &[]);
    Room::begin(create, Arc::clone(versions.default_version()))
}

/// Any event of a small room.
fn any_event() -> impl Strategy<Value = (&'static str, Option<String>, Value)> {
    let users = ["@a:a.example", "@b:a.example", "@c:c.example"];
    let memberships = ["join", "leave", "invite", "ban", "knock"];
    prop_oneof![
        3 => (0..3_usize, 0..5_usize).prop_map(move |(user, membership)| (
            "m.room.member",
            Some(users[user].to_owned()),
            json!({"membership": memberships[membership]}),
        )),
        2 => (0..3_u8).prop_map(|n| ("m.room.name", Some(String::new()), json!({"name": n.to_string()}))),
        1 => (0..3_u8).prop_map(|n| ("org.example.state", Some(n.to_string()), json!({}))),
        2 => Just(("m.room.message", None, json!({"body": "hello"}))),
    ]
}

type Plain = BTreeMap<(String, String), EventId>;

fn plain<'e>(entries: impl Iterator<Item = StateEntry<'e>>) -> Plain {
    entries
        .map(|entry| ((entry.kind().to_owned(), entry.state_key().to_owned()), entry.id().clone()))
        .collect()
}

fn current(room: &Room) -> Plain {
    plain(room.state().all_current().map(StateEntry::Current))
}

/// Joined and invited users of a server, counted one by one.
fn count(log: &MemoryLog, state: &Plain, server: &str) -> Members {
    let mut members = Members::default();
    for ((kind, key), id) in state {
        if kind == "m.room.member" && key.ends_with(&format!(":{server}")) {
            match log.read(id, Place::Snapshot).unwrap().event().membership() {
                Some("join") => members.joined += 1,
                Some("invite") => members.invited += 1,
                _ => {}
            }
        }
    }
    members
}

proptest! {
    #[test]
    fn the_state_at_any_event_is_what_the_list_up_to_it_makes(
        events in proptest::collection::vec((any_event(), 0..8_u8), 1..60),
    ) {
        let mut room = room();
        // The state after each event, made the slow way.
        let mut states = vec![current(&room)];
        let mut log = MemoryLog::default();
        for (number, ((kind, key, content), effect)) in (1..).zip(events) {
            let event = event(number, kind, key.as_deref(), content, &[]);
            let effect = match effect {
                0 => Effect::Rejected,
                1 => Effect::SoftFailed,
                _ => Effect::Applied,
            };
            let mut state = states.last().unwrap().clone();
            if let (Some(key), true) = (key, effect != Effect::Rejected) {
                state.insert((kind.to_owned(), key), event.id().clone());
            }
            states.push(state);
            let id = event.id().clone();
            log.insert(room.apply(event, effect, None));
            if let Some(entry) = room.state().by_id(&id) {
                prop_assert!(entry.held().is_some(), "what was just put is kept whole");
            }
        }
        let (all, presence) = (room.state(), room.presence());
        prop_assert_eq!(&current(&room), states.last().unwrap());
        let nothing = Plain::new();
        for position in 0..states.len() {
            let (after, before) = (&states[position], position.checked_sub(1).map_or(&nothing, |at| &states[at]));
            let at = position as u64;
            prop_assert_eq!(&plain(all.all_before(at)), before);
            prop_assert_eq!(&plain(all.all_after(at)), after);
            for (kind, key) in states.last().unwrap().keys() {
                let slot = (kind.clone(), key.clone());
                prop_assert_eq!(all.before(at, kind, key).map(StateEntry::id), before.get(&slot));
                prop_assert_eq!(all.after(at, kind, key).map(StateEntry::id), after.get(&slot));
            }
            for name in ["a.example", "c.example", "d.example"] {
                let name = server(name);
                prop_assert_eq!(presence.members_before(&name, at), count(&log, before, name.as_str()));
                prop_assert_eq!(presence.members_after(&name, at), count(&log, after, name.as_str()));
            }
        }
        for name in ["a.example", "c.example", "d.example"] {
            let name = server(name);
            prop_assert_eq!(presence.members(&name), count(&log, states.last().unwrap(), name.as_str()));
            prop_assert_eq!(presence.joined().any(|joined| *joined == name), presence.members(&name).joined > 0);
        }
    }
}

#[test]
fn an_auth_chain_may_be_as_deep_as_the_list_is_long() {
    let mut room = room();
    let depth = 20_000;
    for number in 1..=depth {
        let cites = if number == 1 { vec![id(0)] } else { vec![id(number - 1), id(0)] };
        let key = if number % 2 == 0 { "" } else { "x" };
        room.apply(event(number, "m.room.power_levels", Some(key), json!({}), &cites), Effect::Applied, None);
    }
    let message = event(depth + 1, "m.room.message", None, json!({}), &[id(depth), id(0)]);
    let chain = room.state().auth_chain(message.auth_events());
    assert_eq!(chain.len() as u64, depth + 1);
    assert_eq!(*chain[0].id(), id(0));
    let all = room.state().current_auth_chain();
    assert_eq!(all.len() as u64, depth, "all but the last, which none cites");
    assert!(room.state().auth_chain(room.create().auth_events()).is_empty());
}

#[test]
fn a_chain_may_be_cyclic_and_cite_what_is_not_known() {
    let mut room = room();
    for (number, cites) in [(1, 2), (2, 1), (3, 99)] {
        let cites = [id(cites)];
        let key = number.to_string();
        room.apply(event(number, "m.room.member", Some(&key), json!({}), &cites), Effect::Applied, None);
    }
    let chain = |number: u64| {
        let mut ids: Vec<_> = room
            .state()
            .auth_chain(room.state().by_id(&id(number)).unwrap().auth_events())
            .iter()
            .map(|e| e.id().clone())
            .collect();
        ids.sort();
        ids
    };
    assert_eq!(chain(1), [id(1), id(2)]);
    assert!(chain(3).is_empty());
}

#[test]
fn what_is_kept_of_an_event_reads_like_the_event() {
    let mut hub = TestHub::new(json!({"n": 1.0, "big": 9007199254740991.0, "e": "\u{20ac}"})).public();
    let replaced = hub.event(ALICE, "m.room.name", Some(""), json!({"name": "w"})).unwrap();
    hub.member(BOB, BOB, "join").unwrap();
    hub.event(ALICE, "m.room.name", Some(""), json!({"name": "x", "f": [50.0, null, true]})).unwrap();
    for event in &hub.list {
        let Some(kept) = hub.hub.room().state().by_id(event.id()).unwrap().held() else {
            assert_eq!(event.id(), replaced.id());
            continue;
        };
        assert_eq!(kept.bytes(), event.bytes());
        assert_eq!(canonical::object_to_vec(kept.event().as_object()), **event.bytes());
        assert_eq!(kept.event().membership(), event.event().membership());
        assert_eq!((kept.auth_events(), kept.prev_events()), (event.auth_events(), event.prev_events()));
        assert_eq!(
            (kept.lpdu_id(), kept.event().hub_server()),
            (event.lpdu_id(), event.event().hub_server())
        );
        assert_eq!(kept.event().sender_server(), event.event().sender_server());
        assert_eq!(kept.event().room_id(), event.event().room_id());
        assert!(kept.event().is_signed_by(&hub.name));
    }
}

#[test]
fn a_room_keeps_the_text_of_an_event_until_another_takes_its_slot() {
    let mut hub = TestHub::new(json!({})).public();
    let joined = hub.member(BOB, BOB, "join").unwrap();
    let name = hub.event(ALICE, "m.room.name", Some(""), json!({"name": "one"})).unwrap();
    let state = hub.hub.room().state();
    // Authorising by a membership does not read it.
    assert_eq!(hub.hub.room().membership(&user(BOB)), Membership::Join);
    assert!(!state.by_id(joined.id()).unwrap().held().unwrap().is_parsed());
    assert_eq!(state.current("m.room.name", "").unwrap().event().content_str("name"), Some("one"));
    assert!(state.by_id(name.id()).unwrap().held().unwrap().is_parsed());
    let (text, id, cites) = (Arc::downgrade(name.bytes()), name.id().clone(), name.auth_events().to_vec());
    let at = hub.hub.room().head().length - 1;
    drop((hub.list.pop(), name));
    assert!(text.upgrade().is_some(), "the room keeps it");
    hub.event(ALICE, "m.room.name", Some(""), json!({"name": "two"})).unwrap();
    assert!(text.upgrade().is_none());
    let state = hub.hub.room().state();
    let before = state.before(hub.hub.room().head().length - 1, "m.room.name", "").unwrap();
    let StateEntry::Past(past) = before else { panic!("it is kept whole") };
    assert_eq!((past.id(), past.place()), (&id, Place::List(at)));
    assert_eq!((before.kind(), before.state_key(), before.auth_events()), ("m.room.name", "", &*cites));
    assert_eq!(before.read(&hub.log()).unwrap_err(), NotLogged(id.clone()));
    assert_eq!(state.by_id(&id).unwrap().id(), &id);
    // Names that many events have are in memory once.
    let same = |one: &str, other: &str| std::ptr::eq(one, other);
    let create = hub.hub.room().create().id().as_str();
    let bobs = state.by_id(joined.id()).unwrap().held().unwrap();
    assert!(same(bobs.auth_events()[0].as_str(), create));
    assert!(same(before.auth_events()[0].as_str(), create));
    assert!(same(before.kind(), state.after(at, "m.room.name", "").unwrap().kind()));
    assert!(same(bobs.event().hub_server().unwrap().as_str(), hub.hub.room().hub().as_str()));
    assert!(same(bobs.event().room_id().as_str(), hub.hub.room().id().as_str()));
    let participant = hub.join(CAROL);
    let room = participant.room();
    let carols = room.state().current("m.room.member", CAROL).unwrap();
    assert!(same(carols.auth_events()[0].as_str(), room.create().id().as_str()));
}

#[test]
fn what_is_only_cited_is_in_the_snapshot() {
    let mut hub = TestHub::new(json!({})).public();
    let replaced = hub.list[1].clone();
    // Alice's first join is cited by the join rules, and another has taken its place.
    hub.member(ALICE, ALICE, "join").unwrap();
    let participant = hub.join(CAROL);
    let entry = participant.room().state().by_id(replaced.id()).unwrap();
    let StateEntry::Past(past) = entry else { panic!("it is kept whole") };
    assert_eq!(past.place(), Place::Snapshot);
    assert_eq!((entry.kind(), entry.state_key()), ("m.room.member", ALICE));
    assert_eq!(entry.read(&hub.log()).unwrap().bytes(), replaced.bytes());
}
