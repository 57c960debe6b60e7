//! `kill -9` at any moment, under load, again and again: what was acknowledged is there, what was sent is processed once,
//! and every queue goes on.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mimi_mls::{Device, Suite};
use serde_json::{Value, json};

use super::pair::{Ground, Spot, list, room_of};
use super::{Serving, segment, try_http};

/// How long the queues may take to send what is left when the last kill is over.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a writer does again and again.
#[derive(Clone, Copy)]
enum Work {
    /// A user of the hub says something.
    AtHub,
    /// A user of the other server says something: an LPDU in a transaction to the hub, and its event in one back.
    Across,
    /// A user of the other server sends a user of the hub something in private: an EDU in a transaction.
    InPrivate,
}

/// What was said, and whether it was acknowledged.
#[derive(Default)]
struct Said(Mutex<BTreeMap<String, bool>>);

impl Said {
    fn note(&self, mark: String, acknowledged: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(mark, acknowledged);
    }

    fn all(&self) -> BTreeMap<String, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A server that is killed and started again, and where its control API is by now.
struct Victim<'g> {
    ground: &'g Ground,
    spot: Spot,
    serving: Mutex<Option<Serving>>,
    control: Mutex<String>,
}

impl<'g> Victim<'g> {
    fn new(ground: &'g Ground) -> Self {
        let spot = ground.spot();
        let serving = ground.start(&spot, &["--log", "warn"]);
        let control = Mutex::new(serving.address("control"));
        Self { ground, spot, serving: Mutex::new(Some(serving)), control }
    }

    fn address(&self) -> String {
        self.control.lock().unwrap().clone()
    }

    /// Kills the server and starts it again.
    fn kill(&self) {
        let mut serving = self.serving.lock().unwrap();
        // Dropping it is SIGKILL.
        drop(serving.take());
        let again = self.ground.start(&self.spot, &["--log", "warn"]);
        *self.control.lock().unwrap() = again.address("control");
        *serving = Some(again);
    }

    fn with<T>(&self, look: impl FnOnce(&Serving) -> T) -> T {
        look(self.serving.lock().unwrap().as_ref().unwrap())
    }
}

/// What all writers share.
struct Load {
    room: Value,
    alice: String,
    /// How much was acknowledged.
    acks: AtomicU64,
    stop: AtomicBool,
}

/// Says things until it is told to stop. Whatever is not answered with 200 may or may not have happened.
fn write(work: Work, writer: usize, at: &Victim<'_>, load: &Load, said: &Said) {
    let Load { room, alice, acks, stop } = load;
    for number in 0.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let mark = format!("{writer}-{number}");
        let (path, body) = match work {
            Work::AtHub | Work::Across => {
                let sender = if matches!(work, Work::AtHub) { "alice" } else { "bob" };
                let body = json!({"sender": sender, "type": "m.room.message", "content": {"mark": mark}});
                (format!("/rooms/{}/events", segment(room)), body)
            }
            Work::InPrivate => {
                let body = json!({"target": alice, "target_device": "D", "message_type": "org.example.mark",
                    "message": {"mark": mark}});
                ("/users/bob/to-device".to_owned(), body)
            }
        };
        let sent = try_http(&at.address(), "POST", &format!("/control/v1{path}"), "", Some(&body));
        if sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            // Nobody was there.
            std::thread::yield_now();
            continue;
        }
        let acknowledged = matches!(sent, Ok((200, _, _)));
        said.note(mark, acknowledged);
        if acknowledged {
            acks.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Kills two servers under load, one or the other, and looks at what is left.
fn survive(kills: u64) {
    let began = Instant::now();
    let ground = Ground::new();
    let (hub, other) = (Victim::new(&ground), Victim::new(&ground));
    let room = hub.with(|hub| other.with(|other| room_of(hub, other)));
    let alice = format!("@alice:{}", hub.spot.name);
    let device = Device::generate(&alice, "D", Suite::ALL[0]).unwrap().object().unwrap().into_value();
    let (status, answer) = hub.with(|hub| hub.control("POST", "/devices", Some(&json!({"device": device}))));
    assert_eq!(status, 200, "{answer}");
    let works = [Work::AtHub, Work::AtHub, Work::AtHub, Work::Across, Work::Across, Work::InPrivate];
    let said: Vec<Said> = works.iter().map(|_| Said::default()).collect();
    let load = Load { room, alice, acks: AtomicU64::new(0), stop: AtomicBool::new(false) };
    let Load { room, acks, stop, .. } = &load;
    std::thread::scope(|scope| {
        for (writer, (work, said)) in works.iter().zip(&said).enumerate() {
            let at = if matches!(work, Work::AtHub) { &hub } else { &other };
            let load = &load;
            scope.spawn(move || write(*work, writer, at, load, said));
        }
        for _ in 0..kills {
            // The moment is as random as the number of answers that are waited for, and where the others are by then.
            let until = acks.load(Ordering::Acquire) + u64::from(rand::random::<u8>() % 100);
            while acks.load(Ordering::Acquire) < until {
                std::thread::yield_now();
            }
            if rand::random::<bool>() { hub.kill() } else { other.kill() }
        }
        stop.store(true, Ordering::Release);
    });
    let loaded = began.elapsed();

    // Every queue goes on: the other server has all that the hub has, and the hub all that the other sent.
    let end = Instant::now() + PATIENCE;
    let waits = |victim: &Victim<'_>| {
        let (_, _, text) = try_http(&victim.address(), "GET", "/metrics", "", None).unwrap();
        !text.lines().any(|line| line == "mimi_queue_destinations 0")
    };
    while waits(&other) || waits(&hub) {
        assert!(Instant::now() < end, "something still waits in a queue");
        std::thread::yield_now();
    }
    let at_hub = hub.with(|hub| list(hub, room));
    let at_other = other.with(|other| list(other, room));
    assert!(at_hub.ends_with(&at_other), "the servers' lists differ");

    // One unbroken list.
    for (index, pair) in at_hub.windows(2).enumerate() {
        let follows = |event: &Value| event["prev_events"][0].as_str().map(ToOwned::to_owned);
        assert_ne!(follows(&pair[0]), follows(&pair[1]), "events {index} and the next follow the same one");
    }
    let followed: std::collections::BTreeSet<String> =
        at_hub.iter().filter_map(|event| Some(event["prev_events"][0].as_str()?.to_owned())).collect();
    assert_eq!(followed.len() + 1, at_hub.len(), "every event but the first follows another one");

    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let inbox = hub.with(inbox);
    let marks = at_hub.iter().filter_map(|event| event["content"]["mark"].as_str());
    for mark in marks.chain(inbox.iter().filter_map(|item| item["message"]["mark"].as_str())) {
        *counts.entry(mark).or_default() += 1;
    }
    let (mut acknowledged, mut unsure) = (0, 0);
    for (mark, is_acknowledged) in said.iter().flat_map(Said::all) {
        let times = counts.get(mark.as_str()).copied().unwrap_or(0);
        if is_acknowledged {
            acknowledged += 1;
            assert_eq!(times, 1, "{mark} was acknowledged, and is there {times} times");
        } else {
            unsure += 1;
            assert!(times <= 1, "{mark} is there {times} times");
        }
    }
    for (writer, said) in said.iter().enumerate() {
        assert!(said.all().values().any(|acknowledged| *acknowledged), "writer {writer} got nothing done");
    }
    eprintln!(
        "{kills} kills in {:.1} s: {acknowledged} acknowledged and there once, {unsure} cut off; {} events in the list, \
         {} items in the inbox; the queues were empty {:.1} s after the last one",
        loaded.as_secs_f64(),
        at_hub.len(),
        inbox.len(),
        (began.elapsed() - loaded).as_secs_f64(),
    );
}

/// What alice was sent.
fn inbox(hub: &Serving) -> Vec<Value> {
    let (mut all, mut from) = (Vec::new(), 0);
    loop {
        let (status, page) = hub.control("GET", &format!("/users/alice/inbox?from={from}"), None);
        assert_eq!(status, 200, "{page}");
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => return all,
        }
    }
}

#[test]
fn servers_survive_being_killed_under_load() {
    survive(6);
}

#[test]
#[ignore = "takes minutes; docs/reliability.md has the last result"]
fn servers_survive_being_killed_fifty_times_under_load() {
    survive(50);
}
