//! Identifiers of a Linearized Matrix room, each with its own grammar (LM-04 §3.1–§3.5, §6).
//!
//! Every identifier is case sensitive, checked once when it is made, cheap to clone, and compares as its bytes.
//! The grammars are those of room version `I.1`.

mod device;
mod event;
mod key;
mod room;
mod room_version;
mod server_name;
mod user;

pub use device::DeviceId;
pub use event::EventId;
pub use key::KeyId;
pub use room::RoomId;
pub use room_version::RoomVersionId;
pub use server_name::ServerName;
pub use user::UserId;

/// The longest room, user or event id, in bytes (LM-04 §3.2, §3.3; "characters" are bytes, reading R07).
pub const MAX_ID_BYTES: usize = 255;

/// Why a string is not the identifier it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The leading sigil is missing.
    #[error("it must start with `{0}`")]
    Sigil(char),
    /// There is no `:` where one has to separate two parts.
    #[error("it has no `:` between its parts")]
    Separator,
    /// A part that needs at least one character is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// A part is longer than it may be; the limit is in bytes.
    #[error("{part} is longer than {limit} bytes")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// A character that the grammar does not allow.
    #[error("{part} holds {found:?}, which its grammar does not allow")]
    Character {
        /// Which part.
        part: &'static str,
        /// The character found.
        found: char,
    },
    /// The port is not one to five decimal digits.
    #[error("the port is not 1 to 5 decimal digits")]
    Port,
    /// The host is a literal IP address (LM-04 §3.1).
    #[error("a server name may not be a literal IP address")]
    IpLiteral,
    /// A key id whose algorithm this document does not define (LM-04 §6).
    #[error("a signing key id has the algorithm `ed25519`")]
    KeyAlgorithm,
}

/// Checks that `text` is non-empty, at most `limit` bytes, and made of `allowed` ASCII characters.
fn check_part(
    part: &'static str,
    text: &str,
    limit: usize,
    allowed: impl Fn(u8) -> bool,
) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty(part));
    }
    if text.len() > limit {
        return Err(IdError::TooLong { part, limit });
    }
    match text.chars().find(|c| !u8::try_from(*c).is_ok_and(|b| b.is_ascii() && allowed(b))) {
        Some(found) => Err(IdError::Character { part, found }),
        None => Ok(()),
    }
}

/// Splits `<sigil>localpart:server_name`, checks the length, and returns both parts.
fn split_scoped(text: &str, sigil: char) -> Result<(&str, &str), IdError> {
    let rest = text.strip_prefix(sigil).ok_or(IdError::Sigil(sigil))?;
    if text.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong { part: "the identifier", limit: MAX_ID_BYTES });
    }
    rest.split_once(':').ok_or(IdError::Separator)
}

/// Declares an identifier: a checked, cheaply cloned string.
macro_rules! identifier {
    ($(#[$meta:meta])* $name:ident, $check:path) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks `text` against the grammar.
            ///
            /// # Errors
            /// [`IdError`](crate::id::IdError) names the first part that does not fit.
            pub fn parse(text: &str) -> Result<Self, crate::id::IdError> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::id::IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = crate::id::IdError;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::parse(text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
use identifier;

#[cfg(test)]
mod tests;
