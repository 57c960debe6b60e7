//! Authorization: the same events, in the same state, judged by both.
//!
//! The state is ours: what our hub accepts is appended, and what the two judge differently is not, so that one
//! difference does not breed others. Every difference has to be one of [`Difference`], and every one of those has to turn
//! up, so that the list neither hides a fault nor grows old.

use std::collections::BTreeMap;

use mimi_linearized::auth::{AuthRule, Rule, SelectedState};
use mimi_linearized::event::{Event, RoomEvent};
use mimi_linearized::id::{EventId, UserId};
use mimi_linearized::json::{Value, as_integer};
use ruma_common::room_version_rules::RoomVersionRules;
use ruma_events::StateEventType;
use ruma_state_res::{
    Event as _, auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules,
};

use serde_json::json;

use crate::dice::Dice;
use crate::peer::PeerEvent;
use crate::rooms::{CREATOR, Simulated, draft};

/// Where LM-04 and Matrix room version 11 part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// The creator's first join, sent by somebody else: rule 5.2.1 of LM-04 §5.2.3 and Matrix look at the state key
    /// only, reading R12 at the sender too.
    FirstJoinForCreator,
    /// Join rules `restricted` and `knock_restricted`: LM-04 §5.2.1 leaves them to a TODO, and rules 5.2.6 and 5.6.1 of
    /// §5.2.3 refuse what no other rule allows.
    Restricted,
    /// A knock of somebody invited: rule 5.6.3 of LM-04 §5.2.3 allows it, Matrix refuses it.
    KnockWhenInvited,
    /// Another user's level, equal to the sender's, is changed: rule 9.8.1 of LM-04 §5.2.3 refuses only what is higher
    /// than the sender's level, Matrix what is as high as well.
    LevelOfEqual,
    /// A level that is written as a double: reading R07 takes `50.0` for 50, Matrix canonical JSON has no doubles.
    IntegralDouble,
    /// A user id whose localpart has upper-case letters: LM-04 §3.3 has no such ids, so rule 9.3 of §5.2.3 refuses them;
    /// Matrix still takes them, as historical.
    HistoricalUserId,
    /// `notifications` of the power levels: LM-04 §5.2.3 does not have them among what rules 9.1 to 9.9 look at.
    Notifications,
    /// `m.federate`: a TODO of LM-04 §5.2.3.
    Federate,
    /// Invites of third parties: LM-04 has none, so `third_party_invite` means nothing to rule 5.3 of §5.2.3 and
    /// `m.room.third_party_invite` is a state event as any other to rule 7.
    ThirdPartyInvite,
    /// Join rules that are missing, or have no `join_rule` that is a string: `invite` by reading R12; Matrix refuses.
    DefaultJoinRule,
}

const ALL: [Difference; 10] = [
    Difference::FirstJoinForCreator,
    Difference::Restricted,
    Difference::KnockWhenInvited,
    Difference::LevelOfEqual,
    Difference::IntegralDouble,
    Difference::HistoricalUserId,
    Difference::Notifications,
    Difference::Federate,
    Difference::ThirdPartyInvite,
    Difference::DefaultJoinRule,
];

/// What is known of a difference: the event, the state before it, and whether ours allows it.
struct Parting<'a> {
    event: &'a Event,
    state: SelectedState<'a>,
    join_rules: Option<&'a RoomEvent>,
    ours_allows: bool,
}

impl Parting<'_> {
    /// The difference that explains it.
    fn explained(&self) -> Option<Difference> {
        ALL.into_iter().find(|difference| self.is(*difference))
    }

    fn is(&self, difference: Difference) -> bool {
        let event = self.event;
        let membership = event.membership();
        let by_level = event.kind() == "m.room.power_levels";
        match difference {
            Difference::FirstJoinForCreator => {
                !self.ours_allows
                    && self.state.follows_create
                    && membership == Some("join")
                    && event.state_key() == Some(CREATOR)
                    && *event.sender() != *CREATOR
            }
            Difference::Restricted => {
                !self.ours_allows
                    && matches!(membership, Some("join" | "knock"))
                    && matches!(self.state.join_rule(), "restricted" | "knock_restricted")
            }
            Difference::KnockWhenInvited => {
                self.ours_allows
                    && membership == Some("knock")
                    && self.state.sender_membership().as_str() == "invite"
            }
            Difference::LevelOfEqual => self.ours_allows && by_level && self.touches_equals(),
            Difference::IntegralDouble => {
                self.ours_allows && by_level && event.content().values().any(Value::is_f64)
            }
            Difference::HistoricalUserId => {
                !self.ours_allows
                    && by_level
                    && users(event).any(|(user, _)| user.starts_with('@') && UserId::parse(user).is_err())
            }
            Difference::Notifications => {
                let now = event.content().get("notifications");
                let before =
                    self.state.power_levels.and_then(|levels| levels.event().content().get("notifications"));
                self.ours_allows
                    && by_level
                    && (now != before || now.is_some_and(|now| now["room"].is_string()))
            }
            Difference::Federate => {
                self.ours_allows
                    && self.state.create.event().content().get("m.federate") == Some(&Value::Bool(false))
                    && event.sender_server() != self.state.create.event().sender_server()
            }
            Difference::ThirdPartyInvite => {
                event.kind() == "m.room.third_party_invite"
                    || (membership == Some("invite") && event.content().contains_key("third_party_invite"))
            }
            Difference::DefaultJoinRule => {
                self.ours_allows
                    && matches!(membership, Some("join" | "invite" | "knock"))
                    && self.join_rules.is_none_or(|rules| rules.event().content_str("join_rule").is_none())
            }
        }
    }

    /// Whether the power levels change or remove the level of another user who has the sender's.
    fn touches_equals(&self) -> bool {
        let sender = self.state.levels().user(self.event.sender());
        let Some(before) = self.state.power_levels else { return false };
        users(before.event()).any(|(user, level)| {
            let now =
                users(self.event).find(|(other, _)| *other == user).and_then(|(_, level)| as_integer(level));
            *self.event.sender() != *user && as_integer(level) == Some(sender) && now != Some(sender)
        })
    }
}

/// The entries of `users` in a power levels event.
fn users(event: &Event) -> impl Iterator<Item = (&str, &Value)> {
    let users = event.content().get("users").and_then(Value::as_object);
    users.into_iter().flatten().map(|(user, level)| (user.as_str(), level))
}

/// The peer's view of a room: its state, and every state event there was.
struct Peer {
    rules: RoomVersionRules,
    state: BTreeMap<(String, String), EventId>,
    events: BTreeMap<EventId, PeerEvent>,
}

impl Peer {
    fn new(create: &RoomEvent) -> Self {
        let mut peer = Self { rules: RoomVersionRules::V11, state: BTreeMap::new(), events: BTreeMap::new() };
        peer.learn(create);
        peer
    }

    fn learn(&mut self, event: &RoomEvent) {
        let Some(state_key) = event.event().state_key() else { return };
        self.state.insert((event.event().kind().to_owned(), state_key.to_owned()), event.id().clone());
        let ours = PeerEvent::new(event.event(), event.id(), event.prev_events(), event.auth_events());
        self.events.insert(event.id().clone(), ours);
    }

    /// The peer's verdict: on what the event cites, then on the event in the state before it.
    fn judge(&self, event: &PeerEvent) -> Result<(), String> {
        let fetch = |id: &ruma_common::EventId| self.events.get(id.as_str());
        check_state_independent_auth_rules(&self.rules.authorization, event, fetch)?;
        check_state_dependent_auth_rules(
            &self.rules.authorization,
            event,
            |kind: &StateEventType, state_key: &str| {
                self.events.get(self.state.get(&(kind.to_string(), state_key.to_owned()))?)
            },
        )
    }

    /// What the peer would have an event cite.
    fn selection(&self, event: &PeerEvent) -> Vec<EventId> {
        let types = auth_types_for_event(
            event.event_type(),
            event.sender(),
            event.state_key(),
            event.content(),
            &self.rules.authorization,
        )
        .unwrap();
        let slot = |(kind, key): (StateEventType, String)| self.state.get(&(kind.to_string(), key)).cloned();
        let mut ids: Vec<EventId> = types.into_iter().filter_map(slot).collect();
        ids.sort_unstable();
        ids
    }
}

/// How often both allowed, both refused, and differed.
#[derive(Debug, Default)]
struct Tally {
    allowed: u64,
    refused: u64,
    differed: BTreeMap<Difference, u64>,
    /// By which rule of ours, where both agreed.
    rules: BTreeMap<Rule, u64>,
}

fn live(seed: u64, steps: u32, tally: &mut Tally) {
    let mut dice = Dice::new(seed);
    let mut room = Simulated::new(dice.percent(92));
    let mut peer = Peer::new(&room.create);
    for step in 0..steps {
        let by_creator = |kind, state_key, content| draft(CREATOR, kind, Some(state_key), content);
        let draft = match step {
            0 if dice.percent(85) => by_creator("m.room.member", CREATOR, json!({"membership": "join"})),
            0 if dice.percent(20) => {
                draft("@bob:b.example", "m.room.member", Some(CREATOR), json!({"membership": "join"}))
            }
            1 if dice.percent(60) => Simulated::first_power_levels(&mut dice),
            2 if dice.percent(60) => by_creator("m.room.join_rules", "", json!({"join_rule": "public"})),
            _ => room.next(&mut dice),
        };
        let proposal = room.propose(draft);
        let event = proposal.event().clone();
        let head = room.hub.room().head().event_id.clone();
        let state = SelectedState::select(&event, &room.create, head == *room.create.id(), |kind, key| {
            room.state(kind, key)
        });
        let cited = state.to_cite(&event);
        let id = EventId::parse("$proposed").unwrap();
        let theirs_event = PeerEvent::new(&event, &id, &[head], &cited);
        let theirs = peer.judge(&theirs_event);
        let ours = room.hub.authorise(proposal);
        if ours.is_ok() == theirs.is_ok() {
            if ours.is_ok() {
                check_selection(&peer, &theirs_event, &event, cited, &state);
            }
            let rule = match &ours {
                Ok(authorised) => authorised.allowed_by().into(),
                Err(refusal) => refusal.rule,
            };
            *tally.rules.entry(rule).or_default() += 1;
            let Ok(authorised) = ours else {
                tally.refused += 1;
                continue;
            };
            tally.allowed += 1;
            room.append(authorised);
            if let Some(state_key) = event.state_key() {
                peer.learn(room.state(event.kind(), state_key).unwrap());
            }
            continue;
        }
        let join_rules = room.state("m.room.join_rules", "");
        let parting = Parting { event: &event, state, join_rules, ours_allows: ours.is_ok() };
        let Some(difference) = parting.explained() else {
            let ours = ours.map(|authorised| authorised.allowed_by());
            panic!("seed {seed}, step {step}: ours {ours:?}, theirs {theirs:?}, of {:?}", event.as_object());
        };
        *tally.differed.entry(difference).or_default() += 1;
    }
}

/// The selections are the same, but that Matrix has a knock cite the join rules (LM-04 §5.2.1, reading R11).
fn check_selection(
    peer: &Peer,
    theirs: &PeerEvent,
    event: &Event,
    mut ours: Vec<EventId>,
    state: &SelectedState<'_>,
) {
    if event.membership() == Some("knock") {
        ours.extend(state.join_rules.map(|rules| rules.id().clone()));
    }
    ours.sort_unstable();
    assert_eq!(ours, peer.selection(theirs), "the selection for {:?}", event.as_object());
}

fn live_many(rooms: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..rooms {
        live(seed, 40, &mut tally);
    }
    tally
}

#[test]
fn both_judge_alike_but_where_the_drafts_part() {
    let tally = live_many(2_000);
    let met: Vec<Difference> = tally.differed.keys().copied().collect();
    assert_eq!(met, ALL, "every difference turns up: {tally:?}");
    // Rules 3 and 4 are about events that no hub of ours makes, but for a second create event.
    let all = AuthRule::ALL.iter().filter(|rule| !rule.place().starts_with(['3', '4']));
    for rule in all.chain(&[AuthRule::CreateHasPrevEvents]) {
        assert!(tally.rules.contains_key(&Rule::from(*rule)), "{rule:?} never decided: {:?}", tally.rules);
    }
    assert!(tally.allowed > 20_000 && tally.refused > 20_000, "{tally:?}");
}

/// Two hundred thousand rooms: `cargo test --release -p mimi-compare --features peers -- --ignored`
#[test]
#[ignore = "takes minutes"]
fn both_judge_alike_in_many_more_rooms() {
    let tally = live_many(200_000);
    assert_eq!(tally.differed.len(), ALL.len(), "{tally:?}");
}
