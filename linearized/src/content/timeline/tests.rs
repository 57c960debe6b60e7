use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::content::{Capabilities, Shown};

fn id(name: &str) -> EventId {
    EventId::parse(&format!("${name}")).unwrap()
}

fn user(name: &str) -> UserId {
    UserId::parse(&format!("@{name}")).unwrap()
}

/// An event of a user who may not redact.
fn entry(name: &str, sender: &str, event_type: &str, content: Value) -> Entry {
    let Value::Object(content) = content else { panic!("{content}") };
    Entry {
        event_id: id(name),
        sender: user(sender),
        event_type: event_type.to_owned(),
        content,
        is_state: false,
        may_redact: false,
    }
}

fn message(name: &str, sender: &str, text: &str) -> Entry {
    entry(name, sender, "m.message", json!({"m.text": text}))
}

fn edit(name: &str, sender: &str, original: &str, text: &str) -> Entry {
    let relates_to = json!({"rel_type": "m.replace", "event_id": format!("${original}")});
    let content = json!({"m.text": "* edit", "m.new_content": {"m.text": text}, "m.relates_to": relates_to});
    entry(name, sender, "m.message", content)
}

fn reaction(name: &str, sender: &str, target: &str, key: &str) -> Entry {
    let relates_to = json!({"rel_type": "m.annotation", "event_id": format!("${target}"), "key": key});
    entry(name, sender, "m.reaction", json!({"m.relates_to": relates_to}))
}

fn poll(name: &str, sender: &str, kind: &str) -> Entry {
    let answers = json!([{"id": "a", "m.text": "A"}, {"id": "b", "m.text": "B"}]);
    let poll = json!({"kind": kind, "question": {"m.text": "Q"}, "answers": answers});
    entry(name, sender, "m.poll.start", json!({"m.poll.start": poll}))
}

fn vote(name: &str, sender: &str, poll: &str, answers: &[&str]) -> Entry {
    let relates_to = json!({"rel_type": "m.reference", "event_id": format!("${poll}")});
    entry(name, sender, "m.poll.response", json!({"m.relates_to": relates_to, "m.selections": answers}))
}

fn close(name: &str, sender: &str, poll: &str) -> Entry {
    let relates_to = json!({"rel_type": "m.reference", "event_id": format!("${poll}")});
    entry(
        name,
        sender,
        "m.poll.end",
        json!({"m.relates_to": relates_to, "m.poll.end": {}, "m.text": "closed"}),
    )
}

fn redaction(name: &str, sender: &str, target: &str) -> Entry {
    entry(name, sender, "m.room.redaction", json!({"redacts": format!("${target}")}))
}

fn reply(name: &str, sender: &str, target: &str) -> Entry {
    let relates_to = json!({"m.in_reply_to": {"event_id": format!("${target}")}});
    entry(name, sender, "m.message", json!({"m.text": "yes", "m.relates_to": relates_to}))
}

fn in_thread(name: &str, sender: &str, root: &str) -> Entry {
    let relates_to = json!({"rel_type": "m.thread", "event_id": format!("${root}")});
    entry(name, sender, "m.message", json!({"m.text": "yes", "m.relates_to": relates_to}))
}

fn timeline(entries: &[Entry]) -> Timeline {
    let mut timeline = Timeline::new();
    for (place, entry) in (0..).zip(entries) {
        timeline.insert(place, entry.clone()).unwrap();
    }
    timeline
}

fn texts(timeline: &Timeline) -> Vec<String> {
    timeline.rows().iter().map(|row| row.render(&Capabilities::all()).text).collect()
}

fn users(names: &[&str]) -> BTreeSet<UserId> {
    names.iter().map(|name| user(name)).collect()
}

fn tally_of(timeline: &Timeline) -> (Vec<BTreeSet<UserId>>, Poll) {
    let poll = timeline.rows().into_iter().find_map(|row| row.poll).unwrap();
    (poll.tally.values().cloned().collect(), poll)
}

#[test]
fn the_last_edit_of_the_author_counts() {
    let entries = [
        message("m", "ann:a", "one"),
        edit("e1", "ann:a", "m", "two"),
        edit("e2", "ann:a", "m", "three"),
        edit("forged", "bob:a", "m", "mine"),
        edit("second", "ann:a", "e1", "four"),
        edit("nothing", "ann:a", "unknown", "five"),
        entry("other", "ann:a", "m.emote", edit("x", "ann:a", "m", "six").content.into()),
        entry(
            "broken",
            "ann:a",
            "m.message",
            json!({"m.text": "x", "m.new_content": {"m.text": 7}, "m.relates_to": {"rel_type": "m.replace", "event_id": "$m"}}),
        ),
        Entry { is_state: true, ..edit("state", "ann:a", "m", "seven") },
    ];
    let timeline = timeline(&entries);
    let rows = timeline.rows();
    assert_eq!(texts(&timeline), ["three"]);
    assert_eq!(rows[0].edited_by, Some(id("e2")));
    let why = [
        ("forged", Ignored::NotTheAuthor),
        ("second", Ignored::EditOfEdit),
        ("nothing", Ignored::NoTarget),
        ("other", Ignored::OtherType),
        ("broken", Ignored::Malformed),
        ("state", Ignored::NotAMessage),
    ];
    assert_eq!(timeline.ignored(), why.map(|(name, why)| (id(name), why)).into());
}

#[test]
fn an_edit_keeps_the_relation_of_its_original() {
    let mut forged = edit("e", "ann:a", "r", "no");
    forged.content["m.new_content"]["m.relates_to"] = json!({"m.in_reply_to": {"event_id": "$other"}});
    let timeline = timeline(&[message("m", "bob:a", "question"), reply("r", "ann:a", "m"), forged]);
    let rows = timeline.rows();
    assert_eq!(
        (rows[1].reply_to.clone(), texts(&timeline)),
        (Some(id("m")), vec!["question".to_owned(), "no".to_owned()])
    );
    assert_eq!(
        rows[1].content.as_ref().unwrap()["m.relates_to"],
        json!({"m.in_reply_to": {"event_id": "$m"}})
    );
}

#[test]
fn a_reaction_counts_once_for_each_sender() {
    let timeline = timeline(&[
        message("m", "ann:a", "one"),
        reaction("r1", "bob:a", "m", "👍"),
        reaction("r2", "bob:a", "m", "👍"),
        reaction("r3", "bob:a", "m", "🎉"),
        reaction("r4", "cid:a", "m", "👍"),
        redaction("d", "bob:a", "r1"),
        reaction("r5", "cid:a", "unknown", "👍"),
        reaction("r6", "cid:a", "r4", "👍"),
        reaction("r7", "cid:a", "m", " "),
    ]);
    let expected = [("👍", users(&["bob:a", "cid:a"])), ("🎉", users(&["bob:a"]))];
    assert_eq!(timeline.rows()[0].reactions, expected.map(|(key, users)| (key.to_owned(), users)).into());
    let why = [("r5", Ignored::NoTarget), ("r6", Ignored::NotAMessage), ("r7", Ignored::Malformed)];
    assert_eq!(timeline.ignored(), why.map(|(name, why)| (id(name), why)).into());
}

#[test]
fn votes_count_while_the_poll_is_open() {
    let spoiled = Entry { content: vote("x", "x:a", "p", &[]).content, ..vote("v6", "eve:a", "p", &[]) };
    let mut spoiled = Entry { event_id: id("v6"), ..spoiled };
    spoiled.content.insert("m.selections".to_owned(), json!("a"));
    let entries = [
        poll("p", "ann:a", "m.poll.undisclosed"),
        vote("v1", "bob:a", "p", &["a"]),
        vote("v2", "bob:a", "p", &["b"]),
        vote("v3", "cid:a", "p", &["a", "b"]),
        vote("v4", "dan:a", "p", &["a"]),
        vote("v5", "eve:a", "p", &["a"]),
        spoiled,
        vote("v7", "dan:a", "p", &[]),
        close("c", "ann:a", "p"),
        vote("late", "dan:a", "p", &["b"]),
        message("m", "ann:a", "x"),
        vote("wrong", "dan:a", "m", &["b"]),
    ];
    let open = timeline(&entries[..8]);
    assert!(!tally_of(&open).1.may_be_shown);
    let closed = timeline(&entries);
    let (tally, poll) = tally_of(&closed);
    assert_eq!(tally, [users(&["cid:a"]), users(&["bob:a"])]);
    assert_eq!((poll.closed_by, poll.may_be_shown), (Some(id("c")), true));
    let why = [("late", Ignored::Closed), ("wrong", Ignored::NotAPoll), ("v6", Ignored::Malformed)];
    assert_eq!(closed.ignored(), why.map(|(name, why)| (id(name), why)).into());
}

#[test]
fn a_poll_is_closed_once_and_by_those_who_may() {
    let moderator = Entry { may_redact: true, ..close("c2", "mod:b", "p") };
    let timeline = timeline(&[
        poll("p", "ann:a", "m.poll.disclosed"),
        close("c1", "bob:a", "p"),
        moderator,
        close("c3", "ann:a", "p"),
    ]);
    assert_eq!(tally_of(&timeline).1.closed_by, Some(id("c2")));
    let why = [("c1", Ignored::MayNotClose), ("c3", Ignored::Closed)];
    assert_eq!(timeline.ignored(), why.map(|(name, why)| (id(name), why)).into());
}

#[test]
fn an_edit_brings_no_relation() {
    let mut edit = edit("b", "ann:a", "a", "new");
    edit.content["m.new_content"]["m.relates_to"] = json!({"m.in_reply_to": {"event_id": "$x"}});
    let rows = timeline(&[message("a", "ann:a", "old"), edit]).rows();
    assert_eq!((&rows[0].reply_to, &rows[0].edited_by), (&None, &Some(id("b"))));
    assert_eq!(Value::Object(rows[0].content.clone().unwrap()), json!({"m.text": "new"}));
}

#[test]
fn a_poll_is_edited_until_somebody_votes() {
    let edited = |name: &str, question: &str| {
        let new = json!({"m.poll.start": {"question": {"m.text": question}, "answers": [{"id": "b", "m.text": "B"}]}});
        let relates_to = json!({"rel_type": "m.replace", "event_id": "$p"});
        entry(
            name,
            "ann:a",
            "m.poll.start",
            json!({"m.poll.start": poll("x", "x:a", "k").content["m.poll.start"],
            "m.new_content": new, "m.relates_to": relates_to}),
        )
    };
    let early = [
        poll("p", "ann:a", "m.poll.disclosed"),
        edited("e1", "Q2"),
        vote("v", "bob:a", "p", &["b"]),
        edited("e2", "Q3"),
    ];
    let timeline = timeline(&early);
    assert_eq!(texts(&timeline), ["Q2\n1. B"]);
    assert_eq!(tally_of(&timeline).0, [users(&["bob:a"])]);
    assert_eq!(timeline.ignored(), [(id("e2"), Ignored::HasVotes)].into());
}

#[test]
fn redactions_take_away_what_they_may() {
    let moderator = Entry { may_redact: true, ..redaction("d3", "mod:b", "m3") };
    let timeline = timeline(&[
        message("m1", "ann:a", "one"),
        message("m2", "ann:a", "two"),
        message("m3", "ann:a", "three"),
        redaction("d1", "bob:a", "m1"),
        redaction("d2", "bob:b", "m2"),
        moderator,
        edit("e", "ann:a", "m1", "again"),
        reaction("r", "ann:a", "m1", "👍"),
        redaction("d4", "ann:a", "unknown"),
    ]);
    assert_eq!(texts(&timeline), ["Deleted a message", "two", "Deleted a message"]);
    let rows = timeline.rows();
    assert_eq!(
        (&rows[0].redacted_by, &rows[0].content, rows[0].reactions.len()),
        (&Some(id("d1")), &None, 0)
    );
    // Two events of whom the author was redacted as well: what they are about is there no more.
    let why = [
        ("d2", Ignored::MayNotRedact),
        ("e", Ignored::Redacted),
        ("r", Ignored::Redacted),
        ("d4", Ignored::NoTarget),
    ];
    assert_eq!(timeline.ignored(), why.map(|(name, why)| (id(name), why)).into());
}

#[test]
fn what_was_redacted_was_never_sent() {
    let redacted = timeline(&[
        message("m", "ann:a", "one"),
        edit("e1", "ann:a", "m", "two"),
        edit("e2", "ann:a", "m", "three"),
        redaction("d1", "ann:a", "e2"),
        poll("p", "ann:a", "m.poll.disclosed"),
        vote("v1", "bob:a", "p", &["a"]),
        vote("v2", "bob:a", "p", &["b"]),
        redaction("d2", "bob:a", "v2"),
        close("c", "ann:a", "p"),
        redaction("d3", "ann:a", "c"),
    ]);
    assert_eq!(redacted.rows()[0].edited_by, Some(id("e1")));
    let (tally, poll) = tally_of(&redacted);
    assert_eq!((tally, poll.closed_by), (vec![users(&["bob:a"]), users(&[])], None));
}

#[test]
fn replies_and_threads_do_not_go_in_circles() {
    let timeline = timeline(&[
        reply("a", "ann:a", "b"),
        reply("b", "ann:a", "a"),
        reply("self", "ann:a", "self"),
        reply("old", "ann:a", "before-what-is-known"),
        in_thread("t1", "ann:a", "b"),
        in_thread("t2", "ann:a", "t1"),
        in_thread("t3", "ann:a", "t3"),
    ]);
    let rows = timeline.rows();
    let replies: Vec<_> = rows.iter().map(|row| row.reply_to.clone()).collect();
    let expected = [None, Some(id("a")), None, Some(id("before-what-is-known")), None, None, None];
    assert_eq!(replies, expected);
    let threads: Vec<_> = rows.iter().map(|row| row.thread.clone()).collect();
    assert_eq!(threads, [None, None, None, None, Some(id("b")), None, None]);
}

#[test]
fn receipts_move_forward() {
    let mut timeline = timeline(&[
        message("m0", "ann:a", "0"),
        reaction("r", "bob:a", "m0", "👍"),
        message("m2", "ann:a", "2"),
    ]);
    timeline.receipt(&user("bob:a"), None, &id("r"));
    timeline.receipt(&user("cid:a"), None, &id("later"));
    timeline.mark_fully_read(&id("m2"));
    timeline.mark_fully_read(&id("m0"));
    let read_by =
        |timeline: &Timeline| timeline.rows().into_iter().map(|row| row.read_by).collect::<Vec<_>>();
    assert_eq!(read_by(&timeline), [users(&["bob:a"]), users(&[])]);
    timeline.receipt(&user("bob:a"), None, &id("m2"));
    timeline.receipt(&user("bob:a"), None, &id("m0"));
    timeline.insert(3, message("later", "ann:a", "3")).unwrap();
    assert_eq!(read_by(&timeline), [users(&[]), users(&["bob:a"]), users(&["cid:a"])]);
    assert_eq!(timeline.fully_read(), Some(&id("m2")));
    for n in 0..10_000 {
        timeline.receipt(&user("cid:a"), None, &id(&format!("unknown{n}")));
    }
    assert!(timeline.receipts.values().all(|events| events.len() <= MAX_WAITING + 1));
}

#[test]
fn a_place_has_one_event() {
    let mut timeline = timeline(&[message("m0", "ann:a", "0")]);
    let taken = timeline.insert(0, message("m1", "ann:a", "1"));
    assert_eq!(taken, Err(TimelineError::Taken(0, id("m0"))));
    assert_eq!(timeline.insert(1, message("m0", "ann:a", "0")), Err(TimelineError::Moved(0, id("m0"))));
    assert_eq!(timeline.rows().len(), 1);
}

#[test]
fn an_event_that_is_decrypted_later_takes_its_place() {
    let content = json!({"algorithm": "a", "ciphertext": "AAEC", "commit_event_id": "$c"});
    let mut timeline =
        timeline(&[entry("m", "ann:a", "m.room.encrypted", content), edit("e", "ann:a", "m", "two")]);
    assert_eq!(texts(&timeline), ["Unable to decrypt"]);
    assert_eq!(timeline.ignored(), [(id("e"), Ignored::OtherType)].into());
    timeline.insert(0, message("m", "ann:a", "one")).unwrap();
    assert_eq!((texts(&timeline), timeline.ignored().len()), (vec!["two".to_owned()], 0));
}

#[test]
fn what_is_no_message_has_no_row() {
    let topic = Entry { is_state: true, ..entry("t", "ann:a", "m.room.topic", json!({"m.text": "x"})) };
    let dance = entry("d", "ann:a", "org.example.dance", json!({"m.text": "dances"}));
    let call = entry("c", "ann:a", "m.call.hangup", json!({"call_id": "1", "version": "1"}));
    let timeline = timeline(&[topic, dance, call]);
    let rows = timeline.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].render(&Capabilities::all()).shown, Shown::Text);
}

/// A list that is large and mean is folded in a time that grows with its length: each of these has one event that all
/// others are about.
#[test]
fn many_events_about_one() {
    let mut timeline = Timeline::new();
    timeline.insert(0, poll("p", "ann:a", "m.poll.disclosed")).unwrap();
    for place in 1..4000_u64 {
        let sender = format!("u{place}:a");
        let entry = match place % 3 {
            0 => vote(&format!("e{place}"), &sender, "p", &["a"]),
            1 => reaction(&format!("e{place}"), &sender, "p", "👍"),
            _ => reply(&format!("e{place}"), &sender, "p"),
        };
        timeline.insert(place, entry).unwrap();
    }
    assert_eq!(tally_of(&timeline).0[0].len(), 1333);
    assert_eq!(timeline.rows()[0].reactions["👍"].len(), 1333);
}

/// An event of a list of a dozen, about others that may come before it or after.
fn any_entry(place: usize) -> impl Strategy<Value = Entry> {
    let name = format!("e{place}");
    (0..12_usize, 0..3_usize, 0..11_u8, any::<bool>()).prop_map(move |(target, sender, what, may_redact)| {
        let sender = ["ann:a", "bob:a", "cid:c"][sender];
        let target = format!("e{target}");
        let mut entry = match what {
            0 | 1 => message(&name, sender, "text"),
            2 => edit(&name, sender, &target, &name),
            3 => reaction(&name, sender, &target, "👍"),
            4 => poll(&name, sender, "m.poll.disclosed"),
            5 => vote(&name, sender, &target, &["a"]),
            6 => vote(&name, sender, &target, &["b", "z"]),
            7 => close(&name, sender, &target),
            8 => redaction(&name, sender, &target),
            9 => reply(&name, sender, &target),
            _ => in_thread(&name, sender, &target),
        };
        entry.may_redact = may_redact;
        entry
    })
}

fn any_list() -> impl Strategy<Value = Vec<Entry>> {
    (0..12_usize).map(any_entry).collect::<Vec<_>>()
}

type Receipts = Vec<(usize, usize)>;

fn any_receipts() -> impl Strategy<Value = Receipts> {
    proptest::collection::vec((0..3_usize, 0..12_usize), 0..8)
}

fn give(timeline: &mut Timeline, (reader, event): (usize, usize)) {
    timeline.receipt(&user(["ann:a", "bob:a", "cid:c"][reader]), None, &id(&format!("e{event}")));
}

proptest! {
    /// Events may arrive, and receipts with them, in any order: the rows are those of the list.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        entries in any_list(),
        receipts in any_receipts(),
        order in Just((0..20_usize).collect::<Vec<_>>()).prop_shuffle(),
        settle in any::<u32>(),
    ) {
        let mut straight = timeline(&entries);
        receipts.iter().for_each(|receipt| give(&mut straight, *receipt));
        let mut mixed = Timeline::new();
        for (step, index) in order.into_iter().enumerate() {
            match (entries.get(index), receipts.get(index.wrapping_sub(entries.len()))) {
                (Some(entry), _) => mixed.insert(index as u64, entry.clone()).unwrap(),
                (None, Some(receipt)) => give(&mut mixed, *receipt),
                (None, None) => {}
            }
            if (settle >> step) & 1 == 1 {
                mixed.settle();
            }
        }
        prop_assert_eq!(mixed.rows(), straight.rows());
        prop_assert_eq!(mixed.ignored(), straight.ignored());
    }

    /// What was added event by event is what the whole list comes to, after each event.
    #[test]
    fn adding_comes_to_the_whole(entries in any_list()) {
        let mut grown = Timeline::new();
        for (place, entry) in (0..).zip(&entries) {
            grown.insert(place, entry.clone()).unwrap();
            grown.settle();
            let mut whole = grown.clone();
            whole.stale = true;
            prop_assert_eq!(grown.rows(), whole.rows());
            prop_assert_eq!(grown.ignored(), whole.ignored());
        }
    }

    /// Who gets the list after a redaction, without the contents that it took away, sees what those see who had them.
    #[test]
    fn redacted_copies_come_to_the_same(entries in any_list()) {
        let whole = timeline(&entries);
        let redacted = Fold::whole(&whole.entries, &whole.places).redacted;
        let mut copies = entries;
        for place in redacted.keys() {
            let copy = &mut copies[usize::try_from(*place).unwrap()];
            // What a redaction redacts stays in it.
            copy.content.retain(|member, _| member == "redacts");
        }
        prop_assert_eq!(timeline(&copies).rows(), whole.rows());
    }
}
