//! Users' devices of the suite: real MLS, with the keys on the suite's side.

use mimi_linearized::base64;
use mimi_linearized::encryption::{CommitContent, EncryptedContent, WelcomeMessage};
use mimi_linearized::id::{EventId, RoomId, UserId};
use mimi_mls::{
    Changes, Decrypted, Device, DeviceAddress, Engine, KeyPackage, KeyPackageUse, Lifetime, OutboundCommit,
    Suite,
};
use serde_json::Value;

use crate::case::{Finding, fault};

/// The mandatory algorithm of encrypted rooms.
pub(crate) const ALGORITHM: &str = "m.mls.v1.dhkemx25519-aes128gcm-sha256-ed25519";
/// The mandatory algorithm of key packages.
pub(crate) const KEY_PACKAGES: &str = "m.mls.v1.key_package.dhkemx25519-aes128gcm-sha256-ed25519";

/// A user's device with its MLS keys.
#[derive(Debug)]
pub(crate) struct MlsDevice {
    /// Whose it is.
    pub(crate) user: UserId,
    /// Its id.
    pub(crate) id: String,
    engine: Engine,
}

fn broken(error: impl std::fmt::Display) -> Finding {
    Finding::Suite(format!("MLS on the suite's side: {error}"))
}

impl MlsDevice {
    /// A new device.
    pub(crate) fn new(user: &UserId, id: &str) -> Result<Self, Finding> {
        let device = Device::generate(user.as_str(), id, Suite::MANDATORY).map_err(broken)?;
        Ok(Self { user: user.clone(), id: id.to_owned(), engine: Engine::new(device) })
    }

    /// Its signed object.
    pub(crate) fn object(&self) -> Result<Value, Finding> {
        Ok(self.engine.device().object().map_err(broken)?.into_value())
    }

    /// A key package, in base64.
    pub(crate) fn key_package(&self) -> Result<String, Finding> {
        self.package(KeyPackageUse::OneTime)
    }

    /// A key package of last resort, in base64.
    pub(crate) fn last_resort(&self) -> Result<String, Finding> {
        self.package(KeyPackageUse::LastResort)
    }

    /// A key package whose lifetime is over, in base64.
    pub(crate) fn expired_key_package(&self) -> Result<String, Finding> {
        let day = 24 * 60 * 60;
        let now = u64::try_from(mimi_transport::clock::now_ms() / 1_000).unwrap_or_default();
        let lifetime =
            Lifetime { not_before: now.saturating_sub(3 * day), not_after: now.saturating_sub(day) };
        let package =
            KeyPackage::generate_with_lifetime(self.engine.device(), KeyPackageUse::OneTime, lifetime);
        Ok(base64::encode(package.map_err(broken)?.message()))
    }

    fn package(&self, uses: KeyPackageUse) -> Result<String, Finding> {
        let package = KeyPackage::generate(self.engine.device(), uses).map_err(broken)?;
        Ok(base64::encode(package.message()))
    }

    /// Its address in a group.
    pub(crate) fn address(&self) -> Result<DeviceAddress, Finding> {
        DeviceAddress::new(self.user.as_str(), &self.id).map_err(broken)
    }

    /// Makes a room's group, of which it is the only member.
    pub(crate) fn create_group(&mut self, room: &RoomId) -> Result<(), Finding> {
        self.engine.create(room.as_str()).map_err(broken)
    }

    /// A commit that changes nothing but its own key.
    pub(crate) fn update(&mut self, room: &RoomId) -> Result<OutboundCommit, Finding> {
        self.commit(room, Changes { update: true, ..Changes::default() })
    }

    /// A commit that adds the devices of key packages in base64, as they were claimed.
    pub(crate) fn add(&mut self, room: &RoomId, packages: &[&str]) -> Result<OutboundCommit, Finding> {
        let read = |package: &&str| {
            let bytes =
                base64::decode(package).map_err(|error| fault(format!("a key package is {error}")))?;
            KeyPackage::read(&bytes, Suite::MANDATORY)
                .map_err(|error| fault(format!("a key package is not valid: {error}")))
        };
        let add = packages.iter().map(read).collect::<Result<Vec<_>, Finding>>()?;
        self.commit(room, Changes { add, ..Changes::default() })
    }

    /// A commit that removes devices.
    pub(crate) fn remove(
        &mut self,
        room: &RoomId,
        devices: &[&MlsDevice],
    ) -> Result<OutboundCommit, Finding> {
        let remove = devices.iter().map(|device| device.address()).collect::<Result<Vec<_>, _>>()?;
        self.commit(room, Changes { remove, ..Changes::default() })
    }

    fn commit(&mut self, room: &RoomId, changes: Changes) -> Result<OutboundCommit, Finding> {
        self.engine.commit(room.as_str(), changes).map_err(broken)
    }

    /// A commit with which it joins on its own.
    pub(crate) fn join_external(
        &mut self,
        room: &RoomId,
        state: &[u8],
        event: &str,
    ) -> Result<OutboundCommit, Finding> {
        self.engine.join_external(room.as_str(), state, event).map_err(broken)
    }

    /// Its pending commit was accepted as this event.
    pub(crate) fn accepted(&mut self, room: &RoomId, event: &str) -> Result<u64, Finding> {
        self.engine.accepted(room.as_str(), event).map_err(broken)
    }

    /// Its pending commit was refused.
    pub(crate) fn refused(&mut self, room: &RoomId) -> Result<(), Finding> {
        self.engine.refused(room.as_str()).map_err(broken)
    }

    /// Somebody else's commit event, as the room lists it.
    pub(crate) fn receive(&mut self, room: &RoomId, event: &Value, id: &str) -> Result<(), Finding> {
        let content = content_of(event);
        let content = CommitContent::parse(&content)
            .map_err(|field| fault(format!("a commit event in the list has no proper `{field}`")))?;
        let received = self.engine.receive_commit(room.as_str(), &content.message, id);
        received.map(drop).map_err(|error| fault(format!("a member cannot follow a commit: {error}")))
    }

    /// Joins with a Welcome as it came in a to-device message.
    pub(crate) fn join(&mut self, message: &Value) -> Result<(), Finding> {
        let message = message.as_object().cloned().unwrap_or_default();
        let welcome = WelcomeMessage::parse(&message)
            .map_err(|field| fault(format!("a Welcome arrived without a proper `{field}`")))?;
        let joined = self.engine.join(&welcome.welcome, welcome.commit_event_id.as_str());
        joined.map(drop).map_err(|error| fault(format!("a Welcome does not let its device in: {error}")))
    }

    /// The content of an encrypted message.
    pub(crate) fn encrypt(&mut self, room: &RoomId, text: &str) -> Result<Value, Finding> {
        let encrypted = self.engine.encrypt(room.as_str(), text.as_bytes()).map_err(broken)?;
        let content = EncryptedContent {
            algorithm: encrypted.algorithm.to_owned(),
            ciphertext: encrypted.ciphertext,
            commit_event_id: EventId::parse(&encrypted.commit_event_id).map_err(broken)?,
        };
        Ok(Value::Object(content.to_json()))
    }

    /// The text of an encrypted message and who sent it.
    pub(crate) fn decrypt(&mut self, room: &RoomId, event: &Value) -> Result<(String, String), Finding> {
        let content = EncryptedContent::parse(&content_of(event))
            .map_err(|field| fault(format!("an encrypted event has no proper `{field}`")))?;
        match self.engine.decrypt(room.as_str(), &content.ciphertext) {
            Ok(Decrypted::Message { sender, plaintext, .. }) => {
                Ok((sender.user_id().to_owned(), String::from_utf8_lossy(&plaintext).into_owned()))
            }
            Ok(_) => Err(fault("a device was given its own message to decrypt")),
            Err(error) => Err(fault(format!("an encrypted message cannot be decrypted: {error}"))),
        }
    }

    /// The epoch its group is in.
    pub(crate) fn epoch(&self, room: &RoomId) -> Result<u64, Finding> {
        self.engine.epoch(room.as_str()).map_err(broken)
    }

    /// The devices in its group.
    pub(crate) fn members(&self, room: &RoomId) -> Result<Vec<String>, Finding> {
        let members = self.engine.members(room.as_str()).map_err(broken)?;
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
    let message = WelcomeMessage {
        suite: Suite::MANDATORY,
        welcome: welcome.message.clone(),
        commit_event_id: EventId::parse(event).map_err(broken)?,
    };
    Ok(Value::Object(message.to_json()))
}
