//! What messages say, in MIMI content, and how it gets into an encrypted event and out of it.

use serde_json::{Value, json};

use super::chance::Chance;
use super::{Flag, Group, Vector};

mod files;
mod inside;
mod kinds;
mod mimi;

pub(super) fn groups(_: Chance) -> Vec<Group> {
    vec![kinds::group(), mimi::group(), inside::group(), files::group()]
}

/// A vector that is decided by the reading of what is inside.
fn by_r57(input: Value, expected: Option<Value>, comment: &str) -> Vector {
    match expected {
        Some(expected) => Vector::valid("R57", comment, input, expected),
        None => Vector::refused("R57", comment, input),
    }
}

fn published(vector: Vector) -> Vector {
    vector.flag(Flag::Published)
}

fn accepted(more: Value) -> Value {
    let mut expected = json!({"accepted": true});
    if let (Some(expected), Value::Object(more)) = (expected.as_object_mut(), more) {
        expected.extend(more);
    }
    expected
}
