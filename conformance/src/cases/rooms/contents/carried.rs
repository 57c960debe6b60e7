//! Contents of every kind on their way through the target.

use mimi_linearized::content::inside::{InnerEvent, Plaintext, SettledRelation};
use mimi_linearized::event::Draft;
use mimi_linearized::id::{RoomId, UserId};
use serde_json::{Value, json};

use super::super::mls::group_room;
use super::samples::{Sample, samples, secret_samples};
use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::guest::guest_room;
use crate::cases::steps::{hub_room, open_room, reference_id, sure, text};
use crate::context::Context;
use crate::mls::welcome_message;
use crate::peer::Peer;

pub(in super::super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "3.5/contents-sent",
        "whatever kind of message a user sends, the other servers get its content as it was written",
        [
            "MF-01/1/1",
            "MF-01/1/3",
            "MF-01/1/5",
            "MF-01/1/6",
            "MF-01/1/8",
            "MF-01/1/11",
            "MF-01/1/12",
            "MF-01/1/15",
            "MF-01/1/16",
            "MF-01/1/21",
            "MF-01/1/23",
            "MF-01/2/5",
            "MF-01/2/7",
            "MF-01/2/8",
            "MF-01/2/12",
            "MF-01/2/13",
            "MF-01/2/14",
            "MF-01/2/16",
            "MF-01/2/18",
            "MF-01/2/19",
            "MF-01/2/23",
            "MF-01/2/24",
            "MF-01/2/25",
            "MF-01/2/63",
            "MF-01/2/69",
            "MF-01/2/70",
            "MF-01/2/96",
            "MF-01/2/108",
            "LM-04/3.5/14",
        ],
        sent
    ),
    driven_case!(
        Must,
        Hub,
        "3.5/contents-passed-on",
        "whatever kind of message a participant sends, the hub seals and passes on its content as it was written",
        ["MF-01/2/3", "MF-01/2/6", "MF-01/2/35", "MF-01/2/42", "MF-01/2/186", "MF-01/2/187"],
        passed_on
    ),
    driven_case!(
        Must,
        Participant,
        "3.5/contents-received",
        "whatever kind of message a participant is sent, it keeps its content as it was written",
        ["MF-01/2/3", "MF-01/2/6", "MF-01/2/20", "MF-01/2/38"],
        received
    ),
    driven_case!(
        Must,
        Hub,
        "4.5.2/contents-inside",
        "an encrypted message of whatever kind is passed on as it is, with the relation beside its ciphertext",
        ["MF-01/1/2", "MF-01/2/72", "MF-01/2/183", "MF-01/2/203", "MF-01/2/210", "MF-01/2/211", "R57"],
        inside
    ),
];

/// The event says what was sent.
fn says(event: &Value, sample: &Sample, what: &str) -> Result<(), Finding> {
    let kind = text(event, "type");
    check!(
        kind == sample.kind,
        "{} is {what} as {kind} instead of {}",
        sample.what,
        said(&sample.kind),
        kind = said(&kind)
    );
    let content = event.get("content").unwrap_or(&Value::Null);
    check!(*content == sample.content, "{} is {what} with other content: {content}", sample.what);
    Ok(())
}

/// The sample as an event of this user.
fn draft(peer: &Peer, room: &RoomId, user: &UserId, sample: &Sample) -> Draft {
    match sample.state_key {
        None => peer.draft(room, user, sample.kind, sample.content.clone()),
        Some(_) => peer.state_draft(room, user, sample.kind, user.as_str(), sample.content.clone()),
    }
}

async fn sent(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let (alice, head) = (ctx.user("alice")?, ctx.room(&room.id).await?.head().to_owned());
    for sample in samples(&head) {
        let state_key = sample.state_key.map(|_| alice.as_str());
        let answer = ctx.send_as_alice(&room.id, sample.kind, state_key, sample.content.clone()).await?;
        let id = text(&answer, "event_id").to_owned();
        let event = room.peer.until_pdu(sample.what, |pdu| reference_id(pdu) == id).await?;
        says(&event, &sample, "sent")?;
        let (sender, of) = (text(&event, "sender"), text(&event, "room_id"));
        check!(sender == alice.as_str() && of == room.id.as_str(), "{} is of {sender} in {of}", sample.what);
        let listed = ctx.until_event(&room.id, sample.what, |event| reference_id(event) == id).await?;
        says(&listed, &sample, "listed")?;
    }
    Ok(())
}

async fn passed_on(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let other = ctx.peer().await?;
    other.join(&room.id, &other.user("dave")?).await?;
    let head = ctx.room(&room.id).await?.head().to_owned();
    for sample in samples(&head) {
        let event = room.accepts(&draft(&room.peer, &room.id, &room.bob, &sample)).await?;
        says(&event, &sample, "sealed")?;
        let id = reference_id(&event);
        let passed_on = other.until_pdu(sample.what, |pdu| reference_id(pdu) == id).await?;
        says(&passed_on, &sample, "passed on")?;
        let listed = ctx.until_event(&room.id, sample.what, |event| reference_id(event) == id).await?;
        says(&listed, &sample, "listed")?;
    }
    Ok(())
}

async fn received(ctx: &Context) -> Result<(), Finding> {
    let room = guest_room(ctx).await?;
    let host = room.peer.user("host")?;
    let first =
        room.peer.draft(&room.room.id, &host, "m.message", json!({"m.text": "something to be about"}));
    let about = reference_id(&room.peer.host_says(&room.room, first).await?);
    for sample in samples(&about) {
        let event = room.peer.host_says(&room.room, draft(&room.peer, &room.room.id, &host, &sample)).await?;
        let id = reference_id(&event);
        let listed = room.until_listed(sample.what, |event| reference_id(event) == id).await?;
        says(&listed, &sample, "listed")?;
    }
    Ok(())
}

async fn inside(ctx: &Context) -> Result<(), Finding> {
    let mut group = group_room(ctx).await?;
    let (id, carol) = (group.room.id.clone(), group.room.peer.user("carol")?);
    group.room.peer.join(&id, &carol).await?;
    let mut carol = ctx.device(&carol, "CAROL")?;
    let commit = group.bob.add(&id, &[&carol.key_package()?])?;
    let event = group.takes(&commit).await?;
    carol.join(&welcome_message(&commit, &event)?)?;
    let head = ctx.room(&id).await?.head().to_owned();
    for sample in secret_samples(&head) {
        let content = sample.content.as_object().cloned().unwrap_or_default();
        let inner = InnerEvent { kind: sample.kind.to_owned(), content };
        let prepared = inner.prepare().map_err(|error| Finding::Suite(error.to_string()))?;
        let plaintext = String::from_utf8_lossy(&prepared.plaintext).into_owned();
        let mut content = group.bob.encrypt(&id, &plaintext)?;
        if let (Some(content), Some(relation)) = (content.as_object_mut(), &prepared.relates_to) {
            content.insert("m.relates_to".to_owned(), Value::Object(relation.clone()));
        }
        let message = group.room.peer.draft(&id, &group.room.bob, "m.room.encrypted", content.clone());
        let event = group.room.accepts(&message).await?;
        let around = Sample { what: sample.what, kind: "m.room.encrypted", state_key: None, content };
        says(&event, &around, "sealed")?;
        let listed =
            ctx.until_event(&id, sample.what, |listed| reference_id(listed) == reference_id(&event)).await?;
        says(&listed, &around, "listed")?;

        let (sender, plaintext) = carol.decrypt(&id, &event)?;
        check!(sender == group.room.bob.as_str(), "{} was encrypted by {sender}", sample.what);
        let outside = event.get("content").and_then(Value::as_object).cloned().unwrap_or_default();
        let opened = Plaintext::read(plaintext.as_bytes(), &outside)
            .map_err(|error| fault(format!("what is inside {}: {error}", sample.what)))?;
        let Plaintext::Event { event: opened, relation } = opened else {
            return Err(Finding::Suite("what was encrypted is no event".to_owned()));
        };
        check!(opened == inner, "{} is another event when it is decrypted", sample.what);
        let expected =
            if prepared.relates_to.is_some() { SettledRelation::Same } else { SettledRelation::None };
        sure(
            relation == expected,
            format!("the relation of {} is read as one of another kind", sample.what),
        )?;
    }
    Ok(())
}
