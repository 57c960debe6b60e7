//! `mimi serve` as its administrator sees it: numbers, log, keys, and how it ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::pair::{Ground, list, room_of};
use super::{Serving, http, segment, try_http};

/// How long something may take that does happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is what is looked for.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

fn say(serving: &Serving, room: &Value, sender: &str, words: &str) -> (u16, Value) {
    let body = json!({"sender": sender, "type": "m.room.message", "content": {"body": words}});
    serving.control("POST", &format!("/rooms/{}/events", segment(room)), Some(&body))
}

fn until_heard(serving: &Serving, room: &Value, words: &str) {
    until(words, || list(serving, room).iter().any(|event| event["content"]["body"] == words).then_some(()));
}

#[test]
fn a_server_shows_its_numbers_and_whether_it_takes_work() {
    let ground = Ground::new();
    let (hub, other) = (ground.start(&ground.spot(), &[]), ground.start(&ground.spot(), &[]));
    let room = room_of(&hub, &other);
    assert_eq!(say(&hub, &room, "alice", "one").0, 200);
    assert_eq!(say(&other, &room, "bob", "two").0, 200);
    until_heard(&other, &room, "two");
    let name = json!({"sender": "bob", "type": "m.room.name", "state_key": "", "content": {"name": "x"}});
    other.control("POST", &format!("/rooms/{}/events", segment(&room)), Some(&name));

    let address = hub.address("control");
    for path in ["/health", "/ready"] {
        assert_eq!(http(&address, "GET", path, None).0, 200, "{path}");
    }
    let find = |text: &str, line: &str| -> Option<f64> {
        text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
    };
    let refused = r#"mimi_events_total{outcome="refused",rule="LM-04/auth/7"}"#;
    let text = until(refused, || {
        let (status, head, body) = try_http(&address, "GET", "/metrics", "", None).unwrap();
        assert!(status == 200 && head.contains("application/openmetrics-text"), "{head}");
        find(&body, refused).is_some().then_some(body)
    });
    for (line, least) in [
        (r#"mimi_events_total{outcome="accepted",rule=""}"#, 7.0),
        (refused, 1.0),
        ("mimi_rooms", 1.0),
        (r#"mimi_transactions_total{direction="in",outcome="processed"}"#, 1.0),
        (r#"mimi_transactions_total{direction="out",outcome="delivered"}"#, 1.0),
        (r#"mimi_key_fetches_total{outcome="fetched"}"#, 1.0),
        (r#"mimi_store_seconds_count{operation="append"}"#, 8.0),
        (r#"mimi_outbound_requests_total{outcome="200"}"#, 1.0),
        (r#"mimi_request_seconds_count{endpoint="/_matrix/federation/v2/send/{txn}"}"#, 1.0),
        ("mimi_certificate_expiry_seconds", 1.6e9),
        ("mimi_start_time_seconds", 1.6e9),
    ] {
        let found = find(&text, line);
        assert!(found.is_some_and(|number| number >= least), "{line}: {found:?}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

/// What one server logs of a request can be found in the other's log.
#[test]
fn a_request_has_the_same_id_in_both_logs() {
    let ground = Ground::new();
    let (at_hub, at_other) = (ground.spot(), ground.spot());
    let logged = ["--log-format", "json", "--log", "debug"];
    let (hub, other) = (ground.start(&at_hub, &logged), ground.start(&at_other, &logged));
    let room = room_of(&hub, &other);
    say(&other, &room, "bob", "nobody else's business");
    until_heard(&other, &room, "nobody else's business");

    let given = "X-Request-Id: from-outside-1\r\n";
    let (_, head, _) = try_http(&hub.address("control"), "GET", "/health", given, None).unwrap();
    assert!(head.to_ascii_lowercase().contains("x-request-id: from-outside-1"), "{head}");

    let lines = |log: &std::path::Path| -> Vec<Value> {
        let text = std::fs::read_to_string(log).unwrap();
        assert!(!text.contains("nobody else's business"), "a message's content is logged");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let asked: Vec<Value> = lines(&at_other.log())
        .into_iter()
        .filter(|line| line["message"] == "asked" && line["destination"] == at_hub.name.as_str())
        .collect();
    assert!(asked.iter().any(|line| line["path"].as_str().unwrap().contains("/send/")), "{asked:?}");
    let matched = |asked: &Value| {
        lines(&at_hub.log())
            .into_iter()
            .find(|line| line["message"] == "answered" && line["span"]["id"] == asked["request_id"])
    };
    for asked in asked {
        // The line of an answer may come after the answer.
        let answered = until("the other server's line", || matched(&asked));
        assert_eq!((&answered["span"]["path"], &answered["status"]), (&asked["path"], &asked["status"]));
        if asked["path"].as_str().unwrap().contains("/send/") {
            assert_eq!(answered["span"]["origin"], at_other.name.as_str());
        }
    }
}

#[test]
fn a_new_key_is_in_use_after_a_kill() {
    let ground = Ground::new();
    let (at_hub, at_other) = (ground.spot(), ground.spot());
    let (mut hub, other) = (ground.start(&at_hub, &[]), ground.start(&at_other, &[]));
    let room = room_of(&hub, &other);
    let path = "/unstable/org.mimi-interop.administration/rotate-key";
    let (status, rotated) = hub.control("POST", path, None);
    assert_eq!(status, 200, "{rotated}");
    hub.child.kill().unwrap();
    hub.child.wait().unwrap();
    let file = std::fs::read_to_string(at_hub.data.join("signing.key")).unwrap();
    assert!(file.starts_with(rotated["key_id"].as_str().unwrap()));
    assert!(file.contains(&format!("old {} ", rotated["retired"]["key_id"].as_str().unwrap())));
    let hub = ground.start(&at_hub, &[]);
    assert_eq!(say(&hub, &room, "alice", "with a new key").0, 200);
    until_heard(&other, &room, "with a new key");
}

#[test]
fn what_cannot_be_sent_in_time_is_told_and_sent_later() {
    let ground = Ground::new();
    let (at_hub, at_other) = (ground.spot(), ground.spot());
    let (mut hub, mut other) =
        (ground.start(&at_hub, &["--drain-timeout", "0s"]), ground.start(&at_other, &[]));
    let room = room_of(&hub, &other);
    other.child.kill().unwrap();
    other.child.wait().unwrap();
    assert_eq!(say(&hub, &room, "alice", "later").0, 200);
    hub.signal("-TERM");
    assert_eq!(hub.child.wait().unwrap().code(), Some(0));
    let log = std::fs::read_to_string(at_hub.log()).unwrap();
    assert!(log.contains("something waits") && log.contains(&at_other.name), "{log}");
    let other = ground.start(&at_other, &[]);
    let _hub = ground.start(&at_hub, &[]);
    until_heard(&other, &room, "later");
}

#[test]
fn a_second_signal_ends_a_server_at_once() {
    let ground = Ground::new();
    let (at_hub, at_other) = (ground.spot(), ground.spot());
    let (mut hub, mut other) =
        (ground.start(&at_hub, &["--drain-timeout", "100000s"]), ground.start(&at_other, &[]));
    let room = room_of(&hub, &other);
    other.child.kill().unwrap();
    other.child.wait().unwrap();
    assert_eq!(say(&hub, &room, "alice", "waits").0, 200);
    hub.signal("-TERM");
    let address = hub.address("control");
    until("the end to begin", || (http(&address, "GET", "/ready", None).0 == 503).then_some(()));
    assert_eq!(http(&address, "GET", "/health", None).0, 200);
    assert_eq!(say(&hub, &room, "alice", "refused").0, 503, "nothing new is taken");
    assert!(hub.child.try_wait().unwrap().is_none(), "it goes on sending");
    hub.signal("-TERM");
    assert_eq!(hub.child.wait().unwrap().code(), Some(1));
    let hub = ground.start(&at_hub, &[]);
    assert!(list(&hub, &room).iter().any(|event| event["content"]["body"] == "waits"));
}
