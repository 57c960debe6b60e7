//! Events read back from our own records.

use super::{RoomEvent, ShapeError};
use crate::id::EventId;
use crate::version::RoomVersion;

/// A record that is not what was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes are no event.
    #[error("the record of {id} is no event: {error}")]
    Shape {
        /// The id it is filed under.
        id: EventId,
        /// What is wrong.
        #[source]
        error: ShapeError,
    },
    /// The bytes are another event than the one they are filed as.
    #[error("the record of {filed} holds {found}")]
    OtherEvent {
        /// The id it is filed under.
        filed: EventId,
        /// The id of what it holds.
        found: EventId,
    },
}

/// An event that was verified and accepted before it was recorded. Its reference hash is checked again, so that a
/// damaged record is found; its signatures are not.
#[derive(Debug, Clone)]
pub struct Recorded(RoomEvent);

impl Recorded {
    /// Reads a record back.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes are not the event with this id.
    pub fn read(bytes: &[u8], id: &EventId, version: &RoomVersion) -> Result<Self, RecordError> {
        let event = RoomEvent::from_record(bytes, version)
            .map_err(|error| RecordError::Shape { id: id.clone(), error })?;
        if event.id() == id {
            Ok(Self(event))
        } else {
            Err(RecordError::OtherEvent { filed: id.clone(), found: event.id().clone() })
        }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &RoomEvent {
        &self.0
    }

    /// Gives up the stage and returns the event.
    #[must_use]
    pub fn into_event(self) -> RoomEvent {
        self.0
    }
}
