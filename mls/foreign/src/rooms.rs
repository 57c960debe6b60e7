//! LM-04's rules for a device, on top of whatever MLS library it has.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use mimi_mls::framing::MessageKind;
use mimi_mls::{
    CallerFault, Change, Decrypted, DeviceAddress, DeviceCredential, DeviceObject, Encrypted, EpochMap,
    Error, Joined, KeyPackageUse, Lifetime, MAX_EPOCH, Member, OutboundCommit, OutboundWelcome, PeerFault,
    Received, RoomChanges, RoomClient, Suite, check_distinct,
};

use crate::library::{Library, Made, Opened, Processed, Proposals};
use crate::wire::{self, CommitHeader, Sender};

/// How many epochs back messages are still decrypted, as in `mimi-mls`.
pub(crate) const PAST_EPOCHS: u64 = 2;

/// How long the key packages are valid whose lifetime nobody says: about three months, from an hour ago.
const LIFETIME_SECS: u64 = 84 * 24 * 60 * 60;
const SKEW_SECS: u64 = 60 * 60;

/// The lifetime of such a key package that is made now.
pub(crate) fn usual_lifetime() -> Lifetime {
    let now = now();
    Lifetime { not_before: now.saturating_sub(SKEW_SECS), not_after: now.saturating_add(LIFETIME_SECS) }
}

/// A device of a room with the library `L`.
pub(crate) struct Rooms<L: Library> {
    library: L,
    rooms: BTreeMap<String, Room<L::Group>>,
}

struct Room<G> {
    group: G,
    epochs: EpochMap,
    /// The epoch in which the device came in.
    first_epoch: u64,
    pending: Option<OutboundCommit>,
    /// Whether the device is a member. If it is not, its external commit is pending, and `group` is in the epoch that
    /// commit makes.
    joined: bool,
}

impl<L: Library> Rooms<L> {
    pub(crate) fn new(library: L) -> Self {
        Self { library, rooms: BTreeMap::new() }
    }

    #[cfg(test)]
    pub(crate) fn library(&self) -> &L {
        &self.library
    }

    #[cfg(test)]
    pub(crate) fn into_library(self) -> L {
        self.library
    }

    fn check_vacant(&self, room_id: &str) -> Result<(), CallerFault> {
        match self.rooms.get(room_id) {
            None => Ok(()),
            Some(room) if room.joined => Err(CallerFault::RoomExists { room_id: room_id.to_owned() }),
            Some(_) => Err(CallerFault::NotJoinedYet),
        }
    }

    fn member_room(&mut self, room_id: &str) -> Result<(&mut L, &mut Room<L::Group>), CallerFault> {
        match self.rooms.get_mut(room_id) {
            Some(room) if room.joined => Ok((&mut self.library, room)),
            Some(_) => Err(CallerFault::NotJoinedYet),
            None => Err(no_such_room(room_id)),
        }
    }

    fn room(&self, room_id: &str) -> Result<&Room<L::Group>, CallerFault> {
        match self.rooms.get(room_id) {
            Some(room) if room.joined => Ok(room),
            Some(_) => Err(CallerFault::NotJoinedYet),
            None => Err(no_such_room(room_id)),
        }
    }

    /// The proposals that make `changes` of a group with these members, and who is added.
    fn proposals(
        library: &L,
        members: &[(u32, Member)],
        changes: &RoomChanges,
    ) -> Result<(Proposals, Vec<DeviceAddress>), Error> {
        let RoomChanges { add, remove, update } = changes;
        if add.is_empty() && remove.is_empty() && !update {
            return Err(CallerFault::NothingToCommit.into());
        }
        let mut leaves = Vec::with_capacity(remove.len());
        for address in remove {
            if address == library.credential().address() {
                return Err(CallerFault::CannotRemoveSelf.into());
            }
            let Some((leaf, _)) = members.iter().find(|(_, member)| member.address == *address) else {
                return Err(CallerFault::NotAMember { address: address.clone() }.into());
            };
            if leaves.contains(leaf) {
                return Err(CallerFault::ListedTwice { address: address.clone() }.into());
            }
            leaves.push(*leaf);
        }
        let staying: BTreeSet<_> = members
            .iter()
            .filter(|(leaf, _)| !leaves.contains(leaf))
            .map(|(_, member)| &member.address)
            .collect();
        let (mut to, mut packages) = (Vec::with_capacity(add.len()), Vec::with_capacity(add.len()));
        for package in add {
            let package = wire::framed(MessageKind::KeyPackage, package)?;
            let address = library.owner(&package)?.address;
            if staying.contains(&address) {
                return Err(CallerFault::AlreadyAMember { address }.into());
            }
            if to.contains(&address) {
                return Err(CallerFault::ListedTwice { address }.into());
            }
            to.push(address);
            packages.push(package);
        }
        Ok((Proposals { add: packages, remove: leaves, path: *update }, to))
    }

    /// What a commit does that was processed, if it keeps the rules of rooms.
    fn change(
        &self,
        header: &CommitHeader,
        members: &[(u32, Member)],
        processed: &Processed<L::Group>,
        epoch: u64,
    ) -> Result<Change, Error> {
        let at = |leaf: u32| members.iter().find(|(index, _)| *index == leaf).map(|(_, member)| member);
        let mut removed = Vec::with_capacity(processed.removed.len());
        for &leaf in &processed.removed {
            removed.push(at(leaf).ok_or(PeerFault::SenderNotInGroup)?.address.clone());
        }
        let (committer, earlier) = match header.sender {
            Sender::Member(leaf) => {
                let earlier = at(leaf).ok_or(PeerFault::SenderNotInGroup)?;
                (processed.path_leaf.clone().unwrap_or_else(|| earlier.clone()), Some(earlier))
            }
            Sender::NewMemberCommit => {
                (processed.path_leaf.clone().ok_or(PeerFault::SenderNotInGroup)?, None)
            }
            Sender::Other => return Err(PeerFault::SenderMayNotCommit.into()),
        };
        let mut added = processed.added.clone();
        match earlier {
            Some(earlier) if earlier.address != committer.address => {
                let (before, after) = (earlier.address.clone(), committer.address);
                return Err(PeerFault::IdentityChanged { before, after }.into());
            }
            Some(_) => {}
            None => {
                if let Some(other) = removed.iter().find(|address| **address != committer.address) {
                    let (joiner, removed) = (committer.address, other.clone());
                    return Err(PeerFault::RemovedByJoiner { joiner, removed }.into());
                }
                added.push(committer.clone());
            }
        }
        if let Some(group) = &processed.group {
            self.check_members(group)?;
        }
        Ok(Change::new(epoch, committer, earlier, added, removed))
    }

    fn check_members(&self, group: &L::Group) -> Result<Vec<(u32, Member)>, Error> {
        let members = self.library.members(group)?;
        check_distinct(members.iter().map(|(_, member)| member))?;
        Ok(members)
    }

    fn outbound(
        &self,
        made: Made,
        epoch: u64,
        prev: Option<String>,
        to: Vec<DeviceAddress>,
    ) -> OutboundCommit {
        let suite = self.library.suite();
        let welcome = made.welcome.map(|message| OutboundWelcome::new(message, suite, to));
        OutboundCommit::new(made.commit, made.group_info, welcome, epoch, prev)
    }
}

impl<L: Library> RoomClient for Rooms<L> {
    fn stack(&self) -> &'static str {
        L::NAME
    }

    fn credential(&self) -> &DeviceCredential {
        self.library.credential()
    }

    fn suite(&self) -> Suite {
        self.library.suite()
    }

    fn object(&self) -> Result<DeviceObject, Error> {
        let sign = |message: &[u8]| self.library.sign(message);
        Ok(DeviceObject::sign(self.library.credential(), self.library.suite(), sign)?)
    }

    fn key_package(&mut self, uses: KeyPackageUse, lifetime: Option<Lifetime>) -> Result<Vec<u8>, Error> {
        self.library.key_package(uses, lifetime.unwrap_or_else(usual_lifetime))
    }

    fn create(&mut self, room_id: &str) -> Result<(), Error> {
        self.check_vacant(room_id)?;
        let group = self.library.create(room_id.as_bytes())?;
        let room = Room { group, epochs: EpochMap::new(), first_epoch: 0, pending: None, joined: true };
        self.rooms.insert(room_id.to_owned(), room);
        Ok(())
    }

    fn commit(&mut self, room_id: &str, changes: &RoomChanges) -> Result<OutboundCommit, Error> {
        let (library, room) = self.member_room(room_id)?;
        if room.pending.is_some() {
            return Err(CallerFault::CommitPending.into());
        }
        let now = library.epoch(&room.group);
        let epoch = next_epoch(now)?;
        let members = library.members(&room.group)?;
        let (proposals, to) = Self::proposals(library, &members, changes)?;
        let prev = room.epochs.event(now).map(str::to_owned);
        let made = library.commit(&mut room.group, &proposals)?;
        let outbound = self.outbound(made, epoch, prev, to);
        let (_, room) = self.member_room(room_id)?;
        Ok(room.pending.insert(outbound).clone())
    }

    fn pending_commit(&self, room_id: &str) -> Option<&OutboundCommit> {
        self.rooms.get(room_id)?.pending.as_ref()
    }

    fn accepted(&mut self, room_id: &str, event_id: &str) -> Result<u64, Error> {
        let room = self.rooms.get_mut(room_id).ok_or_else(|| no_such_room(room_id))?;
        let epoch = room.pending.as_ref().ok_or(CallerFault::NoCommitPending)?.epoch;
        let mut epochs = room.epochs.clone();
        epochs.record(epoch, event_id)?;
        if room.joined {
            self.library.merge(&mut room.group)?;
        } else {
            self.library.settle(&mut room.group)?;
        }
        room.epochs = epochs;
        room.pending = None;
        room.joined = true;
        Ok(epoch)
    }

    fn refused(&mut self, room_id: &str) -> Result<(), Error> {
        let room = self.rooms.get_mut(room_id).ok_or_else(|| no_such_room(room_id))?;
        if room.pending.is_none() {
            return Err(CallerFault::NoCommitPending.into());
        }
        if room.joined {
            self.library.clear(&mut room.group)?;
            room.pending = None;
        } else {
            self.rooms.remove(room_id);
        }
        Ok(())
    }

    fn receive_commit(&mut self, room_id: &str, message: &[u8], event_id: &str) -> Result<Received, Error> {
        let message = wire::framed(MessageKind::PublicMessage, message)?;
        let header = wire::commit_header(&message)?;
        if header.group_id != room_id.as_bytes() {
            return Err(PeerFault::WrongGroup { got: header.group_id }.into());
        }
        if header.sender == Sender::Other {
            return Err(PeerFault::SenderMayNotCommit.into());
        }
        let room = self.rooms.get(room_id).ok_or_else(|| no_such_room(room_id))?;
        let epoch = next_epoch(header.epoch)?;
        let mut epochs = room.epochs.clone();
        let known = epochs.epoch(event_id).is_some();
        let fits = epochs.record(epoch, event_id);
        if known {
            fits?;
            return Ok(Received::Known { epoch });
        }
        let now = self.library.epoch(&room.group);
        let (expected, got) = (if room.joined { now } else { now.saturating_sub(1) }, header.epoch);
        if got < expected {
            return Err(PeerFault::StaleEpoch { expected, got }.into());
        }
        if got > expected && room.joined {
            return Err(PeerFault::EpochAhead { expected, got }.into());
        }
        if room.pending.as_ref().is_some_and(|pending| pending.message == message) {
            return Ok(Received::Own { epoch: self.accepted(room_id, event_id)? });
        }
        if !room.joined {
            self.rooms.remove(room_id);
            return Ok(Received::JoinLost);
        }
        let members = self.library.members(&room.group)?;
        if let Sender::Member(leaf) = header.sender {
            if leaf == self.library.own_leaf(&room.group) {
                return Err(PeerFault::UnknownOwnCommit.into());
            }
            if !members.iter().any(|(index, _)| *index == leaf) {
                return Err(PeerFault::SenderNotInGroup.into());
            }
        }
        let processed = self.library.process(&room.group, &message)?;
        let change = self.change(&header, &members, &processed, epoch)?;
        fits?;
        let lost_race = self.pending_commit(room_id).is_some();
        let Some(mut group) = processed.group else {
            self.rooms.remove(room_id);
            return Ok(Received::Removed { change, lost_race });
        };
        self.library.settle(&mut group)?;
        if let Some(room) = self.rooms.get_mut(room_id) {
            room.group = group;
            room.epochs = epochs;
            room.pending = None;
        }
        Ok(Received::Applied { change, lost_race })
    }

    fn join(&mut self, welcome: &[u8], commit_event_id: &str) -> Result<Joined, Error> {
        let welcome = wire::framed(MessageKind::Welcome, welcome)?;
        let mut entered = self.library.enter(&welcome)?;
        let room_id = String::from_utf8(entered.group_id).map_err(|_| PeerFault::GroupIdNotUtf8)?;
        let epoch = self.library.epoch(&entered.group);
        if epoch == 0 || epoch > MAX_EPOCH {
            return Err(PeerFault::EpochOutOfRange { epoch }.into());
        }
        let members = self.check_members(&entered.group)?;
        let added_by = members.into_iter().find(|(leaf, _)| *leaf == entered.sender);
        let (_, added_by) = added_by.ok_or(PeerFault::UnknownGroupInfoSigner)?;
        self.check_vacant(&room_id)?;
        let mut epochs = EpochMap::new();
        epochs.record(epoch, commit_event_id)?;
        self.library.settle(&mut entered.group)?;
        let room = Room { group: entered.group, epochs, first_epoch: epoch, pending: None, joined: true };
        self.rooms.insert(room_id.clone(), room);
        Ok(Joined::new(room_id, epoch, added_by, entered.last_resort))
    }

    fn join_external(
        &mut self,
        room_id: &str,
        group_info: &[u8],
        commit_event_id: &str,
    ) -> Result<OutboundCommit, Error> {
        self.check_vacant(room_id)?;
        let group_info = wire::framed(MessageKind::GroupInfo, group_info)?;
        let (got, group_id, base) = wire::group_info_header(&group_info)?;
        if group_id != room_id.as_bytes() {
            return Err(PeerFault::WrongGroup { got: group_id }.into());
        }
        let expected = self.library.suite();
        if got != expected.code() {
            return Err(PeerFault::WrongSuite { expected, got }.into());
        }
        if base == 0 {
            return Err(PeerFault::EpochOutOfRange { epoch: base }.into());
        }
        let epoch = next_epoch(base)?;
        let mut epochs = EpochMap::new();
        epochs.record(base, commit_event_id)?;
        let (group, made) = self.library.enter_alone(&group_info)?;
        match self.check_members(&group) {
            Ok(_) => {}
            Err(Error::Peer(PeerFault::DuplicateDevice { address }))
                if address == *self.library.credential().address() =>
            {
                return Err(CallerFault::StaleOwnLeaf.into());
            }
            Err(error) => return Err(error),
        }
        let outbound = self.outbound(made, epoch, Some(commit_event_id.to_owned()), Vec::new());
        let pending = Some(outbound.clone());
        self.rooms
            .insert(room_id.to_owned(), Room { group, epochs, first_epoch: epoch, pending, joined: false });
        Ok(outbound)
    }

    fn encrypt(&mut self, room_id: &str, plaintext: &[u8]) -> Result<Encrypted, Error> {
        let (library, room) = self.member_room(room_id)?;
        let event = room.epochs.event(library.epoch(&room.group)).ok_or(CallerFault::NoCommitYet)?;
        let event = event.to_owned();
        let ciphertext = library.encrypt(&mut room.group, plaintext)?;
        Ok(Encrypted::new(ciphertext, event, library.suite()))
    }

    fn decrypt(&mut self, room_id: &str, ciphertext: &[u8]) -> Result<Decrypted, Error> {
        let (library, room) = self.member_room(room_id)?;
        let message = wire::framed(MessageKind::PrivateMessage, ciphertext)?;
        let header = wire::application_header(&message)?;
        if header.group_id != room_id.as_bytes() {
            return Err(PeerFault::WrongGroup { got: header.group_id }.into());
        }
        let (expected, epoch) = (library.epoch(&room.group), header.epoch);
        if epoch > expected {
            return Err(PeerFault::EpochAhead { expected, got: epoch }.into());
        }
        if epoch < expected.saturating_sub(PAST_EPOCHS).max(room.first_epoch) {
            return Err(PeerFault::EpochTooOld { epoch }.into());
        }
        match library.decrypt(&mut room.group, &message)? {
            Opened::Own => Ok(Decrypted::Own { epoch }),
            Opened::Message { sender, plaintext } => Ok(Decrypted::Message {
                sender: sender.address,
                plaintext,
                epoch,
                commit_event_id: room.epochs.event(epoch).map(str::to_owned),
            }),
        }
    }

    fn epoch(&self, room_id: &str) -> Result<u64, Error> {
        Ok(self.library.epoch(&self.room(room_id)?.group))
    }

    fn members(&self, room_id: &str) -> Result<Vec<Member>, Error> {
        let members = self.library.members(&self.room(room_id)?.group)?;
        Ok(members.into_iter().map(|(_, member)| member).collect())
    }

    fn forget(&mut self, room_id: &str) -> Result<(), Error> {
        self.rooms.remove(room_id).map(drop).ok_or_else(|| no_such_room(room_id).into())
    }
}

impl<L: Library> fmt::Debug for Rooms<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms")
            .field("library", &self.library)
            .field("rooms", &self.rooms.keys())
            .finish_non_exhaustive()
    }
}

fn no_such_room(room_id: &str) -> CallerFault {
    CallerFault::NoSuchRoom { room_id: room_id.to_owned() }
}

fn next_epoch(epoch: u64) -> Result<u64, PeerFault> {
    match epoch.checked_add(1) {
        Some(next) if next <= MAX_EPOCH => Ok(next),
        _ => Err(PeerFault::EpochOutOfRange { epoch: epoch.saturating_add(1) }),
    }
}

/// The system's time in Unix seconds: like OpenMLS, the other libraries take it for lifetimes themselves.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
