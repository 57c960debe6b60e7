//! Whom hostile servers meet, and who trusts whom.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mimi_linearized::id::{RoomId, ServerName};
use mimi_transport::resolve::StaticEntry;
use serde_json::Value;

use super::error::HostileError;
use crate::environment::{Environment, PeerCertificate, Ports, Setup};
use crate::evidence::{Exchange, Recorder};
use crate::mls::Stacks;
use crate::published::Published;
use crate::report::TargetInfo;
use crate::target::{Control, Target, Undriven};

/// How many exchanges are kept; the last ones are.
const KEPT: usize = 10_000;

/// Whom hostile servers meet: the server that they are there for, the names and certificates that they have, and the log
/// of everything that goes to and fro.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub(super) environment: Arc<Environment>,
    pub(super) recorder: Recorder,
    pub(super) published: Arc<Published>,
}

/// Says what is what, and makes [`Surroundings`].
#[derive(Debug, Clone)]
pub struct SurroundingsBuilder {
    target: ServerName,
    host: String,
    listen: IpAddr,
    ports: Option<(u16, u16)>,
    authority: Option<PathBuf>,
    trusted: Vec<PathBuf>,
    resolve: Vec<StaticEntry>,
    control: Option<String>,
    seed: u64,
}

impl Surroundings {
    /// Of this server, the *target*. The hostile servers are named `localhost:PORT` and listen on loopback unless something
    /// else is said.
    #[must_use]
    pub fn of(target: ServerName) -> SurroundingsBuilder {
        SurroundingsBuilder {
            target,
            host: "localhost".to_owned(),
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: None,
            authority: None,
            trusted: Vec::new(),
            resolve: Vec::new(),
            control: None,
            seed: 0,
        }
    }

    /// Those of a case.
    pub(crate) fn within(
        environment: &Arc<Environment>,
        recorder: &Recorder,
        published: &Arc<Published>,
    ) -> Self {
        let (environment, published) = (Arc::clone(environment), Arc::clone(published));
        Self { environment, recorder: recorder.clone(), published }
    }

    /// The name of the target.
    #[must_use]
    pub fn target(&self) -> &ServerName {
        &self.environment.target.name
    }

    /// The certificate of the authority that the target has to trust to talk to the hostile servers.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.environment.setup.trusted().last().map(PathBuf::as_path)
    }

    /// Everything that went to and fro so far, in order, at most the last 10,000 requests: of all servers here, and to the
    /// control API.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.recorder.all()
    }

    fn control(&self) -> Result<&Control, HostileError> {
        self.environment.target.control.as_ref().map_err(|_| HostileError::NoControl)
    }

    /// Has the target create a public room.
    ///
    /// # Errors
    /// [`HostileError::NoControl`]; [`HostileError::Failed`] if the target does not.
    pub async fn have_room(&self) -> Result<RoomId, HostileError> {
        let body = serde_json::json!({"creator": "alice", "join_rule": "public"});
        Ok(self.control()?.create_room(&self.recorder, &body).await?)
    }

    /// Has a user of the target join a room of a hub.
    ///
    /// # Errors
    /// As [`Self::have_room`].
    pub async fn have_join(
        &self,
        localpart: &str,
        room: &RoomId,
        hub: &ServerName,
    ) -> Result<(), HostileError> {
        let (control, hub) = (self.control()?, hub.as_str());
        control.membership(&self.recorder, room, localpart, localpart, "join", &[hub]).await?;
        Ok(())
    }

    /// Has a user of the target say something.
    ///
    /// # Errors
    /// As [`Self::have_room`].
    pub async fn have_said(&self, localpart: &str, room: &RoomId, body: &str) -> Result<(), HostileError> {
        let content = serde_json::json!({"body": body});
        self.control()?.send(&self.recorder, room, localpart, "m.room.message", None, &content).await?;
        Ok(())
    }

    /// The target's list of a room.
    ///
    /// # Errors
    /// As [`Self::have_room`].
    pub async fn list(&self, room: &RoomId) -> Result<Vec<Value>, HostileError> {
        Ok(self.control()?.events(&self.recorder, room).await?)
    }

    /// Whether the target says that a room is disputed: that its hub has broken the rules.
    ///
    /// # Errors
    /// As [`Self::have_room`].
    pub async fn is_disputed(&self, room: &RoomId) -> Result<bool, HostileError> {
        Ok(self.control()?.room(&self.recorder, room).await?.is_disputed())
    }
}

impl SurroundingsBuilder {
    /// The host name of the hostile servers, under which the target reaches them.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Where they listen.
    #[must_use]
    pub fn listen(mut self, address: IpAddr) -> Self {
        self.listen = address;
        self
    }

    /// The ports at which they listen, from the first to the last; free ones unless set.
    #[must_use]
    pub fn ports(mut self, first: u16, last: u16) -> Self {
        self.ports = Some((first, last));
        self
    }

    /// A folder with the authority that issues their certificates, made if need be. Without it, it is a temporary one.
    #[must_use]
    pub fn authority_in(mut self, folder: &Path) -> Self {
        self.authority = Some(folder.to_owned());
        self
    }

    /// One more authority that they trust beside the operating system's: that of the target.
    #[must_use]
    pub fn trusting(mut self, authority: &Path) -> Self {
        self.trusted.push(authority.to_owned());
        self
    }

    /// Where a name is, instead of asking DNS.
    #[must_use]
    pub fn resolving(mut self, entry: StaticEntry) -> Self {
        self.resolve.push(entry);
        self
    }

    /// The control API of the target, as `http://HOST:PORT`.
    #[must_use]
    pub fn control(mut self, url: &str) -> Self {
        self.control = Some(url.to_owned());
        self
    }

    /// The seed of keys, and of what lies leave to chance. 0 unless set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Makes the surroundings. Blocks while certificates are made and read.
    ///
    /// # Errors
    /// [`HostileError::Surroundings`].
    pub fn build(self) -> Result<Surroundings, HostileError> {
        let certificate = self.authority.map_or(PeerCertificate::Temporary, PeerCertificate::CaDir);
        let setup = Setup::new(&self.host, certificate, &self.trusted).map_err(HostileError::surroundings)?;
        let ports = Ports::new(&self.host, self.listen, self.ports).map_err(HostileError::surroundings)?;
        let control =
            self.control.as_deref().map(Control::at).transpose().map_err(HostileError::surroundings)?;
        let info = TargetInfo { server_name: self.target.to_string(), driver: "hostile".to_owned() };
        let target =
            Target { name: self.target, control: control.ok_or(Undriven::NoDriver), info, notary: None };
        let environment =
            Environment::new(target, setup, ports, self.resolve, None, self.seed, Stacks::Mixed);
        let environment = environment.map_err(HostileError::surroundings)?;
        Ok(Surroundings { environment, recorder: Recorder::keeping(KEPT), published: Arc::default() })
    }
}
