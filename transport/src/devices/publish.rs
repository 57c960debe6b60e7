//! Publishing a device, and telling those whom it concerns (LM-04 §12.10.1).

use std::collections::BTreeSet;

use mimi_linearized::auth::Membership;
use mimi_linearized::id::{DeviceId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_linearized::room::Room;
use mimi_mls::{DeviceObject, KeyPackage, UnverifiedKeyPackage};
use serde_json::{Value, json};

use crate::node::Node;
use crate::rooms::{Role, RoomError};
use crate::store::{NewKeyPackage, Outgoing};

/// A device to be published.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// The object that the device signed.
    pub device: Value,
    /// Key packages to offer.
    pub key_packages: Vec<OfferedKey>,
}

/// A key package to be offered.
#[derive(Debug, Clone)]
pub struct OfferedKey {
    /// Its base64.
    pub key: String,
    /// Whether it may be given out again and again once nothing else is left.
    pub last_resort: bool,
}

impl Node {
    /// Publishes a device of a local user with key packages, and tells the servers that share a room with the user.
    ///
    /// # Errors
    /// [`RoomError::BadRequest`] if the object or a key package is not valid, or not the device's.
    pub async fn publish_device(&self, new: NewDevice) -> Result<(), RoomError> {
        let bad = |what: String| RoomError::BadRequest(what);
        let object = DeviceObject::parse(new.device).map_err(|error| bad(error.to_string()))?;
        object.verify().map_err(|error| bad(error.to_string()))?;
        let user =
            UserId::parse(object.address().user_id()).map_err(|error| bad(format!("`user_id`: {error}")))?;
        let device = DeviceId::parse(object.address().device_id())
            .map_err(|error| bad(format!("`device_id`: {error}")))?;
        if !self.is_local(&user) {
            return Err(RoomError::Forbidden("the device's user belongs to another server"));
        }
        let packages = new.key_packages.iter().map(|offered| {
            let package = read_key_package(offered).map_err(bad)?;
            if package.address() != object.address() {
                return Err(bad("a key package is another device's".to_owned()));
            }
            Ok(NewKeyPackage {
                algorithm: package.suite().key_package_algorithm().to_owned(),
                key: offered.key.clone(),
                last_resort: offered.last_resort,
                expires: i64::try_from(package.not_after()).unwrap_or(i64::MAX).saturating_mul(1_000),
            })
        });
        let packages = packages.collect::<Result<Vec<_>, _>>()?;
        let value = object.into_value();
        self.store.put_device(&user, &device, value.to_string().into_bytes(), packages).await?;
        self.announce_devices(&user, &json!({"changed": [value], "removed": []})).await
    }

    /// Removes a local user's device, and tells the servers that share a room with the user. Returns whether there was
    /// such a device.
    ///
    /// # Errors
    /// [`RoomError`] if the store fails.
    pub async fn remove_device(&self, user: &UserId, device: &DeviceId) -> Result<bool, RoomError> {
        if !self.is_local(user) || !self.store.remove_device(user, device).await? {
            return Ok(false);
        }
        self.announce_devices(user, &json!({"changed": [], "removed": [device]})).await?;
        Ok(true)
    }

    /// Sends a device list update. The EDU names its sender in both ways (reading R25).
    async fn announce_devices(&self, user: &UserId, content: &Value) -> Result<(), RoomError> {
        let edu = json!({
            "type": "m.device_list_update", "sender": user, "sender_id": user, "content": content
        });
        for server in self.servers_sharing_a_room(user).await? {
            self.send_edu(&server, &edu).await?;
        }
        Ok(())
    }

    /// The other servers that have a user in a room where this user is.
    pub(crate) async fn servers_sharing_a_room(
        &self,
        user: &UserId,
    ) -> Result<BTreeSet<ServerName>, RoomError> {
        let mut servers = BTreeSet::new();
        self.for_rooms_of(user, |room| servers.extend(room.presence().joined().cloned())).await?;
        servers.remove(&self.name);
        Ok(servers)
    }

    /// Looks at every room that a user has joined.
    pub(crate) async fn for_rooms_of(
        &self,
        user: &UserId,
        mut look: impl FnMut(&Room) + Send,
    ) -> Result<(), RoomError> {
        for room_id in self.store.rooms().await? {
            let Some(cell) = self.room(&room_id).await? else { continue };
            let role = cell.lock().await;
            if let Some(room) = role.as_ref().map(Role::room)
                && room.membership(user) == Membership::Join
            {
                look(room);
            }
        }
        Ok(())
    }

    /// Puts an EDU into a server's queue.
    pub(crate) async fn send_edu(&self, server: &ServerName, edu: &Value) -> Result<(), RoomError> {
        let bytes = edu.to_string().into_bytes().into();
        self.store.enqueue(server, Outgoing::Edu { bytes }).await?;
        self.wake(server);
        Ok(())
    }
}

/// Reads a key package of any suite that is implemented.
fn read_key_package(offered: &OfferedKey) -> Result<KeyPackage, String> {
    let bytes =
        mimi_linearized::base64::decode(&offered.key).map_err(|error| format!("a key package is {error}"))?;
    let unverified = || UnverifiedKeyPackage::parse(&bytes).map_err(|error| error.to_string());
    let mut result = Err("there is no cipher suite".to_owned());
    for suite in mimi_mls::Suite::ALL {
        result = unverified()?.verify(*suite).map_err(|error| format!("a key package is not valid: {error}"));
        if result.is_ok() {
            break;
        }
    }
    // Only a key package that says so itself may be used again (LM-04 §12.10.3).
    match result {
        Ok(package) if offered.last_resort && !package.is_last_resort() => {
            Err("a key package that is not of last resort is offered as one".to_owned())
        }
        other => other,
    }
}

/// A device list update as its receiver's users see it.
pub(crate) fn update_item(sender: &UserId, content: &Object) -> Value {
    let list = |field: &str| content.get(field).cloned().unwrap_or_else(|| json!([]));
    json!({"type": "device_list_update", "sender": sender, "changed": list("changed"), "removed": list("removed")})
}

#[cfg(test)]
mod tests {
    use mimi_mls::{Device, KeyPackageUse, Suite};

    use super::*;

    #[test]
    fn key_packages_of_every_suite_are_read_and_reused_only_if_they_say_so() {
        for &suite in Suite::ALL {
            let device = Device::generate("@bob:b.example", "B", suite).unwrap();
            for (uses, last_resort, fine) in [
                (KeyPackageUse::OneTime, false, true),
                (KeyPackageUse::LastResort, true, true),
                (KeyPackageUse::LastResort, false, true),
                (KeyPackageUse::OneTime, true, false),
            ] {
                let made = KeyPackage::generate(&device, uses).unwrap();
                let key = mimi_linearized::base64::encode(made.message());
                let read = read_key_package(&OfferedKey { key, last_resort });
                assert_eq!(read.is_ok(), fine, "{suite} {uses:?} {last_resort}");
                assert!(read.is_err() || read.is_ok_and(|package| package.suite() == suite));
            }
        }
    }
}
