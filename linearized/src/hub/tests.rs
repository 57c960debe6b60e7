use serde_json::json;

use super::*;
use crate::auth::Membership;
use crate::event::{Draft, Integrity, Lpdu, Recorded};
use crate::id::EventId;
use crate::room::Visibility;
use crate::signing::sign_object;
use crate::testing::*;
use crate::version::{DRAFT_01, Hashing, STABLE, TRANSFER, UNSTABLE};

fn hub() -> TestHub {
    TestHub::new(json!({})).public()
}

/// Where the last event went, which is where the room would have sent it before it was appended.
fn targets(hub: &TestHub) -> Vec<String> {
    let position = hub.hub.room().head().length - 1;
    let (event, presence) = (hub.list.last().unwrap().event(), hub.hub.room().presence());
    let all = ["b.example", "c.example", "d.example", "hub.example"];
    let targets: Vec<_> =
        all.into_iter().filter(|name| presence.is_target(&server(name), position, event)).collect();
    assert_eq!(hub.announced, targets);
    targets.iter().map(ToString::to_string).collect()
}

#[test]
fn every_event_follows_the_one_before() {
    let mut hub = hub();
    hub.member(BOB, BOB, "join").unwrap();
    hub.message(BOB).unwrap();
    hub.message(ALICE).unwrap();
    assert!(hub.list[0].prev_events().is_empty());
    for pair in hub.list.windows(2) {
        assert_eq!(pair[1].prev_events(), [pair[0].id().clone()]);
    }
    assert_eq!(hub.hub.room().head().event_id, *hub.list.last().unwrap().id());
    assert_eq!(hub.hub.room().head().length, 6);
    for event in &hub.list {
        assert_eq!(pdu(event).integrity(), Integrity::Intact);
        assert_eq!(pdu(event).event().id(), event.id());
    }
}

#[test]
fn own_events_have_no_hub_server_and_sealed_ones_do() {
    let mut hub = hub();
    hub.member(BOB, BOB, "join").unwrap();
    let own = hub.message(ALICE).unwrap();
    assert_eq!(own.event().hub_server(), None);
    assert!(own.event().as_object()["hashes"].get("lpdu").is_none());
    let sealed = hub.message(BOB).unwrap();
    assert_eq!(sealed.event().hub_server(), Some(&hub.name));
    assert!(sealed.lpdu_id().is_some());
}

#[test]
fn auth_events_are_the_selection() {
    let mut hub = hub();
    let invite = hub.member(ALICE, BOB, "invite").unwrap();
    let create = hub.list[0].id();
    let (alice, rules) = (hub.list[1].id(), hub.list[2].id());
    assert_eq!(invite.auth_events(), [create.clone(), alice.clone(), rules.clone()]);
    let (create, alice) = (create.clone(), alice.clone());
    let levels = hub.event(ALICE, "m.room.power_levels", Some(""), json!({"users": {ALICE: 100}})).unwrap();
    let message = hub.message(ALICE).unwrap();
    assert_eq!(message.auth_events(), [create, levels.id().clone(), alice]);
}

#[test]
fn an_lpdu_for_another_hub_is_refused() {
    let mut hub = hub();
    let lpdu = |name: Option<&str>| {
        let draft = Draft::member(hub.hub.room().id().clone(), &user(BOB), &user(BOB), Membership::Join, TS);
        let key = key(&server("b.example"));
        let lpdu = draft.into_lpdu(&server(name.unwrap_or("x")), &key, &hub.version).unwrap();
        let mut object: crate::json::Object = serde_json::from_slice(&lpdu.bytes).unwrap();
        if name.is_none() {
            object.remove("hub_server");
            if hub.version.hashing.covers_lpdu() {
                let hash = crate::event::hash::lpdu_content_hash(&object);
                object["hashes"]["lpdu"]["sha256"] = json!(crate::base64::encode(&hash));
            }
            let signed = crate::event::hash::signing_bytes(&object, &hub.version.redaction);
            object["signatures"]["b.example"]["ed25519:1"] = json!(key.sign(&signed).to_base64());
        }
        Proposal::of_lpdu(Lpdu::from_object(object, &hub.version).unwrap().verify(&ring()).unwrap())
    };
    let (other, none, right) = (lpdu(Some("other.example")), lpdu(None), lpdu(Some("hub.example")));
    for proposal in [other, none] {
        assert_eq!(hub.accept(proposal).unwrap_err().rule, RoomRule::OtherHub.into());
    }
    assert!(hub.accept(right).is_ok());
}

#[test]
fn a_tampered_lpdu_is_sealed_redacted() {
    let mut hub = hub();
    hub.member(BOB, BOB, "join").unwrap();
    let lpdu = hub.lpdu(hub.draft(BOB, "m.room.message", None, json!({"body": "hi"})));
    let mut object: crate::json::Object = serde_json::from_slice(&lpdu.bytes).unwrap();
    object["content"]["body"] = json!("changed");
    let verified = Lpdu::from_object(object, &hub.version).unwrap().verify(&ring()).unwrap();
    let sealed = hub.accept(Proposal::of_lpdu(verified)).unwrap();
    assert!(sealed.event().content().is_empty());
    // The PDU's own hash covers the redacted copy; the LPDU's cannot match any more (reading R05).
    let pdu = pdu(&sealed);
    assert_eq!(pdu.integrity(), Integrity::Redacted);
    assert_eq!(pdu.event().id(), sealed.id());
    assert_eq!(pdu.event().bytes(), sealed.bytes());
}

#[test]
fn a_sealed_event_belongs_to_its_head() {
    let mut hub = hub();
    let proposal = |hub: &TestHub| {
        Proposal::of_own(hub.draft(ALICE, "m.room.message", None, json!({})), &hub.version).unwrap()
    };
    let seal = |hub: &TestHub, proposal| {
        hub.hub.authorise(proposal).unwrap().seal(&hub.name, &key(&hub.name), &hub.version, 0).unwrap()
    };
    let early = seal(&hub, proposal(&hub));
    hub.message(ALICE).unwrap();
    let head = hub.hub.room().head().clone();
    assert_eq!(hub.hub.append(early).unwrap_err(), HeadMoved { now: head });
    let late = seal(&hub, proposal(&hub));
    assert!(hub.hub.append(late).is_ok());
}

#[test]
fn what_would_be_too_large_is_refused() {
    let mut hub = hub();
    hub.member(BOB, BOB, "join").unwrap();
    let room_for_lpdu =
        |hub: &TestHub, length: usize| hub.draft(BOB, "m.x", None, json!({"b": "x".repeat(length)}));
    let base = hub.lpdu(room_for_lpdu(&hub, 0)).bytes.len();
    let draft = room_for_lpdu(&hub, 65_536 - base);
    let refusal = hub.send(draft).unwrap_err();
    assert_eq!(refusal.rule, RoomRule::TooLarge.into());
    let sealed = hub.send(room_for_lpdu(&hub, 0)).unwrap().bytes().len();
    let exact = hub.send(room_for_lpdu(&hub, 65_536 - sealed)).unwrap();
    assert_eq!(exact.bytes().len(), 65_536);
    assert!(hub.send(room_for_lpdu(&hub, 65_537 - sealed)).is_err());
}

#[test]
fn only_the_senders_signature_is_carried_on() {
    let mut hub = hub();
    let lpdu =
        hub.lpdu(Draft::member(hub.hub.room().id().clone(), &user(BOB), &user(BOB), Membership::Join, TS));
    let mut object: crate::json::Object = serde_json::from_slice(&lpdu.bytes).unwrap();
    object["signatures"]["d.example"] = json!({"ed25519:1": "x"});
    let verified = Lpdu::from_object(object, &hub.version).unwrap().verify(&ring()).unwrap();
    let sealed = hub.accept(Proposal::of_lpdu(verified)).unwrap();
    let signers: Vec<_> = sealed.event().as_object()["signatures"].as_object().unwrap().keys().collect();
    assert_eq!(signers, ["b.example", "hub.example"]);
}

/// An invite of Carol, sealed.
fn sealed_invite(hub: &TestHub) -> Sealed {
    let draft =
        Draft::member(hub.hub.room().id().clone(), &user(ALICE), &user(CAROL), Membership::Invite, TS);
    let authorised = hub.hub.authorise(Proposal::of_own(draft, &hub.version).unwrap()).unwrap();
    authorised.seal(&hub.name, &key(&hub.name), &hub.version, INVITE_RESERVE).unwrap()
}

#[test]
fn an_event_of_another_room_is_refused() {
    let hub = hub();
    let mut draft = hub.draft(ALICE, "m.room.message", None, json!({"body": "elsewhere"}));
    draft.room_id = crate::id::RoomId::parse("!other:hub.example").unwrap();
    let refusal = hub.hub.authorise(Proposal::of_own(draft, &hub.version).unwrap()).unwrap_err();
    assert_eq!(refusal.rule, RoomRule::OtherRoom.into());
}

#[test]
fn a_countersigned_invite_keeps_its_id_and_its_place() {
    let mut hub = hub();
    let sealed = sealed_invite(&hub);
    let id = sealed.event().id().clone();
    let c = server("c.example");
    // What the target signs, and what it may put beside that.
    let mut object = sealed.event().event().as_object().clone();
    crate::event::redact(&mut object, &hub.version.redaction);
    object.remove("signatures");
    sign_object(&mut object, &c, &key(&c));
    let mut entry = object["signatures"]["c.example"].clone();
    entry["x"] = json!(5);
    entry["ed25519:unknown"] = json!("AAAA");
    let refused = sealed_invite(&hub).countersign(&c, &json!({"ed25519:1": "x"}), &ring(), TS);
    assert!(matches!(refused, Err(CountersignError::Signature(_))));
    let sealed = sealed.countersign(&c, &entry, &ring(), TS).unwrap();
    assert_eq!(*sealed.event().id(), id);
    let signatures = &sealed.event().event().as_object()["signatures"]["c.example"];
    assert_eq!(signatures.as_object().unwrap().keys().collect::<Vec<_>>(), ["ed25519:1"]);
    assert!(Recorded::read(sealed.event().bytes(), &id, &hub.version).is_ok());
    hub.append(sealed);
    assert_eq!(targets(&hub), ["hub.example"], "the invited server has the event already");
    hub.member(ALICE, CAROL, "leave").unwrap();
    assert_eq!(targets(&hub), ["c.example", "hub.example"], "it learns that the invite is withdrawn");
    assert!(hub.message(ALICE).is_ok());
    assert_eq!(targets(&hub), ["hub.example"]);
}

#[test]
fn fan_out_follows_membership() {
    let mut hub = hub();
    hub.member(BOB, BOB, "join").unwrap();
    assert_eq!(targets(&hub), ["b.example", "hub.example"]);
    hub.member(CAROL, CAROL, "join").unwrap();
    assert_eq!(targets(&hub), ["b.example", "c.example", "hub.example"]);
    hub.member(ALICE, BOB, "ban").unwrap();
    assert_eq!(targets(&hub), ["b.example", "c.example", "hub.example"], "the banned server is told");
    hub.message(CAROL).unwrap();
    assert_eq!(targets(&hub), ["c.example", "hub.example"]);
    hub.member(CAROL, CAROL, "leave").unwrap();
    assert_eq!(targets(&hub), ["c.example", "hub.example"]);
    hub.message(ALICE).unwrap();
    assert_eq!(targets(&hub), ["hub.example"]);
    // What went where does not change afterwards.
    let room = hub.hub.room();
    assert!(room.presence().is_target(&server("b.example"), 3, hub.list[3].event()));
    assert!(!room.presence().is_target(&server("b.example"), 6, hub.list[6].event()));
}

/// Says something in a given millisecond.
fn said(hub: &mut TestHub, words: &str) -> (EventId, Arc<RoomEvent>) {
    let lpdu = hub.lpdu(hub.draft(BOB, "m.room.message", None, json!({"body": words})));
    let proposal =
        Proposal::of_lpdu(Lpdu::parse(&lpdu.bytes, &hub.version).unwrap().verify(&ring()).unwrap());
    (proposal.lpdu_key(&hub.version).unwrap(), hub.accept(proposal).unwrap())
}

#[test]
fn what_is_said_in_one_moment_is_told_apart() {
    for version in [STABLE, DRAFT_01] {
        let _version = in_version(version);
        let mut hub = hub();
        hub.member(BOB, BOB, "join").unwrap();
        let [one, two, again] = ["one", "two", "one"].map(|words| said(&mut hub, words));
        assert!(one.0 != two.0 && one.0 == again.0, "{version}");
        for (key, event) in [one, two, again] {
            assert_eq!(event.lpdu_key(&hub.version), Some(key), "{version}");
            let covered = hub.version.hashing.covers_lpdu();
            assert_eq!(event.lpdu_key(&hub.version) == event.lpdu_id().cloned(), covered, "{version}");
            // Without its contents, it does not tell which it was, where the id does not.
            let bare = event.redacted(&hub.version.redaction);
            assert_eq!(bare.lpdu_key(&hub.version).is_some(), covered, "{version}");
        }
        assert_eq!(hub.list[0].lpdu_key(&hub.version), None);
    }
}

#[test]
fn state_before_any_event() {
    let mut hub = hub();
    hub.event(ALICE, "m.room.name", Some(""), json!({"name": "one"})).unwrap();
    hub.event(ALICE, "m.room.name", Some(""), json!({"name": "two"})).unwrap();
    hub.message(ALICE).unwrap();
    let state = hub.hub.room().state();
    let name = |position| {
        state.before(position, "m.room.name", "").and_then(|entry| {
            entry.read(&hub.log()).unwrap().event().content_str("name").map(ToOwned::to_owned)
        })
    };
    assert_eq!(
        [3, 4, 5, 6].map(name),
        [None, Some("one".to_owned()), Some("two".to_owned()), Some("two".to_owned())]
    );
    assert_eq!(state.all_before(0).count(), 0);
    assert_eq!(state.all_before(3).count(), 3);
    assert_eq!(state.all_current().count(), 4);
    assert!(state.current("m.room.message", "").is_none());
    let chain = state.current_auth_chain();
    assert_eq!(chain.len(), 2, "create and the creator's join");
}

#[test]
fn history_visibility() {
    let mut hub = hub();
    let (b, c, d) = (server("b.example"), server("c.example"), server("d.example"));
    hub.message(ALICE).unwrap(); // 3
    hub.member(BOB, BOB, "join").unwrap(); // 4
    hub.event(ALICE, "m.room.history_visibility", Some(""), json!({"history_visibility": "joined"})).unwrap(); // 5
    hub.message(ALICE).unwrap(); // 6
    hub.event(ALICE, "m.mls.commit", None, json!({})).unwrap(); // 7
    hub.event(ALICE, "m.room.history_visibility", Some(""), json!({"history_visibility": "invited"}))
        .unwrap(); // 8
    hub.member(ALICE, CAROL, "invite").unwrap(); // 9
    hub.message(ALICE).unwrap(); // 10
    let sees = |hub: &TestHub, server, position: u64| {
        hub.hub.room().visibility(server, position, &hub.list[usize::try_from(position).unwrap()])
    };
    assert_eq!(sees(&hub, &b, 3), Visibility::Full, "shared by default");
    assert_eq!(sees(&hub, &b, 6), Visibility::Full, "it was in the room");
    assert_eq!(sees(&hub, &c, 3), Visibility::None, "being invited is not being in the room");
    hub.member(CAROL, CAROL, "join").unwrap(); // 11
    assert_eq!(sees(&hub, &c, 3), Visibility::Full);
    assert_eq!(sees(&hub, &c, 5), Visibility::Full, "a change is seen by what was before it, too");
    assert_eq!(sees(&hub, &c, 6), Visibility::Redacted);
    assert_eq!(sees(&hub, &c, 7), Visibility::Full, "commits are always visible");
    assert_eq!(sees(&hub, &c, 10), Visibility::Full, "visible from the invite on");
    assert_eq!(sees(&hub, &d, 3), Visibility::None);
    hub.member(ALICE, BOB, "ban").unwrap(); // 12
    hub.message(ALICE).unwrap(); // 13
    assert_eq!(sees(&hub, &b, 12), Visibility::Full);
    assert_eq!(sees(&hub, &b, 13), Visibility::None);
    assert!(!hub.hub.room().is_visible_to(&b));
    hub.event(ALICE, "m.room.history_visibility", Some(""), json!({"history_visibility": "world_readable"}))
        .unwrap();
    hub.message(ALICE).unwrap();
    assert_eq!(sees(&hub, &d, 15), Visibility::Full);
    assert!(hub.hub.room().is_visible_to(&d));
}

#[test]
fn stripped_state_has_four_fields() {
    let mut hub = hub();
    hub.event(ALICE, "m.room.name", Some(""), json!({"name": "x"})).unwrap();
    hub.event(ALICE, "m.room.topic", Some("other"), json!({"topic": "x"})).unwrap();
    let stripped = hub.hub.room().stripped_state();
    let kinds: Vec<_> = stripped.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["m.room.create", "m.room.name", "m.room.join_rules"]);
    assert_eq!(
        stripped[1].to_json(),
        json!({"sender": ALICE, "type": "m.room.name", "state_key": "", "content": {"name": "x"}})
    );
}

#[test]
fn a_room_is_read_back_from_its_records() {
    let mut hub = hub();
    hub.member(BOB, BOB, "join").unwrap();
    hub.message(BOB).unwrap();
    let records =
        hub.list.iter().map(|event| Recorded::read(event.bytes(), event.id(), &hub.version).unwrap());
    let mut records = records.collect::<Vec<_>>().into_iter();
    let mut again = Hub::restore(records.next().unwrap(), &versions()).unwrap();
    let second = records.next().unwrap();
    assert!(matches!(again.replay(records.next().unwrap(), true), Err(ReplayError::Head(_))));
    again.replay(second, true).unwrap();
    for event in &hub.list[2..] {
        again.replay(Recorded::read(event.bytes(), event.id(), &hub.version).unwrap(), true).unwrap();
    }
    assert_eq!(again.room().head(), hub.hub.room().head());
    let ids =
        |hub: &Hub| hub.room().state().all_current().map(|event| event.id().clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&hub.hub));
}

#[test]
fn templates_are_judged_like_events() {
    use Membership::{Join, Knock, Leave};
    let hub = hub();
    let room = hub.hub.room();
    assert!(room.would_allow(&user(BOB), &user(BOB), Join).is_ok());
    assert_eq!(room.would_allow(&user(BOB), &user(BOB), Knock).unwrap_err().rule.to_string(), "auth 5.6.1");
    assert_eq!(room.would_allow(&user(BOB), &user(BOB), Leave).unwrap_err().rule.to_string(), "auth 5.4.1");
}

#[test]
fn in_the_older_version_every_event_names_the_hub_and_no_lpdu_has_a_hash() {
    let _version = in_version(DRAFT_01);
    let mut hub = hub();
    assert_eq!(hub.version.hashing, Hashing::Sha256);
    hub.member(BOB, BOB, "join").unwrap();
    let (own, sealed) = (hub.message(ALICE).unwrap(), hub.message(BOB).unwrap());
    for event in hub.list.iter().chain([&own, &sealed]) {
        assert_eq!(event.event().hub_server(), Some(&hub.name));
        let hashes: Vec<_> = event.event().as_object()["hashes"].as_object().unwrap().keys().collect();
        assert_eq!(hashes, ["sha256"]);
    }
    assert_eq!((own.lpdu_id(), sealed.lpdu_id().is_some()), (None, true));
}

in_versions! {
    unstable = UNSTABLE => [
        every_event_follows_the_one_before,
        own_events_have_no_hub_server_and_sealed_ones_do,
        auth_events_are_the_selection,
        an_lpdu_for_another_hub_is_refused,
        a_tampered_lpdu_is_sealed_redacted,
        a_sealed_event_belongs_to_its_head,
        what_would_be_too_large_is_refused,
        only_the_senders_signature_is_carried_on,
        a_countersigned_invite_keeps_its_id_and_its_place,
        fan_out_follows_membership,
        state_before_any_event,
        history_visibility,
        stripped_state_has_four_fields,
        a_room_is_read_back_from_its_records,
        templates_are_judged_like_events,
    ]
    draft_01 = DRAFT_01 => [
        every_event_follows_the_one_before,
        auth_events_are_the_selection,
        an_lpdu_for_another_hub_is_refused,
        a_sealed_event_belongs_to_its_head,
        what_would_be_too_large_is_refused,
        only_the_senders_signature_is_carried_on,
        a_countersigned_invite_keeps_its_id_and_its_place,
        fan_out_follows_membership,
        state_before_any_event,
        history_visibility,
        stripped_state_has_four_fields,
        a_room_is_read_back_from_its_records,
        templates_are_judged_like_events,
    ]
    transfer = TRANSFER => [
        every_event_follows_the_one_before,
        own_events_have_no_hub_server_and_sealed_ones_do,
        auth_events_are_the_selection,
        an_lpdu_for_another_hub_is_refused,
        a_tampered_lpdu_is_sealed_redacted,
        a_sealed_event_belongs_to_its_head,
        what_would_be_too_large_is_refused,
        only_the_senders_signature_is_carried_on,
        a_countersigned_invite_keeps_its_id_and_its_place,
        fan_out_follows_membership,
        state_before_any_event,
        history_visibility,
        stripped_state_has_four_fields,
        a_room_is_read_back_from_its_records,
        templates_are_judged_like_events,
    ]
}
