//! What a hub asks of its rooms, beside their rules (readings R59 to R61).

use std::fs;

use http::Method;
use mimi_mls::Suite;
use mimi_transport::rooms::RoomError;

use super::*;

/// A server with a policy in a file, which may be rewritten.
struct Hub {
    place: Place,
    file: PathBuf,
    _folder: TempDir,
}

impl Hub {
    async fn new(world: &World, rooms: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        fs::write(&file, policy(rooms)).unwrap();
        let path = file.clone();
        let place = world.server_with(move |config| config.policy = Some(path.clone())).await;
        Self { place, file, _folder: folder }
    }

    fn ask_of_rooms(&self, rooms: &str) {
        fs::write(&self.file, policy(rooms)).unwrap();
        assert!(self.place.node().policy.reload().unwrap());
    }

    fn new_room(&self) -> NewRoom {
        NewRoom {
            creator: self.place.user("alice"),
            room_version: None,
            join_rule: Some("public".to_owned()),
            room_type: None,
            history_visibility: None,
            name: None,
            topic: None,
            encryption: None,
            power_levels: Object::new(),
            initial_state: Vec::new(),
        }
    }

    async fn content(&self, room: &RoomId, kind: &str) -> Value {
        let state = self.place.node().current_state(room).await.unwrap().unwrap();
        let events = state.iter().map(|event| serde_json::from_slice::<Value>(event).unwrap());
        events
            .into_iter()
            .find(|event| event["type"] == kind)
            .map_or(Value::Null, |event| event["content"].clone())
    }

    /// Sets state as the room's creator.
    async fn set(&self, room: &RoomId, kind: &str, content: Value) -> Result<Sent, RoomError> {
        let Value::Object(content) = content else { unreachable!("{content}") };
        self.place
            .node()
            .send_event(room, &self.place.user("alice"), kind, Some(String::new()), content)
            .await
    }

    async fn invite(&self, room: &RoomId, user: &UserId) -> Result<Sent, RoomError> {
        let alice = self.place.user("alice");
        self.place.node().change_membership(room, &alice, user, Membership::Invite, None, &[]).await
    }
}

fn policy(rooms: &str) -> String {
    format!("mode = \"open\"\n[rooms]\n{rooms}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rooms_are_as_the_policy_has_them() {
    let world = World::new();
    let hub = Hub::new(&world, "history-visibility = \"invited\"\nencrypted = true").await;
    let plain = hub.place.node().create_room(hub.new_room()).await;
    assert!(matches!(plain, Err(RoomError::Forbidden(_))));
    let encryption = Some(Suite::MANDATORY.room_algorithm().to_owned());
    let (room_type, said) = (Some("org.example.ward".to_owned()), Some("joined".to_owned()));
    let room = NewRoom { encryption: encryption.clone(), room_type, ..hub.new_room() };
    let room = hub.place.node().create_room(room).await.unwrap();
    assert_eq!(hub.content(&room, "m.room.history_visibility").await["history_visibility"], "invited");
    assert_eq!(hub.content(&room, "m.room.create").await["type"], "org.example.ward");
    let room = NewRoom { encryption, history_visibility: said, ..hub.new_room() };
    let room = hub.place.node().create_room(room).await.unwrap();
    assert_eq!(hub.content(&room, "m.room.history_visibility").await["history_visibility"], "joined");
    // What is in force can be changed while the server runs.
    hub.ask_of_rooms("");
    let room = hub.place.node().create_room(hub.new_room()).await.unwrap();
    assert_eq!(hub.content(&room, "m.room.history_visibility").await["history_visibility"], "shared");
    assert!(hub.content(&room, "im.vector.room.access_rules").await.is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acl_is_enforced_at_the_hub() {
    let world = World::new();
    let (hub, b) = (Hub::new(&world, "server-acl = true").await, world.server().await);
    let room = hub.place.create("public").await;
    b.join(&room, "bob", &hub.place).await;
    hub.set(&room, "m.room.server_acl", json!({"allow": ["*"], "deny": ["localhost"]})).await.unwrap();
    let Sent::Lpdu(lpdu) = b.say(&room, "bob", "denied").await else { unreachable!("it is no hub") };
    let told = |item: &Value| item["type"] == "rejected" && item["lpdu_id"] == json!(lpdu);
    b.until_inbox(&b.user("bob"), "the refusal", told).await;
    let head = hub.place.node().summary(&room).await.unwrap().unwrap().head;
    let path = format!("/_matrix/federation/v2/event/{}", head.as_str().replace('$', "%24"));
    let read = async || {
        let answer = b.node().client.request(&hub.place.name, &Method::GET, &path, None).await.unwrap();
        answer.status.as_u16()
    };
    assert_eq!(read().await, 403);
    let carol = b.user("carol");
    let via = [hub.place.name.clone()];
    let joined = b.node().change_membership(&room, &carol, &carol, Membership::Join, None, &via).await;
    assert!(joined.is_ok(), "a server that is in the room joins over its queue");
    let is_carol = |item: &Value| item["type"] == "rejected" && item["lpdu_id"] != json!(lpdu);
    b.until_inbox(&carol, "the refusal", is_carol).await;
    // The hub itself is not denied, and nobody is if that is not asked for.
    hub.place.say(&room, "alice", "still here").await;
    hub.ask_of_rooms("server-acl = false");
    assert_eq!(read().await, 200);
    b.say(&room, "bob", "back").await;
    hub.place.until_heard(&room, "back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_rules_are_kept_at_the_hub() {
    let world = World::new();
    let (b, c) = (world.server().await, world.server().await);
    let hub = Hub::new(&world, &format!("external-servers = [\"{}\"]", b.name)).await;
    let rules = "im.vector.room.access_rules";
    let room = hub.place.create("public").await;
    assert_eq!(hub.content(&room, rules).await, json!({"rule": "restricted"}));
    let forbidden = |result: Result<Sent, RoomError>| {
        assert!(matches!(result, Err(RoomError::Forbidden(_))), "{result:?}");
    };
    forbidden(hub.invite(&room, &b.user("bob")).await);
    let (bob, via) = (b.user("bob"), [hub.place.name.clone()]);
    let join = async || b.node().change_membership(&room, &bob, &bob, Membership::Join, None, &via).await;
    join().await.unwrap_err();
    c.join(&room, "carol", &hub.place).await;
    for rule in ["direct", "restricted", "?"] {
        forbidden(hub.set(&room, rules, json!({"rule": rule})).await);
    }
    hub.set(&room, rules, json!({"rule": "unrestricted"})).await.unwrap();
    join().await.unwrap_err();
    hub.invite(&room, &bob).await.unwrap();
    join().await.unwrap();
    let levels = hub.content(&room, "m.room.power_levels").await;
    let with = |user: &UserId, level: i64| {
        let mut levels = levels.clone();
        levels["users"][user.as_str()] = json!(level);
        levels
    };
    forbidden(hub.set(&room, "m.room.power_levels", with(&bob, 50)).await);
    hub.set(&room, "m.room.power_levels", with(&c.user("carol"), 50)).await.unwrap();
    forbidden(hub.set(&room, rules, json!({"rule": "restricted"})).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_room_has_two_members() {
    let world = World::new();
    let (hub, b) = (Hub::new(&world, "external-servers = []").await, world.server().await);
    let Value::Object(content) = json!({"rule": "direct"}) else { unreachable!("an object") };
    let initial_state = vec![("im.vector.room.access_rules".to_owned(), String::new(), content)];
    let room = NewRoom { initial_state, ..hub.new_room() };
    // It is public already when the rule comes, and only setting that anew is refused.
    let room = hub.place.node().create_room(room).await.unwrap();
    hub.invite(&room, &b.user("bob")).await.unwrap();
    for (kind, content) in
        [("m.room.name", json!({"name": "two"})), ("m.room.join_rules", json!({"join_rule": "public"}))]
    {
        assert!(matches!(hub.set(&room, kind, content).await, Err(RoomError::Forbidden(_))), "{kind}");
    }
    assert!(matches!(hub.invite(&room, &b.user("carol")).await, Err(RoomError::Forbidden(_))));
    b.join(&room, "bob", &hub.place).await;
}
