//! What is wrong with MIMI content.

use thiserror::Error;

/// Bytes that are not MIMI content, or a message that cannot be written as such.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{fault}, at byte {offset}")]
pub struct MimiError {
    /// What is wrong.
    pub fault: MimiFault,
    /// Where in the bytes, from 0; 0 of a message that is to be written.
    pub offset: usize,
}

/// What is wrong with MIMI content (draft-ietf-mimi-content-08). All of it is the sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MimiFault {
    /// The bytes end too early.
    #[error("it ends too early")]
    Cut,
    /// The bytes are not CBOR.
    #[error("it is not CBOR")]
    Syntax,
    /// A length is left open (§6.1).
    #[error("a length is indefinite")]
    Indefinite,
    /// Something could be encoded shorter, or a map is not sorted (§6.1; RFC 8949 §4.2.1).
    #[error("the encoding is not the deterministic one")]
    NotDeterministic,
    /// There is something after the message.
    #[error("something follows the message")]
    Trailing,
    /// A text is not UTF-8 (§6.2).
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A number that is none is not the one that is allowed (§6.2).
    #[error("a NaN is not f97e00")]
    NotANumber,
    /// A field is of another type, or out of its range (§4, appendix A).
    #[error("`{field}` is not {wanted}")]
    Type {
        /// The field's name in the draft's CDDL.
        field: &'static str,
        /// What it has to be.
        wanted: &'static str,
    },
    /// An array does not have as many elements as the field has members (appendix A).
    #[error("`{field}` has {found} elements instead of {wanted}")]
    Length {
        /// The field's name in the draft's CDDL.
        field: &'static str,
        /// How many it has.
        found: usize,
        /// How many it has to have.
        wanted: &'static str,
    },
    /// A message id is by a hash algorithm that is not known (§9.1).
    #[error("`{field}` is by the unknown hash algorithm {algorithm}")]
    HashAlgorithm {
        /// The field that has the message id.
        field: &'static str,
        /// The algorithm's number.
        algorithm: u8,
    },
    /// The topic's id is longer than 4,096 bytes (§9.1).
    #[error("`topicId` has {0} bytes, more than 4096")]
    TopicId(usize),
    /// Parts are nested more than four levels deep (§6.3).
    #[error("parts are nested more than 4 levels deep")]
    PartDepth,
    /// There are more than 1,024 parts (§9.1).
    #[error("there are more than 1024 parts")]
    TooManyParts,
    /// Maps, arrays and tags of the extensions are nested more than four levels deep (§6.3).
    #[error("extensions are nested more than 4 levels deep")]
    ExtensionDepth,
    /// A key of a map is of a type, or out of a range, that is not allowed (§4.3, §6.2).
    #[error("a key of a map is not allowed")]
    Key,
    /// A key comes twice in a map (§4.3).
    #[error("a key comes twice in a map")]
    DuplicateKey,
    /// Fields of an external part contradict one another (§4.5).
    #[error("`{0}` of the external part does not fit the algorithm")]
    External(&'static str),
    /// The URI of the sender or of the room is longer than the message id can have it (§3.3).
    #[error("a URI has more than 65535 bytes")]
    LongUri,
}

impl MimiFault {
    pub(super) fn at(self, offset: usize) -> MimiError {
        MimiError { fault: self, offset }
    }
}
