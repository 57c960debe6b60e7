//! Servers' keys.

use mimi_linearized::id::ServerName;
use mimi_linearized::signing::ServerKeys;

use super::unusable;
use crate::client::{ClientError, FederationClient};
use crate::keys::KeySource as _;

impl FederationClient {
    /// A server's keys, from the server itself: `GET /_matrix/key/v2/server` (LM-04 §12.4.1.2). It is made sure that the
    /// answer is that server's and signed by its own keys. This asks anew each time; [`crate::keys::RemoteKeys`] keeps
    /// what was fetched, and leaves alone who does not answer.
    ///
    /// # Errors
    /// [`ClientError`] if there is no such answer.
    pub async fn server_keys(&self, server: &ServerName) -> Result<ServerKeys, ClientError> {
        let bytes = self.fetch(server).await?;
        let value = mimi_linearized::json::strict::parse(&bytes).map_err(ClientError::NotJson)?;
        let keys =
            ServerKeys::parse(value).map_err(|error| unusable(format!("the key response: {error}")))?;
        if keys.server_name() == server {
            Ok(keys)
        } else {
            Err(unusable(format!("the key response is that of {}", keys.server_name())))
        }
    }
}
