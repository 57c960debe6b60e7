//! What devices do.

use std::cell::LazyCell;
use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use mimi_mls::{Changes, DurableEngine, Engine};
use mls_rs::MlsMessage;

use crate::table::OURS;
use crate::{PEER, ROOM, TEXT, name, ours, peer};

/// Stores nothing, but makes the bytes.
fn persisted<T>(
    durable: &mut DurableEngine,
    operation: impl FnOnce(&mut Engine) -> Result<T, mimi_mls::Error>,
) -> T {
    let unsaved = durable.run(operation).unwrap();
    for record in unsaved.records() {
        black_box(record);
    }
    unsaved.stored()
}

/// An engine all of which is stored.
fn durable(engine: Engine) -> DurableEngine {
    let mut durable = DurableEngine::new(engine);
    persisted(&mut durable, |_| Ok(()));
    durable
}

pub(crate) fn create(criterion: &mut Criterion, members: usize) {
    let mut group = criterion.benchmark_group(name("create and add all", members));
    // Groups are made when something is measured with them: a large one takes seconds.
    let key_packages = LazyCell::new(|| ours::strangers(1..members));
    let theirs = LazyCell::new(|| peer::strangers(1..members));
    group.bench_function(OURS, |bencher| {
        bencher.iter_batched(
            || ours::engine("alice"),
            |creator| ours::create(creator, &key_packages),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("OpenMLS alone", |bencher| {
        bencher.iter_batched(
            || ours::Alone::new("alice"),
            |creator| creator.create_with(&key_packages),
            BatchSize::PerIteration,
        );
    });
    group.bench_function(PEER, |bencher| {
        bencher.iter_batched(
            || peer::client("alice"),
            |creator| peer::create(&creator, &theirs),
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let mut group = criterion.benchmark_group(name("add-one commit", members));
    let added = ours::strangers(members..members + 1);
    let mut creator = None;
    group.bench_function(OURS, |bencher| {
        let creator = creator.get_or_insert_with(|| ours::create(ours::engine("alice"), &key_packages));
        bencher.iter(|| {
            let add = vec![ours::read(&added[0])];
            let commit = creator.commit(ROOM, Changes { add, ..Changes::default() }).unwrap();
            creator.refused(ROOM).unwrap();
            commit
        });
    });
    let mut alone = None;
    group.bench_function("OpenMLS alone", |bencher| {
        let alone = alone.get_or_insert_with(|| ours::Alone::new("alice").create_with(&key_packages));
        bencher.iter(|| {
            let commit = alone.commit(vec![ours::mls(&added[0])], false, members <= crate::INSIDE);
            alone.clear();
            commit
        });
    });
    let added = peer::strangers(members..members + 1);
    let mut creator = None;
    group.bench_function(PEER, |bencher| {
        let creator = creator.get_or_insert_with(|| peer::create(&peer::client("alice"), &theirs));
        bencher.iter(|| {
            let output = peer::add(creator, &added);
            creator.clear_pending_commit();
            output
        });
    });
    group.finish();
}

pub(crate) fn commits(criterion: &mut Criterion, members: usize, ours: &ours::Group, peer: &peer::Group) {
    let mut group = criterion.benchmark_group(name("member process and merge", members));
    group.bench_function(OURS, |bencher| {
        bencher.iter_batched(
            || ours.bob(),
            |mut bob| {
                bob.receive_commit(ROOM, &ours.last.message, "$last").unwrap();
                bob
            },
            BatchSize::PerIteration,
        );
    });
    if let Some(carol) = &ours.carol {
        // With its memory store, this is to merge and persist.
        group.bench_function("OpenMLS alone", |bencher| {
            bencher.iter_batched(
                || carol.copy(),
                |mut carol| {
                    carol.follow(&ours.last.message);
                    carol
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function(PEER, |bencher| {
        bencher.iter_batched(
            || peer.bob.clone(),
            |mut bob| {
                bob.process_incoming_message(MlsMessage::from_bytes(&peer.last).unwrap()).unwrap();
                bob
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let mut group = criterion.benchmark_group(name("member process, merge and persist", members));
    group.bench_function(OURS, |bencher| {
        bencher.iter_batched(
            || durable(ours.bob()),
            |mut bob| {
                persisted(&mut bob, |bob| bob.receive_commit(ROOM, &ours.last.message, "$last"));
                bob
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function(PEER, |bencher| {
        bencher.iter_batched(
            || peer.bob.clone(),
            |mut bob| {
                bob.process_incoming_message(MlsMessage::from_bytes(&peer.last).unwrap()).unwrap();
                bob.write_to_storage().unwrap();
                bob
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

pub(crate) fn joins(criterion: &mut Criterion, members: usize, ours: &ours::Group, peer: &peer::Group) {
    let mut group = criterion.benchmark_group(name("join", members));
    let whole = ours.last.welcome.as_ref().unwrap();
    // One that is too large comes without the tree.
    let (welcome, tree) = if whole.len() <= mimi_mls::framing::MAX_WELCOME_LEN {
        (whole, None)
    } else {
        (&ours.apart.0, Some(&ours.apart.1[..]))
    };
    group.bench_function(OURS, |bencher| {
        bencher.iter_batched(
            || Engine::resume(&ours.joiner).unwrap(),
            |mut joiner| {
                joiner.join_with_tree(welcome, "$last", tree).unwrap();
                joiner
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function(PEER, |bencher| {
        bencher.iter(|| {
            let welcome = MlsMessage::from_bytes(&peer.welcome).unwrap();
            peer.joiner.join_group(None, &welcome, None).unwrap()
        });
    });
    group.finish();
}

pub(crate) fn messages(criterion: &mut Criterion, members: usize, ours: &ours::Group, peer: &peer::Group) {
    let mut bob = ours.bob();
    let (mut without, mut with) = (ours::Alone::new("without"), ours::Alone::new("with"));
    let mut alice = ours.alice.borrow_mut();
    for n in 0..6 {
        let added = match n {
            0 => vec![without.key_package()],
            1 => vec![with.key_package()],
            // From here on, so that the windows of all are full.
            _ => vec![ours::Alone::new(&format!("later{n}")).key_package()],
        };
        let event = alice.commit(added, false, n < 2);
        alice.merge();
        bob.receive_commit(ROOM, &event.message, &format!("$later{n}")).unwrap();
        match n {
            0 => without.join(event.welcome.as_ref().unwrap(), 0),
            1 => with.join(event.welcome.as_ref().unwrap(), 2),
            _ => with.follow(&event.message),
        }
        if n > 0 {
            without.follow(&event.message);
        }
    }
    drop(alice);
    let suspended = bob.suspend().unwrap();
    let mut bob = Engine::resume(&suspended).unwrap();
    let mut stored = durable(Engine::resume(&suspended).unwrap());

    let mut group = criterion.benchmark_group(name("encrypt 1 KiB", members));
    group.bench_function(OURS, |bencher| bencher.iter(|| bob.encrypt(ROOM, &TEXT).unwrap()));
    group.bench_function("ours, persisted", |bencher| {
        bencher.iter(|| persisted(&mut stored, |bob| bob.encrypt(ROOM, &TEXT)));
    });
    group.bench_function("OpenMLS alone, window 0", |bencher| bencher.iter(|| without.encrypt(&TEXT)));
    group.bench_function("OpenMLS alone, window 2", |bencher| bencher.iter(|| with.encrypt(&TEXT)));
    let mut peers = peer.bob.clone();
    group.bench_function(PEER, |bencher| {
        bencher.iter(|| peers.encrypt_application_message(&TEXT, Vec::new()).unwrap().to_bytes().unwrap());
    });
    group.finish();

    let mut group = criterion.benchmark_group(name("decrypt 1 KiB", members));
    let sent = || ours.alice.borrow_mut().encrypt(&TEXT);
    // Messages are counted by epoch, and nobody may miss more than a thousand: each starts in an epoch of its own.
    let mut epoch = 0;
    let mut next = |bob: &mut Engine, stored: &mut DurableEngine, others: [&mut ours::Alone; 2]| {
        epoch += 1;
        let added = vec![ours::Alone::new(&format!("next{epoch}")).key_package()];
        let event = ours.alice.borrow_mut().commit(added, false, false);
        ours.alice.borrow_mut().merge();
        let id = format!("$next{epoch}");
        bob.receive_commit(ROOM, &event.message, &id).unwrap();
        persisted(stored, |stored| stored.receive_commit(ROOM, &event.message, &id));
        for other in others {
            other.follow(&event.message);
        }
    };
    group.bench_function(OURS, |bencher| {
        bencher.iter_batched(sent, |message| bob.decrypt(ROOM, &message).unwrap(), BatchSize::PerIteration);
    });
    next(&mut bob, &mut stored, [&mut without, &mut with]);
    group.bench_function("ours, persisted", |bencher| {
        let decrypt = |message: Vec<u8>| persisted(&mut stored, |bob| bob.decrypt(ROOM, &message));
        bencher.iter_batched(sent, decrypt, BatchSize::PerIteration);
    });
    next(&mut bob, &mut stored, [&mut without, &mut with]);
    group.bench_function("OpenMLS alone, window 0", |bencher| {
        bencher.iter_batched(sent, |message| without.decrypt(&message), BatchSize::PerIteration);
    });
    next(&mut bob, &mut stored, [&mut without, &mut with]);
    group.bench_function("OpenMLS alone, window 2", |bencher| {
        bencher.iter_batched(sent, |message| with.decrypt(&message), BatchSize::PerIteration);
    });
    let mut peers = peer.bob.clone();
    group.bench_function(PEER, |bencher| {
        let mut alice = peer.alice.borrow_mut();
        bencher.iter_batched(
            || alice.encrypt_application_message(&TEXT, Vec::new()).unwrap().to_bytes().unwrap(),
            |message| peers.process_incoming_message(MlsMessage::from_bytes(&message).unwrap()).unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}
