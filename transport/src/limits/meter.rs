//! Counting what each of many does, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;

use super::Rate;

/// How long at least lies between two searches for those that can be forgotten.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Budgets that are alike, one for each of many.
pub(super) struct Meter<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    limiter: RateLimiter<K, Budgets<K>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    remembered: usize,
    swept: Mutex<C::Instant>,
}

impl<K: Hash + Eq + Clone> Meter<K> {
    /// Budgets of this rate, of which `remembered` are kept apart. `None` if the rate cannot be kept to.
    pub(super) fn new(rate: Rate, remembered: usize) -> Option<Self> {
        Self::with_clock(rate, remembered, DefaultClock::default())
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Meter<K, C> {
    pub(super) fn with_clock(rate: Rate, remembered: usize, clock: C) -> Option<Self> {
        let remembered = remembered.max(1);
        let budgets =
            Budgets { remembered, states: Mutex::new(States { own: HashMap::new(), shared: None }) };
        let limiter = RateLimiter::new(rate.quota()?, budgets, clock.clone());
        Some(Self { limiter, swept: Mutex::new(clock.now()), clock, remembered })
    }

    /// Uses one of somebody's budget.
    ///
    /// # Errors
    /// How long it takes until there is something left.
    pub(super) fn take(&self, key: &K) -> Result<(), Duration> {
        if self.limiter.len() >= self.remembered {
            self.sweep();
        }
        self.limiter.check_key(key).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Forgets whose budget is whole again.
    fn sweep(&self) {
        let now = self.clock.now();
        {
            let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
            if now.duration_since(*swept) < Nanos::from(SWEEP_PAUSE) {
                return;
            }
            *swept = now;
        }
        self.limiter.retain_recent();
    }
}

/// What the limiter remembers of everybody.
struct Budgets<K> {
    remembered: usize,
    states: Mutex<States<K>>,
}

struct States<K> {
    own: HashMap<K, Nanos>,
    /// That of everybody who has none of their own.
    shared: Option<Nanos>,
}

impl<K> Budgets<K> {
    fn states(&self) -> MutexGuard<'_, States<K>> {
        // The map is whole whenever the lock is free.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> StateStore for Budgets<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut states = self.states();
        if let Some(own) = states.own.get_mut(key) {
            let (outcome, next) = measure(Some(*own))?;
            *own = next;
            return Ok(outcome);
        }
        if states.own.len() >= self.remembered {
            let (outcome, next) = measure(states.shared)?;
            states.shared = Some(next);
            return Ok(outcome);
        }
        let (outcome, next) = measure(None)?;
        states.own.insert(key.clone(), next);
        Ok(outcome)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Budgets<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.states().own.retain(|_, state| *state >= drop_below);
    }

    fn len(&self) -> usize {
        self.states().own.len()
    }

    fn is_empty(&self) -> bool {
        self.states().own.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    /// Two at once, one more each second.
    fn meter(remembered: usize) -> (Meter<u32, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new(1, Duration::from_secs(1), 2).unwrap();
        (Meter::with_clock(rate, remembered, clock.clone()).unwrap(), clock)
    }

    #[test]
    fn a_budget_is_used_up_and_comes_back() {
        let (meter, clock) = meter(10);
        assert_eq!((meter.take(&1), meter.take(&1)), (Ok(()), Ok(())));
        assert_eq!(meter.take(&1), Err(Duration::from_secs(1)));
        assert_eq!(meter.take(&2), Ok(()), "others have their own");
        clock.advance(Duration::from_millis(400));
        assert_eq!(meter.take(&1), Err(Duration::from_millis(600)));
        clock.advance(Duration::from_millis(600));
        assert_eq!(meter.take(&1), Ok(()));
        assert!(meter.take(&1).is_err());
    }

    #[test]
    fn no_more_are_remembered_than_the_bound_says() {
        let (meter, clock) = meter(3);
        clock.advance(Duration::from_secs(10));
        for key in 0..3 {
            meter.take(&key).unwrap();
            meter.take(&key).unwrap();
        }
        // Whoever comes now shares one budget.
        assert_eq!((meter.take(&3), meter.take(&4)), (Ok(()), Ok(())));
        assert!(meter.take(&5).is_err());
        assert_eq!(meter.limiter.len(), 3);
        // Those who were there have theirs.
        clock.advance(Duration::from_secs(1));
        assert_eq!(meter.take(&0), Ok(()));
        // Whose budget is whole is as good as new, and forgotten.
        clock.advance(Duration::from_secs(60));
        assert_eq!((meter.take(&6), meter.take(&6)), (Ok(()), Ok(())));
        assert!(meter.take(&6).is_err());
        assert_eq!(meter.limiter.len(), 1);
    }
}
