//! Times of the room model beside those of its peers, and a table of the ratios.
//!
//! `cargo bench -p mimi-compare --features peers`

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on stops"
)]

mod events;
#[path = "../../compare/tests/ruma/peer.rs"]
mod peer;
mod rooms;
mod table;

use std::path::Path;
use std::time::Duration;

use criterion::Criterion;

fn main() {
    let results = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    // The table is of this run alone.
    let _ = std::fs::remove_dir_all(&results);
    let mut criterion = Criterion::default()
        .output_directory(&results)
        .without_plots()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    events::canonical_json(&mut criterion);
    events::hashes(&mut criterion);
    events::signatures(&mut criterion);
    rooms::authorise(&mut criterion);
    rooms::append(&mut criterion);
    criterion.final_summary();
    table::print(&results);
}
