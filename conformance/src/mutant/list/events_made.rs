//! Events and keys that a server makes, shows or understands otherwise (LM-04 §3, §6, §9, §10).

use mimi_linearized::base64;
use mimi_linearized::event::hash;
use mimi_linearized::json::Object;
use serde_json::{Value, json};

use super::sends::edit_pdus;
use crate::mutant::outbound::Fate;
use crate::mutant::seen::{Answer, Asked, Sent, list, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

/// Sets state of a type under the empty state key, whatever a user asked for.
fn forget_state_key(sent: &mut Sent, kind: &str) {
    if sent.body.get("type").and_then(Value::as_str) == Some(kind) {
        set(&mut sent.body, "state_key", json!(""));
    }
}

/// Changes each id in a list of ids.
fn edit_ids(pdu: &mut Value, field: &str, change: impl Fn(&str) -> String) {
    for id in list(pdu, field).into_iter().flatten() {
        if let Some(changed) = id.as_str().map(&change) {
            *id = Value::String(changed);
        }
    }
}

/// Changes the events of a type that users are shown.
fn edit_shown(asked: &Asked, answer: &mut Answer, kind: &str, change: impl Fn(&mut Value)) {
    if asked.is(&["events", "state"]) {
        answer.edit_ok(|value| {
            let events = list(value, "events").into_iter().flatten();
            events.filter(|event| event.get("type").and_then(Value::as_str) == Some(kind)).for_each(change);
        });
    }
}

/// Changes each entry of `verify_keys`, which are signed anew.
fn edit_keys(asked: &Asked, answer: &mut Answer, change: impl FnOnce(&mut Object)) {
    if asked.target.starts_with("/_matrix/key/v2/server") {
        answer.edit_signed(asked, |value| {
            if let Some(Value::Object(keys)) = value.get_mut("verify_keys") {
                change(keys);
            }
        });
    }
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "3.5/own-events-with-lpdu-hash",
        "a hub's own events have the hash of an LPDU",
        &["LM-04/3.5/17"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                if pdu.get("hub_server").is_none()
                    && let Some(hashes) = pdu.get_mut("hashes")
                {
                    set(hashes, "lpdu", json!({"sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"}));
                }
            })
        }),
    ),
    mutant(
        "3.5/no-list-of-cited",
        "PDUs do not have what they cite in a list",
        &["LM-04/3.5/19"],
        Fault::Sends(|sent| edit_pdus(sent, |pdu| set(pdu, "auth_events", json!({})))),
    ),
    mutant(
        "10/ids-not-url-safe",
        "event ids are in standard base64",
        &["LM-04/10/3", "LM-04/9.2/5"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                for field in ["prev_events", "auth_events"] {
                    edit_ids(pdu, field, |id| id.replace('-', "+").replace('_', "/"));
                }
            })
        }),
    ),
    mutant(
        "9.2/other-hash-function",
        "event ids are hashed twice",
        &["LM-04/9.2/4", "LM-04/3.5/23"],
        Fault::Sends(|sent| {
            edit_pdus(sent, |pdu| {
                for field in ["prev_events", "auth_events"] {
                    edit_ids(pdu, field, |id| {
                        format!("${}", base64::encode_url_safe(&hash::sha256(id.as_bytes())))
                    });
                }
            })
        }),
    ),
    mutant(
        "3.5/ids-forgiven",
        "an event is found under its id with padding, and in standard base64",
        &["LM-04/3.5/24"],
        Fault::Takes(|sent| {
            if sent.is(&["event"]) {
                let id = sent.target.rsplit('/').next().unwrap_or_default().to_owned();
                let plain = id.replace("%3D", "").replace("%3d", "").replace('=', "");
                sent.rename(&plain.replace("%2B", "-").replace("%2F", "_").replace('+', "-"));
            }
        }),
    ),
    mutant(
        "3.5.2/state-lags-behind",
        "the topic of a room is never part of its current state",
        &["LM-04/3.5.2/4"],
        Fault::Shows(|asked, answer| {
            if asked.is(&["state"]) {
                answer.edit_ok(|value| {
                    if let Some(events) = list(value, "events") {
                        let is_topic = |event: &Value| {
                            event
                                .get("type")
                                .and_then(Value::as_str)
                                .is_some_and(|kind| kind == "m.room.topic")
                        };
                        events.retain(|event| !is_topic(event));
                    }
                });
            }
        }),
    ),
    mutant(
        "3.5.3.1/create-cites",
        "a create event cites something",
        &["LM-04/3.5.3.1/2"],
        Fault::Shows(|asked, answer| {
            edit_shown(asked, answer, "m.room.create", |event| set(event, "auth_events", json!(["$a"])));
        }),
    ),
    mutant(
        "3.5.3.1/create-follows",
        "a create event follows something",
        &["LM-04/3.5.3.1/3"],
        Fault::Shows(|asked, answer| {
            edit_shown(asked, answer, "m.room.create", |event| set(event, "prev_events", json!(["$a"])));
        }),
    ),
    mutant(
        "3.5.3.1/create-of-another-server",
        "a create event is of another server than its room's id says",
        &["LM-04/3.5.3.1/4", "LM-04/auth/3.2"],
        Fault::Shows(|asked, answer| {
            edit_shown(asked, answer, "m.room.create", |event| set(event, "sender", json!("@a:b.example")));
        }),
    ),
    mutant(
        "3.5.3.1/create-with-state-key",
        "a create event has a state key that is not empty",
        &["LM-04/3.5.3.1/5"],
        Fault::Shows(|asked, answer| {
            edit_shown(asked, answer, "m.room.create", |event| set(event, "state_key", json!("a")));
        }),
    ),
    mutant(
        "3.5.3.1/create-without-version",
        "a create event does not say the room's version",
        &["LM-04/3.5.3.1/6", "LM-04/auth/3.3"],
        Fault::Shows(|asked, answer| {
            edit_shown(asked, answer, "m.room.create", |event| {
                if let Some(content) = event.get_mut("content") {
                    remove(content, "room_version");
                }
            });
        }),
    ),
    mutant(
        "3.5.3.2/join-rules-with-state-key",
        "the join rules that a server sets have a state key that is not empty",
        &["LM-04/3.5.3.2/1"],
        Fault::Shows(|asked, answer| {
            edit_shown(asked, answer, "m.room.join_rules", |event| set(event, "state_key", json!("a")));
        }),
    ),
    mutant(
        "3.5.3.2/join-rules-without-rule",
        "the join rules that a server sets do not say the rule",
        &["LM-04/3.5.3.2/3"],
        Fault::Shows(|asked, answer| {
            edit_shown(asked, answer, "m.room.join_rules", |event| set(event, "content", json!({})));
        }),
    ),
    mutant(
        "3.5.3.2/any-state-key",
        "join rules count under any state key",
        &["LM-04/3.5.3.2/2"],
        Fault::Does(|sent| forget_state_key(sent, "m.room.join_rules")),
    ),
    mutant(
        "3.5.3.4/any-state-key",
        "power levels count under any state key",
        &["LM-04/3.5.3.4/1"],
        Fault::Does(|sent| forget_state_key(sent, "m.room.power_levels")),
    ),
    mutant(
        "6/other-algorithm",
        "the server's key is published under another algorithm",
        &["LM-04/6/3"],
        Fault::Answers(|asked, answer| {
            edit_keys(asked, answer, |keys| {
                let renamed = keys.iter().map(|(id, key)| (id.replace("ed25519", "rsa"), key.clone()));
                *keys = renamed.collect();
            });
        }),
    ),
    mutant(
        "6/short-key",
        "the server's key has three bytes",
        &["LM-04/6/4"],
        Fault::Answers(|asked, answer| {
            edit_keys(asked, answer, |keys| {
                keys.values_mut().for_each(|entry| set(entry, "key", json!("AAAA")));
            });
        }),
    ),
    mutant(
        "6.3/one-signature-only",
        "an event with two signatures of a server is dropped",
        &["LM-04/6.3/9"],
        Fault::Takes(|sent| {
            let several = |pdu: &Value| {
                let signatures = pdu.get("signatures").and_then(Value::as_object);
                let mut entries = signatures.into_iter().flat_map(|entries| entries.values());
                entries.any(|entry| entry.as_object().is_some_and(|keys| keys.len() > 1))
            };
            if let Some(pdus) = sent.list("pdus") {
                pdus.retain(|pdu| !several(pdu));
            }
        }),
    ),
    mutant(
        "3.1/address-as-name",
        "a server signs its requests under an address",
        &["LM-04/3.1/1", "LM-04/3.1/3"],
        Fault::Sends(|sent| {
            let header = sent.headers.get(http::header::AUTHORIZATION);
            let header = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
            let (origin, rest) = header.split_once(',').unwrap_or((header, ""));
            let changed = format!("{},{rest}", origin.replace("localhost", "127.0.0.1"));
            if !rest.is_empty()
                && let Ok(changed) = changed.parse()
            {
                sent.headers.insert(http::header::AUTHORIZATION, changed);
            }
            Fate::Goes
        }),
    ),
];
