//! Redaction and the hashes that rest on it (LM-04 §8, §9).

use mimi_linearized::json::Object;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::followed::follow;
use crate::cases::steps::{
    HubRoom, KEPT, altered, open_room, reference_id, remade, set_content, signed_bytes, sure, texts,
};
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "8/top-level",
        "redaction keeps eleven fields of an event, and signatures cover just these",
        ["LM-04/8/1", "LM-04/6.1/1", "LM-04/6.3/6", "R06"],
        top_level
    ),
    driven_case!(
        Must,
        Hub,
        "8/unlisted-types",
        "redaction empties the content of every type that is not listed",
        ["LM-04/8/2", "R06"],
        unlisted_types
    ),
    driven_case!(
        Must,
        Hub,
        "8/kept-content",
        "redaction keeps of the listed types what is listed, and signatures cover just that",
        ["LM-04/8/4", "LM-04/8/5", "LM-04/8/6", "LM-04/8/7", "LM-04/6.1/1", "R06"],
        kept_content
    ),
    driven_case!(
        Must,
        Participant,
        "8/create",
        "redaction keeps all of a create event's content",
        ["LM-04/8/3", "LM-04/6.1/1"],
        create
    ),
    driven_case!(
        Must,
        Hub,
        "9.2/one-id",
        "neither redaction nor a further signature changes an event's id",
        ["LM-04/9.2/1", "LM-04/9.2/2", "LM-04/9.2/3", "LM-04/3.5/23"],
        one_id
    ),
];

/// Sends an LPDU whose hash is wrong because of something that redaction strips. It is sealed with this content.
async fn is_stripped(
    room: &HubRoom<'_>,
    lpdu: &Value,
    what: &str,
    content: &Value,
) -> Result<Value, Finding> {
    room.peer.send(std::slice::from_ref(lpdu), &[]).await?.expect_accepted()?;
    let pdu = room.peer.until_echo(lpdu).await?;
    let left = pdu.get("content");
    check!(
        left == Some(content),
        "{what} is to be redacted to content {content}, it has {left}",
        left = said(&left)
    );
    let fields = pdu.as_object().cloned().unwrap_or_default();
    let extra = fields.keys().find(|field| !KEPT.contains(&field.as_str()));
    check!(extra.is_none(), "{what} still has {extra} after redaction", extra = said(&extra));
    Ok(pdu)
}

async fn top_level(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let draft = room.state("org.example.state", "key", json!({"is": "stripped"}));
    let lpdu = remade(&room.peer, &room.peer.lpdu(&draft)?, |lpdu| {
        for field in
            ["event_id", "redacts", "origin", "membership", "prev_state", "depth", "org.example.more"]
        {
            lpdu.insert(field.to_owned(), json!(field));
        }
    });
    let stripped = altered(&lpdu, |lpdu| drop(lpdu.insert("depth".to_owned(), json!(7))));
    let pdu = is_stripped(&room, &stripped, "an event with more fields than there are", &json!({})).await?;
    for field in KEPT {
        check!(pdu.get(field).is_some(), "redaction took away {field}");
    }
    for field in ["state_key", "origin_server_ts"] {
        check!(pdu.get(field) == lpdu.get(field), "redaction changed {field} to {}", said(&pdu.get(field)));
    }
    // What is kept is signed: a change of it shows.
    let mut bad = Vec::new();
    for (field, value) in [
        ("type", json!("org.example.another")),
        ("state_key", json!("another")),
        ("origin_server_ts", json!(1_681_340_188_825_i64)),
        ("sender", json!(room.peer.user("carol")?)),
    ] {
        let lpdu = room.peer.lpdu(&room.state("org.example.state", field, json!({"is": field})))?;
        let lpdu = altered(&lpdu, |lpdu| drop(lpdu.insert(field.to_owned(), value)));
        bad.push((format!("an event whose {field} was changed"), lpdu));
    }
    let lpdu = room.peer.lpdu(&room.state("org.example.state", "no more", json!({})))?;
    bad.push((
        "an event whose state key was removed".to_owned(),
        altered(&lpdu, |lpdu| drop(lpdu.remove("state_key"))),
    ));
    let lpdu = room.peer.lpdu(&room.message("no state"))?;
    let lpdu = altered(&lpdu, |lpdu| drop(lpdu.insert("state_key".to_owned(), json!(""))));
    bad.push(("an event that was made a state event".to_owned(), lpdu));
    room.drops_all(&bad).await
}

async fn unlisted_types(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let content = json!({
        "body": "b", "name": "n", "topic": "t", "url": "u", "alias": "a", "redacts": "$r", "membership": "join",
        "algorithm": "m.mls.v1.x", "ciphertext": "c", "commit_event_id": "$c", "message": "m", "public_group_state": "p"
    });
    for kind in [
        "m.room.name",
        "m.room.topic",
        "m.room.avatar",
        "m.room.canonical_alias",
        "m.room.aliases",
        "m.room.server_acl",
        "m.room.encryption",
        "m.room.message",
        "m.room.encrypted",
        "m.room.redaction",
        "m.mls.commit",
        "m.room.hub",
        "org.example.any",
    ] {
        let state = room.peer.lpdu(&room.state(kind, "", content.clone()))?;
        let message = room.peer.lpdu(&room.peer.draft(&room.id, &room.bob, kind, content.clone()))?;
        for lpdu in [state, message] {
            let lpdu = altered(&lpdu, |lpdu| set_content(lpdu, "body", json!("changed")));
            is_stripped(&room, &lpdu, kind, &json!({})).await?;
        }
    }
    Ok(())
}

async fn kept_content(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let levels = json!({
        "ban": 51, "events": {"m.room.name": 1}, "events_default": 2, "invite": 3, "kick": 52, "redact": 53,
        "state_default": 54, "users": {room.bob.as_str(): 100}, "users_default": 100
    });
    for (kind, state_key, kept, stripped) in [
        (
            "m.room.member",
            room.bob.as_str(),
            json!({"membership": "join"}),
            json!({"displayname": "Bob", "reason": "why not", "third_party_invite": {}, "join_authorised_via_users_server": "x"}),
        ),
        ("m.room.join_rules", "", json!({"join_rule": "public"}), json!({"allow": [{"room_id": "!x:y"}]})),
        (
            "m.room.history_visibility",
            "",
            json!({"history_visibility": "joined"}),
            json!({"visibility": "all", "since": 1}),
        ),
        ("m.room.power_levels", "", levels, json!({"notifications": {"room": 1}, "historical": 2})),
    ] {
        let mut content = kept.clone();
        if let (Some(content), Some(stripped)) = (content.as_object_mut(), stripped.as_object()) {
            content.extend(stripped.clone());
        }
        let lpdu = || room.peer.lpdu(&room.state(kind, state_key, content.clone()));
        let mut bad = Vec::new();
        for field in kept.as_object().into_iter().flat_map(Object::keys) {
            let gone = altered(&lpdu()?, |lpdu| {
                if let Some(Value::Object(content)) = lpdu.get_mut("content") {
                    content.remove(field);
                }
            });
            bad.push((format!("{kind} from which {field} was removed"), gone));
            let changed = altered(&lpdu()?, |lpdu| set_content(lpdu, field, json!("changed")));
            bad.push((format!("{kind} whose {field} was changed"), changed));
        }
        room.drops_all(&bad).await?;
        for field in stripped.as_object().into_iter().flat_map(Object::keys) {
            let lpdu = altered(&lpdu()?, |lpdu| set_content(lpdu, field, json!("changed")));
            is_stripped(&room, &lpdu, &format!("{kind} whose {field} was changed"), &kept).await?;
        }
    }
    Ok(())
}

async fn create(ctx: &Context) -> Result<(), Finding> {
    let more = json!({"org.example.more": {"than": ["it", "needs"]}, "type": "m.space", "predecessor": {"room_id": "!x:y"}});
    let hub = ctx.peer().await?;
    let room = hub.host_room(more.clone()).await?;
    let followed = follow(ctx, hub, room).await?;
    let create = ctx.state_event(&followed.room.id, "m.room.create", "").await?;
    let create = create.ok_or_else(|| fault("a room that was joined has no create event"))?;
    for (field, value) in more.as_object().into_iter().flatten() {
        let got = create.get("content").and_then(|content| content.get(field));
        check!(
            got == Some(value),
            "{field} of the create event is {got} instead of {value}",
            got = said(&got)
        );
    }
    // The target signs what is kept of its own create event.
    let own = ctx.create_room(json!({"encrypted": true, "join_rule": "public"})).await?;
    let own = ctx.events(&own).await?.into_iter().next().unwrap_or_default();
    check!(
        own.pointer("/content/encryption/algorithm").is_some(),
        "the create event of an encrypted room is {own}"
    );
    let name = ctx.environment.target.name.as_str();
    let signed = signed_bytes(own.as_object().unwrap_or(&Object::new()));
    let keys = ctx.environment.target_keys().await?.verify_keys();
    let signatures = own.get("signatures").and_then(|all| all.get(name)).and_then(Value::as_object);
    let holds = signatures.into_iter().flatten().any(|(id, signature)| {
        let signature = signature.as_str().and_then(mimi_linearized::signing::Signature::from_base64);
        let key = keys.iter().find(|(key, _)| key.as_str() == id).map(|(_, key)| key);
        key.zip(signature).is_some_and(|(key, signature)| key.verify(&signed, &signature))
    });
    check!(holds, "the signature on a create event does not cover all of its content: {own}");
    // And a change of it, which no redaction undoes, is no create event any more.
    let reply = super::state_events::joins_changed_create(ctx).await?;
    check!(
        !reply.status.is_success(),
        "a room was joined whose create event was changed after it was signed"
    );
    Ok(())
}

async fn one_id(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let lpdu = room.peer.lpdu(&room.message("what was said"))?;
    let lpdu = altered(&lpdu, |lpdu| set_content(lpdu, "body", json!("what was not said")));
    let redacted = is_stripped(&room, &lpdu, "a message that was changed", &json!({})).await?;
    let whole = altered(&redacted, |event| set_content(event, "body", json!("what was not said")));
    sure(reference_id(&whole) == reference_id(&redacted), "it computes two ids for one event")?;
    let next = room.accepts(&room.message("next")).await?;
    let prev = texts(&next, "prev_events");
    check!(
        prev == [reference_id(&redacted)],
        "after a redacted event prev_events is {prev}",
        prev = said(&prev)
    );
    // The server of an invited user adds its signature when the event has its id already.
    let other = ctx.peer().await?;
    let given = ctx.as_alice(&room.id, &other.user("erin")?, "invite").await?;
    let id = given.get("event_id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let invite =
        room.peer.until_pdu("the hub sends out an invite", move |pdu| reference_id(pdu) == id).await?;
    let signed =
        invite.get("signatures").is_some_and(|signatures| signatures.get(other.name.as_str()).is_some());
    check!(signed, "the hub leaves out the signature of the invited user's server: {invite}");
    let next = room.accepts(&room.message("after the invite")).await?;
    let prev = texts(&next, "prev_events");
    check!(
        prev == [reference_id(&invite)],
        "after an invite that two servers signed prev_events is {prev}",
        prev = said(&prev)
    );
    Ok(())
}
