//! Reading JSON strictly, and writing it canonically.

use serde_json::{Map, Value, json};

use super::chance::Chance;
use super::oracle::{self, hex, sha256};
use super::{Flag, Group, Vector};

pub(super) fn strict(_: Chance) -> Vec<Group> {
    let good = |text: &str, comment: &str| {
        Vector::valid("LM-04/7/2", comment, json!({"text": text}), json!({"accepted": true}))
    };
    let bad = |text: &str, comment: &str| {
        Vector::refused("LM-04/7/2", comment, json!({"text": text})).read_by("R07")
    };
    let broken = |text: &str, comment: &str| Vector::refused("LM-04/7/2", comment, json!({"text": text}));
    let bytes = |hex: &str, comment: &str| Vector::refused("LM-04/7/2", comment, json!({"hex": hex}));
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let tests = vec![
        good(r#"{"a":[1,{"b":null}],"c":true}"#, "an ordinary object"),
        good("{}", "an empty object"),
        good(" [ ] ", "white space around and inside"),
        good(r#""\ud83d\ude00""#, "a surrogate pair, escaped"),
        good(r#"{"a":{"a":{"a":1}}}"#, "the same key at different depths"),
        good(r#"[{"a":1},{"a":1}]"#, "the same key in different objects"),
        good("9007199254740991", "2^53 - 1"),
        good("-9007199254740991", "-(2^53 - 1)"),
        good("9007199254740991.0", "2^53 - 1 with a fraction of zero"),
        good("-0.0", "minus zero"),
        good("1e2", "an exponent"),
        good("1.5", "a fraction").acceptable().read_by("R07"),
        good("5e-324", "the smallest double").acceptable().read_by("R07"),
        good(&nested(32), "arrays 32 deep"),
        bad(r#"{"a":1,"a":1}"#, "a key twice, with the same value"),
        bad(r#"{"a":1,"\u0061":2}"#, "a key twice, once escaped"),
        bad(r#"{"x":[0,{"b":1,"b":2}]}"#, "a key twice, deep inside"),
        bad(r#"{"":1,"":2}"#, "the empty key twice"),
        bad("9007199254740992", "2^53"),
        bad("-9007199254740992", "-2^53"),
        bad("18446744073709551616", "2^64"),
        bad("9007199254740992.0", "2^53 with a fraction of zero"),
        bad("1e300", "an integral value far beyond 2^53"),
        bad(r#"{"origin_server_ts":10000000000000000}"#, "an integer beyond 2^53 inside an object"),
        bad(&nested(10_000), "arrays 10,000 deep"),
        bad(r#""\ud800""#, "a high surrogate alone"),
        bad(r#""\udc00""#, "a low surrogate alone"),
        bad(r#""\ude00\ud83d""#, "surrogates in the wrong order"),
        bad(r#"{"\ud800":1}"#, "a lone surrogate in a key"),
        bad("1e999", "beyond the largest double"),
        bad("-1e999", "beyond the smallest double"),
        broken("", "nothing"),
        broken("{", "an object that does not end"),
        broken("{}x", "something after the value"),
        broken("{} {}", "two values"),
        broken("[1,]", "a comma too many in an array"),
        broken(r#"{"a":1,}"#, "a comma too many in an object"),
        broken("{'a':1}", "single quotes"),
        broken("{a:1}", "a key without quotes"),
        broken("01", "a leading zero"),
        broken("+1", "a plus sign"),
        broken(".5", "no digit before the point"),
        broken("1.", "no digit after the point"),
        broken("nul", "a literal cut short"),
        broken("NaN", "no number"),
        broken("Infinity", "no number"),
        broken("\"a\nb\"", "a line break in a string"),
        broken(r#""\x41""#, "an escape that JSON does not have"),
        broken(r#""\u12""#, "an escape cut short"),
        broken("// a\n1", "a comment"),
        broken("\u{feff}{}", "a byte order mark"),
        bytes("22ff22", "a byte that UTF-8 does not have"),
        bytes("22c0af22", "an overlong slash"),
        bytes("22eda08022", "a surrogate in UTF-8"),
    ];
    let about = "`text`, or the bytes in `hex`, are read as one JSON value, as events and requests are. It is `accepted` if \
                 it is JSON in UTF-8 (RFC 8259) without a byte order mark, no object has a key twice (after escapes), no \
                 string or key has a lone surrogate, every number is a finite double, every number with an integral \
                 value is from -(2^53-1) to 2^53-1, however it is written, and it is not nested too deep: where the limit \
                 is, is free, but 32 arrays or objects in one another are accepted and 10,000 are not. Numbers with a \
                 fraction are accepted; refusing them is acceptable.";
    vec![Group::new("json", about, tests)]
}

/// RFC 8785 appendix B: doubles, and how they are written. The text is read as the double first.
const NUMBERS: [(&str, &str); 27] = [
    ("0", "0"),
    ("-0.0", "0"),
    ("5e-324", "5e-324"),
    ("-5e-324", "-5e-324"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ("-1.7976931348623157e308", "-1.7976931348623157e+308"),
    ("9007199254740992.0", "9007199254740992"),
    ("-9007199254740992.0", "-9007199254740992"),
    ("2.9514790517935283e20", "295147905179352830000"),
    ("9.999999999999997e22", "9.999999999999997e+22"),
    ("1e23", "1e+23"),
    ("1.0000000000000001e23", "1.0000000000000001e+23"),
    ("9.999999999999997e20", "999999999999999700000"),
    ("9.999999999999999e20", "999999999999999900000"),
    ("1e21", "1e+21"),
    ("9.999999999999997e-7", "9.999999999999997e-7"),
    ("1e-6", "0.000001"),
    ("3.333333333333332e8", "333333333.3333332"),
    ("3.3333333333333325e8", "333333333.33333325"),
    ("3.333333333333333e8", "333333333.3333333"),
    ("3.333333333333334e8", "333333333.3333334"),
    ("3.3333333333333343e8", "333333333.33333343"),
    ("-3.3333333333333333e-6", "-0.0000033333333333333333"),
    ("1.4249539237812062e15", "1424953923781206.2"),
    ("4.50", "4.5"),
    ("2e-3", "0.002"),
    ("0.000000000000000000000000001", "1e-27"),
];

/// Texts and their canonical forms, by hand.
const WRITTEN: [(&str, &str, &str); 22] = [
    ("{}", "{}", "an empty object"),
    ("[ ]", "[]", "an empty array"),
    ("null", "null", "null"),
    ("[true,false]", "[true,false]", "literals"),
    (r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#, "keys are sorted"),
    ("{ \"a\" : [ 1 , 2 ] }\n", r#"{"a":[1,2]}"#, "no white space"),
    ("[2,1]", "[2,1]", "arrays keep their order"),
    (r#"{"b":{"d":1,"c":2},"a":0}"#, r#"{"a":0,"b":{"c":2,"d":1}}"#, "keys are sorted at every depth"),
    (r#"{"aa":1,"a":2,"":3}"#, r#"{"":3,"a":2,"aa":1}"#, "a prefix comes first, the empty key before all"),
    (r#"{"a":1,"B":2,"_":3,"1":4}"#, r#"{"1":4,"B":2,"_":3,"a":1}"#, "upper case before lower case"),
    (r#"{"10":1,"9":2}"#, r#"{"10":1,"9":2}"#, "keys are text, not numbers"),
    (
        "{\"\u{fb33}\":1,\"\u{1f600}\":2}",
        "{\"\u{1f600}\":2,\"\u{fb33}\":1}",
        "UTF-16 order: U+1F600 is before U+FB33, although its code point and its UTF-8 are greater",
    ),
    ("{\"\u{e000}\":1,\"\u{10000}\":2}", "{\"\u{10000}\":2,\"\u{e000}\":1}", "UTF-16 order at its edge"),
    (
        "{\"\u{d7ff}\":1,\"\u{10000}\":2}",
        "{\"\u{d7ff}\":1,\"\u{10000}\":2}",
        "below the surrogates nothing changes",
    ),
    (
        "{\"\u{e4}\":1,\"z\":2,\"a\u{308}\":3}",
        "{\"a\u{308}\":3,\"z\":2,\"\u{e4}\":1}",
        "no Unicode normalisation",
    ),
    (r#""\u0041\/\u00e4\ud83d\ude00""#, "\"A/\u{e4}\u{1f600}\"", "escapes that are not needed go"),
    (r#""\b\t\n\f\r\"\\""#, r#""\b\t\n\f\r\"\\""#, "short escapes stay"),
    (r#""\u0008\u0009\u000a\u000c\u000d""#, r#""\b\t\n\f\r""#, "short escapes are used where they exist"),
    (
        r#""\u0000\u001F\u000B""#,
        r#""\u0000\u001f\u000b""#,
        "other control characters in lower-case hexadecimal",
    ),
    (r#""\u007f\u2028""#, "\"\u{7f}\u{2028}\"", "delete and line separators are not escaped"),
    ("[50.0,5e1,500e-1]", "[50,50,50]", "integral values have no fraction and no exponent"),
    (
        "[9007199254740991,-9007199254740991]",
        "[9007199254740991,-9007199254740991]",
        "the bounds of exact integers",
    ),
];

fn published() -> Vec<Vector> {
    let vector = |text: &str, canonical: &str, comment: &str| {
        case("LM-04/7/1", comment, text, canonical).flag(Flag::Published)
    };
    let mut tests = vec![
        vector(
            "{\n  \"numbers\": [333333333.33333329, 1E30, 4.50,\n              2e-3, 0.000000000000000000000000001],\n  \
             \"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\n  \"literals\": [null, true, false]\n}",
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
            "RFC 8785 section 3.2.2",
        ),
        vector(
            "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\
             \"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\",\
             \"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}",
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
             \"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\
             \"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
            "RFC 8785 section 3.2.3",
        ),
    ];
    for (text, canonical) in NUMBERS {
        let comment = format!("RFC 8785 on numbers: {text}");
        tests.push(vector(&format!("[{text}]"), &format!("[{canonical}]"), &comment));
    }
    tests
}

fn case(requirement: &str, comment: &str, text: &str, canonical: &str) -> Vector {
    let expected = json!({"canonical": canonical, "sha256": hex(&sha256(canonical))});
    Vector::valid(requirement, comment, json!({"text": text}), expected)
}

pub(super) fn canonical(mut chance: Chance) -> Vec<Group> {
    let mut tests = published();
    tests
        .extend(WRITTEN.iter().map(|(text, canonical, comment)| case("LM-04/7/1", comment, text, canonical)));
    for _ in 0..24 {
        let value = any_value(&mut chance, 3);
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        let vector = case("LM-04/7/1", "drawn from the seed", &text, &oracle::canonical(&value));
        tests.push(vector.flag(Flag::Seeded));
    }
    let about = "The JSON value in `text` is written by RFC 8785. `canonical` is the outcome, `sha256` the SHA-256 of its \
                 UTF-8 in hexadecimal. Some numbers here are refused in events (see the file strict-json); as JSON they \
                 have a canonical form all the same.";
    vec![Group::new("canonical-json", about, tests)]
}

/// Some JSON value, containers at most `depth` deep.
fn any_value(chance: &mut Chance, depth: u32) -> Value {
    match chance.below(if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => json!(chance.below(2) == 0),
        2 => {
            let magnitude = i64::try_from(chance.below(1 << 53)).unwrap_or(0);
            json!(if chance.below(2) == 0 { magnitude } else { 0_i64.saturating_sub(magnitude) })
        }
        3 => {
            // Any bits make a double; those that make no finite one become 0.5.
            let double = f64::from_bits(chance.integer());
            json!(if double.is_finite() { double } else { 0.5 })
        }
        4 => Value::String(any_text(chance)),
        5 => {
            let length = chance.below(4);
            Value::Array((0..length).map(|_| any_value(chance, depth.saturating_sub(1))).collect())
        }
        _ => {
            let length = chance.below(6);
            let members = (0..length).map(|_| (any_text(chance), any_value(chance, depth.saturating_sub(1))));
            Value::Object(members.collect::<Map<String, Value>>())
        }
    }
}

/// A short text out of characters that are of interest.
fn any_text(chance: &mut Chance) -> String {
    let pieces = [
        "a",
        "b",
        "Z",
        "0",
        "_",
        " ",
        "\"",
        "\\",
        "/",
        "\n",
        "\t",
        "\u{0}",
        "\u{1f}",
        "\u{7f}",
        "\u{80}",
        "\u{e4}",
        "\u{20ac}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{ffff}",
        "\u{10000}",
        "\u{1f600}",
        "\u{10ffff}",
    ];
    let length = chance.below(5);
    (0..length).map(|_| chance.one_of(&pieces, "a")).collect()
}
