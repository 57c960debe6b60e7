//! EDUs in general (LM-04 §12.9).

use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, said};
use crate::cases::steps::guest::guest_room;
use crate::cases::steps::hub_room;
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Participant,
        "12.9/own-edus",
        "the target's EDUs name their type and sender, and go straight to the server they are for",
        ["LM-04/12.9/1", "LM-04/12.9/2", "R25"],
        own_edus
    ),
    driven_case!(
        Must,
        Hub,
        "12.9/unknown-edus",
        "EDUs of unknown types do no harm to what comes with them",
        ["LM-04/12.5.1/22", "R30"],
        unknown_edus
    ),
];

async fn unknown_edus(ctx: &Context) -> Result<(), Finding> {
    let room = hub_room(ctx).await?;
    let edus: Vec<Value> = ["m.typing", "m.receipt", "m.presence", "org.example.unheard-of"]
        .into_iter()
        .map(
            |kind| json!({"type": kind, "sender": room.bob, "content": {"room_id": room.id, "any": [1, {}]}}),
        )
        .collect();
    let lpdu = room.peer.lpdu(&room.message("beside EDUs"))?;
    room.peer.send(std::slice::from_ref(&lpdu), &edus).await?.expect_accepted()?;
    room.peer.until_echo(&lpdu).await.map(drop)
}

async fn own_edus(ctx: &Context) -> Result<(), Finding> {
    let room = guest_room(ctx).await?;
    // Another server than the hub of the room that the sender is in.
    let other = ctx.peer().await?;
    let dave = other.user("dave")?;
    let message = json!({
        "target": dave, "target_device": "DEVICE", "message_type": "org.example", "message": {"for": "dave"}
    });
    ctx.control()?.to_device(&ctx.recorder, &room.carol, &message).await?;
    let is = |edu: &Value| edu.pointer("/content/message/for") == Some(&json!("dave"));
    let edu = other.until_edu("send the message to the server of the user it is for", is).await?;
    let kind = edu.get("type");
    check!(kind == Some(&json!("m.direct_to_device")), "the EDU has the type {kind}", kind = said(&kind));
    check!(edu.get("content").is_some_and(Value::is_object), "the EDU has no object `content`");
    // What is sent to the hub later would come after the EDU.
    room.carol_says("later").await?;
    let is_later = |pdu: &Value| pdu.pointer("/content/body") == Some(&json!("later"));
    room.peer.until_pdu("send its user's message to the hub", is_later).await?;
    let at_the_hub = room.peer.requests().iter().any(|request| request.edus().iter().any(|edu| is(edu)));
    check!(!at_the_hub, "an EDU for another server was sent to the hub of a room");
    let (sender, alias) = (edu.get("sender"), edu.get("sender_id"));
    let carol = json!(room.carol);
    for named in [sender, alias].into_iter().flatten() {
        check!(*named == carol, "the EDU is by {named} instead of {carol}");
    }
    check!(sender.is_some() || alias.is_some(), "the EDU has no sender: {edu}");
    if sender.is_none() {
        let what = "the EDU has its sender under `sender_id`".to_owned();
        return Err(Finding::Acceptable { reading: "R25", what });
    }
    Ok(())
}
