//! Canonical JSON against two other implementations of RFC 8785: `serde_jcs` 0.2 and `serde_json_canonicalizer` 0.4.
//!
//! All three agree on every JSON value, numbers that no event may have included: integers that a double cannot hold are
//! rounded by all three, as §3.2.2.3 has it, where our own writer used to keep their digits. No disagreement is left, so
//! no value is spared. What makes values ambiguous before they are written (duplicate keys, lone surrogates) never
//! becomes a value; [`strict`](mimi_linearized::json::strict) has tests of its own.

use mimi_linearized::json::{MAX_INTEGER, Map, Value, canonical};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Keys and strings from everywhere that order or escaping could go wrong: control characters, what JSON escapes, both
/// sides of U+E000, and characters that UTF-16 writes as two surrogates.
fn text() -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        8 => proptest::char::range('!', '~'),
        2 => proptest::char::range('\0', '\u{1f}'),
        1 => Just('"'),
        1 => Just('\\'),
        1 => Just('\u{7f}'),
        2 => proptest::char::range('\u{80}', '\u{7ff}'),
        2 => proptest::char::range('\u{d000}', '\u{d7ff}'),
        2 => proptest::char::range('\u{e000}', '\u{ffff}'),
        2 => proptest::char::range('\u{10000}', '\u{10ffff}'),
        1 => any::<char>(),
    ];
    prop_oneof![
        4 => proptest::collection::vec(letter, 0..12).prop_map(|letters| letters.into_iter().collect()),
        2 => "[a-z_.]{1,16}",
        1 => "[ -~]{40,80}",
    ]
}

/// Doubles by their bits, so that every exponent is as likely as any other, and doubles near the borders of
/// ECMAScript's notations.
fn double() -> impl Strategy<Value = f64> {
    let bits = any::<u64>().prop_map(f64::from_bits);
    let near = (any::<f64>(), -8_i32..24).prop_map(|(n, exponent)| (n % 10.0) * 10_f64.powi(exponent));
    let short =
        (-1_000_000_i32..1_000_000, -4_i32..5).prop_map(|(n, exponent)| f64::from(n) * 10_f64.powi(exponent));
    prop_oneof![bits, near, short].prop_filter("JSON has no other", |double| double.is_finite())
}

/// Any JSON, numbers that no event may have included.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        2 => (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::from),
        2 => (-2_000_i64..2_000).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        4 => double().prop_map(Value::from),
        6 => text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((text(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn agree(value: &Value) -> Result<(), TestCaseError> {
    let ours = String::from_utf8(canonical::to_vec(value)).unwrap();
    prop_assert_eq!(&ours, &serde_json_canonicalizer::to_string(value).unwrap());
    prop_assert_eq!(&ours, &serde_jcs::to_string(value).unwrap());
    Ok(())
}

fn run(cases: u32) {
    TestRunner::new(Config { cases, ..Config::default() }).run(&any_json(), |value| agree(&value)).unwrap();
}

#[test]
fn three_writers_agree() {
    run(3_000);
}

/// A million cases: `cargo test --release -p mimi-linearized --test proofs -- --ignored a_million`
#[test]
#[ignore = "takes minutes"]
fn three_writers_agree_a_million_times() {
    run(1_000_000);
}
