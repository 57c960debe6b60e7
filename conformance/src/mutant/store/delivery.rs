//! Deliveries and answers that are remembered wrongly.

use async_trait::async_trait;
use mimi_linearized::id::{RoomId, ServerName};
use mimi_transport::store::{
    Change, Cursor, DeliveryStore, Flight, Identity, InboxItem, Outgoing, OutgoingItem, SharedMedia,
    SharedStore, StoreError, StoredAnswer, TransactionKey, TransactionStore,
};
use tokio::sync::broadcast;

use super::{Spoilt, StoreFault as Fault};

impl Spoilt {
    /// The key under which an answer is looked for and kept.
    fn kept_under(&self, key: &TransactionKey) -> TransactionKey {
        let mut key = key.clone();
        if self.is(Fault::AnswersOfAll)
            && let Ok(anybody) = ServerName::parse("anybody.example")
        {
            key.origin = anybody;
        }
        key
    }
}

#[async_trait]
impl TransactionStore for Spoilt {
    async fn answer(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError> {
        self.inner.answer(&self.kept_under(key)).await
    }

    async fn begin(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError> {
        self.inner.begin(&self.kept_under(key)).await
    }

    async fn abandon(&self, key: &TransactionKey) -> Result<(), StoreError> {
        self.inner.abandon(&self.kept_under(key)).await
    }

    async fn remember(
        &self,
        key: &TransactionKey,
        mut answer: StoredAnswer,
        now: i64,
    ) -> Result<(), StoreError> {
        match self.fault {
            Fault::AnswersForgotten => return Ok(()),
            Fault::AnswersEmptied => answer.body = b"{}".to_vec(),
            _ => {}
        }
        self.inner.remember(&self.kept_under(key), answer, now).await
    }

    async fn forget_answers(&self, before: i64) -> Result<(), StoreError> {
        self.inner.forget_answers(before).await
    }
}

#[async_trait]
impl DeliveryStore for Spoilt {
    async fn destinations(&self) -> Result<Vec<ServerName>, StoreError> {
        self.inner.destinations().await
    }

    async fn lagging_cursors(&self, destination: &ServerName) -> Result<Vec<Cursor>, StoreError> {
        let mut cursors = self.inner.lagging_cursors(destination).await?;
        if self.is(Fault::CursorsSkip) {
            for cursor in &mut cursors {
                let odd = cursor.position % 2;
                cursor.position = cursor.position.saturating_add(odd);
            }
            cursors.retain(|cursor| cursor.position < cursor.length);
        }
        Ok(cursors)
    }

    async fn room_destinations(&self, room_id: &RoomId) -> Result<Vec<ServerName>, StoreError> {
        self.inner.room_destinations(room_id).await
    }

    async fn enqueue(&self, destination: &ServerName, outgoing: Outgoing) -> Result<i64, StoreError> {
        match (self.fault, &outgoing) {
            (Fault::EdusLost, Outgoing::Edu { .. }) | (Fault::LpdusLost, Outgoing::Lpdu { .. }) => Ok(0),
            _ => self.inner.enqueue(destination, outgoing).await,
        }
    }

    async fn waiting(
        &self,
        destination: &ServerName,
        lpdus: usize,
        edus: usize,
    ) -> Result<Vec<OutgoingItem>, StoreError> {
        self.inner.waiting(destination, lpdus, edus).await
    }

    async fn items(
        &self,
        destination: &ServerName,
        sequences: &[i64],
    ) -> Result<Vec<OutgoingItem>, StoreError> {
        self.inner.items(destination, sequences).await
    }

    async fn flight(&self, destination: &ServerName) -> Result<Option<Flight>, StoreError> {
        self.inner.flight(destination).await
    }

    async fn depart(&self, destination: &ServerName, flight: &Flight) -> Result<Option<Flight>, StoreError> {
        self.inner.depart(destination, flight).await
    }

    async fn arrive(
        &self,
        destination: &ServerName,
        flight: &Flight,
        notices: Vec<InboxItem>,
    ) -> Result<(), StoreError> {
        self.inner.arrive(destination, flight, notices).await
    }
}

#[async_trait]
impl SharedStore for Spoilt {
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
        self.inner.catch_up().await
    }
}
