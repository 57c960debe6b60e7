//! Who is in a group.

use std::collections::{BTreeMap, BTreeSet};

use openmls::group::{Member as MlsMember, PublicGroup};
use openmls::prelude::LeafNodeIndex;

use crate::credential::{DeviceAddress, DeviceCredential};
use crate::error::PeerFault;

/// A member of a group: a device and the key with which it signs there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Member {
    /// The device.
    pub address: DeviceAddress,
    /// The public signature key of its leaf.
    pub signature_key: Vec<u8>,
}

impl From<DeviceCredential> for Member {
    fn from(credential: DeviceCredential) -> Self {
        Self { address: credential.address().clone(), signature_key: credential.signature_key().to_vec() }
    }
}

/// The members of a group by the leaf they are in. Each device is in one leaf, and each key too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    leaves: Vec<Option<Member>>,
    /// The leaves that are not blank, in the order of their addresses.
    by_address: Vec<u32>,
    /// The same, in the order of their signature keys.
    by_key: Vec<u32>,
}

/// What a commit does to a roster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RosterChange {
    /// The leaves that become blank.
    pub(crate) removed: BTreeSet<LeafNodeIndex>,
    /// The leaf of the committer, if it was one and is another now.
    pub(crate) replaced: Option<(LeafNodeIndex, Member)>,
    /// Who comes in, in order.
    pub(crate) added: Vec<Member>,
}

impl Roster {
    /// Reads the credentials of a group's leaves.
    pub(crate) fn read(leaves: impl IntoIterator<Item = MlsMember>) -> Result<Self, PeerFault> {
        let mut roster = Self::default();
        for leaf in leaves {
            let credential = DeviceCredential::of_leaf(&leaf.credential, &leaf.signature_key)?;
            roster.put(leaf.index.u32(), credential.into());
        }
        check_distinct(roster.members())?;
        let mut filled: Vec<u32> = roster.filled().map(|(leaf, _)| leaf).collect();
        filled.sort_by(|a, b| roster.address(*a).cmp(&roster.address(*b)));
        roster.by_address.clone_from(&filled);
        filled.sort_by(|a, b| roster.key(*a).cmp(&roster.key(*b)));
        roster.by_key = filled;
        Ok(roster)
    }

    fn put(&mut self, leaf: u32, member: Member) {
        let leaf = leaf as usize;
        if self.leaves.len() <= leaf {
            self.leaves.resize(leaf.saturating_add(1), None);
        }
        if let Some(place) = self.leaves.get_mut(leaf) {
            *place = Some(member);
        }
    }

    fn filled(&self) -> impl Iterator<Item = (u32, &Member)> {
        (0..).zip(&self.leaves).filter_map(|(leaf, member)| Some((leaf, member.as_ref()?)))
    }

    fn get(&self, leaf: u32) -> Option<&Member> {
        self.leaves.get(leaf as usize)?.as_ref()
    }

    fn address(&self, leaf: u32) -> Option<&DeviceAddress> {
        self.get(leaf).map(|member| &member.address)
    }

    fn key(&self, leaf: u32) -> Option<&[u8]> {
        self.get(leaf).map(|member| member.signature_key.as_slice())
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.leaves.iter().flatten()
    }

    pub(crate) fn member(&self, leaf: LeafNodeIndex) -> Option<&Member> {
        self.get(leaf.u32())
    }

    fn find_address(&self, address: &DeviceAddress) -> Result<usize, usize> {
        self.by_address.binary_search_by(|leaf| self.address(*leaf).cmp(&Some(address)))
    }

    fn find_key(&self, key: &[u8]) -> Result<usize, usize> {
        self.by_key.binary_search_by(|leaf| self.key(*leaf).cmp(&Some(key)))
    }

    pub(crate) fn leaf_of(&self, address: &DeviceAddress) -> Option<LeafNodeIndex> {
        let place = self.find_address(address).ok()?;
        self.by_address.get(place).copied().map(LeafNodeIndex::new)
    }

    fn leaf_of_key(&self, key: &[u8]) -> Option<LeafNodeIndex> {
        let place = self.find_key(key).ok()?;
        self.by_key.get(place).copied().map(LeafNodeIndex::new)
    }

    /// The members without those in `removed`.
    pub(crate) fn without(&self, removed: &BTreeSet<LeafNodeIndex>) -> impl Iterator<Item = &Member> {
        self.filled()
            .filter(|(leaf, _)| !removed.contains(&LeafNodeIndex::new(*leaf)))
            .map(|(_, member)| member)
    }

    /// Checks that no device and no signature key is there twice once the leaves `gone` are blank and `coming` are
    /// there.
    pub(crate) fn check_coming<'a>(
        &self,
        gone: &BTreeSet<LeafNodeIndex>,
        coming: impl Iterator<Item = &'a Member> + Clone,
    ) -> Result<(), PeerFault> {
        let stays = |leaf: Option<LeafNodeIndex>| leaf.is_some_and(|leaf| !gone.contains(&leaf));
        check_distinct(coming.clone())?;
        for member in coming {
            if stays(self.leaf_of(&member.address)) {
                return Err(PeerFault::DuplicateDevice { address: member.address.clone() });
            }
            if stays(self.leaf_of_key(&member.signature_key)) {
                return Err(PeerFault::DuplicateKey);
            }
        }
        Ok(())
    }

    /// The leaves that a change fills, in the order of those who come in: the leftmost blank ones after the removals
    /// (RFC 9420 §12.1.1, §12.4.3.2).
    fn places(&self, change: &RosterChange) -> impl Iterator<Item = LeafNodeIndex> {
        let blank = (0..).map(LeafNodeIndex::new);
        blank
            .filter(|leaf| change.removed.contains(leaf) || self.member(*leaf).is_none())
            .take(change.added.len())
    }

    /// Who is in a leaf after a change.
    pub(crate) fn member_after<'a>(
        &'a self,
        change: &'a RosterChange,
        leaf: LeafNodeIndex,
    ) -> Option<&'a Member> {
        if let Some((_, member)) = self.places(change).zip(&change.added).find(|(place, _)| *place == leaf) {
            return Some(member);
        }
        match &change.replaced {
            Some((place, member)) if *place == leaf => Some(member),
            _ if change.removed.contains(&leaf) => None,
            _ => self.member(leaf),
        }
    }

    /// The members after a change, in the order of their leaves.
    pub(crate) fn members_after<'a>(&'a self, change: &'a RosterChange) -> impl Iterator<Item = &'a Member> {
        let placed: BTreeMap<_, _> = self.places(change).zip(&change.added).collect();
        let last = placed.keys().last().map_or(0, |leaf| leaf.u32().saturating_add(1));
        let end = last.max(u32::try_from(self.leaves.len()).unwrap_or(u32::MAX));
        (0..end).map(LeafNodeIndex::new).filter_map(move |leaf| match (placed.get(&leaf), &change.replaced) {
            (Some(member), _) => Some(*member),
            (None, Some((place, member))) if *place == leaf => Some(member),
            (None, _) if change.removed.contains(&leaf) => None,
            (None, _) => self.member(leaf),
        })
    }

    /// Makes a change that was checked.
    fn apply(&mut self, change: RosterChange) {
        let places: Vec<_> = self.places(&change).collect();
        for leaf in change.removed.iter().chain(change.replaced.as_ref().map(|(leaf, _)| leaf)) {
            self.take(leaf.u32());
        }
        for (leaf, member) in places.into_iter().zip(change.added).chain(change.replaced) {
            self.insert(leaf.u32(), member);
        }
        let end = self.leaves.iter().rposition(Option::is_some).map_or(0, |last| last.saturating_add(1));
        self.leaves.truncate(end);
    }

    fn take(&mut self, leaf: u32) {
        let Some(member) = self.get(leaf) else { return };
        let places = (self.find_address(&member.address), self.find_key(&member.signature_key));
        if let (Ok(by_address), Ok(by_key)) = places {
            self.by_address.remove(by_address);
            self.by_key.remove(by_key);
        }
        if let Some(place) = self.leaves.get_mut(leaf as usize) {
            *place = None;
        }
    }

    fn insert(&mut self, leaf: u32, member: Member) {
        let by_address = self.find_address(&member.address).unwrap_or_else(|place| place);
        let by_key = self.find_key(&member.signature_key).unwrap_or_else(|place| place);
        self.by_address.insert(by_address, leaf);
        self.by_key.insert(by_key, leaf);
        self.put(leaf, member);
    }

    /// Follows a group through a commit that it has merged.
    pub(crate) fn follow(&mut self, change: RosterChange, group: &PublicGroup) -> Result<(), PeerFault> {
        let touched: Vec<_> = self
            .places(&change)
            .chain(change.removed.iter().copied())
            .chain(change.replaced.as_ref().map(|(leaf, _)| *leaf))
            .collect();
        self.apply(change);
        let same = |leaf: &LeafNodeIndex| {
            self.key(leaf.u32()) == group.leaf(*leaf).map(|leaf| leaf.signature_key().as_slice())
        };
        let same = touched.iter().all(same);
        debug_assert!(same, "OpenMLS fills other leaves than RFC 9420 says");
        if !same {
            // What the group says counts.
            *self = Self::read(group.members())?;
        }
        Ok(())
    }
}

/// Checks that no device and no signature key is there twice.
///
/// # Errors
///
/// [`PeerFault::DuplicateDevice`] or [`PeerFault::DuplicateKey`].
pub fn check_distinct<'a>(members: impl Iterator<Item = &'a Member>) -> Result<(), PeerFault> {
    let (mut addresses, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for member in members {
        if !addresses.insert(&member.address) {
            return Err(PeerFault::DuplicateDevice { address: member.address.clone() });
        }
        if !keys.insert(&member.signature_key) {
            return Err(PeerFault::DuplicateKey);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use openmls::credentials::BasicCredential;
    use proptest::prelude::*;

    use super::*;

    fn leaf(index: u32, user_id: &str, key: &[u8]) -> MlsMember {
        let credential =
            DeviceCredential::new(DeviceAddress::new(user_id, "D").unwrap(), key).unwrap().encode().unwrap();
        MlsMember::new(
            LeafNodeIndex::new(index),
            vec![1],
            key.to_vec(),
            BasicCredential::new(credential).into(),
        )
    }

    #[test]
    fn members_are_found_by_leaf_and_by_address() {
        let roster = Roster::read([leaf(0, "@a:b", b"1"), leaf(3, "@c:d", b"2")]).unwrap();
        let address = DeviceAddress::new("@c:d", "D").unwrap();
        assert_eq!(roster.leaf_of(&address), Some(LeafNodeIndex::new(3)));
        assert_eq!(roster.member(LeafNodeIndex::new(3)).unwrap().address, address);
        assert!(roster.member(LeafNodeIndex::new(1)).is_none());
        let removed = BTreeSet::from([LeafNodeIndex::new(0)]);
        assert_eq!(roster.without(&removed).count(), 1);
    }

    /// Members by number: device and key in one.
    fn member(n: u8) -> Member {
        Member { address: DeviceAddress::new(format!("@{n}:b"), "D").unwrap(), signature_key: vec![255 - n] }
    }

    proptest! {
        #[test]
        fn a_roster_that_follows_is_one_that_is_read(
            steps in prop::collection::vec((prop::collection::vec(0..12_u32, 0..4), 0..4_u8, any::<bool>()), 1..12),
        ) {
            let mut roster = Roster::default();
            let mut next = 0;
            for (removed, added, replace) in steps {
                let removed: BTreeSet<_> =
                    removed.into_iter().map(LeafNodeIndex::new).filter(|leaf| roster.member(*leaf).is_some()).collect();
                let mut fresh = || {
                    next += 1;
                    member(next)
                };
                let added: Vec<_> = (0..added).map(|_| fresh()).collect();
                let staying = roster.filled().map(|(leaf, _)| LeafNodeIndex::new(leaf)).find(|leaf| !removed.contains(leaf));
                let replaced = staying.filter(|_| replace).map(|leaf| (leaf, fresh()));
                let change = RosterChange { removed, replaced, added };
                let after: Vec<_> = roster.members_after(&change).cloned().collect();
                let by_leaf: Vec<_> = (0..100)
                    .filter_map(|leaf| roster.member_after(&change, LeafNodeIndex::new(leaf)).cloned())
                    .collect();
                prop_assert_eq!(&by_leaf, &after);
                let staying = roster.without(&change.removed).count();
                prop_assert_eq!(after.len(), staying + change.added.len());
                roster.apply(change);
                prop_assert_eq!(roster.members().cloned().collect::<Vec<_>>(), after);
                for (leaf, member) in roster.filled() {
                    prop_assert_eq!(roster.leaf_of(&member.address), Some(LeafNodeIndex::new(leaf)));
                    prop_assert_eq!(roster.leaf_of_key(&member.signature_key), Some(LeafNodeIndex::new(leaf)));
                }
                prop_assert_eq!(roster.by_address.len(), roster.members().count());
                prop_assert_eq!(roster.by_key.len(), roster.members().count());
            }
        }
    }

    #[test]
    fn a_device_or_a_key_in_two_leaves_is_refused() {
        assert!(matches!(
            Roster::read([leaf(0, "@a:b", b"1"), leaf(1, "@a:b", b"2")]),
            Err(PeerFault::DuplicateDevice { .. })
        ));
        assert!(matches!(
            Roster::read([leaf(0, "@a:b", b"1"), leaf(1, "@c:d", b"1")]),
            Err(PeerFault::DuplicateKey)
        ));
    }
}
