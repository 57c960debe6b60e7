//! Rule 9: power levels.

use serde_json::{Value, json};

use super::Trials;
use crate::vectors::events::{Cast, State};
use crate::vectors::oracle;

/// Rule 9.
pub(super) fn levels(trials: &mut Trials, cast: &Cast) {
    let (alice, bob, carol) = (cast.alice.as_str(), cast.bob.as_str(), cast.carol.as_str());
    let both = State::joined(cast).and(&cast.member(bob, bob, "join"));
    let by_alice = |content: Value| cast.levels(alice, content);
    for field in ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"] {
        trials.refused("9.1", &format!("`{field}` is text"), &both, &by_alice(json!({field: "50"})));
    }
    for (value, comment) in
        [(json!(50.5), "a fraction"), (Value::Null, "null"), (json!([50]), "an array"), (json!(true), "true")]
    {
        trials.refused("9.1", &format!("`ban` is {comment}"), &both, &by_alice(json!({"ban": value})));
    }
    trials.refused("9.2", "`events` is an array", &both, &by_alice(json!({"events": []})));
    trials.refused(
        "9.2",
        "a value of `events` is text",
        &both,
        &by_alice(json!({"events": {"m.room.name": "50"}})),
    );
    trials.refused("9.2", "`events` is null", &both, &by_alice(json!({"events": null})));
    trials.refused("9.3", "`users` is an array", &both, &by_alice(json!({"users": []})));
    trials.refused("9.3", "a value of `users` is text", &both, &by_alice(json!({"users": {alice: "100"}})));
    trials.refused(
        "9.3",
        "a key of `users` is no user id",
        &both,
        &by_alice(json!({"users": {"alice": 100}})),
    );
    trials.refused(
        "9.3",
        "a key of `users` has an upper-case letter",
        &both,
        &by_alice(json!({"users": {"@Alice:hub.example": 100}})),
    );
    trials.allowed("9.4", "the first power levels", &both, &by_alice(json!({"users": {alice: 100}})));
    trials.allowed(
        "9.4",
        "the first power levels may set anything",
        &both,
        &by_alice(json!({"users": {bob: 1000}, "ban": 5000})),
    );
    trials.allowed("9.4", "the first power levels, empty", &both, &by_alice(json!({})));
    trials.allowed(
        "9.4",
        "members that no rule knows",
        &both,
        &by_alice(json!({"notifications": {"room": "x"}})),
    );
    trials.refused(
        "7",
        "the first power levels, by somebody without the level to send them",
        &both,
        &cast.levels(bob, json!({})),
    );
    let base = json!({"users": {alice: 100, bob: 50}, "events": {"m.room.name": 50, "m.room.topic": 51}, "ban": 50, "kick": 51});
    let state = both.and(&by_alice(base.clone()));
    let by_bob = |content: Value| cast.levels(bob, content);
    let set = |field: &str, value: Value| oracle::with(&base, field, value);
    trials.allowed("9.10", "nothing changed", &state, &by_bob(base.clone()));
    trials.allowed("9.10", "a level equal to one's own is changed", &state, &by_bob(set("ban", json!(49))));
    trials.allowed("9.10", "a level is added, equal to one's own", &state, &by_bob(set("redact", json!(50))));
    trials.allowed(
        "9.10",
        "a level equal to one's own is removed",
        &state,
        &by_bob(oracle::less(&base, "ban")),
    );
    trials.refused("9.5.1", "a level above one's own is lowered", &state, &by_bob(set("kick", json!(50))));
    trials.refused(
        "9.5.1",
        "a level above one's own is removed",
        &state,
        &by_bob(oracle::less(&base, "kick")),
    );
    trials.refused("9.5.2", "a level is raised above one's own", &state, &by_bob(set("ban", json!(51))));
    trials.refused(
        "9.5.2",
        "a level is added above one's own",
        &state,
        &by_bob(set("state_default", json!(51))),
    );
    let events = |value: Value| by_bob(set("events", value));
    trials.allowed(
        "9.10",
        "an entry of `events` is changed up to one's own level",
        &state,
        &events(json!({"m.room.name": 10, "m.room.topic": 51})),
    );
    trials.allowed("9.10", "an entry of `events` is removed", &state, &events(json!({"m.room.topic": 51})));
    trials.refused(
        "9.6.1",
        "an entry of `events` above one's own level is lowered",
        &state,
        &events(json!({"m.room.name": 50, "m.room.topic": 1})),
    );
    trials.refused(
        "9.6.1",
        "an entry of `events` above one's own level is removed",
        &state,
        &events(json!({"m.room.name": 50})),
    );
    trials.refused(
        "9.7.1",
        "an entry of `events` is raised above one's own level",
        &state,
        &events(json!({"m.room.name": 51, "m.room.topic": 51})),
    );
    trials.refused(
        "9.7.1",
        "an entry of `events` is added above one's own level",
        &state,
        &events(json!({"m.room.name": 50, "m.room.topic": 51, "m.x": 51})),
    );
    let users = |value: Value| by_bob(set("users", value));
    trials.allowed(
        "9.10",
        "somebody is put at one's own level",
        &state,
        &users(json!({alice: 100, bob: 50, carol: 50})),
    );
    trials.allowed("9.10", "one lowers oneself", &state, &users(json!({alice: 100, bob: 0})));
    trials.allowed("9.10", "one removes oneself", &state, &users(json!({alice: 100})));
    trials.refused("9.8.1", "somebody above is lowered", &state, &users(json!({alice: 99, bob: 50})));
    trials.refused("9.8.1", "somebody above is removed", &state, &users(json!({bob: 50})));
    trials.refused("9.9.1", "one raises oneself", &state, &users(json!({alice: 100, bob: 51})));
    trials.refused(
        "9.9.1",
        "somebody is put above oneself",
        &state,
        &users(json!({alice: 100, bob: 50, carol: 51})),
    );
    let equals = both.and(&by_alice(json!({"users": {alice: 50, bob: 50}})));
    trials.allowed(
        "9.10",
        "an equal is lowered, which Matrix refuses",
        &equals,
        &by_bob(json!({"users": {alice: 0, bob: 50}})),
    );
    let elsewhere =
        cast.draft(bob, "m.room.power_levels", Some("x"), json!({"users": {alice: 100, bob: 100}}));
    let checked = both.and(&by_alice(json!({"users": {alice: 100, bob: 50}})));
    trials.refused("9.9.1", "rule 9 looks at the type alone, whatever the state key", &checked, &elsewhere);
}
