use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// Bytes near an input: some are changed, cut out or put in.
fn near(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 0..5);
    (prop::sample::select(seeds), edits).prop_map(|(mut bytes, edits)| {
        for (at, how, byte) in edits {
            let at = at.index(bytes.len() + 1);
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
        }
        bytes
    })
}

#[test]
fn a_short_run_of_every_target() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        seeds.iter().for_each(|seed| (target.body)(seed));
        let inputs = prop_oneof![3 => near(seeds), 1 => proptest::collection::vec(any::<u8>(), 0..96)];
        let mut runner =
            TestRunner::new(Config { cases: 512, failure_persistence: None, ..Config::default() });
        let run = runner.run(&inputs, |bytes| {
            (target.body)(&bytes);
            Ok(())
        });
        assert!(run.is_ok(), "{}: {run:?}", target.name);
    }
}

#[test]
fn the_seeds_reach_what_they_are_for() {
    let version = mimi_linearized::version::RoomVersions::lm_04();
    let version = version.default_version();
    for seed in events::pdu_seeds() {
        assert!(mimi_linearized::event::Pdu::parse(&seed, version).is_ok());
    }
    assert!(
        events::lpdu_seeds().iter().all(|seed| mimi_linearized::event::Lpdu::parse(seed, version).is_ok())
    );
    let read = |seed: &Vec<u8>| mimi_linearized::content::mimi::MimiContent::parse(seed).is_ok();
    let messages = mimi::message_seeds();
    assert_eq!((messages.iter().filter(|seed| read(seed)).count(), messages.len()), (16, 17));
    let mut room = room::Room::new(room::Cast::new());
    room.run(&room::seeds()[0]);
    // Create, join, join rules, two joins, the ban, the unban, the return, a message.
    assert_eq!(room.list.len(), 9);
    let mut room = room::Room::new(room::Cast::new());
    room.run(&room::seeds()[4]);
    // Create, join, the first power levels; the second are refused.
    assert_eq!(room.list.len(), 3);
}

/// Every target has its file, and every file calls its body.
#[test]
fn the_targets_are_all_there() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let files: BTreeSet<String> = fs::read_dir(fuzz.join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(files, names);
    for name in names {
        let source = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(source.contains(&format!("mimi_fuzz_bodies::{name}(bytes)")), "{name}");
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n")),
            "{name}"
        );
    }
}
