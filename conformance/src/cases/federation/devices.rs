//! Devices, key packages and to-device messages (LM-04 §4.1, §12.10).

use std::collections::BTreeSet;

use http::Method;
use mimi_linearized::id::UserId;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::device_objects::{device_object, device_object_without};
use crate::cases::steps::text;
use crate::context::Context;
use crate::mls::{KEY_PACKAGES, MlsDevice};
use crate::peer::{Inbound, Peer};
use crate::target::segment;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Server,
        "4.1/invalid-device",
        "a device object that is not signed by each of its keys is not published",
        ["LM-04/4.1/5", "LM-04/4.1/7", "LM-04/3.4/1", "R29"],
        invalid_device
    ),
    driven_case!(
        Must,
        Server,
        "12.10.1/device-list-update",
        "servers that share a room with a user are told of new and removed devices",
        ["LM-04/12.10.1/1", "LM-04/12.10.1/2", "LM-04/12.10.1/4", "LM-04/12.9/1", "R25"],
        device_list_update
    ),
    driven_case!(
        Must,
        Server,
        "12.10.1/update-is-passed-on",
        "users whom a device list update concerns are told",
        ["LM-04/12.10.1/3", "R25"],
        update_is_passed_on
    ),
    driven_case!(
        Must,
        Server,
        "12.10.1/everybody-is-told",
        "of the users whom a device list update concerns each is told",
        ["LM-04/12.10.1/3"],
        everybody_is_told
    ),
    driven_case!(
        Must,
        Server,
        "12.10.1.1/device",
        "a device's object is served unchanged, and unknown devices are not found",
        ["LM-04/12.10.1.1/2", "LM-04/12.10.1.1/3", "LM-04/12.10.1.1/4", "LM-04/4.1/6", "FW-01/4/3"],
        device
    ),
    driven_case!(
        Must,
        Server,
        "12.10.1.1/asks-the-owner",
        "a device is asked for at its owner's server",
        ["LM-04/12.10.1.1/1"],
        asks_the_owner
    ),
    driven_case!(
        Must,
        Server,
        "12.10.2/to-device-message",
        "a message reaches the device it is for, unchanged, and no other",
        ["LM-04/12.10.2/2", "LM-04/12.10.2/4"],
        to_device_message
    ),
    driven_case!(
        Must,
        Server,
        "12.10.2/to-device-sent",
        "a message to another server's device goes to that server, as an EDU",
        ["LM-04/12.10.2/1", "LM-04/12.10.2/3", "LM-04/12.9/1", "R25"],
        to_device_sent
    ),
    driven_case!(
        Must,
        Server,
        "12.10.3.1/claimed-once",
        "a key package is given out once, also to simultaneous claims",
        ["LM-04/12.10.3.1/8", "LM-04/12.10.3.1/5", "LM-04/12.10.3.1/7", "LM-04/4.4/1", "R29"],
        claimed_once
    ),
    driven_case!(
        Should,
        Server,
        "12.10.3.1/last-resort",
        "the key package of last resort is given out when nothing else is left, and then again and again",
        ["LM-04/12.10.3.1/9", "LM-04/12.10.3.1/10"],
        last_resort
    ),
    driven_case!(
        Must,
        Server,
        "12.10.3.1/unknown-left-out",
        "unknown users and devices are left out of a claim's answer, the rest is answered",
        ["LM-04/12.10.3.1/3", "LM-04/12.10.3.1/4", "LM-04/12.10.3.1/5"],
        unknown_left_out
    ),
    driven_case!(
        Must,
        Server,
        "12.10.3.1/malformed-claim",
        "a claim without `one_time_keys` is refused",
        ["LM-04/12.10.3.1/2", "LM-04/12.2.4/2"],
        malformed_claim
    ),
    driven_case!(
        Must,
        Server,
        "12.10.3.1/expired-package",
        "a key package that has expired is not given out",
        ["LM-04/12.10.3.1/11"],
        expired_package
    ),
    driven_case!(
        Should,
        Server,
        "12.10.3.1/device-is-told",
        "a device is told that one of its key packages was claimed",
        ["LM-04/12.10.3.1/12"],
        device_is_told
    ),
    driven_case!(
        Must,
        Server,
        "12.10.3.1/asks-the-owner",
        "key packages are claimed at their owner's server",
        ["LM-04/12.10.3.1/1", "LM-04/12.10.3.1/6", "R29"],
        claims_at_the_owner
    ),
];

/// A device of a user of the target, published with so many key packages.
async fn published(ctx: &Context, localpart: &str, id: &str, packages: usize) -> Result<MlsDevice, Finding> {
    let device = ctx.device(&ctx.user(localpart)?, id)?;
    let keys =
        (0..packages).map(|_| Ok((device.key_package()?, false))).collect::<Result<Vec<_>, Finding>>()?;
    ctx.control()?.publish_device(&ctx.recorder, &device.object()?, &keys).await?;
    Ok(device)
}

/// A user that no other case knows, and no former run.
fn fresh(peer: &Peer) -> String {
    format!("u{}.{}", peer.name.port().unwrap_or_default(), peer.txn_id())
}

fn device_path(user: &UserId, device: &str) -> String {
    let (user, device) = (segment(user.as_str()).to_string(), segment(device).to_string());
    format!("/_matrix/federation/v1/user/{user}/device/{device}")
}

async fn claim(peer: &Peer, wanted: &Value) -> Result<Value, Finding> {
    let body = json!({"one_time_keys": wanted});
    let reply = peer.request(Method::POST, "/_matrix/federation/v1/user/keys/claim", Some(&body)).await?;
    let answer = reply.expect_ok("a claim")?;
    match answer.get("one_time_keys") {
        Some(keys @ Value::Object(_)) => Ok(keys.clone()),
        _ => Err(fault("the answer to a claim has an object `one_time_keys`")),
    }
}

/// The sender of an EDU, under either of its names (reading R25).
fn sender_of(edu: &Value) -> Option<&str> {
    edu.get("sender").or_else(|| edu.get("sender_id")).and_then(Value::as_str)
}

/// Claims one key package of a device. Returns the name it has in the answer, and the key package.
async fn claim_named(peer: &Peer, device: &MlsDevice) -> Result<Option<(String, String)>, Finding> {
    let (user, id) = (device.user.as_str(), device.id.as_str());
    let keys = claim(peer, &json!({user: {id: KEY_PACKAGES}})).await?;
    let keys = keys.get(user).and_then(|devices| devices.get(id)?.as_object());
    // The algorithm may be followed by the version of the key (reading R29).
    let is_named = |name: &str| {
        let version = name.strip_prefix(KEY_PACKAGES);
        version.is_some_and(|version| version.is_empty() || version.starts_with(':'))
    };
    let mut found = keys.into_iter().flatten().filter(|(name, _)| is_named(name));
    Ok(found.next().and_then(|(name, key)| Some((name.clone(), key.as_str()?.to_owned()))))
}

/// Claims one key package of a device.
async fn claim_one(peer: &Peer, device: &MlsDevice) -> Result<Option<String>, Finding> {
    Ok(claim_named(peer, device).await?.map(|(_, key)| key))
}

async fn invalid_device(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let device = ctx.device(&ctx.user(&fresh(&peer))?, "GOOD")?;
    let good = device.object()?;
    let other = ctx.device(&device.user, "GOOD")?.object()?;
    let mut forged = good.clone();
    let mut unsigned = good.clone();
    let mut renamed = good.clone();
    if let (Some(forged), Some(unsigned), Some(renamed)) =
        (forged.as_object_mut(), unsigned.as_object_mut(), renamed.as_object_mut())
    {
        forged.insert("signatures".to_owned(), other.get("signatures").cloned().unwrap_or_default());
        unsigned.insert("signatures".to_owned(), json!({}));
        renamed.insert("device_id".to_owned(), json!("no-id"));
    }
    let mut bad = vec![
        (forged, "a device object with another device's signature".to_owned()),
        (unsigned, "a device object without signature".to_owned()),
        (renamed, "a device object with an id outside the grammar".to_owned()),
    ];
    for field in ["device_id", "user_id", "algorithms", "keys", "signatures"] {
        // Signed anew, so that nothing else is wrong with it.
        let object = device_object_without(&device.user, "GOOD", field)?;
        bad.push((object, format!("a device object without `{field}`")));
    }
    for (object, what) in bad {
        let body = json!({"device": object, "key_packages": []});
        let reply = ctx.control()?.call(&ctx.recorder, Method::POST, "/devices", Some(&body)).await?;
        check!(!reply.status.is_success(), "{what} was published");
        let reply = peer.request(Method::GET, &device_path(&device.user, "GOOD"), None).await?;
        reply.expect_error("a device that was not published", 404, "M_NOT_FOUND")?;
    }
    ctx.control()?.publish_device(&ctx.recorder, &good, &[]).await?;
    // Nor is it that objects made by hand are not liked.
    let whole = device_object(&device.user, "GOOD", |_| {})?;
    ctx.control()?.publish_device(&ctx.recorder, &whole, &[]).await
}

async fn device_list_update(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    // Somebody who is in no other room, so that nobody else is told.
    let user = ctx.user(&fresh(&peer))?;
    let room = ctx.create_room(json!({"creator": user, "join_rule": "public"})).await?;
    peer.join(&room, &peer.user("bob")?).await?;
    let id = "NEW";
    let device = ctx.device(&user, id)?;
    let object = device.object()?;
    ctx.control()?.publish_device(&ctx.recorder, &object, &[]).await?;
    let of_user =
        |edu: &Value| text(edu, "type") == "m.device_list_update" && sender_of(edu) == Some(user.as_str());
    let lists = |edu: &Value, field: &str, what: &Value| {
        let list = edu.pointer(&format!("/content/{field}")).and_then(Value::as_array);
        list.is_some_and(|list| list.contains(what))
    };
    let edu = peer
        .until_edu("a new device is announced", |edu| of_user(edu) && lists(edu, "changed", &object))
        .await?;
    let removed = edu.pointer("/content/removed").and_then(Value::as_array);
    check!(removed.is_some(), "a device list update has an array `removed`");
    ctx.control()?.remove_device(&ctx.recorder, &user, id).await?;
    let id = json!(id);
    peer.until_edu("a removed device is announced", |edu| of_user(edu) && lists(edu, "removed", &id))
        .await
        .map(drop)
}

async fn update_is_passed_on(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let user = ctx.user(&fresh(&peer))?;
    let room = ctx.create_room(json!({"creator": user, "join_rule": "public"})).await?;
    let bob = peer.user("bob")?;
    peer.join(&room, &bob).await?;
    for (index, sender_field) in ["sender", "sender_id"].into_iter().enumerate() {
        let object = ctx.device(&bob, &format!("B{index}"))?.object()?;
        let edu = json!({"type": "m.device_list_update", sender_field: bob,
                         "content": {"changed": [object], "removed": ["OLD"]}});
        peer.send(&[], &[edu]).await?.expect_accepted()?;
        ctx.until_inbox(&user, "a device list update is passed on", |item| {
            let changed = item.get("changed").and_then(Value::as_array);
            text(item, "type") == "device_list_update"
                && text(item, "sender") == bob.as_str()
                && changed.is_some_and(|changed| changed.contains(&object))
                && item.get("removed") == Some(&json!(["OLD"]))
        })
        .await?;
    }
    Ok(())
}

async fn everybody_is_told(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let users = [ctx.user(&fresh(&peer))?, ctx.user(&fresh(&peer))?, ctx.user(&fresh(&peer))?];
    let [creator, others @ ..] = &users;
    let room = ctx.create_room(json!({"creator": creator, "join_rule": "public"})).await?;
    for other in others {
        let (control, other) = (ctx.control()?, other.as_str());
        let reply = control.try_membership(&ctx.recorder, &room, other, other, "join", &[]).await?;
        reply.expect_ok("the join of a user of the room's hub")?;
    }
    let bob = peer.user("bob")?;
    peer.join(&room, &bob).await?;
    let object = ctx.device(&bob, "BOB")?.object()?;
    let edu = json!({"type": "m.device_list_update", "sender": bob, "content": {"changed": [object], "removed": []}});
    peer.send(&[], &[edu]).await?.expect_accepted()?;
    for user in &users {
        let what = format!("{user}, one of {} in the room, is told of a device", users.len());
        ctx.until_inbox(user, &what, |item| {
            let changed = item.get("changed").and_then(Value::as_array);
            text(item, "type") == "device_list_update" && changed.is_some_and(|all| all.contains(&object))
        })
        .await?;
    }
    Ok(())
}

async fn device(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let device = published(ctx, &fresh(&peer), "DEVICE", 0).await?;
    let reply = peer.request(Method::GET, &device_path(&device.user, "DEVICE"), None).await?;
    let served = reply.expect_ok("asking for a device")?;
    check!(*served == device.object()?, "the object of a device is served changed");
    for (user, id, what) in [
        (device.user.clone(), "NONE", "an unknown device"),
        (ctx.user("nobody.knows.me")?, "DEVICE", "a device of an unknown user"),
        (peer.user("bob")?, "DEVICE", "a device of another server's user"),
    ] {
        let reply = peer.request(Method::GET, &device_path(&user, id), None).await?;
        reply.expect_error(what, 404, "M_NOT_FOUND")?;
    }
    // Under the same id the user has another device now, and then none.
    let next = published(ctx, device.user.localpart(), "DEVICE", 0).await?;
    let reply = peer.request(Method::GET, &device_path(&next.user, "DEVICE"), None).await?;
    let served = reply.expect_ok("asking for a device that was published anew")?;
    check!(*served == next.object()?, "what is served is not the device that was published last");
    ctx.control()?.remove_device(&ctx.recorder, &next.user, "DEVICE").await?;
    let reply = peer.request(Method::GET, &device_path(&next.user, "DEVICE"), None).await?;
    reply.expect_error("a device that was removed", 404, "M_NOT_FOUND")
}

async fn asks_the_owner(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    let device = ctx.device(&bob, "BOB")?;
    peer.offer_device(&bob, "BOB", device.object()?, Vec::new());
    let path = format!("/users/alice/devices/{}/BOB", segment(bob.as_str()));
    let reply = ctx.control()?.call(&ctx.recorder, Method::GET, &path, None).await?;
    check!(
        *reply.expect_ok("asking for a device")? == device.object()?,
        "the object of a device arrives changed"
    );
    let asked = peer.requests().into_iter().find(|request| request.is("user"));
    let asked = asked.ok_or_else(|| fault("the owner's server was not asked for the device"))?;
    check!(asked.origin.is_ok(), "the request for a device is not signed: {}", said(&asked.origin));
    Ok(())
}

/// A message to a device, as an EDU.
fn message_to(sender: &UserId, target: &UserId, device: &str, message: &Value) -> Value {
    json!({
        "type": "m.direct_to_device",
        "sender": sender,
        "content": {"target": target, "target_device": device, "message_type": "org.example.note", "message": message},
    })
}

async fn to_device_message(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    let user = published(ctx, &fresh(&peer), "RIGHT", 0).await?.user;
    published(ctx, user.localpart(), "OTHER", 0).await?;
    let message = json!({"nested": {"list": [1, "two", null]}, "text": "ünïcode ✓"});
    let nobody = ctx.user("nobody.knows.me")?;
    let edus = [
        message_to(&bob, &user, "UNKNOWN", &json!({"for": "no device"})),
        message_to(&bob, &nobody, "RIGHT", &json!({"for": "no user"})),
        json!({"type": "org.example.unknown", "sender": bob, "content": {}}),
        message_to(&bob, &user, "RIGHT", &message),
    ];
    peer.send(&[], &edus).await?.expect_accepted()?;
    let is_ours = |item: &Value| text(item, "type") == "to_device" && text(item, "sender") == bob.as_str();
    let item = ctx.until_inbox(&user, "the message arrives", is_ours).await?;
    check!(
        text(&item, "target_device") == "RIGHT",
        "the message arrived at {}",
        text(&item, "target_device")
    );
    check!(text(&item, "message_type") == "org.example.note", "the message's type arrived changed");
    check!(item.get("message") == Some(&message), "the message arrived changed");
    let inbox = ctx.control()?.inbox(&ctx.recorder, &user).await?;
    let count = inbox.iter().filter(|item| is_ours(item)).count();
    check!(count == 1, "{count} messages arrived instead of one");
    Ok(())
}

async fn to_device_sent(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    let message = json!({"hello": "Bob"});
    let body = json!({"target": bob, "target_device": "BOB", "message_type": "org.example.note", "message": message});
    let alice = ctx.user("alice")?;
    ctx.control()?.to_device(&ctx.recorder, &alice, &body).await?;
    let edu = peer.until_edu("the message is sent", |edu| text(edu, "type") == "m.direct_to_device").await?;
    check!(sender_of(&edu) == Some(alice.as_str()), "the EDU's sender is {}", said(&sender_of(&edu)));
    check!(edu.get("content") == Some(&body), "the EDU's content differs from what was to be sent");
    Ok(())
}

async fn claimed_once(ctx: &Context) -> Result<(), Finding> {
    const OFFERED: usize = 6;
    let peer = ctx.peer().await?;
    let device = published(ctx, &fresh(&peer), "ONCE", OFFERED).await?;
    let mut claims = Vec::new();
    for _ in 0..OFFERED.div_ceil(3) {
        let (a, b, c, d) = tokio::join!(
            claim_named(&peer, &device),
            claim_named(&peer, &device),
            claim_named(&peer, &device),
            claim_named(&peer, &device)
        );
        claims.extend([a?, b?, c?, d?]);
    }
    let (names, mut keys): (BTreeSet<String>, Vec<String>) = claims.into_iter().flatten().unzip();
    let given = keys.len();
    keys.sort();
    keys.dedup();
    check!(keys.len() == given, "a key package was given out twice");
    check!(given == OFFERED, "{given} of {OFFERED} key packages were given out");
    match names.iter().find(|name| *name != KEY_PACKAGES) {
        None => Ok(()),
        Some(name) => {
            let what = format!("a key package is named {name} in the answer to a claim");
            Err(Finding::Acceptable { reading: "R29", what })
        }
    }
}

async fn last_resort(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let device = ctx.device(&ctx.user(&fresh(&peer))?, "LAST")?;
    let (once, last) = (device.key_package()?, device.last_resort()?);
    let keys = [(last.clone(), true), (once.clone(), false)];
    ctx.control()?.publish_device(&ctx.recorder, &device.object()?, &keys).await?;
    let first = claim_one(&peer, &device).await?;
    check!(first == Some(once), "the key package of last resort was given out while another was left");
    for _ in 0..2 {
        let again = claim_one(&peer, &device).await?;
        check!(again.as_ref() == Some(&last), "the key package of last resort was not given out");
    }
    Ok(())
}

async fn unknown_left_out(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let device = published(ctx, &fresh(&peer), "KNOWN", 1).await?;
    let user = device.user.as_str();
    let nobody = ctx.user("nobody.knows.me")?;
    let wanted = json!({
        user: {"KNOWN": KEY_PACKAGES, "UNKNOWN": KEY_PACKAGES},
        nobody.as_str(): {"KNOWN": KEY_PACKAGES},
        peer.user("bob")?.as_str(): {"KNOWN": KEY_PACKAGES},
    });
    let keys = claim(&peer, &wanted).await?;
    let users: Vec<&String> = keys.as_object().into_iter().flat_map(|keys| keys.keys()).collect();
    check!(users == [user], "the answer has key packages of {users}", users = said(&users));
    let devices: Vec<&String> =
        keys.get(user).and_then(Value::as_object).into_iter().flat_map(|keys| keys.keys()).collect();
    check!(
        devices == ["KNOWN"],
        "the answer has key packages of the devices {devices}",
        devices = said(&devices)
    );
    let none = claim(&peer, &json!({user: {"KNOWN": KEY_PACKAGES}})).await?;
    let left = none.get(user).and_then(|devices| devices.get("KNOWN"));
    check!(left.is_none(), "a device without key packages is in the answer");
    Ok(())
}

async fn malformed_claim(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let alice = ctx.user("alice")?;
    let shapeless = json!({"one_time_keys": {alice.as_str(): "x"}});
    for body in [json!({}), json!({"one_time_keys": []}), shapeless] {
        let reply = peer.request(Method::POST, "/_matrix/federation/v1/user/keys/claim", Some(&body)).await?;
        reply.expect_error(&format!("the claim {body}"), 400, "M_BAD_JSON")?;
    }
    Ok(())
}

async fn expired_package(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let device = ctx.device(&ctx.user(&fresh(&peer))?, "OLD")?;
    // A server may refuse an expired key package when it is uploaded, or keep it to itself later.
    let body = json!({"device": device.object()?, "key_packages": [{"key": device.expired_key_package()?}]});
    let reply = ctx.control()?.call(&ctx.recorder, Method::POST, "/devices", Some(&body)).await?;
    if reply.status.is_success() {
        let claimed = claim_one(&peer, &device).await?;
        check!(claimed.is_none(), "a key package that has expired was given out");
    }
    let fresh = device.key_package()?;
    ctx.control()?.publish_device(&ctx.recorder, &device.object()?, &[(fresh.clone(), false)]).await?;
    let claimed = claim_one(&peer, &device).await?;
    check!(claimed == Some(fresh), "a fresh key package beside an expired one was not given out");
    Ok(())
}

async fn device_is_told(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let device = published(ctx, &fresh(&peer), "TOLD", 2).await?;
    claim_one(&peer, &device).await?;
    ctx.until_inbox(&device.user, "the device is told of the claim", |item| {
        text(item, "type") == "key_package_used"
            && text(item, "device") == "TOLD"
            && item.get("remaining") == Some(&json!(1))
    })
    .await
    .map(drop)
}

async fn claims_at_the_owner(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let bob = peer.user("bob")?;
    let device = ctx.device(&bob, "BOB")?;
    let package = device.key_package()?;
    peer.offer_device(&bob, "BOB", device.object()?, vec![package.clone()]);
    let wanted = json!({bob.as_str(): {"BOB": KEY_PACKAGES}});
    let alice = ctx.user("alice")?;
    let claimed = ctx.control()?.claim(&ctx.recorder, &alice, &wanted).await?;
    let key = claimed
        .pointer("/one_time_keys")
        .and_then(|keys| keys.get(bob.as_str())?.get("BOB")?.get(KEY_PACKAGES));
    check!(key == Some(&json!(package)), "the key package arrived as {key}", key = said(&key));
    let is_claim = |request: &Inbound| request.is("user") && request.method == Method::POST;
    let asked = peer.requests().into_iter().find(is_claim);
    let asked = asked.ok_or_else(|| fault("the owner's server was not asked"))?;
    check!(asked.body == json!({"one_time_keys": wanted}), "the claim is {}", asked.body);
    // Nothing is left: an empty answer is an answer.
    let again = ctx.control()?.claim(&ctx.recorder, &alice, &wanted).await?;
    let left = again.pointer("/one_time_keys").and_then(|keys| keys.get(bob.as_str()));
    check!(left.is_none(), "a key package came out of nowhere");
    Ok(())
}
