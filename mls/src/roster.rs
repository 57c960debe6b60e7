//! Who is in a group.

use std::collections::{BTreeMap, BTreeSet};

use openmls::group::Member as MlsMember;
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
    leaves: BTreeMap<LeafNodeIndex, Member>,
}

impl Roster {
    /// Reads the credentials of a group's leaves.
    pub(crate) fn read(leaves: impl IntoIterator<Item = MlsMember>) -> Result<Self, PeerFault> {
        let leaves = leaves
            .into_iter()
            .map(|leaf| {
                let credential = DeviceCredential::of_leaf(&leaf.credential, &leaf.signature_key)?;
                Ok((leaf.index, credential.into()))
            })
            .collect::<Result<BTreeMap<_, Member>, PeerFault>>()?;
        check_distinct(leaves.values())?;
        Ok(Self { leaves })
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.leaves.values()
    }

    pub(crate) fn member(&self, leaf: LeafNodeIndex) -> Option<&Member> {
        self.leaves.get(&leaf)
    }

    pub(crate) fn leaf_of(&self, address: &DeviceAddress) -> Option<LeafNodeIndex> {
        self.leaves.iter().find(|(_, member)| member.address == *address).map(|(&leaf, _)| leaf)
    }

    /// The members without those in `removed`.
    pub(crate) fn without(&self, removed: &BTreeSet<LeafNodeIndex>) -> impl Iterator<Item = &Member> {
        self.leaves.iter().filter(|(leaf, _)| !removed.contains(leaf)).map(|(_, member)| member)
    }
}

/// Checks that no device and no signature key is there twice.
pub(crate) fn check_distinct<'a>(members: impl Iterator<Item = &'a Member>) -> Result<(), PeerFault> {
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
