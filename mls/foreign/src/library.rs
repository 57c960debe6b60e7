//! What is asked of an MLS library. Rooms, events and LM-04's rules are not its business.

use core::fmt::Debug;

use mimi_mls::{DeviceCredential, Error, KeyPackageUse, Lifetime, Member, Source, Suite};

/// An MLS library with the keys of one device.
///
/// What is handed in is framed as an `MLSMessage`, and what is returned is too. A call that fails changes nothing.
pub(crate) trait Library: Debug + Send {
    /// The state of one group.
    type Group: Send;

    /// The library's name.
    const NAME: &'static str;

    fn credential(&self) -> &DeviceCredential;

    fn suite(&self) -> Suite;

    /// Signs with the key of the credential.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Source>;

    /// A new key package, whose private half is kept.
    fn key_package(&mut self, uses: KeyPackageUse, lifetime: Lifetime) -> Result<Vec<u8>, Error>;

    /// Whose key package it is, if its suite and its lifetime are fine. The library verifies the rest when it commits.
    fn owner(&self, key_package: &[u8]) -> Result<Member, Error>;

    fn create(&mut self, group_id: &[u8]) -> Result<Self::Group, Error>;

    /// Makes a commit of by-value proposals, which is the group's pending one then.
    fn commit(&mut self, group: &mut Self::Group, proposals: &Proposals) -> Result<Made, Error>;

    /// Enters the epoch of the pending commit.
    fn merge(&mut self, group: &mut Self::Group) -> Result<(), Error>;

    /// Drops the pending commit.
    fn clear(&mut self, group: &mut Self::Group) -> Result<(), Error>;

    /// Processes somebody else's commit. The group stays as it is; what becomes of it is returned.
    fn process(&mut self, group: &Self::Group, commit: &[u8]) -> Result<Processed<Self::Group>, Error>;

    /// Takes over the group that [`process`](Self::process) or [`enter`](Self::enter) returned, now that it is known to be fine.
    fn settle(&mut self, group: &mut Self::Group) -> Result<(), Error>;

    /// Enters a group by a Welcome. The key package is gone only when the group is settled.
    fn enter(&mut self, welcome: &[u8]) -> Result<Entered<Self::Group>, Error>;

    /// Makes an external commit. The group that is returned is in the epoch it makes.
    fn enter_alone(&mut self, group_info: &[u8]) -> Result<(Self::Group, Made), Error>;

    fn encrypt(&mut self, group: &mut Self::Group, plaintext: &[u8]) -> Result<Vec<u8>, Error>;

    fn decrypt(&mut self, group: &mut Self::Group, ciphertext: &[u8]) -> Result<Opened, Error>;

    fn epoch(&self, group: &Self::Group) -> u64;

    /// The members by the number of their leaves, in that order.
    fn members(&self, group: &Self::Group) -> Result<Vec<(u32, Member)>, Error>;

    fn own_leaf(&self, group: &Self::Group) -> u32;
}

/// What a commit is to consist of.
#[derive(Debug)]
pub(crate) struct Proposals {
    pub(crate) add: Vec<Vec<u8>>,
    pub(crate) remove: Vec<u32>,
    /// Whether there must be a path even if no proposal asks for one.
    pub(crate) path: bool,
}

/// A commit that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) commit: Vec<u8>,
    /// The GroupInfo after the commit, with the external public key and the ratchet tree.
    pub(crate) group_info: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
}

/// A commit that was processed.
pub(crate) struct Processed<G> {
    /// The group after it, unless it removes this device.
    pub(crate) group: Option<G>,
    /// The leaf that starts the commit's path.
    pub(crate) path_leaf: Option<Member>,
    pub(crate) added: Vec<Member>,
    pub(crate) removed: Vec<u32>,
}

/// A group that was entered by a Welcome.
pub(crate) struct Entered<G> {
    pub(crate) group: G,
    pub(crate) group_id: Vec<u8>,
    /// The leaf of whoever made the Welcome.
    pub(crate) sender: u32,
    pub(crate) last_resort: bool,
}

/// An application message that was decrypted.
pub(crate) enum Opened {
    /// It is by this device.
    Own,
    Message {
        sender: Member,
        plaintext: Vec<u8>,
    },
}
