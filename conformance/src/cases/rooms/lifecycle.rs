//! The life of an encrypted room: a hub, two participants, three users' devices, real MLS.

use serde_json::json;

use crate::case::{Case, Finding, check, driven_case};
use crate::cases::steps::person::Person;
use crate::cases::steps::reference_id;
use crate::context::Context;
use crate::peer::lpdu_hash;
use crate::target::{Embedded, Target};

pub(super) const CASES: &[Case] = &[driven_case!(
    Must,
    Hub,
    "4/life-of-an-encrypted-room",
    "a room of three servers: created, invited to, joined, encrypted, spoken in, left, and never again readable",
    [
        "LM-04/4.3/3",
        "LM-04/4.3/4",
        "LM-04/4.3/8",
        "LM-04/4.5.1/1",
        "LM-04/5.1/1",
        "LM-04/5.1/2",
        "LM-04/12.5/3",
        "LM-04/12.7.2.1/10",
        "LM-04/12.10.2/3",
        "LM-04/12.10.3.1/1",
        "TR-00/4/2",
        "TR-00/5/1"
    ],
    life
)];

async fn life(ctx: &Context) -> Result<(), Finding> {
    let environment = &ctx.environment;
    let start = async || {
        Embedded::start(
            &environment.setup,
            &environment.ports,
            &environment.resolve,
            environment.network.as_ref(),
        )
        .await
        .map_err(|error| Finding::Suite(error.to_string()))
    };
    let (second, third) = (start().await?, start().await?);
    let result = live(ctx, second.target(), third.target()).await;
    second.stop().await;
    third.stop().await;
    result
}

async fn live(ctx: &Context, second: &Target, third: &Target) -> Result<(), Finding> {
    let mut alice = Person::new(ctx, &ctx.environment.target, "alice").await?;
    let mut bob = Person::new(ctx, second, "bob").await?;
    let mut carol = Person::new(ctx, third, "carol").await?;

    // Alice's server makes the room, and Alice's device its group.
    let room = ctx.create_room(json!({"encrypted": true, "name": "life"})).await?;
    alice.device.create_group(&room)?;
    let first = alice.device.update(&room)?;
    alice.commit(&room, &first).await?;

    // Bob comes in; Bob brings Carol in.
    bob.joins(&room, &alice).await?;
    alice.add(&room, &mut bob).await?;
    carol.joins(&room, &bob).await?;
    let (commit, id) = bob.add(&room, &mut carol).await?;
    alice.follow(&room, &commit, &id).await?;
    for person in [&alice, &bob, &carol] {
        check!(
            person.device.epoch(&room)? == 3,
            "{} is in epoch {}",
            person.user(),
            person.device.epoch(&room)?
        );
    }
    alice.epoch_is(&room, 3).await?;
    bob.epoch_is(&room, 3).await?;

    // Everybody hears everybody.
    let said = carol.say(&room, "hello from Carol").await?;
    alice.hears(&room, carol.user(), "hello from Carol", &said).await?;
    bob.hears(&room, carol.user(), "hello from Carol", &said).await?;
    let said = alice.say(&room, "hello from Alice").await?;
    bob.hears(&room, alice.user(), "hello from Alice", &said).await?;
    carol.hears(&room, alice.user(), "hello from Alice", &said).await?;

    // Carol leaves, and her device is taken out of the group.
    let user = carol.user().as_str();
    carol.control()?.membership(&ctx.recorder, &room, user, user, "leave", &[]).await?;
    let gone = carol.user().clone();
    ctx.at(&alice.server)
        .until_room(&room, "Carol has left", |room| room.membership(&gone) == "leave")
        .await?;
    let commit = alice.device.remove(&room, &[&carol.device])?;
    let id = alice.commit(&room, &commit).await?;
    bob.follow(&room, &commit, &id).await?;
    let said = alice.say(&room, "without Carol").await?;
    bob.hears(&room, alice.user(), "without Carol", &said).await?;
    check!(carol.device.decrypt(&room, &said).is_err(), "a device that was removed reads on");
    let carols = carol.control()?.events(&ctx.recorder, &room).await?;
    check!(!carols.contains(&said), "an event went to a server whose users have all left");

    // The participant's list is the end of the hub's.
    let hubs = ctx.events(&room).await?;
    let bobs = bob.control()?.events(&ctx.recorder, &room).await?;
    check!(hubs.ends_with(&bobs), "a participant's list differs from the hub's");
    for pair in hubs.windows(2) {
        if let [before, after] = pair {
            let prev = crate::cases::steps::texts(after, "prev_events");
            check!(prev == [reference_id(before)], "the list is broken at {}", reference_id(after));
        }
    }
    let sealed = hubs.iter().filter(|event| !lpdu_hash(event).is_empty()).count();
    check!(sealed >= 4, "only {sealed} events of the participants are in the list");
    Ok(())
}
