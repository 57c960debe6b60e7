//! Times of devices and of hubs beside those of `mls-rs` and of OpenMLS alone, and a table of the ratios.
//!
//! `cargo bench -p mimi-mls-compare --features peers`, for groups of 2, 10, 100 and 1,000 members. The environment
//! variable `MEMBERS` names other sizes: `MEMBERS=5000`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on stops"
)]

mod alone;
mod hub;
mod member;
mod ours;
mod peer;
#[path = "../../../linearized/benches/peers/table.rs"]
mod table;

use std::path::Path;
use std::time::Duration;

use criterion::Criterion;

/// How `mls-rs` is called in the table.
pub(crate) const PEER: &str = "mls-rs";

/// The size of a message: 1 KiB.
pub(crate) const TEXT: [u8; 1024] = [b'x'; 1024];

/// The largest group in which a commit has a path. In a larger one, which grew by adds alone, it would not fit into an
/// event.
pub(crate) const PATHS: usize = 500;

/// About how large a group may be for the tree to have room in the event of a commit.
pub(crate) const INSIDE: usize = 190;

pub(crate) const ROOM: &str = "!room:hub.example";

fn main() {
    let sizes = std::env::var("MEMBERS").unwrap_or_else(|_| "2,10,100,1000".to_owned());
    let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join("groups");
    // The table is of this run alone.
    let _ = std::fs::remove_dir_all(&results);
    let mut criterion = Criterion::default()
        .output_directory(&results)
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .configure_from_args();
    for size in sizes.split(',').filter(|size| *size != "--bench") {
        let members: usize = size.trim().parse().unwrap();
        member::create(&mut criterion, members);
        let (ours, peer) = (ours::Group::new(members), peer::Group::new(members));
        member::commits(&mut criterion, members, &ours, &peer);
        member::joins(&mut criterion, members, &ours, &peer);
        hub::all(&mut criterion, members, &ours, &peer);
        member::messages(&mut criterion, members, &ours, &peer);
        sizes_of(members, &ours, &peer);
    }
    criterion.final_summary();
    table::print(&results);
}

/// What is stored, in bytes.
fn sizes_of(members: usize, ours: &ours::Group, peer: &peer::Group) {
    let engine = mimi_mls::Engine::resume(&ours.bob).unwrap();
    let (tracker, observer) = (ours.tracker.snapshot().unwrap(), peer.hub.snapshot().to_bytes().unwrap());
    println!(
        "stored, {members} members: a member {} B, a hub {} B; {PEER}'s hub {} B",
        engine.suspend().unwrap().len(),
        tracker.len(),
        observer.len()
    );
}

/// The name of a measured function in a group of that size.
pub(crate) fn name(what: &str, members: usize) -> String {
    format!("{what}, {members} members")
}
