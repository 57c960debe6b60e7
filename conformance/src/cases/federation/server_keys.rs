//! The keys that a server publishes, and what it makes of others' (LM-04 §12.4.1.1, §12.4.1.2).

use std::time::Duration;

use http::{Method, header};
use mimi_linearized::base64;
use mimi_linearized::event::Draft;
use mimi_linearized::json::{Object, canonical};
use mimi_linearized::signing::VerifyKey;
use mimi_transport::clock;
use mimi_transport::keys::KEY_PATH;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::case::{Case, Finding, case, check, driven_case, fault, said};
use crate::cases::steps::key_responses::{HOUR_MS, KeyResponse, further_key};
use crate::cases::steps::paths;
use crate::cases::steps::{HubRoom, hub_room_of};
use crate::context::{Context, LONG_PATIENCE};
use crate::peer::{Peer, lpdu_hash};
use crate::wire::{Ask, Reply};

pub(super) const CASES: &[Case] = &[
    case!(
        Should,
        Server,
        "12.4.1.1/fetched-anew",
        "keys that have expired are fetched anew",
        ["LM-04/12.4.1.1/1"],
        fetched_anew
    ),
    driven_case!(
        Must,
        Hub,
        "12.4.1.1/long-validity",
        "keys that claim to be valid for longer than seven days are not",
        ["LM-04/12.4.1.1/2", "R33"],
        long_validity
    ),
    case!(
        Should,
        Server,
        "12.4.1.1/about-twelve-hours",
        "the keys are published as valid for about twelve hours",
        ["LM-04/12.4.1.1/3"],
        about_twelve_hours
    ),
    case!(
        Should,
        Server,
        "12.4.1.2/active-key",
        "there is at least one active key",
        ["LM-04/12.4.1.2/1"],
        active_key
    ),
    case!(
        Must,
        Server,
        "12.4.1.2/response",
        "the key response names the server, its keys and their validity, and is signed by one of them",
        [
            "LM-04/12.4.1.2/2",
            "LM-04/12.4.1.2/3",
            "LM-04/12.4.1.2/4",
            "LM-04/12.4.1.2/6",
            "LM-04/12.4.1.2/7",
            "LM-04/6/1",
            "LM-04/6/4",
            "LM-04/6/5",
            "LM-04/6/6",
            "LM-04/10/1",
        ],
        response
    ),
    case!(
        Should,
        Server,
        "12.4.1.2/marked-as-linearized",
        "the key response says that the server is a linearized one",
        ["LM-04/12.4.1.2/5"],
        marked_as_linearized
    ),
    case!(
        Should,
        Server,
        "12.4.1.2/not-soon-expired",
        "the key response is valid for more than an hour",
        ["LM-04/12.4.1.2/11"],
        not_soon_expired
    ),
    case!(
        Should,
        Server,
        "12.4.1.2/fetches-are-limited",
        "a server is not asked for its keys again for every key id that somebody names",
        ["LM-04/12.4.1.2/12"],
        fetches_are_limited
    ),
    driven_case!(
        Must,
        Hub,
        "12.4.1.2/old-keys",
        "an old key has expired since the time that is stated, whatever the validity of the response",
        ["LM-04/12.4.1.2/8", "R33"],
        old_keys
    ),
    case!(
        Must,
        Server,
        "12.4.1.2/unusable-responses",
        "a key response that is another server's, or not signed by its own keys, is not used",
        ["LM-04/12.4.1.2/2", "LM-04/12.4.1.2/3", "LM-04/6/4"],
        unusable_responses
    ),
    case!(
        Must,
        Server,
        "12.4.1.2/weak-keys",
        "keys under which everybody can sign are refused",
        ["LM-04/6/4", "R08"],
        weak_keys
    ),
];

/// How long the target is left alone before it is asked whether it has fetched keys anew.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// The target's key response.
async fn fetch(ctx: &Context) -> Result<Object, Finding> {
    let reply = ctx.ask(Ask::new(Method::GET, KEY_PATH)).await?;
    let body = reply.expect_ok("the key endpoint")?;
    body.as_object().cloned().ok_or_else(|| fault(format!("the key response is {body} and no object")))
}

/// How long the response is still valid, in milliseconds.
async fn validity(ctx: &Context) -> Result<i64, Finding> {
    let response = fetch(ctx).await?;
    let until = response.get("valid_until_ts").and_then(Value::as_i64);
    let until = until.ok_or_else(|| fault("`valid_until_ts` is not an integer"))?;
    Ok(until.saturating_sub(clock::now_ms()))
}

fn hours(milliseconds: i64) -> String {
    format!("{} minutes", milliseconds / 60_000)
}

async fn about_twelve_hours(ctx: &Context) -> Result<(), Finding> {
    let validity = validity(ctx).await?;
    let right = (10 * HOUR_MS..=14 * HOUR_MS).contains(&validity);
    check!(right, "the keys are published as valid for {}", hours(validity));
    Ok(())
}

async fn not_soon_expired(ctx: &Context) -> Result<(), Finding> {
    let validity = validity(ctx).await?;
    check!(validity > HOUR_MS, "the keys are published as valid for {}", hours(validity));
    Ok(())
}

async fn active_key(ctx: &Context) -> Result<(), Finding> {
    let response = fetch(ctx).await?;
    let keys = response.get("verify_keys").and_then(Value::as_object);
    check!(keys.is_some_and(|keys| !keys.is_empty()), "there is no key in `verify_keys`");
    Ok(())
}

async fn marked_as_linearized(ctx: &Context) -> Result<(), Finding> {
    let response = fetch(ctx).await?;
    let says = response.get("m.linearized");
    check!(says == Some(&json!(true)), "`m.linearized` is {says}", says = said(&says));
    Ok(())
}

/// A key of a response: its id is well formed, and it is the unpadded base64 of a key.
fn read_key(id: &str, entry: &Value) -> Result<Option<VerifyKey>, Finding> {
    let Some(version) = id.strip_prefix("ed25519:") else { return Ok(None) };
    let right = !version.is_empty() && version.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    check!(right, "{id} is no key id", id = said(&id));
    let text = entry.get("key").and_then(Value::as_str);
    let text = text.ok_or_else(|| fault(format!("the entry {id} has no string `key`")))?;
    check!(
        !text.contains(['=', '-', '_']),
        "the key {id} is not unpadded base64: {text}",
        text = said(&text)
    );
    let bytes = base64::decode_array(text);
    let bytes = bytes.ok_or_else(|| {
        fault(format!("the key {id} is not the base64 of 32 bytes: {text}", text = said(&text)))
    })?;
    let key = VerifyKey::from_bytes(bytes).map_err(|error| fault(format!("the key {id}: {error}")))?;
    Ok(Some(key))
}

async fn response(ctx: &Context) -> Result<(), Finding> {
    let response = fetch(ctx).await?;
    let name = response.get("server_name").and_then(Value::as_str);
    let own = ctx.environment.target.name.as_str();
    check!(name == Some(own), "`server_name` is {name} and not {own}", name = said(&name));
    let until = response.get("valid_until_ts");
    check!(
        until.is_some_and(Value::is_i64),
        "`valid_until_ts` is {until} and no integer",
        until = said(&until)
    );
    let current = response.get("verify_keys").and_then(Value::as_object);
    let current = current.ok_or_else(|| fault("`verify_keys` is no object"))?;
    let mut keys = Vec::new();
    for (id, entry) in current {
        if let Some(key) = read_key(id, entry)? {
            keys.push((id, key));
        }
    }
    check!(!keys.is_empty(), "there is no Ed25519 key in `verify_keys`");
    if let Some(old) = response.get("old_verify_keys") {
        let old = old.as_object().ok_or_else(|| fault("`old_verify_keys` is no object"))?;
        for (id, entry) in old {
            read_key(id, entry)?;
            let expired = entry.get("expired_ts");
            check!(
                expired.is_some_and(Value::is_i64),
                "`expired_ts` of the old key {id} is {expired}",
                expired = said(&expired)
            );
        }
    }
    let signatures = response.get("signatures").and_then(|signatures| signatures.get(own)?.as_object());
    let signatures = signatures.ok_or_else(|| fault("the response is not signed under the server's name"))?;
    let mut signed = response.clone();
    signed.remove("signatures");
    let bytes = canonical::object_to_vec(&signed);
    let verifies = |id: &str, key: &VerifyKey| {
        let text = signatures.get(id).and_then(Value::as_str).unwrap_or_default();
        let signature = mimi_linearized::signing::Signature::from_base64(text);
        signature.is_some_and(|signature| key.verify(&bytes, &signature))
    };
    let by_own_key = keys.iter().any(|(id, key)| verifies(id, key));
    check!(by_own_key, "the response is not signed by one of the keys that it lists");
    for (id, signature) in signatures {
        let text = signature.as_str().unwrap_or_default();
        check!(
            !text.contains(['=', '-', '_']),
            "the signature by {id} is not unpadded base64: {text}",
            text = said(&text)
        );
    }
    Ok(())
}

/// Something to ask that changes nothing: the state of a room that nobody knows. Its endpoint has one path only.
fn question() -> String {
    paths::state("!none:example.org", "$none")
}

/// Asks it with a signature.
async fn ask(peer: &Peer) -> Result<Reply, Finding> {
    peer.request(Method::GET, &question(), None).await
}

fn fetches(peer: &Peer) -> usize {
    peer.requests().iter().filter(|request| request.target.starts_with(KEY_PATH)).count()
}

async fn fetched_anew(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let expired = KeyResponse::of(&peer).with("valid_until_ts", json!(clock::now_ms() - 1));
    peer.publish_response(expired.signed_by(&peer, &[&peer.key]));
    ask(&peer).await?.expect_error("a request that is signed with an expired key", 401, "M_FORBIDDEN")?;
    peer.publish_response(KeyResponse::of(&peer).signed_by(&peer, &[&peer.key]));
    // A target may take its time before it asks again, and does not owe the first request that.
    let deadline = Instant::now() + LONG_PATIENCE;
    while ask(&peer).await?.is(401, "M_FORBIDDEN") {
        let seconds = LONG_PATIENCE.as_secs();
        check!(
            Instant::now() < deadline,
            "{seconds} s after a server has renewed its keys they are not taken"
        );
        tokio::time::sleep(ASK_AGAIN).await;
    }
    Ok(())
}

/// Whether a message that is dated this many milliseconds ahead gets into the room's list.
async fn lists_dated(room: &HubRoom<'_>, ahead: i64) -> Result<bool, Finding> {
    let draft = Draft { origin_server_ts: clock::now_ms() + ahead, ..room.message("dated ahead") };
    let (dated, sound) = (room.peer.lpdu(&draft)?, room.peer.lpdu(&room.message("dated now"))?);
    room.peer.send(&[dated.clone(), sound.clone()], &[]).await?.expect_processed()?;
    room.peer.until_echo(&sound).await?;
    let events = room.ctx.events(&room.id).await?;
    Ok(events.iter().any(|event| lpdu_hash(event) == lpdu_hash(&dated)))
}

async fn long_validity(ctx: &Context) -> Result<(), Finding> {
    // What time does to a key can only be seen by events that are dated ahead. Whether they are judged by their date
    // at all is not specified, so that this is looked at first.
    let short = ctx.peer().await?;
    let response = KeyResponse::of(&short).with("valid_until_ts", json!(clock::now_ms() + 2 * HOUR_MS));
    short.publish_response(response.signed_by(&short, &[&short.key]));
    let room = hub_room_of(ctx, short).await?;
    if lists_dated(&room, 3 * HOUR_MS).await? {
        let what = "events are not judged by their date, so that the validity of keys cannot be seen";
        return Err(Finding::Acceptable { reading: "R33", what: what.to_owned() });
    }
    let long = ctx.peer().await?;
    let response = KeyResponse::of(&long).with("valid_until_ts", json!(clock::now_ms() + 60 * 24 * HOUR_MS));
    long.publish_response(response.signed_by(&long, &[&long.key]));
    let room = hub_room_of(ctx, long).await?;
    let before = lists_dated(&room, 6 * 24 * HOUR_MS).await?;
    check!(before, "an event six days ahead is dropped, although its key is valid for sixty");
    let after = lists_dated(&room, 8 * 24 * HOUR_MS).await?;
    check!(!after, "an event eight days ahead is accepted, although no key counts for longer than seven");
    Ok(())
}

async fn old_keys(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let old = further_key(&peer, "old")?;
    let response = KeyResponse::of(&peer).with_old_key(&old, clock::now_ms() - HOUR_MS);
    peer.publish_response(response.signed_by(&peer, &[&peer.key]));
    let room = hub_room_of(ctx, peer).await?;
    let signed_now = room.peer.lpdu_by(&room.message("signed with an old key"), &old)?;
    let sound = room.peer.lpdu(&room.message("signed with the current key"))?;
    room.peer.send(&[signed_now.clone(), sound.clone()], &[]).await?.expect_processed()?;
    room.peer.until_echo(&sound).await?;
    let events = ctx.events(&room.id).await?;
    if events.iter().any(|event| lpdu_hash(event) == lpdu_hash(&signed_now)) {
        let what =
            "an event that is signed with a key that had expired an hour before is accepted".to_owned();
        return Err(Finding::Acceptable { reading: "R33", what });
    }
    Ok(())
}

async fn fetches_are_limited(ctx: &Context) -> Result<(), Finding> {
    const REQUESTS: usize = 10;
    let peer = ctx.peer().await?;
    ask(&peer).await?;
    let before = fetches(&peer);
    for n in 0..REQUESTS {
        let key = further_key(&peer, &format!("unknown{n}"))?;
        let (own, to) = (&peer.name, &ctx.environment.target.name);
        let target = question();
        let header = mimi_transport::request_auth::sign_request("GET", &target, own, to, None, &key);
        let asked = Ask::new(Method::GET, target).header(header::AUTHORIZATION, header);
        peer.send_ask(asked).await?.expect_error("an unknown key", 401, "M_FORBIDDEN")?;
    }
    let more = fetches(&peer).saturating_sub(before);
    check!(more < REQUESTS, "{REQUESTS} requests with unknown keys made the target fetch keys {more} times");
    Ok(())
}

async fn unusable_responses(ctx: &Context) -> Result<(), Finding> {
    let expect_unused = async |what: &str, response: fn(&Peer) -> Result<Value, Finding>| {
        let peer = ctx.peer().await?;
        peer.publish_response(response(&peer)?);
        let reply = ask(&peer).await?;
        reply.expect_error(&format!("a request of a server whose key response {what}"), 401, "M_FORBIDDEN")
    };
    expect_unused("is another server's", |peer| {
        Ok(KeyResponse::of(peer).with("server_name", json!("example.org")).signed_by(peer, &[&peer.key]))
    })
    .await?;
    expect_unused("is not signed", |peer| {
        Ok(KeyResponse::of(peer).with("signatures", json!({})).signed_by(peer, &[]))
    })
    .await?;
    expect_unused("is signed by a key that it does not list", |peer| {
        Ok(KeyResponse::of(peer).signed_by(peer, &[&further_key(peer, "unlisted")?]))
    })
    .await?;
    expect_unused("was changed after it was signed", |peer| {
        let mut response = KeyResponse::of(peer).signed_by(peer, &[&peer.key]);
        if let Some(response) = response.as_object_mut() {
            response.insert("valid_until_ts".to_owned(), json!(clock::now_ms() + 24 * HOUR_MS));
        }
        Ok(response)
    })
    .await?;
    expect_unused("lists a key that is not one", |peer| {
        let id = peer.key.id().as_str();
        Ok(KeyResponse::of(peer).with_key(id, "AAAA").signed_by(peer, &[&peer.key]))
    })
    .await?;
    // And a sound one of the same making is used.
    let peer = ctx.peer().await?;
    peer.publish_response(KeyResponse::of(&peer).signed_by(&peer, &[&peer.key]));
    ask(&peer).await?.expect_error("a question about a room that nobody knows", 404, "M_NOT_FOUND")
}

/// A signature of any message under a key that is the neutral element: the base point of the curve and the number 1,
/// since `1·B = B + k·0`.
fn forged_signature() -> String {
    let mut bytes = vec![0x58];
    bytes.extend([0x66; 31]);
    bytes.push(1);
    bytes.extend([0; 31]);
    base64::encode(&bytes)
}

async fn weak_keys(ctx: &Context) -> Result<(), Finding> {
    let neutral = |first: u8, middle: u8, last: u8| {
        let mut key = [middle; 32];
        (key[0], key[31]) = (first, last);
        key
    };
    for (what, key) in [
        ("the neutral element", neutral(1, 0, 0)),
        ("the neutral element with a sign", neutral(1, 0, 0x80)),
        ("the neutral element, not reduced", neutral(0xee, 0xff, 0x7f)),
        ("the neutral element, not reduced, with a sign", neutral(0xee, 0xff, 0xff)),
    ] {
        let peer = ctx.peer().await?;
        let (id, forged) = ("ed25519:weak", forged_signature());
        let response = KeyResponse::of(&peer)
            .with("verify_keys", json!({id: {"key": base64::encode(&key)}}))
            .with("signatures", json!({peer.name.as_str(): {id: forged}}));
        peer.publish_response(response.signed_by(&peer, &[]));
        let (origin, destination) = (&peer.name, &ctx.environment.target.name);
        let header = format!(
            "X-Matrix origin=\"{origin}\",destination=\"{destination}\",key=\"{id}\",sig=\"{forged}\""
        );
        let header = http::HeaderValue::try_from(header).map_err(|e| Finding::Suite(e.to_string()))?;
        let ask = Ask::new(Method::GET, question()).header(header::AUTHORIZATION, header);
        let reply = peer.send_ask(ask).await?;
        let what = format!("a request with a signature that anybody can make, under {what} as a key,");
        reply.expect_error(&what, 401, "M_FORBIDDEN")?;
        check!(fetches(&peer) > 0, "the target did not look at the key");
    }
    Ok(())
}
