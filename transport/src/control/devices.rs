//! Publishing and removing devices of this server's users.

use axum::extract::State;
use serde_json::{Value, json};

use super::{finish, user};
use crate::api::{Answer, JsonBody, PathParams};
use crate::devices::{NewDevice, OfferedKey};
use crate::error::ApiError;
use crate::node::Node;

/// `POST /devices`
pub(super) async fn publish(
    State(node): State<Node>,
    JsonBody(mut body): JsonBody,
) -> Result<Answer, ApiError> {
    let device = body.remove("device").ok_or_else(|| ApiError::bad_json("`device` is missing"))?;
    let key_packages = match body.remove("key_packages") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(keys)) => keys.iter().map(offered).collect::<Result<_, _>>()?,
        Some(_) => return Err(ApiError::bad_json("`key_packages` must be an array")),
    };
    finish(async move { Ok(node.publish_device(NewDevice { device, key_packages }).await?) }).await?;
    Ok(Answer(json!({})))
}

fn offered(key: &Value) -> Result<OfferedKey, ApiError> {
    let last_resort = match key.get("last_resort") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(last_resort)) => *last_resort,
        Some(_) => return Err(ApiError::bad_json("`last_resort` must be a boolean")),
    };
    match key.get("key") {
        Some(Value::String(key)) => Ok(OfferedKey { key: key.clone(), last_resort }),
        _ => Err(ApiError::bad_json("a key package has a string `key`")),
    }
}

/// `DELETE /devices/{user}/{device}`
pub(super) async fn remove(State(node): State<Node>, path: PathParams) -> Result<Answer, ApiError> {
    let (user, device) = (user(&node, path.text("user"))?, path.device()?);
    let existed = finish(async move { Ok(node.remove_device(&user, &device).await?) }).await?;
    if existed { Ok(Answer(json!({}))) } else { Err(ApiError::not_found("no such device")) }
}
