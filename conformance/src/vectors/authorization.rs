//! The authorization rules, each with events that it allows and events that it refuses (LM-04 §5.2.3).

use serde_json::{Value, json};

use super::chance::Chance;
use super::events::{Cast, State};
use super::oracle::{self, canonical};
use super::{Flag, Group, Outcome, Vector};

/// Vectors as they are collected.
struct Trials {
    tests: Vec<Vector>,
}

impl Trials {
    /// The event is allowed by a rule.
    fn allowed(&mut self, rule: &str, comment: &str, state: &State, draft: &Value) {
        self.placed(rule, true, comment, state, &state.place(draft));
    }

    /// The event is refused by a rule.
    fn refused(&mut self, rule: &str, comment: &str, state: &State, draft: &Value) {
        self.placed(rule, false, comment, state, &state.place(draft));
    }

    fn placed(&mut self, rule: &str, accepted: bool, comment: &str, state: &State, event: &Value) {
        let input = json!({"event": canonical(event), "state": state.texts(), "past": state.past_texts()});
        let expected = json!({"accepted": accepted, "rule": rule});
        let result = if accepted { Outcome::Valid } else { Outcome::Invalid };
        let mut vector = Vector::new(&format!("LM-04/auth/{rule}"), comment, input, expected, result);
        vector.rule = Some(rule.to_owned());
        self.tests.push(vector.flag(Flag::Rule).flag(Flag::Seeded));
    }

    /// The draft alone does not decide the last vector.
    fn by_reading(&mut self, reading: &str) {
        if let Some(last) = self.tests.last_mut() {
            reading.clone_into(&mut last.requirement);
            *last = last.clone().flag(Flag::Reading);
        }
    }

    /// The draft allows the last vector to come out either way.
    fn either(&mut self, reading: &str) {
        self.by_reading(reading);
        if let Some(last) = self.tests.last_mut() {
            last.result = Outcome::Acceptable;
        }
    }
}

/// Rule 3.
fn create(trials: &mut Trials, cast: &Cast) {
    let nothing = State { events: Vec::new() };
    let create = cast.create();
    let versioned =
        |version: Value| cast.draft(&cast.alice, "m.room.create", Some(""), json!({"room_version": version}));
    trials.allowed("3.4", "a room of version I.1", &nothing, &create);
    trials.allowed(
        "3.4",
        "the temporary name of I.1",
        &nothing,
        &versioned(json!("org.matrix.i-d.ralston-mimi-linearized-matrix.02")),
    );
    trials.either("R09");
    let more =
        with_content(&create, json!({"room_version": "I.1", "encryption": {"algorithm": "x"}, "more": 1}));
    trials.allowed("3.4", "more content", &nothing, &more);
    let citing = |cited: &[&str], prev: &[&str]| {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        oracle::placed(&oracle::with(&create, "signatures", json!({})), &ids(cited), &ids(prev))
    };
    trials.placed("3.1", false, "a create event with a predecessor", &nothing, &citing(&[], &["$prev"]));
    trials.placed("3.1", false, "a create event with auth events", &nothing, &citing(&["$auth"], &[]));
    trials.by_reading("R12");
    trials.refused(
        "3.1",
        "a create event with a state key that is not empty",
        &nothing,
        &oracle::with(&create, "state_key", json!("x")),
    );
    trials.by_reading("R12");
    trials.refused(
        "3.1",
        "a create event without a state key",
        &nothing,
        &oracle::less(&create, "state_key"),
    );
    trials.by_reading("R12");
    trials.refused("3.1", "a second create event", &State::joined(cast), &create);
    trials.by_reading("R12");
    trials.refused(
        "3.2",
        "a create event for another server's room id",
        &nothing,
        &oracle::with(&create, "sender", json!(cast.bob)),
    );
    let cased = oracle::with(&create, "room_id", json!("!room:HUB.example"));
    trials.refused("3.2", "domains are compared with regard to case", &nothing, &cased);
    for (version, comment) in [
        (json!("11"), "a version of Matrix"),
        (json!("I.2"), "a later version of the draft"),
        (json!("i.1"), "the name of the version in lower case"),
        (json!(1), "a version that is a number"),
        (Value::Null, "a version that is null"),
        (json!(""), "an empty version"),
    ] {
        trials.refused("3.3", comment, &nothing, &versioned(version));
    }
    trials.refused("3.3", "no version", &nothing, &with_content(&create, json!({})));
    trials.refused(
        "4.3",
        "a room that does not begin with a create event",
        &nothing,
        &cast.member(&cast.alice, &cast.alice, "join"),
    );
}

fn with_content(draft: &Value, content: Value) -> Value {
    oracle::with(draft, "content", content)
}

/// Rule 4.
fn cited(trials: &mut Trials, cast: &Cast) {
    let old_levels = cast.levels(&cast.alice, json!({"users": {cast.alice.as_str(): 100}}));
    let new_levels = cast.levels(&cast.alice, json!({"users": {cast.alice.as_str(): 100}, "ban": 60}));
    let state = State::joined(cast)
        .and(&old_levels)
        .and(&cast.join_rules("public"))
        .and(&new_levels)
        .and(&cast.member(&cast.bob, &cast.bob, "join"));
    let message = cast.message(&cast.bob, "x");
    let right = state.selection(&message);
    let id = |at: usize| state.events.get(at).map(oracle::event_id).unwrap_or_default();
    let (first_levels, join_rules, alice) = (id(2), id(3), id(1));
    let with = |more: &str| [right.clone(), vec![more.to_owned()]].concat();
    let without = |at: usize| {
        right.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, id)| id.clone()).collect::<Vec<_>>()
    };
    let mut cite = |rule: &str, accepted: bool, comment: &str, cited: &[String]| {
        trials.placed(rule, accepted, comment, &state, &state.place_citing(&message, cited));
    };
    let reversed: Vec<String> = right.iter().rev().cloned().collect();
    cite("10", true, "exactly the selection", &right);
    cite("10", true, "the selection in another order", &reversed);
    cite("4.1", false, "the create event twice", &with(right.first().map_or("", String::as_str)));
    cite("4.1", false, "two power levels events, the current and a former one", &with(&first_levels));
    cite("4.2", false, "the join rules, which a message does not cite", &with(&join_rules));
    cite("4.2", false, "another user's membership", &with(&alice));
    cite("4.2", false, "an event that nobody knows", &with("$unknown"));
    cite("4.2", false, "without the power levels", &without(1));
    cite("4.2", false, "without the sender's membership", &without(2));
    cite(
        "4.2",
        false,
        "former power levels in place of the current ones",
        &[id(0), first_levels.clone(), id(5)],
    );
    cite("4.3", false, "without the create event", &without(0));
    cite("4.3", false, "nothing at all", &[]);
    for requirement in ["LM-04/5.2.1/3", "LM-04/5.2.1/4"] {
        let back = if requirement.ends_with('3') { 5 } else { 4 };
        let at = trials.tests.len().saturating_sub(back);
        if let Some(vector) = trials.tests.get_mut(at) {
            *vector = vector.clone().flag(Flag::Reading);
        }
    }
    let state = State::joined(cast).and(&cast.join_rules("knock"));
    let knock = cast.member(&cast.carol, &cast.carol, "knock");
    let rules = state.events.last().map(oracle::event_id).unwrap_or_default();
    let citing = [state.selection(&knock), vec![rules]].concat();
    trials.placed(
        "5.6.3",
        true,
        "a knock that cites the join rules",
        &state,
        &state.place_citing(&knock, &citing),
    );
    trials.either("R11");
}

/// Rules 5.1, 5.2 and 5.7.
fn joins(trials: &mut Trials, cast: &Cast) {
    let (alice, bob, carol) = (&cast.alice, &cast.bob, &cast.carol);
    let created = State::created(cast);
    let joined = State::joined(cast);
    let member = |sender: &str, target: &str, membership: &str| cast.member(sender, target, membership);
    trials.refused(
        "5.1",
        "no state key",
        &joined,
        &cast.draft(alice, "m.room.member", None, json!({"membership": "join"})),
    );
    trials.refused(
        "5.1",
        "no membership",
        &joined,
        &cast.draft(alice, "m.room.member", Some(alice), json!({})),
    );
    trials.refused("5.1", "an empty state key", &joined, &member(alice, "", "invite"));
    trials.by_reading("LM-04/3.5.3.3/2");
    trials.refused(
        "5.1",
        "a state key that is no user id",
        &joined,
        &member(alice, "@Bob:second.example", "invite"),
    );
    trials.by_reading("LM-04/3.5.3.3/2");
    trials.allowed("5.2.1", "the creator's first join", &created, &member(alice, alice, "join"));
    trials.refused(
        "5.2.2",
        "the creator's first join, sent by somebody else",
        &created,
        &member(bob, alice, "join"),
    );
    trials.either("R12");
    trials.refused(
        "5.2.6",
        "somebody else's join right after the create event",
        &created,
        &member(bob, bob, "join"),
    );
    let left = joined.and(&member(alice, alice, "leave"));
    trials.refused(
        "5.2.6",
        "the creator's second join is like anybody's",
        &left,
        &member(alice, alice, "join"),
    );
    let public = joined.and(&cast.join_rules("public"));
    trials.refused("5.2.2", "a join for somebody else", &public, &member(alice, bob, "join"));
    trials.refused(
        "5.2.2",
        "a join for somebody else, who is invited",
        &public.and(&member(alice, bob, "invite")),
        &member(carol, bob, "join"),
    );
    let banned = public.and(&member(alice, bob, "ban"));
    trials.refused("5.2.3", "banned, although the room is public", &banned, &member(bob, bob, "join"));
    for rule in ["invite", "knock"] {
        let room = joined.and(&cast.join_rules(rule));
        trials.allowed(
            "5.2.4",
            &format!("invited, with join rule {rule}"),
            &room.and(&member(alice, bob, "invite")),
            &member(bob, bob, "join"),
        );
        trials.allowed(
            "5.2.4",
            &format!("joined already, with join rule {rule}"),
            &room.and(&member(bob, bob, "join")),
            &member(bob, bob, "join"),
        );
        trials.refused(
            "5.2.6",
            &format!("not invited, with join rule {rule}"),
            &room,
            &member(bob, bob, "join"),
        );
        trials.refused(
            "5.2.6",
            &format!("left, with join rule {rule}"),
            &room.and(&member(bob, bob, "leave")),
            &member(bob, bob, "join"),
        );
        trials.refused(
            "5.2.3",
            &format!("banned, with join rule {rule}"),
            &room.and(&member(alice, bob, "ban")),
            &member(bob, bob, "join"),
        );
    }
    trials.refused(
        "5.2.6",
        "knocking is no invite",
        &joined.and(&cast.join_rules("knock")).and(&member(bob, bob, "knock")),
        &member(bob, bob, "join"),
    );
    trials.allowed("5.2.5", "a public room", &public, &member(bob, bob, "join"));
    trials.allowed(
        "5.2.5",
        "a public room, after leaving",
        &public.and(&member(bob, bob, "leave")),
        &member(bob, bob, "join"),
    );
    trials.allowed(
        "5.2.5",
        "a public room, invited",
        &public.and(&member(alice, bob, "invite")),
        &member(bob, bob, "join"),
    );
    let reason = with_content(&member(bob, bob, "join"), json!({"membership": "join", "reason": "curious"}));
    trials.allowed("5.2.5", "with a reason", &public, &reason);
    trials.allowed(
        "5.2.4",
        "no join rules mean `invite`: invited",
        &joined.and(&member(alice, bob, "invite")),
        &member(bob, bob, "join"),
    );
    trials.either("R12");
    trials.refused("5.2.6", "no join rules mean `invite`: not invited", &joined, &member(bob, bob, "join"));
    trials.by_reading("R12");
    for rule in ["private", "restricted", "Public", ""] {
        let room = joined.and(&cast.join_rules(rule)).and(&member(alice, bob, "invite"));
        trials.refused(
            "5.2.6",
            &format!("the join rule {rule:?}, even when invited"),
            &room,
            &member(bob, bob, "join"),
        );
    }
    let odd = joined.and(&cast.draft(alice, "m.room.join_rules", Some("x"), json!({"join_rule": "public"})));
    trials.refused(
        "5.2.6",
        "join rules under another state key do not count",
        &odd,
        &member(bob, bob, "join"),
    );
    for membership in ["Join", "dance", ""] {
        trials.refused(
            "5.7",
            &format!("the membership {membership:?}"),
            &public,
            &member(bob, bob, membership),
        );
    }
    let number = with_content(&member(bob, bob, "join"), json!({"membership": 1}));
    trials.refused("5.7", "a membership that is a number", &public, &number);
}

/// Rule 5.3.
fn invites(trials: &mut Trials, cast: &Cast) {
    let (alice, bob, carol) = (&cast.alice, &cast.bob, &cast.carol);
    let joined = State::joined(cast);
    let both = joined.and(&cast.member(bob, bob, "join"));
    let invite = |sender: &str, target: &str| cast.member(sender, target, "invite");
    trials.refused("5.3.1", "the sender was never in the room", &joined, &invite(bob, carol));
    for membership in ["leave", "invite", "knock", "ban"] {
        let state = joined.and(&cast.member(bob, bob, membership));
        trials.refused(
            "5.3.1",
            &format!("the sender's membership is {membership}"),
            &state,
            &invite(bob, carol),
        );
    }
    trials.refused("5.3.2", "the target is joined", &both, &invite(alice, bob));
    trials.refused(
        "5.3.2",
        "the target is banned",
        &joined.and(&cast.member(alice, bob, "ban")),
        &invite(alice, bob),
    );
    trials.refused("5.3.2", "oneself", &joined, &invite(alice, alice));
    trials.allowed(
        "5.3.3",
        "anybody joined may, as long as nothing else is stated",
        &both,
        &invite(bob, carol),
    );
    for membership in ["leave", "knock", "invite"] {
        let state = joined.and(&cast.member(bob, bob, membership));
        trials.allowed(
            "5.3.3",
            &format!("the target's membership is {membership}"),
            &state,
            &invite(alice, bob),
        );
    }
    let at = |level: i64| {
        both.and(
            &cast.levels(alice, json!({"users": {alice.as_str(): 100, bob.as_str(): level}, "invite": 50})),
        )
    };
    trials.allowed("5.3.3", "a level equal to what is needed", &at(50), &invite(bob, carol));
    trials.refused("5.3.4", "a level below what is needed", &at(49), &invite(bob, carol));
}

/// Rules 5.4 and 5.5.
fn departures(trials: &mut Trials, cast: &Cast) {
    let (alice, bob, carol) = (&cast.alice, &cast.bob, &cast.carol);
    let joined = State::joined(cast);
    let member = |sender: &str, target: &str, membership: &str| cast.member(sender, target, membership);
    for membership in ["join", "invite", "knock"] {
        let state = joined.and(&member(bob, bob, membership));
        trials.allowed(
            "5.4.1",
            &format!("one's own leave from {membership}"),
            &state,
            &member(bob, bob, "leave"),
        );
    }
    for membership in ["leave", "ban"] {
        let state = joined.and(&member(bob, bob, membership));
        trials.refused(
            "5.4.1",
            &format!("one's own leave from {membership}"),
            &state,
            &member(bob, bob, "leave"),
        );
    }
    trials.refused("5.4.1", "one's own leave without any membership", &joined, &member(bob, bob, "leave"));
    let level = |bobs: i64, carols: i64| {
        let levels = json!({"users": {alice.as_str(): 100, bob.as_str(): bobs, carol.as_str(): carols}, "kick": 40, "ban": 60});
        joined.and(&member(bob, bob, "join")).and(&cast.levels(alice, levels))
    };
    let with_carol =
        |bobs: i64, carols: i64, membership: &str| level(bobs, carols).and(&member(alice, carol, membership));
    trials.refused(
        "5.4.2",
        "a kick by somebody who is not in the room",
        &joined.and(&member(alice, carol, "join")),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.2",
        "a kick by somebody who left",
        &with_carol(100, 0, "join").and(&member(bob, bob, "leave")),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.3",
        "an unban with the level to kick and not to ban",
        &with_carol(59, 0, "ban"),
        &member(bob, carol, "leave"),
    );
    trials.allowed(
        "5.4.4",
        "an unban with the level to ban",
        &with_carol(60, 0, "ban"),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.5",
        "an unban of somebody at the same level",
        &with_carol(60, 60, "ban"),
        &member(bob, carol, "leave"),
    );
    trials.allowed(
        "5.4.4",
        "a kick with just the level",
        &with_carol(40, 39, "join"),
        &member(bob, carol, "leave"),
    );
    trials.allowed(
        "5.4.4",
        "an invite taken back",
        &with_carol(40, 0, "invite"),
        &member(bob, carol, "leave"),
    );
    trials.allowed(
        "5.4.4",
        "a knock turned down",
        &level(40, 0).and(&member(carol, carol, "knock")),
        &member(bob, carol, "leave"),
    );
    trials.allowed(
        "5.4.4",
        "a kick of somebody who was never in the room",
        &level(40, 0),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.5",
        "a level below what a kick needs",
        &with_carol(39, 0, "join"),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.5",
        "a kick of somebody at the same level",
        &with_carol(40, 40, "join"),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.5",
        "a kick of somebody above",
        &with_carol(40, 41, "join"),
        &member(bob, carol, "leave"),
    );
    trials.refused("5.5.1", "a ban by somebody who is not in the room", &joined, &member(bob, carol, "ban"));
    trials.allowed(
        "5.5.2",
        "a ban with just the level",
        &with_carol(60, 59, "join"),
        &member(bob, carol, "ban"),
    );
    trials.allowed(
        "5.5.2",
        "a ban of somebody who was never in the room",
        &level(60, 0),
        &member(bob, carol, "ban"),
    );
    trials.allowed("5.5.2", "a ban repeated", &with_carol(60, 0, "ban"), &member(bob, carol, "ban"));
    trials.allowed(
        "5.5.2",
        "a ban of somebody invited",
        &with_carol(60, 0, "invite"),
        &member(bob, carol, "ban"),
    );
    trials.refused(
        "5.5.3",
        "a level below what a ban needs",
        &with_carol(59, 0, "join"),
        &member(bob, carol, "ban"),
    );
    trials.refused(
        "5.5.3",
        "a ban of somebody at the same level",
        &with_carol(60, 60, "join"),
        &member(bob, carol, "ban"),
    );
    trials.refused("5.5.3", "a ban of oneself", &level(60, 0), &member(bob, bob, "ban"));
    trials.allowed(
        "5.5.2",
        "without power levels the creator bans",
        &joined.and(&member(bob, bob, "join")),
        &member(alice, bob, "ban"),
    );
    trials.refused(
        "5.5.3",
        "without power levels nobody else does",
        &joined.and(&member(bob, bob, "join")),
        &member(bob, alice, "ban"),
    );
}

/// Rule 5.6.
fn knocks(trials: &mut Trials, cast: &Cast) {
    let (alice, bob) = (&cast.alice, &cast.bob);
    let joined = State::joined(cast);
    let knock = |sender: &str, target: &str| cast.member(sender, target, "knock");
    for rule in ["invite", "public", "private", "restricted"] {
        trials.refused(
            "5.6.1",
            &format!("the join rule is {rule}"),
            &joined.and(&cast.join_rules(rule)),
            &knock(bob, bob),
        );
    }
    trials.refused("5.6.1", "no join rules", &joined, &knock(bob, bob));
    let room = joined.and(&cast.join_rules("knock"));
    trials.refused("5.6.2", "a knock for somebody else", &room, &knock(alice, bob));
    trials.allowed("5.6.3", "a stranger", &room, &knock(bob, bob));
    for membership in ["leave", "knock", "invite"] {
        let state = room.and(&cast.member(bob, bob, membership));
        trials.allowed("5.6.3", &format!("the membership is {membership}"), &state, &knock(bob, bob));
    }
    for membership in ["join", "ban"] {
        let state = room.and(&cast.member(bob, bob, membership));
        trials.refused("5.6.4", &format!("the membership is {membership}"), &state, &knock(bob, bob));
    }
}

/// Rules 6, 7, 8 and 10.
fn sending(trials: &mut Trials, cast: &Cast) {
    let (alice, bob) = (&cast.alice, &cast.bob);
    let joined = State::joined(cast);
    let both = joined.and(&cast.member(bob, bob, "join"));
    let message = cast.message(bob, "x");
    trials.refused("6", "never in the room", &joined, &message);
    for membership in ["leave", "invite", "knock", "ban"] {
        trials.refused(
            "6",
            &format!("the membership is {membership}"),
            &joined.and(&cast.member(bob, bob, membership)),
            &message,
        );
    }
    trials.refused("6", "not joined counts before the level", &joined, &cast.levels(bob, json!({})));
    trials.allowed("10", "a message needs no level, as long as nothing is stated", &both, &message);
    trials.allowed("10", "a custom type", &both, &cast.draft(bob, "org.example.custom", None, json!({})));
    trials.allowed(
        "10",
        "membership in another case is a custom type",
        &both,
        &cast.draft(bob, "M.Room.Member", None, json!({"membership": "ban"})),
    );
    let name = cast.draft(bob, "m.room.name", Some(""), json!({"name": "A room"}));
    trials.refused("7", "a state event needs 50, as long as nothing is stated", &both, &name);
    trials.allowed(
        "10",
        "the creator has 100, as long as there are no power levels",
        &both,
        &oracle::with(&name, "sender", json!(alice)),
    );
    let leveled = |content: Value| both.and(&cast.levels(alice, content));
    let users = |level: i64| json!({alice.as_str(): 100, bob.as_str(): level});
    trials.allowed("10", "a level equal to state_default", &leveled(json!({"users": users(50)})), &name);
    trials.refused(
        "7",
        "a level below state_default",
        &leveled(json!({"users": users(59), "state_default": 60})),
        &name,
    );
    trials.allowed(
        "10",
        "an entry of its own below state_default",
        &leveled(json!({"users": users(1), "events": {"m.room.name": 1}})),
        &name,
    );
    trials.refused(
        "7",
        "an entry of its own above the level",
        &leveled(json!({"users": users(50), "events": {"m.room.name": 51}})),
        &name,
    );
    trials.refused(
        "7",
        "a level below events_default",
        &leveled(json!({"users": users(4), "events_default": 5})),
        &message,
    );
    trials.allowed(
        "10",
        "a level equal to events_default",
        &leveled(json!({"users": users(5), "events_default": 5})),
        &message,
    );
    trials.refused(
        "7",
        "a message's own entry",
        &leveled(json!({"users": users(5), "events": {"m.room.message": 6}})),
        &message,
    );
    trials.refused(
        "7",
        "a negative level, where 0 is needed",
        &leveled(json!({"users": users(-1)})),
        &message,
    );
    trials.allowed(
        "10",
        "an event without a state key is no state event, whatever its type",
        &leveled(json!({})),
        &cast.draft(bob, "m.room.topic", None, json!({})),
    );
    let owned = |key: &str| cast.draft(alice, "org.example.owned", Some(key), json!({}));
    trials.allowed("10", "a state key that is the sender's id", &both, &owned(alice));
    trials.refused("8", "a state key that is another user's id", &both, &owned(bob));
    trials.refused("8", "a state key that begins with @ and is no user id", &both, &owned("@"));
    trials.refused(
        "8",
        "a state key that begins with the sender's id and goes on",
        &both,
        &owned(&format!("{alice}x")),
    );
    trials.allowed("10", "a state key with an @ further on", &both, &owned("x@y"));
}

/// Rule 9.
fn levels(trials: &mut Trials, cast: &Cast) {
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

pub(super) fn groups(mut chance: Chance) -> Vec<Group> {
    let cast = Cast::new(&mut chance);
    let mut trials = Trials { tests: Vec::new() };
    for family in [create, cited, joins, invites, departures, knocks, sending, levels] {
        family(&mut trials, &cast);
    }
    let about = "`state` has the texts of the room's current state events, `past` those of former ones (they are known, \
                 and do not count); without a create event among them the room does not exist yet. `event` is the text of \
                 the whole event that comes next: it follows the last event of the list, which is the create event if \
                 its `prev_events` say so. Hashes are right, signatures are left out and taken as verified. `accepted` \
                 says whether rules 3 to 10 allow it, `rule` which of them decides.";
    vec![Group::new("authorization", about, trials.tests)]
}
