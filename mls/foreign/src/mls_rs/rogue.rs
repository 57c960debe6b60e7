//! Commits that no room takes, made by a library that does not know about rooms.

use mimi_mls::{DeviceObject, Error, KeyPackageUse, OutboundCommit, OutboundWelcome, Suite};

use super::error::library_error;
use super::{Group, MlsRs, library};
use crate::library::{Library as _, Made, Proposals};
use crate::rooms::usual_lifetime;

impl MlsRs {
    /// Makes a commit of these key packages, and enters its epoch.
    fn add(&mut self, group: &mut Group, add: Vec<Vec<u8>>) -> Result<Made, Error> {
        let made = self.commit(group, &Proposals { add, remove: Vec::new(), path: true })?;
        self.merge(group)?;
        Ok(made)
    }
}

/// What [`commit_by_reference`] makes.
#[derive(Debug)]
#[non_exhaustive]
pub struct ByReference {
    /// The objects of both devices.
    pub devices: [DeviceObject; 2],
    /// The sound commit.
    pub sound: OutboundCommit,
    /// The commit that takes a proposal by reference.
    pub unsound: OutboundCommit,
}

/// Two commits of a device of this user in the group of this room: a sound one, which adds another device of the user, and
/// one that takes a proposal of that other device by reference (LM-04 §4.3 allows no such).
///
/// # Errors
///
/// [`Error::Caller`] if an id is empty or longer than 255 bytes, [`Error::Library`] if `mls-rs` does not have the suite.
pub fn commit_by_reference(user_id: &str, suite: Suite, room_id: &str) -> Result<ByReference, Error> {
    let (mut committer, mut other) = (library(user_id, "A", suite)?, library(user_id, "B", suite)?);
    let mut group = committer.create(room_id.as_bytes())?;
    let package = other.key_package(KeyPackageUse::OneTime, usual_lifetime())?;
    let first = committer.add(&mut group, vec![package])?;
    let welcome = first.welcome.clone().unwrap_or_default();
    let mut entered = other.enter(&welcome)?.group;
    other.settle(&mut entered)?;
    let proposal = entered.group.propose_update(Vec::new()).map_err(library_error)?;
    group.group.process_incoming_message(proposal).map_err(library_error)?;
    let second =
        committer.commit(&mut group, &Proposals { add: Vec::new(), remove: Vec::new(), path: true })?;
    let outbound = |made: Made, epoch| {
        let welcome = made.welcome.map(|message| OutboundWelcome::new(message, suite, Vec::new()));
        OutboundCommit::new(made.commit, made.group_info, welcome, epoch, None)
    };
    let object =
        |library: &MlsRs| DeviceObject::sign(library.credential(), suite, |message| library.sign(message));
    Ok(ByReference {
        devices: [object(&committer)?, object(&other)?],
        sound: outbound(first, 1),
        unsound: outbound(second, 2),
    })
}

#[cfg(test)]
mod tests {
    use mls_rs::MlsMessage;

    use super::*;

    #[test]
    fn the_second_commit_takes_a_proposal_by_reference_and_the_first_does_not() {
        let made = commit_by_reference("@a:a.example", Suite::MANDATORY, "!r:a.example").unwrap();
        let references = [made.sound, made.unsound].map(|commit| {
            let message = MlsMessage::from_bytes(&commit.message).unwrap();
            (message.proposals_by_value().len(), message.proposals_by_reference().len())
        });
        assert_eq!(references, [(1, 0), (0, 1)]);
        assert!(made.devices.iter().all(|device| device.verify().is_ok()));
    }
}
