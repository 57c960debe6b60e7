//! Who may invite this server's users (reading R50).

use mimi_linearized::auth::Membership;
use mimi_linearized::event::{Event, kind};
use mimi_linearized::id::UserId;
use mimi_linearized::json::{Value, strict};

use super::RoomError;
use crate::node::Node;
use crate::policy::InvitePermissions;
use crate::store::StoreError;

impl Node {
    /// Who may invite a user.
    ///
    /// # Errors
    /// [`StoreError`] if the store fails, or holds something else.
    pub async fn invite_permissions(&self, user: &UserId) -> Result<InvitePermissions, StoreError> {
        let Some(stored) = self.store.invite_permissions(user).await? else {
            return Ok(InvitePermissions::default());
        };
        let malformed = |detail: String| StoreError::Malformed { what: "permissions", detail };
        match strict::parse(&stored) {
            Ok(Value::Object(object)) => {
                InvitePermissions::read(&object).map_err(|error| malformed(format!("{user}: {error}")))
            }
            Ok(_) => Err(malformed(format!("{user}: no object"))),
            Err(error) => Err(malformed(format!("{user}: {error}"))),
        }
    }

    /// Remembers who may invite a local user.
    ///
    /// # Errors
    /// [`RoomError`] if the user is another server's, or the store fails.
    pub async fn set_invite_permissions(
        &self,
        user: &UserId,
        permissions: &InvitePermissions,
    ) -> Result<(), RoomError> {
        self.check_local(user)?;
        Ok(self.store.put_invite_permissions(user, permissions.to_json().to_string().into_bytes()).await?)
    }

    /// Whether an event may be taken as far as those are concerned whom it invites: a local user has to let the sender, and
    /// the server of another has to be inside. Events that invite nobody may.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`], [`RoomError::Outsider`], or what the store fails with.
    pub(super) async fn check_invite(&self, event: &Event) -> Result<(), RoomError> {
        if event.kind() != kind::MEMBER || event.membership() != Some(Membership::Invite.as_str()) {
            return Ok(());
        }
        let Some(target) = event.state_key().and_then(|key| UserId::parse(key).ok()) else { return Ok(()) };
        if !self.is_local(&target) {
            return Ok(self.policy.check(&target.server())?);
        }
        // Who cannot be known lets nobody in.
        if self.invite_permissions(&target).await?.allow(event.sender()) {
            Ok(())
        } else {
            Err(RoomError::Forbidden("the user does not take invites from the sender"))
        }
    }
}
