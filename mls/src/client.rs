//! What a device does in the groups of its rooms, whichever MLS implementation does it.
//!
//! LM-04 says what a device sends and accepts, not with which library. [`RoomClient`] is that much and nothing of any
//! library, so that rooms can be tried with devices of several. [`Engine`] is the one of this crate.

use core::fmt;

use crate::change::Change;
use crate::credential::{DeviceAddress, DeviceCredential};
use crate::device::DeviceObject;
use crate::engine::{
    Changes, Decrypted, Encrypted, Engine, Joined, OutboundCommit, OutboundWelcome, Received,
};
use crate::error::{CommitError, Error};
use crate::key_package::{KeyPackage, KeyPackageUse, Lifetime};
use crate::roster::Member;
use crate::suite::Suite;

/// What a commit is to do, with key packages as they were claimed. The default is nothing at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomChanges {
    /// Key packages of the devices to be added, each an `MLSMessage` or the bare structure, unverified.
    pub add: Vec<Vec<u8>>,
    /// The devices to be removed.
    pub remove: Vec<DeviceAddress>,
    /// Whether the committer's own leaf gets a fresh key in any case. A commit that removes somebody does that anyway.
    pub update: bool,
}

impl RoomChanges {
    /// A fresh key for the committer's own leaf.
    pub fn update() -> Self {
        Self { update: true, ..Self::default() }
    }

    /// The devices of these key packages are added.
    pub fn add(key_packages: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { add: key_packages.into_iter().collect(), ..Self::default() }
    }

    /// These devices are removed.
    pub fn remove(devices: impl IntoIterator<Item = DeviceAddress>) -> Self {
        Self { remove: devices.into_iter().collect(), ..Self::default() }
    }
}

/// A device in the groups of its rooms, as LM-04 §4 has it.
///
/// A commit stays pending until the hub has accepted or refused it. If another commit is accepted first, receiving that
/// one drops the pending one and says so. Commits are handed in as the room lists them. An operation that fails leaves
/// everything as it was, and its error says whose fault it is: the sender's of some bytes ([`Error::Peer`]), the
/// caller's ([`Error::Caller`]) or that of something underneath ([`Error::Library`]).
pub trait RoomClient: fmt::Debug + Send {
    /// The name of the MLS implementation underneath, for reports: `openmls`.
    fn stack(&self) -> &'static str;

    /// The credential that is in every leaf of the device (LM-04 §4.1).
    fn credential(&self) -> &DeviceCredential;

    /// Whose device it is.
    fn address(&self) -> &DeviceAddress {
        self.credential().address()
    }

    /// The suite of the device's key packages and groups.
    fn suite(&self) -> Suite;

    /// The object that introduces the device to others, signed (LM-04 §4.1).
    ///
    /// # Errors
    ///
    /// [`Error::Library`] if signing fails.
    fn object(&self) -> Result<DeviceObject, Error>;

    /// A new key package as an `MLSMessage`, to be published (LM-04 §4.4). Without `lifetime`, it is valid from now on
    /// for a time that others accept.
    ///
    /// # Errors
    ///
    /// [`Error::Library`] if something underneath fails.
    fn key_package(&mut self, uses: KeyPackageUse, lifetime: Option<Lifetime>) -> Result<Vec<u8>, Error>;

    /// Makes the group of a room, with this device as its only member (LM-04 §4.2).
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device has to do with a group of the room already.
    fn create(&mut self, room_id: &str) -> Result<(), Error>;

    /// Makes a commit, which is pending then (LM-04 §4.3).
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not in the room's group, if a commit is pending already, or if the changes
    /// make no sense; [`Error::Peer`] if a key package is not valid.
    fn commit(&mut self, room_id: &str, changes: &RoomChanges) -> Result<OutboundCommit, Error>;

    /// The commit that is pending in the room, to be sent again.
    fn pending_commit(&self, room_id: &str) -> Option<&OutboundCommit>;

    /// Notes that the hub accepted the pending commit as the event `event_id`, and returns the epoch it made.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if none is pending, or if the event made another epoch.
    fn accepted(&mut self, room_id: &str, event_id: &str) -> Result<u64, Error>;

    /// Drops the pending commit, because the hub refused it. After an external commit the device has nothing to do with
    /// the room's group then.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if none is pending.
    fn refused(&mut self, room_id: &str) -> Result<(), Error>;

    /// Takes in a commit that the room lists as the event `event_id`, an own one too. A commit that removes this device
    /// makes it forget the group.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] with what is wrong with the commit, [`Error::Caller`] if the device has nothing to do with the
    /// room's group or if the event is known for another epoch.
    fn receive_commit(&mut self, room_id: &str, message: &[u8], event_id: &str) -> Result<Received, Error>;

    /// Joins a group with a Welcome, which came with the id of the commit event that added this device (LM-04 §4.3). The
    /// key package it names is gone afterwards, unless it is one of last resort or the Welcome is not valid.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] with what is wrong with the Welcome, [`Error::Caller`] if the device has to do with the group
    /// already.
    fn join(&mut self, welcome: &[u8], commit_event_id: &str) -> Result<Joined, Error>;

    /// Makes an external commit with which the device joins on its own, from the group state that the commit event
    /// `commit_event_id` published. The device is not a member before the commit is [`accepted`](Self::accepted).
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] with what is wrong with the group state, [`Error::Caller`] if the device has to do with the group
    /// already, or is in it with another signature key.
    fn join_external(
        &mut self,
        room_id: &str,
        group_info: &[u8],
        commit_event_id: &str,
    ) -> Result<OutboundCommit, Error>;

    /// Encrypts application data to the members of the room's group (LM-04 §4.5.2).
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not a member, or if no commit of the group was accepted yet.
    fn encrypt(&mut self, room_id: &str, plaintext: &[u8]) -> Result<Encrypted, Error>;

    /// Decrypts application data of the room's group (LM-04 §4.5.2).
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] if it is not a message this device can decrypt, [`Error::Caller`] if the device is not a member.
    fn decrypt(&mut self, room_id: &str, ciphertext: &[u8]) -> Result<Decrypted, Error>;

    /// The present epoch of the room's group.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not a member.
    fn epoch(&self, room_id: &str) -> Result<u64, Error>;

    /// The members of the room's group, in the order of their leaves.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not a member.
    fn members(&self, room_id: &str) -> Result<Vec<Member>, Error>;

    /// Deletes all that is known of the room's group, with its keys.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if there is nothing to forget.
    fn forget(&mut self, room_id: &str) -> Result<(), Error>;
}

impl RoomClient for Engine {
    fn stack(&self) -> &'static str {
        "openmls"
    }

    fn credential(&self) -> &DeviceCredential {
        self.device().credential()
    }

    fn suite(&self) -> Suite {
        self.device().suite()
    }

    fn object(&self) -> Result<DeviceObject, Error> {
        Ok(self.device().object()?)
    }

    fn key_package(&mut self, uses: KeyPackageUse, lifetime: Option<Lifetime>) -> Result<Vec<u8>, Error> {
        let package = match lifetime {
            None => KeyPackage::generate(self.device(), uses)?,
            Some(lifetime) => KeyPackage::generate_with_lifetime(self.device(), uses, lifetime)?,
        };
        Ok(package.message().to_vec())
    }

    fn create(&mut self, room_id: &str) -> Result<(), Error> {
        Self::create(self, room_id)
    }

    fn commit(&mut self, room_id: &str, changes: &RoomChanges) -> Result<OutboundCommit, Error> {
        let suite = RoomClient::suite(self);
        let read = |bytes: &Vec<u8>| KeyPackage::read(bytes, suite).map_err(CommitError::from);
        let add = changes.add.iter().map(read).collect::<Result<_, _>>()?;
        let (remove, update) = (changes.remove.clone(), changes.update);
        Self::commit(self, room_id, Changes { add, remove, update, ..Changes::default() })
    }

    fn pending_commit(&self, room_id: &str) -> Option<&OutboundCommit> {
        Self::pending_commit(self, room_id)
    }

    fn accepted(&mut self, room_id: &str, event_id: &str) -> Result<u64, Error> {
        Self::accepted(self, room_id, event_id)
    }

    fn refused(&mut self, room_id: &str) -> Result<(), Error> {
        Self::refused(self, room_id)
    }

    fn receive_commit(&mut self, room_id: &str, message: &[u8], event_id: &str) -> Result<Received, Error> {
        Self::receive_commit(self, room_id, message, event_id)
    }

    fn join(&mut self, welcome: &[u8], commit_event_id: &str) -> Result<Joined, Error> {
        Self::join(self, welcome, commit_event_id)
    }

    fn join_external(
        &mut self,
        room_id: &str,
        group_info: &[u8],
        commit_event_id: &str,
    ) -> Result<OutboundCommit, Error> {
        Self::join_external(self, room_id, group_info, commit_event_id)
    }

    fn encrypt(&mut self, room_id: &str, plaintext: &[u8]) -> Result<Encrypted, Error> {
        Self::encrypt(self, room_id, plaintext)
    }

    fn decrypt(&mut self, room_id: &str, ciphertext: &[u8]) -> Result<Decrypted, Error> {
        Self::decrypt(self, room_id, ciphertext)
    }

    fn epoch(&self, room_id: &str) -> Result<u64, Error> {
        Self::epoch(self, room_id)
    }

    fn members(&self, room_id: &str) -> Result<Vec<Member>, Error> {
        Self::members(self, room_id)
    }

    fn forget(&mut self, room_id: &str) -> Result<(), Error> {
        Self::forget(self, room_id)
    }
}

// What clients return is made by these outside this crate, so that fields can be added.

impl Change {
    /// What a commit does. `earlier` is who the committer was before the commit, nobody if it joins by it; `added` has
    /// the committer too then.
    pub fn new(
        epoch: u64,
        committer: Member,
        earlier: Option<&Member>,
        added: Vec<Member>,
        removed: Vec<DeviceAddress>,
    ) -> Self {
        let external = earlier.is_none();
        Self {
            epoch,
            new_signature_key: earlier
                .is_some_and(|earlier| earlier.signature_key != committer.signature_key),
            committer,
            added,
            resync: external && !removed.is_empty(),
            removed,
            external,
        }
    }
}

impl OutboundCommit {
    /// A commit that makes `epoch`, and the group state after it.
    pub fn new(
        message: Vec<u8>,
        public_group_state: Vec<u8>,
        welcome: Option<OutboundWelcome>,
        epoch: u64,
        prev_commit_event_id: Option<String>,
    ) -> Self {
        Self { message, apart: false, public_group_state, welcome, epoch, prev_commit_event_id }
    }
}

impl OutboundWelcome {
    /// A Welcome of a group of `suite`, for these devices.
    pub fn new(message: Vec<u8>, suite: Suite, to: Vec<DeviceAddress>) -> Self {
        Self { message, algorithm: suite.welcome_algorithm(), to }
    }
}

impl Joined {
    /// A group that was joined in `epoch`.
    pub fn new(room_id: String, epoch: u64, added_by: Member, last_resort: bool) -> Self {
        Self { room_id, epoch, added_by, last_resort }
    }
}

impl Encrypted {
    /// A PrivateMessage of a group of `suite`, in the epoch that the event `commit_event_id` made.
    pub fn new(ciphertext: Vec<u8>, commit_event_id: String, suite: Suite) -> Self {
        Self { ciphertext, commit_event_id, algorithm: suite.room_algorithm() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::error::PeerFault;

    const ROOM: &str = "!room:example.org";

    fn client(user_id: &str) -> Box<dyn RoomClient> {
        Box::new(Engine::new(Device::generate(user_id, "D", Suite::MANDATORY).unwrap()))
    }

    #[test]
    fn two_clients_talk_without_knowing_what_they_are() {
        let (mut alice, mut bob) = (client("@alice:a"), client("@bob:b"));
        assert_eq!(alice.stack(), "openmls");
        assert_eq!(alice.object().unwrap().verify().unwrap().address(), alice.address());
        alice.create(ROOM).unwrap();
        let package = bob.key_package(KeyPackageUse::OneTime, None).unwrap();
        let commit = alice.commit(ROOM, &RoomChanges::add([package])).unwrap();
        assert_eq!(alice.pending_commit(ROOM), Some(&commit));
        assert_eq!(alice.accepted(ROOM, "$1").unwrap(), 1);
        bob.join(&commit.welcome.unwrap().message, "$1").unwrap();
        let sent = bob.encrypt(ROOM, b"hi").unwrap();
        assert!(matches!(
            alice.decrypt(ROOM, &sent.ciphertext).unwrap(),
            Decrypted::Message { plaintext, .. } if plaintext == b"hi"
        ));
        assert_eq!(alice.members(ROOM).unwrap(), bob.members(ROOM).unwrap());
        bob.forget(ROOM).unwrap();
        assert!(bob.epoch(ROOM).is_err());
    }

    #[test]
    fn key_packages_are_verified_when_they_are_committed() {
        let (mut alice, mut bob) = (client("@alice:a"), client("@bob:b"));
        alice.create(ROOM).unwrap();
        let mut package = bob.key_package(KeyPackageUse::OneTime, None).unwrap();
        *package.last_mut().unwrap() ^= 1;
        let error = alice.commit(ROOM, &RoomChanges::add([package])).unwrap_err();
        assert!(matches!(error, Error::Peer(PeerFault::KeyPackage(_))), "{error}");
        assert_eq!(alice.pending_commit(ROOM), None);
        let over = Lifetime { not_before: 1, not_after: 2 };
        let package = bob.key_package(KeyPackageUse::LastResort, Some(over)).unwrap();
        let error = alice.commit(ROOM, &RoomChanges::add([package])).unwrap_err();
        assert!(matches!(error, Error::Peer(PeerFault::KeyPackage(_))), "{error}");
        alice.commit(ROOM, &RoomChanges::update()).unwrap();
    }
}
