//! A hub that lies.

use std::sync::Arc;

use mimi_linearized::id::{RoomId, ServerName};
use serde_json::{Value, json};

use super::error::HostileError;
use super::server::{HostileServer, HostileServerBuilder};
use super::speaker::Delivery;
use crate::peer::HostedRoom;

/// The localpart of the user who creates its rooms and speaks in them.
const HOST: &str = "host";

/// A hub of real rooms, which it lies about. Its own list of a room is sound; what others are told of it need not be.
#[derive(Debug)]
pub struct ScriptedHub {
    server: HostileServer,
}

/// A room of such a hub.
#[derive(Debug, Clone)]
pub struct ScriptedRoom(Arc<HostedRoom>);

impl ScriptedRoom {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &RoomId {
        &self.0.id
    }

    /// The hub's own list.
    #[must_use]
    pub fn list(&self) -> Vec<Value> {
        self.0.list()
    }

    /// The other servers with a user in it.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerName> {
        self.0.servers()
    }
}

impl ScriptedHub {
    /// Starts a hub.
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

    /// Creates a public room, of which a user `host` of the hub is the creator. Whoever wants to join it asks this server.
    ///
    /// # Errors
    /// [`HostileError::Failed`] if the target, whose signatures the room has to check, does not give its keys.
    pub async fn create_room(&self) -> Result<ScriptedRoom, HostileError> {
        Ok(ScriptedRoom(self.server.peer.host_room(json!({})).await?))
    }

    /// Has `host` say something, and tells the servers in the room, with the lies that are due on `send`. What waits for the
    /// same server at the same time goes along, and is in the answer to one of the calls.
    ///
    /// # Errors
    /// [`HostileError::Failed`] if the room's own rules do not allow it.
    pub async fn say(&self, room: &ScriptedRoom, body: &str) -> Result<Vec<Delivery>, HostileError> {
        let (peer, host) = (&self.server.peer, self.server.peer.user(HOST)?);
        let draft = peer.draft(room.id(), &host, "m.room.message", json!({"body": body}));
        let event = room.0.append(draft, &peer.key)?;
        Ok(self.server.speaker.tell(&room.0, vec![event]).await)
    }

    /// Has `host` set something of the room's state, likewise.
    ///
    /// # Errors
    /// As [`Self::say`].
    pub async fn set(
        &self,
        room: &ScriptedRoom,
        kind: &str,
        state_key: &str,
        content: Value,
    ) -> Result<Vec<Delivery>, HostileError> {
        let (peer, host) = (&self.server.peer, self.server.peer.user(HOST)?);
        let draft = peer.state_draft(room.id(), &host, kind, state_key, content);
        let event = room.0.append(draft, &peer.key)?;
        Ok(self.server.speaker.tell(&room.0, vec![event]).await)
    }

    /// Waits until a server has a user in the room, for at most 20 seconds.
    ///
    /// # Errors
    /// [`HostileError::Failed`] if that does not happen.
    pub async fn until_joined(&self, room: &ScriptedRoom, server: &ServerName) -> Result<(), HostileError> {
        let joined = |_: &crate::peer::Inbound| room.servers().contains(server);
        self.server.peer.until_request(&format!("have a user join {}", room.id()), joined).await?;
        Ok(())
    }
}
