//! A room in fifty lines: a hub's users create it, name it, and argue about who may do what.
//!
//! `cargo run -p mimi-linearized --example room`

use mimi_linearized::auth::Membership;
use mimi_linearized::event::{Draft, kind};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{KeyId, RoomId, ServerName, UserId};
use mimi_linearized::signing::SigningKey;
use mimi_linearized::version::RoomVersions;
use serde_json::{Map, Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let versions = RoomVersions::lm_04();
    let version = versions.default_version();
    let server = ServerName::parse("hub.example")?;
    let key = SigningKey::from_seed(KeyId::ed25519("1")?, &[1; 32]);
    let room_id = RoomId::parse("!fifty:hub.example")?;
    let (alice, bob) = (UserId::new("alice", &server)?, UserId::new("bob", &server)?);
    let draft = |sender: &UserId, kind: &str, state_key: Option<&str>, content: Value| Draft {
        room_id: room_id.clone(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: sender.clone(),
        content: if let Value::Object(content) = content { content } else { Map::new() },
        origin_server_ts: 1_700_000_000_000,
    };
    let member = |sender, target, membership| Draft::member(room_id.clone(), sender, target, membership, 0);

    // The room begins with m.room.create. What is sealed is stored before it counts; here there is no store.
    let create = draft(&alice, kind::CREATE, Some(""), json!({"room_version": "I.1"}));
    let (create, _) = Hub::authorise_create(Proposal::of_own(create, version)?, &versions)?;
    let mut hub = Hub::begin(create.seal(&server, &key, version, 0)?, version.clone()).ok_or("no create")?;
    let mut send = |draft: Draft| -> Outcome<String> {
        let sealed = hub.authorise(Proposal::of_own(draft, version)?)?.seal(&server, &key, version, 0)?;
        Ok(hub.append(sealed)?.id().to_string())
    };
    send(member(&alice, &alice, Membership::Join))?;
    println!("named by  {}", send(draft(&alice, kind::NAME, Some(""), json!({"name": "Fifty lines"})))?);

    // Bob needs an invite, and then may talk but not rename the room. Each refusal names its rule.
    let refusal = |outcome: Outcome<String>| outcome.err().map(|error| error.to_string()).unwrap_or_default();
    let uninvited = refusal(send(member(&bob, &bob, Membership::Join)));
    send(member(&alice, &bob, Membership::Invite))?;
    send(member(&bob, &bob, Membership::Join))?;
    println!("said in   {}", send(draft(&bob, "m.room.message", None, json!({"body": "hello"})))?);
    let rename = refusal(send(draft(&bob, kind::NAME, Some(""), json!({"name": "Bob's"}))));
    println!("{uninvited}\n{rename}");
    assert_eq!(
        uninvited,
        "auth 5.2.6: the join rule is invite, and the membership of @bob:hub.example is leave"
    );
    assert_eq!(rename, "auth 7: the sender's level is 0, and 50 is needed");
    assert_eq!((hub.room().head().length, hub.room().membership(&bob)), (6, Membership::Join));
    Ok(())
}
