//! Rule 3: `m.room.create` (LM-04 §5.2.3, §3.5.3.1).

use std::sync::Arc;

use super::{AuthRule, Because, Refusal};
use crate::event::{Event, kind};
use crate::id::EventId;
use crate::version::{RoomVersion, RoomVersions};

/// Decides about a room's first event and finds the room version it asks for.
///
/// `cited` are its `auth_events`, `prev` its `prev_events`; both must be empty.
///
/// # Errors
/// [`Refusal`] by rule 3.1, 3.2 or 3.3; an event that cites others or has a state key is refused by 3.1
/// (reading R12).
pub fn authorise_create<'v>(
    event: &Event,
    cited: &[EventId],
    prev: &[EventId],
    versions: &'v RoomVersions,
) -> Result<&'v Arc<RoomVersion>, Refusal> {
    let refuse = |rule, because| Err(Refusal::new(rule, because));
    if event.kind() != kind::CREATE {
        return refuse(
            AuthRule::CitedNoCreate,
            Because::Differs {
                what: "the type of the first event",
                found: event.kind().to_owned(),
                expected: kind::CREATE.to_owned(),
            },
        );
    }
    if let Some(first) = prev.first().or_else(|| cited.first()) {
        return refuse(AuthRule::CreateHasPrevEvents, Because::Event(first.clone()));
    }
    match event.state_key() {
        Some("") => {}
        None => return refuse(AuthRule::CreateHasPrevEvents, Because::Field("state_key")),
        Some(state_key) => {
            let (found, expected) = (state_key.to_owned(), String::new());
            let because = Because::Differs { what: "the state key", found, expected };
            return refuse(AuthRule::CreateHasPrevEvents, because);
        }
    }
    if event.room_id().namespace() != event.sender().server_str() {
        return refuse(
            AuthRule::CreateNamespace,
            Because::Differs {
                what: "the domain of the room id",
                found: event.room_id().namespace().to_owned(),
                expected: event.sender().server_str().to_owned(),
            },
        );
    }
    let version = event.content_str("room_version");
    match version.and_then(|version| versions.get(version)) {
        Some(version) => Ok(version),
        None => refuse(AuthRule::CreateVersion, Because::RoomVersion(version.map(ToOwned::to_owned))),
    }
}
