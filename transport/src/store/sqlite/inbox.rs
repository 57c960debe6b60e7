//! Inboxes.

use std::sync::Arc;

use mimi_linearized::id::UserId;
use rusqlite::{Connection, params};

use super::super::{InboxItem, StoreError};
use super::decode::{Undecodable, all, execute, number, sealed_bytes, to_limit};
use super::sealed::seal;

pub(super) const PUT: &str = "
    INSERT INTO inbox (user_id, place, bytes, once)
    VALUES (?1, coalesce((SELECT place + 1 FROM inbox WHERE user_id = ?1 ORDER BY place DESC LIMIT 1), 0), ?2, ?3)
    ON CONFLICT (user_id, once) WHERE once IS NOT NULL DO NOTHING";

pub(super) const READ: &str =
    "SELECT place, bytes FROM inbox WHERE user_id = ?1 AND place >= ?2 ORDER BY place LIMIT ?3";

/// An item's place and its JSON.
pub(super) type PlacedItem = (u64, Arc<[u8]>);

/// Puts items into inboxes; those whose mark is there already are left out.
pub(super) fn put(connection: &Connection, items: &[InboxItem]) -> Result<(), StoreError> {
    for InboxItem { user_id, bytes, once } in items {
        execute(connection, PUT, params![user_id.as_str(), seal(bytes, &[]), once.as_deref()])?;
    }
    Ok(())
}

/// The items of an inbox from a place on.
pub(super) fn read(
    connection: &Connection,
    user_id: &UserId,
    from: u64,
    limit: usize,
) -> Result<Vec<PlacedItem>, StoreError> {
    // No inbox reaches further than SQLite counts.
    let Ok(start) = i64::try_from(from) else { return Ok(Vec::new()) };
    let mut next = from;
    all(connection, READ, params![user_id.as_str(), start, to_limit(limit)], |row| {
        let mut decode = || {
            let place = number(row, 0, "place in an inbox")?;
            if place != next {
                return Err(Undecodable::new("inbox", format_args!("item {next} is missing")));
            }
            next = next.saturating_add(1);
            Ok((place, sealed_bytes(row, 1, "inbox item", &[])?))
        };
        decode().map_err(|fault| fault.at(format_args!("the inbox of {user_id}")))
    })
}
