//! Wrong key responses, signed as they are (LM-04 §6, §12.4.1.2).

use serde_json::{Value, json};

use crate::mutant::seen::{Answer, Asked, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

/// Changes the key response and signs it anew.
fn edit(asked: &Asked, answer: &mut Answer, change: impl FnOnce(&mut Value)) {
    if asked.is(&["key"]) {
        answer.edit_signed(asked, change);
    }
}

/// Changes the key response, which is then signed wrongly or not at all.
fn edit_unsigned(asked: &Asked, answer: &mut Answer, change: impl FnOnce(&mut Value)) {
    if asked.is(&["key"]) {
        answer.edit_ok(change);
    }
}

/// Changes each entry of `verify_keys`.
fn edit_keys(value: &mut Value, change: impl Fn(&mut Value)) {
    if let Some(Value::Object(keys)) = value.get_mut("verify_keys") {
        keys.values_mut().for_each(change);
    }
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.4.1.2/not-signed",
        "the key response is not signed",
        &["LM-04/12.4.1.2/2"],
        Fault::Answers(|asked, answer| {
            edit_unsigned(asked, answer, |value| remove(value, "signatures"));
        }),
    ),
    mutant(
        "12.4.1.2/signed-before",
        "the key response is changed after it was signed",
        &["LM-04/12.4.1.2/2"],
        Fault::Answers(|asked, answer| {
            edit_unsigned(asked, answer, |value| set(value, "contact", json!("admin")));
        }),
    ),
    mutant(
        "12.4.1.2/another-name",
        "the key response names another server",
        &["LM-04/12.4.1.2/3"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |value| set(value, "server_name", json!("elsewhere.example")));
        }),
    ),
    mutant(
        "12.4.1.2/validity-as-text",
        "the key response's validity is a string",
        &["LM-04/12.4.1.2/4"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |value| {
                let until = value.get("valid_until_ts").map(ToString::to_string);
                set(value, "valid_until_ts", json!(until));
            });
        }),
    ),
    mutant(
        "12.4.1.2/validity-in-seconds",
        "the key response's validity is in seconds",
        &["LM-04/12.4.1.2/4"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |value| {
                let until = value.get("valid_until_ts").and_then(Value::as_i64).map(|until| until / 1000);
                set(value, "valid_until_ts", json!(until));
            });
        }),
    ),
    mutant(
        "12.4.1.2/no-keys",
        "the key response has no keys",
        &["LM-04/12.4.1.2/6", "LM-04/6/1"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |value| set(value, "verify_keys", json!({})));
        }),
    ),
    mutant(
        "12.4.1.2/keys-bare",
        "keys are published as strings",
        &["LM-04/12.4.1.2/6"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |value| {
                edit_keys(value, |entry| *entry = entry.get("key").cloned().unwrap_or_default());
            });
        }),
    ),
    mutant(
        "10/padded-key",
        "keys are published with padding",
        &["LM-04/10/1", "LM-04/12.4.1.2/6"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |value| {
                edit_keys(value, |entry| {
                    if let Some(Value::String(key)) = entry.get_mut("key") {
                        key.push('=');
                    }
                });
            });
        }),
    ),
    mutant(
        "6/other-key",
        "another key is published than the one that signs",
        &["LM-04/6/1"],
        Fault::Answers(|asked, answer| {
            edit_unsigned(asked, answer, |value| {
                edit_keys(value, |entry| {
                    set(entry, "key", json!("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
                });
            });
        }),
    ),
    mutant(
        "6/key-id-without-version",
        "the key is published under a name without a version",
        &["LM-04/6/5", "LM-04/6/6"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |value| {
                let keys = value.get("verify_keys").and_then(Value::as_object).cloned().unwrap_or_default();
                let renamed = keys.into_iter().map(|(_, entry)| ("ed25519".to_owned(), entry));
                set(value, "verify_keys", Value::Object(renamed.collect()));
            });
        }),
    ),
    mutant(
        "12.4.1.1/valid-for-a-minute",
        "the keys are valid for a minute",
        &["LM-04/12.4.1.1/3"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |value| {
                let now = mimi_transport::clock::now_ms();
                set(value, "valid_until_ts", json!(now.saturating_add(60_000)));
            });
        }),
    ),
    mutant(
        "12.4.1.2/not-marked",
        "the key response does not say that the server is a linearized one",
        &["LM-04/12.4.1.2/5"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |value| set(value, "m.linearized", json!(false)));
        }),
    ),
    mutant(
        "12.4.1/key-needs-signature",
        "the server's keys are only for who signs the request",
        &["LM-04/12.4/24", "LM-04/12.4.1/3"],
        Fault::Answers(|asked, answer| {
            if asked.is(&["key"]) {
                answer.status = http::StatusCode::UNAUTHORIZED;
                answer.set(&json!({"errcode": "M_FORBIDDEN", "error": "sign it"}));
            }
        }),
    ),
];
