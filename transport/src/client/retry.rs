//! Trying again what failed on the way.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::{CallLimits, ClientError};

/// How often a typed call is tried that fails on the way, or that the peer asks to repeat later. All attempts and pauses
/// together have the time of one call ([`super::CallLimits::timeout`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The most attempts. 3 unless set.
    pub attempts: u32,
    /// The pause after the first attempt, doubled after each further one, a fifth more or less. 200 ms unless set. If the
    /// peer says how long to wait, that holds instead.
    pub pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, pause: Duration::from_millis(200) }
    }
}

impl Retry {
    /// One attempt.
    pub const NEVER: Self = Self { attempts: 1, pause: Duration::ZERO };

    /// How long to wait after so many attempts, of which the last one failed like this; nothing, if that was the last one
    /// or there is not so much time left.
    pub(super) fn pause_after(&self, attempts: u32, error: &ClientError, left: Duration) -> Option<Duration> {
        let asked = match error {
            ClientError::Connect { .. } => None,
            error if error.is_cut() => None,
            ClientError::Api { status, error } if is_passing(*status) => {
                error.retry_after_ms().map(Duration::from_millis)
            }
            _ => return None,
        };
        let doubled = || {
            let pause = self.pause.saturating_mul(1 << attempts.saturating_sub(1).min(20));
            pause.mul_f64(rand::random_range(0.8..1.2))
        };
        let pause = asked.unwrap_or_else(doubled);
        (attempts < self.attempts && pause < left).then_some(pause)
    }
}

/// The attempts of one call, and the time it has.
pub(crate) struct Attempts {
    retry: Retry,
    limits: CallLimits,
    deadline: Instant,
    made: u32,
}

impl Attempts {
    pub(crate) fn new(retry: Retry, limits: CallLimits) -> Self {
        Self { retry, limits, deadline: Instant::now() + limits.timeout, made: 0 }
    }

    /// The bounds of the next attempt.
    pub(crate) fn limits(&self) -> CallLimits {
        CallLimits { timeout: self.left(), ..self.limits }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Waits for the next attempt after one has failed.
    ///
    /// # Errors
    /// The error of the last attempt, if there is no other.
    pub(crate) async fn failed(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.made = self.made.saturating_add(1);
        let Some(pause) = self.retry.pause_after(self.made, &error, self.left()) else {
            return Err(match error {
                // What was left of the time is nobody's business.
                ClientError::Timeout(_) => ClientError::Timeout(self.limits.timeout),
                error => error,
            });
        };
        tracing::debug!(%error, ?pause, "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Whether a status means that the same request may be answered otherwise soon.
fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::error::{ApiError, ErrCode};

    const LONG: Duration = Duration::from_secs(30);

    fn refused() -> ClientError {
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        ClientError::Connect { address: ([127, 0, 0, 1], 1).into(), error }
    }

    fn api(status: u16, retry_after_ms: Option<u64>) -> ClientError {
        let status = StatusCode::from_u16(status).unwrap();
        let error = ApiError::new(status, ErrCode::Unknown, "");
        let error = retry_after_ms.map_or(error.clone(), |ms| error.with_retry_after(ms));
        ClientError::Api { status, error }
    }

    #[test]
    fn pauses_double_until_the_attempts_are_used_up() {
        let retry = Retry { attempts: 3, pause: Duration::from_millis(100) };
        let pauses: Vec<_> = (1..=3).map(|attempts| retry.pause_after(attempts, &refused(), LONG)).collect();
        assert!((80..=120).contains(&pauses[0].unwrap().as_millis()));
        assert!((160..=240).contains(&pauses[1].unwrap().as_millis()));
        assert_eq!(pauses[2], None);
        assert_eq!(Retry::NEVER.pause_after(1, &refused(), LONG), None);
    }

    #[test]
    fn what_the_peer_asks_for_holds_if_there_is_time() {
        let retry = Retry::default();
        let pause = |error: &ClientError, left| retry.pause_after(1, error, left);
        assert_eq!(pause(&api(429, Some(7_000)), LONG), Some(Duration::from_secs(7)));
        assert_eq!(pause(&api(429, Some(7_000)), Duration::from_secs(7)), None);
        assert!(pause(&api(503, None), LONG).is_some());
    }

    #[test]
    fn what_is_refused_for_good_is_not_tried_again() {
        let retry = Retry::default();
        let tls =
            |kind| ClientError::Tls { address: ([127, 0, 0, 1], 1).into(), error: io::Error::from(kind) };
        assert!(retry.pause_after(1, &tls(io::ErrorKind::UnexpectedEof), LONG).is_some(), "it was cut");
        assert_eq!(retry.pause_after(1, &tls(io::ErrorKind::InvalidData), LONG), None, "a bad certificate");
        for status in [302, 400, 401, 403, 404, 413, 500] {
            assert_eq!(retry.pause_after(1, &api(status, Some(1)), LONG), None, "{status}");
        }
        for error in [ClientError::NotAnObject, ClientError::Timeout(LONG), ClientError::TooLarge(1)] {
            assert_eq!(retry.pause_after(1, &error, LONG), None, "{error}");
        }
    }
}
