//! Requests to this server: each has an id, a line in the log, and a place in the numbers.

use std::time::Instant;

use axum::extract::{MatchedPath, OriginalUri, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::request_id::{REQUEST_ID, RequestId};
use crate::error::ApiError;
use crate::limits::Family;
use crate::node::Node;

/// Where requests with a method that nobody knows are counted, and those with a path that nobody has.
const OTHER: &str = "other";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Other servers.
    Federation,
    /// Who uses the control API.
    Control,
}

impl Side {
    fn as_str(self) -> &'static str {
        match self {
            Self::Federation => "federation",
            Self::Control => "control",
        }
    }
}

/// Answers a request with its id, and takes note of it.
pub(crate) async fn observe(
    State((node, side)): State<(Node, Side)>,
    request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(RequestId::of_header);
    let id = given.unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let method = request.method().clone();
    let path = match request.extensions().get::<OriginalUri>() {
        Some(original) => original.0.path().to_owned(),
        None => request.uri().path().to_owned(),
    };
    let span = tracing::info_span!("request", %id, %method, path, origin = Empty);
    async move {
        let began = Instant::now();
        let mut response = match node.lifecycle.enter(changes(side, &method, route.as_deref())) {
            Some(_working) => next.run(request).await,
            None => ApiError::going_away().into_response(),
        };
        response.headers_mut().insert(REQUEST_ID, id.to_header());
        let (status, took) = (response.status(), began.elapsed());
        let endpoint = route.as_deref().unwrap_or(OTHER);
        node.metrics.answered(side.as_str(), endpoint, known(&method), status.as_u16(), took);
        if status == StatusCode::TOO_MANY_REQUESTS && side == Side::Federation {
            node.metrics.rate_limited(Family::of(&method, endpoint).as_str());
        }
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match side {
            Side::Federation => tracing::info!(status = status.as_u16(), ms, "answered"),
            Side::Control => tracing::debug!(status = status.as_u16(), ms, "answered"),
        }
        response
    }
    .instrument(span)
    .await
}

/// Whether a request may make work that outlasts it. Others are answered also when the server is coming to its end:
/// whoever is sent the last of the queues may have to ask for the keys that it is signed with.
fn changes(side: Side, method: &Method, route: Option<&str>) -> bool {
    let asks = *method == Method::GET
        || (side == Side::Federation && route.is_some_and(|route| route.starts_with("/_matrix/key/")));
    !asks && route.is_some()
}

fn known(method: &Method) -> &str {
    match *method {
        Method::GET | Method::POST | Method::PUT | Method::DELETE | Method::HEAD | Method::OPTIONS => {
            method.as_str()
        }
        _ => OTHER,
    }
}
