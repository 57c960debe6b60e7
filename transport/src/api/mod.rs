//! The endpoints of LM-04 §12, one file each: what is sent, what is answered, how this server answers, and how it asks.
//!
//! Every request goes through the same steps in the same order (reading R18): path and method, size, JSON,
//! authentication, form, and then the endpoint's own refusals. How much and how often is checked beside them, as early
//! as it can be told ([`crate::limits`]).

mod asking;
pub mod backfill;
pub mod claim_keys;
pub mod commit_message;
pub mod commit_tree;
pub mod event;
mod incoming;
pub mod invite;
pub mod make;
pub mod make_join;
pub mod make_knock;
pub mod make_leave;
pub mod media_download;
pub mod openapi;
mod outgoing;
pub mod query_keys;
pub mod query_keys_bulk;
mod routes;
pub mod send;
pub mod send_join;
pub mod send_knock;
pub mod send_leave;
pub mod serve;
pub mod server_keys;
pub mod shapes;
pub mod state;
pub mod state_ids;
pub mod upload_commit;
pub mod user_device;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};

pub use asking::Asking;
pub use incoming::{Answer, Authenticated, JsonBody, PathParams, QueryParams};
use outgoing::failed;
pub(crate) use outgoing::segment;

use self::incoming::value_of;
use self::routes::Routes;

use crate::error::ApiError;
use crate::limits::admit;
use crate::node::Node;

/// The prefix under which endpoints that Matrix does not have are reachable until they are final (LM-04 §12.5.1).
pub const UNSTABLE_PREFIX: &str =
    "/_matrix/federation/unstable/org.matrix.i-d.ralston-mimi-linearized-matrix.02";

/// The prefix of what this project has for rooms that are too large for their events (reading R35).
pub const LARGE_ROOMS_PREFIX: &str = "/_matrix/federation/unstable/org.mimi-interop.large-rooms";

/// A path in its final form and, where the draft gives one, its unstable form (reading R24).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The final form.
    pub stable: String,
    /// The unstable form.
    pub unstable: Option<String>,
}

impl Paths {
    /// A path with only a final form.
    pub(crate) fn stable(path: String) -> Self {
        Self { stable: path, unstable: None }
    }

    /// A path below the final prefix `base` and below the unstable prefix.
    pub(crate) fn both(base: &str, rest: &str) -> Self {
        Self { stable: format!("{base}{rest}"), unstable: Some(format!("{UNSTABLE_PREFIX}{rest}")) }
    }
}

/// All endpoints that other servers use.
pub fn router(node: Node) -> Router {
    routes()
        .into_router()
        .fallback(|| async { ApiError::unrecognized() })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(from_fn_with_state(node.clone(), admit))
        .with_state(node)
}

/// The templates of the paths that [`router`] has.
#[must_use]
pub fn route_paths() -> Vec<String> {
    routes().paths()
}

/// What [`router`] is made of.
fn routes() -> Routes {
    const V1: &str = "/_matrix/federation/v1";
    const V2: &str = "/_matrix/federation/v2";
    const V3: &str = "/_matrix/federation/v3";
    let mut router = Routes::default()
        .route("/_matrix/key/v2/server", get(server_keys::handle))
        .route("/_matrix/key/v2/query/{server}", get(query_keys::handle))
        .route(query_keys_bulk::PATH, post(query_keys_bulk::handle))
        .route(&format!("{V1}/state/{{room}}"), get(state::handle))
        .route(&format!("{V1}/state_ids/{{room}}"), get(state_ids::handle))
        .route(&format!("{V1}/make_join/{{room}}/{{user}}"), get(make_join::handle))
        .route(&format!("{V1}/make_leave/{{room}}/{{user}}"), get(make_leave::handle))
        .route(&format!("{V1}/make_knock/{{room}}/{{user}}"), get(make_knock::handle))
        .route(&format!("{V1}/user/keys/claim"), post(claim_keys::handle))
        .route(&format!("{LARGE_ROOMS_PREFIX}/message/{{event}}"), get(commit_message::handle))
        .route(&format!("{LARGE_ROOMS_PREFIX}/tree/{{event}}"), get(commit_tree::handle))
        .route(&format!("{LARGE_ROOMS_PREFIX}/upload/{{room}}"), post(upload_commit::handle));
    for (base, rest, method) in [
        (V2, "/send/{txn}", put(send::handle)),
        (V2, "/event/{event}", get(event::handle)),
        (V2, "/backfill/{room}", get(backfill::handle)),
        (V3, "/invite/{txn}", post(invite::handle)),
        (V3, "/send_join/{txn}", post(send_join::handle)),
        (V3, "/send_leave/{txn}", post(send_leave::handle)),
        (V3, "/send_knock/{txn}", post(send_knock::handle)),
        (V1, "/user/{user}/device/{device}", get(user_device::handle)),
    ] {
        let paths = Paths::both(base, rest);
        router = router.route(&paths.stable, method.clone());
        if let Some(unstable) = &paths.unstable {
            router = router.route(unstable, method);
        }
    }
    let media = media_download::templates();
    for path in std::iter::once(&media.stable).chain(&media.unstable) {
        router = router.route(path, get(media_download::handle));
    }
    router
}
