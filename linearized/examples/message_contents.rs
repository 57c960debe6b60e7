//! Two devices in one MLS group: one sends every kind of message that travels encrypted, the other shows what arrived,
//! as a client that knows all kinds and as one that knows what every client does. In the end, what the list comes to.
//!
//! `cargo run -p mimi-linearized --example message_contents`
//!
//! There is no server here: what one device encrypts is handed to the other.

use std::error::Error;

use mimi_linearized::content::timeline::Entry;
use mimi_linearized::content::{Capabilities, Content, Secrecy, Timeline, convert, render};
use mimi_linearized::id::{EventId, UserId};
use mimi_linearized::json::{Object, Value, strict};
use mimi_mls::{Changes, Decrypted, Device, Engine, KeyPackage, KeyPackageUse, Suite};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROOM: &str = "!room:a.example";
const ALICE: &str = "@alice:a.example";
const BOB: &str = "@bob:b.example";

fn main() -> Outcome<()> {
    let mut alice = Engine::new(Device::generate(ALICE, "PHONE", Suite::MANDATORY)?);
    let mut bob = Engine::new(Device::generate(BOB, "LAPTOP", Suite::MANDATORY)?);
    join(&mut alice, &mut bob)?;

    // Every kind that is inside the encryption.
    let samples: Vec<Value> = serde_json::from_str(include_str!("../tests/data/content/samples.json"))?;
    let (all, base) = (Capabilities::all(), Capabilities::base());
    let mut sent = 0_usize;
    for sample in samples.iter().filter(|sample| sample.get("error").is_none()) {
        let (Some(event_type), Some(content)) = (sample["type"].as_str(), sample["content"].as_object())
        else {
            continue;
        };
        let content = Content::parse(event_type, content.clone())?;
        if content.kind().facts().is_some_and(|facts| facts.secrecy != Secrecy::Inside) {
            continue;
        }
        let (event_type, arrived) = exchange(&mut alice, &mut bob, event_type, content.original())?;
        assert_eq!(arrived, *content.original());
        let (full, plain) = (render(&event_type, &arrived, &all), render(&event_type, &arrived, &base));
        println!("{event_type}\n    {:?}\n    {:?}", full.text, plain.text);
        sent += 1;
    }
    println!("{sent} messages were sent and shown");

    // A client that only knows the older form gets it from the newer, and its own is understood.
    let older = convert::to_older("m.message", &object(json!({"m.text": "hi", "m.html": "<b>hi</b>"})))?;
    println!("{}", serde_json::to_string(&older)?);
    assert_eq!(convert::from_older(&older)?.0, "m.message");

    // A conversation: what is said about a message is shown with it.
    let mut timeline = Timeline::new();
    let about = |rel_type: &str| json!({"rel_type": rel_type, "event_id": "$question"});
    let reaction = json!({"rel_type": "m.annotation", "event_id": "$question", "key": "👍"});
    let poll = json!({"question": {"m.text": "Pizza?"}, "kind": "m.poll.disclosed",
        "answers": [{"id": "y", "m.text": "yes"}, {"id": "n", "m.text": "no"}]});
    let edited = poll.as_object().map(|poll| json!({"m.poll.start": poll})).ok_or("no poll")?;
    let list = [
        (
            "question",
            ALICE,
            "m.poll.start",
            json!({"m.poll.start": {"question": {"m.text": "Piza?"}, "answers": poll.get("answers")}}),
        ),
        (
            "edit",
            ALICE,
            "m.poll.start",
            json!({"m.poll.start": poll, "m.new_content": edited, "m.relates_to": about("m.replace")}),
        ),
        ("reaction", BOB, "m.reaction", json!({"m.relates_to": reaction})),
        (
            "vote",
            BOB,
            "m.poll.response",
            json!({"m.selections": ["y"], "m.relates_to": about("m.reference")}),
        ),
        (
            "close",
            ALICE,
            "m.poll.end",
            json!({"m.text": "closed", "m.poll.end": {}, "m.relates_to": about("m.reference")}),
        ),
        (
            "late",
            ALICE,
            "m.poll.response",
            json!({"m.selections": ["n"], "m.relates_to": about("m.reference")}),
        ),
    ];
    for (place, (name, sender, event_type, content)) in (0..).zip(list) {
        let (from, to) = if sender == ALICE { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let (event_type, content) = exchange(from, to, event_type, &object(content))?;
        let (event_id, sender) = (EventId::parse(&format!("${name}"))?, UserId::parse(sender)?);
        timeline.insert(
            place,
            Entry { event_id, sender, event_type, content, is_state: false, may_redact: false },
        )?;
    }
    timeline.receipt(&UserId::parse(BOB)?, None, &EventId::parse("$question")?);
    for row in timeline.rows() {
        println!("{}: {:?}", row.sender, row.render(&all).text);
        println!("    edited: {}, reactions: {:?}", row.edited_by.is_some(), row.reactions);
        println!("    votes: {:?}, read by: {:?}", row.poll.map(|poll| poll.tally), row.read_by);
    }
    for (event, why) in timeline.ignored() {
        println!("{event} has no effect: {why}");
    }
    Ok(())
}

/// One message's way: the plaintext is its type and its content.
fn exchange(
    from: &mut Engine,
    to: &mut Engine,
    event_type: &str,
    content: &Object,
) -> Outcome<(String, Object)> {
    let plaintext = serde_json::to_vec(&json!({"type": event_type, "content": content}))?;
    let encrypted = from.encrypt(ROOM, &plaintext)?;
    let Decrypted::Message { plaintext, .. } = to.decrypt(ROOM, &encrypted.ciphertext)? else {
        return Err("no message".into());
    };
    let mut event = object(strict::parse(&plaintext)?);
    match (event.remove("type"), event.remove("content")) {
        (Some(Value::String(event_type)), Some(Value::Object(content))) => Ok((event_type, content)),
        _ => Err("no event".into()),
    }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// Alice makes a group and adds Bob's device.
fn join(alice: &mut Engine, bob: &mut Engine) -> Outcome<()> {
    alice.create(ROOM)?;
    alice.commit(ROOM, Changes { update: true, ..Changes::default() })?;
    alice.accepted(ROOM, "$first")?;
    let add = vec![KeyPackage::generate(bob.device(), KeyPackageUse::OneTime)?];
    let welcome = alice.commit(ROOM, Changes { add, ..Changes::default() })?.welcome.ok_or("no Welcome")?;
    alice.accepted(ROOM, "$second")?;
    bob.join(&welcome.message, "$second")?;
    Ok(())
}
