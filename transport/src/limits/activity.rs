//! What goes on on one connection: whether anything is asked, and how often it is given up.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How long it takes until one more request may be given up.
const FORGIVEN: Duration = Duration::from_millis(100);

type Budget = RateLimiter<NotKeyed, InMemoryState, DefaultClock, NoOpMiddleware>;

/// What goes on on one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    requests: watch::Sender<Requests>,
    given_up: Option<Budget>,
    abused: Notify,
}

#[derive(Debug, Clone, Copy, Default)]
struct Requests {
    open: usize,
    begun: u64,
}

impl Activity {
    /// A connection on which so many requests may be given up at once.
    pub(crate) fn new(resets: u32) -> Self {
        let burst = NonZeroU32::new(resets).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(FORGIVEN).map(|quota| quota.allow_burst(burst));
        let given_up = quota.map(RateLimiter::direct);
        Self { requests: watch::Sender::default(), given_up, abused: Notify::new() }
    }

    /// Counts a request, until [`Doing::done`]; if what is returned is dropped before, it was given up.
    pub(crate) fn begin(self: &Arc<Self>) -> Doing {
        self.requests.send_modify(|requests| {
            requests.open = requests.open.saturating_add(1);
            requests.begun = requests.begun.wrapping_add(1);
        });
        Doing { on: Arc::clone(self), done: false }
    }

    /// Returns once nothing has been asked for so long.
    pub(crate) async fn idle_for(&self, time: Duration) {
        let mut requests = self.requests.subscribe();
        loop {
            let Ok(quiet) = requests.wait_for(|requests| requests.open == 0).await.map(|quiet| *quiet) else {
                return;
            };
            if timeout(time, requests.wait_for(|requests| requests.begun != quiet.begun)).await.is_err() {
                return;
            }
        }
    }

    /// Returns once too many requests have been given up.
    pub(crate) async fn abused(&self) {
        self.abused.notified().await;
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Doing {
    on: Arc<Activity>,
    done: bool,
}

impl Doing {
    /// It is answered.
    pub(crate) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.on.requests.send_modify(|requests| requests.open = requests.open.saturating_sub(1));
        let over = !self.done && self.on.given_up.as_ref().is_some_and(|budget| budget.check().is_err());
        if over {
            self.on.abused.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_abused(activity: &Activity) -> bool {
        let mut abused = std::pin::pin!(activity.abused());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        abused.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn requests_that_are_given_up_are_counted() {
        let activity = Arc::new(Activity::new(2));
        for _ in 0..10 {
            activity.begin().done();
        }
        assert!(!is_abused(&activity), "what is answered does not count");
        drop((activity.begin(), activity.begin()));
        assert!(!is_abused(&activity));
        drop(activity.begin());
        assert!(is_abused(&activity));
    }

    #[tokio::test]
    async fn a_connection_is_idle_when_nothing_is_asked() {
        let activity = Arc::new(Activity::new(2));
        let soon = Duration::from_millis(1);
        activity.idle_for(soon).await;
        let doing = activity.begin();
        let far = tokio::spawn({
            let activity = Arc::clone(&activity);
            async move { activity.idle_for(soon).await }
        });
        assert!(timeout(20 * soon, activity.idle_for(soon)).await.is_err(), "something is being answered");
        doing.done();
        far.await.unwrap();
    }
}
