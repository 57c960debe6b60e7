//! CBOR in its deterministic encoding (RFC 8949 §4.2.1), within the restrictions of MIMI content (§6 of the draft).
//!
//! Headers are read and written by `ciborium-ll`, which writes every number and length in its shortest form. Whether
//! bytes were encoded deterministically is found out at the end, by encoding what was read and comparing: there is one
//! such encoding of every value.

use ciborium_io::{Read as _, Write as _};
use ciborium_ll::{Decoder, Encoder, Header, simple};

use super::error::{MimiError, MimiFault};

/// The largest integer that may be a key of a map, or its opposite: 2^53 − 1.
pub(super) const MAX_KEY: u64 = 9_007_199_254_740_991;

/// A value of an extension: anything that CBOR has, within the restrictions of MIMI content.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum CborValue {
    /// An integer that is not negative.
    Unsigned(u64),
    /// The negative integer −1 − `n`.
    Negative(u64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A text.
    Text(String),
    /// An array.
    Array(Vec<CborValue>),
    /// A map. It is written in the order that the encoding asks for.
    Map(Vec<(CborValue, CborValue)>),
    /// A tag and what it is on.
    Tag(u64, Box<CborValue>),
    /// A truth value.
    Bool(bool),
    /// Null.
    Null,
    /// Undefined.
    Undefined,
    /// Another simple value, by its number.
    Simple(u8),
    /// A floating-point number.
    Float(f64),
}

/// Reads the items of one document.
pub(super) struct Reader<'b> {
    whole: &'b [u8],
    decoder: Decoder<&'b [u8]>,
}

impl<'b> Reader<'b> {
    pub(super) fn new(whole: &'b [u8]) -> Self {
        Self { whole, decoder: Decoder::from(whole) }
    }

    /// Where in the document the next item begins, in bytes from 0.
    pub(super) fn offset(&mut self) -> usize {
        self.decoder.offset()
    }

    fn left(&mut self) -> usize {
        self.whole.len().saturating_sub(self.offset())
    }

    fn header(&mut self) -> Result<Header, MimiError> {
        let at = self.offset();
        self.decoder.pull().map_err(|error| match error {
            ciborium_ll::Error::Io(_) => MimiFault::Cut.at(self.whole.len()),
            ciborium_ll::Error::Syntax(_) => MimiFault::Syntax.at(at),
        })
    }

    /// The body of a string whose header was read.
    fn body(&mut self, length: Option<usize>) -> Result<Vec<u8>, MimiError> {
        let at = self.offset();
        let length = length.ok_or_else(|| MimiFault::Indefinite.at(at))?;
        if length > self.left() {
            return Err(MimiFault::Cut.at(self.whole.len()));
        }
        let mut bytes = vec![0; length];
        self.decoder.read_exact(&mut bytes).map_err(|_| MimiFault::Cut.at(self.whole.len()))?;
        Ok(bytes)
    }

    fn text_body(&mut self, length: Option<usize>) -> Result<String, MimiError> {
        let at = self.offset();
        String::from_utf8(self.body(length)?).map_err(|_| MimiFault::NotUtf8.at(at))
    }

    /// The length of an array or a map. Each element takes a byte at least, so no more are believed in.
    fn count(&mut self, length: Option<usize>) -> Result<usize, MimiError> {
        let at = self.offset();
        let length = length.ok_or_else(|| MimiFault::Indefinite.at(at))?;
        if length > self.left() { Err(MimiFault::Cut.at(self.whole.len())) } else { Ok(length) }
    }

    pub(super) fn array(&mut self, field: &'static str) -> Result<usize, MimiError> {
        let at = self.offset();
        match self.header()? {
            Header::Array(length) => self.count(length),
            _ => Err(MimiFault::Type { field, wanted: "an array" }.at(at)),
        }
    }

    pub(super) fn map(&mut self, field: &'static str) -> Result<usize, MimiError> {
        let at = self.offset();
        match self.header()? {
            Header::Map(length) => self.count(length),
            _ => Err(MimiFault::Type { field, wanted: "a map" }.at(at)),
        }
    }

    pub(super) fn bytes(&mut self, field: &'static str) -> Result<Vec<u8>, MimiError> {
        let at = self.offset();
        match self.header()? {
            Header::Bytes(length) => self.body(length),
            _ => Err(MimiFault::Type { field, wanted: "a byte string" }.at(at)),
        }
    }

    /// A byte string, or nothing where there is null.
    pub(super) fn bytes_or_null(&mut self, field: &'static str) -> Result<Option<Vec<u8>>, MimiError> {
        let at = self.offset();
        match self.header()? {
            Header::Bytes(length) => self.body(length).map(Some),
            Header::Simple(simple::NULL) => Ok(None),
            _ => Err(MimiFault::Type { field, wanted: "a byte string or null" }.at(at)),
        }
    }

    /// An array's length, or nothing where there is null.
    pub(super) fn array_or_null(&mut self, field: &'static str) -> Result<Option<usize>, MimiError> {
        let at = self.offset();
        match self.header()? {
            Header::Array(length) => self.count(length).map(Some),
            Header::Simple(simple::NULL) => Ok(None),
            _ => Err(MimiFault::Type { field, wanted: "an array or null" }.at(at)),
        }
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<String, MimiError> {
        let at = self.offset();
        match self.header()? {
            Header::Text(length) => self.text_body(length),
            _ => Err(MimiFault::Type { field, wanted: "a text" }.at(at)),
        }
    }

    pub(super) fn bool(&mut self, field: &'static str) -> Result<bool, MimiError> {
        let at = self.offset();
        match self.header()? {
            Header::Simple(simple::TRUE) => Ok(true),
            Header::Simple(simple::FALSE) => Ok(false),
            _ => Err(MimiFault::Type { field, wanted: "a truth value" }.at(at)),
        }
    }

    /// An unsigned integer that fits into `N`.
    pub(super) fn unsigned<N: TryFrom<u64>>(
        &mut self,
        field: &'static str,
        wanted: &'static str,
    ) -> Result<N, MimiError> {
        let at = self.offset();
        match self.header()? {
            Header::Positive(number) => {
                N::try_from(number).map_err(|_| MimiFault::Type { field, wanted }.at(at))
            }
            _ => Err(MimiFault::Type { field, wanted }.at(at)),
        }
    }

    /// Any value. `depth` is how many maps, arrays and tags it may have around one another.
    pub(super) fn value(&mut self, depth: usize) -> Result<CborValue, MimiError> {
        let at = self.offset();
        let header = self.header()?;
        let inside = match header {
            Header::Array(_) | Header::Map(_) | Header::Tag(_) => {
                depth.checked_sub(1).ok_or_else(|| MimiFault::ExtensionDepth.at(at))?
            }
            _ => depth,
        };
        Ok(match header {
            Header::Positive(number) => CborValue::Unsigned(number),
            Header::Negative(number) => CborValue::Negative(number),
            Header::Bytes(length) => CborValue::Bytes(self.body(length)?),
            Header::Text(length) => CborValue::Text(self.text_body(length)?),
            Header::Array(length) => {
                let length = self.count(length)?;
                CborValue::Array((0..length).map(|_| self.value(inside)).collect::<Result<_, _>>()?)
            }
            Header::Map(length) => {
                let length = self.count(length)?;
                let entry = |reader: &mut Self| Ok((reader.key(inside)?, reader.value(inside)?));
                let entries: Vec<_> = (0..length).map(|_| entry(self)).collect::<Result<_, MimiError>>()?;
                unique(&entries).map_err(|fault| fault.at(at))?;
                CborValue::Map(entries)
            }
            Header::Tag(tag) => {
                let value = self.value(inside)?;
                if (tag == 2 || tag == 3) && !is_big(&value) {
                    return Err(MimiFault::NotDeterministic.at(at));
                }
                CborValue::Tag(tag, Box::new(value))
            }
            Header::Simple(simple::FALSE) => CborValue::Bool(false),
            Header::Simple(simple::TRUE) => CborValue::Bool(true),
            Header::Simple(simple::NULL) => CborValue::Null,
            Header::Simple(simple::UNDEFINED) => CborValue::Undefined,
            Header::Simple(number @ (0..=19 | 32..)) => CborValue::Simple(number),
            Header::Float(number) => {
                let read = self.whole.get(at..self.offset()).unwrap_or_default();
                if number.is_nan() && read != [0xf9, 0x7e, 0x00] {
                    return Err(MimiFault::NotANumber.at(at));
                }
                CborValue::Float(number)
            }
            Header::Simple(_) | Header::Break => return Err(MimiFault::Syntax.at(at)),
        })
    }

    /// A key of a map inside an extension.
    fn key(&mut self, depth: usize) -> Result<CborValue, MimiError> {
        let at = self.offset();
        match self.value(depth)? {
            key @ (CborValue::Bytes(_) | CborValue::Text(_)) => Ok(key),
            // −1 − n is above −2^53 as long as n is below 2^53 − 1.
            CborValue::Unsigned(n) if n <= MAX_KEY => Ok(CborValue::Unsigned(n)),
            CborValue::Negative(n) if n < MAX_KEY => Ok(CborValue::Negative(n)),
            _ => Err(MimiFault::Key.at(at)),
        }
    }

    /// Says that everything was read, and that it is what `again`, its deterministic encoding, says.
    pub(super) fn end(mut self, again: &[u8]) -> Result<(), MimiError> {
        if self.left() > 0 {
            return Err(MimiFault::Trailing.at(self.offset()));
        }
        match self.whole.iter().zip(again).position(|(one, other)| one != other) {
            None if self.whole.len() == again.len() => Ok(()),
            place => Err(MimiFault::NotDeterministic.at(place.unwrap_or(again.len()))),
        }
    }
}

/// Whether what a tag for large integers is on is one that no shorter form has.
fn is_big(value: &CborValue) -> bool {
    matches!(value, CborValue::Bytes(bytes) if bytes.len() > 8 && bytes.first() != Some(&0))
}

/// Whether no key of a map comes twice.
fn unique(entries: &[(CborValue, CborValue)]) -> Result<(), MimiFault> {
    let mut keys: Vec<Vec<u8>> = entries.iter().map(|(key, _)| encoded(key)).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair.first() == pair.last()) {
        Err(MimiFault::DuplicateKey)
    } else {
        Ok(())
    }
}

fn encoded(value: &CborValue) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.value(value);
    writer.bytes
}

/// Writes items. Writing into memory does not fail.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    fn push(&mut self, header: Header) {
        // Only I/O fails, and there is none.
        Encoder::from(&mut self.bytes).push(header).unwrap_or_default();
    }

    fn body(&mut self, bytes: &[u8]) {
        self.bytes.write_all(bytes).unwrap_or_default();
    }

    pub(super) fn array(&mut self, length: usize) {
        self.push(Header::Array(Some(length)));
    }

    pub(super) fn null(&mut self) {
        self.push(Header::Simple(simple::NULL));
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.push(Header::Simple(if value { simple::TRUE } else { simple::FALSE }));
    }

    pub(super) fn unsigned(&mut self, number: impl Into<u64>) {
        self.push(Header::Positive(number.into()));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.push(Header::Bytes(Some(bytes.len())));
        self.body(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.push(Header::Text(Some(text.len())));
        self.body(text.as_bytes());
    }

    /// A map, with its entries in the order of their keys' bytes.
    pub(super) fn map<'v>(&mut self, entries: impl Iterator<Item = (CborValue, &'v CborValue)>) {
        let mut entries: Vec<(Vec<u8>, &CborValue)> =
            entries.map(|(key, value)| (encoded(&key), value)).collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.push(Header::Map(Some(entries.len())));
        for (key, value) in entries {
            self.body(&key);
            self.value(value);
        }
    }

    pub(super) fn value(&mut self, value: &CborValue) {
        match value {
            CborValue::Unsigned(number) => self.push(Header::Positive(*number)),
            CborValue::Negative(number) => self.push(Header::Negative(*number)),
            CborValue::Bytes(bytes) => self.bytes(bytes),
            CborValue::Text(text) => self.text(text),
            CborValue::Array(values) => {
                self.array(values.len());
                values.iter().for_each(|value| self.value(value));
            }
            CborValue::Map(entries) => self.map(entries.iter().map(|(key, value)| (key.clone(), value))),
            CborValue::Tag(tag, value) => {
                self.push(Header::Tag(*tag));
                self.value(value);
            }
            CborValue::Bool(value) => self.bool(*value),
            CborValue::Null => self.null(),
            CborValue::Undefined => self.push(Header::Simple(simple::UNDEFINED)),
            CborValue::Simple(number) => self.push(Header::Simple(*number)),
            CborValue::Float(number) => self.push(Header::Float(*number)),
        }
    }
}
