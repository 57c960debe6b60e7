//! Typing notices, receipts and presence between servers (readings R45 and R46).

use mimi_linearized::id::EventId;
use mimi_transport::api::send;
use mimi_transport::edus::{Ephemeral, Presence, PresenceState, Receipt, Typing};
use mimi_transport::rooms::RoomError;

use super::*;

fn typing(room: &RoomId, typing: bool) -> Ephemeral {
    Ephemeral::Typing(Typing { room_id: room.clone(), typing })
}

fn receipt(room: &RoomId, event: &str) -> Ephemeral {
    let event_ids = vec![EventId::parse(event).unwrap()];
    Ephemeral::Receipt(Receipt { room_id: room.clone(), event_ids, thread_id: None, ts: 5 })
}

fn online(status: &str) -> Ephemeral {
    let status = Some(status.to_owned());
    Ephemeral::Presence(Presence {
        state: PresenceState::Online,
        last_active_ago: 0,
        status,
        currently_active: true,
    })
}

impl Place {
    async fn says(&self, localpart: &str, said: Ephemeral) -> Result<(), RoomError> {
        self.node().say_in_passing(&self.user(localpart), said).await
    }

    /// What is in a user's inbox of typing notices, receipts and presence.
    async fn ephemera(&self, localpart: &str) -> Vec<Value> {
        let items = self.node().inbox(&self.user(localpart), 0, 1_000).await.unwrap();
        let items = items.iter().map(|(_, item)| serde_json::from_slice::<Value>(item).unwrap());
        items
            .filter(|item| ["typing", "receipt", "presence"].iter().any(|kind| item["type"] == *kind))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_passing_reaches_the_rooms_servers_and_no_others() {
    let world = World::new();
    let (hub, b, c, outside) =
        (world.server().await, world.server().await, world.server().await, world.server().await);
    let (room, elsewhere) = (hub.create("public").await, hub.create("public").await);
    b.join(&room, "bob", &hub).await;
    c.join(&room, "carol", &hub).await;
    outside.join(&elsewhere, "dave", &hub).await;
    b.until("carol in the room", async || {
        let members = b.node().summary(&room).await.unwrap().unwrap().members;
        members.contains_key(c.user("carol").as_str()).then_some(())
    })
    .await;

    // Of two participants, one tells the other without the hub in between, and the hub too.
    let bob = json!(b.user("bob"));
    b.says("bob", typing(&room, true)).await.unwrap();
    b.says("bob", receipt(&room, "$read")).await.unwrap();
    b.says("bob", online("here")).await.unwrap();
    for (place, user) in [(&hub, "alice"), (&c, "carol")] {
        let user = place.user(user);
        let item = place.until_inbox(&user, "typing", |item| item["type"] == "typing").await;
        assert_eq!(item, json!({"type": "typing", "room_id": room, "sender": bob, "typing": true}));
        let item = place.until_inbox(&user, "a receipt", |item| item["type"] == "receipt").await;
        assert_eq!((&item["room_id"], &item["sender"], &item["ts"]), (&json!(room), &bob, &json!(5)));
        assert_eq!(item["event_ids"], json!(["$read"]));
        let item = place.until_inbox(&user, "presence", |item| item["type"] == "presence").await;
        assert_eq!((&item["sender"], &item["presence"]), (&bob, &json!("online")));
        assert_eq!(item["status_msg"], "here");
    }
    assert_eq!(b.ephemera("bob").await, [] as [Value; 0], "it is his own");

    // What a local user says is seen by those next to them as well.
    b.join(&room, "bea", &hub).await;
    b.until("bea in the room", async || {
        let members = b.node().summary(&room).await.unwrap().unwrap().members;
        members.contains_key(b.user("bea").as_str()).then_some(())
    })
    .await;
    b.says("bob", typing(&room, false)).await.unwrap();
    let stopped = |item: &Value| item["type"] == "typing" && item["typing"] == false;
    b.until_inbox(&b.user("bea"), "no more typing", stopped).await;
    c.until_inbox(&c.user("carol"), "no more typing", stopped).await;

    // Dave shares no room with Bob. Alice, who shares one with each, says so to both.
    hub.says("alice", online("to all")).await.unwrap();
    outside.until_inbox(&outside.user("dave"), "presence", |item| item["status_msg"] == "to all").await;
    assert_eq!(outside.ephemera("dave").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_members_say_something_in_a_room() {
    let world = World::new();
    let (hub, b) = (world.server().await, world.server().await);
    let (room, other) = (hub.create("public").await, hub.create("public").await);
    b.join(&room, "bob", &hub).await;
    let refused = |result: Result<(), RoomError>| result.unwrap_err().to_api().status();
    assert_eq!(refused(b.says("bea", typing(&room, true)).await), 403, "she is not joined");
    assert_eq!(refused(b.says("bob", typing(&other, true)).await), 404, "the room is not known there");
    assert_eq!(refused(hub.node().say_in_passing(&b.user("bob"), typing(&room, true)).await), 403);
    assert_eq!(refused(b.says("bob", online(&"x".repeat(2_000))).await), 400);
    assert_eq!(
        refused(hub.says("alice", receipt(&RoomId::parse("!none:x.example").unwrap(), "$e")).await),
        404
    );

    // What comes from outside against the rules is ignored; what comes with it is not.
    let (bob, bea, alice) = (b.user("bob"), b.user("bea"), hub.user("alice"));
    let edu = |sender: &UserId, about: &UserId, room: &RoomId| {
        let content = json!({"room_id": room, "user_id": about, "typing": true});
        json!({"type": "m.typing", "sender": sender, "content": content})
    };
    let edus = json!([
        edu(&bea, &bea, &room),
        edu(&bob, &bob, &other),
        edu(&bob, &alice, &room),
        edu(&alice, &alice, &room),
        {"type": "m.typing", "sender": bob, "content": {"room_id": room, "user_id": bob, "typing": "yes"}},
        {"type": "m.presence", "sender": bea, "content":
            {"push": [{"user_id": bea, "presence": "online", "last_active_ago": 0}]}},
        {"type": "m.typing", "content": {}},
        7,
        edu(&bob, &bob, &room),
    ]);
    hub.join(&room, "anna", &hub).await;
    send::call(b.node(), &hub.name, "edus", &json!({"pdus": [], "edus": edus})).await.unwrap();
    let expected = json!({"type": "typing", "room_id": room, "sender": bob, "typing": true});
    assert_eq!(hub.ephemera("anna").await, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_server_misses_does_not_pile_up() {
    let world = World::new();
    let (hub, mut b) = (world.server().await, world.server().await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    hub.until("an empty queue", async || {
        hub.node().store.destinations().await.unwrap().is_empty().then_some(())
    })
    .await;
    b.go_away().await;
    for round in 0..50 {
        hub.says("alice", typing(&room, round % 2 == 0)).await.unwrap();
        hub.says("alice", online(&format!("round {round}"))).await.unwrap();
        hub.says("alice", receipt(&room, &format!("$e{round}"))).await.unwrap();
    }
    // At most what was in flight when more was said is stored beside the newest of each.
    let waiting = hub.node().store.waiting(&b.name, 50, 1_000).await.unwrap().len();
    assert!(waiting <= 3, "{waiting} EDUs are stored for a server that is away");
    world.come_back(&mut b).await;
    let bob = b.user("bob");
    b.until_inbox(&bob, "the last receipt", |item| item["event_ids"] == json!(["$e49"])).await;
    b.until_inbox(&bob, "the last presence", |item| item["status_msg"] == "round 49").await;
    b.until_inbox(&bob, "the last typing", |item| item["typing"] == false).await;
    let seen = b.ephemera("bob").await.len();
    assert!(seen <= 6, "{seen} items of 150 were sent");
}
