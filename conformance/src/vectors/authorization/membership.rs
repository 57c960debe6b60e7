//! Rule 5: memberships.

use serde_json::json;

use super::{Trials, with_content};
use crate::vectors::events::{Cast, State};

/// Rules 5.1, 5.2 and 5.7.
pub(super) fn joins(trials: &mut Trials, cast: &Cast) {
    let (alice, bob, carol) = (&cast.alice, &cast.bob, &cast.carol);
    let created = State::created(cast);
    let joined = State::joined(cast);
    let member = |sender: &str, target: &str, membership: &str| cast.member(sender, target, membership);
    trials.refused(
        "5.1",
        "no state key",
        &joined,
        &cast.draft(alice, "m.room.member", None, json!({"membership": "join"})),
    );
    trials.refused(
        "5.1",
        "no membership",
        &joined,
        &cast.draft(alice, "m.room.member", Some(alice), json!({})),
    );
    trials.refused("5.1", "an empty state key", &joined, &member(alice, "", "invite"));
    trials.about("LM-04/3.5.3.3/2");
    trials.refused(
        "5.1",
        "a state key that is no user id",
        &joined,
        &member(alice, "@Bob:second.example", "invite"),
    );
    trials.about("LM-04/3.5.3.3/2");
    trials.allowed("5.2.1", "the creator's first join", &created, &member(alice, alice, "join"));
    trials.refused(
        "5.2.2",
        "the creator's first join, sent by somebody else",
        &created,
        &member(bob, alice, "join"),
    );
    trials.either("R12");
    trials.refused(
        "5.2.6",
        "somebody else's join right after the create event",
        &created,
        &member(bob, bob, "join"),
    );
    let left = joined.and(&member(alice, alice, "leave"));
    trials.refused(
        "5.2.6",
        "the creator's second join is like anybody's",
        &left,
        &member(alice, alice, "join"),
    );
    let public = joined.and(&cast.join_rules("public"));
    trials.refused("5.2.2", "a join for somebody else", &public, &member(alice, bob, "join"));
    trials.refused(
        "5.2.2",
        "a join for somebody else, who is invited",
        &public.and(&member(alice, bob, "invite")),
        &member(carol, bob, "join"),
    );
    let banned = public.and(&member(alice, bob, "ban"));
    trials.refused("5.2.3", "banned, although the room is public", &banned, &member(bob, bob, "join"));
    for rule in ["invite", "knock"] {
        let room = joined.and(&cast.join_rules(rule));
        trials.allowed(
            "5.2.4",
            &format!("invited, with join rule {rule}"),
            &room.and(&member(alice, bob, "invite")),
            &member(bob, bob, "join"),
        );
        trials.allowed(
            "5.2.4",
            &format!("joined already, with join rule {rule}"),
            &room.and(&member(bob, bob, "join")),
            &member(bob, bob, "join"),
        );
        trials.refused(
            "5.2.6",
            &format!("not invited, with join rule {rule}"),
            &room,
            &member(bob, bob, "join"),
        );
        trials.refused(
            "5.2.6",
            &format!("left, with join rule {rule}"),
            &room.and(&member(bob, bob, "leave")),
            &member(bob, bob, "join"),
        );
        trials.refused(
            "5.2.3",
            &format!("banned, with join rule {rule}"),
            &room.and(&member(alice, bob, "ban")),
            &member(bob, bob, "join"),
        );
    }
    trials.refused(
        "5.2.6",
        "knocking is no invite",
        &joined.and(&cast.join_rules("knock")).and(&member(bob, bob, "knock")),
        &member(bob, bob, "join"),
    );
    trials.allowed("5.2.5", "a public room", &public, &member(bob, bob, "join"));
    trials.allowed(
        "5.2.5",
        "a public room, after leaving",
        &public.and(&member(bob, bob, "leave")),
        &member(bob, bob, "join"),
    );
    trials.allowed(
        "5.2.5",
        "a public room, invited",
        &public.and(&member(alice, bob, "invite")),
        &member(bob, bob, "join"),
    );
    let reason = with_content(&member(bob, bob, "join"), json!({"membership": "join", "reason": "curious"}));
    trials.allowed("5.2.5", "with a reason", &public, &reason);
    trials.allowed(
        "5.2.4",
        "no join rules mean `invite`: invited",
        &joined.and(&member(alice, bob, "invite")),
        &member(bob, bob, "join"),
    );
    trials.either("R12");
    trials.refused("5.2.6", "no join rules mean `invite`: not invited", &joined, &member(bob, bob, "join"));
    trials.by_reading("R12");
    for rule in ["private", "restricted", "Public", ""] {
        let room = joined.and(&cast.join_rules(rule)).and(&member(alice, bob, "invite"));
        trials.refused(
            "5.2.6",
            &format!("the join rule {rule:?}, even when invited"),
            &room,
            &member(bob, bob, "join"),
        );
    }
    let odd = joined.and(&cast.draft(alice, "m.room.join_rules", Some("x"), json!({"join_rule": "public"})));
    trials.refused(
        "5.2.6",
        "join rules under another state key do not count",
        &odd,
        &member(bob, bob, "join"),
    );
    for membership in ["Join", "dance", ""] {
        trials.refused(
            "5.7",
            &format!("the membership {membership:?}"),
            &public,
            &member(bob, bob, membership),
        );
    }
    let number = with_content(&member(bob, bob, "join"), json!({"membership": 1}));
    trials.refused("5.7", "a membership that is a number", &public, &number);
}

/// Rule 5.3.
pub(super) fn invites(trials: &mut Trials, cast: &Cast) {
    let (alice, bob, carol) = (&cast.alice, &cast.bob, &cast.carol);
    let joined = State::joined(cast);
    let both = joined.and(&cast.member(bob, bob, "join"));
    let invite = |sender: &str, target: &str| cast.member(sender, target, "invite");
    trials.refused("5.3.1", "the sender was never in the room", &joined, &invite(bob, carol));
    for membership in ["leave", "invite", "knock", "ban"] {
        let state = joined.and(&cast.member(bob, bob, membership));
        trials.refused(
            "5.3.1",
            &format!("the sender's membership is {membership}"),
            &state,
            &invite(bob, carol),
        );
    }
    trials.refused("5.3.2", "the target is joined", &both, &invite(alice, bob));
    trials.refused(
        "5.3.2",
        "the target is banned",
        &joined.and(&cast.member(alice, bob, "ban")),
        &invite(alice, bob),
    );
    trials.refused("5.3.2", "oneself", &joined, &invite(alice, alice));
    trials.allowed(
        "5.3.3",
        "anybody joined may, as long as nothing else is stated",
        &both,
        &invite(bob, carol),
    );
    for membership in ["leave", "knock", "invite"] {
        let state = joined.and(&cast.member(bob, bob, membership));
        trials.allowed(
            "5.3.3",
            &format!("the target's membership is {membership}"),
            &state,
            &invite(alice, bob),
        );
    }
    let at = |level: i64| {
        both.and(
            &cast.levels(alice, json!({"users": {alice.as_str(): 100, bob.as_str(): level}, "invite": 50})),
        )
    };
    trials.allowed("5.3.3", "a level equal to what is needed", &at(50), &invite(bob, carol));
    trials.refused("5.3.4", "a level below what is needed", &at(49), &invite(bob, carol));
}

/// Rules 5.4 and 5.5.
pub(super) fn departures(trials: &mut Trials, cast: &Cast) {
    let (alice, bob, carol) = (&cast.alice, &cast.bob, &cast.carol);
    let joined = State::joined(cast);
    let member = |sender: &str, target: &str, membership: &str| cast.member(sender, target, membership);
    for membership in ["join", "invite", "knock"] {
        let state = joined.and(&member(bob, bob, membership));
        trials.allowed(
            "5.4.1",
            &format!("one's own leave from {membership}"),
            &state,
            &member(bob, bob, "leave"),
        );
    }
    for membership in ["leave", "ban"] {
        let state = joined.and(&member(bob, bob, membership));
        trials.refused(
            "5.4.1",
            &format!("one's own leave from {membership}"),
            &state,
            &member(bob, bob, "leave"),
        );
    }
    trials.refused("5.4.1", "one's own leave without any membership", &joined, &member(bob, bob, "leave"));
    let level = |bobs: i64, carols: i64| {
        let levels = json!({"users": {alice.as_str(): 100, bob.as_str(): bobs, carol.as_str(): carols}, "kick": 40, "ban": 60});
        joined.and(&member(bob, bob, "join")).and(&cast.levels(alice, levels))
    };
    let with_carol =
        |bobs: i64, carols: i64, membership: &str| level(bobs, carols).and(&member(alice, carol, membership));
    trials.refused(
        "5.4.2",
        "a kick by somebody who is not in the room",
        &joined.and(&member(alice, carol, "join")),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.2",
        "a kick by somebody who left",
        &with_carol(100, 0, "join").and(&member(bob, bob, "leave")),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.3",
        "an unban with the level to kick and not to ban",
        &with_carol(59, 0, "ban"),
        &member(bob, carol, "leave"),
    );
    trials.allowed(
        "5.4.4",
        "an unban with the level to ban",
        &with_carol(60, 0, "ban"),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.5",
        "an unban of somebody at the same level",
        &with_carol(60, 60, "ban"),
        &member(bob, carol, "leave"),
    );
    trials.allowed(
        "5.4.4",
        "a kick with just the level",
        &with_carol(40, 39, "join"),
        &member(bob, carol, "leave"),
    );
    trials.allowed(
        "5.4.4",
        "an invite taken back",
        &with_carol(40, 0, "invite"),
        &member(bob, carol, "leave"),
    );
    trials.allowed(
        "5.4.4",
        "a knock turned down",
        &level(40, 0).and(&member(carol, carol, "knock")),
        &member(bob, carol, "leave"),
    );
    trials.allowed(
        "5.4.4",
        "a kick of somebody who was never in the room",
        &level(40, 0),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.5",
        "a level below what a kick needs",
        &with_carol(39, 0, "join"),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.5",
        "a kick of somebody at the same level",
        &with_carol(40, 40, "join"),
        &member(bob, carol, "leave"),
    );
    trials.refused(
        "5.4.5",
        "a kick of somebody above",
        &with_carol(40, 41, "join"),
        &member(bob, carol, "leave"),
    );
    trials.refused("5.5.1", "a ban by somebody who is not in the room", &joined, &member(bob, carol, "ban"));
    trials.allowed(
        "5.5.2",
        "a ban with just the level",
        &with_carol(60, 59, "join"),
        &member(bob, carol, "ban"),
    );
    trials.allowed(
        "5.5.2",
        "a ban of somebody who was never in the room",
        &level(60, 0),
        &member(bob, carol, "ban"),
    );
    trials.allowed("5.5.2", "a ban repeated", &with_carol(60, 0, "ban"), &member(bob, carol, "ban"));
    trials.allowed(
        "5.5.2",
        "a ban of somebody invited",
        &with_carol(60, 0, "invite"),
        &member(bob, carol, "ban"),
    );
    trials.refused(
        "5.5.3",
        "a level below what a ban needs",
        &with_carol(59, 0, "join"),
        &member(bob, carol, "ban"),
    );
    trials.refused(
        "5.5.3",
        "a ban of somebody at the same level",
        &with_carol(60, 60, "join"),
        &member(bob, carol, "ban"),
    );
    trials.refused("5.5.3", "a ban of oneself", &level(60, 0), &member(bob, bob, "ban"));
    trials.allowed(
        "5.5.2",
        "without power levels the creator bans",
        &joined.and(&member(bob, bob, "join")),
        &member(alice, bob, "ban"),
    );
    trials.refused(
        "5.5.3",
        "without power levels nobody else does",
        &joined.and(&member(bob, bob, "join")),
        &member(bob, alice, "ban"),
    );
}

/// Rule 5.6.
pub(super) fn knocks(trials: &mut Trials, cast: &Cast) {
    let (alice, bob) = (&cast.alice, &cast.bob);
    let joined = State::joined(cast);
    let knock = |sender: &str, target: &str| cast.member(sender, target, "knock");
    for rule in ["invite", "public", "private", "restricted"] {
        trials.refused(
            "5.6.1",
            &format!("the join rule is {rule}"),
            &joined.and(&cast.join_rules(rule)),
            &knock(bob, bob),
        );
    }
    trials.refused("5.6.1", "no join rules", &joined, &knock(bob, bob));
    let room = joined.and(&cast.join_rules("knock"));
    trials.refused("5.6.2", "a knock for somebody else", &room, &knock(alice, bob));
    trials.allowed("5.6.3", "a stranger", &room, &knock(bob, bob));
    for membership in ["leave", "knock", "invite"] {
        let state = room.and(&cast.member(bob, bob, membership));
        trials.allowed("5.6.3", &format!("the membership is {membership}"), &state, &knock(bob, bob));
    }
    for membership in ["join", "ban"] {
        let state = room.and(&cast.member(bob, bob, membership));
        trials.refused("5.6.4", &format!("the membership is {membership}"), &state, &knock(bob, bob));
    }
}
