//! Power levels as they are calculated.

use serde_json::{Value, json};

use super::chance::Chance;
use super::{Group, Vector};

pub(super) fn groups(_: Chance) -> Vec<Group> {
    let (alice, bob) = ("@alice:hub.example", "@bob:second.example");
    let vector = |requirement: &str, comment: &str, levels: &Value, of: Value, level: i64| {
        let input = json!({"power_levels": levels, "creator": alice, "of": of});
        Vector::valid(requirement, comment, input, json!({"level": level}))
    };
    let user = |user: &str| json!({"user": user});
    let action = |action: &str| json!({"action": action});
    let event = |kind: &str, state: bool| json!({"type": kind, "state": state});
    let none = Value::Null;
    let empty = json!({});
    let full = json!({
        "users": {bob: 70}, "users_default": 5, "events": {"m.room.name": 1, "m.room.message": 9},
        "events_default": 2, "state_default": 60, "ban": 3, "kick": 4, "invite": 6, "redact": 8,
    });
    let negative = json!({"users": {bob: -1}, "users_default": -5});
    let odd = json!({"users": {bob: 50.0, alice: "50"}, "users_default": 7, "ban": "x", "events": []});
    let mut tests = vec![
        vector("LM-04/3.5.3.4/3", "the creator, without power levels", &none, user(alice), 100)
            .read_by("R12"),
        vector("LM-04/5.2.2/3", "anybody else, without power levels", &none, user(bob), 0),
        vector(
            "LM-04/5.2.2/3",
            "the creator, once there are power levels that do not name her",
            &empty,
            user(alice),
            0,
        )
        .read_by("R12"),
        vector("LM-04/5.2.2/1", "named in `users`", &full, user(bob), 70),
        vector("LM-04/5.2.2/2", "not named, with `users_default`", &full, user(alice), 5),
        vector("LM-04/5.2.2/2", "ids are compared whole", &full, user("@bob:SECOND.example"), 5),
        vector("LM-04/5.2.2/1", "a negative level", &negative, user(bob), -1),
        vector("LM-04/5.2.2/2", "a negative default", &negative, user(alice), -5),
        vector("LM-04/5.2.2/6", "an entry for a state event's type", &full, event("m.room.name", true), 1),
        vector(
            "LM-04/5.2.2/6",
            "the entry holds for events without a state key as well",
            &full,
            event("m.room.name", false),
            1,
        ),
        vector("LM-04/5.2.2/6", "an entry for a message", &full, event("m.room.message", false), 9),
        vector("LM-04/5.2.2/7", "a state event without an entry", &full, event("m.room.topic", true), 60),
        vector("LM-04/5.2.2/9", "another event without an entry", &full, event("m.room.encrypted", false), 2),
        vector("LM-04/5.2.2/8", "a state event, nothing stated", &empty, event("m.room.topic", true), 50),
        vector("LM-04/5.2.2/10", "another event, nothing stated", &empty, event("m.room.message", false), 0),
        vector("LM-04/5.2.2/8", "a state event, no power levels", &none, event("m.room.topic", true), 50),
        vector("LM-04/5.2.2/10", "another event, no power levels", &none, event("m.room.message", false), 0),
        vector("R07", "50.0 is 50", &odd, user(bob), 50),
    ];
    for (name, stated, default) in [("ban", 3, 50), ("kick", 4, 50), ("redact", 8, 50), ("invite", 6, 0)] {
        tests.push(vector("LM-04/5.2.2/4", &format!("to {name}, as stated"), &full, action(name), stated));
        tests.push(vector("LM-04/5.2.2/5", &format!("to {name}, not stated"), &empty, action(name), default));
        tests.push(vector(
            "LM-04/5.2.2/5",
            &format!("to {name}, no power levels"),
            &none,
            action(name),
            default,
        ));
    }
    let about = "`power_levels` is the content of the room's `m.room.power_levels`, or null if it has none; `creator` \
                 made the room. `level` is the level of a `user`, or what is needed for an `action`, or to send an event \
                 of a `type`, a state event or not.";
    vec![Group::new("power-level", about, tests)]
}
