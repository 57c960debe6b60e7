//! What the events of a list come to, one after the other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Ignored};
use crate::content::{Content, Kind, Relation, Relations, View};
use crate::id::{EventId, UserId};
use crate::json::Object;

/// What has been counted, by place in the list.
#[derive(Debug, Clone, Default)]
pub(super) struct Fold {
    /// Events that were redacted, and by which event.
    pub(super) redacted: BTreeMap<u64, EventId>,
    /// Events to show, with what others add to them.
    pub(super) shown: BTreeMap<u64, Shown>,
    pub(super) ignored: BTreeMap<EventId, Ignored>,
}

/// What was added to an event.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    pub(super) edit: Option<Edit>,
    pub(super) reactions: BTreeMap<String, BTreeSet<UserId>>,
    pub(super) votes: Vec<(UserId, Vec<String>)>,
    pub(super) closed_by: Option<EventId>,
}

/// The last edit.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) event_id: EventId,
    pub(super) new_content: Object,
}

/// The list so far.
type Entries = BTreeMap<u64, Entry>;
type Places = BTreeMap<EventId, u64>;

impl Fold {
    /// Of a whole list.
    pub(super) fn whole(entries: &Entries, places: &Places) -> Self {
        let mut fold = Self::default();
        for (place, entry) in entries.iter().filter(|(_, entry)| is_redaction(entry)) {
            fold.redaction(*place, entry, entries, places);
        }
        for (place, entry) in entries {
            if !fold.redacted.contains_key(place) && !is_redaction(entry) {
                fold.event(*place, entry, entries, places);
            }
        }
        fold
    }

    /// Adds what comes after everything else. `false` if the whole has to be made anew.
    pub(super) fn add(&mut self, place: u64, entry: &Entry, entries: &Entries, places: &Places) -> bool {
        if is_redaction(entry) {
            return self.redaction(place, entry, entries, places).is_none();
        }
        self.event(place, entry, entries, places);
        true
    }

    /// Whether a redaction takes effect (reading R31). Gives the place of what it takes away.
    fn redaction(&mut self, place: u64, entry: &Entry, entries: &Entries, places: &Places) -> Option<u64> {
        let named = entry.content.get("redacts").and_then(|redacts| redacts.as_str());
        let target = named
            .and_then(|named| EventId::parse(named).ok())
            .and_then(|id| target(&id, place, entries, places));
        let Some((target_place, target)) = target else {
            self.ignored.insert(entry.event_id.clone(), Ignored::NoTarget);
            return None;
        };
        if !entry.may_redact && entry.sender.server_str() != target.sender.server_str() {
            self.ignored.insert(entry.event_id.clone(), Ignored::MayNotRedact);
            return None;
        }
        self.redacted.entry(target_place).or_insert_with(|| entry.event_id.clone());
        Some(target_place)
    }

    fn event(&mut self, place: u64, entry: &Entry, entries: &Entries, places: &Places) {
        let kind = Kind::of(&entry.event_type);
        let relation = Relations::read(&entry.content).relation;
        let ignored = match (kind, &relation) {
            (_, Some(Relation::Replace { event, new_content })) => {
                self.edit(place, entry, event, new_content, entries, places)
            }
            (Kind::Reaction, Some(Relation::Annotation { event, key })) => {
                self.reaction(place, entry, event, key, entries, places)
            }
            (Kind::PollResponse, Some(Relation::Reference { event })) => {
                self.vote(place, entry, event, entries, places)
            }
            (Kind::PollEnd, Some(Relation::Reference { event })) => {
                self.close(place, entry, event, entries, places)
            }
            (Kind::Reaction | Kind::PollResponse | Kind::PollEnd, _) => Err(Ignored::Malformed),
            (Kind::Unknown | Kind::Encrypted, _) if !entry.is_state => {
                self.shown.insert(place, Shown::default());
                Ok(())
            }
            (kind, _) if kind.is_shown() && !entry.is_state => {
                self.shown.insert(place, Shown::default());
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(why) = ignored {
            self.ignored.insert(entry.event_id.clone(), why);
        }
    }

    /// The event that another is about, which comes before it and was not redacted.
    fn about<'e>(
        &self,
        id: &EventId,
        place: u64,
        entries: &'e Entries,
        places: &Places,
    ) -> Result<(u64, &'e Entry), Ignored> {
        let (target_place, target) = target(id, place, entries, places).ok_or(Ignored::NoTarget)?;
        match self.redacted.contains_key(&target_place) {
            true => Err(Ignored::Redacted),
            false => Ok((target_place, target)),
        }
    }

    fn edit(
        &mut self,
        place: u64,
        entry: &Entry,
        original: &EventId,
        new_content: &Object,
        entries: &Entries,
        places: &Places,
    ) -> Result<(), Ignored> {
        let (original_place, original) = self.about(original, place, entries, places)?;
        if original.sender != entry.sender {
            return Err(Ignored::NotTheAuthor);
        }
        if original.event_type != entry.event_type {
            return Err(Ignored::OtherType);
        }
        if matches!(Relations::read(&original.content).relation, Some(Relation::Replace { .. })) {
            return Err(Ignored::EditOfEdit);
        }
        let shown = self.shown.get_mut(&original_place).filter(|_| !entry.is_state && !original.is_state);
        let shown = shown.ok_or(Ignored::NotAMessage)?;
        Content::parse(&entry.event_type, new_content.clone()).map_err(|_| Ignored::Malformed)?;
        if !shown.votes.is_empty() {
            return Err(Ignored::HasVotes);
        }
        if shown.closed_by.is_some() {
            return Err(Ignored::Closed);
        }
        shown.edit = Some(Edit { event_id: entry.event_id.clone(), new_content: new_content.clone() });
        Ok(())
    }

    fn reaction(
        &mut self,
        place: u64,
        entry: &Entry,
        target: &EventId,
        key: &str,
        entries: &Entries,
        places: &Places,
    ) -> Result<(), Ignored> {
        let (target, _) = self.about(target, place, entries, places)?;
        Content::parse(&entry.event_type, entry.content.clone()).map_err(|_| Ignored::Malformed)?;
        let shown = self.shown.get_mut(&target).ok_or(Ignored::NotAMessage)?;
        shown.reactions.entry(key.to_owned()).or_default().insert(entry.sender.clone());
        Ok(())
    }

    fn vote(
        &mut self,
        place: u64,
        entry: &Entry,
        poll: &EventId,
        entries: &Entries,
        places: &Places,
    ) -> Result<(), Ignored> {
        let shown = self.open_poll(place, poll, entries, places)?.0;
        let read = Content::parse(&entry.event_type, entry.content.clone());
        let selections = match read.as_ref().map(Content::view) {
            Ok(View::PollResponse(response)) => Some(response.selections.to_vec()),
            _ => None,
        };
        // A spoiled vote counts for nothing, and it is the user's last all the same.
        shown.votes.push((entry.sender.clone(), selections.clone().unwrap_or_default()));
        selections.map(drop).ok_or(Ignored::Malformed)
    }

    fn close(
        &mut self,
        place: u64,
        entry: &Entry,
        poll: &EventId,
        entries: &Entries,
        places: &Places,
    ) -> Result<(), Ignored> {
        let (shown, poll) = self.open_poll(place, poll, entries, places)?;
        if poll.sender != entry.sender && !entry.may_redact {
            return Err(Ignored::MayNotClose);
        }
        Content::parse(&entry.event_type, entry.content.clone()).map_err(|_| Ignored::Malformed)?;
        shown.closed_by = Some(entry.event_id.clone());
        Ok(())
    }

    fn open_poll<'e>(
        &mut self,
        place: u64,
        poll: &EventId,
        entries: &'e Entries,
        places: &Places,
    ) -> Result<(&mut Shown, &'e Entry), Ignored> {
        let (poll_place, poll) = self.about(poll, place, entries, places)?;
        let shown = self.shown.get_mut(&poll_place).filter(|_| Kind::of(&poll.event_type) == Kind::PollStart);
        let shown = shown.ok_or(Ignored::NotAPoll)?;
        match shown.closed_by {
            Some(_) => Err(Ignored::Closed),
            None => Ok((shown, poll)),
        }
    }
}

fn is_redaction(entry: &Entry) -> bool {
    Kind::of(&entry.event_type) == Kind::Redaction && !entry.is_state
}

/// An event that comes before `place`.
fn target<'e>(id: &EventId, place: u64, entries: &'e Entries, places: &Places) -> Option<(u64, &'e Entry)> {
    let target = *places.get(id).filter(|target| **target < place)?;
    Some((target, entries.get(&target)?))
}
