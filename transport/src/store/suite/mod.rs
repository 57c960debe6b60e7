//! What every store must do, tested against the traits alone.
//!
//! [`store_suite!`] makes a test of each property for one backend:
//!
//! ```ignore
//! store_suite!(SqliteFiles);
//! ```

use std::future::Future;
use std::sync::Arc;

use mimi_linearized::id::{DeviceId, EventId, RoomId, ServerName, UserId};
use mimi_linearized::room::Effect;

use super::{AppendError, ExpectedHead, InboxItem, NewRecord, Store};

pub(crate) mod apart;
pub(crate) mod delivery;
pub(crate) mod devices;
pub(crate) mod inboxes;
pub(crate) mod keys;
pub(crate) mod rooms;
pub(crate) mod transactions;
pub(crate) mod users;

/// A place where a store can keep things.
pub(crate) trait Backend {
    /// The store.
    type Store: Store;

    /// Whether what the store needs is on this machine. Says so if not.
    fn is_here() -> bool {
        true
    }

    /// A place of its own, still empty.
    fn new() -> Self;

    /// Opens a store on what the last one left, which was dropped before.
    async fn open(&self) -> Self::Store;

    /// The same, to be shared among tasks.
    async fn open_shared(&self) -> Arc<dyn Store> {
        Arc::new(self.open().await)
    }
}

/// Makes a `#[tokio::test]` of each property of a store, for the [`Backend`] given.
macro_rules! store_suite {
    ($backend:ty) => {
        $crate::store::suite::store_suite! { @each $backend;
            rooms: records_come_back_whole_and_in_order, records_come_in_pages, an_append_needs_the_head,
                one_of_many_appends_to_a_head_wins, concurrent_appends_make_one_line, an_event_is_appended_once,
                events_are_located, records_are_found_by_lpdu, snapshots_are_replaced,
                events_are_read_back_from_where_they_are, rooms_have_a_list_or_a_snapshot,
                the_group_that_went_furthest_is_kept, evidence_is_kept_once_and_in_order, invites_are_replaced,
                rooms_survive_reopening;
            apart: messages_that_are_named_stay, the_newest_trees_and_the_first_are_kept;
            transactions: the_first_answer_stays, answers_belong_to_one_transaction, old_answers_are_forgotten;
            delivery: cursors_start_where_they_are_wanted, a_refused_append_makes_no_cursor,
                arriving_moves_cursors_and_never_back, a_cursor_stops_at_the_end, flights_are_kept_until_they_arrive,
                a_late_arrival_spares_the_next_flight, what_has_arrived_does_not_depart_again, queues_keep_their_order, waiting_is_limited_by_kind,
                items_that_are_gone_are_left_out, places_are_never_given_again, arriving_delivers_notices,
                destinations_have_something_to_do, delivery_survives_reopening, cursors_follow_a_model;
            devices: devices_are_replaced_and_removed, the_oldest_key_package_goes_first,
                the_last_resort_comes_last_and_stays, the_newest_last_resort_is_used,
                expired_key_packages_are_never_given, each_key_package_goes_to_one_claim,
                uploading_again_revives_nothing, removing_a_device_takes_what_it_offers,
                a_removed_device_revives_nothing, a_claim_and_its_notice_go_together, key_packages_follow_a_model;
            inboxes: items_have_places_from_zero, a_mark_is_delivered_once, concurrent_deliveries_leave_no_gap;
            keys: responses_are_replaced_by_key_set, the_latest_responses_are_kept,
                servers_that_were_not_asked_for_longest_are_forgotten;
            users: permissions_are_replaced_and_stay;
        }
    };
    (@each $backend:ty; $($part:ident: $($property:ident),+;)+) => {
        mod suite {
            use super::*;

            $(mod $part {
                use super::*;

                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $property() {
                    if !<$backend as $crate::store::suite::Backend>::is_here() {
                        return;
                    }
                    let backend = <$backend as $crate::store::suite::Backend>::new();
                    $crate::store::suite::$part::$property(&backend).await;
                })+
            })+
        }
    };
}
pub(crate) use store_suite;

pub(crate) fn room(name: &str) -> RoomId {
    RoomId::parse(&format!("!{name}:hub.example")).unwrap()
}

pub(crate) fn event(name: &str) -> EventId {
    EventId::parse(&format!("${name}")).unwrap()
}

pub(crate) fn server(name: &str) -> ServerName {
    ServerName::parse(&format!("{name}.example")).unwrap()
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(&format!("@{name}:hub.example")).unwrap()
}

pub(crate) fn device(name: &str) -> DeviceId {
    DeviceId::parse(name).unwrap()
}

pub(crate) fn json(text: &str) -> Arc<[u8]> {
    format!("{{\"text\":\"{text}\"}}").into_bytes().into()
}

/// A record that was made here and goes nowhere.
pub(crate) fn record(name: &str) -> NewRecord {
    NewRecord {
        event_id: event(name),
        lpdu_id: None,
        effect: Effect::Applied,
        bytes: json(name),
        origin: None,
        txn_id: None,
        queue_for: Vec::new(),
    }
}

pub(crate) fn after(name: &str) -> ExpectedHead {
    ExpectedHead::Event(event(name))
}

/// Appends records to an empty list.
pub(crate) async fn fill(store: &dyn Store, room_id: &RoomId, records: impl IntoIterator<Item = NewRecord>) {
    let mut head = ExpectedHead::Empty;
    for record in records {
        let next = ExpectedHead::Event(record.event_id.clone());
        store.append(room_id, head, record).await.unwrap();
        head = next;
    }
}

pub(crate) fn head_moved(result: &Result<u64, AppendError>) -> bool {
    matches!(result, Err(AppendError::HeadMoved))
}

pub(crate) fn notice(user_id: &UserId, text: &str, once: Option<&str>) -> InboxItem {
    InboxItem { user_id: user_id.clone(), bytes: json(text), once: once.map(ToOwned::to_owned) }
}

/// A notice of a claim, as the suite has it.
pub(crate) fn claim_notice(device_id: &DeviceId, remaining: u64) -> Arc<[u8]> {
    json(&format!("{device_id} {remaining}"))
}

/// The items of an inbox with their places.
pub(crate) async fn inbox(store: &dyn Store, user_id: &UserId) -> Vec<(u64, Arc<[u8]>)> {
    store.inbox(user_id, 0, usize::MAX).await.unwrap()
}

/// Runs tasks at the same time and returns what each came to, in order.
pub(crate) async fn all_at_once<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut outcomes = Vec::new();
    for task in running {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

/// Checks a property of generated inputs; each check has a backend of its own.
pub(crate) fn check_model<S: proptest::strategy::Strategy>(
    inputs: &S,
    check: impl AsyncFn(S::Value) -> Result<(), proptest::test_runner::TestCaseError>,
) {
    let config = proptest::test_runner::Config { cases: 24, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        runner.run(inputs, |input| runtime.block_on(check(input))).unwrap();
    });
}
