//! Names of servers, rooms, room versions, users and devices (LM-04 §3.1 to §3.4).

use std::net::IpAddr;

use http::Method;
use mimi_linearized::id::EventId;
use mimi_linearized::json::Object;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::{altered, hub_room, paths, remade, swap_case, text};
use crate::context::Context;
use crate::peer::Peer;
use crate::target::segment;
use crate::wire::Reply;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Server,
        "3.1/own-name",
        "a server goes by one proper host name everywhere",
        ["LM-04/3.1/1", "LM-04/3.1/3", "LM-04/3.1/5", "TR-00/2/1"],
        own_name
    ),
    driven_case!(
        Should,
        Server,
        "3.1/own-name-form",
        "a server's own name is in lower case and not too long",
        ["LM-04/3.1/7", "LM-04/3.1/8"],
        own_name_form
    ),
    driven_case!(
        Must,
        Server,
        "3.1/ip-literals",
        "a server name that is an IP address is not contacted",
        ["LM-04/3.1/2", "LM-04/3.1/5"],
        ip_literals
    ),
    driven_case!(
        Must,
        Hub,
        "3.1/case-of-names",
        "a server name in other letters is another server",
        ["LM-04/3.1/6", "LM-04/3.3/3"],
        case_of_names
    ),
    driven_case!(
        Must,
        Participant,
        "3.2/room-ids",
        "only strings of the grammar and of at most 255 characters are room ids",
        ["LM-04/3.2/1", "LM-04/3.2/2", "LM-04/3.5/2", "MF-01/2/13", "FW-01/3/2", "TR-00/2/5"],
        room_ids
    ),
    driven_case!(
        Must,
        Hub,
        "3.2/case-of-room-ids",
        "a room id in other letters is another room",
        ["LM-04/3.2/3", "LM-04/12.5.1/6", "LM-04/12.5.1/7", "R20"],
        case_of_room_ids
    ),
    driven_case!(
        Must,
        Participant,
        "3.2.1/supported-version",
        "room version I.1 is supported, and offered when a template is asked for",
        ["LM-04/3.2.1/3", "FW-01/3.2/1"],
        supported_version
    ),
    driven_case!(
        Should,
        Hub,
        "3.2.1/default-version",
        "a room made without a stated version has version I.1",
        ["LM-04/3.2.1/4"],
        default_version
    ),
    driven_case!(
        Must,
        Participant,
        "3.2.1/unknown-versions",
        "a room version that only looks like a known one is not supported",
        ["LM-04/3.2.1/5", "LM-04/3.2.1/10", "R09", "FW-01/3.2/2"],
        unknown_versions
    ),
    driven_case!(
        Must,
        Participant,
        "3.3/user-ids",
        "only strings of the grammar and of at most 255 characters are user ids",
        ["LM-04/3.3/1", "LM-04/3.3/2", "LM-04/3.3/5", "LM-04/3.5/8", "FW-01/4/1", "FW-01/7/1", "TR-00/2/18"],
        user_ids
    ),
    driven_case!(
        Must,
        Server,
        "3.4/device-ids",
        "only letters, digits and underscores make a device id",
        ["LM-04/3.4/1"],
        device_ids
    ),
];

/// What keeps a name from being a host name by RFC 1123 with an optional port, if anything does.
fn fault_of_name(name: &str) -> Option<&'static str> {
    let (host, port) = match name.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (name, None),
    };
    if host.is_empty() || host.len() > 255 {
        return Some("its host has not 1 to 255 characters");
    }
    if port
        .is_some_and(|port| !(1..=5).contains(&port.len()) || !port.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Some("its port is not of 1 to 5 digits");
    }
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !host.split('.').all(label_fits) {
        return Some("a label of its host is none by RFC 1123");
    }
    // No top-level domain is numeric: such a host would be read as an address.
    let last = host.rsplit('.').next().unwrap_or(host);
    last.bytes().all(|byte| byte.is_ascii_digit()).then_some("its host is an IP address")
}

async fn own_name(ctx: &Context) -> Result<(), Finding> {
    let name = ctx.environment.target_keys().await?.server_name().to_string();
    if let Some(what) = fault_of_name(&name) {
        return Err(fault(format!("the target's name {name} is no server name: {what}", name = said(&name))));
    }
    check!(
        ctx.environment.target.name == *name,
        "the target is known as {} and publishes keys of {name}",
        ctx.environment.target.name
    );
    let id = ctx.public_room().await?;
    let peer = ctx.peer().await?;
    peer.join(&id, &peer.user("bob")?).await?;
    let events = ctx.events(&id).await?;
    let create = events.first().cloned().unwrap_or_default();
    for field in ["room_id", "sender"] {
        let domain = text(&create, field).split_once(':').map_or("", |(_, domain)| domain);
        check!(
            domain == name,
            "`{field}` of a new room is {}, the server is {name}",
            said(&text(&create, field))
        );
    }
    let signed = create.get("signatures").and_then(Value::as_object).cloned().unwrap_or_default();
    check!(
        signed.contains_key(&name),
        "the create event is signed by {}, the server is {name}",
        said(&signed.keys().collect::<Vec<_>>())
    );
    ctx.send_as_alice(&id, "m.room.message", None, json!({"body": "to be sent out"})).await?;
    let request = peer.until_request("the target sends its events out", |request| request.is("send")).await?;
    check!(
        request.origin.as_ref().is_ok_and(|origin| *origin == *name),
        "a request of the target has the origin {}, the server is {name}",
        said(&request.origin)
    );
    Ok(())
}

async fn own_name_form(ctx: &Context) -> Result<(), Finding> {
    let name = ctx.environment.target_keys().await?.server_name().to_string();
    check!(name == name.to_ascii_lowercase(), "the target's name {name} is not in lower case");
    check!(name.len() <= 230, "the target's name has {} characters", name.len());
    Ok(())
}

async fn ip_literals(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let unusable = |error: std::io::Error| Finding::Suite(format!("a listener: {error}"));
    let (_, listener) = ctx.environment.ports.take().await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let listener = listener.into_std().map_err(unusable)?;
    let (ip, port) = (address.ip(), address.port());
    // Resolvers take a number for an address too.
    let hosts = match ip {
        IpAddr::V4(ip) => vec![ip.to_string(), u32::from(ip).to_string()],
        IpAddr::V6(ip) => vec![format!("[{ip}]")],
    };
    let mut bad = Vec::new();
    for host in &hosts {
        let name = format!("{host}:{port}");
        let lpdu = room.peer.lpdu(&room.message("from an address"))?;
        let lpdu = remade(&room.peer, &lpdu, |lpdu| {
            drop(lpdu.insert("sender".to_owned(), json!(format!("@eve:{name}"))));
        });
        let signature = lpdu.pointer("/signatures").and_then(|all| all.get(room.peer.name.as_str())).cloned();
        let lpdu = altered(&lpdu, |lpdu| {
            drop(lpdu.insert("signatures".to_owned(), json!({name.as_str(): signature})));
        });
        bad.push((format!("an event of a user of {name}"), lpdu));
    }
    room.refuses_all(&bad).await?;
    let alice = ctx.user("alice")?;
    for host in &hosts {
        let via = format!("{host}:{port}");
        let id = format!("!elsewhere:{}", room.peer.name);
        let id =
            mimi_linearized::id::RoomId::parse(&id).map_err(|error| Finding::Suite(error.to_string()))?;
        let control = ctx.control()?;
        let (user, via) = (alice.as_str(), [via.as_str()]);
        let reply = control.try_membership(&ctx.recorder, &id, user, user, "join", &via).await?;
        check!(!reply.status.is_success(), "a room was joined through {via}", via = said(&via));
    }
    listener.set_nonblocking(true).map_err(unusable)?;
    match listener.accept() {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(unusable(error)),
        Ok(_) => {
            Err(fault(format!("the target connected to {address} for a server name that is an address")))
        }
    }
}

async fn case_of_names(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let name = room.peer.name.as_str();
    let swapped = swap_case(name);
    let sender = format!("@bob:{swapped}");
    let mut bad = Vec::new();
    for (what, signer) in [("the server in its own letters", name), ("the server in other letters", &swapped)]
    {
        let lpdu = room.peer.lpdu(&room.message(&format!("signed by {what}")))?;
        let lpdu = remade(&room.peer, &lpdu, |lpdu| drop(lpdu.insert("sender".to_owned(), json!(sender))));
        let signature = lpdu.pointer("/signatures").and_then(|all| all.get(name)).cloned();
        let lpdu = altered(&lpdu, |lpdu| {
            drop(lpdu.insert("signatures".to_owned(), json!({signer: signature})));
        });
        bad.push((format!("an event of {sender}, signed by {what},"), lpdu));
    }
    room.refuses_all(&bad).await?;
    let members = ctx.room(&room.id).await?;
    let other =
        mimi_linearized::id::UserId::parse(&sender).map_err(|error| Finding::Suite(error.to_string()))?;
    check!(members.membership(&other) == "leave", "{other} is {} because bob is", members.membership(&other));
    Ok(())
}

/// Sends the target an invite whose event has these fields; the rest of it is in order.
async fn invite(
    ctx: &Context,
    peer: &Peer,
    change: impl FnOnce(&mut Object),
    room_version: &str,
) -> Result<Reply, Finding> {
    let event = json!({
        "room_id": format!("!{}:{}", peer.txn_id(), peer.name),
        "type": "m.room.member",
        "state_key": ctx.user("dora")?,
        "sender": peer.user("bob")?,
        "origin_server_ts": mimi_transport::clock::now_ms(),
        "content": {"membership": "invite"},
    });
    let mut event = event.as_object().cloned().unwrap_or_default();
    change(&mut event);
    let id = |byte: u8| EventId::from_reference_hash(&[byte; 32]);
    let event = peer.sealer().complete(event, &[id(1), id(2), id(3)], &[id(4)]);
    let body = json!({"event": event, "invite_room_state": [], "room_version": room_version});
    peer.request(Method::POST, &paths::invite(&peer.txn_id()), Some(&body)).await
}

/// The target refuses an invite whose event has this in a field.
async fn refuses_invite(ctx: &Context, peer: &Peer, field: &str, value: &str) -> Result<(), Finding> {
    let reply = invite(ctx, peer, |event| drop(event.insert(field.to_owned(), json!(value))), "I.1").await?;
    let status = reply.status;
    check!(
        status.is_client_error(),
        "an invite with {field} {value} is answered {}",
        status.as_u16(),
        value = said(&value)
    );
    Ok(())
}

/// The target takes an invite whose event has this in a field.
async fn takes_invite(ctx: &Context, peer: &Peer, field: &str, value: &str) -> Result<(), Finding> {
    let reply = invite(ctx, peer, |event| drop(event.insert(field.to_owned(), json!(value))), "I.1").await?;
    reply.expect_ok(&format!("an invite with {field} {value}", value = said(&value))).map(drop)
}

/// An identifier of exactly `length` characters.
fn of_length(sigil: char, length: usize, server: &str) -> String {
    let localpart = "a".repeat(length.saturating_sub(server.len()).saturating_sub(2));
    format!("{sigil}{localpart}:{server}")
}

async fn room_ids(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let server = peer.name.as_str();
    for id in [format!("!{}.~_-9:{server}", peer.txn_id()), of_length('!', 255, server)] {
        takes_invite(ctx, &peer, "room_id", &id).await?;
    }
    for id in [
        of_length('!', 256, server),
        format!("room:{server}"),
        format!("#room:{server}"),
        format!("!:{server}"),
        format!("!a room:{server}"),
        format!("!a/room:{server}"),
        format!("!rööm:{server}"),
        format!("!room\n:{server}"),
        "!room".to_owned(),
        "!room:".to_owned(),
        "!room:exa_mple.org".to_owned(),
        format!("!room:{server}:1"),
        String::new(),
    ] {
        refuses_invite(ctx, &peer, "room_id", &id).await?;
    }
    Ok(())
}

async fn case_of_room_ids(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (localpart, server) = room.id.as_str().split_once(':').unwrap_or_default();
    let other = format!("{}:{server}", swap_case(localpart));
    if other == room.id.as_str() {
        return Ok(());
    }
    let lpdu = room.peer.lpdu(&room.message("to a room in other letters"))?;
    let lpdu = remade(&room.peer, &lpdu, |lpdu| drop(lpdu.insert("room_id".to_owned(), json!(other))));
    let bad = [(format!("an event of the room {other}"), lpdu)];
    let failed = room.refuses_all(&bad).await?;
    let path = format!("/rooms/{}", segment(&other));
    let reply = ctx.control()?.call(&ctx.recorder, Method::GET, &path, None).await?;
    check!(!reply.status.is_success(), "{other} is a room because {} is", room.id);
    if failed.is_empty() {
        let what = "an event of an unknown room is not reported".to_owned();
        return Err(Finding::Acceptable { reading: "R20", what });
    }
    Ok(())
}

async fn supported_version(ctx: &Context) -> Result<(), Finding> {
    let room = ctx.create_room(json!({"room_version": "I.1"})).await?;
    let create = ctx.events(&room).await?.into_iter().next().unwrap_or_default();
    let version = create.pointer("/content/room_version").and_then(Value::as_str);
    check!(
        version == Some("I.1"),
        "a room asked for as I.1 says that its version is {version}",
        version = said(&version)
    );
    let followed = crate::cases::steps::followed::followed_room(ctx).await?;
    let asked = followed
        .hub
        .until_request("the target asks for a template", |request| request.is("make_join"))
        .await?;
    let versions = asked.query("ver");
    check!(
        versions.iter().any(|version| version == "I.1"),
        "the target asks for a template with ver {versions}",
        versions = said(&versions)
    );
    let peer = ctx.peer().await?;
    invite(ctx, &peer, |_| {}, "I.1").await?.expect_ok("an invite to a room of version I.1").map(drop)
}

async fn default_version(ctx: &Context) -> Result<(), Finding> {
    let room = ctx.public_room().await?;
    let create = ctx.events(&room).await?.into_iter().next().unwrap_or_default();
    let version = create.pointer("/content/room_version").and_then(Value::as_str);
    check!(
        version == Some("I.1"),
        "a room made without a version has version {version}",
        version = said(&version)
    );
    Ok(())
}

async fn unknown_versions(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let long = "a".repeat(129);
    let unknown = ["I.2", "I.10", "I.1.0", "I.", "I", "i.1", "I_1", "I.1 ", "", &long];
    for version in unknown {
        let reply = invite(ctx, &peer, |_| {}, version).await?;
        let status = reply.status;
        check!(
            status.is_client_error(),
            "an invite to a room of version {version} is answered {}",
            status.as_u16(),
            version = said(&version)
        );
        // A driver may take an empty version for none.
        if version.is_empty() {
            continue;
        }
        let body = json!({"creator": "alice", "room_version": version});
        let reply = ctx.control()?.call(&ctx.recorder, Method::POST, "/rooms", Some(&body)).await?;
        check!(
            !reply.status.is_success(),
            "a room of version {version} was created",
            version = said(&version)
        );
    }
    Ok(())
}

async fn user_ids(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let server = peer.name.as_str();
    for id in [format!("@watch/for=slashes+_.-0:{server}"), of_length('@', 255, server)] {
        takes_invite(ctx, &peer, "sender", &id).await?;
    }
    for id in [
        of_length('@', 256, server),
        format!("bob:{server}"),
        format!("!bob:{server}"),
        format!("@:{server}"),
        format!("@Bob:{server}"),
        format!("@b ob:{server}"),
        format!("@b~ob:{server}"),
        format!("@bøb:{server}"),
        format!("@bob\0:{server}"),
        format!("@bob@bob:{server}"),
        format!("@bob:{server}:1"),
        "@bob".to_owned(),
        String::new(),
    ] {
        refuses_invite(ctx, &peer, "sender", &id).await?;
    }
    let target = &ctx.environment.target.name;
    for localpart in ["Alice", "al ice", "ålice", ""] {
        refuses_invite(ctx, &peer, "state_key", &format!("@{localpart}:{target}")).await?;
        let body = json!({"creator": localpart});
        let reply = ctx.control()?.call(&ctx.recorder, Method::POST, "/rooms", Some(&body)).await?;
        check!(!reply.status.is_success(), "a room was created by {localpart}", localpart = said(&localpart));
    }
    Ok(())
}

async fn device_ids(ctx: &Context) -> Result<(), Finding> {
    let peer = ctx.peer().await?;
    let alice = ctx.user("alice")?;
    let object = |id: &str| ctx.device(&alice, id)?.object();
    let served = async |id: &str| -> Result<Reply, Finding> {
        let path = format!("/_matrix/federation/v1/user/{}/device/{}", segment(alice.as_str()), segment(id));
        peer.request(Method::GET, &path, None).await
    };
    let control = ctx.control()?;
    let good = format!("Az_{}", peer.key.id().as_str().trim_start_matches("ed25519:"));
    control.publish_device(&ctx.recorder, &object(&good)?, &[]).await?;
    served(&good).await?.expect_ok("a device of a user")?;
    for id in ["AB-C", "AB.C", "AB C", "AB/C", "ÄB", "AB:C"] {
        let body = json!({"device": object(id)?, "key_packages": []});
        let reply = control.call(&ctx.recorder, Method::POST, "/devices", Some(&body)).await?;
        check!(!reply.status.is_success(), "a device with the id {id} was published", id = said(&id));
        served(id).await?.expect_error(
            &format!("a device with the id {id}", id = said(&id)),
            404,
            "M_NOT_FOUND",
        )?;
    }
    Ok(())
}
