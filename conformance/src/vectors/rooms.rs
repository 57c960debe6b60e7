//! Whole rooms: what a hub makes of LPDUs, and what a participant says to a hub's list.

use serde_json::{Value, json};

use super::chance::Chance;
use super::events::Cast;
use super::oracle::{self, canonical, with};
use super::{Flag, Group, Outcome, Vector};

/// A room as it goes on at the hub.
struct Room<'c> {
    cast: &'c Cast,
    state: Vec<Value>,
    list: Vec<Value>,
    steps: Vec<Value>,
    outcomes: Vec<Value>,
}

impl<'c> Room<'c> {
    /// A room with nothing in it.
    fn new(cast: &'c Cast) -> Self {
        Self { cast, state: Vec::new(), list: Vec::new(), steps: Vec::new(), outcomes: Vec::new() }
    }

    /// A public room that Alice has created and joined.
    fn public(cast: &'c Cast) -> Self {
        let mut room = Self::new(cast);
        room.own(&cast.create());
        room.own(&cast.member(&cast.alice, &cast.alice, "join"));
        room.own(&cast.levels(&cast.alice, json!({"users": {cast.alice.as_str(): 100}})));
        room.own(&cast.join_rules("public"));
        room
    }

    /// A step: an event, and what a hub puts into it.
    fn step(&mut self, form: &str, event: &Value) {
        let (cited, prev) = self.place(event);
        self.steps.push(json!({form: canonical(event), "auth_events": cited, "prev_events": prev}));
    }

    /// The events that the next one cites, and the one that it follows.
    fn place(&self, event: &Value) -> (Vec<String>, Vec<String>) {
        let prev = self.list.last().map(oracle::event_id).into_iter().collect();
        (oracle::selection(event, &self.state), prev)
    }

    fn append(&mut self, event: &Value) -> Value {
        let (cited, prev) = self.place(event);
        let pdu = oracle::seal(event, &cited, &prev, &self.cast.hub);
        if pdu.get("state_key").is_some() {
            self.state.push(pdu.clone());
        }
        self.list.push(pdu.clone());
        self.outcomes
            .push(json!({"accepted": true, "event_id": oracle::event_id(&pdu), "pdu": canonical(&pdu)}));
        pdu
    }

    /// An event of one of the hub's users.
    fn own(&mut self, draft: &Value) -> Value {
        self.step("own", draft);
        self.append(draft)
    }

    fn lpdu(&self, draft: &Value) -> Value {
        let sender = draft.get("sender").and_then(Value::as_str).unwrap_or_default();
        oracle::lpdu(draft, &self.cast.hub.name, self.cast.server_of(sender))
    }

    /// An LPDU of a participant.
    fn through(&mut self, draft: &Value) -> Value {
        let lpdu = self.lpdu(draft);
        self.step("lpdu", &lpdu);
        self.append(&lpdu)
    }

    /// An LPDU whose content does not match its hash: the hub seals what redaction leaves.
    fn altered(&mut self, draft: &Value, content: Value) -> Value {
        let lpdu = with(&self.lpdu(draft), "content", content);
        self.step("lpdu", &lpdu);
        self.append(&oracle::redact(&lpdu))
    }

    /// An event that a rule refuses, in the form that its sender has for it.
    fn refused(&mut self, draft: &Value, rule: &str) {
        let sender = draft.get("sender").and_then(Value::as_str).unwrap_or_default();
        let own = self.cast.server_of(sender).name == self.cast.hub.name;
        if own {
            self.step("own", draft);
            self.refusal(rule);
        } else {
            self.refused_lpdu(&self.lpdu(draft), rule);
        }
    }

    fn refused_lpdu(&mut self, lpdu: &Value, rule: &str) {
        self.step("lpdu", lpdu);
        self.refusal(rule);
    }

    fn refusal(&mut self, rule: &str) {
        self.outcomes.push(json!({"accepted": false, "rule": rule}));
    }

    /// The whole as a vector for hubs. Its bytes are those of one reading among those that the draft allows: of R04 at
    /// least, since every room begins with events of the hub's own.
    fn hub_vector(self, requirement: &str, comment: &str) -> Vector {
        let input = json!({"hub": self.cast.hub.to_json(), "keys": self.cast.keys(), "steps": self.steps});
        let vector = Vector::valid(requirement, comment, input, json!({"steps": self.outcomes}));
        let vector = vector.flag(Flag::Seeded).flag(Flag::Rule).acceptable();
        if vector.reading.is_none() { vector.read_by("R04") } else { vector }
    }
}

fn hubs(cast: &Cast) -> Vec<Vector> {
    let (alice, bob, carol) = (&cast.alice, &cast.bob, &cast.carol);
    let mut vectors = Vec::new();
    let mut room = Room::new(cast);
    room.own(&cast.create());
    room.refused(&cast.create(), "auth 3.1");
    room.refused(&cast.member(bob, bob, "join"), "auth 5.2.6");
    room.own(&cast.member(alice, alice, "join"));
    room.refused(&cast.message(bob, "too early"), "auth 6");
    room.own(&cast.member(alice, bob, "invite"));
    room.through(&cast.member(bob, bob, "join"));
    room.through(&cast.message(bob, "hello"));
    room.own(&cast.message(alice, "hello to you"));
    vectors.push(
        room.hub_vector("LM-04/5.1/1", "a room from its beginning: creation, an invite, a join, messages"),
    );

    let mut room = Room::public(cast);
    room.through(&cast.member(bob, bob, "join"));
    room.through(&cast.member(carol, carol, "join"));
    room.own(&cast.member(alice, bob, "ban"));
    room.refused(&cast.message(bob, "banned"), "auth 6");
    room.refused(&cast.member(bob, bob, "join"), "auth 5.2.3");
    room.refused(&cast.member(bob, bob, "leave"), "auth 5.4.1");
    room.refused(&cast.member(carol, bob, "leave"), "auth 5.4.3");
    room.own(&cast.member(alice, bob, "leave"));
    room.through(&cast.member(bob, bob, "join"));
    vectors.push(room.hub_vector("LM-04/auth/5.2.3", "a ban, tried in every way, and taken back"));

    let mut room = Room::public(cast);
    room.through(&cast.member(bob, bob, "join"));
    room.refused(&cast.levels(bob, json!({"users": {bob.as_str(): 100}})), "auth 7");
    room.own(&cast.levels(alice, json!({"users": {alice.as_str(): 100, bob.as_str(): 50}})));
    room.through(
        &cast.levels(bob, json!({"users": {alice.as_str(): 100, bob.as_str(): 50}, "events_default": 50})),
    );
    room.refused(&cast.levels(bob, json!({"users": {alice.as_str(): 100, bob.as_str(): 51}})), "auth 9.9.1");
    room.through(&cast.member(carol, carol, "join"));
    room.refused(&cast.message(carol, "x"), "auth 7");
    room.through(&cast.message(bob, "x"));
    vectors.push(room.hub_vector("LM-04/auth/9.10", "power levels that move"));

    let mut room = Room::public(cast);
    room.own(&cast.join_rules("knock"));
    room.through(&cast.member(bob, bob, "knock"));
    room.refused(&cast.member(bob, bob, "join"), "auth 5.2.6");
    room.own(&cast.member(alice, bob, "invite"));
    room.through(&cast.member(bob, bob, "join"));
    room.own(&cast.join_rules("invite"));
    room.refused(&cast.member(carol, carol, "knock"), "auth 5.6.1");
    room.through(&cast.member(bob, carol, "invite"));
    room.through(&cast.member(carol, carol, "leave"));
    room.refused(&cast.member(carol, carol, "join"), "auth 5.2.6");
    vectors.push(room.hub_vector("LM-04/auth/5.6.3", "knocking, inviting, turning an invite down"));

    let joined = || {
        let mut room = Room::public(cast);
        room.through(&cast.member(bob, bob, "join"));
        room
    };
    let mut room = joined();
    room.altered(&cast.message(bob, "hello"), json!({"body": "hellp"}));
    room.through(&cast.message(bob, "hello"));
    vectors.push(room.hub_vector("R05", "an altered LPDU is sealed redacted, and the list goes on"));

    let mut room = joined();
    room.refused_lpdu(&oracle::lpdu(&cast.message(bob, "x"), "third.example", &cast.second), "room R10");
    room.through(&cast.message(bob, "x"));
    vectors.push(room.hub_vector("R10", "an LPDU for another hub"));

    let mut room = joined();
    room.through(&cast.draft(
        bob,
        "m.room.message",
        None,
        json!({"\u{fb33}": 1.0, "\u{1f600}": -0.0, "n": 1e-7}),
    ));
    vectors.push(
        room.hub_vector("R07", "numbers with a fraction, and keys in UTF-16 order, are sealed as they are"),
    );

    let mut room = joined();
    room.through(&with(&cast.message(bob, "x"), "org.example.extra", json!({"b": 1, "a": [null]})));
    room.through(&cast.draft(bob, "m.room.message", None, json!({"\u{fb33}": 50.0, "\u{1f600}": -0.0})));
    vectors.push(room.hub_vector("LM-04/5.1/11", "odd fields and content are sealed as they are"));
    vectors
}

/// What a participant is told, and what it says.
struct Told {
    events: Vec<Value>,
    verdicts: Vec<Value>,
}

impl Told {
    /// A list that is sound from the start.
    fn list(list: &[Value]) -> Self {
        Self { events: list.to_vec(), verdicts: list.iter().map(|_| json!({"verdict": "extends"})).collect() }
    }

    fn then(mut self, event: &Value, verdict: Value) -> Self {
        self.events.push(event.clone());
        self.verdicts.push(verdict);
        self
    }

    fn extends(self, event: &Value) -> Self {
        self.then(event, json!({"verdict": "extends"}))
    }

    fn rejected(self, event: &Value, rule: &str) -> Self {
        self.then(event, json!({"verdict": "rejected", "rule": rule}))
    }

    fn vector(self, cast: &Cast, requirement: &str, comment: &str, head: &Value, disputed: bool) -> Vector {
        let sound =
            !disputed && self.verdicts.iter().all(|verdict| *verdict == json!({"verdict": "extends"}));
        let texts: Vec<String> = self.events.iter().map(canonical).collect();
        let input = json!({"keys": cast.keys(), "pdus": texts});
        let expected = json!({
            "accepted": sound, "verdicts": self.verdicts, "head": oracle::event_id(head), "disputed": disputed,
        });
        let result = if sound { Outcome::Valid } else { Outcome::Invalid };
        Vector::new(requirement, comment, input, expected, result).flag(Flag::Seeded).flag(Flag::Rule)
    }
}

fn participants(cast: &Cast) -> Vec<Vector> {
    let (alice, bob) = (&cast.alice, &cast.bob);
    let mut room = Room::public(cast);
    let join = room.through(&cast.member(bob, bob, "join"));
    let list = room.list.clone();
    let told = || Told::list(&list);
    let next = |event: &Value, prev: &Value, state: &[Value]| {
        let cited = oracle::selection(event, state);
        oracle::seal(event, &cited, &[oracle::event_id(prev)], &cast.hub)
    };
    let own = |body: &str, prev: &Value| next(&cast.message(alice, body), prev, &room.state);
    let (one, other) = (own("one", &join), own("other", &join));
    let two = own("two", &one);
    let bad = next(&cast.member(alice, alice, "invite"), &join, &room.state);
    let on_bad = own("on", &bad);
    let unseen = own("unseen", &one);
    let of_another_hub = {
        let lpdu = oracle::lpdu(&cast.message(bob, "x"), "third.example", &cast.second);
        let cited = oracle::selection(&lpdu, &room.state);
        oracle::seal(&lpdu, &cited, &[oracle::event_id(&join)], &cast.third)
    };
    let two_predecessors = {
        let lpdu = oracle::lpdu(&cast.message(bob, "x"), &cast.hub.name, &cast.second);
        let cited = oracle::selection(&lpdu, &room.state);
        oracle::seal(&lpdu, &cited, &[oracle::event_id(&join), "$other".to_owned()], &cast.hub)
    };
    let miscited = {
        let cited = oracle::selection(&cast.message(alice, "x"), &room.state);
        let cited: Vec<String> = cited.into_iter().skip(1).collect();
        oracle::seal(&cast.message(alice, "x"), &cited, &[oracle::event_id(&join)], &cast.hub)
    };
    let unsigned = with(&one, "signatures", json!({}));
    let altered = with(&one, "content", json!({"body": "onf"}));
    let gap = json!({"verdict": "gap"});
    let dropped = json!({"verdict": "dropped"});
    vec![
        told().extends(&one).extends(&two).vector(cast, "LM-04/5.2.3/1", "a sound list", &two, false),
        told().extends(&altered).vector(
            cast,
            "LM-04/5.1/11",
            "an event whose content was changed keeps its place, redacted",
            &altered,
            false,
        ),
        told().rejected(&bad, "auth 5.3.2").extends(&one).vector(
            cast,
            "R13",
            "an event that a rule refuses does not move the head",
            &one,
            false,
        ),
        told().rejected(&bad, "auth 5.3.2").extends(&on_bad).vector(
            cast,
            "R13",
            "the hub goes on from an event that should have been rejected: the room is disputed",
            &on_bad,
            true,
        ),
        told().extends(&one).rejected(&other, "room R13").extends(&two).vector(
            cast,
            "R13",
            "two events in one place: the second is a fork",
            &two,
            false,
        ),
        told().then(&unseen, gap.clone()).extends(&one).extends(&unseen).vector(
            cast,
            "R13",
            "an event that follows one not seen yet",
            &unseen,
            false,
        ),
        told().then(&unsigned, dropped).extends(&one).vector(
            cast,
            "LM-04/5.1/6",
            "an event that nobody signed is dropped",
            &one,
            false,
        ),
        told().rejected(&of_another_hub, "room R10").extends(&one).vector(
            cast,
            "R10",
            "an event through another hub",
            &one,
            false,
        ),
        told().rejected(&two_predecessors, "room 3.5/21").extends(&one).vector(
            cast,
            "LM-04/3.5/21",
            "a sealed event with two predecessors",
            &one,
            false,
        ),
        told().rejected(&miscited, "auth 4.3").extends(&one).vector(
            cast,
            "LM-04/auth/4.3",
            "an event that does not cite the create event",
            &one,
            false,
        ),
    ]
    .into_iter()
    .map(lenient)
    .collect()
}

/// A participant may rely on its hub, and then finds none of what section 5.1 does not make it look at (R13). What is left
/// are shapes, signatures and hashes.
fn lenient(vector: Vector) -> Vector {
    let verdicts = vector.expected.get("verdicts").and_then(Value::as_array);
    let relies =
        |verdict: &Value| matches!(verdict.get("verdict").and_then(Value::as_str), Some("rejected" | "gap"));
    let disputed = vector.expected.get("disputed") == Some(&json!(true));
    if !disputed && !verdicts.into_iter().flatten().any(relies) {
        return vector;
    }
    let vector = vector.acceptable();
    if vector.reading.is_none() { vector.read_by("R13") } else { vector }
}

pub(super) fn groups(mut chance: Chance) -> Vec<Group> {
    let cast = Cast::new(&mut chance);
    let about = "`hub` is a server with its private key, and the hub of the room; `keys` are all keys there are. Each of \
                 `steps` is the text of an event of one of its users (`own`, without anything that the hub adds) or of a \
                 participant's LPDU (`lpdu`), with the `auth_events` and `prev_events` that the hub puts into it. For each, \
                 `accepted` says whether it enters the list, with its `event_id` and the `pdu` as canonical JSON; or \
                 `rule` says what refuses it (`auth` and its number, or `room` and its requirement or reading). A refused \
                 event changes nothing. The bytes of a `pdu` follow from four things: `auth_events` are in the order \
                 given, which is free otherwise; an event of the hub's own gets neither `hub_server` nor `hashes.lpdu`, and \
                 one signature (R04); no `hashes` are hashed where there is no `hashes.lpdu` (R03); an LPDU whose hash does \
                 not match is redacted first, and the event's hash is made of what is left (R05). Whoever does one of these \
                 as the draft also allows makes other bytes, so that every vector is `acceptable`; `accepted` and `rule` \
                 are the same even so, but for what `reading` of a vector says.";
    let about_list = "`pdus` are the texts of whole events in the order in which a participant, who starts with the \
                      room's create event, gets them from the hub (the server of the create event's sender). Each \
                      `verdict` is `extends` (it enters the list), `rejected` with the `rule`, `gap` (it follows \
                      something that is not there) or `dropped` (its signatures do not hold). `head` is the last event \
                      of the participant's list, `disputed` whether an event that should have been rejected is in it. \
                      `accepted` says whether every event extended the list at once. A participant may rely on its hub \
                      for all but shapes, signatures and hashes (R13): what only such checks find is `acceptable`.";
    vec![Group::new("hub", about, hubs(&cast)), Group::new("participant", about_list, participants(&cast))]
}
