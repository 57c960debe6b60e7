//! `GET /_matrix/key/v2/server` (LM-04 §12.4.1.2): this server's keys.
//!
//! What is required of it: `LM-04/12.4.1.2/1` to `LM-04/12.4.1.2/14`.

use std::collections::BTreeMap;

use axum::extract::State;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::openapi::Endpoint;
use super::shapes::Signatures;
use super::{Answer, Paths};
use crate::node::Node;

/// A server's keys.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PublishedKeys {
    /// Whose keys they are.
    pub server_name: String,
    /// Until when they are valid, in milliseconds since the Unix epoch; at most seven days count.
    pub valid_until_ts: i64,
    /// Whether the server speaks Linearized Matrix.
    #[serde(rename = "m.linearized", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    pub linearized: Option<bool>,
    /// By key id: the keys it signs with.
    pub verify_keys: BTreeMap<String, PublishedKey>,
    /// By key id: the keys it signed with.
    #[serde(default)]
    pub old_verify_keys: BTreeMap<String, RetiredKey>,
    /// By the server, and by a notary that passed them on.
    pub signatures: Signatures,
}

/// A key in use.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PublishedKey {
    /// The public key in unpadded base64.
    pub key: String,
}

/// A key that is not used any more.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RetiredKey {
    /// The public key in unpadded base64.
    pub key: String,
    /// Since when it is not used, in milliseconds since the Unix epoch.
    pub expired_ts: i64,
}

/// Answers with the keys, signed anew. No authentication, no rate limit.
pub async fn handle(State(node): State<Node>) -> Answer {
    let keys = node.own_keys.publish(&node.name);
    Answer(Value::Object(keys.as_object().clone()))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let path = Paths::stable("/_matrix/key/v2/server".to_owned());
    Endpoint::new::<PublishedKeys>(Method::GET, path, "12.4.1.2", "This server's keys")
        .unauthenticated()
        .unlimited()
}
