//! Receiving LPDUs as the hub (LM-04 §5.1).

use mimi_linearized::base64;
use mimi_linearized::event::hash;
use mimi_linearized::id::EventId;
use mimi_linearized::json::Object;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::{
    HubRoom, KEPT, Tolerated, altered, hub_room, is_signed_by_target, open_room, paths, reference_id, remade,
    resigned, set_content, set_signatures, signed_bytes, swap_case, text, texts,
};
use crate::context::Context;
use crate::peer::{Peer, lpdu_hash, without_unsigned};

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "5.1/sealing",
        "the hub makes a PDU of an LPDU by adding to it, and changes nothing",
        [
            "LM-04/5.1/1",
            "LM-04/3.5/10",
            "LM-04/3.5/21",
            "LM-04/6.1/2",
            "LM-04/6.2/3",
            "LM-04/9.1/1",
            "LM-04/9.1/3",
            "LM-04/9.1/5",
            "LM-04/12.5.1/9",
            "LM-04/12.5.1/12",
            "R02",
        ],
        sealing
    ),
    driven_case!(
        Must,
        Hub,
        "5.1/once",
        "an LPDU is sealed once, however often and in however many transactions it comes",
        ["LM-04/5.1/3", "LM-04/12.5.1/22", "R14"],
        once
    ),
    driven_case!(
        Must,
        Hub,
        "5.1/content-schema",
        "an event whose content is not what its type wants is not dropped for that",
        ["LM-04/5.1/5", "LM-04/3.5/14"],
        content_schema
    ),
    driven_case!(
        Must,
        Hub,
        "5.1/forged-signature",
        "an LPDU that its sender's server has not signed is dropped",
        ["LM-04/5.1/6", "LM-04/5.1/8", "LM-04/3.5.1/6", "LM-04/6.3/7", "FW-01/2/14", "TR-00/3/33"],
        forged_signature
    ),
    driven_case!(
        Must,
        Hub,
        "5.1/foreign-signatures",
        "signatures of servers that need not sign are of no account, good or bad",
        ["LM-04/5.1/9"],
        foreign_signatures
    ),
    driven_case!(
        Must,
        Hub,
        "5.1/tampered-content",
        "an LPDU whose content was changed on the way is sealed redacted",
        [
            "LM-04/5.1/10",
            "LM-04/5.1/11",
            "LM-04/5.1/12",
            "LM-04/6.1/1",
            "LM-04/6.3/6",
            "LM-04/9.1/4",
            "LM-04/12.5.1/22",
            "R05",
        ],
        tampered_content
    ),
    driven_case!(
        Must,
        Hub,
        "5.1/wrong-lpdu-hash",
        "an LPDU with a wrong hash is sealed redacted, whatever the hash is",
        ["LM-04/5.1/10", "LM-04/5.1/11", "LM-04/3.5.1/5", "R05", "TR-00/3/34"],
        wrong_lpdu_hash
    ),
    driven_case!(
        Must,
        Hub,
        "5.1/unknown-fields",
        "fields that nobody knows are hashed along, and `unsigned` is not",
        ["LM-04/9.1/4", "R02"],
        unknown_fields
    ),
    driven_case!(
        Must,
        Hub,
        "5.1/other-hub",
        "an LPDU that names another hub, or none, is rejected",
        ["LM-04/3.5/17", "LM-04/3.1/6", "R10"],
        other_hub
    ),
    driven_case!(
        Must,
        Hub,
        "5.1/hub-fields-in-lpdu",
        "an LPDU with fields that only the hub sets is not taken",
        ["LM-04/3.5/16", "LM-04/5.1/4", "R01"],
        hub_fields_in_lpdu
    ),
    driven_case!(
        Must,
        Hub,
        "5.1/whole-event-to-hub",
        "a whole event is not taken by the hub, not even with the right place in the list",
        ["R10"],
        whole_event_to_hub
    ),
];

/// Checks a PDU of the target against the LPDU it was made of.
async fn is_sealed(room: &HubRoom<'_>, lpdu: &Value, pdu: &Value) -> Result<(), Finding> {
    let target = &room.ctx.environment.target.name;
    let (Some(whole), Some(partial)) = (pdu.as_object(), lpdu.as_object()) else {
        return Err(fault("a PDU is no object"));
    };
    for (field, value) in
        partial.iter().filter(|(field, _)| !matches!(field.as_str(), "hashes" | "signatures"))
    {
        check!(
            whole.get(field) == Some(value),
            "the hub changed `{field}` of the LPDU: {}",
            said(&whole.get(field))
        );
    }
    let added: Vec<&String> = whole.keys().filter(|field| !partial.contains_key(*field)).collect();
    check!(
        added == ["auth_events", "prev_events"],
        "the hub added {added} to the LPDU",
        added = said(&added)
    );
    check!(
        text(pdu, "hub_server") == target.as_str(),
        "hub_server of a PDU is {}",
        said(&text(pdu, "hub_server"))
    );
    check!(lpdu_hash(pdu) == lpdu_hash(lpdu), "the hub changed the LPDU's hash");
    let pdu_hash = base64::encode(&hash::pdu_content_hash(whole));
    check!(
        pdu.pointer("/hashes/sha256") == Some(&json!(pdu_hash)),
        "the PDU's hash is to be {pdu_hash}, it is {}",
        said(&pdu.pointer("/hashes/sha256"))
    );
    let sender = room.peer.name.as_str();
    check!(
        pdu.pointer("/signatures").and_then(|all| all.get(sender))
            == lpdu.pointer("/signatures").and_then(|all| all.get(sender)),
        "the hub changed the sender's signature"
    );
    is_signed_by_target(room.ctx, pdu).await
}

async fn sealing(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let mut before = ctx.room(&room.id).await?.head().to_owned();
    for draft in [
        room.message("first"),
        room.message("second"),
        room.member(&room.peer.user("carol")?, "invite"),
        room.member(&room.bob, "join"),
    ] {
        let lpdu = room.peer.lpdu(&draft)?;
        room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
        let pdu = room.peer.until_echo(&lpdu).await?;
        is_sealed(&room, &lpdu, &pdu).await?;
        let prev = texts(&pdu, "prev_events");
        check!(
            prev == [before.clone()],
            "prev_events is {prev}, the event before is {before}",
            prev = said(&prev)
        );
        let listed = ctx.events(&room.id).await?.pop().unwrap_or_default();
        check!(listed == pdu, "the event in the list is another one than was sent out: {listed}");
        before = reference_id(&pdu);
    }
    Ok(())
}

async fn once(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (lpdu, twin) =
        (room.peer.lpdu(&room.message("once"))?, room.peer.lpdu(&room.message("twice at once"))?);
    let send = async |pdus: &[Value]| room.peer.send(pdus, &[]).await?.expect_accepted();
    send(std::slice::from_ref(&lpdu)).await?;
    let pdu = room.peer.until_echo(&lpdu).await?;
    send(std::slice::from_ref(&lpdu)).await?;
    send(&[twin.clone(), lpdu.clone(), twin.clone()]).await?;
    let events = ctx.events(&room.id).await?;
    // The hub's own event, coming back to it, is nothing new either.
    let back = room.peer.send(std::slice::from_ref(&pdu), &[]).await?;
    back.expect_processed()?;
    check!(ctx.events(&room.id).await?.len() == events.len(), "an event of the list was appended once more");
    for (lpdu, what) in [(&lpdu, "in two transactions"), (&twin, "twice in one transaction")] {
        let times = events.iter().filter(|event| lpdu_hash(event) == lpdu_hash(lpdu)).count();
        check!(times > 0, "an LPDU that came {what} is not in the list at all");
        if times > 1 {
            let what = format!("an LPDU that came {what} is in the list {times} times");
            return Err(Finding::Acceptable { reading: "R14", what });
        }
    }
    Ok(())
}

async fn content_schema(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    for (kind, content) in [
        ("m.room.name", json!({"name": 5})),
        ("m.room.topic", json!({})),
        ("m.room.avatar", json!({"url": {"not": "a string"}})),
        ("m.room.history_visibility", json!({"history_visibility": ["shared"]})),
        ("m.room.canonical_alias", json!({"alias": null, "alt_aliases": "none"})),
    ] {
        room.accepts(&room.state(kind, "", content)).await?;
    }
    for kind in ["m.room.message", "m.room.encrypted", "m.mls.commit", "m.room.redaction", "org.example.any"]
    {
        room.accepts(&room.peer.draft(&room.id, &room.bob, kind, json!({"n": [1, {"": null}]}))).await?;
    }
    Ok(())
}

/// LPDUs with the wrong thing as the sender's signature.
fn forgeries(room: &HubRoom<'_>, other: &Peer) -> Result<Vec<(String, Value)>, Finding> {
    let (name, key) = (room.peer.name.as_str(), room.peer.key.id().as_str());
    let lpdu = |n: u32| room.peer.lpdu(&room.message(&format!("forgery {n}")));
    let signed_by = |lpdu: &Value, peer: &Peer| {
        let bytes = signed_bytes(lpdu.as_object().unwrap_or(&Object::new()));
        peer.key.sign(&bytes).to_base64()
    };
    let with = |lpdu: &Value, signatures: Value| {
        altered(lpdu, |lpdu| drop(lpdu.insert("signatures".to_owned(), signatures)))
    };
    let (by_other, of_other) = (lpdu(1)?, lpdu(2)?);
    let theirs = signed_by(&by_other, other);
    let elsewhere = lpdu(3)?.get("signatures").cloned().unwrap_or_default();
    let (changed, unhashed) = (lpdu(5)?, lpdu(6)?);
    Ok(vec![
        (
            "an LPDU signed with another server's key".to_owned(),
            with(&by_other, json!({name: {key: theirs}})),
        ),
        (
            "an LPDU signed by another server alone".to_owned(),
            with(
                &of_other,
                json!({other.name.as_str(): {other.key.id().as_str(): signed_by(&of_other, other)}}),
            ),
        ),
        ("an LPDU with the signature of another one".to_owned(), with(&lpdu(4)?, elsewhere)),
        (
            "an LPDU whose timestamp was changed after it was signed".to_owned(),
            altered(&changed, |lpdu| {
                drop(lpdu.insert("origin_server_ts".to_owned(), json!(1_681_340_188_825_i64)));
            }),
        ),
        (
            "an LPDU whose hash was changed after it was signed".to_owned(),
            altered(&unhashed, |lpdu| {
                drop(lpdu.insert("hashes".to_owned(), json!({"lpdu": {"sha256": base64::encode(&[7; 32])}})));
            }),
        ),
        (
            "an LPDU with a signature of zeros".to_owned(),
            with(&lpdu(7)?, json!({name: {key: base64::encode(&[0; 64])}})),
        ),
    ])
}

async fn forged_signature(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let other = ctx.peer().await?;
    // The other server is in the room too: its key is at hand, and its users may speak.
    other.join(&room.id, &other.user("carol")?).await?;
    room.drops_all(&forgeries(&room, &other)?).await?;
    // Nor does it help that the forger is in the room: it speaks for its own users only.
    let for_bob = other.draft(&room.id, &room.bob, "m.room.message", json!({"body": "not from bob"}));
    let for_bob = resigned(&other, &room.peer.lpdu(&for_bob)?, |_| {});
    let sent = other.send(std::slice::from_ref(&for_bob), &[]).await?;
    crate::cases::steps::not_reported(&sent, "an LPDU for another server's user")?;
    room.is_not_listed(&for_bob, "an LPDU for another server's user").await
}

async fn foreign_signatures(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let other = ctx.peer().await?;
    let rubbish = base64::encode(&[1; 64]);
    for (what, server, entry) in [
        ("of an unknown server", "nobody.example.org".to_owned(), json!({"ed25519:1": rubbish})),
        ("that is none", "somebody.example.org".to_owned(), json!({"": "not base64 !", "rsa:1": ""})),
        (
            "of a known server, which is wrong",
            other.name.to_string(),
            json!({other.key.id().as_str(): rubbish}),
        ),
    ] {
        let lpdu = room.peer.lpdu(&room.message(&format!("with a signature {what}")))?;
        let lpdu = altered(&lpdu, |lpdu| set_signatures(lpdu, &server, entry));
        room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
        let pdu = room.peer.until_echo(&lpdu).await?;
        is_signed_by_target(ctx, &pdu).await?;
    }
    Ok(())
}

/// The PDU is made of the LPDU after redacting it: it has this content and its fields alone.
async fn is_redacted(room: &HubRoom<'_>, lpdu: &Value, content: &Value) -> Result<(), Finding> {
    let pdu = room.peer.until_echo(lpdu).await?;
    check!(
        pdu.get("content") == Some(content),
        "an event whose hash is wrong is to be redacted to content {content}: {pdu}"
    );
    let extra =
        pdu.as_object().into_iter().flat_map(Object::keys).find(|field| !KEPT.contains(&field.as_str()));
    check!(extra.is_none(), "an event whose hash is wrong still has {extra}", extra = said(&extra));
    let path = paths::event(&reference_id(&pdu));
    let reply = room.peer.request(http::Method::GET, &path, None).await?;
    let served = without_unsigned(reply.expect_ok("an event of the room")?);
    check!(served == pdu, "the event is served otherwise than it was sent out");
    let listed = room.ctx.events(&room.id).await?;
    check!(listed.contains(&pdu), "the event in the list is not the redacted one");
    is_signed_by_target(room.ctx, &pdu).await?;
    let hash_of =
        |event: &Value| base64::encode(&hash::pdu_content_hash(event.as_object().unwrap_or(&Object::new())));
    let claimed = pdu.pointer("/hashes/sha256").and_then(Value::as_str).unwrap_or_default();
    if claimed == hash_of(&pdu) {
        return Ok(());
    }
    let unredacted = altered(&pdu, |event| {
        event.extend(
            lpdu.as_object().into_iter().flatten().map(|(field, value)| (field.clone(), value.clone())),
        );
    });
    check!(claimed == hash_of(&unredacted), "the hash of a redacted PDU is that of neither form of it");
    let what = "the hub hashes an LPDU with a wrong hash before it redacts it".to_owned();
    Err(Finding::Acceptable { reading: "R05", what })
}

async fn tampered_content(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let mut tolerated = Tolerated::default();
    let message = room.peer.lpdu(&room.message("pay 10 to carol"))?;
    let message = altered(&message, |lpdu| set_content(lpdu, "body", json!("pay 10000 to carol")));
    let extra = room.peer.lpdu(&room.message("a field is added outside of the content"))?;
    let extra = altered(&extra, |lpdu| drop(lpdu.insert("org.example.added".to_owned(), json!(true))));
    let member = room.peer.lpdu(&room.member(&room.bob, "join"))?;
    let member = altered(&member, |lpdu| set_content(lpdu, "displayname", json!("Not Bob")));
    for (lpdu, left) in [(message, json!({})), (extra, json!({})), (member, json!({"membership": "join"}))] {
        room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
        tolerated.note(is_redacted(&room, &lpdu, &left).await)?;
    }
    room.accepts(&room.message("the room goes on")).await?;
    tolerated.end()
}

async fn wrong_lpdu_hash(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let right = room.peer.lpdu(&room.message("a right hash"))?;
    let right = lpdu_hash(&right).to_owned();
    let shorter = right.get(..42).unwrap_or_default().to_owned();
    let with = |hash: &str| -> Result<Value, Finding> {
        let lpdu = room.peer.lpdu(&room.message(&format!("with the hash {hash}", hash = said(&hash))))?;
        let hashes = json!({"lpdu": {"sha256": hash}});
        Ok(resigned(&room.peer, &lpdu, |lpdu| drop(lpdu.insert("hashes".to_owned(), hashes))))
    };
    for hash in [base64::encode(&[0; 32]), right] {
        let lpdu = with(&hash)?;
        room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
        let ts = lpdu.get("origin_server_ts").cloned();
        let same = move |pdu: &Value| pdu.get("origin_server_ts") == ts.as_ref() && lpdu_hash(pdu) == hash;
        let pdu = room.peer.until_pdu("the hub seals an LPDU with a wrong hash", same).await?;
        check!(pdu.get("content") == Some(&json!({})), "an event with a wrong hash is not redacted: {pdu}");
    }
    // Text that stands for no hash may also be taken for a breach of the schema.
    for hash in [shorter, "not base64 !".to_owned(), String::new()] {
        let lpdu = with(&hash)?;
        room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_processed()?;
        let whole = |event: &Value| event.get("content") == lpdu.get("content");
        check!(
            !ctx.events(&room.id).await?.iter().any(whole),
            "an event with the hash {hash} is in the list whole",
            hash = said(&hash)
        );
    }
    room.accepts(&room.message("the room goes on")).await.map(drop)
}

async fn unknown_fields(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let lpdu = room.peer.lpdu(&room.message("with more fields than there are"))?;
    let lpdu = remade(&room.peer, &lpdu, |lpdu| {
        lpdu.insert("event_id".to_owned(), json!("$of-another-time"));
        lpdu.insert("depth".to_owned(), json!(12));
        lpdu.insert("org.example.extra".to_owned(), json!({"nested": ["a", 1, null]}));
    });
    room.peer.send(std::slice::from_ref(&lpdu), &[]).await?.expect_accepted()?;
    is_sealed(&room, &lpdu, &room.peer.until_echo(&lpdu).await?).await?;
    let plain = room.peer.lpdu(&room.message("with something unsigned"))?;
    let unsigned = altered(&plain, |lpdu| drop(lpdu.insert("unsigned".to_owned(), json!({"age": 4_612}))));
    room.peer.send(std::slice::from_ref(&unsigned), &[]).await?.expect_accepted()?;
    let pdu = room.peer.until_echo(&plain).await?;
    is_sealed(&room, &plain, &pdu).await
}

async fn other_hub(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let target = ctx.environment.target.name.as_str();
    let mut bad = Vec::new();
    for (what, hub) in [
        ("another server", room.peer.name.to_string()),
        ("an unknown server", "hub.example.org".to_owned()),
        ("its name in other letters", swap_case(target)),
    ] {
        let lpdu = room.peer.lpdu(&room.message(&format!("through {what}")))?;
        let lpdu = remade(&room.peer, &lpdu, |lpdu| drop(lpdu.insert("hub_server".to_owned(), json!(hub))));
        bad.push((format!("an LPDU whose hub is {what}"), lpdu));
    }
    let none = room.peer.lpdu(&room.message("through no hub"))?;
    let none = remade(&room.peer, &none, |lpdu| drop(lpdu.remove("hub_server")));
    bad.push(("an LPDU without hub_server".to_owned(), none));
    let failed = room.refuses_all(&bad).await?;
    match bad.iter().find(|(_, lpdu)| !failed.contains_key(&reference_id(lpdu))) {
        None => Ok(()),
        Some((what, _)) => Err(Finding::Acceptable { reading: "R10", what: format!("{what} is dropped") }),
    }
}

async fn hub_fields_in_lpdu(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let events: Vec<String> = ctx.events(&room.id).await?.iter().map(reference_id).collect();
    let head = events.last().cloned().unwrap_or_default();
    let mut bad = Vec::new();
    let mut add = |what: &str, change: &dyn Fn(&mut Object)| -> Result<(), Finding> {
        let lpdu = room.peer.lpdu(&room.message(what))?;
        bad.push((format!("an LPDU {what}"), remade(&room.peer, &lpdu, change)));
        // A hub that took the field away instead would find hash and signature of this one right.
        let lpdu = room.peer.lpdu(&room.message(&format!("put in later: {what}")))?;
        bad.push((format!("an LPDU {what}, put in after it was signed"), altered(&lpdu, change)));
        Ok(())
    };
    let hash = |lpdu: &mut Object, name: &str, value: &str| {
        if let Some(Value::Object(hashes)) = lpdu.get_mut("hashes") {
            hashes.insert(name.to_owned(), json!(value));
        }
    };
    let set = |field: &'static str, value: Value| {
        move |lpdu: &mut Object| drop(lpdu.insert(field.to_owned(), value.clone()))
    };
    add("with prev_events", &set("prev_events", json!([head])))?;
    add("with empty prev_events", &set("prev_events", json!([])))?;
    add("with auth_events", &set("auth_events", json!([events.first()])))?;
    add("with empty auth_events", &set("auth_events", json!([])))?;
    add("with auth_events that are null", &set("auth_events", Value::Null))?;
    add("with a hash of the whole", &|lpdu| hash(lpdu, "sha256", &base64::encode(&[3; 32])))?;
    add("with a hash of another algorithm", &|lpdu| hash(lpdu, "md5", "AAAA"))?;
    room.drops_all(&bad).await?;
    let lpdu = room.peer.lpdu(&room.message("without its hash"))?;
    let without = resigned(&room.peer, &lpdu, |lpdu| drop(lpdu.insert("hashes".to_owned(), json!({}))));
    let other =
        resigned(&room.peer, &room.peer.lpdu(&room.message("with its hash by another algorithm"))?, |lpdu| {
            drop(lpdu.insert("hashes".to_owned(), json!({"lpdu": {"sha512": base64::encode(&[3; 64])}})));
        });
    room.refuses_all(&[
        ("an LPDU without its hash".to_owned(), without),
        ("an LPDU whose only hash is of an unknown algorithm".to_owned(), other),
    ])
    .await
    .map(drop)
}

async fn whole_event_to_hub(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let before = room.accepts(&room.message("to see what is cited")).await?;
    let ids = |list: Vec<String>| list.iter().filter_map(|id| EventId::parse(id).ok()).collect::<Vec<_>>();
    let (cites, prev) = (ids(texts(&before, "auth_events")), ids(vec![reference_id(&before)]));
    let complete = |event: Value| {
        room.peer.sealer().complete(event.as_object().cloned().unwrap_or_default(), &cites, &prev)
    };
    // Signed twice by one server, which one key id cannot be: the signature is that of the hub's part.
    let by_sender = complete(room.peer.lpdu(&room.message("whole, sealed by its sender"))?);
    let no_hub = altered(&room.peer.lpdu(&room.message("whole, without a hub"))?, |lpdu| {
        lpdu.remove("hub_server");
        lpdu.remove("hashes");
    });
    let no_hub = complete(no_hub);
    // This one holds as the LPDU that it was.
    let lpdu = room.peer.lpdu(&room.message("whole, with the signature of an LPDU"))?;
    let signatures = lpdu.get("signatures").cloned().unwrap_or_default();
    let as_lpdu = altered(&complete(lpdu), |event| drop(event.insert("signatures".to_owned(), signatures)));
    let all = [by_sender, no_hub, as_lpdu];
    room.peer.send(&all, &[]).await?.expect_processed()?;
    for (event, what) in all.iter().zip(["that its sender sealed", "that names no hub", "around an LPDU"]) {
        room.is_not_listed(event, &format!("a whole event {what}")).await?;
    }
    room.accepts(&room.message("the room goes on")).await.map(drop)
}
