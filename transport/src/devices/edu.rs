//! EDUs: to-device messages and device list updates (LM-04 §12.9, §12.10).

use std::collections::BTreeSet;

use mimi_linearized::event::kind;
use mimi_linearized::id::{DeviceId, ServerName, UserId};
use mimi_linearized::json::Object;
use mimi_mls::DeviceObject;
use serde_json::{Value, json};

use super::publish::update_item;
use crate::error::ApiError;
use crate::node::Node;
use crate::rooms::{Provenance, RoomError};
use crate::store::InboxItem;

/// A to-device message.
#[derive(Debug, Clone)]
pub struct ToDevice {
    /// Whom it is for.
    pub target: UserId,
    /// Which of that user's devices.
    pub target_device: DeviceId,
    /// What kind of message it is.
    pub message_type: String,
    /// The message.
    pub message: Object,
}

impl Node {
    /// Sends a message to a device, wherever it is.
    ///
    /// # Errors
    /// [`RoomError`] if the sender is not local, or the store fails.
    pub async fn send_to_device(&self, sender: &UserId, message: ToDevice) -> Result<(), RoomError> {
        self.check_local(sender)?;
        if self.is_local(&message.target) {
            return self.deliver_to_device(sender, message, None).await;
        }
        let server = message.target.server();
        let edu = json!({
            "type": "m.direct_to_device",
            "sender": sender,
            "content": {
                "target": message.target,
                "target_device": message.target_device,
                "message_type": message.message_type,
                "message": message.message,
            },
        });
        self.send_edu(&server, &edu).await
    }

    /// Takes an EDU of a transaction. One that is malformed, unknown, or for nobody here is ignored; only the store can
    /// fail.
    pub(crate) async fn receive_edu(
        &self,
        origin: &ServerName,
        from: &Provenance,
        index: usize,
        edu: Value,
    ) -> Result<(), ApiError> {
        let Value::Object(mut edu) = edu else { return Ok(()) };
        let sender = edu.get("sender").or_else(|| edu.get("sender_id")).and_then(Value::as_str);
        let sender = sender.and_then(|sender| UserId::parse(sender).ok());
        let Some(sender) = sender.filter(|sender| sender.server() == *origin) else {
            tracing::info!(%origin, index, "ignored an EDU without a sender of the server that sent it");
            return Ok(());
        };
        let Some(Value::Object(content)) = edu.remove("content") else { return Ok(()) };
        match edu.get("type").and_then(Value::as_str) {
            Some("m.direct_to_device") => {
                let Some(message) = parse_to_device(content) else { return Ok(()) };
                let once = from.txn_id.as_ref().map(|txn_id| format!("edu {origin} {txn_id} {index}"));
                self.deliver_to_device(&sender, message, once).await?;
            }
            Some("m.device_list_update") => self.receive_update(&sender, content).await?,
            other => tracing::debug!(%origin, kind = other, "ignored an EDU of unknown type"),
        }
        Ok(())
    }

    /// Puts a message into its target's inbox, if the target has that device.
    async fn deliver_to_device(
        &self,
        sender: &UserId,
        message: ToDevice,
        once: Option<String>,
    ) -> Result<(), RoomError> {
        if !self.is_local(&message.target)
            || self.store.device(&message.target, &message.target_device).await?.is_none()
        {
            tracing::info!(target = %message.target, device = %message.target_device, "ignored a message for no device");
            return Ok(());
        }
        let item = json!({
            "type": "to_device",
            "sender": sender,
            "target_device": message.target_device,
            "message_type": message.message_type,
            "message": message.message,
        });
        let item = InboxItem { user_id: message.target, bytes: item.to_string().into_bytes().into(), once };
        Ok(self.store.deliver(vec![item]).await?)
    }

    /// Tells every local user who shares a room with the sender of new, changed and removed devices. What is no object of
    /// one of the sender's devices is left out. A device whose object does not verify is told as removed: it may not be
    /// in any group (LM-04 §4.1).
    async fn receive_update(&self, sender: &UserId, mut content: Object) -> Result<(), RoomError> {
        leave_out_invalid(sender, &mut content);
        let item = update_item(sender, &content);
        let mut users = BTreeSet::new();
        self.for_rooms_of(sender, |room| {
            let members = room.state().current_of(kind::MEMBER).filter_map(|event| {
                let event = event.event();
                let joined = event.membership() == Some("join");
                event.state_key().filter(|_| joined).and_then(|key| UserId::parse(key).ok())
            });
            users.extend(members.filter(|user| self.is_local(user)));
        })
        .await?;
        let bytes: std::sync::Arc<[u8]> = item.to_string().into_bytes().into();
        let items = users.into_iter().map(|user_id| InboxItem { user_id, bytes: bytes.clone(), once: None });
        Ok(self.store.deliver(items.collect()).await?)
    }
}

fn leave_out_invalid(sender: &UserId, content: &mut Object) {
    let Some(Value::Array(changed)) = content.get_mut("changed") else { return };
    let mut invalid = Vec::new();
    changed.retain(|object| {
        let text = |field: &str| object.get(field).and_then(Value::as_str);
        if text("user_id") != Some(sender.as_str()) {
            return false;
        }
        let valid = DeviceObject::parse(object.clone()).is_ok_and(|object| object.verify().is_ok());
        if !valid {
            invalid.extend(text("device_id").map(Value::from));
        }
        valid
    });
    if invalid.is_empty() {
        return;
    }
    match content.entry("removed").or_insert_with(|| json!([])) {
        Value::Array(removed) => {
            invalid.retain(|device| !removed.contains(device));
            removed.extend(invalid);
        }
        removed => *removed = Value::Array(invalid),
    }
}

fn parse_to_device(mut content: Object) -> Option<ToDevice> {
    let text = |field: &str| content.get(field).and_then(Value::as_str);
    let target = UserId::parse(text("target")?).ok()?;
    let target_device = DeviceId::parse(text("target_device")?).ok()?;
    let message_type = text("message_type")?.to_owned();
    match content.remove("message")? {
        Value::Object(message) => Some(ToDevice { target, target_device, message_type, message }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mimi_mls::{Device, Suite};

    use super::*;

    #[test]
    fn an_invalid_device_is_told_as_removed() {
        let sender = UserId::parse("@bob:b.example").unwrap();
        let object = |user: &str, device: &str| {
            Device::generate(user, device, Suite::MANDATORY).unwrap().object().unwrap().into_value()
        };
        let good = object("@bob:b.example", "GOOD");
        let mut bad = object("@bob:b.example", "BAD");
        bad["signatures"] = json!({});
        let mut not_even_one = json!({"user_id": "@bob:b.example", "device_id": "ODD"});
        let other = object("@carol:b.example", "C");
        let mut of_other = other.clone();
        of_other["signatures"] = json!({});
        let changed = json!([good, bad, not_even_one, other, of_other, 7]);
        for (removed, expected) in [
            (json!(["OLD", "BAD"]), json!(["OLD", "BAD", "ODD"])),
            (json!([]), json!(["BAD", "ODD"])),
            (json!("no list"), json!(["BAD", "ODD"])),
        ] {
            let mut content = json!({"changed": changed, "removed": removed}).as_object().unwrap().clone();
            leave_out_invalid(&sender, &mut content);
            assert_eq!(content["changed"], json!([good]));
            assert_eq!(content["removed"], expected);
        }
        not_even_one["device_id"] = json!(1);
        let mut content = json!({"changed": [not_even_one]}).as_object().unwrap().clone();
        leave_out_invalid(&sender, &mut content);
        assert_eq!(Value::Object(content), json!({"changed": []}));
    }
}
