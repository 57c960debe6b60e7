//! What a message says, in parts (draft-ietf-mimi-content-08 §4.4, §4.5).

use super::PLAIN;

/// A part of a message, or the whole of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedPart {
    /// What it is for.
    pub disposition: Disposition,
    /// Its languages, tags of RFC 5646 with commas between them; empty if nothing is said of it.
    pub language: String,
    /// What is in it.
    pub part: Part,
}

/// What is in a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Nothing: something is taken back.
    Null,
    /// Some content.
    Single {
        /// Its media type, with parameters.
        content_type: String,
        /// Its bytes.
        content: Vec<u8>,
    },
    /// Content that is elsewhere.
    External(Box<ExternalPart>),
    /// Two parts or more.
    Multi {
        /// How they belong together.
        semantics: PartSemantics,
        /// The parts.
        parts: Vec<NestedPart>,
    },
}

/// Content that is elsewhere (§4.5).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExternalPart {
    /// The media type of the content; empty if it is a service.
    pub content_type: String,
    /// Where it is.
    pub url: String,
    /// Until when it is there, in seconds since the Unix epoch; 0 if there is no end.
    pub expires: u32,
    /// Its size in bytes; 0 if that is not told.
    pub size: u64,
    /// The number of its AEAD algorithm in IANA's registry (1 is AES-128-GCM); 0 if it is not encrypted.
    pub enc_alg: u16,
    /// The AEAD's key.
    pub key: Vec<u8>,
    /// The AEAD's nonce.
    pub nonce: Vec<u8>,
    /// What the AEAD authenticates besides.
    pub aad: Vec<u8>,
    /// The number of a hash algorithm in IANA's registry of RFC 6920 (1 is SHA-256); 0 if there is no hash.
    pub hash_alg: u8,
    /// The hash of what is at the URL.
    pub content_hash: Vec<u8>,
    /// Some words about it.
    pub description: String,
    /// A name for the file.
    pub filename: String,
}

/// What a part is for (§8.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Disposition {
    /// Nothing is said of it: 0.
    Unspecified,
    /// To be shown, in whatever way: 1.
    Render,
    /// A reaction to another message: 2.
    Reaction,
    /// A profile of a participant or a room: 3.
    Profile,
    /// To be shown right in the conversation: 4.
    Inline,
    /// A picture of a participant or a room: 5.
    Icon,
    /// To be saved rather than shown: 6.
    Attachment,
    /// A call, or where to join one: 7.
    Session,
    /// A preview of something else: 8.
    Preview,
    /// One that this library does not know, from 9 on: it counts as [`Render`](Self::Render).
    Other(u8),
}

/// How the parts of a part belong together (§4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartSemantics {
    /// The recipient takes one, by its own choice: 0.
    ChooseOne,
    /// All are one thing; who does not know one of them shows none: 1.
    SingleUnit,
    /// Each by itself: 2.
    ProcessAll,
}

/// The place of a part among all of a message: the body is 0, then depth first (§4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartIndex(pub usize);

impl PartIndex {
    /// The part that a content id URI (RFC 2392) refers to: `cid:5@local.invalid`. `None` if it is no such URI.
    #[must_use]
    pub fn from_cid(uri: &str) -> Option<Self> {
        let number = uri.strip_prefix("cid:")?.strip_suffix("@local.invalid")?;
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let plain = number == "0" || !number.starts_with('0');
        if digits && plain { number.parse().ok().map(Self) } else { None }
    }

    /// The URI by which other parts of the message refer to it.
    #[must_use]
    pub fn cid(self) -> String {
        format!("cid:{}@local.invalid", self.0)
    }
}

impl Disposition {
    pub(super) fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Unspecified,
            1 => Self::Render,
            2 => Self::Reaction,
            3 => Self::Profile,
            4 => Self::Inline,
            5 => Self::Icon,
            6 => Self::Attachment,
            7 => Self::Session,
            8 => Self::Preview,
            other => Self::Other(other),
        }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::Render => 1,
            Self::Reaction => 2,
            Self::Profile => 3,
            Self::Inline => 4,
            Self::Icon => 5,
            Self::Attachment => 6,
            Self::Session => 7,
            Self::Preview => 8,
            Self::Other(number) => number,
        }
    }
}

impl PartSemantics {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::ChooseOne => 0,
            Self::SingleUnit => 1,
            Self::ProcessAll => 2,
        }
    }
}

impl NestedPart {
    /// A part to be shown.
    #[must_use]
    pub fn new(disposition: Disposition, part: Part) -> Self {
        Self { disposition, language: String::new(), part }
    }

    /// A part with some content.
    #[must_use]
    pub fn single(disposition: Disposition, content_type: &str, content: impl Into<Vec<u8>>) -> Self {
        let (content_type, content) = (content_type.to_owned(), content.into());
        Self::new(disposition, Part::Single { content_type, content })
    }

    /// A plain text to be shown.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::single(Disposition::Render, PLAIN, text)
    }

    /// The part and those inside it, each with its index (§4.4).
    pub fn walk(&self) -> impl Iterator<Item = (PartIndex, &Self)> {
        let mut left = vec![self];
        core::iter::from_fn(move || {
            let part = left.pop()?;
            if let Part::Multi { parts, .. } = &part.part {
                left.extend(parts.iter().rev());
            }
            Some(part)
        })
        .enumerate()
        .map(|(index, part)| (PartIndex(index), part))
    }

    /// The part at an index that a content id URI may refer to: one with content, its own or elsewhere.
    #[must_use]
    pub fn find(&self, index: PartIndex) -> Option<&Self> {
        let (_, part) = self.walk().find(|(at, _)| *at == index)?;
        matches!(part.part, Part::Single { .. } | Part::External(_)).then_some(part)
    }
}

impl core::fmt::Debug for ExternalPart {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ExternalPart")
            .field("content_type", &self.content_type)
            .field("url", &self.url)
            .field("size", &self.size)
            .field("enc_alg", &self.enc_alg)
            .field("key", &format_args!("{} bytes", self.key.len()))
            .field("description", &self.description)
            .field("filename", &self.filename)
            .finish_non_exhaustive()
    }
}
