//! Telling whoever waits that something has happened, so that nobody has to look again and again.

use tokio::sync::watch;

use crate::node::Node;

/// Counts what has happened.
#[derive(Debug)]
pub(crate) struct News(watch::Sender<u64>);

impl Default for News {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl News {
    /// Something has happened that somebody may wait for. Comes after it can be seen.
    pub(crate) fn tell(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Node {
    /// A number that changes after an event was appended to a room's list, something was put where a local user finds it,
    /// or a transaction of this server arrived. To wait for something, take note of the number
    /// ([`watch::Receiver::borrow_and_update`]), look, and if it is not there yet wait for a change.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_happened_before_looking_again_is_not_missed() {
        let news = News::default();
        let mut waiting = news.0.subscribe();
        waiting.borrow_and_update();
        news.tell();
        waiting.changed().await.unwrap();
        assert!(!waiting.has_changed().unwrap());
    }
}
