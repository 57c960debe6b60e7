//! Which processes of a server are alive, and which of them sends to whom.
//!
//! Each says so every second, to whoever listens; nothing of it is stored. Two processes may see this differently for a
//! moment: what rests on it has to be right all the same, and only takes longer or is done twice.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt as _;
use mimi_linearized::id::ServerName;
use tokio::sync::broadcast;
use tokio::time::{Instant, interval};

use super::super::Change;

/// How often a process says that it is alive.
const BEAT: Duration = Duration::from_secs(1);

/// A process that was not heard for so long is gone.
pub(super) const GONE_AFTER: Duration = Duration::from_secs(5);

/// What a process says.
const ALIVE: &[u8] = b"+";
/// What it says when it comes, so that the others answer.
const HELLO: &[u8] = b"?";
/// What it says when it goes.
const GONE: &[u8] = b"-";

/// The processes of a server that are alive.
#[derive(Debug)]
pub(super) struct Members {
    own: String,
    started: Instant,
    others: Mutex<HashMap<String, Instant>>,
    /// Those that have said that they go.
    left: Mutex<HashSet<String>>,
}

impl Members {
    pub(super) fn new(own: String) -> Self {
        Self { own, started: Instant::now(), others: Mutex::default(), left: Mutex::default() }
    }

    /// This process's id.
    pub(super) fn own(&self) -> &str {
        &self.own
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        // The map is whole whenever the lock is free.
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a process is alive, as far as this one knows; one that has just started itself knows nothing.
    pub(super) fn is_alive(&self, id: &str) -> bool {
        let has_left = self.left.lock().unwrap_or_else(PoisonError::into_inner).contains(id);
        id == self.own || self.lock().contains_key(id) || (self.started.elapsed() < GONE_AFTER && !has_left)
    }

    /// Whether any other process is alive.
    pub(super) fn others(&self) -> usize {
        self.lock().len()
    }

    /// Whether it is this process that sends to a destination: of those alive, the one with the highest score for it.
    /// When a process comes or goes, only its own destinations change hands.
    pub(super) fn sends_to(&self, destination: &ServerName) -> bool {
        let own = score(&self.own, destination);
        self.lock().keys().all(|other| score(other, destination) < own)
    }

    /// Takes note of what a process has said. Returns whether that changes who is alive.
    fn heard(&self, id: &str, word: &[u8]) -> bool {
        if id == self.own {
            return false;
        }
        let mut others = self.lock();
        if word == GONE {
            self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
            others.remove(id).is_some()
        } else {
            others.insert(id.to_owned(), Instant::now()).is_none()
        }
    }

    /// Forgets who was not heard for long. Returns whether there was anybody.
    fn forget_silent(&self) -> bool {
        let mut others = self.lock();
        let before = others.len();
        others.retain(|_, heard| heard.elapsed() < GONE_AFTER);
        others.len() != before
    }

    /// Speaks and listens for as long as it is polled.
    pub(super) async fn run(&self, client: &Client, prefix: &str, changes: &broadcast::Sender<Change>) {
        let own = format!("{prefix}.alive.{}", self.own);
        loop {
            let Ok(mut heard) = client.subscribe(format!("{prefix}.alive.*")).await else {
                tokio::time::sleep(BEAT).await;
                continue;
            };
            let say = async |word: &'static [u8]| {
                if let Err(error) = client.publish(own.clone(), word.into()).await {
                    tracing::debug!(%error, "the other processes cannot be told that this one is alive");
                }
            };
            say(HELLO).await;
            let mut beat = interval(BEAT);
            loop {
                let changed = tokio::select! {
                    _ = beat.tick() => {
                        say(ALIVE).await;
                        self.forget_silent()
                    }
                    message = heard.next() => {
                        let Some(message) = message else { break };
                        let id = message.subject.rsplit('.').next().unwrap_or_default();
                        if *message.payload == *HELLO && id != self.own {
                            say(ALIVE).await;
                        }
                        self.heard(id, &message.payload)
                    }
                };
                if changed {
                    tracing::info!(others = self.others(), "processes of this server came or went");
                    // Nobody may be listening.
                    let _ = changes.send(Change::Processes);
                }
            }
        }
    }

    /// Says that this process goes.
    pub(super) async fn leave(&self, client: &Client, prefix: &str) {
        let said = client.publish(format!("{prefix}.alive.{}", self.own), GONE.into()).await;
        if said.is_ok() {
            let _ = tokio::time::timeout(BEAT, client.flush()).await;
        }
    }
}

/// FNV-1a, and a finish that spreads it: the same number in every build of this program.
fn score(process: &str, destination: &ServerName) -> (u64, String) {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in process.bytes().chain([0]).chain(destination.as_str().bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash ^ (hash >> 29), process.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers() -> Vec<ServerName> {
        (0..300).map(|number| ServerName::parse(&format!("s{number}.example")).unwrap()).collect()
    }

    #[test]
    fn each_destination_has_one_sender() {
        let ids = ["one", "two", "three"];
        let all = ids.map(|id| Members::new(id.to_owned()));
        for members in &all {
            for id in ids {
                members.heard(id, ALIVE);
            }
        }
        let mut shares = [0; 3];
        for server in servers() {
            let senders: Vec<_> = (0..3).filter(|index| all[*index].sends_to(&server)).collect();
            assert_eq!(senders.len(), 1, "{server}");
            shares[senders[0]] += 1;
        }
        assert!(shares.iter().all(|share| *share > 50), "{shares:?}");
    }

    #[test]
    fn who_goes_leaves_only_its_own() {
        let members = Members::new("one".to_owned());
        for id in ["two", "three"] {
            assert!(members.heard(id, ALIVE));
            assert!(!members.heard(id, ALIVE), "it was heard before");
        }
        let before: Vec<_> = servers().into_iter().filter(|server| members.sends_to(server)).collect();
        assert!(members.heard("two", GONE));
        assert!(before.iter().all(|server| members.sends_to(server)));
        assert!(members.heard("three", GONE));
        assert!(servers().iter().all(|server| members.sends_to(server)), "nobody else is there");
    }
}
