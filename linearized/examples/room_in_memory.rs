//! How much memory a large room takes: by default one of a million events and a hundred thousand members.
//!
//! `cargo run --release -p mimi-linearized --example room_in_memory [EVENTS MEMBERS CHANGES]`
//!
//! Every member is of another server than the hub, a thousand servers in all, and joins with an LPDU that is signed,
//! verified and sealed like any other. `CHANGES` are further membership events: users who join and leave again. All
//! other events are messages. What is printed is the process's resident memory (Linux) around it.

use std::error::Error;

use mimi_linearized::auth::Membership;
use mimi_linearized::event::{Draft, Lpdu};
use mimi_linearized::hub::{Hub, Proposal};
use mimi_linearized::id::{KeyId, RoomId, ServerName, UserId};
use mimi_linearized::signing::{ServerKeyRing, SigningKey};
use mimi_linearized::version::RoomVersions;
use serde_json::json;

/// How many servers the members are spread over.
const SERVERS: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (events, members, changes) = (next(1_000_000)?, next(100_000)?, next(100_000)?);

    let versions = RoomVersions::lm_04();
    let version = versions.default_version();
    let hub_name = ServerName::parse("hub.example")?;
    let key = SigningKey::from_seed(KeyId::ed25519("1")?, &[1; 32]);
    let alice = UserId::new("alice", &hub_name)?;
    let room_id = RoomId::parse("!room:hub.example")?;
    let servers: Vec<ServerName> = (0..SERVERS)
        .map(|n| ServerName::parse(&format!("matrix.server-{n}.example")))
        .collect::<Result<_, _>>()?;
    let mut ring = ServerKeyRing::new();
    for server in &servers {
        ring.insert(server, key.id(), key.verify_key(), i64::MAX);
    }
    let own = |kind: &str, state_key: Option<&str>, content: serde_json::Value| Draft {
        room_id: room_id.clone(),
        kind: kind.to_owned(),
        state_key: state_key.map(ToOwned::to_owned),
        sender: alice.clone(),
        content: content.as_object().cloned().unwrap_or_default(),
        origin_server_ts: 1_700_000_000_000,
    };

    let before = resident()?;
    let create = own("m.room.create", Some(""), json!({"room_version": "I.1"}));
    let (create, _) = Hub::authorise_create(Proposal::of_own(create, version)?, &versions)?;
    let mut hub =
        Hub::begin(create.seal(&hub_name, &key, version, 0)?, version.clone()).ok_or("no beginning")?;
    let mut bytes = 0;
    let mut send = |hub: &mut Hub, draft: Draft| -> Result<(), Box<dyn Error>> {
        let proposal = if draft.sender.server() == hub_name {
            Proposal::of_own(draft, version)?
        } else {
            let lpdu = draft.into_lpdu(&hub_name, &key, version)?;
            Proposal::of_lpdu(Lpdu::parse(&lpdu.bytes, version)?.verify(&ring)?)
        };
        let sealed = hub.authorise(proposal)?.seal(&hub_name, &key, version, 0)?;
        bytes += sealed.event().bytes().len();
        // What is appended is forgotten here: the list is the store's.
        hub.append(sealed)?;
        Ok(())
    };
    let member =
        |user: &UserId, membership| Draft::member(room_id.clone(), user, user, membership, 1_700_000_000_000);
    send(&mut hub, member(&alice, Membership::Join))?;
    send(&mut hub, own("m.room.power_levels", Some(""), json!({"users": {alice.as_str(): 100}})))?;
    send(&mut hub, own("m.room.join_rules", Some(""), json!({"join_rule": "public"})))?;
    let user = |number: u64| -> Result<UserId, Box<dyn Error>> {
        let server = servers.get(usize::try_from(number % SERVERS)?).ok_or("no such server")?;
        Ok(UserId::new(&format!("user-{number}"), server)?)
    };
    for number in 0..members {
        send(&mut hub, member(&user(number)?, Membership::Join))?;
    }
    let joined = resident()?;
    for number in 0..changes / 2 {
        let user = user(members + number)?;
        send(&mut hub, member(&user, Membership::Join))?;
        send(&mut hub, member(&user, Membership::Leave))?;
    }
    let changed = resident()?;
    while hub.room().head().length < events {
        send(&mut hub, own("m.room.message", None, json!({"body": "hello"})))?;
    }
    let after = resident()?;
    println!(
        "{} events, {members} members, {changes} more changes of membership, {SERVERS} servers",
        hub.room().head().length
    );
    println!("the list: {} MB of JSON, in the store", bytes / 1_000_000);
    let mb = |from: u64, to: u64| to.saturating_sub(from) / 1_000_000;
    println!(
        "resident: {} MB for the members, {} MB for the changes, {} MB for the messages, {} MB in all",
        mb(before, joined),
        mb(joined, changed),
        mb(changed, after),
        mb(before, after)
    );
    Ok(())
}

/// The process's resident memory in bytes.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}
