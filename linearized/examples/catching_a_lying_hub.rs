//! A hub tells two servers two stories. One of them finds out, and proves it to a third, which trusts neither.
//!
//! `cargo run -p mimi-linearized --example catching_a_lying_hub`

use std::error::Error;

use mimi_linearized::auth::Membership;
use mimi_linearized::event::{Draft, Lpdu, Pdu};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{KeyId, RoomId, ServerName, UserId};
use mimi_linearized::participant::evidence::{Accusation, Excerpt, Need};
use mimi_linearized::participant::{Evidence, Participant, Snapshot, Verdict};
use mimi_linearized::signing::{ServerKeyRing, SigningKey};
use mimi_linearized::version::RoomVersions;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let versions = RoomVersions::lm_04();
    let version = versions.default_version();
    let (hub_name, bobs) = (ServerName::parse("hub.example")?, ServerName::parse("bob.example")?);
    let hub_key = SigningKey::from_seed(KeyId::ed25519("1")?, &[1; 32]);
    let bobs_key = SigningKey::from_seed(KeyId::ed25519("1")?, &[2; 32]);
    let mut keys = ServerKeyRing::new();
    keys.insert(&hub_name, hub_key.id(), hub_key.verify_key(), i64::MAX);
    keys.insert(&bobs, bobs_key.id(), bobs_key.verify_key(), i64::MAX);
    let (alice, bob) = (UserId::new("alice", &hub_name)?, UserId::new("bob", &bobs)?);
    let room_id = RoomId::parse("!room:hub.example")?;
    let draft = |kind: &str, state_key: Option<&str>, content: serde_json::Value| Draft {
        room_id: room_id.clone(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: alice.clone(),
        content: content.as_object().cloned().unwrap_or_default(),
        origin_server_ts: 0,
    };

    // A public room at the hub.
    let create = draft("m.room.create", Some(""), json!({"room_version": "I.1"}));
    let (create, _) = Hub::authorise_create(Proposal::of_own(create, version)?, &versions)?;
    let create = create.seal(&hub_name, &hub_key, version, 0)?;
    let mut hub = Hub::begin(create, version.clone()).ok_or("no beginning")?;
    for draft in [
        Draft::member(room_id.clone(), &alice, &alice, Membership::Join, 0),
        draft("m.room.join_rules", Some(""), json!({"join_rule": "public"})),
    ] {
        let sealed =
            hub.authorise(Proposal::of_own(draft, version)?)?.seal(&hub_name, &hub_key, version, 0)?;
        hub.append(sealed)?;
    }

    // Bob's server joins: it gets the state before the join, and the join as the hub sealed it.
    let verified =
        |bytes: &[u8]| -> Result<_, Box<dyn Error>> { Ok(Pdu::parse(bytes, version)?.verify(&keys)?) };
    let state: Result<Vec<_>, _> =
        hub.room().state().all_current().map(|event| verified(event.bytes())).collect();
    let snapshot = Snapshot::new(&room_id, state?, vec![], hub.room().head().event_id.clone())?;
    let mut participant = Participant::start(snapshot, &hub_name, &versions)?;
    let join = Draft::member(room_id.clone(), &bob, &bob, Membership::Join, 0);
    let lpdu = Lpdu::parse(&join.into_lpdu(&hub_name, &bobs_key, version)?.bytes, version)?.verify(&keys)?;
    let join = hub.authorise(Proposal::of_lpdu(lpdu))?.seal(&hub_name, &hub_key, version, 0)?;
    let join = hub.append(join)?;
    participant.append(participant.judge_first(verified(join.bytes())?)?)?;

    // The hub seals two events for one place: this one for Bob's server, that one for everybody else.
    let lie = |body: &str| -> Result<_, Box<dyn Error>> {
        let message = Proposal::of_own(draft("m.room.message", None, json!({"body": body})), version)?;
        Ok(hub.authorise(message)?.seal(&hub_name, &hub_key, version, 0)?)
    };
    let (to_bob, to_others) = (lie("I said yes")?, lie("I said no")?);
    let Verdict::Extends(extension) = participant.judge(verified(to_bob.event().bytes())?, false) else {
        return Err("the first story is sound by itself".into());
    };
    let listed = participant.append(extension)?;

    // The other one arrives as well, and cannot be fitted in. Its predecessor is in Bob's server's list.
    let second = verified(to_others.event().bytes())?;
    assert!(participant.predecessor_elsewhere(&second).is_some());
    let Verdict::Rejected(rejected) = participant.judge(second, true) else {
        return Err("the second story does not fit".into());
    };
    println!("rejected: {}", rejected.refusal);

    // To accuse the hub, the event is needed that stands in that place.
    let mut excerpt = Excerpt::new();
    assert!(matches!(participant.accuse(&rejected, &excerpt), Accusation::Needs(Need::After(_))));
    listed.into_iter().for_each(|event| excerpt.insert(event));
    let Accusation::Proof(evidence) = participant.accuse(&rejected, &excerpt) else {
        return Err("two signed events that follow one are a fork".into());
    };
    let document = evidence.to_vec();
    println!("evidence: {} bytes", document.len());

    // Anybody who has the hub's key can check it.
    let mut public = ServerKeyRing::new();
    public.insert(&hub_name, hub_key.id(), hub_key.verify_key(), i64::MAX);
    let proved = Evidence::parse(&document)?.verify(&versions, &public)?;
    println!("proved:   {proved} ({})", proved.rule().requirement());
    assert_eq!(proved.hub, hub_name);
    assert_eq!(proved.events(), [to_bob.event().id().clone(), to_others.event().id().clone()]);
    Ok(())
}
