//! `GET /_matrix/federation/v1/user/:userId/device/:deviceId` (LM-04 §12.10.1.1): a device's signed object.
//!
//! What is required of it: `LM-04/12.10.1.1/1` to `LM-04/12.10.1.1/4`.

use std::time::Duration;

use axum::extract::State;
use http::Method;
use mimi_linearized::id::{DeviceId, UserId};
use mimi_linearized::json::Object;
use serde_json::Value;

use super::openapi::Endpoint;
use super::shapes::Device;
use super::{Answer, Authenticated, PathParams, Paths, failed, segment};
use crate::client::CallLimits;
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::RoomError;

/// How long a server is waited for, as others may be waiting for this one meanwhile, and the size of an answer: a device
/// object has less than a kilobyte for each of its keys.
const LIMITS: CallLimits = CallLimits { timeout: Duration::from_secs(10), response_bytes: 64 * 1024 };

/// The paths of a device.
#[must_use]
pub fn paths(user: &UserId, device: &DeviceId) -> Paths {
    let rest = format!("/user/{}/device/{}", segment(user.as_str()), segment(device.as_str()));
    Paths::both("/_matrix/federation/v1", &rest)
}

/// Answers with the object that the device published, unchanged.
///
/// # Errors
/// `M_NOT_FOUND` if the user is not this server's, or has no such device.
pub async fn handle(
    State(node): State<Node>,
    path: PathParams,
    _request: Authenticated,
) -> Result<Answer, ApiError> {
    let (user, device) = (path.user()?, path.device()?);
    let object = node.local_device(&user, &device).await?;
    object.map(|object| Answer(Value::Object(object))).ok_or_else(|| ApiError::not_found("no such device"))
}

/// Asks the user's server for a device. The object is not checked here.
///
/// # Errors
/// [`RoomError`] if the server does not answer with an object.
pub async fn call(node: &Node, user: &UserId, device: &DeviceId) -> Result<Object, RoomError> {
    let client = node.client.with_limits(LIMITS);
    client.user_device(user, device).await.map_err(failed(&user.server()))
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let paths = Paths::both("/_matrix/federation/v1", "/user/{user}/device/{device}");
    Endpoint::new::<Device>(Method::GET, paths, "12.10.1.1", "A device of this server's user")
        .refuses([ApiError::not_found("")])
}
