//! MLS in Linearized Matrix rooms.
//!
//! Every room of [Linearized Matrix] that encrypts has one [MLS] group, whose id is the room's id and whose members are
//! devices. This crate has the two sides of that, and the place where other MLS implementations fit in:
//!
//! - A [`Device`] with its keys, its signed [`DeviceObject`] and its [`KeyPackage`]s, and the [`Engine`] in which it
//!   creates, joins and leaves groups, commits, encrypts and decrypts.
//! - A [`GroupTracker`], which follows a group from outside by its public commits. It is what a hub uses to refuse a
//!   commit that breaks a rule, and what a participant uses to check the hub.
//! - [`RoomClient`], what a device does in its groups, whichever MLS implementation does it. An engine is one.
//!
//! Engine and tracker judge commits by the same rules and report what a commit does as a [`Change`]. What users may do
//! in a room is not known here: whether a device may be added or removed, and whether its key is the one in its device
//! object, is for the layer above to say before it merges a change or hands a commit to an engine.
//!
//! Nothing in here does I/O: bytes and typed values go in, values come out. Room ids and event ids are opaque strings;
//! user ids and device ids are non-empty strings of at most 255 bytes, whose grammar is checked elsewhere. Errors say
//! who is at fault: see [`PeerFault`], [`CallerFault`] and [`LibraryFault`].
//!
//! There are exceptions to that purity. Keys are made from the operating system's randomness, and the leaves of large
//! trees are verified on all cores. And OpenMLS, on which all of this is built, compares the lifetimes of key packages
//! with the system's clock. For whatever depends on one there is a function that is handed a time instead
//! ([`KeyPackage::read_at`], [`Lifetime::usual`], [`GroupTracker::stage_at`], [`Engine::commit_at`]), and whoever follows
//! a group that is there needs none.
//!
//! # Example
//!
//! Alice makes a group, adds Bob's device, and they talk. A hub watches.
//!
//! ```
//! use mimi_mls::{
//!     Changes, Decrypted, Device, Engine, GroupTracker, KeyPackage, KeyPackageUse, Suite,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let room = "!room:example.org";
//! let mut alice = Engine::new(Device::generate("@alice:example.org", "PHONE", Suite::MANDATORY)?);
//! let mut bob = Engine::new(Device::generate("@bob:example.net", "LAPTOP", Suite::MANDATORY)?);
//!
//! // Bob's device introduces itself and leaves a key package with its server, where Alice's server claims it.
//! let bobs_object = bob.device().object()?.verify()?;
//! let published = KeyPackage::generate(bob.device(), KeyPackageUse::OneTime)?.message().to_vec();
//!
//! // Alice makes the group. The first commit starts the hub's view of it.
//! alice.create(room)?;
//! let first = alice.commit(room, Changes { update: true, ..Changes::default() })?;
//! let (mut hub, _) = GroupTracker::start(room, Suite::MANDATORY, &first.message, &first.public_group_state)?;
//! alice.accepted(room, "$first")?;
//!
//! // She adds Bob. The hub looks at what the commit does before it accepts it.
//! let add = vec![KeyPackage::read(&published, Suite::MANDATORY)?];
//! let second = alice.commit(room, Changes { add, ..Changes::default() })?;
//! let staged = hub.stage(&second.message, &second.public_group_state)?;
//! let added = &staged.change().added[0];
//! assert!(bobs_object.owns_leaf(Suite::MANDATORY, &added.address, &added.signature_key));
//! hub.merge(staged)?;
//! alice.accepted(room, "$second")?;
//!
//! // Bob gets the Welcome by to-device message.
//! let welcome = second.welcome.ok_or("somebody was added")?;
//! bob.join(&welcome.message, "$second")?;
//!
//! let sent = bob.encrypt(room, b"Hello, Alice!")?;
//! assert_eq!(sent.commit_event_id, "$second");
//! match alice.decrypt(room, &sent.ciphertext)? {
//!     Decrypted::Message { sender, plaintext, .. } => {
//!         assert_eq!(sender.user_id(), "@bob:example.net");
//!         assert_eq!(plaintext, b"Hello, Alice!");
//!     }
//!     other => panic!("{other:?}"),
//! }
//! assert!(hub.members().eq(&alice.members(room)?));
//! # Ok(())
//! # }
//! ```
//!
//! [Linearized Matrix]: https://datatracker.ietf.org/doc/draft-ralston-mimi-linearized-matrix/04/
//! [MLS]: https://www.rfc-editor.org/rfc/rfc9420

pub mod framing;

mod carriage;
mod change;
mod client;
mod credential;
mod crypto;
mod device;
mod engine;
mod epoch;
mod error;
mod key_package;
mod roster;
mod snapshot;
mod storage;
mod suite;
mod tracker;
mod tree;

#[cfg(test)]
mod testing;

pub use self::carriage::{Carriage, MAX_INSIDE_LEN, Placement, batches};
pub use self::change::Change;
pub use self::client::{RoomChanges, RoomClient};
pub use self::credential::{
    AddressError, AddressField, CredentialError, DeviceAddress, DeviceCredential, MAX_ID_LEN,
};
pub use self::device::{Device, DeviceObject, DeviceObjectError, NotCanonicalisable, VerifiedDevice};
pub use self::engine::{
    CaughtUp, Changes, Decrypted, DurableEngine, Encrypted, Engine, Halt, Joined, ListedCommit, Moot,
    OutboundCommit, OutboundWelcome, Padding, Rebase, Received, Record, Taken, Unsaved,
};
pub use self::epoch::{EpochMap, MAX_EPOCH};
pub use self::error::{
    CallerFault, CommitError, Error, GroupStatePart, LibraryFault, PeerFault, Signed, Source,
};
pub use self::key_package::{
    KeyPackage, KeyPackageError, KeyPackageUse, Lifetime, MAX_LIFETIME_SECS, Stock, UnverifiedKeyPackage,
};
pub use self::roster::{Member, check_distinct};
pub use self::snapshot::SnapshotError;
pub use self::suite::{SignatureScheme, Suite};
pub use self::tracker::{GroupTracker, StagedChange};
pub use self::tree::{MAX_TREE_LEN, TreeError, WARM_LEAVES, tree_hash};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_keeps_can_be_shared_among_threads() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Engine>();
        shared::<DurableEngine>();
        shared::<Device>();
        shared::<DeviceObject>();
        shared::<KeyPackage>();
        shared::<GroupTracker>();
        shared::<StagedChange>();
        shared::<Error>();
        shared::<CommitError>();
        shared::<DeviceObjectError>();
        shared::<KeyPackageError>();
        shared::<SnapshotError>();
    }
}
