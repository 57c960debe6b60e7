//! A server's own signing key is replaced while it runs (LM-04 §12.4.1.2).

use mimi_linearized::id::KeyId;

use super::{Place, World, assert_same_end};

/// Replaces a server's key. Returns the ids of the old and the new one.
async fn rotate(place: &Place) -> (KeyId, KeyId) {
    let both =
        |rotation: mimi_transport::keys::Rotation<'_>| (rotation.old.clone(), rotation.new.id().clone());
    place.node().rotate_key(both).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_goes_on_with_new_keys() {
    let world = World::new();
    let (mut hub, b) = (world.server().await, world.server().await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    hub.say(&room, "alice", "before").await;
    let (first, second) = rotate(&hub).await;
    assert_eq!((hub.node().key().id(), first == second), (&second, false));
    hub.say(&room, "alice", "after").await;
    b.until_heard(&room, "after").await;
    // The participant's queue signs anew each time it sends.
    rotate(&b).await;
    b.say(&room, "bob", "answer").await;
    hub.until_heard(&room, "answer").await;

    // What a new start finds is the new key, and who never saw the old one in use takes what it signed.
    hub.go_away().await;
    world.come_back(&mut hub).await;
    assert_eq!(hub.node().key().id(), &second);
    assert_eq!(hub.node().own_keys.old().into_keys().collect::<Vec<_>>(), [first]);
    let c = world.server().await;
    c.join(&room, "carol", &hub).await;
    hub.say(&room, "alice", "welcome").await;
    for place in [&b, &c] {
        place.until_heard(&room, "welcome").await;
        assert_same_end(&room, &hub, place).await;
    }
    assert_eq!(b.words(&room).await, ["before", "after", "answer", "welcome"]);
}
