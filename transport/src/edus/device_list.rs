//! `m.device_list_update`: which devices a user has new and no more (LM-04 §12.10.1).

use std::collections::BTreeSet;

use mimi_linearized::event::kind;
use mimi_linearized::id::UserId;
use mimi_linearized::json::Object;
use mimi_mls::DeviceObject;
use serde_json::{Value, json};

use crate::devices::update_item;
use crate::node::Node;
use crate::rooms::RoomError;
use crate::store::InboxItem;

/// Its `type`.
pub(super) const TYPE: &str = "m.device_list_update";

impl Node {
    /// Tells every local user who shares a room with the sender of new, changed and removed devices. What is no object of
    /// one of the sender's devices is left out. A device whose object does not verify is told as removed: it may not be
    /// in any group (LM-04 §4.1).
    pub(super) async fn receive_update(&self, sender: &UserId, mut content: Object) -> Result<(), RoomError> {
        self.devices_may_have_changed(sender);
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
        self.store.deliver(items.collect()).await?;
        self.news.tell();
        Ok(())
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
