//! Two devices in one MLS group: one sends every kind of message, the other shows what arrived, as a client that knows
//! all kinds and as one that knows what every client does. What servers have to see goes beside the encryption: state,
//! redactions, typing, receipts, presence. Then a message in MIMI content with an encrypted file. In the end, what the
//! list comes to.
//!
//! `cargo run -p mimi-linearized --example message_contents`
//!
//! There is no server here: what one device encrypts is handed to the other.

use std::collections::BTreeSet;
use std::error::Error;

use mimi_linearized::content::mimi::{
    Aead, Disposition, MARKDOWN, MimiContent, NestedPart, Part, PartSemantics, uri,
};
use mimi_linearized::content::timeline::Entry;
use mimi_linearized::content::{Capabilities, Content, KINDS, Secrecy, Timeline, convert, markdown, render};
use mimi_linearized::id::{EventId, RoomId, UserId};
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

    // Every kind: inside the encryption if that is where it belongs, and otherwise as it is.
    let samples: Vec<Value> = serde_json::from_str(include_str!("../tests/data/content/samples.json"))?;
    let (all, base) = (Capabilities::all(), Capabilities::base());
    let (mut sent, mut kinds) = (0_usize, BTreeSet::new());
    for sample in samples.iter().filter(|sample| sample.get("error").is_none()) {
        let (Some(event_type), Some(content)) = (sample["type"].as_str(), sample["content"].as_object())
        else {
            continue;
        };
        let content = Content::parse(event_type, content.clone())?;
        let inside = content.kind().facts().is_none_or(|facts| facts.secrecy == Secrecy::Inside);
        let (event_type, arrived) = match inside {
            true => exchange(&mut alice, &mut bob, event_type, content.original())?,
            false => (event_type.to_owned(), content.original().clone()),
        };
        assert_eq!(arrived, *content.original());
        let (full, plain) = (render(&event_type, &arrived, &all), render(&event_type, &arrived, &base));
        let way = if inside { "encrypted" } else { "seen by servers" };
        println!("{event_type}, {way}\n    {:?}\n    {:?}", full.text, plain.text);
        sent += 1;
        kinds.insert(content.kind());
    }
    println!("{sent} messages of {} kinds were sent and shown", kinds.len());
    assert!(KINDS.iter().all(|facts| kinds.contains(&facts.kind)));

    mimi_content(&mut alice, &mut bob)?;

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

/// A message in MIMI content with a file that is encrypted as MIMI has it.
fn mimi_content(alice: &mut Engine, bob: &mut Engine) -> Outcome<()> {
    let mut stored = b"what is in the file".to_vec();
    let file = Aead::Aes128Gcm.seal(&mut rand::rng(), &mut stored)?.at("https://a.example/f", "text/plain");
    let text = NestedPart::single(Disposition::Render, MARKDOWN, "Look at *this*:");
    let file = NestedPart::new(Disposition::Attachment, Part::External(Box::new(file)));
    let parts = Part::Multi { semantics: PartSemantics::ProcessAll, parts: vec![text, file] };
    let message = MimiContent::new(rand::random(), NestedPart::new(Disposition::Render, parts));
    let (sender, room) = (uri::user(&UserId::parse(ALICE)?), uri::room(&RoomId::parse(ROOM)?));

    let encrypted = alice.encrypt(ROOM, &message.to_bytes()?)?;
    let Decrypted::Message { plaintext, .. } = bob.decrypt(ROOM, &encrypted.ciphertext)? else {
        return Err("no message".into());
    };
    let arrived = MimiContent::parse(&plaintext)?;
    println!("a message in MIMI content, {}", arrived.message_id(&sender, &room)?);
    for (_, part) in arrived.body.walk() {
        match &part.part {
            Part::Single { content, .. } => {
                let source = std::str::from_utf8(content)?;
                println!("    {:?}, as HTML {:?}", markdown::to_text(source), markdown::to_html(source));
            }
            Part::External(file) => {
                let mut fetched = stored.clone();
                file.open(&mut fetched)?;
                println!("    a file: {:?}", std::str::from_utf8(&fetched)?);
            }
            _ => {}
        }
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
