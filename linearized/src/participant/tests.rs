use serde_json::json;

use super::*;
use crate::auth::Membership;
use crate::event::{Draft, Integrity, Recorded};
use crate::testing::*;
use crate::version::{DRAFT_01, TRANSFER, UNSTABLE};

/// A hub with a public room, and Bob's server in it.
fn pair() -> (TestHub, Participant) {
    let mut hub = TestHub::new(json!({})).public();
    let participant = hub.join(BOB);
    (hub, participant)
}

fn extension(verdict: Verdict) -> Extension {
    match verdict {
        Verdict::Extends(extension) => extension,
        other => panic!("{other:?}"),
    }
}

fn rejected(verdict: Verdict) -> Rejected {
    match verdict {
        Verdict::Rejected(rejected) => rejected,
        other => panic!("{other:?}"),
    }
}

fn follow(participant: &mut Participant, event: &RoomEvent) {
    let extension = extension(participant.judge(pdu(event), false));
    participant.append(extension).unwrap();
}

/// What the hub would cite for an event now.
fn cites(hub: &TestHub, draft: &Draft) -> Vec<EventId> {
    let event = draft.clone().into_event(&hub.version).unwrap();
    hub.hub.room().select(&event).to_cite(&event)
}

fn forge_next(hub: &TestHub, draft: Draft) -> VerifiedPdu {
    let cited = cites(hub, &draft);
    forge(hub, draft, &cited, &[hub.hub.room().head().event_id.clone()])
}

#[test]
fn a_participant_arrives_at_the_hubs_state() {
    let (mut hub, mut participant) = pair();
    for event in [
        hub.member(CAROL, CAROL, "join").unwrap(),
        hub.message(BOB).unwrap(),
        hub.event(ALICE, "m.room.name", Some(""), json!({"name": "x"})).unwrap(),
        hub.member(ALICE, CAROL, "leave").unwrap(),
    ] {
        follow(&mut participant, &event);
    }
    let ids = |room: &Room| room.state().all_current().map(|e| e.id().clone()).collect::<Vec<_>>();
    assert_eq!(ids(participant.room()), ids(hub.hub.room()));
    assert_eq!(participant.room().head().event_id, hub.hub.room().head().event_id);
    assert_eq!(participant.room().head().length, 5);
    assert!(!participant.room().is_disputed());
}

#[test]
fn an_event_that_breaks_a_rule_is_rejected_with_it() {
    let (mut hub, participant) = pair();
    let message = hub.draft(CAROL, "m.room.message", None, json!({}));
    let verdict = rejected(participant.judge(forge_next(&hub, message), false));
    assert_eq!(verdict.refusal.rule.to_string(), "auth 6");
    let name = hub.draft(BOB, "m.room.name", Some(""), json!({}));
    let verdict = rejected(participant.judge(forge_next(&hub, name), false));
    assert_eq!(verdict.refusal.rule.to_string(), "auth 7");
    let head = [hub.hub.room().head().event_id.clone()];
    let message = hub.draft(BOB, "m.room.message", None, json!({}));
    let verdict = rejected(participant.judge(forge(&hub, message, &[], &head), false));
    assert_eq!(verdict.refusal.rule.to_string(), "auth 4.3");
    let create = hub.draft(ALICE, "m.room.create", Some(""), json!({"room_version": hub.version.id}));
    let verdict = rejected(participant.judge(forge(&hub, create.clone(), &[], &[]), false));
    assert_eq!(verdict.refusal.rule, RoomRule::Predecessors.into());
    assert_eq!(
        rejected(participant.judge(forge_next(&hub, create), false)).refusal.rule.to_string(),
        "auth 3.1"
    );
    assert!(hub.message(ALICE).is_ok());
}

#[test]
fn an_event_through_another_hub_is_rejected() {
    let (hub, participant) = pair();
    let other = TestHub { name: server("d.example"), ..TestHub::new(json!({})) };
    let draft = hub.draft(BOB, "m.room.message", None, json!({}));
    let cited = cites(&hub, &draft);
    let pdu = forge(&other, draft, &cited, &[hub.hub.room().head().event_id.clone()]);
    assert_eq!(rejected(participant.judge(pdu, false)).refusal.rule, RoomRule::OtherHub.into());
}

#[test]
fn an_event_of_another_room_is_rejected() {
    let (hub, participant) = pair();
    let mut draft = hub.draft(BOB, "m.room.message", None, json!({"body": "elsewhere"}));
    let cited = cites(&hub, &draft);
    draft.room_id = crate::id::RoomId::parse("!other:hub.example").unwrap();
    let pdu = forge(&hub, draft, &cited, &[hub.hub.room().head().event_id.clone()]);
    assert_eq!(rejected(participant.judge(pdu, false)).refusal.rule, RoomRule::OtherRoom.into());
}

#[test]
fn a_gap_is_named_and_a_fork_is_rejected() {
    let (mut hub, mut participant) = pair();
    let first = hub.message(ALICE).unwrap();
    let second = hub.message(ALICE).unwrap();
    assert_eq!(participant.predecessor_elsewhere(&pdu(&second)), Some(first.id()));
    let Verdict::Gap { missing, pdu: kept } = participant.judge(pdu(&second), false) else { panic!("a gap") };
    assert_eq!((&missing, kept.event().id()), (first.id(), second.id()));
    follow(&mut participant, &first);
    follow(&mut participant, &second);
    let fork = hub.draft(ALICE, "m.room.message", None, json!({"other": 1}));
    let cited = cites(&hub, &fork);
    let fork = forge(&hub, fork, &cited, &[first.id().clone()]);
    assert_eq!(participant.predecessor_elsewhere(&fork), Some(first.id()));
    assert_eq!(rejected(participant.judge(fork, true)).refusal.rule, RoomRule::Fork.into());
}

#[test]
fn a_room_is_disputed_when_the_hub_goes_on_from_a_rejected_event() {
    let (hub, mut participant) = pair();
    let head = hub.hub.room().head().event_id.clone();
    let bad = hub.draft(BOB, "m.room.name", Some(""), json!({"name": "mine"}));
    let cited = cites(&hub, &bad);
    let bad = forge(&hub, bad, &cited, &[head]);
    let bad_id = bad.event().id().clone();
    participant.keep(rejected(participant.judge(bad, false)));
    assert_eq!(participant.room().head().length, 1);
    assert!(!participant.room().is_disputed());

    let worse = hub.draft(CAROL, "m.room.message", None, json!({}));
    let cited = cites(&hub, &worse);
    let worse = forge(&hub, worse, &cited, std::slice::from_ref(&bad_id));
    let worse_id = worse.event().id().clone();
    participant.keep(rejected(participant.judge(worse, false)));

    let good = hub.draft(ALICE, "m.room.message", None, json!({}));
    let cited = cites(&hub, &good);
    let good = forge(&hub, good, &cited, std::slice::from_ref(&worse_id));
    assert_eq!(participant.predecessor_elsewhere(&good), None);
    let extension = extension(participant.judge(good, false));
    let steps: Vec<_> =
        extension.steps().iter().map(|step| (step.event().id().clone(), step.effect())).collect();
    assert_eq!(steps[..2], [(bad_id, Effect::Rejected), (worse_id, Effect::Rejected)]);
    assert_eq!(steps[2].1, Effect::Applied);
    participant.append(extension).unwrap();
    assert!(participant.room().is_disputed());
    assert_eq!(participant.room().head().length, 4);
    assert!(participant.room().state().current("m.room.name", "").is_none());
}

#[test]
fn only_what_no_hub_sealed_may_have_more_predecessors() {
    let (hub, participant) = pair();
    let head = hub.hub.room().head().event_id.clone();
    let two = [EventId::parse("$elsewhere").unwrap(), head];
    for sender in [ALICE, BOB] {
        let sealed = hub.draft(sender, "m.room.message", None, json!({}));
        let cited = cites(&hub, &sealed);
        let verdict = rejected(participant.judge(forge(&hub, sealed, &cited, &two), false));
        assert_eq!(verdict.refusal.rule, RoomRule::Predecessors.into());
    }
    // An event of the event graph that the hub passes on.
    let unsealed = hub.draft(BOB, "m.room.message", None, json!({})).into_event(&hub.version).unwrap();
    let cited = hub.hub.room().select(&unsealed).to_cite(&unsealed);
    let other = TestHub { name: server("b.example"), ..hub };
    let draft = other.draft(BOB, "m.room.message", None, json!({}));
    extension(participant.judge(forge(&other, draft, &cited, &two), false));
}

#[test]
fn a_hub_cannot_fork_by_events_with_two_predecessors() {
    let (hub, participant) = pair();
    let head = hub.hub.room().head().event_id.clone();
    // One of its own for this server, one for another: the two would be no proof of a fork.
    let [here, there] = ["$a", "$b"].map(|elsewhere| {
        let draft = hub.draft(ALICE, "m.room.message", None, json!({"to": elsewhere}));
        let cited = cites(&hub, &draft);
        forge(&hub, draft, &cited, &[head.clone(), EventId::parse(elsewhere).unwrap()])
    });
    let fork = Evidence::fork(&hub.list[0], here.event(), there.event(), []);
    assert!(fork.verify(&versions(), &ring()).is_err());
    // So each is a fault by itself.
    for event in [here, there] {
        let verdict = rejected(participant.judge(event, false));
        assert_eq!(verdict.refusal.rule, RoomRule::Predecessors.into());
        let accusation = participant.accuse(&verdict, &evidence::Excerpt::new());
        let evidence::Accusation::Proof(proof) = accusation else { panic!("{accusation:?}") };
        assert_eq!(proof.verify(&versions(), &ring()).unwrap().rule(), RoomRule::Predecessors.into());
    }
}

#[test]
fn an_extension_belongs_to_its_head() {
    let (mut hub, mut participant) = pair();
    let event = hub.message(ALICE).unwrap();
    let (one, two) =
        (extension(participant.judge(pdu(&event), false)), extension(participant.judge(pdu(&event), false)));
    participant.append(one).unwrap();
    assert!(participant.append(two).is_err());
}

#[test]
fn a_redacted_event_keeps_its_place() {
    let (mut hub, mut participant) = pair();
    let event = hub.message(BOB).unwrap();
    let mut object: crate::json::Object = serde_json::from_slice(event.bytes()).unwrap();
    object["content"]["body"] = json!("changed");
    let changed = pdu_of(&crate::json::canonical::object_to_vec(&object));
    assert_eq!(changed.integrity(), Integrity::Redacted);
    let extension = extension(participant.judge(changed, false));
    participant.append(extension).unwrap();
    assert_eq!(participant.room().head().event_id, *event.id());
}

#[test]
fn a_snapshot_is_one_room_with_every_slot_filled_once() {
    let hub = TestHub::new(json!({})).public();
    let room = hub.hub.room().id().clone();
    let all: Vec<_> = hub.list.iter().map(|event| pdu(event)).collect();
    let prev = hub.hub.room().head().event_id.clone();
    let snapshot = |state: Vec<VerifiedPdu>| Snapshot::new(&room, state, vec![], prev.clone());
    assert!(snapshot(all.clone()).is_ok());
    assert_eq!(snapshot(all[1..].to_vec()).unwrap_err(), SnapshotError::NoCreate);
    let twice: Vec<_> = all.iter().chain(&all[1..2]).cloned().collect();
    assert_eq!(snapshot(twice).unwrap_err(), SnapshotError::Stray(hub.list[1].id().clone()));
    let other = crate::id::RoomId::parse("!other:hub.example").unwrap();
    assert!(matches!(Snapshot::new(&other, all.clone(), vec![], prev.clone()), Err(SnapshotError::Stray(_))));
    let versions = versions();
    let started = Participant::start(snapshot(all).unwrap(), &server("d.example"), &versions);
    assert_eq!(started.unwrap_err(), SnapshotError::OtherHub(server("hub.example")));
}

#[test]
fn the_first_event_has_to_be_sound() {
    let hub = TestHub::new(json!({}));
    let room = hub.hub.room().id().clone();
    let state: Vec<_> = hub.list.iter().map(|event| pdu(event)).collect();
    let prev = hub.hub.room().head().event_id.clone();
    let snapshot = Snapshot::new(&room, state, vec![], prev).unwrap();
    let participant = Participant::start(snapshot, &hub.name, &versions()).unwrap();
    let join = Draft::member(room, &user(BOB), &user(BOB), Membership::Join, TS);
    let error = participant.judge_first(forge_next(&hub, join)).unwrap_err();
    assert!(matches!(error, SnapshotError::Event(refusal) if refusal.rule.to_string() == "auth 5.2.6"));
}

#[test]
fn a_participant_is_read_back_from_its_records() {
    let (mut hub, mut participant) = pair();
    let mut list = vec![hub.list.last().unwrap().clone()];
    for _ in 0..3 {
        let event = hub.message(BOB).unwrap();
        follow(&mut participant, &event);
        list.push(event);
    }
    let record = |event: &RoomEvent| Recorded::read(event.bytes(), event.id(), &hub.version).unwrap();
    let state: Vec<_> = hub.list[..3].iter().map(|event| record(event)).collect();
    let prev = hub.list[2].id().clone();
    let snapshot = Snapshot::recorded(hub.hub.room().id(), state, vec![], prev).unwrap();
    let mut again = Participant::start(snapshot, &hub.name, &versions()).unwrap();
    for event in &list {
        again.replay(record(event), Effect::Applied, true).unwrap();
    }
    assert_eq!(again.room().head(), participant.room().head());
}

#[test]
fn rejected_events_do_not_pile_up() {
    let (hub, mut participant) = pair();
    for number in 0..2 * MAX_REJECTED {
        let draft = hub.draft(CAROL, "m.room.message", None, json!({"n": number}));
        let verdict = rejected(participant.judge(forge_next(&hub, draft), false));
        participant.keep(verdict);
    }
    assert_eq!(participant.rejected.len(), MAX_REJECTED);
}

#[test]
fn what_follows_a_rejected_event_on_a_dead_branch_is_a_fork() {
    let (mut hub, mut participant) = pair();
    let place = hub.hub.room().head().event_id.clone();
    let bad = hub.draft(BOB, "m.room.name", Some(""), json!({"name": "mine"}));
    let bad = forge_next(&hub, bad);
    let bad_id = bad.event().id().clone();
    let next = hub.draft(ALICE, "m.room.message", None, json!({"body": "after it"}));
    let cited = cites(&hub, &next);
    let next = forge(&hub, next, &cited, std::slice::from_ref(&bad_id));
    participant.keep(rejected(participant.judge(bad, false)));
    // The hub goes on from the event before instead, and then from the rejected one after all.
    let listed = hub.message(ALICE).unwrap();
    follow(&mut participant, &listed);
    assert_eq!(participant.predecessor_elsewhere(&next), Some(&place));
    let verdict = rejected(participant.judge(next, true));
    assert_eq!(verdict.refusal, Refusal::new(RoomRule::Fork, Because::Event(place)));
    assert!(!participant.room().is_disputed());
    // It is the rejected event and the listed one that show the fork.
    let mut excerpt = evidence::Excerpt::new();
    excerpt.insert(Arc::clone(&listed));
    let evidence::Accusation::Proof(proof) = participant.accuse(&verdict, &excerpt) else {
        panic!("a proof")
    };
    let proved = proof.verify(&versions(), &ring()).unwrap();
    assert_eq!(proved.events(), [listed.id().clone(), bad_id]);
}

#[test]
fn an_event_that_could_not_be_judged_is_not_held_against_the_hub() {
    let (mut hub, mut participant) = pair();
    let (first, second, third) =
        (hub.message(ALICE).unwrap(), hub.message(ALICE).unwrap(), hub.message(ALICE).unwrap());
    // The second arrives, and the first cannot be had.
    let Verdict::Gap { missing, pdu: second_pdu } = participant.judge(pdu(&second), false) else {
        panic!("a gap")
    };
    let refusal = Refusal::new(RoomRule::UnknownPredecessor, Because::Event(missing));
    participant.keep(Rejected { event: second_pdu.into_event(), refusal });
    follow(&mut participant, &first);
    // The third names the second, which is to be fetched and judged, not listed as rejected.
    let Verdict::Gap { missing, .. } = participant.judge(pdu(&third), false) else { panic!("a gap") };
    assert_eq!(missing, *second.id());
    follow(&mut participant, &second);
    follow(&mut participant, &third);
    assert!(!participant.room().is_disputed());
}

#[test]
fn what_is_rejected_takes_no_effect_even_in_the_list() {
    let (mut hub, mut participant) = pair();
    let dave = user("@dave:b.example");
    let invite = Draft::member(hub.hub.room().id().clone(), &user(CAROL), &dave, Membership::Invite, TS);
    let bad = forge_next(&hub, invite);
    let bad_id = bad.event().id().clone();
    participant.keep(rejected(participant.judge(bad, false)));
    let next = hub.draft(ALICE, "m.room.message", None, json!({}));
    let cited = cites(&hub, &next);
    let next = forge(&hub, next, &cited, std::slice::from_ref(&bad_id));
    let next_id = next.event().id().clone();
    let extended = extension(participant.judge(next, false));
    let shown = participant.append(extended).unwrap();
    assert_eq!(shown.iter().map(|event| event.id().clone()).collect::<Vec<_>>(), [next_id]);
    let room = participant.room();
    assert!(room.is_disputed());
    assert_eq!(room.membership(&dave), Membership::Leave);
    assert_eq!(room.presence().members(&server("b.example")).invited, 0);
    assert!(room.state().by_id(&bad_id).is_none(), "it cannot be cited");
    assert_eq!(participant.rejected().count(), 0);
    // Whatever cites it later breaks rule 4.
    let join = Draft::member(hub.hub.room().id().clone(), &dave, &dave, Membership::Join, TS);
    let cited = [hub.list[0].id().clone(), bad_id, hub.list[2].id().clone()];
    let head = participant.room().head().event_id.clone();
    let verdict = rejected(participant.judge(forge(&hub, join, &cited, &[head]), false));
    assert_eq!(verdict.refusal.rule.to_string(), "auth 4.2");
    assert!(hub.message(BOB).is_ok());
}

#[test]
fn a_commit_that_does_not_fit_is_soft_failed_and_stays_in_the_list() {
    let mut hub =
        TestHub::new(json!({"encryption": {"algorithm": "m.mls.v1.dhkemx25519-aes128gcm-sha256-ed25519"}}));
    hub = hub.public();
    let mut participant = hub.join(BOB);
    assert_eq!(participant.room().encryption().epoch(), Some(0), "a room with MLS");
    let commit = hub.draft(BOB, "m.mls.commit", None, json!({"mls_commit_message": "x"}));
    assert!(hub.send(commit.clone()).is_err(), "the hub refuses it as an LPDU");
    let commit = forge_next(&hub, commit);
    let commit_id = commit.event().id().clone();
    let extended = extension(participant.judge(commit, false));
    assert_eq!(extended.steps().last().unwrap().effect(), Effect::SoftFailed);
    assert!(matches!(extended.complaint().unwrap().rule, auth::Rule::Mls(_)));
    assert!(participant.append(extended).unwrap().is_empty(), "nobody is shown it");
    assert_eq!(participant.room().head().event_id, commit_id);
    assert!(!participant.room().is_disputed(), "only what is rejected makes a dispute");
    assert_eq!(participant.room().encryption().epoch(), Some(0));
    // The hub goes on from it.
    let next = hub.draft(BOB, "m.room.message", None, json!({}));
    let cited = cites(&hub, &next);
    let next = extension(participant.judge(forge(&hub, next, &cited, &[commit_id]), false));
    assert_eq!(next.steps().len(), 1);
}

#[test]
fn a_dispute_is_remembered() {
    let (hub, mut participant) = pair();
    let start = Snapshot::new(
        hub.hub.room().id(),
        hub.list[..3].iter().map(|event| pdu(event)).collect(),
        vec![],
        hub.list[2].id().clone(),
    );
    let bad = forge_next(&hub, hub.draft(BOB, "m.room.name", Some(""), json!({"name": "mine"})));
    let bad_id = bad.event().id().clone();
    participant.keep(rejected(participant.judge(bad, false)));
    let next = hub.draft(ALICE, "m.room.message", None, json!({}));
    let cited = cites(&hub, &next);
    let extended = extension(participant.judge(forge(&hub, next, &cited, &[bad_id]), false));
    let records: Vec<(Vec<u8>, EventId, Effect)> = extended
        .steps()
        .iter()
        .map(|step| (step.event().bytes().to_vec(), step.event().id().clone(), step.effect()))
        .collect();
    let mut again = Participant::start(start.unwrap(), &hub.name, &versions()).unwrap();
    let join = &hub.list[3];
    again
        .replay(Recorded::read(join.bytes(), join.id(), &hub.version).unwrap(), Effect::Applied, true)
        .unwrap();
    for (bytes, id, effect) in records {
        again.replay(Recorded::read(&bytes, &id, &hub.version).unwrap(), effect, true).unwrap();
    }
    assert!(again.room().is_disputed());
    assert!(again.room().state().current("m.room.name", "").is_none());
    assert_eq!(again.room().head().length, 3);
}

in_versions! {
    unstable = UNSTABLE => [
        a_participant_arrives_at_the_hubs_state,
        an_event_that_breaks_a_rule_is_rejected_with_it,
        an_event_through_another_hub_is_rejected,
        a_gap_is_named_and_a_fork_is_rejected,
        a_room_is_disputed_when_the_hub_goes_on_from_a_rejected_event,
        only_what_no_hub_sealed_may_have_more_predecessors,
        an_extension_belongs_to_its_head,
        a_redacted_event_keeps_its_place,
        a_snapshot_is_one_room_with_every_slot_filled_once,
        the_first_event_has_to_be_sound,
        a_participant_is_read_back_from_its_records,
        rejected_events_do_not_pile_up,
    ]
    draft_01 = DRAFT_01 => [
        a_participant_arrives_at_the_hubs_state,
        an_event_that_breaks_a_rule_is_rejected_with_it,
        an_event_through_another_hub_is_rejected,
        a_gap_is_named_and_a_fork_is_rejected,
        a_room_is_disputed_when_the_hub_goes_on_from_a_rejected_event,
        an_extension_belongs_to_its_head,
        a_redacted_event_keeps_its_place,
        a_snapshot_is_one_room_with_every_slot_filled_once,
        the_first_event_has_to_be_sound,
        a_participant_is_read_back_from_its_records,
        rejected_events_do_not_pile_up,
    ]
    transfer = TRANSFER => [
        a_participant_arrives_at_the_hubs_state,
        an_event_that_breaks_a_rule_is_rejected_with_it,
        a_gap_is_named_and_a_fork_is_rejected,
        a_room_is_disputed_when_the_hub_goes_on_from_a_rejected_event,
        an_extension_belongs_to_its_head,
        a_redacted_event_keeps_its_place,
        a_snapshot_is_one_room_with_every_slot_filled_once,
        the_first_event_has_to_be_sound,
        a_participant_is_read_back_from_its_records,
        rejected_events_do_not_pile_up,
    ]
}
