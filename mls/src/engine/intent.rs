//! What a device wants of a group, kept until it is so.

mod saved;

use crate::carriage::Carriage;
use crate::change::Change;
use crate::credential::DeviceAddress;
use crate::key_package::KeyPackage;
use crate::roster::{Member, Roster};

use super::message::Changes;

/// Why a part of what a device wanted will not be committed by it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moot {
    /// Somebody else's commit brought the device in first, with the key that it was to be added with: by adding it, or
    /// because the device joined on its own.
    Added {
        /// The device.
        address: DeviceAddress,
    },
    /// The device came in with another signature key than it was to be added with.
    AddedWithOtherKey {
        /// The device.
        address: DeviceAddress,
    },
    /// The leaf that was to be removed is gone by somebody else's commit. The device may be back with another key.
    Removed {
        /// The device.
        address: DeviceAddress,
    },
    /// The key package is not within its lifetime any more, so that the device cannot be added with it.
    KeyPackageOutOfDate {
        /// The device.
        address: DeviceAddress,
    },
    /// This device was removed itself. It wants nothing any more of a group that it is not in.
    LeftOut,
    /// This device was about to join on its own, and somebody added it: a Welcome is on its way. If that got lost, the
    /// device can join on its own again.
    Invited,
}

/// What a device wants of a room's group.
#[derive(Clone, Debug)]
pub(super) struct Intent {
    pub(super) goal: Goal,
    /// What somebody else has seen to since the last report.
    moot: Vec<Moot>,
}

#[derive(Clone, Debug)]
pub(super) enum Goal {
    /// To change the group as a member.
    Change {
        add: Vec<KeyPackage>,
        /// The leaves that are to go: a device that comes back with another key is not the one that was meant.
        remove: Vec<Member>,
        update: bool,
        carriage: Carriage,
    },
    /// To come in by an external commit.
    Join {
        /// Whether the group had a leaf of this device when it first tried, which is to be replaced.
        resync: bool,
        carriage: Carriage,
    },
    /// Nothing any more: the device was removed.
    Nothing,
}

impl Intent {
    /// What a commit of `changes` is made for; those who are to leave are in `roster`.
    pub(super) fn of(changes: &Changes, roster: &Roster) -> Self {
        let remove = roster.members().filter(|member| changes.remove.contains(&member.address));
        let goal = Goal::Change {
            add: changes.add.clone(),
            remove: remove.cloned().collect(),
            update: changes.update,
            carriage: changes.carriage,
        };
        Self { goal, moot: Vec::new() }
    }

    pub(super) fn join(resync: bool, carriage: Carriage) -> Self {
        Self { goal: Goal::Join { resync, carriage }, moot: Vec::new() }
    }

    /// Drops what somebody else's commit has done already.
    pub(super) fn after(&mut self, change: &Change) {
        let Goal::Change { add, remove, .. } = &mut self.goal else { return };
        let came_in = |address: &DeviceAddress| change.added.iter().find(|member| member.address == *address);
        remove.retain(|member| {
            // Who takes the place of its own leaf, or is replaced by its like, is still there.
            let stays = !change.removed.contains(&member.address) || came_in(&member.address) == Some(member);
            if !stays {
                self.moot.push(Moot::Removed { address: member.address.clone() });
            }
            stays
        });
        add.retain(|key_package| {
            let address = key_package.address();
            let Some(member) = came_in(address) else { return true };
            // A leaf that is to make way for the new one still is.
            if remove.iter().any(|leaf| leaf == member) {
                return true;
            }
            let address = address.clone();
            self.moot.push(if member.signature_key == key_package.signature_key() {
                Moot::Added { address }
            } else {
                Moot::AddedWithOtherKey { address }
            });
            false
        });
    }

    /// The device was removed.
    pub(super) fn left_out(&mut self) {
        self.goal = Goal::Nothing;
        self.moot.push(Moot::LeftOut);
    }

    /// What is left to be committed, and what became moot since it was last asked. Key packages that are not usable at
    /// `now`, in Unix seconds, become moot.
    pub(super) fn take(&mut self, now: u64) -> (Option<Changes>, Vec<Moot>) {
        let Goal::Change { add, remove, update, carriage } = &mut self.goal else {
            return (None, std::mem::take(&mut self.moot));
        };
        add.retain(|key_package| {
            let usable = key_package.check_lifetime(now).is_ok();
            if !usable {
                self.moot.push(Moot::KeyPackageOutOfDate { address: key_package.address().clone() });
            }
            usable
        });
        let left = !add.is_empty() || !remove.is_empty() || *update;
        let changes = left.then(|| Changes {
            add: add.clone(),
            remove: remove.iter().map(|member| member.address.clone()).collect(),
            update: *update,
            carriage: *carriage,
        });
        (changes, std::mem::take(&mut self.moot))
    }
}
