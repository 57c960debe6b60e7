//! Nobody outside is contacted: not for events, not for keys, and not by way of others.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mimi_linearized::id::ServerName;

use super::{FederationPolicy, Outsider};
use crate::client::{CallLimits, Carrier, ClientError, Message, Response, Streamed};
use crate::keys::KeySource;

impl From<Outsider> for ClientError {
    fn from(Outsider(server): Outsider) -> Self {
        Self::Outsider(server)
    }
}

/// Stands before whatever carries requests: a name that is outside is not even resolved.
struct Guard {
    policy: FederationPolicy,
    inner: Arc<dyn Carrier>,
}

/// Puts the policy before a carrier.
pub(crate) fn guarded(policy: FederationPolicy, inner: Arc<dyn Carrier>) -> Arc<dyn Carrier> {
    Arc::new(Guard { policy, inner })
}

#[async_trait]
impl Carrier for Guard {
    async fn carry(
        &self,
        destination: &ServerName,
        message: Message,
        limits: CallLimits,
    ) -> Result<Response, ClientError> {
        self.policy.check(destination)?;
        self.inner.carry(destination, message, limits).await
    }

    async fn stream(
        &self,
        destination: &ServerName,
        message: Message,
        limits: CallLimits,
    ) -> Result<Streamed, ClientError> {
        self.policy.check(destination)?;
        self.inner.stream(destination, message, limits).await
    }
}

/// Where keys come from, inside. A notary inside is not asked about somebody outside either: it would do the asking.
pub(crate) struct GuardedKeys<S> {
    pub(crate) policy: FederationPolicy,
    pub(crate) source: S,
}

#[async_trait]
impl<S: KeySource> KeySource for GuardedKeys<S> {
    async fn fetch(&self, server: &ServerName) -> Result<Bytes, ClientError> {
        self.policy.check(server)?;
        self.source.fetch(server).await
    }

    async fn query(
        &self,
        notary: &ServerName,
        server: &ServerName,
        minimum_valid_until: i64,
    ) -> Result<Bytes, ClientError> {
        self.policy.check(server)?;
        self.source.query(notary, server, minimum_valid_until).await
    }
}
