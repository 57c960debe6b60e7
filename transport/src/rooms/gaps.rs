//! Filling gaps: events of a hub that a participant has missed (LM-04 §12.6.4).
//!
//! What is missing can be found backwards only, and is wanted forwards. On the way back only the newest event of each
//! page is remembered, and the last few pages; the others are fetched a second time on the way forwards. So a gap of any
//! length takes little memory, and what was appended stays, should the hub go away meanwhile.

use std::time::Duration;

use mimi_linearized::event::VerifiedPdu;
use mimi_linearized::id::EventId;
use mimi_linearized::json::Object;
use mimi_linearized::participant::{Participant, Verdict};
use mimi_linearized::room::Room;
use tokio::time::{Instant, timeout_at};

use super::RoomError;
use super::hub::Provenance;
use crate::api::{backfill, event};
use crate::client::ClientError;
use crate::node::Node;

/// How often a request is repeated because the hub asked to wait.
const REPEATS: usize = 20;
/// The longest that a hub is waited for because it asked to, each time.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How gaps are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapLimits {
    /// How many events one request asks for. 100 unless set, which is also the most that this server gives.
    pub page: usize,
    /// How many requests are made backwards before the gap is given up. 1,000 unless set.
    pub pages: usize,
    /// Of how many pages the events are kept in memory. 10 unless set.
    pub kept_pages: usize,
    /// How long the hub is asked, all requests together, while the room waits. 5 minutes unless set.
    pub patience: Duration,
}

impl Default for GapLimits {
    fn default() -> Self {
        Self { page: backfill::MAX_EVENTS, pages: 1_000, kept_pages: 10, patience: Duration::from_secs(300) }
    }
}

/// Events in a row.
struct Page {
    /// The newest of them.
    newest: EventId,
    /// Those that verify, oldest first; `None` if they are to be fetched again.
    events: Option<Vec<VerifiedPdu>>,
}

impl Node {
    /// Fetches the events between the head and `missing` from the hub and appends them. What goes wrong shows when the
    /// event that needs them is judged again.
    pub(super) async fn fill_gap(&self, participant: &mut Participant, missing: EventId, from: &Provenance) {
        if let Err(error) = self.try_fill_gap(participant, missing, from).await {
            tracing::warn!(room = %participant.room().id(), %error, "missing events could not be fetched");
        }
    }

    /// As [`Node::fill_gap`], and says what went wrong.
    pub(super) async fn try_fill_gap(
        &self,
        participant: &mut Participant,
        missing: EventId,
        from: &Provenance,
    ) -> Result<(), RoomError> {
        let deadline = Instant::now() + self.gate.gaps.patience;
        let mut pages = self.find_pages(participant, missing, deadline).await?;
        while let Some(Page { newest, events }) = pages.pop() {
            let events = match events {
                Some(events) => events,
                None => self.page(participant, &newest, deadline).await?,
            };
            for pdu in events {
                if self.store.locate(pdu.event().id()).await?.is_some() {
                    continue;
                }
                match self.judge(participant, pdu).await? {
                    Verdict::Extends(extension) => self.extend(participant, extension, from).await?,
                    Verdict::Rejected(rejected) => drop(self.reject(participant, rejected).await?),
                    Verdict::Gap { .. } => {}
                }
            }
        }
        Ok(())
    }

    /// Goes back from `missing` to what is known. The pages are in the order in which they were found: newest first.
    async fn find_pages(
        &self,
        participant: &Participant,
        missing: EventId,
        deadline: Instant,
    ) -> Result<Vec<Page>, RoomError> {
        let limits = self.gate.gaps;
        let mut pages: Vec<Page> = Vec::new();
        let mut newest = missing;
        for _ in 0..limits.pages {
            let events = self.page(participant, &newest, deadline).await?;
            let before = events.first().and_then(|pdu| pdu.event().prev_events().first().cloned());
            pages.push(Page { newest, events: Some(events) });
            let forgotten = pages.len().checked_sub(limits.kept_pages.saturating_add(1));
            if let Some(page) = forgotten.and_then(|index| pages.get_mut(index)) {
                page.events = None;
            }
            match before {
                Some(before) if !self.is_reached(participant, &before).await? => newest = before,
                _ => break,
            }
        }
        Ok(pages)
    }

    /// An event of the hub and those before it, oldest first, as far as they verify.
    async fn page(
        &self,
        participant: &Participant,
        newest: &EventId,
        deadline: Instant,
    ) -> Result<Vec<VerifiedPdu>, RoomError> {
        let room = participant.room();
        // Only what is asked is given up in the middle, never an event that is being appended.
        let objects = timeout_at(deadline, self.ask_for_page(room, newest)).await.unwrap_or_else(|_| {
            let error = Box::new(ClientError::Timeout(self.gate.gaps.patience));
            Err(RoomError::Unreachable { server: room.hub().clone(), error })
        })?;
        Ok(self.verify_all(room, objects).await)
    }

    async fn ask_for_page(&self, room: &Room, newest: &EventId) -> Result<Vec<Object>, RoomError> {
        let mut repeats = 0..REPEATS;
        loop {
            match backfill::call(self, room.hub(), room.id(), newest, self.gate.gaps.page).await {
                Ok(objects) => return Ok(objects),
                Err(error) => match asked_to_wait(&error).filter(|_| repeats.next().is_some()) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    // A hub without backfill still has single events.
                    None => return Ok(vec![event::call(self, room.hub(), newest).await?]),
                },
            }
        }
    }

    async fn is_reached(&self, participant: &Participant, id: &EventId) -> Result<bool, RoomError> {
        Ok(participant.room().head().event_id == *id || self.store.locate(id).await?.is_some())
    }
}

/// How long the hub asked to wait, if it did (LM-04 §12.2.6).
fn asked_to_wait(error: &RoomError) -> Option<Duration> {
    match error {
        RoomError::Peer { error, .. } if error.status() == http::StatusCode::TOO_MANY_REQUESTS => {
            let wait = error.retry_after_ms().map_or(Duration::from_secs(1), Duration::from_millis);
            Some(wait.min(LONGEST_WAIT))
        }
        _ => None,
    }
}
