//! What clients show of events. A server does not look into contents; the library for clients does.

use axum::extract::State;
use mimi_linearized::content::Kind;
use mimi_linearized::content::render::{self, Capabilities};
use serde_json::{Value, json};

use super::{object, text};
use crate::api::{Answer, JsonBody};
use crate::error::ApiError;
use crate::node::Node;

/// `POST /unstable/org.mimi-interop.content/render`
pub(super) async fn render(State(_): State<Node>, JsonBody(mut body): JsonBody) -> Result<Answer, ApiError> {
    let kind = text(&body, "type")?.to_owned();
    let content = object(&mut body, "content")?;
    let mut capabilities = Capabilities::all();
    for without in without(body.get("without"))? {
        capabilities = capabilities.without(Kind::of(without));
    }
    let shown = render::render(&kind, &content, &capabilities);
    Ok(Answer(json!({"text": shown.text, "html": shown.html})))
}

/// The event types whose kinds are not known.
fn without(list: Option<&Value>) -> Result<Vec<&str>, ApiError> {
    match list {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => {
            let texts = list.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
            texts.ok_or_else(|| ApiError::bad_json("`without` must be an array of strings"))
        }
        Some(_) => Err(ApiError::bad_json("`without` must be an array of strings")),
    }
}
