//! Users' devices: publishing them, giving out their key packages, and messages to them (LM-04 §12.9, §12.10).

mod claim;
mod leaves;
mod publish;
mod remote;

pub(crate) use leaves::LeavesOf;
pub(crate) use publish::update_item;
pub use publish::{NewDevice, OfferedKey};
pub(crate) use remote::RemoteDevices;

use mimi_linearized::id::{DeviceId, UserId};
use mimi_linearized::json::Object;

use crate::api::user_device;
use crate::node::Node;
use crate::rooms::RoomError;
use crate::store::StoreError;

impl Node {
    /// The object that a local user's device published, if there is such a device.
    pub(crate) async fn local_device(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> Result<Option<Object>, StoreError> {
        if !self.is_local(user) {
            return Ok(None);
        }
        let Some(bytes) = self.store.device(user, device).await? else { return Ok(None) };
        let object = serde_json::from_slice(&bytes);
        object.map(Some).map_err(|error| StoreError::Malformed { what: "device", detail: error.to_string() })
    }

    /// Any user's device, from its user's server. The object is not checked here.
    ///
    /// # Errors
    /// [`RoomError`] if the user's server refuses or cannot be asked.
    pub async fn device(&self, user: &UserId, device: &DeviceId) -> Result<Option<Object>, RoomError> {
        if self.is_local(user) {
            return Ok(self.local_device(user, device).await?);
        }
        user_device::call(self, user, device).await.map(Some)
    }
}
