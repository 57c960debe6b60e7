//! Keys, signatures and base64 (LM-04 §6, §10).

use http::Method;
use mimi_linearized::base64;
use mimi_linearized::id::KeyId;
use mimi_linearized::json::{Object, canonical};
use mimi_linearized::signing::SigningKey;
use serde_json::{Value, json};

use crate::case::{Case, Finding, case, check, driven_case, fault, said};
use crate::cases::steps::followed::followed_room;
use crate::cases::steps::key_responses::further_key;
use crate::cases::steps::{
    HubRoom, altered, hub_room, hub_room_of, open_room, paths, reference_id, resigned, set_signatures,
    signed_bytes, text, texts,
};
use crate::context::Context;
use crate::forgery::Forger;
use crate::peer::lpdu_hash;
use crate::wire::Ask;

pub(super) const CASES: &[Case] = &[
    case!(
        Must,
        Server,
        "6/published-key",
        "a server publishes an Ed25519 key under an id of the grammar, signed with it",
        [
            "LM-04/6/1",
            "LM-04/6/3",
            "LM-04/6/4",
            "LM-04/6/5",
            "LM-04/6/6",
            "LM-04/6.2/1",
            "LM-04/6.2/2",
            "LM-04/6.2/3",
            "LM-04/6.2/4",
            "LM-04/10/1",
        ],
        published_key
    ),
    driven_case!(
        Must,
        Hub,
        "6/other-algorithms",
        "a key of another algorithm, or under an id outside of the grammar, is not used",
        ["LM-04/6/3", "LM-04/6/5", "LM-04/6/6", "LM-04/6.3/3"],
        other_algorithms
    ),
    driven_case!(
        Must,
        Hub,
        "6/weak-keys",
        "a public key outside of the prime-order group is not used",
        ["R08"],
        weak_keys
    ),
    driven_case!(
        Must,
        Hub,
        "6/several-signatures",
        "of several signatures of a server those by known keys must all hold, and there must be one",
        ["LM-04/6.3/3", "LM-04/6.3/7", "LM-04/6.3/9", "R08"],
        several_signatures
    ),
    driven_case!(
        Must,
        Hub,
        "6/malleable-signatures",
        "a signature that is not in its one canonical form does not hold",
        ["LM-04/6.3/7", "R08"],
        malleable_signatures
    ),
    driven_case!(
        Should,
        Hub,
        "6/small-order-r",
        "a signature whose R is of small order does not hold",
        ["R08"],
        small_order_r
    ),
    driven_case!(
        Must,
        Hub,
        "6/mixed-order-r",
        "a signature whose R has a part of small order is verified by the cofactored equation",
        ["R08"],
        mixed_order_r
    ),
    driven_case!(
        Must,
        Hub,
        "6.1/signed-redacted",
        "what is signed is the redacted event, so that the signature also holds for a redacted copy",
        ["LM-04/6.1/1", "LM-04/6.1/2", "LM-04/6.2/1", "LM-04/6.2/4", "LM-04/10/1"],
        signed_redacted
    ),
    driven_case!(
        Must,
        Hub,
        "6.3/unusable-signatures",
        "a signature that is missing, misplaced or not decodable is none",
        ["LM-04/6.3/1", "LM-04/6.3/2", "LM-04/6.3/3", "LM-04/6.3/4", "LM-04/6.3/5"],
        unusable_signatures
    ),
    driven_case!(
        Must,
        Hub,
        "10/unpadded",
        "base64 is written without padding, in the alphabet that its place asks for",
        ["LM-04/10/1", "LM-04/10/3", "LM-04/9.1/6", "LM-04/9.2/5"],
        unpadded
    ),
    driven_case!(
        Should,
        Hub,
        "10/padded-input",
        "base64 with padding is understood: in hashes, in signatures and in keys",
        ["LM-04/10/2"],
        padded_input
    ),
];

/// Whether a text is `bytes` bytes in unpadded base64 of the standard alphabet.
fn is_unpadded(text: &str, bytes: usize) -> bool {
    base64::decode(text).is_ok_and(|decoded| decoded.len() == bytes && base64::encode(&decoded) == text)
}

async fn published_key(ctx: &Context) -> Result<(), Finding> {
    let reply = ctx.ask(Ask::new(Method::GET, "/_matrix/key/v2/server")).await?;
    let keys = reply.expect_ok("the target's keys")?.as_object().cloned().unwrap_or_default();
    let published = keys.get("verify_keys").and_then(Value::as_object).cloned().unwrap_or_default();
    check!(!published.is_empty(), "the target publishes no key");
    let name = ctx.environment.target.name.as_str();
    let signatures = keys.get("signatures").and_then(|all| all.get(name)).and_then(Value::as_object);
    let signatures = signatures.cloned().unwrap_or_default();
    let mut signed = keys.clone();
    signed.remove("signatures");
    let signed = canonical::object_to_vec(&signed);
    for (id, entry) in &published {
        let version = id.strip_prefix("ed25519:").unwrap_or_default();
        let fits =
            !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        check!(fits, "the target's key has the id {id}", id = said(&id));
        let key = text(entry, "key");
        check!(
            is_unpadded(key, 32),
            "the key {id} is no unpadded base64 of 32 bytes: {key}",
            key = said(&key)
        );
        let signature = signatures.get(id).and_then(Value::as_str).unwrap_or_default();
        check!(
            is_unpadded(signature, 64),
            "the signature by {id} is no unpadded base64 of 64 bytes: {signature}",
            signature = said(&signature)
        );
        let verify = mimi_linearized::signing::VerifyKey::from_base64(key)
            .map_err(|error| fault(format!("the key {id}: {error}")))?;
        let holds = mimi_linearized::signing::Signature::from_base64(signature)
            .is_some_and(|signature| verify.verify(&signed, &signature));
        check!(holds, "the target's keys are not signed with {id}");
    }
    Ok(())
}

/// An LPDU of `bob` with these signatures of his server, by key id.
fn signed_as(room: &HubRoom<'_>, body: &str, sign: impl Fn(&[u8]) -> Value) -> Result<Value, Finding> {
    let lpdu = room.peer.lpdu(&room.message(body))?;
    let signatures = sign(&signed_bytes(lpdu.as_object().unwrap_or(&Object::new())));
    Ok(altered(&lpdu, |lpdu| set_signatures(lpdu, room.peer.name.as_str(), signatures)))
}

/// A room in which `bob` of a peer is that publishes more keys than its own; nothing, if the target has nothing to do
/// with a server that publishes such keys.
async fn room_with_keys<'c>(
    ctx: &'c Context,
    more: &[(&str, String)],
) -> Result<Option<HubRoom<'c>>, Finding> {
    let peer = ctx.peer().await?;
    peer.publish_also(more);
    let (id, bob) = (ctx.public_room().await?, peer.user("bob")?);
    let path = paths::make_in_i1("join", &id, bob.as_str());
    if peer.request(Method::GET, &path, None).await?.status == http::StatusCode::UNAUTHORIZED {
        return Ok(None);
    }
    hub_room_of(ctx, peer).await.map(Some)
}

async fn other_algorithms(ctx: &Context) -> Result<(), Finding> {
    let ids = ["rsa:1", "curve25519:1", "Ed25519:1", "ed25519:a-b", "ed25519:a:b", "ed25519:", "ed25519"];
    let key = SigningKey::from_seed(
        KeyId::ed25519("any").map_err(|error| Finding::Suite(error.to_string()))?,
        &[11; 32],
    );
    let published: Vec<(&str, String)> = ids.iter().map(|id| (*id, key.verify_key().to_base64())).collect();
    let Some(room) = room_with_keys(ctx, &published).await? else { return Ok(()) };
    let mut bad = Vec::new();
    for id in ids {
        let lpdu = signed_as(&room, &format!("by {id}"), |bytes| json!({id: key.sign(bytes).to_base64()}))?;
        bad.push((format!("an LPDU signed by the key {id} alone", id = said(&id)), lpdu));
    }
    room.drops_all(&bad).await
}

async fn weak_keys(ctx: &Context) -> Result<(), Finding> {
    let sound = SigningKey::from_seed(
        KeyId::ed25519("any").map_err(|error| Finding::Suite(error.to_string()))?,
        &[12; 32],
    );
    for (what, weak) in [
        ("the identity", Forger::identity()),
        ("the identity in another encoding", Forger::identity_beyond_p()),
        ("outside of the prime-order group", Forger::of(&sound).with_torsion()),
    ] {
        let Some(room) = room_with_keys(ctx, &[("ed25519:weak", weak.public_base64())]).await? else {
            continue;
        };
        let lpdu = signed_as(&room, what, |bytes| json!({"ed25519:weak": weak.sign(bytes)}))?;
        room.drops(&lpdu, &format!("an LPDU signed by a key that is {what}")).await?;
    }
    Ok(())
}

async fn several_signatures(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let (second, unknown) = (further_key(&peer, "second")?, further_key(&peer, "unknown")?);
    peer.publish_also(&[(second.id().as_str(), second.verify_key().to_base64())]);
    let room = hub_room_of(ctx, peer).await?;
    let first = &room.peer.key;
    let (one, two, none) = (first.id().as_str(), second.id().as_str(), unknown.id().as_str());
    let by = |key: &SigningKey, bytes: &[u8]| key.sign(bytes).to_base64();
    let zeros = base64::encode(&[0; 64]);
    let takes = async |lpdu: Value| -> Result<(), Finding> {
        room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
        room.peer.until_echo(&lpdu).await.map(drop)
    };
    takes(signed_as(&room, "by both", |bytes| json!({one: by(first, bytes), two: by(&second, bytes)}))?)
        .await?;
    takes(signed_as(&room, "by the second alone", |bytes| json!({two: by(&second, bytes)}))?).await?;
    takes(signed_as(
        &room,
        "by an unknown key too",
        |bytes| json!({one: by(first, bytes), none: by(&unknown, bytes)}),
    )?)
    .await?;
    takes(signed_as(
        &room,
        "and rubbish",
        |bytes| json!({one: by(first, bytes), none: zeros, "rsa:1": "!", "": ""}),
    )?)
    .await?;
    room.drops_all(&[
        (
            "an LPDU of whose two signatures by known keys the second does not hold".to_owned(),
            signed_as(&room, "the second fails", |bytes| json!({one: by(first, bytes), two: zeros}))?,
        ),
        (
            "an LPDU of whose two signatures by known keys the first does not hold".to_owned(),
            signed_as(
                &room,
                "the first fails",
                |bytes| json!({one: by(&second, bytes), two: by(&second, bytes)}),
            )?,
        ),
        (
            "an LPDU signed by an unknown key alone".to_owned(),
            signed_as(&room, "by an unknown key alone", |bytes| json!({none: by(&unknown, bytes)}))?,
        ),
    ])
    .await
}

async fn malleable_signatures(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (forger, key) = (Forger::of(&room.peer.key), room.peer.key.id().as_str());
    let mut bad = Vec::new();
    for form in 0..2 {
        let mut what = "";
        let lpdu = room.peer.lpdu(&room.message(&format!("a form of R: {form}")))?;
        let bytes = signed_bytes(lpdu.as_object().unwrap_or(&Object::new()));
        let signature = forger.non_canonical_r(&bytes).into_iter().nth(form);
        let signature = signature.map(|(is, signature)| {
            what = is;
            signature
        });
        let lpdu =
            altered(&lpdu, |lpdu| set_signatures(lpdu, room.peer.name.as_str(), json!({key: signature})));
        bad.push((format!("an LPDU with a signature whose R has {what}"), lpdu));
    }
    let unreduced = signed_as(&room, "S", |bytes| json!({key: forger.unreduced_s(bytes)}))?;
    bad.push(("an LPDU with a signature whose S is not reduced".to_owned(), unreduced));
    room.drops_all(&bad).await?;
    // The forger's signatures are good but for that.
    let sound = signed_as(&room, "sound", |bytes| json!({key: forger.sign(bytes)}))?;
    room.peer.send(std::slice::from_ref(&sound), &[]).await?.expect_accepted()?;
    room.peer.until_echo(&sound).await.map(drop)
}

async fn small_order_r(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (forger, key) = (Forger::of(&room.peer.key), room.peer.key.id().as_str());
    let kinds = forger.small_order_r(b"").into_iter().map(|(what, _)| what);
    let mut bad = Vec::new();
    for (index, what) in kinds.enumerate() {
        let sign =
            |bytes: &[u8]| forger.small_order_r(bytes).into_iter().nth(index).map(|(_, signature)| signature);
        let lpdu = signed_as(&room, what, |bytes| json!({key: sign(bytes)}))?;
        bad.push((format!("an LPDU with a signature whose R is {what}"), lpdu));
    }
    room.drops_all(&bad).await
}

async fn mixed_order_r(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (forger, key) = (Forger::of(&room.peer.key), room.peer.key.id().as_str());
    let lpdu = signed_as(&room, "mixed", |bytes| json!({key: forger.mixed_order_r(bytes)}))?;
    let sound = room.peer.lpdu(&room.message("sound"))?;
    room.peer.send(&[lpdu.clone(), sound.clone()], &[]).await?.expect_accepted()?;
    room.peer.until_echo(&sound).await?;
    if ctx.events(&room.id).await?.iter().any(|event| lpdu_hash(event) == lpdu_hash(&lpdu)) {
        return Ok(());
    }
    let what = "a signature that only the cofactored equation holds for is refused".to_owned();
    Err(Finding::Acceptable { reading: "R08", what })
}

async fn signed_redacted(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let long = json!({"body": "much that redaction strips", "more": [1, {"of": "it"}]});
    let of_bob = room.accepts(&room.peer.draft(&room.id, &room.bob, "m.room.message", long.clone())).await?;
    let given = ctx.send_as_alice(&room.id, "m.room.message", None, long).await?;
    let name = ctx.environment.target.name.as_str();
    let ring = ctx.environment.target_keys().await?;
    let events = ctx.events(&room.id).await?;
    check!(events.contains(&of_bob), "the event that was sent out is not in the list");
    let of_alice = events.iter().find(|event| reference_id(event) == text(&given, "event_id"));
    check!(of_alice.is_some(), "the event {given} is not in the list");
    for event in &events {
        let id = reference_id(event);
        let entry = event.get("signatures").and_then(|all| all.get(name)).and_then(Value::as_object);
        let entry = entry.cloned().unwrap_or_default();
        check!(!entry.is_empty(), "the hub has not signed {id}");
        let redacted = signed_bytes(event.as_object().unwrap_or(&Object::new()));
        for (key, signature) in entry {
            let signature = signature.as_str().unwrap_or_default().to_owned();
            check!(
                is_unpadded(&signature, 64),
                "the hub's signature on {id} is {signature}",
                signature = said(&signature)
            );
            let known = KeyId::parse(&key).ok().and_then(|key| ring.verify_keys().get(&key).copied());
            let known = known
                .ok_or_else(|| fault(format!("the hub signs {id} with {key}, which it does not publish")))?;
            let signature = mimi_linearized::signing::Signature::from_base64(&signature);
            let holds = signature.is_some_and(|signature| known.verify(&redacted, &signature));
            check!(holds, "the hub's signature on {id} by {key} does not hold for the redacted event");
        }
    }
    Ok(())
}

async fn unusable_signatures(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (name, key) = (room.peer.name.as_str(), room.peer.key.id().as_str());
    let mut bad = Vec::new();
    let mut add = |what: &str, change: &dyn Fn(&mut Object, String)| -> Result<(), Finding> {
        let lpdu = room.peer.lpdu(&room.message(what))?;
        let signature = lpdu.get("signatures").and_then(|all| all.get(name)?.get(key)?.as_str());
        let signature = signature.unwrap_or_default().to_owned();
        bad.push((format!("an LPDU {what}"), altered(&lpdu, |lpdu| change(lpdu, signature))));
        Ok(())
    };
    let set = |lpdu: &mut Object, signatures: Value| drop(lpdu.insert("signatures".to_owned(), signatures));
    add("without `signatures`", &|lpdu, _| drop(lpdu.remove("signatures")))?;
    add("with empty `signatures`", &|lpdu, _| set(lpdu, json!({})))?;
    add("with an empty entry of the server", &|lpdu, _| set(lpdu, json!({name: {}})))?;
    add("with the signature under another server", &|lpdu, signature| {
        set(lpdu, json!({"example.org": {key: signature}}));
    })?;
    add("with the signature under another key id", &|lpdu, signature| {
        set(lpdu, json!({name: {"ed25519:elsewhere": signature}}));
    })?;
    add("with the signature under the user", &|lpdu, signature| {
        set(lpdu, json!({room.bob.as_str(): {key: signature}}));
    })?;
    add("with the signature not under a key id", &|lpdu, signature| set(lpdu, json!({name: signature})))?;
    add("with the signature in an array", &|lpdu, signature| set(lpdu, json!({name: {key: [signature]}})))?;
    add("with an empty signature", &|lpdu, _| set(lpdu, json!({name: {key: ""}})))?;
    add("with a signature that is no base64", &|lpdu, _| set(lpdu, json!({name: {key: "not base64 !"}})))?;
    add("with a signature of 63 bytes", &|lpdu, _| {
        set(lpdu, json!({name: {key: base64::encode(&[1; 63])}}));
    })?;
    add("with a byte behind the signature", &|lpdu, signature| {
        let mut bytes = base64::decode(&signature).unwrap_or_default();
        bytes.push(0);
        set(lpdu, json!({name: {key: base64::encode(&bytes)}}));
    })?;
    add("with a character before the signature", &|lpdu, signature| {
        set(lpdu, json!({name: {key: format!("!{signature}")}}));
    })?;
    room.drops_all(&bad).await
}

async fn unpadded(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let name = ctx.environment.target.name.as_str().to_owned();
    // Enough of them that every character of the alphabet is likely to be among them.
    for n in 0..8 {
        room.accepts(&room.message(&format!("message {n}"))).await?;
    }
    let is_hash =
        |hash: Option<&Value>| hash.and_then(Value::as_str).is_some_and(|hash| is_unpadded(hash, 32));
    for event in ctx.events(&room.id).await? {
        let id = reference_id(&event);
        let hash = event.pointer("/hashes/sha256");
        check!(
            is_hash(hash),
            "the content hash of {id} is no unpadded base64 of 32 bytes: {hash}",
            hash = said(&hash)
        );
        let signed = event.get("signatures").and_then(|all| all.get(&name)).and_then(Value::as_object);
        for signature in signed.into_iter().flat_map(Object::values) {
            let fits = signature.as_str().is_some_and(|signature| is_unpadded(signature, 64));
            check!(fits, "the hub's signature on {id} is no unpadded base64 of 64 bytes: {signature}");
        }
        for cited in ["auth_events", "prev_events"].iter().flat_map(|field| texts(&event, field)) {
            let hash = cited.strip_prefix('$').unwrap_or_default();
            let url_safe =
                hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            check!(url_safe && hash.len() == 43, "{id} names an event {cited}", cited = said(&cited));
        }
    }
    // An LPDU has a hash of the target's making too.
    let followed = followed_room(ctx).await?;
    let join = followed.hub.until_request("the target joins", |request| request.is("send_join")).await?;
    let hash = join.body.pointer("/hashes/lpdu/sha256");
    check!(
        is_hash(hash),
        "the hash of the target's LPDU is no unpadded base64 of 32 bytes: {hash}",
        hash = said(&hash)
    );
    let signed =
        join.body.get("signatures").and_then(|all| all.get(&name)).and_then(Value::as_object).cloned();
    for signature in signed.unwrap_or_default().values() {
        let fits = signature.as_str().is_some_and(|signature| is_unpadded(signature, 64));
        check!(fits, "the signature of the target's LPDU is no unpadded base64 of 64 bytes: {signature}");
    }
    Ok(())
}

async fn padded_input(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let second = further_key(&peer, "padded")?;
    peer.publish_also(&[(second.id().as_str(), format!("{}=", second.verify_key().to_base64()))]);
    let room = hub_room_of(ctx, peer).await?;
    let first = room.peer.key.id().as_str();
    let key = second.id().as_str();
    let lpdu =
        signed_as(&room, "by a key that is padded", |bytes| json!({key: second.sign(bytes).to_base64()}))?;
    room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
    room.peer.until_echo(&lpdu).await?;
    let own = &room.peer.key;
    let lpdu = signed_as(
        &room,
        "with a padded signature",
        |bytes| json!({first: format!("{}==", own.sign(bytes).to_base64())}),
    )?;
    room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
    room.peer.until_echo(&lpdu).await?;
    let lpdu = room.peer.lpdu(&room.message("with a padded hash"))?;
    let padded = format!("{}=", lpdu_hash(&lpdu));
    let lpdu = resigned(&room.peer, &lpdu, |lpdu| {
        drop(lpdu.insert("hashes".to_owned(), json!({"lpdu": {"sha256": padded}})));
    });
    room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
    let pdu = room.peer.until_echo(&lpdu).await?;
    check!(
        pdu.get("content") == lpdu.get("content"),
        "an event is redacted because its hash is padded: {pdu}"
    );
    Ok(())
}
