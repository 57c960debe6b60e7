//! Waiting between attempts.

use std::time::Duration;

use tokio::sync::Notify;

/// The first pause, and the shortest.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest that a destination can make us wait by asking for it.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// How long to wait before the next attempt: twice as long each time, with jitter.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure. If the destination asked for a time, that holds.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(20)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        match asked {
            Some(asked) => asked.clamp(FIRST, LONGEST_ASKED),
            None => doubled.mul_f64(rand::random_range(0.8..1.2)),
        }
    }
}

/// Waits for the pause to end, or, after the shortest pause, for a sign of life.
pub(super) async fn wait(pause: Duration, alive: &Notify) {
    let sign = alive.notified();
    tokio::time::sleep(pause.min(FIRST)).await;
    tokio::select! {
        () = tokio::time::sleep(pause.saturating_sub(FIRST)) => {}
        () = sign => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.next(None)).collect();
        assert!(pauses[0] >= FIRST.mul_f64(0.8) && pauses[0] <= FIRST.mul_f64(1.2));
        assert!(pauses[3] >= FIRST.mul_f64(0.8 * 8.0));
        assert!(pauses.iter().all(|pause| *pause <= LONGEST.mul_f64(1.2)));
    }

    #[test]
    fn what_the_destination_asks_for_holds() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(backoff.next(Some(Duration::from_secs(1 << 40))), LONGEST_ASKED);
        assert_eq!(backoff.next(Some(Duration::ZERO)), FIRST);
    }
}
