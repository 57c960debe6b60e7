//! Closed federations, and users who do not let everybody invite them (reading R50).

use std::fs;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use mimi_linearized::id::{DeviceId, KeyId};
use mimi_linearized::signing::SigningKey;
use mimi_transport::api::route_paths;
use mimi_transport::client::{ClientError, FederationClient, RequestBody, Response};
use mimi_transport::control;
use mimi_transport::edus::ToDevice;
use mimi_transport::policy::InvitePermissions;
use mimi_transport::rooms::RoomError;
use mimi_transport::start::StartError;
use tower::ServiceExt as _;

use super::*;
use crate::resolve::dns_server::DnsServer;

/// A server outside, whose name nobody may look up.
const OUTSIDER: &str = "a.outside.example";

/// A policy's file, which can be rewritten.
struct PolicyFile(TempDir);

impl PolicyFile {
    fn new(text: &str) -> Self {
        let file = Self(tempfile::tempdir().unwrap());
        file.write(text);
        file
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("policy.toml")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }
}

/// A server with a policy in a file, and a name server that takes note.
async fn closed(world: &World, file: &PolicyFile, dns: &DnsServer) -> Place {
    let (path, address) = (file.path(), dns.address);
    dns.addresses("localhost", &["127.0.0.1"]);
    world
        .server_with(move |config| {
            config.policy = Some(path.clone());
            config.name_server = Some(address);
        })
        .await
}

/// A client of `place`'s connections that speaks in the name of the server outside.
fn outsider(place: &Place) -> FederationClient {
    let key = SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &[5; 32]);
    place.node().client.speaking_as(ServerName::parse(OUTSIDER).unwrap(), [key])
}

fn refusal(response: &Response) -> (u16, String) {
    let error = response.api_error().unwrap();
    (error.status().as_u16(), error.code().to_string())
}

/// Every route, whatever becomes of it later: what is not for everybody is for nobody outside.
#[tokio::test(flavor = "multi_thread")]
async fn outsiders_are_refused_at_every_endpoint_that_asks_who_they_are() {
    let (world, dns) = (World::new(), DnsServer::start().await);
    let file = PolicyFile::new("mode = \"deny\"\nservers = [\"*.outside.example\"]");
    let (hub, b) = (closed(&world, &file, &dns).await, world.server().await);
    let client = outsider(&b);
    let (mut refused, mut open) = (0, 0);
    for template in route_paths() {
        let path: Vec<&str> = template.split('/').map(|s| if s.starts_with('{') { "x" } else { s }).collect();
        let path = path.join("/");
        let mut offered = 0;
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let answer = client.request(&hub.name, &method, &path, RequestBody::Empty).await.unwrap();
            if answer.status == StatusCode::METHOD_NOT_ALLOWED {
                continue;
            }
            offered += 1;
            if template.starts_with("/_matrix/key/") {
                open += 1;
                assert!(answer.api_error().is_none_or(|e| e.status() == 400), "{method} {path}: {answer:?}");
            } else {
                refused += 1;
                assert_eq!(refusal(&answer), (403, "M_FORBIDDEN".to_owned()), "{method} {path}");
            }
        }
        assert!(offered > 0, "{template} takes no method that is tried");
    }
    assert!(refused >= 25 && open == 3, "{refused} {open}");
    assert!(!dns.heard_of(OUTSIDER), "its keys were looked for");
    // Nor is the body looked at, or a name that is only written in another way.
    let odd = b.node().client.speaking_as(
        ServerName::parse("A.OUTSIDE.example:8448").unwrap(),
        [SigningKey::from_seed(KeyId::ed25519("1").unwrap(), &[5; 32])],
    );
    let body = bytes::Bytes::from_static(b"{}");
    let answer = odd.request(&hub.name, &Method::PUT, "/_matrix/federation/v2/send/1", body).await.unwrap();
    assert_eq!(refusal(&answer), (403, "M_FORBIDDEN".to_owned()));
    // Who is inside is served, and who proves nothing is told so.
    let none = "/_matrix/federation/v2/event/%24none";
    let answer = b.node().client.request(&hub.name, &Method::GET, none, None).await.unwrap();
    assert_eq!(refusal(&answer), (404, "M_NOT_FOUND".to_owned()));
    let answer = b.node().client.get_unsigned(&hub.name, none, Default::default()).await.unwrap();
    assert_eq!(refusal(&answer), (401, "M_FORBIDDEN".to_owned()));
}

/// All that makes a server ask another, for a server outside.
async fn try_everything(hub: &Place, other: &Place) -> Vec<RoomError> {
    let (alice, node) = (hub.user("alice"), hub.node());
    let outside = ServerName::parse(OUTSIDER).unwrap();
    let mallory = UserId::new("mallory", &outside).unwrap();
    let mut errors = Vec::new();
    let room = hub.create("public").await;
    let invited = node.change_membership(&room, &alice, &mallory, Membership::Invite, None, &[]).await;
    errors.push(invited.unwrap_err());
    for membership in [Membership::Join, Membership::Knock] {
        let elsewhere = RoomId::parse(&format!("!room:{OUTSIDER}")).unwrap();
        let via = [outside.clone()];
        errors.push(
            node.change_membership(&elsewhere, &alice, &alice, membership, None, &via).await.unwrap_err(),
        );
    }
    let device = DeviceId::parse("A").unwrap();
    errors.extend(node.device(&mallory, &device).await.err());
    let wanted = json!({(mallory.as_str()): {"A": "m.mls.v1.key_package"}});
    let _ = node.claim(wanted.as_object().unwrap()).await;
    let (message_type, message) = ("m.room.encrypted".to_owned(), Object::new());
    let message = ToDevice { target: mallory.clone(), target_device: device, message_type, message };
    let _ = node.send_to_device(&alice, message).await;
    // Somebody inside asks for its keys.
    let wanted = json!({"server_keys": {(OUTSIDER): {}}});
    let path = "/_matrix/key/v2/query";
    let answer = other.node().client.request(&hub.name, &Method::POST, path, &wanted).await.unwrap();
    assert_eq!(answer.json_ok().unwrap(), json!({"server_keys": []}));
    let path = format!("/_matrix/key/v2/query/{OUTSIDER}");
    let answer = other.node().client.request(&hub.name, &Method::GET, &path, None).await.unwrap();
    assert_eq!(answer.json_ok().unwrap(), json!({"server_keys": []}));
    errors
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_is_contacted() {
    let (world, dns) = (World::new(), DnsServer::start().await);
    let file = PolicyFile::new("mode = \"allow\"\nservers = [\"localhost\"]");
    let (hub, b) = (closed(&world, &file, &dns).await, world.server().await);
    for error in try_everything(&hub, &b).await {
        assert!(matches!(error, RoomError::Outsider(_)), "{error}");
        assert_eq!(error.to_api().status(), 403);
    }
    let outside = ServerName::parse(OUTSIDER).unwrap();
    let asked = hub.node().client.request(&outside, &Method::GET, "/", None).await;
    assert!(matches!(asked, Err(ClientError::Outsider(_))));
    assert!(!dns.heard_of(OUTSIDER));
    // The same, once it is inside: now its name is looked up, so that it would have been noticed.
    file.write("mode = \"open\"");
    assert!(hub.node().policy.reload().unwrap());
    for error in try_everything(&hub, &b).await {
        assert!(!matches!(error, RoomError::Outsider(_)), "{error}");
    }
    assert!(dns.heard_of(OUTSIDER));
}

/// A notary inside would ask on our behalf.
#[tokio::test(flavor = "multi_thread")]
async fn notaries_are_not_asked_about_outsiders() {
    let (world, dns) = (World::new(), DnsServer::start().await);
    dns.addresses("localhost", &["127.0.0.1"]);
    let address = dns.address;
    let notary = world.server_with(move |config| config.name_server = Some(address)).await;
    let file = PolicyFile::new("mode = \"deny\"\nservers = [\"*.outside.example\"]");
    let (path, name) = (file.path(), notary.name.clone());
    let closed = world
        .server_with(move |config| {
            config.policy = Some(path.clone());
            config.notaries = vec![name.clone()];
        })
        .await;
    let outside = ServerName::parse(OUTSIDER).unwrap();
    let needed = [(outside.clone(), clock::now_ms(), vec![KeyId::ed25519("1").unwrap()])];
    let ring = closed.node().keys.ring_for_events(&needed).await;
    assert!(ring.unavailable().contains_key(&outside));
    assert!(!dns.heard_of(OUTSIDER));
    notary.node().keys.ring_for_events(&needed).await;
    assert!(dns.heard_of(OUTSIDER), "it would have been noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_stands_still_and_goes_on() {
    let (world, dns) = (World::new(), DnsServer::start().await);
    let file = PolicyFile::new("mode = \"open\"");
    let (hub, b) = (closed(&world, &file, &dns).await, world.server().await);
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    hub.say(&room, "alice", "before").await;
    b.until_heard(&room, "before").await;
    file.write(&format!("mode = \"deny\"\nservers = [\"{}\"]", b.name));
    assert!(hub.node().policy.reload().unwrap());
    hub.say(&room, "alice", "meanwhile").await;
    let state = "/_matrix/federation/v2/event/%24none";
    let answer = b.node().client.request(&hub.name, &Method::GET, state, None).await.unwrap();
    assert_eq!(refusal(&answer), (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(b.words(&room).await, ["before"]);
    file.write("mode = \"open\"");
    assert!(hub.node().policy.reload().unwrap());
    b.until_heard(&room, "meanwhile").await;
    assert_same_end(&room, &hub, &b).await;
}

#[tokio::test]
async fn a_server_does_not_start_with_a_policy_that_is_none() {
    let data = tempfile::tempdir().unwrap();
    let file = PolicyFile::new("mode = \"allow\"");
    let config = ServerConfig {
        policy: Some(file.path()),
        ..ServerConfig::new(ServerName::parse("localhost:1").unwrap(), data.path().to_owned())
    };
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(matches!(Server::start(config, tcp, None).await, Err(StartError::Policy(_))));
}

/// Asks the control API.
async fn ask(place: &Place, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let uri = format!("/control/v1{path}");
    let request = Request::builder().method(method).uri(uri).body(Body::from(body.to_string())).unwrap();
    let answer = control::router(place.node().clone()).oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

const PERMISSIONS: &str = "/unstable/org.mimi-interop.invites/users/bob/permissions";

#[tokio::test(flavor = "multi_thread")]
async fn users_say_who_may_invite_them() {
    let world = World::new();
    let (hub, mut b) = (world.server().await, world.server().await);
    let (alice, bob, carol) = (hub.user("alice"), b.user("bob"), hub.user("carol"));
    let room = hub.create("invite").await;
    let invite = async |sender: &UserId| {
        let node = hub.node();
        node.change_membership(&room, sender, &bob, Membership::Invite, None, &[]).await
    };
    let set = json!({"default": "block", "except": {"users": [carol.as_str()]}});
    assert_eq!(ask(&b, Method::GET, PERMISSIONS, &json!(null)).await.1["default"], "allow");
    let (status, answer) = ask(&b, Method::PUT, PERMISSIONS, &set).await;
    assert_eq!((status, &answer["except"]["servers"]), (200, &json!([])));
    let (status, answer) = ask(&b, Method::PUT, PERMISSIONS, &json!({"default": "perhaps"})).await;
    assert_eq!((status, &answer["errcode"]), (400, &json!("M_BAD_JSON")));
    // It outlives the server.
    b.go_away().await;
    world.come_back(&mut b).await;
    assert_eq!(ask(&b, Method::GET, PERMISSIONS, &json!(null)).await.1["default"], "block");
    let refused = invite(&alice).await.unwrap_err().to_api();
    assert_eq!((refused.status().as_u16(), refused.code().as_str()), (403, "M_FORBIDDEN"));
    assert!(b.node().inbox(&bob, 0, 10).await.unwrap().is_empty(), "the user is not told");
    assert!(!hub.node().summary(&room).await.unwrap().unwrap().members.contains_key(bob.as_str()));
    // Whom the user has excepted.
    hub.node().change_membership(&room, &alice, &carol, Membership::Invite, None, &[]).await.unwrap();
    hub.node().change_membership(&room, &carol, &carol, Membership::Join, None, &[]).await.unwrap();
    invite(&carol).await.unwrap();
}

/// Invites of the hub's own users never leave it: by its own users, and by others' as an LPDU in a transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_asks_its_own_users_too() {
    let world = World::new();
    let (hub, b) = (world.server().await, world.server().await);
    let (alice, dave, bob) = (hub.user("alice"), hub.user("dave"), b.user("bob"));
    let room = hub.create("public").await;
    b.join(&room, "bob", &hub).await;
    let nobody = InvitePermissions { block: true, ..InvitePermissions::default() };
    hub.node().set_invite_permissions(&dave, &nobody).await.unwrap();
    assert!(b.node().set_invite_permissions(&dave, &nobody).await.is_err(), "another server's user");
    let refused = hub.node().change_membership(&room, &alice, &dave, Membership::Invite, None, &[]).await;
    assert!(matches!(refused, Err(RoomError::Forbidden(_))));
    let sent = b.node().change_membership(&room, &bob, &dave, Membership::Invite, None, &[]).await.unwrap();
    let Sent::Lpdu(lpdu) = sent else { panic!("{sent:?}") };
    let told = |item: &Value| item["type"] == "rejected" && item["lpdu_id"] == json!(lpdu);
    b.until_inbox(&bob, "the refusal", told).await;
    // The queue goes on.
    b.say(&room, "bob", "still here").await;
    hub.until_heard(&room, "still here").await;
    assert!(!hub.node().summary(&room).await.unwrap().unwrap().members.contains_key(dave.as_str()));
}
