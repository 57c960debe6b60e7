//! The life of an encrypted room: a hub, two participants, three users' devices, real MLS.

use mimi_linearized::id::{RoomId, UserId};
use mimi_mls::OutboundCommit;
use serde_json::{Value, json};

use crate::case::{Case, Finding, check, driven_case, fault};
use crate::cases::steps::{reference_id, text};
use crate::context::Context;
use crate::mls::{KEY_PACKAGES, MlsDevice, commit_content, welcome_message};
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

/// A user with a device, on a server that is driven through its control API.
struct Person<'c> {
    ctx: &'c Context,
    server: Target,
    device: MlsDevice,
    published: Value,
}

impl<'c> Person<'c> {
    /// A user of a server, with a device that is published there.
    async fn new(ctx: &'c Context, server: &Target, localpart: &str) -> Result<Self, Finding> {
        let user = UserId::new(localpart, &server.name).map_err(|error| Finding::Suite(error.to_string()))?;
        let device = ctx.device(&user, &localpart.to_uppercase())?;
        let packages = [(device.key_package()?, false), (device.last_resort()?, true)];
        let person = Self { ctx, server: server.clone(), published: device.object()?, device };
        person.control()?.publish_device(&ctx.recorder, &person.published, &packages).await?;
        Ok(person)
    }

    fn control(&self) -> Result<&crate::target::Control, Finding> {
        self.server.control.as_ref().map_err(|_| Finding::Suite("a server without control API".to_owned()))
    }

    fn user(&self) -> &UserId {
        &self.device.user
    }

    /// Sends an event and waits until the person's server has it in its list. Returns it with its id.
    async fn send(&self, room: &RoomId, kind: &str, content: &Value) -> Result<(String, Value), Finding> {
        let recorder = &self.ctx.recorder;
        let sender = self.user().as_str();
        self.control()?.send(recorder, room, sender, kind, None, content).await?;
        let wanted = content.clone();
        let found = self.until_event(room, kind, move |event| event.get("content") == Some(&wanted)).await?;
        Ok((reference_id(&found), found))
    }

    /// Waits for an event in the list of the person's server.
    async fn until_event(
        &self,
        room: &RoomId,
        kind: &str,
        is: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Result<Value, Finding> {
        let what = format!("{kind} reaches the server of {}", self.user());
        let at = self.ctx.at(&self.server);
        at.until_event(room, &what, |event| text(event, "type") == kind && is(event)).await
    }

    /// Commits, and is told by the list that the commit was accepted.
    async fn commit(&mut self, room: &RoomId, commit: &OutboundCommit) -> Result<String, Finding> {
        let (id, _) = self.send(room, "m.mls.commit", &commit_content(commit)).await?;
        self.device.accepted(room, &id)?;
        Ok(id)
    }

    /// Takes in somebody else's commit when it is in the list.
    async fn follow(&mut self, room: &RoomId, commit: &OutboundCommit, id: &str) -> Result<(), Finding> {
        let content = commit_content(commit);
        let event = self
            .until_event(room, "m.mls.commit", move |event| event.get("content") == Some(&content))
            .await?;
        check!(reference_id(&event) == id, "two servers have one commit under two ids");
        self.device.receive(room, &event, id)
    }

    /// Claims a key package of somebody's device from that person's server, after a look at the device.
    async fn claim(&self, other: &Person<'_>) -> Result<String, Finding> {
        let (user, device) = (other.user().as_str(), other.device.id.as_str());
        let path = format!(
            "/users/{}/devices/{}/{}",
            crate::target::segment(self.user().as_str()),
            crate::target::segment(user),
            crate::target::segment(device)
        );
        let reply = self.control()?.call(&self.ctx.recorder, http::Method::GET, &path, None).await?;
        let object = reply.expect_ok("asking for a device")?;
        check!(*object == other.published, "a device's object arrives changed");
        let wanted = json!({user: {device: KEY_PACKAGES}});
        let claimed = self.control()?.claim(&self.ctx.recorder, self.user(), &wanted).await?;
        let key =
            claimed.get("one_time_keys").and_then(|keys| keys.get(user)?.get(device)?.get(KEY_PACKAGES));
        let key = key.and_then(Value::as_str);
        key.map(ToOwned::to_owned)
            .ok_or_else(|| fault("no key package of a device that offers some was claimed"))
    }

    /// Brings somebody's device into the group: claim, commit, Welcome.
    async fn add(
        &mut self,
        room: &RoomId,
        other: &mut Person<'_>,
    ) -> Result<(OutboundCommit, String), Finding> {
        let package = self.claim(other).await?;
        let commit = self.device.add(room, &[&package])?;
        let id = self.commit(room, &commit).await?;
        let message = json!({
            "target": other.user(),
            "target_device": other.device.id,
            "message_type": "m.room.encrypted",
            "message": welcome_message(&commit, &id)?,
        });
        self.control()?.to_device(&self.ctx.recorder, self.user(), &message).await?;
        let at = self.ctx.at(&other.server);
        let wanted = other.device.id.clone();
        let item = at
            .until_inbox(other.user(), "the Welcome arrives", move |item| {
                text(item, "type") == "to_device" && text(item, "target_device") == wanted
            })
            .await?;
        check!(
            text(&item, "sender") == self.user().as_str(),
            "the Welcome is from {}",
            text(&item, "sender")
        );
        other.device.join(item.get("message").unwrap_or(&Value::Null))?;
        Ok((commit, id))
    }

    /// Says something that only the group can read.
    async fn say(&mut self, room: &RoomId, words: &str) -> Result<Value, Finding> {
        let content = self.device.encrypt(room, words)?;
        self.send(room, "m.room.encrypted", &content).await.map(|(_, event)| event)
    }

    /// Reads what somebody said.
    async fn hears(
        &mut self,
        room: &RoomId,
        from: &UserId,
        words: &str,
        said: &Value,
    ) -> Result<(), Finding> {
        let content = said.get("content").cloned();
        let event =
            self.until_event(room, "m.room.encrypted", move |event| event.get("content") == content.as_ref());
        let (sender, text) = self.device.decrypt(room, &event.await?)?;
        check!(sender == from.as_str() && text == words, "{words:?} of {from} reads {text:?} of {sender}");
        Ok(())
    }

    /// Is invited and joins.
    async fn joins(&self, room: &RoomId, invited_by: &Person<'_>) -> Result<(), Finding> {
        let recorder = &self.ctx.recorder;
        let user = self.user().as_str();
        let inviter = invited_by.user().as_str();
        invited_by.control()?.membership(recorder, room, inviter, user, "invite", &[]).await?;
        let at = self.ctx.at(&self.server);
        let id = room.as_str().to_owned();
        at.until_inbox(self.user(), "the invite arrives", move |item| {
            text(item, "type") == "invite" && text(item, "room_id") == id
        })
        .await?;
        let hub = self.ctx.environment.target.name.as_str();
        self.control()?.membership(recorder, room, user, user, "join", &[hub]).await.map(drop)
    }

    async fn epoch_is(&self, room: &RoomId, expected: u64) -> Result<(), Finding> {
        let at = self.ctx.at(&self.server);
        let what = format!("the server of {} sees epoch {expected}", self.user());
        at.until_room(room, &what, |room| room.mls_epoch() == Some(expected)).await.map(drop)
    }
}

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
