use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::auth::{AuthRule, Because, HubRule, Membership, Refusal, RoomRule, Rule};
use crate::event::{Draft, Integrity, Lpdu, RoomEvent, VerifiedPdu};
use crate::hub::{Proposal, Sealed};
use crate::participant::{OfferError, Rejected, Snapshot, SnapshotError, Verdict};
use crate::room::MemoryLog;
use crate::testing::*;
use crate::version::{RoomVersion, TRANSFER};

const B: &str = "b.example";
const C: &str = "c.example";

/// Three servers in one public room: Alice's, which is its hub, Bob's and Carol's. Alice and Bob may transfer it.
struct Servers {
    alice: TestHub,
    bob: Participant,
    carol: Participant,
    _version: InVersion,
}

fn servers() -> Servers {
    let version = in_version(TRANSFER);
    let mut alice = TestHub::new(json!({})).public();
    let levels = json!({"users": {ALICE: 100, BOB: 100}});
    alice.event(ALICE, "m.room.power_levels", Some(""), levels).unwrap();
    let mut bob = alice.join(BOB);
    let carol = alice.join(CAROL);
    follow(&mut bob, alice.list.last().unwrap());
    Servers { alice, bob, carol, _version: version }
}

fn version() -> RoomVersion {
    RoomVersion::transfer()
}

fn judge(participant: &Participant, event: &RoomEvent) -> Verdict {
    participant.judge(pdu(event), false)
}

fn follow(participant: &mut Participant, event: &RoomEvent) {
    match judge(participant, event) {
        Verdict::Extends(extension) => drop(participant.append(extension).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn rejected(participant: &Participant, event: VerifiedPdu, listed: bool) -> Rejected {
    match participant.judge(event, listed) {
        Verdict::Rejected(rejected) => rejected,
        other => panic!("{other:?}"),
    }
}

/// A proposal to a hub by whoever the sender is.
fn proposal(room: &Room, draft: Draft) -> Proposal {
    if draft.sender.server() == *room.hub() {
        return Proposal::of_own(draft, room.version()).unwrap();
    }
    let lpdu = draft.clone().into_lpdu(room.hub(), &key(&draft.sender.server()), room.version()).unwrap();
    Proposal::of_lpdu(Lpdu::parse(&lpdu.bytes, room.version()).unwrap().verify(&ring()).unwrap())
}

fn draft(room: &Room, sender: &str, kind: &str, state_key: Option<&str>, content: Value) -> Draft {
    Draft {
        room_id: room.id().clone(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: user(sender),
        content: object(content),
        origin_server_ts: TS,
    }
}

fn transfer(room: &Room, sender: &str, next: &str) -> Proposal {
    proposal(room, draft(room, sender, "m.room.hub", Some(""), json!({"hub_server": next})))
}

fn seal(hub: &Hub, authorised: Authorised) -> Result<Sealed, Refusal> {
    let name = hub.room().hub().clone();
    authorised.seal(&name, &key(&name), hub.room().version(), 0)
}

fn accept(hub: &mut Hub, proposal: Proposal) -> RoomEvent {
    let sealed = seal(hub, hub.authorise(proposal).unwrap()).unwrap();
    RoomEvent::clone(&hub.append(sealed).unwrap())
}

fn say(hub: &mut Hub, sender: &str) -> RoomEvent {
    let proposal = proposal(hub.room(), draft(hub.room(), sender, "m.room.message", None, json!({})));
    accept(hub, proposal)
}

/// The consent of the server that is asked, and the event sealed with it.
fn with_consent(hub: &Hub, next: &Participant, proposal: Proposal) -> Sealed {
    let authorised = hub.authorise(proposal).unwrap();
    let name = authorised.asks().unwrap().clone();
    let entry = next.consent(&authorised.offer(&version()), &name, &key(&name), &ring()).unwrap();
    seal(hub, authorised.consented(&entry, &ring(), &version()).unwrap()).unwrap()
}

/// Alice makes Bob's server the hub; all three follow.
fn transferred() -> (Participant, Hub, Participant, RoomEvent) {
    let Servers { mut alice, mut bob, mut carol, _version } = servers();
    let sealed = with_consent(&alice.hub, &bob, transfer(alice.hub.room(), ALICE, B));
    let event = alice.append(sealed);
    follow(&mut bob, &event);
    follow(&mut carol, &event);
    let (old, new) = (alice.hub.hand_over().unwrap(), bob.take_over(&server(B)).unwrap());
    (old, new, carol, RoomEvent::clone(&event))
}

fn rule_of(refusal: &Refusal) -> Rule {
    refusal.rule
}

#[test]
fn the_next_hub_goes_on_from_the_transfer() {
    let _version = in_version(TRANSFER);
    let (mut alice, mut bob, mut carol, event) = transferred();
    assert_eq!(event.event().hub_server(), None);
    let signers: Vec<_> = event.event().as_object()["signatures"].as_object().unwrap().keys().collect();
    assert_eq!(signers, [B, "hub.example"]);
    for sender in [BOB, CAROL, ALICE] {
        let next = say(&mut bob, sender);
        assert_eq!(next.event().sealer().as_str(), B);
        follow(&mut alice, &next);
        follow(&mut carol, &next);
    }
    assert_eq!(alice.room().head().event_id, bob.room().head().event_id);
    assert_eq!(carol.room().head().event_id, bob.room().head().event_id);
    for room in [alice.room(), bob.room(), carol.room()] {
        assert_eq!(room.hub().as_str(), B);
        assert!(!room.is_disputed());
    }
}

#[test]
fn a_hub_can_be_handed_on_and_back() {
    let _version = in_version(TRANSFER);
    let (mut alice, mut bob, mut carol, first) = transferred();
    let sealed = with_consent(&bob, &alice, transfer(bob.room(), BOB, "hub.example"));
    let second = RoomEvent::clone(&bob.append(sealed).unwrap());
    assert!(second.auth_events().contains(first.id()), "it cites the transfer before it");
    follow(&mut alice, &second);
    follow(&mut carol, &second);
    let (mut alice, mut bob) = (alice.take_over(&server("hub.example")).unwrap(), bob.hand_over().unwrap());
    let next = say(&mut alice, BOB);
    follow(&mut bob, &next);
    follow(&mut carol, &next);
    assert_eq!(carol.room().hub().as_str(), "hub.example");
}

#[test]
fn no_server_is_made_the_hub_by_its_own_user() {
    let Servers { mut alice, mut bob, mut carol, _version } = servers();
    let refused = alice.hub.authorise(transfer(alice.hub.room(), BOB, B)).unwrap_err();
    assert_eq!(rule_of(&refused), HubRule::ForItself.into());
    // The hub cannot use an LPDU of Bob's server instead of asking it, when and as often as it likes.
    let draft = alice.draft(BOB, "m.room.hub", Some(""), json!({"hub_server": B}));
    let event = draft.clone().into_event(&version()).unwrap();
    let cites = alice.hub.room().select(&event).to_cite(&event);
    let forged = forge(&alice, draft, &cites, &[alice.hub.room().head().event_id.clone()]);
    assert_eq!(rule_of(&rejected(&carol, forged, false).refusal), HubRule::ForItself.into());
    // Another user's LPDU names it like an event of the hub's own users, and it is asked.
    let levels = json!({"users": {ALICE: 100, BOB: 100, CAROL: 100}});
    let levels = alice.event(ALICE, "m.room.power_levels", Some(""), levels).unwrap();
    follow(&mut bob, &levels);
    follow(&mut carol, &levels);
    let sealed = with_consent(&alice.hub, &bob, transfer(alice.hub.room(), CAROL, B));
    let event = alice.append(sealed);
    let signers: Vec<_> = event.event().as_object()["signatures"].as_object().unwrap().keys().collect();
    assert_eq!(signers, [B, C, "hub.example"]);
    follow(&mut bob, &event);
    follow(&mut carol, &event);
    assert!(bob.take_over(&server(B)).is_ok());
    assert!(alice.hub.hand_over().is_ok());
}

#[test]
fn a_signature_of_the_lpdu_is_no_consent() {
    let Servers { alice, _version, .. } = servers();
    let draft = alice.draft(BOB, "m.room.hub", Some(""), json!({"hub_server": B}));
    let forged = forge(&alice, draft, &[], &[alice.hub.room().head().event_id.clone()]);
    assert!(forged.event().event().is_signed_by(&server(B)));
    assert!(forged.objection().is_some());
}

#[test]
fn a_role_changes_only_when_the_list_says_so() {
    let Servers { alice, bob, .. } = servers();
    assert!(alice.hub.hand_over().is_err());
    assert!(bob.take_over(&server(B)).is_err());
    let _version = in_version(TRANSFER);
    let (alice, bob, carol, _) = transferred();
    assert!(alice.take_over(&server("hub.example")).is_err());
    assert!(bob.hand_over().is_err());
    assert!(carol.take_over(&server(C)).is_err());
}

#[test]
fn a_server_that_handed_over_seals_nothing() {
    let Servers { mut alice, bob, _version, .. } = servers();
    let early = proposal(alice.hub.room(), draft(alice.hub.room(), CAROL, "m.room.message", None, json!({})));
    let sealed = with_consent(&alice.hub, &bob, transfer(alice.hub.room(), ALICE, B));
    alice.append(sealed);
    let own = Proposal::of_own(alice.draft(ALICE, "m.room.message", None, json!({})), &version()).unwrap();
    for proposal in [early, own] {
        assert_eq!(rule_of(&alice.hub.authorise(proposal).unwrap_err()), HubRule::HandedOver.into());
    }
}

#[test]
fn the_next_hub_refuses_what_was_meant_for_the_old_one() {
    let _version = in_version(TRANSFER);
    let (_, bob, carol, _) = transferred();
    let draft = draft(carol.room(), CAROL, "m.room.message", None, json!({}));
    let stale = draft.into_lpdu(&server("hub.example"), &key(&server(C)), &version()).unwrap();
    let stale = Lpdu::parse(&stale.bytes, &version()).unwrap().verify(&ring()).unwrap();
    let refusal = bob.authorise(Proposal::of_lpdu(stale)).unwrap_err();
    assert_eq!(rule_of(&refusal), RoomRule::OtherHub.into());
}

#[test]
fn a_transfer_names_a_server_in_the_room_and_needs_its_level() {
    let Servers { mut alice, _version, .. } = servers();
    let refuse = |alice: &TestHub, sender: &str, key: Option<&str>, content: Value| {
        let room = alice.hub.room();
        let refused = alice.hub.authorise(proposal(room, draft(room, sender, "m.room.hub", key, content)));
        rule_of(&refused.unwrap_err()).to_string()
    };
    let to_b = || json!({"hub_server": B});
    assert_eq!(refuse(&alice, ALICE, Some(""), json!({})), "hub R32/1");
    assert_eq!(refuse(&alice, ALICE, Some(""), json!({"hub_server": "a b"})), "hub R32/1");
    assert_eq!(refuse(&alice, ALICE, Some("x"), to_b()), "hub R32/1");
    assert_eq!(refuse(&alice, ALICE, None, to_b()), "hub R32/1");
    assert_eq!(refuse(&alice, ALICE, Some(""), json!({"hub_server": "hub.example"})), "hub R32/3");
    assert_eq!(refuse(&alice, ALICE, Some(""), json!({"hub_server": "d.example"})), "hub R32/4");
    assert_eq!(refuse(&alice, CAROL, Some(""), to_b()), "auth 7");
    // Sending state events needs 50, a transfer 100, and `events` makes that no less.
    let mut levels = json!({"users": {ALICE: 100, CAROL: 99}});
    alice.event(ALICE, "m.room.power_levels", Some(""), levels.clone()).unwrap();
    assert_eq!(refuse(&alice, CAROL, Some(""), to_b()), "hub R32/2");
    levels["events"] = json!({"m.room.hub": 99});
    alice.event(ALICE, "m.room.power_levels", Some(""), levels.clone()).unwrap();
    assert_eq!(refuse(&alice, CAROL, Some(""), to_b()), "hub R32/2");
    levels["users"][CAROL] = json!(100);
    alice.event(ALICE, "m.room.power_levels", Some(""), levels).unwrap();
    assert!(alice.hub.authorise(transfer(alice.hub.room(), CAROL, B)).is_ok());
}

#[test]
fn a_moderator_cannot_take_the_hub() {
    let Servers { mut alice, _version, .. } = servers();
    let mut levels = json!({"users": {ALICE: 100, CAROL: 50}});
    alice.event(ALICE, "m.room.power_levels", Some(""), levels.clone()).unwrap();
    // Whoever may change the power levels may set a type's level to their own.
    levels["events"] = json!({"m.room.hub": 50});
    alice.event(CAROL, "m.room.power_levels", Some(""), levels).unwrap();
    let refused = alice.hub.authorise(transfer(alice.hub.room(), CAROL, B)).unwrap_err();
    assert_eq!(refused.rule, HubRule::Level.into());
    assert_eq!(refused.because, Because::Level { have: 50, need: 100 });
}

#[test]
fn nothing_is_sealed_without_consent() {
    let Servers { alice, bob, _version, .. } = servers();
    let authorised = || alice.hub.authorise(transfer(alice.hub.room(), ALICE, B)).unwrap();
    let refusal = seal(&alice.hub, authorised()).unwrap_err();
    assert_eq!(refusal.to_string(), "hub R32/5: b.example has not signed it");
    let consent = |authorised: &Authorised| {
        bob.consent(&authorised.offer(&version()), &server(B), &key(&server(B)), &ring()).unwrap()
    };
    let entry = consent(&authorised());
    assert!(authorised().consented(&json!({"ed25519:1": "AAAA"}), &ring(), &version()).is_err());
    // Consent is to one event in one place.
    let other = draft(alice.hub.room(), ALICE, "m.room.hub", Some(""), json!({"hub_server": B}));
    let other = Draft { origin_server_ts: TS + 1, ..other };
    let other = alice.hub.authorise(proposal(alice.hub.room(), other)).unwrap();
    assert!(other.consented(&entry, &ring(), &version()).is_err());
    assert!(authorised().consented(&entry, &ring(), &version()).is_ok());
}

#[test]
fn an_offer_is_void_once_the_list_went_on() {
    let Servers { mut alice, mut bob, _version, .. } = servers();
    let sealed = with_consent(&alice.hub, &bob, transfer(alice.hub.room(), ALICE, B));
    let other = alice.message(ALICE).unwrap();
    assert!(alice.hub.append(sealed).is_err());
    follow(&mut bob, &other);
    assert!(bob.take_over(&server(B)).is_err());
}

#[test]
fn a_server_consents_only_to_what_it_could_go_on_from() {
    let Servers { mut alice, mut bob, carol, _version } = servers();
    let (b, c) = (server(B), server(C));
    let offer = |alice: &TestHub| {
        alice.hub.authorise(transfer(alice.hub.room(), ALICE, B)).unwrap().offer(&version())
    };
    let first = offer(&alice);
    let consent = |who: &Participant, offer: &[u8], name| who.consent(offer, name, &key(name), &ring());
    assert!(matches!(consent(&carol, &first, &c), Err(OfferError::NotAsked(_))));
    let mut altered: crate::json::Object = serde_json::from_slice(&first).unwrap();
    altered["content"]["reason"] = json!("x");
    let altered = canonical::object_to_vec(&altered);
    assert!(matches!(consent(&bob, &altered, &b), Err(OfferError::Altered)));
    let message = alice.message(ALICE).unwrap();
    let second = offer(&alice);
    assert!(matches!(consent(&bob, &second, &b), Err(OfferError::OtherHead(_))), "it lacks an event");
    follow(&mut bob, &message);
    assert!(matches!(consent(&bob, &first, &b), Err(OfferError::OtherHead(_))), "the list went on");
    assert!(consent(&bob, &second, &b).is_ok());
    // An offer by a server that is not the hub: its own user's event, sealed by nobody.
    let stranger = draft(bob.room(), CAROL, "m.room.hub", Some(""), json!({"hub_server": B}));
    let stranger = stranger.into_event(&version()).unwrap();
    let cites = bob.room().select(&stranger).to_cite(&stranger);
    let mut stranger = stranger;
    place(&mut stranger, &cites, &[bob.room().head().event_id.clone()], &version());
    let mut object = stranger.as_object().clone();
    object.insert("signatures".to_owned(), json!({}));
    let refused = consent(&bob, &canonical::object_to_vec(&object), &b);
    assert!(
        matches!(refused, Err(OfferError::Refused(refusal)) if refusal.rule == HubRule::OtherSealer.into())
    );
}

#[test]
fn participants_reject_a_transfer_without_consent() {
    let Servers { alice, mut bob, carol, _version } = servers();
    let draft = alice.draft(ALICE, "m.room.hub", Some(""), json!({"hub_server": B}));
    let event = draft.clone().into_event(&version()).unwrap();
    let cites = alice.hub.room().select(&event).to_cite(&event);
    let forged = forge(&alice, draft, &cites, &[alice.hub.room().head().event_id.clone()]);
    let refusal = rejected(&carol, forged.clone(), false).refusal;
    assert_eq!(refusal.rule, HubRule::NoConsent.into());
    // The old hub going on from it makes the room disputed and changes no hub.
    bob.keep(rejected(&bob, forged.clone(), false));
    let after = alice.draft(ALICE, "m.room.message", None, json!({}));
    let event = after.clone().into_event(&version()).unwrap();
    let cites = alice.hub.room().select(&event).to_cite(&event);
    let after = forge(&alice, after, &cites, &[forged.event().id().clone()]);
    follow(&mut bob, after.event());
    assert!(bob.room().is_disputed());
    assert_eq!(bob.room().hub().as_str(), "hub.example");
}

#[test]
fn an_event_of_the_old_hub_after_its_transfer_is_rejected_and_evidence() {
    let Servers { mut alice, mut bob, mut carol, _version } = servers();
    let sealed = with_consent(&alice.hub, &bob, transfer(alice.hub.room(), ALICE, B));
    let before = alice.hub.room().head().event_id.clone();
    let handover = alice.append(sealed);
    let message = |n: u32| alice.draft(ALICE, "m.room.message", None, json!({"n": n}));
    let event = message(0).into_event(&version()).unwrap();
    let cites = alice.hub.room().select(&event).to_cite(&event);
    let beside = forge(&alice, message(1), &cites, std::slice::from_ref(&before));
    let after = forge(&alice, message(2), &cites, &[handover.id().clone()]);
    follow(&mut bob, &handover);
    follow(&mut carol, &handover);
    // In the place of the transfer: both are the old hub's.
    let fork = rejected(&carol, beside, true);
    assert_eq!(fork.refusal.rule, RoomRule::Fork.into());
    let heads = fork.beside(&handover).unwrap();
    assert_eq!((heads.predecessor, heads.one_sealer().unwrap().as_str()), (&before, "hub.example"));
    assert!(fork.beside(&alice.list[0]).is_none());
    // In the place after it: one is the old hub's, one the new hub's, whichever comes first.
    let late = rejected(&carol, after.clone(), false);
    assert_eq!(late.refusal.rule, HubRule::OtherSealer.into());
    let mut bob = bob.take_over(&server(B)).unwrap();
    let next = say(&mut bob, BOB);
    let heads = late.beside(&next).unwrap();
    assert_eq!((heads.predecessor, heads.one_sealer()), (handover.id(), None));
    carol.keep(late.clone());
    follow(&mut carol, &next);
    assert_eq!(rejected(&carol, after, true).refusal.rule, RoomRule::Fork.into());
    assert!(!carol.room().is_disputed());
    assert_eq!(carol.room().head().event_id, *next.id());
}

#[test]
fn an_invite_that_a_transfer_overtook_accuses_nobody() {
    let Servers { mut alice, bob, mut carol, _version } = servers();
    let invite = |alice: &TestHub, target: &str| {
        let room = alice.hub.room().id().clone();
        let invite = Draft::member(room, &user(ALICE), &user(target), Membership::Invite, TS);
        let proposal = Proposal::of_own(invite, &version()).unwrap();
        seal(&alice.hub, alice.hub.authorise(proposal).unwrap()).unwrap()
    };
    // Alice's server asks Dave's to sign, and hands the room over before it has the answer.
    let (given_up, own) = (invite(&alice, "@dave:d.example"), invite(&alice, "@erin:hub.example"));
    let handover = alice.append(with_consent(&alice.hub, &bob, transfer(alice.hub.room(), ALICE, B)));
    follow(&mut carol, &handover);
    let fork = rejected(&carol, pdu(given_up.event()), true);
    let heads = fork.beside(&handover).unwrap();
    assert!(heads.is_tentative());
    assert_eq!(heads.one_sealer(), None);
    // Whichever of them is in the list.
    let other = Rejected { event: RoomEvent::clone(&handover), ..fork.clone() };
    assert_eq!(other.beside(given_up.event()).unwrap().one_sealer(), None);
    // An invite of its own user it does not have to ask for.
    let fork = rejected(&carol, pdu(own.event()), true);
    let heads = fork.beside(&handover).unwrap();
    assert!(!heads.is_tentative());
    assert_eq!(heads.one_sealer().unwrap().as_str(), "hub.example");
}

#[test]
fn an_event_of_the_next_hub_before_its_transfer_is_a_gap() {
    let Servers { mut alice, mut bob, mut carol, _version } = servers();
    let sealed = with_consent(&alice.hub, &bob, transfer(alice.hub.room(), ALICE, B));
    let handover = alice.append(sealed);
    follow(&mut bob, &handover);
    let mut bob = bob.take_over(&server(B)).unwrap();
    let next = say(&mut bob, BOB);
    assert!(matches!(judge(&carol, &next), Verdict::Gap { missing, .. } if missing == *handover.id()));
    follow(&mut carol, &handover);
    follow(&mut carol, &next);
}

#[test]
fn a_redacted_transfer_still_names_the_next_hub() {
    let _version = in_version(TRANSFER);
    let (.., event) = transferred();
    let mut object = event.event().as_object().clone();
    object["content"]["reason"] = json!("added");
    let redacted = pdu_of(&canonical::object_to_vec(&object));
    assert_eq!(redacted.integrity(), Integrity::Redacted);
    assert_eq!(redacted.event().id(), event.id());
    assert_eq!(redacted.event().event().next_hub(), Some(server(B)));
    assert_eq!(redacted.objection(), None);
}

/// What a newcomer is given: the state and its auth chain.
fn snapshot(
    room: &Room,
    log: &MemoryLog,
    change: impl Fn(&RoomEvent) -> Option<VerifiedPdu>,
) -> Result<Participant, SnapshotError> {
    let changed = |event: &RoomEvent| change(event).unwrap_or_else(|| pdu(event));
    let state = room.state().all_current().map(|event| changed(event)).collect();
    let chain = room.state().current_auth_chain().into_iter();
    let chain = chain.map(|entry| changed(&entry.read(log).unwrap())).collect();
    let snapshot = Snapshot::new(room.id(), state, chain, room.head().event_id.clone())?;
    Participant::start(snapshot, room.hub(), &versions())
}

#[test]
fn a_newcomer_checks_how_the_hub_came_by_its_role() {
    let _version = in_version(TRANSFER);
    let (alice, mut bob, _, first) = transferred();
    let log: MemoryLog = [Arc::new(first.clone())].into_iter().collect();
    assert_eq!(snapshot(bob.room(), &log, |_| None).unwrap().room().hub().as_str(), B);
    let sealed = with_consent(&bob, &alice, transfer(bob.room(), BOB, "hub.example"));
    let second = RoomEvent::clone(&bob.append(sealed).unwrap());
    assert!(snapshot(bob.room(), &log, |_| None).is_ok());
    // Without the first transfer, the second is one by a server that never was the hub.
    let state: Vec<_> = bob.room().state().all_current().map(|event| pdu(event)).collect();
    let short = Snapshot::new(bob.room().id(), state, vec![], second.id().clone()).unwrap();
    let refused = Participant::start(short, bob.room().hub(), &versions()).unwrap_err();
    assert!(matches!(refused, SnapshotError::Succession { event, refusal }
        if event == *second.id() && refusal.rule == HubRule::OtherSealer.into()));
    // Without the next hub's signature, a transfer is the old hub's word alone.
    let unsigned = |event: &RoomEvent| {
        (event.id() == first.id()).then(|| {
            let mut object = event.event().as_object().clone();
            object["signatures"].as_object_mut().unwrap().remove(B);
            pdu_of(&canonical::object_to_vec(&object))
        })
    };
    let refused = snapshot(bob.room(), &log, unsigned).unwrap_err();
    assert!(
        matches!(refused, SnapshotError::Succession { refusal, .. } if refusal.rule == HubRule::NoConsent.into())
    );
}

#[test]
fn a_newcomer_checks_that_a_transfer_was_allowed() {
    let Servers { mut alice, _version, .. } = servers();
    let levels = json!({"users": {ALICE: 100, BOB: 100, CAROL: 50}});
    alice.event(ALICE, "m.room.power_levels", Some(""), levels).unwrap();
    let room = alice.hub.room();
    let start = |sender: &str, next: &str, without: usize| {
        let draft = alice.draft(sender, "m.room.hub", Some(""), json!({"hub_server": next}));
        let event = draft.clone().into_event(&version()).unwrap();
        let mut cites = room.select(&event).to_cite(&event);
        cites.truncate(cites.len() - without);
        // Both hubs have signed it, whatever it is.
        let forged = forge(&alice, draft, &cites, &[room.head().event_id.clone()]).into_event();
        let mut object = forged.event().as_object().clone();
        let key = key(&server(next));
        let signature = key.sign(&crate::event::hash::signing_bytes(&object, &version().redaction));
        object["signatures"][next] = json!({key.id().as_str(): signature.to_base64()});
        let forged = pdu_of(&canonical::object_to_vec(&object));
        let prev = forged.event().id().clone();
        let mut state: Vec<_> = room.state().all_current().map(|event| pdu(event)).collect();
        let chain = room.state().current_auth_chain().into_iter();
        let chain = chain.map(|entry| pdu(&entry.read(&alice.log()).unwrap())).collect();
        state.push(forged);
        let snapshot = Snapshot::new(room.id(), state, chain, prev)?;
        Participant::start(snapshot, &server(next), &versions())
    };
    assert!(start(ALICE, B, 0).is_ok());
    for (sender, next, without, rule) in [
        (CAROL, B, 0, Rule::from(HubRule::Level)),
        (ALICE, "hub.example", 0, HubRule::Unchanged.into()),
        (ALICE, B, 1, AuthRule::SenderNotJoined.into()),
        (ALICE, B, 3, AuthRule::CitedNoCreate.into()),
    ] {
        let refused = start(sender, next, without).unwrap_err();
        assert!(
            matches!(&refused, SnapshotError::Succession { refusal, .. } if refusal.rule == rule),
            "{refused}"
        );
    }
}

#[test]
fn a_room_is_read_back_in_the_role_it_ends_in() {
    let Servers { mut alice, bob, _version, .. } = servers();
    let sealed = with_consent(&alice.hub, &bob, transfer(alice.hub.room(), ALICE, B));
    alice.append(sealed);
    let read = |event: &RoomEvent| Recorded::read(event.bytes(), event.id(), &version()).unwrap();
    let mut role = Role::Hub(Hub::restore(read(&alice.list[0]), &versions()).unwrap());
    for event in &alice.list[1..] {
        assert!(matches!(role, Role::Hub(_)));
        role = role.replay(read(event), Effect::Applied, true, &alice.name).unwrap();
    }
    assert!(matches!(role, Role::Participant(_)));
    assert_eq!(role.room().head(), alice.hub.room().head());
}

#[test]
fn in_other_versions_it_is_an_ordinary_state_event() {
    let mut alice = TestHub::new(json!({})).public();
    let mut bob = alice.join(BOB);
    let event = alice.event(ALICE, "m.room.hub", Some(""), json!({"hub_server": B})).unwrap();
    follow(&mut bob, &event);
    assert_eq!((alice.hub.room().hub(), bob.room().hub()), (&alice.name, &alice.name));
    let again = alice.event(ALICE, "m.room.hub", Some("x"), json!({})).unwrap();
    assert!(!again.auth_events().contains(event.id()));
    follow(&mut bob, &again);
    let room = alice.hub.room();
    assert!(room.would_allow(&user(BOB), &user(BOB), Membership::Join).is_ok());
    assert!(alice.hub.hand_over().is_err());
}
