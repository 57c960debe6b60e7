//! `m.direct_to_device`: messages to single devices (LM-04 §12.10.2).

use mimi_linearized::id::{DeviceId, UserId};
use mimi_linearized::json::Object;
use serde_json::{Value, json};

use crate::node::Node;
use crate::rooms::RoomError;
use crate::store::InboxItem;

/// Its `type`.
pub(super) const TYPE: &str = "m.direct_to_device";

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
            "type": TYPE,
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

    /// Puts a message into its target's inbox, if the target has that device.
    pub(super) async fn deliver_to_device(
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
        self.store.deliver(vec![item]).await?;
        self.news.tell();
        Ok(())
    }
}

/// Reads the content of the EDU.
pub(super) fn parse(mut content: Object) -> Option<ToDevice> {
    let text = |field: &str| content.get(field).and_then(Value::as_str);
    let target = UserId::parse(text("target")?).ok()?;
    let target_device = DeviceId::parse(text("target_device")?).ok()?;
    let message_type = text("message_type")?.to_owned();
    match content.remove("message")? {
        Value::Object(message) => Some(ToDevice { target, target_device, message_type, message }),
        _ => None,
    }
}
