//! Rooms that are remembered wrongly.

use std::sync::Arc;

use async_trait::async_trait;
use mimi_linearized::id::{EventId, RoomId, ServerName, UserId};
use mimi_linearized::room::{Place, Position};
use mimi_transport::store::apart::Sha256;
use mimi_transport::store::{
    ApartStore, AppendError, Evidence, ExpectedHead, InviteRecord, Location, NewRecord, Record, RoomStore,
    StoreError, StoredSnapshot,
};

use super::{Spoilt, StoreFault as Fault};

#[async_trait]
impl RoomStore for Spoilt {
    async fn append(
        &self,
        room_id: &RoomId,
        expected: ExpectedHead,
        record: NewRecord,
    ) -> Result<Position, AppendError> {
        if self.is(Fault::AppendLost) && record.lpdu_id.is_some() && expected != ExpectedHead::Empty {
            return Ok(self.inner.length(room_id).await?);
        }
        self.inner.append(room_id, expected, record).await
    }

    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        if self.is(Fault::RoomsForgotten) {
            return Ok(Vec::new());
        }
        self.inner.rooms().await
    }

    async fn records(
        &self,
        room_id: &RoomId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let mut records = self.inner.records(room_id, from, limit).await?;
        match self.fault {
            Fault::RecordsBackwards => records.reverse(),
            Fault::RecordsWithGap if records.len() > 2 => drop(records.remove(1)),
            _ => {}
        }
        Ok(records)
    }

    async fn read_back(
        &self,
        room_id: &RoomId,
        wanted: Vec<(EventId, Place)>,
    ) -> Result<Vec<Arc<[u8]>>, StoreError> {
        let mut texts = self.inner.read_back(room_id, wanted).await?;
        if self.is(Fault::ReadBackOther) && texts.len() > 1 {
            texts.rotate_left(1);
        }
        Ok(texts)
    }

    async fn length(&self, room_id: &RoomId) -> Result<u64, StoreError> {
        self.inner.length(room_id).await
    }

    async fn locate(&self, event_id: &EventId) -> Result<Option<Location>, StoreError> {
        if self.is(Fault::LocateNothing) {
            return Ok(None);
        }
        self.inner.locate(event_id).await
    }

    async fn record_of_lpdu(
        &self,
        room_id: &RoomId,
        lpdu_id: &EventId,
    ) -> Result<Option<Record>, StoreError> {
        if self.is(Fault::LpdusForgotten) {
            return Ok(None);
        }
        self.inner.record_of_lpdu(room_id, lpdu_id).await
    }

    async fn put_snapshot(&self, room_id: &RoomId, snapshot: StoredSnapshot) -> Result<(), StoreError> {
        self.inner.put_snapshot(room_id, snapshot).await
    }

    async fn snapshot(&self, room_id: &RoomId) -> Result<Option<StoredSnapshot>, StoreError> {
        self.inner.snapshot(room_id).await
    }

    async fn put_group(
        &self,
        room_id: &RoomId,
        position: Position,
        snapshot: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.inner.put_group(room_id, position, snapshot).await
    }

    async fn group(&self, room_id: &RoomId) -> Result<Option<(Position, Vec<u8>)>, StoreError> {
        self.inner.group(room_id).await
    }

    async fn put_evidence(&self, evidence: Evidence) -> Result<(), StoreError> {
        self.inner.put_evidence(evidence).await
    }

    async fn evidence(&self, room_id: &RoomId, limit: usize) -> Result<Vec<Evidence>, StoreError> {
        self.inner.evidence(room_id, limit).await
    }

    async fn put_invite(&self, invite: InviteRecord) -> Result<(), StoreError> {
        self.inner.put_invite(invite).await
    }

    async fn invite(&self, room_id: &RoomId, user_id: &UserId) -> Result<Option<InviteRecord>, StoreError> {
        self.inner.invite(room_id, user_id).await
    }

    async fn remove_invite(&self, room_id: &RoomId, user_id: &UserId) -> Result<(), StoreError> {
        self.inner.remove_invite(room_id, user_id).await
    }
}

#[async_trait]
impl ApartStore for Spoilt {
    async fn put_message(
        &self,
        room_id: &RoomId,
        origin: &ServerName,
        sha256: &Sha256,
        message: Vec<u8>,
    ) -> Result<(), StoreError> {
        if self.is(Fault::MessagesLost) {
            return Ok(());
        }
        self.inner.put_message(room_id, origin, sha256, message).await
    }

    async fn name_message(&self, room_id: &RoomId, sha256: &Sha256) -> Result<(), StoreError> {
        self.inner.name_message(room_id, sha256).await
    }

    async fn message(&self, room_id: &RoomId, sha256: &Sha256) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.message(room_id, sha256).await
    }

    async fn put_tree(&self, room_id: &RoomId, position: Position, tree: Vec<u8>) -> Result<(), StoreError> {
        match self.fault {
            Fault::TreesLost => Ok(()),
            // The trees of later commits are then those of the first.
            Fault::OtherTree => {
                let mut first = None;
                for earlier in 0..position {
                    if first.is_none() {
                        first = self.inner.tree(room_id, earlier).await?;
                    }
                }
                self.inner.put_tree(room_id, position, first.unwrap_or(tree)).await
            }
            _ => self.inner.put_tree(room_id, position, tree).await,
        }
    }

    async fn tree(&self, room_id: &RoomId, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.tree(room_id, position).await
    }
}
