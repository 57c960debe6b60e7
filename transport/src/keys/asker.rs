//! On whose behalf keys are fetched, and how often that may be.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mimi_linearized::id::ServerName;

/// How many askers are remembered. Beyond that, those with the fewest fetches of late are forgotten.
const MAX_ASKERS: usize = 10_000;

/// On whose behalf keys are fetched. A request names its origin, and its origin may name others in events, before
/// anything is known of their keys; so what it may set off is bounded for each asker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asker {
    /// Whoever is at this address, and has not shown who that is. IPv6 addresses count by their first 64 bits.
    Address(IpAddr),
    /// A server that has shown who it is.
    Server(ServerName),
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Server(server) => server.fmt(f),
        }
    }
}

impl Asker {
    /// Who is at an address: one who has a whole IPv6 network is one asker.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                [a, b, c, d, 0, 0, 0, 0].into()
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// Whether it has shown who it is.
    pub(super) fn is_proved(&self) -> bool {
        matches!(self, Self::Server(_))
    }
}

/// What is left to each asker. Of each, one number is kept: when all of its fetches will have been made up for, if it
/// takes one `interval` to make up for one.
#[derive(Debug)]
pub(super) struct Budgets {
    interval_ms: i64,
    burst_ms: i64,
    even_at: Mutex<HashMap<Asker, i64>>,
}

impl Budgets {
    /// `burst` fetches at once, and then one in each `interval`.
    pub(super) fn new(burst: u32, interval: Duration) -> Self {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        Self {
            interval_ms,
            burst_ms: interval_ms.saturating_mul(i64::from(burst)),
            even_at: Mutex::default(),
        }
    }

    /// Whether the asker may cause a fetch at `now`, in milliseconds since the Unix epoch; then it has.
    pub(super) fn take(&self, asker: &Asker, now: i64) -> bool {
        // The map is whole whenever the lock is free.
        let mut even_at = self.even_at.lock().unwrap_or_else(PoisonError::into_inner);
        if !even_at.contains_key(asker) && even_at.len() >= MAX_ASKERS {
            even_at.retain(|_, even| *even > now);
            let first = even_at.iter().min_by_key(|(_, even)| **even).map(|(asker, _)| asker.clone());
            if let Some(first) = first.filter(|_| even_at.len() >= MAX_ASKERS) {
                even_at.remove(&first);
            }
        }
        let even = even_at.entry(asker.clone()).or_insert(now);
        // Later than it can be is a clock that was set back.
        let from = if *even > now.saturating_add(self.burst_ms) { now } else { (*even).max(now) };
        let then = from.saturating_add(self.interval_ms);
        let allowed = then <= now.saturating_add(self.burst_ms);
        if allowed {
            *even = then;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn at(last: u8) -> Asker {
        Asker::at([192, 0, 2, last].into())
    }

    #[test]
    fn a_burst_and_then_one_in_each_interval() {
        let budgets = Budgets::new(3, Duration::from_millis(100));
        let take = |now| budgets.take(&at(1), now);
        assert_eq!([NOW; 4].map(take), [true, true, true, false]);
        assert!(budgets.take(&at(2), NOW), "another's is its own");
        assert!(!take(NOW + 99));
        assert!(take(NOW + 100) && !take(NOW + 100));
        assert_eq!(
            [NOW + 10_000; 4].map(take),
            [true, true, true, false],
            "no more than the burst is saved up"
        );
        assert!(take(NOW), "a clock that was set back blocks nothing");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let budgets = Budgets::new(2, Duration::from_secs(1_000));
        let (indebted, total) = (at(1), u32::try_from(MAX_ASKERS).unwrap());
        assert!(budgets.take(&indebted, NOW) && budgets.take(&indebted, NOW));
        for number in 0..total + 10 {
            assert!(budgets.take(&Asker::at(IpAddr::from(number.to_be_bytes())), NOW));
            assert!(budgets.even_at.lock().unwrap().len() <= MAX_ASKERS);
        }
        assert!(!budgets.take(&indebted, NOW), "who has asked most is remembered");
        // Later, all have made up for it.
        assert!(budgets.take(&at(2), NOW + 2_000_000));
        assert_eq!(budgets.even_at.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_network_is_one_asker() {
        let asker = |text: &str| Asker::at(text.parse().unwrap());
        assert_eq!(asker("2001:db8:1:2::1"), asker("2001:db8:1:2:ffff::"));
        assert_ne!(asker("2001:db8:1:2::1"), asker("2001:db8:1:3::1"));
        assert_eq!(asker("::ffff:192.0.2.1"), at(1));
    }
}
