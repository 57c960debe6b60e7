//! What the suite's servers publish of the devices that cases make.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// The device objects of a case. Every device that a case makes is published as long as the case does not withhold it:
/// a hub may ask its server for it before it comes into a group (reading R39).
#[derive(Debug, Default)]
pub(crate) struct Published(Mutex<BTreeMap<(String, String), Value>>);

impl Published {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<(String, String), Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes an object in place of an earlier one of the device.
    pub(crate) fn publish(&self, user: &str, device: &str, object: Value) {
        self.objects().insert((user.to_owned(), device.to_owned()), object);
    }

    /// Publishes nothing any more of a device.
    pub(crate) fn withhold(&self, user: &str, device: &str) {
        self.objects().remove(&(user.to_owned(), device.to_owned()));
    }

    /// What is published of a device.
    pub(crate) fn of(&self, user: &str, device: &str) -> Option<Value> {
        self.objects().get(&(user.to_owned(), device.to_owned())).cloned()
    }
}
