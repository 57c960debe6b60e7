//! Which servers this one has to do with, and who may invite its users (reading R50, `docs/policy.md`).
//!
//! | file | subject |
//! |---|---|
//! | `pattern.rs`, `rules.rs` | names, and which are inside |
//! | `file.rs` | the policy's file |
//! | `jws.rs`, `trust.rs`, `brainpool.rs` | signed lists: their form, their certificates |
//! | `list.rs`, `seen.rs` | what a list says, and which was the last |
//! | `guard.rs` | keeping outsiders from being contacted |
//! | `invites.rs` | who may invite a user |
//! | `rooms.rs` | what a hub asks of its rooms |
//!
//! There are two places at which servers are held against the policy, and neither is an endpoint's: what reads the
//! sender of a request ([`crate::api::Authenticated`]), and what carries requests to others.

mod brainpool;
mod file;
mod guard;
pub mod invites;
mod jws;
mod list;
mod pattern;
pub mod rooms;
mod rules;
mod seen;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use mimi_linearized::id::ServerName;
use tokio::sync::watch;

pub use self::file::PolicyError;
pub use self::invites::InvitePermissions;
pub use self::jws::JwsError;
pub use self::list::ListError;
pub use self::pattern::{PatternError, ServerPattern};
pub use self::rooms::RoomPolicy;
pub use self::seen::SeenError;
pub use self::trust::TrustError;

pub(crate) use self::guard::{GuardedKeys, guarded};

use self::file::Sources;
use self::rules::Rules;
use self::seen::Seen;
use crate::clock;

/// How often the policy's files are looked at. Their contents are compared, not their times: a file that is replaced by a
/// link, or within one tick of the file system's clock, is noticed like any other.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The file in the data folder that remembers the newest signed list.
pub const SEEN_FILE: &str = "federation-list-seen.json";

/// Which servers this one has to do with. Clones share it.
///
/// The file is TOML: `mode = "open"`; or `"allow"` or `"deny"` with `servers`, a list of [`ServerPattern`]s; or `"signed"`
/// with `list`, the file of a JWS, and `certificates`, the file of PEM certificates that it is checked with. Paths are
/// relative to the policy's file. With `max-age-hours`, a list counts that long after it was written. A table `rooms` has what
/// is asked of rooms ([`RoomPolicy`]).
///
/// This server itself is always inside. A signed list that is over leaves nobody else inside.
#[derive(Debug, Clone)]
pub struct FederationPolicy(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    own: Option<ServerName>,
    path: Option<PathBuf>,
    seen: Seen,
    rules: watch::Sender<Rules>,
    rooms: RwLock<Arc<RoomPolicy>>,
    last: Mutex<Last>,
}

/// What was read last.
#[derive(Debug, Default)]
struct Last {
    /// The digest of the files.
    digest: [u8; 32],
    /// What was wrong with them.
    fault: Option<String>,
}

/// A server that the policy keeps out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is outside the federation of this server")]
pub struct Outsider(pub ServerName);

impl Default for FederationPolicy {
    fn default() -> Self {
        Self::open()
    }
}

impl FederationPolicy {
    /// Everybody is inside.
    #[must_use]
    pub fn open() -> Self {
        let (own, path, seen) = (None, None, Seen::forgetful(PathBuf::new()));
        let (rules, last) = (watch::Sender::new(Rules::Open), Mutex::default());
        let rooms = RwLock::default();
        Self(Arc::new(Shared { own, path, seen, rules, rooms, last }))
    }

    /// The policy in a file, of the server `own`; `data_dir` is where the newest signed list is remembered. This reads files
    /// on the calling thread.
    ///
    /// # Errors
    /// [`PolicyError`] says which file is at fault, and how.
    pub fn load(path: &Path, own: &ServerName, data_dir: &Path) -> Result<Self, PolicyError> {
        let seen = Seen::kept(data_dir.join(SEEN_FILE));
        let sources = Sources::read(path).map_err(|(error, _)| error)?;
        let rules = sources.rules(&seen, clock::now_ms())?;
        let rooms = RwLock::new(Arc::new(sources.rooms()?));
        log(&rules);
        Ok(Self(Arc::new(Shared {
            own: Some(own.clone()),
            path: Some(path.to_owned()),
            seen,
            rules: watch::Sender::new(rules),
            rooms,
            last: Mutex::new(Last { digest: sources.digest, fault: None }),
        })))
    }

    /// Whether the policy in a file can be used, as [`FederationPolicy::load`], which would be the next step. Nothing is
    /// written.
    ///
    /// # Errors
    /// [`PolicyError`] says which file is at fault, and how.
    pub fn examine(path: &Path, data_dir: &Path) -> Result<(), PolicyError> {
        let sources = Sources::read(path).map_err(|(error, _)| error)?;
        sources.rooms()?;
        sources.rules(&Seen::forgetful(data_dir.join(SEEN_FILE)), clock::now_ms()).map(drop)
    }

    /// Whether a server is inside.
    #[must_use]
    pub fn allows(&self, server: &ServerName) -> bool {
        self.0.own.as_ref() == Some(server) || self.0.rules.borrow().allow(server, clock::now_ms())
    }

    /// As [`FederationPolicy::allows`], for what goes on only if it is.
    ///
    /// # Errors
    /// [`Outsider`] if it is not.
    pub fn check(&self, server: &ServerName) -> Result<(), Outsider> {
        if self.allows(server) { Ok(()) } else { Err(Outsider(server.clone())) }
    }

    /// What this server, as a hub, asks of its rooms.
    #[must_use]
    pub fn rooms(&self) -> Arc<RoomPolicy> {
        Arc::clone(&self.0.rooms.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the policy's files again. If they are the same as last time, nothing happens; if they cannot be used, what was
    /// in force stays. Returns whether the policy was replaced. This reads files on the calling thread.
    ///
    /// # Errors
    /// [`PolicyError`], once for each fault: not again while it is the same.
    pub fn reload(&self) -> Result<bool, PolicyError> {
        let Some(path) = &self.0.path else { return Ok(false) };
        // One at a time: an older reading never replaces a newer one.
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = Sources::read(path);
        let digest = match &sources {
            Ok(sources) => sources.digest,
            Err((_, digest)) => *digest,
        };
        // What was wrong may be right by now: a list can be one of tomorrow.
        if last.digest == digest && last.fault.is_none() {
            return Ok(false);
        }
        let rules = match sources {
            // Of a file that is at fault in one part, no part is taken.
            Ok(sources) => {
                sources.rooms().and_then(|rooms| Ok((sources.rules(&self.0.seen, clock::now_ms())?, rooms)))
            }
            Err((error, _)) => Err(error),
        };
        let fault = rules.as_ref().err().map(ToString::to_string);
        let known = last.digest == digest && last.fault == fault;
        *last = Last { digest, fault };
        match rules {
            Ok((rules, rooms)) => {
                log(&rules);
                *self.0.rooms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rooms);
                self.0.rules.send_replace(rules);
                Ok(true)
            }
            Err(_) if known => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads the files again each `every`, for as long as it is polled. Faults are logged.
    pub async fn follow(&self, every: Duration) {
        if self.0.path.is_none() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(every).await;
            let policy = self.clone();
            match tokio::task::spawn_blocking(move || policy.reload()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::error!(%error, "the federation policy stays as it was"),
                Err(error) => tracing::error!(%error, "the federation policy could not be read"),
            }
        }
    }

    /// Waits until a server is inside.
    pub async fn until_allowed(&self, server: &ServerName) {
        let mut rules = self.0.rules.subscribe();
        loop {
            rules.borrow_and_update();
            if self.allows(server) {
                return;
            }
            // The sender lives as long as the policy.
            let _ = rules.changed().await;
        }
    }
}

/// Says what is in force now.
fn log(rules: &Rules) {
    match rules {
        Rules::Open => tracing::info!("the federation is open"),
        Rules::Allow(patterns) => {
            let patterns = patterns.len();
            tracing::info!(patterns, "the federation has these servers alone");
        }
        Rules::Deny(patterns) => {
            let patterns = patterns.len();
            tracing::info!(patterns, "the federation has all servers but these");
        }
        Rules::Signed(list) => {
            let servers = list.names.len().saturating_add(list.hashes.len());
            tracing::info!(
                version = list.version,
                servers,
                until = list.until,
                "the federation has a signed list"
            );
        }
    }
}

#[cfg(test)]
mod tests;
