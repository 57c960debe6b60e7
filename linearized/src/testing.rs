//! A hub and participants for tests, exchanging events in memory.

use std::cell::Cell;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::auth::{Membership, Refusal};
use crate::event::{Draft, Lpdu, OutgoingLpdu, Pdu, RoomEvent, VerifiedPdu};
use crate::hub::{Hub, Proposal, Sealed};
use crate::id::{EventId, KeyId, RoomId, ServerName, UserId};
use crate::json::Object;
use crate::participant::{Participant, Snapshot};
use crate::room::MemoryLog;
use crate::signing::{ServerKeyRing, SigningKey};
use crate::version::{RoomVersion, RoomVersions, STABLE};

thread_local! {
    /// The room version that the test on this thread is about.
    static VERSION: Cell<&'static str> = const { Cell::new(STABLE) };
}

/// While this lives, the rooms made on this thread have another version than before.
pub(crate) struct InVersion(&'static str);

impl Drop for InVersion {
    fn drop(&mut self) {
        VERSION.set(self.0);
    }
}

pub(crate) fn in_version(id: &'static str) -> InVersion {
    InVersion(VERSION.replace(id))
}

/// Repeats tests, which run for `I.1` as they stand, for other room versions.
macro_rules! in_versions {
    ($($module:ident = $version:expr => [$($test:ident,)*])*) => {
        $(
            mod $module {
                use super::*;

                $(
                    #[test]
                    fn $test() {
                        let _version = crate::testing::in_version($version);
                        super::$test();
                    }
                )*
            }
        )*
    };
}
pub(crate) use in_versions;

/// Every version, the one that the test is about as the default.
pub(crate) fn versions() -> RoomVersions {
    RoomVersions::all().with_default(VERSION.get()).unwrap()
}

pub(crate) const TS: i64 = 1_700_000_000_000;

pub(crate) fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

pub(crate) fn object(value: Value) -> Object {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

/// The key of a server, made of its name.
pub(crate) fn key(server: &ServerName) -> SigningKey {
    SigningKey::from_seed(
        KeyId::ed25519("1").unwrap(),
        &crate::event::hash::sha256(server.as_str().as_bytes()),
    )
}

pub(crate) fn ring() -> ServerKeyRing {
    let mut ring = ServerKeyRing::new();
    for name in ["hub.example", "b.example", "c.example", "d.example"] {
        let key = key(&server(name));
        ring.insert(&server(name), key.id(), key.verify_key(), i64::MAX);
    }
    ring
}

/// A hub with one room, and its whole list.
pub(crate) struct TestHub {
    pub(crate) hub: Hub,
    pub(crate) name: ServerName,
    pub(crate) version: Arc<RoomVersion>,
    pub(crate) list: Vec<Arc<RoomEvent>>,
    /// Where the last event was to go, decided before it was appended.
    pub(crate) announced: Vec<String>,
}

pub(crate) const ALICE: &str = "@alice:hub.example";
pub(crate) const BOB: &str = "@bob:b.example";
pub(crate) const CAROL: &str = "@carol:c.example";

impl TestHub {
    /// A room that Alice has created and joined.
    pub(crate) fn new(create: Value) -> Self {
        let versions = versions();
        let name = server("hub.example");
        let mut content = object(json!({"room_version": versions.default_version().id}));
        content.extend(object(create));
        let draft = Draft {
            room_id: RoomId::parse("!room:hub.example").unwrap(),
            kind: "m.room.create".to_owned(),
            state_key: Some(String::new()),
            sender: user(ALICE),
            content,
            origin_server_ts: TS,
        };
        let proposal = Proposal::of_own(draft, versions.default_version()).unwrap();
        let (authorised, version) = Hub::authorise_create(proposal, &versions).unwrap();
        let sealed = authorised.seal(&name, &key(&name), &version, 0).unwrap();
        let create = Arc::new(sealed.event().clone());
        let hub = Hub::begin(sealed, Arc::clone(&version)).unwrap();
        let mut hub = Self { hub, name, version, list: vec![create], announced: vec![] };
        hub.member(ALICE, ALICE, "join").unwrap();
        hub
    }

    pub(crate) fn draft(&self, sender: &str, kind: &str, state_key: Option<&str>, content: Value) -> Draft {
        Draft {
            room_id: self.hub.room().id().clone(),
            kind: kind.to_owned(),
            state_key: state_key.map(ToOwned::to_owned),
            sender: user(sender),
            content: object(content),
            origin_server_ts: TS,
        }
    }

    pub(crate) fn lpdu(&self, draft: Draft) -> OutgoingLpdu {
        let sender = key(&draft.sender.server());
        draft.into_lpdu(&self.name, &sender, &self.version).unwrap()
    }

    /// Sends as whoever the sender is: the hub's own user, or a participant's through an LPDU.
    pub(crate) fn send(&mut self, draft: Draft) -> Result<Arc<RoomEvent>, Refusal> {
        let proposal = if draft.sender.server() == self.name {
            Proposal::of_own(draft, &self.version).unwrap()
        } else {
            let lpdu = self.lpdu(draft);
            Proposal::of_lpdu(Lpdu::parse(&lpdu.bytes, &self.version).unwrap().verify(&ring()).unwrap())
        };
        self.accept(proposal)
    }

    pub(crate) fn accept(&mut self, proposal: Proposal) -> Result<Arc<RoomEvent>, Refusal> {
        let sealed = self.hub.authorise(proposal)?.seal(&self.name, &key(&self.name), &self.version, 0)?;
        Ok(self.append(sealed))
    }

    pub(crate) fn append(&mut self, sealed: Sealed) -> Arc<RoomEvent> {
        let targets = self.hub.room().presence().targets_of_next(sealed.event().event());
        self.announced = targets.iter().map(ToString::to_string).collect();
        let event = self.hub.append(sealed).unwrap();
        self.list.push(Arc::clone(&event));
        event
    }

    pub(crate) fn event(
        &mut self,
        sender: &str,
        kind: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> Result<Arc<RoomEvent>, Refusal> {
        let draft = self.draft(sender, kind, state_key, content);
        self.send(draft)
    }

    pub(crate) fn member(
        &mut self,
        sender: &str,
        target: &str,
        membership: &str,
    ) -> Result<Arc<RoomEvent>, Refusal> {
        let membership = Membership::parse(membership).unwrap();
        self.send(Draft::member(self.hub.room().id().clone(), &user(sender), &user(target), membership, TS))
    }

    pub(crate) fn message(&mut self, sender: &str) -> Result<Arc<RoomEvent>, Refusal> {
        self.event(sender, "m.room.message", None, json!({"body": "hi"}))
    }

    pub(crate) fn public(mut self) -> Self {
        self.event(ALICE, "m.room.join_rules", Some(""), json!({"join_rule": "public"})).unwrap();
        self
    }

    /// The list, to read back from.
    pub(crate) fn log(&self) -> MemoryLog {
        self.list.iter().cloned().collect()
    }

    /// What a participant of this server starts from, joining now.
    pub(crate) fn join(&mut self, joiner: &str) -> Participant {
        let room = self.hub.room();
        let state: Vec<_> = room.state().all_current().cloned().collect();
        let chain = room.state().current_auth_chain().into_iter();
        let chain: Vec<_> = chain.map(|entry| entry.read(&self.log()).unwrap()).collect();
        let prev = room.head().event_id.clone();
        let event = self.member(joiner, joiner, "join").unwrap();
        let verified = |events: Vec<Arc<RoomEvent>>| events.iter().map(|event| pdu(event)).collect();
        let id = self.hub.room().id().clone();
        let snapshot = Snapshot::new(&id, verified(state), verified(chain), prev).unwrap();
        let mut participant = Participant::start(snapshot, &self.name, &versions()).unwrap();
        let first = participant.judge_first(pdu(&event)).unwrap();
        participant.append(first).unwrap();
        participant
    }
}

/// A PDU as it arrives at another server.
pub(crate) fn pdu(event: &RoomEvent) -> VerifiedPdu {
    pdu_of(event.bytes())
}

pub(crate) fn pdu_of(bytes: &[u8]) -> VerifiedPdu {
    Pdu::parse(bytes, versions().default_version()).unwrap().verify(&ring()).unwrap()
}

/// A PDU that the hub made against its own rules: any event, after any predecessor, citing anything.
pub(crate) fn forge(hub: &TestHub, draft: Draft, cites: &[EventId], prev: &[EventId]) -> VerifiedPdu {
    let own = draft.sender.server() == hub.name;
    let mut event = if own {
        draft.into_event(&hub.version).unwrap()
    } else {
        let lpdu = hub.lpdu(draft);
        Lpdu::parse(&lpdu.bytes, &hub.version).unwrap().verify(&ring()).unwrap().event
    };
    event.set_place(cites, prev);
    event.set_content_hash(&crate::event::hash::pdu_content_hash(event.as_object()));
    let bytes = crate::event::hash::signing_bytes(event.as_object(), &hub.version.redaction);
    let key = key(&hub.name);
    event.set_signature(&hub.name, json!({key.id().as_str(): key.sign(&bytes).to_base64()}));
    pdu_of(&crate::json::canonical::object_to_vec(event.as_object()))
}
