//! The state at an event, for servers that were not there (LM-04 §12.6.2, readings R15 and R48).

use http::Method;
use mimi_linearized::id::EventId;

use super::*;

/// What a server is served of a room's state: the topic's content, or the status of the refusal.
async fn topic_at(hub: &Place, from: &Place, room: &RoomId, event: &EventId) -> Result<Value, u16> {
    let segment = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let target = format!(
        "/_matrix/federation/v1/state/{}?event_id={}",
        segment(room.as_str()),
        segment(event.as_str())
    );
    let answer = from.node().client.request(&hub.name, &Method::GET, &target, None).await.unwrap();
    if let Some(error) = answer.api_error() {
        return Err(error.status().as_u16());
    }
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let topics = answer["pdus"].as_array().unwrap().iter().filter(|event| event["type"] == "m.room.topic");
    let topics: Vec<_> = topics.collect();
    assert_eq!(topics.len(), 1, "{answer}");
    Ok(topics[0]["content"].clone())
}

impl Place {
    async fn create_with_history(&self, visibility: &str) -> RoomId {
        let room = NewRoom {
            creator: self.user("alice"),
            room_version: None,
            join_rule: Some("public".to_owned()),
            room_type: None,
            history_visibility: Some(visibility.to_owned()),
            name: None,
            topic: Some("the topic".to_owned()),
            encryption: None,
            power_levels: Object::new(),
            initial_state: Vec::new(),
        };
        self.node().create_room(room).await.unwrap()
    }

    /// Says something, and returns the event's id.
    async fn id_of(&self, room: &RoomId, words: &str) -> EventId {
        let sent = self.say(room, "alice", words).await;
        assert!(matches!(sent, Sent::Event(_)), "the hub makes events");
        self.node().summary(room).await.unwrap().unwrap().head
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_from_before_a_join_is_redacted_where_history_is_hidden() {
    let world = World::new();
    let (hub, b, c) = (world.server().await, world.server().await, world.server().await);
    let (whole, nothing) = (json!({"topic": "the topic"}), json!({}));
    for (visibility, before_for_b, before_for_c) in [
        ("joined", Ok(&nothing), Err(404)),
        ("shared", Ok(&whole), Err(404)),
        ("world_readable", Ok(&whole), Ok(&whole)),
    ] {
        let room = hub.create_with_history(visibility).await;
        let before = hub.id_of(&room, "before").await;
        b.join(&room, "bob", &hub).await;
        let after = hub.id_of(&room, "after").await;
        for (server, event, expected) in
            [(&b, &before, before_for_b), (&c, &before, before_for_c), (&b, &after, Ok(&whole))]
        {
            let served = topic_at(&hub, server, &room, event).await;
            assert_eq!(served.as_ref().map_err(|status| *status), expected, "{visibility}");
        }
    }
}
