//! What is lost between events and MIMI content.

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From an event to MIMI content.
    ToMimi,
    /// From MIMI content to events.
    FromMimi,
}

/// Something that a message does not have any more in the other format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// What kind of message it is.
    Kind,
    /// What a program could do with it, while its text stays.
    Structure,
    /// Members that the other format has no place for.
    Members,
    /// Measures, duration, thumbnail or the like of a medium.
    Media,
    /// The file, whose ciphertext nobody on the other side can decrypt.
    Cipher,
    /// The file, which is where the other side fetches none.
    Place,
    /// An event that it is about.
    Reference,
    /// The reason of a deletion.
    Reason,
    /// The salt, and with it the message's id.
    Salt,
    /// When it should be forgotten.
    Expiration,
    /// The topic, which is not named after a message that is known.
    Topic,
    /// Extensions.
    Extensions,
    /// A part's language.
    Language,
    /// A part's disposition.
    Disposition,
    /// How parts belong together.
    Parts,
    /// A medium that is inside the message.
    Inline,
    /// Hash, end or size of a file.
    File,
}

/// Every loss: which way it can happen, where it happens, and what stays.
pub const LOSSES: [(Loss, Direction, &str, &str); 20] = [
    (
        Loss::Kind,
        Direction::ToMimi,
        "emote, notice, sticker, voice message, unknown event type",
        "text or file",
    ),
    (Loss::Structure, Direction::ToMimi, "poll, close of a poll, place", "the text"),
    (Loss::Members, Direction::ToMimi, "members of the content that are not of its kind", "the rest"),
    (
        Loss::Media,
        Direction::ToMimi,
        "size of an image, duration, waveform, thumbnail, caption, alternative text",
        "the file",
    ),
    (
        Loss::Cipher,
        Direction::ToMimi,
        "`EncryptedFile`: AES-CTR is no AEAD; the file has to be encrypted anew",
        "the text",
    ),
    (Loss::Place, Direction::ToMimi, "`mxc://` URI: MIMI clients fetch `https`", "the URI"),
    (
        Loss::Reference,
        Direction::ToMimi,
        "reply to, or thread of, an event that is no known message",
        "the rest",
    ),
    (Loss::Reason, Direction::ToMimi, "`reason` of a redaction", "the deletion"),
    (Loss::Salt, Direction::FromMimi, "`salt`", "the message, with another id"),
    (Loss::Expiration, Direction::FromMimi, "`expires`", "the message, for good"),
    (
        Loss::Topic,
        Direction::FromMimi,
        "`topicId` that is no known message's id",
        "the message, in no thread",
    ),
    (Loss::Reference, Direction::FromMimi, "`inReplyTo` an unknown message; that of a deletion", "the rest"),
    (
        Loss::Extensions,
        Direction::FromMimi,
        "`mimiExtensions` but the sender's and the room's URI",
        "the rest",
    ),
    (Loss::Language, Direction::FromMimi, "`language`", "the part"),
    (Loss::Disposition, Direction::FromMimi, "`disposition` that the event's type does not tell", "the part"),
    (
        Loss::Parts,
        Direction::FromMimi,
        "`partSemantics` of what are not renderings of one text",
        "an event for each part",
    ),
    (
        Loss::Inline,
        Direction::FromMimi,
        "content that is no text; it has to be uploaded",
        "a text with its media type",
    ),
    (
        Loss::Cipher,
        Direction::FromMimi,
        "`encAlg`: Matrix has no AEAD; the file has to be encrypted anew",
        "the text",
    ),
    (Loss::Place, Direction::FromMimi, "`url` that is no `mxc://` URI", "a text with the URL"),
    (
        Loss::File,
        Direction::FromMimi,
        "`contentHash`, `expires`, a `size` beyond 2^53 − 1 of a file",
        "the file",
    ),
];
