//! Every endpoint that needs authentication, each with a request that changes nothing.

use http::Method;
use mimi_transport::api::UNSTABLE_PREFIX;
use serde_json::{Value, json};

use super::paths;
use crate::peer::Peer;

/// A request that changes nothing.
#[derive(Debug, Clone)]
pub(in crate::cases) struct Harmless {
    /// The method of the endpoint.
    pub(in crate::cases) method: Method,
    /// The final path, with a query where the endpoint wants one.
    pub(in crate::cases) target: String,
    /// The same under the unstable prefix, if the draft gives the endpoint one.
    pub(in crate::cases) unstable: Option<String>,
    /// The body of a `POST` or `PUT`.
    pub(in crate::cases) body: Option<Value>,
}

impl Harmless {
    fn get(target: String) -> Self {
        Self { method: Method::GET, target, unstable: None, body: None }
    }

    fn with_body(method: Method, target: String, body: Value) -> Self {
        Self { method, target, unstable: None, body: Some(body) }
    }

    /// With the same path under the unstable prefix (reading R24).
    fn or_unstable(self) -> Self {
        // The final prefixes are all of one length.
        let rest = self.target.get("/_matrix/federation/v2".len()..).unwrap_or_default();
        let unstable = Some(format!("{UNSTABLE_PREFIX}{rest}"));
        Self { unstable, ..self }
    }
}

/// The endpoints that need authentication.
pub(in crate::cases) fn authenticated(peer: &Peer) -> Vec<Harmless> {
    let nobody = format!("@nobody:{}", peer.name);
    let room = format!("!none:{}", peer.name);
    let make = |change| Harmless::get(format!("{}?ver=I.1", paths::make(change, &room, &nobody)));
    let txn = || peer.txn_id();
    let send = |change| {
        Harmless::with_body(Method::POST, paths::send_change(change, &txn()), json!({"room_id": room}))
            .or_unstable()
    };
    vec![
        Harmless::with_body(Method::PUT, paths::send(&txn()), json!({"pdus": [], "edus": []})).or_unstable(),
        Harmless::get(paths::event("$none")).or_unstable(),
        Harmless::get(paths::state(&room, "$none")),
        Harmless::get(paths::state_ids(&room, "$none")),
        Harmless::get(paths::backfill(&room, "$none", 1)).or_unstable(),
        Harmless::with_body(Method::POST, paths::invite(&txn()), json!({})).or_unstable(),
        make("join"),
        make("leave"),
        make("knock"),
        send("join"),
        send("leave"),
        send("knock"),
        Harmless::get(format!("/_matrix/federation/v1/user/{}/device/NONE", crate::target::segment(&nobody)))
            .or_unstable(),
        Harmless::with_body(
            Method::POST,
            "/_matrix/federation/v1/user/keys/claim".to_owned(),
            json!({"one_time_keys": {}}),
        ),
    ]
}
