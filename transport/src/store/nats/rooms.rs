//! Rooms, and what stands apart from their events.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mimi_linearized::id::{EventId, RoomId, ServerName, UserId};
use mimi_linearized::room::{Place, Position};
use tokio::time::{Instant, timeout_at};

use super::super::apart::{ApartStore, Sha256};
use super::super::command::{Command, Outcome};
use super::super::sqlite::view::TURN_MS;
use super::super::{
    AppendError, Evidence, ExpectedHead, InviteRecord, Location, NewRecord, Record, RoomStore, StoreError,
    StoredSnapshot,
};
use super::{NatsStore, unexpected};

/// The largest position: what a view can hold.
fn check_position(position: Position) -> Result<(), StoreError> {
    match i64::try_from(position) {
        Ok(_) => Ok(()),
        Err(_) => Err(StoreError::OutOfRange { what: "position", number: position }),
    }
}

/// After so many appends in a row in which other processes were faster, a process asks for the next turn. Otherwise one
/// that is a little farther from the log might never have one.
const LOSSES: u32 = 3;

/// In how many rooms losses are counted.
const MAX_ROOMS: usize = 1_000;

impl NatsStore {
    fn losses(&self) -> MutexGuard<'_, HashMap<RoomId, u32>> {
        // The map is whole whenever the lock is free.
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while another process has the next turn in a room, but not for longer than it can have it.
    async fn await_turn(&self, room_id: &RoomId) -> Result<(), StoreError> {
        let deadline = Instant::now() + Duration::from_millis(TURN_MS.unsigned_abs());
        let mut applied = self.log.applied.subscribe();
        loop {
            applied.borrow_and_update();
            let holder = self.log.view.turn(room_id).await?;
            if holder.is_none_or(|holder| holder == self.members.own()) {
                return Ok(());
            }
            if timeout_at(deadline, applied.changed()).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Counts that another process was faster, and asks for the next turn if that happens again and again; each time
    /// anew, for as long as it takes to follow what the other has appended.
    async fn lose(&self, room_id: &RoomId) -> Result<(), StoreError> {
        let count = {
            let mut losses = self.losses();
            if losses.len() >= MAX_ROOMS {
                losses.clear();
            }
            let count = losses.entry(room_id.clone()).or_default();
            *count = count.saturating_add(1);
            *count
        };
        if count < LOSSES {
            return Ok(());
        }
        let process = self.members.own().to_owned();
        self.change(Command::Reserve { room_id: room_id.clone(), process }).await
    }
}

#[async_trait]
impl RoomStore for NatsStore {
    async fn append(
        &self,
        room_id: &RoomId,
        expected: ExpectedHead,
        record: NewRecord,
    ) -> Result<Position, AppendError> {
        self.await_turn(room_id).await?;
        let process = self.members.own().to_owned();
        let command = Command::Append { room_id: room_id.clone(), expected, record, process };
        match self.log.run(command).await? {
            Outcome::Appended(position) => {
                self.losses().remove(room_id);
                Ok(position)
            }
            // Whoever has the turn will have moved it.
            Outcome::HeadMoved | Outcome::NotItsTurn => {
                self.lose(room_id).await?;
                Err(AppendError::HeadMoved)
            }
            _ => Err(unexpected().into()),
        }
    }

    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        self.log.view.rooms().await
    }

    async fn records(
        &self,
        room_id: &RoomId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.log.view.records(room_id, from, limit).await
    }

    async fn read_back(
        &self,
        room_id: &RoomId,
        wanted: Vec<(EventId, Place)>,
    ) -> Result<Vec<Arc<[u8]>>, StoreError> {
        self.log.view.read_back(room_id, wanted).await
    }

    async fn length(&self, room_id: &RoomId) -> Result<u64, StoreError> {
        self.log.view.length(room_id).await
    }

    async fn locate(&self, event_id: &EventId) -> Result<Option<Location>, StoreError> {
        if let Some(location) = self.log.view.locate(event_id).await? {
            return Ok(Some(location));
        }
        self.log.catch_up().await?;
        self.log.view.locate(event_id).await
    }

    async fn record_of_lpdu(
        &self,
        room_id: &RoomId,
        lpdu_id: &EventId,
    ) -> Result<Option<Record>, StoreError> {
        // What is not here yet moves the head: whoever appends looks again then.
        self.log.view.record_of_lpdu(room_id, lpdu_id).await
    }

    async fn put_snapshot(&self, room_id: &RoomId, snapshot: StoredSnapshot) -> Result<(), StoreError> {
        self.change(Command::PutSnapshot { room_id: room_id.clone(), snapshot }).await
    }

    async fn snapshot(&self, room_id: &RoomId) -> Result<Option<StoredSnapshot>, StoreError> {
        self.log.view.snapshot(room_id).await
    }

    async fn put_group(
        &self,
        room_id: &RoomId,
        position: Position,
        snapshot: Vec<u8>,
    ) -> Result<(), StoreError> {
        check_position(position)?;
        self.change(Command::PutGroup { room_id: room_id.clone(), position, snapshot }).await
    }

    async fn group(&self, room_id: &RoomId) -> Result<Option<(Position, Vec<u8>)>, StoreError> {
        self.log.view.group(room_id).await
    }

    async fn put_evidence(&self, evidence: Evidence) -> Result<(), StoreError> {
        self.change(Command::PutEvidence(evidence)).await
    }

    async fn evidence(&self, room_id: &RoomId, limit: usize) -> Result<Vec<Evidence>, StoreError> {
        self.log.view.evidence(room_id, limit).await
    }

    async fn put_invite(&self, invite: InviteRecord) -> Result<(), StoreError> {
        self.change(Command::PutInvite(invite)).await
    }

    async fn invite(&self, room_id: &RoomId, user_id: &UserId) -> Result<Option<InviteRecord>, StoreError> {
        if let Some(invite) = self.log.view.invite(room_id, user_id).await? {
            return Ok(Some(invite));
        }
        self.log.catch_up().await?;
        self.log.view.invite(room_id, user_id).await
    }

    async fn remove_invite(&self, room_id: &RoomId, user_id: &UserId) -> Result<(), StoreError> {
        // Members come and go far more often than anybody was invited.
        if self.log.view.invite(room_id, user_id).await?.is_none() {
            return Ok(());
        }
        self.change(Command::RemoveInvite { room_id: room_id.clone(), user_id: user_id.clone() }).await
    }
}

#[async_trait]
impl ApartStore for NatsStore {
    async fn put_message(
        &self,
        room_id: &RoomId,
        origin: &ServerName,
        sha256: &Sha256,
        message: Vec<u8>,
    ) -> Result<(), StoreError> {
        let (room_id, origin, sha256) = (room_id.clone(), origin.clone(), *sha256);
        self.change(Command::PutMessage { room_id, origin, sha256, message }).await
    }

    async fn name_message(&self, room_id: &RoomId, sha256: &Sha256) -> Result<(), StoreError> {
        self.change(Command::NameMessage { room_id: room_id.clone(), sha256: *sha256 }).await
    }

    async fn message(&self, room_id: &RoomId, sha256: &Sha256) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(message) = self.log.view.message(room_id, sha256).await? {
            return Ok(Some(message));
        }
        self.log.catch_up().await?;
        self.log.view.message(room_id, sha256).await
    }

    async fn put_tree(&self, room_id: &RoomId, position: Position, tree: Vec<u8>) -> Result<(), StoreError> {
        check_position(position)?;
        self.change(Command::PutTree { room_id: room_id.clone(), position, tree }).await
    }

    async fn tree(&self, room_id: &RoomId, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        self.log.view.tree(room_id, position).await
    }
}
