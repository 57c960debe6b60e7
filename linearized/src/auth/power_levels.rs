//! Rule 9: `m.room.power_levels` (LM-04 §5.2.3).

use std::collections::BTreeSet;

use serde_json::Value;

use super::power::{level, stated_or_default};
use super::{AuthRule, Because, Refusal, SelectedState};
use crate::event::Event;
use crate::id::UserId;
use crate::json::{Object, as_integer};

/// The fields that hold one level each.
const LEVELS: [&str; 7] =
    ["users_default", "events_default", "state_default", "ban", "redact", "kick", "invite"];

pub(super) fn authorise(event: &Event, state: &SelectedState<'_>) -> Result<AuthRule, Refusal> {
    let new = event.content();
    well_formed(new)?;
    let Some(current) = state.power_levels.map(|event| event.event().content()) else {
        return Ok(AuthRule::LevelsFirst);
    };
    let sender = state.levels().user(event.sender());
    let above = |rule, entry: &str, level: Option<i64>| match level {
        Some(level) if level > sender => {
            Err(Refusal::new(rule, Because::LevelOf { entry: entry.to_owned(), level, sender }))
        }
        _ => Ok(()),
    };
    for field in LEVELS {
        if level(current, field) != level(new, field) {
            // A level that is not stated is in force with its default (reading R34).
            above(AuthRule::LevelCurrentTooHigh, field, Some(stated_or_default(current, field)))?;
            above(AuthRule::LevelNewTooHigh, field, Some(stated_or_default(new, field)))?;
        }
    }
    let events = changes(current, new, "events");
    for change in &events {
        above(AuthRule::LevelEventCurrentTooHigh, change.entry, change.was)?;
    }
    for change in &events {
        above(AuthRule::LevelEventNewTooHigh, change.entry, change.is)?;
    }
    let users = changes(current, new, "users");
    for change in users.iter().filter(|change| *event.sender() != *change.entry) {
        above(AuthRule::LevelUserCurrentTooHigh, change.entry, change.was)?;
    }
    for change in &users {
        above(AuthRule::LevelUserNewTooHigh, change.entry, change.is)?;
    }
    Ok(AuthRule::LevelsAllowed)
}

/// Rules 9.1 to 9.3.
fn well_formed(content: &Object) -> Result<(), Refusal> {
    let malformed = |rule, entry: String, found: &Value, expected| {
        Err(Refusal::new(rule, Because::malformed(entry, found, expected)))
    };
    for field in LEVELS {
        if let Some(value) = content.get(field).filter(|value| as_integer(value).is_none()) {
            return malformed(AuthRule::LevelNotInteger, field.to_owned(), value, "an integer");
        }
    }
    for (map, rule) in [("events", AuthRule::LevelEvents), ("users", AuthRule::LevelUsers)] {
        let Some(value) = content.get(map) else { continue };
        let Some(entries) = value.as_object() else {
            return malformed(rule, map.to_owned(), value, "an object of integers");
        };
        for (key, level) in entries {
            if map == "users" && UserId::parse(key).is_err() {
                let key = Value::from(key.as_str());
                return malformed(rule, "a key of users".to_owned(), &key, "a user id");
            }
            if as_integer(level).is_none() {
                return malformed(rule, format!("{key} in {map}"), level, "an integer");
            }
        }
    }
    Ok(())
}

/// An entry that differs between two power levels events.
struct Change<'c> {
    entry: &'c str,
    was: Option<i64>,
    is: Option<i64>,
}

/// The entries of a map that differ.
fn changes<'c>(current: &'c Object, new: &'c Object, map: &str) -> Vec<Change<'c>> {
    let entries = |content: &'c Object| content.get(map).and_then(Value::as_object);
    let (current, new) = (entries(current), entries(new));
    let keys: BTreeSet<&str> =
        [current, new].into_iter().flatten().flat_map(Object::keys).map(String::as_str).collect();
    let level_in = |map: Option<&Object>, entry: &str| map.and_then(|map| level(map, entry));
    keys.into_iter()
        .map(|entry| Change { entry, was: level_in(current, entry), is: level_in(new, entry) })
        .filter(|change| change.was != change.is)
        .collect()
}
