//! A device in a room: what it makes of the list that its server shows it (LM-04 §4).

use std::collections::BTreeMap;

use mimi_mls::{
    CallerFault, CaughtUp, Decrypted, DeviceAddress, Engine, ListedCommit, OutboundCommit, Suite, framing,
};
use serde_json::Value;

use super::content::{CommitContent, EncryptedContent};
use super::{Apart, ApartContent, Devices, RoomView, Upkeep};
use crate::auth::Membership;
use crate::event::kind;
use crate::id::{EventId, RoomId, UserId};
use crate::json::Object;

/// What a device knows of a room, and what it does with the room's events.
///
/// It is shown the events as the device's server lists them, each with its id: first the state from which the list
/// starts, if the server came to the room later ([`note`](Self::note)), then the list in order
/// ([`take`](Self::take)). An event may come again: a device that has just joined with a Welcome takes the list once
/// more from the commit on that the Welcome names.
///
/// The keys are in the [`Engine`], which has those of all rooms; what is known of users' devices is in [`Devices`]. So a
/// device whose engine is stored does all of this within
/// [`DurableEngine::run`](mimi_mls::DurableEngine::run). This here is made anew from the list.
#[derive(Debug, Clone)]
pub struct RoomDevice {
    room_id: RoomId,
    suite: Option<Suite>,
    /// Every user's membership, and who set it.
    members: BTreeMap<UserId, (Membership, UserId)>,
    world_readable: bool,
    epoch: u64,
    newest: Option<Newest>,
}

/// The newest commit of the list.
#[derive(Debug, Clone)]
struct Newest {
    event_id: EventId,
    public_group_state: Vec<u8>,
}

/// What an event was to a device.
#[derive(Debug)]
#[must_use = "a commit that lost a race may have to be sent anew"]
#[non_exhaustive]
pub enum Seen {
    /// Nothing that has to do with encryption, or a change of the room that [`Upkeep`] may have to do with.
    Other,
    /// A commit of the group that the device is in, wants into, or was in before it.
    Commit(Box<CaughtUp>),
    /// A commit of a group that the device has nothing to do with.
    OthersCommit,
    /// A message.
    Message {
        /// The device that sent it. It belongs to the event's sender.
        sender: DeviceAddress,
        /// What it says.
        plaintext: Vec<u8>,
    },
    /// A message of this very device, which MLS does not let it read.
    OwnMessage,
    /// An encrypted event that this device cannot read, or must not (LM-04 §4, §4.5.2).
    Undecryptable(Undecryptable),
}

/// Why an encrypted event is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Undecryptable {
    /// A field of its content is missing or malformed.
    #[error("its `{0}` is missing or malformed")]
    Malformed(&'static str),
    /// It names another algorithm than the room's (LM-04 §4).
    #[error("it is encrypted with {0:?}, which is not the room's algorithm")]
    OtherAlgorithm(String),
    /// It is by a device of another user than its sender.
    #[error("it is by {0}, which is not a device of its sender")]
    OtherSender(DeviceAddress),
    /// It names another commit than the one that began its epoch.
    #[error("it is of another epoch than that of the commit it names")]
    OtherEpoch,
    /// MLS does not open it.
    #[error(transparent)]
    Mls(mimi_mls::Error),
}

impl RoomDevice {
    /// Nothing is known of the room yet.
    #[must_use]
    pub fn new(room_id: RoomId) -> Self {
        let (members, world_readable) = (BTreeMap::new(), false);
        Self { room_id, suite: None, members, world_readable, epoch: 0, newest: None }
    }

    /// Notes an event of the room's state. What is none, and what is malformed, is passed by.
    pub fn note(&mut self, event: &Object) {
        let text = |object: &Object, field: &str| object.get(field)?.as_str().map(ToOwned::to_owned);
        let Some(state_key) = text(event, "state_key") else { return };
        let Some(content) = event.get("content").and_then(Value::as_object) else { return };
        match (text(event, "type").unwrap_or_default().as_str(), state_key.as_str()) {
            (kind::CREATE, "") => {
                let algorithm = content.get("encryption").and_then(|encryption| encryption.get("algorithm"));
                self.suite = algorithm.and_then(Value::as_str).and_then(Suite::from_room_algorithm);
            }
            (kind::HISTORY_VISIBILITY, "") => {
                let setting = text(content, "history_visibility");
                self.world_readable = setting.as_deref() == Some("world_readable");
            }
            (kind::MEMBER, user) => {
                let membership = text(content, "membership").and_then(|text| Membership::parse(&text));
                let sender = text(event, "sender").and_then(|sender| UserId::parse(&sender).ok());
                if let (Ok(user), Some(membership), Some(sender)) = (UserId::parse(user), membership, sender)
                {
                    self.members.insert(user, (membership, sender));
                }
            }
            _ => {}
        }
    }

    /// Takes in the next event of the room's list. `apart` is what stands apart from it, which the server has
    /// (reading R35). `now` is the time in Unix seconds.
    ///
    /// # Errors
    /// Those of [`Engine::catch_up`], if the device cannot start over after a race that it has lost.
    pub fn take(
        &mut self,
        engine: &mut Engine,
        event_id: &EventId,
        event: &Object,
        apart: &Apart,
        now: u64,
    ) -> Result<Seen, mimi_mls::Error> {
        let no_content = Object::new();
        let content = event.get("content").and_then(Value::as_object).unwrap_or(&no_content);
        if event.contains_key("state_key") {
            self.note(event);
            return Ok(Seen::Other);
        }
        match event.get("type").and_then(Value::as_str) {
            Some(kind::MLS_COMMIT) => self.take_commit(engine, event_id, content, apart, now),
            Some(kind::ENCRYPTED) => {
                let sender = event.get("sender").and_then(Value::as_str).unwrap_or_default();
                Ok(self.decrypt(engine, sender, content).unwrap_or_else(Seen::Undecryptable))
            }
            _ => Ok(Seen::Other),
        }
    }

    fn take_commit(
        &mut self,
        engine: &mut Engine,
        event_id: &EventId,
        content: &Object,
        apart: &Apart,
        now: u64,
    ) -> Result<Seen, mimi_mls::Error> {
        // A server shows its users no commit that is malformed.
        let Some((message, public_group_state)) = commit_of(content, apart) else { return Ok(Seen::Other) };
        let Ok(info) = framing::group_info(&public_group_state) else { return Ok(Seen::Other) };
        let listed = [ListedCommit {
            event_id: event_id.as_str(),
            message: &message,
            public_group_state: &public_group_state,
            tree: apart.tree.as_deref(),
        }];
        let caught_up = engine.catch_up(self.room_id.as_str(), &listed, now);
        if info.epoch > self.epoch {
            self.epoch = info.epoch;
            self.newest = Some(Newest { event_id: event_id.clone(), public_group_state });
        }
        match caught_up {
            Ok(caught_up) => Ok(Seen::Commit(Box::new(caught_up))),
            Err(mimi_mls::Error::Caller(CallerFault::NoSuchRoom { .. })) => Ok(Seen::OthersCommit),
            Err(error) => Err(error),
        }
    }

    fn decrypt(&self, engine: &mut Engine, sender: &str, content: &Object) -> Result<Seen, Undecryptable> {
        let content = EncryptedContent::parse(content).map_err(Undecryptable::Malformed)?;
        if self.suite.map(Suite::room_algorithm) != Some(content.algorithm.as_str()) {
            return Err(Undecryptable::OtherAlgorithm(content.algorithm));
        }
        match engine.decrypt(self.room_id.as_str(), &content.ciphertext).map_err(Undecryptable::Mls)? {
            Decrypted::Message { sender: device, plaintext, commit_event_id, .. } => {
                if device.user_id() != sender {
                    return Err(Undecryptable::OtherSender(device));
                }
                if commit_event_id.is_some_and(|id| content.commit_event_id != *id.as_str()) {
                    return Err(Undecryptable::OtherEpoch);
                }
                Ok(Seen::Message { sender: device, plaintext })
            }
            _ => Ok(Seen::OwnMessage),
        }
    }

    /// How the group stands to the room, of which the device is a member. `None` if the room has no group of a known
    /// suite.
    ///
    /// # Errors
    /// [`mimi_mls::Error::Caller`] if the device is not in the group.
    pub fn upkeep(&self, engine: &Engine, devices: &Devices) -> Result<Option<Upkeep>, mimi_mls::Error> {
        Ok(Upkeep::look(self, devices, &engine.members(self.room_id.as_str())?))
    }

    /// Makes the commit with which the device joins on its own, from the newest group state (LM-04 §4.5.1). `tree` is the
    /// ratchet tree after that commit, from the server, where the group state leaves it out (reading R35). `None` if
    /// there was no commit yet, or the device is not the one that could join: its user is not joined, and not everybody
    /// may read the room.
    ///
    /// # Errors
    /// Those of [`Engine::join_external`].
    pub fn join(
        &self,
        engine: &mut Engine,
        tree: Option<&[u8]>,
    ) -> Result<Option<OutboundCommit>, mimi_mls::Error> {
        let user = UserId::parse(engine.device().address().user_id()).ok();
        let may = self.world_readable || user.is_some_and(|user| self.membership(&user) == Membership::Join);
        let Some(newest) = self.newest.as_ref().filter(|_| may) else { return Ok(None) };
        let (room, state) = (self.room_id.as_str(), &newest.public_group_state);
        let carriage = mimi_mls::Carriage::default();
        engine.join_external_with_tree(room, state, newest.event_id.as_str(), tree, carriage).map(Some)
    }

    /// The event of the newest commit.
    #[must_use]
    pub fn newest_commit(&self) -> Option<&EventId> {
        self.newest.as_ref().map(|newest| &newest.event_id)
    }
}

/// The message of a commit and its group state.
fn commit_of(content: &Object, apart: &Apart) -> Option<(Vec<u8>, Vec<u8>)> {
    match ApartContent::parse(content).ok()? {
        None => {
            let content = CommitContent::parse(content).ok()?;
            Some((content.message, content.public_group_state))
        }
        Some(content) => {
            let message = apart.message.clone()?;
            content.message.check(&message).ok()?;
            Some((message, content.public_group_state))
        }
    }
}

impl RoomView for RoomDevice {
    fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    fn membership(&self, user: &UserId) -> Membership {
        self.members.get(user).map_or(Membership::Leave, |(membership, _)| *membership)
    }

    fn joined(&self) -> Vec<UserId> {
        let joined = self.members.iter().filter(|(_, (membership, _))| *membership == Membership::Join);
        joined.map(|(user, _)| user.clone()).collect()
    }

    fn is_world_readable(&self) -> bool {
        self.world_readable
    }

    fn changed_by(&self, user: &UserId) -> Option<UserId> {
        self.members.get(user).map(|(_, by)| by.clone())
    }

    fn suite(&self) -> Option<Suite> {
        self.suite
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

#[cfg(test)]
mod tests;
