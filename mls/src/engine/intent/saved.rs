//! What a device wants of a group, as bytes.

use serde::{Deserialize, Serialize};

use super::{Goal, Intent, Moot};
use crate::carriage::Carriage;
use crate::credential::{AddressError, DeviceAddress};
use crate::error::{LibraryFault, Source};
use crate::key_package::UnverifiedKeyPackage;
use crate::roster::Member;
use crate::snapshot::SnapshotError;
use crate::storage::decode;
use crate::suite::Suite;

/// The user and the device.
type SavedAddress = (String, String);

#[derive(Serialize, Deserialize)]
struct SavedIntent {
    goal: SavedGoal,
    moot: Vec<SavedMoot>,
}

#[derive(Serialize, Deserialize)]
enum SavedGoal {
    Change {
        /// Whose key packages, and the key packages.
        add: Vec<(SavedAddress, Vec<u8>)>,
        /// Whose leaves, and their signature keys.
        remove: Vec<(SavedAddress, Vec<u8>)>,
        update: bool,
        carriage: Carriage,
    },
    Join {
        resync: bool,
        carriage: Carriage,
    },
    Nothing,
}

#[derive(Serialize, Deserialize)]
enum SavedMoot {
    Added(SavedAddress),
    AddedWithOtherKey(SavedAddress),
    Removed(SavedAddress),
    KeyPackageOutOfDate(SavedAddress),
    LeftOut,
    Invited,
}

fn save(address: &DeviceAddress) -> SavedAddress {
    (address.user_id().to_owned(), address.device_id().to_owned())
}

fn load((user_id, device_id): SavedAddress) -> Result<DeviceAddress, AddressError> {
    DeviceAddress::new(user_id, device_id)
}

fn unreadable(error: impl Into<Source>) -> SnapshotError {
    SnapshotError::Unreadable(error.into())
}

impl Intent {
    /// The intent as bytes. The same intent gives the same bytes.
    pub(in crate::engine) fn saved(&self) -> Result<Vec<u8>, LibraryFault> {
        let goal = match &self.goal {
            Goal::Change { add, remove, update, carriage } => SavedGoal::Change {
                add: add
                    .iter()
                    .map(|package| (save(package.address()), package.message().to_vec()))
                    .collect(),
                remove: remove
                    .iter()
                    .map(|member| (save(&member.address), member.signature_key.clone()))
                    .collect(),
                update: *update,
                carriage: *carriage,
            },
            Goal::Join { resync, carriage } => SavedGoal::Join { resync: *resync, carriage: *carriage },
            Goal::Nothing => SavedGoal::Nothing,
        };
        let moot = self.moot.iter().map(SavedMoot::of).collect();
        postcard::to_allocvec(&SavedIntent { goal, moot }).map_err(LibraryFault::encoding)
    }

    /// The intent that was saved. Whether a key package has expired in the meantime shows when it is used.
    pub(in crate::engine) fn from_saved(bytes: &[u8], suite: Suite) -> Result<Self, SnapshotError> {
        let SavedIntent { goal, moot } = decode(bytes).map_err(unreadable)?;
        let moot = moot.into_iter().map(SavedMoot::load).collect::<Result<Vec<_>, _>>();
        let moot = moot.map_err(unreadable)?;
        let goal = match goal {
            SavedGoal::Change { add, remove, update, carriage } => {
                let mut packages = Vec::with_capacity(add.len());
                for (_, message) in add {
                    let unverified = UnverifiedKeyPackage::parse(&message).map_err(unreadable)?;
                    packages.push(unverified.verify_at_any_time(suite).map_err(unreadable)?);
                }
                let member = |(address, signature_key)| {
                    Ok::<_, AddressError>(Member { address: load(address)?, signature_key })
                };
                let remove = remove.into_iter().map(member).collect::<Result<_, _>>().map_err(unreadable)?;
                Goal::Change { add: packages, remove, update, carriage }
            }
            SavedGoal::Join { resync, carriage } => Goal::Join { resync, carriage },
            SavedGoal::Nothing => Goal::Nothing,
        };
        Ok(Self { goal, moot })
    }
}

impl SavedMoot {
    fn of(moot: &Moot) -> Self {
        match moot {
            Moot::Added { address } => Self::Added(save(address)),
            Moot::AddedWithOtherKey { address } => Self::AddedWithOtherKey(save(address)),
            Moot::Removed { address } => Self::Removed(save(address)),
            Moot::KeyPackageOutOfDate { address } => Self::KeyPackageOutOfDate(save(address)),
            Moot::LeftOut => Self::LeftOut,
            Moot::Invited => Self::Invited,
        }
    }

    fn load(self) -> Result<Moot, AddressError> {
        Ok(match self {
            Self::Added(address) => Moot::Added { address: load(address)? },
            Self::AddedWithOtherKey(address) => Moot::AddedWithOtherKey { address: load(address)? },
            Self::Removed(address) => Moot::Removed { address: load(address)? },
            Self::KeyPackageOutOfDate(address) => Moot::KeyPackageOutOfDate { address: load(address)? },
            Self::LeftOut => Moot::LeftOut,
            Self::Invited => Moot::Invited,
        })
    }
}
