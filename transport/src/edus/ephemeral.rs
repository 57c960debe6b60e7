//! Typing notices, receipts and presence: who may say what, and who is told (reading R45).

use std::time::{Duration, Instant};

use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_linearized::json::Object;
use serde_json::{Value, json};

use super::newest::{Note, Topic};
use super::{Presence, Receipt, Typing, presence, receipt, typing};
use crate::node::Node;
use crate::rooms::{Role, RoomError};

/// What is said in passing: only the newest of it counts, and none of it is stored for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ephemeral {
    /// Somebody writes, or no more.
    Typing(Typing),
    /// Somebody has read up to here.
    Receipt(Receipt),
    /// Somebody is there, or not.
    Presence(Presence),
}

impl Ephemeral {
    /// Reads the content of an EDU of this type. `None` if the type is none of these; what is malformed, or about another
    /// user than the sender, is left out.
    #[must_use]
    pub fn parse(kind: &str, sender: &UserId, content: &Object) -> Option<Vec<Self>> {
        Some(match kind {
            typing::TYPE => Typing::parse(sender, content).map(Self::Typing).into_iter().collect(),
            receipt::TYPE => Receipt::parse(sender, content).into_iter().map(Self::Receipt).collect(),
            presence::TYPE => Presence::parse(sender, content).map(Self::Presence).into_iter().collect(),
            _ => return None,
        })
    }

    /// The EDU, this long after it was said (LM-04 §12.9).
    #[must_use]
    pub fn edu(&self, sender: &UserId, age: Duration) -> Value {
        let (kind, content) = match self {
            Self::Typing(typing) => (typing::TYPE, typing.content(sender, age)),
            Self::Receipt(receipt) => (receipt::TYPE, receipt.content(sender)),
            Self::Presence(presence) => (presence::TYPE, presence.content(sender, age)),
        };
        json!({"type": kind, "sender": sender, "content": content})
    }

    /// The item of an inbox.
    pub(super) fn item(&self, sender: &UserId, age: Duration) -> Value {
        match self {
            Self::Typing(typing) => typing.item(sender, age),
            Self::Receipt(receipt) => receipt.item(sender),
            Self::Presence(presence) => presence.item(sender, age),
        }
    }

    pub(super) fn topic(&self) -> Topic {
        match self {
            Self::Typing(typing) => Topic::Typing(typing.room_id.clone()),
            Self::Receipt(receipt) => Topic::Receipt(receipt.room_id.clone(), receipt.thread_id.clone()),
            Self::Presence(_) => Topic::Presence,
        }
    }

    /// The room that it is about; presence is about none.
    fn room(&self) -> Option<&RoomId> {
        match self {
            Self::Typing(typing) => Some(&typing.room_id),
            Self::Receipt(receipt) => Some(&receipt.room_id),
            Self::Presence(_) => None,
        }
    }

    fn is_bounded(&self) -> bool {
        match self {
            Self::Typing(_) => true,
            Self::Receipt(receipt) => receipt.is_bounded(),
            Self::Presence(presence) => presence.is_bounded(),
        }
    }
}

/// Whom something said by a user concerns.
#[derive(Debug, Default)]
struct Audience {
    /// The rooms that the user is joined to and that it is to be seen in.
    rooms: Vec<RoomId>,
    /// The other servers with a joined user in one of them.
    servers: Vec<ServerName>,
}

impl Node {
    /// Lets others know what a local user says in passing: straight to every server that is in the room, or for presence
    /// shares a room with the user (reading R45). Returns once it waits to be sent; that it arrives is not certain.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] if the sender is not local or not joined to the room, [`RoomError::BadRequest`] if
    /// something is longer than may be sent, [`RoomError::UnknownRoom`].
    pub async fn say_in_passing(&self, sender: &UserId, said: Ephemeral) -> Result<(), RoomError> {
        self.check_local(sender)?;
        if !said.is_bounded() {
            return Err(RoomError::BadRequest("it is longer than may be sent".to_owned()));
        }
        if let Some(room) = said.room()
            && self.room(room).await?.is_none()
        {
            return Err(RoomError::UnknownRoom);
        }
        let audience = self.audience(sender, &said).await?;
        if said.room().is_some() && audience.rooms.is_empty() {
            return Err(RoomError::Forbidden("the sender is not joined to the room"));
        }
        for server in &audience.servers {
            let note =
                Note { sender: sender.clone(), said: said.clone(), at: Instant::now(), rooms: Vec::new() };
            self.outbox.put(server, note);
            self.wake(server);
        }
        self.post(sender, said, audience.rooms);
        Ok(())
    }

    /// Takes what another server's user says in passing. It is ignored unless the user is joined to the room, or for
    /// presence to any room that this server knows.
    pub(super) async fn receive_ephemeral(&self, sender: &UserId, said: Ephemeral) -> Result<(), RoomError> {
        let rooms = self.audience(sender, &said).await?.rooms;
        if rooms.is_empty() {
            tracing::info!(%sender, "ignored an EDU of a user who is not joined");
            return Ok(());
        }
        self.post(sender, said, rooms);
        Ok(())
    }

    async fn audience(&self, sender: &UserId, said: &Ephemeral) -> Result<Audience, RoomError> {
        let mut audience = Audience::default();
        let Some(room_id) = said.room() else {
            self.for_rooms_of(sender, |room| audience.rooms.push(room.id().clone())).await?;
            audience.servers = self.servers_sharing_a_room(sender).await?.into_iter().collect();
            return Ok(audience);
        };
        if !self.is_joined(room_id, sender).await? {
            return Ok(audience);
        }
        audience.rooms.push(room_id.clone());
        if let Some(cell) = self.room(room_id).await?
            && let Some(room) = cell.lock().await.as_ref().map(Role::room)
        {
            let others = room.presence().joined().filter(|server| **server != self.name);
            audience.servers = others.cloned().collect();
        }
        Ok(audience)
    }
}
