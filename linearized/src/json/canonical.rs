//! Canonical JSON: RFC 8785, the JSON Canonicalization Scheme (LM-04 §7).
//!
//! Hashing and signing never need all of an object, so what is written is a [`Node`]: a borrowed view in which
//! members are left out, replaced or added without copying the rest.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::MAX_INTEGER;

/// A borrowed JSON value to be written.
#[derive(Debug, Clone)]
pub enum Node<'a> {
    /// A value as it is.
    Value(&'a Value),
    /// A string.
    Text(&'a str),
    /// An array of strings.
    Texts(Vec<&'a str>),
    /// An object with other members than any value in memory.
    Object(View<'a>),
}

/// A borrowed view of an object.
#[derive(Debug, Clone, Default)]
pub struct View<'a> {
    members: Vec<(&'a str, Node<'a>)>,
}

impl<'a> View<'a> {
    /// A view with no members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The members of `object` whose keys `keep` accepts.
    pub fn of(object: &'a Map<String, Value>, keep: impl Fn(&str) -> bool) -> Self {
        let members = object
            .iter()
            .filter(|(key, _)| keep(key))
            .map(|(key, value)| (key.as_str(), Node::Value(value)))
            .collect();
        Self { members }
    }

    /// Sets the member `key`.
    pub fn set(&mut self, key: &'a str, node: Node<'a>) {
        match self.members.iter_mut().find(|(existing, _)| *existing == key) {
            Some((_, slot)) => *slot = node,
            None => self.members.push((key, node)),
        }
    }

    /// Leaves out the members whose keys `which` accepts.
    pub fn remove(&mut self, which: impl Fn(&str) -> bool) {
        self.members.retain(|(key, _)| !which(key));
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        write_view(&mut out, self);
        out
    }
}

/// The canonical bytes of a value.
#[must_use]
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write_value(&mut out, value);
    out
}

/// The canonical bytes of an object.
#[must_use]
pub fn object_to_vec(object: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write_map(&mut out, object);
    out
}

fn write_node(out: &mut Vec<u8>, node: &Node<'_>) {
    match node {
        Node::Value(value) => write_value(out, value),
        Node::Text(text) => write_string(out, text),
        Node::Texts(texts) => write_list(out, texts, |out, text| write_string(out, text)),
        Node::Object(view) => write_view(out, view),
    }
}

fn write_view(out: &mut Vec<u8>, view: &View<'_>) {
    write_sorted(out, view.members.iter().map(|(key, node)| (*key, node)), write_node);
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(elements) => write_list(out, elements, write_value),
        Value::Object(object) => write_map(out, object),
    }
}

fn write_map(out: &mut Vec<u8>, object: &Map<String, Value>) {
    write_sorted(out, object.iter().map(|(key, value)| (key.as_str(), value)), write_value);
}

/// Writes members in UTF-16 order. A map that is kept in byte order is in that order as well unless its keys reach
/// beyond U+E000, and one that is kept in the order of insertion may be sorted by luck: looking comes before sorting.
///
/// The whole order is known before a member is written. Writing first and starting over at the first key out of order
/// would take time exponential in the depth.
fn write_sorted<'k, T>(
    out: &mut Vec<u8>,
    members: impl Iterator<Item = (&'k str, T)> + Clone,
    write: impl Fn(&mut Vec<u8>, T),
) {
    if members.clone().map(|(key, _)| key).is_sorted_by(|a, b| utf16_order(a, b) == Ordering::Less) {
        write_members(out, members, write);
    } else {
        let mut members: Vec<_> = members.collect();
        members.sort_unstable_by(|(a, _), (b, _)| utf16_order(a, b));
        write_members(out, members.into_iter(), write);
    }
}

fn write_members<'k, T>(
    out: &mut Vec<u8>,
    members: impl Iterator<Item = (&'k str, T)>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    out.push(b'{');
    for (index, (key, member)) in members.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(out, key);
        out.push(b':');
        write(out, member);
    }
    out.push(b'}');
}

fn write_list<T>(out: &mut Vec<u8>, elements: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, element);
    }
    out.push(b']');
}

/// Compares keys by their UTF-16 code units (RFC 8785 §3.2.3), without making them.
///
/// UTF-8 and UTF-16 put characters in the same order with one exception: U+E000 to U+FFFF, whose UTF-8 begins with
/// 0xEE or 0xEF, come after the characters above them, whose UTF-8 begins with 0xF0 and whose UTF-16 begins with a
/// surrogate. Only the first byte that differs can tell, and it is such a first byte or the order is that of bytes.
fn utf16_order(a: &str, b: &str) -> Ordering {
    fn rank(byte: u8) -> u8 {
        if matches!(byte, 0xee | 0xef) { byte | 0x10 } else { byte }
    }
    match a.bytes().zip(b.bytes()).find(|(a, b)| a != b) {
        Some((a, b)) => rank(a).cmp(&rank(b)),
        None => a.len().cmp(&b.len()),
    }
}

/// Numbers as ECMAScript prints them (RFC 8785 §3.2.2.3): those that a double does not hold exactly are rounded, as
/// every reader of that RFC does. None of them gets past [`super::strict::parse`].
fn write_number(out: &mut Vec<u8>, number: &Number) {
    match number.as_i64() {
        Some(integer) if (-MAX_INTEGER..=MAX_INTEGER).contains(&integer) => {
            out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
        }
        _ => {
            if let Some(double) = number.as_f64() {
                out.extend_from_slice(ryu_js::Buffer::new().format(double).as_bytes());
            }
        }
    }
}

/// Strings escape only what JSON requires (RFC 8785 §3.2.2.2).
fn write_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len().saturating_add(2));
    out.push(b'"');
    if bytes.iter().fold(false, |found, byte| found | needs_escape(*byte)) {
        write_escaped(out, bytes);
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cold]
fn write_escaped(out: &mut Vec<u8>, mut rest: &[u8]) {
    while let Some(at) = rest.iter().position(|byte| needs_escape(*byte)) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else { break };
        write_escape(out, *byte);
        rest = tail;
    }
    out.extend_from_slice(rest);
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            out.extend_from_slice(b"\\u00");
            for nibble in [byte >> 4, byte & 0x0f] {
                out.extend(HEX.get(usize::from(nibble)));
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
pub(crate) mod tests;
