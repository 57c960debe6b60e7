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

mod contents;
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
    /// A member is no hexadecimal.
    #[error("the input is malformed: `{0}` is no lower-case hexadecimal of whole bytes")]
    Hex(&'static str),
}

type Found = Result<Value, Unusable>;

/// Runs the library on an input.
pub(super) fn evaluate(kind: &str, input: &Value) -> Found {
    match kind {
        "identifier" => identifier(&read(input)?),
        "json" => json_text(&read(input)?),
        "canonical-json" => canonical_json(&read::<Text>(input)?.text),
        "base64-encode" => base64_encode(&read(input)?),
        "base64-decode" => base64_decode(&read::<Text>(input)?.text),
        "redaction" => redaction(&read(input)?),
        "content-hash" => content_hash(&read(input)?, hash::pdu_content_hash),
        "lpdu-content-hash" => content_hash(&read(input)?, hash::lpdu_content_hash),
        "event-id" => event_id(&read(input)?),
        "ed25519-sign" => sign(&read(input)?),
        "ed25519-verify" => verify(&read(input)?),
        "ed25519-public-key" => {
            let input: PublicKey = read(input)?;
            Ok(json!({"accepted": VerifyKey::from_base64(&input.public_key).is_ok()}))
        }
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
        "content" => contents::content(&read(input)?),
        "mimi-content" => contents::mimi(&read(input)?),
        "plaintext" => contents::plaintext(&read(input)?),
        "encrypted-file" => contents::file(&read(input)?),
        "key-response" => key_response(&read::<Response>(input)?.response),
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

/// The bytes of a member.
fn bytes(text: &str, member: &'static str) -> Result<Vec<u8>, Unusable> {
    unhex(text).ok_or(Unusable::Hex(member))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
struct TextOrBytes {
    text: Option<String>,
    hex: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bytes {
    hex: String,
}

fn json_text(input: &TextOrBytes) -> Found {
    let bytes = match (&input.text, &input.hex) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(hex)) => bytes(hex, "hex")?,
        _ => return Err(Unusable::Member("text")),
    };
    Ok(json!({"accepted": strict::parse(&bytes).is_ok()}))
}

fn canonical_json(text: &str) -> Found {
    // Numbers that events may not have are of interest here too.
    let document = strict::read(text.as_bytes()).map_err(|_| Unusable::Member("text"))?;
    let bytes = canonical::to_vec(&document.value);
    let sha256 = hex(&hash::sha256(&bytes));
    Ok(json!({"canonical": String::from_utf8_lossy(&bytes), "sha256": sha256}))
}

fn base64_encode(input: &Bytes) -> Found {
    let bytes = bytes(&input.hex, "hex")?;
    Ok(json!({"standard": base64::encode(&bytes), "url_safe": base64::encode_url_safe(&bytes)}))
}

fn base64_decode(text: &str) -> Found {
    Ok(base64::decode(text).map_or_else(|_| refused(), |bytes| json!({"accepted": true, "hex": hex(&bytes)})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfEvent {
    event: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToSign {
    event: String,
    signer: Server,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Received {
    event: String,
    keys: Vec<Key>,
}

/// A server's public key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    server_name: String,
    key_id: String,
    public_key: String,
    valid_until_ts: i64,
}

/// A server with its private key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    server_name: String,
    key_id: String,
    seed: String,
    public_key: String,
}

impl Server {
    fn name(&self) -> Result<ServerName, Unusable> {
        ServerName::parse(&self.server_name).map_err(|_| Unusable::Member("server_name"))
    }

    fn key(&self) -> Result<SigningKey, Unusable> {
        let id = KeyId::parse(&self.key_id).map_err(|_| Unusable::Member("key_id"))?;
        let seed = base64::decode_array(&self.seed).ok_or(Unusable::Member("seed"))?;
        let key = SigningKey::from_seed(id, &seed);
        if key.verify_key().to_base64() != self.public_key {
            return Err(Unusable::Member("public_key"));
        }
        Ok(key)
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
#[serde(deny_unknown_fields)]
struct Message {
    seed: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedMessage {
    public_key: String,
    message: String,
    signature: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicKey {
    public_key: String,
}

fn sign(input: &Message) -> Found {
    let seed = base64::decode_array(&input.seed).ok_or(Unusable::Member("seed"))?;
    let id = KeyId::ed25519("1").map_err(|_| Unusable::Member("key_id"))?;
    let key = SigningKey::from_seed(id, &seed);
    let signature = key.sign(&bytes(&input.message, "message")?).to_base64();
    Ok(json!({"public_key": key.verify_key().to_base64(), "signature": signature}))
}

fn verify(input: &SignedMessage) -> Found {
    let key = VerifyKey::from_base64(&input.public_key).map_err(|_| Unusable::Member("public_key"))?;
    let message = bytes(&input.message, "message")?;
    let holds =
        Signature::from_base64(&input.signature).is_some_and(|signature| key.verify(&message, &signature));
    Ok(json!({"accepted": holds}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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

fn sign_event(input: &ToSign, bytes: fn(&Object, &RoomVersion) -> Vec<u8>) -> Found {
    let bytes = bytes(&object(&input.event, "event")?, version(&RoomVersions::lm_04()));
    let signature = input.signer.key()?.sign(&bytes).to_base64();
    Ok(json!({"signed_text": String::from_utf8_lossy(&bytes), "signature": signature}))
}

fn receive_lpdu(input: &Received) -> Found {
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

fn receive_pdu(input: &Received) -> Found {
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
#[serde(deny_unknown_fields)]
struct Level {
    power_levels: Value,
    creator: String,
    of: LevelOf,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum LevelOf {
    User { user: String },
    Action { action: String },
    Event { r#type: String, state: bool },
}

fn power_level(input: &Level) -> Found {
    let user = |text: &str| UserId::parse(text).map_err(|_| Unusable::Member("user"));
    let creator = user(&input.creator)?;
    let content = match &input.power_levels {
        Value::Null => None,
        Value::Object(content) => Some(content),
        _ => return Err(Unusable::Member("power_levels")),
    };
    let levels = Levels::new(content, &creator);
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
#[serde(deny_unknown_fields)]
struct InState {
    event: String,
    state: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AfterPast {
    event: String,
    state: Vec<String>,
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

fn authorization(input: &AfterPast) -> Found {
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
        auth::check_cited(event.event(), event.auth_events(), &selected, |id| known(id)?.slot())
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
#[serde(deny_unknown_fields)]
struct Response {
    response: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseAt {
    response: String,
    server_name: String,
    key_id: String,
    at: i64,
}

fn key_response(response: &str) -> Found {
    let value = strict::parse(response.as_bytes()).map_err(|_| Unusable::Member("response"))?;
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

fn key_standing(input: &ResponseAt) -> Found {
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
