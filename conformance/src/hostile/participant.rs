//! A participant that lies.

use mimi_linearized::id::{RoomId, UserId};
use serde_json::{Value, json};

use super::error::HostileError;
use super::server::{HostileServer, HostileServerBuilder};
use super::speaker::Delivery;

/// A server that takes part in rooms of the target, and lies to it.
#[derive(Debug)]
pub struct ScriptedParticipant {
    server: HostileServer,
}

impl ScriptedParticipant {
    /// Starts a participant.
    ///
    /// # Errors
    /// As [`HostileServerBuilder::start`].
    pub async fn start(server: HostileServerBuilder) -> Result<Self, HostileError> {
        Ok(Self { server: server.start().await? })
    }

    /// The server that it is.
    #[must_use]
    pub fn server(&self) -> &HostileServer {
        &self.server
    }

    /// Has a user of it join a room of the target. Nothing is lied about in that but how requests are answered.
    ///
    /// # Errors
    /// [`HostileError::Failed`] if the target does not let it in.
    pub async fn join(&self, room: &RoomId, localpart: &str) -> Result<UserId, HostileError> {
        let user = self.server.peer.user(localpart)?;
        self.server.peer.join(room, &user).await?;
        Ok(user)
    }

    /// Has a user say something: sends the target an LPDU, with the lies that are due on `send`.
    ///
    /// # Errors
    /// [`HostileError::Failed`] if no LPDU can be made of it.
    pub async fn say(&self, room: &RoomId, user: &UserId, body: &str) -> Result<Vec<Delivery>, HostileError> {
        let peer = &self.server.peer;
        let lpdu = peer.lpdu(&peer.draft(room, user, "m.room.message", json!({"body": body})))?;
        let target = self.server.speaker.target().clone();
        Ok(self.server.speaker.send(&target, vec![lpdu], true).await)
    }

    /// Every event that it was sent so far, once.
    #[must_use]
    pub fn heard(&self) -> Vec<Value> {
        self.server.peer.pdus()
    }

    /// Waits for an event that it is sent, for at most 20 seconds.
    ///
    /// # Errors
    /// [`HostileError::Failed`] if none comes.
    pub async fn until_heard(
        &self,
        what: &str,
        is: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Result<Value, HostileError> {
        Ok(self.server.peer.until_pdu(what, is).await?)
    }
}
