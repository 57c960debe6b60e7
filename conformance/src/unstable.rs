//! Endpoints of which the target has the unstable path only (reading R24).

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use mimi_transport::api::UNSTABLE_PREFIX;
use serde_json::json;

use crate::case::Finding;
use crate::peer::Peer;

/// An endpoint that the draft gives an unstable path besides the final one.
struct Endpoint {
    method: Method,
    /// The prefix of the final path, up to the version. The unstable path has another one in its place.
    prefix: &'static str,
    /// What the rest of the path begins with.
    begins: &'static str,
    /// A rest that names nothing.
    harmless: &'static str,
}

const V1: &str = "/_matrix/federation/v1";
const V2: &str = "/_matrix/federation/v2";
const V3: &str = "/_matrix/federation/v3";

const ENDPOINTS: [Endpoint; 8] = [
    Endpoint { method: Method::PUT, prefix: V2, begins: "/send/", harmless: "none" },
    Endpoint { method: Method::GET, prefix: V2, begins: "/event/", harmless: "%24none" },
    Endpoint { method: Method::GET, prefix: V2, begins: "/backfill/", harmless: "%21none?v=%24none&limit=1" },
    Endpoint { method: Method::POST, prefix: V3, begins: "/invite/", harmless: "none" },
    Endpoint { method: Method::POST, prefix: V3, begins: "/send_join/", harmless: "none" },
    Endpoint { method: Method::POST, prefix: V3, begins: "/send_leave/", harmless: "none" },
    Endpoint { method: Method::POST, prefix: V3, begins: "/send_knock/", harmless: "none" },
    Endpoint { method: Method::GET, prefix: V1, begins: "/user/", harmless: "%40none/device/NONE" },
];

impl Endpoint {
    /// What comes after the prefix, if this is a final path of the endpoint.
    fn rest<'t>(&self, target: &'t str) -> Option<&'t str> {
        let rest = target.strip_prefix(self.prefix)?;
        let named = rest.strip_prefix(self.begins)?;
        // Of the paths below `/user/`, only devices have an unstable one.
        (self.begins != "/user/" || named.contains("/device/")).then_some(rest)
    }
}

/// For which of the endpoints the target has the unstable path only. It is the same in all cases.
#[derive(Debug, Default)]
pub(crate) struct UnstableOnly([AtomicBool; ENDPOINTS.len()]);

impl UnstableOnly {
    /// Where the target has what the draft has at this target of a request: most often there. Paths that belong to no
    /// endpoint stay as they are.
    pub(crate) fn path<'t>(&self, target: &'t str) -> Cow<'t, str> {
        let endpoints = ENDPOINTS.iter().zip(&self.0).filter(|(_, only)| only.load(Ordering::Relaxed));
        let mut rests = endpoints.filter_map(|(endpoint, _)| endpoint.rest(target));
        rests.next().map_or(Cow::Borrowed(target), |rest| Cow::Owned(format!("{UNSTABLE_PREFIX}{rest}")))
    }

    /// Asks the target for every endpoint, with requests that change nothing, and remembers the paths that it has.
    pub(crate) async fn learn(&self, peer: &Peer) -> Result<(), Finding> {
        for (endpoint, only) in ENDPOINTS.iter().zip(&self.0) {
            let Endpoint { method, prefix, begins, harmless } = endpoint;
            let body = (*method != Method::GET).then(|| json!({}));
            let is_there = async |prefix: &str| -> Result<bool, Finding> {
                let target = format!("{prefix}{begins}{harmless}");
                let reply = peer.request_exactly(method.clone(), &target, body.as_ref()).await?;
                Ok(!reply.is(404, "M_UNRECOGNIZED"))
            };
            let is_only = !is_there(prefix).await? && is_there(UNSTABLE_PREFIX).await?;
            only.store(is_only, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_unless_only_the_unstable_one_is_there() {
        let only = UnstableOnly::default();
        assert_eq!(only.path("/_matrix/federation/v2/send/x"), "/_matrix/federation/v2/send/x");
        only.0.iter().for_each(|only| only.store(true, Ordering::Relaxed));
        for (target, rest) in [
            ("/_matrix/federation/v2/send/x", "/send/x"),
            ("/_matrix/federation/v2/backfill/%21r?v=%24e&limit=1", "/backfill/%21r?v=%24e&limit=1"),
            ("/_matrix/federation/v3/send_knock/x/", "/send_knock/x/"),
            ("/_matrix/federation/v1/user/%40u/device/D", "/user/%40u/device/D"),
        ] {
            assert_eq!(only.path(target), format!("{UNSTABLE_PREFIX}{rest}"));
        }
        for target in [
            "/_matrix/federation/v2/send",
            "/_matrix/federation/v99/send/x",
            "/_matrix/federation/v1/user/keys/claim",
            "/_matrix/federation/v1/state/%21r?event_id=%24e",
            "//_matrix/federation/v2/send/x",
        ] {
            assert_eq!(only.path(target), target);
        }
    }
}
