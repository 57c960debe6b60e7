//! Queues to other servers: one per destination, one transaction in flight (LM-04 §12.5.1).
//!
//! Nothing is copied into a queue that is in a room's list: a cursor per destination and room says how far the list
//! was sent. What a transaction carries is written down before it is sent, so that every attempt, also after a restart,
//! has the same id and the same body. Only one that the destination finds too large is given up: what it carried goes in
//! smaller ones (reading R63).

mod backoff;
mod flight;
mod load;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use mimi_linearized::id::{RoomId, ServerName};
use tokio::sync::{Notify, watch};

use self::backoff::Backoff;
use self::load::{Load, TooLarge};
use crate::api::send::MAX_EDUS;
use crate::node::Node;
use crate::rooms::RoomError;
use crate::store::{Flight, StoreError};
use crate::telemetry::Turn;

/// How long a queue waits after its own store failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The queues of a server.
#[derive(Debug)]
pub(crate) struct Delivery {
    queues: Mutex<HashMap<ServerName, Arc<Queue>>>,
    stopped: watch::Sender<bool>,
}

/// What wakes a queue's task.
#[derive(Debug, Default)]
struct Queue {
    /// There is something to send.
    more: Notify,
    /// The destination was heard of, so that it is worth trying again.
    alive: Notify,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { queues: Mutex::default(), stopped: watch::Sender::new(false) }
    }
}

impl Node {
    /// Goes on with every queue that has something to send, as after a restart.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub async fn resume(&self) -> Result<(), StoreError> {
        for destination in self.store.destinations().await? {
            self.wake(&destination);
        }
        Ok(())
    }

    /// Stops every queue after what it is doing. Nothing is lost: a new start goes on.
    pub fn stop(&self) {
        self.delivery.stopped.send_replace(true);
    }

    /// Tells a destination's queue that there is something to send.
    pub(crate) fn wake(&self, destination: &ServerName) {
        if *destination == self.name {
            return;
        }
        let mut queues = self.delivery.queues.lock().unwrap_or_else(PoisonError::into_inner);
        match queues.get(destination) {
            Some(queue) => queue.more.notify_one(),
            None => {
                let queue = Arc::new(Queue::default());
                queues.insert(destination.clone(), Arc::clone(&queue));
                let task = run(self.clone(), destination.clone(), queue, self.delivery.stopped.subscribe());
                tokio::spawn(task);
            }
        }
    }

    /// Tells a destination's queue that the destination is there.
    pub(crate) fn heard_from(&self, server: &ServerName) {
        let queues = self.delivery.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(server) {
            queue.alive.notify_waiters();
        }
        drop(queues);
        self.behind.heard_from(server);
    }

    /// Whether this server is to stop what it does by itself.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.delivery.stopped.subscribe()
    }
}

/// A queue's task.
async fn run(node: Node, destination: ServerName, queue: Arc<Queue>, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        () = deliver_all(&node, &destination, &queue) => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

async fn deliver_all(node: &Node, destination: &ServerName, queue: &Queue) {
    let (mut backoff, mut load) = (Backoff::default(), Load::default());
    // The room after which it is the next one's turn.
    let mut turn: Option<RoomId> = None;
    'flights: loop {
        // What waits for a server that is kept out stays where it is.
        node.policy.until_allowed(destination).await;
        let flight = match node.next_flight(destination, turn.as_ref(), &load).await {
            Ok(Some(flight)) => flight,
            Ok(None) => {
                queue.more.notified().await;
                continue;
            }
            Err(error) => {
                tracing::error!(%destination, %error, "a queue cannot go on");
                tokio::time::sleep(STORE_PAUSE).await;
                continue;
            }
        };
        while let Err(error) = node.fly(destination, &flight).await {
            if !node.store.sends_to(destination) {
                // Another process goes on with it.
                continue 'flights;
            }
            if matches!(error, RoomError::Outsider(_)) {
                tracing::info!(%destination, "a queue stands still: the destination is outside the federation");
                node.policy.until_allowed(destination).await;
                continue;
            }
            if is_too_large(&error) {
                node.metrics.transaction(Turn::TooLarge);
                let given_up = match load.too_large() {
                    TooLarge::Divide => node.divide(destination, &flight).await,
                    TooLarge::GiveUp => node.give_up(destination, &flight, &error).await,
                    TooLarge::Repeat => Ok(false),
                };
                match given_up {
                    Ok(true) => continue 'flights,
                    Ok(false) => {}
                    Err(error) => tracing::error!(%destination, %error, "a queue cannot go on"),
                }
            } else {
                node.metrics.transaction(Turn::Failed);
            }
            let pause = backoff.next(retry_after(&error));
            tracing::info!(%destination, txn = flight.txn_id, %error, ?pause, "a transaction did not arrive");
            backoff::wait(pause, &queue.alive).await;
        }
        node.metrics.transaction(Turn::Delivered);
        backoff = Backoff::default();
        load.arrived();
        if let Some(range) = flight.ranges.last() {
            turn = Some(range.room_id.clone());
        }
    }
}

/// Whether the destination does not take as much at once, or something before it (LM-04 §12.2.4).
fn is_too_large(error: &RoomError) -> bool {
    matches!(error, RoomError::Peer { error, .. } if error.status() == StatusCode::PAYLOAD_TOO_LARGE)
}

/// How long the destination asked to wait: in the answer's `retry_after_ms`, or in its `Retry-After`.
fn retry_after(error: &RoomError) -> Option<Duration> {
    match error {
        RoomError::Peer { error, .. } => error.retry_after_ms().map(Duration::from_millis),
        _ => None,
    }
}

impl Node {
    /// The transaction in flight, or the next one; `None` also if it is not this process that sends to the destination.
    async fn next_flight(
        &self,
        destination: &ServerName,
        turn: Option<&RoomId>,
        load: &Load,
    ) -> Result<Option<Flight>, RoomError> {
        if !self.store.sends_to(destination) {
            // Another process does. What waits in this one's memory goes where that one finds it.
            while !self.take_ephemeral(destination, MAX_EDUS).await?.is_empty() {}
            return Ok(None);
        }
        if let Some(flight) = self.store.flight(destination).await? {
            return Ok(Some(flight));
        }
        loop {
            let Some(flight) = self.plan(destination, turn, load).await? else { return Ok(None) };
            if let Some(under_way) = self.store.depart(destination, &flight).await? {
                return Ok(Some(under_way));
            }
        }
    }
}
