//! What the library makes of an input: the same members as `expected` has.

use mimi_linearized::auth::{self, Action, Levels, Refusal, SelectedState};
use mimi_linearized::base64;
use mimi_linearized::event::{Incoming, Lpdu, Pdu, RoomEvent, hash, kind, redact, reference_id};
use mimi_linearized::id::{DeviceId, EventId, KeyId, RoomId, RoomVersionId, ServerName, UserId};
use mimi_linearized::json::{Object, canonical, strict};
use mimi_linearized::signing::{
    KeyRing, KeyStanding, ServerKeyRing, ServerKeys, Signature, SigningKey, VerifyKey, check_object,
};
use mimi_linearized::version::{RoomVersion, RoomVersions};
use serde::Deserialize;
use serde_json::{Value, json};

use super::oracle::hex;
use super::signing::unhex;

mod rooms;

/// Why an input cannot be evaluated: it is not one of its group.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// No group is of this type.
    #[error("there is no type {0:?}")]
    Kind(String),
    /// A member is missing or malformed.
    #[error("the input is malformed: {0}")]
    Form(#[from] serde_json::Error),
    /// A member is not what it should be.
    #[error("the input is malformed: `{0}`")]
    Member(&'static str),
}

type Found = Result<Value, Unusable>;

/// Runs the library on an input.
pub(super) fn evaluate(kind: &str, input: &Value) -> Found {
    match kind {
        "identifier" => identifier(&read(input)?),
        "json" => json_text(&read(input)?),
        "canonical-json" => canonical_json(&read(input)?),
        "base64-encode" => base64_encode(&read(input)?),
        "base64-decode" => base64_decode(&read(input)?),
        "redaction" => redaction(&read(input)?),
        "content-hash" => content_hash(&read(input)?, hash::pdu_content_hash),
        "lpdu-content-hash" => content_hash(&read(input)?, hash::lpdu_content_hash),
        "event-id" => event_id(&read(input)?),
        "ed25519-sign" => sign(&read(input)?),
        "ed25519-verify" => verify(&read(input)?),
        "ed25519-public-key" => public_key(&read(input)?),
        "check-signature" => check_signature(&read(input)?),
        "event-signature" => {
            sign_event(&read(input)?, |event, version| hash::signing_bytes(event, &version.redaction))
        }
        "lpdu-signature" => {
            sign_event(&read(input)?, |event, version| hash::lpdu_signing_bytes(event, &version.redaction))
        }
        "receive-lpdu" => receive_lpdu(&read(input)?),
        "receive-pdu" => receive_pdu(&read(input)?),
        "event-shape" => event_shape(&read(input)?),
        "power-level" => power_level(&read(input)?),
        "auth-events-selection" => selection(&read(input)?),
        "authorization" => authorization(&read(input)?),
        "hub" => rooms::hub(&read(input)?),
        "participant" => rooms::participant(&read(input)?),
        "key-response" => key_response(&read(input)?),
        "key-standing" => key_standing(&read(input)?),
        other => Err(Unusable::Kind(other.to_owned())),
    }
}

fn read<'i, T: Deserialize<'i>>(input: &'i Value) -> Result<T, Unusable> {
    Ok(T::deserialize(input)?)
}

fn refused() -> Value {
    json!({"accepted": false})
}

fn version(versions: &RoomVersions) -> &RoomVersion {
    versions.default_version()
}

/// The object in a text, read as events are.
fn object(text: &str, member: &'static str) -> Result<Object, Unusable> {
    match strict::parse(text.as_bytes()) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Unusable::Member(member)),
    }
}

#[derive(Deserialize)]
struct Identifier {
    kind: String,
    text: String,
}

fn identifier(input: &Identifier) -> Found {
    let text = &input.text;
    let plain = |sound: bool| json!({"accepted": sound});
    Ok(match input.kind.as_str() {
        "server_name" => ServerName::parse(text).map_or_else(
            |_| refused(),
            |name| json!({"accepted": true, "host": name.host(), "port": name.port()}),
        ),
        "room_id" => RoomId::parse(text)
            .map_or_else(|_| refused(), |id| json!({"accepted": true, "server_name": id.namespace()})),
        "user_id" => UserId::parse(text).map_or_else(
            |_| refused(),
            |id| json!({"accepted": true, "localpart": id.localpart(), "server_name": id.server()}),
        ),
        "event_id" => plain(EventId::parse(text).is_ok()),
        "device_id" => plain(DeviceId::parse(text).is_ok()),
        "key_id" => plain(KeyId::parse(text).is_ok()),
        "room_version" => plain(RoomVersionId::parse(text).is_ok()),
        _ => return Err(Unusable::Member("kind")),
    })
}

#[derive(Deserialize)]
struct Text {
    text: Option<String>,
    hex: Option<String>,
}

fn json_text(input: &Text) -> Found {
    let bytes = match (&input.text, &input.hex) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(hex)) => unhex(hex),
        _ => return Err(Unusable::Member("text")),
    };
    Ok(json!({"accepted": strict::parse(&bytes).is_ok()}))
}

fn canonical_json(input: &Text) -> Found {
    // Numbers that events may not have are of interest here too.
    let text = input.text.as_deref().unwrap_or_default();
    let document = strict::read(text.as_bytes()).map_err(|_| Unusable::Member("text"))?;
    let bytes = canonical::to_vec(&document.value);
    let sha256 = hex(&hash::sha256(&bytes));
    Ok(json!({"canonical": String::from_utf8_lossy(&bytes), "sha256": sha256}))
}

fn base64_encode(input: &Text) -> Found {
    let bytes = unhex(input.hex.as_deref().ok_or(Unusable::Member("hex"))?);
    Ok(json!({"standard": base64::encode(&bytes), "url_safe": base64::encode_url_safe(&bytes)}))
}

fn base64_decode(input: &Text) -> Found {
    let text = input.text.as_deref().ok_or(Unusable::Member("text"))?;
    Ok(base64::decode(text).map_or_else(|_| refused(), |bytes| json!({"accepted": true, "hex": hex(&bytes)})))
}

#[derive(Deserialize)]
struct OfEvent {
    event: String,
    #[serde(default)]
    keys: Vec<Key>,
    signer: Option<Server>,
}

/// A server's public key.
#[derive(Deserialize)]
struct Key {
    server_name: String,
    key_id: String,
    public_key: String,
    valid_until_ts: i64,
}

/// A server with its private key.
#[derive(Deserialize)]
struct Server {
    server_name: String,
    key_id: String,
    seed: String,
}

impl Server {
    fn name(&self) -> Result<ServerName, Unusable> {
        ServerName::parse(&self.server_name).map_err(|_| Unusable::Member("server_name"))
    }

    fn key(&self) -> Result<SigningKey, Unusable> {
        let id = KeyId::parse(&self.key_id).map_err(|_| Unusable::Member("key_id"))?;
        let seed = base64::decode_array(&self.seed).ok_or(Unusable::Member("seed"))?;
        Ok(SigningKey::from_seed(id, &seed))
    }
}

fn ring(keys: &[Key]) -> Result<ServerKeyRing, Unusable> {
    let mut ring = ServerKeyRing::new();
    for key in keys {
        let server = ServerName::parse(&key.server_name).map_err(|_| Unusable::Member("server_name"))?;
        let id = KeyId::parse(&key.key_id).map_err(|_| Unusable::Member("key_id"))?;
        let public = VerifyKey::from_base64(&key.public_key).map_err(|_| Unusable::Member("public_key"))?;
        ring.insert(&server, &id, public, key.valid_until_ts);
    }
    Ok(ring)
}

fn text(object: &Object) -> String {
    String::from_utf8_lossy(&canonical::object_to_vec(object)).into_owned()
}

fn redaction(input: &OfEvent) -> Found {
    let mut event = object(&input.event, "event")?;
    redact(&mut event, &version(&RoomVersions::lm_04()).redaction);
    Ok(json!({"redacted": text(&event)}))
}

fn content_hash(input: &OfEvent, hash: fn(&Object) -> hash::Hash) -> Found {
    Ok(json!({"sha256": base64::encode(&hash(&object(&input.event, "event")?))}))
}

fn event_id(input: &OfEvent) -> Found {
    let event = object(&input.event, "event")?;
    Ok(json!({"event_id": reference_id(&event, version(&RoomVersions::lm_04()))}))
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    seed: String,
    #[serde(default)]
    public_key: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    signature: String,
}

fn sign(input: &Message) -> Found {
    let seed = base64::decode_array(&input.seed).ok_or(Unusable::Member("seed"))?;
    let id = KeyId::ed25519("1").map_err(|_| Unusable::Member("key_id"))?;
    let key = SigningKey::from_seed(id, &seed);
    let signature = key.sign(&unhex(&input.message)).to_base64();
    Ok(json!({"public_key": key.verify_key().to_base64(), "signature": signature}))
}

fn verify(input: &Message) -> Found {
    let key = VerifyKey::from_base64(&input.public_key).map_err(|_| Unusable::Member("public_key"))?;
    let message = unhex(&input.message);
    let holds =
        Signature::from_base64(&input.signature).is_some_and(|signature| key.verify(&message, &signature));
    Ok(json!({"accepted": holds}))
}

fn public_key(input: &Message) -> Found {
    Ok(json!({"accepted": VerifyKey::from_base64(&input.public_key).is_ok()}))
}

#[derive(Deserialize)]
struct Signed {
    object: String,
    server_name: String,
    keys: Vec<Key>,
    at: i64,
}

fn check_signature(input: &Signed) -> Found {
    let object = object(&input.object, "object")?;
    let server = ServerName::parse(&input.server_name).map_err(|_| Unusable::Member("server_name"))?;
    let holds = check_object(&object, &server, &ring(&input.keys)?, input.at).is_ok();
    Ok(json!({"accepted": holds}))
}

fn sign_event(input: &OfEvent, bytes: fn(&Object, &RoomVersion) -> Vec<u8>) -> Found {
    let bytes = bytes(&object(&input.event, "event")?, version(&RoomVersions::lm_04()));
    let key = input.signer.as_ref().ok_or(Unusable::Member("signer"))?.key()?;
    let signature = key.sign(&bytes).to_base64();
    Ok(json!({"signed_text": String::from_utf8_lossy(&bytes), "signature": signature}))
}

fn receive_lpdu(input: &OfEvent) -> Found {
    let versions = RoomVersions::lm_04();
    let keys = ring(&input.keys)?;
    let Ok(lpdu) = Lpdu::parse(input.event.as_bytes(), version(&versions)) else { return Ok(refused()) };
    Ok(match lpdu.verify(&keys) {
        Err(_) => refused(),
        Ok(verified) => {
            let kept = text(verified.event().as_object());
            json!({"accepted": true, "intact": !verified.is_redacted(), "event_id": verified.id(), "kept": kept})
        }
    })
}

fn receive_pdu(input: &OfEvent) -> Found {
    let versions = RoomVersions::lm_04();
    let keys = ring(&input.keys)?;
    let Ok(pdu) = Pdu::parse(input.event.as_bytes(), version(&versions)) else { return Ok(refused()) };
    Ok(match pdu.verify(&keys) {
        Err(_) => refused(),
        Ok(verified) => {
            let intact = verified.integrity() == mimi_linearized::event::Integrity::Intact;
            let event = verified.event();
            let kept = String::from_utf8_lossy(event.bytes()).into_owned();
            json!({"accepted": true, "intact": intact, "event_id": event.id(), "kept": kept})
        }
    })
}

fn event_shape(input: &OfEvent) -> Found {
    let versions = RoomVersions::lm_04();
    let Ok(Value::Object(object)) = strict::parse(input.event.as_bytes()) else { return Ok(refused()) };
    Ok(match Incoming::from_object(object, version(&versions)) {
        Err(_) => refused(),
        Ok(Incoming::Lpdu(lpdu)) => json!({"accepted": true, "is": "lpdu", "event_id": lpdu.id()}),
        Ok(Incoming::Pdu(pdu)) => json!({"accepted": true, "is": "pdu", "event_id": pdu.event().id()}),
    })
}

#[derive(Deserialize)]
struct Level {
    power_levels: Option<Object>,
    creator: String,
    of: LevelOf,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LevelOf {
    User { user: String },
    Action { action: String },
    Event { r#type: String, state: bool },
}

fn power_level(input: &Level) -> Found {
    let user = |text: &str| UserId::parse(text).map_err(|_| Unusable::Member("user"));
    let creator = user(&input.creator)?;
    let levels = Levels::new(input.power_levels.as_ref(), &creator);
    let level = match &input.of {
        LevelOf::User { user: of } => levels.user(&user(of)?),
        LevelOf::Action { action } => levels.action(match action.as_str() {
            "ban" => Action::Ban,
            "kick" => Action::Kick,
            "invite" => Action::Invite,
            "redact" => Action::Redact,
            _ => return Err(Unusable::Member("action")),
        }),
        LevelOf::Event { r#type, state } => levels.event(r#type, *state),
    };
    Ok(json!({"level": level}))
}

#[derive(Deserialize)]
struct InState {
    event: String,
    state: Vec<String>,
    #[serde(default)]
    past: Vec<String>,
}

fn events(texts: &[String], version: &RoomVersion) -> Result<Vec<RoomEvent>, Unusable> {
    let read = |text: &String| Pdu::parse(text.as_bytes(), version).map(|pdu| pdu.event().clone());
    texts.iter().map(read).collect::<Result<_, _>>().map_err(|_| Unusable::Member("state"))
}

fn find<'s>(state: &'s [RoomEvent], kind: &str, key: &str) -> Option<&'s RoomEvent> {
    state.iter().find(|event| event.event().is_state(kind, key))
}

fn selection(input: &InState) -> Found {
    let versions = RoomVersions::lm_04();
    let state = events(&input.state, version(&versions))?;
    let lpdu =
        Lpdu::parse(input.event.as_bytes(), version(&versions)).map_err(|_| Unusable::Member("event"))?;
    let create = find(&state, kind::CREATE, "").ok_or(Unusable::Member("state"))?;
    let selected = SelectedState::select(lpdu.event(), create, false, |kind, key| find(&state, kind, key));
    let mut ids: Vec<String> = selected.to_cite(lpdu.event()).iter().map(ToString::to_string).collect();
    ids.sort_unstable();
    Ok(json!({"auth_events": ids}))
}

fn authorization(input: &InState) -> Found {
    let versions = RoomVersions::lm_04();
    let state = events(&input.state, version(&versions))?;
    let past = events(&input.past, version(&versions))?;
    let pdu =
        Pdu::parse(input.event.as_bytes(), version(&versions)).map_err(|_| Unusable::Member("event"))?;
    let event = pdu.event();
    let Some(create) = find(&state, kind::CREATE, "") else {
        let decision =
            auth::authorise_create(event.event(), event.auth_events(), event.prev_events(), &versions);
        return Ok(decided(decision.map(|_| auth::AuthRule::CreateAllowed)));
    };
    let follows_create = event.prev_events().contains(create.id());
    let selected =
        SelectedState::select(event.event(), create, follows_create, |kind, key| find(&state, kind, key));
    let known = |id: &EventId| state.iter().chain(&past).find(|known| known.id() == id);
    let second_create = event.event().kind() == kind::CREATE;
    let cited = if second_create {
        Ok(())
    } else {
        auth::check_cited(event.event(), event.auth_events(), &selected, known)
    };
    Ok(decided(cited.and_then(|()| auth::authorise(event.event(), &selected))))
}

fn decided(decision: Result<auth::AuthRule, Refusal>) -> Value {
    match decision {
        Ok(rule) => json!({"accepted": true, "rule": rule.place()}),
        Err(refusal) => {
            let rule = refusal.rule.to_string();
            json!({"accepted": false, "rule": rule.strip_prefix("auth ").unwrap_or(&rule)})
        }
    }
}

#[derive(Deserialize)]
struct Response {
    response: String,
    #[serde(default)]
    server_name: String,
    #[serde(default)]
    key_id: String,
    #[serde(default)]
    at: i64,
}

fn key_response(input: &Response) -> Found {
    let value = strict::parse(input.response.as_bytes()).map_err(|_| Unusable::Member("response"))?;
    let Ok(keys) = ServerKeys::parse(value) else { return Ok(refused()) };
    let current: Object =
        keys.verify_keys().iter().map(|(id, key)| (id.to_string(), json!(key.to_base64()))).collect();
    let old: Object = keys
        .old_verify_keys()
        .iter()
        .map(|(id, old)| {
            (id.to_string(), json!({"public_key": old.key.to_base64(), "expired_ts": old.expired_ts}))
        })
        .collect();
    Ok(json!({
        "accepted": true,
        "server_name": keys.server_name(),
        "valid_until_ts": keys.valid_until_ts(),
        "verify_keys": current,
        "old_verify_keys": old,
    }))
}

fn key_standing(input: &Response) -> Found {
    let value = strict::parse(input.response.as_bytes()).map_err(|_| Unusable::Member("response"))?;
    let keys = ServerKeys::parse(value).map_err(|_| Unusable::Member("response"))?;
    let server = ServerName::parse(&input.server_name).map_err(|_| Unusable::Member("server_name"))?;
    let id = KeyId::parse(&input.key_id).map_err(|_| Unusable::Member("key_id"))?;
    let mut ring = ServerKeyRing::new();
    ring.add(&keys);
    let standing = match ring.standing(&server, &id, input.at) {
        KeyStanding::Valid(_) => "valid",
        KeyStanding::Expired => "expired",
        KeyStanding::Unknown => "unknown",
    };
    Ok(json!({"standing": standing}))
}
