//! Why something could not be done with a room, and what a caller is told.

use mimi_linearized::auth::Refusal;
use mimi_linearized::event::{RecordError, ShapeError};
use mimi_linearized::hub::{HeadMoved, ReplayError};
use mimi_linearized::id::ServerName;
use mimi_linearized::participant::SnapshotError;
use mimi_linearized::signing::SignatureError;

use crate::client::ClientError;
use crate::error::ApiError;
use crate::policy::Outsider;
use crate::store::{AppendError, StoreError};

/// Why something could not be done with a room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoomError {
    /// A rule refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It is no event.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A signature that is needed is missing or wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The room is not known here.
    #[error("the room is not known here")]
    UnknownRoom,
    /// This server is not the room's hub.
    #[error("this server is not the hub of the room; {0} is")]
    NotHub(ServerName),
    /// Nobody was named who could be the hub.
    #[error("no server is named that could be the hub of the room")]
    NoHub,
    /// The caller may not do this for that user.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The request does not make sense.
    #[error("{0}")]
    BadRequest(String),
    /// The policy keeps a server out (reading R50).
    #[error(transparent)]
    Outsider(#[from] Outsider),
    /// None of the caller's room versions is the room's.
    #[error("the room has version {0}")]
    IncompatibleVersion(String),
    /// Another server refused.
    #[error("{server} refused: {error}")]
    Peer {
        /// Which server.
        server: ServerName,
        /// What it said.
        error: ApiError,
    },
    /// Another server could not be asked.
    #[error("{server} could not be asked: {error}")]
    Unreachable {
        /// Which server.
        server: ServerName,
        /// Why.
        #[source]
        error: Box<ClientError>,
    },
    /// Another server answered something that cannot be used.
    #[error("{server} answered with something unusable: {what}")]
    BadAnswer {
        /// Which server.
        server: ServerName,
        /// What is wrong.
        what: String,
    },
    /// The hub's answer to a join is no state to start from.
    #[error("the state from {server} cannot be used: {error}")]
    Snapshot {
        /// The hub.
        server: ServerName,
        /// What is wrong.
        #[source]
        error: SnapshotError,
    },
    /// The room changed too often meanwhile.
    #[error("the room changed too often while another server was asked")]
    Busy,
    /// Another process of this server appended to the room's list first.
    #[error("another process of this server appended to the room's list first")]
    Overtaken,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is damaged.
    #[error("the room's records are damaged: {0}")]
    Record(#[from] RecordError),
    /// The records do not fit together.
    #[error("the room's records do not fit together: {0}")]
    Replay(#[from] ReplayError),
    /// The list in the store and the room in memory differ.
    #[error("the room's list was changed from outside")]
    OutOfStep,
}

impl From<HeadMoved> for RoomError {
    fn from(_: HeadMoved) -> Self {
        Self::OutOfStep
    }
}

impl From<AppendError> for RoomError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::HeadMoved => Self::Overtaken,
            AppendError::Store(error) => Self::Store(error),
        }
    }
}

impl RoomError {
    /// What the caller of an endpoint is told.
    #[must_use]
    pub fn to_api(&self) -> ApiError {
        let text = self.to_string();
        match self {
            Self::Refused(refusal) => ApiError::forbidden(text).with_rule(refusal.rule.to_string()),
            Self::Shape(error) => ApiError::bad_json(text).with_rule(error.requirement()),
            Self::Signature(_) | Self::Forbidden(_) | Self::Outsider(_) => ApiError::forbidden(text),
            Self::UnknownRoom | Self::NoHub => ApiError::not_found(text),
            Self::NotHub(_) => ApiError::wrong_server(text),
            Self::BadRequest(_) => ApiError::bad_json(text),
            Self::IncompatibleVersion(_) => ApiError::incompatible_room_version(text),
            Self::Peer { error, .. } => error.clone(),
            Self::Unreachable { .. }
            | Self::BadAnswer { .. }
            | Self::Snapshot { .. }
            | Self::Busy
            | Self::Store(_)
            | Self::Record(_)
            | Self::Replay(_)
            | Self::Overtaken
            | Self::OutOfStep => {
                tracing::error!(error = %text, "a room operation failed");
                ApiError::unknown(text)
            }
        }
    }
}

impl From<RoomError> for ApiError {
    fn from(error: RoomError) -> Self {
        error.to_api()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::unknown("the server cannot reach its store")
    }
}
