//! Keeping a group in step with its room: who has to go, who has to come, and who sees to it (reading R36).
//!
//! Rooms know users, groups know devices, and nothing but a commit of a member changes a group. So when a user leaves,
//! some device has to commit the removal of theirs, and when a user joins, some device has to add theirs, unless they
//! come in on their own. Everything here is worked out from what a device knows: the memberships, the devices of the
//! users, and who is in the group. Devices that know the same come to the same result.
//!
//! There is no election and there are no locks. All who may commit a change are put into an order, and each waits for as
//! many spans of time as there are others before it. Whoever finds the group still out of step when its turn comes
//! commits. If two do, the hub takes one (reading R28), and the other starts over with what is left
//! ([`Engine::catch_up`](mimi_mls::Engine::catch_up)).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mimi_mls::{DeviceAddress, Member, Suite};

use super::{Devices, LeafOwner};
use crate::auth::Membership;
use crate::event::{hash, kind};
use crate::id::{RoomId, UserId};
use crate::room::Room;

/// What there has to be known of a room to keep its group in step.
pub trait RoomView {
    /// The room's id, which is the group's.
    fn room_id(&self) -> &RoomId;

    /// A user's membership.
    fn membership(&self, user: &UserId) -> Membership;

    /// The users who are joined.
    fn joined(&self) -> Vec<UserId>;

    /// Whether anybody may read the room (LM-04 §4.3).
    fn is_world_readable(&self) -> bool;

    /// Who changed a user's membership last.
    fn changed_by(&self, user: &UserId) -> Option<UserId>;

    /// The cipher suite of the room's group, if it has one that is known.
    fn suite(&self) -> Option<Suite>;

    /// The epoch that the last commit in the room's list made: 0 before the first.
    fn epoch(&self) -> u64;
}

impl RoomView for Room {
    fn room_id(&self) -> &RoomId {
        self.id()
    }

    fn membership(&self, user: &UserId) -> Membership {
        Self::membership(self, user)
    }

    fn joined(&self) -> Vec<UserId> {
        let members = self.state().current_of(kind::MEMBER);
        let joined = members.filter(|event| event.event().membership() == Some(Membership::Join.as_str()));
        joined.filter_map(|event| UserId::parse(event.event().state_key()?).ok()).collect()
    }

    fn is_world_readable(&self) -> bool {
        Self::is_world_readable(self)
    }

    fn changed_by(&self, user: &UserId) -> Option<UserId> {
        Some(self.state().current(kind::MEMBER, user.as_str())?.event().sender().clone())
    }

    fn suite(&self) -> Option<Suite> {
        self.encryption().suite()
    }

    fn epoch(&self) -> u64 {
        self.encryption().epoch().unwrap_or_default()
    }
}

/// Why a device in a group should not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Barred {
    /// Its user is not joined to the room, and not everybody may read it (LM-04 §4.3). Anybody may remove it.
    NotJoined(Membership),
    /// It is not, or not any more, a valid device with that key and the room's suite (LM-04 §4.1). As long as its user is
    /// joined, only another device of the same user may remove it (LM-04 §4.3).
    NotADevice(LeafOwner),
}

/// A device that is in a group and should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BarredMember {
    /// Its leaf.
    pub member: Member,
    /// Why.
    pub why: Barred,
}

impl BarredMember {
    /// Whether a device may remove it, if its own user is joined.
    fn may_be_removed_by(&self, address: &DeviceAddress) -> bool {
        match self.why {
            Barred::NotJoined(_) => true,
            Barred::NotADevice(_) => self.member.address.user_id() == address.user_id(),
        }
    }
}

/// How a group stands to its room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upkeep {
    /// Who is in and should not be, in the order of the leaves.
    pub barred: Vec<BarredMember>,
    /// Who is in and nothing is known of: their users' servers have to be asked.
    pub unknown: Vec<DeviceAddress>,
    /// The devices of joined users that are not in and could be, ordered by address.
    pub missing: Vec<DeviceAddress>,
    /// The devices of joined users that cannot be in, as they lack the room's suite (LM-04 §4.3), ordered by address.
    pub lack_suite: Vec<DeviceAddress>,
    /// Who may commit, the first to do it first.
    stewards: Vec<DeviceAddress>,
}

/// What a device has to commit, when its turn comes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// How many others are asked before.
    pub place: usize,
    /// The devices to be removed.
    pub remove: Vec<DeviceAddress>,
    /// The devices to be added. Of those that no key package is to be had of, each has to join on its own.
    pub add: Vec<DeviceAddress>,
}

impl Turn {
    /// Whether it is this device's turn, the group having been out of step for as long as `waited`, when each device
    /// before it is given `span` to see to it.
    #[must_use]
    pub fn has_come(&self, waited: Duration, span: Duration) -> bool {
        let place = u32::try_from(self.place).unwrap_or(u32::MAX);
        waited >= span.saturating_mul(place)
    }
}

impl Upkeep {
    /// Compares a group, which has these members, with its room. `None` if the room has no MLS group of a suite that is
    /// known.
    ///
    /// The members can be those that a device sees in its [`Engine`](mimi_mls::Engine::members), or those that a server
    /// follows with its [tracker](super::Encryption::tracker).
    pub fn look<'m>(
        room: &impl RoomView,
        devices: &Devices,
        members: impl IntoIterator<Item = &'m Member>,
    ) -> Option<Self> {
        let suite = room.suite()?;
        let world_readable = room.is_world_readable();
        let mut memberships: BTreeMap<&str, Membership> = BTreeMap::new();
        let (mut barred, mut unknown, mut stewards) = (Vec::new(), Vec::new(), Vec::new());
        let (mut leaves, mut heralds) = (BTreeSet::new(), BTreeSet::new());
        for member in members {
            let user = member.address.user_id();
            let membership = *memberships.entry(user).or_insert_with(|| {
                UserId::parse(user).map_or(Membership::Leave, |user| room.membership(&user))
            });
            let joined = membership == Membership::Join;
            let why = if joined || world_readable {
                match devices.owner(suite, member) {
                    LeafOwner::Owned => None,
                    LeafOwner::Unknown => {
                        unknown.push(member.address.clone());
                        None
                    }
                    other if joined => Some(Barred::NotADevice(other)),
                    // Whoever is not joined can be removed by anybody.
                    _ => Some(Barred::NotJoined(membership)),
                }
            } else {
                heralds.extend(UserId::parse(user).ok().and_then(|user| room.changed_by(&user)));
                Some(Barred::NotJoined(membership))
            };
            match why {
                Some(why) => barred.push(BarredMember { member: member.clone(), why }),
                // Only a joined user's device can send a commit (LM-04 §5.2.3, rule 6).
                None if joined => stewards.push(member.address.clone()),
                None => {}
            }
            leaves.insert((&member.address, &member.signature_key[..]));
        }
        let (mut missing, mut lack_suite) = (Vec::new(), Vec::new());
        for device in room.joined().iter().flat_map(|user| devices.of(user)) {
            let address = device.address();
            match device.credential(suite.signature_scheme()).filter(|_| device.supports(suite)) {
                None => lack_suite.push(address.clone()),
                Some(credential) if leaves.contains(&(address, credential.signature_key())) => {}
                Some(_) => missing.push(address.clone()),
            }
        }
        missing.sort_unstable();
        lack_suite.sort_unstable();
        let epoch = room.epoch();
        stewards.sort_by_cached_key(|address| {
            let herald = heralds.iter().any(|user| user.as_str() == address.user_id());
            (!herald, lot(epoch, address))
        });
        Some(Self { barred, unknown, missing, lack_suite, stewards })
    }

    /// Whether nobody has to go and nobody to come.
    #[must_use]
    pub fn is_in_step(&self) -> bool {
        self.barred.is_empty() && self.unknown.is_empty() && self.missing.is_empty()
    }

    /// Who has to go and nobody in the group may remove: devices of a joined user that has no other device in the group.
    /// What helps is that this user joins with another device, leaves, or is made to leave.
    pub fn stuck(&self) -> impl Iterator<Item = &BarredMember> {
        self.barred
            .iter()
            .filter(|barred| !self.stewards.iter().any(|steward| barred.may_be_removed_by(steward)))
    }

    /// What a device that is in the group has to commit, and when it is its turn. `None` if there is nothing that it may
    /// do.
    #[must_use]
    pub fn turn(&self, of: &DeviceAddress) -> Option<Turn> {
        if !self.stewards.contains(of) {
            return None;
        }
        let leaving = self.barred.iter().filter(|barred| barred.may_be_removed_by(of));
        let remove: Vec<_> = leaving.map(|barred| barred.member.address.clone()).collect();
        // Where another leaf of the device is in the way, whoever may remove it brings the new one.
        let in_the_way = |address: &DeviceAddress| {
            self.barred.iter().any(|barred| barred.member.address == *address) && !remove.contains(address)
        };
        let add: Vec<_> = self.missing.iter().filter(|address| !in_the_way(address)).cloned().collect();
        if remove.is_empty() && add.is_empty() {
            return None;
        }
        // What anybody may do is asked of all in their order; what only the user's own devices may do, of them.
        let anybody =
            !add.is_empty() || self.barred.iter().any(|barred| matches!(barred.why, Barred::NotJoined(_)));
        let place_among = |asked: &dyn Fn(&DeviceAddress) -> bool| {
            self.stewards.iter().filter(|steward| asked(steward)).position(|steward| steward == of)
        };
        let among_all = if anybody { place_among(&|_| true) } else { None };
        let own = self
            .barred
            .iter()
            .any(|barred| matches!(barred.why, Barred::NotADevice(_)) && barred.may_be_removed_by(of));
        let among_own = if own { place_among(&|steward| steward.user_id() == of.user_id()) } else { None };
        let place = among_all.into_iter().chain(among_own).min()?;
        Some(Turn { place, remove, add })
    }
}

/// A device's lot in an epoch, so that it is not always the same who works for all.
fn lot(epoch: u64, address: &DeviceAddress) -> hash::Hash {
    let (user, device) = (address.user_id().as_bytes(), address.device_id().as_bytes());
    // No user id holds a NUL.
    hash::sha256(&[&epoch.to_be_bytes()[..], user, b"\0", device].concat())
}

#[cfg(test)]
mod tests;
