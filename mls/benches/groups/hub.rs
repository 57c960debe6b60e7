//! What hubs do.

use criterion::{BatchSize, Criterion};
use mimi_mls::{GroupTracker, Suite};
use mls_rs::MlsMessage;
use mls_rs::external_client::ExternalSnapshot;

use crate::table::OURS;
use crate::{PEER, ROOM, name, ours, peer};

pub(crate) fn all(criterion: &mut Criterion, members: usize, ours: &ours::Group, peer: &peer::Group) {
    let tracker = &ours.tracker;
    let mut group = criterion.benchmark_group(name("hub process", members));
    group.bench_function(OURS, |bencher| {
        bencher.iter(|| tracker.stage(&ours.last.message, &ours.last.group_info).unwrap());
    });
    if ours.with_tree.len() <= mimi_mls::framing::MAX_MESSAGE_LEN {
        group.bench_function("ours, tree beside the commit", |bencher| {
            bencher.iter(|| tracker.stage(&ours.last.message, &ours.with_tree).unwrap());
        });
    }
    group.bench_function("OpenMLS alone", |bencher| bencher.iter(|| ours.alone.process(&ours.last)));
    group.bench_function(PEER, |bencher| {
        bencher.iter_batched(
            || peer.hub.clone(),
            |mut hub| {
                hub.process_incoming_message(MlsMessage::from_bytes(&peer.last).unwrap()).unwrap();
                hub
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let snapshot = tracker.snapshot().unwrap();
    let mut group = criterion.benchmark_group(name("hub process, merge and persist", members));
    group.bench_function(OURS, |bencher| {
        bencher.iter_batched(
            || GroupTracker::restore(&snapshot).unwrap(),
            |mut tracker| {
                let staged = tracker.stage(&ours.last.message, &ours.last.group_info).unwrap();
                tracker.merge(staged).unwrap();
                (tracker.snapshot().unwrap(), tracker)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function(PEER, |bencher| {
        bencher.iter_batched(
            || peer.hub.clone(),
            |mut hub| {
                hub.process_incoming_message(MlsMessage::from_bytes(&peer.last).unwrap()).unwrap();
                (hub.snapshot().to_bytes().unwrap(), hub)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let mut group = criterion.benchmark_group(name("hub start", members));
    let (event, tree) = &ours.before;
    group.bench_function(OURS, |bencher| {
        bencher.iter(|| {
            let (message, group_info) = (&event.message, &event.group_info);
            GroupTracker::start_with_tree(ROOM, Suite::MANDATORY, message, group_info, Some(tree)).unwrap()
        });
    });
    group.bench_function(PEER, |bencher| {
        bencher.iter(|| {
            let group_info = MlsMessage::from_bytes(&peer.before).unwrap();
            peer::observer().observe_group(group_info, None, None).unwrap()
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group(name("hub restart", members));
    group.bench_function(OURS, |bencher| bencher.iter(|| GroupTracker::restore(&snapshot).unwrap()));
    let snapshot = peer.hub.snapshot().to_bytes().unwrap();
    group.bench_function(PEER, |bencher| {
        bencher
            .iter(|| peer::observer().load_group(ExternalSnapshot::from_bytes(&snapshot).unwrap()).unwrap());
    });
    group.finish();
}
