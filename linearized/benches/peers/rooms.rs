//! Rooms of many members and of many events: what deciding and appending costs.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use mimi_linearized::auth::{self, SelectedState};
use mimi_linearized::event::{Draft, Event, RoomEvent};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{EventId, KeyId, RoomId, ServerName, UserId};
use mimi_linearized::json::Value;
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;
use ruma_common::room_version_rules::RoomVersionRules;
use ruma_events::StateEventType;
use ruma_state_res::check_state_dependent_auth_rules;
use serde_json::json;

use crate::peer::PeerEvent;
use crate::table::OURS;

const ALICE: &str = "@alice:hub.example";

struct BenchRoom {
    hub: Hub,
    create: RoomEvent,
    name: ServerName,
    key: SigningKey,
}

fn draft(sender: &str, kind: &str, state_key: Option<&str>, content: Value) -> Draft {
    let Value::Object(content) = content else { panic!("an object") };
    Draft {
        room_id: RoomId::parse("!room:hub.example").unwrap(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: UserId::parse(sender).unwrap(),
        content,
        origin_server_ts: 1_700_000_000_000,
    }
}

fn member(user: &str, membership: &str) -> Draft {
    draft(user, "m.room.member", Some(user), json!({"membership": membership}))
}

fn message() -> Draft {
    draft(ALICE, "m.room.message", None, json!({"msgtype": "m.text", "body": "hello"}))
}

impl BenchRoom {
    /// A public room of this many members.
    fn of_members(members: usize) -> Self {
        let versions = RoomVersions::lm_04();
        let name = ServerName::parse("hub.example").unwrap();
        let key = SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &[7; 32]);
        let create = draft(ALICE, "m.room.create", Some(""), json!({"room_version": "I.1"}));
        let proposal = Proposal::of_own(create, versions.default_version()).unwrap();
        let (authorised, version) = Hub::authorise_create(proposal, &versions).unwrap();
        let sealed = authorised.seal(&name, &key, &version, 0).unwrap();
        let create = sealed.event().clone();
        let mut room = Self { hub: Hub::begin(sealed, version).unwrap(), create, name, key };
        room.send(member(ALICE, "join"));
        let levels = json!({"users": {ALICE: 100, "@bob:hub.example": 50, "@carol:hub.example": 50}});
        room.send(draft(ALICE, "m.room.power_levels", Some(""), levels));
        room.send(draft(ALICE, "m.room.join_rules", Some(""), json!({"join_rule": "public"})));
        for user in 1..members {
            room.send(member(&format!("@user{user}:hub.example"), "join"));
        }
        room
    }

    fn send(&mut self, draft: Draft) {
        let version = Arc::clone(self.hub.room().version());
        let proposal = Proposal::of_own(draft, &version).unwrap();
        let sealed = self.hub.authorise(proposal).unwrap().seal(&self.name, &self.key, &version, 0).unwrap();
        self.hub.append(sealed).unwrap();
    }

    fn event(&self, draft: Draft) -> Event {
        Proposal::of_own(draft, self.hub.room().version()).unwrap().event().clone()
    }
}

/// A room's state as the peer looks it up.
fn peer_state(room: &BenchRoom) -> HashMap<StateEventType, HashMap<String, PeerEvent>> {
    let mut state: HashMap<StateEventType, HashMap<String, PeerEvent>> = HashMap::new();
    for event in room.hub.room().state().all_current() {
        let fields = event.event();
        let peer = PeerEvent::new(fields, event.id(), event.prev_events(), event.auth_events());
        state.entry(fields.kind().into()).or_default().insert(fields.state_key().unwrap().to_owned(), peer);
    }
    state
}

/// One decision, in rooms of different sizes.
pub(crate) fn authorise(criterion: &mut Criterion) {
    let rules = RoomVersionRules::V11;
    for (members, name, with_peer) in [(20, "20", true), (1_000, "1,000", true), (100_000, "100,000", false)]
    {
        let room = BenchRoom::of_members(members);
        let peer = with_peer.then(|| peer_state(&room));
        for (what, draft) in [("message", message()), ("join", member("@newcomer:hub.example", "join"))] {
            let event = room.event(draft);
            let select = || {
                SelectedState::select(&event, &room.create, false, |kind, state_key| {
                    room.hub.room().state().current(kind, state_key)
                })
            };
            let mut group = criterion.benchmark_group(format!("authorise a {what}, {name} members"));
            group.bench_function(OURS, |b| b.iter(|| auth::authorise(black_box(&event), &select()).unwrap()));
            if let Some(peer) = &peer {
                let head = room.hub.room().head().event_id.clone();
                let id = EventId::parse("$proposed").unwrap();
                let theirs = PeerEvent::new(&event, &id, &[head], &select().to_cite(&event));
                group.bench_function("ruma", |b| {
                    b.iter(|| {
                        check_state_dependent_auth_rules(
                            &rules.authorization,
                            black_box(&theirs),
                            |kind: &StateEventType, state_key: &str| peer.get(kind)?.get(state_key),
                        )
                        .unwrap();
                    });
                });
            }
            group.finish();
        }
    }
}

/// One message more: authorised, sealed, appended.
pub(crate) fn append(criterion: &mut Criterion) {
    for (length, name) in [(1_000_u64, "1,000"), (1_000_000, "1,000,000")] {
        let mut room = BenchRoom::of_members(20);
        while room.hub.room().head().length < length {
            room.send(message());
        }
        let mut group = criterion.benchmark_group(format!("append a message, {name} events"));
        group.bench_function(OURS, |b| b.iter(|| room.send(message())));
        group.finish();
    }
}
