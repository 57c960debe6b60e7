//! Commits and trees that stand apart from their events (reading R35): taken in, kept, fetched, served.

use mimi_linearized::encryption::{Apart, ApartContent, CommitContent, MessageDigest, Needs};
use mimi_linearized::event::{Event, Recorded, RoomEvent, kind};
use mimi_linearized::id::{EventId, RoomId, ServerName};
use mimi_linearized::room::{Effect, Position, Room, Visibility};
use mimi_mls::framing::{self, MessageKind};

use super::{Role, RoomError};
use crate::api::{commit_message, commit_tree, upload_commit};
use crate::node::Node;

/// The message of a commit event, or what names it where it stands apart.
type Message = Result<Vec<u8>, MessageDigest>;

/// A commit event that is in the list, with its group state.
struct Commit {
    room_id: RoomId,
    position: Position,
    message: Message,
    group_state: Vec<u8>,
    /// The tree, if the group is still as this commit left it.
    tree_now: Option<Vec<u8>>,
}

impl Node {
    /// Takes in a commit that an event of `origin` is about to name. This server must be the hub, and `origin` in the
    /// room.
    ///
    /// # Errors
    /// [`RoomError`] if it is not, if the room has no MLS, or if the bytes are no commit.
    pub async fn take_commit(
        &self,
        room_id: &RoomId,
        origin: &ServerName,
        message: Vec<u8>,
    ) -> Result<MessageDigest, RoomError> {
        let cell = self.hub_cell(room_id).await?;
        let role = cell.lock().await;
        let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
        if *origin != self.name && !room.presence().is_joined(origin) {
            return Err(RoomError::Forbidden("the server has no joined user in the room"));
        }
        if room.encryption().epoch().is_none() {
            return Err(RoomError::BadRequest("the room is not encrypted with MLS".to_owned()));
        }
        // While the room is held, no other upload can push this one out, nor one that is being accepted.
        let kept = self.keep_commit(room_id, origin, message).await;
        drop(role);
        kept
    }

    /// Gives a commit that a local user's event is about to name to the room's hub, which may be this server.
    ///
    /// # Errors
    /// As [`Node::take_commit`], and what the hub answers.
    pub async fn hand_in_commit(
        &self,
        room_id: &RoomId,
        message: Vec<u8>,
    ) -> Result<MessageDigest, RoomError> {
        let cell = self.room(room_id).await?.ok_or(RoomError::UnknownRoom)?;
        let facts = cell.facts().await.ok_or(RoomError::UnknownRoom)?;
        if facts.hub == self.name {
            return self.take_commit(room_id, &self.name, message).await;
        }
        let digest = upload_commit::call(self, &facts.hub, room_id, &message).await?;
        digest.check(&message)?;
        let role = cell.lock().await;
        let kept = self.keep_commit(room_id, &self.name, message).await;
        drop(role);
        kept
    }

    async fn keep_commit(
        &self,
        room_id: &RoomId,
        origin: &ServerName,
        message: Vec<u8>,
    ) -> Result<MessageDigest, RoomError> {
        framing::check(MessageKind::PublicMessage, &message)
            .map_err(|error| RoomError::BadRequest(error.to_string()))?;
        let digest = MessageDigest::of(&message);
        self.store.put_message(room_id, origin, &digest.sha256, message).await?;
        Ok(digest)
    }

    /// What an event that comes next needs beside itself, as far as it is here.
    pub(super) async fn apart_here(&self, room: &Room, event: &Event) -> Result<Apart, RoomError> {
        let needs = room.needs(event);
        Ok(Apart { message: self.message_here(room.id(), &needs).await?, tree: None })
    }

    /// What a recorded event needs beside itself.
    pub(super) async fn apart_recorded(
        &self,
        room: &Room,
        event: &Event,
        position: Position,
    ) -> Result<Apart, RoomError> {
        let needs = room.needs(event);
        let tree = if needs.tree { self.store.tree(room.id(), position).await? } else { None };
        Ok(Apart { message: self.message_here(room.id(), &needs).await?, tree })
    }

    /// What an event of the hub needs beside itself; what is not here is fetched from the hub. What the hub does not
    /// have is left out: the event is judged without it.
    pub(super) async fn apart_from_hub(&self, room: &Room, event: &RoomEvent) -> Result<Apart, RoomError> {
        let needs = room.needs(event.event());
        let mut apart = Apart { message: self.message_here(room.id(), &needs).await?, tree: None };
        if needs.message.is_some() && apart.message.is_none() {
            apart.message = if_there(commit_message::call(self, room.hub(), event.id()).await)?;
            if let (Some(digest), Some(message)) = (&needs.message, &apart.message)
                && digest.check(message).is_ok()
            {
                self.store.put_message(room.id(), room.hub(), &digest.sha256, message.clone()).await?;
            }
        }
        if needs.tree {
            apart.tree = if_there(commit_tree::call(self, room.hub(), event.id()).await)?;
        }
        Ok(apart)
    }

    async fn message_here(&self, room_id: &RoomId, needs: &Needs) -> Result<Option<Vec<u8>>, RoomError> {
        match &needs.message {
            None => Ok(None),
            Some(digest) => Ok(self.store.message(room_id, &digest.sha256).await?),
        }
    }

    /// Sees to it that the commit which an event names is kept as long as the event.
    pub(super) async fn keep_named(&self, room_id: &RoomId, event: &Event) -> Result<(), RoomError> {
        if event.kind() == kind::MLS_COMMIT
            && event.state_key().is_none()
            && let Ok(Some(content)) = ApartContent::parse(event.content())
        {
            self.store.name_message(room_id, &content.message.sha256).await?;
        }
        Ok(())
    }

    /// Keeps the ratchet tree after the commit at `position`, if the commit's event leaves it out.
    pub(super) async fn keep_tree(&self, room: &Room, event: &Event, position: Position) {
        let Some(tracker) = room.encryption().tracker() else { return };
        let leaves_tree_out = state_of(event)
            .and_then(|(_, state)| framing::group_info(&state).ok())
            .is_some_and(|info| info.ratchet_tree.is_none() && info.epoch == tracker.epoch());
        if !leaves_tree_out {
            return;
        }
        let kept = match tracker.ratchet_tree() {
            Ok(tree) => {
                self.store.put_tree(room.id(), position, tree).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = kept {
            // As long as no other commit comes, the tree is the group's.
            tracing::warn!(room = %room.id(), error, "a ratchet tree could not be kept");
        }
    }

    /// The message of a commit event, for a server that may see the event whole; for local users with no server named.
    ///
    /// # Errors
    /// [`RoomError`] if the store fails.
    pub async fn serve_commit(
        &self,
        id: &EventId,
        to: Option<&ServerName>,
    ) -> Result<Option<Vec<u8>>, RoomError> {
        let Some(commit) = self.find_commit(id, to).await? else { return Ok(None) };
        match commit.message {
            Ok(message) => Ok(Some(message)),
            Err(digest) => Ok(self.store.message(&commit.room_id, &digest.sha256).await?),
        }
    }

    /// The ratchet tree after a commit event, for a server that may see the event whole; for local users with no server
    /// named. Only those of the last commits are kept.
    ///
    /// # Errors
    /// [`RoomError`] if the store fails.
    pub async fn serve_tree(
        &self,
        id: &EventId,
        to: Option<&ServerName>,
    ) -> Result<Option<Vec<u8>>, RoomError> {
        let Some(commit) = self.find_commit(id, to).await? else { return Ok(None) };
        let inside = framing::group_info(&commit.group_state).ok().and_then(|info| info.ratchet_tree);
        match inside.or(commit.tree_now) {
            Some(tree) => Ok(Some(tree)),
            None => Ok(self.store.tree(&commit.room_id, commit.position).await?),
        }
    }

    async fn find_commit(&self, id: &EventId, to: Option<&ServerName>) -> Result<Option<Commit>, RoomError> {
        let Some(location) = self.store.locate(id).await? else { return Ok(None) };
        let Some(cell) = self.room(&location.room_id).await? else { return Ok(None) };
        let records = self.store.records(&location.room_id, location.position, 1).await?;
        let Some(record) = records.into_iter().find(|record| record.effect == Effect::Applied) else {
            return Ok(None);
        };
        let role = cell.lock().await;
        let Some(room) = role.as_ref().map(Role::room) else { return Err(RoomError::OutOfStep) };
        let recorded = Recorded::read(&record.bytes, &record.event_id, room.version())?;
        let event = recorded.event();
        let seen = to.is_none_or(|to| room.visibility(to, record.position, event) == Visibility::Full);
        let Some((message, group_state)) = state_of(event.event()).filter(|_| seen) else {
            return Ok(None);
        };
        let tree_now = match (room.encryption().tracker(), framing::group_info(&group_state)) {
            (Some(tracker), Ok(info)) if info.ratchet_tree.is_none() && info.epoch == tracker.epoch() => {
                tracker.ratchet_tree().ok()
            }
            _ => None,
        };
        let (room_id, position) = (location.room_id, record.position);
        Ok(Some(Commit { room_id, position, message, group_state, tree_now }))
    }
}

/// The message of a commit event, or what names it, and the group state; `None` of any other event.
fn state_of(event: &Event) -> Option<(Message, Vec<u8>)> {
    if event.kind() != kind::MLS_COMMIT || event.state_key().is_some() {
        return None;
    }
    match ApartContent::parse(event.content()).ok()? {
        Some(content) => Some((Err(content.message), content.public_group_state)),
        None => {
            let content = CommitContent::parse(event.content()).ok()?;
            Some((Ok(content.message), content.public_group_state))
        }
    }
}

/// What the hub answered, if it has what it was asked for. That it could not be asked is an error: it may be asked
/// again.
fn if_there(answer: Result<Vec<u8>, RoomError>) -> Result<Option<Vec<u8>>, RoomError> {
    match answer {
        Ok(bytes) => Ok(Some(bytes)),
        Err(RoomError::Peer { server, error }) if error.status().is_client_error() => {
            tracing::warn!(%server, %error, "the hub does not have what stands apart from its event");
            Ok(None)
        }
        Err(RoomError::BadAnswer { server, what }) => {
            tracing::warn!(%server, what, "the hub's answer is not what stands apart from its event");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
