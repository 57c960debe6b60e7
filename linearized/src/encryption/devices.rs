//! What somebody knows of users' devices (LM-04 §4.1, §12.10.1).

use std::collections::BTreeMap;
use std::fmt;

use mimi_mls::{DeviceAddress, DeviceObject, Member, Suite, VerifiedDevice};
use serde_json::Value;

use crate::id::UserId;
use crate::json::Object;

/// What is known of users' devices: what their servers answered when asked for one, and the updates of their lists since.
///
/// Nothing here is a secret and nothing is for good: it is all made anew by asking again.
#[derive(Debug, Clone, Default)]
pub struct Devices {
    /// By user, then by device id.
    known: BTreeMap<String, BTreeMap<String, Known>>,
}

/// What is known of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// Its object verifies.
    Valid(Box<VerifiedDevice>),
    /// Its object is not valid, so that it must not be in any group.
    Invalid,
    /// Its user's server says that there is none.
    Removed,
}

/// How a leaf stands to what is known of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeafOwner {
    /// The device's object verifies, supports the suite and lists the leaf's key.
    Owned,
    /// The device's object lists another key for the suite's signature scheme.
    OtherKey,
    /// The device's object does not list the room's algorithm.
    OtherSuite,
    /// The device's object is not valid.
    Invalid,
    /// There is no such device, or not any more.
    Removed,
    /// Nothing is known of the device: its user's server has to be asked.
    Unknown,
}

impl fmt::Display for LeafOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owned => "it is the device's",
            Self::OtherKey => "the device has published another key",
            Self::OtherSuite => "the device does not support the room's algorithm",
            Self::Invalid => "the device's object is not valid",
            Self::Removed => "there is no such device",
            Self::Unknown => "nothing is known of the device",
        })
    }
}

impl Devices {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a device's object, as its user's server gave it when it was asked for the device. If it does not verify
    /// or is another device's, the device is invalid.
    ///
    /// Returns whether the device is valid.
    pub fn learn(&mut self, address: &DeviceAddress, object: &DeviceObject) -> bool {
        let known = match object.verify() {
            Ok(device) if object.address() == address => Known::Valid(Box::new(device)),
            _ => Known::Invalid,
        };
        let valid = matches!(known, Known::Valid(_));
        self.set(address.user_id(), address.device_id(), known);
        valid
    }

    /// Takes in a device whose object was verified before.
    pub fn learn_verified(&mut self, device: VerifiedDevice) {
        let (user, id) = (device.address().user_id().to_owned(), device.address().device_id().to_owned());
        self.set(&user, &id, Known::Valid(Box::new(device)));
    }

    /// Notes that what a device's server gave as its object is not valid.
    pub fn learn_invalid(&mut self, address: &DeviceAddress) {
        self.set(address.user_id(), address.device_id(), Known::Invalid);
    }

    /// Notes that a device's server says there is no such device.
    pub fn learn_absent(&mut self, address: &DeviceAddress) {
        self.set(address.user_id(), address.device_id(), Known::Removed);
    }

    /// Takes in an update of a user's list of devices (`m.device_list_update`): the objects in `changed`, the ids in
    /// `removed`. An object that names one of the user's devices and does not verify makes that device invalid; what
    /// names nobody, or somebody else, is passed by.
    pub fn update(&mut self, user: &UserId, content: &Object) {
        let list = |field: &str| content.get(field).and_then(Value::as_array).into_iter().flatten();
        for object in list("changed") {
            let Some(device_id) = object.get("device_id").and_then(Value::as_str) else { continue };
            if object.get("user_id").and_then(Value::as_str) != Some(user.as_str()) {
                continue;
            }
            let known = match DeviceObject::parse(object.clone()).and_then(|object| object.verify()) {
                Ok(device) => Known::Valid(Box::new(device)),
                Err(_) => Known::Invalid,
            };
            self.set(user.as_str(), device_id, known);
        }
        for device_id in list("removed").filter_map(Value::as_str) {
            self.set(user.as_str(), device_id, Known::Removed);
        }
    }

    fn set(&mut self, user: &str, device: &str, known: Known) {
        self.known.entry(user.to_owned()).or_default().insert(device.to_owned(), known);
    }

    /// A device that is valid.
    #[must_use]
    pub fn get(&self, address: &DeviceAddress) -> Option<&VerifiedDevice> {
        match self.known.get(address.user_id())?.get(address.device_id())? {
            Known::Valid(device) => Some(device),
            Known::Invalid | Known::Removed => None,
        }
    }

    /// The valid devices of a user, ordered by id.
    pub fn of(&self, user: &UserId) -> impl Iterator<Item = &VerifiedDevice> {
        let devices = self.known.get(user.as_str()).into_iter().flat_map(BTreeMap::values);
        devices.filter_map(|known| match known {
            Known::Valid(device) => Some(&**device),
            Known::Invalid | Known::Removed => None,
        })
    }

    /// Whether a leaf in a group of `suite` is that of the device it names (LM-04 §4.1). OpenMLS cannot say that: it does
    /// not know device objects.
    #[must_use]
    pub fn owner(&self, suite: Suite, leaf: &Member) -> LeafOwner {
        self.owner_of_key(suite, &leaf.address, &leaf.signature_key)
    }

    /// As [`owner`](Self::owner), of a key package that names a device and would be a leaf with this signature key.
    #[must_use]
    pub fn owner_of_key(&self, suite: Suite, address: &DeviceAddress, signature_key: &[u8]) -> LeafOwner {
        match self.known.get(address.user_id()).and_then(|devices| devices.get(address.device_id())) {
            None => LeafOwner::Unknown,
            Some(Known::Invalid) => LeafOwner::Invalid,
            Some(Known::Removed) => LeafOwner::Removed,
            Some(Known::Valid(device)) if !device.supports(suite) => LeafOwner::OtherSuite,
            Some(Known::Valid(device)) if device.owns_leaf(suite, address, signature_key) => LeafOwner::Owned,
            Some(Known::Valid(_)) => LeafOwner::OtherKey,
        }
    }
}
