//! The reference server among liars: every lie is told to it, and it stays sound.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use mimi_linearized::event::reference_id;
use mimi_linearized::id::{RoomId, UserId};
use mimi_linearized::version::RoomVersions;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;
use crate::environment::{Environment, PeerCertificate, Ports, Setup};
use crate::evidence::Recorder;
use crate::mls::Stacks;
use crate::target::Embedded;

/// How many lies are told at the same time.
const AT_ONCE: usize = 4;

/// The reference server, and a sound server with a user in a room of it: what has to go on whatever happens.
struct World {
    embedded: Embedded,
    /// A second one, for lies that need two to be lied to.
    second: Embedded,
    surroundings: Surroundings,
    sound: ScriptedParticipant,
    room: RoomId,
    user: UserId,
}

impl World {
    async fn new() -> Self {
        let setup = Setup::new("localhost", PeerCertificate::Temporary, &[]).unwrap();
        let ports = Ports::new("localhost", IpAddr::V4(Ipv4Addr::LOCALHOST), None).unwrap();
        let embedded = Embedded::start(&setup, &ports, &[], None).await.unwrap();
        let second = Embedded::start(&setup, &ports, &[], None).await.unwrap();
        let target = embedded.target().clone();
        let environment =
            Environment::new(target, setup, ports, Vec::new(), None, 11, Stacks::Mixed).unwrap();
        let surroundings = Surroundings::within(&environment, &Recorder::keeping(1_000), &Arc::default());
        let sound = ScriptedParticipant::start(HostileServer::builder(&surroundings)).await.unwrap();
        let room = surroundings.have_room().await.unwrap();
        let user = sound.join(&room, "sound").await.unwrap();
        Self { embedded, second, surroundings, sound, room, user }
    }

    /// Others are served: a message of the sound server is in the list and comes back.
    async fn serves_others(&self, what: &str) {
        let body = format!("after {what}");
        self.sound.say(&self.room, &self.user, &body).await.unwrap();
        let is = |event: &Value| event["content"]["body"] == *body;
        self.sound.until_heard("a message of a sound server", is).await.unwrap();
    }

    /// A hub with these lies, a room of it that `dora` of the target has joined, and the place of that join in its list,
    /// at which the target's list begins.
    async fn hub(&self, lies: &[(Lie, When)]) -> (ScriptedHub, ScriptedRoom, usize) {
        let hub = ScriptedHub::start(self.liar(lies)).await.unwrap();
        let room = hub.create_room().await.unwrap();
        self.surroundings.have_join("dora", room.id(), hub.server().name()).await.unwrap();
        let joined = room.list().len() - 1;
        assert_eq!(self.ids(room.id()).await, ids(&room.list())[joined..], "after the join");
        (hub, room, joined)
    }

    fn liar(&self, lies: &[(Lie, When)]) -> HostileServerBuilder {
        let builder = HostileServer::builder(&self.surroundings);
        lies.iter().fold(builder, |builder, (lie, when)| builder.lie(*lie, when.clone()))
    }

    async fn ids(&self, room: &RoomId) -> Vec<String> {
        ids(&self.surroundings.list(room).await.unwrap())
    }

    /// An event in the target's list.
    async fn content(&self, room: &RoomId, id: &str) -> Option<Value> {
        let list = self.surroundings.list(room).await.unwrap();
        list.into_iter().find(|event| id_of(event) == id).map(|event| event["content"].clone())
    }
}

fn id_of(event: &Value) -> String {
    let version = RoomVersions::lm_04();
    reference_id(event.as_object().unwrap(), version.default_version()).to_string()
}

fn ids(list: &[Value]) -> Vec<String> {
    list.iter().map(id_of).collect()
}

/// A server whose keys cannot be had is not believed, and nobody else is held up by it.
async fn as_a_stranger(world: &World, lie: Lie) {
    let when = if lie.layer() == Layer::Connection { When::Always } else { When::endpoint("keys") };
    let liar = Arc::new(ScriptedParticipant::start(world.liar(&[(lie, when)])).await.unwrap());
    let room = world.surroundings.have_room().await.unwrap();
    let before = world.ids(&room).await;
    let joining = {
        let (liar, room) = (Arc::clone(&liar), room.clone());
        tokio::spawn(async move { liar.join(&room, "eve").await })
    };
    liar.server().until_told(lie).await.unwrap();
    world.serves_others(&format!("{lie} in keys")).await;
    match lie {
        // It is not waited for: whatever the time is that the target gives it, nobody is held up meanwhile.
        Lie::SilentHandshake | Lie::Stall | Lie::StallAfterHead | Lie::Drip => {
            liar.server().relent();
            let joined = joining.await.unwrap();
            // The truth comes after all, at the latest when somebody asks again.
            assert!(joined.is_ok() || lie == Lie::SilentHandshake, "{lie}: {joined:?}");
        }
        Lie::WrongContentType => assert!(joining.await.unwrap().is_ok(), "{lie}"),
        _ => {
            let refused = joining.await.unwrap();
            assert!(matches!(refused, Err(HostileError::Failed(_))), "{lie}: {refused:?}");
            assert_eq!(world.ids(&room).await, before, "{lie}");
        }
    }
    if lie.layer() == Layer::Connection {
        let asked = liar.server().exchanges().iter().any(|exchange| exchange.url.contains("/key/"));
        assert!(!asked || lie == Lie::SilentHandshake, "{lie}");
        let handshake = &liar.server().handshakes()[0];
        assert_eq!(handshake.lie, Some(lie));
        assert_eq!(handshake.error.is_some(), lie != Lie::SilentHandshake, "{lie}: {handshake:?}");
    }
}

/// What a hub does not give is not made up for, and had as soon as the hub gives it.
async fn as_a_hub_that_is_asked(world: &World, lie: Lie) {
    let on = |endpoint| (lie, When::endpoint(endpoint));
    let lies = [on("backfill"), on("event"), on("state"), on("state_ids")];
    let (hub, room, joined) = world.hub(&lies).await;
    let truth = || ids(&room.list())[joined..].to_vec();
    let before = world.ids(room.id()).await;
    hub.server().add(Lie::Withhold, When::endpoint("send").and(When::First(1))).unwrap();
    hub.say(&room, "never sent").await.unwrap();
    let hub = Arc::new(hub);
    let saying = {
        let (hub, room) = (Arc::clone(&hub), room.clone());
        tokio::spawn(async move { hub.say(&room, "sent").await })
    };
    hub.server().until_told(lie).await.unwrap();
    world.serves_others(&format!("{lie} in events")).await;
    // What is waited for is not waited for here.
    let waits = matches!(lie, Lie::Stall | Lie::StallAfterHead | Lie::Drip);
    if !waits {
        saying.await.unwrap().unwrap();
        let expected = if lie == Lie::WrongContentType { truth() } else { before };
        assert_eq!(world.ids(room.id()).await, expected, "{lie}");
    }
    hub.server().relent();
    hub.say(&room, "the truth").await.unwrap();
    assert_eq!(world.ids(room.id()).await, truth(), "{lie}: once the hub tells the truth");
}

/// What a hub sends of its room is taken for what it is worth.
async fn as_a_hub_that_tells(world: &World, lie: Lie) {
    let (hub, room, joined) = world.hub(&[(lie, When::endpoint("send"))]).await;
    let truth_now = || ids(&room.list())[joined..].to_vec();
    let before = world.ids(room.id()).await;
    let first = hub.say(&room, "first").await.unwrap();
    let second = if lie == Lie::Reorder { hub.say(&room, "second").await.unwrap() } else { Vec::new() };
    world.serves_others(&format!("{lie} from a hub")).await;
    let (after, truth) = (world.ids(room.id()).await, truth_now());
    let last = truth.last().unwrap();
    match lie {
        Lie::Forge | Lie::OtherSender | Lie::OversizeEvent => {
            assert_eq!(first[0].answer, json!({"failed_pdus": {}}), "{lie} is dropped");
            assert_eq!(after, before, "{lie}");
        }
        Lie::Tamper => {
            assert_eq!(after, truth, "{lie}");
            assert_eq!(world.content(room.id(), last).await, Some(json!({})), "{lie}");
        }
        Lie::Replay => {
            assert_eq!((first.len(), &after), (2, &truth), "{lie}");
        }
        Lie::Reorder => {
            assert_eq!((first.len(), second[0].pdus.len(), &after), (0, 2, &truth), "{lie}");
        }
        Lie::Withhold => assert_eq!((first.len(), &after), (0, &before), "{lie}"),
        Lie::Equivocate => {
            // The first that comes is listed, and the other one is reported.
            let other = id_of(&first[0].pdus[0]);
            assert_ne!(other, *last);
            assert_eq!(after.last(), Some(&other), "{lie}");
            assert!(first[1].answer["failed_pdus"].get(last).is_some(), "{lie}: {}", first[1].answer);
        }
        Lie::OversizeTransaction => {
            assert_eq!(first[0].status.unwrap().as_u16(), 400, "{lie}");
            assert_eq!(after, before, "{lie}");
        }
        Lie::Flood => {
            let taken = first.iter().filter(|delivery| delivery.status.unwrap() == 200).count();
            assert!(
                taken > 0 && first.iter().all(|delivery| delivery.status.unwrap().as_u16() < 500),
                "{lie}"
            );
            assert_eq!(after, truth, "{lie}");
        }
        other => panic!("{other} needs a trial"),
    }
    hub.server().relent();
    hub.say(&room, "the truth").await.unwrap();
    if lie == Lie::Equivocate {
        // The hub goes on from the other one, and is followed no further than to where it said two things.
        assert_eq!(world.ids(room.id()).await, after, "{lie}");
    } else {
        assert_eq!(world.ids(room.id()).await, truth_now(), "{lie}: once the hub tells the truth");
    }
}

/// What a participant sends is taken for what it is worth.
async fn as_a_participant(world: &World, lie: Lie) {
    let liar = ScriptedParticipant::start(world.liar(&[])).await.unwrap();
    let room = world.surroundings.have_room().await.unwrap();
    let eve = liar.join(&room, "eve").await.unwrap();
    let before = world.ids(&room).await;
    liar.server().add(lie, When::endpoint("send")).unwrap();
    let first = liar.say(&room, &eve, "first").await.unwrap();
    let second =
        if lie == Lie::Reorder { liar.say(&room, &eve, "second").await.unwrap() } else { Vec::new() };
    world.serves_others(&format!("{lie} from a participant")).await;
    let list = world.surroundings.list(&room).await.unwrap();
    let new: Vec<&Value> = list[before.len()..].iter().map(|event| &event["content"]).collect();
    match lie {
        Lie::Forge | Lie::OtherSender | Lie::OversizeEvent => {
            assert_eq!(first[0].answer, json!({"failed_pdus": {}}), "{lie} is dropped");
            assert!(new.is_empty(), "{lie}: {new:?}");
        }
        Lie::Tamper => assert_eq!(new, [&json!({})], "{lie}"),
        Lie::Replay => assert_eq!((first.len(), new), (2, vec![&json!({"body": "first"})]), "{lie}"),
        Lie::Reorder => {
            assert_eq!((first.len(), second.len()), (0, 1), "{lie}");
            assert_eq!(new, [&json!({"body": "second"}), &json!({"body": "first"})], "{lie}");
        }
        Lie::Withhold => assert_eq!((first.len(), new.len()), (0, 0), "{lie}"),
        Lie::Equivocate => {
            assert_eq!(new, [&json!({"body": "something else"})], "{lie}");
            assert_eq!(first[0].answer, first[1].answer, "{lie}");
        }
        Lie::OversizeTransaction => {
            assert_eq!((first[0].status.unwrap().as_u16(), new.len()), (400, 0), "{lie}");
        }
        Lie::Flood => {
            assert!(first.iter().all(|delivery| delivery.status.unwrap().as_u16() < 500), "{lie}");
            assert_eq!(new, [&json!({"body": "first"})], "{lie}");
        }
        other => panic!("{other} needs a trial"),
    }
    liar.server().relent();
    liar.say(&room, &eve, "the truth").await.unwrap();
    let list = world.surroundings.list(&room).await.unwrap();
    assert_eq!(list.last().unwrap()["content"]["body"], "the truth", "{lie}");
}

/// Whatever a lie can be told on.
async fn trials(world: &World, lie: Lie) {
    match lie.layer() {
        Layer::Connection => as_a_stranger(world, lie).await,
        Layer::Answer => {
            as_a_stranger(world, lie).await;
            as_a_hub_that_is_asked(world, lie).await;
        }
        Layer::Events => {
            as_a_hub_that_tells(world, lie).await;
            as_a_participant(world, lie).await;
        }
    }
}

/// Every lie there is: one that is added needs a trial here, or what it is expected to come to is not said.
#[tokio::test(flavor = "multi_thread")]
async fn the_reference_server_stays_sound_whatever_it_is_told() {
    let world = Arc::new(World::new().await);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for lie in Lie::ALL.iter().copied() {
        let (world, places) = (Arc::clone(&world), Arc::clone(&places));
        running.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            // A task of its own, so that one that fails does not hide the others.
            let tried = tokio::spawn(async move { trials(&world, lie).await });
            tried.await.is_err().then_some(lie)
        });
    }
    let failed: Vec<Lie> = running.join_all().await.into_iter().flatten().collect();
    assert_eq!(failed, [], "what is wrong with each is said above");
    let world = Arc::into_inner(world).unwrap();
    world.embedded.stop().await;
    world.second.stop().await;
}

/// Two servers that are told two stories: each lists what it was told, and both are soundly signed.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_are_told_two_stories() {
    let world = World::new().await;
    let (hub, room, _) = world.hub(&[]).await;
    let (second, control) = (world.second.target(), world.second.target().control.as_ref().unwrap());
    let recorder = &world.surroundings.recorder;
    let via = [hub.server().name().as_str()];
    control.membership(recorder, room.id(), "erin", "erin", "join", &via).await.unwrap();
    hub.until_joined(&room, &second.name).await.unwrap();
    assert_eq!(room.servers().len(), 2);

    hub.server().add(Lie::Equivocate, When::endpoint("send")).unwrap();
    let deliveries = hub.say(&room, "said").await.unwrap();
    assert_eq!(deliveries.len(), 2, "{deliveries:?}");
    let body = |list: Vec<Value>| list.last().unwrap()["content"]["body"].clone();
    let mut bodies = [
        body(world.surroundings.list(room.id()).await.unwrap()),
        body(control.events(recorder, room.id()).await.unwrap()),
    ];
    bodies.sort_by_key(Value::to_string);
    assert_eq!(bodies, ["said", "something else"]);
    world.embedded.stop().await;
    world.second.stop().await;
}

#[tokio::test]
async fn a_lie_about_connections_knows_nothing_of_endpoints() {
    let target = "localhost:1".parse().unwrap();
    let surroundings = Surroundings::of(target).build().unwrap();
    let builder = HostileServer::builder(&surroundings).lie(Lie::OnlyTls12, When::endpoint("keys"));
    assert!(matches!(builder.start().await, Err(HostileError::When { lie: Lie::OnlyTls12, .. })));
    let server = HostileServer::builder(&surroundings).start().await.unwrap();
    assert!(matches!(server.add(Lie::OtherName, When::Always), Err(HostileError::When { .. })));
    assert!(matches!(surroundings.have_room().await, Err(HostileError::NoControl)));
}
