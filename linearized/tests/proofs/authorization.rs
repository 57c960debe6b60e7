//! What the authorization rules come to, whatever people try: rooms that a hub runs, with events by chance.
//!
//! The levels and memberships that a property looks at are read from the events by code of its own, not by the code
//! that authorises.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use mimi_linearized::auth::{self, AuthRule, SelectedState};
use mimi_linearized::event::{Draft, Event};
use mimi_linearized::json::{Object, Value};
use proptest::prelude::*;
use serde_json::json;

use crate::room::{Accepted, TestRoom, USERS, draft, member, object};

const LEVELS: [&str; 7] =
    ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"];

/// Something somebody tries, to be made into a draft once the state it is tried in is known.
#[derive(Debug, Clone)]
enum Attempt {
    Member {
        sender: usize,
        target: usize,
        membership: &'static str,
    },
    JoinRule {
        sender: usize,
        rule: &'static str,
    },
    /// Changes to the power levels there are: where, and which level; `None` removes the entry.
    Levels {
        sender: usize,
        changes: Vec<(Place, Option<i64>)>,
    },
    State {
        sender: usize,
    },
}

#[derive(Debug, Clone)]
enum Place {
    Field(&'static str),
    User(usize),
    Event(&'static str),
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let user = || 0..USERS.len();
    let memberships = prop_oneof![
        5 => Just("join"),
        4 => Just("invite"),
        3 => Just("leave"),
        3 => Just("ban"),
        2 => Just("knock"),
    ];
    let anybody = (user(), user(), memberships.clone())
        .prop_map(|(sender, target, membership)| Attempt::Member { sender, target, membership });
    let own = (user(), memberships).prop_map(|(sender, membership)| Attempt::Member {
        sender,
        target: sender,
        membership,
    });
    let join_rule = (user(), prop_oneof![3 => Just("public"), 1 => Just("invite"), 1 => Just("knock")])
        .prop_map(|(sender, rule)| Attempt::JoinRule { sender, rule });
    let place = prop_oneof![
        2 => proptest::sample::select(&LEVELS[..]).prop_map(Place::Field),
        4 => user().prop_map(Place::User),
        1 => proptest::sample::select(&["m.room.name", "m.room.power_levels", "m.room.message"][..])
            .prop_map(Place::Event),
    ];
    let level = proptest::option::weighted(0.8, proptest::sample::select(&[-10_i64, 0, 20, 50, 70, 100][..]));
    let levels = (user(), proptest::collection::vec((place, level), 1..4))
        .prop_map(|(sender, changes)| Attempt::Levels { sender, changes });
    prop_oneof![
        4 => anybody,
        4 => own,
        1 => join_rule,
        4 => levels,
        1 => user().prop_map(|sender| Attempt::State { sender }),
    ]
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    proptest::collection::vec(attempt(), 1..60)
}

impl Attempt {
    fn draft(&self, room: &TestRoom) -> Draft {
        match self {
            Self::Member { sender, target, membership } => member(USERS[*sender], USERS[*target], membership),
            Self::JoinRule { sender, rule } => {
                draft(USERS[*sender], "m.room.join_rules", Some(""), json!({"join_rule": rule}))
            }
            Self::State { sender } => draft(USERS[*sender], "m.room.name", Some(""), json!({"name": "x"})),
            Self::Levels { sender, changes } => {
                let mut content = stated(room);
                for (place, level) in changes {
                    let (map, entry) = match place {
                        Place::Field(field) => (&mut content, *field),
                        Place::User(user) => (inner(&mut content, "users"), USERS[*user]),
                        Place::Event(kind) => (inner(&mut content, "events"), *kind),
                    };
                    match level {
                        Some(level) => drop(map.insert(entry.to_owned(), json!(level))),
                        None => drop(map.remove(entry)),
                    }
                }
                draft(USERS[*sender], "m.room.power_levels", Some(""), Value::Object(content))
            }
        }
    }
}

fn inner<'o>(content: &'o mut Object, map: &str) -> &'o mut Object {
    content.entry(map).or_insert_with(|| json!({})).as_object_mut().unwrap()
}

/// The power levels as they are stated; what the room starts with if they are not.
fn stated(room: &TestRoom) -> Object {
    match room.state("m.room.power_levels", "") {
        Some(levels) => levels.event().content().clone(),
        None => object(json!({"users": {USERS[0]: 100}})),
    }
}

/// Every level that a content states, by its place.
fn levels_of(content: &Object) -> BTreeMap<(&str, &str), i64> {
    let fields = LEVELS.iter().filter_map(|field| Some((("", *field), content.get(*field)?.as_i64()?)));
    let maps = ["users", "events"].into_iter().flat_map(|map| {
        let entries = content.get(map).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(move |(key, level)| Some(((map, key.as_str()), level.as_i64()?)))
    });
    fields.chain(maps).collect()
}

/// A user's level by a content.
fn level_of(content: &Object, user: &str) -> i64 {
    let levels = levels_of(content);
    levels.get(&("users", user)).or_else(|| levels.get(&("", "users_default"))).copied().unwrap_or(0)
}

/// Lets people try, and shows `check` the room before each event that the hub accepts.
fn live(
    mut room: TestRoom,
    attempts: &[Attempt],
    mut check: impl FnMut(&Object, &Accepted) -> Result<(), TestCaseError>,
) -> Result<TestRoom, TestCaseError> {
    for attempt in attempts {
        let before = stated(&room);
        if let Ok(accepted) = room.send(attempt.draft(&room)) {
            check(&before, &accepted)?;
        }
    }
    Ok(room)
}

/// A room where much is allowed: everybody may join, and three users have some power.
fn open_room() -> TestRoom {
    let mut room = TestRoom::joined(json!({"users": {USERS[0]: 100, USERS[1]: 70, USERS[2]: 50}}));
    room.send(draft(USERS[0], "m.room.join_rules", Some(""), json!({"join_rule": "public"}))).unwrap();
    for user in [USERS[1], USERS[2], USERS[3]] {
        room.send(member(user, user, "join")).unwrap();
    }
    room
}

#[test]
fn a_room_begins_by_rule_3_4() {
    assert_eq!(TestRoom::created().created_by, AuthRule::CreateAllowed);
}

/// By the letter of LM-04 §5.2.3, taking a user's entry away is no change to a new value, so rule 9.9.1 does not look at
/// what holds instead: `users_default`, even where that is above the sender. Rule 9.8 exempts the sender's own entry, so
/// that somebody can rise to `users_default` this way.
#[test]
fn a_removal_may_put_users_default_above_its_sender() {
    let (alice, bob) = (USERS[0], USERS[1]);
    let mut room = TestRoom::joined(
        json!({"users": {alice: 100, bob: 10}, "users_default": 60, "events": {"m.room.power_levels": 0}}),
    );
    room.send(draft(alice, "m.room.join_rules", Some(""), json!({"join_rule": "public"}))).unwrap();
    room.send(member(bob, bob, "join")).unwrap();
    let mut content = stated(&room);
    inner(&mut content, "users").remove(bob);
    let by = room.send(draft(bob, "m.room.power_levels", Some(""), Value::Object(content))).unwrap().by;
    assert_eq!(by, AuthRule::LevelsAllowed);
    assert_eq!(level_of(&stated(&room), bob), 60);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn who_is_banned_comes_back_through_an_unban_only(attempts in attempts()) {
        let mut banned = BTreeSet::new();
        live(open_room(), &attempts, |_, accepted| {
            let event = accepted.event.event();
            let Some(membership) = event.membership() else { return Ok(()) };
            let user = event.state_key().unwrap().to_owned();
            match membership {
                "ban" => drop(banned.insert(user)),
                "leave" => {
                    // Nobody unbans themselves.
                    prop_assert!(!banned.remove(&user) || *event.sender() != *user);
                }
                _ => prop_assert!(!banned.contains(&user), "{} {} while banned", user, membership),
            }
            Ok(())
        })?;
    }

    #[test]
    fn nobody_states_a_level_above_their_own(attempts in attempts()) {
        live(open_room(), &attempts, |before, accepted| {
            let event = accepted.event.event();
            if event.kind() != "m.room.power_levels" {
                return Ok(());
            }
            let own = level_of(before, event.sender().as_str());
            let (was, is) = (levels_of(before), levels_of(event.content()));
            for (place, level) in &is {
                prop_assert!(was.get(place) == Some(level) || *level <= own, "{:?} is {}, by {}", place, level, own);
            }
            for (place, level) in &was {
                let own_entry = *place == ("users", event.sender().as_str());
                prop_assert!(is.get(place) == Some(level) || *level <= own || own_entry, "{:?} was {}", place, level);
            }
            // So nobody gets above the sender but by a default, which is not looked at; see the test of removals.
            let default = is.get(&("", "users_default")).copied().unwrap_or(0);
            for user in USERS {
                let most = level_of(before, user).max(own).max(default);
                prop_assert!(level_of(event.content(), user) <= most, "{}", user);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_creators_first_join_is_the_second_event_or_none(attempts in attempts(), first in 0..USERS.len()) {
        let mut special = Vec::new();
        let mut tries = vec![
            Attempt::Member { sender: first, target: first, membership: "join" },
            Attempt::Member { sender: first, target: 0, membership: "join" },
        ];
        tries.extend(attempts);
        live(TestRoom::created(), &tries, |_, accepted| {
            let event = accepted.event.event();
            if accepted.by == AuthRule::JoinCreator {
                prop_assert_eq!(event.sender().as_str(), USERS[0]);
                special.push(accepted.position);
            } else {
                prop_assert!(accepted.position > 1, "nothing else can come second");
            }
            Ok(())
        })?;
        prop_assert!(special.is_empty() || special == [1], "{:?}", special);
    }

    /// The verdict of the hub is that of the selected state alone, and only what LM-04 §5.2.1 selects was looked at: the
    /// join rules for a knock too (reading R11).
    #[test]
    fn a_verdict_comes_of_the_selected_state(attempts in attempts(), last in attempt()) {
        let room = live(open_room(), &attempts, |_, _| Ok(()))?;
        let (event, verdict) = room.judge(last.draft(&room));
        let looked_at = RefCell::new(BTreeSet::new());
        let selected = SelectedState::select(&event, &room.create, false, |kind, state_key| {
            looked_at.borrow_mut().insert((kind.to_owned(), state_key.to_owned()));
            room.state(kind, state_key)
        });
        prop_assert_eq!(auth::authorise(&event, &selected), verdict);
        prop_assert!(looked_at.borrow().is_subset(&slots(&event)), "{:?}", looked_at);
    }

    /// Adding any state that is not selected changes nothing about the verdict.
    #[test]
    fn other_state_is_of_no_account(attempts in attempts(), last in attempt(), others in attempts()) {
        let mut room = live(open_room(), &attempts, |_, _| Ok(()))?;
        let tried = last.draft(&room);
        let (event, before) = room.judge(tried.clone());
        let selected = slots(&event);
        for other in &others {
            let other = other.draft(&room);
            let slot = (other.kind.clone(), other.state_key.clone().unwrap());
            if !selected.contains(&slot) {
                let _ = room.send(other);
            }
        }
        let _ = room.send(draft(USERS[0], "org.example.other", Some(""), json!({"join_rule": "public"})));
        prop_assert_eq!(room.judge(tried).1, before);
    }
}

/// The slots of LM-04 §5.2.1, without `m.room.create`, which never changes.
fn slots(event: &Event) -> BTreeSet<(String, String)> {
    let slot = |kind: &str, state_key: &str| (kind.to_owned(), state_key.to_owned());
    let mut slots =
        BTreeSet::from([slot("m.room.power_levels", ""), slot("m.room.member", event.sender().as_str())]);
    if let Some(membership) = event.membership() {
        slots.insert(slot("m.room.member", event.state_key().unwrap()));
        if matches!(membership, "join" | "invite" | "knock") {
            slots.insert(slot("m.room.join_rules", ""));
        }
    }
    slots
}
