//! What a participant checks about each PDU by itself (LM-04 §5.1).

use mimi_linearized::base64;
use mimi_linearized::event::hash;
use mimi_linearized::json::Object;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case};
use crate::cases::steps::followed::{Made, followed_room, followed_room_with_carol, id_of};
use crate::cases::steps::{altered, set_content, set_signatures, signed_bytes, size, sure};
use crate::context::Context;
use crate::peer::Peer;

/// How an event is changed.
type Change<'c> = &'c (dyn Fn(&mut Object) + Sync);

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Participant,
        "5.1/signatures-of-a-pdu",
        "a PDU that its hub or its sender's server has not signed is dropped",
        ["LM-04/5.1/6", "LM-04/5.1/7", "LM-04/5.1/8", "LM-04/6.3/2", "LM-04/6.3/7", "LM-04/12.5.1/22"],
        signatures_of_a_pdu
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/fetches-keys",
        "the key of a server that was never heard of is fetched before its event is judged",
        ["LM-04/6.3/8", "LM-04/5.1/8"],
        fetches_keys
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/fields-of-a-pdu",
        "a PDU with fields that are not as they must be is dropped",
        ["LM-04/3.5/16", "LM-04/3.5/17", "LM-04/3.5/19", "LM-04/3.5/20", "LM-04/5.1/4", "R01"],
        fields_of_a_pdu
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/size-of-a-pdu",
        "a PDU of 65,536 bytes is listed, and one of a byte more is not",
        ["LM-04/3.5/25", "LM-04/3.5/26"],
        size_of_a_pdu
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/tampered-pdu",
        "a PDU whose content was changed on the way is listed redacted",
        [
            "LM-04/5.1/10",
            "LM-04/5.1/11",
            "LM-04/5.1/12",
            "LM-04/6.3/6",
            "LM-04/9.1/3",
            "LM-04/9.2/1",
            "R02",
            "R05",
        ],
        tampered_pdu
    ),
];

/// A server's signature over something else than it should have signed.
fn signature(peer: &Peer, over: &Value) -> Value {
    let bytes = signed_bytes(over.as_object().unwrap_or(&Object::new()));
    json!({peer.key.id().as_str(): peer.key.sign(&bytes).to_base64()})
}

async fn signatures_of_a_pdu(ctx: &Context) -> Result<(), Finding> {
    let (followed, other, carol) = followed_room_with_carol(ctx).await?;
    let (hub, theirs) = (followed.hub.name.as_str(), other.name.as_str());
    let zeros = json!({followed.hub.key.id().as_str(): base64::encode(&[0; 64])});
    let without = |event: &Value, server: &str| {
        altered(event, |event| {
            if let Some(Value::Object(signatures)) = event.get_mut("signatures") {
                signatures.remove(server);
            }
        })
    };
    let with = |event: &Value, server: &str, entry: Value| {
        altered(event, |event| set_signatures(event, server, entry))
    };
    let own = |n: u32| followed.next(&format!("own {n}"));
    let of_carol = |n: u32| followed.sealed(&other, &carol, &format!("sealed {n}"));
    let moved = |event: Value| {
        altered(&event, |event| drop(event.insert("prev_events".to_owned(), json!(["$elsewhere"]))))
    };
    let partial = |event: &Value| {
        altered(event, |event| {
            event.remove("auth_events");
            event.remove("prev_events");
            if let Some(Value::Object(hashes)) = event.get_mut("hashes") {
                hashes.remove("sha256");
            }
        })
    };
    followed
        .drops(&with(&own(1)?, hub, zeros.clone()), "an event with a made-up signature of the hub")
        .await?;
    followed.drops(&without(&own(2)?, hub), "an event that nobody signed").await?;
    let event = own(3)?;
    let by_other = with(&without(&event, hub), theirs, signature(&other, &event));
    followed.drops(&by_other, "an event of the hub's user, signed by another server").await?;
    let event = own(4)?;
    let in_name = with(
        &event,
        hub,
        json!({followed.hub.key.id().as_str(): other.key.sign(&signed_bytes(event.as_object().unwrap_or(&Object::new()))).to_base64()}),
    );
    followed.drops(&in_name, "an event signed in the hub's name with another key").await?;
    followed.drops(&moved(own(5)?), "an event whose place was changed after it was signed").await?;
    followed
        .drops(&with(&of_carol(1)?, hub, zeros.clone()), "a sealed event with a made-up signature of the hub")
        .await?;
    followed.drops(&without(&of_carol(2)?, hub), "a sealed event that the hub has not signed").await?;
    followed
        .drops(&without(&of_carol(3)?, theirs), "a sealed event that its sender's server has not signed")
        .await?;
    let event = of_carol(4)?;
    let as_lpdu = with(&event, hub, signature(&followed.hub, &partial(&event)));
    followed.drops(&as_lpdu, "a sealed event of which the hub has signed the LPDU alone").await?;
    let event = of_carol(5)?;
    let as_whole = with(&event, theirs, signature(&other, &event));
    followed.drops(&as_whole, "a sealed event of which the sender's server has signed the whole").await?;
    let event = of_carol(6)?;
    let forged = with(&event, theirs, signature(&followed.hub, &partial(&event)));
    followed.drops(&forged, "a sealed event that the hub has signed for its sender's server").await?;
    let event = of_carol(7)?;
    followed.send(std::slice::from_ref(&event)).await?.expect_accepted()?;
    followed.lists(&event, "a sealed event with both signatures").await.map(drop)
}

async fn fetches_keys(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let other = ctx.peer().await?;
    followed.room.admit(&other);
    let carol = other.user("carol")?;
    let join = other.member(&followed.room.id, &carol, &carol, "join");
    let join = followed.hub.take(&followed.room, &other.lpdu_for(&followed.hub.name, &join)?)?;
    followed.send(std::slice::from_ref(&join)).await?.expect_accepted()?;
    followed.lists(&join, "an event whose sender's server was unknown").await?;
    let asked = other.requests().iter().any(|request| request.target.starts_with("/_matrix/key/v2/server"));
    check!(asked, "the target listed an event without fetching the key of its sender's server");
    Ok(())
}

async fn fields_of_a_pdu(ctx: &Context) -> Result<(), Finding> {
    let (followed, other, carol) = followed_room_with_carol(ctx).await?;
    let mut n = 0_u32;
    let mut own = |change: Change<'_>| -> Result<Value, Finding> {
        n = n.saturating_add(1);
        let mut event = followed.next(&format!("own {n}"))?.as_object().cloned().unwrap_or_default();
        change(&mut event);
        Ok(followed.hub.sealer().seal(event))
    };
    let set = |field: &'static str, value: Value| {
        move |event: &mut Object| drop(event.insert(field.to_owned(), value.clone()))
    };
    for field in ["auth_events", "prev_events"] {
        for value in [
            Value::Null,
            json!("$id"),
            json!({}),
            json!([5]),
            json!([["$id"]]),
            json!([null]),
            json!(["no id"]),
        ] {
            let event = own(&set(field, value.clone()))?;
            followed.drops(&event, &format!("a PDU whose {field} is {value}")).await?;
        }
        let event = own(&|event| drop(event.remove(field)))?;
        followed.drops(&event, &format!("a PDU without {field}")).await?;
    }
    let changes: [(&str, Change<'_>); 5] = [
        ("without a timestamp", &|event| drop(event.remove("origin_server_ts"))),
        ("whose content is an array", &set("content", json!([]))),
        ("whose state key is null", &set("state_key", Value::Null)),
        ("whose hub_server is no server name", &set("hub_server", json!("exa_mple.org"))),
        ("with an LPDU hash and without a hub", &|event| {
            let hash = base64::encode(&hash::lpdu_content_hash(event));
            event.insert("hashes".to_owned(), json!({"lpdu": {"sha256": hash}}));
        }),
    ];
    for (what, change) in changes {
        followed.drops(&own(change)?, &format!("a PDU {what}")).await?;
    }
    // The schema wants an LPDU hash wherever there is a hub.
    let event = followed.sealed(&other, &carol, "without the LPDU's hash")?;
    let mut event = event.as_object().cloned().unwrap_or_default();
    event.remove("hashes");
    other.sealer().sign(&mut event);
    let event = followed.hub.sealer().seal(event);
    followed.drops(&event, "a sealed event without the LPDU's hash").await
}

async fn size_of_a_pdu(ctx: &Context) -> Result<(), Finding> {
    const LARGEST: usize = 65_536;
    let followed = followed_room(ctx).await?;
    let rest = LARGEST.saturating_sub(size(&followed.next("")?));
    let long = followed.next(&"x".repeat(rest.saturating_add(1)))?;
    sure(size(&long) == LARGEST.saturating_add(1), format!("a PDU has {} bytes", size(&long)))?;
    followed.drops(&long, "a PDU of 65,537 bytes").await?;
    let fits = followed.hub.host_says(&followed.room, followed.message(&"x".repeat(rest))).await?;
    sure(size(&fits) == LARGEST, format!("a PDU has {} bytes", size(&fits)))?;
    followed.lists(&fits, "a PDU of 65,536 bytes").await?;
    followed.goes_on().await
}

async fn tampered_pdu(ctx: &Context) -> Result<(), Finding> {
    let (followed, other, carol) = followed_room_with_carol(ctx).await?;
    let is_redacted = async |event: &Value, tampered: &Value, what: &str| -> Result<(), Finding> {
        let made = followed.offer(tampered).await?;
        check!(made == Made::Listed, "{what} is to be listed redacted, it is {made}");
        let listed = followed.lists(event, what).await?;
        check!(listed.get("content") == Some(&json!({})), "{what} is listed with its content: {listed}");
        let extra = listed.get("org.example.added");
        check!(extra.is_none(), "{what} is listed with a field that redaction strips");
        followed.goes_on().await
    };
    let tamper = |event: &Value| altered(event, |event| set_content(event, "body", json!("something else")));
    let own = followed.withhold(followed.message("own"))?;
    is_redacted(&own, &tamper(&own), "an event of the hub that was changed").await?;
    let own = followed.withhold(followed.message("with a field too many"))?;
    let added = altered(&own, |event| drop(event.insert("org.example.added".to_owned(), json!(1))));
    is_redacted(&own, &added, "an event with a field that was added").await?;
    let take = |body: &str| {
        let draft = other.draft(&followed.room.id, &carol, "m.room.message", json!({"body": body}));
        followed.hub.take(&followed.room, &other.lpdu_for(&followed.hub.name, &draft)?)
    };
    let of_carol = take("sealed")?;
    is_redacted(&of_carol, &tamper(&of_carol), "a sealed event that was changed").await?;
    // The hub seals other content than was sent: its own hash is right, the sender's is not.
    let draft = other.draft(&followed.room.id, &carol, "m.room.message", json!({"body": "sent"}));
    let lpdu = tamper(&other.lpdu_for(&followed.hub.name, &draft)?);
    let lpdu = lpdu.as_object().cloned().unwrap_or_default();
    let (cites, head) = (followed.room.cites(&carol), followed.room.head());
    let resealed = followed.hub.sealer().complete(lpdu, &cites, &[head]);
    let made = followed.offer(&resealed).await?;
    let what = "an event of which the hub changed the content before sealing it";
    check!(made == Made::Listed, "{what} is to be listed redacted, it is {made}");
    let listed = followed.lists(&resealed, what).await?;
    check!(listed.get("content") == Some(&json!({})), "{what} is listed with its content: {listed}");
    // The hub's own list does not have it; what comes next follows it all the same.
    let next = followed.hub.forge_pdu(
        followed.message("next"),
        &followed.room.cites(&followed.host),
        &id_of(&resealed)?,
    )?;
    let made = followed.offer(&next).await?;
    check!(made == Made::Listed, "an event after a redacted one is {made}");
    // Fields that nothing covers make no difference.
    let unsigned = followed.hub.forge_pdu(
        followed.message("with something unsigned"),
        &followed.room.cites(&followed.host),
        &id_of(&next)?,
    )?;
    let with = altered(&unsigned, |event| drop(event.insert("unsigned".to_owned(), json!({"age": 1}))));
    let made = followed.offer(&with).await?;
    check!(made == Made::Listed, "an event with `unsigned` is {made}");
    let listed = followed.lists(&unsigned, "an event with `unsigned`").await?;
    check!(
        listed.get("content") == unsigned.get("content"),
        "an event is redacted because it has `unsigned`"
    );
    Ok(())
}
