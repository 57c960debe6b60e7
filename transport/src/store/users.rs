//! What local users have decided.

use async_trait::async_trait;
use mimi_linearized::id::UserId;

use super::StoreError;

/// Local users' decisions.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Who may invite a user, as JSON; `None` if the user has never said.
    async fn invite_permissions(&self, user_id: &UserId) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps who may invite a user, in the place of what was said before.
    async fn put_invite_permissions(&self, user_id: &UserId, permissions: Vec<u8>) -> Result<(), StoreError>;
}
