//! A store that loses, mixes up or repeats what it is to remember.
//!
//! What a server reads only as it starts is no place for a fault here: the suite starts no server again, so that a room's
//! snapshot, its group or other servers' keys could be lost without anybody seeing it.

mod delivery;
mod devices;
mod rooms;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use mimi_transport::store::{Claimed, Store};

/// What is wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFault {
    /// An event from another server is acknowledged and not stored.
    AppendLost,
    /// Events are read in the wrong order.
    RecordsBackwards,
    /// Of several events that are read, the second is left out.
    RecordsWithGap,
    /// The events of a state are those of others in it.
    ReadBackOther,
    /// No event is found by its id.
    LocateNothing,
    /// No event is found by the LPDU that it was made of.
    LpdusForgotten,
    /// Commits that stand apart are lost.
    MessagesLost,
    /// Trees that stand apart are lost.
    TreesLost,
    /// A tree that stands apart is that of another commit.
    OtherTree,
    /// Answers to transactions are forgotten at once.
    AnswersForgotten,
    /// Answers to transactions are kept without their contents.
    AnswersEmptied,
    /// Answers to transactions are kept by their ids alone, whoever sent them.
    AnswersOfAll,
    /// Every other event is passed over when a list is sent on.
    CursorsSkip,
    /// EDUs are acknowledged and not queued.
    EdusLost,
    /// LPDUs are acknowledged and not queued.
    LpdusLost,
    /// No device is found.
    DevicesForgotten,
    /// A device stays after it was removed.
    DevicesKept,
    /// A device stays as it was published first.
    FirstDevice,
    /// A key package is given out again.
    ClaimsRepeated,
    /// Key packages are acknowledged and not kept.
    PackagesLost,
    /// Nothing gets into inboxes.
    InboxLost,
    /// Everything gets into inboxes twice.
    InboxTwice,
    /// Of several inboxes that something is for, only one gets it.
    InboxOfOne,
    /// The rooms cannot be listed.
    RoomsForgotten,
}

/// A store with a fault.
pub(super) struct Spoilt {
    inner: Arc<dyn Store>,
    fault: StoreFault,
    /// What was given out first, by whom it is of.
    given: Mutex<HashMap<String, Claimed>>,
}

/// Puts a fault before a store.
pub(super) fn wrap(inner: Arc<dyn Store>, fault: StoreFault) -> Arc<dyn Store> {
    Arc::new(Spoilt { inner, fault, given: Mutex::default() })
}

impl fmt::Debug for Spoilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spoilt").field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl Spoilt {
    fn is(&self, fault: StoreFault) -> bool {
        self.fault == fault
    }

    /// What was given out under this name first; now this, if nothing was.
    fn first(&self, name: String, now: Option<Claimed>) -> Option<Claimed> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        match now {
            Some(now) => Some(given.entry(name).or_insert(now).clone()),
            None => given.get(&name).cloned(),
        }
    }
}
