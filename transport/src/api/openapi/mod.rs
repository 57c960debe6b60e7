//! The endpoints between servers as an OpenAPI 3.1 document, made of the types in their files.
//!
//! `transport/federation-api.json` is what [`document`] gives; a test compares the two, and others hold the document
//! against the router and against what servers ask and answer. After a change:
//!
//! ```sh
//! cargo run -p mimi-transport --example federation_api > transport/federation-api.json
//! ```
//!
//! An endpoint is described by `describe` in its own file, and listed in `ENDPOINTS`.

mod endpoint;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

pub(super) use self::endpoint::Endpoint;
use super::{
    backfill, claim_keys, commit_message, commit_tree, event, invite, make_join, make_knock, make_leave,
    media_download, query_keys, query_keys_bulk, send, send_join, send_knock, send_leave, server_keys, state,
    state_ids, upload_commit, user_device,
};

/// Every endpoint, in the order of the draft.
const ENDPOINTS: &[fn() -> Endpoint] = &[
    server_keys::describe,
    query_keys::describe,
    query_keys_bulk::describe,
    send::describe,
    event::describe,
    state::describe,
    state_ids::describe,
    backfill::describe,
    invite::describe,
    make_leave::describe,
    send_leave::describe,
    make_join::describe,
    send_join::describe,
    make_knock::describe,
    send_knock::describe,
    user_device::describe,
    claim_keys::describe,
    upload_commit::describe,
    commit_message::describe,
    commit_tree::describe,
    media_download::describe,
];

/// What the document says of itself.
const ABOUT: &str = "\
What Linearized Matrix servers ask each other (draft-ralston-mimi-linearized-matrix-04, §12), over HTTP/2 and TLS 1.3.

- Every segment of a path and every value of a query is percent-encoded. A path with a trailing slash is another path.
- A path or method that a server does not have is answered 404 or 405 with `M_UNRECOGNIZED`.
- A reader ignores members that it does not know.
- Where an endpoint exists under an unstable prefix too, both paths are one endpoint.";

/// The document.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = SchemaGenerator::new(settings);
    let mut paths = Map::new();
    for describe in ENDPOINTS {
        for (path, method, operation) in describe().operations(&mut schemas) {
            let at = paths.entry(path).or_insert_with(|| json!({}));
            if let Some(methods) = at.as_object_mut() {
                methods.insert(method, operation);
            }
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Linearized Matrix between servers",
            "version": "04",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
            "description": ABOUT,
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                endpoint::X_MATRIX: {
                    "type": "http",
                    "scheme": endpoint::X_MATRIX,
                    "description": "A signature over method, target, both servers' names and body (LM-04 §12.4).",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests;
