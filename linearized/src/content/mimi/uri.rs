//! Names of users and rooms in MIMI content (reading R62).
//!
//! The id of a message is a hash over its sender's URI and its room's too (draft-ietf-mimi-content-08 §3.3), so that all
//! devices of a group have to write the same ones. The draft leaves open which: here they are those of the scheme
//! `matrix` (Matrix 1.4, appendices, "Matrix URI scheme"), which say the id and nothing else.

use core::fmt::Write as _;

use crate::id::{RoomId, UserId};

/// The URI of a user: `matrix:u/alice:example.org`.
#[must_use]
pub fn user(user: &UserId) -> String {
    written("matrix:u/", user.as_str())
}

/// The URI of a room: `matrix:roomid/garden:example.org`.
#[must_use]
pub fn room(room: &RoomId) -> String {
    written("matrix:roomid/", room.as_str())
}

/// An id without its first character, as a segment of a path (RFC 3986 §3.3).
fn written(kind: &str, id: &str) -> String {
    let mut uri = kind.to_owned();
    for byte in id.bytes().skip(1) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => uri.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b':' | b'@' => uri.push(char::from(byte)),
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {
                uri.push(char::from(byte));
            }
            // Writing into memory does not fail.
            other => write!(uri, "%{other:02X}").unwrap_or_default(),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_uris() {
        let of = |id: &str| user(&UserId::parse(id).unwrap());
        assert_eq!(of("@alice:example.org"), "matrix:u/alice:example.org");
        assert_eq!(of("@a/b=2c.d_e+f-g:example.org:8448"), "matrix:u/a%2Fb=2c.d_e+f-g:example.org:8448");
        assert_eq!(of("@a/b/c:example.org"), "matrix:u/a%2Fb%2Fc:example.org");
        let of = |id: &str| room(&RoomId::parse(id).unwrap());
        assert_eq!(of("!garden:example.org"), "matrix:roomid/garden:example.org");
    }

    /// Another writer of the same: ruma's, of ids that both take.
    #[test]
    fn the_uris_are_those_of_ruma() {
        for id in ["@alice:example.org", "@a/b=2c.d_e+f-g:example.org:8448", "@0:a.example"] {
            let theirs = <&ruma_common::UserId>::try_from(id).unwrap().matrix_uri(false).to_string();
            assert_eq!(user(&UserId::parse(id).unwrap()), theirs);
        }
        let theirs = <&ruma_common::RoomId>::try_from("!garden:example.org").unwrap().matrix_uri(false);
        assert_eq!(room(&RoomId::parse("!garden:example.org").unwrap()), theirs.to_string());
    }
}
