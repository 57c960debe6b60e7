//! Putting right what is wrong with a request, so that a server accepts what it should refuse.
//!
//! The mutant has a key of its own, and lets it count as a key of whoever the request or the event claims to be from.
//! Their real keys are fetched before, since a server that is trusted is not asked any more. Only what would have been
//! refused is touched.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use mimi_linearized::base64;
use mimi_linearized::event::{Lpdu, Pdu, hash};
use mimi_linearized::id::{KeyId, ServerName};
use mimi_linearized::json::Object;
use mimi_linearized::signing::{KeyRing, KeyStanding, SigningKey};
use mimi_transport::clock;
use mimi_transport::keys::FetchedKeys;
use mimi_transport::node::Node;
use mimi_transport::request_auth::{Credentials, parse_all, sign_request};
use serde_json::{Value, json};

use super::inbound::content;
use super::seen::Sent;

/// What a mutant does not mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mending {
    /// A request without an `Authorization` header.
    NoHeader,
    /// A signature of a request that does not verify.
    RequestSignature,
    /// A request that is signed for another server.
    Destination,
    /// A query that was not signed.
    Query,
    /// A method that was not signed.
    Method,
    /// That further headers do not verify, if one does.
    OtherHeaders,
    /// A key that has expired.
    ExpiredKey,
    /// A key that its owner has retired.
    RetiredKey,
    /// Who signed a question about a state: the key is not asked for.
    Questions,
    /// Not a wrong thing put right but a right one spoilt: a request without a body, signed without `content`.
    ContentNeeded,
    /// That an event is signed with a key that had expired by then.
    OldEventKey,
    /// That a server has no part in a room that it asks about.
    Outsiders,
    /// An LPDU without a signature that verifies.
    LpduSignature,
    /// An LPDU whose content hash is wrong.
    LpduHash,
    /// A PDU without the signatures that verify.
    PduSignature,
    /// An LPDU that has fields which only a hub sets.
    HubFields,
    /// The case of an event's type.
    CaseOfTypes,
    /// Who sends a hub's events.
    Stranger,
    /// That a whole event is sent to the hub.
    WholeEvent,
    /// JSON that readers disagree on.
    AmbiguousJson,
}

/// The key with which the mutant signs in others' names.
fn own_key() -> Option<SigningKey> {
    Some(SigningKey::from_seed(KeyId::ed25519("mutant").ok()?, &[7; 32]))
}

/// Whether somebody signed the request, with other parts in the place of some of its own.
async fn signed_by(node: &Node, sent: &Sent, headers: &HeaderMap, at: Option<i64>) -> Option<ServerName> {
    let presented = parse_all(headers).ok()?;
    let now = clock::now_ms();
    let ring = node.keys.ring_for_requests(presented.origin(), presented.key_ids(), now).await;
    let body = content(&sent.method, &sent.body);
    let at = at.unwrap_or(now);
    presented.verify(&ring, at, &node.name, sent.method.as_str(), &sent.target, body).ok()
}

/// Signs a changed request, if it was signed properly before the change.
pub(super) async fn sign_again(node: &Node, before: &Sent, after: &mut Sent) {
    if let Some(origin) = signed_by(node, before, &before.headers, None).await {
        sign_as(node, &origin, after);
    }
}

/// Signs a request in a server's name.
fn sign_as(node: &Node, origin: &ServerName, sent: &mut Sent) {
    let Some(key) = own_key() else { return };
    node.keys.trust(origin, key.id(), key.verify_key(), i64::MAX);
    let body = content(&sent.method, &sent.body);
    let header = sign_request(sent.method.as_str(), &sent.target, origin, &node.name, body, &key);
    sent.headers.insert(AUTHORIZATION, header);
}

impl Mending {
    /// Puts right what the mutant does not mind.
    pub(super) async fn mend(self, node: &Node, sent: &mut Sent) {
        match self {
            Self::LpduSignature
            | Self::LpduHash
            | Self::PduSignature
            | Self::HubFields
            | Self::CaseOfTypes
            | Self::OldEventKey
            | Self::WholeEvent => {
                let before = sent.clone();
                self.mend_events(node, sent).await;
                if sent.body != before.body {
                    sign_again(node, &before, sent).await;
                }
            }
            Self::ContentNeeded if content(&sent.method, &sent.body).is_none() => {
                if let Ok(presented) = parse_all(&sent.headers) {
                    let now = clock::now_ms();
                    let ring =
                        node.keys.ring_for_requests(presented.origin(), presented.key_ids(), now).await;
                    let (method, empty) = (sent.method.as_str(), json!({}));
                    if presented.verify(&ring, now, &node.name, method, &sent.target, Some(&empty)).is_err() {
                        sent.headers.remove(AUTHORIZATION);
                    }
                }
            }
            Self::ContentNeeded => {}
            Self::Questions => {
                let mut headers = sent.headers.get_all(AUTHORIZATION).iter();
                let only = headers.next().filter(|_| headers.next().is_none() && sent.is(&["state"]));
                let credentials = only.and_then(read);
                if let Some(credentials) = credentials.filter(|header| header.destination == node.name) {
                    sign_as(node, &credentials.origin, sent);
                }
            }
            Self::Outsiders => {
                let asks = sent.is(&["event", "state", "state_ids", "backfill"]);
                if asks && signed_by(node, sent, &sent.headers, None).await.is_some() {
                    sign_as(node, &node.name, sent);
                }
            }
            Self::AmbiguousJson if sent.is(&["send"]) => {
                if let Some(origin) = self.origin(node, sent).await {
                    sign_as(node, &origin, sent);
                }
            }
            Self::Stranger => {
                let event = sent.list("pdus").and_then(|pdus| pdus.first());
                let hub = event.and_then(|event| ServerName::parse(event.get("hub_server")?.as_str()?).ok());
                if let Some(hub) = hub.filter(|hub| *hub != node.name)
                    && let Some(origin) = signed_by(node, sent, &sent.headers, None).await
                    && origin != hub
                {
                    // For its keys, which are not asked for any more afterwards.
                    let _ = node.keys.ring_for_requests(&hub, [], clock::now_ms()).await;
                    sign_as(node, &hub, sent);
                }
            }
            _ if signed_by(node, sent, &sent.headers, None).await.is_some() => {}
            _ => {
                if let Some(origin) = self.origin(node, sent).await {
                    sign_as(node, &origin, sent);
                }
            }
        }
    }

    /// Who sent a request that does not authenticate, as the mutant sees it.
    async fn origin(self, node: &Node, sent: &Sent) -> Option<ServerName> {
        let headers: Vec<Credentials> = sent.headers.get_all(AUTHORIZATION).iter().filter_map(read).collect();
        match self {
            Self::NoHeader if headers.is_empty() => Some(node.name.clone()),
            Self::RequestSignature | Self::AmbiguousJson => {
                // For the keys, which are not asked for any more afterwards.
                let _ = signed_by(node, sent, &sent.headers, None).await;
                headers.first().map(|header| header.origin.clone())
            }
            Self::Destination => {
                let presented = parse_all(&sent.headers).ok()?;
                let now = clock::now_ms();
                let ring = node.keys.ring_for_requests(presented.origin(), presented.key_ids(), now).await;
                let destination = &headers.first()?.destination;
                let body = content(&sent.method, &sent.body);
                presented.verify(&ring, now, destination, sent.method.as_str(), &sent.target, body).ok()
            }
            Self::Query => {
                let mut bare = sent.clone();
                bare.target = sent.target.split('?').next()?.to_owned();
                let same_path = signed_by(node, &bare, &sent.headers, None).await;
                same_path.or(self.any_query(node, sent).await)
            }
            Self::Method => {
                for method in [Method::GET, Method::PUT, Method::POST] {
                    let body = if sent.body.is_null() { json!({}) } else { sent.body.clone() };
                    let other = Sent { method, body, ..sent.clone() };
                    if let Some(origin) = signed_by(node, &other, &sent.headers, None).await {
                        return Some(origin);
                    }
                }
                None
            }
            Self::OtherHeaders => {
                for value in sent.headers.get_all(AUTHORIZATION) {
                    let mut one = HeaderMap::new();
                    one.insert(AUTHORIZATION, value.clone());
                    if let Some(origin) = signed_by(node, sent, &one, None).await {
                        return Some(origin);
                    }
                }
                None
            }
            Self::ExpiredKey => signed_by(node, sent, &sent.headers, Some(0)).await,
            Self::RetiredKey => {
                let presented = parse_all(&sent.headers).ok()?;
                let ids = presented.key_ids().cloned().collect();
                let needed = [(presented.origin().clone(), 0, ids)];
                let ring = node.keys.ring_for_events(&needed).await;
                let body = content(&sent.method, &sent.body);
                presented.verify(&ring, 0, &node.name, sent.method.as_str(), &sent.target, body).ok()
            }
            _ => None,
        }
    }

    /// Tries the queries that a changed one may have been.
    async fn any_query(self, node: &Node, sent: &Sent) -> Option<ServerName> {
        let (path, query) = sent.target.split_once('?')?;
        let mut pairs: Vec<&str> = query.split('&').collect();
        while pairs.pop().is_some() {
            let target =
                if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) };
            let other = Sent { target, ..sent.clone() };
            if let Some(origin) = signed_by(node, &other, &sent.headers, None).await {
                return Some(origin);
            }
        }
        None
    }

    /// Puts right the events in a body.
    async fn mend_events(self, node: &Node, sent: &mut Sent) {
        let events: Vec<&mut Value> = match sent.endpoint() {
            "send" => sent.list("pdus").into_iter().flatten().collect(),
            "send_join" | "send_leave" | "send_knock" => vec![&mut sent.body],
            "invite" => sent.body.get_mut("event").into_iter().collect(),
            _ => Vec::new(),
        };
        for event in events {
            if let Value::Object(event) = event {
                self.mend_event(node, event).await;
            }
        }
    }

    async fn mend_event(self, node: &Node, event: &mut Object) {
        let version = node.versions.default_version();
        match self {
            Self::HubFields => {
                let whole = event.contains_key("auth_events") && event.contains_key("prev_events");
                if !whole {
                    event.remove("auth_events");
                    event.remove("prev_events");
                }
            }
            Self::CaseOfTypes => {
                let Some(kind) = event.get("type").and_then(Value::as_str) else { return };
                let lower = kind.to_ascii_lowercase();
                if *kind != lower && !event.contains_key("auth_events") {
                    event.insert("type".to_owned(), Value::String(lower));
                    hash_and_sign(node, event).await;
                }
            }
            Self::WholeEvent => {
                let of_ours = event.get("hub_server").and_then(Value::as_str) == Some(node.name.as_str());
                if of_ours && event.contains_key("auth_events") && event.contains_key("prev_events") {
                    event.remove("auth_events");
                    event.remove("prev_events");
                    hash_and_sign(node, event).await;
                }
            }
            Self::OldEventKey => {
                let Ok(lpdu) = Lpdu::from_object(event.clone(), version) else { return };
                let server = lpdu.event().sender_server().clone();
                let at = lpdu.event().origin_server_ts();
                if lpdu.verify(&ring(node, event, &server, at).await).is_ok() {
                    return;
                }
                let old = Ever(ring(node, event, &server, 0).await);
                let Ok(lpdu) = Lpdu::from_object(event.clone(), version) else { return };
                if lpdu.verify(&old).is_ok() {
                    let bytes = hash::signing_bytes(event, &version.redaction);
                    sign_event(node, event, &server, &bytes);
                }
            }
            Self::LpduSignature | Self::LpduHash => {
                let Ok(lpdu) = Lpdu::from_object(event.clone(), version) else { return };
                let server = lpdu.event().sender_server().clone();
                let ring = ring(node, event, &server, lpdu.event().origin_server_ts()).await;
                let wrong = match lpdu.verify(&ring) {
                    Ok(verified) => self == Self::LpduHash && verified.is_redacted(),
                    Err(_) => self == Self::LpduSignature,
                };
                if !wrong {
                    return;
                }
                if self == Self::LpduHash {
                    let hash = base64::encode(&hash::lpdu_content_hash(event));
                    event.insert("hashes".to_owned(), json!({"lpdu": {"sha256": hash}}));
                }
                let bytes = hash::signing_bytes(event, &version.redaction);
                sign_event(node, event, &server, &bytes);
            }
            Self::PduSignature => {
                let Ok(pdu) = Pdu::from_object(event.clone(), version) else { return };
                let signers: Vec<ServerName> = pdu.signers().cloned().collect();
                let (at, sender) =
                    (pdu.event().event().origin_server_ts(), pdu.event().event().sender_server().clone());
                let mut all = Vec::new();
                for server in &signers {
                    all.push(needed(event, server, at));
                }
                let ring = node.keys.ring_for_events(&all).await;
                if pdu.verify(&ring).is_ok() {
                    return;
                }
                let sealed = signers.len() > 1;
                for server in &signers {
                    let bytes = if sealed && *server == sender {
                        hash::lpdu_signing_bytes(event, &version.redaction)
                    } else {
                        hash::signing_bytes(event, &version.redaction)
                    };
                    sign_event(node, event, server, &bytes);
                }
            }
            _ => {}
        }
    }
}

/// Keys that never expire.
struct Ever(FetchedKeys);

impl KeyRing for Ever {
    fn standing(&self, server: &ServerName, key: &KeyId, _at: i64) -> KeyStanding {
        self.0.standing(server, key, 0)
    }
}

/// Makes an LPDU of what was changed: hashed, and signed for its sender's server.
async fn hash_and_sign(node: &Node, event: &mut Object) {
    let version = node.versions.default_version();
    let hash = base64::encode(&hash::lpdu_content_hash(event));
    event.insert("hashes".to_owned(), json!({"lpdu": {"sha256": hash}}));
    let Ok(lpdu) = Lpdu::from_object(event.clone(), version) else { return };
    let server = lpdu.event().sender_server().clone();
    // For the keys, which are not asked for any more afterwards.
    let _ = ring(node, event, &server, lpdu.event().origin_server_ts()).await;
    let bytes = hash::signing_bytes(event, &version.redaction);
    sign_event(node, event, &server, &bytes);
}

fn read(value: &HeaderValue) -> Option<Credentials> {
    Credentials::parse(value.as_bytes()).ok()
}

/// The keys that an event names.
fn needed(event: &Object, server: &ServerName, at: i64) -> (ServerName, i64, Vec<KeyId>) {
    let entry = event.get("signatures").and_then(|signatures| signatures.get(server.as_str())?.as_object());
    let ids = entry.into_iter().flat_map(Object::keys).filter_map(|id| KeyId::parse(id).ok());
    (server.clone(), at, ids.collect())
}

async fn ring(node: &Node, event: &Object, server: &ServerName, at: i64) -> FetchedKeys {
    node.keys.ring_for_events(&[needed(event, server, at)]).await
}

/// Puts the mutant's signature in the place of a server's.
fn sign_event(node: &Node, event: &mut Object, server: &ServerName, bytes: &[u8]) {
    let Some(key) = own_key() else { return };
    node.keys.trust(server, key.id(), key.verify_key(), i64::MAX);
    let entry = json!({key.id().as_str(): key.sign(bytes).to_base64()});
    let signatures = event.entry("signatures").or_insert_with(|| json!({}));
    match signatures {
        Value::Object(signatures) => {
            signatures.insert(server.to_string(), entry);
        }
        other => *other = json!({server.as_str(): entry}),
    }
}
