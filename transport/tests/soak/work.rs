//! Who is in which room and says what, and what has to come of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use mimi_linearized::auth::Membership;
use mimi_linearized::id::{EventId, RoomId};
use mimi_linearized::json::Object;
use mimi_linearized::room::Effect;
use mimi_transport::edus::{Ephemeral, Typing};
use mimi_transport::node::Node;
use mimi_transport::rooms::{NewRoom, RoomError, Sent};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::fleet::{Fleet, Place};

/// How often a handshake is tried whose connection was cut.
const ATTEMPTS: usize = 20;

/// How large it all is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) servers: usize,
    pub(crate) rooms: usize,
    /// At most so many servers are in a room, the hub among them; at least two.
    pub(crate) servers_in_a_room: usize,
    /// How many messages each server's user sends to each of its rooms.
    pub(crate) messages: usize,
    /// How many servers are away for a while.
    pub(crate) away: usize,
}

/// A room: its hub comes first among its servers.
struct Planned {
    servers: Vec<usize>,
    id: OnceCell<RoomId>,
}

/// What is to happen.
pub(crate) struct Plan {
    size: Size,
    seed: u64,
    rooms: Arc<Vec<Planned>>,
}

impl Plan {
    pub(crate) fn new(size: Size, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let all: Vec<usize> = (0..size.servers).collect();
        let rooms = (0..size.rooms).map(|_| {
            let count = random.random_range(2..=size.servers_in_a_room);
            Planned { servers: all.sample(&mut random, count).copied().collect(), id: OnceCell::new() }
        });
        Self { size, seed, rooms: Arc::new(rooms.collect()) }
    }

    /// Does something at every server at once, and ends with what comes of it.
    async fn at_each<F>(&self, fleet: &Fleet, work: impl Fn(Arc<Place>, usize, Arc<Vec<Planned>>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for (number, place) in fleet.places.iter().enumerate() {
            tasks.spawn(work(Arc::clone(place), number, Arc::clone(&self.rooms)));
        }
        tasks.join_all().await;
    }

    /// Makes the rooms, and has everybody join theirs.
    pub(crate) async fn make_rooms(&self, fleet: &Fleet) {
        self.at_each(fleet, async |place, number, rooms| {
            for room in rooms.iter().filter(|room| room.servers[0] == number) {
                room.id.set(create(&place).await).unwrap();
            }
        })
        .await;
        let names: Arc<Vec<_>> = Arc::new(fleet.places.iter().map(|place| place.name.clone()).collect());
        self.at_each(fleet, |place, number, rooms| {
            let names = Arc::clone(&names);
            async move {
                for room in rooms.iter().filter(|room| room.servers[1..].contains(&number)) {
                    let via = [names[room.servers[0]].clone()];
                    join(&place, room.id.get().unwrap(), "user", &via).await;
                }
            }
        })
        .await;
    }

    /// Has everybody speak in all their rooms, in an order of chance, while connections are cut. Half-way, some servers
    /// stop, and say the rest when they are back and the others are done.
    pub(crate) async fn talk(&self, fleet: &Fleet) {
        let (half, end, seed) = (self.size.messages / 2, self.size.messages, self.seed);
        let away = self.size.away;
        let say = |numbers: Range<usize>, who: Range<usize>| async move {
            let work = |place, number, rooms| {
                let numbers = if who.contains(&number) { numbers.clone() } else { 0..0 };
                talk(place, number, rooms, seed, numbers)
            };
            self.at_each(fleet, work).await;
        };
        say(0..half, 0..usize::MAX).await;
        for place in fleet.places.iter().take(away) {
            place.go().await;
        }
        say(half..end, away..usize::MAX).await;
        for place in fleet.places.iter().take(away) {
            place.come().await;
        }
        say(half..end, 0..away).await;
    }

    /// Waits until every participant has its hub's head and nobody has anything to send.
    pub(crate) async fn settle(&self, fleet: &Fleet) {
        fleet.relent();
        for place in &fleet.places {
            place.until(nothing_to_send).await;
        }
        for room in self.rooms.iter() {
            let id = room.id.get().unwrap();
            let hub = fleet.places[room.servers[0]].node().await;
            for server in &room.servers[1..] {
                let (hub, id) = (hub.clone(), id.clone());
                let same = move |node: Node| {
                    let (hub, id) = (hub.clone(), id.clone());
                    async move {
                        let head =
                            |summary: Option<mimi_transport::rooms::RoomSummary>| summary.unwrap().head;
                        let (theirs, ours) =
                            (head(hub.summary(&id).await.unwrap()), head(node.summary(&id).await.unwrap()));
                        if theirs == ours {
                            Ok(())
                        } else {
                            Err(format!("{id} ends with {ours}, not {theirs}"))
                        }
                    }
                };
                fleet.places[*server].until(same).await;
            }
        }
        // What came meanwhile may have made more to send.
        for place in &fleet.places {
            place.until(nothing_to_send).await;
        }
    }

    /// Compares all lists, and looks whether everything that was said is there once and in order.
    pub(crate) async fn check(&self, fleet: &Fleet) -> String {
        let (mut events, mut copies) = (0, 0);
        for room in self.rooms.iter() {
            let id = room.id.get().unwrap();
            let hub = &fleet.places[room.servers[0]];
            let all = list(&hub.node().await, id).await;
            events += all.len();
            for server in &room.servers[1..] {
                let place = &fleet.places[*server];
                let end = list(&place.node().await, id).await;
                copies += end.len();
                assert!(
                    all.ends_with(&end),
                    "{id}: {} has another list than its hub {}",
                    place.name,
                    hub.name
                );
                let first: Value = serde_json::from_slice(&end[0].1).unwrap();
                assert_eq!(
                    first["state_key"],
                    json!(place.user("user")),
                    "{id} begins with the join at {}",
                    place.name
                );
                assert!(!place.node().await.summary(id).await.unwrap().unwrap().disputed);
            }
            let mut said: BTreeMap<String, Vec<u64>> = BTreeMap::new();
            for (_, bytes) in &all {
                let event: Value = serde_json::from_slice(bytes).unwrap();
                if let Some(number) = event["content"]["number"].as_u64() {
                    said.entry(event["sender"].as_str().unwrap().to_owned()).or_default().push(number);
                }
            }
            let expected: Vec<u64> = (0..u64::try_from(self.size.messages).unwrap()).collect();
            for server in &room.servers {
                let user = fleet.places[*server].user("user");
                assert_eq!(said.remove(user.as_str()), Some(expected.clone()), "{id}: what {user} said");
            }
            assert!(said.is_empty(), "{id}: {said:?}");
        }
        format!("{events} events, {copies} copies of them at participants")
    }
}

async fn create(place: &Place) -> RoomId {
    let room = NewRoom {
        creator: place.user("user"),
        room_version: None,
        join_rule: Some("public".to_owned()),
        room_type: None,
        history_visibility: None,
        name: None,
        topic: None,
        encryption: None,
        power_levels: Object::new(),
        initial_state: Vec::new(),
    };
    place.node().await.create_room(room).await.unwrap()
}

/// Joins a room; tries again if the connection to the hub is cut.
async fn join(place: &Place, room: &RoomId, localpart: &str, via: &[mimi_linearized::id::ServerName]) {
    let (node, user) = (place.node().await, place.user(localpart));
    for _ in 0..ATTEMPTS {
        match node.change_membership(room, &user, &user, Membership::Join, None, via).await {
            Ok(_) => return,
            Err(RoomError::Unreachable { .. }) => {}
            Err(error) => panic!("{user} cannot join {room}: {error}"),
        }
    }
    panic!("{user} cannot join {room} in {ATTEMPTS} attempts");
}

/// Sends this server's share of messages, to its rooms in an order of chance. Now and then somebody else of the server
/// comes or goes, the creator changes the name, and a share of the connections is cut.
async fn talk(place: Arc<Place>, number: usize, rooms: Arc<Vec<Planned>>, seed: u64, numbers: Range<usize>) {
    if numbers.is_empty() {
        return;
    }
    let mut random =
        StdRng::seed_from_u64(seed ^ u64::try_from((number + 1) * 1_000 + numbers.start).unwrap());
    let node = place.node().await;
    let (user, guest) = (place.user("user"), place.user("guest"));
    let mut left: Vec<(&Planned, usize)> = rooms
        .iter()
        .filter(|room| room.servers.contains(&number))
        .map(|room| (room, numbers.start))
        .collect();
    while !left.is_empty() {
        let index = random.random_range(0..left.len());
        let (room, next) = left[index];
        let id = room.id.get().unwrap();
        let content = json!({"body": "x".repeat(random.random_range(0..400)), "number": next});
        send(&node, id, &user, "m.room.message", None, content).await;
        match random.random_range(0..40) {
            0 => place.cut_some(),
            1 => {
                let name = json!({"name": format!("{next}")});
                if room.servers[0] == number {
                    send(&node, id, &user, "m.room.name", Some(String::new()), name).await;
                }
            }
            2 => {
                let change = [Membership::Join, Membership::Leave][random.random_range(0..2)];
                // Who has not come cannot go.
                let _ = node.change_membership(id, &guest, &guest, change, None, &[]).await;
            }
            3 => {
                let typing = Typing { room_id: id.clone(), typing: random.random() };
                node.say_in_passing(&user, Ephemeral::Typing(typing)).await.unwrap();
            }
            _ => {}
        }
        left[index].1 += 1;
        if left[index].1 == numbers.end {
            left.swap_remove(index);
        }
    }
}

async fn send(
    node: &Node,
    room: &RoomId,
    sender: &mimi_linearized::id::UserId,
    kind: &str,
    state_key: Option<String>,
    content: Value,
) -> Sent {
    let Value::Object(content) = content else { panic!("no object") };
    node.send_event(room, sender, kind, state_key, content).await.unwrap()
}

async fn nothing_to_send(node: Node) -> Result<(), String> {
    let left: BTreeSet<_> = node.store.destinations().await.unwrap().into_iter().collect();
    if left.is_empty() { Ok(()) } else { Err(format!("something is left for {left:?}")) }
}

/// A room's list: ids and events. Nothing in it may be rejected.
async fn list(node: &Node, room: &RoomId) -> Vec<(EventId, Arc<[u8]>)> {
    let mut list = Vec::new();
    loop {
        let from = u64::try_from(list.len()).unwrap();
        let records = node.store.records(room, from, 1_000).await.unwrap();
        if records.is_empty() {
            return list;
        }
        for record in records {
            assert_eq!(record.effect, Effect::Applied, "{} in {room}", record.event_id);
            list.push((record.event_id, record.bytes));
        }
    }
}
