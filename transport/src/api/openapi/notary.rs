//! A notary's endpoints as the draft has them (LM-04 §12.4.1.3, §12.4.1.4).

use std::collections::BTreeMap;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Endpoint;
use crate::api::Paths;
use crate::api::server_keys::PublishedKeys;

/// The path of both.
const PATH: &str = "/_matrix/key/v2/query";

/// What is asked for: by server and key id.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "KeyQuery")]
pub(super) struct Query {
    /// The servers, each with the ids of the keys that are wanted; none stands for all of them.
    pub(super) server_keys: BTreeMap<String, BTreeMap<String, Criteria>>,
}

/// What a key has to be like.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "KeyCriteria")]
pub(super) struct Criteria {
    /// Until when it has to be valid, in milliseconds since the Unix epoch; the present unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub(super) minimum_valid_until_ts: Option<i64>,
}

/// What a notary answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NotaryAnswer")]
pub(super) struct Answer {
    /// Key responses, each signed by the notary beside its own server.
    pub(super) server_keys: Vec<PublishedKeys>,
}

/// `GET /_matrix/key/v2/query/:serverName`
pub(super) fn query() -> Endpoint {
    let path = Paths::stable(format!("{PATH}/{{server}}"));
    Endpoint::new::<Answer>(Method::GET, path, "12.4.1.3", "A server's keys, by way of a notary")
        .optional_query::<i64>(
            "minimum_valid_until_ts",
            "Until when the keys have to be valid, in milliseconds since the Unix epoch.",
        )
        .unauthenticated()
        .unlimited()
}

/// `POST /_matrix/key/v2/query`
pub(super) fn bulk_query() -> Endpoint {
    let path = Paths::stable(PATH.to_owned());
    Endpoint::new::<Answer>(Method::POST, path, "12.4.1.4", "Several servers' keys, by way of a notary")
        .body::<Query>()
        .unauthenticated()
        .unlimited()
}
