//! Reading JSON strictly.
//!
//! Events are hashed and signed as RFC 8785 has them, which is only defined for JSON that everybody reads alike.
//! This reader finds what readers disagree on: keys that occur twice, integers beyond ±(2^53 − 1), and nesting
//! deeper than [`MAX_DEPTH`]. Each is a [`Fault`] with its place, so that one bad event in a body does not condemn
//! its neighbours (reading R19). Lone surrogates and numbers that are not finite doubles are syntax errors.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::{MAX_INTEGER, integral};

/// How deeply arrays and objects may be nested; the outermost counts as 1. A bound of this implementation.
pub const MAX_DEPTH: usize = 100;

/// Bytes that are not JSON at all.
#[derive(Debug, thiserror::Error)]
#[error("not JSON: {0}")]
pub struct SyntaxError(#[source] serde_json::Error);

impl SyntaxError {
    /// The line of the fault, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.0.line()
    }

    /// The column of the fault, from 1, in bytes.
    #[must_use]
    pub fn column(&self) -> usize {
        self.0.column()
    }
}

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// The member of an object with this key.
    Key(String),
    /// The element of an array at this index, from 0.
    Index(usize),
}

/// What JSON readers would disagree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// A key that occurs twice in one object.
    #[error("a key that occurs twice")]
    DuplicateKey,
    /// An integral number beyond ±(2^53 − 1).
    #[error("an integer beyond ±(2^53 - 1)")]
    IntegerRange,
    /// Nesting deeper than [`MAX_DEPTH`].
    #[error("nesting deeper than {MAX_DEPTH}")]
    TooDeep,
}

/// A fault and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// From the innermost step outwards; see [`Fault::path`].
    steps: Vec<Segment>,
}

impl Fault {
    /// The steps from the whole document to the fault.
    pub fn path(&self) -> impl Iterator<Item = &Segment> {
        self.steps.iter().rev()
    }
}

impl fmt::Display for Fault {
    /// The place is an RFC 6901 pointer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at ", self.kind)?;
        if self.steps.is_empty() {
            return f.write_str("the top");
        }
        for step in self.path() {
            match step {
                Segment::Key(key) => write!(f, "/{}", key.replace('~', "~0").replace('/', "~1"))?,
                Segment::Index(index) => write!(f, "/{index}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// JSON that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// JSON that readers would disagree on.
    #[error("ambiguous JSON: {0}")]
    Ambiguous(#[from] Fault),
}

/// What was read, with the faults found on the way. A duplicate key keeps its last value; what is nested too deeply
/// is read as `null`.
#[derive(Debug)]
pub struct Document {
    /// The whole value.
    pub value: Value,
    /// Every fault, in order.
    pub faults: Vec<Fault>,
}

/// Reads a whole document and lists its faults.
///
/// # Errors
/// [`SyntaxError`] if the bytes are not one JSON value in UTF-8.
pub fn read(bytes: &[u8]) -> Result<Document, SyntaxError> {
    let faults = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Reader { faults: &faults, depth: 0 }.deserialize(&mut deserializer).map_err(SyntaxError)?;
    deserializer.end().map_err(SyntaxError)?;
    Ok(Document { value, faults: faults.into_inner() })
}

/// Reads a document that may have no faults.
///
/// # Errors
/// [`JsonError`] with the first fault.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let document = read(bytes)?;
    match document.faults.into_iter().next() {
        Some(fault) => Err(fault.into()),
        None => Ok(document.value),
    }
}

/// Reads one value, `depth` containers down.
#[derive(Clone, Copy)]
struct Reader<'f> {
    faults: &'f RefCell<Vec<Fault>>,
    depth: usize,
}

impl Reader<'_> {
    fn inside(self) -> Self {
        Reader { faults: self.faults, depth: self.depth.saturating_add(1) }
    }

    fn fault(self, kind: FaultKind) {
        self.faults.borrow_mut().push(Fault { kind, steps: Vec::new() });
    }

    fn count(self) -> usize {
        self.faults.borrow().len()
    }

    /// Prefixes the place of every fault found since there were `before` of them. Without faults this costs nothing.
    fn place_since(self, before: usize, step: impl Fn() -> Segment) {
        if self.count() > before {
            for fault in self.faults.borrow_mut().iter_mut().skip(before) {
                fault.steps.push(step());
            }
        }
    }

    fn too_deep(self) -> bool {
        self.depth >= MAX_DEPTH
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        if !(-MAX_INTEGER..=MAX_INTEGER).contains(&value) {
            self.fault(FaultKind::IntegerRange);
        }
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        if value > MAX_INTEGER.unsigned_abs() {
            self.fault(FaultKind::IntegerRange);
        }
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && integral(value).is_none() {
            self.fault(FaultKind::IntegerRange);
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        if self.too_deep() {
            self.fault(FaultKind::TooDeep);
            while access.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        let mut elements = Vec::new();
        loop {
            let before = self.count();
            let Some(element) = access.next_element_seed(self.inside())? else { break };
            self.place_since(before, || Segment::Index(elements.len()));
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        if self.too_deep() {
            self.fault(FaultKind::TooDeep);
            while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let before = self.count();
            let value = access.next_value_seed(self.inside())?;
            self.place_since(before, || Segment::Key(key.clone()));
            let before = self.count();
            match members.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(value);
                }
                Entry::Occupied(mut taken) => {
                    self.fault(FaultKind::DuplicateKey);
                    self.place_since(before, || Segment::Key(taken.key().clone()));
                    taken.insert(value);
                }
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn only_fault(text: &str) -> String {
        let document = read(text.as_bytes()).unwrap();
        assert_eq!(document.faults.len(), 1, "{text}: {:?}", document.faults);
        document.faults[0].to_string()
    }

    #[test]
    fn faults_name_their_place() {
        assert_eq!(only_fault(r#"{"a":[0,{"b":1,"b":2}]}"#), "a key that occurs twice at /a/1/b");
        assert_eq!(
            only_fault(r#"{"a/b":{"~":9007199254740992}}"#),
            "an integer beyond ±(2^53 - 1) at /a~1b/~0"
        );
        assert_eq!(only_fault("-9007199254740992"), "an integer beyond ±(2^53 - 1) at the top");
        assert_eq!(only_fault("1e300"), "an integer beyond ±(2^53 - 1) at the top");
        assert_eq!(only_fault("18446744073709551616"), "an integer beyond ±(2^53 - 1) at the top");
    }

    #[test]
    fn the_last_duplicate_wins_and_neighbours_are_untouched() {
        let document = read(br#"[{"a":1,"a":{"b":2,"b":3}},{"a":1}]"#).unwrap();
        assert_eq!(document.value, json!([{"a": {"b": 3}}, {"a": 1}]));
        let places: Vec<_> = document.faults.iter().map(ToString::to_string).collect();
        assert_eq!(places, ["a key that occurs twice at /0/a/b", "a key that occurs twice at /0/a"]);
    }

    #[test]
    fn sound_json_has_no_faults() {
        for text in [
            "9007199254740991",
            "-9007199254740991",
            "1.5",
            "-0.0",
            "1e2",
            r#""\ud83d\ude00""#,
            "{}",
            "[]",
            "null",
        ] {
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        let error = parse(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
        assert!(matches!(error, JsonError::Ambiguous(Fault { kind: FaultKind::TooDeep, .. })));
        assert!(matches!(parse(nested(100_000).as_bytes()), Err(JsonError::Ambiguous(_))));
    }

    #[test]
    fn what_is_not_json_says_where() {
        for text in [
            "",
            "{",
            "{}x",
            "nul",
            "01",
            "1e999",
            r#""\ud800""#,
            r#""\udc00""#,
            "[1,]",
            "{'a':1}",
            "\u{feff}{}",
        ] {
            assert!(matches!(parse(text.as_bytes()), Err(JsonError::Syntax(_))), "{text}");
        }
        let JsonError::Syntax(error) = parse(b"{\n  \"a\": x}").unwrap_err() else {
            panic!("a syntax error")
        };
        assert_eq!((error.line(), error.column()), (2, 8));
        assert!(parse(&[b'"', 0xff, b'"']).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }

        #[test]
        fn agrees_with_serde_json(value in crate::json::canonical::tests::any_json()) {
            let text = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(parse(&text).unwrap(), value);
        }
    }
}
