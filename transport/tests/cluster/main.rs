//! Several processes of one hub on a cluster of three NATS servers, while servers and processes are killed and the
//! network is cut: nothing that was acknowledged is lost, no list forks, and the service resumes (`docs/reliability.md`).
//!
//! Needs `nats-server` on the PATH; `MIMI_REQUIRE_NATS=1` makes it a failure if it is not there. `MIMI_CLUSTER_ROUNDS`
//! makes it longer, `MIMI_LOG` says what is logged.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here is the test, and so it should"
)]

mod cluster;
mod hub;
mod link;
mod nats;
mod upload;
mod work;

use std::time::Duration;

use mimi_linearized::auth::Membership;
use tokio::net::TcpListener;

use self::cluster::Cluster;
use self::hub::{Identity, assert_line, list, say, until};
use self::upload::Uploader;
use self::work::Speaker;

/// The longest that the service may be away after a fault, and that a queue may take to go on.
const AWAY: Duration = Duration::from_secs(240);

/// How many messages show that a process is at work.
const AT_WORK: usize = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost() {
    if !nats::is_here() {
        return;
    }
    let rounds =
        std::env::var("MIMI_CLUSTER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    let mut cluster = Cluster::start().await;
    let (front, elsewhere) = (listener().await, listener().await);
    let hub = Identity::at(front.local_addr().unwrap());
    let other = Identity::at(elsewhere.local_addr().unwrap());
    let one = hub.start_on(front, "one", &cluster.store(0), &[other.ca()]).await;
    let participant = other.start_on(elsewhere, "only", "embedded", &[hub.ca()]).await;
    let room = work::room(one.node(), &hub.user("alice")).await;
    let (bob, via) = (other.user("bob"), [hub.name.clone()]);
    let node = participant.node();
    node.change_membership(&room, &bob, &bob, Membership::Join, None, &via).await.unwrap();

    let mut another = hub.spawn("another", &cluster.store(1), &room, &[other.ca()]);
    let speaker = Speaker::start(one.node().clone(), room.clone(), hub.user("alice"));
    let uploader = Uploader::start(one.node().clone(), hub.user("alice"));
    let mut said = 0;
    speaker.speaks_on(AT_WORK, AWAY, || another.sent().len()).await;

    for round in 0..rounds {
        let leader = cluster.leader(None).await;
        cluster.kill(leader);
        let away = speaker.speaks_on(AT_WORK, AWAY, || another.sent().len()).await;
        work::note(round, "the leader of the stream was killed", away);
        for number in 0..5 {
            said += 1;
            say(node, &room, &bob, &format!("bob {round} {number}")).await.unwrap();
        }
        cluster.revive(leader);
        speaker.speaks_on(AT_WORK, AWAY, || another.sent().len()).await;

        let leader = cluster.leader(None).await;
        cluster.cut(leader, (leader + 1) % 3);
        let away = speaker.speaks_on(AT_WORK, AWAY, || another.sent().len()).await;
        work::note(round, "the leader and another NATS server were cut from each other", away);
        cluster.mend();
        speaker.speaks_on(AT_WORK, AWAY, || another.sent().len()).await;

        let leader = cluster.leader(None).await;
        cluster.isolate(leader);
        let away = speaker.speaks_on(AT_WORK, AWAY, || another.sent().len()).await;
        work::note(round, "the leader was cut off from both others", away);
        cluster.mend();
        speaker.speaks_on(AT_WORK, AWAY, || another.sent().len()).await;

        (0..3).for_each(|index| cluster.kill(index));
        (0..3).for_each(|index| cluster.revive(index));
        let away = speaker.speaks_on(AT_WORK, AWAY, || another.sent().len()).await;
        work::note(round, "all NATS servers were killed and started again", away);

        let killed = std::time::Instant::now();
        another.kill();
        let sent_there = another.sent();
        speaker.speaks_on(AT_WORK, AWAY, || usize::MAX).await;
        let here = list(one.node(), &room).await;
        assert!(
            sent_there.iter().all(|id| here.iter().any(|record| record.event_id == *id)),
            "what the killed process had sent is there"
        );
        let before = here.len();
        until(node, AWAY, async || match list(node, &room).await.len() {
            there if there >= before => Ok(()),
            there => Err(format!("the participant has {there} of {before} events")),
        })
        .await;
        work::note(round, "a process of the hub was killed; its queues went on", killed.elapsed());
        another = hub.spawn(&format!("another {round}"), &cluster.store(2), &room, &[other.ca()]);
        speaker.speaks_on(AT_WORK, AWAY, || another.sent().len()).await;
    }

    another.kill();
    let sent_here = speaker.stop().await;
    let sent_there = another.sent();
    // What was under way when the process was killed may come still.
    one.node().store.catch_up().await.unwrap();
    let records = list(one.node(), &room).await;
    assert_line(&records);
    for id in sent_here.iter().chain(&sent_there) {
        assert!(records.iter().any(|record| record.event_id == *id), "{id} was acknowledged");
    }
    until(node, AWAY, async || {
        let (here, there) = (list(one.node(), &room).await, list(node, &room).await);
        let bobs = records_of(&here, "bob ");
        if bobs < said {
            return Err(format!("{bobs} of {said} events of the participant are in the list"));
        }
        let tail = &here[here.len().saturating_sub(there.len())..];
        let ids = |records: &[mimi_transport::store::Record]| -> Vec<_> {
            records.iter().map(|record| record.event_id.clone()).collect()
        };
        if ids(tail) == ids(&there) { Ok(()) } else { Err("the participant has another list".to_owned()) }
    })
    .await;
    let records = list(one.node(), &room).await;
    assert_eq!(records_of(&records, "bob "), said, "what the participant said is there once");

    // A process that reads everything from the stream has the same list, and all media.
    let fresh = hub.start("fresh", &cluster.store(1), &[other.ca()]).await;
    assert_eq!(list(fresh.node(), &room).await, records);
    let items = uploader.all_are_at(fresh.node()).await;
    work::count(records.len(), sent_here.len(), sent_there.len(), items);
    for server in [fresh, participant, one] {
        server.stop().await.unwrap();
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// How many messages begin like this.
fn records_of(records: &[mimi_transport::store::Record], beginning: &str) -> usize {
    let bodies = records.iter().filter_map(|record| {
        let event: serde_json::Value = serde_json::from_slice(&record.bytes).ok()?;
        Some(event["content"]["body"].as_str()?.to_owned())
    });
    bodies.filter(|body| body.starts_with(beginning)).count()
}
