//! Evidence as a document: what it takes to be any, and what changes it.

use super::*;

#[test]
fn what_the_hub_has_not_signed_accuses_nobody() {
    let (hub, participant) = pair();
    let other = TestHub { name: server("d.example"), ..TestHub::new(json!({})) };
    let draft = hub.draft(BOB, "m.room.message", None, json!({}));
    let foreign = forge(&other, draft, &[], &[head(&hub)]);
    let verdict = rejected(participant.judge(foreign.clone(), false));
    let accusation = participant.accuse(&verdict, &Excerpt::new());
    assert!(matches!(accusation, Accusation::Unprovable(Unprovable::Rule(_))));
    let error = judged(&Evidence::forbidden(&hub.list[0], foreign.event(), [])).unwrap_err();
    assert!(matches!(error, EvidenceError::OtherHub { sealer, .. } if sealer == "d.example"));
    // An event of the event graph, passed on by the hub without its seal.
    let unsealed = hub.draft(BOB, "m.room.message", None, json!({})).into_event(&hub.version).unwrap();
    let unsealed = signed_by(unsealed, "b.example", &hub, &[head(&hub)]);
    let verdict = rejected(participant.judge(pdu_of(&canonical::object_to_vec(&unsealed)), false));
    assert_eq!(verdict.refusal.rule, AuthRule::CitedNoCreate.into());
    assert!(matches!(participant.accuse(&verdict, &Excerpt::new()), Accusation::Unprovable(_)));
}

fn signed_by(mut event: Event, name: &str, hub: &TestHub, prev: &[EventId]) -> Object {
    event.set_place(&[], prev);
    event.set_content_hash(&hash::pdu_content_hash(event.as_object()));
    let key = key(&server(name));
    let bytes = hash::signing_bytes(event.as_object(), &hub.version.redaction);
    event.set_signature(&server(name), json!({key.id().as_str(): key.sign(&bytes).to_base64()}));
    event.as_object().clone()
}

/// A room with something of everything, and everything that its honest hub signed, listed or not.
fn honest_room() -> (TestHub, Vec<RoomEvent>) {
    let (mut hub, _) = pair();
    hub.event(ALICE, "m.room.power_levels", Some(""), json!({"users": {ALICE: 100, BOB: 50}})).unwrap();
    let (given_up, _) = overtaken_invite(&mut hub);
    hub.event(BOB, "m.room.name", Some(""), json!({"name": "x"})).unwrap();
    hub.member("@dave:d.example", "@dave:d.example", "join").unwrap();
    hub.member(ALICE, BOB, "ban").unwrap();
    hub.event(ALICE, "m.room.join_rules", Some(""), json!({"join_rule": "knock"})).unwrap();
    hub.member(CAROL, CAROL, "knock").unwrap();
    hub.member(ALICE, CAROL, "invite").unwrap();
    hub.member(CAROL, CAROL, "join").unwrap();
    hub.message(CAROL).unwrap();
    let mut all: Vec<RoomEvent> = hub.list.iter().map(|event| (**event).clone()).collect();
    all.push(given_up);
    (hub, all)
}

#[test]
fn nothing_that_an_honest_hub_signs_accuses_it() {
    let (hub, all) = honest_room();
    let create = &hub.list[0];
    // All signatures are good, so that they need not be checked again and again.
    let never = |evidence: &Evidence| {
        if let Ok(proved) = evidence.examine(create, &hub.version, |_, _| Ok(())) {
            panic!("{proved}");
        }
    };
    for one in &all {
        let cited = |event: &RoomEvent| {
            all.iter().filter(|other| event.auth_events().contains(other.id())).cloned().collect::<Vec<_>>()
        };
        never(&Evidence::forbidden(create, one, &cited(one)));
        never(&Evidence::forbidden(create, one, []));
        for other in &all {
            never(&Evidence::fork(create, one, other, &all));
            never(&Evidence::sealed_twice(create, one, other, &all));
            never(&Evidence::forbidden(create, one, &cited(other)));
        }
        for from in 0..hub.list.len() {
            for to in from..=hub.list.len() {
                never(&Evidence::ignored_state(create, one, hub.list[from..to].iter().map(|event| &**event)));
            }
        }
        // A redacted copy of everything shows no more.
        let bare = |event: &RoomEvent| {
            let mut object = event.event().as_object().clone();
            redact(&mut object, &hub.version.redaction);
            Pdu::from_object(object, &hub.version).unwrap().event().clone()
        };
        let cited: Vec<_> = cited(one).iter().map(bare).collect();
        never(&Evidence::forbidden(create, &bare(one), &cited));
    }
}

#[test]
fn evidence_that_was_tampered_with_proves_nothing() {
    let (mut hub, participant) = pair();
    let draft = hub.draft(BOB, "m.room.name", Some(""), json!({}));
    let verdict = rejected(participant.judge(after(&hub, draft, &head(&hub)), false));
    let Accusation::Proof(good) = participant.accuse(&verdict, &Excerpt::new()) else { panic!("a proof") };
    assert!(judged(&good).is_ok());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut json = good.to_json();
        change(&mut json);
        Evidence::from_json(json).unwrap().verify(&RoomVersions::lm_04(), &hub_key()).unwrap_err()
    };
    use EvidenceError as E;
    assert!(matches!(with(&|e| e["events"][0]["state_key"] = json!("x")), E::Signature { .. }));
    assert!(matches!(with(&|e| e["events"][0]["origin_server_ts"] = json!(1)), E::Signature { .. }));
    assert!(matches!(with(&|e| e["events"][0]["room_id"] = json!("!x:hub.example")), E::OtherRoom(_)));
    assert!(matches!(with(&|e| e["events"][0]["hub_server"] = json!("x")), E::OtherHub { .. }));
    assert!(matches!(with(&|e| e["events"][0]["signatures"] = json!({})), E::Signature { .. }));
    assert!(matches!(with(&|e| e["events"] = json!([])), E::Count { expected: 1, found: 0 }));
    assert!(matches!(with(&|e| e["support"] = json!([])), E::Lacks(_)));
    assert!(matches!(with(&|e| e["support"][1]["sender"] = json!("@mallory:b.example")), E::Stray(_)));
    assert!(matches!(with(&|e| e["create"]["content"]["x"] = json!(1)), E::Signature { .. }));
    assert!(matches!(with(&|e| e["create"]["content"]["room_version"] = json!("x")), E::Version));
    assert!(matches!(with(&|e| e["create"] = e["support"][1].clone()), E::Version));
    assert!(matches!(with(&|e| e["events"][0] = json!({})), E::Shape(_)));
    // The sender's signature is not needed: what the hub signed is enough, and nobody else's key.
    let mut json = good.to_json();
    json["events"][0]["signatures"].as_object_mut().unwrap().remove("b.example");
    assert!(Evidence::from_json(json).unwrap().verify(&RoomVersions::lm_04(), &hub_key()).is_ok());
    // Nothing is proved to somebody who has no key of the hub, or another one.
    let error = good.verify(&RoomVersions::lm_04(), &ServerKeyRing::new()).unwrap_err();
    assert!(matches!(error, E::Signature { .. }));
    let mut other = ServerKeyRing::new();
    let key = key(&server("d.example"));
    other.insert(&hub.name, key.id(), key.verify_key(), i64::MAX);
    assert!(matches!(good.verify(&RoomVersions::lm_04(), &other), Err(E::Signature { .. })));
    // An allowed event stays allowed.
    let message = hub.message(BOB).unwrap();
    let cited = hub.list.iter().filter(|event| message.auth_events().contains(event.id()));
    let error =
        judged(&Evidence::forbidden(&hub.list[0], &message, cited.map(|event| &**event))).unwrap_err();
    assert!(matches!(error, E::Allowed(rule) if rule == AuthRule::Allowed.into()));
}

#[test]
fn documents_that_are_no_evidence() {
    let object =
        json!({"kind": KIND, "format": FORMAT, "claim": "fork", "create": {}, "events": [], "support": []});
    assert!(Evidence::from_json(object.clone()).is_ok());
    let with = |field: &str, value: Value| {
        let mut object = object.clone();
        object[field] = value;
        Evidence::from_json(object).unwrap_err()
    };
    assert!(matches!(with("kind", json!("x")), DocumentError::Kind));
    assert!(matches!(with("format", json!(2)), DocumentError::Format));
    // Contents that the sender did not hash are no claim: hubs that hash before they redact are right to (reading R05).
    for unknown in ["x", "altered"] {
        assert!(matches!(with("claim", json!(unknown)), DocumentError::Claim));
    }
    assert!(matches!(with("create", json!([])), DocumentError::Field("create")));
    assert!(matches!(with("events", json!([1])), DocumentError::Field("events")));
    assert!(matches!(with("support", Value::Null), DocumentError::Field("support")));
    assert!(matches!(Evidence::parse(b"[]"), Err(DocumentError::Kind)));
    assert!(matches!(Evidence::parse(br#"{"a":1,"a":2}"#), Err(DocumentError::Json(_))));
}

#[test]
fn events_of_other_rooms_and_other_beginnings_are_told_apart() {
    let (hub, participant) = pair();
    let create = &hub.list[0];
    let elsewhere = |draft: Draft| {
        let room_id = crate::id::RoomId::parse("!other:hub.example").unwrap();
        forge(&hub, Draft { room_id, ..draft }, &[], &[head(&hub)]).into_event()
    };
    let message = hub.draft(BOB, "m.room.message", None, json!({}));

    // A membership of another room is cited.
    let foreign = elsewhere(hub.draft(BOB, "m.room.member", Some(BOB), json!({"membership": "join"})));
    let cited = [create.id().clone(), foreign.id().clone()];
    let verdict = rejected(participant.judge(forge(&hub, message.clone(), &cited, &[head(&hub)]), false));
    let needs = participant.accuse(&verdict, &Excerpt::new());
    assert!(matches!(needs, Accusation::Needs(Need::Event(id)) if id == *foreign.id()));
    let mut excerpt = Excerpt::new();
    excerpt.insert(foreign.clone().into());
    let Accusation::Proof(evidence) = participant.accuse(&verdict, &excerpt) else { panic!("a proof") };
    assert_eq!(evidence.claim(), Claim::Forbidden);
    assert_eq!(judged(&evidence).unwrap().rule(), AuthRule::CitedWrongly.into());

    // State of another room is not passed over.
    let foreign = elsewhere(hub.draft(ALICE, "m.room.power_levels", Some(""), json!({})));
    let next = forge(&hub, message.clone(), &[], &[foreign.id().clone()]);
    let error = judged(&Evidence::ignored_state(create, next.event(), [&foreign])).unwrap_err();
    assert!(matches!(error, EvidenceError::OtherRoom(id) if id == *foreign.id()));

    // A second beginning is a fault of its own, and not this one.
    let again = hub.draft(ALICE, "m.room.create", Some(""), json!({"room_version": "I.1", "again": 1}));
    let again = forge(&hub, again, &[], &[]).into_event();
    let cited = [again.id().clone()];
    let next = forge(&hub, message, &cited, &[head(&hub)]);
    for evidence in
        [Evidence::forbidden(create, next.event(), [&again]), Evidence::forbidden(create, &again, [])]
    {
        let error = judged(&evidence).unwrap_err();
        assert!(matches!(error, EvidenceError::OtherCreate(id) if id == *again.id()));
    }
}

#[test]
fn redacted_copies_count_where_redaction_keeps_what_the_rules_read() {
    use crate::version::{Keep, RedactionRules, RoomVersion};
    let (mut hub, _) = pair();
    let prev = head(&hub);
    let other = hub.event(BOB, "m.room.member", Some(BOB), json!({"membership": "join", "n": 1})).unwrap();
    let member =
        after(&hub, hub.draft(BOB, "m.room.member", Some(BOB), json!({"membership": "join"})), &prev);
    let fork = Evidence::fork(&hub.list[0], &other, member.event(), []);
    let rules = RedactionRules { content: &[("m.room.create", Keep::All)], ..hub.version.redaction };
    let keeps_less = std::sync::Arc::new(RoomVersion { redaction: rules, ..(*hub.version).clone() });
    let examine = |evidence: &Evidence, version| evidence.examine(&hub.list[0], version, |_, _| Ok(()));
    for version in [&hub.version, &keeps_less] {
        assert!(examine(&fork, version).is_ok());
    }
    let mut bare = fork;
    for event in &mut bare.events {
        redact(event, &hub.version.redaction);
        event["content"] = json!({"membership": "join"});
    }
    bare.events[0]["hashes"]["sha256"] = json!("x");
    assert!(examine(&bare, &hub.version).is_ok());
    let error = examine(&bare, &keeps_less).unwrap_err();
    assert!(matches!(error, EvidenceError::Redacted(_)));
}
