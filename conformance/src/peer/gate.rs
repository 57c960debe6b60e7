//! Requests that a peer keeps waiting until the case lets them go on, so that what happens meanwhile can be seen without
//! waiting for time to pass.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::inbound::Log;
use super::{Inbound, Peer};
use crate::case::Finding;
use crate::context::PATIENCE;

/// Keeps requests waiting. They go on when it is opened, or dropped.
#[derive(Debug)]
pub(crate) struct Gate(Arc<Held>);

struct Held {
    which: Box<dyn Fn(&Inbound) -> bool + Send + Sync>,
    open: watch::Sender<bool>,
    /// The requests that came to the gate, those that came when it was open already included.
    arrived: Log,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Gate {
    /// Waits until a request has come.
    pub(crate) async fn until_arrived(&self, what: &str) -> Result<Inbound, Finding> {
        self.0.arrived.until(what, |inbound| Some(inbound.clone())).await
    }

    /// Waits until more requests have come than these.
    pub(crate) async fn until_more(&self, what: &str, seen: usize) -> Result<(), Finding> {
        self.until_more_within(PATIENCE, what, seen).await
    }

    /// As [`Self::until_more`], for no longer than this.
    pub(crate) async fn until_more_within(
        &self,
        patience: Duration,
        what: &str,
        seen: usize,
    ) -> Result<(), Finding> {
        self.0.arrived.until_within(patience, what, |requests| (requests.len() > seen).then_some(())).await
    }

    /// Every request that has come so far, in order.
    pub(crate) fn arrived(&self) -> Vec<Inbound> {
        self.0.arrived.all()
    }

    /// Lets all requests go on, now and from now on.
    pub(crate) fn open(&self) {
        self.0.open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

impl Peer {
    /// Keeps requests like these waiting. They are answered as usual once the gate is open.
    pub(crate) fn hold(&self, which: impl Fn(&Inbound) -> bool + Send + Sync + 'static) -> Gate {
        let held = Held { which: Box::new(which), open: watch::Sender::new(false), arrived: Log::default() };
        let held = Arc::new(held);
        self.inner.gates.add(Arc::clone(&held));
        Gate(held)
    }
}

/// All gates of a peer.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<Vec<Arc<Held>>>);

impl Gates {
    fn add(&self, held: Arc<Held>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(held);
    }

    /// Goes through each gate that is there for a request, when it is open.
    pub(super) async fn pass(&self, inbound: &Inbound) {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for held in gates.iter().filter(|held| (held.which)(inbound)) {
            // Subscribed first, so that a case which opens the gate on arrival is not missed.
            let mut open = held.open.subscribe();
            held.arrived.add(inbound.clone());
            let _ = open.wait_for(|open| *open).await;
        }
    }
}
