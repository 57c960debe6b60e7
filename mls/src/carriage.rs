//! What of a commit goes into its event, and what may stand apart from it (reading R35).
//!
//! An event has at most 65,536 bytes (LM-04 §3.5). The ratchet tree outgrows that in a group of 130 to 190 devices, and
//! a commit with a path does in a group of about 550, if its parents are blank. The tree can be left out of the
//! GroupInfo, whose signature covers its hash; the commit can be named by its hash. Whoever needs them gets them from the
//! hub.

use serde::{Deserialize, Serialize};

use crate::error::CallerFault;
use crate::framing::{MAX_COMMIT_LEN, MAX_MESSAGE_LEN};
use crate::key_package::KeyPackage;

/// What is kept free in an event for all but the commit and the group state: ids, hashes, two servers' signatures.
const RESERVED_LEN: usize = 4096;

/// How many bytes of commit and group state together fit into an event for certain, after base64 has made four of each
/// three.
pub const MAX_INSIDE_LEN: usize = (MAX_MESSAGE_LEN - RESERVED_LEN) / 4 * 3;

/// What a commit has besides its proposals, and a GroupInfo without a tree, at most. The longest part is the room id,
/// which each of them repeats.
const FRAME_LEN: usize = 4096;

/// What stands in front of a key package in a commit: that it is a proposal by value, and that it is an add.
const ADD_LEN: usize = 3;

/// No leaf of a device has fewer bytes than this: its keys, once more in its credential, its capabilities, and its
/// signature.
const MIN_LEAF_LEN: usize = 200;

/// Where a part of a commit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Placement {
    /// Into the event, and nowhere else.
    Inside,
    /// Into the event if it fits, and otherwise apart from it.
    WhereItFits,
    /// Apart from the event.
    Apart,
}

/// Where the parts of a commit go that can be too large for an event. What may stand apart depends on what the room's
/// hub offers.
///
/// By default the tree is left out where it does not fit: without that, nothing could be committed at all, and the
/// members of the group need nobody's tree. The commit itself stays inside: a hub that does not know of reading R35
/// would refuse the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Carriage {
    /// Where the ratchet tree goes. Apart means that neither the GroupInfo nor the Welcome has it. The first commit of a
    /// group has it in any case, since nobody could give it to the hub.
    pub tree: Placement,
    /// Where the commit itself goes.
    pub message: Placement,
}

impl Default for Carriage {
    fn default() -> Self {
        Self { tree: Placement::WhereItFits, message: Placement::Inside }
    }
}

impl Carriage {
    /// Everything inside: what LM-04 has, without reading R35.
    pub const INSIDE: Self = Self { tree: Placement::Inside, message: Placement::Inside };
    /// Everything inside as long as it fits: for hubs that have reading R35.
    pub const WHERE_IT_FITS: Self = Self { tree: Placement::WhereItFits, message: Placement::WhereItFits };

    /// Whether to make the commit with the tree and then, if it does not fit, without it. The group has `members`
    /// members, and is about to get its first commit or not.
    pub(crate) fn attempts(self, members: usize, first: bool) -> &'static [bool] {
        match self.tree {
            _ if first => &[true],
            Placement::Inside => &[true],
            Placement::Apart => &[false],
            Placement::WhereItFits if members.saturating_mul(MIN_LEAF_LEN) > MAX_INSIDE_LEN => &[false],
            Placement::WhereItFits => &[true, false],
        }
    }

    /// Whether a commit stands apart from its event. `last` says that it will not be made any smaller.
    pub(crate) fn place(self, message: usize, group_info: usize, last: bool) -> Result<bool, CallerFault> {
        let too_large = |size, limit| Err(CallerFault::CommitTooLarge { size, limit });
        let both = message.saturating_add(group_info);
        let apart = match self.message {
            Placement::Inside => false,
            Placement::WhereItFits => last && both > MAX_INSIDE_LEN,
            Placement::Apart => true,
        };
        match apart {
            false if both > MAX_INSIDE_LEN => too_large(both, MAX_INSIDE_LEN),
            true if group_info > MAX_INSIDE_LEN => too_large(group_info, MAX_INSIDE_LEN),
            true if message > MAX_COMMIT_LEN => too_large(message, MAX_COMMIT_LEN),
            apart => Ok(apart),
        }
    }
}

/// Splits the key packages of devices that are to be added into as few groups as can be, in their order, so that a
/// commit that adds one group and does nothing else fits into an event. There are about 120 devices in each.
///
/// A commit that only adds has no path: its size does not depend on that of the group. Each makes the tree colder: see
/// [`Engine::is_cold`](crate::Engine::is_cold).
#[must_use]
pub fn batches(key_packages: impl IntoIterator<Item = KeyPackage>) -> Vec<Vec<KeyPackage>> {
    let mut batches: Vec<Vec<KeyPackage>> = Vec::new();
    let mut room = 0_usize;
    for key_package in key_packages {
        let size = key_package.message().len().saturating_add(ADD_LEN);
        match (room.checked_sub(size), batches.last_mut()) {
            (Some(left), Some(batch)) => {
                room = left;
                batch.push(key_package);
            }
            _ => {
                room = (MAX_INSIDE_LEN - FRAME_LEN).saturating_sub(size);
                batches.push(vec![key_package]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests;
