//! Presence (`m.presence`).

use ruma_common::presence::PresenceState;
use ruma_events::presence::PresenceEventContent;

use crate::content::{ContentError, Kind, schema};
use crate::json::Object;

pub(in crate::content) fn read(content: &Object) -> Result<Box<PresenceEventContent>, ContentError> {
    let kind = Kind::Presence;
    let presence: Box<PresenceEventContent> = schema(kind, content)?;
    match presence.presence {
        PresenceState::Online | PresenceState::Offline | PresenceState::Unavailable => Ok(presence),
        _ => Err(ContentError::Rule { kind, field: "presence", rule: "is no state that is defined" }),
    }
}
