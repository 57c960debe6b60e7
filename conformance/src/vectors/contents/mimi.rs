//! MIMI content.

use serde_json::{Value, json};

use super::{accepted, by_r57, published};
use crate::vectors::{Group, Vector};

/// The draft's examples: name, sender, id and bytes.
const EXAMPLES: &str = include_str!("../../../../drafts/mimi-content-08.txt");
const ROOM: &str = "mimi://example.com/r/engineering_team";

fn input(hex: &str, sender: &str) -> Value {
    json!({"hex": hex, "sender": sender, "room": ROOM})
}

fn examples() -> Vec<Vector> {
    let lines = EXAMPLES.lines().filter(|line| !line.starts_with('#'));
    let vector = |line: &str| {
        let mut words = line.split(' ');
        let [name, user, id, hex] = [words.next()?, words.next()?, words.next()?, words.next()?];
        let input = input(hex, &format!("mimi://example.com/u/{user}"));
        let comment = format!("the draft's example `{name}`");
        Some(published(by_r57(input, Some(accepted(json!({"message_id": id}))), &comment)))
    };
    lines.filter_map(vector).collect()
}

/// A message with these bytes as its extensions and its body.
fn with(extensions: &str, body: &str) -> String {
    format!("8750{}f640f6f6{extensions}{body}", "00".repeat(16)).replace(' ', "")
}

fn refused(hex: &str, comment: &str) -> Vector {
    by_r57(input(hex, "mimi://example.com/u/alice"), None, comment)
}

fn bodies() -> Vec<Vector> {
    let part = |hex: &str, comment: &str| refused(&with("a0", hex), comment);
    let mut deep = "83 01 60 00".to_owned();
    for _ in 0..4 {
        deep = format!("85 01 60 03 02 82 {deep} 83 01 60 00");
    }
    vec![
        part("83 20 60 00", "a disposition below 0"),
        part("83 19 0100 60 00", "a disposition above 255"),
        part("83 01 40 00", "a language that is a byte string"),
        part("83 01 61 ff 00", "a text that is not UTF-8"),
        part("83 01 60 04", "an unknown cardinality"),
        part("84 01 60 00 00", "a null part with a fourth element"),
        part("83 01 60 01", "a single part without content"),
        part("85 01 60 03 03 82 83 01 60 00 83 01 60 00", "unknown semantics"),
        part("85 01 60 03 00 81 83 01 60 00", "a multipart of one part"),
        part(&deep, "parts five levels deep"),
        part("85 01 60 01 60 5f 41 00 ff", "content of indefinite length"),
        part("9f 01 60 00 ff", "a part of indefinite length"),
        part("83 18 01 60 00", "a number that is longer than need be"),
        part("83 01 78 00 00", "a length that is longer than need be"),
        part("83 01 60 00 00", "something after the message"),
        part("83 01 60", "a message cut short"),
        part(
            "8f 06 60 02 60 61 78 00 00 01 40 40 40 00 40 60 60",
            "an encrypted external part with an empty key",
        ),
    ]
}

fn fields() -> Vec<Vector> {
    let null = "83016000";
    let extensions = |hex: &str, comment: &str| refused(&with(hex, null), comment);
    let salt = "00".repeat(16);
    vec![
        refused("", "nothing"),
        refused(&format!("864f{}f640f6f6a0", "00".repeat(15)), "six fields, and a salt of 15 bytes"),
        refused(&format!("8750{salt}4100 40f6f6a0{null}").replace(' ', ""), "an id of one byte"),
        refused(
            &format!("8750{salt}5820{}40f6f6a0{null}", "02".repeat(32)),
            "an id of an unknown hash algorithm",
        ),
        refused(&format!("8750{salt}f64082000af6a0{null}"), "an expiration whose first element is a number"),
        refused(
            &format!("8750{salt}f64082f41b0000000100000000f6a0{null}"),
            "an expiration that does not fit into 32 bits",
        ),
        refused(&format!("8750{salt}f6591001{}f6f6a0{null}", "00".repeat(4097)), "a topic of 4,097 bytes"),
        extensions("a10101", "a sender that is no text"),
        extensions("a10000", "the reserved name 0"),
        extensions("a16000", "an empty name"),
        extensions("a2200020 00", "a name twice"),
        extensions("a2210020 00", "names out of order"),
        extensions("a220001864 00", "names in the order of RFC 7049"),
        extensions("a12081818180", "five levels of arrays"),
        extensions("a120fa3f800000", "a floating-point number that is longer than need be"),
        extensions("a120f97e01", "another NaN"),
        extensions("a120c24101", "a large integer that is small"),
    ]
}

pub(super) fn group() -> Group {
    let tests = [examples(), bodies(), fields()].into_iter().flatten().collect();
    let about = "The bytes in `hex` are read as a message of draft-ietf-mimi-content-08 that `sender` sent to `room`. It is \
                 `accepted` if it has the form of the draft's appendix A, is encoded deterministically (RFC 8949 4.2.1), \
                 and keeps the draft's bounds (6.2, 6.3, 9.1). `message_id` is its id (3.3), in hexadecimal.";
    Group::new("mimi-content", about, tests)
}
