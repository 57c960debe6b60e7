//! `GET /_matrix/key/v2/query/:serverName` (LM-04 §12.4.1.3): another server's keys, from this server as a notary.
//!
//! What is required of it: `LM-04/12.4.1.3/1` to `LM-04/12.4.1.3/7`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use http::Method;
use mimi_linearized::id::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::openapi::Endpoint;
use super::serve::{Member, RawAnswer};
use super::server_keys::PublishedKeys;
use super::{Asking, PathParams, Paths, QueryParams, segment};
use crate::clock;
use crate::error::ApiError;
use crate::keys::{Asker, KeyCriteria, Notary};
use crate::node::Node;

/// The query parameter, and the member of the bulk query's criteria, that says how long keys have to be valid.
pub const MINIMUM: &str = "minimum_valid_until_ts";

/// What a notary answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct NotaryAnswer {
    /// Key responses, each signed by the notary beside its own server.
    pub server_keys: Vec<PublishedKeys>,
}

/// The path and query with which a notary is asked for the keys of `server` that are valid until `minimum`, in
/// milliseconds since the Unix epoch; the notary's present time unless given (`LM-04/12.4.1.3/2`).
#[must_use]
pub fn target(server: &ServerName, minimum: Option<i64>) -> String {
    let path = format!("/_matrix/key/v2/query/{}", segment(server.as_str()));
    minimum.map_or_else(|| path.clone(), |minimum| format!("{path}?{MINIMUM}={minimum}"))
}

/// Answers with what [`Notary`] has of the server, after asking it. No authentication, no rate limit. A text that is no
/// server name is a server that cannot be reached (reading R41).
///
/// # Errors
/// `M_BAD_JSON` if the minimum is no integer.
pub async fn handle(
    State(node): State<Node>,
    Asking(asker): Asking,
    path: PathParams,
    query: QueryParams,
) -> Result<RawAnswer, ApiError> {
    let minimum = match query.first(MINIMUM) {
        None => clock::now_ms(),
        Some(text) => {
            text.parse().map_err(|_| ApiError::bad_json(format!("`{MINIMUM}` must be an integer")))?
        }
    };
    let wanted =
        ServerName::parse(path.text("server")).ok().map(|server| (server, KeyCriteria::All(minimum)));
    Ok(answer(&node, asker, wanted.into_iter().collect()).await)
}

/// The answer of both kinds of query (`LM-04/12.4.1.4/1`).
pub(super) async fn answer(
    node: &Node,
    asker: Asker,
    wanted: BTreeMap<ServerName, KeyCriteria>,
) -> RawAnswer {
    let notary = Notary { name: &node.name, own: &node.own_keys, keys: node.keys.on_behalf_of(asker) };
    let objects: Vec<Arc<[u8]>> = notary.answer(wanted).await;
    RawAnswer::of_members(&[("server_keys", Member::Events(&objects))])
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let path = Paths::stable("/_matrix/key/v2/query/{server}".to_owned());
    Endpoint::new::<NotaryAnswer>(Method::GET, path, "12.4.1.3", "A server's keys, by way of a notary")
        .optional_query::<i64>(
            MINIMUM,
            "Until when the keys have to be valid, in milliseconds since the Unix epoch.",
        )
        .unauthenticated()
        .unlimited()
}
