//! A server comes to its end: what waits is sent, and nothing new is taken.

use std::time::Duration;

use http::Method;
use mimi_transport::api::send;
use mimi_transport::lifecycle::NotReady;
use mimi_transport::telemetry::REQUEST_ID;
use serde_json::json;

use super::{World, assert_same_end};

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_sent_before_a_server_ends() {
    let world = World::new();
    let (mut hub, mut b) = (world.server().await, world.server().await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    assert!(hub.node().ready().await.is_ok());
    b.go_away().await;
    hub.say(&room, "alice", "one").await;
    hub.say(&room, "alice", "two").await;

    let left = hub.server.as_ref().unwrap().drain(Duration::ZERO).await.unwrap();
    let [waiting] = left.as_slice() else { panic!("{left:?}") };
    assert_eq!((&waiting.destination, waiting.events), (&b.name, 2));
    assert!(matches!(hub.node().ready().await, Err(NotReady::Draining)));

    world.come_back(&mut b).await;
    let left = hub.server.as_ref().unwrap().drain(super::PATIENCE).await.unwrap();
    assert_eq!(left, [], "the queue goes on meanwhile");
    b.until_heard(&room, "two").await;
    hub.go_away().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_answers_but_takes_nothing() {
    let world = World::new();
    let (mut hub, b) = (world.server().await, world.server().await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    assert_eq!(hub.server.as_ref().unwrap().drain(super::PATIENCE).await.unwrap(), []);

    let client = &b.node().client;
    let keys = client.server_keys(&hub.name).await.unwrap();
    assert_eq!(keys.server_name(), &hub.name);
    let refused = client
        .request(&hub.name, &Method::PUT, &send::paths("t").stable, Some(&json!({"pdus": [], "edus": []})))
        .await
        .unwrap();
    assert_eq!(refused.status.as_u16(), 503);
    assert!(refused.headers.contains_key("retry-after"));
    assert!(refused.headers.contains_key(REQUEST_ID));

    // What a participant sends meanwhile waits in its own queue.
    b.say(&room, "bob", "later").await;
    hub.go_away().await;
    world.come_back(&mut hub).await;
    hub.until_heard(&room, "later").await;
    b.until_heard(&room, "later").await;
    assert_same_end(&room, &hub, &b).await;
}
