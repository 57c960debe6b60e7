//! Joining, leaving, inviting, knocking, kicking and banning.

use axum::extract::State;
use mimi_linearized::auth::Membership;
use mimi_linearized::id::ServerName;
use mimi_linearized::json::Object;
use serde_json::Value;

use super::{finish, optional_text, sent, text, user};
use crate::api::{Answer, JsonBody, PathParams};
use crate::error::ApiError;
use crate::node::Node;

/// `POST /rooms/{room}/membership`
pub(super) async fn change(
    State(node): State<Node>,
    path: PathParams,
    JsonBody(body): JsonBody,
) -> Result<Answer, ApiError> {
    let room_id = path.room()?;
    let sender = user(&node, text(&body, "sender")?)?;
    let target = user(&node, text(&body, "target")?)?;
    let membership = text(&body, "membership")?;
    let membership = Membership::parse(membership)
        .ok_or_else(|| ApiError::bad_json(format!("there is no membership {membership:?}")))?;
    let reason = optional_text(&body, "reason")?.map(ToOwned::to_owned);
    let via = servers(&body)?;
    let work = async move {
        Ok(node.change_membership(&room_id, &sender, &target, membership, reason, &via).await?)
    };
    Ok(sent(&finish(work).await?))
}

/// The servers in `via`.
fn servers(body: &Object) -> Result<Vec<ServerName>, ApiError> {
    let wrong = || ApiError::bad_json("`via` must be an array of server names");
    match body.get("via") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(names)) => {
            let parse =
                |name: &Value| ServerName::parse(name.as_str().ok_or_else(wrong)?).map_err(|_| wrong());
            names.iter().map(parse).collect()
        }
        Some(_) => Err(wrong()),
    }
}
