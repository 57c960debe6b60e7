//! Which message is the next one: the one that a majority of the replicas have.
//!
//! A NATS server of version 2.9.10 that has crashed, or was cut off while it led the stream, can have other messages in a few
//! places than the other replicas, for good, and says nothing of it. A message is therefore only taken as the log's when
//! a majority of the replicas have it in the same place. What a majority has, the loss of a minority leaves.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::super::sqlite::view::Stamp;

/// A message as a replica has it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) stamp: Stamp,
    pub(super) payload: Bytes,
}

/// A replica that is being read.
#[derive(Debug)]
struct Replica {
    messages: mpsc::Receiver<Message>,
    /// The next message, not before the one that is wanted.
    next: Option<Message>,
    /// Its task ends with it.
    reading: AbortHandle,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// What the replicas of a stream have after a message.
#[derive(Debug)]
pub(super) struct Agreement {
    /// How many replicas there are.
    count: usize,
    /// The message before the next one.
    last: u64,
    /// Those that are being read, by the names of their servers.
    replicas: HashMap<String, Replica>,
}

impl Agreement {
    /// Of so many replicas, after this message.
    pub(super) fn of(count: usize, last: u64) -> Self {
        Self { count, last, replicas: HashMap::new() }
    }

    fn majority(&self) -> usize {
        (self.count / 2).saturating_add(1)
    }

    /// The place of the next message.
    pub(super) fn wanted(&self) -> u64 {
        self.last.saturating_add(1)
    }

    /// How many replicas are not being read.
    pub(super) fn missing(&self) -> usize {
        self.count.saturating_sub(self.replicas.len())
    }

    /// Whether this one is to be read.
    pub(super) fn misses(&self, name: &str) -> bool {
        self.missing() > 0 && !self.replicas.contains_key(name)
    }

    /// Another one is being read.
    pub(super) fn add(&mut self, name: String, messages: mpsc::Receiver<Message>, reading: AbortHandle) {
        self.replicas.insert(name, Replica { messages, next: None, reading });
    }

    /// Forgets those that cannot be read on and whose messages are used up.
    pub(super) fn forget_ended(&mut self) {
        self.replicas.retain(|_, Replica { messages, next, .. }| {
            !messages.is_closed() || !messages.is_empty() || next.is_some()
        });
    }

    /// Whether reading others as well might help: too few are read to agree, or those that are read do not.
    pub(super) fn needs_others(&self) -> bool {
        let has_next = |replica: &Replica| replica.next.is_some();
        self.replicas.len() < self.majority() || self.missing() > 0 && self.replicas.values().any(has_next)
    }

    /// The next message, if a majority has it now.
    pub(super) fn take(&mut self) -> Option<Message> {
        let wanted = self.wanted();
        for replica in self.replicas.values_mut() {
            while replica.next.as_ref().is_none_or(|next| next.stamp.sequence < wanted) {
                let Ok(message) = replica.messages.try_recv() else {
                    replica.next = None;
                    break;
                };
                replica.next = Some(message);
            }
        }
        let majority = self.majority();
        let mut votes: HashMap<(&str, i64), usize> = HashMap::new();
        let next = || self.replicas.values().filter_map(|replica| replica.next.as_ref());
        for stamp in next().map(|next| &next.stamp).filter(|stamp| stamp.sequence == wanted) {
            let count = votes.entry((&stamp.id, stamp.at)).or_default();
            *count = count.saturating_add(1);
        }
        let (id, at) = votes.into_iter().find(|(_, count)| *count >= majority)?.0;
        let (id, at) = (id.to_owned(), at);
        let is_it = |stamp: &Stamp| stamp.sequence == wanted && stamp.id == id && stamp.at == at;
        let has_it = |replica: &&mut Replica| replica.next.as_ref().is_some_and(|next| is_it(&next.stamp));
        for (name, replica) in &self.replicas {
            let next = replica.next.as_ref().map(|next| &next.stamp);
            if let Some(other) = next.filter(|stamp| stamp.sequence == wanted && !is_it(stamp)) {
                tracing::warn!(
                    replica = name,
                    sequence = wanted,
                    it_has = other.id,
                    others_have = id,
                    "a replica of the log differs from the others"
                );
            }
        }
        let agreed = self.replicas.values_mut().find(has_it)?.next.take();
        self.last = wanted;
        agreed
    }
}

/// What each replica has in the place of the next message, for a log of what goes wrong.
impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after message {}:", self.last)?;
        let sorted: BTreeMap<_, _> = self.replicas.iter().collect();
        for (name, replica) in sorted {
            match &replica.next {
                Some(Message { stamp, .. }) => write!(f, " {name} has {} ({});", stamp.sequence, stamp.id)?,
                None => write!(f, " {name} has nothing;")?,
            }
        }
        write!(f, " {} of {} are read", self.replicas.len(), self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a message is, who wrote it, and when.
    type Had<'m> = (u64, &'m str, i64);

    /// Replicas that have these messages after the second.
    fn agreement(count: usize, replicas: &[(&str, &[Had<'_>])]) -> Agreement {
        let mut agreement = Agreement::of(count, 2);
        for (name, messages) in replicas {
            let (sender, receiver) = mpsc::channel(9);
            for (sequence, id, at) in *messages {
                let stamp = Stamp { sequence: *sequence, at: *at, id: (*id).to_owned() };
                sender.try_send(Message { stamp, payload: Bytes::new() }).unwrap();
            }
            // Its end is not seen before its messages are used up.
            agreement.add((*name).to_owned(), receiver, tokio::spawn(async {}).abort_handle());
        }
        agreement
    }

    fn taken(agreement: &mut Agreement) -> Vec<(u64, String)> {
        let take = || agreement.take().map(|message| (message.stamp.sequence, message.stamp.id));
        std::iter::from_fn(take).collect()
    }

    fn ids<const N: usize>(ids: [(u64, &str); N]) -> Vec<(u64, String)> {
        ids.map(|(sequence, id)| (sequence, id.to_owned())).to_vec()
    }

    #[tokio::test]
    async fn what_one_of_three_has_is_not_taken() {
        let behind: &[_] = &[(3, "a", 1)];
        let mut three =
            agreement(3, &[("x", &[(3, "a", 1), (4, "b", 2), (5, "c", 3)]), ("y", behind), ("z", &[])]);
        assert_eq!(taken(&mut three), ids([(3, "a")]));
        assert!(!three.needs_others(), "all are read");
        let mut two = agreement(3, &[("x", &[(3, "a", 1)])]);
        assert_eq!(taken(&mut two), []);
        assert!(two.needs_others());
    }

    #[tokio::test]
    async fn the_one_that_differs_is_outvoted_and_joins_again() {
        let other: &[_] = &[(2, "before", 0), (3, "other", 1), (4, "b", 2), (5, "c", 9)];
        let most: &[_] = &[(3, "a", 1), (4, "b", 2), (5, "c", 3)];
        let mut replicas = agreement(3, &[("x", other), ("y", most), ("z", most)]);
        assert_eq!(taken(&mut replicas), ids([(3, "a"), (4, "b"), (5, "c")]));
        let mut differing = agreement(3, &[("x", other), ("y", most)]);
        assert_eq!(taken(&mut differing), [], "nobody knows which of the two it is");
        assert!(differing.needs_others(), "the third one does");
    }

    #[tokio::test]
    async fn a_time_counts_as_the_message_does() {
        let mut replicas = agreement(3, &[("x", &[(3, "a", 1)]), ("y", &[(3, "a", 2)])]);
        assert_eq!(taken(&mut replicas), [], "what follows from the time would differ");
        let mut alone = agreement(1, &[("", &[(3, "a", 1), (5, "c", 1)])]);
        assert_eq!(taken(&mut alone), ids([(3, "a")]), "nothing is left out");
    }

    #[tokio::test]
    async fn who_has_ended_is_forgotten_after_its_last_message() {
        let mut replicas = agreement(3, &[("x", &[(3, "a", 1)]), ("y", &[(3, "a", 1)])]);
        replicas.forget_ended();
        assert_eq!(replicas.missing(), 1);
        assert_eq!(taken(&mut replicas).len(), 1);
        taken(&mut replicas);
        replicas.forget_ended();
        assert_eq!(replicas.missing(), 3);
        assert!(replicas.misses("x"));
    }
}
