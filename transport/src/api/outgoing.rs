//! Asking other servers.

use mimi_linearized::event::OutgoingLpdu;
use mimi_linearized::id::ServerName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::client::ClientError;
use crate::policy::Outsider;
use crate::rooms::RoomError;

/// What stays as it is in a path segment (RFC 3986 §2.3); everything else is percent-encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Text as one segment of a path, or one value of a query.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// What it means for a room that a server gave no usable answer.
pub(super) fn failed(server: &ServerName) -> impl FnOnce(ClientError) -> RoomError + '_ {
    let server = || server.clone();
    move |error| match error {
        ClientError::Api { error, .. } => RoomError::Peer { server: server(), error },
        ClientError::Outsider(server) => RoomError::Outsider(Outsider(server)),
        ClientError::NotJson(_) | ClientError::NotAnObject | ClientError::Unusable(_) => {
            RoomError::BadAnswer { server: server(), what: error.to_string() }
        }
        error => RoomError::Unreachable { server: server(), error: Box::new(error) },
    }
}

/// An LPDU as the body of a request.
pub(super) fn body_of(lpdu: &OutgoingLpdu) -> Value {
    serde_json::from_slice(&lpdu.bytes).unwrap_or_default()
}
