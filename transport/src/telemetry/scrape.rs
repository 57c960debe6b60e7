//! What is counted when somebody asks: rooms in memory, and what waits in the queues.

use std::cmp::Reverse;

use mimi_linearized::id::ServerName;

use super::metrics::OfDestination;
use crate::node::Node;
use crate::store::{Outgoing, StoreError};

/// How many destinations are shown by themselves: those for which the most waits.
const SHOWN: usize = 20;
/// For how many destinations it is counted what waits. Counting costs a few queries for each.
const COUNTED: usize = 1_000;
/// Of how many LPDUs, and EDUs, of one destination it is counted how many wait.
const ITEMS: usize = 1_000;

/// What waits for a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The destination.
    pub destination: ServerName,
    /// How many events of rooms' lists it was not sent, or need not be sent: what it may not see is passed over when its
    /// turn comes.
    pub events: u64,
    /// How many LPDUs and EDUs wait, up to 1,000 of each.
    pub items: u64,
}

impl Waiting {
    fn all(&self) -> u64 {
        self.events.saturating_add(self.items)
    }
}

impl Node {
    /// What waits for whom, the most first; of at most a thousand destinations.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let mut all = Vec::new();
        for destination in self.store.destinations().await?.into_iter().take(COUNTED) {
            let cursors = self.store.lagging_cursors(&destination).await?;
            let events =
                cursors.iter().map(|cursor| cursor.length.saturating_sub(cursor.position)).sum::<u64>();
            let items = self.store.waiting(&destination, ITEMS, ITEMS).await?;
            let count = |lpdus: bool| {
                let of_kind = |item: &&crate::store::OutgoingItem| {
                    matches!(item.outgoing, Outgoing::Lpdu { .. }) == lpdus
                };
                u64::try_from(items.iter().filter(of_kind).count()).unwrap_or(u64::MAX)
            };
            let items = count(true).saturating_add(count(false));
            all.push(Waiting { destination, events, items });
        }
        all.sort_by_key(|waiting| Reverse(waiting.all()));
        Ok(all)
    }

    /// All numbers in the text format of OpenMetrics, those of the queues as they are now.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub async fn scrape(&self) -> Result<String, StoreError> {
        let metrics = &self.metrics;
        let (rooms, groups) = self.rooms.count();
        metrics.rooms.set(gauge(rooms));
        metrics.groups.set(gauge(groups));
        metrics.draining.set(i64::from(self.lifecycle.is_draining()));
        let waiting = self.waiting().await?;
        let sum = |of: fn(&Waiting) -> u64| waiting.iter().map(of).fold(0, u64::saturating_add);
        metrics.queued_events.set(gauge(sum(|waiting| waiting.events)));
        metrics.queued_items.set(gauge(sum(|waiting| waiting.items)));
        metrics.destinations.set(gauge(waiting.len()));
        metrics.queues.clear();
        for waiting in waiting.iter().take(SHOWN) {
            let of = OfDestination { destination: waiting.destination.to_string() };
            metrics.queues.get_or_create(&of).set(gauge(waiting.all()));
        }
        Ok(metrics.encode())
    }
}

fn gauge(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
