//! What a case has at hand.

use std::sync::Arc;
use std::time::Duration;

use mimi_linearized::id::{RoomId, ServerName, UserId};
use mimi_mls::Suite;
use mimi_mls_foreign::Stack;
use mimi_transport::client::{ClientError, Response};
use mimi_transport::tls::{ClientOffer, ServerCertificate};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::case::{Finding, fault};
use crate::environment::Environment;
use crate::evidence::Recorder;
use crate::hostile::{HostileServer, HostileServerBuilder, Surroundings};
use crate::mls::{Devices, MlsDevice};
use crate::network::Network;
use crate::peer::Peer;
use crate::published::Published;
use crate::target::{Control, Room, Target};
use crate::wire::{self, Ask, Reply};

/// How long the suite waits for something that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long it waits for what has to happen some time: what is tried again, or fetched anew. It is less than the time that
/// a case has.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(100);
/// How often it looks, where it cannot be told.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One case's view of the suite. Every case has its own, with its own rooms and servers.
#[derive(Debug)]
pub(crate) struct Context {
    /// What all cases share.
    pub(crate) environment: Arc<Environment>,
    /// What goes over the wire in this case.
    pub(crate) recorder: Recorder,
    /// Where the case's devices come from.
    devices: Arc<Devices>,
    /// What the suite's servers publish of them.
    published: Arc<Published>,
    /// The server that is driven: the target, unless the case looks at another one.
    driven: Target,
}

impl Context {
    /// A context for a case, whose devices are of these MLS implementations in turn.
    pub(crate) fn new(environment: Arc<Environment>, stacks: Vec<Stack>) -> Self {
        let driven = environment.target.clone();
        let devices = Arc::new(Devices::new(stacks));
        let published = Arc::default();
        Self { environment, recorder: Recorder::default(), devices, published, driven }
    }

    /// The same case's view of another server that is driven like the target.
    pub(crate) fn at(&self, server: &Target) -> Self {
        let (environment, recorder) = (Arc::clone(&self.environment), self.recorder.clone());
        let (devices, published) = (Arc::clone(&self.devices), Arc::clone(&self.published));
        Self { environment, recorder, devices, published, driven: server.clone() }
    }

    /// A new device of a user, with its MLS keys, which its server publishes if it is one of the suite.
    pub(crate) fn device(&self, user: &UserId, id: &str) -> Result<MlsDevice, Finding> {
        self.device_of(user, id, Suite::MANDATORY)
    }

    /// As [`Self::device`], for rooms of this suite.
    pub(crate) fn device_of(&self, user: &UserId, id: &str, suite: Suite) -> Result<MlsDevice, Finding> {
        let device = self.devices.device(user, id, suite)?;
        self.published.publish(user.as_str(), id, device.object()?);
        Ok(device)
    }

    /// What the suite's servers publish of their users' devices.
    pub(crate) fn published(&self) -> &Published {
        &self.published
    }

    /// The MLS implementations of the devices that the case has made, in that order.
    pub(crate) fn stacks_used(&self) -> Vec<&'static str> {
        self.devices.made()
    }

    /// The control API. A case that uses it says so in its needs.
    pub(crate) fn control(&self) -> Result<&Control, Finding> {
        let control = self.driven.control.as_ref();
        control.map_err(|_| Finding::Suite("the case needs a control API and does not say so".to_owned()))
    }

    /// A user of the target.
    pub(crate) fn user(&self, localpart: &str) -> Result<UserId, Finding> {
        UserId::new(localpart, &self.driven.name).map_err(|error| Finding::Suite(error.to_string()))
    }

    /// Starts a server of the suite.
    pub(crate) async fn peer(&self) -> Result<Peer, Finding> {
        Peer::start(&self.environment, &self.recorder, &self.published).await
    }

    /// Starts a server of the suite with a certificate of its own.
    pub(crate) async fn peer_with(&self, certificate: &ServerCertificate) -> Result<Peer, Finding> {
        Peer::start_with(&self.environment, &self.recorder, &self.published, certificate).await
    }

    /// A server of the suite that lies, to be told how and started.
    pub(crate) fn hostile(&self) -> HostileServerBuilder {
        let surroundings = Surroundings::within(&self.environment, &self.recorder, &self.published);
        HostileServer::builder(&surroundings)
    }

    /// Starts a server of the suite with a name that is the suite's own, where the listener is.
    pub(crate) fn peer_named(
        &self,
        name: &str,
        listener: TcpListener,
        certificate: &ServerCertificate,
    ) -> Result<Peer, Finding> {
        let name = ServerName::parse(name).map_err(|error| Finding::Suite(error.to_string()))?;
        Peer::start_as(&self.environment, &self.recorder, &self.published, name, listener, certificate)
    }

    /// The names that are the suite's to give out. A case that uses them says so in its needs.
    pub(crate) fn network(&self) -> Result<&Network, Finding> {
        let network = self.environment.network.as_ref();
        network.ok_or_else(|| Finding::Suite("the case needs names and does not say so".to_owned()))
    }

    /// Starts the server of the suite that the target asks as a notary, if it was told to ask one.
    pub(crate) async fn notary(&self) -> Result<Option<Peer>, Finding> {
        let Some(reserved) = &self.environment.target.notary else { return Ok(None) };
        let Some(listener) = reserved.listen() else { return Ok(None) };
        let listener = listener.map_err(|error| Finding::Suite(format!("the notary: {error}")))?;
        let (certificate, name) = (self.environment.setup.certificate(), reserved.name.clone());
        Peer::start_as(&self.environment, &self.recorder, &self.published, name, listener, certificate)
            .map(Some)
    }

    /// Sends a request that is not signed over a connection that offers these versions of TLS and HTTP. The error is
    /// the target's refusal to talk, or the network's.
    pub(crate) async fn probe(
        &self,
        offer: ClientOffer,
        ask: Ask,
    ) -> Result<Result<Response, ClientError>, Finding> {
        let environment = &self.environment;
        let client = environment.probe(offer)?;
        let name = &environment.target.name;
        Ok(wire::attempt(&client, &self.recorder, "(unsigned)", name, ask).await)
    }

    /// Where the target has the endpoint at this final path: most often there (reading R24).
    pub(crate) fn path(&self, target: &str) -> String {
        self.environment.unstable_only.path(target).into_owned()
    }

    /// Sends a request that is not signed.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Reply, Finding> {
        let environment = &self.environment;
        wire::exchange(&environment.client, &self.recorder, "(unsigned)", &environment.target.name, ask).await
    }

    /// Creates a room on the target: whatever `settings` says, created by `alice`.
    pub(crate) async fn create_room(&self, settings: Value) -> Result<RoomId, Finding> {
        let mut body = json!({"creator": "alice"});
        if let (Some(body), Value::Object(settings)) = (body.as_object_mut(), settings) {
            body.extend(settings);
        }
        self.control()?.create_room(&self.recorder, &body).await
    }

    /// A public room on the target, created by `alice`.
    pub(crate) async fn public_room(&self) -> Result<RoomId, Finding> {
        self.create_room(json!({"join_rule": "public"})).await
    }

    /// A room in short.
    pub(crate) async fn room(&self, room: &RoomId) -> Result<Room, Finding> {
        self.control()?.room(&self.recorder, room).await
    }

    /// A room's list on the target.
    pub(crate) async fn events(&self, room: &RoomId) -> Result<Vec<Value>, Finding> {
        self.control()?.events(&self.recorder, room).await
    }

    /// A room's state on the target.
    pub(crate) async fn state(&self, room: &RoomId) -> Result<Vec<Value>, Finding> {
        self.control()?.state(&self.recorder, room).await
    }

    /// An event of a room's current state on the target.
    pub(crate) async fn state_event(
        &self,
        room: &RoomId,
        kind: &str,
        state_key: &str,
    ) -> Result<Option<Value>, Finding> {
        let is = |event: &Value| {
            event.get("type").and_then(Value::as_str) == Some(kind)
                && event.get("state_key").and_then(Value::as_str) == Some(state_key)
        };
        Ok(self.state(room).await?.into_iter().find(is))
    }

    /// Sends an event as `alice` on the target and expects it to be taken.
    pub(crate) async fn send_as_alice(
        &self,
        room: &RoomId,
        kind: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> Result<Value, Finding> {
        self.control()?.send(&self.recorder, room, "alice", kind, state_key, &content).await
    }

    /// Has `alice` on the target change somebody's membership.
    pub(crate) async fn as_alice(
        &self,
        room: &RoomId,
        target: &UserId,
        membership: &str,
    ) -> Result<Value, Finding> {
        self.control()?.membership(&self.recorder, room, "alice", target.as_str(), membership, &[]).await
    }

    /// Waits until a room on the target is as wanted.
    pub(crate) async fn until_room(
        &self,
        room: &RoomId,
        what: &str,
        is: impl Fn(&Room) -> bool + Send + Sync,
    ) -> Result<Room, Finding> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.room(room).await?;
            if is(&now) {
                return Ok(now);
            }
            self.pause(deadline, what).await?;
        }
    }

    /// Waits for an event in a room's list on the target.
    pub(crate) async fn until_event(
        &self,
        room: &RoomId,
        what: &str,
        is: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Result<Value, Finding> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.events(room).await?.into_iter().find(|event| is(event));
            if let Some(event) = found {
                return Ok(event);
            }
            self.pause(deadline, what).await?;
        }
    }

    /// Waits for an item in the inbox of one of the target's users.
    pub(crate) async fn until_inbox(
        &self,
        user: &UserId,
        what: &str,
        is: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Result<Value, Finding> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let items = self.control()?.inbox(&self.recorder, user).await?;
            if let Some(item) = items.into_iter().find(|item| is(item)) {
                return Ok(item);
            }
            self.pause(deadline, what).await?;
        }
    }

    /// A moment before looking again; the control API has no way to be told.
    async fn pause(&self, deadline: Instant, what: &str) -> Result<(), Finding> {
        if Instant::now() >= deadline {
            return Err(fault(format!("after {} s still not: {what}", PATIENCE.as_secs())));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        Ok(())
    }
}
