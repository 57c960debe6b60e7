//! A hostile server.

use std::sync::Arc;

use mimi_linearized::id::ServerName;

use super::connection::{Door, Handshake};
use super::error::HostileError;
use super::liar::{Liar, Told};
use super::lie::{Layer, Lie};
use super::speaker::Speaker;
use super::surroundings::Surroundings;
use super::when::When;
use crate::evidence::Exchange;
use crate::peer::{Parts, Peer};

/// A server with a name, a key and a certificate, which tells lies. What it does not lie about it does properly: it publishes
/// its keys, takes what it is sent, signs invites, and is the hub of the rooms that it has.
///
/// It is gone when it is dropped.
#[derive(Debug)]
pub struct HostileServer {
    pub(crate) peer: Peer,
    pub(crate) speaker: Arc<Speaker>,
    door: Arc<Door>,
    surroundings: Surroundings,
}

/// Says what a hostile server lies about, and starts it.
#[derive(Debug, Clone)]
pub struct HostileServerBuilder {
    surroundings: Surroundings,
    lies: Vec<(Lie, When)>,
    seed: u64,
}

impl HostileServer {
    /// A server in these surroundings. Without any lie it is a sound one.
    #[must_use]
    pub fn builder(surroundings: &Surroundings) -> HostileServerBuilder {
        let seed = surroundings.environment.seed;
        HostileServerBuilder { surroundings: surroundings.clone(), lies: Vec::new(), seed }
    }

    /// The server as a case has it, and what makes it lie.
    pub(crate) fn into_parts(self) -> (Peer, Arc<Liar>) {
        (self.peer, Arc::clone(&self.speaker.liar))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ServerName {
        &self.peer.name
    }

    /// Tells one more lie from now on. One that is told as connections are made has to be there from the start.
    ///
    /// # Errors
    /// [`HostileError::When`] for such a lie.
    pub fn add(&self, lie: Lie, when: When) -> Result<(), HostileError> {
        if lie.layer() == Layer::Connection {
            return Err(HostileError::When { lie, when });
        }
        self.speaker.liar.add(lie, when);
        Ok(())
    }

    /// Tells the truth from now on. What was kept waiting is answered.
    pub fn relent(&self) {
        self.speaker.liar.relent();
    }

    /// Every lie that was told, in order.
    #[must_use]
    pub fn told(&self) -> Vec<Told> {
        self.speaker.liar.told()
    }

    /// Waits until a lie was told, for at most 20 seconds.
    ///
    /// # Errors
    /// [`HostileError::Failed`] if it was not.
    pub async fn until_told(&self, lie: Lie) -> Result<(), HostileError> {
        Ok(self.speaker.liar.until_told(lie).await?)
    }

    /// Every connection that somebody made to it.
    #[must_use]
    pub fn handshakes(&self) -> Vec<Handshake> {
        self.door.handshakes()
    }

    /// The requests that it was sent or has sent, with their answers, in order. Those of other servers in the same
    /// surroundings are not among them.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        let own = format!("suite {}", self.name());
        let is_own = |exchange: &Exchange| exchange.between.split(" -> ").any(|side| side == own);
        self.surroundings.exchanges().into_iter().filter(is_own).collect()
    }
}

impl HostileServerBuilder {
    /// It tells this lie then.
    #[must_use]
    pub fn lie(mut self, lie: Lie, when: When) -> Self {
        self.lies.push((lie, when));
        self
    }

    /// The seed of what the lies leave to chance; that of the surroundings unless set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// [`HostileError::When`] for a lie that cannot be told then, [`HostileError::NoAuthority`] for one that needs a
    /// certificate, [`HostileError::Surroundings`] for want of a port.
    pub async fn start(self) -> Result<HostileServer, HostileError> {
        let Self { surroundings, lies, seed } = self;
        for (lie, when) in &lies {
            if lie.layer() == Layer::Connection && !when.suits_connections() {
                return Err(HostileError::When { lie: *lie, when: when.clone() });
            }
        }
        let Surroundings { environment, recorder, published } = &surroundings;
        let (name, tcp) = environment.ports.take().await.map_err(HostileError::surroundings)?;
        let names: Vec<Lie> = lies.iter().map(|(lie, _)| *lie).collect();
        let liar = Arc::new(Liar::new(lies, seed));
        let door = Door::new(&environment.setup, environment.ports.host(), &names, Arc::clone(&liar))?;
        let door = Arc::new(door);
        let speaker = Speaker::new(environment, recorder, &name, liar);
        let twist: Arc<Speaker> = Arc::clone(&speaker);
        let parts = Parts { name, tcp, serve: door.serve(), twist: Some(twist) };
        let peer = Peer::of_parts(environment, recorder, published, parts)?;
        Ok(HostileServer { peer, speaker, door, surroundings })
    }
}
