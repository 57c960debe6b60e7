//! Devices, inboxes and keys that are remembered wrongly.

use std::sync::Arc;

use async_trait::async_trait;
use mimi_linearized::id::{DeviceId, ServerName, UserId};
use mimi_transport::store::{
    ClaimNotice, Claimed, DeviceStore, InboxItem, KeyStore, NewKeyPackage, StoreError, StoredKeys, UserStore,
};

use super::{Spoilt, StoreFault as Fault};

#[async_trait]
impl DeviceStore for Spoilt {
    async fn put_device(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        mut object: Vec<u8>,
        mut key_packages: Vec<NewKeyPackage>,
    ) -> Result<(), StoreError> {
        if self.is(Fault::FirstDevice)
            && let Some(first) = self.inner.device(user_id, device_id).await?
        {
            object = first;
        }
        if self.is(Fault::PackagesLost) {
            key_packages.clear();
        }
        self.inner.put_device(user_id, device_id, object, key_packages).await
    }

    async fn remove_device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<bool, StoreError> {
        if self.is(Fault::DevicesKept) {
            return Ok(self.inner.device(user_id, device_id).await?.is_some());
        }
        self.inner.remove_device(user_id, device_id).await
    }

    async fn device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<Option<Vec<u8>>, StoreError> {
        if self.is(Fault::DevicesForgotten) {
            return Ok(None);
        }
        self.inner.device(user_id, device_id).await
    }

    async fn devices(&self, user_id: &UserId) -> Result<Vec<DeviceId>, StoreError> {
        self.inner.devices(user_id).await
    }

    async fn claim(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        algorithm: &str,
        now: i64,
        notice: ClaimNotice,
    ) -> Result<Option<Claimed>, StoreError> {
        let claimed = self.inner.claim(user_id, device_id, algorithm, now, notice).await?;
        if self.is(Fault::ClaimsRepeated) {
            return Ok(self.first(format!("{user_id} {device_id} {algorithm}"), claimed));
        }
        Ok(claimed)
    }

    async fn deliver(&self, mut items: Vec<InboxItem>) -> Result<(), StoreError> {
        match self.fault {
            Fault::InboxLost => return Ok(()),
            Fault::InboxOfOne => items.truncate(1),
            Fault::InboxTwice => {
                items.iter_mut().for_each(|item| item.once = None);
                items.extend(items.clone());
            }
            _ => {}
        }
        self.inner.deliver(items).await
    }

    async fn inbox(
        &self,
        user_id: &UserId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Arc<[u8]>)>, StoreError> {
        self.inner.inbox(user_id, from, limit).await
    }
}

#[async_trait]
impl KeyStore for Spoilt {
    async fn server_keys(&self, server: &ServerName) -> Result<Vec<StoredKeys>, StoreError> {
        self.inner.server_keys(server).await
    }

    async fn put_server_keys(&self, server: &ServerName, keys: StoredKeys) -> Result<(), StoreError> {
        self.inner.put_server_keys(server, keys).await
    }

    async fn forget_server_keys(&self, servers: u64) -> Result<(), StoreError> {
        self.inner.forget_server_keys(servers).await
    }
}

#[async_trait]
impl UserStore for Spoilt {
    async fn invite_permissions(&self, user_id: &UserId) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.invite_permissions(user_id).await
    }

    async fn put_invite_permissions(&self, user_id: &UserId, permissions: Vec<u8>) -> Result<(), StoreError> {
        self.inner.put_invite_permissions(user_id, permissions).await
    }
}
