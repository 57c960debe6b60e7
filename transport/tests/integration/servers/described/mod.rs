//! What servers ask and answer is what the endpoints' description says (`transport/federation-api.json`).
//!
//! Each server has a recorder in front of it, which passes everything on and keeps it. Servers then do everything that
//! they do with each other, and a few things that they should not; each recorded request and answer is held against the
//! description, in which objects are closed: a member that is not described is a fault.

mod description;
mod recorder;

use http::{HeaderMap, Method};
use mimi_linearized::base64;
use mimi_linearized::event::{Draft, OutgoingLpdu};
use mimi_linearized::id::DeviceId;
use mimi_mls::{Changes, Engine, Suite};
use mimi_transport::api::{self, media_download, openapi};
use mimi_transport::client::{CallLimits, RawRequest};
use mimi_transport::devices::{NewDevice, OfferedKey};
use mimi_transport::edus::ToDevice;
use mimi_transport::media::About;

use self::description::Description;
use self::recorder::{Recorded, Recorder};
use super::large_rooms::{APART, key_package, update};
use super::*;

impl World {
    /// A server whose name leads to a recorder.
    async fn recorded(&self, paths: recorder::Paths) -> (Place, Recorder) {
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = ServerName::parse(&format!("localhost:{}", front.local_addr().unwrap().port())).unwrap();
        let address = tcp.local_addr().unwrap();
        let (data, change) = (tempfile::tempdir().unwrap(), Arc::new(|_: &mut ServerConfig| {}));
        let mut place = Place { name: name.clone(), address, data, change, server: None };
        place.server = Some(self.start(&place, tcp).await);
        let recorder = Recorder::start(&self.certificate, &self.ca, front, (name, address), paths);
        (place, recorder)
    }
}

/// A hub, a participant, and a server that is outside to begin with.
struct Three {
    world: World,
    hub: Place,
    b: Place,
    c: Place,
    recorders: [Recorder; 3],
}

impl Three {
    async fn start(paths: recorder::Paths) -> Self {
        let world = World::new();
        let (hub, first) = world.recorded(paths).await;
        let (b, second) = world.recorded(paths).await;
        let (c, third) = world.recorded(paths).await;
        Self { world, hub, b, c, recorders: [first, second, third] }
    }

    fn exchanges(&self) -> Vec<Recorded> {
        self.recorders.iter().flat_map(Recorder::exchanges).collect()
    }

    /// Whatever servers do with each other.
    async fn live(&self) {
        let Self { hub, b, c, .. } = self;
        let room = self.memberships().await;
        hub.say(&room, "alice", "from the hub").await;
        b.until_heard(&room, "from the hub").await;
        b.say(&room, "bob", "to the hub").await;
        b.until_heard(&room, "to the hub").await;
        let (bob, key) = (b.user("bob"), Some(String::new()));
        let sent = b.node().send_event(&room, &bob, "m.room.name", key, Object::new()).await.unwrap();
        assert!(matches!(sent, Sent::Lpdu(_)), "it will be refused");
        b.say(&room, "bob", "and after that").await;
        b.until_heard(&room, "and after that").await;

        let head = hub.node().summary(&room).await.unwrap().unwrap().head;
        let (room, head) = (segment(room.as_str()), segment(head.as_str()));
        for target in [
            format!("/_matrix/federation/v2/event/{head}"),
            format!("/_matrix/federation/v1/state/{room}?event_id={head}"),
            format!("/_matrix/federation/v1/state_ids/{room}?event_id={head}"),
            format!("/_matrix/federation/v2/backfill/{room}?v={head}&limit=100"),
            format!("{}/event/{head}", api::UNSTABLE_PREFIX),
            format!("{}/backfill/{room}?v={head}&limit=100", api::UNSTABLE_PREFIX),
        ] {
            b.asks(hub, Method::GET, &target, None).await;
            c.asks(hub, Method::GET, &target, None).await;
        }
        for target in ["state", "state_ids"] {
            let target = format!("/_matrix/federation/v1/{target}/{room}?event_id={head}");
            hub.asks(b, Method::GET, &target, None).await;
        }
        let wanted = json!({"server_keys": {(hub.name.as_str()): {}, (c.name.as_str()): {}}});
        b.asks(hub, Method::POST, "/_matrix/key/v2/query", Some(&wanted)).await;
        let target = format!("/_matrix/key/v2/query/{}", segment(c.name.as_str()));
        b.asks(hub, Method::GET, &target, None).await;
        self.devices().await;
        self.commits().await;
        self.media().await;
    }

    /// An item of the hub's.
    async fn media(&self) {
        let Self { hub, b, .. } = self;
        let about = About::new(Some("text/plain"), Some("a.txt"));
        let item = hub.node().media.upload(&hub.user("alice"), about, "content".into()).await.unwrap();
        let paths = media_download::paths(&item.uri.id);
        for target in [&paths.stable, paths.unstable.as_ref().unwrap()] {
            b.asks(hub, Method::GET, target, None).await;
        }
    }

    /// Invites, joins, knocks and leaves. Returns a room of the hub's alice and B's bob.
    async fn memberships(&self) -> RoomId {
        let Self { hub, b, c, .. } = self;
        let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), c.user("carol"));
        let change = |place: &'_ Place, room: &RoomId, sender: &UserId, target: &UserId, membership| {
            let (node, room, sender, target) =
                (place.node().clone(), room.clone(), sender.clone(), target.clone());
            let via = [hub.name.clone()];
            async move { node.change_membership(&room, &sender, &target, membership, None, &via).await }
        };
        let room = hub.create("invite").await;
        change(hub, &room, &alice, &bob, Membership::Invite).await.unwrap();
        change(c, &room, &carol, &carol, Membership::Join).await.unwrap_err();
        change(b, &room, &bob, &bob, Membership::Join).await.unwrap();
        change(b, &room, &bob, &carol, Membership::Invite).await.unwrap();
        change(c, &room, &carol, &carol, Membership::Leave).await.unwrap();
        let open = hub.create("knock").await;
        change(c, &open, &carol, &carol, Membership::Knock).await.unwrap();

        // What is refused: a join that nobody invited to, of another's user, and at a server that is not the hub.
        for (user, to) in [(&carol, hub), (&carol, b), (&bob, hub)] {
            let lpdu = c.lpdu(&room, user, &hub.name);
            let body = serde_json::from_slice(&lpdu.bytes).unwrap();
            for endpoint in ["send_join", "send_knock", "send_leave"] {
                let target = format!("/_matrix/federation/v3/{endpoint}/{}", segment(lpdu.id.as_str()));
                c.asks(to, Method::POST, &target, Some(&body)).await;
            }
            let invite = json!({"event": body, "room_version": "I.1"});
            c.asks(to, Method::POST, "/_matrix/federation/v3/invite/x", Some(&invite)).await;
        }
        for (user, to) in [(&carol, hub), (&carol, b), (&bob, hub)] {
            for (endpoint, query) in
                [("join", "?ver=I.1"), ("join", "?ver=I.0"), ("knock", "?ver=I.1"), ("leave", "")]
            {
                let (room, user) = (segment(room.as_str()), segment(user.as_str()));
                let target = format!("/_matrix/federation/v1/make_{endpoint}/{room}/{user}{query}");
                c.asks(to, Method::GET, &target, None).await;
            }
        }
        room
    }

    /// Devices, key packages, and messages between devices.
    async fn devices(&self) {
        let Self { hub, b, .. } = self;
        let (alice, bob) = (hub.user("alice"), b.user("bob"));
        hub.publish_with_key("alice", "A").await;
        b.publish_with_key("bob", "B").await;
        let id = DeviceId::parse("A").unwrap();
        assert!(b.node().device(&alice, &id).await.unwrap().is_some());
        let wanted = json!({(alice.as_str()): {"A": Suite::MANDATORY.key_package_algorithm()}});
        let claimed = b.node().claim(wanted.as_object().unwrap()).await.unwrap();
        assert_eq!(claimed[alice.as_str()]["A"].as_object().unwrap().len(), 1);
        let (message_type, message) = ("m.room.encrypted".to_owned(), Object::new());
        let message = ToDevice { target: alice.clone(), target_device: id, message_type, message };
        b.node().send_to_device(&bob, message).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        while hub
            .node()
            .store
            .inbox(&alice, 0, 100)
            .await
            .unwrap()
            .iter()
            .all(|(_, item)| !is_to_device(item))
        {
            assert!(Instant::now() < deadline, "the message for a device never arrived");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Commits that stand apart from their events.
    async fn commits(&self) {
        let Self { hub, b, c, .. } = self;
        let room = hub.create_encrypted().await;
        b.join(&room, "bob", hub).await;
        let mut bob = b.engine("bob", "C").await;
        bob.create(room.as_str()).unwrap();
        let first = bob.commit(room.as_str(), update(APART)).unwrap();
        b.commit(&room, "bob", &first).await;
        let id = b.until_epoch(&room, 1).await;
        bob.accepted(room.as_str(), id.as_str()).unwrap();
        let add = vec![key_package(&hub.engine("alice", "C").await)];
        let second =
            bob.commit(room.as_str(), Changes { add, carriage: APART, ..Changes::default() }).unwrap();
        let upload = format!("{}/upload/{}", api::LARGE_ROOMS_PREFIX, segment(room.as_str()));
        let body = json!({"message": base64::encode(&second.message)});
        for (from, to) in [(b, hub), (c, hub), (hub, b)] {
            from.asks(to, Method::POST, &upload, Some(&body)).await;
        }
        for what in ["message", "tree"] {
            let target = format!("{}/{what}/{}", api::LARGE_ROOMS_PREFIX, segment(id.as_str()));
            b.asks(hub, Method::GET, &target, None).await;
            c.asks(hub, Method::GET, &target, None).await;
        }
    }

    /// Every operation, asked for nothing that exists, without a signature, and with bodies that are none.
    async fn misbehave(&self, description: &Description) {
        let Self { hub, b, .. } = self;
        let raw = |method: &Method, target: &str, body: &'static str| {
            let request = RawRequest {
                method: method.clone(),
                target: target.to_owned(),
                headers: HeaderMap::new(),
                body: body.as_bytes().into(),
            };
            b.node().client.send_raw(&hub.name, request, CallLimits::default())
        };
        for operation in description.operations() {
            let (method, target) = (&operation.method, operation.target_of_nothing(&hub.name));
            let bare = target.split('?').next().unwrap();
            if operation.has_body {
                assert_eq!(raw(method, &target, "{").await.unwrap().status, 400, "{method} {target}");
                let refused = if operation.authenticated { 401 } else { 400 };
                assert_eq!(raw(method, &target, "{}").await.unwrap().status, refused, "{method} {target}");
                let answer = b.node().client.request(&hub.name, method, &target, &json!([])).await.unwrap();
                assert_eq!(answer.api_error().unwrap().code().as_str(), "M_BAD_JSON", "{method} {target}");
                b.asks(hub, method.clone(), &target, Some(&json!({"one_time_keys": {}}))).await;
            } else {
                b.asks(hub, method.clone(), &target, None).await;
                b.asks(hub, method.clone(), bare, None).await;
                raw(method, &target, "").await.unwrap();
            }
        }
    }
}

fn is_to_device(item: &[u8]) -> bool {
    serde_json::from_slice::<Value>(item).unwrap()["type"] == "to_device"
}

fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl Place {
    /// Asks with this server's signature. What is answered is in the other's record.
    async fn asks(&self, to: &Place, method: Method, target: &str, body: Option<&Value>) {
        self.node().client.request(&to.name, &method, target, body).await.unwrap();
    }

    /// A join of this server's key, of whomever.
    fn lpdu(&self, room: &RoomId, user: &UserId, hub: &ServerName) -> OutgoingLpdu {
        let draft = Draft::member(room.clone(), user, user, Membership::Join, clock::now_ms());
        draft.into_lpdu(hub, &self.node().key(), self.node().versions.default_version()).unwrap()
    }

    async fn publish_with_key(&self, user: &str, id: &str) {
        let engine = Engine::new(self.unpublished(user, id));
        let device = engine.device().object().unwrap().into_value();
        let key = OfferedKey { key: base64::encode(key_package(&engine).message()), last_resort: false };
        self.node().publish_device(NewDevice { device, key_packages: vec![key] }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_are_as_described() {
    let description = Description::of(&openapi::document());
    let mut exchanges = Vec::new();
    for paths in [recorder::Paths::All, recorder::Paths::OnlyUnstable] {
        let three = Three::start(paths).await;
        three.live().await;
        if paths == recorder::Paths::All {
            three.misbehave(&description).await;
        }
        assert!(three.world.folder.path().exists());
        exchanges.extend(three.exchanges());
    }
    let seen: Vec<_> = exchanges.iter().map(|exchange| description.check(exchange)).collect();
    description.check_coverage(&seen);
}
