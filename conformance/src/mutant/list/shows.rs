//! What users are not told, or told wrongly (LM-04 §4, §12.7, §12.10).

use serde_json::{Value, json};

use crate::mutant::seen::{Answer, Asked, list, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

/// Loses items of a kind from inboxes.
fn lose(asked: &Asked, answer: &mut Answer, kind: &str) {
    if asked.is(&["inbox"]) {
        answer.edit_ok(|value| {
            if let Some(items) = list(value, "items") {
                items.retain(|item| item.get("type").and_then(Value::as_str) != Some(kind));
            }
        });
    }
}

/// Changes the events in lists and states.
pub(super) fn edit_all_events(asked: &Asked, answer: &mut Answer, change: impl Fn(&mut Value)) {
    if asked.is(&["events", "state"]) {
        answer.edit_ok(|value| list(value, "events").into_iter().flatten().for_each(change));
    }
}

/// Changes those of a type.
fn edit_events(asked: &Asked, answer: &mut Answer, kind: &str, change: impl Fn(&mut Value)) {
    edit_all_events(asked, answer, |event| {
        if event.get("type").and_then(Value::as_str) == Some(kind) {
            change(event);
        }
    });
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.7.2.1/user-not-told",
        "an invited user is not told",
        &["R22"],
        Fault::Shows(|asked, answer| lose(asked, answer, "invite")),
    ),
    mutant(
        "12.10.1/users-not-told",
        "users are not told of others' devices",
        &["LM-04/12.10.1/3"],
        Fault::Shows(|asked, answer| lose(asked, answer, "device_list_update")),
    ),
    mutant(
        "12.10.2/device-not-told",
        "a device is not given its messages",
        &["LM-04/12.10.2/2"],
        Fault::Shows(|asked, answer| lose(asked, answer, "to_device")),
    ),
    mutant(
        "12.10.2/another-device-told",
        "a message is given to another device",
        &["LM-04/12.10.2/2"],
        Fault::Shows(|asked, answer| {
            if asked.is(&["inbox"]) {
                answer.edit_ok(|value| {
                    for item in list(value, "items").into_iter().flatten() {
                        if item.get("target_device").is_some() {
                            set(item, "target_device", json!("OTHER"));
                        }
                    }
                });
            }
        }),
    ),
    mutant(
        "12.10.3.1/claim-not-told",
        "a device is not told that its key package was claimed",
        &["LM-04/12.10.3.1/10"],
        Fault::Shows(|asked, answer| lose(asked, answer, "key_package_used")),
    ),
    mutant(
        "4.1/any-device",
        "a device is published whoever signed it",
        &["LM-04/4.1/7", "LM-04/4.1/5", "LM-04/3.4/1"],
        Fault::Shows(|asked, answer| {
            if asked.is(&["devices"]) && !answer.is_ok() {
                answer.status = http::StatusCode::OK;
                answer.set(&json!({}));
            }
        }),
    ),
    mutant(
        "3.5.3.1/begins-later",
        "a room's list does not begin with its create event",
        &["LM-04/3.5.3.1/1"],
        Fault::Shows(|asked, answer| {
            if asked.is(&["events"]) {
                answer.edit_ok(|value| {
                    if let Some(events) = list(value, "events") {
                        events.retain(|event| {
                            event.get("type").and_then(Value::as_str) != Some("m.room.create")
                        });
                    }
                });
            }
        }),
    ),
    mutant(
        "3.5.3.4/levels-left-out",
        "power levels that the server sets leave levels out",
        &["LM-04/3.5.3.4/2"],
        Fault::Shows(|asked, answer| {
            edit_events(asked, answer, "m.room.power_levels", |event| {
                if let Some(content) = event.get_mut("content") {
                    remove(content, "invite");
                }
            });
        }),
    ),
    mutant(
        "4/encryption-lost",
        "the create event of an encrypted room does not say how it is encrypted",
        &["LM-04/4/4"],
        Fault::Shows(|asked, answer| {
            edit_events(asked, answer, "m.room.create", |event| {
                if let Some(content) = event.get_mut("content") {
                    remove(content, "encryption");
                }
            });
        }),
    ),
];
