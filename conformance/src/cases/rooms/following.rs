//! Following a hub as a participant (LM-04 §5.1, readings R10 to R14).

use http::Method;
use mimi_linearized::base64;
use mimi_linearized::event::hash;
use mimi_linearized::id::{EventId, UserId};
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault, said};
use crate::cases::steps::followed::{
    FollowedRoom, Made, follow, followed_room, followed_room_with_carol, id_of, unchecked,
};
use crate::cases::steps::{Tolerated, altered, reference_id};
use crate::context::Context;
use crate::peer::{Inbound, Peer, Response, lpdu_hash};

pub(super) const CASES: &[Case] = &[
    driven_case!(
        Must,
        Participant,
        "5.1/follow",
        "a participant lists what its hub sends, in that order and each event once",
        ["LM-04/5.1/3", "LM-04/3.5.2/4", "LM-04/12.5.1/12", "LM-04/12.5.1/22", "R13", "TR-00/2/4"],
        follows
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/hubs-own-event",
        "an event of the hub's own user is accepted in either form, signed once",
        ["LM-04/5.1/7", "R04"],
        hubs_own_event
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/unsealed-event",
        "an event that no hub sealed is accepted from the hub, whatever the number of its predecessors",
        ["LM-04/3.5/22", "LM-04/5.1/8", "R10"],
        unsealed_event
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/pdu-from-stranger",
        "a PDU from a server that is not the hub is ignored",
        ["R10"],
        pdu_from_stranger
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/pdu-of-another-hub",
        "a PDU that another hub has sealed is rejected, though the room's hub sends it",
        ["R10"],
        pdu_of_another_hub
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/rule-breaking-pdu",
        "a PDU that the hub should not have sealed is rejected and reported",
        [
            "LM-04/2/1",
            "LM-04/5.2.3/1",
            "LM-04/5.2.3/2",
            "LM-04/12.5.1/19",
            "LM-04/12.5.1/20",
            "LM-04/12.5.1/21",
            "LM-04/12.5.1/22",
            "R11",
            "R13",
            "R20",
            "TR-00/3/9",
            "TR-00/3/36",
            "TR-00/3/40"
        ],
        rule_breaking_pdu
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/disputed",
        "a hub that goes on from a rejected event is followed, and the room is disputed",
        ["LM-04/2/1", "R13", "TR-00/3/38", "TR-00/3/41"],
        disputed
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/fork",
        "a second event for a place that is filled is rejected",
        ["R13", "TR-00/1/5"],
        fork
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/gap",
        "events that the hub did not send are fetched from it, by whichever way it offers",
        [
            "LM-04/12.6/2",
            "R13",
            "FW-01/2.1/5",
            "FW-01/6/9",
            "TR-00/1/6",
            "TR-00/3/17",
            "TR-00/3/27",
            "TR-00/3/31"
        ],
        gap
    ),
    driven_case!(
        Must,
        Participant,
        "5.1/sealed-twice",
        "a second PDU of one LPDU is listed, since the hub goes on from it",
        ["R14"],
        sealed_twice
    ),
];

async fn follows(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let mut sent = Vec::new();
    for n in 0..3 {
        let event = followed.hub.host_says(&followed.room, followed.message(&format!("message {n}"))).await?;
        sent.push(event);
    }
    let (name, last) =
        (followed.withhold(followed.rename("Followed"))?, followed.withhold(followed.message("last"))?);
    followed.send(&[name.clone(), last.clone()]).await?.expect_accepted()?;
    sent.extend([name, last]);
    // What comes again is known.
    for again in [sent.get(..1).unwrap_or_default(), &sent] {
        followed.send(again).await?.expect_accepted()?;
    }
    let list = ctx.events(&followed.room.id).await?;
    let after_join: Vec<&Value> = list.iter().filter(|event| sent.contains(event)).collect();
    let in_order = after_join.iter().zip(&sent).all(|(listed, sent)| *listed == sent);
    check!(
        in_order && after_join.len() == sent.len(),
        "the hub sent {} events, the list is {list}",
        sent.len(),
        list = said(&list)
    );
    let room = ctx.room(&followed.room.id).await?;
    let head = followed.room.head();
    check!(room.head() == head.as_str(), "the last event is {}, the hub's is {head}", room.head());
    check!(!room.is_disputed(), "the room is disputed");
    let name = followed.name().await?;
    check!(name == "Followed", "the room is called {name}", name = said(&name));
    check!(room.membership(&followed.dora) == "join", "who joined is {}", room.membership(&followed.dora));
    Ok(())
}

async fn hubs_own_event(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let plain = followed.next("without hub_server")?;
    check!(
        followed.offer(&plain).await? == Made::Listed,
        "an event of the hub without hub_server is not listed"
    );
    let named = altered(&followed.next("with hub_server")?, |event| {
        event.insert("hub_server".to_owned(), json!(followed.hub.name));
        event.insert("prev_events".to_owned(), json!([reference_id(&plain)]));
        event.remove("signatures");
        let hash = base64::encode(&hash::lpdu_content_hash(event));
        event.insert("hashes".to_owned(), json!({"lpdu": {"sha256": hash}}));
    });
    let named = followed.hub.sealer().seal(named.as_object().cloned().unwrap_or_default());
    let made = followed.offer(&named).await?;
    check!(made == Made::Listed, "an event of the hub with hub_server, signed once, is {made}");
    let listed = followed.lists(&named, "an event of the hub with hub_server").await?;
    check!(listed == named, "an event of the hub with hub_server is listed as {listed}");
    Ok(())
}

async fn unsealed_event(ctx: &Context) -> Result<(), Finding> {
    let (followed, other, carol) = followed_room_with_carol(ctx).await?;
    let unsealed = |body: &str, prev: &[EventId]| {
        let event = json!({
            "room_id": followed.room.id, "type": "m.room.message", "sender": carol, "content": {"body": body},
            "origin_server_ts": mimi_transport::clock::now_ms()
        });
        other.sealer().complete(
            event.as_object().cloned().unwrap_or_default(),
            &followed.room.cites(&carol),
            prev,
        )
    };
    let before = followed.room.state_id("m.room.join_rules", "").into_iter();
    let several: Vec<EventId> = before.chain([followed.room.head()]).collect();
    // Not even an event of this kind comes from anybody but the hub.
    let own = unsealed("from its own server", &several);
    let made = followed.offer_from(&other, &own).await?;
    check!(made != Made::Listed, "an event that no hub sealed is listed though its own server sent it");
    let first = unsealed("after several events", &several);
    let made = followed.offer(&first).await?;
    check!(
        made == Made::Listed,
        "an event that no hub sealed, with {} predecessors, is {made}",
        several.len()
    );
    let second = unsealed("after one event", &[id_of(&first)?]);
    let made = followed.offer(&second).await?;
    check!(made == Made::Listed, "an event that no hub sealed is {made}");
    let listed = followed.lists(&second, "an event that no hub sealed").await?;
    check!(listed == second, "an event that no hub sealed is listed as {listed}");
    Ok(())
}

async fn pdu_from_stranger(ctx: &Context) -> Result<(), Finding> {
    let (followed, other, carol) = followed_room_with_carol(ctx).await?;
    let outsider = ctx.peer().await?;
    let (own, of_carol) = (followed.next("sound")?, followed.sealed(&other, &carol, "sound")?);
    let mut reported = false;
    for (from, what) in [(&other, "a participant"), (&outsider, "a server outside the room")] {
        for event in [&own, &of_carol] {
            let made = followed.offer_from(from, event).await?;
            check!(made != Made::Listed, "a PDU from {what} is in the target's list");
            reported |= made == Made::Rejected;
        }
    }
    followed.goes_on().await?;
    if reported {
        let what = "a PDU of somebody who is not the hub is reported".to_owned();
        return Err(Finding::Acceptable { reading: "R10", what });
    }
    Ok(())
}

async fn pdu_of_another_hub(ctx: &Context) -> Result<(), Finding> {
    let (followed, other, carol) = followed_room_with_carol(ctx).await?;
    let (cites, head) = (followed.room.cites(&carol), followed.room.head());
    let draft =
        other.draft(&followed.room.id, &carol, "m.room.message", json!({"body": "through another hub"}));
    // The other server is at once the sender's and the hub, so that it signs once.
    let own = other.lpdu_for(&other.name, &draft)?.as_object().cloned().unwrap_or_default();
    let own = other.sealer().complete(own, &cites, std::slice::from_ref(&head));
    // A third server is the hub of somebody else's event.
    let third = ctx.peer().await?;
    let lpdu = other.lpdu_for(&third.name, &draft)?.as_object().cloned().unwrap_or_default();
    let sealed = third.sealer().complete(lpdu, &cites, &[head]);
    let mut dropped = false;
    for (event, what) in [(&own, "the sender's server"), (&sealed, "a third server")] {
        let made = followed.offer(event).await?;
        check!(made != Made::Listed, "an event that {what} has sealed is in the target's list");
        dropped |= made == Made::Dropped;
        followed.goes_on().await?;
    }
    if dropped {
        let what = "a PDU that another hub has sealed is dropped".to_owned();
        return Err(Finding::Acceptable { reading: "R10", what });
    }
    Ok(())
}

/// Events that the hub should not have sealed, in the place that comes next.
fn breaches(
    followed: &FollowedRoom<'_>,
    other: &Peer,
    carol: &UserId,
) -> Result<Vec<(Value, &'static str)>, Finding> {
    let (hub, room) = (&followed.hub, &followed.room);
    let event = |draft, cites: &[EventId]| hub.forge_pdu(draft, cites, &room.head());
    let mallory = hub.user("mallory")?;
    let outsider = hub.draft(&room.id, &mallory, "m.room.message", json!({"body": "not even in"}));
    let cites = room.cites(&followed.host);
    let more: Vec<EventId> = cites.iter().cloned().chain(room.state_id("m.room.join_rules", "")).collect();
    let twice: Vec<EventId> = cites.iter().cloned().chain(cites.first().cloned()).collect();
    let levels = json!({"users": {carol.as_str(): 50}});
    let levels = other.state_draft(&room.id, carol, "m.room.power_levels", "", levels);
    let levels = other.lpdu_for(&hub.name, &levels)?.as_object().cloned().unwrap_or_default();
    let levels = hub.sealer().complete(levels, &room.cites(carol), &[room.head()]);
    let join_for = hub.member(&room.id, &followed.host, &mallory, "join");
    let create =
        hub.state_draft(&room.id, &followed.host, "m.room.create", "", json!({"room_version": "I.1"}));
    let few = cites.get(..1).unwrap_or_default();
    // The create event is cited first.
    let headless = cites.get(1..).unwrap_or_default();
    Ok(vec![
        (event(outsider, &room.cites(&mallory))?, "a message of somebody who is not joined"),
        (event(followed.message("citing too little"), few)?, "an event that cites too few events"),
        (
            event(followed.message("citing no beginning"), headless)?,
            "an event that does not cite the create event",
        ),
        (event(followed.message("citing too much"), &more)?, "an event that cites one event too many"),
        (event(followed.message("citing an event twice"), &twice)?, "an event that cites an event twice"),
        (levels, "power levels set by somebody who has no level"),
        (event(join_for, &more)?, "a join for somebody else"),
        (event(create, &[])?, "a second create event"),
    ])
}

async fn rule_breaking_pdu(ctx: &Context) -> Result<(), Finding> {
    let (mut followed, mut other, mut carol) = followed_room_with_carol(ctx).await?;
    let mut tolerated = Tolerated::default();
    for index in 0..breaches(&followed, &other, &carol)?.len() {
        // Made anew each time: the room goes on in between.
        let breach = breaches(&followed, &other, &carol)?.into_iter().nth(index);
        let Some((event, what)) = breach else { continue };
        let rejected = followed.rejects(&event, what).await;
        if rejected.is_err() {
            tolerated.note(rejected)?;
            // The target's list is not the hub's any more.
            (followed, other, carol) = followed_room_with_carol(ctx).await?;
        }
    }
    if !tolerated.is_empty() {
        return tolerated.end();
    }
    // Nothing of all that had an effect.
    let now = ctx.room(&followed.room.id).await?;
    let mallory = followed.hub.user("mallory")?;
    check!(now.membership(&mallory) == "leave", "a rejected event made a user {}", now.membership(&mallory));
    let levels = ctx.state_event(&followed.room.id, "m.room.power_levels", "").await?;
    check!(levels.is_none(), "rejected power levels are in the state");
    check!(!now.is_disputed(), "the room is disputed though the hub did not go on from what was rejected");
    Ok(())
}

async fn disputed(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let (hub, room) = (&followed.hub, &followed.room);
    let cites = room.cites(&followed.host);
    let mallory = hub.user("mallory")?;
    let name = hub.state_draft(&room.id, &mallory, "m.room.name", "", json!({"name": "Taken over"}));
    let broken = hub.forge_pdu(name, &room.cites(&mallory), &room.head())?;
    match followed.offer(&broken).await? {
        Made::Rejected => {}
        Made::Dropped => return Err(fault("an event that breaks a rule is to be reported in failed_pdus")),
        Made::Listed => return Err(unchecked("state of somebody who is not joined")),
    }
    check!(!ctx.room(&room.id).await?.is_disputed(), "the room is disputed before the hub goes on");
    let mut prev = id_of(&broken)?;
    for n in 0..2 {
        let next = hub.forge_pdu(followed.message(&format!("after what was rejected {n}")), &cites, &prev)?;
        let made = followed.offer(&next).await?;
        check!(made == Made::Listed, "a sound event after a rejected one is {made}");
        prev = id_of(&next)?;
    }
    check!(followed.listed(&reference_id(&broken)).await?.is_none(), "a rejected event is shown in the list");
    let name = followed.name().await?;
    check!(name.is_empty(), "a rejected event called the room {name}", name = said(&name));
    if !ctx.room(&room.id).await?.is_disputed() {
        let what = "the hub goes on from a rejected event and the target does not call the room disputed";
        return Err(Finding::Acceptable { reading: "R13", what: what.to_owned() });
    }
    Ok(())
}

async fn fork(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let twin = followed.next("the other event for this place")?;
    let first = followed.hub.host_says(&followed.room, followed.message("the event for this place")).await?;
    followed.lists(&first, "the first event for a place").await?;
    followed.rejects(&twin, "a second event for a place").await
}

async fn gap(ctx: &Context) -> Result<(), Finding> {
    let mut tolerated = Tolerated::default();
    for (missing, backfill) in [(1, true), (4, true), (1, false), (3, false)] {
        tolerated.note(fills_a_gap(ctx, missing, backfill).await)?;
    }
    tolerated.end()
}

/// The target gets an event after `missing` ones that it was not sent, from a hub that has no backfill unless it says
/// so, and fetches those.
async fn fills_a_gap(ctx: &Context, missing: usize, backfill: bool) -> Result<(), Finding> {
    let (hub, other) = (ctx.peer().await?, ctx.peer().await?);
    if !backfill {
        hub.answer_with(|request| request.is("backfill").then(|| Response::error(404, "M_UNRECOGNIZED")));
    }
    let room = hub.host_room(json!({})).await?;
    room.admit(&other);
    let carol = other.user("carol")?;
    hub.take(&room, &other.lpdu_for(&hub.name, &other.member(&room.id, &carol, &carol, "join"))?)?;
    let followed = follow(ctx, hub, room).await?;
    let mut events = Vec::new();
    for n in 1..missing {
        events.push(followed.withhold(followed.message(&format!("missing {n}")))?);
    }
    let levels = json!({"users": {followed.host.as_str(): 100, followed.dora.as_str(): 7}});
    let levels =
        followed.hub.state_draft(&followed.room.id, &followed.host, "m.room.power_levels", "", levels);
    // What comes after the gap cites what is in it.
    events.push(followed.withhold(levels)?);
    let after = followed.withhold(followed.message("after the gap"))?;
    let made = followed.offer(&after).await?;
    let asks =
        |request: &Inbound| request.method == Method::GET && (request.is("backfill") || request.is("event"));
    check!(
        !other.requests().iter().any(asks),
        "missing events are asked of a participant instead of the hub"
    );
    let mut listed = Vec::new();
    for event in &events {
        listed.push(followed.listed(&reference_id(event)).await?.is_some());
    }
    if made == Made::Listed && listed.iter().all(|listed| !listed) {
        return Err(unchecked("an event without those before it"));
    }
    if !backfill && made != Made::Listed {
        let what = "events that are missing are not fetched from a hub that has no backfill".to_owned();
        return Err(Finding::Acceptable { reading: "R13", what });
    }
    let how = if backfill { "backfill" } else { "single events" };
    check!(made == Made::Listed, "an event after {missing} missing ones, to be had by {how}, is {made}");
    check!(
        listed.iter().all(|listed| *listed),
        "of {missing} missing events these are listed: {listed}",
        listed = said(&listed)
    );
    let head = ctx.room(&followed.room.id).await?.head().to_owned();
    check!(head == reference_id(&after), "the last event is {head} instead of the one after the gap");
    let asked = followed.hub.requests().iter().any(asks);
    check!(asked, "missing events came from somewhere else than the hub");
    Ok(())
}

async fn sealed_twice(ctx: &Context) -> Result<(), Finding> {
    let followed = followed_room(ctx).await?;
    let said = json!({"body": "said once"});
    let (control, dora) = (ctx.control()?, followed.dora.as_str());
    control.send(&ctx.recorder, &followed.room.id, dora, "m.room.message", None, &said).await?;
    let is_it = move |pdu: &Value| pdu.get("content") == Some(&said);
    let lpdu = followed.hub.until_pdu("the target sends its user's event", is_it).await?;
    let hash = lpdu_hash(&lpdu).to_owned();
    let listed = move |event: &Value| lpdu_hash(event) == hash;
    ctx.until_event(&followed.room.id, "the event is sealed and listed", listed).await?;
    let second = followed.hub.take(&followed.room, &lpdu)?;
    let made = followed.offer(&second).await?;
    check!(made == Made::Listed, "a second PDU of one LPDU is {made}");
    let times = ctx.events(&followed.room.id).await?;
    let times = times.iter().filter(|event| lpdu_hash(event) == lpdu_hash(&lpdu)).count();
    check!(times == 2, "the hub sealed an LPDU twice, it is in the list {times} times");
    followed.goes_on().await
}
