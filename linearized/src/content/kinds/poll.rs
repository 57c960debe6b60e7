//! Polls: `m.poll.start`, `m.poll.response`, `m.poll.end` (MSC3381), and counting votes.
//!
//! MF-01 refers to a revision of 2022, whose members have the event type's name around them and whose texts are strings;
//! deployed clients write that under an unstable name. Both are brought into the form that was accepted (reading R54).

use std::collections::{BTreeMap, BTreeSet};

use ruma_events::message::TextContentBlock;
use ruma_events::poll::end::PollEndEventContent;
use ruma_events::poll::response::PollResponseEventContent;
use ruma_events::poll::start::{PollAnswers, PollContentBlock, PollStartEventContent};
use serde_json::{Value, json};

use super::{need_relation, need_text, without_relations};
use crate::content::blocks::normalise;
use crate::content::names::{AUTOMATED, TEXT};
use crate::content::{ContentError, Kind, schema};
use crate::id::UserId;
use crate::json::Object;

/// The names of the poll itself, the newest first.
const POLL: [&str; 4] =
    ["m.poll", "m.poll.start", "org.matrix.msc3381.v2.poll", "org.matrix.msc3381.poll.start"];
/// Those of a vote's answers, where they are under no other member.
const SELECTIONS: [&str; 2] = ["m.selections", "org.matrix.msc3381.v2.selections"];
/// Those of a vote, with its answers inside.
const RESPONSE: [&str; 2] = ["m.poll.response", "org.matrix.msc3381.poll.response"];
/// Those of the result that the one who closes a poll has seen.
const RESULTS: [&str; 2] = ["m.poll.results", "org.matrix.msc3381.v2.poll.results"];

pub(in crate::content) fn start(content: &Object) -> Result<Box<PollStartEventContent>, ContentError> {
    let kind = Kind::PollStart;
    let mut content = without_relations(content);
    AUTOMATED.to_unstable(&mut content);
    let Some(Value::Object(mut poll)) = take(&mut content, &POLL) else {
        return Err(ContentError::Rule { kind, field: "m.poll", rule: "is missing, or no object" });
    };
    if let Some(question) = poll.get_mut("question").and_then(Value::as_object_mut) {
        need_text(kind, question, TEXT.stable)?;
    }
    if let Some(named) = poll.get("kind").and_then(Value::as_str) {
        let known = ["disclosed", "undisclosed"].into_iter().find(|known| {
            named == format!("m.poll.{known}") || named == format!("org.matrix.msc3381.poll.{known}")
        });
        if let Some(known) = known {
            poll.insert("kind".to_owned(), json!(format!("m.{known}")));
        }
    }
    if let Some(answers) = poll.get_mut("answers").and_then(Value::as_array_mut) {
        answers.truncate(PollAnswers::MAX_LENGTH);
        for answer in answers.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(id) = answer.remove("id") {
                answer.entry("m.id").or_insert(id);
            }
            need_text(kind, answer, TEXT.stable)?;
        }
    }
    content.insert("m.poll".to_owned(), Value::Object(poll));
    let has_text =
        normalise(&mut content, TEXT.stable).map_err(|fault| ContentError::Text { kind, fault })?;
    if !has_text {
        content.insert(TEXT.stable.to_owned(), json!([]));
    }
    let mut start: Box<PollStartEventContent> = schema(kind, &content)?;
    check(&start.poll)?;
    if !has_text {
        start.text = TextContentBlock::plain(PollText(&start.poll).to_string());
    }
    Ok(start)
}

fn check(poll: &PollContentBlock) -> Result<(), ContentError> {
    let rule = |field, rule| Err(ContentError::Rule { kind: Kind::PollStart, field, rule });
    if u64::from(poll.max_selections) == 0 {
        return rule("max_selections", "is less than 1");
    }
    if poll.question.text.find_plain().is_none() {
        return rule("question", "has no plain text");
    }
    if poll.answers.iter().any(|answer| answer.text.find_plain().is_none()) {
        return rule("answers", "has one without a plain text");
    }
    Ok(())
}

pub(in crate::content) fn response(content: &Object) -> Result<Box<PollResponseEventContent>, ContentError> {
    need_relation(Kind::PollResponse, content, "m.reference")?;
    let mut content = content.clone();
    AUTOMATED.to_unstable(&mut content);
    let inside =
        take(&mut content, &RESPONSE).and_then(|mut response| Some(response.get_mut("answers")?.take()));
    if let Some(selections) = take(&mut content, &SELECTIONS).or(inside) {
        content.insert("m.selections".to_owned(), selections);
    }
    schema(Kind::PollResponse, &content)
}

pub(in crate::content) fn end(content: &Object) -> Result<Box<PollEndEventContent>, ContentError> {
    let kind = Kind::PollEnd;
    need_relation(kind, content, "m.reference")?;
    let mut content = content.clone();
    AUTOMATED.to_unstable(&mut content);
    if let Some(results) = take(&mut content, &RESULTS) {
        content.insert("m.poll.results".to_owned(), results);
    }
    if !normalise(&mut content, TEXT.stable).map_err(|fault| ContentError::Text { kind, fault })? {
        content.insert(TEXT.stable.to_owned(), json!([]));
    }
    schema(kind, &content)
}

/// Takes out the first of several members, and drops the others.
fn take(content: &mut Object, names: &[&str]) -> Option<Value> {
    names.iter().rev().fold(None, |older, name| content.remove(*name).or(older))
}

/// A poll as plain text: the question, and a line for each answer.
#[derive(Debug)]
pub struct PollText<'p>(pub &'p PollContentBlock);

impl std::fmt::Display for PollText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.question.text.find_plain().unwrap_or_default())?;
        for (number, answer) in (1..).zip(self.0.answers.iter()) {
            write!(f, "\n{number}. {}", answer.text.find_plain().unwrap_or_default())?;
        }
        Ok(())
    }
}

/// A vote, as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Vote<'v> {
    /// Whose it is.
    pub sender: &'v UserId,
    /// The answers' ids; none if it could not be read, which spoils it.
    pub selections: &'v [String],
}

/// Counts votes: who chose each answer, in the order of the answers.
///
/// `votes` come in list order and are all from before the poll's close. Of each user the last one counts, with as many
/// answers as a user may choose, from the first. One with an id that is no answer's is spoiled, and one without answers
/// takes the user's vote back (MSC3381, reading R55).
#[must_use]
pub fn tally<'v>(
    poll: &PollContentBlock,
    votes: impl IntoIterator<Item = Vote<'v>>,
) -> BTreeMap<String, BTreeSet<UserId>> {
    let ids: BTreeSet<&str> = poll.answers.iter().map(|answer| answer.id.as_str()).collect();
    let mut last = BTreeMap::new();
    for vote in votes {
        last.insert(vote.sender, vote.selections);
    }
    let mut tally: BTreeMap<String, BTreeSet<UserId>> =
        ids.iter().map(|id| ((*id).to_owned(), BTreeSet::new())).collect();
    let most = usize::try_from(u64::from(poll.max_selections)).unwrap_or(usize::MAX);
    for (user, selections) in last {
        // An unknown id ends the search, so that a vote of any length costs no more than its distinct answers.
        if selections.iter().any(|id| !ids.contains(id.as_str())) {
            continue;
        }
        for id in selections.iter().take(most) {
            if let Some(users) = tally.get_mut(id) {
                users.insert(user.clone());
            }
        }
    }
    tally
}
