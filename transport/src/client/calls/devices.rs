//! Devices and their key packages (LM-04 §12.10).

use http::Method;
use mimi_linearized::id::{DeviceId, ServerName, UserId};
use mimi_linearized::json::Object;
use serde_json::json;

use super::{Again, take_object};
use crate::api::{claim_keys, user_device};
use crate::client::{ClientError, FederationClient};

impl FederationClient {
    /// The object that a device has signed, from its user's server:
    /// `GET /_matrix/federation/v1/user/:userId/device/:deviceId` (LM-04 §12.10.1.1).
    ///
    /// # Errors
    /// [`ClientError`] if the server does not answer with an object.
    pub async fn user_device(&self, user: &UserId, device: &DeviceId) -> Result<Object, ClientError> {
        self.ask(&user.server(), Method::GET, &user_device::paths(user, device), None, Again::Yes).await
    }

    /// Claims key packages of a server's users: `POST /_matrix/federation/v1/user/keys/claim` (LM-04 §12.10.3.1). `wanted`
    /// maps users to devices to algorithms. A key package that was given out is gone, so that this is tried once.
    ///
    /// # Errors
    /// [`ClientError`] if the server does not answer with key packages.
    pub async fn claim_keys(&self, server: &ServerName, wanted: &Object) -> Result<Object, ClientError> {
        let body = json!({"one_time_keys": wanted});
        let mut answer = self.ask(server, Method::POST, &claim_keys::paths(), Some(&body), Again::No).await?;
        take_object(&mut answer, "one_time_keys")
    }
}
