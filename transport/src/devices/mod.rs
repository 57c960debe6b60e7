//! Users' devices: publishing them, giving out their key packages, and messages to them (LM-04 §12.9, §12.10).

mod claim;
mod publish;

pub(crate) use publish::update_item;
pub use publish::{NewDevice, OfferedKey};

use mimi_linearized::encryption::{Devices, StagedCommit};
use mimi_linearized::id::{DeviceId, UserId};
use mimi_linearized::json::Object;
use mimi_mls::DeviceObject;
use serde_json::Value;

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

    /// Checks that the leaves which come into a group with a commit are of the devices they name, where these are local
    /// users' and were published (LM-04 §4.1). Other servers are not asked: the room is locked meanwhile, and its
    /// members look at everybody's device before they encrypt (reading R36).
    ///
    /// # Errors
    /// [`RoomError`] if a leaf is not the device's, or the store fails.
    pub(crate) async fn check_devices(&self, commit: &StagedCommit) -> Result<(), RoomError> {
        let mut devices = Devices::new();
        for leaf in commit.new_leaves() {
            let address = &leaf.address;
            let (Ok(user), Ok(device)) =
                (UserId::parse(address.user_id()), DeviceId::parse(address.device_id()))
            else {
                continue;
            };
            let object = self.local_device(&user, &device).await?;
            if let Some(object) = object.and_then(|object| DeviceObject::parse(Value::Object(object)).ok()) {
                devices.learn(address, &object);
            }
        }
        Ok(commit.check_devices(&devices)?)
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
