//! Following a group through its room's list, and starting over after a race that was lost.
//!
//! The hub takes one commit for each epoch (reading R28). Whoever committed for the same epoch and was not first has
//! lost: its own commit is void, and what it was made for has to be committed again on top of what won, unless that did
//! it already.

use super::intent::{Goal, Moot};
use super::message::{OutboundCommit, Received};
use super::{Engine, RoomGroup, no_such_room};
use crate::carriage::Carriage;
use crate::error::{CallerFault, Error, LibraryFault, PeerFault};

/// A commit as the room lists it (LM-04 §4.5.1).
#[derive(Clone, Copy, Debug)]
pub struct ListedCommit<'a> {
    /// The id of the commit event.
    pub event_id: &'a str,
    /// The event's `message`.
    pub message: &'a [u8],
    /// The event's `public_group_state`.
    pub public_group_state: &'a [u8],
    /// The ratchet tree after the commit, from the hub, if the group state leaves it out (reading R35). Only a device
    /// that joins on its own needs it, and only of the newest commit.
    pub tree: Option<&'a [u8]>,
}

/// What [`Engine::catch_up`] made of a list of commits.
#[derive(Debug)]
#[must_use = "a new commit may be waiting to be sent"]
#[non_exhaustive]
pub struct CaughtUp {
    /// What each commit was, in the order of the list, as far as it was followed: up to the halt, to the commit that
    /// removes this device, or to the one that won against its joining.
    pub taken: Vec<Taken>,
    /// What kept the device from following the list to its end.
    pub halt: Option<Halt>,
    /// What became of the commit that this device had pending, if it lost.
    pub rebase: Option<Rebase>,
}

/// What a listed commit was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Taken {
    /// It belongs to the present of the group.
    Received(Received),
    /// It is for an epoch that was over already, or that was before this device came in. It does nothing.
    Past,
}

/// A commit that a device cannot follow.
#[derive(Debug)]
#[non_exhaustive]
pub struct Halt {
    /// Its event.
    pub event_id: String,
    /// Why.
    pub fault: Error,
}

impl Halt {
    /// Whether commits before this one are missing. With them, the list can be followed.
    pub fn is_gap(&self) -> bool {
        matches!(self.fault, Error::Peer(PeerFault::EpochAhead { .. }))
    }

    /// Whether the room goes on from a commit that this device refuses, or cannot process as it has lost the keys that
    /// belong to it. Such a device is out of step for good: it has to [`forget`](Engine::forget) the group and
    /// [join again](Engine::join_external) from the newest group state.
    pub fn is_final(&self) -> bool {
        matches!(self.fault, Error::Peer(_)) && !self.is_gap()
    }
}

/// What became of something this device wanted to commit when somebody else's commit came first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "the new commit has to be sent"]
#[non_exhaustive]
pub struct Rebase {
    /// What it will not commit, and why.
    pub moot: Vec<Moot>,
    /// The commit for the rest, which is pending now. `None` if nothing is left.
    pub commit: Option<OutboundCommit>,
}

impl Engine {
    /// Takes in commits as the room lists them, from wherever the caller's knowledge of them begins up to the newest, and
    /// starts over if the commit that this device had pending lost against one of them. Commits of epochs that are over,
    /// known ones and the device's own are passed by or recognised, so that lists may overlap.
    ///
    /// `now` is the time in Unix seconds: a device whose key package has expired in the meantime is not added any more.
    ///
    /// The commits before a [`Halt`] are taken in.
    ///
    /// # Errors
    ///
    /// [`CallerFault::NoSuchRoom`] if the device has nothing to do with the room's group, and [what starting over may
    /// fail with](Self::rebase); the commits are taken in then, and `rebase` can be called again.
    pub fn catch_up(
        &mut self,
        room_id: &str,
        commits: &[ListedCommit<'_>],
        now: u64,
    ) -> Result<CaughtUp, Error> {
        if !self.rooms.contains_key(room_id) && !self.intents.contains_key(room_id) {
            return Err(no_such_room(room_id).into());
        }
        let (mut taken, mut halt) = (Vec::with_capacity(commits.len()), None);
        for commit in commits {
            if !self.rooms.contains_key(room_id) {
                break;
            }
            match self.receive_commit(room_id, commit.message, commit.event_id) {
                Ok(received) => taken.push(Taken::Received(received)),
                Err(Error::Peer(PeerFault::StaleEpoch { .. })) => taken.push(Taken::Past),
                Err(fault) => {
                    halt = Some(Halt { event_id: commit.event_id.to_owned(), fault });
                    break;
                }
            }
        }
        // After a gap there is more to come, which may do what is wanted.
        let rebase = if halt.is_some() { None } else { self.rebase(room_id, commits.last(), now)? };
        Ok(CaughtUp { taken, halt, rebase })
    }

    /// Starts over after a lost race: makes a commit for what this device wanted and nobody has done since, which is
    /// pending then. `newest` is the room's newest commit; only a device that joins on its own needs it. `now` is the
    /// time in Unix seconds.
    ///
    /// Returns `None` if no race was lost: nothing is wanted, or the commit for it is still pending.
    ///
    /// # Errors
    ///
    /// Those of [`commit`](Self::commit) or [`join_external`](Self::join_external), and
    /// [`CallerFault::GroupStateNeeded`]. What is wanted is kept; [`give_up`](Self::give_up) ends that.
    pub fn rebase(
        &mut self,
        room_id: &str,
        newest: Option<&ListedCommit<'_>>,
        now: u64,
    ) -> Result<Option<Rebase>, Error> {
        if self.pending_commit(room_id).is_some() {
            return Ok(None);
        }
        let Some(intent) = self.intents.get_mut(room_id) else { return Ok(None) };
        if let Goal::Join { resync, carriage } = intent.goal {
            let newest = newest.ok_or(CallerFault::GroupStateNeeded)?;
            return self.join_again(room_id, newest, resync, carriage).map(Some);
        }
        let mut next = intent.clone();
        let (changes, moot) = next.take(now);
        let commit = match changes {
            Some(changes) => Some(self.commit_at(room_id, changes, now)?),
            None => {
                self.intents.remove(room_id);
                None
            }
        };
        Ok(Some(Rebase { moot, commit }))
    }

    fn join_again(
        &mut self,
        room_id: &str,
        newest: &ListedCommit<'_>,
        resync: bool,
        carriage: Carriage,
    ) -> Result<Rebase, Error> {
        let ListedCommit { event_id, public_group_state, tree, .. } = *newest;
        let group =
            RoomGroup::join_external(self.device(), room_id, public_group_state, event_id, tree, carriage)?;
        if group.is_resync() && !resync {
            self.intents.remove(room_id);
            return Ok(Rebase { moot: vec![Moot::Invited], commit: None });
        }
        let commit = Some(group.pending().cloned().ok_or(LibraryFault::MissingState)?);
        self.rooms.insert(room_id.to_owned(), group);
        Ok(Rebase { moot: Vec::new(), commit })
    }

    /// Whether this device wants something of the room's group that no commit of it is pending for, as a race was lost.
    pub fn wants_rebase(&self, room_id: &str) -> bool {
        self.intents.contains_key(room_id) && self.pending_commit(room_id).is_none()
    }

    /// Gives up what this device still wanted after a lost race. Returns whether there was anything.
    pub fn give_up(&mut self, room_id: &str) -> bool {
        self.wants_rebase(room_id) && self.intents.remove(room_id).is_some()
    }

    /// Notes what a commit means for what this device wants.
    pub(super) fn follow_intent(&mut self, room_id: &str, received: &Received) {
        match received {
            Received::Own { .. } => {
                self.intents.remove(room_id);
            }
            Received::Applied { change, .. } => {
                if let Some(intent) = self.intents.get_mut(room_id) {
                    intent.after(change);
                }
            }
            Received::Removed { .. } => {
                if let Some(intent) = self.intents.get_mut(room_id) {
                    intent.left_out();
                }
            }
            Received::Known { .. } | Received::JoinLost => {}
        }
    }
}
