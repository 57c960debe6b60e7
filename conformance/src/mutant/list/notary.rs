//! A notary that gives out wrong keys, or none, and keys from a notary that are used unchecked (LM-04 §12.4.1).

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use mimi_linearized::signing::{ServerKeys, sign_object};
use mimi_transport::clock;
use serde_json::{Value, json};

use crate::mutant::outbound::Fate;
use crate::mutant::seen::{Answer, Asked, Sent, list, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

const QUERY: &str = "/_matrix/key/v2/query";
const MINIMUM: &str = "minimum_valid_until_ts";
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Changes the objects that are given out.
fn edit(asked: &Asked, answer: &mut Answer, change: impl FnOnce(&mut Vec<Value>)) {
    if asked.target.starts_with(QUERY) {
        answer.edit_ok(|value| {
            list(value, "server_keys").map(change);
        });
    }
}

/// Takes the signatures of a server away.
fn unsign(object: &mut Value, server: &str) {
    if let Some(signatures) = object.get_mut("signatures") {
        remove(signatures, server);
    }
}

fn server_of(object: &Value) -> String {
    object.get("server_name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn valid_until(object: &Value) -> i64 {
    object.get("valid_until_ts").and_then(Value::as_i64).unwrap_or_default()
}

/// Changes the criteria of a query about several servers: an object of key ids for each.
fn edit_criteria(sent: &mut Sent, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    if sent.target.starts_with(QUERY)
        && let Some(Value::Object(servers)) = sent.body.get_mut("server_keys")
    {
        change(servers);
    }
}

/// Changes each criterion of a query, wherever it is.
fn edit_minimum(sent: &mut Sent, change: impl Fn(Option<i64>) -> Option<i64>) {
    if !sent.target.starts_with(QUERY) {
        return;
    }
    if sent.method == http::Method::GET {
        let (path, query) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
        let old = query.strip_prefix(MINIMUM).and_then(|rest| rest.strip_prefix('=')?.parse().ok());
        sent.target = match change(old) {
            Some(new) => format!("{path}?{MINIMUM}={new}"),
            None => path.to_owned(),
        };
    }
    edit_criteria(sent, |servers| {
        for criterion in
            servers.values_mut().filter_map(Value::as_object_mut).flat_map(|ids| ids.values_mut())
        {
            match change(criterion.get(MINIMUM).and_then(Value::as_i64)) {
                Some(new) => set(criterion, MINIMUM, json!(new)),
                None => remove(criterion, MINIMUM),
            }
        }
    });
}

/// What each mutant has given out first of a server.
static FIRST: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);

/// Signs an object with the mutant's key, in another server's name.
fn sign_as(asked: &Asked, object: &mut Value) {
    if let Value::Object(object) = object {
        sign_object(object, &asked.server, &asked.key);
    }
}

/// Puts the mutant's key among a server's.
fn add_key(asked: &Asked, value: &mut Value) {
    if let Some(keys) = value.get_mut("verify_keys") {
        set(keys, asked.key.id().as_str(), json!({"key": asked.key.verify_key().to_base64()}));
    }
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.4.1/notary-knows-nobody",
        "a notary gives out its own keys alone",
        &["LM-04/12.4.1/1", "LM-04/12.4.1.3/3"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |objects| {
                objects.retain(|object| server_of(object) == *asked.server.as_str());
            });
        }),
    ),
    mutant(
        "12.4.1.3/itself-unknown",
        "a notary does not give out its own keys",
        &["LM-04/12.4.1.3/3"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |objects| {
                objects.retain(|object| server_of(object) != *asked.server.as_str());
            });
        }),
    ),
    mutant(
        "12.4.1.3/notary-does-not-sign",
        "a notary does not sign what it gives out",
        &["LM-04/12.4.1.3/6"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |objects| {
                objects.iter_mut().for_each(|object| unsign(object, asked.server.as_str()));
            });
        }),
    ),
    mutant(
        "12.4.1.3/signature-lost",
        "a notary's own signature takes the place of the server's",
        &["LM-04/12.4.1.3/3"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |objects| {
                for object in objects {
                    let server = server_of(object);
                    if server != *asked.server.as_str() {
                        unsign(object, &server);
                    }
                }
            });
        }),
    ),
    mutant(
        "12.4.1.3/keys-changed",
        "a notary changes what it gives out",
        &["LM-04/12.4.1.3/3"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |objects| {
                for object in objects {
                    unsign(object, asked.server.as_str());
                    set(object, "org.example.seen", json!(true));
                    sign_as(asked, object);
                }
            });
        }),
    ),
    mutant(
        "12.4.1.3/minimum-ignored",
        "a notary does not look at how long keys have to be valid",
        &["LM-04/12.4.1.3/5", "LM-04/12.4.1.4/5"],
        Fault::Takes(|sent| edit_minimum(sent, |_| None)),
    ),
    mutant(
        "12.4.1.3/no-minimum-is-none",
        "without a minimum, a notary gives out keys that have expired",
        &["LM-04/12.4.1.3/2"],
        Fault::Takes(|sent| edit_minimum(sent, |minimum| minimum.or(Some(0)))),
    ),
    mutant(
        "12.4.1.4/only-single-minimum",
        "a query about several servers has no minimum",
        &["LM-04/12.4.1.4/5"],
        Fault::Takes(|sent| {
            if sent.method == http::Method::POST {
                edit_minimum(sent, |_| None);
            }
        }),
    ),
    mutant(
        "12.4.1.1/long-validity",
        "keys are relied on for as long as they say",
        &["LM-04/12.4.1.1/2"],
        Fault::Takes(|sent| {
            let most = clock::now_ms().saturating_add(6 * DAY_MS);
            edit_minimum(sent, |minimum| minimum.map(|minimum| minimum.min(most)));
        }),
    ),
    mutant(
        "12.4.1.3/unreachable-is-an-error",
        "a query about a server that cannot be reached is answered 404",
        &["LM-04/12.4.1.3/4"],
        Fault::Answers(|asked, answer| {
            let mut empty = false;
            edit(asked, answer, |objects| empty = objects.is_empty());
            if empty && asked.target != QUERY {
                answer.status = StatusCode::NOT_FOUND;
                answer.set(&json!({"errcode": "M_NOT_FOUND", "error": "unknown"}));
            }
        }),
    ),
    mutant(
        "12.4.1.4/nobody-is-an-error",
        "a query about nobody is answered 400",
        &["LM-04/12.4.1.4/4"],
        Fault::Answers(|asked, answer| {
            let mut empty = false;
            edit(asked, answer, |objects| empty = objects.is_empty());
            if empty && asked.target == QUERY {
                answer.status = StatusCode::BAD_REQUEST;
                answer.set(&json!({"errcode": "M_BAD_JSON", "error": "nobody"}));
            }
        }),
    ),
    mutant(
        "12.4.1.4/no-criteria-needed",
        "a query without criteria is one about nobody",
        &["LM-04/12.4.1.4/2"],
        Fault::Takes(|sent| {
            let has = sent.body.get("server_keys").is_some_and(Value::is_object);
            if sent.target == QUERY && sent.body.is_object() && !has {
                set(&mut sent.body, "server_keys", json!({}));
            }
        }),
    ),
    mutant(
        "12.4.1.4/no-ids-no-keys",
        "a server that is named without key ids is not queried",
        &["LM-04/12.4.1.4/3", "LM-04/12.4.1.4/1"],
        Fault::Takes(|sent| {
            edit_criteria(sent, |servers| {
                servers.retain(|_, ids| ids.as_object().is_none_or(|ids| !ids.is_empty()));
            });
        }),
    ),
    mutant(
        "12.4.1.4/ids-ignored",
        "a query for single keys is answered with all keys",
        &["LM-04/12.4.1.4/6"],
        Fault::Takes(|sent| {
            edit_criteria(sent, |servers| servers.values_mut().for_each(|ids| *ids = json!({})));
        }),
    ),
    mutant(
        "12.4.1.4/last-server-only",
        "of several servers in a query the last is left out",
        &["LM-04/12.4.1.4/1"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |objects| {
                if objects.len() > 1 {
                    objects.pop();
                }
            });
        }),
    ),
    mutant(
        "12.4.1.3/not-refreshed",
        "a notary goes on with the first answer of a server",
        &["LM-04/12.4.1.3/1"],
        Fault::Answers(|asked, answer| {
            let path = asked.target.split('?').next().unwrap_or_default();
            if path.starts_with(QUERY) && path != QUERY && answer.is_ok() {
                let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
                let first = first.entry(format!("{} {path}", asked.server));
                answer.body = first.or_insert_with(|| answer.body.clone()).clone();
                answer.headers.remove(http::header::CONTENT_LENGTH);
            }
        }),
    ),
    mutant(
        "12.4.1.2/never-expired",
        "a notary does not give out keys that have expired, whatever the minimum",
        &["LM-04/12.4.1.2/13"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |objects| objects.retain(|object| valid_until(object) > clock::now_ms()));
        }),
    ),
    mutant(
        "12.4.1.2/newest-only",
        "a notary keeps the newest answer of a server only",
        &["LM-04/12.4.1.2/14"],
        Fault::Answers(|asked, answer| {
            edit(asked, answer, |objects| {
                let newest = objects.iter().map(valid_until).max();
                objects.retain(|object| Some(valid_until(object)) == newest);
            });
        }),
    ),
    mutant(
        "12.4.1.2/asked-often",
        "a server is asked for its keys again and again",
        &["LM-04/12.4.1.2/12"],
        Fault::Sends(|sent| if sent.is(&["key"]) { Fate::GoesOften } else { Fate::Goes }),
    ),
    mutant(
        "12.4.1.2/unusable-used",
        "keys need not be signed, nor be of the server that was asked",
        &["LM-04/12.4.1.2/2", "LM-04/12.4.1.2/3", "LM-04/6.3/7"],
        Fault::Reads(|asked, answer| {
            let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
            let sound = ServerKeys::parse(body).is_ok_and(|keys| *keys.server_name() == asked.server);
            if asked.is(&["key"]) && !asked.target.starts_with(QUERY) && !sound {
                answer.edit_ok(|value| {
                    set(value, "server_name", json!(asked.server));
                    set(value, "signatures", json!({}));
                    set(value, "verify_keys", json!({}));
                    add_key(asked, value);
                    sign_as(asked, value);
                });
            }
        }),
    ),
    mutant(
        "12.4.1.3/unsigned-by-the-notary",
        "keys from a notary need not be signed by it",
        &["LM-04/12.4.1.3/7"],
        Fault::Reads(|asked, answer| {
            if asked.target.starts_with(QUERY) {
                edit(asked, answer, |objects| objects.iter_mut().for_each(|object| sign_as(asked, object)));
            } else if asked.is(&["key"]) {
                answer.edit_ok(|value| {
                    add_key(asked, value);
                    unsign(value, asked.server.as_str());
                    sign_as(asked, value);
                });
            }
        }),
    ),
    mutant(
        "12.4.1/notaries-not-asked",
        "notaries are not asked",
        &["LM-04/12.4.1/2", "R42"],
        Fault::Settings(|settings| settings.notaries.clear()),
    ),
    mutant(
        "12.4.1.2/old-key-without-time",
        "a retired key does not say when it expired",
        &["LM-04/12.4.1.2/7"],
        Fault::Answers(|asked, answer| {
            if asked.target.starts_with("/_matrix/key/v2/server") {
                answer.edit_signed(asked, |value| {
                    let key = json!({"key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
                    set(value, "old_verify_keys", json!({"ed25519:retired": key}));
                });
            }
        }),
    ),
];
