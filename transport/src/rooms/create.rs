//! Creating a room: the order of its first events is fixed by the control API.

use std::sync::Arc;

use mimi_linearized::auth::Membership;
use mimi_linearized::event::{Draft, kind};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{RoomId, UserId};
use mimi_linearized::json::Object;
use serde_json::{Value, json};

use super::{Provenance, Role, RoomError, settle};
use crate::clock;
use crate::node::Node;
use crate::store::{ExpectedHead, StoreError};

/// What somebody wants a new room to be.
#[derive(Debug, Clone)]
pub struct NewRoom {
    /// Who creates it: a local user.
    pub creator: UserId,
    /// Its version; the default one if not given.
    pub room_version: Option<String>,
    /// The join rule; `invite` if not given.
    pub join_rule: Option<String>,
    /// Its type, which its create event has as `type`.
    pub room_type: Option<String>,
    /// The history visibility; what the policy has, or `shared`, if not given.
    pub history_visibility: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The topic.
    pub topic: Option<String>,
    /// The encryption algorithm.
    pub encryption: Option<String>,
    /// Power levels, merged over the creator's.
    pub power_levels: Object,
    /// Further state: type, state key, content.
    pub initial_state: Vec<(String, String, Object)>,
}

impl Node {
    /// Creates a room of which this server is the hub, with its first events.
    ///
    /// # Errors
    /// [`RoomError`] if an event is refused, or the store fails. Events before it are then in the room.
    pub async fn create_room(&self, mut new: NewRoom) -> Result<RoomId, RoomError> {
        if !self.is_local(&new.creator) {
            return Err(RoomError::Forbidden("the creator is a user of another server"));
        }
        let policy = self.policy.rooms();
        if policy.encrypted && new.encryption.is_none() {
            return Err(RoomError::Forbidden("rooms of this server are encrypted"));
        }
        new.history_visibility = new.history_visibility.or_else(|| policy.history_visibility.clone());
        if let Some((kind, content)) = policy.first_state()
            && !new.initial_state.iter().any(|(asked, state_key, _)| asked == kind && state_key.is_empty())
        {
            new.initial_state.insert(0, (kind.to_owned(), String::new(), content));
        }
        let room_id = self.fresh_room_id()?;
        let cell = self.room_to_be(&room_id).await?;
        let mut role = cell.lock().await;
        let hub = self.begin_room(&room_id, &new).await?;
        *role = Some(Role::Hub(hub));
        for draft in first_events(&room_id, new) {
            let Some(hub) = role.as_mut().and_then(Role::as_hub) else { return Err(RoomError::OutOfStep) };
            let result = self.accept_own(hub, draft).await;
            settle(&mut role, result)?;
        }
        Ok(room_id)
    }

    /// A room id that nobody had before: 96 random bits.
    fn fresh_room_id(&self) -> Result<RoomId, RoomError> {
        let localpart = mimi_linearized::base64::encode_url_safe(&rand::random::<[u8; 12]>());
        RoomId::parse(&format!("!{localpart}:{}", self.name)).map_err(|error| {
            RoomError::BadRequest(format!("this server's name is too long for rooms: {error}"))
        })
    }

    async fn begin_room(&self, room_id: &RoomId, new: &NewRoom) -> Result<Hub, RoomError> {
        let id = new.room_version.as_deref().unwrap_or(self.versions.default_version().id.as_str());
        let version = self.versions.get(id).ok_or_else(|| RoomError::IncompatibleVersion(id.to_owned()))?;
        let mut content = Object::new();
        content.insert("room_version".to_owned(), json!(version.id));
        if let Some(room_type) = &new.room_type {
            content.insert("type".to_owned(), json!(room_type));
        }
        if let Some(algorithm) = &new.encryption {
            content.insert("encryption".to_owned(), json!({"algorithm": algorithm}));
        }
        let create = draft(room_id, &new.creator, kind::CREATE, "", content);
        let (authorised, version) =
            Hub::authorise_create(Proposal::of_own(create, version)?, &self.versions)?;
        let sealed = authorised.seal(&self.name, &self.key(), &version, 0)?;
        let record = super::hub::record_of(
            &version,
            sealed.event(),
            mimi_linearized::room::Effect::Applied,
            &Provenance::default(),
            Vec::new(),
        );
        self.store.append(room_id, ExpectedHead::Empty, record).await?;
        Hub::begin(sealed, Arc::clone(&version)).ok_or(RoomError::Store(StoreError::Closed))
    }
}

/// The events after `m.room.create`, in order.
fn first_events(room_id: &RoomId, new: NewRoom) -> Vec<Draft> {
    let creator = new.creator;
    let state = |kind: &str, content: Value| {
        let content = if let Value::Object(content) = content { content } else { Object::new() };
        draft(room_id, &creator, kind, "", content)
    };
    let join = Draft::member(room_id.clone(), &creator, &creator, Membership::Join, clock::now_ms());
    let mut events = vec![
        join,
        state(kind::POWER_LEVELS, power_levels(&creator, new.power_levels)),
        state(kind::JOIN_RULES, json!({"join_rule": new.join_rule.as_deref().unwrap_or("invite")})),
        state(
            kind::HISTORY_VISIBILITY,
            json!({"history_visibility": new.history_visibility.as_deref().unwrap_or("shared")}),
        ),
    ];
    for (kind, state_key, content) in new.initial_state {
        events.push(draft(room_id, &creator, &kind, &state_key, content));
    }
    if let Some(name) = new.name {
        events.push(state(kind::NAME, json!({"name": name})));
    }
    if let Some(topic) = new.topic {
        events.push(state(kind::TOPIC, json!({"topic": topic})));
    }
    events
}

/// Power levels that state everything (LM-04 §3.5.3.4), the creator's level, and what was asked for on top. `users`
/// and `events` are merged entry by entry.
fn power_levels(creator: &UserId, asked: Object) -> Value {
    let mut levels = json!({
        "ban": 50, "events": {}, "events_default": 0, "invite": 0, "kick": 50, "redact": 50, "state_default": 50,
        "users": {creator.as_str(): 100}, "users_default": 0
    });
    for (key, value) in asked {
        match (levels.get_mut(&key), value) {
            (Some(Value::Object(entries)), Value::Object(more)) => entries.extend(more),
            (Some(slot), value) => *slot = value,
            (None, value) => {
                if let Some(levels) = levels.as_object_mut() {
                    levels.insert(key, value);
                }
            }
        }
    }
    levels
}

fn draft(room_id: &RoomId, sender: &UserId, kind: &str, state_key: &str, content: Object) -> Draft {
    Draft {
        room_id: room_id.clone(),
        kind: kind.to_owned(),
        state_key: Some(state_key.to_owned()),
        sender: sender.clone(),
        content,
        origin_server_ts: clock::now_ms(),
    }
}
