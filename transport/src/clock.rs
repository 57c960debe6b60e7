//! The time of day, in one place.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The system clock: milliseconds since the Unix epoch. A clock set before 1970 reads as 0.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A source of the time that can be handed to what depends on it, so that expiry is tested without waiting for it.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The system clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `now` milliseconds since the Unix epoch until the handle moves it.
    #[must_use]
    pub fn manual(now: i64) -> (Self, ManualClock) {
        let time = Arc::new(AtomicI64::new(now));
        (Self(Source::Manual(Arc::clone(&time))), ManualClock(time))
    }

    /// The time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::System => now_ms(),
            Source::Manual(time) => time.load(Ordering::SeqCst),
        }
    }
}

/// Moves the hands of a [`Clock::manual`].
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Sets the time, in milliseconds since the Unix epoch.
    pub fn set(&self, now: i64) {
        self.0.store(now, Ordering::SeqCst);
    }

    /// Moves the time on by this many milliseconds.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_counts_milliseconds() {
        // Between 2020 and 2100.
        assert!((1_577_836_800_000..4_102_444_800_000).contains(&now_ms()));
        assert!(Clock::system().now_ms() >= 1_577_836_800_000);
    }

    #[test]
    fn a_manual_clock_stands_until_it_is_moved() {
        let (clock, hands) = Clock::manual(5);
        let copy = clock.clone();
        assert_eq!(clock.now_ms(), 5);
        hands.advance(10);
        assert_eq!(copy.now_ms(), 15);
        hands.set(1);
        assert_eq!(clock.now_ms(), 1);
    }
}
