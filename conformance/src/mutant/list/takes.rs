//! Requests taken to be others than they are: forgiven, cut short, or lost (LM-04 §12.2, §12.5 to §12.10).

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use http::Method;
use mimi_transport::request_auth::Credentials;
use serde_json::{Value, json};

use crate::mutant::seen::{Sent, remove, set};
use crate::mutant::{Fault, Mutant, mutant};

/// Leaves EDUs of a kind out.
fn without_edus(sent: &mut Sent, kind: &str) {
    if let Some(edus) = sent.list("edus") {
        edus.retain(|edu| edu.get("type").and_then(Value::as_str) != Some(kind));
    }
}

/// Adds a parameter to the query.
fn ask_for(sent: &mut Sent, parameter: &str) {
    let sign = if sent.target.contains('?') { '&' } else { '?' };
    sent.target = format!("{}{sign}{parameter}", sent.target);
}

const TEMPLATES: &[&str] = &["make_join", "make_knock"];

/// The transaction ids that each mutant has seen, with who used them first, and where.
static SEEN: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);

/// Whether a transaction id was used before, by another server or on another endpoint.
fn used_otherwise(sent: &Sent, place: &str, by: &str) -> bool {
    let id = sent.target.rsplit('/').next().unwrap_or_default();
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    *seen.entry(format!("{} {place} {id}", sent.to)).or_insert_with(|| by.to_owned()) != by
}

/// Who claims to have sent a request.
fn origin(sent: &Sent) -> String {
    let header = sent.headers.get(http::header::AUTHORIZATION);
    let credentials = header.and_then(|header| Credentials::parse(header.as_bytes()).ok());
    credentials.map(|credentials| credentials.origin.to_string()).unwrap_or_default()
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "12.2.5/ids-ignored",
        "a repeated transaction is processed again",
        &["LM-04/12.2.5/2", "LM-04/12.2.5/3"],
        Fault::Takes(|sent| {
            if sent.is(&["send", "send_join", "send_leave", "send_knock", "invite"]) {
                sent.rename(&format!("{:x}", rand::random::<u64>()));
            }
        }),
    ),
    mutant(
        "12.2.5/ids-cut-short",
        "transaction ids count with their first eight characters alone",
        &["LM-04/12.2.5/1"],
        Fault::Takes(|sent| {
            if sent.is(&["send", "send_join", "send_leave", "send_knock", "invite"]) {
                let id = sent.target.rsplit('/').next().unwrap_or_default();
                let short: String = id.chars().take(8).collect();
                sent.rename(&short);
            }
        }),
    ),
    mutant(
        "12.2.1/slash-forgiven",
        "a slash at the end of a path is forgiven",
        &["LM-04/12.2.1/5"],
        Fault::Takes(|sent| {
            sent.target = sent.target.trim_end_matches('/').to_owned();
        }),
    ),
    mutant(
        "12.2.1/slashes-forgiven",
        "two slashes at the beginning of a path are forgiven",
        &["LM-04/12.2.1/6"],
        Fault::Takes(|sent| {
            if sent.target.starts_with("//") {
                sent.target = format!("/{}", sent.target.trim_start_matches('/'));
            }
        }),
    ),
    mutant(
        "12.2.3/any-method",
        "a wrong method is taken for the right one",
        &["LM-04/12.2.3/2"],
        Fault::Takes(|sent| {
            if sent.is(&["send"]) {
                sent.method = Method::PUT;
            } else if sent.is(&["send_join", "send_leave", "send_knock", "invite", "claim"]) {
                sent.method = Method::POST;
            } else {
                sent.method = Method::GET;
            }
        }),
    ),
    mutant(
        "12.2.4/no-json-is-nothing",
        "a body that is not JSON counts as an empty object",
        &["LM-04/12.2.4/1"],
        Fault::Takes(|sent| {
            if sent.body.is_null() && sent.method != Method::GET {
                sent.body = json!({});
            }
        }),
    ),
    mutant(
        "12.2.4/no-members-needed",
        "a body may lack what it needs",
        &["LM-04/12.2.4/2", "LM-04/12.10.3.1/2"],
        Fault::Takes(|sent| {
            if sent.is(&["claim"]) && !sent.body.get("one_time_keys").is_some_and(Value::is_object) {
                set(&mut sent.body, "one_time_keys", json!({}));
            }
        }),
    ),
    mutant(
        "12.5.1/more-edus",
        "a transaction may have any number of EDUs",
        &["LM-04/12.5.1/3"],
        Fault::Takes(|sent| {
            if let Some(edus) = sent.list("edus") {
                edus.truncate(100);
            }
        }),
    ),
    mutant(
        "12.5.1/fewer-edus",
        "a transaction of 100 EDUs is malformed",
        &["LM-04/12.5.1/3"],
        Fault::Takes(|sent| {
            if let Some(edus) = sent.list("edus").filter(|edus| edus.len() == 100) {
                edus.push(json!({}));
            }
        }),
    ),
    mutant(
        "12.5.1/more-pdus",
        "a transaction may have any number of events",
        &["LM-04/12.5.1/4"],
        Fault::Takes(|sent| {
            if let Some(pdus) = sent.list("pdus") {
                pdus.truncate(50);
            }
        }),
    ),
    mutant(
        "12.5.1/fewer-pdus",
        "a transaction of 50 events is malformed",
        &["LM-04/12.5.1/4"],
        Fault::Takes(|sent| {
            if let Some(pdus) = sent.list("pdus").filter(|pdus| pdus.len() == 50) {
                pdus.push(json!({}));
            }
        }),
    ),
    mutant(
        "12.5.1/first-event-only",
        "only the first event of a transaction is processed",
        &["LM-04/12.5.1/5", "LM-04/12.5.1/12"],
        Fault::Takes(|sent| {
            if let Some(pdus) = sent.list("pdus") {
                pdus.truncate(1);
            }
        }),
    ),
    mutant(
        "12.5.1/members-needed",
        "a transaction needs EDUs",
        &["R33"],
        Fault::Takes(|sent| {
            if sent.is(&["send"]) && sent.body.get("edus").is_none() {
                set(&mut sent.body, "edus", json!("none"));
            }
        }),
    ),
    mutant(
        "12.6.4/one-more",
        "one event more than the limit is served",
        &["LM-04/12.6.4/3"],
        Fault::Takes(|sent| {
            if sent.is(&["backfill"])
                && let Some((before, limit)) = sent.target.split_once("limit=")
            {
                let digits: String = limit.chars().take_while(char::is_ascii_digit).collect();
                if let Ok(number) = digits.parse::<u64>() {
                    let rest = limit.get(digits.len()..).unwrap_or_default();
                    sent.target = format!("{before}limit={}{rest}", number.saturating_add(1));
                }
            }
        }),
    ),
    mutant(
        "12.6.4/limit-by-default",
        "a question for earlier events needs no limit",
        &["LM-04/12.6.4/2"],
        Fault::Takes(|sent| {
            if sent.is(&["backfill"]) && !sent.target.contains("limit=") {
                ask_for(sent, "limit=10");
            }
        }),
    ),
    mutant(
        "12.7.3.1/versions-by-default",
        "a template needs no `ver`",
        &["LM-04/12.7.3.1/1", "LM-04/12.7.4.1/1"],
        Fault::Takes(|sent| {
            if sent.is(TEMPLATES) && !sent.target.contains("ver=") {
                ask_for(sent, "ver=I.1");
            }
        }),
    ),
    mutant(
        "12.7.3.1/any-version",
        "a template is for who supports another version as well",
        &["LM-04/12.7.3.1/7", "LM-04/12.7.4.1/7"],
        Fault::Takes(|sent| {
            if sent.is(TEMPLATES) && sent.target.contains("ver=") {
                ask_for(sent, "ver=I.1");
            }
        }),
    ),
    mutant(
        "12.7.3.1/first-version",
        "only the first `ver` counts",
        &["LM-04/12.7.3.1/1"],
        Fault::Takes(|sent| {
            if sent.is(TEMPLATES)
                && let Some((path, query)) = sent.target.split_once('?')
            {
                sent.target = format!("{path}?{}", query.split('&').next().unwrap_or_default());
            }
        }),
    ),
    mutant(
        "12.10.2/messages-lost",
        "messages to devices are lost",
        &["LM-04/12.10.2/2"],
        Fault::Takes(|sent| without_edus(sent, "m.direct_to_device")),
    ),
    mutant(
        "12.10.2/messages-changed",
        "messages to devices are changed on the way",
        &["LM-04/12.10.2/2"],
        Fault::Takes(|sent| {
            for edu in sent.list("edus").into_iter().flatten() {
                if let Some(message) = edu.pointer_mut("/content/message") {
                    set(message, "seen_by", json!("the server"));
                }
            }
        }),
    ),
    mutant(
        "12.10.1/updates-lost",
        "device list updates are lost",
        &["LM-04/12.10.1/3"],
        Fault::Takes(|sent| without_edus(sent, "m.device_list_update")),
    ),
    mutant(
        "12.9/unknown-edus",
        "an EDU of an unknown type makes a transaction malformed",
        &["LM-04/12.10.2/4"],
        Fault::Takes(|sent| {
            let known = ["m.direct_to_device", "m.device_list_update"];
            let of_unknown_type = |edu: &Value| {
                edu.get("type").and_then(Value::as_str).is_none_or(|kind| !known.contains(&kind))
            };
            if sent.list("edus").is_some_and(|edus| edus.iter().any(of_unknown_type)) {
                remove(&mut sent.body, "edus");
                set(&mut sent.body, "edus", json!("unknown"));
            }
        }),
    ),
    mutant(
        "12.2.5/ids-of-all-senders",
        "a transaction is taken for another server's of the same id",
        &["LM-04/12.2.5/4"],
        Fault::Takes(|sent| {
            if sent.is(&["send"]) && used_otherwise(sent, "send", &origin(sent)) {
                sent.body = json!({"pdus": []});
            }
        }),
    ),
    mutant(
        "12.2.5/ids-of-all-endpoints",
        "a transaction is taken for one of the same id on another endpoint",
        &["LM-04/12.2.5/5"],
        Fault::Takes(|sent| {
            if sent.is(&["send", "send_join", "send_leave", "send_knock", "invite"])
                && used_otherwise(sent, &origin(sent), sent.endpoint())
            {
                sent.body = json!({"pdus": []});
            }
        }),
    ),
];
