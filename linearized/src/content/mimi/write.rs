//! Writing MIMI content.

use super::cbor::Writer;
use super::{Expiration, MAX_PART_DEPTH, MessageId, MimiContent, MimiError, NestedPart, Part};

impl MimiContent {
    /// The message's one encoding.
    ///
    /// # Errors
    /// What is wrong with the message, as a recipient would find it: parts that are too many or too deep, a part of fewer
    /// than two parts, an external part that contradicts itself, names of extensions out of their range.
    pub fn to_bytes(&self) -> Result<Vec<u8>, MimiError> {
        let bytes = self.written();
        Self::parse(&bytes).map(|_| bytes)
    }

    /// The encoding, whether it is one that can be read or not.
    pub(super) fn written(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(7);
        writer.bytes(&self.salt);
        message_id(&mut writer, self.replaces.as_ref());
        writer.bytes(&self.topic_id);
        match self.expires {
            None => writer.null(),
            Some(expires) => {
                let (relative, time) = match expires {
                    Expiration::After(time) => (true, time),
                    Expiration::At(time) => (false, time),
                };
                writer.array(2);
                writer.bool(relative);
                writer.unsigned(time);
            }
        }
        message_id(&mut writer, self.in_reply_to.as_ref());
        writer.map(self.extensions.iter().map(|(name, value)| (name.value(), value)));
        part(&mut writer, &self.body, MAX_PART_DEPTH);
        writer.bytes
    }
}

fn message_id(writer: &mut Writer, id: Option<&MessageId>) {
    match id {
        None => writer.null(),
        Some(id) => writer.bytes(id.as_bytes()),
    }
}

/// A part, with as many levels as allowed and one more, by which it is found out that there are too many.
fn part(writer: &mut Writer, nested: &NestedPart, depth: usize) {
    let (length, cardinality) = match nested.part {
        Part::Null => (3, 0_u8),
        Part::Single { .. } => (5, 1),
        Part::External(_) => (15, 2),
        Part::Multi { .. } => (5, 3),
    };
    writer.array(length);
    writer.unsigned(nested.disposition.number());
    writer.text(&nested.language);
    writer.unsigned(cardinality);
    match &nested.part {
        Part::Null => {}
        Part::Single { content_type, content } => {
            writer.text(content_type);
            writer.bytes(content);
        }
        Part::External(external) => {
            writer.text(&external.content_type);
            writer.text(&external.url);
            writer.unsigned(external.expires);
            writer.unsigned(external.size);
            writer.unsigned(external.enc_alg);
            writer.bytes(&external.key);
            writer.bytes(&external.nonce);
            writer.bytes(&external.aad);
            writer.unsigned(external.hash_alg);
            writer.bytes(&external.content_hash);
            writer.text(&external.description);
            writer.text(&external.filename);
        }
        Part::Multi { semantics, parts } => {
            writer.unsigned(semantics.number());
            writer.array(parts.len());
            if let Some(depth) = depth.checked_sub(1) {
                parts.iter().for_each(|nested| part(writer, nested, depth));
            }
        }
    }
}
