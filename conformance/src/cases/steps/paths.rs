//! The paths of the endpoints of LM-04 §12, in their final form.

use std::fmt::Display;

use mimi_linearized::id::RoomId;

use crate::target::segment;

/// Where events are sent.
pub(in crate::cases) fn send(txn_id: &str) -> String {
    format!("/_matrix/federation/v2/send/{}", segment(txn_id))
}

/// Where an event is.
pub(in crate::cases) fn event(id: &str) -> String {
    format!("/_matrix/federation/v2/event/{}", segment(id))
}

/// Where the state before an event is.
pub(in crate::cases) fn state(room: &str, event_id: &str) -> String {
    format!("/_matrix/federation/v1/state/{}?event_id={}", segment(room), segment(event_id))
}

/// Where the ids of that state are.
pub(in crate::cases) fn state_ids(room: &str, event_id: &str) -> String {
    format!("/_matrix/federation/v1/state_ids/{}?event_id={}", segment(room), segment(event_id))
}

/// Where the events up to `v` are.
pub(in crate::cases) fn backfill(room: &str, v: &str, limit: impl Display) -> String {
    format!("/_matrix/federation/v2/backfill/{}?v={}&limit={limit}", segment(room), segment(v))
}

/// Where a template for a membership change is: `change` is `join`, `leave` or `knock`. No query.
pub(in crate::cases) fn make(change: &str, room: &str, user: &str) -> String {
    format!("/_matrix/federation/v1/make_{change}/{}/{}", segment(room), segment(user))
}

/// As [`make`], with the room version `I.1` where the endpoint wants versions.
pub(in crate::cases) fn make_in_i1(change: &str, room: &RoomId, user: &str) -> String {
    let query = if change == "leave" { "" } else { "?ver=I.1" };
    format!("{}{query}", make(change, room.as_str(), user))
}

/// Where the completed template is sent.
pub(in crate::cases) fn send_change(change: &str, txn_id: &str) -> String {
    format!("/_matrix/federation/v3/send_{change}/{}", segment(txn_id))
}

/// Where invites are sent.
pub(in crate::cases) fn invite(txn_id: &str) -> String {
    format!("/_matrix/federation/v3/invite/{}", segment(txn_id))
}
