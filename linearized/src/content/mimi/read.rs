//! Reading MIMI content.

use super::cbor::Reader;
use super::error::{MimiError, MimiFault};
use super::{
    Disposition, Expiration, ExtensionName, Extensions, ExternalPart, MAX_EXTENSION_DEPTH, MAX_PART_DEPTH,
    MAX_PARTS, MAX_TOPIC_ID_LEN, MessageId, MimiContent, NestedPart, Part, PartSemantics,
};

/// How long keys and nonces are of the AEAD algorithms of RFC 5116 §6 that this library knows of.
const AEADS: [(u16, usize, usize); 3] = [(1, 16, 12), (2, 32, 12), (29, 32, 12)];
/// How long a hash of SHA-256 is.
const SHA_256: (u8, usize) = (1, 32);

impl MimiContent {
    /// Reads a message. It has to be encoded deterministically, and within the draft's bounds of depth and number.
    ///
    /// # Errors
    /// [`MimiError`] with the place of what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, MimiError> {
        let mut reader = Reader::new(bytes);
        let content = read(&mut reader)?;
        reader.end(&content.written())?;
        Ok(content)
    }
}

fn read(reader: &mut Reader<'_>) -> Result<MimiContent, MimiError> {
    let found = reader.array("mimiContent")?;
    if found != 7 {
        return Err(MimiFault::Length { field: "mimiContent", found, wanted: "7" }.at(0));
    }
    let at = reader.offset();
    let salt = <[u8; 16]>::try_from(reader.bytes("salt")?)
        .map_err(|_| MimiFault::Type { field: "salt", wanted: "16 bytes" }.at(at))?;
    let replaces = message_id_or_null(reader, "replaces")?;
    let at = reader.offset();
    let topic_id = reader.bytes("topicId")?;
    if topic_id.len() > MAX_TOPIC_ID_LEN {
        return Err(MimiFault::TopicId(topic_id.len()).at(at));
    }
    Ok(MimiContent {
        salt,
        replaces,
        topic_id,
        expires: expiration(reader)?,
        in_reply_to: message_id_or_null(reader, "inReplyTo")?,
        extensions: extensions(reader)?,
        body: part(reader, MAX_PART_DEPTH, &mut 0)?,
    })
}

/// A message's id.
pub(super) fn message_id(bytes: Vec<u8>, field: &'static str, at: usize) -> Result<MessageId, MimiError> {
    let bytes =
        <[u8; 32]>::try_from(bytes).map_err(|_| MimiFault::Type { field, wanted: "32 bytes" }.at(at))?;
    MessageId::from_bytes(bytes).map_err(|algorithm| MimiFault::HashAlgorithm { field, algorithm }.at(at))
}

fn message_id_or_null(reader: &mut Reader<'_>, field: &'static str) -> Result<Option<MessageId>, MimiError> {
    let at = reader.offset();
    reader.bytes_or_null(field)?.map(|bytes| message_id(bytes, field, at)).transpose()
}

fn expiration(reader: &mut Reader<'_>) -> Result<Option<Expiration>, MimiError> {
    let at = reader.offset();
    let Some(found) = reader.array_or_null("expires")? else { return Ok(None) };
    if found != 2 {
        return Err(MimiFault::Length { field: "expires", found, wanted: "2" }.at(at));
    }
    let relative = reader.bool("relative")?;
    let time = reader.unsigned("time", "a number of 32 bits")?;
    Ok(Some(if relative { Expiration::After(time) } else { Expiration::At(time) }))
}

fn extensions(reader: &mut Reader<'_>) -> Result<Extensions, MimiError> {
    let start = reader.offset();
    let count = reader.map("mimiExtensions")?;
    let mut extensions = Extensions::default();
    for _ in 0..count {
        let at = reader.offset();
        let name = ExtensionName::read(reader.value(0)?).ok_or_else(|| MimiFault::Key.at(at))?;
        let value = reader.value(MAX_EXTENSION_DEPTH.saturating_sub(1))?;
        if extensions.insert(name, value).is_some() {
            return Err(MimiFault::DuplicateKey.at(at));
        }
    }
    if extensions.uris_are_texts() {
        Ok(extensions)
    } else {
        Err(MimiFault::Type { field: "mimiExtensions", wanted: "a map with texts under 1 and 2" }.at(start))
    }
}

/// Reads a part that may have `depth` levels. `parts` counts all of the message.
fn part(reader: &mut Reader<'_>, depth: usize, parts: &mut usize) -> Result<NestedPart, MimiError> {
    let at = reader.offset();
    let depth = depth.checked_sub(1).ok_or_else(|| MimiFault::PartDepth.at(at))?;
    *parts = parts.saturating_add(1);
    if *parts > MAX_PARTS {
        return Err(MimiFault::TooManyParts.at(at));
    }
    let found = reader.array("nestedPart")?;
    let disposition = reader.unsigned("disposition", "a number up to 255").map(Disposition::from_number)?;
    let language = reader.text("language")?;
    let kind_at = reader.offset();
    let cardinality: u8 = reader.unsigned("cardinality", "0, 1, 2 or 3")?;
    let wanted = match cardinality {
        0 => (3, "3, as a null part has"),
        1 => (5, "5, as a single part has"),
        2 => (15, "15, as an external part has"),
        3 => (5, "5, as a multipart has"),
        _ => return Err(MimiFault::Type { field: "cardinality", wanted: "0, 1, 2 or 3" }.at(kind_at)),
    };
    if found != wanted.0 {
        return Err(MimiFault::Length { field: "nestedPart", found, wanted: wanted.1 }.at(at));
    }
    let part = match cardinality {
        0 => Part::Null,
        1 => Part::Single { content_type: reader.text("contentType")?, content: reader.bytes("content")? },
        2 => Part::External(Box::new(external(reader)?)),
        _ => multi(reader, depth, parts)?,
    };
    Ok(NestedPart { disposition, language, part })
}

fn multi(reader: &mut Reader<'_>, depth: usize, parts: &mut usize) -> Result<Part, MimiError> {
    let at = reader.offset();
    let semantics = match reader.unsigned("partSemantics", "0, 1 or 2")? {
        0_u8 => PartSemantics::ChooseOne,
        1 => PartSemantics::SingleUnit,
        2 => PartSemantics::ProcessAll,
        _ => return Err(MimiFault::Type { field: "partSemantics", wanted: "0, 1 or 2" }.at(at)),
    };
    let at = reader.offset();
    let found = reader.array("parts")?;
    if found < 2 {
        return Err(MimiFault::Length { field: "parts", found, wanted: "2 or more" }.at(at));
    }
    let parts = (0..found).map(|_| part(reader, depth, parts)).collect::<Result<_, _>>()?;
    Ok(Part::Multi { semantics, parts })
}

fn external(reader: &mut Reader<'_>) -> Result<ExternalPart, MimiError> {
    let at = reader.offset();
    let part = ExternalPart {
        content_type: reader.text("contentType")?,
        url: reader.text("url")?,
        expires: reader.unsigned("expires", "a number of 32 bits")?,
        size: reader.unsigned("size", "a number of 64 bits")?,
        enc_alg: reader.unsigned("encAlg", "a number of 16 bits")?,
        key: reader.bytes("key")?,
        nonce: reader.bytes("nonce")?,
        aad: reader.bytes("aad")?,
        hash_alg: reader.unsigned("hashAlg", "a number of 8 bits")?,
        content_hash: reader.bytes("contentHash")?,
        description: reader.text("description")?,
        filename: reader.text("filename")?,
    };
    match unfit(&part) {
        Some(field) => Err(MimiFault::External(field).at(at)),
        None => Ok(part),
    }
}

/// The field that does not fit its algorithm. Nothing can be said of algorithms that are not known.
fn unfit(part: &ExternalPart) -> Option<&'static str> {
    let lengths = match part.enc_alg {
        0 => Some((0, 0)),
        known => AEADS.into_iter().find(|(number, ..)| *number == known).map(|(_, key, nonce)| (key, nonce)),
    };
    let hash = match part.hash_alg {
        0 => Some(0),
        known => (known == SHA_256.0).then_some(SHA_256.1),
    };
    let differs = |wanted: Option<usize>, found: &[u8]| wanted.is_some_and(|wanted| wanted != found.len());
    if differs(lengths.map(|(key, _)| key), &part.key) {
        Some("key")
    } else if differs(lengths.map(|(_, nonce)| nonce), &part.nonce) {
        Some("nonce")
    } else if part.enc_alg == 0 && !part.aad.is_empty() {
        Some("aad")
    } else if differs(hash, &part.content_hash) {
        Some("contentHash")
    } else {
        None
    }
}
