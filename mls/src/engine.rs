//! A device in the groups of its rooms.

mod durable;
mod group;
mod intent;
mod join;
mod keep_up;
mod message;
mod padding;
mod record;

use std::collections::BTreeMap;

pub use self::durable::{DurableEngine, Unsaved};
use self::group::RoomGroup;
use self::intent::Intent;
pub use self::intent::Moot;
pub use self::keep_up::{CaughtUp, Halt, ListedCommit, Rebase, Taken};
pub use self::message::{Changes, Decrypted, Encrypted, Joined, OutboundCommit, OutboundWelcome, Received};
pub use self::padding::Padding;
pub use self::record::Record;
use crate::device::Device;
use crate::epoch::EpochMap;
use crate::error::{CallerFault, CommitError, Error, PeerFault};
use crate::framing;
use crate::roster::Member;

/// One device and the groups it is in, each the group of a room.
///
/// A commit of the device stays pending until the hub has accepted or refused it: [`commit`](Self::commit) and
/// [`join_external`](Self::join_external) make one, [`accepted`](Self::accepted) and [`refused`](Self::refused) end
/// the wait. If another commit is accepted first, [`receive_commit`](Self::receive_commit) drops the pending one and
/// says so. An operation that fails leaves the engine as it was.
///
/// What a commit was made for is remembered until the commit is accepted or given up. After a lost race,
/// [`rebase`](Self::rebase) makes another commit for what the others have not done; [`catch_up`](Self::catch_up) takes
/// in a list of commits and does that by itself.
///
/// Commits must be handed in as the room lists them: the first that is accepted for an epoch wins, and the engine
/// cannot know which one that is. The keys of the groups are in memory only; a [`DurableEngine`] has them stored.
#[derive(Debug)]
pub struct Engine {
    device: Device,
    rooms: BTreeMap<String, RoomGroup>,
    /// What the device wants of a room's group and has not got yet.
    intents: BTreeMap<String, Intent>,
}

impl Engine {
    /// An engine for `device`, in no group yet.
    pub fn new(device: Device) -> Self {
        Self { device, rooms: BTreeMap::new(), intents: BTreeMap::new() }
    }

    /// The device, for its key packages and its device object.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The rooms in whose groups the device is a member.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.iter().filter(|(_, group)| group.is_joined()).map(|(room_id, _)| room_id.as_str())
    }

    /// Makes the group of a room, with this device as its only member (LM-04 §4.2). It is in epoch 0 and of no use to
    /// anybody until its first [`commit`](Self::commit) is accepted.
    ///
    /// # Errors
    ///
    /// [`CallerFault::RoomExists`] or [`CallerFault::NotJoinedYet`] if the device has to do with a group of the room.
    pub fn create(&mut self, room_id: &str) -> Result<(), Error> {
        self.check_vacant(room_id)?;
        let group = RoomGroup::create(&self.device, room_id)?;
        self.rooms.insert(room_id.to_owned(), group);
        self.intents.remove(room_id);
        Ok(())
    }

    /// Makes a commit, which is pending then (LM-04 §4.3). Key packages must be within their lifetimes by the system's
    /// clock; to hand in another time there is [`commit_at`](Self::commit_at). Adding devices alone needs no path; everything else brings a
    /// fresh key of this device's leaf, and so does the group's first commit. What was still wanted after a race that was lost is given up for it.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not in the room's group, if a commit is pending already, if the changes make
    /// no sense, or with [`CallerFault::CommitTooLarge`] if the commit would not fit into an event and may not stand
    /// apart from it ([`Changes::carriage`]), in which case nothing is pending; [`Error::Peer`] if a key package is not valid any more.
    pub fn commit(&mut self, room_id: &str, changes: Changes) -> Result<OutboundCommit, Error> {
        self.commit_when(room_id, changes, false)
    }

    fn commit_when(
        &mut self,
        room_id: &str,
        changes: Changes,
        judged: bool,
    ) -> Result<OutboundCommit, Error> {
        let (device, group) = self.group(room_id)?;
        let intent = Intent::of(&changes, group.roster());
        let outbound = group.commit(device, changes, judged)?;
        self.intents.insert(room_id.to_owned(), intent);
        Ok(outbound)
    }

    /// Makes a commit like [`commit`](Self::commit), as at the time `now` in Unix seconds: whoever is added must be added
    /// with a key package that can be used then.
    ///
    /// No clock plays a part then.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit), with [`PeerFault::KeyPackage`] for a key package that cannot be used at `now`.
    pub fn commit_at(&mut self, room_id: &str, changes: Changes, now: u64) -> Result<OutboundCommit, Error> {
        for key_package in &changes.add {
            key_package.check_lifetime(now).map_err(CommitError::from)?;
        }
        self.commit_when(room_id, changes, true)
    }

    /// The commit that is pending in the room, to be sent again.
    pub fn pending_commit(&self, room_id: &str) -> Option<&OutboundCommit> {
        self.rooms.get(room_id)?.pending()
    }

    /// Notes that the hub accepted the pending commit as the event `event_id`, and enters the epoch it made, which is
    /// returned.
    ///
    /// # Errors
    ///
    /// [`CallerFault::NoCommitPending`], [`CallerFault::NoSuchRoom`], or [`CallerFault::EpochTaken`] if the event made
    /// another epoch.
    pub fn accepted(&mut self, room_id: &str, event_id: &str) -> Result<u64, Error> {
        let epoch = self.rooms.get_mut(room_id).ok_or_else(|| no_such_room(room_id))?.accept(event_id)?;
        self.intents.remove(room_id);
        Ok(epoch)
    }

    /// Drops the pending commit and what it was made for, because the hub refused it or it is not worth waiting for any
    /// more. After an external commit the device has nothing to do with the room's group then.
    ///
    /// If the hub refused it because somebody else's commit came first, leave it pending: that commit is in the room's
    /// list, and taking it in starts over with what is still to be done.
    ///
    /// # Errors
    ///
    /// [`CallerFault::NoCommitPending`] or [`CallerFault::NoSuchRoom`].
    pub fn refused(&mut self, room_id: &str) -> Result<(), Error> {
        let group = self.rooms.get_mut(room_id).ok_or_else(|| no_such_room(room_id))?;
        if group.is_joined() {
            group.refuse()?;
        } else {
            self.rooms.remove(room_id);
        }
        self.intents.remove(room_id);
        Ok(())
    }

    /// Takes in a commit that the room lists as the event `event_id`. Whoever calls this has checked with the rules of
    /// the room that the commit may do what it does; the rules of MLS, and those of LM-04 that need no room, are checked
    /// here.
    ///
    /// Whether key packages of devices that are added are within their lifetimes is not judged: the hub did that when it
    /// took the commit, which may be long ago.
    ///
    /// An own commit is recognised, whether it is still pending or known already. A commit that removes this device
    /// makes the engine forget the group.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] with what is wrong with the commit, [`Error::Caller`] if the device has nothing to do with the
    /// room's group or if the event is known for another epoch.
    pub fn receive_commit(
        &mut self,
        room_id: &str,
        message: &[u8],
        event_id: &str,
    ) -> Result<Received, Error> {
        let message = framing::read(message).map_err(PeerFault::from)?;
        let view = framing::CommitView::read(&message)?;
        view.check(room_id.as_bytes(), self.device.suite())?;
        let group = self.rooms.get_mut(room_id).ok_or_else(|| no_such_room(room_id))?;
        let received = group.receive(&self.device, message, &view, event_id)?;
        if matches!(received, Received::Removed { .. } | Received::JoinLost) {
            self.rooms.remove(room_id);
        }
        self.follow_intent(room_id, &received);
        Ok(received)
    }

    /// Encrypts application data to the members of the room's group (LM-04 §4.5.2). Its length is hidden by
    /// [`Padding::Buckets`].
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not a member, or if no commit of the group was accepted yet.
    pub fn encrypt(&mut self, room_id: &str, plaintext: &[u8]) -> Result<Encrypted, Error> {
        self.encrypt_padded(room_id, plaintext, Padding::default())
    }

    /// Like [`encrypt`](Self::encrypt), with the padding of one's choice.
    ///
    /// # Errors
    ///
    /// Those of [`encrypt`](Self::encrypt).
    pub fn encrypt_padded(
        &mut self,
        room_id: &str,
        plaintext: &[u8],
        padding: Padding,
    ) -> Result<Encrypted, Error> {
        let (device, group) = self.group(room_id)?;
        group.encrypt(device, plaintext, padding)
    }

    /// Decrypts application data of the room's group (LM-04 §4.5.2). Each message can be decrypted once, and only while
    /// its epoch is the present one or one of the two before it.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] if it is not a message this device can decrypt, [`Error::Caller`] if the device is not a member.
    pub fn decrypt(&mut self, room_id: &str, ciphertext: &[u8]) -> Result<Decrypted, Error> {
        let (_, group) = self.group(room_id)?;
        group.decrypt(ciphertext)
    }

    /// The present epoch of the room's group.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not a member.
    pub fn epoch(&self, room_id: &str) -> Result<u64, Error> {
        Ok(self.group_ref(room_id)?.epoch())
    }

    /// The members of the room's group, in the order of their leaves.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not a member.
    pub fn members(&self, room_id: &str) -> Result<Vec<Member>, Error> {
        Ok(self.group_ref(room_id)?.roster().members().cloned().collect())
    }

    /// The ratchet tree of the room's group, as whoever joins it needs it beside a GroupInfo that leaves it out
    /// (RFC 9420 §12.4.3.3).
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not a member.
    pub fn ratchet_tree(&self, room_id: &str) -> Result<Vec<u8>, Error> {
        Ok(self.group_ref(room_id)?.ratchet_tree()?)
    }

    /// To how many keys a path of this device would have to be encrypted, if it made a commit that has one now. Each
    /// takes about 85 bytes of the commit in suites without post-quantum keys. In a tree whose parents all have keys it
    /// is the logarithm of the group's size, in one whose parents are blank the size itself.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not a member.
    pub fn path_keys(&self, room_id: &str) -> Result<usize, Error> {
        let (tree, leaf) = self.group_ref(room_id)?.nodes()?;
        Ok(tree.path_keys(leaf))
    }

    /// Whether an [update](Changes::update) by this device would spare the others much: whoever commits with a path has
    /// to encrypt to each leaf among the [`WARM_LEAVES`](crate::WARM_LEAVES) around this one, where one key for all of
    /// them would do. That is so after adds, which bring no path, and after a removal nearby.
    ///
    /// One update in each such part of the tree is enough for all commits of the group to stay small. A device that
    /// finds this to be so after it joined, or after a commit, should therefore make one; if somebody else's comes
    /// first, it asks again.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not a member.
    pub fn is_cold(&self, room_id: &str) -> Result<bool, Error> {
        let (tree, leaf) = self.group_ref(room_id)?.nodes()?;
        Ok(tree.is_cold(leaf))
    }

    /// Which commit events made the epochs of the room's group, as far as the device was there.
    ///
    /// # Errors
    ///
    /// [`Error::Caller`] if the device is not a member.
    pub fn epochs(&self, room_id: &str) -> Result<&EpochMap, Error> {
        Ok(self.group_ref(room_id)?.epochs())
    }

    /// Deletes all that is known of the room's group, with its keys. The group does not notice: MLS lets nobody remove
    /// itself, so somebody else has to remove the device's leaf (LM-04 §4.3).
    ///
    /// # Errors
    ///
    /// [`CallerFault::NoSuchRoom`] if there is nothing to forget.
    pub fn forget(&mut self, room_id: &str) -> Result<(), Error> {
        self.intents.remove(room_id);
        self.rooms.remove(room_id).map(drop).ok_or_else(|| no_such_room(room_id).into())
    }

    fn check_vacant(&self, room_id: &str) -> Result<(), CallerFault> {
        match self.rooms.get(room_id) {
            None => Ok(()),
            Some(group) if group.is_joined() => Err(CallerFault::RoomExists { room_id: room_id.to_owned() }),
            Some(_) => Err(CallerFault::NotJoinedYet),
        }
    }

    fn group(&mut self, room_id: &str) -> Result<(&Device, &mut RoomGroup), CallerFault> {
        match self.rooms.get_mut(room_id) {
            Some(group) if group.is_joined() => Ok((&self.device, group)),
            Some(_) => Err(CallerFault::NotJoinedYet),
            None => Err(no_such_room(room_id)),
        }
    }

    fn group_ref(&self, room_id: &str) -> Result<&RoomGroup, CallerFault> {
        match self.rooms.get(room_id) {
            Some(group) if group.is_joined() => Ok(group),
            Some(_) => Err(CallerFault::NotJoinedYet),
            None => Err(no_such_room(room_id)),
        }
    }
}

fn no_such_room(room_id: &str) -> CallerFault {
    CallerFault::NoSuchRoom { room_id: room_id.to_owned() }
}

#[cfg(test)]
mod tests;
