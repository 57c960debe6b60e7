//! Devices, key packages, inboxes, and other servers' keys.

use std::sync::Arc;

use async_trait::async_trait;
use mimi_linearized::id::{DeviceId, ServerName, UserId};

use super::super::command::{Command, Outcome};
use super::super::{
    ClaimNotice, Claimed, DeviceStore, InboxItem, KeyStore, NewKeyPackage, StoreError, StoredKeys, UserStore,
};
use super::{NatsStore, unexpected};

#[async_trait]
impl DeviceStore for NatsStore {
    async fn put_device(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        object: Vec<u8>,
        key_packages: Vec<NewKeyPackage>,
    ) -> Result<(), StoreError> {
        let (user_id, device_id) = (user_id.clone(), device_id.clone());
        self.change(Command::PutDevice { user_id, device_id, object, key_packages }).await
    }

    async fn remove_device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<bool, StoreError> {
        let command = Command::RemoveDevice { user_id: user_id.clone(), device_id: device_id.clone() };
        match self.log.run(command).await? {
            Outcome::Removed(existed) => Ok(existed),
            _ => Err(unexpected()),
        }
    }

    async fn device(&self, user_id: &UserId, device_id: &DeviceId) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(object) = self.log.view.device(user_id, device_id).await? {
            return Ok(Some(object));
        }
        self.log.catch_up().await?;
        self.log.view.device(user_id, device_id).await
    }

    async fn devices(&self, user_id: &UserId) -> Result<Vec<DeviceId>, StoreError> {
        self.log.view.devices(user_id).await
    }

    async fn claim(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        algorithm: &str,
        now: i64,
        notice: ClaimNotice,
    ) -> Result<Option<Claimed>, StoreError> {
        let foresee = || self.log.view.foresee_claim(user_id, device_id, algorithm, now);
        // The notice is written here, since no other process knows how. If another one takes the key package first, it
        // is written anew for the next.
        let _one_at_a_time = self.claims.lock().await;
        loop {
            let foreseen = match foresee().await? {
                Some(foreseen) => Some(foreseen),
                None => {
                    self.log.catch_up().await?;
                    foresee().await?
                }
            };
            let Some(claimed) = foreseen else { return Ok(None) };
            let command = Command::Claim {
                user_id: user_id.clone(),
                device_id: device_id.clone(),
                algorithm: algorithm.to_owned(),
                now,
                notice: notice(device_id, claimed.remaining).to_vec(),
                claimed: claimed.clone(),
            };
            match self.log.run(command).await? {
                Outcome::Claimed => return Ok(Some(claimed)),
                Outcome::NotItsTurn => {}
                _ => return Err(unexpected()),
            }
        }
    }

    async fn deliver(&self, items: Vec<InboxItem>) -> Result<(), StoreError> {
        if items.is_empty() {
            return Ok(());
        }
        self.change(Command::Deliver(items)).await
    }

    async fn inbox(
        &self,
        user_id: &UserId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Arc<[u8]>)>, StoreError> {
        self.log.view.inbox(user_id, from, limit).await
    }
}

#[async_trait]
impl KeyStore for NatsStore {
    async fn server_keys(&self, server: &ServerName) -> Result<Vec<StoredKeys>, StoreError> {
        self.log.view.server_keys(server).await
    }

    async fn put_server_keys(&self, server: &ServerName, keys: StoredKeys) -> Result<(), StoreError> {
        self.change(Command::PutServerKeys { server: server.clone(), keys }).await
    }

    async fn forget_server_keys(&self, servers: u64) -> Result<(), StoreError> {
        self.change(Command::ForgetServerKeys { servers }).await
    }
}

#[async_trait]
impl UserStore for NatsStore {
    async fn invite_permissions(&self, user_id: &UserId) -> Result<Option<Vec<u8>>, StoreError> {
        self.log.view.invite_permissions(user_id).await
    }

    async fn put_invite_permissions(&self, user_id: &UserId, permissions: Vec<u8>) -> Result<(), StoreError> {
        self.change(Command::PutInvitePermissions { user_id: user_id.clone(), permissions }).await
    }
}
