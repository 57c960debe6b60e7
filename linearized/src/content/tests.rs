//! The kinds, by samples of each.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A content, and what it is or what is wrong with it.
#[derive(serde::Deserialize)]
struct Sample {
    name: String,
    #[serde(rename = "type")]
    event_type: String,
    content: Object,
    kind: Option<String>,
    error: Option<String>,
}

fn samples() -> Vec<Sample> {
    let samples = include_str!("../../tests/data/content/samples.json");
    serde_json::from_str(samples).unwrap()
}

fn object(value: Value) -> Object {
    let Value::Object(object) = value else { panic!("{value}") };
    object
}

#[test]
fn contents_are_told_from_what_is_none() {
    for sample in samples() {
        let parsed = Content::parse(&sample.event_type, sample.content);
        match (parsed, sample.kind, sample.error) {
            (Ok(content), Some(kind), None) => {
                assert_eq!(format!("{:?}", content.kind()), kind, "{}", sample.name);
            }
            (Err(error), None, Some(part)) => {
                assert!(error.to_string().contains(&part), "{}: {error}", sample.name);
            }
            (parsed, ..) => panic!("{}: {parsed:?}", sample.name),
        }
    }
}

/// What is read is written back as it was, with what nobody knows.
#[test]
fn nothing_is_lost() {
    for mut sample in
        samples().into_iter().filter(|sample| sample.error.is_none() && sample.event_type != "m.receipt")
    {
        sample.content.insert("org.example.unknown".to_owned(), json!({"kept": [1, null, "x"]}));
        let content = Content::parse(&sample.event_type, sample.content.clone()).unwrap();
        assert_eq!((content.original(), content.event_type()), (&sample.content, sample.event_type.as_str()));
        assert_eq!(content.into_original(), sample.content, "{}", sample.name);
    }
}

#[test]
fn every_kind_has_samples_of_both_sorts() {
    let samples = samples();
    let kinds = |good: bool| -> BTreeSet<Kind> {
        let these = samples.iter().filter(|sample| sample.error.is_none() == good);
        these.map(|sample| Kind::of(&sample.event_type)).collect()
    };
    let all: BTreeSet<Kind> = KINDS.iter().map(|facts| facts.kind).collect();
    assert_eq!(all.difference(&kinds(true)).collect::<Vec<_>>(), Vec::<&Kind>::new());
    // Of a part in a call of several anything is one: an object that says nothing ends it.
    let one_sorted = all.difference(&kinds(false)).copied().collect::<Vec<_>>();
    assert_eq!(one_sorted, [Kind::CallMember]);
}

#[test]
fn the_three_forms_of_a_poll_are_one() {
    let polls = [
        json!({"m.poll.start": {"kind": "m.poll.disclosed", "question": {"m.text": "Q"}, "answers": [{"id": "1", "m.text": "A"}]}}),
        json!({"m.text": "Q\n1. A", "m.poll": {"kind": "m.disclosed", "question": {"m.text": [{"body": "Q"}]},
            "answers": [{"m.id": "1", "m.text": [{"body": "A"}]}]}}),
        json!({"org.matrix.msc3381.poll.start": {"kind": "org.matrix.msc3381.poll.disclosed",
            "question": {"org.matrix.msc1767.text": "Q"}, "answers": [{"id": "1", "org.matrix.msc1767.text": "A"}]}}),
    ];
    let views = polls.map(|poll| {
        let content = Content::parse("m.poll.start", object(poll)).unwrap();
        let View::PollStart(start) = content.view() else { panic!() };
        serde_json::to_value(start).unwrap()
    });
    assert_eq!(views[0], views[1]);
    assert_eq!(views[0], views[2]);
}

#[test]
fn a_poll_has_twenty_answers_at_most() {
    let answers: Vec<Value> = (0..5000).map(|n| json!({"id": n.to_string(), "m.text": "A"})).collect();
    let poll = json!({"m.poll.start": {"question": {"m.text": "Q"}, "answers": answers}});
    let content = Content::parse("m.poll.start", object(poll)).unwrap();
    let View::PollStart(start) = content.view() else { panic!() };
    assert_eq!(start.poll.answers.len(), 20);
}

#[test]
fn votes_are_counted_by_list_order() {
    use crate::id::UserId;
    let poll = json!({"m.poll.start": {"question": {"m.text": "Q"}, "max_selections": 2,
        "answers": [{"id": "a", "m.text": "A"}, {"id": "b", "m.text": "B"}, {"id": "c", "m.text": "C"}]}});
    let content = Content::parse("m.poll.start", object(poll)).unwrap();
    let View::PollStart(start) = content.view() else { panic!() };
    let [ann, bob, cid, dan] =
        ["@ann:a", "@bob:a", "@cid:a", "@dan:a"].map(|user| UserId::parse(user).unwrap());
    let cast = [
        (&ann, vec!["a"]),
        (&bob, vec!["a", "b", "c"]),
        (&ann, vec!["c", "c"]),
        (&cid, vec!["a"]),
        (&cid, vec!["a", "z"]),
        (&dan, vec!["b"]),
        (&dan, vec![]),
    ];
    let cast: Vec<(&UserId, Vec<String>)> =
        cast.into_iter().map(|(user, ids)| (user, ids.into_iter().map(str::to_owned).collect())).collect();
    let tally = tally(&start.poll, cast.iter().map(|(sender, selections)| Vote { sender, selections }));
    let users = |users: &[&UserId]| users.iter().map(|user| (*user).clone()).collect::<BTreeSet<_>>();
    assert_eq!(tally["a"], users(&[&bob]));
    assert_eq!(tally["b"], users(&[&bob]));
    assert_eq!(tally["c"], users(&[&ann]));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| (1..depth).fold(json!([]), |inner, _| json!([inner]));
    let content = |depth| object(json!({"m.text": "hi", "x": nested(depth)}));
    assert!(Content::parse("m.message", content(strict::MAX_DEPTH - 1)).is_ok());
    assert!(matches!(Content::parse("m.message", content(strict::MAX_DEPTH)), Err(ContentError::TooDeep)));
}

/// Any JSON, made of the names that matter here.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        proptest::sample::select(vec![
            "m.text",
            "m.html",
            "m.message",
            "m.file",
            "m.poll",
            "m.poll.start",
            "question",
            "answers",
            "m.id",
            "id",
            "url",
            "body",
            "mimetype",
            "m.relates_to",
            "rel_type",
            "event_id",
            "key",
            "msgtype",
            "format",
            "formatted_body",
            "info",
            "m.location",
            "uri",
            "m.ts",
            "m.selections",
            "$serde_json::private::RawValue",
            "m.image_details",
            "width",
            "m.audio_details",
            "duration",
            "m.waveform",
            "v",
            "iv",
            "hashes",
            "m.new_content",
            "m.in_reply_to",
            "m.caption",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        proptest::sample::select(vec![
            "$a",
            "mxc://a/b",
            "geo:1,2",
            "m.text",
            "m.image",
            "m.annotation",
            "m.reference",
            "m.replace",
            "text/html",
            "<b>",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    /// Whatever is sent, it is read or refused, and what is read is kept.
    #[test]
    fn no_content_panics(members in proptest::collection::btree_map("m\\.[a-z.]{1,12}|[a-z]{1,8}", any_json(), 0..6), value in any_json(), kind in 0..KINDS.len()) {
        let mut content: Object = members.into_iter().collect();
        if let Value::Object(more) = value {
            content.extend(more);
        }
        if let Ok(read) = Content::parse(KINDS[kind].event_type, content.clone()) {
            prop_assert_eq!(read.into_original(), content);
        }
    }

    /// One member of a sample replaced by anything.
    #[test]
    fn no_broken_sample_panics(sample in 0..samples().len(), member in any::<proptest::sample::Index>(), value in any_json()) {
        let mut sample = samples().swap_remove(sample);
        if !sample.content.is_empty() {
            let name = member.get(&sample.content.keys().cloned().collect::<Vec<_>>()).clone();
            sample.content.insert(name, value);
        }
        let _ = Content::parse(&sample.event_type, sample.content);
    }
}
