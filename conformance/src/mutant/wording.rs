//! What the cases say of mutants: plain words and JSON, nothing that only those read who know how the suite is written.

/// How values begin that are written as Rust has them.
const IN_RUST: [&str; 8] = ["Some(", "Ok(", "Err(", "Object {", "Array [", "String(\"", "Bool(", "Number("];

/// Whether a reason has a value as Rust has it.
pub(crate) fn is_in_rust(reason: &str) -> bool {
    let words = || reason.split_whitespace().map(|word| word.trim_end_matches([',', '.', ':', ';']));
    IN_RUST.iter().any(|begin| reason.contains(begin)) || words().any(|word| word == "None")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_rust_has_them_are_seen() {
        for reason in
            ["the type is None", "it is None, and", "it is Some(\"x\")", "it is Object {\"a\": Bool(true)}"]
        {
            assert!(is_in_rust(reason), "{reason}");
        }
        for reason in ["None-such", "`room_version` is nothing", "the content is {\"a\":true}", "$abcNone"] {
            assert!(!is_in_rust(reason), "{reason}");
        }
    }
}
