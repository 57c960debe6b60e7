//! The Linearized Matrix room model.
//!
//! A room is an append-only list of events. One server, the *hub*, decides their order: other servers send it partial
//! events (LPDUs), which it authorises, seals into whole events (PDUs) and sends to everybody. Who may do what follows
//! from the room's state. In encrypted rooms the hub holds MLS commits against the room's memberships.
//!
//! This crate has the whole of that and no I/O: it takes bytes or typed values and returns values. It reads no clock,
//! makes no random numbers and holds no global state. Embed it in a server, or drive it in a test.
//!
//! | module | what it has | LM-04 |
//! |---|---|---|
//! | [`id`] | identifiers and their grammars | §3.1–§3.5 |
//! | [`json`] | strict reading, RFC 8785 writing | §7 |
//! | [`base64`] | unpadded base64 | §10 |
//! | [`signing`] | keys, signatures, published keys | §6, §12.4.1 |
//! | [`version`] | room versions as data | §3.2.1 |
//! | [`event`] | LPDUs and PDUs, redaction, hashes | §3.5, §8, §9 |
//! | [`auth`] | the authorization rules | §5.2 |
//! | [`room`] | state, presence, visibility, redaction events | §3.2, §3.5.2 |
//! | [`hub`] | authorising and sealing, handing over | §5.1, §11 |
//! | [`participant`] | following and checking a hub | §5.1 |
//! | [`encryption`] | MLS beside membership | §4 |
//! | [`content`] | what messages say: MF-01, a draft of its own | |
//!
//! Where the draft is silent or contradicts itself, the code names a reading (`R05`), which `drafts/errata.toml`
//! explains.
//!
//! # A hub and an LPDU
//!
//! ```
//! use mimi_linearized::auth::Membership;
//! use mimi_linearized::event::{Draft, Lpdu};
//! use mimi_linearized::hub::{Hub, Proposal};
//! use mimi_linearized::id::{KeyId, RoomId, ServerName, UserId};
//! use mimi_linearized::signing::{ServerKeyRing, SigningKey};
//! use mimi_linearized::version::RoomVersions;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let versions = RoomVersions::lm_04();
//! let (hub_name, other) = (ServerName::parse("hub.example")?, ServerName::parse("other.example")?);
//! let hub_key = SigningKey::from_seed(KeyId::ed25519("1")?, &[1; 32]);
//! let other_key = SigningKey::from_seed(KeyId::ed25519("1")?, &[2; 32]);
//! let alice = UserId::new("alice", &hub_name)?;
//! let room_id = RoomId::parse("!room:hub.example")?;
//!
//! // The hub's own user creates the room and joins it.
//! let mut create = Draft::member(room_id.clone(), &alice, &alice, Membership::Join, 0);
//! create.kind = "m.room.create".to_owned();
//! create.state_key = Some(String::new());
//! create.content = serde_json::from_str(r#"{"room_version": "I.1"}"#)?;
//! let proposal = Proposal::of_own(create, versions.default_version())?;
//! let (authorised, version) = Hub::authorise_create(proposal, &versions)?;
//! let mut hub = Hub::begin(authorised.seal(&hub_name, &hub_key, &version, 0)?, version.clone()).ok_or("no create")?;
//! let join = Draft::member(room_id.clone(), &alice, &alice, Membership::Join, 0);
//! let sealed = hub.authorise(Proposal::of_own(join, &version)?)?.seal(&hub_name, &hub_key, &version, 0)?;
//! hub.append(sealed)?;
//!
//! // Another server's user wants to join: an LPDU arrives, its signature is checked, and a rule refuses it.
//! let bob = UserId::new("bob", &other)?;
//! let lpdu = Draft::member(room_id, &bob, &bob, Membership::Join, 0).into_lpdu(&hub_name, &other_key, &version)?;
//! let mut keys = ServerKeyRing::new();
//! keys.insert(&other, other_key.id(), other_key.verify_key(), 1);
//! let verified = Lpdu::parse(&lpdu.bytes, &version)?.verify(&keys)?;
//! let refusal = hub.authorise(Proposal::of_lpdu(verified)).unwrap_err();
//! let why = "auth 5.2.6: the join rule is invite, and the membership of @bob:other.example is leave";
//! assert_eq!(refusal.to_string(), why);
//! # Ok(())
//! # }
//! ```

pub mod auth;
pub mod base64;
pub mod content;
pub mod encryption;
pub mod event;
pub mod hub;
pub mod id;
pub mod json;
pub mod participant;
pub mod room;
pub mod signing;
pub mod version;

#[cfg(test)]
mod testing;
