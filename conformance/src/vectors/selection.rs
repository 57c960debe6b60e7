//! Which events an event cites (LM-04 §5.2.1).

use serde_json::{Value, json};

use super::chance::Chance;
use super::events::{Cast, State};
use super::oracle::{self, canonical};
use super::{Flag, Group, Vector};

pub(super) fn groups(mut chance: Chance) -> Vec<Group> {
    let cast = Cast::new(&mut chance);
    let created = State::created(&cast);
    let joined = State::joined(&cast);
    let levels = cast.levels(&cast.alice, json!({"users": {cast.alice.as_str(): 100}}));
    let full = joined
        .and(&levels)
        .and(&cast.join_rules("public"))
        .and(&cast.draft(&cast.alice, "m.room.name", Some(""), json!({"name": "A room"})))
        .and(&cast.member(&cast.bob, &cast.bob, "join"));
    let moved = full
        .and(&cast.levels(&cast.alice, json!({"users": {cast.alice.as_str(): 100, cast.bob.as_str(): 50}})))
        .and(&cast.member(&cast.alice, &cast.carol, "invite"));
    // The expectation is written as types and state keys, and only then looked up.
    let vector = |requirement: &str, comment: &str, state: &State, draft: &Value, cited: &[(&str, &str)]| {
        let id_of = |(kind, key): &(&str, &str)| {
            let is_it = |event: &&Value| {
                event.get("type").and_then(Value::as_str) == Some(*kind)
                    && event.get("state_key").and_then(Value::as_str) == Some(*key)
            };
            state.events.iter().rev().find(is_it).map(oracle::event_id)
        };
        let mut ids: Vec<String> = cited.iter().filter_map(id_of).collect();
        ids.sort_unstable();
        let event = oracle::lpdu(draft, &cast.hub.name, cast.server_of(&sender(draft)));
        let input = json!({"event": canonical(&event), "state": state.texts()});
        Vector::valid(requirement, comment, input, json!({"auth_events": ids})).flag(Flag::Seeded)
    };
    let (create, pl, rules) = (("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.join_rules", ""));
    let member = |user| ("m.room.member", user);
    let (alice, bob, carol) = (cast.alice.as_str(), cast.bob.as_str(), cast.carol.as_str());
    let tests = vec![
        vector(
            "LM-04/5.2.1/2",
            "the creator's first join",
            &created,
            &cast.member(alice, alice, "join"),
            &[create],
        ),
        vector(
            "LM-04/5.2.1/4",
            "a message while there are no power levels",
            &joined,
            &cast.message(alice, "x"),
            &[create, member(alice)],
        ),
        vector("LM-04/5.2.1/3", "a message", &full, &cast.message(alice, "x"), &[create, pl, member(alice)]),
        vector(
            "LM-04/5.2.1/3",
            "the current power levels, not the first",
            &moved,
            &cast.message(bob, "x"),
            &[create, pl, member(bob)],
        ),
        vector(
            "LM-04/5.2.1/4",
            "somebody who was never in the room",
            &full,
            &cast.message(carol, "x"),
            &[create, pl],
        ),
        vector(
            "LM-04/5.2.1/1",
            "a state event that is no membership",
            &full,
            &cast.draft(alice, "m.room.topic", Some(""), json!({})),
            &[create, pl, member(alice)],
        ),
        vector(
            "LM-04/5.2.1/1",
            "a change of the join rules cites no join rules",
            &full,
            &cast.join_rules("invite"),
            &[create, pl, member(alice)],
        ),
        vector("LM-04/5.2.1/6", "a join", &full, &cast.member(carol, carol, "join"), &[create, pl, rules]),
        vector(
            "LM-04/5.2.1/6",
            "a join after an invite",
            &moved,
            &cast.member(carol, carol, "join"),
            &[create, pl, rules, member(carol)],
        ),
        vector(
            "LM-04/5.2.1/5",
            "sender and target are one: cited once",
            &full,
            &cast.member(bob, bob, "join"),
            &[create, pl, rules, member(bob)],
        ),
        vector(
            "LM-04/5.2.1/6",
            "an invite",
            &full,
            &cast.member(alice, carol, "invite"),
            &[create, pl, rules, member(alice)],
        ),
        vector(
            "LM-04/5.2.1/6",
            "an invite where there are no join rules",
            &joined,
            &cast.member(alice, carol, "invite"),
            &[create, member(alice)],
        ),
        vector(
            "LM-04/5.2.1/5",
            "an invite repeated",
            &moved,
            &cast.member(alice, carol, "invite"),
            &[create, pl, rules, member(alice), member(carol)],
        ),
        vector(
            "LM-04/5.2.1/6",
            "leaving cites no join rules",
            &full,
            &cast.member(bob, bob, "leave"),
            &[create, pl, member(bob)],
        ),
        vector(
            "LM-04/5.2.1/5",
            "a kick",
            &full,
            &cast.member(alice, bob, "leave"),
            &[create, pl, member(alice), member(bob)],
        ),
        vector(
            "LM-04/5.2.1/5",
            "a ban",
            &full,
            &cast.member(alice, bob, "ban"),
            &[create, pl, member(alice), member(bob)],
        ),
        vector(
            "LM-04/5.2.1/5",
            "a ban of a stranger",
            &full,
            &cast.member(alice, carol, "ban"),
            &[create, pl, member(alice)],
        ),
        vector(
            "LM-04/5.2.1/6",
            "a knock cites no join rules",
            &full,
            &cast.member(carol, carol, "knock"),
            &[create, pl],
        )
        .read_by("R11")
        .acceptable(),
        vector(
            "LM-04/5.2.1/1",
            "a membership event without a state key has no target",
            &full,
            &cast.draft(alice, "m.room.member", None, json!({"membership": "leave"})),
            &[create, pl, member(alice)],
        ),
        vector(
            "LM-04/5.2.1/6",
            "an unknown membership cites no join rules",
            &full,
            &cast.member(bob, bob, "dance"),
            &[create, pl, member(bob)],
        ),
    ];
    let about = "`state` has the texts of the room's current state events. `auth_events` are the ids of those that the \
                 LPDU in `event` makes the hub cite, sorted; their order in an event is free.";
    vec![Group::new("auth-events-selection", about, tests)]
}

fn sender(draft: &Value) -> String {
    draft.get("sender").and_then(Value::as_str).unwrap_or_default().to_owned()
}
