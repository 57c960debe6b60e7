//! `GET /_matrix/key/v2/server` (LM-04 §12.4.1.2): this server's keys.

use axum::extract::State;
use mimi_linearized::signing::ServerKeys;
use serde_json::Value;

use super::Answer;
use crate::clock;
use crate::node::Node;

/// How long keys are said to be valid: about 12 hours (LM-04 §12.4.1.1).
const VALID_FOR_MS: i64 = 12 * 60 * 60 * 1_000;

/// Answers with the keys, signed anew. No authentication, no rate limit.
pub async fn handle(State(node): State<Node>) -> Answer {
    let valid_until = clock::now_ms().saturating_add(VALID_FOR_MS);
    let keys = ServerKeys::publish(&node.name, &node.key, valid_until);
    Answer(Value::Object(keys.as_object().clone()))
}
