//! The authorization rules, each with events that it allows and events that it refuses (LM-04 §5.2.3).

mod levels;
mod membership;

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

    /// The last vector is about another requirement than its rule.
    fn about(&mut self, requirement: &str) {
        if let Some(last) = self.tests.last_mut() {
            requirement.clone_into(&mut last.requirement);
        }
    }

    /// The draft alone does not decide the last vector: a reading does.
    fn read_by(&mut self, reading: &str) {
        if let Some(last) = self.tests.last_mut() {
            *last = last.clone().read_by(reading);
        }
    }

    /// The last vector is about a reading.
    fn by_reading(&mut self, reading: &str) {
        self.about(reading);
        self.read_by(reading);
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
    // Rule 4.2 speaks of types and state keys that are not asked for. That the whole selection is cited, as it is now, is
    // how it is read.
    for (comment, cited) in [
        ("an event that nobody knows", with("$unknown")),
        ("without the power levels", without(1)),
        ("without the sender's membership", without(2)),
        ("former power levels in place of the current ones", vec![id(0), first_levels.clone(), id(5)]),
    ] {
        trials.placed("4.2", false, comment, &state, &state.place_citing(&message, &cited));
        trials.read_by("R11");
    }
    for (comment, cited) in [("without the create event", without(0)), ("nothing at all", Vec::new())] {
        trials.placed("4.3", false, comment, &state, &state.place_citing(&message, &cited));
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

pub(super) fn groups(mut chance: Chance) -> Vec<Group> {
    let cast = Cast::new(&mut chance);
    let mut trials = Trials { tests: Vec::new() };
    for family in [
        create,
        cited,
        membership::joins,
        membership::invites,
        membership::departures,
        membership::knocks,
        sending,
        levels::levels,
    ] {
        family(&mut trials, &cast);
    }
    let about = "`state` has the texts of the room's current state events, `past` those of former ones (they are known, \
                 and do not count); without a create event among them the room does not exist yet. `event` is the text of \
                 the whole event that comes next: it follows the last event of the list, which is the create event if \
                 its `prev_events` say so. Hashes are right, signatures are left out and taken as verified. `accepted` \
                 says whether rules 3 to 10 allow it, `rule` which of them decides.";
    vec![Group::new("authorization", about, trials.tests)]
}
