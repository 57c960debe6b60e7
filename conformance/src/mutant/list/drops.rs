//! Events dropped that should be accepted (LM-04 §5.2.3, §7, §10).

use serde_json::Value;

use crate::mutant::seen::Sent;
use crate::mutant::{Fault, Mutant, mutant};

/// Whether a value has this somewhere in it.
fn has(value: &Value, is: &impl Fn(&Value) -> bool) -> bool {
    is(value)
        || match value {
            Value::Object(object) => object.values().any(|value| has(value, is)),
            Value::Array(items) => items.iter().any(|value| has(value, is)),
            _ => false,
        }
}

/// Drops the events that have this somewhere in them.
fn drop_events(sent: &mut Sent, is: impl Fn(&Value) -> bool) {
    if let Some(pdus) = sent.list("pdus") {
        pdus.retain(|pdu| !has(pdu, &is));
    }
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "4.3/commits-dropped",
        "commits are dropped",
        &["LM-04/4.3/7", "LM-04/4.3/8", "LM-04/2/4"],
        Fault::Takes(|sent| {
            if let Some(pdus) = sent.list("pdus") {
                pdus.retain(|pdu| pdu.get("type").and_then(Value::as_str) != Some("m.mls.commit"));
            }
        }),
    ),
    mutant(
        "5.2.3/10-custom-types",
        "an event of a custom type is dropped",
        &["LM-04/auth/10"],
        Fault::Takes(|sent| {
            if let Some(pdus) = sent.list("pdus") {
                let known = |kind: &str| kind.starts_with("m.");
                pdus.retain(|pdu| pdu.get("type").and_then(Value::as_str).is_none_or(known));
            }
        }),
    ),
    mutant(
        "7/no-fractions",
        "an event with a fraction in it is dropped",
        &["LM-04/7/1"],
        Fault::Takes(|sent| {
            drop_events(sent, |value| value.as_f64().is_some_and(|number| number.fract() != 0.0));
        }),
    ),
    mutant(
        "7/no-floats",
        "an event with 50.0 for 50 in it is dropped",
        &["LM-04/7/1"],
        Fault::Takes(|sent| {
            drop_events(sent, |value| {
                value.is_f64() && value.as_f64().is_some_and(|number| number.fract() == 0.0)
            });
        }),
    ),
    mutant(
        "7/no-control-characters",
        "an event with a control character in it is dropped",
        &["LM-04/7/1"],
        Fault::Takes(|sent| {
            drop_events(sent, |value| value.as_str().is_some_and(|text| text.chars().any(char::is_control)));
        }),
    ),
    mutant(
        "7/ascii-names",
        "an event with a name beyond ASCII in it is dropped",
        &["LM-04/7/1"],
        Fault::Takes(|sent| {
            drop_events(sent, |value| {
                value.as_object().is_some_and(|object| !object.keys().all(|name| name.is_ascii()))
            });
        }),
    ),
    mutant(
        "12.2.1/ascii-only",
        "an event with text beyond ASCII in it is dropped",
        &["LM-04/12.2.1/4"],
        Fault::Takes(|sent| {
            drop_events(sent, |value| value.as_str().is_some_and(|text| !text.is_ascii()));
        }),
    ),
    mutant(
        "10/no-padding",
        "base64 with padding is not understood in hashes",
        &["LM-04/10/2"],
        Fault::Takes(|sent| {
            if let Some(pdus) = sent.list("pdus") {
                let hash = |pdu: &Value| {
                    pdu.pointer("/hashes/lpdu/sha256").and_then(Value::as_str).map(str::to_owned)
                };
                pdus.retain(|pdu| hash(pdu).is_none_or(|hash| !hash.ends_with('=')));
            }
        }),
    ),
];
