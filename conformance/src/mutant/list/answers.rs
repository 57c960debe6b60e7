//! Wrong answers to transactions, claims and questions for devices (LM-04 §12.3.1, §12.5.1, §12.10).

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::mutant::seen::{Answer, Asked, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

/// The first key packages that each server gave out.
static CLAIMED: LazyLock<Mutex<HashMap<String, Value>>> = LazyLock::new(Mutex::default);

/// Gives out again what was given out before, in the place of each new key package.
fn claim_again(asked: &Asked, answer: &mut Answer) {
    answer.edit_ok(|value| {
        let users = value.get_mut("one_time_keys").and_then(Value::as_object_mut);
        for (user, devices) in users.into_iter().flatten() {
            for (device, keys) in devices.as_object_mut().into_iter().flatten() {
                let place = format!("{} {user} {device}", asked.server);
                let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
                *keys = claimed.entry(place).or_insert_with(|| keys.clone()).clone();
            }
        }
    });
}

fn edit_failed(answer: &mut Answer, change: impl FnOnce(&mut Value)) {
    answer.edit_ok(|value| {
        if let Some(failed) = value.get_mut("failed_pdus") {
            change(failed);
        }
    });
}

/// How often each server gave its keys out.
static GIVEN: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.5.1/no-failed-pdus",
        "the answer to a transaction is empty",
        &["LM-04/12.5.1/19"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send"]) {
                answer.edit_ok(|value| remove(value, "failed_pdus"));
            }
        }),
    ),
    mutant(
        "12.5.1/failures-not-told",
        "rejected events are not reported",
        &["LM-04/12.5.1/22", "LM-04/12.5.1/7"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send"]) {
                edit_failed(answer, |failed| *failed = json!({}));
            }
        }),
    ),
    mutant(
        "12.5.1/failures-without-error",
        "a rejected event's report has no `error`",
        &["LM-04/12.5.1/21"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send"]) {
                edit_failed(answer, |failed| {
                    for entry in failed.as_object_mut().into_iter().flatten() {
                        *entry.1 = json!({});
                    }
                });
            }
        }),
    ),
    mutant(
        "12.5.1/failures-under-other-ids",
        "a rejected event is reported under another id",
        &["LM-04/12.5.1/20"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send"]) {
                edit_failed(answer, |failed| {
                    let entries = failed.as_object().cloned().unwrap_or_default();
                    let renamed = entries.into_iter().map(|(id, entry)| (id.to_lowercase(), entry));
                    *failed = Value::Object(renamed.collect());
                });
            }
        }),
    ),
    mutant(
        "12.5.1/failures-as-list",
        "rejected events are reported in a list",
        &["LM-04/12.5.1/19"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send"]) {
                edit_failed(answer, |failed| {
                    let ids = failed.as_object().into_iter().flat_map(|entries| entries.keys().cloned());
                    *failed = Value::Array(ids.map(Value::String).collect());
                });
            }
        }),
    ),
    mutant(
        "12.5.1/always-a-failure",
        "every transaction reports a failure",
        &["LM-04/12.5.1/22"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["send"]) {
                edit_failed(answer, |failed| set(failed, "$none", json!({"error": "none"})));
            }
        }),
    ),
    mutant(
        "12.10.1.1/device-wrapped",
        "a device is served in another object",
        &["LM-04/12.10.1.1/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["device"]) {
                answer.edit_ok(|value| *value = json!({"device": value.clone()}));
            }
        }),
    ),
    mutant(
        "12.10.1.1/device-changed",
        "a device is served with one more member",
        &["LM-04/12.10.1.1/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["device"]) {
                answer.edit_ok(|value| set(value, "display_name", json!("phone")));
            }
        }),
    ),
    mutant(
        "12.10.1.1/device-without-signatures",
        "a device is served without its signatures",
        &["LM-04/12.10.1.1/2", "LM-04/4.1/6"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["device"]) {
                answer.edit_ok(|value| remove(value, "signatures"));
            }
        }),
    ),
    mutant(
        "12.10.3.1/claimed-twice",
        "a key package is given out again and again",
        &["LM-04/12.10.3.1/8"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["claim"]) {
                claim_again(asked, answer);
            }
        }),
    ),
    mutant(
        "12.10.3.1/nothing-to-claim",
        "claims are answered with nothing",
        &["LM-04/12.10.3.1/7", "LM-04/12.10.3.1/4"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["claim"]) {
                answer.edit_ok(|value| set(value, "one_time_keys", json!({})));
            }
        }),
    ),
    mutant(
        "12.10.3.1/no-object",
        "an answer to a claim for nobody has no `one_time_keys`",
        &["LM-04/12.10.3.1/5"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["claim"]) {
                answer.edit_ok(|value| {
                    if value.get("one_time_keys") == Some(&json!({})) {
                        *value = json!({});
                    }
                });
            }
        }),
    ),
    mutant(
        "12.10.3.1/unknown-users-listed",
        "users that were not asked for are in the answer to a claim",
        &["LM-04/12.10.3.1/3", "LM-04/12.10.3.1/7"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["claim"]) {
                let user = format!("@nobody:{}", asked.server);
                answer.edit_ok(|value| {
                    if let Some(users) = value.get_mut("one_time_keys") {
                        set(users, &user, json!({}));
                    }
                });
            }
        }),
    ),
    mutant(
        "12.10.3.1/padded-keys",
        "key packages are given out with padding",
        &["LM-04/12.10.3.1/7", "LM-04/10/1"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["claim"]) {
                answer.edit_ok(pad_strings);
            }
        }),
    ),
    mutant(
        "12.3.1/delegation-is-no-string",
        "a delegation names an object",
        &["LM-04/12.3.1/5"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["well-known"]) {
                answer.edit_ok(|value| set(value, "m.server", json!({"host": "localhost"})));
            }
        }),
    ),
    mutant(
        "12.3.1/delegation-is-a-url",
        "a delegation names a URL",
        &["LM-04/12.3.1/5"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["well-known"]) {
                let url = format!("https://{}/", asked.server);
                answer.edit_ok(|value| set(value, "m.server", json!(url)));
            }
        }),
    ),
    mutant(
        "12.3.1/delegation-says-nothing",
        "a delegation does not say that it is JSON",
        &["LM-04/12.3.1/6"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["well-known"]) {
                answer.headers.remove(http::header::CONTENT_TYPE);
            }
        }),
    ),
    mutant(
        "12.2.6/keys-limited",
        "the server's keys are given out twenty times and no more",
        &["LM-04/12.2.6/2"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["key"]) {
                let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
                let times = given.entry(asked.server.to_string()).or_insert(0_u32);
                *times = times.saturating_add(1);
                if *times > 20 {
                    answer.status = http::StatusCode::TOO_MANY_REQUESTS;
                    answer
                        .set(&json!({"errcode": "M_LIMIT_EXCEEDED", "error": "later", "retry_after_ms": 1}));
                }
            }
        }),
    ),
];

/// Adds padding to every string below the names.
fn pad_strings(value: &mut Value) {
    match value {
        Value::String(text) => text.push('='),
        Value::Object(object) => object.values_mut().for_each(pad_strings),
        _ => {}
    }
}
