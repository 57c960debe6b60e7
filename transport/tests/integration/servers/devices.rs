//! Devices that come into groups, and key packages, across servers (LM-04 §4.1, §12.10; readings R39 and R40).

use mimi_linearized::base64;
use mimi_linearized::id::DeviceId;
use mimi_mls::{Carriage, Changes, Device, Engine, KeyPackage, KeyPackageUse, OutboundCommit, Suite};
use mimi_transport::rooms::RoomError;
use mimi_transport::store::NewKeyPackage;

use super::large_rooms::{key_package, update};
use super::*;

/// Waits until the hub has been told of a device: what it knew of the user's devices is void then.
async fn until_told(hub: &Place, device: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let inbox = hub.node().store.inbox(&hub.user("alice"), 0, 100).await.unwrap();
        let items = inbox.iter().map(|(_, item)| serde_json::from_slice::<Value>(item).unwrap());
        if items
            .filter(|item| item["type"] == "device_list_update")
            .any(|item| item["changed"][0]["device_id"] == device)
        {
            return;
        }
        assert!(Instant::now() < deadline, "the hub was never told of {device}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A room on `hub` with the first commit of Alice's device, and `bob` of `b` joined.
async fn room_with_alice(hub: &Place, b: &Place) -> (RoomId, Engine) {
    let room = hub.create_encrypted().await;
    b.join(&room, "bob", hub).await;
    let mut alice = hub.engine("alice", "A").await;
    alice.create(room.as_str()).unwrap();
    let first = alice.commit(room.as_str(), update(Carriage::default())).unwrap();
    takes(hub, &room, &mut alice, &first).await;
    (room, alice)
}

/// Alice's commit is taken.
async fn takes(hub: &Place, room: &RoomId, alice: &mut Engine, commit: &OutboundCommit) {
    let sent = hub.send_commit(room, "alice", commit).await.unwrap();
    assert!(matches!(sent, Sent::Event(_)), "it is the hub");
    let Sent::Event(id) = sent else { return };
    alice.accepted(room.as_str(), id.as_str()).unwrap();
}

/// Alice's commit that adds a device is refused, for this reason.
async fn refuses(hub: &Place, room: &RoomId, alice: &mut Engine, device: &Device, why: &str) {
    let add = vec![KeyPackage::generate(device, KeyPackageUse::OneTime).unwrap()];
    let commit = alice.commit(room.as_str(), Changes { add, ..Changes::default() }).unwrap();
    let error = hub.send_commit(room, "alice", &commit).await.unwrap_err();
    assert!(matches!(error, RoomError::Refused(_)) && error.to_string().contains(why), "{error}");
    alice.refused(room.as_str()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_asks_what_devices_there_are() {
    let world = World::new();
    let (hub, mut b) = (world.server().await, world.server().await);
    let (room, mut alice) = room_with_alice(&hub, &b).await;
    // Its own users' devices too have to be published.
    let own = hub.unpublished("alice", "A2");
    refuses(&hub, &room, &mut alice, &own, "there is no such device").await;
    let device = b.unpublished("bob", "B");
    refuses(&hub, &room, &mut alice, &device, "there is no such device").await;
    b.publish(&b.unpublished("bob", "B")).await;
    refuses(&hub, &room, &mut alice, &device, "another key").await;

    // Of a server that cannot be asked, nothing is known, and all else goes on.
    b.go_away().await;
    let gone = b.unpublished("bob", "GONE");
    refuses(&hub, &room, &mut alice, &gone, "nothing is known").await;
    let commit = alice.commit(room.as_str(), update(Carriage::default())).unwrap();
    takes(&hub, &room, &mut alice, &commit).await;
    hub.say(&room, "alice", "still here").await;
    world.come_back(&mut b).await;
    b.publish(&gone).await;
    let add = vec![KeyPackage::generate(&gone, KeyPackageUse::OneTime).unwrap()];
    let commit = alice.commit(room.as_str(), Changes { add, ..Changes::default() }).unwrap();
    takes(&hub, &room, &mut alice, &commit).await;

    // What is known is not asked for again.
    let known = b.engine("bob", "KNOWN").await;
    until_told(&hub, "KNOWN").await;
    let add = vec![key_package(&known)];
    let commit = alice.commit(room.as_str(), Changes { add, ..Changes::default() }).unwrap();
    takes(&hub, &room, &mut alice, &commit).await;
    b.until_epoch(&room, 4).await;
    // Unless it speaks against the leaf: what is remembered may be old.
    let twin = b.unpublished("bob", "KNOWN");
    let object = twin.object().unwrap().into_value().to_string().into_bytes();
    let id = DeviceId::parse("KNOWN").unwrap();
    b.node().store.put_device(&b.user("bob"), &id, object, Vec::new()).await.unwrap();
    let (third, mut alices) = room_with_alice(&hub, &b).await;
    let other = hub.create_encrypted().await;
    b.join(&other, "bob", &hub).await;
    let add = |device: &Device| {
        let add = vec![KeyPackage::generate(device, KeyPackageUse::OneTime).unwrap()];
        Changes { add, ..Changes::default() }
    };
    let commit = alices.commit(third.as_str(), add(&twin)).unwrap();
    takes(&hub, &third, &mut alices, &commit).await;
    b.until_epoch(&third, 2).await;
    b.go_away().await;
    let mut second = hub.engine("alice", "SECOND").await;
    second.create(other.as_str()).unwrap();
    let first = second.commit(other.as_str(), add(&twin)).unwrap();
    takes(&hub, &other, &mut second, &first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_packages_that_are_not_valid_are_not_handed_on() {
    let world = World::new();
    let (a, b) = (world.server().await, world.server().await);
    let bob = b.user("bob");
    let algorithm = Suite::MANDATORY.key_package_algorithm();
    let offer = async |published: &Device, offered: &Device| {
        let id = published.address().device_id();
        let package = KeyPackage::generate(offered, KeyPackageUse::OneTime).unwrap();
        let key = base64::encode(package.message());
        let package = NewKeyPackage {
            algorithm: algorithm.to_owned(),
            key: key.clone(),
            last_resort: false,
            expires: i64::MAX,
        };
        let object = published.object().unwrap().into_value().to_string().into_bytes();
        b.node().store.put_device(&bob, &DeviceId::parse(id).unwrap(), object, vec![package]).await.unwrap();
        key
    };
    let (good, bad, other) =
        (b.unpublished("bob", "GOOD"), b.unpublished("bob", "BAD"), b.unpublished("bob", "BAD"));
    let key = offer(&good, &good).await;
    offer(&bad, &other).await;
    let wanted = json!({bob.as_str(): {"GOOD": algorithm, "BAD": algorithm}});
    let claimed = a.node().claim(wanted.as_object().unwrap()).await.unwrap();
    assert_eq!(Value::Object(claimed), json!({bob.as_str(): {"GOOD": {algorithm: key}}}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_a_hub_overlooks_is_held_against_it() {
    let world = World::new();
    let (hub, b) = (world.server().await, world.server().await);
    let (room, mut alice) = room_with_alice(&hub, &b).await;
    let device = b.unpublished("bob", "B");
    b.publish(&device).await;
    until_told(&hub, "B").await;
    let add = |device: &Device| {
        let add = vec![KeyPackage::generate(device, KeyPackageUse::OneTime).unwrap()];
        Changes { add, ..Changes::default() }
    };
    // In another room first, so that the hub has asked for it.
    let (other, mut second) = room_with_alice(&hub, &b).await;
    let commit = second.commit(other.as_str(), add(&device)).unwrap();
    takes(&hub, &other, &mut second, &commit).await;
    b.until_epoch(&other, 2).await;
    // Nobody tells the hub that the device has another key now.
    let twin = b.unpublished("bob", "B").object().unwrap().into_value().to_string().into_bytes();
    b.node()
        .store
        .put_device(&b.user("bob"), &DeviceId::parse("B").unwrap(), twin, Vec::new())
        .await
        .unwrap();
    let commit = alice.commit(room.as_str(), add(&device)).unwrap();
    takes(&hub, &room, &mut alice, &commit).await;
    // The commit stands, so that both have the same group.
    let event = b.until_epoch(&room, 2).await;
    let evidence = b.node().store.evidence(&room, 10).await.unwrap();
    let [evidence] = &evidence[..] else { panic!("{evidence:?}") };
    assert_eq!((&evidence.event_id, &evidence.origin), (&event, &hub.name));
    assert!(evidence.detail.contains("another key"), "{}", evidence.detail);
    assert!(b.node().store.evidence(&other, 10).await.unwrap().is_empty());
}
