//! Local users' media, in a store that several processes share (`docs/media.md`).
//!
//! Contents and items are apart: an item is a record like any other, of a content that was stored whole before. A store of
//! one process has none of this; the folder of media is enough for it.

use async_trait::async_trait;
use mimi_linearized::id::UserId;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncRead;

use super::StoreError;
use super::apart::Sha256;

/// A local user's item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedItem {
    /// The last part of its `mxc://` URI.
    pub id: String,
    /// Whose it is.
    pub owner: UserId,
    /// The SHA-256 of its content.
    pub sha256: Sha256,
    /// The size of its content in bytes.
    pub size: u64,
    /// Its media type, as its owner said.
    pub content_type: String,
    /// Its name, as its owner said.
    pub filename: Option<String>,
}

/// A content that is being read, from its beginning.
pub type Content = Box<dyn AsyncRead + Send + Unpin>;

/// Media that all processes of a server have.
#[async_trait]
pub trait SharedMedia: Send + Sync {
    /// Stores a file as the content of the item with this id, which nobody can find yet.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it could not be stored whole.
    async fn put_content(&self, id: &str, content: &mut tokio::fs::File) -> Result<(), StoreError>;

    /// The content of an item, which is not checked here; `None` if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if that cannot be found out.
    async fn content(&self, id: &str) -> Result<Option<Content>, StoreError>;

    /// Removes a content that no item has.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it stays; it is removed some time later then.
    async fn remove_content(&self, id: &str) -> Result<(), StoreError>;

    /// Adds an item whose content was stored, if all of its owner's have at most `quota` bytes then. Returns whether they
    /// have.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored.
    async fn add_item(&self, item: SharedItem, quota: u64) -> Result<bool, StoreError>;

    /// An item.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    async fn item(&self, id: &str) -> Result<Option<SharedItem>, StoreError>;

    /// A user's items, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    async fn items_of(&self, owner: &UserId) -> Result<Vec<SharedItem>, StoreError>;

    /// Deletes an item of a user; its content stays. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be stored.
    async fn delete_item(&self, owner: &UserId, id: &str) -> Result<bool, StoreError>;
}
