//! Delivery, and answers to transactions.

use std::time::Duration;

use async_trait::async_trait;
use mimi_linearized::id::{RoomId, ServerName};
use tokio::time::{Instant, timeout};

use super::super::command::{Command, Outcome, WrittenKey};
use super::super::{
    Cursor, DeliveryStore, Flight, InboxItem, Outgoing, OutgoingItem, StoreError, StoredAnswer,
    TransactionKey, TransactionStore,
};
use super::{NatsStore, unexpected};

/// How long a process that is processing a transaction is waited for before it is asked for again.
const WAIT: Duration = Duration::from_secs(1);

/// How often it is looked whether that process still lives.
const LOOK: Duration = Duration::from_millis(200);

#[async_trait]
impl DeliveryStore for NatsStore {
    async fn destinations(&self) -> Result<Vec<ServerName>, StoreError> {
        self.log.view.destinations().await
    }

    async fn lagging_cursors(&self, destination: &ServerName) -> Result<Vec<Cursor>, StoreError> {
        self.log.view.lagging_cursors(destination).await
    }

    async fn room_destinations(&self, room_id: &RoomId) -> Result<Vec<ServerName>, StoreError> {
        self.log.view.room_destinations(room_id).await
    }

    async fn enqueue(&self, destination: &ServerName, outgoing: Outgoing) -> Result<i64, StoreError> {
        let command = Command::Enqueue { destination: destination.clone(), outgoing };
        match self.log.run(command).await? {
            Outcome::Queued(place) => Ok(place),
            _ => Err(unexpected()),
        }
    }

    async fn waiting(
        &self,
        destination: &ServerName,
        lpdus: usize,
        edus: usize,
    ) -> Result<Vec<OutgoingItem>, StoreError> {
        self.log.view.waiting(destination, lpdus, edus).await
    }

    async fn items(
        &self,
        destination: &ServerName,
        sequences: &[i64],
    ) -> Result<Vec<OutgoingItem>, StoreError> {
        self.log.view.items(destination, sequences).await
    }

    async fn flight(&self, destination: &ServerName) -> Result<Option<Flight>, StoreError> {
        self.log.view.flight(destination).await
    }

    async fn depart(&self, destination: &ServerName, flight: &Flight) -> Result<Option<Flight>, StoreError> {
        let command = Command::Depart { destination: destination.clone(), flight: flight.clone() };
        match self.log.run(command).await? {
            Outcome::Flying(under_way) => Ok(under_way),
            _ => Err(unexpected()),
        }
    }

    async fn arrive(
        &self,
        destination: &ServerName,
        flight: &Flight,
        notices: Vec<InboxItem>,
    ) -> Result<(), StoreError> {
        let (destination, flight) = (destination.clone(), flight.clone());
        self.change(Command::Arrive { destination, flight, notices }).await
    }
}

impl NatsStore {
    /// Waits for the answer to a transaction that another process is processing. Returns whether that process is gone.
    async fn wait_for(
        &self,
        key: &TransactionKey,
        process: &str,
    ) -> Result<(Option<StoredAnswer>, bool), StoreError> {
        let (mut applied, until) = (self.log.applied.subscribe(), Instant::now() + WAIT);
        loop {
            applied.borrow_and_update();
            if let Some(answer) = self.log.view.answer(key).await? {
                return Ok((Some(answer), false));
            }
            let is_gone = !self.members.is_alive(process);
            if is_gone || Instant::now() >= until {
                return Ok((None, is_gone));
            }
            // Whether something came or it is time, it is looked again.
            let _ = timeout(LOOK, applied.changed()).await;
        }
    }
}

#[async_trait]
impl TransactionStore for NatsStore {
    async fn answer(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError> {
        self.log.view.answer(key).await
    }

    async fn begin(&self, key: &TransactionKey) -> Result<Option<StoredAnswer>, StoreError> {
        let (written, holder) = (WrittenKey::from(key), self.members.own().to_owned());
        let mut gone = None;
        loop {
            let command = Command::Begin { key: written.clone(), holder: holder.clone(), gone };
            match self.log.run(command).await? {
                Outcome::Begun => return Ok(None),
                Outcome::Answered(answer) => return Ok(Some(answer)),
                Outcome::Elsewhere(process) => {
                    let (answer, is_gone) = self.wait_for(key, &process).await?;
                    if answer.is_some() {
                        return Ok(answer);
                    }
                    gone = is_gone.then_some(process);
                }
                _ => return Err(unexpected()),
            }
        }
    }

    async fn abandon(&self, key: &TransactionKey) -> Result<(), StoreError> {
        let holder = self.members.own().to_owned();
        self.change(Command::Abandon { key: key.into(), holder }).await
    }

    async fn remember(&self, key: &TransactionKey, answer: StoredAnswer, now: i64) -> Result<(), StoreError> {
        self.change(Command::Remember { key: key.into(), answer, now }).await
    }

    async fn forget_answers(&self, before: i64) -> Result<(), StoreError> {
        self.change(Command::ForgetAnswers { before }).await
    }
}
