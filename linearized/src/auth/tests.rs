use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::{Draft, RoomEvent};
use crate::id::{EventId, RoomId, UserId};
use crate::version::RoomVersions;

/// A room's state under construction.
struct World {
    state: HashMap<(String, String), RoomEvent>,
    follows_create: bool,
    count: u32,
}

const ALICE: &str = "@alice:a.example";
const BOB: &str = "@bob:b.example";
const CAROL: &str = "@carol:c.example";

fn event(kind: &str, state_key: Option<&str>, sender: &str, content: Value) -> Event {
    let Value::Object(content) = content else { panic!("an object") };
    let versions = RoomVersions::lm_04();
    Draft {
        room_id: RoomId::parse("!r:a.example").unwrap(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: UserId::parse(sender).unwrap(),
        content,
        origin_server_ts: 0,
    }
    .into_event(versions.default_version())
    .unwrap()
}

fn member(sender: &str, target: &str, membership: &str) -> Event {
    event("m.room.member", Some(target), sender, json!({"membership": membership}))
}

impl World {
    /// A room whose create event is there and nothing else.
    fn created() -> Self {
        let mut world = Self { state: HashMap::new(), follows_create: true, count: 0 };
        world.put(event("m.room.create", Some(""), ALICE, json!({"room_version": "I.1"})));
        world
    }

    /// A room that Alice has joined.
    fn new() -> Self {
        let mut world = Self::created();
        world.follows_create = false;
        world.with(&member(ALICE, ALICE, "join"))
    }

    fn put(&mut self, event: Event) {
        self.count += 1;
        let id = EventId::parse(&format!("$event{}", self.count)).unwrap();
        let slot = (event.kind().to_owned(), event.state_key().unwrap().to_owned());
        self.state.insert(slot, RoomEvent::assemble(event, id, vec![], vec![], None));
    }

    fn with(mut self, event: &Event) -> Self {
        self.put(event.clone());
        self
    }

    fn with_member(self, user: &str, membership: &str) -> Self {
        self.with(&member(user, user, membership))
    }

    fn with_join_rule(self, rule: &str) -> Self {
        self.with(&event("m.room.join_rules", Some(""), ALICE, json!({"join_rule": rule})))
    }

    fn with_levels(self, content: Value) -> Self {
        self.with(&event("m.room.power_levels", Some(""), ALICE, content))
    }

    fn get(&self, kind: &str, key: &str) -> Option<&RoomEvent> {
        self.state.get(&(kind.to_owned(), key.to_owned()))
    }

    fn select(&self, event: &Event) -> SelectedState<'_> {
        let create = self.get("m.room.create", "").unwrap();
        SelectedState::select(event, create, self.follows_create, |kind, key| self.get(kind, key))
    }

    fn decide(&self, event: &Event) -> Result<AuthRule, Refusal> {
        authorise(event, &self.select(event))
    }

    #[track_caller]
    fn allows(&self, event: &Event, rule: &str) {
        match self.decide(event) {
            Ok(by) => assert_eq!(by.place(), rule),
            Err(refusal) => panic!("refused: {refusal}"),
        }
    }

    #[track_caller]
    fn refuses(&self, event: &Event, rule: &str) {
        match self.decide(event) {
            Ok(by) => panic!("allowed by {}", by.place()),
            Err(refusal) => {
                assert_eq!(refusal.rule.to_string(), format!("auth {rule}"), "{refusal}");
                assert_ne!(refusal.because, Because::Nothing, "{refusal} says nothing of what it compared");
            }
        }
    }
}

fn levels(content: Value) -> Event {
    event("m.room.power_levels", Some(""), ALICE, content)
}

#[test]
fn rule_3_create() {
    let versions = RoomVersions::lm_04();
    let create =
        |room_version: Value| event("m.room.create", Some(""), ALICE, json!({"room_version": room_version}));
    let check = |event: &Event, cited: &[EventId], prev: &[EventId]| {
        authorise_create(event, cited, prev, &versions)
            .map(|version| version.id.to_string())
            .map_err(|r| r.rule)
    };
    assert_eq!(check(&create(json!("I.1")), &[], &[]), Ok("I.1".to_owned()));
    let unstable = "org.matrix.i-d.ralston-mimi-linearized-matrix.02";
    assert_eq!(check(&create(json!(unstable)), &[], &[]), Ok(unstable.to_owned()));
    let one = [EventId::parse("$x").unwrap()];
    assert_eq!(check(&create(json!("I.1")), &[], &one), Err(AuthRule::CreateHasPrevEvents.into()));
    assert_eq!(check(&create(json!("I.1")), &one, &[]), Err(AuthRule::CreateHasPrevEvents.into()));
    let keyed = event("m.room.create", Some("x"), ALICE, json!({"room_version": "I.1"}));
    assert_eq!(check(&keyed, &[], &[]), Err(AuthRule::CreateHasPrevEvents.into()));
    let foreign = event("m.room.create", Some(""), BOB, json!({"room_version": "I.1"}));
    assert_eq!(check(&foreign, &[], &[]), Err(AuthRule::CreateNamespace.into()));
    for version in [json!("11"), json!("i.1"), json!(1), Value::Null] {
        assert_eq!(check(&create(version), &[], &[]), Err(AuthRule::CreateVersion.into()));
    }
    assert_eq!(check(&member(ALICE, ALICE, "join"), &[], &[]), Err(AuthRule::CitedNoCreate.into()));
}

#[test]
fn a_second_create_is_refused() {
    World::new().refuses(&event("m.room.create", Some(""), ALICE, json!({"room_version": "I.1"})), "3.1");
}

#[test]
fn rule_4_cited_events() {
    let world = World::new()
        .with_levels(json!({"users": {ALICE: 100}}))
        .with_member(BOB, "join")
        .with_join_rule("public");
    let message = event("m.room.message", None, BOB, json!({}));
    let state = world.select(&message);
    let known = |id: &EventId| world.state.values().find(|event| event.id() == id)?.slot();
    let check = |cited: &[EventId]| {
        check_cited(&message, cited, &state, known).map_err(|refusal| refusal.rule.to_string())
    };
    let right = state.to_cite(&message);
    assert_eq!(right.len(), 3, "create, power levels and the sender's membership");
    assert_eq!(check(&right), Ok(()));
    let reversed: Vec<_> = right.iter().rev().cloned().collect();
    assert_eq!(check(&reversed), Ok(()), "a set has no order");
    let twice: Vec<_> = right.iter().chain(&right[..1]).cloned().collect();
    assert_eq!(check(&twice), Err("auth 4.1".to_owned()));
    let refusal = check_cited(&message, &twice, &state, known).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!(r#"auth 4.1: {} is the second m.room.create with the state key "" that it cites"#, right[0]),
    );
    let mut extra = right.clone();
    extra.push(world.get("m.room.join_rules", "").unwrap().id().clone());
    assert_eq!(check(&extra), Err("auth 4.2".to_owned()));
    let mut unknown = right.clone();
    unknown.push(EventId::parse("$unknown").unwrap());
    assert_eq!(check(&unknown), Err("auth 4.2".to_owned()));
    assert_eq!(check(&right[1..]), Err("auth 4.3".to_owned()));
    assert_eq!(check(&right[..2]), Err("auth 4.2".to_owned()));
}

#[test]
fn a_knock_need_not_cite_the_join_rules_but_may() {
    let world = World::new().with_join_rule("knock");
    let knock = member(BOB, BOB, "knock");
    let state = world.select(&knock);
    let known = |id: &EventId| world.state.values().find(|event| event.id() == id)?.slot();
    let mut cited = state.to_cite(&knock);
    let join_rules = world.get("m.room.join_rules", "").unwrap().id().clone();
    assert!(!cited.contains(&join_rules));
    assert!(check_cited(&knock, &cited, &state, known).is_ok());
    cited.push(join_rules);
    assert!(check_cited(&knock, &cited, &state, known).is_ok());
}

#[test]
fn the_selection_names_the_target_once() {
    let world = World::new();
    let own = member(ALICE, ALICE, "leave");
    assert_eq!(world.select(&own).to_cite(&own).len(), 2);
}

#[test]
fn rule_5_1_malformed() {
    let world = World::new();
    world.refuses(&event("m.room.member", None, ALICE, json!({"membership": "join"})), "5.1");
    world.refuses(&event("m.room.member", Some(ALICE), ALICE, json!({})), "5.1");
    world.refuses(&event("m.room.member", Some(""), ALICE, json!({"membership": "invite"})), "5.1");
    world.refuses(&event("m.room.member", Some("bob"), ALICE, json!({"membership": "invite"})), "5.1");
}

#[test]
fn rule_5_2_join() {
    World::created().allows(&member(ALICE, ALICE, "join"), "5.2.1");
    World::created().refuses(&member(BOB, ALICE, "join"), "5.2.2");
    World::created().refuses(&member(BOB, BOB, "join"), "5.2.6");
    let world = World::new();
    world.refuses(&member(ALICE, BOB, "join"), "5.2.2");
    world.refuses(&member(BOB, BOB, "join"), "5.2.6");
    World::new().with_member(BOB, "ban").with_join_rule("public").refuses(&member(BOB, BOB, "join"), "5.2.3");
    for rule in ["invite", "knock"] {
        World::new()
            .with_join_rule(rule)
            .with_member(BOB, "invite")
            .allows(&member(BOB, BOB, "join"), "5.2.4");
        World::new().with_join_rule(rule).with_member(BOB, "join").allows(&member(BOB, BOB, "join"), "5.2.4");
        World::new()
            .with_join_rule(rule)
            .with_member(BOB, "knock")
            .refuses(&member(BOB, BOB, "join"), "5.2.6");
        World::new()
            .with_join_rule(rule)
            .with_member(BOB, "leave")
            .refuses(&member(BOB, BOB, "join"), "5.2.6");
    }
    World::new().with_member(BOB, "invite").allows(&member(BOB, BOB, "join"), "5.2.4");
    World::new().with_join_rule("public").allows(&member(BOB, BOB, "join"), "5.2.5");
    World::new()
        .with_join_rule("restricted")
        .with_member(BOB, "invite")
        .refuses(&member(BOB, BOB, "join"), "5.2.6");
}

#[test]
fn rule_5_3_invite() {
    World::new().refuses(&member(BOB, CAROL, "invite"), "5.3.1");
    World::new().with_member(BOB, "join").refuses(&member(ALICE, BOB, "invite"), "5.3.2");
    World::new().with_member(BOB, "ban").refuses(&member(ALICE, BOB, "invite"), "5.3.2");
    World::new().allows(&member(ALICE, BOB, "invite"), "5.3.3");
    World::new().with_member(BOB, "knock").allows(&member(ALICE, BOB, "invite"), "5.3.3");
    let world = World::new().with_member(BOB, "join").with_levels(json!({"users": {BOB: 4}, "invite": 5}));
    world.refuses(&member(BOB, CAROL, "invite"), "5.3.4");
    let world = World::new().with_member(BOB, "join").with_levels(json!({"users": {BOB: 5}, "invite": 5}));
    world.allows(&member(BOB, CAROL, "invite"), "5.3.3");
}

#[test]
fn rule_5_4_leave() {
    for membership in ["join", "invite", "knock"] {
        World::new().with_member(BOB, membership).allows(&member(BOB, BOB, "leave"), "5.4.1");
    }
    for membership in ["leave", "ban"] {
        World::new().with_member(BOB, membership).refuses(&member(BOB, BOB, "leave"), "5.4.1");
    }
    World::new().refuses(&member(BOB, BOB, "leave"), "5.4.1");
    World::new().with_member(CAROL, "join").refuses(&member(BOB, CAROL, "leave"), "5.4.2");
    let base = || World::new().with_member(BOB, "join").with_member(CAROL, "join");
    let kick = member(BOB, CAROL, "leave");
    base().with_levels(json!({"users": {BOB: 50}})).allows(&kick, "5.4.4");
    base().with_levels(json!({"users": {BOB: 49}})).refuses(&kick, "5.4.5");
    base().with_levels(json!({"users": {BOB: 50, CAROL: 50}})).refuses(&kick, "5.4.5");
    let banned = |levels| World::new().with_member(BOB, "join").with_member(CAROL, "ban").with_levels(levels);
    banned(json!({"users": {BOB: 50}, "ban": 51})).refuses(&kick, "5.4.3");
    banned(json!({"users": {BOB: 51}, "ban": 51})).allows(&kick, "5.4.4");
    banned(json!({"users": {BOB: 51}, "ban": 51, "kick": 52})).refuses(&kick, "5.4.5");
}

#[test]
fn rule_5_5_ban() {
    let ban = member(BOB, CAROL, "ban");
    World::new().with_levels(json!({"users": {BOB: 99}})).refuses(&ban, "5.5.1");
    let base = |levels| World::new().with_member(BOB, "join").with_levels(levels);
    base(json!({"users": {BOB: 50}})).allows(&ban, "5.5.2");
    base(json!({"users": {BOB: 49}})).refuses(&ban, "5.5.3");
    base(json!({"users": {BOB: 50, CAROL: 50}})).refuses(&ban, "5.5.3");
    base(json!({"users": {BOB: 50}})).with_member(CAROL, "join").allows(&ban, "5.5.2");
    base(json!({"users": {BOB: 50}})).refuses(&member(BOB, BOB, "ban"), "5.5.3");
}

#[test]
fn rule_5_6_knock() {
    let knock = member(BOB, BOB, "knock");
    for rule in ["public", "invite", "x"] {
        World::new().with_join_rule(rule).refuses(&knock, "5.6.1");
    }
    World::new().refuses(&knock, "5.6.1");
    let room = || World::new().with_join_rule("knock");
    room().refuses(&member(CAROL, BOB, "knock"), "5.6.2");
    for membership in ["leave", "invite", "knock"] {
        room().with_member(BOB, membership).allows(&knock, "5.6.3");
    }
    room().allows(&knock, "5.6.3");
    for membership in ["ban", "join"] {
        room().with_member(BOB, membership).refuses(&knock, "5.6.4");
    }
}

#[test]
fn rule_5_7_unknown_membership() {
    for membership in [json!("Join"), json!(""), json!(1), json!(null)] {
        World::new()
            .refuses(&event("m.room.member", Some(ALICE), ALICE, json!({"membership": membership})), "5.7");
    }
}

#[test]
fn rules_6_7_8_and_10() {
    let message = event("m.room.message", None, BOB, json!({}));
    for membership in ["invite", "leave", "ban", "knock"] {
        World::new().with_member(BOB, membership).refuses(&message, "6");
    }
    World::new().refuses(&message, "6");
    let joined = |levels| World::new().with_member(BOB, "join").with_levels(levels);
    joined(json!({})).allows(&message, "10");
    joined(json!({"events_default": 1})).refuses(&message, "7");
    joined(json!({"events": {"m.room.message": 1}})).refuses(&message, "7");
    joined(json!({"events": {"m.room.message": 1}, "users": {BOB: 1}})).allows(&message, "10");
    joined(json!({})).refuses(&event("m.room.name", Some(""), BOB, json!({})), "7");
    joined(json!({"state_default": 0})).allows(&event("m.room.name", Some(""), BOB, json!({})), "10");
    joined(json!({"state_default": 0})).refuses(&event("org.x", Some(ALICE), BOB, json!({})), "8");
    joined(json!({"state_default": 0})).refuses(&event("org.x", Some("@"), BOB, json!({})), "8");
    joined(json!({"state_default": 0})).allows(&event("org.x", Some(BOB), BOB, json!({})), "10");
    // A power levels event under another key is an ordinary state event to rule 7, and still well-formed to rule 9.
    joined(json!({})).refuses(&event("m.room.power_levels", Some("x"), BOB, json!({})), "7");
}

#[test]
fn rules_9_1_to_9_4_form() {
    for field in ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"] {
        for wrong in [json!("50"), json!(null), json!([]), json!({"level": 50})] {
            World::new().refuses(&levels(json!({field: wrong})), "9.1");
        }
        World::new().allows(&levels(json!({field: 50})), "9.4");
    }
    for wrong in [json!([]), json!(1), json!({"a": "1"}), json!({"a": null})] {
        World::new().refuses(&levels(json!({"events": wrong})), "9.2");
        World::new().refuses(&levels(json!({"users": wrong})), "9.3");
    }
    World::new().refuses(&levels(json!({"users": {"alice": 1}})), "9.3");
    World::new().refuses(&levels(json!({"users": {"@Alice:a.example": 1}})), "9.3");
    World::new().allows(&levels(json!({"users": {BOB: 1000}, "events": {"x": 1000}})), "9.4");
}

#[test]
fn rules_9_5_to_9_10_changes() {
    let change = |before: Value, after: Value| {
        let world = World::new().with_member(BOB, "join").with_levels(before);
        (world, event("m.room.power_levels", Some(""), BOB, after))
    };
    #[track_caller]
    fn refused(pair: &(World, Event), rule: &str) {
        pair.0.refuses(&pair.1, rule);
    }
    #[track_caller]
    fn allowed(pair: &(World, Event)) {
        pair.0.allows(&pair.1, "9.10");
    }
    let me = json!({BOB: 50});
    refused(&change(json!({"users": me, "ban": 51}), json!({"users": me, "ban": 50})), "9.5.1");
    refused(&change(json!({"users": me, "ban": 51}), json!({"users": me})), "9.5.1");
    refused(&change(json!({"users": me, "ban": 50}), json!({"users": me, "ban": 51})), "9.5.2");
    refused(&change(json!({"users": me}), json!({"users": me, "kick": 51})), "9.5.2");
    allowed(&change(json!({"users": me, "ban": 50}), json!({"users": me, "ban": 40})));
    // A level that is not stated has its default, 50 here, before the change and after it (reading R34).
    let junior = |more: Value| {
        let mut levels = json!({"users": {BOB: 25}, "events": {"m.room.power_levels": 25}});
        levels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        levels
    };
    refused(&change(junior(json!({})), junior(json!({"ban": 0}))), "9.5.1");
    refused(&change(junior(json!({"ban": 25})), junior(json!({}))), "9.5.2");
    allowed(&change(junior(json!({})), junior(json!({"invite": 25}))));
    allowed(&change(junior(json!({"invite": 25})), junior(json!({}))));
    allowed(&change(json!({"users": me, "ban": 99}), json!({"users": me, "ban": 99.0})));
    refused(&change(json!({"users": me, "events": {"x": 51}}), json!({"users": me})), "9.6.1");
    refused(
        &change(json!({"users": me, "events": {"x": 51}}), json!({"users": me, "events": {"x": 1}})),
        "9.6.1",
    );
    refused(&change(json!({"users": me}), json!({"users": me, "events": {"x": 51}})), "9.7.1");
    allowed(&change(json!({"users": me}), json!({"users": me, "events": {"x": 50}})));
    refused(&change(json!({"users": {BOB: 50, CAROL: 51}}), json!({"users": me})), "9.8.1");
    refused(&change(json!({"users": me}), json!({"users": {BOB: 51}})), "9.9.1");
    refused(&change(json!({"users": me}), json!({"users": {BOB: 50, CAROL: 51}})), "9.9.1");
    allowed(&change(json!({"users": {BOB: 50, CAROL: 50}}), json!({"users": me})));
    allowed(&change(json!({"users": me}), json!({"users": {BOB: 10}})));
    allowed(&change(json!({"users": me}), json!({"users": {BOB: 50, CAROL: 50}})));
    // Rule 9.6 comes before rule 9.7, whatever the order of the entries.
    refused(
        &change(json!({"users": me, "events": {"z": 51}}), json!({"users": me, "events": {"a": 51, "z": 1}})),
        "9.6.1",
    );
}

#[test]
fn refusals_say_what_was_compared() {
    let refusal = |world: &World, event: &Event| world.decide(event).unwrap_err().to_string();
    let world = World::new().with_member(BOB, "join");
    for (event, text) in [
        (
            event("m.room.member", Some("bob"), ALICE, json!({"membership": "invite"})),
            r#"auth 5.1: the state key is "bob", and has to be a user id"#,
        ),
        (
            event("m.room.member", Some(BOB), ALICE, json!({})),
            "auth 5.1: `membership` is missing or malformed",
        ),
        (
            member(CAROL, CAROL, "join"),
            "auth 5.2.6: the join rule is invite, and the membership of @carol:c.example is leave",
        ),
        (member(ALICE, BOB, "invite"), "auth 5.3.2: the membership of @bob:b.example is join"),
        (member(BOB, CAROL, "ban"), "auth 5.5.3: the sender's level is 0, and 50 is needed"),
        (member(CAROL, CAROL, "knock"), "auth 5.6.1: the join rule is invite"),
        (member(ALICE, ALICE, "Join"), r#"auth 5.7: there is no membership "Join""#),
        (
            event("m.room.member", Some(ALICE), ALICE, json!({"membership": [1]})),
            "auth 5.7: membership is [1], and has to be a string",
        ),
        (
            event("org.x", Some(BOB), ALICE, json!({})),
            r#"auth 8: the sender is @alice:a.example, the state key "@bob:b.example""#,
        ),
        (levels(json!({"ban": "50"})), r#"auth 9.1: ban is "50", and has to be an integer"#),
        (levels(json!({"events": {"x": null}})), "auth 9.2: x in events is null, and has to be an integer"),
        (
            levels(json!({"users": {"bob": 1}})),
            r#"auth 9.3: a key of users is "bob", and has to be a user id"#,
        ),
    ] {
        assert_eq!(refusal(&world, &event), text);
    }
    let long = refusal(&world, &levels(json!({"ban": "é".repeat(100)})));
    assert_eq!(long, format!("auth 9.1: ban is \"{}…, and has to be an integer", "é".repeat(31)));
    let world = world.with_levels(json!({"users": {ALICE: 100, BOB: 100}}));
    assert_eq!(
        refusal(&world, &member(ALICE, BOB, "leave")),
        "auth 5.4.5: the sender's level 100 is not above the target's 100",
    );
    assert_eq!(
        refusal(&world, &levels(json!({"users": {ALICE: 100, BOB: 101}}))),
        "auth 9.9.1: @bob:b.example is 101, above the sender's level 100",
    );
}

#[test]
fn every_rule_has_its_own_place() {
    let mut places: Vec<_> = AuthRule::ALL.iter().map(|rule| rule.place()).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), AuthRule::ALL.len());
    assert_eq!(Rule::from(AuthRule::JoinBanned).to_string(), "auth 5.2.3");
    assert_eq!(Rule::from(AuthRule::JoinBanned).requirement(), "LM-04/auth/5.2.3");
    assert_eq!(Rule::from(MlsRule::Epoch).requirement(), "R28");
    assert_eq!(Rule::from(MlsRule::AddedNotJoined).requirement(), "LM-04/4.3/4");
}

const USERS: [&str; 3] = [ALICE, BOB, CAROL];

prop_compose! {
    /// A random event of a small room: memberships and power levels for the most part.
    fn any_event()(kind in 0..8, sender in 0..3_usize, target in 0..3_usize, membership in 0..5_usize,
                   level in 0..4_i64, other in 0..4_i64) -> Event {
        let memberships = ["join", "invite", "leave", "ban", "knock"];
        match kind {
            0 => levels_by(USERS[sender], json!({"users": {USERS[target]: level * 25, USERS[sender]: other * 25}})),
            1 => {
                let rule = ["public", "invite", "knock", "x"][usize::try_from(level).unwrap()];
                event("m.room.join_rules", Some(""), USERS[sender], json!({"join_rule": rule}))
            }
            _ => member(USERS[sender], USERS[target], memberships[membership]),
        }
    }
}

fn levels_by(sender: &str, content: Value) -> Event {
    event("m.room.power_levels", Some(""), sender, content)
}

fn run(
    events: Vec<Event>,
    mut check: impl FnMut(&World, &Event) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut world = World::created();
    for event in events {
        if world.decide(&event).is_ok() {
            check(&world, &event)?;
            world.put(event);
            world.follows_create = false;
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn nobody_banned_joins_without_an_unban(events in proptest::collection::vec(any_event(), 1..60)) {
        run(events, |world, event| {
            if event.membership() == Some("join") {
                let before = membership_of(world.get("m.room.member", event.state_key().unwrap()));
                prop_assert_ne!(before, Membership::Ban);
            }
            Ok(())
        })?;
    }

    #[test]
    fn nobody_raises_anybody_above_themselves(events in proptest::collection::vec(any_event(), 1..60)) {
        run(events, |world, event| {
            let state = world.select(event);
            if event.kind() == "m.room.power_levels" && state.power_levels.is_some() {
                let sender = state.levels().user(event.sender());
                let creator = state.creator();
                let after = Levels::new(Some(event.content()), creator);
                for user in USERS.map(|user| UserId::parse(user).unwrap()) {
                    let before = state.levels().user(&user);
                    prop_assert!(after.user(&user) <= before.max(sender));
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_creators_first_join_comes_first_and_once(events in proptest::collection::vec(any_event(), 1..60)) {
        let mut seen = 0;
        run(events, |world, event| {
            if world.decide(event) == Ok(AuthRule::JoinCreator) {
                seen += 1;
                prop_assert_eq!(world.count, 1);
            }
            Ok(())
        })?;
        prop_assert!(seen <= 1);
    }
}
