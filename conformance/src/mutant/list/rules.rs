//! Authorization rules that refuse nothing, or allow nothing (LM-04 §5.2).

use mimi_linearized::auth::{AuthRule, RoomRule, Rule};
use mimi_linearized::version::Faults;

use crate::mutant::{Fault, Mutant, mutant};

/// A rule that refuses nothing.
const fn waived(rules: &'static [Rule]) -> Fault {
    Fault::Rules(Faults { waived: rules, barred: &[], uncited: &[], levels: &[] })
}

/// A rule that allows nothing.
const fn barred(rules: &'static [AuthRule]) -> Fault {
    Fault::Rules(Faults { waived: &[], barred: rules, uncited: &[], levels: &[] })
}

/// Events that are not cited.
const fn uncited(kinds: &'static [&'static str]) -> Fault {
    Fault::Rules(Faults { waived: &[], barred: &[], uncited: kinds, levels: &[] })
}

pub(super) static MUTANTS: &[Mutant] = &[
    mutant(
        "5.2.3/3.1-second-create",
        "a second create event is accepted",
        &["LM-04/auth/3.1"],
        waived(&[Rule::Auth(AuthRule::CreateHasPrevEvents)]),
    ),
    mutant(
        "5.2.3/4.1-cited-twice",
        "an event may cite two events for one slot",
        &["LM-04/auth/4.1"],
        waived(&[Rule::Auth(AuthRule::CitedTwice)]),
    ),
    mutant(
        "5.2.3/4.2-cited-wrongly",
        "an event may cite what does not decide about it",
        &["LM-04/auth/4.2"],
        waived(&[Rule::Auth(AuthRule::CitedWrongly)]),
    ),
    mutant(
        "5.2.3/4.3-create-not-cited",
        "an event need not cite the create event",
        &["LM-04/auth/4.3"],
        waived(&[Rule::Auth(AuthRule::CitedNoCreate)]),
    ),
    mutant(
        "5.2.3/5.1-malformed-membership",
        "a membership event needs no state key and no membership",
        &["LM-04/auth/5.1", "LM-04/3.5.3.3/3", "LM-04/3.5.3.3/2"],
        waived(&[Rule::Auth(AuthRule::MemberMalformed)]),
    ),
    mutant(
        "5.2.3/5.2.2-join-for-another",
        "users join for others",
        &["LM-04/auth/5.2.2"],
        waived(&[Rule::Auth(AuthRule::JoinNotSelf)]),
    ),
    mutant(
        "5.2.3/5.2.3-banned-joins",
        "banned users join",
        &["LM-04/auth/5.2.3"],
        waived(&[Rule::Auth(AuthRule::JoinBanned)]),
    ),
    mutant(
        "5.2.3/5.2.6-join-otherwise",
        "users join without an invite",
        &["LM-04/auth/5.2.6"],
        waived(&[Rule::Auth(AuthRule::JoinOtherwise)]),
    ),
    mutant(
        "5.2.3/5.3.1-stranger-invites",
        "who is not joined invites",
        &["LM-04/auth/5.3.1"],
        waived(&[Rule::Auth(AuthRule::InviteSenderNotJoined)]),
    ),
    mutant(
        "5.2.3/5.3.2-invited-again",
        "who is joined or banned is invited",
        &["LM-04/auth/5.3.2"],
        waived(&[Rule::Auth(AuthRule::InviteTarget)]),
    ),
    mutant(
        "5.2.3/5.3.4-invite-without-level",
        "inviting needs no level",
        &["LM-04/auth/5.3.4"],
        waived(&[Rule::Auth(AuthRule::InviteOtherwise)]),
    ),
    mutant(
        "5.2.3/5.4.1-banned-leaves",
        "a banned user leaves",
        &["LM-04/auth/5.4.1", "LM-04/3.5.3.3/1"],
        waived(&[Rule::Auth(AuthRule::LeaveSelf)]),
    ),
    mutant(
        "5.2.3/5.4.2-stranger-kicks",
        "who is not joined kicks",
        &["LM-04/auth/5.4.2"],
        waived(&[Rule::Auth(AuthRule::LeaveSenderNotJoined)]),
    ),
    mutant(
        "5.2.3/5.4.3-unban",
        "lifting a ban needs no level to ban",
        &["LM-04/auth/5.4.3"],
        waived(&[Rule::Auth(AuthRule::LeaveUnban)]),
    ),
    mutant(
        "5.2.3/5.4.5-kick-without-level",
        "kicking needs no level",
        &["LM-04/auth/5.4.5"],
        waived(&[Rule::Auth(AuthRule::LeaveOtherwise)]),
    ),
    mutant(
        "5.2.3/5.5.1-stranger-bans",
        "who is not joined bans",
        &["LM-04/auth/5.5.1"],
        waived(&[Rule::Auth(AuthRule::BanSenderNotJoined)]),
    ),
    mutant(
        "5.2.3/5.5.3-ban-without-level",
        "banning needs no level",
        &["LM-04/auth/5.5.3"],
        waived(&[Rule::Auth(AuthRule::BanOtherwise)]),
    ),
    mutant(
        "5.2.3/5.6.1-knock-anywhere",
        "users knock where knocks are not taken",
        &["LM-04/auth/5.6.1"],
        waived(&[Rule::Auth(AuthRule::KnockJoinRule)]),
    ),
    mutant(
        "5.2.3/5.6.2-knock-for-another",
        "users knock for others",
        &["LM-04/auth/5.6.2"],
        waived(&[Rule::Auth(AuthRule::KnockNotSelf)]),
    ),
    mutant(
        "5.2.3/5.6.4-banned-knocks",
        "who is banned or joined knocks",
        &["LM-04/auth/5.6.4"],
        waived(&[Rule::Auth(AuthRule::KnockOtherwise)]),
    ),
    mutant(
        "5.2.3/5.7-unknown-membership",
        "any membership is accepted",
        &["LM-04/auth/5.7"],
        waived(&[Rule::Auth(AuthRule::MembershipUnknown)]),
    ),
    mutant(
        "5.2.3/6-not-joined",
        "who is not joined sends events",
        &["LM-04/auth/6", "LM-04/2/1", "LM-04/5.2.3/1"],
        waived(&[Rule::Auth(AuthRule::SenderNotJoined)]),
    ),
    mutant(
        "5.2.3/7-send-level",
        "sending needs no level",
        &["LM-04/auth/7"],
        waived(&[Rule::Auth(AuthRule::SendLevel)]),
    ),
    mutant(
        "5.2.3/8-state-of-another",
        "users set state under others' ids",
        &["LM-04/auth/8"],
        waived(&[Rule::Auth(AuthRule::StateKeyOwner)]),
    ),
    mutant(
        "5.2.3/9.1-levels-not-integers",
        "single levels may be anything",
        &["LM-04/auth/9.1"],
        waived(&[Rule::Auth(AuthRule::LevelNotInteger)]),
    ),
    mutant(
        "5.2.3/9.2-event-levels",
        "`events` of power levels may be anything",
        &["LM-04/auth/9.2"],
        waived(&[Rule::Auth(AuthRule::LevelEvents)]),
    ),
    mutant(
        "5.2.3/9.3-user-levels",
        "`users` of power levels may be anything",
        &["LM-04/auth/9.3"],
        waived(&[Rule::Auth(AuthRule::LevelUsers)]),
    ),
    mutant(
        "5.2.3/9.5.1-high-level-changed",
        "a single level above one's own is changed",
        &["LM-04/auth/9.5.1"],
        waived(&[Rule::Auth(AuthRule::LevelCurrentTooHigh)]),
    ),
    mutant(
        "5.2.3/9.5.2-level-set-high",
        "a single level is set above one's own",
        &["LM-04/auth/9.5.2"],
        waived(&[Rule::Auth(AuthRule::LevelNewTooHigh)]),
    ),
    mutant(
        "5.2.3/9.6.1-high-event-level-changed",
        "an event type's level above one's own is changed",
        &["LM-04/auth/9.6.1"],
        waived(&[Rule::Auth(AuthRule::LevelEventCurrentTooHigh)]),
    ),
    mutant(
        "5.2.3/9.7.1-event-level-set-high",
        "an event type's level is set above one's own",
        &["LM-04/auth/9.7.1"],
        waived(&[Rule::Auth(AuthRule::LevelEventNewTooHigh)]),
    ),
    mutant(
        "5.2.3/9.8.1-high-user-level-changed",
        "a user's level above one's own is changed",
        &["LM-04/auth/9.8.1"],
        waived(&[Rule::Auth(AuthRule::LevelUserCurrentTooHigh)]),
    ),
    mutant(
        "5.2.3/9.9.1-user-level-set-high",
        "a user's level is set above one's own",
        &["LM-04/auth/9.9.1"],
        waived(&[Rule::Auth(AuthRule::LevelUserNewTooHigh)]),
    ),
    mutant(
        "5.2.3/5.2.4-invited-kept-out",
        "an invited user's join is refused",
        &["LM-04/auth/5.2.4"],
        barred(&[AuthRule::JoinInvited]),
    ),
    mutant(
        "5.2.3/5.2.5-public-closed",
        "joins of public rooms are refused",
        &["LM-04/auth/5.2.5"],
        barred(&[AuthRule::JoinPublic]),
    ),
    mutant(
        "5.2.3/5.3.3-nobody-invites",
        "invites are refused",
        &["LM-04/auth/5.3.3"],
        barred(&[AuthRule::InviteAllowed]),
    ),
    mutant(
        "5.2.3/5.4.1-nobody-leaves",
        "nobody leaves",
        &["LM-04/auth/5.4.1", "LM-04/12.7.2.2/2"],
        barred(&[AuthRule::LeaveSelf]),
    ),
    mutant(
        "5.2.3/5.4.4-nobody-kicks",
        "kicks are refused",
        &["LM-04/auth/5.4.4"],
        barred(&[AuthRule::LeaveKick]),
    ),
    mutant(
        "5.2.3/5.5.2-nobody-bans",
        "bans are refused",
        &["LM-04/auth/5.5.2"],
        barred(&[AuthRule::BanAllowed]),
    ),
    mutant(
        "5.2.3/5.6.3-nobody-knocks",
        "knocks are refused",
        &["LM-04/auth/5.6.3"],
        barred(&[AuthRule::KnockAllowed]),
    ),
    mutant(
        "5.2.3/5.2.1-creator-kept-out",
        "the creator's own join is refused",
        &["LM-04/auth/5.2.1"],
        barred(&[AuthRule::JoinCreator]),
    ),
    mutant(
        "5.2.3/9.4-no-first-levels",
        "the first power levels are refused",
        &["LM-04/auth/9.4"],
        barred(&[AuthRule::LevelsFirst]),
    ),
    mutant(
        "5.2.3/9.10-levels-never-change",
        "power levels never change",
        &["LM-04/auth/9.10"],
        barred(&[AuthRule::LevelsAllowed]),
    ),
    mutant(
        "5.2.1/create-not-cited",
        "the create event is not cited",
        &["LM-04/5.2.1/2", "LM-04/5.2.1/1"],
        uncited(&["m.room.create"]),
    ),
    mutant(
        "5.2.1/levels-not-cited",
        "the power levels are not cited",
        &["LM-04/5.2.1/3"],
        uncited(&["m.room.power_levels"]),
    ),
    mutant(
        "5.2.1/members-not-cited",
        "memberships are not cited",
        &["LM-04/5.2.1/4", "LM-04/5.2.1/5"],
        uncited(&["m.room.member"]),
    ),
    mutant(
        "5.2.1/join-rules-not-cited",
        "the join rules are not cited",
        &["LM-04/5.2.1/6"],
        uncited(&["m.room.join_rules"]),
    ),
    mutant(
        "5.1/another-hub",
        "an event that names another hub is accepted",
        &["R10"],
        waived(&[Rule::Room(RoomRule::OtherHub)]),
    ),
];
