//! Waiting between attempts.

use std::time::Duration;

use tokio::sync::Notify;

/// The first pause, and the shortest.
const FIRST: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest that a destination can make us wait by asking for it.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// A pause before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    time: Duration,
    /// Whether the destination asked for it, so that it is not cut short.
    asked: bool,
}

/// How long to wait before the next attempt: twice as long each time, with jitter.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure. If the destination asked for a time, that holds.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Pause {
        let doubled = FIRST.saturating_mul(1 << self.failures.min(20)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        match asked {
            Some(asked) => Pause { time: asked.clamp(FIRST, LONGEST_ASKED), asked: true },
            None => Pause { time: doubled.mul_f64(rand::random_range(0.8..1.2)), asked: false },
        }
    }
}

/// Waits for the pause to end, or, after the shortest pause, for a sign of life. A pause that the destination asked for
/// is not cut short: it is there, and wants to be left alone.
pub(super) async fn wait(pause: Pause, alive: &Notify) {
    let sign = alive.notified();
    tokio::time::sleep(pause.time.min(FIRST)).await;
    tokio::select! {
        () = tokio::time::sleep(pause.time.saturating_sub(FIRST)) => {}
        () = sign, if !pause.asked => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.next(None).time).collect();
        assert!(pauses[0] >= FIRST.mul_f64(0.8) && pauses[0] <= FIRST.mul_f64(1.2));
        assert!(pauses[3] >= FIRST.mul_f64(0.8 * 8.0));
        assert!(pauses.iter().all(|pause| *pause <= LONGEST.mul_f64(1.2)));
    }

    #[test]
    fn what_the_destination_asks_for_holds() {
        let mut backoff = Backoff::default();
        let mut asked = |time| backoff.next(Some(time));
        assert_eq!(asked(Duration::from_secs(7)), Pause { time: Duration::from_secs(7), asked: true });
        assert_eq!(asked(Duration::from_secs(1 << 40)).time, LONGEST_ASKED);
        assert_eq!(asked(Duration::ZERO).time, FIRST);
        assert!(!backoff.next(None).asked);
    }

    #[tokio::test]
    async fn a_sign_of_life_cuts_a_pause_short_that_nobody_asked_for() {
        let (alive, hour) = (Notify::new(), Duration::from_secs(3_600));
        let own = wait(Pause { time: hour, asked: false }, &alive);
        let asked = wait(Pause { time: hour, asked: true }, &alive);
        let (mut own, mut asked) = (std::pin::pin!(own), std::pin::pin!(asked));
        // Both have begun to wait when there is a sign.
        tokio::select! {
            biased;
            () = &mut own => panic!("there was no sign"),
            () = &mut asked => panic!("there was no sign"),
            () = std::future::ready(()) => {}
        }
        alive.notify_waiters();
        tokio::time::timeout(hour / 60, &mut own).await.expect("the pause was not cut short");
        let waiting = tokio::time::timeout(FIRST * 2, &mut asked).await;
        assert!(waiting.is_err(), "a pause that was asked for was cut short");
    }
}
