//! Rooms that things happen in, by chance.

use mimi_linearized::auth::Refusal;
use mimi_linearized::event::{Draft, RoomEvent};
use mimi_linearized::hub::{Authorised, Hub, Proposal};
use mimi_linearized::id::{KeyId, RoomId, ServerName, UserId};
use mimi_linearized::json::{Object, Value};
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;
use serde_json::json;

use crate::dice::Dice;

pub(crate) const HUB: &str = "hub.example";
const USERS: [&str; 5] =
    ["@alice:hub.example", "@bob:b.example", "@carol:c.example", "@dave:b.example", "@erin:hub.example"];
const LEVELS: [i64; 6] = [-5, 0, 25, 50, 75, 100];
/// Who creates every room.
pub(crate) const CREATOR: &str = USERS[0];

pub(crate) fn key_of(server: &str) -> SigningKey {
    let seed = mimi_linearized::event::hash::sha256(server.as_bytes());
    SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &seed)
}

pub(crate) fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

pub(crate) fn draft(sender: &str, kind: &str, state_key: Option<&str>, content: Value) -> Draft {
    Draft {
        room_id: RoomId::parse("!room:hub.example").unwrap(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: UserId::parse(sender).unwrap(),
        content: object(content),
        origin_server_ts: 1_700_000_000_000,
    }
}

/// A room with its hub.
pub(crate) struct Simulated {
    pub(crate) hub: Hub,
    pub(crate) create: RoomEvent,
    key: SigningKey,
    name: ServerName,
}

impl Simulated {
    /// A room that has its `m.room.create` and no more.
    pub(crate) fn new(federate: bool) -> Self {
        let versions = RoomVersions::lm_04();
        let (key, name) = (key_of(HUB), ServerName::parse(HUB).unwrap());
        let mut content = json!({"room_version": "I.1"});
        if !federate {
            content["m.federate"] = json!(false);
        }
        let create = draft(CREATOR, "m.room.create", Some(""), content);
        let proposal = Proposal::of_own(create, versions.default_version()).unwrap();
        let (authorised, version) = Hub::authorise_create(proposal, &versions).unwrap();
        let sealed = authorised.seal(&name, &key, &version, 0).unwrap();
        let create = sealed.event().clone();
        Self { hub: Hub::begin(sealed, version).unwrap(), create, key, name }
    }

    pub(crate) fn propose(&self, draft: Draft) -> Proposal {
        Proposal::of_own(draft, self.hub.room().version()).unwrap()
    }

    pub(crate) fn state(&self, kind: &str, state_key: &str) -> Option<&RoomEvent> {
        self.hub.room().state().current(kind, state_key)
    }

    /// Appends what the hub has authorised.
    pub(crate) fn append(&mut self, authorised: Authorised) {
        let version = self.hub.room().version().clone();
        let sealed = authorised.seal(&self.name, &self.key, &version, 0).unwrap();
        self.hub.append(sealed).unwrap();
    }

    /// Appends what a user of the hub sends, and returns it.
    pub(crate) fn append_own(&mut self, draft: Draft) -> Result<RoomEvent, Refusal> {
        let version = self.hub.room().version().clone();
        let sealed = self.hub.authorise(self.propose(draft))?.seal(&self.name, &self.key, &version, 0)?;
        Ok((*self.hub.append(sealed).unwrap()).clone())
    }

    /// What somebody tries next. Most of it could be allowed; some of it is deliberately odd.
    pub(crate) fn next(&self, dice: &mut Dice) -> Draft {
        let joined = self.users_who("join");
        let sender = match joined.as_slice() {
            [] if dice.percent(90) => CREATOR,
            joined if !joined.is_empty() && dice.percent(65) => dice.one_of(joined),
            _ => dice.one_of(&USERS),
        };
        type Make = fn(&Simulated, &mut Dice, &str) -> Draft;
        let make: Make = dice.weighed(&[
            (60, Self::membership as Make),
            (16, Self::power_levels),
            (8, Self::join_rules),
            (16, Self::other),
        ]);
        make(self, dice, sender)
    }

    fn users_who(&self, membership: &str) -> Vec<&'static str> {
        let is = |user: &str| self.state("m.room.member", user)?.event().membership();
        USERS.into_iter().filter(|user| is(user) == Some(membership)).collect()
    }

    fn membership(&self, dice: &mut Dice, sender: &str) -> Draft {
        let banned = self.users_who("ban");
        if !banned.is_empty() && dice.percent(40) {
            let content = json!({"membership": "leave"});
            let target: &str = dice.one_of::<&str>(&banned);
            return draft(sender, "m.room.member", Some(target), content);
        }
        let target = if dice.percent(45) { sender } else { dice.one_of(&USERS) };
        let membership = dice.weighed(&[
            (34, "join"),
            (26, "invite"),
            (20, "leave"),
            (10, "ban"),
            (12, "knock"),
            (2, "Join"),
        ]);
        let mut content = json!({"membership": membership});
        match dice.below(150) {
            0 => content = json!({}),
            1 => content = json!({"membership": 1}),
            2 => content["third_party_invite"] = json!({"signed": {"mxid": target, "token": "t"}}),
            3 => return draft(sender, "m.room.member", None, content),
            4 => return draft(sender, "m.room.member", Some("bob"), content),
            5 => content["displayname"] = json!("Somebody"),
            _ => {}
        }
        draft(sender, "m.room.member", Some(target), content)
    }

    /// Power levels that tell everybody and everything apart, by chance.
    pub(crate) fn first_power_levels(dice: &mut Dice) -> Draft {
        let mut content = object(json!({"users": {CREATOR: 100}}));
        for user in &USERS[1..] {
            content["users"][*user] = json!(dice.one_of(&LEVELS));
        }
        for field in ["ban", "kick", "invite", "state_default", "events_default"] {
            if dice.percent(50) {
                content.insert(field.to_owned(), json!(dice.one_of(&LEVELS)));
            }
        }
        // Who may kick and not ban is who rule 5.4.3 is for.
        if dice.percent(40) {
            content.extend(object(json!({"ban": 75, "kick": 25})));
        }
        draft(CREATOR, "m.room.power_levels", Some(""), Value::Object(content))
    }

    fn power_levels(&self, dice: &mut Dice, sender: &str) -> Draft {
        let current = self.state("m.room.power_levels", "").map(|event| event.event().content().clone());
        let mut content = match current {
            Some(current) if dice.percent(85) => current,
            _ => object(json!({"users": {CREATOR: 100}})),
        };
        for _ in 0..=dice.below(3) {
            let level = json!(dice.one_of(&LEVELS));
            let (map, entry) = match dice.below(4) {
                0 => (
                    None,
                    *dice.one_of(&[
                        "users_default",
                        "events_default",
                        "state_default",
                        "ban",
                        "redact",
                        "kick",
                        "invite",
                    ]),
                ),
                1 => {
                    (Some("events"), *dice.one_of(&["m.room.name", "m.room.power_levels", "m.room.message"]))
                }
                _ => (Some("users"), *dice.one_of(&USERS)),
            };
            let remove = dice.percent(20);
            let target = match map {
                None => &mut content,
                Some(map) => match content.entry(map).or_insert_with(|| json!({})) {
                    Value::Object(map) => map,
                    _ => continue,
                },
            };
            if remove {
                target.remove(entry);
            } else {
                target.insert(entry.to_owned(), level);
            }
        }
        let odd = match dice.below(60) {
            0 => Some(("ban", json!("50"))),
            1 => Some(("kick", json!(50.0))),
            2 => Some(("invite", Value::Null)),
            3 => Some(("events", json!([]))),
            4 => Some(("events", json!({"m.room.name": "50"}))),
            5 => Some(("users", json!({CREATOR: 100, "bob": 1}))),
            6 => Some(("users", json!({CREATOR: 100, "@Bob:b.example": 1}))),
            7 | 8 => Some(("notifications", json!({"room": dice.one_of(&LEVELS)}))),
            9 => Some(("notifications", json!({"room": "50"}))),
            10 => Some(("redact", json!(50.5))),
            _ => None,
        };
        // Fractions are refused before there is an event.
        if let Some((field, value)) = odd.filter(|(_, value)| *value != json!(50.5)) {
            content.insert(field.to_owned(), value);
        }
        let state_key = if dice.percent(97) { "" } else { "other" };
        draft(sender, "m.room.power_levels", Some(state_key), Value::Object(content))
    }

    fn join_rules(&self, dice: &mut Dice, sender: &str) -> Draft {
        let content = dice.weighed(&[
            (40, r#"{"join_rule": "public"}"#),
            (20, r#"{"join_rule": "invite"}"#),
            (30, r#"{"join_rule": "knock"}"#),
            (4, r#"{"join_rule": "restricted"}"#),
            (4, r#"{"join_rule": "knock_restricted"}"#),
            (2, r#"{"join_rule": "private"}"#),
            (1, "{}"),
            (1, r#"{"join_rule": 5}"#),
        ]);
        draft(sender, "m.room.join_rules", Some(""), serde_json::from_str(content).unwrap())
    }

    fn other(&self, dice: &mut Dice, sender: &str) -> Draft {
        let (kind, state_key) = dice.weighed(&[
            (5, ("m.room.message", None)),
            (4, ("m.room.name", Some(""))),
            (2, ("m.room.history_visibility", Some(""))),
            (1, ("m.room.third_party_invite", Some("token"))),
            (1, ("m.room.aliases", Some("b.example"))),
            (1, ("m.room.redaction", None)),
            (1, ("m.room.create", Some(""))),
            (1, ("org.example.owned", Some("@"))),
            (1, ("org.example.owned", Some(USERS[1]))),
            (1, ("org.example.owned", Some(CREATOR))),
        ]);
        draft(sender, kind, state_key, json!({"body": "x"}))
    }
}
