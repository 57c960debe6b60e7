//! The leaves that come into a group, against their users' devices (LM-04 §4.1, readings R39 and R40).

use mimi_linearized::auth::Refusal;
use mimi_linearized::encryption::{Devices, StagedCommit};
use mimi_linearized::id::{DeviceId, UserId};
use mimi_mls::{DeviceAddress, DeviceObject};
use serde_json::Value;

use crate::node::Node;
use crate::rooms::RoomError;
use crate::store::StoreError;

/// What a hub has to do about a commit's new leaves.
#[derive(Debug)]
pub(crate) enum LeavesOf {
    /// They are all of the devices that they name.
    Devices,
    /// These devices have to be [asked for](Node::ask_for_devices) first.
    Unknown(Vec<DeviceAddress>),
}

impl Node {
    /// Checks, as the hub, that the leaves which come into a group with a commit are of the devices they name, as these
    /// are published. `asked` is what their servers said, once they were asked; without it they are named, so that
    /// nobody is asked while the room is locked. A device whose server says nothing stays out (reading R39).
    ///
    /// # Errors
    /// [`RoomError`] if a leaf is not of its device, or the store fails.
    pub(crate) async fn check_leaves(
        &self,
        commit: &StagedCommit,
        asked: Option<&Devices>,
    ) -> Result<LeavesOf, RoomError> {
        let mut devices = asked.cloned().unwrap_or_default();
        self.learn_local(commit, &mut devices).await?;
        if asked.is_none() {
            self.learn_remembered(commit, &mut devices);
            let unknown: Vec<_> = commit.unknown_devices(&devices).cloned().collect();
            if !unknown.is_empty() {
                // What is wrong with the others is wrong with the commit.
                commit.check_known_devices(&devices)?;
                return Ok(LeavesOf::Unknown(unknown));
            }
        }
        commit.check_devices(&devices)?;
        Ok(LeavesOf::Devices)
    }

    /// What the hub of a room should have seen of this server's own users' devices when it took a commit, and did not:
    /// a leaf that is not of the device it names. The commit stands all the same (reading R40).
    ///
    /// # Errors
    /// [`StoreError`] if the store fails.
    pub(crate) async fn overlooked_leaf(&self, commit: &StagedCommit) -> Result<Option<Refusal>, StoreError> {
        let mut devices = Devices::new();
        self.learn_local(commit, &mut devices).await?;
        Ok(commit.check_known_devices(&devices).err())
    }

    /// Looks up the devices of new leaves that are local users'.
    async fn learn_local(&self, commit: &StagedCommit, devices: &mut Devices) -> Result<(), StoreError> {
        for leaf in commit.new_leaves() {
            let address = &leaf.address;
            let (Ok(user), Ok(device)) =
                (UserId::parse(address.user_id()), DeviceId::parse(address.device_id()))
            else {
                continue;
            };
            if !self.is_local(&user) {
                continue;
            }
            match self.local_device(&user, &device).await? {
                Some(object) => match DeviceObject::parse(Value::Object(object)) {
                    Ok(object) => drop(devices.learn(address, &object)),
                    Err(_) => devices.learn_invalid(address),
                },
                None => devices.learn_absent(address),
            }
        }
        Ok(())
    }
}
