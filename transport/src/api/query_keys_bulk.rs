//! `POST /_matrix/key/v2/query` (LM-04 §12.4.1.4): several servers' keys, from this server as a notary.
//!
//! What is required of it: `LM-04/12.4.1.4/1` to `LM-04/12.4.1.4/7`.

use std::collections::BTreeMap;

use axum::extract::State;
use http::{Method, StatusCode};
use mimi_linearized::id::ServerName;
use mimi_linearized::json::{Object, as_integer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::openapi::Endpoint;
use super::query_keys::{MINIMUM, NotaryAnswer, answer};
use super::serve::RawAnswer;
use super::{Asking, JsonBody, Paths};
use crate::clock;
use crate::error::{ApiError, ErrCode};
use crate::keys::KeyCriteria;
use crate::node::Node;

/// The path of the bulk query.
pub const PATH: &str = "/_matrix/key/v2/query";

/// What is asked for: by server and key id.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KeyQuery {
    /// The servers, each with the ids of the keys that are wanted; none stands for all of them.
    pub server_keys: BTreeMap<String, BTreeMap<String, QueryCriteria>>,
}

/// What a key has to be like.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct QueryCriteria {
    /// Until when it has to be valid, in milliseconds since the Unix epoch; the present unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub minimum_valid_until_ts: Option<i64>,
}

/// The most servers that are asked about in one query, each of which may have to be asked in turn; a bound of this
/// implementation.
pub const MAX_SERVERS: usize = 100;
/// The most key ids in one query, of all servers together; a bound of this implementation.
pub const MAX_KEY_IDS: usize = 1_000;

/// Answers as [`query_keys`](super::query_keys) does, for all servers that are named. No authentication, no rate limit.
///
/// # Errors
/// `M_BAD_JSON` if there is no object `server_keys` of objects of criteria (`LM-04/12.4.1.4/2`), `M_TOO_LARGE` with
/// status 413 if it asks for more than [`MAX_SERVERS`] or [`MAX_KEY_IDS`].
pub async fn handle(
    State(node): State<Node>,
    Asking(asker): Asking,
    JsonBody(body): JsonBody,
) -> Result<RawAnswer, ApiError> {
    Ok(answer(&node, asker, read(&body, clock::now_ms())?).await)
}

fn read(body: &Object, now: i64) -> Result<BTreeMap<ServerName, KeyCriteria>, ApiError> {
    let malformed = |what: &str| ApiError::bad_json(format!("`server_keys` {what}"));
    let servers = body.get("server_keys").and_then(Value::as_object);
    let servers = servers.ok_or_else(|| malformed("must be an object"))?;
    let too_many = |what: String| ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrCode::TooLarge, what);
    if servers.len() > MAX_SERVERS {
        return Err(too_many(format!("A query names at most {MAX_SERVERS} servers.")));
    }
    let mut wanted = BTreeMap::new();
    let mut ids = 0_usize;
    for (server, keys) in servers {
        let keys =
            keys.as_object().ok_or_else(|| malformed("must map server names to objects of key ids"))?;
        let mut criteria = BTreeMap::new();
        for (id, criterion) in keys {
            let criterion =
                criterion.as_object().ok_or_else(|| malformed("must have an object for each key"))?;
            let minimum = match criterion.get(MINIMUM) {
                None => now,
                Some(minimum) => as_integer(minimum)
                    .ok_or_else(|| ApiError::bad_json(format!("`{MINIMUM}` must be an integer")))?,
            };
            criteria.insert(id.clone(), minimum);
        }
        ids = ids.saturating_add(criteria.len());
        if ids > MAX_KEY_IDS {
            return Err(too_many(format!("A query names at most {MAX_KEY_IDS} keys.")));
        }
        // A text that is no server name is a server that cannot be reached (reading R41).
        let Ok(server) = ServerName::parse(server) else { continue };
        let all = criteria.is_empty();
        wanted.insert(server, if all { KeyCriteria::All(now) } else { KeyCriteria::Ids(criteria) });
    }
    Ok(wanted)
}

/// How the endpoint is described.
pub(super) fn describe() -> Endpoint {
    let path = Paths::stable(PATH.to_owned());
    let summary = "Several servers' keys, by way of a notary";
    Endpoint::new::<NotaryAnswer>(Method::POST, path, "12.4.1.4", summary)
        .body::<KeyQuery>()
        .unauthenticated()
        .unlimited()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_value(body: Value) -> Result<BTreeMap<ServerName, KeyCriteria>, (u16, String)> {
        let Value::Object(body) = body else { panic!("an object") };
        read(&body, 7).map_err(|error| (error.status().as_u16(), error.code().to_string()))
    }

    #[test]
    fn criteria_are_read() {
        let name = |text: &str| ServerName::parse(text).unwrap();
        let ids = |ids: &[(&str, i64)]| {
            KeyCriteria::Ids(ids.iter().map(|(id, minimum)| ((*id).to_owned(), *minimum)).collect())
        };
        let wanted = read_value(json!({"server_keys": {
            "a.org": {},
            "b.org": {"ed25519:1": {"minimum_valid_until_ts": 5.0}, "other:2": {"x": 1}},
            "not a name": {"ed25519:1": {}},
        }}));
        let expected =
            [(name("a.org"), KeyCriteria::All(7)), (name("b.org"), ids(&[("ed25519:1", 5), ("other:2", 7)]))];
        assert_eq!(wanted, Ok(expected.into()));
        assert_eq!(read_value(json!({"server_keys": {}})), Ok(BTreeMap::new()));
    }

    #[test]
    fn what_is_malformed_or_too_much_is_refused() {
        for body in [
            json!({}),
            json!({"server_keys": []}),
            json!({"server_keys": {"a.org": null}}),
            json!({"server_keys": {"a.org": {"ed25519:1": 5}}}),
            json!({"server_keys": {"a.org": {"ed25519:1": {"minimum_valid_until_ts": "5"}}}}),
            json!({"server_keys": {"a.org": {"ed25519:1": {"minimum_valid_until_ts": 0.5}}}}),
        ] {
            assert_eq!(read_value(body.clone()), Err((400, "M_BAD_JSON".to_owned())), "{body}");
        }
        let servers =
            |count: usize| -> Object { (0..count).map(|n| (format!("s{n}.org"), json!({}))).collect() };
        let keys =
            |count: usize| -> Object { (0..count).map(|n| (format!("ed25519:{n}"), json!({}))).collect() };
        assert_eq!(read_value(json!({"server_keys": servers(MAX_SERVERS)})).unwrap().len(), MAX_SERVERS);
        assert!(read_value(json!({"server_keys": {"a.org": keys(MAX_KEY_IDS)}})).is_ok());
        for body in [
            json!({"server_keys": servers(MAX_SERVERS + 1)}),
            json!({"server_keys": {"a.org": keys(MAX_KEY_IDS), "b.org": keys(1)}}),
        ] {
            assert_eq!(read_value(body), Err((413, "M_TOO_LARGE".to_owned())));
        }
    }
}
