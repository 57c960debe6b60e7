//! How long the store takes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mimi_linearized::id::{DeviceId, EventId, RoomId, ServerName, UserId};
use mimi_linearized::room::{Place, Position};
use tokio::sync::broadcast;

use super::Metrics;
use crate::store::apart::Sha256;
use crate::store::{
    ApartStore, AppendError, Change, ClaimNotice, Claimed, Cursor, DeliveryStore, DeviceStore, Evidence,
    ExpectedHead, Flight, Identity, InboxItem, InviteRecord, KeyStore, Location, NewKeyPackage, NewRecord,
    Outgoing, OutgoingItem, Record, RoomStore, SharedMedia, SharedStore, Store, StoreError, StoredAnswer,
    StoredKeys, StoredSnapshot, TransactionKey, TransactionStore, UserStore,
};

/// Stands before a store.
#[derive(Debug)]
pub(crate) struct Measured {
    inner: Arc<dyn Store>,
    metrics: Metrics,
}

impl Measured {
    pub(crate) fn new(inner: Arc<dyn Store>, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }
}

/// Does something and takes note of how long it takes.
macro_rules! measured {
    ($self:ident.$name:ident($($argument:ident),*)) => {{
        let began = Instant::now();
        let outcome = $self.inner.$name($($argument),*).await;
        $self.metrics.stored(stringify!($name), began.elapsed(), outcome.is_err());
        outcome
    }};
}

#[async_trait]
impl ApartStore for Measured {
    async fn put_message(
        &self,
        room_id: &RoomId,
        origin: &ServerName,
        sha256: &Sha256,
        message: Vec<u8>,
    ) -> Result<(), StoreError> {
        measured!(self.put_message(room_id, origin, sha256, message))
    }

    async fn name_message(&self, room_id: &RoomId, sha256: &Sha256) -> Result<(), StoreError> {
        measured!(self.name_message(room_id, sha256))
    }

    async fn message(&self, room_id: &RoomId, sha256: &Sha256) -> Result<Option<Vec<u8>>, StoreError> {
        measured!(self.message(room_id, sha256))
    }

    async fn put_tree(&self, room_id: &RoomId, position: Position, tree: Vec<u8>) -> Result<(), StoreError> {
        measured!(self.put_tree(room_id, position, tree))
    }

    async fn tree(&self, room_id: &RoomId, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        measured!(self.tree(room_id, position))
    }
}

#[async_trait]
impl UserStore for Measured {
    async fn invite_permissions(&self, user_id: &UserId) -> Result<Option<Vec<u8>>, StoreError> {
        measured!(self.invite_permissions(user_id))
    }

    async fn put_invite_permissions(&self, user_id: &UserId, permissions: Vec<u8>) -> Result<(), StoreError> {
        measured!(self.put_invite_permissions(user_id, permissions))
    }
}

#[async_trait]
impl DeliveryStore for Measured {
    async fn destinations(&self) -> Result<Vec<ServerName>, StoreError> {
        measured!(self.destinations())
    }

    async fn lagging_cursors(&self, destination: &ServerName) -> Result<Vec<Cursor>, StoreError> {
        measured!(self.lagging_cursors(destination))
    }

    async fn room_destinations(&self, room_id: &RoomId) -> Result<Vec<ServerName>, StoreError> {
        measured!(self.room_destinations(room_id))
    }

    async fn enqueue(&self, destination: &ServerName, outgoing: Outgoing) -> Result<i64, StoreError> {
        measured!(self.enqueue(destination, outgoing))
    }

    async fn waiting(
        &self,
        destination: &ServerName,
        lpdus: usize,
        edus: usize,
    ) -> Result<Vec<OutgoingItem>, StoreError> {
        measured!(self.waiting(destination, lpdus, edus))
    }

    async fn items(
        &self,
        destination: &ServerName,
        sequences: &[i64],
    ) -> Result<Vec<OutgoingItem>, StoreError> {
        measured!(self.items(destination, sequences))
    }

    async fn flight(&self, destination: &ServerName) -> Result<Option<Flight>, StoreError> {
        measured!(self.flight(destination))
    }

    async fn depart(&self, destination: &ServerName, flight: &Flight) -> Result<Option<Flight>, StoreError> {
        measured!(self.depart(destination, flight))
    }

    async fn arrive(
        &self,
        destination: &ServerName,
        flight: &Flight,
        notices: Vec<InboxItem>,
    ) -> Result<(), StoreError> {
        measured!(self.arrive(destination, flight, notices))
    }
}

#[async_trait]
impl DeviceStore for Measured {
    async fn put_device(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        object: Vec<u8>,
        key_packages: Vec<NewKeyPackage>,
    ) -> Result<(), StoreError> {
        measured!(self.put_device(user_id, device_id, object, key_packages))
    }

    async fn remove_device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<bool, StoreError> {
        measured!(self.remove_device(user_id, device_id))
    }

    async fn device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<Option<Vec<u8>>, StoreError> {
        measured!(self.device(user_id, device_id))
    }

    async fn devices(&self, user_id: &UserId) -> Result<Vec<DeviceId>, StoreError> {
        measured!(self.devices(user_id))
    }

    async fn claim(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        algorithm: &str,
        now: i64,
        notice: ClaimNotice,
    ) -> Result<Option<Claimed>, StoreError> {
        measured!(self.claim(user_id, device_id, algorithm, now, notice))
    }

    async fn deliver(&self, items: Vec<InboxItem>) -> Result<(), StoreError> {
        measured!(self.deliver(items))
    }

    async fn inbox(
        &self,
        user_id: &UserId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Arc<[u8]>)>, StoreError> {
        measured!(self.inbox(user_id, from, limit))
    }
}

#[async_trait]
impl KeyStore for Measured {
    async fn server_keys(&self, server: &ServerName) -> Result<Vec<StoredKeys>, StoreError> {
        measured!(self.server_keys(server))
    }

    async fn put_server_keys(&self, server: &ServerName, keys: StoredKeys) -> Result<(), StoreError> {
        measured!(self.put_server_keys(server, keys))
    }

    async fn forget_server_keys(&self, servers: u64) -> Result<(), StoreError> {
        measured!(self.forget_server_keys(servers))
    }
}

#[async_trait]
impl RoomStore for Measured {
    async fn append(
        &self,
        room_id: &RoomId,
        expected: ExpectedHead,
        record: NewRecord,
    ) -> Result<Position, AppendError> {
        let began = Instant::now();
        let outcome = self.inner.append(room_id, expected, record).await;
        // That somebody else was first is no fault of the store.
        let failed = matches!(outcome, Err(AppendError::Store(_)));
        self.metrics.stored("append", began.elapsed(), failed);
        outcome
    }

    async fn rooms(&self) -> Result<Vec<RoomId>, StoreError> {
        measured!(self.rooms())
    }

    async fn records(
        &self,
        room_id: &RoomId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        measured!(self.records(room_id, from, limit))
    }

    async fn read_back(
        &self,
        room_id: &RoomId,
        wanted: Vec<(EventId, Place)>,
    ) -> Result<Vec<Arc<[u8]>>, StoreError> {
        measured!(self.read_back(room_id, wanted))
    }

    async fn length(&self, room_id: &RoomId) -> Result<u64, StoreError> {
        measured!(self.length(room_id))
    }

    async fn locate(&self, event_id: &EventId) -> Result<Option<Location>, StoreError> {
        measured!(self.locate(event_id))
    }

    async fn record_of_lpdu(
        &self,
        room_id: &RoomId,
        lpdu_id: &EventId,
    ) -> Result<Option<Record>, StoreError> {
        measured!(self.record_of_lpdu(room_id, lpdu_id))
    }

    async fn put_snapshot(&self, room_id: &RoomId, snapshot: StoredSnapshot) -> Result<(), StoreError> {
        measured!(self.put_snapshot(room_id, snapshot))
    }

    async fn snapshot(&self, room_id: &RoomId) -> Result<Option<StoredSnapshot>, StoreError> {
        measured!(self.snapshot(room_id))
    }

    async fn put_group(
        &self,
        room_id: &RoomId,
        position: Position,
        snapshot: Vec<u8>,
    ) -> Result<(), StoreError> {
        measured!(self.put_group(room_id, position, snapshot))
    }

    async fn group(&self, room_id: &RoomId) -> Result<Option<(Position, Vec<u8>)>, StoreError> {
        measured!(self.group(room_id))
    }

    async fn put_evidence(&self, evidence: Evidence) -> Result<(), StoreError> {
        measured!(self.put_evidence(evidence))
    }

    async fn evidence(&self, room_id: &RoomId, limit: usize) -> Result<Vec<Evidence>, StoreError> {
        measured!(self.evidence(room_id, limit))
    }

    async fn put_invite(&self, invite: InviteRecord) -> Result<(), StoreError> {
        measured!(self.put_invite(invite))
    }

    async fn invite(&self, room_id: &RoomId, user_id: &UserId) -> Result<Option<InviteRecord>, StoreError> {
        measured!(self.invite(room_id, user_id))
    }

    async fn remove_invite(&self, room_id: &RoomId, user_id: &UserId) -> Result<(), StoreError> {
        measured!(self.remove_invite(room_id, user_id))
    }
}

#[async_trait]
impl TransactionStore for Measured {
    async fn answer(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError> {
        measured!(self.answer(key))
    }

    async fn begin(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError> {
        // How long that takes is up to whoever processes it already.
        self.inner.begin(key).await
    }

    async fn abandon(&self, key: &TransactionKey) -> Result<(), StoreError> {
        measured!(self.abandon(key))
    }

    async fn remember(&self, key: &TransactionKey, answer: StoredAnswer, now: i64) -> Result<(), StoreError> {
        measured!(self.remember(key, answer, now))
    }

    async fn forget_answers(&self, before: i64) -> Result<(), StoreError> {
        measured!(self.forget_answers(before))
    }
}

#[async_trait]
impl SharedStore for Measured {
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn changes(&self) -> Option<broadcast::Receiver<Change>> {
        self.inner.changes()
    }

    fn sends_to(&self, destination: &ServerName) -> bool {
        self.inner.sends_to(destination)
    }

    fn others(&self) -> usize {
        self.inner.others()
    }

    async fn rekey(&self, identity: Identity) -> Result<(), StoreError> {
        self.inner.rekey(identity).await
    }

    fn media(&self) -> Option<&dyn SharedMedia> {
        self.inner.media()
    }

    async fn catch_up(&self) -> Result<(), StoreError> {
        measured!(self.catch_up())
    }

    async fn freshen(&self, within: Duration) {
        self.inner.freshen(within).await;
    }
}
