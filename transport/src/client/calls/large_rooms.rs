//! Commits and trees that stand apart from their events (reading R35).

use http::Method;
use mimi_linearized::base64;
use mimi_linearized::encryption::MessageDigest;
use mimi_linearized::id::{EventId, RoomId, ServerName};
use mimi_linearized::json::{Object, Value};
use serde_json::json;

use super::{Again, unusable};
use crate::api::{commit_message, commit_tree, upload_commit};
use crate::client::{ClientError, FederationClient};

impl FederationClient {
    /// The commit of an event.
    ///
    /// # Errors
    /// [`ClientError`] if the server does not answer with bytes in base64.
    pub async fn commit_message(&self, server: &ServerName, id: &EventId) -> Result<Vec<u8>, ClientError> {
        let answer = self.ask(server, Method::GET, &commit_message::paths(id), None, Again::Yes).await?;
        bytes(&answer, "message")
    }

    /// The ratchet tree after a commit event.
    ///
    /// # Errors
    /// [`ClientError`] if the server does not answer with bytes in base64.
    pub async fn commit_tree(&self, server: &ServerName, id: &EventId) -> Result<Vec<u8>, ClientError> {
        let answer = self.ask(server, Method::GET, &commit_tree::paths(id), None, Again::Yes).await?;
        bytes(&answer, "ratchet_tree")
    }

    /// Gives a room's hub a commit that an event is about to name.
    ///
    /// # Errors
    /// [`ClientError`] if the hub does not take it.
    pub async fn upload_commit(
        &self,
        hub: &ServerName,
        room: &RoomId,
        message: &[u8],
    ) -> Result<MessageDigest, ClientError> {
        let body = json!({"message": base64::encode(message)});
        let answer =
            self.ask(hub, Method::POST, &upload_commit::paths(room), Some(&body), Again::Yes).await?;
        MessageDigest::parse(&Value::Object(answer))
            .ok_or_else(|| unusable("`sha256` and `size` are not those of a commit"))
    }
}

fn bytes(answer: &Object, field: &str) -> Result<Vec<u8>, ClientError> {
    let text = answer.get(field).and_then(Value::as_str);
    text.and_then(|text| base64::decode(text).ok()).ok_or_else(|| unusable(format!("`{field}` is no base64")))
}
