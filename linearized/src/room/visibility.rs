//! What a server may see of a room's history (LM-04 §3.5.3.5, reading R15).

use super::{Position, Room};
use crate::event::{RoomEvent, kind};
use crate::id::ServerName;

/// What a server may see of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// All of it.
    Full,
    /// That it exists: it is served redacted.
    Redacted,
    /// Nothing: it is treated as unknown.
    None,
}

/// The values of `history_visibility`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Setting {
    Joined,
    Invited,
    Shared,
    WorldReadable,
}

/// What a history visibility event sets; `shared` without one, and where the value is not known.
pub(super) fn setting(event: Option<&RoomEvent>) -> Setting {
    match event.and_then(|event| event.event().content_str("history_visibility")) {
        Some("world_readable") => Setting::WorldReadable,
        Some("invited") => Setting::Invited,
        Some("joined") => Setting::Joined,
        _ => Setting::Shared,
    }
}

/// How the setting changed: what each event set, and from where on; `None` stands for a snapshot from before the list.
#[derive(Debug, Default)]
pub(super) struct Settings(Vec<(Option<Position>, Setting)>);

impl Settings {
    /// Notes a state event, if it is of the kind.
    pub(super) fn note(&mut self, since: Option<Position>, event: &RoomEvent) {
        if event.event().is_state(kind::HISTORY_VISIBILITY, "") {
            self.0.push((since, setting(Some(event))));
        }
    }

    /// What held before the event at `position`.
    pub(super) fn before(&self, position: Position) -> Setting {
        let older = self.0.partition_point(|(since, _)| *since < Some(position));
        let last = older.checked_sub(1).and_then(|index| self.0.get(index));
        last.map_or_else(|| setting(None), |(_, setting)| *setting)
    }
}

impl Room {
    /// Whether a server may ask about the room at all: it has a joined user, or anybody may read the room.
    #[must_use]
    pub fn is_visible_to(&self, server: &ServerName) -> bool {
        self.presence.is_joined(server) || self.is_world_readable()
    }

    /// What a server may see of the event at `position`.
    ///
    /// The setting before the event counts, and for a change of the setting the more generous of both. Commits are
    /// visible to every server in the room. A server that has left still sees what it was sent while it was in.
    #[must_use]
    pub fn visibility(&self, server: &ServerName, position: Position, event: &RoomEvent) -> Visibility {
        let mut applies = self.state.settings().before(position);
        if event.event().is_state(kind::HISTORY_VISIBILITY, "") {
            applies = applies.max(setting(Some(event)));
        }
        if applies == Setting::WorldReadable || self.presence.was_joined_around(server, position) {
            return Visibility::Full;
        }
        if !self.presence.is_joined(server) {
            return Visibility::None;
        }
        let sees = match applies {
            Setting::WorldReadable | Setting::Shared => true,
            Setting::Invited => self.presence.was_invited_around(server, position),
            Setting::Joined => false,
        };
        if sees || event.event().kind() == kind::MLS_COMMIT { Visibility::Full } else { Visibility::Redacted }
    }
}
