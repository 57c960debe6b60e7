//! What another process of the same server has answered is known here before the next request is answered.

use std::time::Duration;

use axum::extract::{OriginalUri, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::node::Node;

/// How long a request waits to be judged by what all processes know. If the log does not answer, it is judged by what this
/// one knows.
const PATIENCE: Duration = Duration::from_secs(1);

/// Follows the log as far as it goes now, for requests about rooms and users.
pub(crate) async fn fresh(State(node): State<Node>, request: Request, next: Next) -> Response {
    let original = request.extensions().get::<OriginalUri>().map(|original| original.0.path());
    let path = original.unwrap_or_else(|| request.uri().path());
    if path.starts_with("/_matrix/federation/") || path.starts_with("/control/") {
        node.store.freshen(PATIENCE).await;
    }
    next.run(request).await
}
