//! Many servers and rooms behind connections that are cut at random: in the end, everybody has the same lists, and
//! nothing is left to be sent.
//!
//! The small form runs with the other tests. The full form has 20 servers and 200 rooms, and is best run optimised:
//!
//! ```sh
//! cargo test --release -p mimi-transport --test soak -- --ignored --nocapture
//! ```
//!
//! `SOAK_SEED` sets the seed, which is printed. It decides who is in which room, who says what, and which connections
//! are cut after how many bytes; the order in which things happen between servers is the machine's.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what fails here is the test, and so it should"
)]

mod fleet;
mod proxy;
mod work;

use std::time::Instant;

use fleet::Fleet;
use work::{Plan, Size};

/// The seed, unless one is given.
const SEED: u64 = 4;

fn seed() -> u64 {
    std::env::var("SOAK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED)
}

async fn soak(size: Size) {
    let seed = seed();
    println!("seed {seed}: {size:?}");
    let began = Instant::now();
    let fleet = Fleet::start(size.servers, seed).await;
    let plan = Plan::new(size, seed);
    plan.make_rooms(&fleet).await;
    println!("{:>6.1} s: everybody is in their rooms", began.elapsed().as_secs_f64());
    plan.talk(&fleet).await;
    println!("{:>6.1} s: everything is said", began.elapsed().as_secs_f64());
    plan.settle(&fleet).await;
    println!("{:>6.1} s: everybody has the same lists and nothing to send", began.elapsed().as_secs_f64());
    let counts = plan.check(&fleet).await;
    println!("{counts}; {}", fleet.summary());
    assert!(fleet.cuts() > 0, "no connection was cut, so that nothing was shown");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_servers_agree_whatever_is_cut() {
    soak(Size { servers: 5, rooms: 20, servers_in_a_room: 3, messages: 6, away: 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute or two; see the top of the file"]
async fn twenty_servers_agree_on_two_hundred_rooms() {
    soak(Size { servers: 20, rooms: 200, servers_in_a_room: 5, messages: 10, away: 2 }).await;
}
