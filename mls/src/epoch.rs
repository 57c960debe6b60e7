//! Which commit event made which epoch.
//!
//! Devices speak of an epoch by the id of the event that carried the commit which made it (LM-04 §4.3, §4.5.2).

use std::collections::BTreeMap;

use crate::error::CallerFault;

/// The last epoch a group may reach: the largest integer that every JSON implementation represents exactly. It keeps the
/// counter of the MLS library, which does not expect to be driven there by a hostile creator of a group, away from its
/// end.
pub const MAX_EPOCH: u64 = (1 << 53) - 1;

/// The epochs of one room's group and the commit events that made them, one to one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochMap {
    events: BTreeMap<u64, String>,
    epochs: BTreeMap<String, u64>,
}

impl EpochMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that the event `event_id` made `epoch`. Noting the same pair again is fine.
    ///
    /// # Errors
    ///
    /// [`CallerFault::EpochTaken`] if the epoch or the event is in another pair; the map is unchanged then.
    pub fn record(&mut self, epoch: u64, event_id: &str) -> Result<(), CallerFault> {
        self.check(epoch, event_id)?;
        self.events.insert(epoch, event_id.to_owned());
        self.epochs.insert(event_id.to_owned(), epoch);
        Ok(())
    }

    /// Checks that [`record`](Self::record) would succeed.
    pub(crate) fn check(&self, epoch: u64, event_id: &str) -> Result<(), CallerFault> {
        let same_event = self.event(epoch).is_none_or(|event| event == event_id);
        let same_epoch = self.epoch(event_id).is_none_or(|other| other == epoch);
        if same_event && same_epoch {
            Ok(())
        } else {
            Err(CallerFault::EpochTaken { epoch, event_id: event_id.to_owned() })
        }
    }

    /// The event that made `epoch`.
    pub fn event(&self, epoch: u64) -> Option<&str> {
        self.events.get(&epoch).map(String::as_str)
    }

    /// The epoch that the event `event_id` made.
    pub fn epoch(&self, event_id: &str) -> Option<u64> {
        self.epochs.get(event_id).copied()
    }

    /// The pairs, by epoch.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &str)> {
        self.events.iter().map(|(&epoch, event)| (epoch, event.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_are_known() {
        let mut map = EpochMap::new();
        map.record(2, "$b").unwrap();
        map.record(1, "$a").unwrap();
        map.record(1, "$a").unwrap();
        assert_eq!(map.event(1), Some("$a"));
        assert_eq!(map.epoch("$b"), Some(2));
        assert_eq!(map.event(3), None);
        assert_eq!(map.epoch("$c"), None);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(1, "$a"), (2, "$b")]);
    }

    #[test]
    fn neither_side_is_paired_twice() {
        let mut map = EpochMap::new();
        map.record(1, "$a").unwrap();
        let before = map.clone();
        for (epoch, event_id) in [(1, "$b"), (2, "$a")] {
            let error = map.record(epoch, event_id).unwrap_err();
            assert_eq!(error, CallerFault::EpochTaken { epoch, event_id: event_id.to_owned() });
            assert_eq!(map, before);
        }
    }
}
