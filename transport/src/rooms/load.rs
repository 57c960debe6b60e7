//! Reading rooms back from the store.

use mimi_linearized::encryption::Apart;
use mimi_linearized::event::Recorded;
use mimi_linearized::hub::Hub;
use mimi_linearized::id::RoomId;
use mimi_linearized::participant::{Participant, Snapshot};
use mimi_linearized::room::Position;
use mimi_linearized::version::RoomVersion;
use mimi_mls::GroupTracker;

use super::others::Part;
use super::{Role, RoomError};
use crate::node::Node;
use crate::store::{Record, SnapshotEvent, StoredSnapshot};

/// How many records are read at a time.
pub(super) const PAGE: usize = 500;

/// Reads a room back: its list, on top of the state it started from. `None` if it is not known.
pub(super) async fn load(node: &Node, id: &RoomId) -> Result<Option<Role>, RoomError> {
    let mut records = node.store.records(id, 0, PAGE).await?;
    let (mut role, from) = match (node.store.snapshot(id).await?, records.first()) {
        (Some(snapshot), _) => (Role::Participant(start(node, id, &snapshot)?), 0),
        (None, Some(create)) => {
            // Until the create event is read, which version's rules its id was made by is not known.
            let create = read_with_any_version(node, create)?;
            let hub = Hub::restore(create, &node.versions).map_err(RoomError::Refused)?;
            (Role::Hub(hub), 1)
        }
        (None, None) => return Ok(None),
    };
    let followed = restore_group(node, id, &mut role).await?;
    let mut next: Position = from;
    while !records.is_empty() {
        for record in records.iter().filter(|record| record.position >= next) {
            replay(node, &mut Part::of(&mut role), record, record.position >= followed).await?;
        }
        next = records.last().map_or(next, |record| record.position.saturating_add(1));
        records = node.store.records(id, next, PAGE).await?;
    }
    Ok(Some(role))
}

fn read_with_any_version(node: &Node, record: &Record) -> Result<Recorded, RoomError> {
    let mut result = Recorded::read(&record.bytes, &record.event_id, node.versions.default_version());
    for id in node.versions.ids() {
        if result.is_ok() {
            break;
        }
        if let Some(version) = node.versions.get(id.as_str()) {
            result = Recorded::read(&record.bytes, &record.event_id, version);
        }
    }
    Ok(result?)
}

pub(super) async fn replay(
    node: &Node,
    part: &mut Part<'_>,
    record: &Record,
    follow_commit: bool,
) -> Result<(), RoomError> {
    let recorded = Recorded::read(&record.bytes, &record.event_id, part.room().version())?;
    let apart = if follow_commit {
        node.apart_recorded(part.room(), recorded.event().event(), record.position).await?
    } else {
        Apart::default()
    };
    match part {
        Part::Hub(hub) => hub.replay_with(recorded, follow_commit, &apart)?,
        Part::Participant(participant) => {
            participant.replay_with(recorded, record.effect, follow_commit, &apart)?;
        }
    }
    Ok(())
}

fn start(node: &Node, id: &RoomId, stored: &StoredSnapshot) -> Result<Participant, RoomError> {
    let damaged = |error| RoomError::Snapshot { server: stored.hub.clone(), error };
    let version = node.versions.default_version();
    let read = |events: &[SnapshotEvent], version: &RoomVersion| {
        let events = events.iter().map(|event| Recorded::read(&event.bytes, &event.event_id, version));
        events.collect::<Result<Vec<_>, _>>()
    };
    let (state, chain) = (read(&stored.state, version)?, read(&stored.chain, version)?);
    let snapshot = Snapshot::recorded(id, state, chain, stored.prev.clone()).map_err(damaged)?;
    Participant::start(snapshot, &stored.hub, &node.versions).map_err(damaged)
}

/// Puts a room's MLS group back. Returns from which position on it has yet to follow commits.
async fn restore_group(node: &Node, id: &RoomId, role: &mut Role) -> Result<Position, RoomError> {
    let Some((position, bytes)) = node.store.group(id).await? else { return Ok(0) };
    match GroupTracker::restore(&bytes) {
        Ok(tracker) => {
            let room = match role {
                Role::Hub(hub) => hub.room_mut(),
                Role::Participant(participant) => participant.room_mut(),
            };
            room.encryption_mut().restore(tracker);
            Ok(position)
        }
        Err(error) => {
            // Commits are all in the list: following them again takes longer and arrives at the same group.
            tracing::warn!(room = %id, %error, "the snapshot of an MLS group cannot be read");
            Ok(0)
        }
    }
}
