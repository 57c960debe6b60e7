//! The rows of a timeline.

use std::collections::{BTreeMap, BTreeSet};

use super::Entry;
use super::fold::{Fold, Shown};
use crate::content::ruma::poll::start::PollKind;
use crate::content::{
    Capabilities, Content, Kind, Relation, Relations, Rendering, View, Vote, render, tally,
};
use crate::id::{EventId, UserId};
use crate::json::Object;

/// A message as it is to be shown.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// Its place in the room's list.
    pub place: u64,
    /// Its id.
    pub event_id: EventId,
    /// Its sender.
    pub sender: UserId,
    /// Its event type.
    pub event_type: String,
    /// Its content, after its last edit; `None` if it was redacted.
    pub content: Option<Object>,
    /// The redaction.
    pub redacted_by: Option<EventId>,
    /// The last edit.
    pub edited_by: Option<EventId>,
    /// The event it answers; one that is not known may lie before the part of the list that is.
    pub reply_to: Option<EventId>,
    /// The first event of the thread it is in; likewise.
    pub thread: Option<EventId>,
    /// Who reacted, by the key of the reaction.
    pub reactions: BTreeMap<String, BTreeSet<UserId>>,
    /// How the voting stands, if it is a poll.
    pub poll: Option<Poll>,
    /// The users who have read up to here and no further.
    pub read_by: BTreeSet<UserId>,
}

/// How the voting in a poll stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Poll {
    /// Who chose each answer, by its id.
    pub tally: BTreeMap<String, BTreeSet<UserId>>,
    /// The event that closed it.
    pub closed_by: Option<EventId>,
    /// Whether the tally may be shown: an undisclosed poll's only after its close.
    pub may_be_shown: bool,
}

impl Row {
    /// What a client shows of it.
    #[must_use]
    pub fn render(&self, capabilities: &Capabilities) -> Rendering {
        match &self.content {
            Some(content) => render(&self.event_type, content, capabilities),
            None => render("m.room.redaction", &Object::new(), capabilities),
        }
    }
}

pub(super) fn rows(fold: &Fold, entries: &BTreeMap<u64, Entry>, places: &BTreeMap<EventId, u64>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(fold.shown.len());
    for (place, entry) in entries {
        if let Some(by) = fold.redacted.get(place) {
            if is_row(entry) {
                rows.push(Row { redacted_by: Some(by.clone()), ..empty(*place, entry) });
            }
        } else if let Some(shown) = fold.shown.get(place) {
            rows.push(row(*place, entry, shown, fold, entries, places));
        }
    }
    rows
}

/// Whether an event is shown as one that was redacted. Nothing but its type tells: what is left of its content says
/// neither whether it was an edit.
fn is_row(entry: &Entry) -> bool {
    let kind = Kind::of(&entry.event_type);
    !entry.is_state && (kind.is_shown() || matches!(kind, Kind::Unknown | Kind::Encrypted))
}

fn empty(place: u64, entry: &Entry) -> Row {
    Row {
        place,
        event_id: entry.event_id.clone(),
        sender: entry.sender.clone(),
        event_type: entry.event_type.clone(),
        content: None,
        redacted_by: None,
        edited_by: None,
        reply_to: None,
        thread: None,
        reactions: BTreeMap::new(),
        poll: None,
        read_by: BTreeSet::new(),
    }
}

fn row(
    place: u64,
    entry: &Entry,
    shown: &Shown,
    fold: &Fold,
    entries: &BTreeMap<u64, Entry>,
    places: &BTreeMap<EventId, u64>,
) -> Row {
    let relations = Relations::read(&entry.content);
    let is_earlier = |event: &&EventId| places.get(*event).is_none_or(|other| *other < place);
    let thread = match &relations.relation {
        Some(Relation::Thread { root, .. }) => Some(root),
        _ => None,
    };
    let begins_thread = |root: &&EventId| {
        // What is left of one that was redacted says nothing of its relations.
        let root = places.get(*root).filter(|place| !fold.redacted.contains_key(place));
        let root = root.and_then(|place| entries.get(place));
        root.is_none_or(|root| Relations::read(&root.content).relation.is_none())
    };
    let content = effective(entry, shown);
    Row {
        reply_to: relations.answered().filter(is_earlier).cloned(),
        thread: thread.filter(is_earlier).filter(begins_thread).cloned(),
        edited_by: shown.edit.as_ref().map(|edit| edit.event_id.clone()),
        reactions: shown.reactions.clone(),
        poll: poll(entry, &content, shown),
        content: Some(content),
        ..empty(place, entry)
    }
}

/// The content of the last edit, with the relations of the original (MF-01 §2).
fn effective(entry: &Entry, shown: &Shown) -> Object {
    let Some(edit) = &shown.edit else { return entry.content.clone() };
    let mut content = edit.new_content.clone();
    content.remove("m.relates_to");
    if let Some(relates_to) = entry.content.get("m.relates_to").cloned() {
        content.insert("m.relates_to".to_owned(), relates_to);
    }
    content
}

fn poll(entry: &Entry, content: &Object, shown: &Shown) -> Option<Poll> {
    if Kind::of(&entry.event_type) != Kind::PollStart {
        return None;
    }
    let parsed = Content::parse(&entry.event_type, content.clone()).ok()?;
    let View::PollStart(start) = parsed.view() else { return None };
    let votes = shown.votes.iter().map(|(sender, selections)| Vote { sender, selections });
    Some(Poll {
        tally: tally(&start.poll, votes),
        closed_by: shown.closed_by.clone(),
        may_be_shown: shown.closed_by.is_some() || start.poll.kind == PollKind::Disclosed,
    })
}
