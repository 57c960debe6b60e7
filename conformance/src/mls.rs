//! Users' devices of the suite: real MLS, with the keys on the suite's side.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mimi_linearized::base64;
use mimi_linearized::encryption::{CommitContent, EncryptedContent, WelcomeMessage};
use mimi_linearized::id::{EventId, RoomId, UserId};
use mimi_mls::{
    Decrypted, DeviceAddress, Error, KeyPackageUse, Lifetime, OutboundCommit, RoomChanges, RoomClient, Suite,
};
use mimi_mls_foreign::Stack;
use serde_json::Value;

use crate::case::{Finding, fault};

/// The mandatory algorithm of encrypted rooms.
pub(crate) const ALGORITHM: &str = "m.mls.v1.dhkemx25519-aes128gcm-sha256-ed25519";
/// The mandatory algorithm of key packages.
pub(crate) const KEY_PACKAGES: &str = "m.mls.v1.key_package.dhkemx25519-aes128gcm-sha256-ed25519";

/// Which MLS implementations the suite's devices are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stacks {
    /// All of this one.
    One(Stack),
    /// Of each in turn. A case is tried with each one first.
    Mixed,
}

impl Stacks {
    /// The orders in which a case with devices is tried: its first device is of the first stack, the next of the
    /// next, and again from the beginning.
    pub(crate) fn orders(self) -> Vec<Vec<Stack>> {
        match self {
            Self::One(stack) => vec![vec![stack]],
            Self::Mixed => (0..Stack::ALL.len())
                .map(|first| Stack::ALL.iter().copied().cycle().skip(first).take(Stack::ALL.len()).collect())
                .collect(),
        }
    }
}

impl FromStr for Stacks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, Stack::from_name(text)) {
            ("mixed", _) => Ok(Self::Mixed),
            (_, Some(stack)) => Ok(Self::One(stack)),
            _ => Err("it is openmls, mls-rs or mixed".to_owned()),
        }
    }
}

impl fmt::Display for Stacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(stack) => stack.name(),
            Self::Mixed => "mixed",
        })
    }
}

/// Where a case gets its devices from: each of the stack whose turn it is.
#[derive(Debug)]
pub(crate) struct Devices {
    order: Vec<Stack>,
    made: Mutex<Vec<Stack>>,
}

impl Devices {
    /// Devices of these stacks, in turn.
    pub(crate) fn new(order: Vec<Stack>) -> Self {
        Self { order, made: Mutex::default() }
    }

    /// A new device for rooms of a suite: of the stack whose turn it is, or the next one that has the suite.
    pub(crate) fn device(&self, user: &UserId, id: &str, suite: Suite) -> Result<MlsDevice, Finding> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = self.order.iter().cycle().skip(made.len()).take(self.order.len());
        let stack = turns.chain(Stack::ALL).copied().find(|stack| stack.has(suite));
        let stack = stack.ok_or_else(|| broken("there is no stack to take devices of"))?;
        let client = stack.device(user.as_str(), id, suite).map_err(broken)?;
        made.push(stack);
        Ok(MlsDevice { user: user.clone(), id: id.to_owned(), client: Mutex::new(client) })
    }

    /// The stacks of the devices that were made, in that order.
    pub(crate) fn made(&self) -> Vec<&'static str> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.iter().map(|stack| stack.name()).collect()
    }
}

/// A user's device with its MLS keys.
#[derive(Debug)]
pub(crate) struct MlsDevice {
    /// Whose it is.
    pub(crate) user: UserId,
    /// Its id.
    pub(crate) id: String,
    client: Mutex<Box<dyn RoomClient>>,
}

fn broken(error: impl fmt::Display) -> Finding {
    Finding::Suite(format!("MLS on the suite's side: {error}"))
}

impl MlsDevice {
    fn client(&self) -> MutexGuard<'_, Box<dyn RoomClient>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its signed object.
    pub(crate) fn object(&self) -> Result<Value, Finding> {
        Ok(self.client().object().map_err(broken)?.into_value())
    }

    /// A key package, in base64.
    pub(crate) fn key_package(&self) -> Result<String, Finding> {
        self.package(KeyPackageUse::OneTime, None)
    }

    /// A key package of last resort, in base64.
    pub(crate) fn last_resort(&self) -> Result<String, Finding> {
        self.package(KeyPackageUse::LastResort, None)
    }

    /// A key package whose lifetime is over, in base64.
    pub(crate) fn expired_key_package(&self) -> Result<String, Finding> {
        let day = 24 * 60 * 60;
        let now = u64::try_from(mimi_transport::clock::now_ms() / 1_000).unwrap_or_default();
        let lifetime =
            Lifetime { not_before: now.saturating_sub(3 * day), not_after: now.saturating_sub(day) };
        self.package(KeyPackageUse::OneTime, Some(lifetime))
    }

    fn package(&self, uses: KeyPackageUse, lifetime: Option<Lifetime>) -> Result<String, Finding> {
        Ok(base64::encode(&self.client().key_package(uses, lifetime).map_err(broken)?))
    }

    /// Its address in a group.
    pub(crate) fn address(&self) -> Result<DeviceAddress, Finding> {
        DeviceAddress::new(self.user.as_str(), &self.id).map_err(broken)
    }

    /// Makes a room's group, of which it is the only member.
    pub(crate) fn create_group(&mut self, room: &RoomId) -> Result<(), Finding> {
        self.client().create(room.as_str()).map_err(broken)
    }

    /// A commit that changes nothing but its own key.
    pub(crate) fn update(&mut self, room: &RoomId) -> Result<OutboundCommit, Finding> {
        self.client().commit(room.as_str(), &RoomChanges::update()).map_err(broken)
    }

    /// A commit that adds the devices of key packages in base64, as they were claimed.
    pub(crate) fn add(&mut self, room: &RoomId, packages: &[&str]) -> Result<OutboundCommit, Finding> {
        let read = |package: &&str| {
            base64::decode(package).map_err(|error| fault(format!("a key package is {error}")))
        };
        let add = packages.iter().map(read).collect::<Result<Vec<_>, Finding>>()?;
        self.client().commit(room.as_str(), &RoomChanges::add(add)).map_err(|error| match error {
            Error::Peer(error) => fault(format!("a key package is not valid: {error}")),
            error => broken(error),
        })
    }

    /// A commit that removes devices.
    pub(crate) fn remove(
        &mut self,
        room: &RoomId,
        devices: &[&MlsDevice],
    ) -> Result<OutboundCommit, Finding> {
        let remove = devices.iter().map(|device| device.address()).collect::<Result<Vec<_>, _>>()?;
        self.client().commit(room.as_str(), &RoomChanges::remove(remove)).map_err(broken)
    }

    /// A commit with which it joins on its own.
    pub(crate) fn join_external(
        &mut self,
        room: &RoomId,
        state: &[u8],
        event: &str,
    ) -> Result<OutboundCommit, Finding> {
        self.client().join_external(room.as_str(), state, event).map_err(broken)
    }

    /// Its pending commit was accepted as this event.
    pub(crate) fn accepted(&mut self, room: &RoomId, event: &str) -> Result<u64, Finding> {
        self.client().accepted(room.as_str(), event).map_err(broken)
    }

    /// Its pending commit was refused.
    pub(crate) fn refused(&mut self, room: &RoomId) -> Result<(), Finding> {
        self.client().refused(room.as_str()).map_err(broken)
    }

    /// Somebody else's commit event, as the room lists it.
    pub(crate) fn receive(&mut self, room: &RoomId, event: &Value, id: &str) -> Result<(), Finding> {
        let content = content_of(event);
        let content = CommitContent::parse(&content)
            .map_err(|field| fault(format!("a commit event in the list has no proper `{field}`")))?;
        let received = self.client().receive_commit(room.as_str(), &content.message, id);
        received.map(drop).map_err(|error| fault(format!("a member cannot follow a commit: {error}")))
    }

    /// Joins with a Welcome as it came in a to-device message.
    pub(crate) fn join(&mut self, message: &Value) -> Result<(), Finding> {
        let message = message.as_object().cloned().unwrap_or_default();
        let welcome = WelcomeMessage::parse(&message)
            .map_err(|field| fault(format!("a Welcome arrived without a proper `{field}`")))?;
        let joined = self.client().join(&welcome.welcome, welcome.commit_event_id.as_str());
        joined.map(drop).map_err(|error| fault(format!("a Welcome does not let its device in: {error}")))
    }

    /// The content of an encrypted message with this inside, a text or any bytes.
    pub(crate) fn encrypt(&mut self, room: &RoomId, inside: impl AsRef<[u8]>) -> Result<Value, Finding> {
        let encrypted = self.client().encrypt(room.as_str(), inside.as_ref()).map_err(broken)?;
        let content = EncryptedContent {
            algorithm: encrypted.algorithm.to_owned(),
            ciphertext: encrypted.ciphertext,
            commit_event_id: EventId::parse(&encrypted.commit_event_id).map_err(broken)?,
        };
        Ok(Value::Object(content.to_json()))
    }

    /// Who sent an encrypted message, and its text.
    pub(crate) fn decrypt(&mut self, room: &RoomId, event: &Value) -> Result<(String, String), Finding> {
        let (sender, bytes) = self.decrypt_bytes(room, event)?;
        Ok((sender, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Who sent an encrypted message, and what is inside.
    pub(crate) fn decrypt_bytes(
        &mut self,
        room: &RoomId,
        event: &Value,
    ) -> Result<(String, Vec<u8>), Finding> {
        let content = EncryptedContent::parse(&content_of(event))
            .map_err(|field| fault(format!("an encrypted event has no proper `{field}`")))?;
        match self.client().decrypt(room.as_str(), &content.ciphertext) {
            Ok(Decrypted::Message { sender, plaintext, .. }) => Ok((sender.user_id().to_owned(), plaintext)),
            Ok(_) => Err(fault("a device was given its own message to decrypt")),
            Err(error) => Err(fault(format!("an encrypted message cannot be decrypted: {error}"))),
        }
    }

    /// The epoch its group is in.
    pub(crate) fn epoch(&self, room: &RoomId) -> Result<u64, Finding> {
        self.client().epoch(room.as_str()).map_err(broken)
    }

    /// The devices in its group.
    pub(crate) fn members(&self, room: &RoomId) -> Result<Vec<String>, Finding> {
        let members = self.client().members(room.as_str()).map_err(broken)?;
        Ok(members.iter().map(|member| member.address.to_string()).collect())
    }
}

fn content_of(event: &Value) -> mimi_linearized::json::Object {
    event.get("content").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The content of an `m.mls.commit` event.
pub(crate) fn commit_content(commit: &OutboundCommit) -> Value {
    let prev = commit.prev_commit_event_id.as_deref();
    let content = CommitContent {
        message: commit.message.clone(),
        public_group_state: commit.public_group_state.clone(),
        prev_commit_event_id: prev.and_then(|id| EventId::parse(id).ok()),
    };
    Value::Object(content.to_json())
}

/// The `message` of a to-device message with the Welcome of a commit.
pub(crate) fn welcome_message(commit: &OutboundCommit, event: &str) -> Result<Value, Finding> {
    let welcome =
        commit.welcome.as_ref().ok_or_else(|| broken("a commit that adds nobody has no Welcome"))?;
    let suite = Suite::from_welcome_algorithm(welcome.algorithm);
    let message = WelcomeMessage {
        suite: suite.ok_or_else(|| broken("a Welcome is of no known suite"))?,
        welcome: welcome.message.clone(),
        commit_event_id: EventId::parse(event).map_err(broken)?,
    };
    Ok(Value::Object(message.to_json()))
}
