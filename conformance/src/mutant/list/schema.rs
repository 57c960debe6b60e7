//! Malformed events that spoil the transaction they come in: a server that reads all of it at once, and refuses it for one
//! field of one event, where the event alone is to be dropped (LM-04 §3, §3.5, §5.1).

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use mimi_linearized::id::{RoomId, ServerName};
use serde_json::{Value, json};

use crate::mutant::seen::{Sent, set};
use crate::mutant::{Fault, Mutant, mutant};

/// Makes a transaction malformed that has such an event in it.
fn spoil(sent: &mut Sent, is_bad: impl Fn(&Value) -> bool) {
    if sent.is(&["send"]) && sent.list("pdus").is_some_and(|pdus| pdus.iter().any(is_bad)) {
        set(&mut sent.body, "pdus", json!("spoilt"));
    }
}

/// Has an invite answered as if it had been taken, if its event is like this.
fn wave_through(sent: &mut Sent, is_bad: impl Fn(&Value) -> bool) {
    if sent.is(&["invite"]) && sent.body.get("event").is_some_and(is_bad) {
        // Whatever answers 200.
        sent.method = http::Method::GET;
        "/_matrix/key/v2/server".clone_into(&mut sent.target);
    }
}

/// Whether a field is there and not like this.
fn is_wrong(event: &Value, field: &str, is_right: impl Fn(&Value) -> bool) -> bool {
    event.get(field).is_some_and(|value| !is_right(value))
}

/// Whether a field is not there, or not like this.
fn lacks(event: &Value, field: &str, is_right: impl Fn(&Value) -> bool) -> bool {
    event.get(field).is_none_or(|value| !is_right(value))
}

fn text<'e>(event: &'e Value, field: &str) -> &'e str {
    event.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn localpart(user: &str) -> &str {
    user.split(':').next().unwrap_or_default()
}

/// Whether something is an object of objects of strings.
fn is_signatures(value: &Value) -> bool {
    let of_texts =
        |entry: &Value| entry.as_object().is_some_and(|entry| entry.values().all(Value::is_string));
    value.as_object().is_some_and(|entries| entries.values().all(of_texts))
}

/// The rooms that each mutant has seen, by their ids in small letters.
static ROOMS: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "3.5/bad-type-spoils",
        "an event whose type is no string makes a transaction malformed",
        &["LM-04/3.5/3", "LM-04/5.1/4"],
        Fault::Takes(|sent| spoil(sent, |pdu| lacks(pdu, "type", Value::is_string))),
    ),
    mutant(
        "3.5/bad-state-key-spoils",
        "an event whose state key is no string makes a transaction malformed",
        &["LM-04/3.5/6", "LM-04/5.1/4"],
        Fault::Takes(|sent| spoil(sent, |pdu| is_wrong(pdu, "state_key", Value::is_string))),
    ),
    mutant(
        "3.5/bad-sender-spoils",
        "an event whose sender is no string makes a transaction malformed",
        &["LM-04/3.5/8", "LM-04/5.1/4"],
        Fault::Takes(|sent| spoil(sent, |pdu| lacks(pdu, "sender", Value::is_string))),
    ),
    mutant(
        "3.5/bad-time-spoils",
        "an event whose time is no integer makes a transaction malformed",
        &["LM-04/3.5/9", "LM-04/5.1/4"],
        Fault::Takes(|sent| spoil(sent, |pdu| lacks(pdu, "origin_server_ts", Value::is_i64))),
    ),
    mutant(
        "3.5/bad-hub-spoils",
        "an event whose hub is no server name makes a transaction malformed",
        &["LM-04/3.5/11", "LM-04/5.1/4"],
        Fault::Takes(|sent| {
            let is_name = |value: &Value| value.as_str().is_some_and(|name| ServerName::parse(name).is_ok());
            spoil(sent, |pdu| is_wrong(pdu, "hub_server", is_name));
        }),
    ),
    mutant(
        "3.5/bad-content-spoils",
        "an event whose content is no object makes a transaction malformed",
        &["LM-04/3.5/13", "LM-04/5.1/4"],
        Fault::Takes(|sent| spoil(sent, |pdu| lacks(pdu, "content", Value::is_object))),
    ),
    mutant(
        "3.5/bad-hashes-spoil",
        "an event without usable hashes makes a transaction malformed",
        &["LM-04/3.5/15", "LM-04/5.1/4"],
        Fault::Takes(|sent| spoil(sent, |pdu| lacks(pdu, "hashes", is_signatures))),
    ),
    mutant(
        "3.5/bad-signatures-spoil",
        "an event without usable signatures makes a transaction malformed",
        &["LM-04/3.5/18", "LM-04/6.3/1", "LM-04/6.3/4", "LM-04/5.1/4"],
        Fault::Takes(|sent| spoil(sent, |pdu| lacks(pdu, "signatures", is_signatures))),
    ),
    mutant(
        "3.2/no-room-ids",
        "an invite is taken whose room id has spaces, slashes or nothing in it",
        &["LM-04/3.2/1", "LM-04/3.5/2"],
        Fault::Takes(|sent| {
            wave_through(sent, |event| {
                text(event, "room_id").len() <= 255 && RoomId::parse(text(event, "room_id")).is_err()
            });
        }),
    ),
    mutant(
        "3.2/long-room-ids",
        "an invite is taken whose room id is too long",
        &["LM-04/3.2/2", "LM-04/3.5/2"],
        Fault::Takes(|sent| wave_through(sent, |event| text(event, "room_id").len() > 255)),
    ),
    mutant(
        "3.3/capitals",
        "an invite is taken that is of or for somebody whose localpart has capitals",
        &["LM-04/3.3/5"],
        Fault::Takes(|sent| {
            let capital = |user: &str| localpart(user).chars().any(|c| c.is_ascii_uppercase());
            wave_through(sent, |event| capital(text(event, "sender")) || capital(text(event, "state_key")));
        }),
    ),
    mutant(
        "3.3/long-user-ids",
        "an invite is taken whose sender's id is too long",
        &["LM-04/3.3/2", "LM-04/3.5/8"],
        Fault::Takes(|sent| wave_through(sent, |event| text(event, "sender").len() > 255)),
    ),
    mutant(
        "3.1/capitals-spoil",
        "an event of a user whose server has capitals in its name makes a transaction malformed",
        &["LM-04/3.1/5", "LM-04/3.1/6", "LM-04/3.3/3"],
        Fault::Takes(|sent| {
            let server =
                |pdu: &Value| text(pdu, "sender").split_once(':').map(|(_, server)| server.to_owned());
            spoil(sent, |pdu| server(pdu).is_some_and(|name| name.chars().any(|c| c.is_ascii_uppercase())));
        }),
    ),
    mutant(
        "3.5/hostile-content-spoils",
        "an event whose content is not as its type has it makes a transaction malformed",
        &["LM-04/3.5/14", "LM-04/5.1/5"],
        Fault::Takes(|sent| {
            spoil(sent, |pdu| {
                let membership = pdu.pointer("/content/membership");
                text(pdu, "type") == "m.room.member" && !membership.is_some_and(Value::is_string)
            });
        }),
    ),
    mutant(
        "3.5/long-contents-dropped",
        "an event with a string of more than 32 KiB is dropped",
        &["LM-04/3.5/26"],
        Fault::Takes(|sent| {
            if let Some(pdus) = sent.list("pdus") {
                let is_long = |pdu: &Value| {
                    let content = pdu.get("content").and_then(Value::as_object);
                    let mut texts = content.into_iter().flat_map(|content| content.values());
                    texts.any(|value| value.as_str().is_some_and(|text| text.len() > 32 * 1024))
                };
                pdus.retain(|pdu| !is_long(pdu));
            }
        }),
    ),
    mutant(
        "5.1/foreign-signatures-spoil",
        "an event with a signature of a third server is dropped",
        &["LM-04/5.1/9"],
        Fault::Takes(|sent| {
            if let Some(pdus) = sent.list("pdus") {
                let count = |pdu: &Value| {
                    pdu.get("signatures").and_then(Value::as_object).map_or(0, serde_json::Map::len)
                };
                pdus.retain(|pdu| count(pdu) <= 1 || pdu.get("auth_events").is_some() && count(pdu) <= 2);
            }
        }),
    ),
    mutant(
        "12.5/one-room-only",
        "of a transaction only the events of one room are processed",
        &["LM-04/12.5/1", "LM-04/12.5.1/6"],
        Fault::Takes(|sent| {
            if let Some(pdus) = sent.list("pdus") {
                let first = pdus.first().map(|pdu| text(pdu, "room_id").to_owned()).unwrap_or_default();
                pdus.retain(|pdu| text(pdu, "room_id") == first);
            }
        }),
    ),
    mutant(
        "3.2/room-ids-in-any-case",
        "an event of a room whose id differs from another one's in case alone is passed over",
        &["LM-04/3.2/3"],
        Fault::Takes(|sent| {
            let mutant = sent.to.to_string();
            if let Some(pdus) = sent.list("pdus") {
                pdus.retain(|pdu| {
                    let room = text(pdu, "room_id");
                    let mut rooms = ROOMS.lock().unwrap_or_else(PoisonError::into_inner);
                    let known = rooms.entry(format!("{mutant} {}", room.to_lowercase()));
                    known.or_insert_with(|| room.to_owned()) == room
                });
            }
        }),
    ),
];
