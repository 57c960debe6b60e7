//! Media of local users, and what they see of others' (reading R51).

use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use mimi_linearized::base64;
use mimi_linearized::id::ServerName;
use serde_json::{Value, json};

use super::users::local_user;
use crate::api::{Answer, PathParams, QueryParams};
use crate::error::ApiError;
use crate::media::{About, MediaError, MediaId, MxcUri, OwnItem};
use crate::node::Node;

fn no_such_item() -> ApiError {
    MediaError::NotFound.into()
}

/// `POST /users/{user}/media`
pub(super) async fn upload(
    State(node): State<Node>,
    path: PathParams,
    query: QueryParams,
    request: Request,
) -> Result<Answer, ApiError> {
    let user = local_user(&node, &path)?;
    let (parts, body) = request.into_parts();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    // What says that it is too large is not read.
    let announced = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let limit = node.media.settings().max_bytes;
    if announced.is_some_and(|length| length > limit) {
        return Err(MediaError::TooLarge(limit).into());
    }
    let about = About::new(header(CONTENT_TYPE), query.first("filename"));
    let uploaded = node.media.upload(&user, about, body).await?;
    let sha256 = base64::encode(&uploaded.sha256);
    Ok(Answer(json!({"content_uri": uploaded.uri.to_string(), "sha256": sha256, "size": uploaded.size})))
}

/// `GET /users/{user}/media`
pub(super) async fn list(State(node): State<Node>, path: PathParams) -> Result<Answer, ApiError> {
    let user = local_user(&node, &path)?;
    let (used, items) = node.media.of_user(&user).await?;
    let item = |item: OwnItem| {
        json!({
            "content_uri": item.uri.to_string(), "sha256": base64::encode(&item.sha256), "size": item.size,
            "content_type": item.about.content_type, "filename": item.about.filename,
        })
    };
    let items: Vec<Value> = items.into_iter().map(item).collect();
    Ok(Answer(json!({"used": used, "quota": node.media.settings().quota_bytes, "items": items})))
}

/// `DELETE /users/{user}/media/{media}`
pub(super) async fn delete(State(node): State<Node>, path: PathParams) -> Result<Answer, ApiError> {
    let user = local_user(&node, &path)?;
    let id = MediaId::parse(path.text("media")).ok_or_else(no_such_item)?;
    node.media.delete(&user, &id).await?;
    Ok(Answer(json!({})))
}

/// `GET /media/{server}/{media}`
pub(super) async fn get(State(node): State<Node>, path: PathParams) -> Result<Response, ApiError> {
    let server = ServerName::parse(path.text("server")).map_err(|_| no_such_item())?;
    let id = MediaId::parse(path.text("media")).ok_or_else(no_such_item)?;
    let uri = MxcUri { server, id };
    node.policy.check(&uri.server).map_err(MediaError::from)?;
    Ok(node.media.get(&node.client, &uri).await?.into_plain())
}
