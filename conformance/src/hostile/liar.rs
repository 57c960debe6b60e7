//! Who decides what is a lie and what is not, and remembers what was told.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mimi_linearized::id::ServerName;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::lie::{Layer, Lie};
use super::when::{Occasion, When};
use crate::case::Finding;
use crate::context::PATIENCE;

/// A lie that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Told {
    /// Which.
    pub lie: Lie,
    /// On which endpoint; `None` for one that was told as a connection was made.
    pub endpoint: Option<String>,
    /// To whom; `None` if that was not known.
    pub server: Option<ServerName>,
}

/// A lie that is to be told.
#[derive(Debug)]
struct Planned {
    lie: Lie,
    when: When,
    /// The opportunities that there were.
    occasions: u32,
}

struct State {
    planned: Vec<Planned>,
    told: Vec<Told>,
    chance: StdRng,
}

/// Decides what is a lie and what is not.
pub(crate) struct Liar {
    state: Mutex<State>,
    /// Whether it has gone over to the truth.
    relented: watch::Sender<bool>,
    /// Something was told.
    more: Notify,
}

impl fmt::Debug for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Liar").field("planned", &self.lock().planned).finish_non_exhaustive()
    }
}

impl Liar {
    /// Tells these lies. What is left to chance in them follows from the seed.
    pub(super) fn new(lies: Vec<(Lie, When)>, seed: u64) -> Self {
        let planned = lies.into_iter().map(|(lie, when)| Planned { lie, when, occasions: 0 }).collect();
        let state = State { planned, told: Vec::new(), chance: StdRng::seed_from_u64(seed) };
        Self { state: Mutex::new(state), relented: watch::Sender::new(false), more: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lies of a layer that are to be told on an occasion. They count as told.
    pub(super) fn lies(&self, layer: Layer, occasion: &Occasion<'_>) -> Vec<Lie> {
        if *self.relented.borrow() {
            return Vec::new();
        }
        let mut state = self.lock();
        let mut lies = Vec::new();
        for planned in &mut state.planned {
            if planned.lie.layer() != layer || !planned.when.is_occasion(occasion) {
                continue;
            }
            if planned.when.holds_after(planned.occasions) {
                lies.push(planned.lie);
            }
            planned.occasions = planned.occasions.saturating_add(1);
        }
        let (endpoint, server) = (occasion.endpoint.map(ToOwned::to_owned), occasion.server.cloned());
        let told =
            lies.iter().map(|lie| Told { lie: *lie, endpoint: endpoint.clone(), server: server.clone() });
        state.told.extend(told);
        if !lies.is_empty() {
            self.more.notify_waiters();
        }
        lies
    }

    /// Waits until a lie was told.
    pub(super) async fn until_told(&self, lie: Lie) -> Result<(), Finding> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Asked for before looking, so that nothing that comes in between is missed.
            let more = self.more.notified();
            if self.lock().told.iter().any(|told| told.lie == lie) {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, more).await.is_err() {
                return Err(Finding::Untried(format!(
                    "within {} s there was no occasion for `{lie}`",
                    PATIENCE.as_secs()
                )));
            }
        }
    }

    /// Whether a lie is among those that may be told.
    pub(super) fn plans(&self, lie: Lie) -> bool {
        self.lock().planned.iter().any(|planned| planned.lie == lie)
    }

    /// Tells one more lie from now on.
    pub(crate) fn add(&self, lie: Lie, when: When) {
        self.lock().planned.push(Planned { lie, when, occasions: 0 });
    }

    /// Every lie that was told, in order.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.lock().told.clone()
    }

    /// Goes over to the truth. What was kept waiting is answered.
    pub(crate) fn relent(&self) {
        self.relented.send_replace(true);
    }

    /// Waits until it has.
    pub(super) fn until_relented(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut relented = self.relented.subscribe();
        async move {
            // Whoever lies no more because it is gone is waited for by nobody.
            let _ = relented.wait_for(|relented| *relented).await;
        }
    }

    /// Something below a bound, which is at least 1.
    pub(super) fn below(&self, bound: usize) -> usize {
        self.lock().chance.random_range(0..bound.max(1))
    }

    /// The seed of a key.
    pub(super) fn key_seed(&self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.lock().chance.fill_bytes(&mut seed);
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: Occasion<'static> = Occasion { endpoint: Some("send"), server: None };

    #[test]
    fn a_lie_is_told_when_its_time_has_come_and_remembered() {
        let when = When::endpoint("send").and(When::After(1)).and(When::First(2));
        let liar = Liar::new(vec![(Lie::Tamper, when), (Lie::Stall, When::Always)], 1);
        assert_eq!(liar.lies(Layer::Events, &SEND), []);
        assert_eq!(liar.lies(Layer::Events, &Occasion { endpoint: Some("event"), server: None }), []);
        assert_eq!(liar.lies(Layer::Events, &SEND), [Lie::Tamper]);
        assert_eq!(liar.lies(Layer::Events, &SEND), []);
        assert_eq!(liar.lies(Layer::Answer, &SEND), [Lie::Stall]);
        let told: Vec<Lie> = liar.told().iter().map(|told| told.lie).collect();
        assert_eq!(told, [Lie::Tamper, Lie::Stall]);
        liar.relent();
        assert_eq!(liar.lies(Layer::Answer, &SEND), []);
        assert_eq!(liar.told().len(), 2);
    }

    #[test]
    fn chance_follows_from_the_seed() {
        let run = |seed| {
            let liar = Liar::new(Vec::new(), seed);
            (liar.below(1_000_000), liar.key_seed())
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        assert_eq!(Liar::new(Vec::new(), 1).below(0), 0);
    }
}
