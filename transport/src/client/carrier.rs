//! What carries requests to other servers.

use std::sync::Arc;

use async_trait::async_trait;
use mimi_linearized::id::ServerName;
use rustls::ClientConfig;

use super::pool::Pool;
use super::{CallLimits, ClientError, ClientLimits, Message, Response, Streamed};
use crate::resolve::Locate;

/// Carries a request to a server and brings its answer. The connections of a [`FederationClient`](super::FederationClient) do so; whatever watches, delays or spoils
/// requests can stand before it (see [`Assembly`](crate::assembly::Assembly)).
#[async_trait]
pub trait Carrier: Send + Sync + 'static {
    /// Sends the request, signed as it is, and returns the whole answer.
    ///
    /// # Errors
    /// [`ClientError`] if there is none.
    async fn carry(
        &self,
        destination: &ServerName,
        message: Message,
        limits: CallLimits,
    ) -> Result<Response, ClientError>;

    /// As [`Carrier::carry`], with the body of the answer read as it comes. Unless implemented, it comes whole.
    ///
    /// # Errors
    /// As [`Carrier::carry`].
    async fn stream(
        &self,
        destination: &ServerName,
        message: Message,
        limits: CallLimits,
    ) -> Result<Streamed, ClientError> {
        let Response { status, headers, body, .. } = self.carry(destination, message, limits).await?;
        Ok(Streamed { status, headers, body: body.into() })
    }
}

/// Carries requests over connections to the servers themselves, of which one is kept for each.
#[must_use]
pub(crate) fn connections(
    resolver: Arc<dyn Locate>,
    tls: Arc<ClientConfig>,
    limits: ClientLimits,
) -> Arc<dyn Carrier> {
    Arc::new(Pool::new(resolver, tls, limits))
}

#[async_trait]
impl Carrier for Pool {
    async fn carry(
        &self,
        destination: &ServerName,
        message: Message,
        limits: CallLimits,
    ) -> Result<Response, ClientError> {
        super::exchange(self, destination, message, limits).await
    }

    async fn stream(
        &self,
        destination: &ServerName,
        message: Message,
        _limits: CallLimits,
    ) -> Result<Streamed, ClientError> {
        super::download::stream(self, destination, message).await
    }
}
