//! A hub and a participant that exchange nothing but bytes: what each receives it parses, verifies and judges.
//!
//! `cargo run -p mimi-linearized --example hub_and_participant`

use std::sync::Arc;

use mimi_linearized::auth::Membership;
use mimi_linearized::event::{Draft, Lpdu, Pdu, VerifiedPdu, kind};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{KeyId, RoomId, ServerName, UserId};
use mimi_linearized::participant::{Participant, Snapshot, Verdict};
use mimi_linearized::signing::{ServerKeyRing, SigningKey};
use mimi_linearized::version::{RoomVersion, RoomVersions};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// What both sides know: everybody's public keys, and the room version.
struct World {
    keys: ServerKeyRing,
    version: Arc<RoomVersion>,
}

impl World {
    /// The receiving steps of a participant, up to the signatures.
    fn read(&self, pdu: &[u8]) -> Outcome<VerifiedPdu> {
        Ok(Pdu::parse(pdu, &self.version)?.verify(&self.keys)?)
    }
}

/// The hub: a server with a room.
struct HubServer {
    name: ServerName,
    key: SigningKey,
    room: Hub,
}

impl HubServer {
    /// Puts an event into the list. The bytes are what is stored, and sent to everybody.
    fn seal(&mut self, proposal: Proposal, world: &World) -> Outcome<Arc<[u8]>> {
        let sealed = self.room.authorise(proposal)?.seal(&self.name, &self.key, &world.version, 0)?;
        Ok(Arc::clone(self.room.append(sealed)?.bytes()))
    }

    /// An LPDU arrives.
    fn receive(&mut self, lpdu: &[u8], world: &World) -> Outcome<Arc<[u8]>> {
        let verified = Lpdu::parse(lpdu, &world.version)?.verify(&world.keys)?;
        self.seal(Proposal::of_lpdu(verified), world)
    }
}

fn main() -> Outcome<()> {
    let versions = RoomVersions::lm_04();
    let (hub_name, other) = (ServerName::parse("hub.example")?, ServerName::parse("other.example")?);
    let hub_key = SigningKey::from_seed(KeyId::ed25519("1")?, &[1; 32]);
    let other_key = SigningKey::from_seed(KeyId::ed25519("1")?, &[2; 32]);
    let mut keys = ServerKeyRing::new();
    for (name, key) in [(&hub_name, &hub_key), (&other, &other_key)] {
        keys.insert(name, key.id(), key.verify_key(), i64::MAX);
    }
    let world = World { keys, version: Arc::clone(versions.default_version()) };
    let room_id = RoomId::parse("!bytes:hub.example")?;
    let (alice, bob) = (UserId::new("alice", &hub_name)?, UserId::new("bob", &other)?);
    let draft = |sender: &UserId, kind: &str, state_key: Option<&str>, content: &Value| Draft {
        room_id: room_id.clone(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: sender.clone(),
        content: content.as_object().cloned().unwrap_or_default(),
        origin_server_ts: 1_700_000_000_000,
    };

    // The hub makes a public room.
    let create = draft(&alice, kind::CREATE, Some(""), &json!({"room_version": "I.1"}));
    let (create, version) = Hub::authorise_create(Proposal::of_own(create, &world.version)?, &versions)?;
    let create = create.seal(&hub_name, &hub_key, &version, 0)?;
    let mut state = vec![Arc::clone(create.event().bytes())];
    let room = Hub::begin(create, version).ok_or("no m.room.create")?;
    let mut hub = HubServer { name: hub_name.clone(), key: hub_key, room };
    for own in [
        Draft::member(room_id.clone(), &alice, &alice, Membership::Join, 1_700_000_000_000),
        draft(&alice, kind::JOIN_RULES, Some(""), &json!({"join_rule": "public"})),
    ] {
        state.push(hub.seal(Proposal::of_own(own, &world.version)?, &world)?);
    }

    // Bob's server sends his join as an LPDU, and gets back the join as a PDU and the state before it.
    let send = |draft: Draft| draft.into_lpdu(&hub_name, &other_key, &world.version);
    let prev = hub.room.room().head().event_id.clone();
    let join = send(Draft::member(room_id.clone(), &bob, &bob, Membership::Join, 1_700_000_000_000))?;
    let join = hub.receive(&join.bytes, &world)?;
    let state = state.iter().map(|pdu| world.read(pdu)).collect::<Outcome<Vec<_>>>()?;
    let mut participant =
        Participant::start(Snapshot::new(&room_id, state, Vec::new(), prev)?, &hub_name, &versions)?;
    participant.append(participant.judge_first(world.read(&join)?)?)?;

    // A message goes up as an LPDU and comes back as a PDU, in which the participant knows its own.
    let lpdu = send(draft(&bob, "m.room.message", None, &json!({"body": "hello"})))?;
    let pdu = hub.receive(&lpdu.bytes, &world)?;
    println!("LPDU {} bytes: {}", lpdu.bytes.len(), String::from_utf8_lossy(&lpdu.bytes));
    println!("PDU  {} bytes: {}", pdu.len(), String::from_utf8_lossy(&pdu));
    let verified = world.read(&pdu)?;
    assert_eq!(verified.event().lpdu_id(), Some(&lpdu.id));
    let Verdict::Extends(extension) = participant.judge(verified, false) else {
        return Err("the participant does not follow its hub".into());
    };
    participant.append(extension)?;
    assert_eq!(participant.room().head().event_id, hub.room.room().head().event_id);

    // One byte changed on the way: the signature still holds, the content hash does not, and the content is gone.
    let altered = String::from_utf8_lossy(&pdu).replace("hello", "hellp");
    let redacted = world.read(altered.as_bytes())?;
    assert!(redacted.event().event().content().is_empty());
    println!("both are at {}", participant.room().head().event_id);
    Ok(())
}
