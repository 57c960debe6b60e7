//! What several endpoints carry, as it looks on the wire. Handlers take these apart by the rules of the room's version;
//! here they are what the description of the endpoints is generated from ([`super::openapi`]).

use std::collections::BTreeMap;

use mimi_linearized::json::Object;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// By server, or user or device, and key id: the signature in unpadded base64 (LM-04 §6.2).
pub type Signatures = BTreeMap<String, BTreeMap<String, String>>;

/// An event as its hub sealed it (LM-04 §3.5): whole, or redacted (LM-04 §8).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Pdu {
    /// The room that it is in.
    pub room_id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The state key; state events have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub state_key: Option<String>,
    /// The user who sent it.
    pub sender: String,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
    /// The hub that the sender's server sent it through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub hub_server: Option<String>,
    /// What the type has.
    pub content: Object,
    /// The ids of the events that prove that it is allowed (LM-04 §5.2.1).
    pub auth_events: Vec<String>,
    /// The id of the event before it.
    pub prev_events: Vec<String>,
    /// The content hashes (LM-04 §9.1).
    pub hashes: Hashes,
    /// The signatures of the sender's server and of the hub; invites have the invited user's server's too.
    pub signatures: Signatures,
    /// Members that a room version adds, or that nobody knows.
    #[serde(flatten)]
    pub more: Object,
}

/// An event as its sender's server made it, before the hub sealed it (LM-04 §3.5.1).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("not" = json!({"anyOf": [{"required": ["auth_events"]}, {"required": ["prev_events"]}]})))]
pub struct Lpdu {
    /// The room that it is for.
    pub room_id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The state key; state events have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub state_key: Option<String>,
    /// The user who sends it.
    pub sender: String,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub origin_server_ts: i64,
    /// The hub that it is sent through (reading R01).
    pub hub_server: String,
    /// What the type has.
    pub content: Object,
    /// The content hash of the LPDU (LM-04 §9.1); room versions that do not hash LPDUs have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LpduHashes")]
    pub hashes: Option<LpduHashes>,
    /// The signature of the sender's server.
    pub signatures: Signatures,
    /// Members that a room version adds, or that nobody knows.
    #[serde(flatten)]
    pub more: Object,
}

/// The content hashes of a PDU.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Hashes {
    /// That of the PDU, in unpadded base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub sha256: Option<String>,
    /// Those of the LPDU that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Hash")]
    pub lpdu: Option<Hash>,
    /// Of algorithms that nobody knows yet.
    #[serde(flatten)]
    pub more: Object,
}

/// The content hashes of an LPDU.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LpduHashes {
    /// Those of the LPDU.
    pub lpdu: Hash,
}

/// A content hash.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Hash {
    /// In unpadded base64.
    pub sha256: String,
    /// Of algorithms that nobody knows yet.
    #[serde(flatten)]
    pub more: Object,
}

/// A membership event to be: what a hub answers to `make_join`, `make_leave` and `make_knock` (LM-04 §12.7.1, reading
/// R22).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PartialLpdu {
    /// `m.room.member`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The user whose membership changes.
    pub state_key: String,
    /// The same user.
    pub sender: String,
    /// The membership.
    pub content: Object,
    /// The room.
    pub room_id: String,
    /// The hub.
    pub hub_server: String,
}

/// A state event reduced to four members. Nothing proves it (LM-04 §3.5.2.1).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StrippedState {
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its state key.
    pub state_key: String,
    /// Who sent it.
    pub sender: String,
    /// Its content.
    pub content: Object,
}

/// Something for another server that is not part of a room (LM-04 §12.9).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Edu {
    /// What it is: it says what the content has.
    #[serde(rename = "type")]
    pub kind: String,
    /// The user who sends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub sender: Option<String>,
    /// The same user under the other name that the draft has for it (reading R25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub sender_id: Option<String>,
    /// What the type has.
    pub content: Object,
    /// Members that nobody knows.
    #[serde(flatten)]
    pub more: Object,
}

/// The object that a device published and signed (LM-04 §4.1).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Device {
    /// The device's id.
    pub device_id: String,
    /// The user whose device it is.
    pub user_id: String,
    /// What it can decrypt.
    pub algorithms: Vec<String>,
    /// By `algorithm:device`: its credentials in unpadded base64.
    pub keys: BTreeMap<String, String>,
    /// The device's own signature, under its user.
    pub signatures: Signatures,
    /// Members that the device added.
    #[serde(flatten)]
    pub more: Object,
}

/// A PDU, or an LPDU: which of the two depends on whether the sender is the room's hub (LM-04 §12.5.1).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PduOrLpdu {
    /// From the hub.
    Pdu(Box<Pdu>),
    /// To the hub.
    Lpdu(Box<Lpdu>),
}

/// An error (LM-04 §12.2.2).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ErrorAnswer {
    /// What kind of error it is, to a program.
    pub errcode: String,
    /// What it is, to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub error: Option<String>,
    /// How long to wait before the next request, in milliseconds (LM-04 §12.2.6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub retry_after_ms: Option<u64>,
    /// Which rule refused, if one did: no member of the draft's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub rule: Option<String>,
}
