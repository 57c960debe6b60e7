//! Encrypting to those who should read, and to nobody else (reading R36).

use core::marker::PhantomData;

use mimi_mls::{DeviceAddress, Engine};
use thiserror::Error;

use super::{BarredMember, Devices, EncryptedContent, RoomView, Upkeep};
use crate::id::EventId;

/// What a device that wants to encrypt has to have: that its group is the room's newest, as far as it has seen the list,
/// and that everybody in it should be there.
///
/// It borrows what was looked at. So it cannot outlive a change of memberships or devices, and the time that looking
/// takes, which grows with the group, is spent once for all messages in between.
#[derive(Debug)]
pub struct Clearance<'v> {
    room_id: &'v str,
    epoch: u64,
    seen: PhantomData<&'v Devices>,
}

/// Why nothing is encrypted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Withheld {
    /// The room has no MLS group of a known suite.
    #[error("the room is not encrypted with a known cipher suite")]
    NotEncrypted,
    /// The device has not followed the room's commits to the newest, or is ahead of what it sees of the room.
    #[error("the device is in epoch {device} of the group, the room in epoch {room}")]
    OutOfStep {
        /// The device's epoch.
        device: u64,
        /// The epoch of the last commit in the room's list.
        room: u64,
    },
    /// Somebody could read it who should not, or of whom that is not known. Those in `barred` have to be removed first:
    /// a device that is online can do it itself, if it may, instead of waiting for its [turn](Upkeep::turn).
    #[error("{} devices in the group should not read, and {} are not known", barred.len(), unknown.len())]
    Readers {
        /// The devices that should not be in the group.
        barred: Vec<BarredMember>,
        /// The devices that have to be asked for first.
        unknown: Vec<DeviceAddress>,
    },
    /// The group has moved since it was looked at.
    #[error("epoch {cleared} was looked at, but the group is in epoch {now}")]
    Moved {
        /// The epoch that was looked at.
        cleared: u64,
        /// The group's epoch.
        now: u64,
    },
    /// The epoch was made by something that is no event of a room.
    #[error("the epoch's commit event has an id that is none")]
    NoEventId,
    /// The engine cannot encrypt, or does not know the group.
    #[error(transparent)]
    Engine(#[from] mimi_mls::Error),
}

impl<'v> Clearance<'v> {
    /// Looks at the group and the room.
    ///
    /// # Errors
    /// [`Withheld`] if nothing may be encrypted now.
    pub fn check(room: &'v impl RoomView, devices: &'v Devices, engine: &Engine) -> Result<Self, Withheld> {
        let room_id = room.room_id().as_str();
        let (epoch, newest) = (engine.epoch(room_id)?, room.epoch());
        if epoch != newest {
            return Err(Withheld::OutOfStep { device: epoch, room: newest });
        }
        let members = engine.members(room_id)?;
        let Upkeep { barred, unknown, .. } =
            Upkeep::look(room, devices, &members).ok_or(Withheld::NotEncrypted)?;
        if barred.is_empty() && unknown.is_empty() {
            Ok(Self { room_id, epoch, seen: PhantomData })
        } else {
            Err(Withheld::Readers { barred, unknown })
        }
    }

    /// The epoch that was looked at.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Encrypts application data (LM-04 §4.5.2).
    ///
    /// # Errors
    /// [`Withheld::Moved`] if the engine's group is in another epoch by now, or what the engine says.
    pub fn encrypt(&self, engine: &mut Engine, plaintext: &[u8]) -> Result<EncryptedContent, Withheld> {
        let now = engine.epoch(self.room_id)?;
        if now != self.epoch {
            return Err(Withheld::Moved { cleared: self.epoch, now });
        }
        let encrypted = engine.encrypt(self.room_id, plaintext)?;
        Ok(EncryptedContent {
            algorithm: encrypted.algorithm.to_owned(),
            commit_event_id: EventId::parse(&encrypted.commit_event_id).map_err(|_| Withheld::NoEventId)?,
            ciphertext: encrypted.ciphertext,
        })
    }
}
