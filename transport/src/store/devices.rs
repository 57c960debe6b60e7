//! Local users' devices, their key packages and inboxes, and other servers' keys.

use std::sync::Arc;

use async_trait::async_trait;
use mimi_linearized::id::{DeviceId, ServerName, UserId};
use serde::{Deserialize, Serialize};

use super::{StoreError, encoding};

/// A key package that a device offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKeyPackage {
    /// Its algorithm's name.
    pub algorithm: String,
    /// The key package, as the device uploaded it.
    pub key: String,
    /// Whether it may be given out again and again once nothing else is left.
    pub last_resort: bool,
    /// When it expires, in milliseconds since the Unix epoch.
    pub expires: i64,
}

/// A key package that was given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The key package.
    pub key: String,
    /// How many of the device's one-time key packages of this algorithm are left that have not expired.
    pub remaining: u64,
    /// Whether it is the one of last resort.
    pub last_resort: bool,
}

/// Makes what a device's user is told of a claim: the inbox item's JSON, of the device and of how many one-time key
/// packages are left.
pub type ClaimNotice = fn(&DeviceId, u64) -> Arc<[u8]>;

/// Something for a local user to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxItem {
    /// Whose inbox.
    pub user_id: UserId,
    /// The item's JSON.
    #[serde(with = "encoding::bytes")]
    pub bytes: Arc<[u8]>,
    /// If set, an item with the same mark is put into the inbox only once.
    pub once: Option<String>,
}

/// The most responses with different keys that are kept of one server.
pub const MAX_KEY_RESPONSES: u32 = 64;

/// A server's key response as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKeys {
    /// The keys in it, written so that two responses with the same keys have the same text.
    pub key_set: String,
    /// The response's JSON.
    #[serde(with = "encoding::bytes")]
    pub response: Vec<u8>,
    /// When it was fetched, in milliseconds since the Unix epoch.
    pub fetched_at: i64,
}

/// Devices, key packages and inboxes of local users.
#[async_trait]
pub trait DeviceStore: Send + Sync + 'static {
    /// Publishes a device in place of an earlier one with its id, and adds key packages. A key package that the device
    /// has or had already is not added again, so that none is given out twice. Only what was never given out, and what
    /// was and is of last resort, can be added again after the device was removed in between.
    async fn put_device(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        object: Vec<u8>,
        key_packages: Vec<NewKeyPackage>,
    ) -> Result<(), StoreError>;

    /// Removes a device with its unclaimed key packages. Returns whether it existed.
    async fn remove_device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<bool, StoreError>;

    /// A device's object.
    async fn device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<Option<Vec<u8>>, StoreError>;

    /// The ids of a user's devices.
    async fn devices(&self, user_id: &UserId) -> Result<Vec<DeviceId>, StoreError>;

    /// Gives out a key package of a device that has not expired: the oldest one-time one, and the newest one of last
    /// resort only if there is none. A one-time key package is never given out twice, also after a crash. `now` is in
    /// milliseconds since the Unix epoch; a key package has expired once `expires` is reached.
    ///
    /// The device's user is told by `notice`: the key package is given out and the notice is in the inbox, or neither.
    async fn claim(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        algorithm: &str,
        now: i64,
        notice: ClaimNotice,
    ) -> Result<Option<Claimed>, StoreError>;

    /// Puts items into inboxes, all or none.
    async fn deliver(&self, items: Vec<InboxItem>) -> Result<(), StoreError>;

    /// The items of a user's inbox from place `from` on, at most `limit`, each with its place, counted from 0 for each
    /// user. Reading does not consume.
    async fn inbox(
        &self,
        user_id: &UserId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Arc<[u8]>)>, StoreError>;
}

/// Other servers' keys.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Every different response that was fetched from a server, in the order of `fetched_at`.
    async fn server_keys(&self, server: &ServerName) -> Result<Vec<StoredKeys>, StoreError>;

    /// Keeps a response, in place of an earlier one with the same keys. Of each server, the [`MAX_KEY_RESPONSES`] that
    /// were fetched last are kept.
    async fn put_server_keys(&self, server: &ServerName, keys: StoredKeys) -> Result<(), StoreError>;

    /// Forgets the keys of all but so many servers: of those of which the latest response is the oldest.
    async fn forget_server_keys(&self, servers: u64) -> Result<(), StoreError>;
}
