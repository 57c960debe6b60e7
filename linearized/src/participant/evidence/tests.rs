mod documents;

use serde_json::json;

use super::*;
use crate::auth::{AuthRule, Membership, RoomRule, Rule};
use crate::event::{Draft, Event, Lpdu, Pdu, VerifiedPdu, hash, redact};
use crate::hub::{INVITE_RESERVE, Proposal};
use crate::id::EventId;
use crate::participant::{Participant, Rejected, Verdict};
use crate::signing::ServerKeyRing;
use crate::testing::*;
use crate::version::{DRAFT_01, RoomVersions, TRANSFER};

/// The hub's key and no other: whoever judges evidence needs nothing else.
fn hub_key() -> ServerKeyRing {
    let mut ring = ServerKeyRing::new();
    let hub = server("hub.example");
    ring.insert(&hub, key(&hub).id(), key(&hub).verify_key(), i64::MAX);
    ring
}

/// What a third party finds out from the document alone.
fn judged(evidence: &Evidence) -> Result<Proved, EvidenceError> {
    let read = Evidence::parse(&evidence.to_vec()).unwrap();
    assert_eq!(read, *evidence);
    read.verify(&RoomVersions::lm_04(), &hub_key())
}

fn pair() -> (TestHub, Participant) {
    let mut hub = TestHub::new(json!({})).public();
    let participant = hub.join(BOB);
    (hub, participant)
}

fn cites(hub: &TestHub, draft: &Draft) -> Vec<EventId> {
    let event = draft.clone().into_event(&hub.version).unwrap();
    hub.hub.room().select(&event).to_cite(&event)
}

/// An event that follows `prev`, citing what the hub's state asks for.
fn after(hub: &TestHub, draft: Draft, prev: &EventId) -> VerifiedPdu {
    let cited = cites(hub, &draft);
    forge(hub, draft, &cited, std::slice::from_ref(prev))
}

fn head(hub: &TestHub) -> EventId {
    hub.hub.room().head().event_id.clone()
}

fn rejected(verdict: Verdict) -> Rejected {
    match verdict {
        Verdict::Rejected(rejected) => rejected,
        other => panic!("{other:?}"),
    }
}

fn follow(participant: &mut Participant, event: &RoomEvent) {
    match participant.judge(pdu(event), false) {
        Verdict::Extends(extension) => participant.append(extension).unwrap(),
        other => panic!("{other:?}"),
    };
}

/// Gives whoever accuses what it needs of the hub's list, and counts how often it asked.
fn accuse(hub: &TestHub, ask: impl Fn(&Excerpt) -> Accusation) -> (Result<Evidence, String>, usize) {
    let mut excerpt = Excerpt::new();
    for asked in 0.. {
        let found = match ask(&excerpt) {
            Accusation::Proof(evidence) => return (Ok(evidence), asked),
            Accusation::Unprovable(why) => return (Err(why.to_string()), asked),
            Accusation::Needs(Need::Event(id)) => hub.list.iter().find(|event| *event.id() == id),
            Accusation::Needs(Need::After(id)) => {
                hub.list.iter().find(|event| event.prev_events().contains(&id))
            }
        };
        let Some(found) = found else { return (Err("not listed".to_owned()), asked) };
        excerpt.insert(found.clone());
    }
    unreachable!()
}

#[test]
fn a_fork_is_proved_with_the_event_that_is_listed() {
    let (mut hub, mut participant) = pair();
    let prev = head(&hub);
    let listed = hub.message(ALICE).unwrap();
    follow(&mut participant, &listed);
    let other = after(&hub, hub.draft(BOB, "m.room.message", None, json!({"body": "psst"})), &prev);
    let verdict = rejected(participant.judge(other, true));
    assert!(matches!(
        participant.accuse(&verdict, &Excerpt::new()),
        Accusation::Needs(Need::After(id)) if id == prev
    ));
    let (evidence, asked) = accuse(&hub, |excerpt| participant.accuse(&verdict, excerpt));
    assert_eq!(asked, 1);
    let proved = judged(&evidence.unwrap()).unwrap();
    assert_eq!(proved.rule(), RoomRule::Fork.into());
    let events = [listed.id().clone(), verdict.event.id().clone()];
    assert_eq!(proved.fault, Fault::Fork { after: Some(prev.clone()), events: events.clone() });
    let [one, two] = &events;
    assert_eq!(
        proved.to_string(),
        format!(
            "hub.example, the hub of !room:hub.example, sealed {one} and {two}, which both follow {prev}"
        )
    );
}

#[test]
fn nothing_is_proved_where_the_hub_can_change() {
    let _version = in_version(TRANSFER);
    let (mut hub, mut participant) = pair();
    let prev = head(&hub);
    let listed = hub.message(ALICE).unwrap();
    follow(&mut participant, &listed);
    let other = after(&hub, hub.draft(BOB, "m.room.message", None, json!({"body": "psst"})), &prev);
    let verdict = rejected(participant.judge(other, true));
    let (evidence, _) = accuse(&hub, |excerpt| participant.accuse(&verdict, excerpt));
    assert_eq!(evidence.unwrap_err(), EvidenceError::HubChanges.to_string());
}

#[test]
fn a_second_beginning_is_a_fork() {
    let (hub, participant) = pair();
    let create = hub.draft(ALICE, "m.room.create", Some(""), json!({"room_version": "I.1", "again": 1}));
    let verdict = rejected(participant.judge(forge(&hub, create, &[], &[]), false));
    let (evidence, _) = accuse(&hub, |excerpt| participant.accuse(&verdict, excerpt));
    let proved = judged(&evidence.unwrap()).unwrap();
    assert!(matches!(proved.fault, Fault::Fork { after: None, .. }));
    assert!(proved.to_string().contains("began the room twice"));
}

/// The hub seals Bob's invite of Dave and asks Dave's server; a message comes first; it seals the invite anew.
fn overtaken_invite(hub: &mut TestHub) -> (RoomEvent, RoomEvent) {
    let dave = user("@dave:d.example");
    let lpdu =
        hub.lpdu(Draft::member(hub.hub.room().id().clone(), &user(BOB), &dave, Membership::Invite, TS));
    let seal = |hub: &TestHub| {
        let lpdu = Lpdu::parse(&lpdu.bytes, &hub.version).unwrap().verify(&ring()).unwrap();
        let authorised = hub.hub.authorise(Proposal::of_lpdu(lpdu)).unwrap();
        authorised.seal(&hub.name, &key(&hub.name), &hub.version, INVITE_RESERVE).unwrap()
    };
    let given_up = seal(hub).event().clone();
    hub.message(ALICE).unwrap();
    let again = seal(hub);
    let again = hub.append(again);
    (given_up, (*again).clone())
}

#[test]
fn an_invite_that_was_overtaken_accuses_nobody() {
    let (mut hub, mut participant) = pair();
    let (given_up, again) = overtaken_invite(&mut hub);
    hub.message(ALICE).unwrap();
    let create = (*hub.list[0]).clone();
    let message = &hub.list[hub.list.len() - 3];
    assert_eq!(given_up.prev_events(), message.prev_events());
    assert_eq!(given_up.lpdu_id(), again.lpdu_id());
    for evidence in [
        Evidence::fork(&create, message, &given_up, hub.list.iter().map(|event| &**event)),
        Evidence::sealed_twice(&create, &again, &given_up, hub.list.iter().map(|event| &**event)),
    ] {
        let error = judged(&evidence).unwrap_err();
        assert!(matches!(error, EvidenceError::Tentative(id) if id == *given_up.id()));
    }
    // Nor does a participant that got both hold it against the hub.
    follow(&mut participant, message);
    let verdict = rejected(participant.judge(pdu(&given_up), true));
    let (evidence, _) = accuse(&hub, |excerpt| participant.accuse(&verdict, excerpt));
    assert_eq!(evidence.unwrap_err(), "not listed");

    // If the hub goes on from it, it was listed.
    let next = after(&hub, hub.draft(ALICE, "m.room.message", None, json!({})), given_up.id());
    let next = next.into_event();
    for (evidence, rule) in [
        (Evidence::fork(&create, message, &given_up, [&next]), RoomRule::Fork),
        (
            Evidence::sealed_twice(&create, &given_up, &again, [&next, hub.list.last().unwrap()]),
            RoomRule::SealedTwice,
        ),
    ] {
        assert_eq!(judged(&evidence).unwrap().rule(), rule.into());
    }
    participant.keep(verdict.clone());
    let built_on_it = rejected(participant.judge(pdu(&next), true));
    let (evidence, _) = accuse(&hub, |excerpt| participant.accuse(&built_on_it, excerpt));
    assert_eq!(judged(&evidence.unwrap()).unwrap().rule(), RoomRule::Fork.into());
    participant.keep(built_on_it);
    let (evidence, _) = accuse(&hub, |excerpt| participant.accuse(&verdict, excerpt));
    assert_eq!(judged(&evidence.unwrap()).unwrap().rule(), RoomRule::Fork.into());
}

#[test]
fn an_lpdu_that_is_sealed_twice() {
    let (mut hub, participant) = pair();
    let lpdu = hub.lpdu(hub.draft(BOB, "m.room.message", None, json!({"body": "once"})));
    let proposal =
        || Proposal::of_lpdu(Lpdu::parse(&lpdu.bytes, &hub.version).unwrap().verify(&ring()).unwrap());
    let (first, second) = (proposal(), proposal());
    let (first, second) = (hub.accept(first).unwrap(), hub.accept(second).unwrap());
    let (evidence, asked) =
        accuse(&hub, |excerpt| participant.accuse_of_sealing_twice(&second, &first, excerpt));
    assert_eq!(asked, 0);
    let proved = judged(&evidence.unwrap()).unwrap();
    assert_eq!(proved.rule(), RoomRule::SealedTwice.into());
    assert!(matches!(&proved.fault, Fault::SealedTwice { lpdu: id, .. } if *id == lpdu.id));
    let other = hub.message(BOB).unwrap();
    let error = judged(&Evidence::sealed_twice(&hub.list[0], &first, &other, [])).unwrap_err();
    assert!(matches!(error, EvidenceError::OtherLpdus));
    let error = judged(&Evidence::sealed_twice(&hub.list[0], &first, &first, [])).unwrap_err();
    assert!(matches!(error, EvidenceError::SameEvent(_)));
}

#[test]
fn two_messages_with_one_lpdu_id_accuse_nobody() {
    let _version = in_version(DRAFT_01);
    let (mut hub, participant) = pair();
    // Without a hash in the LPDU its id covers no more of a message than its sender, type and time.
    let [first, other, second] = ["yes", "no", "yes"]
        .map(|body| hub.event(BOB, "m.room.message", None, json!({"body": body})).unwrap());
    assert_eq!(first.lpdu_id(), other.lpdu_id());
    let judged = |evidence: Evidence| evidence.verify(&versions(), &hub_key());
    let twice = |one: &RoomEvent, other: &RoomEvent| Evidence::sealed_twice(&hub.list[0], one, other, []);
    let error = judged(twice(&first, &other)).unwrap_err();
    assert!(matches!(error, EvidenceError::ContentsNotTold(id) if Some(&id) == first.lpdu_id()));
    let accusation = participant.accuse_of_sealing_twice(&other, &first, &Excerpt::new());
    assert!(matches!(accusation, Accusation::Unprovable(_)));
    // Nor do redacted copies show which of them they were, or one that somebody changed to be like the other.
    let bare = [&first, &second].map(|event| event.redacted(&hub.version.redaction));
    for (one, other) in [(&bare[0], &bare[1]), (&bare[0], &*second), (&*first, &bare[1])] {
        assert!(matches!(judged(twice(one, other)), Err(EvidenceError::ContentsNotTold(_))));
    }
    let mut changed = twice(&first, &other);
    changed.events[1]["content"]["body"] = json!("yes");
    assert!(matches!(judged(changed), Err(EvidenceError::ContentsNotTold(_))));
    assert_eq!(judged(twice(&first, &second)).unwrap().rule(), RoomRule::SealedTwice.into());
}

/// What is wrong with an event, as the participant says and as a third party finds.
fn forbidden(hub: &TestHub, participant: &Participant, pdu: VerifiedPdu) -> Rule {
    let verdict = rejected(participant.judge(pdu, false));
    let (evidence, asked) = accuse(hub, |excerpt| participant.accuse(&verdict, excerpt));
    let evidence = evidence.unwrap();
    // All that is asked for is the text of what the room only knows by id any more.
    let state = participant.room().state();
    let is_past = |id: &&EventId| state.by_id(id).is_some_and(|entry| entry.held().is_none());
    let past = verdict.event.auth_events().iter().filter(is_past).count();
    assert_eq!((evidence.claim(), asked), (Claim::Forbidden, past));
    let proved = judged(&evidence).unwrap();
    assert_eq!(proved.rule(), verdict.refusal.rule);
    assert_eq!(proved.events(), [verdict.event.id().clone()]);
    proved.rule()
}

#[test]
fn an_event_that_its_citations_do_not_allow() {
    let (hub, participant) = pair();
    let next = |draft: Draft| after(&hub, draft, &head(&hub));
    let member = |sender: &str, target: &str, membership| {
        Draft::member(hub.hub.room().id().clone(), &user(sender), &user(target), membership, TS)
    };
    for (draft, rule) in [
        (hub.draft(CAROL, "m.room.message", None, json!({})), AuthRule::SenderNotJoined),
        (hub.draft(BOB, "m.room.name", Some(""), json!({})), AuthRule::SendLevel),
        (hub.draft(ALICE, "m.room.name", Some(BOB), json!({})), AuthRule::StateKeyOwner),
        (hub.draft(ALICE, "m.room.create", Some(""), json!({})), AuthRule::CreateHasPrevEvents),
        (member(BOB, ALICE, Membership::Ban), AuthRule::BanOtherwise),
        (member(CAROL, CAROL, Membership::Leave), AuthRule::LeaveSelf),
        (hub.draft(ALICE, "m.room.power_levels", Some(""), json!({"ban": "x"})), AuthRule::LevelNotInteger),
    ] {
        assert_eq!(forbidden(&hub, &participant, next(draft)), rule.into());
    }
}

#[test]
fn an_event_that_cites_what_it_may_not() {
    let (mut hub, mut participant) = pair();
    let join = |n: usize| hub.list[n].id().clone();
    let (create, alice, rules, bob) = (join(0), join(1), join(2), join(3));
    let again = hub.event(BOB, "m.room.member", Some(BOB), json!({"membership": "join", "n": 1})).unwrap();
    follow(&mut participant, &again);
    let message = |cited: &[EventId]| {
        forge(&hub, hub.draft(BOB, "m.room.message", None, json!({})), cited, &[head(&hub)])
    };
    for (cited, rule) in [
        (vec![again.id().clone()], AuthRule::CitedNoCreate),
        (vec![create.clone(), again.id().clone(), rules], AuthRule::CitedWrongly),
        (vec![create.clone(), again.id().clone(), alice], AuthRule::CitedWrongly),
        (vec![create.clone(), again.id().clone(), again.id().clone()], AuthRule::CitedTwice),
        (vec![create.clone(), again.id().clone(), bob.clone()], AuthRule::CitedTwice),
    ] {
        assert_eq!(forbidden(&hub, &participant, message(&cited)), rule.into(), "{cited:?}");
    }
    // Without its sender's membership it is not allowed, and so does not show that it should have cited it.
    let verdict = rejected(participant.judge(message(std::slice::from_ref(&create)), false));
    let (evidence, _) = accuse(&hub, |excerpt| participant.accuse(&verdict, excerpt));
    assert_eq!(judged(&evidence.unwrap()).unwrap().rule(), AuthRule::SenderNotJoined.into());
    // Without a predecessor, or with two, it has no place, whoever sent it.
    let lost = |sender: &str, prev: &[EventId]| {
        forge(&hub, hub.draft(sender, "m.room.message", None, json!({})), std::slice::from_ref(&create), prev)
    };
    for prev in [vec![], vec![bob, head(&hub)]] {
        for sender in [ALICE, BOB] {
            assert_eq!(forbidden(&hub, &participant, lost(sender, &prev)), RoomRule::Predecessors.into());
        }
    }
}

#[test]
fn an_event_that_passes_over_the_state_before_it() {
    let (mut hub, mut participant) = pair();
    let name = hub.draft(BOB, "m.room.name", Some(""), json!({"name": "x"}));
    let levels = |bob: i64| json!({"users": {ALICE: 100, BOB: bob}});
    let old = hub.event(ALICE, "m.room.power_levels", Some(""), levels(50)).unwrap();
    follow(&mut participant, &old);
    let stale = cites(&hub, &name);
    let new = hub.event(ALICE, "m.room.power_levels", Some(""), levels(0)).unwrap();
    follow(&mut participant, &new);
    for _ in 0..3 {
        let message = hub.message(BOB).unwrap();
        follow(&mut participant, &message);
    }
    let bad = forge(&hub, name, &stale, &[head(&hub)]);
    let verdict = rejected(participant.judge(bad, false));
    assert_eq!(verdict.refusal.rule, AuthRule::CitedWrongly.into());
    let (evidence, asked) = accuse(&hub, |excerpt| participant.accuse(&verdict, excerpt));
    let evidence = evidence.unwrap();
    assert_eq!(
        (evidence.claim(), asked),
        (Claim::IgnoredState, 4),
        "the old levels, and the way to the new ones"
    );
    let proved = judged(&evidence).unwrap();
    let (event, state) = (verdict.event.id().clone(), new.id().clone());
    assert_eq!(proved.fault, Fault::IgnoredState { event, state });
    assert_eq!(proved.rule(), AuthRule::CitedWrongly.into());

    let (create, path) = (&hub.list[0], &hub.list[4..]);
    let shown = |path: &[std::sync::Arc<RoomEvent>]| {
        judged(&Evidence::ignored_state(create, &verdict.event, path.iter().map(|event| &**event)))
    };
    assert!(shown(&path[1..]).is_ok());
    assert!(matches!(shown(path), Err(EvidenceError::Cited(id)) if id == *old.id()));
    assert!(matches!(shown(&path[2..]), Err(EvidenceError::NotSelected(_))));
    assert!(matches!(shown(&[]), Err(EvidenceError::Broken(_))));
    assert!(matches!(shown(&path[1..4]), Err(EvidenceError::Broken(_))));
    assert!(matches!(shown(&hub.list), Err(EvidenceError::NotSelected(_))));
    let name = hub.event(ALICE, "m.room.name", Some(""), json!({})).unwrap();
    let path = [&**hub.list.last().unwrap()];
    assert!(matches!(
        judged(&Evidence::ignored_state(&hub.list[0], &name, path)),
        Err(EvidenceError::Broken(_))
    ));
}

#[test]
fn state_that_was_replaced_need_not_be_cited() {
    let (mut hub, _) = pair();
    let levels = |n: i64| json!({"users": {ALICE: 100}, "n": n});
    let from = hub.list.len();
    for n in 0..3 {
        hub.event(ALICE, "m.room.power_levels", Some(""), levels(n)).unwrap();
    }
    let message = hub.message(BOB).unwrap();
    let path = hub.list[from..hub.list.len() - 1].iter().map(|event| &**event);
    let error = judged(&Evidence::ignored_state(&hub.list[0], &message, path)).unwrap_err();
    assert!(matches!(error, EvidenceError::Replaced(old, new)
        if old == *hub.list[from].id() && new == *hub.list[from + 1].id()));
}

#[test]
fn what_builds_on_a_rejected_event_is_no_fault_of_its_own() {
    let (hub, mut participant) = pair();
    let levels = hub.draft(BOB, "m.room.power_levels", Some(""), json!({"users": {BOB: 100}}));
    let bad = after(&hub, levels, &head(&hub));
    let bad_id = bad.event().id().clone();
    participant.keep(rejected(participant.judge(bad, false)));
    // By the hub's list Bob may do this now, and it cites what that list says.
    let name = hub.draft(BOB, "m.room.name", Some(""), json!({"name": "x"}));
    let cited = [hub.list[0].id().clone(), bad_id.clone(), hub.list[3].id().clone()];
    let verdict = rejected(participant.judge(forge(&hub, name, &cited, &[bad_id]), false));
    assert!(matches!(participant.accuse(&verdict, &Excerpt::new()), Accusation::Unprovable(_)));
    let bad = participant.rejected().next().unwrap();
    assert!(matches!(participant.accuse(bad, &Excerpt::new()), Accusation::Proof(_)));
}

#[test]
fn a_knock_is_judged_without_the_join_rules_it_need_not_cite() {
    let (hub, participant) = pair();
    let knock = |sender: &str, target: &str| {
        let id = hub.hub.room().id().clone();
        Draft::member(id, &user(sender), &user(target), Membership::Knock, TS)
    };
    let made = |draft: Draft| {
        let verdict = rejected(participant.judge(after(&hub, draft, &head(&hub)), false));
        assert_eq!(verdict.refusal.rule, AuthRule::KnockJoinRule.into());
        accuse(&hub, |excerpt| participant.accuse(&verdict, excerpt)).0
    };
    // The room is public, which nothing that the event cites says.
    assert!(made(knock(CAROL, CAROL)).is_err());
    for (draft, rule) in
        [(knock(BOB, CAROL), AuthRule::KnockNotSelf), (knock(BOB, BOB), AuthRule::KnockOtherwise)]
    {
        assert_eq!(judged(&made(draft).unwrap()).unwrap().rule(), rule.into());
    }
}
