//! What hostile servers get away with (LM-04 §12, §12.4, readings R26, R52 and R53).

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use mimi_linearized::json::strict;
use rustls::CertificateError;
use serde_json::Value;

use crate::mutant::connecting::Connecting;
use crate::mutant::seen::{Answer, Asked};
use crate::mutant::{Fault, Mutant, mutant};

/// Where a server asks its hub for events.
const EVENTS: &[&str] = &["backfill", "event", "state", "state_ids"];

/// Leaves out of an answer what is no UTF-8.
fn in_any_encoding(answer: &mut Answer) {
    if std::str::from_utf8(&answer.body).is_err() {
        answer.body = String::from_utf8_lossy(&answer.body).replace('\u{fffd}', "").into();
    }
}

/// The hubs that each mutant does not ask any more.
static GIVEN_UP: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Asks no more of a hub that answered with something that is no JSON.
fn give_up(asked: &Asked, answer: &mut Answer) {
    let mut given_up = GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner);
    let pair = format!("{} {}", asked.key.id(), asked.server);
    if !given_up.contains(&pair) && strict::parse(&answer.body).is_err() {
        given_up.insert(pair.clone());
    }
    if given_up.contains(&pair) {
        answer.status = http::StatusCode::NOT_FOUND;
    }
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12/http11-with-others",
        "HTTP/1.1 is spoken with servers that speak nothing newer",
        &["R26"],
        Fault::Connects(Connecting::OlderHttp),
    ),
    mutant(
        "12/tls12-with-others",
        "TLS 1.2 is spoken with servers that speak nothing newer",
        &["R26"],
        Fault::Connects(Connecting::OlderTls),
    ),
    mutant(
        "12.4/expired-certificates",
        "a server's certificate may have expired",
        &["LM-04/12.4/25"],
        Fault::Connects(Connecting::Forgives(|error| {
            matches!(error, CertificateError::Expired | CertificateError::ExpiredContext { .. })
        })),
    ),
    mutant(
        "12.4/certificates-of-anybody",
        "a server's certificate may be of any authority",
        &["LM-04/12.4/25"],
        Fault::Connects(Connecting::Forgives(|error| {
            matches!(error, CertificateError::UnknownIssuer | CertificateError::BadSignature)
        })),
    ),
    mutant(
        "12.4/certificates-for-anybody",
        "a server's certificate may be for another name",
        &["LM-04/12.4/25"],
        Fault::Connects(Connecting::Forgives(|error| {
            matches!(
                error,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            )
        })),
    ),
    mutant(
        "12.4.1.2/keys-in-any-encoding",
        "what is no UTF-8 in an answer about keys is passed over",
        &["R52"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["key"]) {
                in_any_encoding(answer);
            }
        }),
    ),
    mutant(
        "12.4.1.2/last-of-each-member",
        "of members with one name in an answer about keys the last counts",
        &["R52"],
        Fault::Reads(|asked, answer| {
            if asked.is(&["key"])
                && strict::parse(&answer.body).is_err()
                && let Ok(value) = serde_json::from_slice::<Value>(&answer.body)
            {
                answer.set(&value);
            }
        }),
    ),
    mutant("12.4.1.2/keys-unpacked", "answers about keys are unpacked", &["R53"], Fault::Unpacks(&["key"])),
    mutant(
        "12.4.1.2/one-server-at-a-time",
        "while a server is asked for its keys, no other one is",
        &["R52"],
        Fault::Queues(|endpoint, _| (endpoint == "key").then(String::new)),
    ),
    mutant(
        "12.6.1/events-in-any-encoding",
        "what is no UTF-8 in an answer with events is passed over",
        &["R52"],
        Fault::Reads(|asked, answer| {
            if asked.is(EVENTS) {
                in_any_encoding(answer);
            }
        }),
    ),
    mutant("12.6.1/events-unpacked", "answers with events are unpacked", &["R53"], Fault::Unpacks(EVENTS)),
    mutant(
        "12.6.1/hub-given-up",
        "a hub that once answered with no JSON is not asked for events any more",
        &["R52"],
        Fault::Reads(|asked, answer| {
            if asked.is(EVENTS) {
                give_up(asked, answer);
            }
        }),
    ),
    mutant(
        "12.5.1/failures-in-a-flood",
        "of many transactions at once most are answered with a failure",
        &["R52"],
        Fault::Jams(8),
    ),
];
