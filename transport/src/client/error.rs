//! Why a request has no usable answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::strict;

use crate::error::ApiError;
use crate::resolve::ResolveError;

/// Who is to blame for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blame {
    /// Whoever called: the request could not be sent as it was.
    Caller,
    /// The way to the peer, or the peer's being absent: trying again later may help.
    Network,
    /// The peer: it answered, and the answer cannot be used or is a refusal.
    Peer,
}

/// Why a request has no usable answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The request target is not a path with an optional query, written as it is to be sent.
    #[error("the request target is not a path and query that can be sent")]
    Target,
    /// The body to be sent is not JSON that everybody reads alike.
    #[error("the body to be sent: {0}")]
    Body(#[source] strict::JsonError),
    /// The policy keeps the server out: it is not contacted (reading R50).
    #[error("{0} is outside the federation of this server")]
    Outsider(ServerName),
    /// The server name leads nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No connection is made.
    #[error("connecting to {address}: {error}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// What the system said; [`io::ErrorKind::TimedOut`] if the time to connect was over.
        #[source]
        error: io::Error,
    },
    /// The TLS handshake fails: its version, ALPN or certificate (`LM-04/12/2`, `LM-04/12.1/1`, `LM-04/12.4/25`).
    #[error("TLS handshake with {address}: {error}")]
    Tls {
        /// With whom.
        address: SocketAddr,
        /// What is wrong.
        #[source]
        error: io::Error,
    },
    /// The peer did not choose a version of HTTP that was offered (`LM-04/12/1`).
    #[error("{address} did not negotiate HTTP/2")]
    Negotiation {
        /// Who.
        address: SocketAddr,
    },
    /// HTTP itself fails: the peer broke off, reset the stream, or does not speak the protocol.
    #[error("HTTP: {0}")]
    Protocol(#[source] hyper::Error),
    /// There was no complete answer in time.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// The answer's body is larger than is accepted, in bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is not JSON that everybody reads alike.
    #[error("the answer: {0}")]
    NotJson(#[source] strict::JsonError),
    /// The answer is JSON, but not an object.
    #[error("the answer is not a JSON object")]
    NotAnObject,
    /// The answer is JSON, but not what the endpoint answers with.
    #[error("the answer: {0}")]
    Unusable(String),
    /// The answer is an error.
    #[error("the answer is an error: {error}")]
    Api {
        /// The HTTP status.
        status: StatusCode,
        /// The error, with the same status.
        #[source]
        error: ApiError,
    },
}

impl ClientError {
    /// Whether the connection was cut while it was being made or used, so that nothing is known of what became of the
    /// request.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        match self {
            Self::Protocol(_) => true,
            // What is wrong with a certificate, or what the peer says is wrong with ours, is invalid data.
            Self::Tls { error, .. } => error.kind() != io::ErrorKind::InvalidData,
            _ => false,
        }
    }

    /// Who is to blame.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            error if error.is_cut() => Blame::Network,
            Self::Target | Self::Body(_) | Self::Outsider(_) => Blame::Caller,
            Self::Resolve(_) | Self::Connect { .. } | Self::Protocol(_) | Self::Timeout(_) => Blame::Network,
            Self::Tls { .. }
            | Self::Negotiation { .. }
            | Self::TooLarge(_)
            | Self::NotJson(_)
            | Self::NotAnObject
            | Self::Unusable(_)
            | Self::Api { .. } => Blame::Peer,
        }
    }
}
