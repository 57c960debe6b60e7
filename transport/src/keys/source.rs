//! Where key responses come from.

use async_trait::async_trait;
use bytes::Bytes;
use mimi_linearized::id::ServerName;

use super::KEY_PATH;
use crate::api::query_keys;
use crate::client::{Attempts, CallLimits, ClientError, FederationClient, Retry};

/// The largest key response that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The largest answer of a notary that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Where key responses come from. [`FederationClient`] fetches them from the servers themselves, and from notaries.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// The body of the answer 200 to `GET /_matrix/key/v2/server` of `server`, not checked yet.
    ///
    /// # Errors
    /// Why there is none.
    async fn fetch(&self, server: &ServerName) -> Result<Bytes, ClientError>;

    /// The body of the answer 200 of `notary` to `GET /_matrix/key/v2/query/{server}`, for keys that are valid until
    /// `minimum_valid_until`, in milliseconds since the Unix epoch; not checked yet.
    ///
    /// # Errors
    /// Why there is none.
    async fn query(
        &self,
        notary: &ServerName,
        server: &ServerName,
        minimum_valid_until: i64,
    ) -> Result<Bytes, ClientError>;
}

#[async_trait]
impl KeySource for FederationClient {
    async fn fetch(&self, server: &ServerName) -> Result<Bytes, ClientError> {
        get(self, server, KEY_PATH, MAX_RESPONSE_BYTES).await
    }

    async fn query(
        &self,
        notary: &ServerName,
        server: &ServerName,
        minimum_valid_until: i64,
    ) -> Result<Bytes, ClientError> {
        let target = query_keys::target(server, Some(minimum_valid_until));
        get(self, notary, &target, MAX_ANSWER_BYTES).await
    }
}

async fn get(
    client: &FederationClient,
    server: &ServerName,
    target: &str,
    response_bytes: usize,
) -> Result<Bytes, ClientError> {
    let limits = CallLimits { response_bytes, ..CallLimits::default() };
    // A connection that is cut says nothing about the server, and every request signed with its keys is refused until
    // they are there. A server that is not there at all is left alone instead.
    let mut attempts = Attempts::new(Retry::default(), limits);
    loop {
        match client.get_unsigned(server, target, attempts.limits()).await {
            Ok(response) => return response.ok().cloned(),
            Err(error) if error.is_cut() => attempts.failed(error).await?,
            Err(error) => return Err(error),
        }
    }
}
