//! Which server is the hub of a room (LM-04 §11, reading R16).

use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case};
use crate::cases::steps::followed::followed_room;
use crate::cases::steps::open_room;
use crate::context::Context;

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Hub,
        "11/stays-the-hub",
        "the creator's server is the hub, whatever an m.room.hub event says",
        ["LM-04/11/1", "R16"],
        stays_the_hub
    ),
    driven_case!(
        Must,
        Participant,
        "11/keeps-to-its-hub",
        "a participant keeps to the hub of the room, whatever an m.room.hub event says",
        ["LM-04/11/1", "R16"],
        keeps_to_its_hub
    ),
];

async fn stays_the_hub(ctx: &Context) -> Result<(), Finding> {
    let room = open_room(ctx).await?;
    let transfer = room.accepts(&room.state("m.room.hub", "", json!({"hub_server": room.peer.name}))).await?;
    let set = ctx.state_event(&room.id, "m.room.hub", "").await?;
    check!(set.as_ref() == Some(&transfer), "m.room.hub is not kept like any other state event");
    // Still sealed by the target, and not taken for the server that the event names.
    room.accepts(&room.message("through the hub")).await?;
    let elsewhere = room.peer.lpdu_for(&room.peer.name, &room.message("through the new hub"))?;
    room.peer.send(std::slice::from_ref(&elsewhere), &[]).await?.expect_processed()?;
    room.is_not_listed(&elsewhere, "an LPDU for the server that m.room.hub names").await
}

async fn keeps_to_its_hub(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let new_hub = ctx.peer().await?;
    let named = json!({"hub_server": new_hub.name});
    let transfer = followed.hub.state_draft(&followed.room.id, &followed.host, "m.room.hub", "", named);
    let transfer = followed.hub.host_says(&followed.room, transfer).await?;
    followed.lists(&transfer, "an m.room.hub event").await?;
    let (said, dora) = (json!({"body": "to the hub"}), followed.dora.as_str());
    ctx.control()?.send(&ctx.recorder, &followed.room.id, dora, "m.room.message", None, &said).await?;
    let is_it = move |pdu: &Value| pdu.get("content") == Some(&said);
    let pdu = followed.hub.until_pdu("the target sends its event to the hub", is_it).await?;
    let hub = json!(followed.hub.name);
    check!(
        pdu.get("hub_server") == Some(&hub),
        "the target's event names {} as the hub",
        crate::case::said(&pdu.get("hub_server"))
    );
    let of_room = |pdu: &Value| pdu.get("room_id") == Some(&json!(followed.room.id));
    let elsewhere = new_hub.pdus().iter().any(of_room);
    check!(!elsewhere, "the target sent events to the server that m.room.hub names");
    followed.goes_on().await
}
