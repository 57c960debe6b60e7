//! A hub with one room whose users live on three servers: the hub's own send drafts, the others signed LPDUs.

use std::sync::Arc;

use mimi_linearized::auth::{AuthRule, Refusal};
use mimi_linearized::event::{Draft, Event, Lpdu, RoomEvent};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{KeyId, RoomId, ServerName, UserId};
use mimi_linearized::json::{Object, Value};
use mimi_linearized::signing::{ServerKeyRing, SigningKey};
use mimi_linearized::version::RoomVersions;
use serde_json::json;

/// Users of the hub and of two participants. The first creates the room.
pub(crate) const USERS: [&str; 5] =
    ["@alice:hub.example", "@bob:b.example", "@carol:c.example", "@dave:b.example", "@erin:hub.example"];

const HUB: &str = "hub.example";

/// What the hub made of a proposal.
pub(crate) struct Accepted {
    pub(crate) event: Arc<RoomEvent>,
    /// The rule that allowed it.
    pub(crate) by: AuthRule,
    /// Its place in the list, from 0.
    pub(crate) position: u64,
}

pub(crate) struct TestRoom {
    pub(crate) hub: Hub,
    pub(crate) create: RoomEvent,
    /// The rule that allowed `m.room.create`.
    pub(crate) created_by: AuthRule,
    name: ServerName,
    key: SigningKey,
    ring: ServerKeyRing,
}

fn key_of(server: &str) -> SigningKey {
    let seed = mimi_linearized::event::hash::sha256(server.as_bytes());
    SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &seed)
}

pub(crate) fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

pub(crate) fn draft(sender: &str, kind: &str, state_key: Option<&str>, content: Value) -> Draft {
    Draft {
        room_id: RoomId::parse("!room:hub.example").unwrap(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: UserId::parse(sender).unwrap(),
        content: object(content),
        origin_server_ts: 1_700_000_000_000,
    }
}

pub(crate) fn member(sender: &str, target: &str, membership: &str) -> Draft {
    draft(sender, "m.room.member", Some(target), json!({"membership": membership}))
}

impl TestRoom {
    /// A room that has its `m.room.create` and no more.
    pub(crate) fn created() -> Self {
        let versions = RoomVersions::lm_04();
        let name = ServerName::parse(HUB).unwrap();
        let key = key_of(HUB);
        let mut ring = ServerKeyRing::new();
        for server in [HUB, "b.example", "c.example"] {
            let key = key_of(server);
            ring.insert(&ServerName::parse(server).unwrap(), key.id(), key.verify_key(), i64::MAX);
        }
        let create = draft(USERS[0], "m.room.create", Some(""), json!({"room_version": "I.1"}));
        let proposal = Proposal::of_own(create, versions.default_version()).unwrap();
        let (authorised, version) = Hub::authorise_create(proposal, &versions).unwrap();
        let created_by = authorised.allowed_by();
        let sealed = authorised.seal(&name, &key, &version, 0).unwrap();
        let create = sealed.event().clone();
        Self { hub: Hub::begin(sealed, version).unwrap(), create, created_by, name, key, ring }
    }

    /// A room that its creator has joined, with power levels.
    pub(crate) fn joined(power_levels: Value) -> Self {
        let mut room = Self::created();
        room.send(member(USERS[0], USERS[0], "join")).unwrap();
        room.send(draft(USERS[0], "m.room.power_levels", Some(""), power_levels)).unwrap();
        room
    }

    /// A draft on its way to the hub: as it is, or as a signed LPDU that the hub has verified.
    pub(crate) fn propose(&self, draft: Draft) -> Proposal {
        let version = self.hub.room().version();
        let server = draft.sender.server();
        if server == self.name {
            return Proposal::of_own(draft, version).unwrap();
        }
        let lpdu = draft.into_lpdu(&self.name, &key_of(server.as_str()), version).unwrap();
        Proposal::of_lpdu(Lpdu::parse(&lpdu.bytes, version).unwrap().verify(&self.ring).unwrap())
    }

    /// What the hub says to a draft.
    pub(crate) fn judge(&self, draft: Draft) -> (Event, Result<AuthRule, Refusal>) {
        let proposal = self.propose(draft);
        let event = proposal.event().clone();
        (event, self.hub.authorise(proposal).map(|authorised| authorised.allowed_by()))
    }

    /// Sends a draft through the hub.
    pub(crate) fn send(&mut self, draft: Draft) -> Result<Accepted, Refusal> {
        let authorised = self.hub.authorise(self.propose(draft))?;
        let by = authorised.allowed_by();
        let position = self.hub.room().head().length;
        let version = Arc::clone(self.hub.room().version());
        let sealed = authorised.seal(&self.name, &self.key, &version, 0)?;
        Ok(Accepted { event: self.hub.append(sealed).unwrap(), by, position })
    }

    pub(crate) fn state(&self, kind: &str, state_key: &str) -> Option<&RoomEvent> {
        self.hub.room().state().current(kind, state_key)
    }
}
