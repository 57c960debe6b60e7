//! A user of a server that is driven, with a device of real MLS: what such people do in a room.

use mimi_linearized::id::{RoomId, UserId};
use mimi_mls::OutboundCommit;
use serde_json::{Value, json};

use crate::case::{Finding, check, fault};
use crate::cases::steps::{reference_id, text};
use crate::context::Context;
use crate::mls::{KEY_PACKAGES, MlsDevice, commit_content, welcome_message};
use crate::target::Target;

/// A user with a device, on a server that is driven through its control API.
pub(crate) struct Person<'c> {
    ctx: &'c Context,
    /// The server, which is driven.
    pub(crate) server: Target,
    /// The device, with its MLS keys.
    pub(crate) device: MlsDevice,
    published: Value,
}

impl<'c> Person<'c> {
    /// A user of a server, with a device that is published there.
    pub(crate) async fn new(ctx: &'c Context, server: &Target, localpart: &str) -> Result<Self, Finding> {
        let user = UserId::new(localpart, &server.name).map_err(|error| Finding::Suite(error.to_string()))?;
        let device = ctx.device(&user, &localpart.to_uppercase())?;
        let packages = [(device.key_package()?, false), (device.last_resort()?, true)];
        let person = Self { ctx, server: server.clone(), published: device.object()?, device };
        person.control()?.publish_device(&ctx.recorder, &person.published, &packages).await?;
        Ok(person)
    }

    /// The control API of the server.
    pub(crate) fn control(&self) -> Result<&crate::target::Control, Finding> {
        self.server.control.as_ref().map_err(|_| Finding::Suite("a server without control API".to_owned()))
    }

    /// Who it is.
    pub(crate) fn user(&self) -> &UserId {
        &self.device.user
    }

    /// Sends an event and waits until the person's server has it in its list. Returns it with its id.
    pub(crate) async fn send(
        &self,
        room: &RoomId,
        kind: &str,
        content: &Value,
    ) -> Result<(String, Value), Finding> {
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

    /// Waits until the person's server lists this very event.
    pub(crate) async fn until_listed(&self, room: &RoomId, event: &Value) -> Result<(), Finding> {
        let kind = text(event, "type").to_owned();
        self.until_event(room, &kind, |listed| listed == event).await.map(drop)
    }

    /// Commits, and is told by the list that the commit was accepted.
    pub(crate) async fn commit(&mut self, room: &RoomId, commit: &OutboundCommit) -> Result<String, Finding> {
        let (id, _) = self.send(room, "m.mls.commit", &commit_content(commit)).await?;
        self.device.accepted(room, &id)?;
        Ok(id)
    }

    /// Takes in somebody else's commit when it is in the list.
    pub(crate) async fn follow(
        &mut self,
        room: &RoomId,
        commit: &OutboundCommit,
        id: &str,
    ) -> Result<(), Finding> {
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
    pub(crate) async fn add(
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
    pub(crate) async fn say(&mut self, room: &RoomId, words: &str) -> Result<Value, Finding> {
        let content = self.device.encrypt(room, words)?;
        self.send(room, "m.room.encrypted", &content).await.map(|(_, event)| event)
    }

    /// Reads what somebody said.
    pub(crate) async fn hears(
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
        check!(
            sender == from.as_str() && text == words,
            "{words} of {from} reads {text} of {sender}",
            words = crate::case::said(&words),
            text = crate::case::said(&text)
        );
        Ok(())
    }

    /// Is invited and joins.
    pub(crate) async fn joins(&self, room: &RoomId, invited_by: &Person<'_>) -> Result<(), Finding> {
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

    /// Waits until the server of this person sees an epoch.
    pub(crate) async fn epoch_is(&self, room: &RoomId, expected: u64) -> Result<(), Finding> {
        let at = self.ctx.at(&self.server);
        let what = format!("the server of {} sees epoch {expected}", self.user());
        at.until_room(room, &what, |room| room.mls_epoch() == Some(expected)).await.map(drop)
    }
}
