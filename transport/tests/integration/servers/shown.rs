//! Which events of a room's list users are shown.

use mimi_linearized::id::EventId;
use mimi_linearized::room::Effect;
use mimi_transport::store::{ExpectedHead, NewRecord};

use super::*;

/// `LM-04/2/2`: it stands in the list, and is not handed to users.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_soft_failed_or_rejected_is_in_the_list_and_not_shown() {
    let world = World::new();
    let hub = world.server().await;
    let room = hub.create("public").await;
    hub.say(&room, "alice", "shown").await;
    let before = hub.list(&room).await.len();
    let mut head = hub.node().summary(&room).await.unwrap().unwrap().head;
    for (name, effect) in
        [("soft", Effect::SoftFailed), ("rejected", Effect::Rejected), ("sound", Effect::Applied)]
    {
        let event_id = EventId::parse(&format!("${name}")).unwrap();
        let record = NewRecord {
            event_id: event_id.clone(),
            lpdu_id: None,
            effect,
            bytes: json!({"content": {"body": name}}).to_string().into_bytes().into(),
            origin: None,
            txn_id: None,
            queue_for: Vec::new(),
        };
        hub.node().store.append(&room, ExpectedHead::Event(head), record).await.unwrap();
        head = event_id;
    }
    let kept = hub.node().store.records(&room, 0, 1_000).await.unwrap();
    assert_eq!(kept.len(), before + 3);
    assert_eq!(hub.list(&room).await.len(), before + 1);
    assert_eq!(hub.words(&room).await, ["shown", "sound"]);
}
