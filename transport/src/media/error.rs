//! Why an item cannot be had, or not be taken.

use std::io;

use http::StatusCode;
use mimi_linearized::id::ServerName;

use crate::client::ClientError;
use crate::error::{ApiError, ErrCode};
use crate::policy::Outsider;
use crate::store::StoreError;

/// How long to wait before asking again for an item that has not been scanned, in milliseconds.
const RESCAN_MS: u64 = 5_000;

/// Why an item cannot be had, or not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// There is no such item.
    #[error("there is no such item")]
    NotFound,
    /// It has more bytes than are taken.
    #[error("an item may have {0} bytes at most")]
    TooLarge(u64),
    /// The user has used up what there is for one.
    #[error("the user's items may have {0} bytes in all")]
    Quota(u64),
    /// Items of this type are not taken.
    #[error("items of type {0} are not taken")]
    Type(String),
    /// It did not come whole.
    #[error("the item did not arrive whole: {0}")]
    Incomplete(String),
    /// The scanner found something.
    #[error("the item was scanned and is not clean: {0}")]
    NotClean(String),
    /// Nobody knows whether it is clean, so nobody gets it.
    #[error("the item has not been scanned: {0}")]
    NotScanned(String),
    /// What is on the disk is not what was put there.
    #[error("the item is damaged")]
    Damaged,
    /// The policy keeps its server out.
    #[error(transparent)]
    Outsider(#[from] Outsider),
    /// Its server refused.
    #[error("{server} refused: {error}")]
    Peer {
        /// Which server.
        server: ServerName,
        /// What it said.
        error: ApiError,
    },
    /// Its server could not be asked, or answered with something unusable.
    #[error("{server} gave no usable answer: {error}")]
    Unreachable {
        /// Which server.
        server: ServerName,
        /// Why.
        #[source]
        error: Box<ClientError>,
    },
    /// The disk fails.
    #[error("the media folder: {0}")]
    Io(#[from] io::Error),
    /// The store that several processes share fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index fails.
    #[error("the index of media: {0}")]
    Index(#[from] rusqlite::Error),
}

impl From<MediaError> for ApiError {
    fn from(error: MediaError) -> Self {
        let text = error.to_string();
        match error {
            MediaError::NotFound => Self::not_found(text),
            MediaError::TooLarge(_) | MediaError::Quota(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrCode::TooLarge, text)
            }
            MediaError::Type(_) | MediaError::Outsider(_) => Self::forbidden(text),
            MediaError::Incomplete(_) => Self::new(StatusCode::BAD_REQUEST, ErrCode::Unknown, text),
            MediaError::NotClean(_) => Self::not_clean(),
            MediaError::NotScanned(_) => Self::not_yet_scanned(RESCAN_MS),
            MediaError::Peer { error, .. } => error,
            MediaError::Unreachable { .. } => Self::new(StatusCode::BAD_GATEWAY, ErrCode::Unknown, text),
            MediaError::Damaged | MediaError::Io(_) | MediaError::Index(_) | MediaError::Store(_) => {
                tracing::error!(error = %text, "media cannot be served");
                Self::unknown("the server cannot serve the item")
            }
        }
    }
}

impl ApiError {
    /// 403 `MCS_MEDIA_NOT_CLEAN`: the scanner found something in the item (reading R51). The code is that of Matrix's
    /// content scanners.
    #[must_use]
    pub fn not_clean() -> Self {
        let code = ErrCode::Other("MCS_MEDIA_NOT_CLEAN".to_owned());
        Self::new(StatusCode::FORBIDDEN, code, "The item was scanned and is not clean.")
    }

    /// 504 `M_NOT_YET_UPLOADED` with the time to wait in milliseconds: the item has not been scanned, so it counts as not
    /// there yet (reading R51). The status and code are those of Matrix for media that will come.
    #[must_use]
    pub fn not_yet_scanned(retry_after_ms: u64) -> Self {
        let code = ErrCode::Other("M_NOT_YET_UPLOADED".to_owned());
        Self::new(StatusCode::GATEWAY_TIMEOUT, code, "The item has not been scanned. Try again later.")
            .with_retry_after(retry_after_ms)
    }
}
