//! A hub and a participant, driven by bytes.

use std::sync::Arc;

use mimi_linearized::auth::{Levels, Membership};
use mimi_linearized::event::{Draft, Lpdu, OutgoingLpdu, Pdu, kind};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{KeyId, RoomId, ServerName, UserId};
use mimi_linearized::json::{Object, Value, strict};
use mimi_linearized::participant::{Participant, Snapshot, Verdict};
use mimi_linearized::signing::{ServerKeyRing, SigningKey};
use mimi_linearized::version::{RoomVersion, RoomVersions};

/// The servers of a room and a user of each; the first is the hub, and its user the creator.
pub(crate) struct Cast {
    versions: RoomVersions,
    room_id: RoomId,
    servers: Vec<(ServerName, SigningKey, UserId)>,
    pub(crate) ring: ServerKeyRing,
}

impl Cast {
    #[expect(clippy::expect_used, reason = "the names are constants of the right form")]
    pub(crate) fn new() -> Self {
        let mut ring = ServerKeyRing::new();
        let servers = [("hub.example", "alice"), ("second.example", "bob"), ("third.example", "carol")]
            .into_iter()
            .zip(1_u8..)
            .map(|((name, user), seed)| {
                let name = ServerName::parse(name).expect("a server name");
                let key = SigningKey::from_seed(KeyId::ed25519("1").expect("a key id"), &[seed; 32]);
                ring.insert(&name, key.id(), key.verify_key(), i64::MAX);
                let user = UserId::new(user, &name).expect("a user id");
                (name, key, user)
            })
            .collect();
        let room_id = RoomId::parse("!fuzzed:hub.example").expect("a room id");
        Self { versions: RoomVersions::lm_04(), room_id, servers, ring }
    }

    fn version(&self) -> &Arc<RoomVersion> {
        self.versions.default_version()
    }

    #[expect(clippy::indexing_slicing, reason = "there are servers, and the index wraps")]
    fn server(&self, which: u8) -> &(ServerName, SigningKey, UserId) {
        &self.servers[usize::from(which) % self.servers.len()]
    }

    pub(crate) fn user(&self, which: u8) -> &UserId {
        &self.server(which).2
    }

    pub(crate) fn draft(&self, sender: u8, kind: &str, state_key: Option<String>, content: Object) -> Draft {
        Draft {
            room_id: self.room_id.clone(),
            kind: kind.to_owned(),
            state_key,
            sender: self.user(sender).clone(),
            content,
            origin_server_ts: 1_700_000_000_000,
        }
    }

    /// A draft as its sender's server sends it to the hub.
    pub(crate) fn lpdu(&self, draft: Draft) -> Option<OutgoingLpdu> {
        let sender = self.servers.iter().find(|(name, ..)| *name == draft.sender.server())?;
        draft.into_lpdu(&self.server(0).0, &sender.1, self.version()).ok()
    }
}

/// A room at its hub and at a participant that gets every event.
pub(crate) struct Room {
    cast: Cast,
    hub: Hub,
    participant: Participant,
    /// The events, as bytes.
    pub(crate) list: Vec<Vec<u8>>,
}

impl Room {
    #[expect(clippy::expect_used, reason = "the first events are the same every time, and allowed")]
    pub(crate) fn new(cast: Cast) -> Self {
        let mut content = Object::new();
        content.insert("room_version".to_owned(), Value::from("I.1"));
        let create = cast.draft(0, kind::CREATE, Some(String::new()), content);
        let create = Proposal::of_own(create, cast.version()).expect("a create event");
        let (create, version) = Hub::authorise_create(create, &cast.versions).expect("it is allowed");
        let (hub_name, key, _) = cast.server(0);
        let sealed = create.seal(hub_name, key, &version, 0).expect("it is small");
        let bytes = sealed.event().bytes().to_vec();
        let hub = Hub::begin(sealed, version).expect("it begins a room");
        let verified = Pdu::parse(&bytes, cast.version()).expect("a PDU").verify(&cast.ring).expect("signed");
        let prev = verified.event().id().clone();
        let snapshot = Snapshot::new(&cast.room_id, vec![verified], Vec::new(), prev).expect("a snapshot");
        let participant = Participant::start(snapshot, hub_name, &cast.versions).expect("a room");
        let mut room = Self { cast, hub, participant, list: vec![bytes] };
        room.step(0, 1, 0);
        room
    }

    /// Three bytes are one event: who sends it, of what kind, and how.
    pub(crate) fn run(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let [sender, kind, how, tail @ ..] = rest {
            rest = tail;
            if *kind % 8 == 7 {
                // What follows is the content of a power levels event.
                let (content, tail) = rest.split_at(rest.len().min(usize::from(*how)));
                rest = tail;
                if let Ok(Value::Object(content)) = strict::parse(content) {
                    let draft = self.cast.draft(*sender, kind::POWER_LEVELS, Some(String::new()), content);
                    self.send(*sender, draft);
                }
                continue;
            }
            self.step(*sender, *kind, *how);
        }
    }

    fn step(&mut self, sender: u8, kind: u8, how: u8) {
        let target = how % 3;
        let mut content = Object::new();
        let mut set = |key: &str, value: Value| drop(content.insert(key.to_owned(), value));
        let own = self.cast.user(sender).to_string();
        let (kind, state_key) = match kind % 8 {
            0 => {
                set("body", Value::from(how));
                ("m.room.message", None)
            }
            1 => {
                set("membership", Value::from("join"));
                (kind::MEMBER, Some(own))
            }
            2 => {
                let memberships = ["leave", "invite", "ban", "knock", "join", "dance"];
                let membership = memberships.iter().cycle().nth(usize::from(how / 3)).copied();
                set("membership", Value::from(membership.unwrap_or_default()));
                (kind::MEMBER, Some(self.cast.user(target).to_string()))
            }
            3 => {
                let rules = ["public", "invite", "knock", "restricted"];
                set("join_rule", Value::from(rules.iter().cycle().nth(usize::from(how)).copied()));
                (kind::JOIN_RULES, Some(String::new()))
            }
            4 => {
                let levels = [0, 50, 100, 101];
                let level = |shift: u8| levels.iter().cycle().nth(usize::from(how >> shift & 3)).copied();
                let users =
                    (0..3_u8).map(|user| (self.cast.user(user).to_string(), Value::from(level(user))));
                set("users", Value::Object(users.collect()));
                set("state_default", Value::from(level(6)));
                (kind::POWER_LEVELS, Some(String::new()))
            }
            5 => {
                set("room_version", Value::from("I.1"));
                (kind::CREATE, Some(String::new()))
            }
            _ => {
                set("name", Value::from(how));
                (kind::NAME, how.is_multiple_of(2).then(|| self.cast.user(target).to_string()))
            }
        };
        let draft = self.cast.draft(sender, kind, state_key, content);
        self.send(sender, draft);
    }

    /// Sends an event through the hub, and to the participant if it is accepted.
    fn send(&mut self, sender: u8, draft: Draft) {
        let version = Arc::clone(self.hub.room().version());
        let proposal = if self.cast.user(sender) == self.cast.user(0) {
            Proposal::of_own(draft, &version).ok()
        } else {
            self.cast.lpdu(draft).and_then(|lpdu| {
                let verified = Lpdu::parse(&lpdu.bytes, &version).ok()?.verify(&self.cast.ring).ok();
                assert!(verified.as_ref().is_some_and(|lpdu| !lpdu.is_redacted()), "an LPDU of our own");
                verified.map(Proposal::of_lpdu)
            })
        };
        let Some(proposal) = proposal else { return };
        let sender = proposal.event().sender().clone();
        let (before, levels) = (self.memberships(), self.levels());
        let had_levels = self.hub.room().state().current(kind::POWER_LEVELS, "").is_some();
        let Ok(authorised) = self.hub.authorise(proposal) else { return };
        let (name, key, _) = self.cast.server(0);
        let Ok(sealed) = authorised.seal(name, key, &version, 0) else { return };
        let appended = self.hub.append(sealed);
        let Ok(event) = appended else { panic_apart("a hub does not take what it sealed") };

        for ((user, was), is) in
            self.cast.servers.iter().map(|(.., user)| user).zip(before).zip(self.memberships())
        {
            assert!(
                !(was == Membership::Ban && is != Membership::Ban && is != Membership::Leave),
                "{user} came back"
            );
        }
        if event.event().is_state(kind::POWER_LEVELS, "") && had_levels {
            let at = self.cast.servers.iter().position(|(.., user)| *user == sender);
            let own = at.and_then(|at| levels.get(at)).copied().unwrap_or(0);
            // A level given by default is not an entry, so that only levels that are named can be judged.
            let users = event.event().content().get("users").and_then(Value::as_object);
            for ((.., user), (was, is)) in self.cast.servers.iter().zip(levels.iter().zip(self.levels())) {
                let named = users.is_some_and(|users| users.contains_key(user.as_str()));
                assert!(
                    !named || is <= own || is == *was,
                    "{sender} at {own} raised {user} from {was} to {is}"
                );
            }
        }
        self.follow(event.bytes());
    }

    /// The participant reads the hub's bytes and comes to the same state.
    fn follow(&mut self, bytes: &[u8]) {
        let verified = Pdu::parse(bytes, self.participant.room().version())
            .ok()
            .and_then(|pdu| pdu.verify(&self.cast.ring).ok());
        let Some(verified) = verified else { panic_apart("a participant cannot read what the hub sealed") };
        let Verdict::Extends(extension) = self.participant.judge(verified, false) else {
            panic_apart("a participant does not follow its hub");
        };
        assert!(extension.complaint().is_none() && self.participant.append(extension).is_ok());
        assert_eq!(self.participant.room().head().event_id, self.hub.room().head().event_id);
        self.list.push(bytes.to_vec());
    }

    fn memberships(&self) -> Vec<Membership> {
        self.cast.servers.iter().map(|(.., user)| self.hub.room().membership(user)).collect()
    }

    fn levels(&self) -> Vec<i64> {
        let state = self.hub.room().state();
        let content = state.current(kind::POWER_LEVELS, "").map(|event| event.event().content());
        let levels = Levels::new(content, self.cast.user(0));
        self.cast.servers.iter().map(|(.., user)| levels.user(user)).collect()
    }
}

/// What a fuzzer is looking for.
#[expect(clippy::panic, reason = "a fuzz target reports by panicking")]
fn panic_apart(what: &str) -> ! {
    panic!("{what}")
}

/// A sequence of events at a hub: nobody comes back from a ban without an unban, nobody raises anybody above themselves,
/// and a participant that gets the bytes follows to the same head.
pub fn authorise_apply(bytes: &[u8]) {
    // Enough events for any order of three users to show; each costs several signatures.
    let bytes = bytes.get(..bytes.len().min(192)).unwrap_or_default();
    Room::new(Cast::new()).run(bytes);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    // Alice writes power levels out.
    let levels = |content: &str| {
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        [&[0, 7, length], content.as_bytes()].concat()
    };
    vec![
        // Public; both join; a ban, tries to return, an unban, a return.
        vec![0, 3, 0, 1, 1, 0, 2, 1, 0, 0, 2, 7, 1, 1, 0, 1, 2, 1, 0, 2, 1, 1, 1, 0, 1, 0, 9],
        // Power levels handed around.
        vec![0, 3, 0, 1, 1, 0, 0, 4, 0b0000_0110, 1, 4, 0b0000_1010, 1, 4, 0b0011_1010, 0, 4, 0b0000_0010],
        // Knocking and inviting.
        vec![0, 3, 2, 1, 2, 10, 0, 2, 4, 1, 1, 0, 1, 2, 5, 2, 1, 0],
        [
            levels(r#"{"users":{"@alice:hub.example":100.0,"@bob:second.example":50}}"#),
            vec![1, 1, 0, 0, 3, 0],
        ]
        .concat(),
        [levels(r#"{"users":{"@alice:hub.example":100},"ban":1e1}"#), levels(r#"{"ban":101}"#)].concat(),
    ]
}
